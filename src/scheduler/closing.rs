//! The phases of a job and how it comes to its end.
//!
//! ```text
//!   Starting ─▶ Running ─▶ Syncing ─▶ Dismissing ─▶ Leaving ─▶ Ended
//!      │           │          every worker   workers say     nannies say
//!      └───────────┴────────▶ has synced     goodbye         goodbye
//!      fault, stop, nobody left: straight to Dismissing
//! ```
//! Each phase but Running has a deadline, so that a run ends whatever the others do.

use super::driver::{Driver, JOB};
use super::workers::{list, list_keys};
use super::{LoadedGraph, Verdict};
use crate::user_error::UserError;
use rdask_core::graph::Attributes;
use rdask_core::ids::{TaskId, WorkerId};
use rdask_core::messages::{ToWorker, WriteTarget};
use rdask_core::scheduler::{GraphSubmission, SchedulerEvent};
use std::time::{Duration, Instant};

/// Syncing may take this long.
const SYNC_LIMIT: Duration = Duration::from_secs(600);
/// Workers have this long to say goodbye.
const DISMISS_LIMIT: Duration = Duration::from_secs(1);
/// Supervisors have this long to say goodbye.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// The same after a signal: all is over within 3 s of its arrival.
const LEAVE_LIMIT_STOPPED: Duration = Duration::from_millis(1200);

/// Where the job stands.
#[derive(Debug)]
pub(super) enum Phase {
    /// Waiting for the graph and the workers.
    Starting,
    /// The graph is submitted.
    Running,
    /// Workers sync what they wrote.
    Syncing {
        /// Who has not answered.
        waiting: Vec<WorkerId>,
        /// Until then.
        deadline: Instant,
    },
    /// Workers end.
    Dismissing {
        /// Until then.
        deadline: Instant,
    },
    /// Supervisors end.
    Leaving {
        /// Until then.
        deadline: Instant,
    },
    /// Over.
    Ended(Verdict),
}

/// Why a run does not end well.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Exit code; 0 while all is well.
    pub(super) code: i32,
    /// Lines for stderr.
    pub(super) lines: Vec<String>,
    /// A signal or the supervisor wants a quick end.
    pub(super) stopped: bool,
}

impl Phase {
    /// The job's end has begun.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Dismissing { .. } | Self::Leaving { .. } | Self::Ended(_))
    }
}

impl Driver {
    /// Looks whether the job can go on to its next phase.
    pub(super) fn advance(&mut self, now: Instant) {
        match &self.phase {
            Phase::Starting => self.try_start(now),
            Phase::Running => {
                if self.is_finished() {
                    self.begin_sync(now);
                }
            }
            Phase::Syncing { waiting, deadline } => {
                if waiting.is_empty() {
                    self.dismiss(now);
                } else if *deadline <= now {
                    self.fail(3, "workers did not sync their files in time", None);
                    self.dismiss(now);
                }
            }
            Phase::Dismissing { deadline } => {
                if self.links.is_empty() || *deadline <= now {
                    self.leave(now);
                }
            }
            Phase::Leaving { deadline } => {
                if self.nannies.all_gone() || *deadline <= now {
                    let verdict = self.verdict();
                    self.phase = Phase::Ended(verdict);
                }
            }
            Phase::Ended(_) => {}
        }
    }

    /// Deadlines and progress.
    pub(super) fn tick(&mut self, now: Instant) {
        self.lose_overdue(now);
        self.drop_slow_workers(now);
        for task in self.job.due(now) {
            self.order_writes(task);
        }
        if matches!(self.phase, Phase::Starting | Phase::Running) {
            self.check_slots();
        }
        let time = self.clock.now();
        self.observer.tick(time, &self.state, &self.links);
    }

    /// Nobody can work any more when every slot is given up.
    fn check_slots(&mut self) {
        let given_up = self.nannies.given_up();
        if given_up.is_empty() || given_up.len() < self.options.workers.len() {
            return;
        }
        let reasons: Vec<String> = given_up
            .iter()
            .take(10)
            .map(|(slot, reason)| format!("worker {slot}: {reason}"))
            .collect();
        let what = format!("no worker is left ({})", reasons.join("; "));
        let help = "see the workers' messages above; --log debug shows more";
        self.fail(3, &what, Some(help));
        self.dismiss(Instant::now());
    }

    fn try_start(&mut self, now: Instant) {
        if self.loaded.is_none() {
            return;
        }
        let expected = self.options.workers.len();
        let given_up = self.nannies.given_up().len();
        let arrived = self.links.len();
        let late = now.duration_since(self.started) >= self.options.startup_timeout;
        if arrived + given_up < expected && !late {
            return;
        }
        if late && arrived == 0 {
            self.fail_without_workers();
            self.nannies.expect_no_more();
            self.dismiss(now);
            return;
        }
        if arrived == 0 {
            return;
        }
        if arrived < expected {
            let missing = self.missing_workers();
            tracing::warn!("starting without {missing}: not registered in time");
            self.nannies.expect_no_more();
        }
        let Some(loaded) = self.loaded.take() else { return };
        self.start(*loaded);
    }

