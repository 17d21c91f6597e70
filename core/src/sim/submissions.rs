//! Further graphs of the pretend clients: references to what the scheduler has, keys again with
//! other inputs, and new tasks that read all of these, whatever state they are in.

use super::Simulation;
use super::workload::Behaviour;
use crate::config::MILLISECOND_NS;
use crate::graph::{Attributes, Csr, Graph, Keys, Outputs, RunSpec, static_order};
use crate::ids::{ClientId, SpecId, TaskId};
use crate::rng::Rng;
use crate::scheduler::{
    GraphSubmission, SchedulerEvent, SchedulerInstruction, SchedulerOut, TaskState,
};
use std::sync::Arc;

/// A further graph, and how its tasks behave where they are new.
#[derive(Debug)]
pub(super) struct Further {
    submission: GraphSubmission,
    behaviours: Vec<Behaviour>,
}

/// A graph in the making.
struct Draft {
    graph: Graph,
    references: Vec<TaskId>,
    behaviours: Vec<Behaviour>,
}

impl Draft {
    fn new() -> Self {
        let spec = RunSpec::Kernel { name: "identity".to_owned(), params: Vec::new() };
        let other = RunSpec::Kernel { name: "sum".to_owned(), params: Vec::new() };
        let graph = Graph {
            spec_of: Vec::new(),
            keys: Keys { offsets: vec![0], text: String::new() },
            specs: vec![spec, other],
            inputs: Csr { offsets: vec![0], values: Vec::new() },
            attributes: Vec::new(),
            outputs: Outputs::Sinks,
            arrays: Vec::new(),
            order: None,
            meta: String::new(),
        };
        Self { graph, references: Vec::new(), behaviours: Vec::new() }
    }

    /// Adds a task with some inputs of those before it.
    fn add(&mut self, key: &str, inputs: u64, rng: &mut Rng) {
        let index = self.graph.len();
        for _ in 0..if index == 0 { 0 } else { inputs } {
            let input = TaskId::from_index(rng.below(index as u64) as usize);
            self.graph.inputs.values.push(input);
        }
        self.graph.inputs.offsets.push(self.graph.inputs.values.len() as u64);
        self.graph.keys.text.push_str(key);
        self.graph.keys.offsets.push(self.graph.keys.text.len() as u64);
        self.graph.spec_of.push(SpecId(rng.below(2) as u32));
        if rng.below(6) == 0 {
            let (priority, retries) = (Some(rng.below(3) as i32 - 1), Some(rng.below(3) as u32));
            let attributes = Attributes { priority, retries, ..Attributes::default() };
            self.graph.attributes.push((TaskId::from_index(index), attributes));
        }
        self.behaviours.push(Behaviour {
            duration_ns: 1 + rng.below(MILLISECOND_NS),
            nbytes: rng.below(1 << 16),
            errs: if rng.below(16) == 0 { 1 } else { 0 },
            ..Behaviour::default()
        });
    }
}

impl Simulation {
    /// A client submits a graph that reaches into what is there.
    pub(super) fn submit_further(&mut self, client: ClientId, seed: u64) {
        if self.scheduler.graph().is_none() {
            // The job's own comes first.
            return;
        }
        let mut rng = Rng::new(seed);
        let mut draft = Draft::new();
        let known = Arc::clone(&self.workload.graph);
        let picked = if known.is_empty() { 0 } else { 8 };
        let mut old: Vec<usize> =
            (0..picked).map(|_| rng.below(known.len() as u64) as usize).collect();
        old.sort_unstable();
        let mut keys: Vec<&str> = Vec::new();
        for task in old.into_iter().map(TaskId::from_index) {
            // A key that was forgotten and came again stands twice in the graph of all.
            if keys.contains(&known.key(task)) {
                continue;
            }
            keys.push(known.key(task));
            let is_known = self.scheduler.task_named(known.key(task)).is_some();
            if rng.below(2) == 0 && (is_known || rng.below(16) == 0) {
                draft.references.push(TaskId::from_index(draft.graph.len()));
                draft.add(known.key(task), 0, &mut rng);
            } else {
                let inputs = rng.below(3);
                draft.add(known.key(task), inputs, &mut rng);
            }
        }
        let count = self.workload.graph.len();
        for index in 0..1 + rng.below(24) as usize {
            let group = ["load", "map", "more"][rng.below(3) as usize];
            let inputs = rng.below(4);
            let key = format!("{group}-{}", count + index);
            // An earlier submission may have had it, where not all of that was taken.
            if !keys.contains(&&*key) {
                draft.add(&key, inputs, &mut rng);
            }
        }
        self.submit_draft((client, draft), &mut rng);
    }

    fn submit_draft(&mut self, (client, draft): (ClientId, Draft), rng: &mut Rng) {
        let Draft { graph, references, behaviours } = draft;
        let last = TaskId::from_index(graph.len() - 1);
        let tasks = (0..graph.len()).map(TaskId::from_index);
        let some: Vec<TaskId> = tasks.filter(|_| rng.below(4) == 0).chain([last]).collect();
        let once = rng.below(4) == 0;
        let (wanted, run_once) = if once { (Vec::new(), some) } else { (some, Vec::new()) };
        let fifo_timeout_ns = rng.below(2) * 60_000 * MILLISECOND_NS;
        let submission = GraphSubmission {
            client,
            order: static_order(&graph),
            graph: Arc::new(graph),
            wanted,
            run_once,
            references,
            fifo_timeout_ns,
        };
        self.further = Some(Further { submission: submission.clone(), behaviours });
        self.schedule(SchedulerEvent::UpdateGraph(Box::new(submission)));
    }

    /// The scheduler has taken a further graph, or not: the pretend world has the new tasks, too,
    /// before the first of them is sent.
    pub(super) fn adopt(&mut self, further: &Further, out: &SchedulerOut) {
        let refused =
            |one: &SchedulerInstruction| matches!(one, SchedulerInstruction::GraphRefused { .. });
        if out.instructions.iter().any(refused) {
            self.trace.refused_graphs += 1;
            return;
        }
        let Further { submission, behaviours } = further;
        let Some(all) = self.scheduler.graph().map(Arc::clone) else { return };
        let of_submission = |key: &str| {
            let tasks = (0..submission.graph.len()).map(TaskId::from_index);
            let mut same = tasks.filter(|task| submission.graph.key(*task) == key);
            same.next().expect("a new task came with the submission")
        };
        for index in self.workload.graph.len()..all.len() {
            let task = TaskId::from_index(index);
            let place = of_submission(all.key(task)).index();
            self.workload.behaviours.push(behaviours[place]);
            // What is new reads what is there, or what came before it.
            self.workload.order.push(task.0);
        }
        self.workload.graph = all;
        self.trace.further_graphs += 1;
        let count = self.workload.graph.len();
        for counts in [&mut self.executions, &mut self.sent, &mut self.rescheduled] {
            counts.resize(count, 0);
        }
        self.expected = self.workload.serial();
        for task in &submission.wanted {
            let number = self.scheduler.task_named(submission.graph.key(*task));
            if let Some(number) = number {
                self.clients.desires(submission.client, number);
            }
        }
        for task in &submission.run_once {
            let number = self.scheduler.task_named(submission.graph.key(*task));
            let unknown = |number: &TaskId| self.scheduler.state_of(*number) != TaskState::Memory;
            self.workload.run_once.extend(number.filter(unknown));
        }
    }
}
