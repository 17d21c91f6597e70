//! Further graphs: what is new in them joins the tasks that are there.
//!
//! ```text
//!   graph ─▶ known keys ─▶ reached from what is wanted ─▶ new tasks behind the old ones ─▶ wishes
//!              keep their number, run spec and inputs       next numbers, own static order
//! ```
//!
//! A key is known while its task is not forgotten. Once forgotten it is unknown: submitted again it
//! becomes another task with a new number, so that nothing that is still under way for the old one
//! can be taken for it. Each further graph costs a walk over all tasks, and a copy of the graph so
//! far when somebody else holds it.

use super::instruction::{SchedulerInstruction, SchedulerOut};
use super::places::MOST_TASKS;
use super::queue::RankSet;
use super::submit::{refuse, user};
use super::task::{Flags, Task};
use super::{GraphSubmission, SchedulerState, TaskState, client};
use crate::graph::{Graph, KeyIndex};
use crate::ids::{ClientId, TaskId};
use crate::key;
use crate::time::Time;
use rustc_hash::FxHashSet;
use std::sync::Arc;

/// Missing keys that a refusal names.
const MISSING_NAMED: usize = 10;

/// A graph that was taken.
#[derive(Clone, Copy, Debug)]
struct Submission {
    /// Its tasks begin here.
    first: TaskId,
    generation: u32,
    client: ClientId,
}

/// Which tasks came with which graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Submissions {
    rows: Vec<Submission>,
    /// When the last generation began.
    since: Time,
}

impl Submissions {
    /// A graph whose tasks begin at `first`: from whom, when, and its fifo-timeout.
    pub(super) fn note(&mut self, first: TaskId, (client, now, fifo_ns): (ClientId, Time, u64)) {
        let generation = match self.rows.last() {
            Some(last) if now.since(self.since) <= fifo_ns => last.generation,
            last => {
                self.since = now;
                last.map_or(1, |last| last.generation.saturating_add(1))
            }
        };
        self.rows.push(Submission { first, generation, client });
    }

    fn of(&self, task: TaskId) -> Option<&Submission> {
        let behind = self.rows.partition_point(|row| row.first <= task);
        self.rows.get(behind.checked_sub(1)?)
    }

    /// The generation of a task's graph.
    pub(super) fn generation_of(&self, task: TaskId) -> u32 {
        self.of(task).map_or(0, |row| row.generation)
    }

    /// Who submitted a task.
    pub(super) fn client_of(&self, task: TaskId) -> Option<ClientId> {
        self.of(task).map(|row| row.client)
    }
}

impl SchedulerState {
    /// All graphs that were taken, one behind the other: task numbers are the scheduler's.
    #[must_use]
    pub const fn graph(&self) -> Option<&Arc<Graph>> {
        self.graph.as_ref()
    }

    /// The task with a key, unless it is forgotten. Looks at all tasks.
    #[must_use]
    pub fn task_named(&self, key: &str) -> Option<TaskId> {
        let graph = self.graph.as_ref()?;
        let mut tasks = (0..self.tasks.len()).rev().map(TaskId::from_index);
        tasks.find(|task| self.known(*task).is_some() && graph.key(*task) == key)
    }

    /// update-graph when there is a graph. `bit` is the client's.
    pub(super) fn on_further_graph(
        &mut self,
        mut known: Arc<Graph>,
        submission: &GraphSubmission,
        bit: u32,
        out: &mut SchedulerOut,
    ) {
        let mut numbers = self.known_numbers(&known, &submission.graph);
        let reached = Reached::from_wanted(submission, &numbers);
        if let Err(reason) = self.check_reached(&reached, submission, &known) {
            refuse(submission, &reason, out);
            return;
        }
        for text in conflicts(&reached, (submission, &numbers), &known) {
            out.instructions.push(SchedulerInstruction::Warn(text));
        }
        let first = self.tasks.len();
        for (place, index) in reached.new.iter().enumerate() {
            numbers[*index] = Some(TaskId::from_index(first + place));
        }
        // From here to the drain nothing can fail.
        self.graph = None;
        Arc::make_mut(&mut known).extend(&submission.graph, &numbers);
        self.append(&known, first);
        self.rank_again(&known, first, reached.new.iter().map(|index| submission.order[*index]));
        self.graph = Some(known);
        let came = (submission.client, self.now, submission.fifo_timeout_ns);
        self.submissions.note(TaskId::from_index(first), came);
        self.sort_ranks();
        let named = |task: &TaskId| numbers[task.index()].expect("what is wanted is reached");
        let wanted: Vec<TaskId> = submission.wanted.iter().map(named).collect();
        let run_once: Vec<TaskId> = submission.run_once.iter().map(named).collect();
        let mut open = self.wish(&wanted, (submission.client, bit), out);
        open.extend(self.wish_run(&run_once, submission.client, out));
        self.begin(open, first, out);
    }

