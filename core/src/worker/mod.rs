//! The worker's state machine: what to fetch, what to run, what to tell the scheduler.
//!
//! ```text
//!   scheduler ─ compute-task ─▶ waiting ─ inputs here ─▶ ready ─ slot ─▶ executing ─▶ memory
//!                                  │                                                   ▲
//!                                  └─ per input: fetch ─▶ flight ──────────────────────┘
//! ```
//!
//! `WorkerState` decides and holds no value. The tables of docs/states.md are `transitions.rs`
//! and `cancelled.rs`; `stimuli.rs` turns messages into recommendations, `execute.rs` and
//! `gather.rs` the ends of runs and transfers; `ready.rs` picks what runs next. Invariants:
//! `validate.rs`.

mod cancelled;
mod event;
mod execute;
mod gather;
mod instruction;
mod peers;
mod ready;
mod replicas;
mod resources;
mod status;
mod steal;
mod stimuli;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod transitions;
mod validate;

pub use event::WorkerEvent;
pub use instruction::{WorkerInstruction, WorkerOut};
pub use task::{Live, State};

use crate::config::{Config, SECOND_NS};
use crate::ids::{RunId, TaskId, TransferId, WorkerId};
use crate::rng::Rng;
use crate::story::{Stimulus, Story, Transition};
use crate::time::Time;
use gather::{Suspect, Transfer};
use peers::Peers;
use ready::{Queue, Resource};
use std::collections::{BTreeMap, BTreeSet};
use task::{PeerIndex, Rank, Requirement, Slot};
use tasks::Tasks;

/// Interval of find-missing where nobody says: the heartbeat's of up to ten workers.
const FIND_MISSING_NS: u64 = SECOND_NS / 2;

/// What a worker is and has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerOptions {
    /// Slots.
    pub nthreads: u32,
    /// Bytes; 0 = unlimited.
    pub memory_limit_bytes: u64,
    /// Abstract resources by name, in millionths.
    pub resources: Vec<(String, u64)>,
    /// The number of this life of the worker.
    pub worker: WorkerId,
}

/// A run that an `Execute` began and no event has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExecutingTask {
    /// The task.
    pub task: TaskId,
    /// The run that `Execute` named.
    pub run_id: RunId,
    /// When it was handed out.
    pub started: Time,
}

/// Who ran a task and when, as its end event said.
#[derive(Clone, Copy, Debug)]
struct RunEnd {
    thread: u32,
    start_ns: u64,
    stop_ns: u64,
}

/// The worker core.
#[derive(Debug)]
pub struct WorkerState {
    config: Config,
    options: WorkerOptions,
    rng: Rng,
    now: Time,
    stimulus: Stimulus,
    /// Instructions of the call in progress.
    out: Vec<WorkerInstruction>,
    /// Arrivals of this event, for one add-keys.
    arrived: Vec<TaskId>,
    tasks: Tasks,
    peers: Peers,
    /// Records with a recommendation, the latest on top.
    stack: Vec<Slot>,
    /// Links cut by the transition in progress; kept for its memory.
    cut: Vec<Slot>,
    /// Holders that a message names; kept for its memory.
    holders: Vec<PeerIndex>,
    /// End data of the run whose end event is being handled.
    run_end: Option<RunEnd>,
    /// Starts tasks and transfers: neither paused nor closing.
    running: bool,
    /// Memory is short.
    paused: bool,
    /// The scheduler lets it close gracefully.
    closing: bool,
    /// When a paused worker gives back what it has not started.
    give_back_at: Option<Time>,
    /// Bytes of results that wait to be written.
    unwritten_bytes: u64,
    /// Counts down with each compute-task: among equals the latest runs first.
    generation: u32,
    /// Bytes of all values here.
    nbytes: u64,
    ready: BTreeSet<Rank>,
    constrained: BTreeMap<Requirement, Queue>,
    executing: BTreeSet<Slot>,
    long_running: BTreeSet<Slot>,
    missing: BTreeSet<Slot>,
    /// Slots taken by `executing`.
    used_threads: u32,
    /// Bytes promised to runs.
    promised_bytes: u64,
    resources: Vec<Resource>,
    /// There was more of some resource than there is now.
    resources_fell: bool,
    /// Tasks in fetch, each once.
    fetch_count: usize,
    transfers: BTreeMap<TransferId, Transfer>,
    next_transfer: u64,
    incoming_bytes: u64,
    incoming_bytes_limit: u64,
    suspects: BTreeMap<(TaskId, WorkerId), Suspect>,
    find_missing_at: Option<Time>,
    timer: Option<Time>,
    story: Story<State>,
    executed_count: u64,
    ignored_count: u64,
    transition_count: u64,
}

