//! Stimuli about workers: one comes, is lost, pauses, reports its vitals; timers.

use super::instruction::{SchedulerInstruction, SchedulerOut};
use super::processing::error;
use super::task::Flags;
use super::worker::Worker;
use super::{SchedulerState, TaskState};
use crate::config::{MILLISECOND_NS, SECOND_NS};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{TaskError, WorkerRegistration, WorkerStatus};
use crate::paths::PathSpeeds;
use crate::time::Time;
use std::collections::BTreeSet;

/// Why and how a worker was lost.
#[derive(Clone, Debug)]
pub(super) struct Loss {
    pub(super) expected: bool,
    pub(super) executing: Option<Vec<(TaskId, RunId)>>,
    pub(super) reason: String,
}

impl Loss {
    /// The task was on a thread of the worker, as far as anybody knows.
    fn interrupted(&self, task: TaskId, run: RunId) -> bool {
        !self.expected
            && self.executing.as_ref().is_none_or(|executing| executing.contains(&(task, run)))
    }
}

/// What a heartbeat tells about the worker itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vitals {
    pub(super) worker_now_ns: u64,
    pub(super) paths: PathSpeeds,
    pub(super) rss_bytes: u64,
}

impl SchedulerState {
    /// add-worker
    pub(super) fn on_add_worker(
        &mut self,
        worker: WorkerId,
        registration: Box<WorkerRegistration>,
        out: &mut SchedulerOut,
    ) {
        let predecessor = match self.predecessor(worker, &registration) {
            Ok(predecessor) => predecessor,
            Err(reason) => {
                out.instructions.push(SchedulerInstruction::RefuseWorker { worker, reason });
                return;
            }
        };
        if let Some(old) = predecessor {
            let reason = "its supervisor started it again".to_owned();
            self.on_remove_worker(old, &Loss { expected: false, executing: None, reason }, out);
        }
        let record = Worker::new(registration, self.config.worker_saturation, self.now);
        self.workers.insert(worker, record);
        let heartbeat_ns = match self.config.heartbeat_ns {
            0 => heartbeat_ns(self.workers.len()),
            given => given,
        };
        out.instructions.push(SchedulerInstruction::AcceptWorker { worker, heartbeat_ns });
        self.try_unrunnable(worker);
    }

    /// The earlier life of a worker that starts again, or why the worker cannot be had.
    fn predecessor(
        &self,
        worker: WorkerId,
        registration: &WorkerRegistration,
    ) -> Result<Option<WorkerId>, String> {
        if self.workers.contains(worker) {
            return Err(format!("worker number {} is taken", worker.0));
        }
        let namesake = self.workers.named(&registration.name);
        let restarted = namesake.filter(|old| {
            self.workers.get(*old).is_some_and(|old| {
                registration.nanny != 0
                    && old.registration().nanny == registration.nanny
                    && old.registration().server_id != registration.server_id
            })
        });
        if let Some(other) = namesake.filter(|_| restarted.is_none()) {
            let other = self.describe_worker(other);
            return Err(format!("the name {} is taken by {other}", registration.name));
        }
        // Numbers are given as connections come: this registration was overtaken by that of the next
        // life, which must not be taken for its predecessor.
        if let Some(later) = restarted.filter(|other| *other > worker) {
            let later = self.describe_worker(later);
            return Err(format!("it was started again meanwhile as {later}"));
        }
        for address in &registration.addresses {
            let other = self.workers.at_address(address);
            if let Some(other) = other.filter(|other| Some(*other) != restarted) {
                let other = self.describe_worker(other);
                return Err(format!("the address {address} is taken by {other}"));
            }
        }
        Ok(restarted)
    }

    fn describe_worker(&self, worker: WorkerId) -> String {
        self.workers.get(worker).map_or_else(String::new, |worker| {
            let registration = worker.registration();
            let (name, host, pid) = (&registration.name, &registration.host, registration.pid);
            format!("worker {name} (process {pid} on {host})")
        })
    }

    /// A worker came, or runs again: tasks that only it may serve are tried.
    pub(super) fn try_unrunnable(&mut self, worker: WorkerId) {
        let Some(record) = self.workers.get(worker) else { return };
        let serves = |(ask, _): &(u32, &BTreeSet<TaskId>)| {
            let terms = self.asks.terms(*ask);
            let named = terms.allow_other_workers || terms.names(record.registration());
            named && terms.fits(record.registration())
        };
        let served = self.unrunnable.asks().filter(serves);
        let mut tasks: Vec<TaskId> = served.flat_map(|(_, tasks)| tasks).copied().collect();
        self.recommend_best_last(&mut tasks, TaskState::Processing);
    }

