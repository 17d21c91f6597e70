//! A graph in few words, and a tiny cluster that carries instructions out without any delay.

use crate::config::Config;
use crate::graph::{Attributes, Csr, Graph, Keys, Outputs, RunSpec};
use crate::ids::{ClientId, RunId, SpecId, TaskId, WorkerId};
use crate::messages::{TaskError, TypeCode, WorkerRegistration};
use crate::scheduler::{
    DependencyAt, GraphSubmission, SchedulerEvent, SchedulerInstruction, SchedulerOut,
    SchedulerState,
};
use crate::time::Time;
use std::collections::VecDeque;
use std::sync::Arc;

/// The client of the tests.
pub(super) const CLIENT: ClientId = ClientId(0);

/// A graph under construction.
#[derive(Default)]
pub(super) struct Draft {
    keys: Vec<String>,
    inputs: Vec<Vec<TaskId>>,
    attributes: Vec<(TaskId, Attributes)>,
}

impl Draft {
    /// Adds a task.
    pub(super) fn task(&mut self, key: &str, inputs: &[TaskId]) -> TaskId {
        self.keys.push(key.to_owned());
        self.inputs.push(inputs.to_vec());
        TaskId::from_index(self.keys.len() - 1)
    }

    /// Adds a task with attributes.
    pub(super) fn task_with(
        &mut self,
        key: &str,
        inputs: &[TaskId],
        attributes: Attributes,
    ) -> TaskId {
        let task = self.task(key, inputs);
        self.attributes.push((task, attributes));
        task
    }

    pub(super) fn graph(self) -> Arc<Graph> {
        let mut keys = Keys { offsets: vec![0], text: String::new() };
        for key in &self.keys {
            keys.text.push_str(key);
            keys.offsets.push(keys.text.len() as u64);
        }
        let mut inputs = Csr { offsets: vec![0], values: Vec::new() };
        for row in &self.inputs {
            inputs.values.extend(row);
            inputs.offsets.push(inputs.values.len() as u64);
        }
        Arc::new(Graph {
            spec_of: vec![SpecId(0); self.keys.len()],
            keys,
            specs: vec![RunSpec::Kernel { name: "identity".to_owned(), params: Vec::new() }],
            inputs,
            attributes: self.attributes,
            outputs: Outputs::Sinks,
            arrays: Vec::new(),
            order: None,
            meta: String::new(),
        })
    }
}

/// A submission in the order of the task numbers.
pub(super) fn submission(
    graph: &Arc<Graph>,
    wanted: &[TaskId],
    run_once: &[TaskId],
) -> GraphSubmission {
    GraphSubmission {
        client: CLIENT,
        graph: Arc::clone(graph),
        order: (0..graph.len() as u32).collect(),
        wanted: wanted.to_vec(),
        run_once: run_once.to_vec(),
        references: Vec::new(),
        fifo_timeout_ns: 0,
    }
}

/// A worker with its number as name, on host `node`.
pub(super) fn registration(worker: u32, nthreads: u32) -> WorkerRegistration {
    WorkerRegistration {
        server_id: 1000 + u128::from(worker),
        name: format!("{worker}"),
        rank: worker,
        host: "node".to_owned(),
        machine: "boot".to_owned(),
        pid: 1,
        nanny_pid: 1,
        nanny: 0,
        addresses: vec![format!("tcp://10.0.0.1:{worker}")],
        nthreads,
        cpus: String::new(),
        memory_limit_bytes: 0,
        resources: Vec::new(),
        cpu_features: String::new(),
    }
}

/// Numbers with checks after every event; nothing happens by the clock alone.
pub(super) fn checked() -> Config {
    Config { validate: true, amm_start: false, ..Config::default() }
}

/// A scheduler and what it said.
pub(super) struct Cluster {
    pub(super) state: SchedulerState,
    pub(super) now: Time,
    pub(super) out: SchedulerOut,
    /// Sent and not answered.
    pub(super) sent: VecDeque<(WorkerId, TaskId, RunId)>,
    /// Steal-requests that were not answered: victim, task, stimulus.
    pub(super) asked: VecDeque<(WorkerId, TaskId, u64)>,
}

