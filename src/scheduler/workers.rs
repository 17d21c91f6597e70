//! What workers say, and how they come and go.
//!
//! A worker that is lost is removed from the core once: when its nanny reports the death with what
//! its threads were running, or, without such a report, a moment after its connection broke.

use super::driver::{Driver, JOB, Report};
use super::job::FailedWrite;
use super::link::Link;
use crate::observe::events::Outcome;
use rdask_core::graph::quoted;
use rdask_core::ids::{RunId, TaskId, WorkerId};
use rdask_core::messages::{
    Heartbeat, ToScheduler, ToWorker, WorkerRegistration, WriteTarget, Written,
};
use rdask_core::scheduler::SchedulerEvent;
use rdask_core::wire::scheduler_event;
use std::time::{Duration, Instant};

impl Driver {
    /// One message of a worker.
    pub(super) fn on_worker_message(&mut self, worker: WorkerId, message: ToScheduler) {
        use ToScheduler as M;
        let last_words = matches!(
            message,
            M::Register(_)
                | M::Heartbeat(_)
                | M::Transferred(_)
                | M::OutputWritten { .. }
                | M::Warning { .. }
                | M::Goodbye
        );
        if self.phase.is_over() && !last_words {
            // Nobody is told any more what to do about it.
            return;
        }
        match message {
            M::Register(registration) => self.on_register(worker, *registration),
            M::TaskFinished { .. } | M::TaskErred { .. } => self.on_task_end(worker, message),
            M::Reschedule { task, .. } => {
                let (now, name) = (self.clock.now(), self.name_of(worker));
                let end = (task, Outcome::Rescheduled);
                self.observer.unfinished(&self.state, now, &name, end);
                self.pass_on(worker, message);
            }
            M::WorkerStatusChange { status } => {
                let (now, name) = (self.clock.now(), self.name_of(worker));
                self.observer.worker_status(now, &name, status);
                self.pass_on(worker, message);
            }
            M::LongRunning { .. }
            | M::AddKeys { .. }
            | M::ReleaseWorkerData { .. }
            | M::RequestRefreshWhoHas { .. }
            | M::StealResponse { .. }
            | M::SetResources { .. }
            | M::BadReplica { .. } => self.pass_on(worker, message),
            M::Heartbeat(heartbeat) => self.on_heartbeat(worker, *heartbeat),
            M::Transferred(transfer) => {
                if let Some(link) = self.links.get(&worker) {
                    self.observer.transfer(link, worker, *transfer);
                }
            }
            M::OutputWritten { task, target, written } => {
                self.on_output_written(worker, task, &target, *written);
            }
            M::OutputFailed { task, target, reason, mismatch } => {
                let target = *target;
                self.on_output_failed(worker, &FailedWrite { task, target, reason, mismatch });
            }
            M::OutputsSynced { error } => self.on_synced(worker, error),
            M::Warning { text } => {
                let name = self.name_of(worker);
                tracing::warn!(worker = %name, "{text}");
            }
            M::Goodbye => {
                if let Some(link) = self.links.remove(&worker) {
                    self.observer.keep_totals(&link.heartbeat);
                    self.remove(worker, true, None, "said goodbye".to_owned());
                }
            }
        }
    }

    /// Hands a message to the core as the event that it is.
    fn pass_on(&mut self, worker: WorkerId, message: ToScheduler) {
        if let Some(event) = scheduler_event(worker, message) {
            self.handle(event);
        }
    }

