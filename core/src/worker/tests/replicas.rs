//! Copies on purpose: acquire-replicas in every state, remove-replicas and its refusal, bad copies.

use super::*;
use Live::{Executing as E, Flight as F, LongRunning as L};
use State::*;

fn remove(task: u32) -> WorkerEvent {
    WorkerEvent::RemoveReplicas { tasks: tasks(&[task]) }
}

fn fetch(transfer: u64, from: u32, wanted: &[u32]) -> WorkerInstruction {
    WorkerInstruction::GatherDep {
        transfer: TransferId(transfer),
        peer: WorkerId(from),
        tasks: wanted.iter().map(|&task| (TaskId(task), INPUT)).collect(),
        priority: Priority { user: 1, generation: 0, order: 0 },
    }
}

#[test]
fn a_copy_is_fetched_kept_and_announced() {
    let mut bench = Bench::new(1);
    bench
        .check(acquire(1, &[3]), &[fetch(0, 3, &[1])])
        .is(1, Flight)
        .check(gathered(0, &[1], &[]), &[store(1), add_keys(&[1])])
        .is(1, Memory)
        .check(acquire(1, &[3]), &[])
        .check(remove(1), &[dropped(1), gave_up(1)])
        .is_gone(1);
    bench.nothing_left();
}

/// What is to be computed here stays what it is; what is cancelled is wanted again.
#[test]
fn acquire_replicas_in_every_state() {
    for (state, after) in [
        (Waiting, Waiting),
        (Ready, Ready),
        (Constrained, Constrained),
        (Executing, Executing),
        (LongRunning, LongRunning),
        (Resumed(F), Resumed(F)),
        (Memory, Memory),
        (Released, Flight),
        (Fetch, Fetch),
        (Flight, Flight),
        (Missing, Flight),
        (Erred, Flight),
        (Cancelled(E), Resumed(E)),
        (Cancelled(L), Resumed(L)),
        (Cancelled(F), Flight),
        (Resumed(E), Resumed(E)),
        (Resumed(L), Resumed(L)),
    ] {
        let mut bench = in_state(state);
        bench.set_up(acquire(1, &[1, 2])).is(1, after);
    }
}

/// A run that was given up while its copy was ordered: its own result is as good.
#[test]
fn a_run_that_ends_well_saves_the_transfer() {
    let mut bench = in_state(Cancelled(E));
    bench
        .check(acquire(1, &[2]), &[])
        .check(success(1, 1), &[store(1), add_keys(&[1])])
        .is(1, Memory);
}

/// Copies come after inputs, unless a task needs them meanwhile.
#[test]
fn a_copy_that_a_task_needs_is_no_longer_last() {
    let mut bench = Bench::new(1);
    bench.set_up(WorkerEvent::Pause);
    bench.set_up(acquire(1, &[3])).set_up(acquire(2, &[3])).set_up(compute(9, 9, &[(4, &[3])]));
    bench.set_up(compute(8, 8, &[(2, &[3])]));
    let got = bench.give(vec![WorkerEvent::Unpause]);
    assert_eq!(got[1], gather(0, 3, &[2, 4, 1], 8));
}

/// Refused while somebody here reads it, in each state of the reader.
#[test]
fn a_copy_that_is_read_here_is_not_given_up() {
    let mut bench = Bench::new(1);
    bench.set_up(acquire(1, &[3])).set_up(gathered(0, &[1], &[]));
    bench.set_up(WorkerEvent::Pause).set_up(compute(9, 9, &[(1, &[3]), (2, &[3])]));
    bench.is(9, Waiting).check(remove(1), &[add_keys(&[1])]);
    bench.set_up(WorkerEvent::Unpause).set_up(WorkerEvent::Pause).set_up(gathered(1, &[2], &[]));
    bench.is(9, Ready).check(remove(1), &[add_keys(&[1])]);
    bench.set_up(WorkerEvent::Unpause).is(9, Executing).check(remove(1), &[add_keys(&[1])]);
    bench.set_up(secede(9, 9)).is(9, LongRunning).check(remove(1), &[add_keys(&[1])]);
    bench.set_up(success(9, 9)).check(remove(1), &[dropped(1), gave_up(1)]);
    bench.check(remove(77), &[]);
}

/// The last holder is gone: the scheduler is asked, and says that it will never come.
#[test]
fn a_copy_without_holders_is_given_up_when_the_scheduler_says_so() {
    let mut bench = Bench::new(1);
    bench.set_up(acquire(1, &[3])).set_up(lost(3));
    bench.check(broken(0), &[missing_timer()]).is(1, Missing);
    bench.check(free(&[(1, 0)]), &[]).is_gone(1);
    bench.check(acquire(2, &[]), &[]).is(2, Missing);
    bench.check(refresh(2, &[4]), &[fetch(1, 4, &[2])]);
}

/// Three failures with a peer that the scheduler goes on naming: it hears of it, and its answer ends
/// the matter.
#[test]
fn bug_6223_6110_a_holder_that_never_answers_is_reported() {
    let mut bench = Bench::new(1);
    bench.set_up(acquire(1, &[3]));
    for transfer in 0..3 {
        let got = bench.give(vec![broken(transfer)]);
        let bad = WorkerInstruction::BadReplica {
            task: TaskId(1),
            peer: WorkerId(3),
            why: "unreachable".into(),
        };
        assert_eq!(got.contains(&bad), transfer == 2, "{got:?}");
        bench.is(1, Missing);
        bench.set_up(refresh(1, &[3])).is(1, Flight);
    }
    // Struck off: the transfer under way is not waited for by anybody else.
    bench.set_up(WorkerEvent::BadKeyAck { task: TaskId(1), peer: WorkerId(3) }).is(1, Flight);
    bench.set_up(broken(3)).is(1, Missing);
    bench.check(refresh(1, &[4]), &[fetch(4, 4, &[1])]);
    bench.check(gathered(4, &[1], &[]), &[store(1), add_keys(&[1])]);
}

/// A fetch from one that retires, answers that contain the asker, and the end of the holder.
#[test]
fn bug_6244_a_fetch_from_a_worker_that_leaves_finds_the_other_copy() {
    let mut bench = Bench::new(1);
    bench
        .check(compute(9, 9, &[(1, &[3])]), &[gather(0, 3, &[1], 9)])
        .check(lost(3), &[])
        .check(broken(0), &[missing_timer()])
        .is(1, Missing)
        .check(refresh(1, &[SELF, 3]), &[])
        .is(1, Missing)
        .check(refresh(1, &[SELF, 4]), &[gather(1, 4, &[1], 9)])
        .check(gathered(1, &[1], &[]), &[store(1), add_keys(&[1]), execute(9, 9, &[1])]);
}
