//! Which worker gets a task.
//!
//! * Root-ish tasks (many siblings, few inputs, no restriction) go to the emptiest worker with a
//!   free slot, or are queued.
//! * Others go to a holder of an input, or to an idle worker when no holder has a free thread: to the
//!   one with the least cost, that is the wait for a thread plus the time to fetch what is not there.
//! * Without inputs: the least occupied of a few.
//!
//! No decision looks at all workers: holders and valid workers beyond a number are sampled.

use super::ask::PLAIN;
use super::family::Group;
use super::reach::Valid;
use super::task::NONE;
use super::worker::{FULL, Worker};
use super::{SchedulerState, TaskState};
use crate::ids::{TaskId, WorkerId};
use crate::rng::mix;

/// Workers that are all looked at; of more, this many are drawn.
const LOOK_AT: usize = 20;
/// Workers that are drawn when any would do.
const DRAWN: usize = 4;

/// Where a runnable task goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Placement {
    /// To this worker.
    On(WorkerId),
    /// Nowhere before a slot is free.
    Queue,
    /// Nowhere before a fitting worker comes.
    Nowhere,
}

/// A worker that a task may go to.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    worker: WorkerId,
    /// Bytes of the task's inputs that it holds.
    held_bytes: u64,
}

/// What a machine holds of the inputs of the task that is placed.
#[derive(Clone, Copy, Debug, Default)]
struct Near {
    /// The decision that it belongs to.
    stamp: u64,
    /// Each input once.
    nbytes: u64,
    /// The input that was counted last.
    last: u32,
}

/// Lists that are used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) tasks: Vec<TaskId>,
    /// Erred tasks that this event had tried again.
    pub(super) retried: Vec<TaskId>,
    candidates: Vec<Candidate>,
    /// For each worker the stamp of the decision that has it as candidate, and which one it is.
    marks: Vec<(u64, u32)>,
    /// By number of the machine.
    near: Vec<Near>,
    stamp: u64,
}

impl SchedulerState {
    /// Decides where a runnable task goes.
    pub(super) fn place(&mut self, task: TaskId) -> Placement {
        if !self.is_rootish(task) {
            return self.place_by_cost(task);
        }
        if self.config.worker_saturation.is_infinite() {
            return self.place_beside_siblings(task);
        }
        self.place_queued(task)
    }

    /// Many tasks like it, few inputs, and any worker may run it.
    pub(super) fn is_rootish(&mut self, task: TaskId) -> bool {
        let record = &self.tasks[task.index()];
        let Group { tasks, few_inputs, .. } = self.families.groups[record.group as usize];
        let per_thread = u64::from(self.config.rootish_tasks_per_thread);
        if !few_inputs || u64::from(tasks) <= per_thread.saturating_mul(self.workers.nthreads) {
            return false;
        }
        record.ask == PLAIN
            || (!self.asks.terms(record.ask).is_restricted()
                && matches!(self.asks.valid(record.ask, &self.workers), Valid::Any))
    }

    /// The emptiest worker, when it has a slot for the task.
    pub(super) fn place_queued(&mut self, task: TaskId) -> Placement {
        let Some(worker) = self.workers.emptiest.first() else { return Placement::Queue };
        if self.has_slot(worker, task) { Placement::On(worker) } else { Placement::Queue }
    }

    /// A worker has a slot for a root-ish task.
    pub(super) fn has_slot(&self, worker: WorkerId, task: TaskId) -> bool {
        let Some(at) = self.workers.get(worker) else { return false };
        let prefix = self.families.prefix_of(&self.tasks[task.index()]);
        let prefix = &self.families.prefixes[prefix as usize];
        at.slots_used < prefix.slots(at.nthreads, at.saturation_slots, self.round_trip_ns)
    }

