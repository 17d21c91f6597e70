//! Closing gracefully and long pauses: what goes on, and what is given back.

use super::*;
use Live::{Executing as E, Flight as F};
use State::*;

const CLOSING: WorkerStatus = WorkerStatus::ClosingGracefully;
const PATIENCE_NS: u64 = 30_000_000_000;

/// A task of one state is given back, goes on, or is left alone.
#[test]
fn closing_gives_back_what_was_not_begun() {
    for (state, given_back, after) in [
        (Ready, true, None),
        (Constrained, true, None),
        (Resumed(F), true, Some(Cancelled(F))),
        (Executing, false, Some(Executing)),
        (LongRunning, false, Some(LongRunning)),
        (Memory, false, Some(Memory)),
        (Cancelled(E), false, Some(Cancelled(E))),
    ] {
        let mut bench = in_state(state);
        let got = bench.give(vec![change(CLOSING)]);
        assert_eq!(got.contains(&gives_back(1, 1)), given_back, "{state:?}: {got:?}");
        assert_eq!(bench.worker.state(TaskId(1)), after, "{state:?}");
        assert!(!bench.worker.is_running());
    }
}

/// A task that waits goes, and with it the inputs that nobody else here needs.
#[test]
fn closing_lets_inputs_of_waiting_tasks_go() {
    let mut bench = Bench::new(1);
    bench.set_up(WorkerEvent::AddPeer { worker: WorkerId(3), same_machine: true });
    bench.set_up(compute(9, 9, &[(1, &[3]), (2, &[4])])).set_up(gathered(0, &[1], &[]));
    bench.check(change(CLOSING), &[gives_back(9, 9)]).is_gone(9).is(1, Memory);
    bench.is(2, Cancelled(F)).check(gathered(1, &[2], &[]), &[]).is_gone(2);
}

/// Running tasks finish and report; nothing starts; peers' orders to drop are obeyed.
#[test]
fn what_runs_finishes_while_the_worker_closes() {
    let mut bench = in_state(Executing);
    bench
        .check(change(CLOSING), &[])
        .check(change(CLOSING), &[])
        .check(acquire(5, &[3]), &[])
        .is(5, Fetch)
        .check(success(1, 1), &[store(1), finished(1, 1)]);
    let remove = WorkerEvent::RemoveReplicas { tasks: tasks(&[1]) };
    bench.check(remove, &[dropped(1), gave_up(1)]);
}

/// A run of an older spec ends: the task is not begun anew here.
#[test]
fn a_run_that_must_be_repeated_is_given_back_as_well() {
    let mut bench = in_state(Cancelled(E));
    bench.set_up(send(ComputeTask { spec: SpecId(3), ..message(1, 2, &[]) })).is(1, Executing);
    bench.check(change(CLOSING), &[]);
    bench.check(success(1, 1), &[gives_back(1, 2)]).is_gone(1);
}

/// Back from closing: what the worker is, paused or not, is its answer.
#[test]
fn a_worker_that_runs_again_says_what_it_is() {
    let mut bench = Bench::new(1);
    bench.set_up(change(CLOSING)).set_up(acquire(5, &[3]));
    bench.check(WorkerEvent::Pause, &[]);
    bench.check(change(WorkerStatus::Running), &[status(WorkerStatus::Paused)]);
    let got = bench.give(vec![WorkerEvent::Unpause]);
    assert_eq!(got[0], status(WorkerStatus::Running));
    assert!(matches!(got[1], WorkerInstruction::GatherDep { .. }), "{got:?}");
    bench.check(change(CLOSING), &[]).check(WorkerEvent::Pause, &[]);
    bench.check(WorkerEvent::Unpause, &[]);
    bench.check(change(WorkerStatus::Running), &[status(WorkerStatus::Running)]);
    bench.check(change(WorkerStatus::Paused), &[]);
    assert!(bench.worker.is_running());
}

fn patient() -> Bench {
    let pause_patience_ns = PATIENCE_NS;
    let config = Config { validate: true, pause_patience_ns, ..Config::default() };
    Bench::configured(config, 1, 0, &[])
}

impl Bench {
    fn wait(&mut self, ns: u64) -> Vec<WorkerInstruction> {
        self.now = self.now.after_ns(ns);
        self.give(vec![WorkerEvent::Timeout])
    }
}

/// Paused for good: after 30 s without progress nothing that could run elsewhere is kept.
#[test]
fn bug_3761_5235_5635_a_paused_worker_gives_back_what_it_does_not_start() {
    let mut bench = patient();
    bench.set_up(compute(1, 1, &[])).set_up(compute(2, 2, &[])).set_up(compute(3, 3, &[(4, &[1])]));
    bench.set_up(gathered(0, &[4], &[]));
    let got = bench.give(vec![WorkerEvent::Pause]);
    assert_eq!(got, [status(WorkerStatus::Paused), timer(PATIENCE_NS)]);
    assert_eq!(bench.wait(PATIENCE_NS / 2), [timer(PATIENCE_NS)]);
    // A run that ends is progress: the time begins anew.
    let got = bench.give(vec![success(1, 1)]);
    assert_eq!(got[..1], [store(1)]);
    assert_eq!(bench.wait(PATIENCE_NS / 2), [timer(PATIENCE_NS / 2 * 3)]);
    assert_eq!(bench.wait(PATIENCE_NS / 2), [gives_back(2, 2), gives_back(3, 3)]);
    bench.is_gone(2).is_gone(3).is(1, Memory).is(4, Memory);
    // One more comes, sent before the scheduler knew.
    let got = bench.give(vec![compute(5, 5, &[])]);
    assert_eq!(got, [timer(PATIENCE_NS / 2 * 5)]);
    assert_eq!(bench.wait(PATIENCE_NS), [gives_back(5, 5)]);
    // Nothing is given back by one that goes on in time.
    let mut bench = patient();
    bench.set_up(WorkerEvent::Pause).set_up(compute(1, 1, &[]));
    bench.check(WorkerEvent::Unpause, &[status(WorkerStatus::Running), execute(1, 1, &[])]);
    assert_eq!(bench.wait(PATIENCE_NS), []);
}
