//! Workers that leave on purpose while a run goes on: others take what they hold, nothing is
//! computed again, and no worker counts as lost.

use crate::support::Launcher;
use crate::support::tree_run::TreeRun;
use std::time::Duration;

/// Leaves long enough that the run outlasts the lifetime of its workers several times.
const BUSY: Duration = Duration::from_millis(150);
/// Age at which workers retire.
const LIFETIME: &str = "worker.lifetime.duration=400ms";

/// A run whose workers retire, started again or not; checked until so many have.
fn retire(launcher: Launcher, restart: bool, number: usize) {
    let restart_flag = format!("worker.lifetime.restart={restart}");
    let mut tree = TreeRun::start(launcher, BUSY, &["--set", LIFETIME, "--set", &restart_flag]);
    tree.until_events("worker_retired", number);
    let end = tree.end();
    assert!(end.lost().is_empty(), "{}", end.outcome);
    assert_eq!(end.summary["recomputed"], 0, "{}", end.outcome);
    let count = |kind: &str| end.events.iter().filter(|event| event["event"] == kind).count();
    let (joined, retired) = (count("worker_joined"), count("worker_retired"));
    let reasons = end.events.iter().filter(|event| event["event"] == "worker_retired");
    for event in reasons {
        assert_eq!(event["reason"], "its lifetime of 0.4 s is over");
    }
    if restart {
        // The last one may still be starting when the job is over.
        assert!(joined >= 3 + retired - 1, "{joined} joined, {retired} retired: {}", end.outcome);
    } else {
        assert_eq!((joined, retired), (3, 2), "one stays: {}", end.outcome);
    }
}

#[test]
fn workers_that_retire_hand_over_what_they_hold() {
    for launcher in [Launcher::Local, Launcher::OpenMpi(4)] {
        if launcher.available() {
            retire(launcher, false, 2);
        }
    }
}

#[test]
fn workers_take_turns_when_retired_ones_are_started_again() {
    retire(Launcher::Local, true, 3);
}
