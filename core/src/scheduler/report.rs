//! What the driver may read: states, holders, errors, counts. Nothing here changes anything.

use super::ask::unsatisfiable_terms;
use super::submit::needed;
use super::task::Flags;
use super::{GraphSubmission, SchedulerState, TaskState, Unsatisfiable};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{TaskError, TypeCode, WorkerRegistration, WorkerStatus};
use crate::story::Transition;
use std::fmt::Write as _;

/// Why a task erred.
#[derive(Clone, Copy, Debug)]
pub struct FailureOf<'a> {
    /// The task that failed by itself: this one or an ancestor.
    pub root: TaskId,
    /// How it failed.
    pub error: &'a TaskError,
    /// Workers on which its runs failed; they may be gone.
    pub workers: &'a [WorkerId],
}

impl SchedulerState {
    /// State of a task; what is not in the graph is forgotten.
    #[must_use]
    pub fn state_of(&self, task: TaskId) -> TaskState {
        self.tasks.get(task.index()).map_or(TaskState::Forgotten, |record| record.state)
    }

    /// Workers that hold a result.
    pub fn who_has(&self, task: TaskId) -> impl Iterator<Item = WorkerId> {
        let holders = self.tasks.get(task.index()).map(|record| self.overflow.holders(record));
        holders.unwrap_or_default().iter().map(|held| held.worker)
    }

    /// Size of a result once it was in memory, bytes.
    #[must_use]
    pub fn nbytes_of(&self, task: TaskId) -> Option<u64> {
        let record = self.tasks.get(task.index())?;
        record.flags.has(Flags::REACHED).then_some(record.nbytes)
    }

    /// What a result is.
    #[must_use]
    pub fn type_of(&self, task: TaskId) -> TypeCode {
        self.tasks.get(task.index()).map_or_else(TypeCode::default, |record| record.type_code)
    }

    /// Runs of a task that ended in an error or in the death of their worker.
    #[must_use]
    pub fn attempt_of(&self, task: TaskId) -> u32 {
        self.trials.of(task).attempt
    }

    /// The latest sending of a task, `RunId::NONE` before the first.
    #[must_use]
    pub fn run_of(&self, task: TaskId) -> RunId {
        self.tasks.get(task.index()).map_or(RunId::NONE, |record| record.run_id)
    }

