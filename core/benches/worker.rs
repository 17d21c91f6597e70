//! Cost of the worker core per task and per dependency: compute, gather, execute, report, free.
//!
//! Prints nanoseconds for a task without inputs, for each of ten inputs that a frame of tasks shares,
//! and for each of ten inputs that a task has alone: announced, fetched, kept, freed. The best of
//! several rounds counts, since other work on the machine only ever adds.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]

use rdask_core::config::Config;
use rdask_core::ids::{RunId, SpecId, TaskId, TransferId, WorkerId};
use rdask_core::messages::{ComputeTask, Dependency, Priority, TypeCode};
use rdask_core::time::Time;
use rdask_core::worker::{WorkerEvent, WorkerInstruction, WorkerOptions, WorkerOut, WorkerState};
use std::time::{Duration, Instant};

const TASKS: u32 = 20_000;
const ROUNDS: u32 = 9;
/// Messages in one frame.
const BATCH: usize = 64;

fn main() {
    println!("worker core, best of {ROUNDS} rounds of {TASKS} tasks (goal: 1,000 ns and 300 ns)");
    let none = best(|task| inputs_of(task, 0, false));
    let shared = best(|task| inputs_of(task, 10, true));
    let own = best(|task| inputs_of(task, 10, false));
    println!("  a task without inputs                    {none:>6.0} ns");
    println!("  a dependency on an input that is here    {:>6.0} ns", (shared - none) / 10.0);
    println!("  an input of its own, fetched and freed   {:>6.0} ns", (own - none) / 10.0);
}

fn inputs_of(task: u32, count: u32, shared: bool) -> Vec<Dependency> {
    let first = if shared { 0 } else { (task + 1) * 16 + 1 };
    (0..count)
        .map(|at| Dependency {
            task: TaskId(first + at),
            nbytes: 8,
            who_has: vec![WorkerId(1 + at % 3)],
        })
        .collect()
}

/// Nanoseconds per task in the best round; the worker stays warm between rounds.
fn best(inputs: impl Fn(u32) -> Vec<Dependency>) -> f64 {
    let options = WorkerOptions {
        nthreads: 8,
        memory_limit_bytes: 0,
        resources: Vec::new(),
        worker: WorkerId(0),
    };
    let mut worker = WorkerState::new(Config::default(), options, 1);
    let mut least = Duration::MAX;
    for round in 0..ROUNDS {
        let messages = messages(round, &inputs);
        least = least.min(run(&mut worker, messages));
        assert_eq!(worker.task_count(), 0, "a round leaves nothing behind");
    }
    least.as_secs_f64() * 1e9 / f64::from(TASKS)
}

/// Frames of compute-task messages, each followed by the free-keys of what the frame brought.
fn messages(round: u32, inputs: &impl Fn(u32) -> Vec<Dependency>) -> Vec<Frame> {
    let compute = |at: u32| {
        let run_id = RunId(u64::from(round * TASKS + at) + 1);
        ComputeTask {
            task: TaskId((at + 1) * 16),
            key: format!("task-{at}"),
            run_id,
            attempt: 0,
            priority: Priority { user: 0, generation: 0, order: at },
            spec: SpecId(0),
            dependencies: inputs(at),
            arguments: Vec::new(),
            needs: None,
        }
    };
    let tasks: Vec<u32> = (0..TASKS).collect();
    tasks
        .chunks(BATCH)
        .map(|chunk| {
            let tasks: Vec<ComputeTask> = chunk.iter().map(|&at| compute(at)).collect();
            let mut freed: Vec<(TaskId, RunId)> = Vec::new();
            for task in &tasks {
                freed.push((task.task, task.run_id));
                freed.extend(task.dependencies.iter().map(|input| (input.task, RunId::NONE)));
            }
            freed.sort_unstable();
            freed.dedup();
            let compute = |task| WorkerEvent::ComputeTask(Box::new(task));
            let events = tasks.into_iter().map(compute).collect();
            Frame { events, free: WorkerEvent::FreeKeys { tasks: freed } }
        })
        .collect()
}

struct Frame {
    events: Vec<WorkerEvent>,
    free: WorkerEvent,
}

/// Plays the driver: every request is served and every run ends at once.
fn run(worker: &mut WorkerState, frames: Vec<Frame>) -> Duration {
    let mut out = WorkerOut::default();
    let mut answers: Vec<WorkerEvent> = Vec::new();
    let mut now = 0;
    let begin = Instant::now();
    for frame in frames {
        let mut events = frame.events;
        while !events.is_empty() {
            now += 1;
            worker.handle_batch(Time(now), events.drain(..), &mut out);
            answers.extend(out.instructions.drain(..).filter_map(answer));
            std::mem::swap(&mut events, &mut answers);
        }
        worker.handle(Time(now), frame.free, &mut out);
        out.clear();
    }
    begin.elapsed()
}

fn answer(instruction: WorkerInstruction) -> Option<WorkerEvent> {
    match instruction {
        WorkerInstruction::Execute { task, run_id, .. } => Some(WorkerEvent::ExecuteSuccess {
            task,
            run_id,
            nbytes: 8,
            type_code: TypeCode(17),
            thread: 0,
            start_ns: 1,
            stop_ns: 2,
        }),
        WorkerInstruction::GatherDep { transfer, tasks, .. } => Some(arrived(transfer, tasks)),
        _ => None,
    }
}

fn arrived(transfer: TransferId, received: Vec<(TaskId, u64)>) -> WorkerEvent {
    WorkerEvent::GatherDepSuccess { transfer, received, absent: Vec::new(), bad: Vec::new() }
}
