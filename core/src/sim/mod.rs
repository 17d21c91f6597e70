//! A pretend cluster: the real cores on machines, a network and clients that are not there.
//!
//! ```text
//!   agenda ─▶ happening ─▶ scheduler core (head) ──┐ frames, through the codec,
//!     ▲                 └▶ worker cores (process) ─┤ each stream in order, with delays
//!     └────────────────────────────────────────────┘ faults and clients from the seed
//! ```
//!
//! One agenda, one seed: equal scenarios give equal traces. After every event each core checks
//! itself; `invariants/` holds what must be true across them, `coverage.rs` counts which edges of
//! both were taken. `Scenario` says what is simulated, `Simulation::run` does it. docs/simulator.md
//! tells how to use it.

mod agenda;
mod bounds;
mod breakage;
mod clients;
pub mod coverage;
pub mod edges;
mod faults;
mod given;
mod head;
pub mod invariants;
mod links;
mod machine;
mod network;
mod orders;
mod process;
mod recorded;
mod scenario;
mod shapes;
mod submissions;
mod trace;
mod transfers;
mod workload;

pub use bounds::Bounds;
pub use clients::{Belief, Clients};
pub use faults::{Extent, Fault, FaultPlan, KINDS};
pub use given::{NoOutcome, Outcome, serial_peak};
pub use machine::MachineSpec;
pub use network::Network;
pub use orders::Order;
pub use scenario::Scenario;
pub use trace::Trace;
pub use workload::{Behaviour, Workload};

use crate::codec;
use crate::config::{Config, SECOND_NS};
use crate::ids::{ClientId, RunId, TaskId, TransferId, WorkerId};
use crate::record::Encoder;
use crate::rng::Rng;
use crate::scheduler::{GraphSubmission, SchedulerEvent, SchedulerOut, SchedulerState};
use crate::time::Time;
use crate::wire::Introductions;
use crate::worker::WorkerState;
use agenda::{Agenda, Happening};
use invariants::{Invariant, When};
use links::Links;
use machine::{Life, Machine};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use submissions::Further;

/// The client that submits the graph.
const JOB: ClientId = ClientId(0);
/// Simulated time after the last fault in which everything must end.
const PATIENCE_NS: u64 = 3600 * SECOND_NS;
/// Happenings of one moment; more than that never end.
const AT_ONCE: u64 = 10_000_000;

/// A property that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property} broken at {at_ns} ns: {what}")]
pub struct Broken {
    /// Name of the property, as in the table of `invariants`.
    pub property: &'static str,
    /// When.
    pub at_ns: u64,
    /// What was found.
    pub what: String,
}

/// A run in progress.
pub struct Simulation {
    seed: u64,
    now: Time,
    agenda: Agenda,
    rng: Rng,
    config: Config,
    network: Network,
    workload: Workload,
    /// Values of a serial run.
    expected: Vec<u64>,
    scheduler: SchedulerState,
    out: SchedulerOut,
    introductions: Introductions,
    timer: Option<Time>,
    /// The graph arrives when every slot has a worker, as in a job.
    waits: bool,
    submitted: bool,
    /// Workers that the scheduler hears.
    connected: BTreeSet<WorkerId>,
    clients: Clients,
    machines: Vec<Machine>,
    /// Slot of every life so far.
    slot_of: Vec<usize>,
    /// What each open request asked for.
    requests: FxHashMap<(WorkerId, TransferId), Vec<TaskId>>,
    /// Requests whose answer is on its way.
    answering: FxHashSet<(WorkerId, TransferId)>,
    /// Pairs of slots that do not reach each other.
    cuts: BTreeSet<(usize, usize)>,
    /// Workers whose control connection is broken.
    deaf: BTreeSet<WorkerId>,
    /// Runs of each task that began.
    executions: Vec<u32>,
    /// Times that each task was sent.
    sent: Vec<u32>,
    /// Runs that began.
    begun: FxHashSet<RunId>,
    /// A run that began twice.
    doubled: Option<(TaskId, RunId)>,
    /// Workers that the present event concerns.
    touched: Vec<WorkerId>,
    /// Times that each task gave itself back.
    rescheduled: Vec<u32>,
    heals: Time,
    healed: bool,
    faultless: bool,
    /// A graph that the scheduler is taking.
    further: Option<Further>,
    /// Properties are checked.
    checked: bool,
    /// Links that transfers share; none: each transfer has the network for itself.
    links: Option<Links>,
    /// Simulated time after the last fault in which everything must end.
    patience_ns: u64,
    /// Writes the scheduler's events down, with the blocks so far.
    recorder: Option<(Encoder, Vec<u8>)>,
    trace: Trace,
}

