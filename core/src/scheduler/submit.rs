//! The first graph arrives: what nobody wants is left out, the rest becomes tasks.
//!
//! Its task numbers are the scheduler's, so that tables are made once, at the size that they have
//! to the end of a job with one graph. `update_graph.rs` takes the later ones.

use super::instruction::{SchedulerInstruction, SchedulerOut, position};
use super::places::MOST_TASKS;
use super::queue::RankSet;
use super::task::{Edges, Flags, NONE, Task};
use super::{GraphSubmission, SchedulerState, TaskState, client};
use crate::graph::Graph;
use crate::ids::TaskId;

impl SchedulerState {
    /// update-graph
    pub(super) fn on_update_graph(&mut self, submission: GraphSubmission, out: &mut SchedulerOut) {
        self.idle_said = false;
        let Some(bit) = self.clients.add(submission.client) else {
            refuse(&submission, "there are too many clients", out);
            return;
        };
        if let Err(reason) = check_submission(&submission) {
            refuse(&submission, &reason, out);
            return;
        }
        if let Some(known) = self.graph.clone() {
            self.on_further_graph(known, &submission, bit, out);
            return;
        }
        if let [first, ..] = submission.references[..] {
            let reason = format!("it needs '{}', which is not known", submission.graph.key(first));
            refuse(&submission, &reason, out);
            return;
        }
        let came = (submission.client, self.now, submission.fifo_timeout_ns);
        self.submissions.note(TaskId(0), came);
        let GraphSubmission { graph, order, wanted, run_once, .. } = submission;
        self.tasks = needed_tasks(&graph, wanted.iter().chain(&run_once));
        for task in &wanted {
            self.tasks[task.index()].who_wants |= bit;
        }
        for task in &run_once {
            let record = &mut self.tasks[task.index()];
            record.who_wants |= client::FIRE_AND_FORGET;
            record.flags.set(Flags::RUN_ONCE);
        }
        self.link(&graph, 0);
        self.attribute(&graph, 0);
        self.rank(&graph, &order);
        let known = &self.config.default_task_durations_ns;
        self.families.extend(&graph, &mut self.tasks, 0, known);
        let few = (self.config.rootish_groups, self.config.rootish_group_tasks);
        self.families.link(&self.tasks, &self.dependencies, few);
        self.queued = RankSet::new(self.tasks.len());
        self.graph = Some(graph);
        self.counts = [0; 8];
        for task in &self.tasks {
            self.counts[task.state as usize] += 1;
        }
        // All of them are needed; the best comes first because it is recommended last.
        self.recommended.reserve(self.counts[TaskState::Released as usize] as usize);
        for rank in (0..self.ranked.len()).rev() {
            let task = self.ranked[rank];
            if self.tasks[task.index()].state == TaskState::Released {
                self.recommend(task, TaskState::Waiting);
            }
        }
    }

    /// Rows of distinct inputs, and of dependents, of the needed tasks from number `first` on.
    pub(super) fn link(&mut self, graph: &Graph, first: usize) {
        let count = graph.len();
        let mut inputs = std::mem::take(&mut self.dependencies);
        let before = graph.inputs.offsets.get(first).map_or(0, |before| *before as usize);
        inputs.values.reserve_exact(graph.inputs.values.len() - before);
        inputs.offsets.reserve_exact(count + 1 - inputs.offsets.len());
        if inputs.offsets.is_empty() {
            inputs.offsets.push(0);
        }
        let mut seen_by = vec![NONE; count];
        for index in first..count {
            let task = TaskId::from_index(index);
            if self.tasks[index].state != TaskState::Forgotten {
                for input in graph.inputs.row(task) {
                    if seen_by[input.index()] != task.0 {
                        seen_by[input.index()] = task.0;
                        inputs.values.push(*input);
                        self.tasks[input.index()].live_dependents += 1;
                    }
                }
            }
            inputs.offsets.push(position(inputs.values.len()));
        }
        inputs.values.shrink_to_fit();
        self.dependents = transpose(&inputs, count);
        self.dependencies = inputs;
    }

    /// What users attached to tasks from number `first` on.
    pub(super) fn attribute(&mut self, graph: &Graph, first: usize) {
        let from = graph.attributes.partition_point(|(task, _)| task.index() < first);
        let new = &graph.attributes[from..];
        let asks = self.asks.intern(new.iter().map(|(_, attributes)| attributes));
        for ((task, _), ask) in new.iter().zip(asks) {
            self.tasks[task.index()].ask = ask;
        }
    }

