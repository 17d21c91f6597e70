//! The checker checked: each planted breach of an invariant is found, and tells the task's story.
//!
//! A breach is planted by hand into a sound worker; `validate` must name it.

use super::*;
use crate::worker::task::Slot;
use State::*;

/// The slot of task 1.
fn slot(worker: &WorkerState) -> Slot {
    worker.tasks.find(TaskId(1)).expect("task 1 is known")
}

/// A breach: the state of task 1 before it, how to break it, what `validate` must say.
type Breach = (State, fn(&mut WorkerState), &'static str);

const BREACHES: &[Breach] = &[
    (Memory, |worker| worker.nbytes += 1, "nbytes is wrong"),
    (Executing, |worker| worker.used_threads += 1, "used slots are wrong"),
    (Executing, |worker| worker.promised_bytes += 1, "promised bytes are wrong"),
    (Executing, |worker| worker.executing.clear(), "the register of executing tasks disagrees"),
    (LongRunning, |worker| worker.long_running.clear(), "the register of long-running tasks"),
    (Ready, |worker| worker.ready.clear(), "ready holds others than ready tasks"),
    (Constrained, |worker| worker.constrained.clear(), "the queues hold others"),
    (Ready, |worker| worker.running = true, "tasks are ready and nothing runs"),
    (Constrained, |worker| worker.resources[0].taken += 1, "does not add up"),
    (Fetch, |worker| worker.fetch_count += 1, "fetch_count is wrong"),
    (Fetch, |worker| worker.running = true, "a peer that could be asked is not"),
    (
        Fetch,
        |worker| {
            let slot = slot(worker);
            worker.tasks[slot].who_has.clear();
        },
        "no holder is known",
    ),
    (Missing, |worker| worker.missing.clear(), "missing holds others"),
    (Missing, |worker| worker.find_missing_at = None, "nobody will ask for missing tasks"),
    (Missing, |worker| worker.timer = None, "a deadline without a timer"),
    (Flight, |worker| worker.incoming_bytes += 1, "incoming bytes are wrong"),
    (Flight, |worker| worker.transfers.clear(), "its transfer does not know it"),
    (
        Flight,
        |worker| {
            let slot = slot(worker);
            worker.tasks[slot].transfer = None;
        },
        "its state and its transfer disagree",
    ),
    (
        Missing,
        |worker| {
            let slot = slot(worker);
            worker.missing.clear();
            worker.tasks[slot].state = Erred;
        },
        "somebody waits for it",
    ),
    (
        Waiting,
        |worker| {
            let slot = slot(worker);
            worker.tasks[slot].waiting_count = 0;
        },
        "counts others",
    ),
    (
        Waiting,
        |worker| {
            let slot = slot(worker);
            worker.tasks[slot].state = Ready;
        },
        "waits for inputs without being in waiting",
    ),
    (
        Released,
        |worker| {
            let slot = slot(worker);
            worker.tasks[slot].dependents.clear();
        },
        "is not mutual",
    ),
    (
        Executing,
        |worker| {
            let slot = slot(worker);
            worker.tasks[slot].done = true;
        },
        "was not acted on",
    ),
];

#[test]
fn planted_breaches_are_found() {
    for (number, (state, plant, expected)) in BREACHES.iter().enumerate() {
        let mut bench = in_state(*state);
        assert_eq!(bench.worker.validate(), Ok(()), "breach {number}: before it");
        plant(&mut bench.worker);
        let found = bench.worker.validate().expect_err(expected);
        assert!(found.contains(expected), "breach {number} ({state:?}): {found}");
    }
}

#[test]
fn a_breach_tells_the_story_of_its_task() {
    let mut bench = in_state(Flight);
    bench.worker.transfers.clear();
    let found = bench.worker.validate().expect_err("a transfer is gone");
    for step in ["task 1 (Flight)", "Released -> Fetch", "Fetch -> Flight", "by compute-task-1"] {
        assert!(found.contains(step), "{step:?} is not in: {found}");
    }
}

#[test]
#[should_panic(expected = "task 1 cannot go from Cancelled(Flight) to Memory")]
fn a_step_that_cannot_be_is_a_panic() {
    let mut bench = in_state(Cancelled(Live::Flight));
    let slot = slot(&bench.worker);
    bench.worker.recommend(slot, Memory);
    bench.worker.drain();
}
