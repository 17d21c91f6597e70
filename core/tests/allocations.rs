//! Memory that the scheduler core asks for, counted: hardly any once it is warm.
//!
//! A binary tree of a million tasks runs on workers that answer in order. A worker that is sent a
//! task reports the inputs that it had to fetch before it reports the end, so that copies come and
//! go. Counted are the calls of the allocator inside `handle`, over the second half of the tasks; what
//! a driver allocates for messages is not the core's.

use allocation_counter::measure;
use rdask_core::config::Config;
use rdask_core::graph::{Csr, Graph, Keys, Outputs, RunSpec, static_order};
use rdask_core::ids::{ClientId, RunId, SpecId, TaskId, WorkerId};
use rdask_core::messages::{TypeCode, WorkerRegistration};
use rdask_core::scheduler::{
    GraphSubmission, SchedulerEvent, SchedulerInstruction, SchedulerOut, SchedulerState,
};
use rdask_core::time::Time;
use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;

/// Leaves are half of the tasks.
const TASKS: usize = (1 << 20) - 1;

/// A task that was sent to a worker, and which of its inputs that has to fetch.
struct Sent {
    worker: WorkerId,
    task: TaskId,
    run_id: RunId,
    fetched: Vec<TaskId>,
}

/// Task `i` of the upper half reads two tasks of the level below.
fn tree() -> Graph {
    let mut keys = Keys { offsets: vec![0], text: String::new() };
    let mut inputs = Csr { offsets: vec![0], values: Vec::new() };
    let leaves = TASKS.div_ceil(2);
    for index in 0..TASKS {
        let prefix = if index < leaves { "leaf" } else { "add" };
        keys.text.push_str(&format!("{prefix}-{index}"));
        keys.offsets.push(keys.text.len() as u64);
        if let Some(place) = index.checked_sub(leaves) {
            inputs.values.extend([2 * place, 2 * place + 1].map(TaskId::from_index));
        }
        inputs.offsets.push(inputs.values.len() as u64);
    }
    Graph {
        keys,
        specs: vec![RunSpec::kernel::<&str>("identity", [])],
        spec_of: vec![SpecId(0); TASKS],
        inputs,
        attributes: Vec::new(),
        outputs: Outputs::Sinks,
        arrays: Vec::new(),
        order: None,
        meta: String::new(),
    }
}

fn registration(worker: u32) -> WorkerRegistration {
    WorkerRegistration {
        server_id: u128::from(worker) + 1,
        name: worker.to_string(),
        rank: worker,
        host: "node".to_owned(),
        machine: "boot".to_owned(),
        pid: 1,
        nanny_pid: 1,
        nanny: 0,
        addresses: vec![format!("tcp://10.0.0.1:{worker}")],
        nthreads: 1,
        cpus: String::new(),
        memory_limit_bytes: 0,
        resources: Vec::new(),
        cpu_features: String::new(),
    }
}

/// Plays the workers; counts what `handle` asks the allocator for once half of the tasks are done.
struct Play {
    state: SchedulerState,
    out: SchedulerOut,
    now: Time,
    sent: VecDeque<Sent>,
    finished: usize,
    allocations: u64,
}

impl Play {
    fn handle(&mut self, event: SchedulerEvent) {
        self.out.clear();
        let counted = measure(|| self.state.handle(self.now, event, &mut self.out));
        if self.finished > TASKS / 2 {
            self.allocations += counted.count_total;
        }
        for instruction in &self.out.instructions {
            let SchedulerInstruction::ComputeTask { worker, task, run_id, dependencies, .. } =
                instruction
            else {
                continue;
            };
            let inputs = dependencies.of(&self.out.dependencies).iter();
            let absent =
                inputs.filter(|input| !input.holders.of(&self.out.holders).contains(worker));
            let fetched = absent.map(|input| input.task).collect();
            self.sent.push_back(Sent { worker: *worker, task: *task, run_id: *run_id, fetched });
        }
    }

    fn answer(&mut self, Sent { worker, task, run_id, fetched }: Sent) {
        self.now = self.now.after_ns(1000);
        if !fetched.is_empty() {
            self.handle(SchedulerEvent::AddKeys { worker, tasks: fetched });
        }
        self.finished += 1;
        self.handle(SchedulerEvent::TaskFinished {
            worker,
            task,
            run_id,
            nbytes: 8,
            type_code: TypeCode(0),
            duration_ns: 100_000,
        });
    }
}

/// Allocations of the core over the second half of the tree.
fn count(graph: &Arc<Graph>, workers: u32) -> u64 {
    let mut play = Play {
        state: SchedulerState::new(Config::default(), 1),
        out: SchedulerOut::default(),
        now: Time(0),
        sent: VecDeque::new(),
        finished: 0,
        allocations: 0,
    };
    for worker in 0..workers {
        let registration = Box::new(registration(worker));
        play.handle(SchedulerEvent::AddWorker { worker: WorkerId(worker), registration });
    }
    let submission = GraphSubmission {
        client: ClientId(0),
        graph: Arc::clone(graph),
        order: static_order(graph),
        wanted: vec![TaskId::from_index(TASKS - 1)],
        run_once: Vec::new(),
        references: Vec::new(),
        fifo_timeout_ns: 0,
    };
    play.handle(SchedulerEvent::UpdateGraph(Box::new(submission)));
    while let Some(sent) = play.sent.pop_front() {
        play.answer(sent);
    }
    assert_eq!(play.finished, TASKS, "every task runs once");
    assert!(play.state.is_idle());
    play.allocations
}

#[test]
fn a_warm_scheduler_hardly_allocates() {
    // The counter counts.
    let two = measure(|| drop(black_box((Box::new(1_u8), vec![1_u64; 10]))));
    assert_eq!(two.count_total, 2);

    let graph = Arc::new(tree());
    for workers in [64, 10_000] {
        let allocations = count(&graph, workers);
        let tasks = (TASKS / 2) as u64;
        println!("{workers} workers: {allocations} allocations for {tasks} tasks");
        assert!(allocations * 100 < tasks, "{workers} workers: {allocations} for {tasks} tasks");
    }
}