    /// Ranks all tasks: the user's priority first, then the static order.
    fn rank(&mut self, graph: &Graph, order: &[u32]) {
        self.ranked = vec![TaskId(0); order.len()];
        for (index, place) in order.iter().enumerate() {
            self.ranked[*place as usize] = TaskId::from_index(index);
        }
        let attributes = graph.attributes.iter();
        if attributes.clone().any(|(_, attributes)| user(attributes.priority) != 0) {
            self.priorities = order.iter().map(|place| (0, *place)).collect();
            for (task, attributes) in attributes {
                self.priorities[task.index()].0 = user(attributes.priority);
            }
            let priorities = &self.priorities;
            self.ranked.sort_by_key(|task| priorities[task.index()].0);
        }
        for (rank, task) in self.ranked.iter().enumerate() {
            self.tasks[task.index()].rank = position(rank);
        }
    }
}

/// The user's priority as it is compared: smaller runs earlier.
pub(super) fn user(priority: Option<i32>) -> i32 {
    priority.unwrap_or(0).saturating_neg()
}

/// What must hold of a submission whatever the scheduler knows.
fn check_submission(submission: &GraphSubmission) -> Result<(), String> {
    let graph = &submission.graph;
    let edges = u32::try_from(graph.inputs.values.len());
    if edges.is_err() || graph.len() > MOST_TASKS {
        return Err("the graph has more than 2^31 tasks or 2^32 - 1 edges".to_owned());
    }
    let GraphSubmission { wanted, run_once, references, .. } = submission;
    let mut named = wanted.iter().chain(run_once).chain(references);
    if let Some(task) = named.find(|task| task.index() >= graph.len()) {
        return Err(format!("task {} is not in the graph", task.0));
    }
    let mut seen = vec![false; graph.len()];
    let in_order = |place: &u32| {
        let slot = seen.get_mut(*place as usize);
        slot.is_some_and(|seen| !std::mem::replace(seen, true))
    };
    if submission.order.len() != graph.len() || !submission.order.iter().all(in_order) {
        return Err("the static order is not a permutation of the tasks".to_owned());
    }
    Ok(())
}

/// A record for each task of the graph: released when a wanted task needs it, else forgotten.
fn needed_tasks<'a>(graph: &Graph, wanted: impl Iterator<Item = &'a TaskId>) -> Vec<Task> {
    let mut tasks = vec![Task::UNKNOWN; graph.len()];
    let mut open = Vec::new();
    for task in wanted {
        need(*task, &mut tasks, &mut open);
        while let Some(task) = open.pop() {
            for input in graph.inputs.row(task) {
                need(*input, &mut tasks, &mut open);
            }
        }
    }
    tasks
}

fn need(task: TaskId, tasks: &mut [Task], open: &mut Vec<TaskId>) {
    let state = &mut tasks[task.index()].state;
    if *state == TaskState::Forgotten {
        *state = TaskState::Released;
        open.push(task);
    }
}

/// Tasks that a set of wanted tasks needs, themselves included: true for each of them.
pub(super) fn needed(graph: &Graph, submission: &GraphSubmission) -> Vec<bool> {
    let inside = |task: &&TaskId| task.index() < graph.len();
    let wanted = submission.wanted.iter().chain(&submission.run_once).filter(inside);
    let tasks = needed_tasks(graph, wanted);
    tasks.iter().map(|task| task.state == TaskState::Released).collect()
}

/// The rows of the opposite direction.
fn transpose(edges: &Edges, count: usize) -> Edges {
    let mut offsets = vec![0_u32; count + 1];
    for target in &edges.values {
        offsets[target.index() + 1] += 1;
    }
    for index in 0..count {
        offsets[index + 1] += offsets[index];
    }
    let mut next = offsets.clone();
    let mut values = vec![TaskId(0); edges.values.len()];
    for index in 0..count {
        let task = TaskId::from_index(index);
        for target in edges.row(task) {
            let place = &mut next[target.index()];
            values[*place as usize] = task;
            *place += 1;
        }
    }
    Edges { offsets, values }
}

/// Nothing of the graph is taken.
pub(super) fn refuse(submission: &GraphSubmission, reason: &str, out: &mut SchedulerOut) {
    let (client, reason) = (submission.client, reason.to_owned());
    out.instructions.push(SchedulerInstruction::GraphRefused { client, reason });
}