impl Cluster {
    pub(super) fn new(config: Config) -> Self {
        let state = SchedulerState::new(config, 1);
        Self {
            state,
            now: Time(0),
            out: SchedulerOut::default(),
            sent: VecDeque::new(),
            asked: VecDeque::new(),
        }
    }

    /// A cluster with workers 0, 1, … of so many threads.
    pub(super) fn with(config: Config, threads: &[u32]) -> Self {
        let mut cluster = Self::new(config);
        for (worker, nthreads) in threads.iter().enumerate() {
            cluster.add_worker(registration(worker as u32, *nthreads));
        }
        cluster
    }

    /// Handles one event; its instructions are in `out`.
    pub(super) fn handle(&mut self, event: SchedulerEvent) {
        self.out.clear();
        self.state.handle(self.now, event, &mut self.out);
        for instruction in &self.out.instructions {
            if let SchedulerInstruction::ComputeTask { worker, task, run_id, .. } = instruction {
                self.sent.push_back((*worker, *task, *run_id));
            }
            if let SchedulerInstruction::StealRequest { worker, task, stimulus_id } = instruction {
                self.asked.push_back((*worker, *task, *stimulus_id));
            }
        }
    }

    pub(super) fn add_worker(&mut self, registration: WorkerRegistration) {
        let worker = WorkerId(registration.rank);
        let registration = Box::new(registration);
        self.handle(SchedulerEvent::AddWorker { worker, registration });
    }

    pub(super) fn submit(&mut self, graph: &Arc<Graph>, wanted: &[TaskId]) {
        self.handle(SchedulerEvent::UpdateGraph(Box::new(submission(graph, wanted, &[]))));
    }

    pub(super) fn run_once(&mut self, graph: &Arc<Graph>, run_once: &[TaskId]) {
        self.handle(SchedulerEvent::UpdateGraph(Box::new(submission(graph, &[], run_once))));
    }

    /// Asserts that the last event led to exactly these instructions.
    pub(super) fn expect(&self, expected: &[&str]) {
        assert_eq!(render(&self.out), expected);
    }

    /// The worker that a task is processing on, and the run.
    pub(super) fn on(&self, task: TaskId) -> (WorkerId, RunId) {
        let workers: Vec<WorkerId> = self.state.workers().collect();
        let mut found = workers.iter().flat_map(|worker| {
            let sent = self.state.processing(*worker);
            sent.filter(|(other, _)| *other == task).map(|(_, run)| (*worker, run))
        });
        found.next().unwrap_or_else(|| panic!("{}", self.state.story(task)))
    }

    /// A task-finished event of the current run.
    pub(super) fn finished(&self, task: TaskId, nbytes: u64) -> SchedulerEvent {
        let (worker, run_id) = self.on(task);
        finished(worker, task, run_id, nbytes)
    }

    /// A task-erred event of the current run.
    pub(super) fn erred(&self, task: TaskId) -> SchedulerEvent {
        let (worker, run_id) = self.on(task);
        SchedulerEvent::TaskErred { worker, task, run_id, error: Box::new(bang()) }
    }

    pub(super) fn finish(&mut self, task: TaskId, nbytes: u64) {
        let event = self.finished(task, nbytes);
        self.handle(event);
    }

    pub(super) fn lose(&mut self, worker: WorkerId) {
        let reason = "died".to_owned();
        let executing = None;
        self.handle(SchedulerEvent::RemoveWorker { worker, expected: false, executing, reason });
    }

    /// Every task that is sent finishes at once, until nothing is left; how many runs that took.
    pub(super) fn run_to_end(&mut self) -> usize {
        let mut runs = 0;
        while let Some((worker, task, run_id)) = self.sent.pop_front() {
            self.now = self.now.after_ns(1000);
            self.handle(finished(worker, task, run_id, 8));
            runs += 1;
        }
        runs
    }
}

pub(super) fn finished(
    worker: WorkerId,
    task: TaskId,
    run_id: RunId,
    nbytes: u64,
) -> SchedulerEvent {
    let (type_code, duration_ns) = (TypeCode(1), 1000);
    SchedulerEvent::TaskFinished { worker, task, run_id, nbytes, type_code, duration_ns }
}