    /// Numbers of the tasks of a graph whose keys are known.
    fn known_numbers(&self, known: &Graph, graph: &Graph) -> Vec<Option<TaskId>> {
        let index = KeyIndex::new(&graph.keys);
        let mut numbers = vec![None; graph.len()];
        for task in (0..self.tasks.len()).map(TaskId::from_index) {
            if self.known(task).is_some()
                && let Some(same) = index.find(&graph.keys, known.key(task))
            {
                numbers[same.index()] = Some(task);
            }
        }
        numbers
    }

    fn check_reached(
        &self,
        reached: &Reached,
        submission: &GraphSubmission,
        known: &Graph,
    ) -> Result<(), String> {
        let graph = &submission.graph;
        if !reached.missing.is_empty() {
            let named = reached.missing.iter().take(MISSING_NAMED);
            let named: Vec<String> = named.map(|task| format!("'{}'", graph.key(*task))).collect();
            let more = match reached.missing.len().saturating_sub(MISSING_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            return Err(format!("it needs {}{more}, which is not known", named.join(", ")));
        }
        let edges = known.inputs.values.len() + graph.inputs.values.len();
        if self.tasks.len() + reached.new.len() > MOST_TASKS || u32::try_from(edges).is_err() {
            return Err("all graphs have more than 2^31 tasks or 2^32 - 1 edges".to_owned());
        }
        Ok(())
    }

    /// Records, edges, asks and families of the tasks from `first` on.
    fn append(&mut self, graph: &Graph, first: usize) {
        self.tasks.resize(graph.len(), Task { state: TaskState::Released, ..Task::UNKNOWN });
        self.counts[TaskState::Released as usize] +=
            super::instruction::position(graph.len() - first);
        self.link(graph, first);
        self.count_first_readers(first);
        self.attribute(graph, first);
        let known = &self.config.default_task_durations_ns;
        self.families.extend(graph, &mut self.tasks, first, known);
        let few = (self.config.rootish_groups, self.config.rootish_group_tasks);
        self.families.link(&self.tasks, &self.dependencies, few);
    }

    /// An input that one task read has more readers now: what the worker of that task has yet to
    /// fetch for it is counted from here on.
    fn count_first_readers(&mut self, first: usize) {
        let new = self.dependencies.offsets[first] as usize;
        let mut inputs: Vec<TaskId> = self.dependencies.values[new..].to_vec();
        inputs.sort_unstable();
        inputs.dedup();
        for input in inputs.into_iter().filter(|input| input.index() < first) {
            let mut old = self.dependents.row(input).iter().filter(|task| task.index() < first);
            let (Some(&reader), None) = (old.next(), old.next()) else { continue };
            let Some(worker) = self.tasks[reader.index()].worker() else { continue };
            if !self.overflow.holds(&self.tasks[input.index()], worker) {
                self.needs_what.add(worker, input, 1);
            }
        }
    }

    /// Gives the tasks from `first` on their priorities; `order` are their positions.
    fn rank_again(&mut self, graph: &Graph, first: usize, order: impl Iterator<Item = u32>) {
        if self.priorities.is_empty() {
            self.priorities = self.tasks[..first].iter().map(|record| (0, record.rank)).collect();
        }
        self.priorities.extend(order.map(|place| (0, place)));
        for (task, attributes) in graph.attributes.iter().rev() {
            if task.index() < first {
                break;
            }
            self.priorities[task.index()].0 = user(attributes.priority);
        }
        self.ranked.extend((first..graph.len()).map(TaskId::from_index));
    }

    /// Ranks all tasks anew: the user's priority, the generation, the place in the static order.
    fn sort_ranks(&mut self) {
        let (priorities, submissions) = (&self.priorities, &self.submissions);
        self.ranked.sort_by_cached_key(|task| {
            let (user, order) = priorities[task.index()];
            (user, submissions.generation_of(*task), order, *task)
        });
        self.queued = RankSet::new(self.tasks.len());
        for (task, rank) in self.ranked.iter().zip(0..) {
            let record = &mut self.tasks[task.index()];
            record.rank = rank;
            if record.state == TaskState::Queued {
                self.queued.insert(rank);
            }
        }
    }

    /// A client wants results: it is told of those that are there or have failed. What has to be
    /// computed.
    fn wish(
        &mut self,
        wanted: &[TaskId],
        (client, bit): (ClientId, u32),
        out: &mut SchedulerOut,
    ) -> Vec<TaskId> {
        let mut open = Vec::new();
        for &task in wanted {
            let record = &mut self.tasks[task.index()];
            record.who_wants |= bit;
            match record.state {
                TaskState::Memory => {
                    out.instructions.push(SchedulerInstruction::KeyInMemory { client, task });
                }
                TaskState::Erred => {
                    out.instructions.push(SchedulerInstruction::TaskErred { client, task });
                }
                TaskState::Released => open.push(task),
                TaskState::Waiting
                | TaskState::Queued
                | TaskState::NoWorker
                | TaskState::Processing
                | TaskState::Forgotten => {}
            }
        }
        open
    }

    /// Tasks that must run once. Those whose result is there have; of one that failed the client is
    /// told. What has to be computed.
    fn wish_run(
        &mut self,
        run_once: &[TaskId],
        client: ClientId,
        out: &mut SchedulerOut,
    ) -> Vec<TaskId> {
        let mut open = Vec::new();
        for &task in run_once {
            let record = &mut self.tasks[task.index()];
            match record.state {
                TaskState::Memory => continue,
                TaskState::Erred => {
                    out.instructions.push(SchedulerInstruction::TaskErred { client, task });
                    continue;
                }
                TaskState::Released => open.push(task),
                TaskState::Waiting
                | TaskState::Queued
                | TaskState::NoWorker
                | TaskState::Processing
                | TaskState::Forgotten => {}
            }
            record.who_wants |= client::FIRE_AND_FORGET;
            record.flags.set(Flags::RUN_ONCE);
        }
        open
    }

    /// The new tasks begin at `first`. Those that read what has failed have failed; of the others
    /// those that `open` needs are computed, the best first.
    fn begin(&mut self, mut open: Vec<TaskId>, first: usize, out: &mut SchedulerOut) {
        for task in (first..self.tasks.len()).map(TaskId::from_index) {
            let mut inputs = self.dependencies.row(task).iter();
            let erred = inputs.find(|input| self.state_of(**input) == TaskState::Erred);
            if let Some(erred) = erred {
                self.tasks[task.index()].blame = self.tasks[erred.index()].blame;
                self.recommend(task, TaskState::Erred);
            }
        }
        self.drain(out);
        let mut needed = FxHashSet::default();
        while let Some(task) = open.pop() {
            if self.state_of(task) == TaskState::Released && needed.insert(task) {
                let inputs = self.dependencies.row(task).iter().copied();
                open.extend(inputs.filter(|input| input.index() >= first));
            }
        }
        let mut needed: Vec<TaskId> = needed.into_iter().collect();
        self.recommend_best_last(&mut needed, TaskState::Waiting);
        self.drain(out);
        // What such a task alone would have read, when it failed meanwhile through an old one.
        for task in (first..self.tasks.len()).map(TaskId::from_index) {
            let record = &self.tasks[task.index()];
            if record.flags.has(Flags::HOLDS) && !record.is_needed() {
                self.recommend(task, TaskState::Released);
            }
        }
    }
}

/// What a submission's wishes reach, by number of the submission.
struct Reached {
    /// Unknown keys, in the order of their numbers.
    new: Vec<usize>,
    /// Known keys that are no mere references.
    met: Vec<usize>,
    /// References to keys that are not known.
    missing: Vec<TaskId>,
}

impl Reached {
    /// A known key keeps its inputs, so that what it reads here is not followed.
    fn from_wanted(submission: &GraphSubmission, numbers: &[Option<TaskId>]) -> Self {
        let GraphSubmission { graph, wanted, run_once, references, .. } = submission;
        let references: FxHashSet<TaskId> = references.iter().copied().collect();
        let mut open: Vec<TaskId> = wanted.iter().chain(run_once).copied().collect();
        let mut seen = vec![false; graph.len()];
        let mut me = Self { new: Vec::new(), met: Vec::new(), missing: Vec::new() };
        while let Some(task) = open.pop() {
            if std::mem::replace(&mut seen[task.index()], true) {
                continue;
            }
            match (numbers[task.index()], references.contains(&task)) {
                (Some(_), true) => {}
                (Some(_), false) => me.met.push(task.index()),
                (None, true) => me.missing.push(task),
                (None, false) => {
                    me.new.push(task.index());
                    open.extend(graph.inputs.row(task));
                }
            }
        }
        me.new.sort_unstable();
        me.met.sort_unstable();
        me.missing.sort_unstable();
        me
    }
}

/// A warning for each group with a known key that comes with another run spec or other inputs.
fn conflicts(
    reached: &Reached,
    (submission, numbers): (&GraphSubmission, &[Option<TaskId>]),
    known: &Graph,
) -> Vec<String> {
    let graph = &submission.graph;
    let mut warned = FxHashSet::default();
    let mut texts = Vec::new();
    for index in &reached.met {
        let (task, Some(here)) = (TaskId::from_index(*index), numbers[*index]) else { continue };
        let inputs = graph.inputs.row(task).iter().map(|input| graph.key(*input));
        let inputs_here = known.inputs.row(here).iter().map(|input| known.key(*input));
        let what = match (graph.spec(task) == known.spec(here), inputs.eq(inputs_here)) {
            (true, true) => continue,
            (false, true) => "another run spec",
            (true, false) => "other inputs",
            (false, false) => "another run spec and other inputs",
        };
        let key = graph.key(task);
        if warned.insert(key::group(key)) {
            texts.push(format!(
                "'{key}' was submitted again with {what}: what was submitted first stays, for it \
                 and for others of its group"
            ));
        }
    }
    texts
}
