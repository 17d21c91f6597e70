//! From a compute-task to its report: order, slots, memory, resources, arguments.
//!
//! Which task starts when, what it takes and gives back, and what messages that cannot be meant do.

use super::*;
use State::*;

fn with_needs(task: u32, run: u64, needs: Needs) -> WorkerEvent {
    send(ComputeTask { needs: Some(Box::new(needs)), ..message(task, run, &[]) })
}

fn threads(threads: u32) -> Needs {
    Needs { threads, memory_bytes: 0, resources: Vec::new(), timeout_ns: 0 }
}

fn memory(memory_bytes: u64) -> Needs {
    Needs { memory_bytes, ..threads(1) }
}

fn resource(name: &str, amount: u64) -> Needs {
    Needs { resources: vec![(name.into(), amount)], ..threads(1) }
}

/// Tasks of each Execute, in order.
fn started(instructions: &[WorkerInstruction]) -> Vec<u32> {
    let task = |instruction: &WorkerInstruction| match instruction {
        WorkerInstruction::Execute { task, .. } => Some(task.0),
        _ => None,
    };
    instructions.iter().filter_map(task).collect()
}

#[test]
fn a_task_from_compute_to_free() {
    let mut bench = Bench::new(1);
    bench
        .check(compute(1, 1, &[(2, &[1])]), &[gather(0, 1, &[2], 1)])
        .check(gathered(0, &[2], &[]), &[store(2), add_keys(&[2]), execute(1, 1, &[2])])
        .check(success(1, 1), &[store(1), finished(1, 1)]);
    assert!(bench.worker.holds(TaskId(1)) && bench.worker.holds(TaskId(2)));
    assert_eq!(bench.worker.nbytes(), INPUT + RESULT);
    assert_eq!(bench.worker.nbytes_of(TaskId(1)), Some(RESULT));
    assert_eq!(bench.worker.key_of(TaskId(1)), Some("t1"));
    assert_eq!(bench.worker.key_of(TaskId(2)), None);
    bench.check(free(&[(2, 0)]), &[dropped(2), gave_up(2)]);
    bench.check(free(&[(1, 1)]), &[dropped(1), gave_up(1)]).is_gone(1).is_gone(2);
    bench.nothing_left();
}

#[test]
fn the_best_priority_of_a_batch_starts_first() {
    let mut bench = Bench::new(2);
    let batch = [5, 3, 9, 1].map(|task| compute(task, u64::from(task), &[]));
    assert_eq!(started(&bench.give(batch.into())), [1, 3]);
    assert_eq!(started(&bench.give(vec![success(3, 3)])), [5]);
    assert_eq!(started(&bench.give(vec![success(1, 1)])), [9]);
}

#[test]
fn among_equals_the_latest_starts_first() {
    let mut bench = Bench::new(1);
    bench.set_up(compute(50, 50, &[]));
    for task in [1, 2, 3] {
        bench.set_up(send(ComputeTask { priority: priority(7), ..message(task, 1, &[]) }));
    }
    assert_eq!(started(&bench.give(vec![success(50, 50)])), [3]);
    assert_eq!(started(&bench.give(vec![success(3, 1)])), [2]);
}

#[test]
fn arguments_name_inputs_by_position_and_may_repeat_them() {
    let mut bench = Bench::new(1);
    let twice = ComputeTask { arguments: vec![1, 0, 1], ..message(1, 1, &[(2, &[1]), (3, &[1])]) };
    bench.set_up(send(twice));
    let got = bench.give(vec![gathered(0, &[2, 3], &[])]);
    assert_eq!(got.last(), Some(&execute(1, 1, &[3, 2, 3])));
}

#[test]
fn attempt_timeout_and_spec_reach_the_executor() {
    let mut bench = Bench::new(1);
    let needs = Needs { timeout_ns: 77, ..threads(1) };
    let task = ComputeTask {
        attempt: 2,
        spec: SpecId(6),
        needs: Some(Box::new(needs)),
        ..message(1, 4, &[])
    };
    let expected = WorkerInstruction::Execute {
        task: TaskId(1),
        run_id: RunId(4),
        attempt: 2,
        spec: SpecId(6),
        inputs: Vec::new(),
        threads: 1,
        timeout_ns: 77,
        priority: priority(1),
    };
    bench.check(send(task), &[expected]);
}

#[test]
fn a_result_that_is_here_is_reported_under_the_new_run() {
    let mut bench = in_state(Memory);
    let got = bench.give(vec![compute(1, 8, &[])]);
    assert!(
        matches!(
            got[..],
            [WorkerInstruction::TaskFinished {
                run_id: RunId(8),
                nbytes: RESULT,
                type_code: TypeCode(17),
                ..
            }]
        ),
        "{got:?}"
    );
}

