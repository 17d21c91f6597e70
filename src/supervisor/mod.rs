//! The supervisor: the rank process after the bootstrap. It spawns, watches, signals and reaps.
//!
//! No task, no data and no large memory ever live here, so that nothing a task does can make a
//! rank die. One thread, one loop over events. What happens to worker slots is decided by
//! `rdask_launcher::nanny`, what the scheduler says comes over `crate::nanny`. Only rank 0 returns
//! the job's exit code; the others end with 0, and never before the job is over.
//!
//! ```text
//! signals, launcher ─┐                  ┌─▶ slots' machine ─▶ spawn, ask, kill
//! children, output ──┼─▶ Event ─▶ loop ─┤
//! scheduler (link) ──┘                  └─▶ link: deaths, slots given up, goodbye
//! ```

mod child;
mod launch;
mod lifetime;
mod memory;
mod suspects;
mod watch;

pub use launch::{Accepted, Outcome, expected_rank, launch, launch_faulty};

use crate::nanny::{Link, LinkEvent};
use crate::output::{forget_verdict, write_verdict};
use crate::role::Request;
use crate::task_log::{self, TaskLog};
use child::Child;
use lifetime::Lifetimes;
use memory::MemoryWatch;
use rdask_core::ids::TaskId;
use rdask_core::messages::{FromNanny, ToNanny};
use rdask_launcher::bootstrap::Job;
use rdask_launcher::control::{FromChild, Start, ToChild};
use rdask_launcher::descendants::{self, Within};
use rdask_launcher::limits;
use rdask_launcher::nanny::{CLOSE_GRACE, Ending, Nanny, NannyEvent, NannyInstruction};
use rdask_launcher::roles::{RankPlan, Role, WorkerSlot};
use rdask_launcher::scratch::TaskFolder;
use rdask_launcher::signals::{self, Meaning};
use rdask_launcher::spawn::{ChildSpec, Spawner};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// After a stop signal everything is over within 3 s; children that have not ended by themselves
/// after this long are killed.
const STOP_LIMIT: Duration = Duration::from_millis(2400);
/// The scheduler's process may take this long to end after its last word: it waits up to 5 s for
/// the nannies' goodbyes.
const VERDICT_LIMIT: Duration = Duration::from_secs(8);
/// Cause of a death by the kernel's hand.
const OUT_OF_MEMORY: &str = "was killed by the kernel because memory ran out (a smaller \
                             --memory-limit makes workers end earlier, fewer --threads use less)";
/// Events that wait for the loop; producers wait when it is full.
const QUEUE_LENGTH: usize = 256;

/// What the loop hears.
#[derive(Debug)]
pub(crate) enum Event {
    /// A signal to this process.
    Signal(i32),
    /// The process that started us is gone.
    LauncherGone,
    /// A child said something: see `Child::messages`.
    Child { pid: i32 },
    /// From the scheduler.
    Link(LinkEvent),
}

impl From<LinkEvent> for Event {
    fn from(event: LinkEvent) -> Self {
        Self::Link(event)
    }
}

/// The scheduler's child, on rank 0.
#[derive(Debug, PartialEq, Eq)]
enum SchedulerState {
    /// This rank has none.
    Elsewhere,
    /// It runs.
    Running(i32),
    /// It ended like this.
    Ended(Ending),
}

pub(crate) struct Supervisor {
    job: Job,
    plan: RankPlan,
    spawner: Spawner,
    /// Scratch folder, or why there is none.
    scratch: Result<PathBuf, String>,
    began: Instant,
    nanny: Nanny,
    lifetimes: Lifetimes,
    children: BTreeMap<i32, Child>,
    scheduler: SchedulerState,
    link: Option<Link>,
    /// The output folder, once the scheduler has accepted it.
    accepted: Option<PathBuf>,
    /// The scheduler's last word.
    verdict: Option<(i32, String)>,
    /// The signal that stopped the job.
    stopped_by: Option<i32>,
    /// What the threads of the job's only process ran when it died.
    last_runs: Vec<TaskId>,
    /// The scheduler says that the job is over, or is gone.
    over: bool,
    said_goodbye: bool,
    /// When every child is killed, whatever it does.
    kill_at: Option<Instant>,
    memory: MemoryWatch,
    /// Why a slot's worker was ended by us, for the report.
    ended_because: BTreeMap<usize, String>,
    /// Processes of our control group that the kernel killed for memory, when last looked at.
    oom_kills: u64,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
}