impl Simulation {
    /// Sets a scenario up; nothing has happened yet.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let waits = scenario.waits();
        let Scenario { seed, config, network, machines, workload, plan, orders } = scenario;
        let mut agenda = Agenda::default();
        let mut rng = Rng::new(seed ^ 0x5eed);
        for slot in 0..machines.len() {
            let at = Time(rng.below(network.latency_ns * 100 + 1));
            agenda.at(at, Happening::Starts { slot });
        }
        let faultless = plan.faults.is_empty();
        for (at, fault) in plan.faults {
            agenda.at(at, Happening::Breaks { fault });
        }
        for (at, order) in orders {
            agenda.at(at, Happening::Ordered { order });
        }
        agenda.at(plan.heals, Happening::Heals);
        let tasks = workload.graph.len();
        Self {
            now: Time(0),
            agenda,
            rng,
            network,
            expected: workload.serial(),
            scheduler: SchedulerState::new(config.clone(), seed),
            config,
            out: SchedulerOut::default(),
            introductions: Introductions::default(),
            timer: None,
            waits,
            submitted: false,
            connected: BTreeSet::new(),
            clients: Clients::default(),
            machines: machines.into_iter().map(Machine::new).collect(),
            slot_of: Vec::new(),
            requests: FxHashMap::default(),
            answering: FxHashSet::default(),
            cuts: BTreeSet::new(),
            deaf: BTreeSet::new(),
            executions: vec![0; tasks],
            sent: vec![0; tasks],
            begun: FxHashSet::default(),
            doubled: None,
            touched: Vec::new(),
            rescheduled: vec![0; tasks],
            heals: plan.heals,
            healed: false,
            faultless,
            further: None,
            checked: true,
            links: None,
            patience_ns: PATIENCE_NS,
            recorder: None,
            trace: Trace::default(),
            workload,
            seed,
        }
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// The first property of `invariants` that does not hold.
    ///
    /// # Panics
    /// When a core finds one of its own invariants broken; the message holds the story.
    pub fn run(mut self) -> Result<Trace, Broken> {
        self.begin();
        self.go_on(&mut 0)
    }

    /// The graph is there before the first worker, or waits for the last one.
    fn begin(&mut self) {
        if !self.waits {
            self.submit();
        }
    }

    /// A worker came: the graph may have waited for it.
    fn submit_when_all_are_there(&mut self) {
        if self.waits && !self.submitted && self.connected.len() >= self.machines.len() {
            self.submit();
        }
    }

    /// Runs what was submitted to its end; `peak` is the most bytes of results on one worker.
    fn go_on(&mut self, peak: &mut u64) -> Result<Trace, Broken> {
        let mut at_once = 0;
        while let Some((at, number, happening)) = self.agenda.pop() {
            if let Some(until) = self.held_back(&happening).filter(|until| *until > at) {
                self.agenda.put_off(until, number, happening);
                continue;
            }
            at_once = if at == self.now { at_once + 1 } else { 0 };
            self.now = at;
            self.touched.clear();
            self.happen(happening);
            if self.config.validate {
                self.check(When::Always)?;
            }
            if self.is_over() {
                self.check(When::Quiet)?;
                self.trace.recomputed = self.scheduler.recomputed_count();
                *peak = self.machines.iter().map(|machine| machine.peak_bytes).max().unwrap_or(0);
                self.trace.stolen = self.scheduler.stolen_count();
                self.trace.makespan_ns = self.clients.last.0.max(self.trace.makespan_ns);
                return Ok(self.trace.clone());
            }
            if self.now > self.heals.after_ns(self.patience_ns) || at_once > AT_ONCE {
                break;
            }
        }
        let what = self.whereabouts();
        Err(Broken { property: "progress", at_ns: self.now.0, what })
    }

    fn submit(&mut self) {
        self.submitted = true;
        self.schedule(SchedulerEvent::AddClient(JOB));
        self.schedule(SchedulerEvent::AddClient(ClientId(1)));
        for task in &self.workload.wanted {
            self.clients.desires(JOB, *task);
        }
        let submission = self.submission();
        self.schedule(SchedulerEvent::UpdateGraph(Box::new(submission)));
        self.schedule(SchedulerEvent::AllWorkersArrived);
    }