    fn fail_without_workers(&mut self) {
        let seconds = self.options.startup_timeout.as_secs_f64();
        let missing = self.missing_workers();
        let what = format!("{missing} did not register within {seconds} s (--startup-timeout)");
        let ranks = self.nannies.missing();
        let help = if ranks.is_empty() {
            "their supervisors are there: see the workers' messages above".to_owned()
        } else {
            format!(
                "their supervisors are not there either (rank {}): look for messages of the \
                 launcher, or choose the network with --interface",
                ranks.iter().take(10).map(u32::to_string).collect::<Vec<_>>().join(", ")
            )
        };
        self.fail(3, &what, Some(&help));
    }

    /// Names the workers that have not registered.
    fn missing_workers(&self) -> String {
        let here = |name: &str| self.links.values().any(|link| link.registration.name == name);
        let missing: Vec<String> = self
            .options
            .workers
            .iter()
            .filter(|worker| !here(&worker.name))
            .map(|worker| format!("worker {} ({})", worker.name, worker.host))
            .collect();
        let (shown, count) = (missing.len().min(10), missing.len());
        let mut text = missing[..shown].join(", ");
        if count > shown {
            text.push_str(&format!(" and {} more", count - shown));
        }
        text
    }

    fn start(&mut self, loaded: LoadedGraph) {
        let wishes = match self.prepare_delivery(&loaded) {
            Ok(wishes) => wishes,
            Err(refusal) => {
                self.refuse_error(&refusal.error);
                self.trouble.code = if refusal.disk_is_full { 3 } else { 2 };
                return;
            }
        };
        let submission = GraphSubmission {
            client: JOB,
            graph: loaded.graph,
            order: loaded.order,
            wanted: wishes.wanted,
            run_once: wishes.run_once,
        };
        if let Some(unsatisfiable) = self.state.unsatisfiable(&submission) {
            self.abandon_delivery();
            let key = submission.graph.key(unsatisfiable.task);
            let what =
                format!("no worker can run task '{key}': it asks for {}", unsatisfiable.asks);
            let mut help = format!("the largest worker is {}", unsatisfiable.largest_worker);
            help.push_str(&self.more_help(submission.graph.attributes_of(unsatisfiable.task)));
            self.refuse(&what, Some(&help));
            return;
        }
        self.handle(SchedulerEvent::AllWorkersArrived);
        self.phase = Phase::Running;
        self.submit(submission);
    }

    /// What else helps when no worker is what a task asks for.
    fn more_help(&self, asked: Option<&Attributes>) -> String {
        let Some(asked) = asked else { return String::new() };
        let mut text = String::new();
        if !asked.workers.is_empty() || !asked.hosts.is_empty() {
            let mut here: Vec<(&str, &str)> = self
                .links
                .values()
                .map(|link| (link.registration.name.as_str(), link.registration.host.as_str()))
                .collect();
            here.sort_unstable_by_key(|(name, _)| (name.len(), *name));
            let here = list(here.iter().map(|(name, host)| format!("{name} on {host}")));
            text.push_str(&format!("; the workers are {here}"));
        }
        if !asked.resources.is_empty() {
            text.push_str("; --resources NAME=AMOUNT says what each worker has");
        }
        text
    }

    fn is_finished(&self) -> bool {
        if self.trouble.code != 0 && !self.options.keep_going {
            return !self.job.writing();
        }
        self.job.is_done() && self.state.is_idle()
    }

    fn begin_sync(&mut self, now: Instant) {
        let mut waiting = Vec::new();
        if self.syncs_at_end() {
            for (worker, link) in &mut self.links {
                if link.wrote {
                    link.outgoing.send(&ToWorker::SyncOutputs);
                    waiting.push(*worker);
                }
            }
        }
        self.phase = Phase::Syncing { waiting, deadline: now + SYNC_LIMIT };
        self.advance(now);
    }

    pub(super) fn on_synced(&mut self, worker: WorkerId, error: Option<String>) {
        if let Some(error) = error {
            self.fail(3, &format!("results could not be synced: {error}"), None);
        }
        self.forget_sync(worker);
    }

    /// A worker has synced, or never will.
    pub(super) fn forget_sync(&mut self, worker: WorkerId) {
        if let Phase::Syncing { waiting, .. } = &mut self.phase {
            waiting.retain(|other| *other != worker);
        }
    }

    /// Ends the workers.
    pub(super) fn dismiss(&mut self, now: Instant) {
        if self.phase.is_over() {
            return;
        }
        self.phase = Phase::Dismissing { deadline: now + DISMISS_LIMIT };
        for link in self.links.values_mut() {
            link.outgoing.send(&ToWorker::Close { reason: "the job is over".to_owned() });
        }
        if self.links.is_empty() {
            self.leave(now);
        }
    }

