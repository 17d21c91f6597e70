//! The worker core with its hands: values, threads, the connection to the scheduler.
//!
//! One lock guards it. The I/O thread brings messages and ends of transfers, executor threads bring
//! outcomes; whoever brings an event carries out the instructions that follow. A thread that brings
//! an outcome takes one of the runs that follow along, so a busy thread is never woken.
//!
//! Invariant: a key is in `data` exactly when the core holds it in memory.

use crate::clock::Clock;
use crate::executor::{CommandRun, Control, Outcome, Run, Submitter, Work};
use crate::kernels::{self, Kernel};
use crate::outgoing::Outgoing;
use rdask_core::codec;
use rdask_core::graph::{CommandSpec, RunSpec};
use rdask_core::ids::{RunId, SpecId, TaskId, TransferId, WorkerId};
use rdask_core::messages::{
    Peer, Priority, TaskError, ToScheduler, ToWorker, TypeCode, WriteTarget,
};
use rdask_core::paths::PathClass;
use rdask_core::time::Time;
use rdask_core::wire::{message_of, worker_event};
use rdask_core::worker::{WorkerEvent, WorkerInstruction, WorkerOut, WorkerState};
use rdask_store::{Activity, Header, Sealed, Store};
use rdask_transport::ChannelSender;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// What the I/O thread must do for the shell. The queue is bounded by the core: transfers by its
/// limits, writes by the results it holds.
#[derive(Debug)]
pub(super) enum Command {
    /// Ask a peer.
    Gather(Gather),
    /// Wake the core at this moment.
    SetTimer(Time),
    /// Write a result to the output folder.
    Write {
        /// The task.
        task: TaskId,
        /// Its value; none: not held here. Memory comes free once it is written.
        value: Option<(Sealed, Activity)>,
        /// Where to.
        target: WriteTarget,
    },
    /// Sync everything written.
    Sync,
    /// Call `on_drained` when the connection takes more.
    AwaitDrained,
    /// A peer is gone: end what goes on with it.
    Forget {
        /// Its number.
        worker: WorkerId,
        /// The process.
        server_id: u128,
    },
    /// The scheduler ends this worker.
    Close {
        /// Why.
        reason: String,
    },
}

/// A transfer to start.
#[derive(Debug)]
pub(super) struct Gather {
    /// Its number.
    pub(super) transfer: TransferId,
    /// Number of the peer.
    pub(super) worker: WorkerId,
    /// Whom; none: a peer that was never introduced.
    pub(super) peer: Option<Arc<Peer>>,
    /// What, with the announced size.
    pub(super) tasks: Vec<(TaskId, u64)>,
    /// What lies between.
    pub(super) class: PathClass,
    /// For memory that must be waited for.
    pub(super) priority: u64,
}

/// A run spec that was checked.
#[derive(Clone)]
enum Known {
    Kernel(Arc<Kernel>),
    Command(Arc<CommandSpec>),
}

/// How a transfer ended.
#[derive(Debug)]
pub(super) enum Gathered {
    /// The peer answered.
    Answer {
        /// What arrived.
        received: Vec<(TaskId, Sealed)>,
        /// What it does not hold.
        absent: Vec<TaskId>,
        /// What has another size than announced.
        bad: Vec<TaskId>,
    },
    /// It serves too many already.
    Busy,
    /// It cannot be reached, or broke off.
    NetworkFailure,
    /// There is no memory here.
    Failure(Box<TaskError>),
}

/// The state behind the lock.
pub(super) struct Shell {
    state: WorkerState,
    out: WorkerOut,
    clock: Clock,
    outgoing: Outgoing,
    commands: UnboundedSender<Command>,
    store: Store,
    /// Values of the keys in memory.
    data: FxHashMap<TaskId, Sealed>,
    /// Values that the present event announced.
    offered: FxHashMap<TaskId, Sealed>,
    /// Bytes of the values that the writing thread has not written yet.
    unwritten_bytes: u64,
    specs: Vec<Option<Arc<RunSpec>>>,
    known: FxHashMap<(SpecId, usize), Known>,
    /// Commands that were handed out and have not ended.
    controls: FxHashMap<(TaskId, RunId), Arc<Control>>,
    peers: FxHashMap<WorkerId, Arc<Peer>>,
    machine: String,
    submitter: Option<Submitter>,
    /// Runs to hand out once the present event is dealt with.
    runs: Vec<Run>,
    /// Runs that could not start: the core hears of them after the present event.
    stillborn: Vec<WorkerEvent>,
    events: Vec<WorkerEvent>,
}