    /// Queuing is off: a worker gets its share of a group in one go, so that neighbours are
    /// together.
    fn place_beside_siblings(&mut self, task: TaskId) -> Placement {
        let group = self.tasks[task.index()].group as usize;
        let Group { tasks, last_worker, last_worker_tasks_left: left, .. } =
            self.families.groups[group];
        if left > 0 && last_worker != NONE && self.workers.emptiest.contains(WorkerId(last_worker))
        {
            self.families.groups[group].last_worker_tasks_left = left - 1;
            return Placement::On(WorkerId(last_worker));
        }
        self.draw_any();
        self.gather_held(task);
        let Some(worker) = self.least_cost(task) else { return Placement::Nowhere };
        let threads = self.workers.get(worker).map_or(1, |worker| worker.nthreads);
        let share = u64::from(tasks) * u64::from(threads) / self.workers.nthreads.max(1);
        let family = &mut self.families.groups[group];
        family.last_worker = worker.0;
        family.last_worker_tasks_left = u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(1);
        Placement::On(worker)
    }

    /// The worker with the least cost among the holders of inputs, or among the valid ones.
    pub(super) fn place_by_cost(&mut self, task: TaskId) -> Placement {
        self.scratch.candidates.clear();
        let ask = self.tasks[task.index()].ask;
        self.draw_holders(task);
        match self.asks.valid(ask, &self.workers) {
            Valid::Any => {
                if self.scratch.candidates.is_empty() {
                    self.draw_any();
                } else {
                    self.add_idle();
                }
            }
            Valid::Only(valid) => {
                let candidates = &mut self.scratch.candidates;
                candidates.retain(|one| valid.binary_search(&one.worker).is_ok());
                if candidates.is_empty() {
                    let from = match valid.len() {
                        0..=LOOK_AT => 0,
                        count => self.rng.below(count as u64) as usize,
                    };
                    let drawn = valid.iter().cycle().skip(from).take(valid.len().min(LOOK_AT));
                    let candidate =
                        |worker: &WorkerId| Candidate { worker: *worker, held_bytes: 0 };
                    candidates.extend(drawn.map(candidate));
                    self.gather_held(task);
                }
            }
        }
        self.least_cost(task).map_or(Placement::Nowhere, Placement::On)
    }

    /// Candidates are the running holders of inputs.
    fn draw_holders(&mut self, task: TaskId) {
        self.scratch.stamp += 1;
        let machines_matter = self.workers.machines_matter();
        for i in self.dependencies.range(task) {
            let input = self.dependencies.values[i];
            let record = &self.tasks[input.index()];
            let holders = self.overflow.holders(record);
            let from = match holders.len() {
                0..=LOOK_AT => 0,
                count => self.rng.below(count as u64) as usize,
            };
            for held in holders.iter().cycle().skip(from).take(holders.len().min(LOOK_AT)) {
                if machines_matter {
                    let machine = self.workers.machine(held.worker);
                    self.scratch.add_near(machine, input, record.nbytes);
                }
                if self.workers.emptiest.contains(held.worker) {
                    self.scratch.add(held.worker, record.nbytes);
                }
            }
        }
    }

    /// The emptiest worker is a candidate, too, when it has a free thread and no holder has: the time
    /// of the transfer may be less than the wait.
    fn add_idle(&mut self) {
        let running = &self.workers.emptiest;
        let is_free = |worker: WorkerId| running.load(worker).is_some_and(|load| load < FULL);
        let Some(first) = running.first().filter(|first| is_free(*first)) else { return };
        if !self.scratch.candidates.iter().any(|holder| is_free(holder.worker)) {
            self.scratch.add(first, 0);
        }
    }

    /// Candidates are all running workers, or the emptiest and a few that are drawn.
    fn draw_any(&mut self) {
        self.scratch.candidates.clear();
        self.scratch.stamp += 1;
        let running = &self.workers.emptiest;
        if running.len() <= LOOK_AT {
            for worker in running.workers() {
                self.scratch.add(worker, 0);
            }
            return;
        }
        if let Some(first) = running.first() {
            self.scratch.add(first, 0);
        }
        for _ in 1..DRAWN {
            let place = self.rng.below(running.len() as u64) as usize;
            self.scratch.add(running.at(place), 0);
        }
    }

