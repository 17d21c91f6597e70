//! Bugs that others have met in machines like this one, as scripts.
//!
//! The numbers are those of issues of dask/distributed. What a single worker cannot show (steals,
//! races between workers) is not here.

use super::*;
use Live::{Executing as E, Flight as F};
use State::*;

/// The input cannot be kept on arrival: its dependent fails with the input's name, nothing waits
/// for ever, and the same peer goes on serving.
#[test]
fn bug_6705_7060_an_input_that_cannot_be_stored_fails_its_dependent() {
    let mut bench = Bench::new(1);
    bench
        .set_up(compute(2, 1, &[]))
        .set_up(success(2, 1))
        .set_up(free(&[(2, 1)]))
        .check(compute(9, 9, &[(2, &[1])]), &[gather(0, 1, &[2], 9)]);
    let text = "input task 2 cannot be stored: no memory";
    bench.check(unstorable(0), &[erred_unrun(9, 9, text)]).is(9, Erred).is(2, Released);
    bench.check(free(&[(9, 9)]), &[]).is_gone(9).is_gone(2);
    bench
        .check(compute(8, 8, &[(3, &[1])]), &[gather(1, 1, &[3], 8)])
        .check(gathered(1, &[3], &[]), &[store(3), add_keys(&[3]), execute(8, 8, &[3])]);
}

