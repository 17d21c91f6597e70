//! The phases of a job and how it comes to its end.
//!
//! ```text
//!   Starting ─▶ Running ─▶ Syncing ─▶ Dismissing ─▶ Leaving ─▶ Ended
//!      │           │          every worker   workers say     nannies say
//!      └───────────┴────────▶ has synced     goodbye         goodbye
//!      fault, stop, nobody left: straight to Dismissing
//! ```
//! Each phase but Running has a deadline, so that a run ends whatever the others do.

use super::deliver::quoted_lines;
use super::driver::{Driver, JOB};
use super::job::{Failed, FailedWrite};
use super::workers::{list, list_keys};
use super::{Delivery, LoadedGraph, OnAccepted, Verdict};
use crate::user_error::UserError;
use rdask_core::graph::Attributes;
use rdask_core::ids::{TaskId, WorkerId};
use rdask_core::messages::ToWorker;
use rdask_core::scheduler::{GraphSubmission, SchedulerEvent};
use std::time::{Duration, Instant};

/// Syncing may take this long.
const SYNC_LIMIT: Duration = Duration::from_secs(600);
/// Workers have this long to say goodbye.
const DISMISS_LIMIT: Duration = Duration::from_secs(1);
/// Supervisors have this long to say goodbye.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);
/// After a signal both are short: Open MPI's mpirun kills 1 s after its TERM.
const STOPPED_DISMISS_LIMIT: Duration = Duration::from_millis(300);
/// See `STOPPED_DISMISS_LIMIT`.
const STOPPED_LEAVE_LIMIT: Duration = Duration::from_millis(500);

/// Failed tasks that are told of one by one; the rest is counted.
const FAILURES_SHOWN: usize = 10;

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
            self.lose_supervisors(now);
            self.check_slots();
        }
        let time = self.clock.now();
        self.observer.tick(time, &self.state, &self.links);
    }

    /// Nobody can work any more when every slot is given up.
    fn check_slots(&mut self) {
        let given_up = self.nannies.given_up();
        let all = given_up.len() >= self.options.workers.len();
        // One may be back since: a supervisor can lose its connection and find us again.
        if given_up.is_empty() || !all || !self.links.is_empty() {
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
            references: Vec::new(),
            fifo_timeout_ns: 0,
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
        if let (Delivery::Folder(folder), Some(OnAccepted(tell))) =
            (&self.options.delivery, self.options.accepted.take())
        {
            tell(&folder.path);
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
            let wrote = self.links.iter().filter(|(_, link)| link.wrote);
            waiting.extend(wrote.map(|(worker, _)| *worker));
        }
        for worker in &waiting {
            self.send(*worker, &ToWorker::SyncOutputs);
        }
        self.phase = Phase::Syncing { waiting, deadline: now + SYNC_LIMIT };
        self.advance(now);
    }

    pub(super) fn on_synced(&mut self, worker: WorkerId, error: Option<String>) {
        if let Some(error) = error {
            self.fail(3, &format!("results could not be synced: {error}"), None);
        }
        self.forget_sync(worker);
        self.end_retired(worker);
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
        let limit = if self.trouble.stopped { STOPPED_DISMISS_LIMIT } else { DISMISS_LIMIT };
        self.phase = Phase::Dismissing { deadline: now + limit };
        let workers: Vec<WorkerId> = self.links.keys().copied().collect();
        for worker in workers {
            self.close_worker(worker);
        }
        if self.links.is_empty() {
            self.leave(now);
        }
    }

    /// The job needs this worker no more.
    pub(super) fn close_worker(&mut self, worker: WorkerId) {
        self.send(worker, &ToWorker::Close { reason: "the job is over".to_owned() });
    }

    /// Puts the results in their final place and ends the supervisors.
    fn leave(&mut self, now: Instant) {
        self.finish_delivery();
        self.remove_scheduler_file();
        self.nannies.close("the job is over");
        let limit = if self.trouble.stopped { STOPPED_LEAVE_LIMIT } else { LEAVE_LIMIT };
        self.phase = Phase::Leaving { deadline: now + limit };
    }

    fn verdict(&mut self) -> Verdict {
        let more = self.reported.len().saturating_sub(FAILURES_SHOWN);
        if more > 0 {
            let tasks = if more == 1 { "task" } else { "tasks" };
            let what = format!("{more} more {tasks} failed (manifest.json names the outputs)");
            self.trouble.lines.push(format!("error: {what}"));
        }
        let ran = self.began.is_some() || self.trouble.code == 3;
        let summary = ran.then(|| self.summary());
        self.observer.graph_ends(self.clock.now());
        Verdict { code: self.trouble.code, message: self.trouble.lines.join("\n"), summary }
    }

    /// Counts a task that failed by itself; true when the user is told of this very one. Telling is
    /// costly: the tasks that it takes along are looked for in the whole graph.
    fn counts_as_shown(&mut self, root: TaskId) -> bool {
        let is_new = !self.phase.is_over() && self.reported.insert(root);
        is_new && self.reported.len() <= FAILURES_SHOWN
    }

    /// A wanted key erred.
    pub(super) fn on_failure(&mut self, task: TaskId) {
        let Some(root) = self.state.error_of(task).map(|failure| failure.root) else { return };
        if !self.counts_as_shown(root) {
            return;
        }
        let (Some(graph), Some(failure)) = (self.graph.clone(), self.state.error_of(task)) else {
            return;
        };
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
        let words = quoted_lines(&failure.error.traceback);
        self.fail(1, &format!("{what}{words}"), help);
    }

    /// A write failed.
    pub(super) fn on_output_failed(&mut self, worker: WorkerId, failed: &FailedWrite) {
        let (task, reason) = (failed.task, &failed.reason);
        let key = self.keys_of(std::iter::once(task));
        match self.job.on_failed(worker, failed) {
            Failed::Stale => {}
            Failed::Retry => {
                if failed.was_held() {
                    tracing::warn!("writing {key} failed and is tried again: {reason}");
                }
            }
            Failed::GivenUp => {
                let folder = self.output_folder();
                let what = format!("the result of {key} cannot be written: {reason} ({folder})");
                let help = "results that are whole stay; free space in the output folder or choose \
                            another with --output";
                self.fail(3, &what, Some(help));
                self.dismiss(Instant::now());
            }
            Failed::Mismatch => {
                self.job.on_unfit(task, reason);
                if self.counts_as_shown(task) {
                    let what = format!("task {key} failed: ValueError: {reason}");
                    self.fail(
                        1,
                        &what,
                        Some("the array's chunks or the task are wrong in the graph"),
                    );
                }
                if self.job.is_settled(task) {
                    let tasks = vec![task];
                    self.handle(SchedulerEvent::ClientReleasesKeys { client: JOB, tasks });
                }
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
    pub(super) fn stop(&mut self, reason: &str) {
        if self.trouble.stopped || matches!(self.phase, Phase::Leaving { .. } | Phase::Ended(_)) {
            return;
        }
        self.trouble.stopped = true;
        // At once: a launcher may kill this process a few milliseconds after its TERM.
        self.remove_scheduler_file();
        let what = format!("stopped by {reason}; results that are whole stay");
        self.fail(3, &what, None);
        let now = Instant::now();
        self.dismiss(now);
    }
}