    /// A result is in the output folder: it is let go when it has no other place to go.
    fn on_output_written(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        target: &WriteTarget,
        written: Written,
    ) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.wrote = true;
        }
        if self.job.on_written(worker, task, target, written) {
            let tasks = vec![task];
            self.handle(SchedulerEvent::ClientReleasesKeys { client: JOB, tasks });
        }
    }

    fn on_register(&mut self, worker: WorkerId, registration: WorkerRegistration) {
        let Some(sender) = self.unregistered.remove(&worker) else {
            self.drop_worker(worker, "registered twice");
            return;
        };
        self.links.insert(worker, Link::new(sender, registration.clone()));
        let registration = Box::new(registration);
        self.handle(SchedulerEvent::AddWorker { worker, registration });
    }

    /// The core took the worker.
    pub(super) fn accept(&mut self, worker: WorkerId) {
        let threads = self.links.values().map(|link| u64::from(link.registration.nthreads)).sum();
        self.most_workers = self.most_workers.max((self.links.len() as u64, threads));
        if let Some(link) = self.links.get(&worker) {
            let registration = &link.registration;
            tracing::info!(
                worker = %registration.name,
                host = %registration.host,
                pid = registration.pid,
                nthreads = registration.nthreads,
                cpus = %registration.cpus,
                "worker joined"
            );
            self.observer.worker_joined(self.clock.now(), worker, registration);
        }
        self.warn_of_mixed_cpus();
        if self.phase.is_over() {
            self.close_worker(worker);
        }
        self.write_scheduler_file();
    }

    /// Results of linear algebra may then differ in their last bits, by where a task ran: said once.
    fn warn_of_mixed_cpus(&mut self) {
        let mut kinds = self.links.values().map(|link| &link.registration.cpu_features);
        let Some(first) = kinds.next() else { return };
        let Some(other) = kinds.find(|kind| *kind != first) else { return };
        if !std::mem::replace(&mut self.mixed_cpus, true) {
            tracing::warn!(
                "workers have different CPUs ({first}; {other}): linear algebra and fft may differ \
                 in their last bits"
            );
        }
    }

    fn on_task_end(&mut self, worker: WorkerId, message: ToScheduler) {
        let Some(link) = self.links.get(&worker) else { return };
        if self.observer.records_tasks() {
            self.observer.task(&self.state, link, &message);
        }
        if matches!(message, ToScheduler::TaskFinished { .. }) {
            self.last_result = self.clock.now();
        }
        self.pass_on(worker, message);
    }

    fn on_heartbeat(&mut self, worker: WorkerId, heartbeat: Heartbeat) {
        let now = self.clock.now();
        let Some(link) = self.links.get_mut(&worker) else { return };
        link.clock_offset_ns = now.0.cast_signed().wrapping_sub(heartbeat.now_ns.cast_signed());
        link.heartbeat = heartbeat.clone();
        self.pass_on(worker, ToScheduler::Heartbeat(Box::new(heartbeat)));
    }

    /// The connection of a worker ended.
    pub(super) fn on_worker_ended(&mut self, worker: WorkerId, reason: String) {
        self.unregistered.remove(&worker);
        let Some(link) = self.links.get(&worker) else { return };
        let watched = self.nannies.watches(link.registration.nanny);
        if watched {
            self.nannies.expect_report(worker, reason);
        } else {
            self.lose(worker, None, reason);
        }
    }

    /// Ends a worker whose connection is of no more use; its nanny starts another. It is lost when
    /// the nanny has told what it ran: only that may be blamed.
    pub(super) fn drop_worker(&mut self, worker: WorkerId, reason: &str) {
        self.unregistered.remove(&worker);
        self.connections.remove(&worker.0);
        let Some(link) = self.links.get(&worker) else { return };
        if self.nannies.awaits(worker) {
            return;
        }
        tracing::warn!(worker = %link.registration.name, "{reason}");
        let (nanny, slot) = (link.registration.nanny, link.registration.name.clone());
        link.outgoing.abort();
        if !self.nannies.end_worker((nanny, worker), &slot, reason.to_owned()) {
            self.lose(worker, None, reason.to_owned());
        }
    }

    /// Has a worker started again. One that nobody would start stays as it is.
    fn restart_worker(&mut self, worker: WorkerId, reason: &str) {
        let Some(link) = self.links.get(&worker) else { return };
        if self.nannies.watches(link.registration.nanny) {
            self.drop_worker(worker, reason);
        } else {
            let name = &link.registration.name;
            tracing::warn!(worker = %name, "{reason}, and nobody can start it again");
        }
    }

    /// A worker is lost: `executing` is what its nanny says that its threads ran.
    pub(super) fn lose(
        &mut self,
        worker: WorkerId,
        executing: Option<Vec<(TaskId, RunId)>>,
        reason: String,
    ) {
        let Some(link) = self.links.remove(&worker) else { return };
        self.observer.keep_totals(&link.heartbeat);
        if link.leaving.as_ref().is_some_and(super::retiring::Leaving::has_left) {
            self.remove(worker, true, None, reason);
            self.write_scheduler_file();
            return;
        }
        let registration = &link.registration;
        let running = executing.as_deref().unwrap_or_default();
        let keys = self.suspects(running.iter().map(|(task, _)| *task));
        if self.phase.is_over() {
            // Neither named nor noted: the run has its results.
            tracing::debug!(worker = %registration.name, "worker ended: {reason}");
            return;
        }
        let at = if keys.is_empty() { String::new() } else { format!(" while running {keys}") };
        tracing::warn!(
            worker = %registration.name,
            host = %registration.host,
            pid = registration.pid,
            "worker lost: {reason}{at}; what it held is computed again where needed"
        );
        let now = self.clock.now();
        self.observer.worker_lost(now, registration, &reason);
        self.observer.lost_transfers(now, &link, worker);
        self.observer.lost_tasks(&self.state, now, &registration.name, running);
        self.miss_supervisor_of(registration);
        self.remove(worker, false, executing, reason);
        self.write_scheduler_file();
    }

    fn remove(
        &mut self,
        worker: WorkerId,
        expected: bool,
        executing: Option<Vec<(TaskId, RunId)>>,
        reason: String,
    ) {
        self.forget_sync(worker);
        self.introductions.forget(worker);
        if self.phase.is_over() {
            // What it held would be sent elsewhere to be computed again.
            return;
        }
        self.handle(SchedulerEvent::RemoveWorker { worker, expected, executing, reason });
        for task in self.job.on_worker_lost(worker) {
            self.order_writes(task);
        }
    }

    /// A client's report from the core.
    pub(super) fn on_report(&mut self, report: Report) {
        match report {
            Report::KeyInMemory(task) => self.order_writes(task),
            Report::LostData(task) => self.job.on_lost_data(task),
            Report::TaskErred(task) => {
                self.job.on_erred(task);
                self.on_failure(task);
            }
            Report::Restart(worker, reason) => self.restart_worker(worker, &reason),
            Report::Idle => {}
        }
    }

    /// Lets a holder write what is due of a key.
    pub(super) fn order_writes(&mut self, task: TaskId) {
        let holders: Vec<WorkerId> =
            self.state.who_has(task).filter(|holder| self.links.contains_key(holder)).collect();
        for order in self.job.on_key_in_memory(task, &holders) {
            let message = ToWorker::WriteOutput { task: order.task, target: order.target };
            self.send(order.worker, &message);
        }
    }

    /// Workers that do not read what they are sent are dead.
    pub(super) fn drop_slow_workers(&mut self, now: Instant) {
        let limit = Duration::from_nanos(self.options.config.tcp_timeout_ns);
        let mut slow = Vec::new();
        for (worker, link) in &mut self.links {
            if !link.outgoing.is_blocked() {
                link.blocked_since = None;
            } else if now.duration_since(*link.blocked_since.get_or_insert(now)) > limit {
                slow.push(*worker);
            }
        }
        for worker in slow {
            self.drop_worker(worker, "does not read what it is sent");
        }
    }

    /// Name of a worker for messages.
    pub(super) fn name_of(&self, worker: WorkerId) -> String {
        self.links
            .get(&worker)
            .map_or_else(|| worker.0.to_string(), |link| link.registration.name.clone())
    }

    /// Keys for a message: at most ten, then a count.
    pub(super) fn keys_of(&self, tasks: impl Iterator<Item = TaskId>) -> String {
        let Some(graph) = &self.graph else { return String::new() };
        list_keys(tasks.map(|task| graph.key(task)))
    }

    /// The same of tasks that ran when their worker died, with the plugins that may be to blame.
    fn suspects(&self, tasks: impl Iterator<Item = TaskId>) -> String {
        let Some(graph) = &self.graph else { return String::new() };
        list(tasks.map(|task| graph.suspect(task)))
    }
}