/// The name is the key where a compute-task brought one.
#[test]
fn bug_6705_7060_the_error_names_the_input_by_its_key() {
    let mut bench = in_state(Resumed(F));
    bench.check(compute(8, 8, &[(1, &[1])]), &[]).is(1, Flight);
    let got = bench.give(vec![unstorable(0)]);
    let texts: Vec<&str> = got
        .iter()
        .filter_map(|instruction| match instruction {
            WorkerInstruction::TaskErred { error, .. } => Some(error.message.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["input t1 cannot be stored: no memory"; 2]);
}

/// Executing, freed, wanted from a peer, and then the run fails: fetch, and no message.
#[test]
fn bug_6689_a_failed_run_of_a_task_wanted_from_a_peer_ends_in_a_fetch() {
    for end in [failure(1, 1), reschedule(1, 1)] {
        let mut bench = Bench::new(1);
        bench
            .check(compute(1, 1, &[]), &[execute(1, 1, &[])])
            .check(free(&[(1, 1)]), &[cancel(1, 1)])
            .is(1, Cancelled(E))
            .check(compute(9, 2, &[(1, &[1])]), &[])
            .is(1, Resumed(E))
            .check(end, &[gather(0, 1, &[1], 1)])
            .is(1, Flight)
            .check(gathered(0, &[1], &[]), &[store(1), add_keys(&[1]), execute(9, 2, &[1])]);
    }
}

/// Long-running, cancelled, computed again on the same worker: it goes on, and ends once.
#[test]
fn bug_6673_a_cancelled_long_running_task_that_is_computed_again() {
    // One that did not end well goes back: here it would run in the pool, which the scheduler does
    // not count it in.
    let back = WorkerInstruction::Reschedule { task: TaskId(1), run_id: RunId(2) };
    for (end, expected) in [
        (success(1, 1), vec![store(1), finished(1, 2)]),
        (reschedule(1, 1), vec![back.clone()]),
        (failure(1, 1), vec![back]),
    ] {
        let mut bench = in_state(Cancelled(Live::LongRunning));
        bench
            .check(compute(1, 2, &[]), &[long_running(1, 2, None)])
            .check(end, &expected)
            .check(success(1, 1), &[]);
    }
}

/// Freed and sent again between Execute and its start: the driver's answer to the cancel is no
/// failure of the task, and each end counts for its own run only.
#[test]
fn bug_6869_6867_a_run_told_to_stop_says_nothing_about_the_new_one() {
    for shortcut in [reschedule(1, 1), failure(1, 1)] {
        let mut bench = in_state(Cancelled(E));
        bench
            .check(compute(1, 2, &[]), &[])
            .is(1, Executing)
            .check(shortcut.clone(), &[execute(1, 2, &[])])
            .check(shortcut, &[])
            .check(failure(1, 2), &[erred(1, 2)])
            .is(1, Erred);
    }
}

/// A result of an old run of the same spec is reported under the number that the scheduler waits
/// for; one of another spec or of other inputs is not.
#[test]
fn bug_7463_an_old_run_is_reported_under_the_current_number_or_not_at_all() {
    let mut same = in_state(Cancelled(E));
    same.set_up(compute(1, 2, &[])).check(success(1, 1), &[store(1), finished(1, 2)]);

    let mut other_spec = in_state(Cancelled(E));
    other_spec.set_up(send(ComputeTask { spec: SpecId(3), ..message(1, 2, &[]) }));
    let got = other_spec.give(vec![success(1, 1)]);
    assert!(
        matches!(&got[..], [WorkerInstruction::Execute { run_id: RunId(2), spec: SpecId(3), .. }]),
        "{got:?}"
    );

    let mut other_inputs = in_state(Cancelled(E));
    other_inputs
        .check(compute(1, 2, &[(5, &[1])]), &[])
        .check(success(1, 1), &[gather(0, 1, &[5], 1)])
        .check(gathered(0, &[5], &[]), &[store(5), add_keys(&[5]), execute(1, 2, &[5])])
        .check(success(1, 2), &[store(1), finished(1, 2)]);
}

/// The end of an unknown or older run changes nothing.
#[test]
fn bug_7463_an_end_without_its_run_is_ignored() {
    let mut bench = in_state(Executing);
    bench.check(success(1, 7), &[]).check(failure(4, 1), &[]).check(secede(1, 7), &[]);
    bench.is(1, Executing);
    assert_eq!(bench.worker.ignored_count(), 3);
    bench.check(success(1, 1), &[store(1), finished(1, 1)]);
}

/// One busy, one dead, one good holder: the good one is asked; only when all are busy is the
/// scheduler asked, and only for those tasks.
#[test]
fn bug_4793_4929_other_holders_are_tried_when_one_is_busy() {
    let mut bench = Bench::new(1);
    for (worker, same_machine) in [(1, true), (2, false), (3, false)] {
        bench.set_up(WorkerEvent::AddPeer { worker: WorkerId(worker), same_machine });
    }
    bench.check(compute(9, 9, &[(1, &[1, 2]), (2, &[1])]), &[gather(0, 1, &[1, 2], 9)]);
    let got = bench.give(vec![busy(0)]);
    assert_eq!(got[0], ask_who_has(&[2]), "task 1 has another holder");
    assert_eq!(got[1], gather(1, 2, &[1], 9));
    assert!(matches!(got[2], WorkerInstruction::SetTimer(_)));
    assert_eq!(got.len(), 3);
    bench.check(broken(1), &[]).is(1, Fetch);
    bench.check(refresh(1, &[3, 1]), &[gather(2, 3, &[1], 9)]);
    bench.check(gathered(2, &[1], &[]), &[store(1), add_keys(&[1])]);
    bench.is(2, Fetch);
}

/// A peer that breaks off at any moment gives one end; a second end of the same transfer, or one of
/// a transfer that never was, changes nothing. What breaks off at connect, at send, mid-payload and
/// after the payload is told by tests of the same number in `transport/tests/objects.rs`.
#[test]
fn bug_8006_5951_each_transfer_ends_exactly_once() {
    for end in [broken(0), busy(0), unstorable(0), gathered(0, &[1], &[]), damaged(0, &[1])] {
        let mut bench = in_state(Flight);
        bench.set_up(end);
        let (state, count) = (bench.worker.state(TaskId(1)), bench.worker.transfer_count());
        assert_eq!(count, 0, "no transfer is left dangling");
        for late in [broken(0), busy(0), unstorable(0), gathered(0, &[1], &[]), broken(99)] {
            bench.check(late, &[]);
        }
        assert_eq!(bench.worker.state(TaskId(1)), state);
    }
}

/// Refresh answers that name this worker itself.
#[test]
fn bug_6244_the_worker_is_no_holder_for_itself() {
    let mut bench = in_state(Missing);
    bench.check(refresh(1, &[SELF]), &[]).is(1, Missing);
    bench.check(refresh(1, &[SELF, 2]), &[gather(0, 2, &[1], 9)]).is(1, Flight);
}

/// A task that secedes gives its slot to the one it waits for.
#[test]
fn bug_7223_secede_frees_the_slot_at_once() {
    let mut bench = in_state(Executing);
    bench
        .check(compute(2, 2, &[]), &[])
        .check(secede(1, 1), &[long_running(1, 1, Some(33)), execute(2, 2, &[])]);
}

/// A stale free-keys of an earlier run does not touch the newer one.
#[test]
fn a_free_keys_of_an_older_run_is_ignored() {
    let mut bench = Bench::new(1);
    bench.set_up(compute(1, 5, &[])).check(free(&[(1, 4)]), &[]).is(1, Executing);
    bench.check(free(&[(1, 5)]), &[cancel(1, 5)]).is(1, Cancelled(E));
}

/// A free-keys that takes an input from a complete task: the task waits again and fetches it.
#[test]
fn an_input_freed_under_a_complete_task_is_fetched_again() {
    let mut bench = in_state(Flight);
    bench
        .set_up(WorkerEvent::Pause)
        .set_up(gathered(0, &[1], &[]))
        .is(9, Ready)
        .check(free(&[(1, 0)]), &[dropped(1), gave_up(1), missing_timer()])
        .is(9, Waiting)
        .is(1, Missing);
    // With its dependent freed in the same message, in either order, nothing is left.
    for both in [[(1, 0), (9, 9)], [(9, 9), (1, 0)]] {
        let mut bench = in_state(Flight);
        bench.set_up(WorkerEvent::Pause).set_up(gathered(0, &[1], &[])).set_up(free(&both));
        assert_eq!(bench.worker.task_count(), 0);
        bench.nothing_left();
    }
}

/// The same for a task that waits for another input too.
#[test]
fn an_input_freed_under_a_waiting_task_is_fetched_again() {
    let mut bench = Bench::new(1);
    bench
        .set_up(WorkerEvent::AddPeer { worker: WorkerId(1), same_machine: true })
        .set_up(compute(9, 9, &[(1, &[1]), (2, &[2])]))
        .check(gathered(0, &[1], &[]), &[store(1), add_keys(&[1])])
        .check(free(&[(1, 0)]), &[dropped(1), gave_up(1), missing_timer()])
        .is(1, Missing)
        .check(gathered(1, &[2], &[]), &[store(2), add_keys(&[2])])
        .is(9, Waiting)
        .check(refresh(1, &[3]), &[gather(2, 3, &[1], 9)])
        .check(gathered(2, &[1], &[]), &[store(1), add_keys(&[1]), execute(9, 9, &[1, 2])]);
}

/// A computation for which a transfer must end first is not lost with the one who wanted the copy.
#[test]
fn a_compute_task_survives_the_release_of_the_dependent_that_fetched_it() {
    let mut bench = in_state(Resumed(F));
    bench.check(free(&[(9, 9)]), &[]).is(1, Resumed(F)).is_gone(9);
    bench.check(broken(0), &[execute(1, 1, &[])]);
}

/// Another priority leaves no trace of the old place in the queues.
#[test]
fn a_compute_task_for_a_task_in_fetch_takes_the_new_priority() {
    let mut bench = in_state(Fetch);
    let better = ComputeTask { priority: priority(0), ..message(1, 2, &[(2, &[1])]) };
    bench.check(send(better), &[]).is(1, Waiting);
    let running = status(WorkerStatus::Running);
    bench.check(WorkerEvent::Unpause, &[running, gather(0, 1, &[2], 0)]);
}
