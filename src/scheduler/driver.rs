//! The driver's loop: takes what comes, feeds the core, carries out its instructions.
//!
//! Invariant: all instructions of an event are carried out before the next event is taken.

use super::closing::{Phase, Trouble};
use super::deliver::Folder;
use super::job::Job;
use super::link::Link;
use super::nannies::Nannies;
use super::observe::Observer;
use super::{Inbox, LoadedGraph, SchedulerOptions, Verdict, read};
use crate::clock::Clock;
use crate::observe::record::{self, Recorder};
use crate::panics;
use crate::user_error::UserError;
use rdask_core::codec::{self, CodecError};
use rdask_core::graph::Graph;
use rdask_core::ids::{ClientId, TaskId, WorkerId};
use rdask_core::messages::{ToScheduler, ToWorker};
use rdask_core::scheduler::{
    GraphSubmission, SchedulerEvent, SchedulerInstruction, SchedulerOut, SchedulerState, TaskState,
};
use rdask_core::time::Time;
use rdask_core::wire::Introductions;
use rdask_transport::{Batch, Channel, Role};
use rustc_hash::FxHashSet;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The batch job among the core's clients.
pub(super) const JOB: ClientId = ClientId(0);
/// How often deadlines are looked at and progress is shown.
const TICK: Duration = Duration::from_millis(250);
/// Items taken from the inbox at once.
const TAKE: usize = 256;
/// Messages of workers that are read before the first of them is handled: the core is told of the
/// ends of runs among them, so that it can read ahead.
const AHEAD: usize = 16;

/// What a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// A worker; the number of its life is the connection's.
    Worker,
    /// A supervisor.
    Nanny,
}

/// The scheduler on a real machine.
pub(super) struct Driver {
    pub(super) options: SchedulerOptions,
    pub(super) clock: Clock,
    pub(super) state: SchedulerState,
    out: SchedulerOut,
    inbox: mpsc::Sender<Inbox>,
    next_connection: u32,
    /// Who is behind a connection.
    pub(super) connections: BTreeMap<u32, Peer>,
    /// Channels of workers that have not registered yet.
    pub(super) unregistered: BTreeMap<WorkerId, rdask_transport::ChannelSender>,
    pub(super) links: BTreeMap<WorkerId, Link>,
    pub(super) nannies: Nannies,
    pub(super) graph: Option<Arc<Graph>>,
    /// What each worker has been told of specs and peers.
    pub(super) introductions: Introductions,
    /// Messages of one instruction; kept for its memory.
    messages: Vec<(WorkerId, ToWorker)>,
    /// Messages of workers that were read and not handled yet, and the ends of runs among them.
    ahead: Vec<(WorkerId, Result<ToScheduler, CodecError>)>,
    ends: Vec<(WorkerId, TaskId)>,
    pub(super) loaded: Option<Box<LoadedGraph>>,
    pub(super) job: Job,
    pub(super) folder: Option<Folder>,
    pub(super) observer: Observer,
    recorder: Option<Recorder>,
    pub(super) phase: Phase,
    timer: Option<Time>,
    /// Beginning of this process's wait for workers.
    pub(super) started: Instant,
    /// When the graph was submitted, and the last result came.
    pub(super) began: Option<Time>,
    pub(super) last_result: Time,
    /// Results that are whole in the output folder.
    pub(super) outputs_written: u64,
    /// Workers and the sum of their threads, when there were most.
    pub(super) most_workers: (u64, u64),
    pub(super) trouble: Trouble,
    /// The user knows that workers have different CPUs.
    pub(super) mixed_cpus: bool,
    /// Tasks that failed by themselves, told of or counted.
    pub(super) reported: FxHashSet<TaskId>,
}

