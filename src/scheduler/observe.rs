//! What a run tells while it goes on: events, progress, totals for the summary.

use super::SchedulerOptions;
use super::link::Link;
use crate::observe::events::{Event, EventWriter, Outcome, Phase, WorkerState, utc_now};
use crate::observe::progress::{ProgressDisplay, Standing};
use rdask_core::graph::Graph;
use rdask_core::ids::{RunId, TaskId, TransferId, WorkerId};
use rdask_core::messages::{
    Heartbeat, ToScheduler, TransferOutcome, TransferReport, WorkerRegistration, WorkerStatus,
};
use rdask_core::scheduler::{SchedulerState, TaskState};
use rdask_core::time::Time;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Interval of `state` events.
const STATE_INTERVAL_NS: u64 = 1_000_000_000;

/// Everything that watches a run.
pub(super) struct Observer {
    events: Option<EventWriter>,
    progress: ProgressDisplay,
    graph: Option<Arc<Graph>>,
    graph_path: String,
    needed: u64,
    last_state: Time,
    /// Names of all workers that ever joined: transfers from a dead one still end.
    names: BTreeMap<WorkerId, String>,
    /// Transfers under way, when they are written down.
    transfers: BTreeMap<(WorkerId, TransferId), TransferReport>,
    /// Totals of workers that are gone.
    received: [u64; 4],
    peak_rss_bytes: u64,
}

impl Observer {
    /// Watches a run that has not begun; nothing is opened.
    pub(super) fn new(options: &SchedulerOptions) -> Self {
        Self {
            events: None,
            progress: ProgressDisplay::new(options.progress),
            graph: None,
            graph_path: options.graph_path.clone(),
            needed: 0,
            last_state: Time(0),
            names: BTreeMap::default(),
            transfers: BTreeMap::default(),
            received: [0; 4],
            peak_rss_bytes: 0,
        }
    }

    /// Opens the event file, if one was asked for.
    pub(super) fn open_events(&mut self, path: Option<&Path>) -> std::io::Result<()> {
        self.events = path.map(EventWriter::create).transpose()?;
        Ok(())
    }

    /// Task ends are written down.
    pub(super) fn records_tasks(&self) -> bool {
        self.events.is_some()
    }

    fn write(&mut self, time: f64, event: &Event<'_>) {
        if let Some(events) = &mut self.events {
            events.write(time, event);
        }
    }

    pub(super) fn worker_joined(
        &mut self,
        now: Time,
        number: WorkerId,
        worker: &WorkerRegistration,
    ) {
        self.names.insert(number, worker.name.clone());
        let (host, pid) = (worker.host.as_str(), worker.pid);
        let event = Event::WorkerJoined { worker: &worker.name, host, pid };
        self.write(now.as_secs_f64(), &event);
    }

    pub(super) fn worker_lost(&mut self, now: Time, worker: &WorkerRegistration, reason: &str) {
        let (host, pid) = (worker.host.as_str(), worker.pid);
        let event = Event::WorkerLost { worker: &worker.name, host, pid, reason };
        self.write(now.as_secs_f64(), &event);
    }

    pub(super) fn worker_retired(&mut self, now: Time, worker: &WorkerRegistration, why: &str) {
        let (host, pid) = (worker.host.as_str(), worker.pid);
        let event = Event::WorkerRetired { worker: &worker.name, host, pid, reason: why };
        self.write(now.as_secs_f64(), &event);
    }

    pub(super) fn worker_status(&mut self, now: Time, worker: &str, status: WorkerStatus) {
        let status = match status {
            WorkerStatus::Running => "running",
            WorkerStatus::Paused => "paused",
            WorkerStatus::ClosingGracefully => "closing_gracefully",
        };
        self.write(now.as_secs_f64(), &Event::WorkerStatus { worker, status });
    }

    /// `needed` tasks of it will be run.
    pub(super) fn graph_begins(&mut self, now: Time, graph: Option<&Arc<Graph>>, needed: u64) {
        self.graph = graph.map(Arc::clone);
        self.needed = needed;
        self.graph_event(now, Phase::Begin, Some(utc_now()));
    }

    pub(super) fn graph_ends(&mut self, now: Time) {
        self.progress.finish();
        if self.graph.is_some() {
            self.graph_event(now, Phase::End, None);
        }
        if let Some(events) = &mut self.events {
            events.flush();
        }
    }

    fn graph_event(&mut self, now: Time, phase: Phase, utc: Option<String>) {
        let tasks = self.graph.as_ref().map_or(0, |graph| graph.len() as u64);
        let path = std::mem::take(&mut self.graph_path);
        let event = Event::Graph { phase, graph: &path, tasks, utc };
        self.write(now.as_secs_f64(), &event);
        self.graph_path = path;
    }

    /// The end of a run, as its worker reports it.
    pub(super) fn task(&mut self, state: &SchedulerState, link: &Link, message: &ToScheduler) {
        let (task, thread, start_ns, stop_ns, nbytes, outcome) = match message {
            ToScheduler::TaskFinished { task, thread, start_ns, stop_ns, nbytes, .. } => {
                (*task, *thread, *start_ns, *stop_ns, *nbytes, Outcome::Finished)
            }
            ToScheduler::TaskErred { task, thread, start_ns, stop_ns, .. } => {
                (*task, *thread, *start_ns, *stop_ns, 0, Outcome::Erred)
            }
            _ => return,
        };
        let Some(graph) = self.graph.clone() else { return };
        let (start, stop) = (link.on_our_clock_s(start_ns), link.on_our_clock_s(stop_ns));
        let event = Event::Task {
            key: graph.key(task),
            worker: &link.registration.name,
            thread,
            attempt: state.attempt_of(task),
            start,
            stop,
            nbytes,
            outcome,
        };
        self.write(stop, &event);
    }

