//! What a run tells while it goes on: events, progress, totals for the summary.

use super::link::Link;
use super::{LoadedGraph, SchedulerOptions};
use crate::observe::events::EventWriter;
use crate::observe::progress::Progress;
use rdask_core::ids::{RunId, TaskId, WorkerId};
use rdask_core::messages::{Heartbeat, ToScheduler, TransferReport, WorkerRegistration};
use rdask_core::scheduler::SchedulerState;
use rdask_core::time::Time;
use rustc_hash::FxHashMap;
use serde_json::json;
use std::sync::Arc;

/// Interval of `state` events.
const STATE_INTERVAL_NS: u64 = 1_000_000_000;

/// Everything that watches a run.
pub(super) struct Observer {
    events: Option<EventWriter>,
    progress: Progress,
    graph: Option<Arc<rdask_core::graph::Graph>>,
    last_state: Time,
    /// Totals of workers that are gone.
    received: [u64; 4],
    peak_rss_bytes: u64,
}

impl Observer {
    pub(super) fn new(options: &SchedulerOptions) -> Self {
        Self {
            events: options.events.as_deref().map(EventWriter::create),
            progress: Progress::new(options.progress),
            graph: None,
            last_state: Time(0),
            received: [0; 4],
            peak_rss_bytes: 0,
        }
    }

    /// Task ends are written down.
    pub(super) fn records_tasks(&self) -> bool {
        self.events.is_some()
    }

    fn write(&mut self, event: &serde_json::Value) {
        if let Some(events) = &mut self.events {
            events.write(event);
        }
    }

    fn key(&self, task: TaskId) -> &str {
        self.graph.as_ref().map_or("", |graph| graph.key(task))
    }

    pub(super) fn worker_joined(&mut self, now: Time, worker: &WorkerRegistration) {
        self.write(&json!({
            "time": now.as_secs_f64(), "event": "worker_joined", "worker": worker.name,
            "host": worker.host, "pid": worker.pid,
        }));
    }

    pub(super) fn worker_lost(&mut self, now: Time, worker: &WorkerRegistration, reason: &str) {
        self.write(&json!({
            "time": now.as_secs_f64(), "event": "worker_lost", "worker": worker.name,
            "host": worker.host, "pid": worker.pid, "reason": reason,
        }));
    }

    pub(super) fn graph_begins(
        &mut self,
        now: Time,
        loaded: &LoadedGraph,
        options: &SchedulerOptions,
    ) {
        self.graph = Some(Arc::clone(&loaded.graph));
        self.progress.begin(loaded.graph.len() as u64);
        let utc = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        self.write(&json!({
            "time": now.as_secs_f64(), "event": "graph", "phase": "begin", "utc": utc,
            "path": options.graph_path, "tasks": loaded.graph.len(),
            "content_hash": crate::output::hash::text(loaded.content_hash),
        }));
    }

    pub(super) fn graph_ends(&mut self, now: Time) {
        self.progress.end();
        self.write(&json!({ "time": now.as_secs_f64(), "event": "graph", "phase": "end" }));
        if let Some(events) = &mut self.events {
            events.flush();
        }
    }

    /// The end of a run, as its worker reports it.
    pub(super) fn task(
        &mut self,
        state: &SchedulerState,
        link: &Link,
        message: &ToScheduler,
    ) {
        let (task, thread, start_ns, stop_ns, nbytes, outcome) = match message {
            ToScheduler::TaskFinished { task, thread, start_ns, stop_ns, nbytes, .. } => {
                (*task, *thread, *start_ns, *stop_ns, *nbytes, "finished")
            }
            ToScheduler::TaskErred { task, thread, start_ns, stop_ns, .. } => {
                (*task, *thread, *start_ns, *stop_ns, 0, "erred")
            }
            _ => return,
        };
        let stop = link.on_our_clock_s(stop_ns);
        let event = json!({
            "time": stop, "event": "task", "key": self.key(task),
            "worker": link.registration.name, "thread": thread,
            "attempt": state.attempt_of(task), "start": link.on_our_clock_s(start_ns),
            "stop": stop, "nbytes": nbytes, "outcome": outcome,
        });
        self.write(&event);
    }

    /// A task gave itself back.
    pub(super) fn reschedule(
        &mut self,
        state: &SchedulerState,
        now: Time,
        worker: &str,
        task: TaskId,
    ) {
        self.unfinished(state, now, worker, task, "rescheduled");
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
            self.unfinished(state, now, worker, *task, "lost");
        }
    }

    fn unfinished(
        &mut self,
        state: &SchedulerState,
        now: Time,
        worker: &str,
        task: TaskId,
        outcome: &str,
    ) {
        if self.events.is_none() {
            return;
        }
        let event = json!({
            "time": now.as_secs_f64(), "event": "task", "key": self.key(task),
            "worker": worker, "thread": 0, "attempt": state.attempt_of(task),
            "start": now.as_secs_f64(), "stop": now.as_secs_f64(), "nbytes": 0,
            "outcome": outcome,
        });
        self.write(&event);
    }

    pub(super) fn transfer(
        &mut self,
        to: &Link,
        links: &FxHashMap<WorkerId, Link>,
        transfer: &TransferReport,
    ) {
        let keys: Vec<&str> = transfer.tasks.iter().map(|task| self.key(*task)).collect();
        let from = links
            .get(&transfer.from)
            .map_or_else(|| transfer.from.0.to_string(), |link| link.registration.name.clone());
        let stop = to.on_our_clock_s(transfer.stop_ns);
        let event = json!({
            "time": stop, "event": "transfer", "keys": keys, "from": from,
            "to": to.registration.name, "path": transfer.path, "nbytes": transfer.nbytes,
            "start": to.on_our_clock_s(transfer.start_ns), "stop": stop,
        });
        self.write(&event);
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
    pub(super) fn totals(&self, links: &FxHashMap<WorkerId, Link>) -> ([u64; 4], u64) {
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
        links: &FxHashMap<WorkerId, Link>,
    ) {
        self.progress.update(state.finished_count(), state.erred_count(), links.len());
        if self.events.is_none() || now.since(self.last_state) < STATE_INTERVAL_NS {
            return;
        }
        self.last_state = now;
        let mut workers: Vec<(&WorkerId, &Link)> = links.iter().collect();
        workers.sort_unstable_by_key(|(worker, _)| **worker);
        let workers: Vec<serde_json::Value> = workers
            .into_iter()
            .map(|(worker, link)| {
                json!({
                    "worker": link.registration.name, "memory": link.heartbeat.rss_bytes,
                    "managed": link.heartbeat.managed_bytes,
                    "occupancy": state.occupancy_s(*worker),
                    "processing": state.processing(*worker).count(),
                    "ready": link.heartbeat.ready_count,
                })
            })
            .collect();
        let event = json!({
            "time": now.as_secs_f64(), "event": "state", "workers": workers,
            "queued": state.queued_count(), "finished": state.finished_count(),
        });
        self.write(&event);
        if let Some(events) = &mut self.events {
            events.flush();
        }
    }
}