    fn submission(&self) -> GraphSubmission {
        GraphSubmission {
            client: JOB,
            graph: self.workload.graph.clone(),
            order: self.workload.order.clone(),
            wanted: self.workload.wanted.clone(),
            run_once: self.workload.run_once.clone(),
            references: Vec::new(),
            fifo_timeout_ns: 0,
        }
    }

    fn happen(&mut self, happening: Happening) {
        use Happening as H;
        match happening {
            H::Starts { slot } => self.start(slot),
            H::ToWorker { worker, frame } => {
                self.arrives(worker);
                if !self.deaf.contains(&worker) {
                    self.on_frame_down(worker, &frame);
                }
            }
            H::ToScheduler { worker, frame } | H::Vitals { worker, frame } => {
                self.arrives(worker);
                if !self.deaf.contains(&worker) {
                    self.on_frame_up(worker, &frame);
                }
            }
            H::StreamEnds { worker } => self.on_stream_end(worker),
            H::Reported { worker, executing } => self.lose(worker, Some(executing)),
            H::PatienceEnds { worker } => self.lose(worker, None),
            H::Disowned { worker } => self.end(worker, true),
            H::RunEnds { worker, task, run_id } => self.on_run_end(worker, task, run_id),
            H::RunStops { worker, task, run_id, kind } => {
                self.on_run_stop(worker, task, run_id, kind);
            }
            H::Secedes { worker, task, run_id } => self.on_secede(worker, task, run_id),
            H::Asked { worker, transfer, peer, tasks } => {
                self.on_asked(worker, transfer, peer, &tasks);
            }
            H::Answered { worker, transfer, peer, answer } => {
                self.on_answered(worker, transfer, peer, answer);
            }
            H::Unanswered { worker, transfer } => self.on_unanswered(worker, transfer),
            H::Heartbeat { worker } => self.on_heartbeat(worker),
            H::WorkerTimer { worker, at } => self.on_worker_timer(worker, at),
            H::SchedulerTimer { at } => {
                if self.timer == Some(at) {
                    self.timer = None;
                    self.schedule(SchedulerEvent::Timeout);
                }
            }
            H::Silent { worker, since } => self.on_silent(worker, since),
            H::Mends { fault } => self.on_mend(&fault),
            H::Breaks { fault } => self.on_break(fault),
            H::Ordered { order } => self.on_order(order),
            H::Heals => self.on_heal(),
        }
    }

    /// Until when the process that takes it in is stopped, or its way is blocked.
    fn held_back(&self, happening: &Happening) -> Option<Time> {
        let machine = |worker: WorkerId| &self.machines[self.slot_of[worker.index()]];
        let frozen = happening.receiver().and_then(|worker| machine(worker).frozen_until);
        let apart = happening.passenger().and_then(|worker| machine(worker).apart_until);
        frozen.max(apart)
    }

    /// Whether nothing more can come of it.
    fn is_over(&self) -> bool {
        self.healed
            && self.submitted
            && self.agenda.progress() == 0
            && self.scheduler.is_idle()
            && self.orders_are_done()
            && self.machines.iter().all(|machine| {
                let life = machine.life.as_ref();
                machine.frozen_until.is_none()
                    && machine.apart_until.is_none()
                    && life.is_none_or(|life| life.asked.is_empty())
            })
    }

    fn check(&self, when: When) -> Result<(), Broken> {
        if !self.checked {
            return Ok(());
        }
        for Invariant { name, when: due, check } in invariants::ALL {
            if *due == when {
                check(self).map_err(|what| Broken { property: name, at_ns: self.now.0, what })?;
            }
        }
        Ok(())
    }

    /// The life of a worker, if it goes on.
    fn life_mut(&mut self, worker: WorkerId) -> Option<&mut Life> {
        let slot = *self.slot_of.get(worker.index())?;
        self.machines[slot].life.as_mut().filter(|life| life.worker == worker)
    }

    fn life(&self, worker: WorkerId) -> Option<&Life> {
        let slot = *self.slot_of.get(worker.index())?;
        self.machines[slot].life.as_ref().filter(|life| life.worker == worker)
    }

