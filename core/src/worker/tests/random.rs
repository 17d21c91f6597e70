//! Random runs: a small scheduler that keeps to the protocol, peers that fail, threads that end as
//! they like, messages that cross. Invariants hold after each event (the worker validates itself),
//! and once faults stop and everything is answered, no task is stuck.

use super::edges::{Edge, all_edges};
use super::*;
use crate::config::SECOND_NS;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const PEERS: u32 = 4;

/// What the scheduler believes of one task.
#[derive(Default)]
struct Known {
    inputs: Vec<u32>,
    /// The run on the worker under test.
    processing: Option<u64>,
    holders: BTreeSet<u32>,
}

/// A worker, a scheduler and peers in one box.
struct World {
    rng: Rng,
    bench: Bench,
    tasks: u32,
    /// One in so many chances to end a run or a transfer is taken: slow ends let releases and new
    /// wishes meet live instructions.
    slowness: u64,
    /// Faults happen only while this holds.
    wild: bool,
    known: Vec<Known>,
    runs: u64,
    alive: BTreeSet<u32>,
    /// What peers really hold; the scheduler may believe otherwise.
    truth: BTreeSet<(u32, u32)>,
    to_worker: VecDeque<WorkerEvent>,
    to_scheduler: VecDeque<WorkerInstruction>,
    executes: BTreeMap<u32, u64>,
    seceded: BTreeSet<u32>,
    gathers: BTreeMap<u64, (u32, Vec<u32>)>,
    timer: Option<Time>,
    /// Values in the driver's store.
    values: BTreeSet<u32>,
    reported: BTreeSet<u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let tasks = 4 + pick(&mut rng, 12);
        let slowness = 1 + rng.below(6);
        let mut known = Vec::new();
        for task in 0..tasks {
            let mut inputs = BTreeSet::new();
            for _ in 0..rng.below(4) {
                inputs.insert(pick(&mut rng, task.max(1)));
            }
            inputs.remove(&task);
            let inputs = if task < 2 { Vec::new() } else { inputs.into_iter().collect() };
            known.push(Known { inputs, ..Known::default() });
        }
        let nthreads = 1 + pick(&mut rng, 3);
        let mut bench = Bench::with(nthreads, 100, &[("GPU", 1_000_000)]);
        for worker in 1..=PEERS {
            bench.set_up(peer(worker));
        }
        Self {
            rng,
            bench,
            tasks,
            slowness,
            wild: true,
            known,
            runs: 0,
            alive: (1..=PEERS).collect(),
            truth: BTreeSet::new(),
            to_worker: VecDeque::new(),
            to_scheduler: VecDeque::new(),
            executes: BTreeMap::new(),
            seceded: BTreeSet::new(),
            gathers: BTreeMap::new(),
            timer: None,
            values: BTreeSet::new(),
            reported: BTreeSet::new(),
        }
    }

    fn chance(&mut self, of: u64) -> bool {
        self.rng.below(of) == 0
    }

    fn task(&mut self) -> u32 {
        pick(&mut self.rng, self.tasks)
    }

    /// One random thing happens.
    fn step(&mut self) {
        match self.rng.below(12) {
            0..=2 => self.schedule(),
            3 => self.unschedule(),
            4 => self.elsewhere(),
            5 => self.misfortune(),
            6 | 7 => self.deliver_to_worker(),
            8 => self.deliver_to_scheduler(),
            9 if self.chance(self.slowness) => self.end_execute(),
            10 if self.chance(self.slowness) => self.end_gather(),
            9 | 10 => self.elsewhere(),
            _ => self.pass_time(),
        }
    }

    fn is_in_memory(&self, task: u32) -> bool {
        !self.known[task as usize].holders.is_empty()
    }

    fn may_run(&self, task: u32) -> bool {
        let known = &self.known[task as usize];
        known.processing.is_none()
            && known.holders.is_empty()
            && known.inputs.iter().all(|&input| self.is_in_memory(input))
    }

    /// compute-task to the worker under test.
    fn schedule(&mut self) {
        let task = self.task();
        if !self.may_run(task) {
            return;
        }
        self.runs += 1;
        let run = self.runs;
        let inputs = self.known[task as usize].inputs.clone();
        let mut compute = message(task, run, &[]);
        compute.dependencies = inputs
            .iter()
            .map(|&input| Dependency {
                task: TaskId(input),
                nbytes: INPUT,
                who_has: self.known[input as usize].holders.iter().map(|&w| WorkerId(w)).collect(),
            })
            .collect();
        if task % 4 == 1 {
            compute.needs = Some(Box::new(Needs {
                threads: 1 + task % 3,
                memory_bytes: u64::from(task % 8) * 10,
                resources: vec![("GPU".into(), 500_000 * u64::from(task % 3))],
                timeout_ns: 0,
            }));
        }
        self.known[task as usize].processing = Some(run);
        self.to_worker.push_back(send(compute));
    }

    /// Takes a run back, or frees a result that nobody needs.
    fn unschedule(&mut self) {
        let task = self.task();
        if self.known[task as usize].processing.is_some() {
            self.take_back(task);
        } else if self.is_in_memory(task) && !self.is_needed(task) {
            self.release(task);
        }
    }

    fn take_back(&mut self, task: u32) {
        if let Some(run) = self.known[task as usize].processing.take() {
            self.to_worker.push_back(free(&[(task, run)]));
        }
    }

    fn is_needed(&self, task: u32) -> bool {
        self.known.iter().any(|known| known.processing.is_some() && known.inputs.contains(&task))
    }

    fn release(&mut self, task: u32) {
        let holders = std::mem::take(&mut self.known[task as usize].holders);
        if holders.contains(&SELF) {
            self.to_worker.push_back(free(&[(task, 0)]));
        }
        self.truth.retain(|&(_, held)| held != task);
    }

    /// Another worker computed a task or took a copy.
    fn elsewhere(&mut self) {
        let task = self.task();
        if self.chance(2) {
            self.take_back(task);
        }
        let worker = 1 + pick(&mut self.rng, PEERS);
        let known = &self.known[task as usize];
        let copies = known.processing.is_none() && self.is_in_memory(task);
        if self.alive.contains(&worker) && (copies || self.may_run(task)) {
            self.known[task as usize].holders.insert(worker);
            self.truth.insert((worker, task));
        }
    }

    /// A copy vanishes unseen, a peer dies, the worker is paused, data is asked back.
    fn misfortune(&mut self) {
        let task = self.task();
        let worker = 1 + pick(&mut self.rng, PEERS);
        match self.rng.below(9) {
            8 => {
                let total = 500_000 * self.rng.below(3);
                self.to_worker.push_back(gpus(total));
            }
            0 | 1 => {
                self.truth.remove(&(worker, task));
            }
            2 if self.alive.len() > 1 => self.lose_peer(worker),
            3 => self.to_worker.push_back(WorkerEvent::Pause),
            4 | 5 => self.to_worker.push_back(WorkerEvent::Unpause),
            _ => {
                let known = &mut self.known[task as usize];
                if known.holders.len() > 1 && known.holders.contains(&SELF) {
                    known.holders.remove(&SELF);
                    let tasks = tasks(&[task]);
                    self.to_worker.push_back(WorkerEvent::RemoveReplicas { tasks });
                }
            }
        }
    }

    fn lose_peer(&mut self, worker: u32) {
        if self.alive.remove(&worker) {
            self.truth.retain(|&(holder, _)| holder != worker);
            for task in 0..self.tasks {
                self.strike(task, worker);
            }
            self.to_worker.push_back(lost(worker));
        }
    }

    /// A holder counts no more; runs that need the last copy are taken back.
    fn strike(&mut self, task: u32, worker: u32) {
        let known = &mut self.known[task as usize];
        if known.holders.remove(&worker) && known.holders.is_empty() {
            for dependent in 0..self.tasks {
                if self.known[dependent as usize].inputs.contains(&task) {
                    self.take_back(dependent);
                }
            }
        }
    }

    fn deliver_to_worker(&mut self) {
        let count = 1 + self.rng.below(3) as usize;
        let events: Vec<_> = (0..count).filter_map(|_| self.to_worker.pop_front()).collect();
        self.give(events, &[]);
    }

    /// Hands events to the worker and carries out what comes back, as a driver would.
    fn give(&mut self, events: Vec<WorkerEvent>, announced: &[u32]) {
        for instruction in self.bench.give(events) {
            match instruction {
                WorkerInstruction::Execute { task, run_id, inputs, .. } => {
                    let here = inputs.iter().all(|input| self.values.contains(&input.0));
                    assert!(here, "task {} starts without its inputs", task.0);
                    let twice = self.executes.insert(task.0, run_id.0);
                    assert_eq!(twice, None, "task {} runs twice at once", task.0);
                }
                WorkerInstruction::Cancel { task, run_id } => {
                    assert_eq!(self.executes.get(&task.0), Some(&run_id.0), "cancels nothing");
                }
                WorkerInstruction::GatherDep { transfer, peer, tasks, .. } => {
                    assert!(self.gathers.values().all(|gather| gather.0 != peer.0), "two at once");
                    let tasks = tasks.iter().map(|task| task.0.0).collect();
                    self.gathers.insert(transfer.0, (peer.0, tasks));
                }
                WorkerInstruction::Store { task } => {
                    assert!(announced.contains(&task.0), "stores what nobody announced");
                    assert!(self.values.insert(task.0), "stores a value twice");
                }
                WorkerInstruction::Drop { task } => {
                    assert!(self.values.remove(&task.0), "drops what is not here");
                }
                WorkerInstruction::SetTimer(at) => self.timer = Some(at),
                message => self.to_scheduler.push_back(message),
            }
        }
    }

    fn deliver_to_scheduler(&mut self) {
        let Some(message) = self.to_scheduler.pop_front() else {
            return;
        };
        match message {
            WorkerInstruction::TaskFinished { task, run_id, .. } => {
                self.on_finished(task.0, run_id.0);
            }
            WorkerInstruction::TaskErred { task, run_id, .. } => {
                assert!(self.reported.insert(run_id.0), "run {} is reported twice", run_id.0);
                if self.known[task.0 as usize].processing == Some(run_id.0) {
                    self.take_back(task.0);
                }
            }
            WorkerInstruction::Reschedule { task, run_id } => {
                let processing = &mut self.known[task.0 as usize].processing;
                *processing = processing.filter(|&run| run != run_id.0);
            }
            WorkerInstruction::AddKeys { tasks } => {
                for task in tasks {
                    if self.is_in_memory(task.0) {
                        self.known[task.0 as usize].holders.insert(SELF);
                    } else {
                        let tasks = vec![task];
                        self.to_worker.push_back(WorkerEvent::RemoveReplicas { tasks });
                    }
                }
            }
            WorkerInstruction::ReleaseWorkerData { task } => self.strike(task.0, SELF),
            WorkerInstruction::RequestRefreshWhoHas { tasks } => {
                for task in tasks {
                    let known = &self.known[task.0 as usize];
                    let holders: Vec<u32> = known.holders.iter().copied().collect();
                    self.to_worker.push_back(refresh(task.0, &holders));
                }
            }
            WorkerInstruction::BadReplica { task, peer, .. } => {
                self.truth.remove(&(peer.0, task.0));
                self.strike(task.0, peer.0);
                self.to_worker.push_back(WorkerEvent::BadKeyAck { task, peer });
            }
            _ => {}
        }
    }

    fn on_finished(&mut self, task: u32, run: u64) {
        let known = &mut self.known[task as usize];
        match known.processing {
            Some(current) if current == run => {
                assert!(self.reported.insert(run), "run {run} is reported twice");
                known.processing = None;
                known.holders.insert(SELF);
            }
            Some(_) => self.take_back(task),
            None if known.holders.contains(&SELF) => {}
            None => self.to_worker.push_back(free(&[(task, run)])),
        }
    }

    fn end_execute(&mut self) {
        let at = self.rng.below(self.executes.len().max(1) as u64) as usize;
        let Some((&task, &run)) = self.executes.iter().nth(at) else {
            return;
        };
        if self.wild && self.chance(4) && self.seceded.insert(task) {
            self.give(vec![secede(task, run)], &[]);
            return;
        }
        self.seceded.remove(&task);
        self.executes.remove(&task);
        let end = match self.rng.below(8) {
            0 if self.wild => failure(task, run),
            1 if self.wild => reschedule(task, run),
            _ => success(task, run),
        };
        self.give(vec![end], &[task]);
    }

    fn end_gather(&mut self) {
        let at = self.rng.below(self.gathers.len().max(1) as u64) as usize;
        let Some(&transfer) = self.gathers.keys().nth(at) else {
            return;
        };
        let (worker, wanted) = self.gathers.remove(&transfer).expect("just found");
        let (held, lacking): (Vec<u32>, Vec<u32>) =
            wanted.into_iter().partition(|&task| self.truth.contains(&(worker, task)));
        let fault = if self.wild { self.rng.below(10) } else { 9 };
        let end = match fault {
            _ if !self.alive.contains(&worker) => broken(transfer),
            0 | 1 => busy(transfer),
            2 => broken(transfer),
            3 => damaged(transfer, &held),
            4 if self.chance(3) => unstorable(transfer),
            5 => gathered(transfer, &held[held.len() / 2..], &lacking),
            _ => gathered(transfer, &held, &lacking),
        };
        self.give(vec![end], &held);
    }

    fn pass_time(&mut self) {
        let now = self.bench.now.after_ns(1 + self.rng.below(SECOND_NS / 4));
        self.bench.now = now;
        if self.timer.is_some_and(|at| at <= now) {
            self.timer = None;
            self.give(vec![WorkerEvent::Timeout], &[]);
        }
    }

    /// Answers everything without faults until nothing moves.
    fn heal(&mut self) {
        self.wild = false;
        self.to_worker.push_back(WorkerEvent::Unpause);
        self.to_worker.push_back(gpus(1_000_000));
        for _ in 0..2_000 {
            self.deliver_to_worker();
            self.deliver_to_scheduler();
            self.end_execute();
            self.end_gather();
            self.pass_time();
            if self.is_quiet() {
                break;
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.to_worker.is_empty()
            && self.to_scheduler.is_empty()
            && self.executes.is_empty()
            && self.gathers.is_empty()
            && self.bench.worker.missing.is_empty()
            && self.bench.worker.fetch_count == 0
    }

    /// At rest both sides agree, and nothing waits.
    fn demand_rest(&self) {
        let worker = &self.bench.worker;
        assert!(self.to_worker.is_empty() && self.to_scheduler.is_empty(), "messages go on");
        assert!(self.executes.is_empty() && self.gathers.is_empty(), "work goes on");
        for task in 0..self.tasks {
            let known = &self.known[task as usize];
            let state = worker.state(TaskId(task));
            let story = worker.told(TaskId(task));
            assert_eq!(known.processing, None, "task {task} is stuck in {state:?}:\n{story}");
            let here = known.holders.contains(&SELF);
            assert_eq!(worker.holds(TaskId(task)), here, "who holds task {task}:\n{story}");
            assert_eq!(self.values.contains(&task), here, "value of task {task}:\n{story}");
            assert!(
                matches!(state, None | Some(State::Memory | State::Released)),
                "task {task} rests in {state:?}:\n{story}"
            );
        }
    }
}

fn pick(rng: &mut Rng, below: u32) -> u32 {
    u32::try_from(rng.below(u64::from(below))).expect("below a u32")
}

#[test]
fn no_task_is_stuck_and_every_edge_is_in_the_tables() {
    let mut unknown: BTreeMap<String, u64> = BTreeMap::new();
    let known = all_edges();
    for seed in 0..2_000 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step();
        }
        world.heal();
        world.demand_rest();
        for transition in world.bench.worker.transitions().all() {
            let edge: Edge = (transition.start, transition.asked, transition.finish);
            if !known.contains(&edge) {
                unknown.insert(format!("{edge:?}"), seed);
            }
        }
    }
    assert!(unknown.is_empty(), "edges of no row, and a seed for each: {unknown:#?}");
}

#[test]
fn equal_seeds_give_equal_runs() {
    let run = || {
        let mut world = World::new(11);
        for _ in 0..600 {
            world.step();
        }
        format!("{:?}", world.bench.worker.transitions().all().collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}

/// The worker has so many millionths of a GPU.
fn gpus(total: u64) -> WorkerEvent {
    WorkerEvent::SetResources { resources: vec![("GPU".to_owned(), total)] }
}
