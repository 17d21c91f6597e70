//! The worker's abstract resources change while it has tasks.

use super::*;

fn set(total: u64) -> WorkerEvent {
    WorkerEvent::SetResources { resources: vec![("GPU".to_owned(), total)] }
}

fn told(total: u64) -> WorkerInstruction {
    WorkerInstruction::SetResources { resources: vec![("GPU".to_owned(), total)] }
}

fn given_back(task: u32, run: u64) -> WorkerInstruction {
    WorkerInstruction::Reschedule { task: TaskId(task), run_id: RunId(run) }
}

#[test]
fn more_of_a_resource_starts_what_waits_for_it() {
    let mut bench = Bench::with(2, 0, &[("GPU", 1_000_000)]);
    bench.set_up(compute_on_gpu(1, 1)).set_up(compute_on_gpu(2, 2));
    bench.is(1, State::Executing).is(2, State::Constrained);
    bench.check(set(2_000_000), &[told(2_000_000), execute(2, 2, &[])]);
    bench.is(2, State::Executing);
}

#[test]
fn less_of_it_gives_back_what_can_never_begin_and_lets_the_rest_end() {
    let mut bench = Bench::with(2, 0, &[("GPU", 1_000_000)]);
    bench.set_up(compute_on_gpu(1, 1)).set_up(compute_on_gpu(2, 2)).set_up(compute(3, 3, &[]));
    bench.check(set(500_000), &[told(500_000), given_back(2, 2)]);
    bench.is(1, State::Executing).is(3, State::Executing);
    // What was sent before the scheduler knew.
    bench.check(compute_on_gpu(4, 4), &[given_back(4, 4)]);
    bench.check(success(1, 1), &[store(1), finished(1, 1)]);
    // There again, all of it is free.
    bench.check(set(1_000_000), &[told(1_000_000)]);
    bench.check(compute_on_gpu(5, 5), &[execute(5, 5, &[])]);
}

#[test]
fn a_resource_that_it_never_had_is_still_an_error() {
    let mut bench = Bench::new(1);
    let got = bench.give(vec![compute_on_gpu(1, 1)]);
    assert!(matches!(&got[..], [WorkerInstruction::TaskErred { .. }]), "{got:?}");
}
