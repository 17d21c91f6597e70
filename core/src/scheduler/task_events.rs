//! Stimuli of workers about runs and results.
//!
//! A report names the run that it is about. `judge` compares it with what the scheduler thinks of
//! the task now; only the current run on the current worker changes the task.

use super::edges::free_keys;
use super::instruction::{DependencyAt, SchedulerInstruction, SchedulerOut, position};
use super::processing::error;
use super::task::{Flags, NONE};
use super::{SchedulerState, Span, TaskState};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{TaskError, TypeCode, WorkerStatus};

/// Holders that a worker is told when it asks.
const HOLDERS_TOLD: usize = 16;

/// What a report is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) worker: WorkerId,
    pub(super) task: TaskId,
    pub(super) run_id: RunId,
}

/// What a run made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    pub(super) nbytes: u64,
    pub(super) type_code: TypeCode,
    pub(super) duration_ns: u64,
}

/// How a report fits what the scheduler knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Judgement {
    /// The sender is not a member.
    Stranger,
    /// The task is unknown, released, queued, no-worker or erred.
    Gone,
    /// Another run, and the sender does not process the task.
    OtherRun,
    /// An earlier run than the one that the sender processes: that one's end is still to come.
    EarlierRun,
    /// A run that the sender was not given, where it should process another.
    ConfusedRun,
    /// This run, and its result is in memory already.
    InMemory,
    /// This run, and the scheduler sent the task back to waiting.
    Waiting,
    /// This run, on this worker.
    Current,
    /// This run, but another worker processes it: the sender lies.
    Elsewhere,
}

impl SchedulerState {
    fn judge(&self, end: End) -> Judgement {
        if !self.workers.contains(end.worker) {
            return Judgement::Stranger;
        }
        let Some(record) = self.tasks.get(end.task.index()) else { return Judgement::Gone };
        let is_here = record.worker() == Some(end.worker);
        let same_run = record.run_id == end.run_id;
        match record.state {
            TaskState::Forgotten
            | TaskState::Released
            | TaskState::Queued
            | TaskState::NoWorker
            | TaskState::Erred => Judgement::Gone,
            // To run it once more would cross the end of the run that goes on, which would then come
            // from an earlier run as well: runs shorter than a round trip would never end.
            _ if is_here && end.run_id < record.run_id => Judgement::EarlierRun,
            _ if !same_run && is_here => Judgement::ConfusedRun,
            _ if !same_run => Judgement::OtherRun,
            TaskState::Memory => Judgement::InMemory,
            TaskState::Waiting => Judgement::Waiting,
            TaskState::Processing if is_here => Judgement::Current,
            TaskState::Processing => Judgement::Elsewhere,
        }
    }

    /// task-finished
    pub(super) fn on_task_finished(&mut self, end: End, result: Output, out: &mut SchedulerOut) {
        let judgement = self.judge(end);
        if judgement == Judgement::Current {
            self.processing_memory(end, result, out);
            return;
        }
        self.totals.stale += 1;
        match judgement {
            Judgement::Stranger | Judgement::Current | Judgement::EarlierRun => {}
            Judgement::Gone | Judgement::OtherRun => {
                free_keys(out, end.worker, end.task, end.run_id);
            }
            Judgement::ConfusedRun => self.recommend(end.task, TaskState::Released),
            Judgement::InMemory => self.on_add_keys(end.worker, &[end.task], out),
            Judgement::Waiting => self.waiting_memory(end.task),
            Judgement::Elsewhere => {
                self.warn_elsewhere(end, out);
                free_keys(out, end.worker, end.task, end.run_id);
            }
        }
    }

    fn warn_elsewhere(&self, end: End, out: &mut SchedulerOut) {
        let text = format!(
            "worker {} reports run {} of {}, which another worker processes",
            end.worker.0,
            end.run_id.0,
            self.key_of(end.task)
        );
        out.instructions.push(SchedulerInstruction::Warn(text));
    }

    /// task-erred
    pub(super) fn on_task_erred(&mut self, end: End, error: TaskError, out: &mut SchedulerOut) {
        match self.judge(end) {
            Judgement::Current => {
                let task = end.task;
                self.blame_itself(task, Some(end.worker), error);
                let retries = self.retries_of(task);
                let trials = self.trials_of_mut(task);
                trials.attempt = trials.attempt.saturating_add(1);
                let survives = trials.survived < retries;
                trials.survived += u32::from(survives);
                let record = &mut self.tasks[task.index()];
                record.flags.set(Flags::STARTED);
                if survives {
                    record.blame = NONE;
                    self.recommend(task, TaskState::Waiting);
                } else {
                    self.recommend(task, TaskState::Erred);
                }
            }
            Judgement::ConfusedRun => {
                self.totals.stale += 1;
                self.recommend(end.task, TaskState::Released);
            }
            Judgement::Elsewhere => {
                self.totals.stale += 1;
                self.warn_elsewhere(end, out);
            }
            Judgement::Stranger
            | Judgement::Gone
            | Judgement::EarlierRun
            | Judgement::OtherRun
            | Judgement::InMemory
            | Judgement::Waiting => self.totals.stale += 1,
        }
    }

    /// Errors that a task may survive.
    fn retries_of(&self, task: TaskId) -> u32 {
        let attributes = self.graph.as_ref().and_then(|graph| graph.attributes_of(task));
        let retries = attributes.and_then(|attributes| attributes.retries);
        retries.unwrap_or(self.config.default_retries)
    }