#[test]
fn a_compute_task_that_is_under_way_only_renews_the_run() {
    for state in [Waiting, Ready, Constrained, Executing, LongRunning] {
        let mut bench = in_state(state);
        let again = match state {
            Waiting => compute(1, 2, &[(2, &[1])]),
            Constrained => compute_on_gpu(1, 2),
            _ => compute(1, 2, &[]),
        };
        bench.check(again, &[]).is(1, state);
        bench.check(free(&[(1, 1)]), &[]).is(1, state);
    }
}

#[test]
fn an_erred_task_can_be_computed_again() {
    let mut bench = in_state(Erred);
    bench.check(compute(1, 2, &[]), &[execute(1, 2, &[])]).is(1, Executing);
}

#[test]
fn a_wide_task_takes_its_slots_and_gives_them_back() {
    let mut bench = Bench::new(3);
    let got =
        bench.give(vec![with_needs(1, 1, threads(2)), compute(2, 2, &[]), compute(3, 3, &[])]);
    assert_eq!(started(&got), [1, 2]);
    assert_eq!(started(&bench.give(vec![with_needs(4, 4, threads(2))])), []);
    assert_eq!(started(&bench.give(vec![success(1, 1)])), [3]);
    assert_eq!(started(&bench.give(vec![success(2, 2)])), [4]);
    bench.is(4, Executing);
}

#[test]
fn a_task_wider_than_the_worker_takes_all_of_it() {
    let mut bench = Bench::new(2);
    bench.set_up(compute(1, 1, &[]));
    assert_eq!(started(&bench.give(vec![with_needs(2, 2, threads(9))])), []);
    let got = bench.give(vec![success(1, 1)]);
    assert!(matches!(got.last(), Some(WorkerInstruction::Execute { threads: 2, .. })), "{got:?}");
}

/// Small tasks of worse priority fill the slots for a while; then the wide one gets its turn.
#[test]
fn a_wide_task_is_not_overtaken_for_ever() {
    let mut bench = Bench::new(2);
    bench.set_up(compute(100, 100, &[])).set_up(compute(101, 101, &[]));
    bench.set_up(with_needs(1, 1, threads(2)));
    let mut running = std::collections::VecDeque::from([100, 101]);
    for task in 102..200 {
        let batch = vec![compute(task, u64::from(task), &[])];
        assert_eq!(started(&bench.give(batch)), [], "both slots are taken");
        let ended = running.pop_front().expect("something runs");
        let now = started(&bench.give(vec![success(ended, u64::from(ended))]));
        running.extend(now);
        if running.contains(&1) {
            assert_eq!(running, [1]);
            assert!(task < 120, "the wide task waited for {task}");
            return;
        }
    }
    panic!("the wide task never ran");
}

#[test]
fn resources_are_taken_and_given_back_and_block_only_equals() {
    let mut bench = Bench::with(4, 0, &[("GPU", 1_000_000), ("DISK", 1_000_000)]);
    let got = bench.give(vec![
        with_needs(1, 1, resource("GPU", 1_000_000)),
        with_needs(2, 2, resource("GPU", 1_000_000)),
        with_needs(3, 3, resource("DISK", 400_000)),
        with_needs(4, 4, resource("DISK", 700_000)),
        compute(5, 5, &[]),
    ]);
    assert_eq!(started(&got), [1, 3, 5]);
    bench.is(2, Constrained).is(4, Constrained);
    assert_eq!(started(&bench.give(vec![success(3, 3)])), [4]);
    assert_eq!(started(&bench.give(vec![failure(1, 1)])), [2]);
}

/// The run keeps what it took until its end, although the task is wanted with other needs by then.
#[test]
fn a_cancelled_run_keeps_its_resources_until_its_end() {
    let mut bench = Bench::with(4, 0, &[("GPU", 1_000_000)]);
    bench.set_up(with_needs(1, 1, resource("GPU", 1_000_000)));
    bench.check(free(&[(1, 1)]), &[cancel(1, 1)]);
    bench.check(compute(1, 2, &[]), &[]);
    assert_eq!(started(&bench.give(vec![compute_on_gpu(2, 3)])), []);
    assert_eq!(started(&bench.give(vec![success(1, 1)])), [2]);
}

#[test]
fn a_resource_that_the_worker_lacks_is_an_error_of_the_task() {
    let mut bench = Bench::with(1, 0, &[("GPU", 1_500_000)]);
    for (needs, text) in [
        (resource("FPGA", 1), "the task needs 0.000001 of resource \"FPGA\", the worker has 0"),
        (resource("GPU", 2_000_000), "the task needs 2 of resource \"GPU\", the worker has 1.5"),
    ] {
        let got = bench.give(vec![with_needs(1, 7, needs)]);
        let [WorkerInstruction::TaskErred { run_id: RunId(7), error, .. }] = &got[..] else {
            panic!("{got:?}");
        };
        assert_eq!(error.message, text);
        assert_eq!(error.kind, "ResourceError");
        bench.is_gone(1);
    }
}