/// At most ten quoted keys, then how many more there are.
pub(super) fn list_keys<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    list(keys.map(quoted))
}

/// At most ten names, then how many more there are.
pub(super) fn list(names: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let (mut text, mut count) = (String::new(), 0_usize);
    for name in names {
        count += 1;
        if count <= SHOWN {
            if count > 1 {
                text.push_str(", ");
            }
            text.push_str(&name);
        }
    }
    if count > SHOWN {
        text.push_str(&format!(" and {} more", count - SHOWN));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::list_keys;

    fn listed(count: usize) -> String {
        let keys: Vec<String> = (0..count).map(|key| format!("x-{key}")).collect();
        list_keys(keys.iter().map(String::as_str))
    }

    #[test]
    fn ten_keys_are_named_and_the_rest_counted() {
        assert_eq!(listed(0), "");
        assert_eq!(listed(1), "'x-0'");
        assert_eq!(listed(3), "'x-0', 'x-1', 'x-2'");
        let ten = "'x-0', 'x-1', 'x-2', 'x-3', 'x-4', 'x-5', 'x-6', 'x-7', 'x-8', 'x-9'";
        assert_eq!(listed(10), ten);
        assert_eq!(listed(11), format!("{ten} and 1 more"));
        assert_eq!(listed(1000), format!("{ten} and 990 more"));
    }
}