impl Driver {
    pub(super) fn new(options: SchedulerOptions, clock: Clock, inbox: mpsc::Sender<Inbox>) -> Self {
        let state = SchedulerState::new(options.config.clone(), options.seed);
        let nannies = Nannies::new(&options);
        Self {
            state,
            clock,
            out: SchedulerOut::default(),
            inbox,
            next_connection: 0,
            connections: BTreeMap::new(),
            unregistered: BTreeMap::new(),
            links: BTreeMap::new(),
            nannies,
            graph: None,
            introductions: Introductions::default(),
            messages: Vec::new(),
            ahead: Vec::with_capacity(AHEAD),
            ends: Vec::with_capacity(AHEAD),
            loaded: None,
            job: Job::default(),
            folder: None,
            observer: Observer::new(&options),
            recorder: None,
            phase: Phase::Starting,
            timer: None,
            started: Instant::now(),
            began: None,
            last_result: Time(0),
            outputs_written: 0,
            most_workers: (0, 0),
            trouble: Trouble::default(),
            mixed_cpus: false,
            reported: FxHashSet::default(),
            options,
        }
    }

    /// Opens the files that tell others of this run, before anything else is done.
    fn open_files(&mut self) -> Result<(), UserError> {
        let refusal = |what: &str, error: std::io::Error, path: Option<&Path>, flag: &str| {
            let place = path.unwrap_or(Path::new("")).display().to_string();
            UserError::new(format!("cannot write the {what}: {error}"), place)
                .help(format!("choose another one with {flag} FILE"))
        };
        let events = self.options.events.clone();
        self.observer
            .open_events(events.as_deref())
            .map_err(|error| refusal("event file", error, events.as_deref(), "--events"))?;
        if let Some(options) = &self.options.record {
            let info = record::info(&self.options.config, self.options.seed);
            let recorder = Recorder::create(options, info)
                .map_err(|error| refusal("record", error, Some(&options.path), "--record"))?;
            self.recorder = Some(recorder);
        }
        self.try_write_scheduler_file().map_err(|error| {
            let path = self.options.scheduler_file.as_ref().map(|file| file.path.as_path());
            refusal("scheduler file", error, path, "--scheduler-file")
        })
    }