    /// remove-worker: first out of every register, then its tasks and results in one drain, then
    /// the others are told.
    pub(super) fn on_remove_worker(
        &mut self,
        worker: WorkerId,
        loss: &Loss,
        out: &mut SchedulerOut,
    ) {
        let Some(record) = self.workers.remove(worker) else { return };
        self.forget_load(worker);
        self.amm.forget_worker(worker);
        self.stealing.in_flight.forget_thief(worker);
        self.families.forget_worker(worker);
        self.note_pause(worker, WorkerStatus::Running);
        self.total_compute_ns = self.total_compute_ns.saturating_sub(record.compute_ns);
        let rank = |state: &Self, task: TaskId| std::cmp::Reverse(state.tasks[task.index()].rank);
        let mut processing: Vec<TaskId> = record.processing.iter().map(|one| one.task).collect();
        processing.sort_unstable_by_key(|task| rank(self, *task));
        for task in processing {
            for i in self.dependencies.range(task) {
                self.needs_what.remove(worker, self.dependencies.values[i]);
            }
            self.lose_run(task, record.registration(), loss);
        }
        let mut results: Vec<TaskId> = record.has_what.iter().copied().collect();
        results.sort_unstable_by_key(|task| rank(self, *task));
        for task in results {
            let held = &mut self.tasks[task.index()];
            self.overflow.remove(held, worker);
            // At once, so that nothing in the drain takes a lost result for one that is there.
            if !held.is_held() {
                self.transition(task, TaskState::Released, out);
            }
        }
        self.drain(out);
        for (other, _) in self.workers.iter() {
            out.instructions
                .push(SchedulerInstruction::RemoveWorker { worker: other, gone: worker });
        }
    }

    /// A task's worker was lost: it runs elsewhere, or has killed too many workers.
    fn lose_run(&mut self, task: TaskId, at: &WorkerRegistration, loss: &Loss) {
        let record = &mut self.tasks[task.index()];
        if !loss.interrupted(task, record.run_id) {
            self.recommend(task, TaskState::Released);
            return;
        }
        record.flags.set(Flags::STARTED);
        let trials = self.trials_of_mut(task);
        trials.attempt = trials.attempt.saturating_add(1);
        trials.suspicious = trials.suspicious.saturating_add(1);
        let deaths = trials.suspicious;
        if deaths <= self.config.allowed_failures {
            self.recommend(task, TaskState::Released);
            return;
        }
        let (name, host, reason) = (&at.name, &at.host, &loss.reason);
        let message = format!(
            "{deaths} workers died while they ran {}, the last was worker {name} on {host} \
             ({reason}); scheduler.allowed-failures is {}",
            self.suspect(task),
            self.config.allowed_failures
        );
        self.blame_itself(task, None, error("KilledWorker", message));
        self.recommend(task, TaskState::Erred);
    }

    /// worker-status-change. One that leaves goes on leaving, whatever it says of its memory.
    pub(super) fn on_worker_status_change(&mut self, worker: WorkerId, status: WorkerStatus) {
        let Some(record) = self.workers.get_mut(worker) else { return };
        if record.profile.status == WorkerStatus::ClosingGracefully {
            return;
        }
        self.note_pause(worker, status);
        let Some(record) = self.workers.get_mut(worker) else { return };
        match status {
            WorkerStatus::Running => {
                record.profile.status = status;
                self.workers.run(worker);
                self.try_unrunnable(worker);
            }
            WorkerStatus::Paused => {
                record.profile.status = status;
                self.workers.stop(worker);
                // It is short of memory: its copies are the first to go.
                self.amm.soon(self.now);
            }
            WorkerStatus::ClosingGracefully => {
                self.begin_retirement(worker, true, "it closes gracefully");
            }
        }
        self.reload(worker);
    }

    /// heartbeat
    pub(super) fn on_heartbeat(
        &mut self,
        worker: WorkerId,
        vitals: Vitals,
        executing: &[(TaskId, u64)],
    ) {
        let count = self.workers.len() as u64;
        let Some(record) = self.workers.get_mut(worker) else { return };
        record.profile.last_seen = self.now;
        record.profile.rss_bytes = vitals.rss_bytes;
        let unmanaged = vitals.rss_bytes.saturating_sub(record.nbytes);
        let window_ns = self.config.memory_recent_to_old_ns;
        record.profile.unmanaged.note(self.now, unmanaged, window_ns);
        record.profile.time_delay_ns = self.now.0.wrapping_sub(vitals.worker_now_ns).cast_signed();
        self.paths.learn(&vitals.paths, count);
        for &(task, so_far_ns) in executing {
            let Some(record) = self.known(task) else { continue };
            if record.worker() == Some(worker) && !record.flags.has(Flags::LONG_RUNNING) {
                let prefix = self.families.prefix_of(record);
                self.families.prefixes[prefix as usize].add_running(so_far_ns);
                self.families.note_drift(prefix, self.config.unknown_task_duration_ns);
            }
        }
    }