    /// Notes what the candidates hold of the task's inputs.
    fn gather_held(&mut self, task: TaskId) {
        self.scratch.stamp += 1;
        let machines_matter = self.workers.machines_matter();
        for i in self.dependencies.range(task) {
            let input = self.dependencies.values[i];
            let record = &self.tasks[input.index()];
            if record.state != TaskState::Memory {
                continue;
            }
            if machines_matter {
                for held in self.overflow.holders(record).iter().take(LOOK_AT) {
                    let machine = self.workers.machine(held.worker);
                    self.scratch.add_near(machine, input, record.nbytes);
                }
            }
            for candidate in &mut self.scratch.candidates {
                if self.overflow.holds(record, candidate.worker) {
                    candidate.held_bytes += record.nbytes;
                }
            }
        }
    }

    /// The candidate on which the task can begin first: a worker with a free thread need not wait,
    /// however long its other tasks take, or else inputs would move between equal workers without
    /// end. Among equals the one with less to do, then the one that holds fewer bytes.
    fn least_cost(&self, task: TaskId) -> Option<WorkerId> {
        if let [only] = self.scratch.candidates[..] {
            return Some(only.worker);
        }
        let inputs = self.dependencies.row(task).iter();
        let total: u64 =
            inputs.fold(0, |sum: u64, input| sum.saturating_add(self.tasks[input.index()].nbytes));
        let terms = self.asks.terms(self.tasks[task.index()].ask);
        let salt = self.seed ^ u64::from(task.0);
        let longest = self.longest_path();
        let cost = |candidate: &&Candidate| {
            let worker = self.workers.get(candidate.worker)?;
            let lacks = terms.resources.iter().any(|(name, need)| !has_free(worker, name, *need));
            let held = candidate.held_bytes;
            let around = self.bytes_around(candidate.worker, held).min(total);
            let fetch_ns = self
                .fetch_time_ns(around.saturating_sub(held), total.saturating_sub(around.max(held)));
            let occupancy_ns =
                worker.occupancy_ns(&self.paths, longest) / u64::from(worker.nthreads);
            let is_free = worker.slots_used < worker.nthreads;
            let wait_ns = if is_free { 0 } else { occupancy_ns };
            let tie = mix(salt ^ (u64::from(candidate.worker.0) << 32));
            Some((lacks, wait_ns.saturating_add(fetch_ns), occupancy_ns, worker.nbytes, tie))
        };
        self.scratch.candidates.iter().min_by_key(cost).map(|candidate| candidate.worker)
    }

    /// Bytes of the inputs that lie on a worker's machine, those that it holds itself included.
    fn bytes_around(&self, worker: WorkerId, held_bytes: u64) -> u64 {
        if self.workers.share_a_machine() {
            return u64::MAX;
        }
        if !self.workers.machines_matter() {
            return held_bytes;
        }
        let near = self.scratch.near.get(self.workers.machine(worker) as usize);
        near.filter(|near| near.stamp == self.scratch.stamp).map_or(0, |near| near.nbytes)
    }
}

/// A worker has that much of a resource that no task of its takes.
pub(super) fn has_free(worker: &Worker, name: &str, need: u64) -> bool {
    let resources = worker.registration().resources.iter().zip(&worker.profile.used_resources);
    resources
        .into_iter()
        .any(|((has, total), used)| has == name && total.saturating_sub(*used) >= need)
}

impl Scratch {
    /// A machine holds an input, as some other worker of it may, too.
    fn add_near(&mut self, machine: u32, input: TaskId, nbytes: u64) {
        if self.near.len() <= machine as usize {
            self.near.resize(machine as usize + 1, Near::default());
        }
        let near = &mut self.near[machine as usize];
        if near.stamp != self.stamp {
            *near = Near { stamp: self.stamp, nbytes, last: input.0 };
        } else if near.last != input.0 {
            near.nbytes = near.nbytes.saturating_add(nbytes);
            near.last = input.0;
        }
    }

    /// Adds bytes to a candidate, a new one perhaps.
    fn add(&mut self, worker: WorkerId, held_bytes: u64) {
        if self.marks.len() <= worker.index() {
            self.marks.resize(worker.index() + 1, (0, 0));
        }
        let mark = &mut self.marks[worker.index()];
        if mark.0 == self.stamp {
            let candidate = &mut self.candidates[mark.1 as usize];
            candidate.held_bytes = candidate.held_bytes.saturating_add(held_bytes);
            return;
        }
        *mark = (self.stamp, super::instruction::position(self.candidates.len()));
        self.candidates.push(Candidate { worker, held_bytes });
    }
}