    /// A run that gave no result: it gave itself back, or its worker died.
    pub(super) fn unfinished(
        &mut self,
        state: &SchedulerState,
        now: Time,
        worker: &str,
        (task, outcome): (TaskId, Outcome),
    ) {
        let (Some(graph), true) = (self.graph.clone(), self.events.is_some()) else { return };
        let now = now.as_secs_f64();
        let event = Event::Task {
            key: graph.key(task),
            worker,
            thread: 0,
            attempt: state.attempt_of(task),
            start: now,
            stop: now,
            nbytes: 0,
            outcome,
        };
        self.write(now, &event);
    }

    /// Tasks whose worker died while it ran them.
    pub(super) fn lost_tasks(
        &mut self,
        state: &SchedulerState,
        now: Time,
        worker: &str,
        tasks: &[(TaskId, RunId)],
    ) {
        for (task, _) in tasks {
            self.unfinished(state, now, worker, (*task, Outcome::Lost));
        }
    }

    /// A task was stolen.
    pub(super) fn steal(&mut self, now: Time, task: TaskId, from: WorkerId, to: WorkerId) {
        let (Some(graph), true) = (self.graph.clone(), self.events.is_some()) else { return };
        let name = |worker| self.names.get(&worker).cloned().unwrap_or_default();
        let (from, to) = (name(from), name(to));
        let event = Event::Steal { key: graph.key(task), from: &from, to: &to };
        self.write(now.as_secs_f64(), &event);
    }

    /// A transfer began or ended at `to`.
    pub(super) fn transfer(&mut self, to: &Link, receiver: WorkerId, report: TransferReport) {
        let outcome = match report.outcome {
            TransferOutcome::Started => {
                self.transfers.insert((receiver, report.transfer), report);
                return;
            }
            TransferOutcome::Finished => Outcome::Finished,
            TransferOutcome::Failed => Outcome::Erred,
        };
        self.transfers.remove(&(receiver, report.transfer));
        self.write_transfer(to, &report, outcome);
    }

    /// A worker died: so did the transfers to it.
    pub(super) fn lost_transfers(&mut self, now: Time, to: &Link, receiver: WorkerId) {
        let of_receiver = |(worker, _): &(WorkerId, TransferId)| *worker == receiver;
        let keys: Vec<_> = self.transfers.keys().copied().filter(of_receiver).collect();
        for key in keys {
            if let Some(mut report) = self.transfers.remove(&key) {
                report.stop_ns = to.on_its_clock_ns(now);
                self.write_transfer(to, &report, Outcome::Lost);
            }
        }
    }

    fn write_transfer(&mut self, to: &Link, report: &TransferReport, outcome: Outcome) {
        let Some(graph) = self.graph.clone() else { return };
        let keys: Vec<&str> = report.tasks.iter().map(|task| graph.key(*task)).collect();
        let from = self.names.get(&report.from).cloned().unwrap_or_default();
        let stop = to.on_our_clock_s(report.stop_ns);
        let event = Event::Transfer {
            keys: &keys,
            from: &from,
            to: &to.registration.name,
            path: &report.path,
            nbytes: report.nbytes,
            start: to.on_our_clock_s(report.start_ns),
            stop,
            outcome,
        };
        self.write(stop, &event);
    }

    /// Counters of a worker that ends.
    pub(super) fn keep_totals(&mut self, heartbeat: &Heartbeat) {
        for (total, received) in self.received.iter_mut().zip(heartbeat.received_bytes) {
            *total += received;
        }
        self.peak_rss_bytes = self.peak_rss_bytes.max(heartbeat.peak_rss_bytes);
    }

    /// Bytes received over each path (same process, shared memory, UCX, TCP) and the largest peak of
    /// resident bytes of a worker.
    pub(super) fn totals(&self, links: &BTreeMap<WorkerId, Link>) -> ([u64; 4], u64) {
        let (mut received, mut peak) = (self.received, self.peak_rss_bytes);
        for link in links.values() {
            for (total, more) in received.iter_mut().zip(link.heartbeat.received_bytes) {
                *total += more;
            }
            peak = peak.max(link.heartbeat.peak_rss_bytes);
        }
        (received, peak)
    }

    /// Shows progress, and once a second writes the workers' state down.
    pub(super) fn tick(
        &mut self,
        now: Time,
        state: &SchedulerState,
        links: &BTreeMap<WorkerId, Link>,
    ) {
        if self.graph.is_none() {
            return;
        }
        self.progress.update(&Standing {
            done: state.finished_count(),
            total: self.needed,
            erred: state.erred_count(),
            workers: links.len() as u64,
            moved_bytes: self.totals(links).0.iter().sum(),
        });
        // Whoever follows the file sees what happened although nothing more does.
        let Some(events) = &mut self.events else { return };
        events.flush();
        if now.since(self.last_state) < STATE_INTERVAL_NS {
            return;
        }
        self.last_state = now;
        let workers: Vec<WorkerState<'_>> = links
            .iter()
            .map(|(worker, link)| WorkerState {
                worker: &link.registration.name,
                memory: link.heartbeat.rss_bytes,
                managed: link.heartbeat.managed_bytes,
                occupancy: state.occupancy_s(*worker),
                executing: link.heartbeat.executing.len() as u64,
                ready: u64::from(link.heartbeat.ready_count),
                processing: state.processing(*worker).count() as u64,
            })
            .collect();
        let event = Event::State {
            workers: &workers,
            waiting: state.count_in(TaskState::Waiting),
            queued: state.queued_count(),
            no_worker: state.count_in(TaskState::NoWorker),
        };
        self.write(now.as_secs_f64(), &event);
    }
}