    /// A timer is due.
    pub(super) fn on_timeout(&mut self, out: &mut SchedulerOut) {
        self.timer = None;
        self.restart_paused(out);
        self.give_up_unserved();
        self.drain(out);
        self.manage_memory_on_time(out);
    }

    /// What no worker served for too long errs.
    fn give_up_unserved(&mut self) {
        let Some((arrived, limit)) = self.no_workers_limit() else { return };
        let due = |since: Time| since.max(arrived).after_ns(limit) <= self.now;
        let mut late: Vec<TaskId> =
            self.unrunnable.iter().filter(|(_, since)| due(*since)).map(|(task, _)| task).collect();
        if self.stopped.is_some_and(due) {
            let queued = |task: &&TaskId| self.queued.contains(self.tasks[task.index()].rank);
            late.extend(self.ranked.iter().filter(queued));
        }
        for task in &late {
            let terms = self.asks.terms(self.tasks[task.index()].ask);
            let seconds = limit / SECOND_NS;
            let error = if self.workers.emptiest.len() == 0 {
                self.nobody_runs(seconds)
            } else {
                let asks = terms.describe();
                let message = format!(
                    "the task asks for {asks}, and no such worker ran for {seconds} s \
                     (no-workers-timeout)"
                );
                error("NoValidWorkerError", message)
            };
            self.blame_itself(*task, None, error);
        }
        self.recommend_best_last(&mut late, TaskState::Erred);
    }

    /// The error of tasks that nobody runs.
    fn nobody_runs(&self, seconds: u64) -> TaskError {
        let mut message = format!("no worker ran for {seconds} s (no-workers-timeout)");
        let (paused, all) = (self.paused_count(), self.workers.len());
        if paused > 0 {
            let percent = self.config.memory_pause * 100.0;
            message.push_str(&format!(
                "; {paused} of {all} are paused, their memory is over {percent:.0} % of its limit \
                 (worker.memory.pause): give each worker more with --memory-limit, or make results \
                 smaller"
            ));
        }
        error("NoWorkerError", message)
    }

    /// From when on tasks may be given up, and after how long; none while workers may still come.
    fn no_workers_limit(&self) -> Option<(Time, u64)> {
        let limit = self.config.no_workers_timeout_ns;
        // Workers that are paused run again, at the latest after their restart.
        Some((self.arrived?.max(self.pause_grace), limit)).filter(|_| limit > 0)
    }

    /// When the first task that no worker serves is given up.
    fn no_workers_due(&self) -> Option<Time> {
        let (arrived, limit) = self.no_workers_limit()?;
        let oldest = self.unrunnable.iter().next().map(|(_, since)| since);
        let stopped = self.stopped.filter(|_| self.queued.len() > 0);
        let since = oldest.into_iter().chain(stopped).min()?;
        Some(since.max(arrived).after_ns(limit))
    }

    /// Asks for a timer for the earliest deadline, when the driver holds none that is early enough.
    pub(super) fn set_timer(&mut self, out: &mut SchedulerOut) {
        if self.workers.emptiest.len() > 0 {
            self.stopped = None;
        } else {
            self.stopped.get_or_insert(self.now);
        }
        let deadlines =
            [self.no_workers_due(), self.amm_deadline(), self.steal_due(), self.restart_due()];
        let Some(due) = deadlines.into_iter().flatten().min() else { return };
        if self.timer.is_none_or(|timer| due < timer) {
            self.timer = Some(due);
            out.instructions.push(SchedulerInstruction::SetTimer(due));
        }
    }
}

/// How often a worker reports its vitals: the more workers, the less often.
const fn heartbeat_ns(worker_count: usize) -> u64 {
    match worker_count {
        0..=10 => 500 * MILLISECOND_NS,
        11..50 => SECOND_NS,
        50..200 => 2 * SECOND_NS,
        _ => SECOND_NS + worker_count as u64 * SECOND_NS / 200,
    }
}