    pub(super) async fn run(mut self, mut receiver: mpsc::Receiver<Inbox>) -> Verdict {
        let opened = self.open_files();
        self.handle(SchedulerEvent::AddClient(JOB));
        if let Err(error) = opened {
            self.refuse_error(&error);
        }
        let mut items = Vec::with_capacity(TAKE);
        let mut next_tick = Instant::now() + TICK;
        loop {
            let deadline = self.timer.map_or(next_tick, |at| self.clock.instant(at).min(next_tick));
            tokio::select! {
                biased;
                taken = receiver.recv_many(&mut items, TAKE) => debug_assert!(taken > 0),
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
            for item in items.drain(..) {
                self.take(item);
            }
            self.catch_up();
            let now = Instant::now();
            if self.timer.is_some_and(|at| self.clock.instant(at) <= now) {
                self.timer = None;
                self.handle(SchedulerEvent::Timeout);
            }
            if next_tick <= now {
                next_tick = now + TICK;
                self.tick(now);
                if let Some(recorder) = &mut self.recorder {
                    recorder.flush(|| self.state.fingerprint());
                }
            }
            self.advance(now);
            if let Phase::Ended(verdict) = &mut self.phase {
                let verdict = std::mem::take(verdict);
                if let Some(recorder) = self.recorder.take() {
                    recorder.finish(self.state.fingerprint(), self.state.state_hash());
                }
                return verdict;
            }
        }
    }

    fn take(&mut self, item: Inbox) {
        // What came first is handled first; only messages of workers wait for others of their kind.
        if !matches!(item, Inbox::Frame(..)) {
            self.catch_up();
        }
        match item {
            Inbox::Connected(channel) => self.connect(*channel),
            Inbox::Frame(connection, batch) => match self.connections.get(&connection) {
                Some(Peer::Worker) => self.on_worker_frame(WorkerId(connection), &batch),
                Some(Peer::Nanny) => {
                    self.catch_up();
                    self.on_nanny_frame(connection, &batch);
                }
                None => {}
            },
            Inbox::Ended(connection, reason) => match self.connections.remove(&connection) {
                Some(Peer::Worker) => self.on_worker_ended(WorkerId(connection), reason),
                Some(Peer::Nanny) => self.on_nanny_ended(connection, &reason),
                None => {}
            },
            Inbox::Drained(connection) => self.on_drained(WorkerId(connection)),
            Inbox::Loaded(Ok(loaded)) => self.loaded = Some(loaded),
            Inbox::Loaded(Err(error)) => self.refuse(&error.to_string(), error.help().as_deref()),
            Inbox::Stop(reason) => self.stop(&reason),
        }
    }

    fn connect(&mut self, channel: Channel) {
        let connection = self.next_connection;
        let identity = &channel.peer().identity;
        let peer = match identity.role {
            Role::Worker => Peer::Worker,
            Role::Nanny => Peer::Nanny,
            Role::Scheduler | Role::Client => {
                tracing::warn!(peer = %identity.label, "refused a connection in this role");
                return;
            }
        };
        self.next_connection += 1;
        let (sender, receiver) = channel.split();
        self.connections.insert(connection, peer);
        match peer {
            Peer::Worker => {
                self.unregistered.insert(WorkerId(connection), sender);
            }
            Peer::Nanny => self.nannies.connect(connection, sender),
        }
        tokio::task::spawn_local(read(receiver, connection, self.inbox.clone()));
    }

    fn on_worker_frame(&mut self, worker: WorkerId, batch: &Batch) {
        for body in batch.iter() {
            let message = codec::decode::<ToScheduler>(body);
            let readable = message.is_ok();
            self.ahead.push((worker, message));
            if !readable || self.ahead.len() >= AHEAD {
                self.catch_up();
            }
            if !readable {
                return;
            }
        }
    }

    /// Handles the messages of workers that were read and not handled yet.
    fn catch_up(&mut self) {
        if self.ahead.is_empty() {
            return;
        }
        let mut ahead = std::mem::take(&mut self.ahead);
        let ends = ahead.iter().filter_map(|(worker, message)| match message {
            Ok(ToScheduler::TaskFinished { task, .. }) => Some((*worker, *task)),
            Ok(_) | Err(_) => None,
        });
        self.ends.clear();
        self.ends.extend(ends);
        self.state.foresee(&self.ends);
        for (worker, message) in ahead.drain(..) {
            // An earlier one of them may have ended its connection.
            if self.connections.get(&worker.0) != Some(&Peer::Worker) {
                continue;
            }
            match message {
                Ok(message) => self.on_worker_message(worker, message),
                Err(error) => {
                    self.drop_worker(worker, &format!("sent what cannot be read: {error}"));
                }
            }
        }
        self.ahead = ahead;
    }

    /// Submits the graph.
    pub(super) fn submit(&mut self, submission: GraphSubmission) {
        self.graph = Some(Arc::clone(&submission.graph));
        let now = self.clock.now();
        self.began = Some(now);
        self.last_result = now;
        let tasks = submission.graph.len() as u64;
        self.handle(SchedulerEvent::UpdateGraph(Box::new(submission)));
        let culled = self.state.count_in(TaskState::Forgotten);
        self.observer.graph_begins(now, self.graph.as_ref(), tasks.saturating_sub(culled));
    }

    /// Feeds the core and carries out what it wants.
    pub(super) fn handle(&mut self, event: SchedulerEvent) {
        tracing::trace!(?event, "scheduler event");
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let now = self.clock.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.event(now, &event, || self.state.fingerprint());
        }
        // What breaks the core ends this process, with the record of how it came to it.
        panics::caught(|| self.state.handle(now, event, &mut out));
        let mut reports = Vec::new();
        let mut messages = std::mem::take(&mut self.messages);
        for instruction in &out.instructions {
            tracing::trace!(?instruction, "scheduler instruction");
            let about = (self.graph.as_deref(), &self.state);
            self.introductions.messages(instruction, &out, about, &mut |worker, message| {
                messages.push((worker, message));
            });
            for (worker, message) in messages.drain(..) {
                self.send(worker, &message);
            }
            self.carry_out(instruction, &mut reports);
        }
        self.messages = messages;
        self.out = out;
        for (client, report) in reports {
            if client == JOB {
                self.on_report(report);
            }
        }
    }

