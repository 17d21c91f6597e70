//! Processes that are killed more than once, all at a time, or stopped and continued: the result
//! is right, nobody is declared lost who only waited, and nothing is left.

use crate::support::Launcher;
use crate::support::leftovers::{Process, tick};
use crate::support::tree_run::TreeRun;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// Leaves long enough that the run goes on while a test disturbs it.
const BUSY: Duration = Duration::from_millis(200);

/// Runs the test under each launcher that is here, with three workers, once results exist.
fn each_launcher(flags: &[&str], disturb: impl Fn(&mut TreeRun) -> usize) {
    for launcher in [Launcher::Local, Launcher::OpenMpi(4), Launcher::Mpich(4)] {
        if !launcher.available() {
            continue;
        }
        let mut tree = TreeRun::start(launcher, BUSY, flags);
        tree.until_events("task", 3);
        let lost = disturb(&mut tree);
        let end = tree.end();
        assert_eq!(end.lost().len(), lost, "{launcher:?}: {}", end.outcome);
    }
}

fn workers(tree: &TreeRun) -> Vec<Process> {
    tree.run.processes_of_role("worker")
}

/// Waits for a time that is itself what the test is about.
fn pass(time: Duration) {
    let due = Instant::now() + time;
    while Instant::now() < due {
        tick();
    }
}

#[test]
fn the_same_slot_dies_twice() {
    each_launcher(&[], |tree| {
        let before = workers(tree);
        before[0].signal(Signal::KILL).unwrap();
        tree.until_events("worker_joined", before.len() + 1);
        let restarted = workers(tree).into_iter().find(|worker| !before.contains(worker));
        restarted.expect("a restarted worker").signal(Signal::KILL).unwrap();
        2
    });
}

#[test]
fn all_workers_die_at_once_and_are_restarted() {
    each_launcher(&[], |tree| {
        let all = workers(tree);
        all.iter().for_each(|worker| worker.signal(Signal::KILL).unwrap());
        all.len()
    });
}

#[test]
fn a_worker_that_is_stopped_beyond_the_ttl_is_lost_and_does_no_harm_afterwards() {
    each_launcher(&["--worker-ttl", "1.5"], |tree| {
        let stopped = workers(tree).swap_remove(1);
        stopped.signal(Signal::STOP).unwrap();
        tree.until_events("worker_lost", 1);
        // Its supervisor may have ended it by now.
        let _ended = stopped.signal(Signal::CONT);
        1
    });
}

#[test]
fn a_worker_that_is_stopped_for_less_than_the_ttl_loses_nothing() {
    each_launcher(&["--worker-ttl", "20"], |tree| {
        let stopped = workers(tree).swap_remove(1);
        stopped.signal(Signal::STOP).unwrap();
        pass(Duration::from_secs(3));
        stopped.signal(Signal::CONT).unwrap();
        0
    });
}

/// Silence is what the scheduler hears after it has listened, not what its clock says on waking.
#[test]
fn a_scheduler_that_is_stopped_for_ten_seconds_loses_no_worker() {
    each_launcher(&["--worker-ttl", "4"], |tree| {
        let scheduler = tree.run.processes_of_role("scheduler").swap_remove(0);
        scheduler.signal(Signal::STOP).unwrap();
        pass(Duration::from_secs(10));
        scheduler.signal(Signal::CONT).unwrap();
        0
    });
}