pub(super) fn bang() -> TaskError {
    TaskError {
        kind: "ValueError".to_owned(),
        message: "bang".to_owned(),
        traceback: String::new(),
    }
}

/// Instructions in words: receiver, what, tasks with their runs.
pub(super) fn render(out: &SchedulerOut) -> Vec<String> {
    use SchedulerInstruction as I;
    let numbers = |tasks: &[TaskId]| tasks.iter().map(|t| t.0.to_string()).collect::<Vec<_>>();
    let inputs = |inputs: &[DependencyAt]| {
        let one = |input: &DependencyAt| {
            let holders = input.holders.of(&out.holders).iter().map(|w| w.0.to_string());
            format!(" {}@{}", input.task.0, holders.collect::<Vec<_>>().join(","))
        };
        inputs.iter().map(one).collect::<String>()
    };
    let words = |instruction: &I| match instruction {
        I::ComputeTask { worker, task, run_id, attempt, dependencies, .. } => {
            let inputs = inputs(dependencies.of(&out.dependencies));
            format!("w{} compute {}#{} attempt {attempt}{inputs}", worker.0, task.0, run_id.0)
        }
        I::FreeKeys { worker, tasks } => {
            let freed = tasks.of(&out.frees).iter();
            let freed: String = freed.map(|(task, run)| format!(" {}#{}", task.0, run.0)).collect();
            format!("w{} free{freed}", worker.0)
        }
        I::RemoveReplicas { worker, tasks } => {
            format!("w{} drop {}", worker.0, numbers(tasks.of(&out.tasks)).join(" "))
        }
        I::AcquireReplicas { worker, who_has } => {
            format!("w{} acquire{}", worker.0, inputs(who_has.of(&out.dependencies)))
        }
        I::WorkerStatusChange { worker, status } => format!("w{} status {status:?}", worker.0),
        I::WorkerRetired { worker, reason } => format!("w{} retired: {reason}", worker.0),
        I::WorkerNotRetired { worker, reason } => format!("w{} not retired: {reason}", worker.0),
        I::RefreshWhoHas { worker, who_has } => {
            format!("w{} refresh{}", worker.0, inputs(who_has.of(&out.dependencies)))
        }
        I::RemoveWorker { worker, gone } => format!("w{} gone w{}", worker.0, gone.0),
        I::BadKeyAck { worker, task, peer } => {
            format!("w{} struck {} off w{}", worker.0, task.0, peer.0)
        }
        I::StealRequest { worker, task, stimulus_id } => {
            format!("w{} steal {} s{stimulus_id}", worker.0, task.0)
        }
        I::Stolen { task, victim, thief } => {
            format!("stolen {} from w{} to w{}", task.0, victim.0, thief.0)
        }
        I::AcceptWorker { worker, .. } => format!("w{} accept", worker.0),
        I::RefuseWorker { worker, reason } => format!("w{} refuse: {reason}", worker.0),
        I::RestartWorker { worker, reason } => format!("w{} restart: {reason}", worker.0),
        I::CloseWorker { worker, reason } => format!("w{} close: {reason}", worker.0),
        I::KeyInMemory { client, task } => format!("c{} memory {}", client.0, task.0),
        I::TaskErred { client, task } => format!("c{} erred {}", client.0, task.0),
        I::LostData { client, task } => format!("c{} lost {}", client.0, task.0),
        I::TaskRetried { client, task } => format!("c{} retried {}", client.0, task.0),
        I::CancelledKeys { client, tasks, reason } => {
            let tasks = numbers(tasks.of(&out.tasks)).join(" ");
            format!("c{} cancelled {tasks}: {reason}", client.0)
        }
        I::GraphRefused { client, reason } => format!("c{} refused: {reason}", client.0),
        I::Idle => "idle".to_owned(),
        I::SetTimer(time) => format!("timer {}", time.0),
        I::Warn(text) => format!("warn {text}"),
    };
    out.instructions.iter().map(words).collect()
}