impl Shell {
    /// A shell around a fresh core.
    pub(super) fn new(
        state: WorkerState,
        clock: Clock,
        sender: ChannelSender,
        commands: UnboundedSender<Command>,
        (store, machine): (Store, String),
    ) -> Self {
        Self {
            state,
            out: WorkerOut::default(),
            clock,
            outgoing: Outgoing::new(sender),
            commands,
            store,
            data: FxHashMap::default(),
            offered: FxHashMap::default(),
            unwritten_bytes: 0,
            specs: Vec::new(),
            known: FxHashMap::default(),
            controls: FxHashMap::default(),
            peers: FxHashMap::default(),
            machine,
            submitter: None,
            runs: Vec::new(),
            stillborn: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Connects the threads; without any (at the end) runs are dropped and programs killed.
    pub(super) fn set_submitter(&mut self, submitter: Option<Submitter>) {
        self.submitter = submitter;
        if self.submitter.is_none() {
            self.controls.drain().for_each(|(_, control)| control.cancel());
        }
    }

    /// The core, to look at.
    pub(super) fn state(&self) -> &WorkerState {
        &self.state
    }

    /// Sends a message of the shell's own.
    pub(super) fn send(&mut self, message: &ToScheduler) {
        if self.outgoing.send(message) {
            self.command(Command::AwaitDrained);
        }
    }

    /// Ends when the scheduler has read enough for the backlog to go on.
    pub(super) fn drained(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.outgoing.drained()
    }

    /// The scheduler has read enough for the backlog to go on.
    pub(super) fn on_drained(&mut self) {
        if self.outgoing.flush() {
            self.command(Command::AwaitDrained);
        }
    }

    /// The value of a key held here.
    pub(super) fn value(&self, task: TaskId) -> Option<&Sealed> {
        self.data.get(&task)
    }

    /// One frame of messages. All events go to the core as one batch, so that what follows from
    /// them is fetched in as few transfers as possible.
    pub(super) fn on_messages(&mut self, messages: impl Iterator<Item = ToWorker>) {
        let mut commands = Vec::new();
        let mut events = std::mem::take(&mut self.events);
        for message in messages {
            self.sort(message, &mut events, &mut commands);
        }
        for command in &mut commands {
            if let Command::Write { task, value, .. } = command {
                let held = self.data.get(task).cloned();
                self.unwritten_bytes += held.as_ref().map_or(0, Sealed::nbytes);
                *value = held.map(|held| (held, self.store.activity()));
                events.push(WorkerEvent::Unwritten { nbytes: self.unwritten_bytes });
            }
        }
        self.handle_all(&mut events);
        self.events = events;
        self.release_unless_busy();
        for command in commands {
            self.command(command);
        }
    }

    fn sort(
        &mut self,
        message: ToWorker,
        events: &mut Vec<WorkerEvent>,
        commands: &mut Vec<Command>,
    ) {
        match message {
            ToWorker::Registered { .. } => {}
            ToWorker::DefineSpec { spec, bytes } => self.define(spec, &bytes),
            ToWorker::AddPeer(peer) => {
                self.peers.insert(peer.worker, Arc::new(peer.clone()));
                events.extend(worker_event(ToWorker::AddPeer(peer), &self.machine));
            }
            ToWorker::RemoveWorker { worker } => {
                if let Some(peer) = self.peers.remove(&worker) {
                    commands.push(Command::Forget { worker, server_id: peer.server_id });
                }
                events.push(WorkerEvent::RemoveWorker { worker });
            }
            ToWorker::WriteOutput { task, target } => {
                commands.push(Command::Write { task, value: None, target });
            }
            ToWorker::SyncOutputs => commands.push(Command::Sync),
            ToWorker::Close { reason } => commands.push(Command::Close { reason }),
            message => events.extend(worker_event(message, &self.machine)),
        }
    }

    fn define(&mut self, spec: SpecId, bytes: &[u8]) {
        match codec::decode::<RunSpec>(bytes) {
            Ok(decoded) => {
                if self.specs.len() <= spec.index() {
                    self.specs.resize(spec.index() + 1, None);
                }
                self.specs[spec.index()] = Some(Arc::new(decoded));
            }
            // Tasks that use it will fail with the text of `kernel`.
            Err(error) => tracing::error!(spec = spec.0, %error, "run spec cannot be read"),
        }
    }

    /// A run ended on a thread: gives it the run to do next, when there is one. What it sends is
    /// held back: `write_now` or `release` of the channel follows once the lock is open.
    pub(super) fn on_outcome(&mut self, outcome: Outcome) -> Option<Run> {
        // Without threads the worker has ended: nobody waits for the result, nothing new begins.
        self.submitter.as_ref()?;
        let Outcome { task, run_id, result, thread, started, stopped, activity } = outcome;
        self.controls.remove(&(task, run_id));
        let (start_ns, stop_ns) = (self.clock.at(started).0, self.clock.at(stopped).0);
        let event = match result {
            Ok(value) => {
                let (nbytes, type_code) = (value.nbytes(), type_code(value.header()));
                self.offered.insert(task, value);
                WorkerEvent::ExecuteSuccess {
                    task,
                    run_id,
                    nbytes,
                    type_code,
                    thread,
                    start_ns,
                    stop_ns,
                }
            }
            Err(error) => WorkerEvent::ExecuteFailure {
                task,
                run_id,
                error: Box::new(error),
                thread,
                start_ns,
                stop_ns,
            },
        };
        let held_back = self.outgoing.set_hold_back(true);
        self.handle(event);
        self.outgoing.set_hold_back(held_back);
        let next = if self.runs.is_empty() { None } else { Some(self.runs.remove(0)) };
        drop(activity);
        next
    }

    /// A transfer ended.
    pub(super) fn on_gathered(&mut self, transfer: TransferId, end: Gathered) {
        let event = match end {
            Gathered::Answer { received, absent, bad } => {
                let sizes = received.iter().map(|(task, value)| (*task, value.nbytes())).collect();
                self.offered.extend(received);
                WorkerEvent::GatherDepSuccess { transfer, received: sizes, absent, bad }
            }
            Gathered::Busy => WorkerEvent::GatherDepBusy { transfer },
            Gathered::NetworkFailure => WorkerEvent::GatherDepNetworkFailure { transfer },
            Gathered::Failure(error) => WorkerEvent::GatherDepFailure { transfer, error },
        };
        self.handle(event);
        self.release_unless_busy();
    }

    /// The writing thread has carried out an order; `nbytes` of results no longer wait for it.
    pub(super) fn on_written(&mut self, nbytes: u64, answer: &ToScheduler) {
        self.send(answer);
        self.unwritten_bytes -= nbytes;
        self.handle(WorkerEvent::Unwritten { nbytes: self.unwritten_bytes });
        self.release_unless_busy();
    }

    /// Memory was looked at: too much is in use, or not; whether that is news.
    pub(super) fn on_memory(&mut self, paused: bool) -> bool {
        let is_news = self.state.is_paused() != paused;
        if is_news {
            self.handle(if paused { WorkerEvent::Pause } else { WorkerEvent::Unpause });
            self.release_unless_busy();
        }
        is_news
    }

    /// The timer of the core.
    pub(super) fn on_timeout(&mut self) {
        self.handle(WorkerEvent::Timeout);
        self.release_unless_busy();
    }

    fn handle(&mut self, event: WorkerEvent) {
        let mut events = std::mem::take(&mut self.events);
        events.push(event);
        self.handle_all(&mut events);
        self.events = events;
    }

    /// Feeds the core until nothing follows any more.
    fn handle_all(&mut self, events: &mut Vec<WorkerEvent>) {
        while !events.is_empty() {
            let now = self.clock.now();
            self.out.clear();
            for event in events.iter() {
                tracing::trace!(?event, "worker event");
            }
            self.state.handle_batch(now, events.drain(..), &mut self.out);
            self.carry_out();
            self.offered.clear();
            events.append(&mut self.stillborn);
        }
    }

    fn carry_out(&mut self) {
        let mut instructions = std::mem::take(&mut self.out.instructions);
        for instruction in instructions.drain(..) {
            tracing::trace!(?instruction, "worker instruction");
            self.carry_out_one(instruction);
        }
        self.out.instructions = instructions;
    }

    fn carry_out_one(&mut self, instruction: WorkerInstruction) {
        use WorkerInstruction as I;
        match instruction {
            I::Execute { task, run_id, attempt, spec, inputs, threads, timeout_ns, priority } => {
                match self.prepare((task, run_id), spec, &inputs) {
                    Ok((work, inputs)) => self.runs.push(Run {
                        task,
                        run_id,
                        attempt,
                        work,
                        inputs,
                        threads,
                        timeout_ns,
                        priority: store_priority(priority),
                    }),
                    Err(error) => self.stillborn.push(failed_before_start(task, run_id, error)),
                }
            }
            // Kernels cannot be stopped, and a run that was handed out starts at once.
            I::Cancel { task, run_id } => {
                if let Some(control) = self.controls.get(&(task, run_id)) {
                    control.cancel();
                }
            }
            I::GatherDep { transfer, peer, tasks, priority } => {
                let known = self.peers.get(&peer).cloned();
                let is_near = known.as_ref().is_some_and(|known| known.machine == self.machine);
                let gather = Gather {
                    transfer,
                    worker: peer,
                    peer: known,
                    tasks,
                    class: if is_near { PathClass::SameMachine } else { PathClass::Fabric },
                    priority: store_priority(priority),
                };
                self.command(Command::Gather(gather));
            }
            I::Store { task } => {
                let value = self.offered.remove(&task);
                let value = value.expect("the core keeps only what its event announced");
                self.data.insert(task, value);
            }
            I::Drop { task } => {
                self.data.remove(&task);
            }
            I::SetTimer(at) => self.command(Command::SetTimer(at)),
            // Nobody waits for it: it may leave with the end of the run that begins now, at the
            // latest with a heartbeat, and wakes the scheduler once less.
            I::ReleaseWorkerData { .. } => self.tell(instruction, true),
            _ => self.tell(instruction, false),
        }
    }

    /// Sends what an instruction says to the scheduler.
    fn tell(&mut self, instruction: WorkerInstruction, hold_back: bool) {
        let Some(message) = message_of(instruction) else { return };
        let held_back = self.outgoing.set_hold_back(hold_back || self.outgoing.holds_back());
        self.send(&message);
        self.outgoing.set_hold_back(held_back);
    }

    /// What a run does, and on which values.
    fn prepare(
        &mut self,
        (task, run_id): (TaskId, RunId),
        spec: SpecId,
        inputs: &[TaskId],
    ) -> Result<(Work, Vec<Sealed>), TaskError> {
        let values = inputs.iter().map(|task| self.data.get(task).cloned());
        let values = values.collect::<Option<Vec<_>>>().ok_or_else(|| TaskError {
            kind: "InternalError".to_owned(),
            message: "an input went away before the run began".to_owned(),
            traceback: String::new(),
        })?;
        let work = match self.work(spec, inputs.len())? {
            Known::Kernel(kernel) => Work::Kernel(kernel),
            Known::Command(spec) => {
                let key = self.state.key_of(task).unwrap_or_default().to_owned();
                let control = Arc::<Control>::default();
                self.controls.insert((task, run_id), Arc::clone(&control));
                Work::Command(CommandRun { spec, key, control })
            }
        };
        Ok((work, values))
    }

    fn work(&mut self, spec: SpecId, inputs: usize) -> Result<Known, TaskError> {
        if let Some(known) = self.known.get(&(spec, inputs)) {
            return Ok(known.clone());
        }
        let unusable = |message: String| TaskError {
            kind: "SpecError".to_owned(),
            message,
            traceback: String::new(),
        };
        let run_spec = self.specs.get(spec.index()).and_then(Option::as_deref);
        let Some(run_spec) = run_spec else {
            return Err(unusable("its run spec did not reach the worker whole".to_owned()));
        };
        let kernel = kernels::of_spec(run_spec, inputs);
        let kernel = kernel.map_err(|error| unusable(error.to_string()))?;
        let known = match (kernel, run_spec) {
            (Some(kernel), _) => Known::Kernel(Arc::new(kernel)),
            (None, RunSpec::Command(command)) => Known::Command(Arc::new((**command).clone())),
            (None, _) => return Err(unusable("nothing can run its run spec".to_owned())),
        };
        self.known.insert((spec, inputs), known.clone());
        Ok(known)
    }

    /// Sends what was held back, unless the end of a run that begins now will carry it.
    fn release_unless_busy(&self) {
        if self.runs.is_empty() {
            self.outgoing.release();
        }
    }

    /// The runs that follow from what was done, and whom to hand them out to. Without threads there
    /// are none.
    pub(super) fn take_runs(&mut self) -> Option<(Submitter, Vec<Run>)> {
        if self.runs.is_empty() {
            return None;
        }
        let runs = std::mem::take(&mut self.runs);
        self.submitter.clone().map(|submitter| (submitter, runs))
    }

    fn command(&self, command: Command) {
        // The I/O thread has gone only when the worker ends.
        let _ended = self.commands.send(command);
    }
}

fn failed_before_start(task: TaskId, run_id: RunId, error: TaskError) -> WorkerEvent {
    WorkerEvent::ExecuteFailure {
        task,
        run_id,
        error: Box::new(error),
        thread: 0,
        start_ns: 0,
        stop_ns: 0,
    }
}

/// The store serves smaller numbers first, as the core does.
fn store_priority(priority: Priority) -> u64 {
    let user = u64::from(priority.user.cast_unsigned() ^ (1 << 31));
    (user << 32) | u64::from(priority.order)
}

/// The code of a result's type: 1 for bytes, 16 + dtype code for arrays.
pub(crate) fn type_code(header: &Header) -> TypeCode {
    match header {
        Header::Bytes => TypeCode(1),
        Header::Array { dtype, .. } => TypeCode(16 + dtype.code()),
    }
}