impl WorkerState {
    /// A worker that runs and knows nothing. `seed` sets its choices among equals.
    #[must_use]
    pub fn new(config: Config, options: WorkerOptions, seed: u64) -> Self {
        let resources = options
            .resources
            .iter()
            .map(|(name, total)| Resource { name: name.clone(), total: *total, taken: 0 })
            .collect();
        Self {
            incoming_bytes_limit: gather::incoming_bytes_limit(&config, &options),
            story: Story::new(config.worker_log_length),
            rng: Rng::new(seed),
            resources,
            resources_fell: false,
            config,
            options,
            now: Time::default(),
            stimulus: Stimulus::default(),
            out: Vec::new(),
            arrived: Vec::new(),
            tasks: Tasks::default(),
            peers: Peers::default(),
            stack: Vec::new(),
            cut: Vec::new(),
            holders: Vec::new(),
            run_end: None,
            running: true,
            paused: false,
            closing: false,
            give_back_at: None,
            unwritten_bytes: 0,
            generation: u32::MAX,
            nbytes: 0,
            ready: BTreeSet::new(),
            constrained: BTreeMap::new(),
            executing: BTreeSet::new(),
            long_running: BTreeSet::new(),
            missing: BTreeSet::new(),
            used_threads: 0,
            promised_bytes: 0,
            fetch_count: 0,
            transfers: BTreeMap::new(),
            next_transfer: 0,
            incoming_bytes: 0,
            suspects: BTreeMap::new(),
            find_missing_at: None,
            timer: None,
            executed_count: 0,
            ignored_count: 0,
            transition_count: 0,
        }
    }

    /// Handles one event; its instructions are appended to `out`.
    ///
    /// # Panics
    /// When an invariant is broken, with the task's story.
    pub fn handle(&mut self, now: Time, event: WorkerEvent, out: &mut WorkerOut) {
        self.handle_batch(now, std::iter::once(event), out);
    }

    /// Handles events that arrived together, all messages of a frame for example: what to run and
    /// what to ask of which peer is decided once, when all of them are known.
    ///
    /// # Panics
    /// As `handle`.
    pub fn handle_batch(
        &mut self,
        now: Time,
        events: impl IntoIterator<Item = WorkerEvent>,
        out: &mut WorkerOut,
    ) {
        std::mem::swap(&mut self.out, &mut out.instructions);
        self.now = now;
        for event in events {
            self.dispatch(event);
            self.drain();
            self.flush_arrived();
            self.run_end = None;
        }
        if self.paused || self.closing {
            self.mind_unstarted();
        }
        self.ensure_computing();
        self.ensure_communicating();
        self.arm_timer();
        std::mem::swap(&mut self.out, &mut out.instructions);
        if self.config.validate
            && let Err(broken) = self.validate()
        {
            panic!("{broken}");
        }
    }

    /// When to ask again for holders of what nobody has.
    fn next_find_missing(&self) -> Time {
        let interval_ns = match self.config.find_missing_ns {
            0 => FIND_MISSING_NS,
            given => given,
        };
        self.now.after_ns(interval_ns)
    }

    /// State of a task, if the worker knows it.
    #[must_use]
    pub fn state(&self, task: TaskId) -> Option<State> {
        self.tasks.find(task).map(|slot| self.tasks[slot].state)
    }