    /// A frame between a worker and the scheduler is no longer under way.
    fn arrives(&mut self, worker: WorkerId) {
        self.touched.push(worker);
        if let Some(life) = self.life_mut(worker) {
            life.under_way -= 1;
        }
    }

    /// The lives that the present event concerns and that have registered, with their cores.
    fn touched(&self) -> impl Iterator<Item = (&Machine, &Life, &WorkerState)> {
        self.touched.iter().filter_map(|worker| {
            let machine = &self.machines[self.slot_of[worker.index()]];
            let life = machine.life.as_ref().filter(|life| life.worker == *worker)?;
            Some((machine, life, life.state.as_ref()?))
        })
    }

    /// Whether a worker and the scheduler have told each other everything.
    fn is_settled(&self, life: &Life) -> bool {
        life.under_way == 0
            && !life.disowned
            && self.connected.contains(&life.worker)
            && !self.deaf.contains(&life.worker)
    }

    /// Whether no machine has a limit that inputs could be too large for.
    fn is_roomy(&self) -> bool {
        let most = |machine: &Machine| machine.spec.memory_limit_bytes == 0;
        self.machines.iter().all(most)
    }

    /// Whether whatever comes to any machine finds room there, in memory or on a disk.
    fn has_room(&self) -> bool {
        self.machines.iter().all(|machine| machine.spec.room_bytes() == u64::MAX)
    }

    /// Whether some machine gives a task what it asks for.
    fn is_satisfiable(&self, task: TaskId) -> bool {
        (0..self.machines.len()).any(|slot| self.may_run(task, slot))
    }

    /// Whether a machine gives a task what it asks for, and is one of those that it names.
    fn may_run(&self, task: TaskId, slot: usize) -> bool {
        let Some(terms) = self.workload.graph.attributes_of(task) else { return true };
        let (asks, spec) = (self.workload.asks(task), &self.machines[slot].spec);
        let open = terms.workers.is_empty() && terms.hosts.is_empty();
        let named =
            terms.workers.contains(&slot.to_string()) || terms.hosts.contains(&spec.host_name());
        (open || named || terms.allow_other_workers)
            && asks.threads <= spec.nthreads
            && asks.gpu <= spec.gpu
    }

    /// The lives that go on, by slot.
    fn lives(&self) -> impl Iterator<Item = &Life> {
        self.machines.iter().filter_map(|machine| machine.life.as_ref())
    }

    /// Where everything stands, for a run that is stuck: the first task that has not ended, what each
    /// worker does about it, and the inputs that it lacks there.
    fn whereabouts(&self) -> String {
        use crate::scheduler::TaskState as S;
        let stuck = (0..self.workload.graph.len()).map(TaskId::from_index).find(|task| {
            let state = self.scheduler.state_of(*task);
            matches!(state, S::Waiting | S::Queued | S::NoWorker | S::Processing)
        });
        let Some(task) = stuck else { return "the job does not end".to_owned() };
        let mut text = format!("the job does not end: {}", self.scheduler.story(task));
        for life in self.lives() {
            let Some(core) = life.state.as_ref().filter(|core| core.state(task).is_some()) else {
                continue;
            };
            let inputs = self.workload.graph.inputs.row(task).iter();
            let lacking = inputs.filter(|input| !life.data.contains_key(input));
            for task in std::iter::once(&task).chain(lacking) {
                let told: Vec<String> = core.story(*task).map(|step| step.to_string()).collect();
                let (number, state) = (life.worker.0, core.state(*task));
                text.push_str(&format!("\n  {} on worker {number}: {state:?}\n    ", task.0));
                text.push_str(&told.join("\n    "));
            }
        }
        if !self.orders_are_done() {
            text.push_str(&self.orders_left());
        }
        text
    }
}

/// Appends a message to a frame: its length, then its bytes.
fn write_message<M: Serialize>(message: &M, frame: &mut Vec<u8>) {
    let start = frame.len();
    frame.extend([0; 4]);
    codec::encode_into(message, frame).expect("messages of a simulation are short");
    let length = u32::try_from(frame.len() - start - 4).expect("bounded by the codec");
    frame[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// The messages of a frame.
fn read_frame<M: DeserializeOwned>(mut frame: &[u8]) -> Vec<M> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = frame.split_first_chunk::<4>() {
        let (body, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        messages.push(codec::decode(body).expect("it was encoded by the same codec"));
        frame = rest;
    }
    messages
}