    /// What an instruction is besides its messages to workers.
    fn carry_out(
        &mut self,
        instruction: &SchedulerInstruction,
        reports: &mut Vec<(ClientId, Report)>,
    ) {
        use SchedulerInstruction as I;
        match instruction {
            I::AcceptWorker { worker, .. } => self.accept(*worker),
            I::KeyInMemory { client, task } => {
                reports.push((*client, Report::KeyInMemory(*task)));
            }
            I::TaskErred { client, task } => reports.push((*client, Report::TaskErred(*task))),
            I::LostData { client, task } => reports.push((*client, Report::LostData(*task))),
            I::WorkerRetired { worker, reason } => self.on_retired(*worker, reason),
            I::WorkerNotRetired { worker, reason } => self.on_not_retired(*worker, reason),
            I::ComputeTask { .. }
            | I::FreeKeys { .. }
            | I::RemoveReplicas { .. }
            | I::AcquireReplicas { .. }
            | I::WorkerStatusChange { .. }
            | I::RefreshWhoHas { .. }
            | I::RemoveWorker { .. }
            | I::BadKeyAck { .. }
            | I::StealRequest { .. }
            | I::RefuseWorker { .. }
            | I::CloseWorker { .. }
            | I::TaskRetried { .. }
            | I::CancelledKeys { .. } => {}
            I::Stolen { task, victim, thief } => {
                self.observer.steal(self.clock.now(), *task, *victim, *thief);
            }
            I::RestartWorker { worker, reason } => {
                reports.push((JOB, Report::Restart(*worker, reason.clone())));
            }
            I::Idle => reports.push((JOB, Report::Idle)),
            I::SetTimer(at) => self.timer = Some(*at),
            I::GraphRefused { reason, .. } => tracing::error!("the graph is refused: {reason}"),
            I::Warn(text) => tracing::warn!("{text}"),
        }
    }

    /// Sends a message to a worker, if it is still there.
    pub(super) fn send(&mut self, worker: WorkerId, message: &ToWorker) {
        if let Some(link) = self.links.get_mut(&worker)
            && link.outgoing.send(message)
        {
            self.await_drained(worker);
        }
    }

    /// Has the driver told when a worker has read enough for its backlog to go on.
    fn await_drained(&self, worker: WorkerId) {
        let Some(link) = self.links.get(&worker) else { return };
        let (drained, inbox) = (link.outgoing.drained(), self.inbox.clone());
        tokio::task::spawn_local(async move {
            drained.await;
            // Nobody receives when the job is over.
            let _over = inbox.send(Inbox::Drained(worker.0)).await;
        });
    }

    fn on_drained(&mut self, worker: WorkerId) {
        let Some(link) = self.links.get_mut(&worker) else { return };
        // It reads, if slowly.
        link.blocked_since = None;
        if link.outgoing.flush() {
            self.await_drained(worker);
        }
    }
}

/// What the core reports to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// A wanted key is in memory.
    KeyInMemory(TaskId),
    /// A wanted key erred.
    TaskErred(TaskId),
    /// A wanted key was lost and comes again.
    LostData(TaskId),
    /// A worker is to be started again, and why.
    Restart(WorkerId, String),
    /// Nothing is left to do.
    Idle,
}