/// What the programs of a worker's tasks leave when it dies.
struct WorkerTasks {
    folder: TaskFolder,
    /// None: nobody reads what they printed.
    log: Option<TaskLog>,
}

impl WorkerTasks {
    fn of(job: &Job, scratch: &Path, worker: &WorkerSlot) -> Self {
        let (job_id, name) = (&job.bootstrap.job_id, &worker.name);
        let request: Option<Request> = serde_json::from_str(&job.bootstrap.options).ok();
        let log = request.map(|request| {
            let (host, logs) = (job.facts.host.clone(), request.options.task_logs);
            TaskLog::new(logs, job_id.clone(), name.clone(), host)
        });
        Self { folder: TaskFolder::of(scratch, job_id, job.rank, name), log }
    }

    /// Keeps what they printed and removes the rest.
    fn clear(&self) {
        if let Some(log) = self.log.as_ref().filter(|_| self.folder.is_ours()) {
            task_log::rescue(self.folder.path(), log);
        }
        self.folder.remove();
    }
}

impl Supervisor {
    pub(crate) fn new(job: Job, spawner: Spawner, scratch: Result<PathBuf, String>) -> Self {
        let plan = job.bootstrap.plan.rank(job.rank).cloned().unwrap_or_default();
        let slots = if plan.together { 0 } else { plan.workers.len() };
        let limited = plan.is_nanny() && plan.workers.iter().any(|w| w.memory_limit_bytes > 0);
        let began = Instant::now();
        Self {
            lifetimes: Lifetimes::of(&job),
            memory: MemoryWatch::of(&job, limited, began),
            job,
            plan,
            spawner,
            scratch,
            began,
            nanny: Nanny::new(slots),
            children: BTreeMap::new(),
            scheduler: SchedulerState::Elsewhere,
            link: None,
            accepted: None,
            verdict: None,
            stopped_by: None,
            last_runs: Vec::new(),
            over: false,
            said_goodbye: false,
            kill_at: None,
            ended_because: BTreeMap::new(),
            oom_kills: limits::oom_kills(),
            events: mpsc::channel(QUEUE_LENGTH),
        }
    }

    /// Runs until the job is over. Children may be left: the caller kills all descendants, and
    /// removes the folders of tasks.
    pub(crate) async fn run(mut self) -> Outcome {
        if let Err(error) = watch::start(&self.job, &self.events.0) {
            return Outcome::failed(&self.job, format!("error: cannot watch for signals: {error}"));
        }
        if let Err(message) = self.start_scheduler() {
            return Outcome::failed(&self.job, message);
        }
        if self.plan.is_nanny() {
            self.link = Some(Link::start(&self.job, self.events.0.clone()));
        }
        if let Err(reason) = self.scratch.clone() {
            self.give_up_all(&reason);
        }
        self.advance(NannyEvent::Timeout);
        while !self.is_over() {
            let deadline = self.next_deadline();
            let event = match deadline {
                Some(at) => tokio::time::timeout_at(at.into(), self.events.1.recv()).await,
                None => Ok(self.events.1.recv().await),
            };
            if let Ok(Some(event)) = event {
                self.handle(event);
            }
            self.on_time();
            self.say_goodbye();
        }
        if let Some(link) = self.link.take() {
            link.finish().await;
        }
        self.outcome()
    }

    fn is_over(&self) -> bool {
        let workers_down = self.nanny.is_down() && self.over;
        match self.scheduler {
            SchedulerState::Running(_) => false,
            SchedulerState::Ended(_) | SchedulerState::Elsewhere => workers_down,
        }
    }