    /// Whether the value of a task is here.
    #[must_use]
    pub fn holds(&self, task: TaskId) -> bool {
        self.state(task) == Some(State::Memory)
    }

    /// Tasks that the worker knows, in no order that means anything.
    pub fn tasks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks.slots().map(|slot| self.tasks[slot].task)
    }

    /// Peers from which something is wanted that is not asked for yet.
    pub fn wanted_from(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.peers.needy().map(|at| self.peers.at(at).worker)
    }

    /// Name of a task, if a compute-task brought it.
    #[must_use]
    pub fn key_of(&self, task: TaskId) -> Option<&str> {
        let slot = self.tasks.find(task)?;
        Some(self.tasks[slot].key.as_str()).filter(|key| !key.is_empty())
    }

    /// Size of a task's value here, or as it was announced; bytes.
    #[must_use]
    pub fn nbytes_of(&self, task: TaskId) -> Option<u64> {
        self.tasks.find(task).map(|slot| self.tasks[slot].nbytes)
    }

    /// Size of all values here, bytes.
    #[must_use]
    pub const fn nbytes(&self) -> u64 {
        self.nbytes
    }

    /// Runs on threads, cancelled ones included.
    pub fn executing(&self) -> impl Iterator<Item = ExecutingTask> + '_ {
        self.executing.iter().chain(&self.long_running).filter_map(|&slot| {
            let record = &self.tasks[slot];
            let run = record.run.as_ref()?;
            Some(ExecutingTask { task: record.task, run_id: run.run_id, started: run.started })
        })
    }

    /// Tasks that wait for nothing but a slot, memory or resources.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.ready.len() + self.constrained.values().map(|queue| queue.ranks.len()).sum::<usize>()
    }

    /// Transfers under way.
    #[must_use]
    pub fn transfer_count(&self) -> usize {
        self.transfers.len()
    }

    /// Tasks that the worker knows.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Runs that ended well or ill so far.
    #[must_use]
    pub const fn executed_count(&self) -> u64 {
        self.executed_count
    }

    /// Events that named something gone or unknown, or that could not be meant.
    #[must_use]
    pub const fn ignored_count(&self) -> u64 {
        self.ignored_count
    }

    /// State changes so far.
    #[must_use]
    pub const fn transition_count(&self) -> u64 {
        self.transition_count
    }

    /// A transfer is under way or wanted, or something waits for a holder.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        self.fetch_count > 0 || !self.transfers.is_empty() || !self.missing.is_empty()
    }

    /// Whether its memory is short.
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether it starts tasks and transfers (neither paused nor closing).
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running
    }

    /// What happened to a task, oldest first, as far as the ring reaches back.
    pub fn story(&self, task: TaskId) -> impl Iterator<Item = Transition<State>> {
        self.story.of(task)
    }

    /// The ring of all transitions.
    #[must_use]
    pub const fn transitions(&self) -> &Story<State> {
        &self.story
    }

    fn emit(&mut self, instruction: WorkerInstruction) {
        self.out.push(instruction);
    }

    /// One add-keys for all that arrived since the last.
    fn flush_arrived(&mut self) {
        if !self.arrived.is_empty() {
            let tasks = std::mem::take(&mut self.arrived);
            self.emit(WorkerInstruction::AddKeys { tasks });
        }
    }

    /// The earliest moment at which something is due without an event.
    fn next_deadline(&self) -> Option<Time> {
        let deadlines = [self.peers.next_retry(), self.find_missing_at, self.give_back_at];
        deadlines.into_iter().flatten().min()
    }

    /// One timer serves all: asks for it when the earliest deadline changed.
    fn arm_timer(&mut self) {
        if let Some(at) = self.next_deadline()
            && self.timer.is_none_or(|armed| at < armed)
        {
            self.timer = Some(at);
            self.emit(WorkerInstruction::SetTimer(at));
        }
    }
}