#[test]
fn declared_memory_is_promised_once() {
    let mut bench = Bench::with(4, 100, &[]);
    let batch = (1..=3).map(|task| with_needs(task, u64::from(task), memory(45))).collect();
    assert_eq!(started(&bench.give(batch)), [1, 2]);
    // Its result takes 16 bytes, so 45 + 16 + 45 do not fit.
    assert_eq!(started(&bench.give(vec![success(1, 1)])), []);
    bench.check(free(&[(1, 1)]), &[dropped(1), gave_up(1), execute(3, 3, &[])]);
}

/// Nothing runs and memory is taken by results: waiting could only be for ever.
#[test]
fn an_idle_worker_starts_a_task_whose_memory_is_not_free() {
    let mut bench = Bench::with(1, 100, &[]);
    bench.set_up(WorkerEvent::UpdateData { data: vec![(TaskId(9), 80)] });
    assert_eq!(started(&bench.give(vec![with_needs(1, 1, memory(60))])), [1]);
    assert_eq!(started(&bench.give(vec![with_needs(2, 2, memory(1_000))])), []);
    assert_eq!(started(&bench.give(vec![success(1, 1)])), [2]);
}

#[test]
fn a_paused_worker_starts_nothing_and_lets_runs_end() {
    let mut bench = in_state(Executing);
    bench
        .check(WorkerEvent::Pause, &[status(WorkerStatus::Paused)])
        .check(compute(2, 2, &[]), &[])
        .check(success(1, 1), &[store(1), finished(1, 1)])
        .check(WorkerEvent::Unpause, &[status(WorkerStatus::Running), execute(2, 2, &[])]);
}

#[test]
fn a_worker_with_too_much_to_write_starts_nothing_until_it_is_written() {
    let mut bench = in_state(Executing);
    let limit = Config::default().write_backlog_bytes;
    bench
        .check(WorkerEvent::Unwritten { nbytes: limit + 1 }, &[])
        .check(compute(2, 2, &[]), &[])
        .check(success(1, 1), &[store(1), finished(1, 1)])
        .check(WorkerEvent::Unwritten { nbytes: limit }, &[execute(2, 2, &[])]);
}

#[test]
fn a_message_that_cannot_be_meant_is_ignored() {
    let mut bench = Bench::new(1);
    let beyond = ComputeTask { arguments: vec![1], ..message(1, 1, &[(2, &[1])]) };
    bench.check(send(beyond), &[]);
    bench.check(compute(1, 1, &[(1, &[1])]), &[]);
    bench.check(free(&[(4, 0)]), &[]).check(refresh(4, &[1]), &[]);
    assert_eq!(bench.worker.ignored_count(), 4);
    assert_eq!(bench.worker.task_count(), 0);
    // Sizes that cannot be do not overflow the accounts.
    let mut forged = message(1, 1, &[(2, &[1]), (3, &[2])]);
    for input in &mut forged.dependencies {
        input.nbytes = u64::MAX;
    }
    bench.set_up(send(forged)).is(2, Flight);
}

#[test]
fn an_input_named_twice_is_fetched_once() {
    let mut bench = Bench::new(1);
    bench.check(compute(1, 1, &[(2, &[1]), (2, &[1])]), &[gather(0, 1, &[2], 1)]);
    bench.check(gathered(0, &[2], &[]), &[store(2), add_keys(&[2]), execute(1, 1, &[2, 2])]);
    bench.ends_empty_after(success(1, 1), &[1, 2]);
}

#[test]
fn replicas_in_use_are_kept() {
    let mut bench = in_state(Flight);
    let remove = || WorkerEvent::RemoveReplicas { tasks: tasks(&[1]) };
    bench.set_up(gathered(0, &[1], &[])).is(9, Executing);
    bench.check(remove(), &[add_keys(&[1])]).is(1, Memory);
    bench.set_up(success(9, 9)).check(remove(), &[dropped(1), gave_up(1)]).is(1, Released);
    bench.check(remove(), &[]);
}

#[test]
fn the_driver_sees_runs_and_queues() {
    let mut bench = in_state(LongRunning);
    bench.set_up(compute(2, 2, &[])).set_up(compute(3, 3, &[])).set_up(free(&[(2, 2)]));
    let started = Time(NOW);
    let runs: Vec<_> = bench.worker.executing().collect();
    assert_eq!(
        runs,
        [
            crate::worker::ExecutingTask { task: TaskId(2), run_id: RunId(2), started },
            crate::worker::ExecutingTask { task: TaskId(1), run_id: RunId(1), started },
        ]
    );
    assert_eq!(bench.worker.ready_count(), 1);
    assert!(bench.worker.is_running());
    let story: Vec<_> = bench.worker.story(TaskId(2)).map(|step| step.finish).collect();
    let expected = [Waiting, Ready, Executing, Cancelled(Live::Executing)];
    assert_eq!(story, expected);
}