    /// Puts the results in their final place and ends the supervisors.
    fn leave(&mut self, now: Instant) {
        self.finish_delivery();
        self.remove_scheduler_file();
        self.nannies.close("the job is over");
        let limit = if self.trouble.stopped { LEAVE_LIMIT_STOPPED } else { LEAVE_LIMIT };
        self.phase = Phase::Leaving { deadline: now + limit };
    }

    fn verdict(&mut self) -> Verdict {
        let summary = self.began.map(|_| self.summary());
        self.observer.graph_ends(self.clock.now());
        Verdict { code: self.trouble.code, message: self.trouble.lines.join("\n"), summary }
    }

    /// A wanted key erred.
    pub(super) fn on_failure(&mut self, task: TaskId) {
        let (Some(graph), Some(failure)) = (self.graph.clone(), self.state.error_of(task)) else {
            return;
        };
        let root = failure.root;
        if self.reported.contains(&root) {
            return;
        }
        self.reported.push(root);
        let inputs = graph.inputs.row(root);
        let mut place = String::new();
        if !inputs.is_empty() {
            place = format!("inputs {}", list_keys(inputs.iter().map(|input| graph.key(*input))));
        }
        let dependents = self.state.dependents_affected(root);
        if !dependents.is_empty() {
            let keys = list_keys(dependents.iter().map(|task| graph.key(*task)));
            place.push_str(if place.is_empty() { "" } else { "; " });
            place.push_str(&format!("not computed because of it: {keys}"));
        }
        let what = format!(
            "task '{}' failed: {}: {}",
            graph.key(root),
            failure.error.kind,
            failure.error.message
        );
        let what = if place.is_empty() { what } else { format!("{what} ({place})") };
        let help = if failure.error.kind == "MemoryError" {
            Some("give each worker more with --memory-limit, or make this array in smaller blocks")
        } else {
            (!self.options.keep_going && self.reported.len() == 1)
                .then_some("what is finished is kept; --keep-going computes what does not need it")
        };
        self.fail(1, &what, help);
    }

    /// A write failed.
    pub(super) fn on_output_failed(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        target: &WriteTarget,
        reason: &str,
        mismatch: bool,
    ) {
        use super::job::Failed;
        let held = !reason.is_empty();
        match self.job.on_failed(worker, task, target, reason, mismatch) {
            Failed::Retry => {
                if held {
                    let key = self.keys_of(std::iter::once(task));
                    tracing::warn!("writing {key} failed and is tried again: {reason}");
                } else {
                    self.order_writes(task);
                }
            }
            Failed::GivenUp => {
                let key = self.keys_of(std::iter::once(task));
                let folder = self.output_folder();
                let what = format!("the result of {key} cannot be written: {reason} ({folder})");
                let help = "results that are whole stay; free space in the output folder or choose \
                            another with --output";
                self.fail(3, &what, Some(help));
                self.dismiss(Instant::now());
            }
            Failed::Mismatch => {
                let key = self.keys_of(std::iter::once(task));
                let what = format!("task {key} failed: ValueError: {reason}");
                self.job.on_erred(task);
                let help = "the array's chunks or the task are wrong in the graph";
                self.fail(1, &what, Some(help));
                let tasks = vec![task];
                self.handle(SchedulerEvent::ClientReleasesKeys { client: JOB, tasks });
            }
        }
    }

    /// Notes that the run does not end well; the first code stays, except that 3 outdoes 1.
    pub(super) fn fail(&mut self, code: i32, what: &str, help: Option<&str>) {
        if self.trouble.code == 0 || code == 3 {
            self.trouble.code = code;
        }
        self.trouble.lines.push(format!("error: {what}"));
        if let Some(help) = help {
            self.trouble.lines.push(format!("help: {help}"));
        }
    }

    /// The graph or the options are wrong: nothing is run.
    pub(super) fn refuse(&mut self, what: &str, help: Option<&str>) {
        if self.phase.is_over() {
            return;
        }
        self.fail(2, what, help);
        self.dismiss(Instant::now());
    }

    pub(super) fn refuse_error(&mut self, error: &UserError) {
        self.trouble.code = 2;
        self.trouble.lines.push(error.to_string());
        self.dismiss(Instant::now());
    }

    /// A stop signal arrived somewhere, or the supervisor is gone.
    pub(super) fn stop(&mut self, reason: String) {
        if self.trouble.stopped || matches!(self.phase, Phase::Leaving { .. } | Phase::Ended(_)) {
            return;
        }
        self.trouble.stopped = true;
        let what = format!("stopped by {reason}; results that are whole stay");
        self.fail(3, &what, None);
        let now = Instant::now();
        self.dismiss(now);
    }
}
