//! A worker that is paused for long gives back what it has not begun.

use super::*;
use crate::config::SECOND_NS;

const PATIENCE: u64 = 30 * SECOND_NS;

fn paused_with(events: Vec<WorkerEvent>) -> Bench {
    let mut bench = Bench::with(1, 0, &[("GPU", 1_000_000)]);
    bench.set_up(WorkerEvent::Pause);
    for event in events {
        bench.set_up(event);
    }
    bench
}

fn after(bench: &mut Bench, ns: u64) -> Vec<WorkerInstruction> {
    bench.now = bench.now.after_ns(ns);
    bench.give(vec![WorkerEvent::Timeout])
}

fn gave_back(task: u32, run: u64) -> WorkerInstruction {
    WorkerInstruction::Reschedule { task: TaskId(task), run_id: RunId(run) }
}

fn is_timer(instruction: &WorkerInstruction) -> bool {
    matches!(instruction, WorkerInstruction::SetTimer(_))
}

/// Without the timers, which are checked apart.
fn said(bench: &mut Bench, ns: u64) -> Vec<WorkerInstruction> {
    let mut said = after(bench, ns);
    said.retain(|instruction| !is_timer(instruction));
    said
}

#[test]
fn the_pause_is_watched_as_soon_as_there_is_a_task() {
    let mut bench = Bench::new(1);
    bench.check(WorkerEvent::Pause, &[status(WorkerStatus::Paused)]);
    bench.check(compute(1, 1, &[]), &[timer(PATIENCE)]);
}

#[test]
fn bug_3761_what_has_not_begun_is_given_back_after_thirty_seconds() {
    let mut bench =
        paused_with(vec![compute(1, 1, &[]), compute_on_gpu(2, 2), compute(3, 3, &[(4, &[1])])]);
    assert!(said(&mut bench, PATIENCE - 1).is_empty());
    assert_eq!(said(&mut bench, 1), [gave_back(1, 1), gave_back(2, 2), gave_back(3, 3)]);
    bench.is_gone(1).is_gone(2).is_gone(3).is_gone(4);
    // What comes later has its own thirty seconds.
    bench.set_up(compute(5, 5, &[]));
    assert!(said(&mut bench, PATIENCE - 1).is_empty());
    assert_eq!(said(&mut bench, 1), [gave_back(5, 5)]);
}

#[test]
fn what_runs_goes_on_and_counts_as_progress() {
    let mut bench = Bench::new(1);
    bench.set_up(compute(1, 1, &[])).set_up(compute(2, 2, &[])).set_up(WorkerEvent::Pause);
    assert!(said(&mut bench, PATIENCE - 1).is_empty());
    bench.check(success(1, 1), &[store(1), finished(1, 1)]);
    assert!(said(&mut bench, PATIENCE - 1).is_empty(), "a task ended meanwhile");
    assert_eq!(said(&mut bench, 1), [gave_back(2, 2)]);
    bench.is(1, State::Memory);
}

#[test]
fn bug_5235_a_worker_that_runs_again_keeps_its_tasks() {
    let mut bench = paused_with(vec![compute(1, 1, &[])]);
    assert!(said(&mut bench, PATIENCE - 1).is_empty());
    bench.check(WorkerEvent::Unpause, &[status(WorkerStatus::Running), execute(1, 1, &[])]);
    assert!(said(&mut bench, PATIENCE).is_empty());
    bench.is(1, State::Executing);
    // A new pause begins anew.
    bench.set_up(compute(2, 2, &[])).set_up(WorkerEvent::Pause);
    assert!(said(&mut bench, PATIENCE - 1).is_empty());
    assert_eq!(said(&mut bench, 1), [gave_back(2, 2)]);
}

#[test]
fn zero_means_never() {
    let mut bench = paused_with(vec![]);
    bench.worker.config.pause_give_back_ns = 0;
    bench.check(compute(1, 1, &[]), &[]);
    assert!(after(&mut bench, 10 * PATIENCE).is_empty());
    bench.is(1, State::Ready);
}