    /// Why a task erred; none when it did not.
    #[must_use]
    pub fn error_of(&self, task: TaskId) -> Option<FailureOf<'_>> {
        let record = self.tasks.get(task.index())?;
        let root = TaskId(record.blame);
        let failure = self.failures.get(root).filter(|_| record.state == TaskState::Erred)?;
        Some(FailureOf { root, error: &failure.error, workers: &failure.erred_on })
    }

    /// Other tasks that erred because this one did, by number.
    #[must_use]
    pub fn dependents_affected(&self, root: TaskId) -> Vec<TaskId> {
        let blamed = |index: &usize| {
            let record = &self.tasks[*index];
            record.state == TaskState::Erred && record.blame == root.0 && *index != root.index()
        };
        (0..self.tasks.len()).filter(blamed).map(TaskId::from_index).collect()
    }

    /// What a worker was sent and has not answered.
    pub fn processing(&self, worker: WorkerId) -> impl Iterator<Item = (TaskId, RunId)> {
        let sent = self.workers.get(worker).into_iter();
        let sent = sent.flat_map(|worker| worker.processing.iter());
        sent.map(|assigned| (assigned.task, self.tasks[assigned.task.index()].run_id))
    }

    /// Results that a worker holds, as far as the scheduler knows.
    pub fn results_on(&self, worker: WorkerId) -> impl Iterator<Item = TaskId> {
        let at = self.workers.get(worker).into_iter();
        at.flat_map(|worker| worker.has_what.iter().copied())
    }

    /// Whether a task left the pool of its worker while it runs.
    #[must_use]
    pub fn is_long_running(&self, task: TaskId) -> bool {
        let record = self.tasks.get(task.index());
        record.is_some_and(|record| record.flags.has(Flags::LONG_RUNNING))
    }

    /// Workers that are there, by number.
    pub fn workers(&self) -> impl Iterator<Item = WorkerId> {
        self.workers.iter().map(|(worker, _)| worker)
    }

    /// Name of a worker.
    #[must_use]
    pub fn worker_name(&self, worker: WorkerId) -> Option<&str> {
        Some(&self.registration_of(worker)?.name)
    }

    /// What a worker said about itself.
    #[must_use]
    pub fn registration_of(&self, worker: WorkerId) -> Option<&WorkerRegistration> {
        self.workers.get(worker).map(|worker| worker.registration())
    }

    /// Slots of a worker.
    #[must_use]
    pub fn nthreads_of(&self, worker: WorkerId) -> Option<u32> {
        self.registration_of(worker).map(|registration| registration.nthreads)
    }

    /// Status of a worker.
    #[must_use]
    pub fn status_of(&self, worker: WorkerId) -> Option<WorkerStatus> {
        self.workers.get(worker).map(|worker| worker.profile.status)
    }

    /// Expected work of a worker in seconds of one thread; 0 when it is not there.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
    pub fn occupancy_s(&self, worker: WorkerId) -> f64 {
        let occupancy = self.workers.get(worker).map(|worker| self.occupancy_ns(worker));
        occupancy.unwrap_or(0) as f64 / 1e9
    }

    /// Bytes of results that a worker holds.
    #[must_use]
    pub fn managed_bytes_of(&self, worker: WorkerId) -> Option<u64> {
        self.workers.get(worker).map(|worker| worker.nbytes)
    }

    /// Scheduler clock minus the worker's clock at its last heartbeat, nanoseconds.
    #[must_use]
    pub fn time_delay_of(&self, worker: WorkerId) -> Option<i64> {
        self.workers.get(worker).map(|worker| worker.profile.time_delay_ns)
    }

    /// Threads of all workers.
    #[must_use]
    pub const fn thread_count(&self) -> u64 {
        self.workers.nthreads
    }

    /// Tasks in a state.
    #[must_use]
    pub const fn count_in(&self, state: TaskState) -> u64 {
        self.counts[state as usize] as u64
    }

    /// Tasks by prefix: name, mean duration in nanoseconds when known, tasks in each state.
    pub fn prefixes(&self) -> impl Iterator<Item = (&str, Option<u64>, &[u32; 8])> {
        let prefixes = self.families.prefixes.iter();
        prefixes.map(|prefix| (&*prefix.name, prefix.duration_average_ns, &prefix.states))
    }

    /// Distinct tasks that reached memory.
    #[must_use]
    pub const fn finished_count(&self) -> u64 {
        self.totals.finished
    }

    /// Tasks that are erred now.
    #[must_use]
    pub const fn erred_count(&self) -> u64 {
        self.count_in(TaskState::Erred)
    }

    /// Tasks that are queued now.
    #[must_use]
    pub const fn queued_count(&self) -> u64 {
        self.count_in(TaskState::Queued)
    }

    /// Executions beyond the first of their task: after an error, a lost worker or a lost result.
    #[must_use]
    pub const fn recomputed_count(&self) -> u64 {
        self.totals.recomputed
    }

    /// Reports that came too late to count.
    #[must_use]
    pub const fn stale_count(&self) -> u64 {
        self.totals.stale
    }

    /// Nothing is waiting, queued, unrunnable or processing: every wanted task is in memory or
    /// erred.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.count_in(TaskState::Waiting) == 0
            && self.count_in(TaskState::Queued) == 0
            && self.count_in(TaskState::NoWorker) == 0
            && self.count_in(TaskState::Processing) == 0
    }

    /// The first needed task of a graph, by number, that no registered worker can ever run. None
    /// when no worker is registered.
    #[must_use]
    pub fn unsatisfiable(&self, submission: &GraphSubmission) -> Option<Unsatisfiable> {
        let graph = &submission.graph;
        if graph.attributes.is_empty() {
            return None;
        }
        let needed = needed(graph, submission);
        graph.attributes.iter().filter(|(task, _)| needed[task.index()]).find_map(
            |(task, attributes)| {
                let (asks, largest_worker) = unsatisfiable_terms(attributes, &self.workers)?;
                Some(Unsatisfiable { task: *task, asks, largest_worker })
            },
        )
    }

    /// The state changes of the last event, as far as the ring holds them, oldest first.
    pub fn latest_transitions(&self) -> impl Iterator<Item = Transition<TaskState>> {
        self.story.latest(self.totals.transitions)
    }

    /// Inputs that a waiting task lacks; none when it does not wait.
    #[must_use]
    pub fn waiting_on(&self, task: TaskId) -> Option<u32> {
        let record = self.tasks.get(task.index())?;
        (record.state == TaskState::Waiting).then_some(record.waiting_on)
    }

    /// What happened to a task, a line for each state change that is still in the ring.
    #[must_use]
    pub fn story(&self, task: TaskId) -> String {
        let mut text = format!("story of {}:", self.key_of(task));
        for transition in self.story.of(task) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {transition}");
        }
        text
    }

    /// A task in messages about the end of its worker: its key, and the plugin that it runs.
    pub(super) fn suspect(&self, task: TaskId) -> String {
        match &self.graph {
            Some(graph) if task.index() < graph.len() => graph.suspect(task),
            Some(_) | None => self.key_of(task),
        }
    }

    /// A task's key for messages.
    pub(super) fn key_of(&self, task: TaskId) -> String {
        match &self.graph {
            Some(graph) if task.index() < graph.len() => format!("'{}'", graph.key(task)),
            Some(_) | None => format!("task {}", task.0),
        }
    }
}