    /// Once, when the job is over and every worker is reaped. The scheduler waits for it.
    fn say_goodbye(&mut self) {
        if self.over && self.nanny.is_down() && !self.said_goodbye {
            self.said_goodbye = true;
            self.tell_scheduler(FromNanny::Goodbye);
        }
    }

    /// What rank 0 returns; the others are silent.
    fn outcome(&self) -> Outcome {
        if self.job.rank != 0 {
            return Outcome::default();
        }
        let accepted = self
            .accepted
            .clone()
            .map(|folder| Accepted { folder, job_id: self.job.bootstrap.job_id.clone() });
        Outcome { accepted, ..self.code_and_message() }
    }

    fn code_and_message(&self) -> Outcome {
        let failed = |message| Outcome { code: 3, message: Some(message), accepted: None };
        let stopped = self.stopped_by.map(signals::name);
        let ending = match self.scheduler {
            SchedulerState::Ended(ending) => ending,
            SchedulerState::Elsewhere | SchedulerState::Running(_) => Ending::default(),
        };
        match (&self.verdict, stopped, ending.code) {
            (Some((code, message)), ..) => Outcome {
                code: *code,
                message: Some(message.clone()).filter(|m| !m.is_empty()),
                accepted: None,
            },
            (None, Some(signal), _) => failed(format!("error: stopped by {signal}")),
            (None, None, Some(code @ (0..=3 | 75))) => Outcome { code, ..Outcome::default() },
            (None, None, _) => {
                let what = if self.plan.together { "scheduler and worker" } else { "scheduler" };
                let at = suspects::in_words(&self.job.bootstrap, &self.last_runs);
                failed(format!("error: the process of the {what} {ending}{at}; the job is lost"))
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let nanny = self.nanny.next_timeout().map(|at| self.began + at);
        [nanny, self.kill_at, self.memory.due(), self.lifetimes.next()].into_iter().flatten().min()
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.nanny.next_timeout().is_some_and(|at| self.began + at <= now) {
            self.advance(NannyEvent::Timeout);
        }
        if self.memory.is_due(now) {
            self.look_at_memory();
        }
        for slot in self.lifetimes.take_due(now) {
            let (reason, restart) = (self.lifetimes.reason(), self.lifetimes.restart);
            let slot = self.plan.workers[slot].name.clone();
            self.tell_scheduler(FromNanny::RetireWorker { slot, reason, restart });
        }
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = Some(now + STOP_LIMIT);
            self.over = true;
            self.kill_scheduler();
            self.close_slots("time is up", Duration::ZERO);
        }
    }

    fn handle(&mut self, event: Event) {
        tracing::trace!(?event);
        match event {
            Event::Signal(signal) => self.on_signal(signal),
            Event::LauncherGone => {
                tracing::warn!("the launcher is gone: ending");
                self.over = true;
                self.kill_scheduler();
                self.close_slots("the launcher is gone", Duration::ZERO);
            }
            Event::Child { pid } => self.on_child(pid),
            Event::Link(LinkEvent::Message(message)) => self.on_link(message),
            Event::Link(LinkEvent::Gone(reason)) => self.on_link_gone(&reason),
        }
    }

    fn on_signal(&mut self, signal: i32) {
        match signals::meaning(signal) {
            Meaning::Child => self.reap(),
            Meaning::Nothing => {}
            Meaning::Warning => {
                let name = signals::name(signal);
                // The signal reaches all ranks; one line is enough.
                if self.job.rank == 0 {
                    tracing::warn!("{name}: the walltime ends soon; this run goes on");
                }
            }
            Meaning::Stop if self.stopped_by.is_some() => self.kill_at = Some(Instant::now()),
            Meaning::Stop => {
                self.stopped_by = Some(signal);
                self.kill_at = Some(Instant::now() + STOP_LIMIT);
                self.leave_word();
                if let Some(child) = self.scheduler_child() {
                    child.tell(&ToChild::Signal(signal));
                } else if let Some(link) = &self.link {
                    link.send(FromNanny::Signalled { signal });
                }
            }
        }
    }

    /// Rank 0 notes at once what a stopped run ends with: Open MPI's mpirun kills a few milliseconds
    /// after its TERM. The last act of this process writes the file again.
    fn leave_word(&self) {
        let Some(folder) = self.accepted.as_deref().filter(|_| self.job.rank == 0) else { return };
        if let Err(error) = write_verdict(folder, &self.job.bootstrap.job_id, 3) {
            tracing::debug!(%error, "the verdict is not written yet");
        }
    }

    fn on_child(&mut self, pid: i32) {
        let Some(child) = self.children.get_mut(&pid) else { return };
        for message in child.messages() {
            match message {
                FromChild::Ready { server_id, address } => {
                    tracing::debug!(pid, address, "child is ready");
                    child.server_id = server_id;
                    if let Some(slot) = child.slot {
                        self.lifetimes.begin(slot, Instant::now(), chance());
                    }
                }
                FromChild::Accepted { folder } => {
                    forget_verdict(&folder);
                    self.accepted = Some(folder);
                }
                FromChild::Verdict { code, message } if child.slot.is_none() => {
                    self.verdict = Some((code, message));
                    let at = Instant::now() + VERDICT_LIMIT;
                    self.kill_at = Some(self.kill_at.map_or(at, |before| before.min(at)));
                }
                FromChild::Verdict { .. } => tracing::warn!(pid, "a worker gives no verdict"),
            }
        }
    }

    fn on_link(&mut self, message: ToNanny) {
        match message {
            ToNanny::Registered => tracing::debug!("registered with the scheduler"),
            ToNanny::KillWorker { slot, reason, restart } => {
                if let Some(slot) = self.slot_named(&slot) {
                    let grace = CLOSE_GRACE;
                    let blameless = true;
                    self.advance(NannyEvent::Kill { slot, reason, restart, blameless, grace });
                }
            }
            ToNanny::NotRetired { slot, reason } => {
                if let Some(index) = self.slot_named(&slot) {
                    tracing::debug!(worker = slot, "worker stays: {reason}");
                    self.lifetimes.put_off(index, Instant::now());
                }
            }
            ToNanny::Close { reason } => {
                self.over = true;
                let hurried = self.stopped_by.is_some();
                let grace = if hurried { Duration::from_millis(300) } else { CLOSE_GRACE };
                self.close_slots(&reason, grace);
            }
        }
    }

    fn slot_named(&self, name: &str) -> Option<usize> {
        self.plan.workers.iter().position(|worker| worker.name == name)
    }

    /// Rank 0 knows better: its scheduler is its child.
    fn on_link_gone(&mut self, reason: &str) {
        self.link = None;
        if self.scheduler == SchedulerState::Elsewhere && !self.over {
            tracing::info!(reason, "the scheduler cannot be reached: ending");
            self.over = true;
            self.close_slots("the scheduler is gone", Duration::ZERO);
        }
    }

    fn reap(&mut self) {
        while let Some(ended) = descendants::reap() {
            // Its last words may be unread: the signal can be faster than the socket.
            self.on_child(ended.pid);
            let Some(child) = self.children.remove(&ended.pid) else { continue };
            // What it left running in its group goes with it.
            descendants::kill_group(ended.pid);
            match child.slot {
                None => self.on_scheduler_ended(&child, ended.ending),
                Some(slot) => {
                    self.lifetimes.end(slot);
                    self.sweep_after(slot, ended.pid);
                    self.on_worker_ended(slot, &child, ended.ending);
                }
            }
        }
    }

    fn on_scheduler_ended(&mut self, child: &Child, ending: Ending) {
        tracing::debug!(%ending, "scheduler's process");
        self.last_runs = child.executing().into_iter().map(|(task, _)| task).collect();
        self.scheduler = SchedulerState::Ended(ending);
        self.over = true;
        self.close_slots("the scheduler ended", Duration::ZERO);
    }

    /// Ends and removes what the programs of a worker's tasks have left.
    fn sweep_after(&self, slot: usize, pid: i32) {
        let Ok(scratch) = &self.scratch else { return };
        let tasks = WorkerTasks::of(&self.job, scratch, &self.plan.workers[slot]);
        // Without the folder it has started no program.
        if tasks.folder.is_ours() {
            descendants::kill_tasks_of(pid, &self.job.bootstrap.job_id, Within::Descendants);
            tasks.clear();
        }
    }

    fn on_worker_ended(&mut self, slot: usize, child: &Child, ending: Ending) {
        let executing = child.executing();
        let log_tail = child.log_tail();
        let cause = self.cause_of(slot, ending);
        let event = NannyEvent::Exited { pid: child.pid, ending, executing: !executing.is_empty() };
        let mut out = Vec::new();
        self.nanny.handle(self.began.elapsed(), event, &mut out);
        for instruction in &mut out {
            if let NannyInstruction::ReportDeath { slot, pid, ending, restarts } = *instruction {
                let name = self.plan.workers[slot].name.clone();
                // The scheduler tells the user, with what the worker was doing.
                tracing::info!(worker = name, pid, restarts, cause, "worker process {ending}");
                self.tell_scheduler(FromNanny::WorkerDied {
                    slot: name,
                    server_id: child.server_id,
                    pid: pid.unsigned_abs(),
                    signal: ending.signal,
                    code: ending.code,
                    cause: cause.clone(),
                    executing: executing.clone(),
                    log_tail: log_tail.clone(),
                    restarts,
                });
            }
            if let NannyInstruction::ReportGivenUp { reason, .. } = instruction {
                // The cause says more than how it ended.
                if !cause.is_empty()
                    && let Some(start) = reason.strip_suffix(&ending.to_string())
                {
                    *reason = format!("{start}{cause}");
                }
                if !log_tail.is_empty() {
                    *reason = format!("{reason}; its last words:\n{log_tail}");
                }
            }
        }
        self.carry_out(out);
    }

    /// What we know of a worker's death beyond signal and code: memory. Empty: nothing.
    fn cause_of(&mut self, slot: usize, ending: Ending) -> String {
        if let Some(reason) = self.ended_because.remove(&slot) {
            return reason;
        }
        let before = std::mem::replace(&mut self.oom_kills, limits::oom_kills());
        let by_kernel = self.oom_kills > before && ending.signal == Some(libc::SIGKILL);
        if by_kernel { OUT_OF_MEMORY.to_owned() } else { String::new() }
    }

    fn tell_scheduler(&self, message: FromNanny) {
        if let Some(link) = &self.link {
            link.send(message);
        }
    }

    fn close_slots(&mut self, reason: &str, grace: Duration) {
        self.advance(NannyEvent::Close { reason: reason.to_owned(), grace });
        self.advance(NannyEvent::Timeout);
    }

    fn advance(&mut self, event: NannyEvent) {
        let mut out = Vec::new();
        self.nanny.handle(self.began.elapsed(), event, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, instructions: Vec<NannyInstruction>) {
        for instruction in instructions {
            match instruction {
                NannyInstruction::Spawn { slot } => self.spawn_worker(slot),
                NannyInstruction::AskToClose { slot, reason } => {
                    let pid = self.nanny.pid(slot);
                    if let Some(child) = pid.and_then(|pid| self.children.get(&pid)) {
                        child.tell(&ToChild::Close { reason });
                    }
                }
                NannyInstruction::KillNow { pid, .. } => descendants::kill_group(pid),
                // Told with what only the reaping knows: see `on_worker_ended`.
                NannyInstruction::ReportDeath { .. } => {}
                NannyInstruction::ReportGivenUp { slot, reason } => {
                    let slot = self.plan.workers[slot].name.clone();
                    tracing::info!(worker = slot, "given up: {reason}");
                    self.tell_scheduler(FromNanny::SlotGivenUp { slot, reason });
                }
            }
        }
    }

    /// Nothing can be started here: the rank idles until the job is over.
    fn give_up_all(&mut self, reason: &str) {
        for worker in &self.plan.workers {
            let (slot, reason) = (worker.name.clone(), reason.to_owned());
            self.tell_scheduler(FromNanny::SlotGivenUp { slot, reason });
        }
        self.nanny = Nanny::new(0);
    }

    fn scheduler_child(&self) -> Option<&Child> {
        match self.scheduler {
            SchedulerState::Running(pid) => self.children.get(&pid),
            SchedulerState::Elsewhere | SchedulerState::Ended(_) => None,
        }
    }

    fn kill_scheduler(&self) {
        if let SchedulerState::Running(pid) = self.scheduler {
            descendants::kill_group(pid);
        }
    }

    fn start_scheduler(&mut self) -> Result<(), String> {
        if !self.plan.scheduler {
            return Ok(());
        }
        let role = if self.plan.together { Role::Both } else { Role::Scheduler };
        let worker = if self.plan.together { self.plan.workers.first().cloned() } else { None };
        let pid = self.spawn(role, None, worker.as_ref())?;
        self.scheduler = SchedulerState::Running(pid);
        // The child's alone from now on: when it dies the port is closed, and everybody learns it.
        self.job.listener = None;
        Ok(())
    }

    fn spawn_worker(&mut self, slot: usize) {
        let worker = self.plan.workers[slot].clone();
        let event = match self.spawn(Role::Worker, Some(slot), Some(&worker)) {
            Ok(pid) => NannyEvent::Started { slot, pid },
            Err(message) => {
                tracing::error!(worker = worker.name, "{message}");
                NannyEvent::StartFailed { slot }
            }
        };
        self.advance(event);
    }

    fn spawn(
        &mut self,
        role: Role,
        slot: Option<usize>,
        worker: Option<&WorkerSlot>,
    ) -> Result<i32, String> {
        let name = worker.map_or("", |worker| &worker.name);
        let scratch = self.scratch.clone().map_err(|reason| format!("error: {reason}"))?;
        let has_scheduler = role != Role::Worker;
        let listener = self.job.listener.as_ref().filter(|_| has_scheduler);
        let spec = ChildSpec {
            role,
            slot: name,
            job_id: &self.job.bootstrap.job_id,
            worker,
            listener: listener.map(AsFd::as_fd),
            stdin: has_scheduler,
        };
        let spawned = self.spawner.spawn(&spec).map_err(|error| format!("error: {error}"))?;
        let pid = spawned.pid;
        let bootstrap = &self.job.bootstrap;
        let start = Start {
            role,
            slot: name.to_owned(),
            rank: self.job.rank,
            size: self.job.size,
            job_id: bootstrap.job_id.clone(),
            secret: bootstrap.secret.clone(),
            addresses: bootstrap.addresses.clone(),
            cwd: bootstrap.cwd.clone(),
            nanny: if role == Role::Worker { self.job.identity } else { 0 },
            nanny_pid: std::process::id(),
            host: self.job.facts.host.clone(),
            machine: self.job.facts.machine.clone(),
            network_namespace: self.job.facts.network_namespace,
            scratch,
            plan: if has_scheduler {
                bootstrap.plan.clone()
            } else {
                bootstrap.plan.only(self.job.rank)
            },
            options: bootstrap.options.clone(),
        };
        match Child::begin(spawned, slot, start, &self.events.0) {
            Ok(child) => {
                self.children.insert(pid, child);
                Ok(pid)
            }
            Err(error) => {
                descendants::kill_group(pid);
                Err(format!("error: the child process did not start: {error}"))
            }
        }
    }

    /// Ends workers that use more than their limit lets them, before the kernel picks somebody.
    fn look_at_memory(&mut self) {
        for slot in 0..self.plan.workers.len() {
            let limit = self.plan.workers[slot].memory_limit_bytes;
            let Some(pid) = self.nanny.pid(slot).filter(|_| limit > 0) else { continue };
            let Some(used) = descendants::resident_bytes(pid) else { continue };
            if self.ended_because.contains_key(&slot) {
                continue;
            }
            let Some(reason) = self.memory.why_end(used, limit) else { continue };
            self.ended_because.insert(slot, reason.clone());
            let grace = self.memory.interval;
            let (restart, blameless) = (true, false);
            self.advance(NannyEvent::Kill { slot, reason, restart, blameless, grace });
        }
    }
}

/// A number from 0 to 1; the middle when the system has no chance to give.
fn chance() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
