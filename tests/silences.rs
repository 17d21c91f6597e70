//! Processes that are killed more than once, all at a time, or stopped and continued: the result
//! is right, nobody is declared lost who only waited, and nothing is left.

use crate::pausing::{build_hold, events, hold, touch};
use crate::support::graphs::{Case, graph, task};
use crate::support::leftovers::{Process, tick};
use crate::support::tree_run::TreeRun;
use crate::support::{Launcher, Start};
use rustix::process::Signal;
use serde_json::{Value, json};
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

/// Four tasks are on a worker of one thread when it is stopped, or killed: one of them ran, and only
/// that one may be blamed.
#[test]
fn only_what_ran_is_blamed_for_a_worker_that_falls_silent() {
    for signal in [Signal::STOP, Signal::KILL] {
        let keys: Vec<String> = (0..4).map(|number| format!("p-{number}")).collect();
        let tasks = keys.iter().map(|key| task(key, hold(&json!({"until": "go"})), &[])).collect();
        let outputs: Vec<&str> = keys.iter().map(String::as_str).collect();
        let case = Case::new(&graph(tasks, &outputs));
        build_hold(&case);
        let flags = ["--worker-ttl", "1.5", "--allowed-failures", "0", "--keep-going"];
        let mut run = Start::new(Launcher::Local)
            .args(case.args())
            .args(["--workers", "1", "--threads", "1", "--validate"])
            // All are sent at once.
            .args(["--set", "scheduler.worker-saturation=inf"])
            .args(["--events".into(), case.path().join("events.jsonl")])
            .args(flags)
            .current_dir(case.path())
            .spawn();
        let all_there = |event: &Value| {
            let worker = &event["workers"][0];
            event["event"] == "state" && worker["executing"] == 1 && worker["ready"] == 3
        };
        run.until("four tasks", |_| events(&case).iter().any(all_there).then_some(()));
        run.processes_of_role("worker")[0].signal(signal).unwrap();
        let lost = |event: &Value| event["event"] == "worker_lost";
        run.until("the loss", |_| events(&case).iter().any(lost).then_some(()));
        touch(&case, "go");
        let outcome = run.wait().expect_code(1);
        let manifest = case.manifest();
        let blamed = |key: &&String| manifest["outputs"][key.as_str()]["error"].is_string();
        let blamed: Vec<&String> = keys.iter().filter(blamed).collect();
        assert_eq!(blamed.len(), 1, "{signal:?}: {outcome}");
        assert_eq!(outcome.stderr.matches("KilledWorker").count(), 1, "{signal:?}: {outcome}");
        let lost = |event: &&Value| event["event"] == "task" && event["outcome"] == "lost";
        let lost: Vec<Value> = events(&case).iter().filter(lost).cloned().collect();
        assert!(lost.len() == 1 && lost[0]["key"] == **blamed[0], "{signal:?}: {lost:?}");
    }
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