    /// release-worker-data: the worker dropped its copy.
    pub(super) fn on_release_worker_data(&mut self, worker: WorkerId, task: TaskId) {
        if self.known(task).is_none() || !self.workers.contains(worker) {
            return;
        }
        self.remove_replica(task, worker);
        let record = &self.tasks[task.index()];
        if record.state == TaskState::Memory && !record.is_held() {
            self.recommend(task, TaskState::Released);
        }
    }

    /// add-keys: the worker holds copies. What is not in memory it shall drop.
    pub(super) fn on_add_keys(
        &mut self,
        worker: WorkerId,
        tasks: &[TaskId],
        out: &mut SchedulerOut,
    ) {
        if !self.workers.contains(worker) {
            return;
        }
        let start = position(out.tasks.len());
        for &task in tasks {
            match self.known(task) {
                Some(record) if record.state == TaskState::Memory => {
                    if !self.overflow.holds(record, worker) {
                        self.add_replica(task, worker);
                    }
                }
                Some(_) | None => out.tasks.push(task),
            }
        }
        let tasks = Span { start, end: position(out.tasks.len()) };
        if tasks.start < tasks.end {
            out.instructions.push(SchedulerInstruction::RemoveReplicas { worker, tasks });
        }
    }

    /// long-running: the task left the pool, its slot is free.
    pub(super) fn on_long_running(&mut self, end: End, compute_duration_ns: Option<u64>) {
        let current = self.judge(end) == Judgement::Current;
        if !current || self.tasks[end.task.index()].flags.has(Flags::LONG_RUNNING) {
            return;
        }
        if let Some(duration) = compute_duration_ns {
            let prefix = self.families.prefix_of(&self.tasks[end.task.index()]);
            self.families.prefixes[prefix as usize].add_duration(duration);
            self.families.note_drift(prefix, self.config.unknown_task_duration_ns);
        }
        self.secede(end.task);
    }

    /// reschedule: the task gave itself back.
    pub(super) fn on_reschedule(&mut self, end: End) {
        if self.judge(end) != Judgement::Current {
            self.totals.stale += 1;
            return;
        }
        let status = self.workers.get(end.worker).map(|at| at.profile.status);
        if status != Some(WorkerStatus::Running) {
            // Its worker gave it back, before it began.
            self.recommend(end.task, TaskState::Released);
            return;
        }
        let trials = self.trials_of_mut(end.task);
        trials.reschedules = trials.reschedules.saturating_add(1);
        let reschedules = trials.reschedules;
        if reschedules <= self.config.max_reschedules {
            self.recommend(end.task, TaskState::Released);
            return;
        }
        let message = format!(
            "the task gave itself back {reschedules} times (scheduler.max-reschedules is {})",
            self.config.max_reschedules
        );
        self.blame_itself(end.task, Some(end.worker), error("TooManyReschedules", message));
        self.recommend(end.task, TaskState::Erred);
    }

    /// request-refresh-who-has: who else holds these?
    pub(super) fn on_request_refresh_who_has(
        &mut self,
        worker: WorkerId,
        tasks: &[TaskId],
        out: &mut SchedulerOut,
    ) {
        if !self.workers.contains(worker) {
            return;
        }
        let start = position(out.dependencies.len());
        for &task in tasks {
            // A copy of what nobody computes will never come.
            let state = self.state_of(task);
            if matches!(state, TaskState::Released | TaskState::Erred | TaskState::Forgotten) {
                free_keys(out, worker, task, RunId::NONE);
                continue;
            }
            let record = &self.tasks[task.index()];
            let first = position(out.holders.len());
            let known = self.overflow.holders(record);
            let from = self.rng.below(known.len() as u64) as usize;
            let others = known.iter().cycle().skip(from).take(known.len());
            let others = others.map(|held| held.worker).filter(|holder| *holder != worker);
            out.holders.extend(others.take(HOLDERS_TOLD));
            let holders = Span { start: first, end: position(out.holders.len()) };
            let nbytes = self.tasks[task.index()].nbytes;
            out.dependencies.push(DependencyAt { task, nbytes, holders });
        }
        let who_has = Span { start, end: position(out.dependencies.len()) };
        if who_has.start < who_has.end {
            out.instructions.push(SchedulerInstruction::RefreshWhoHas { worker, who_has });
        }
    }

    /// bad-replica: the copy at `peer` cannot be had or read. It no longer counts; the last one is
    /// computed again.
    pub(super) fn on_bad_replica(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        peer: WorkerId,
        out: &mut SchedulerOut,
    ) {
        if !self.workers.contains(worker) {
            return;
        }
        let held = self.known(task).filter(|record| self.overflow.holds(record, peer));
        if let Some(record) = held {
            if let [_] = self.overflow.holders(record) {
                self.transition(task, TaskState::Released, out);
            } else {
                self.remove_replica(task, peer);
                let start = position(out.tasks.len());
                out.tasks.push(task);
                let tasks = Span { start, end: start + 1 };
                out.instructions.push(SchedulerInstruction::RemoveReplicas { worker: peer, tasks });
            }
        }
        out.instructions.push(SchedulerInstruction::BadKeyAck { worker, task, peer });
    }
}
