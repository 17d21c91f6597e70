//! The record of one life of a worker, and the set of those that are there.
//!
//! Each task knows its place in the lists `has_what` and `processing`, so that entering and leaving
//! is one step. Loads are integers that grow and shrink by the same amounts, so that they never
//! drift. A removed worker leaves an empty place: its number is not used again.

use super::amm::Unmanaged;
use super::emptiest::Emptiest;
use super::paths::Paths;
use super::places::Places;
use crate::ids::{TaskId, WorkerId};
use crate::messages::{WorkerRegistration, WorkerStatus};
use crate::paths::PathClass;
use crate::time::Time;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// A task that a worker was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assigned {
    pub(super) task: TaskId,
    /// Its share of the occupancy, nanoseconds.
    pub(super) cost_ns: u64,
    /// When.
    pub(super) sent: Time,
    /// Nothing else was ahead of it: its end measures the round trip.
    pub(super) at_once: bool,
    /// Its worker has begun with it, as it said when it was asked to give it back.
    pub(super) refused: bool,
}

/// What is rarely read of a worker.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) registration: Box<WorkerRegistration>,
    pub(super) status: WorkerStatus,
    /// Resources that its tasks take, beside the totals of the registration.
    pub(super) used_resources: Vec<u64>,
    /// Scheduler clock minus worker clock, nanoseconds.
    pub(super) time_delay_ns: i64,
    /// Last heartbeat.
    pub(super) last_seen: Time,
    /// Resident bytes at that time.
    pub(super) rss_bytes: u64,
    /// Resident bytes besides results of late: see `amm::memory`.
    pub(super) unmanaged: Unmanaged,
}

/// What the scheduler knows of a worker: a cache line for what it does, one for what it holds, and
/// the rest elsewhere.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Worker {
    /// Slots, at least one.
    pub(super) nthreads: u32,
    /// Slots that the tasks in its pool take.
    pub(super) slots_used: u32,
    /// Slots that queuing fills by saturation alone.
    pub(super) saturation_slots: u32,
    /// Expected time of the tasks in its pool.
    pub(super) compute_ns: u64,
    /// Sizes of the inputs that its tasks have yet to fetch together.
    pub(super) network_bytes: u64,
    /// Tasks that it was sent.
    pub(super) processing: Places<Assigned>,
    /// Results that it holds.
    pub(super) has_what: Places<TaskId>,
    /// Sizes of the results that it holds together.
    pub(super) nbytes: u64,
    pub(super) profile: Box<Profile>,
}

/// Bits of a load behind the point.
const FRACTION_BITS: u32 = 20;
/// The load of a worker with a task for each thread.
pub(super) const FULL: u32 = 1 << FRACTION_BITS;

const _: () = assert!(size_of::<Option<Worker>>() == 128, "a worker fills two cache lines");
const _: () = assert!(std::mem::offset_of!(Worker, has_what) == 64, "a line each");

impl Worker {
    pub(super) fn new(registration: Box<WorkerRegistration>, saturation: f64, now: Time) -> Self {
        let used_resources = vec![0; registration.resources.len()];
        Self {
            nthreads: registration.nthreads.max(1),
            slots_used: 0,
            saturation_slots: saturation_slots(registration.nthreads, saturation),
            compute_ns: 0,
            network_bytes: 0,
            nbytes: 0,
            processing: Places::default(),
            has_what: Places::default(),
            profile: Box::new(Profile {
                registration,
                status: WorkerStatus::Running,
                used_resources,
                time_delay_ns: 0,
                last_seen: now,
                rss_bytes: 0,
                unmanaged: Unmanaged::default(),
            }),
        }
    }

    /// What it said about itself.
    pub(super) fn registration(&self) -> &WorkerRegistration {
        &self.profile.registration
    }

    /// Expected time until it has done what it was sent, on one thread.
    pub(super) fn occupancy_ns(&self, paths: &Paths, class: PathClass) -> u64 {
        self.compute_ns.saturating_add(paths.bytes_ns(class, self.network_bytes))
    }

    /// Its place among the running workers: slots used a thread.
    pub(super) fn load(&self) -> u32 {
        let scaled = (u64::from(self.slots_used) << FRACTION_BITS) / u64::from(self.nthreads);
        // The largest number stands for no worker.
        u32::try_from(scaled).unwrap_or(u32::MAX).min(u32::MAX - 1)
    }
}

/// Slots that root-ish tasks may fill: one task lies ready beyond those that run.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the conversion saturates, and a negative saturation means none"
)]
fn saturation_slots(nthreads: u32, saturation: f64) -> u32 {
    let nthreads = nthreads.max(1);
    ((saturation * f64::from(nthreads)).ceil() as u32).max(nthreads.saturating_add(1))
}

/// Which worker is on which machine: a number beside each worker, so that placement need not read
/// names. A machine keeps its number when its workers are gone.
#[derive(Clone, Debug, Default)]
struct Machines {
    numbers: FxHashMap<String, u32>,
    /// By worker.
    of: Vec<u32>,
    /// Workers that are there, by machine.
    workers: Vec<u32>,
    /// Machines with workers that are there.
    len: usize,
}

impl Machines {
    fn insert(&mut self, worker: WorkerId, machine: &str) {
        let count = super::instruction::position(self.numbers.len());
        let number = *self.numbers.entry(machine.to_owned()).or_insert(count);
        if number == count {
            self.workers.push(0);
        }
        if self.of.len() <= worker.index() {
            self.of.resize(worker.index() + 1, u32::MAX);
        }
        self.of[worker.index()] = number;
        let workers = &mut self.workers[number as usize];
        self.len += usize::from(*workers == 0);
        *workers += 1;
    }

    fn remove(&mut self, worker: WorkerId) {
        let workers = &mut self.workers[self.of[worker.index()] as usize];
        *workers -= 1;
        self.len -= usize::from(*workers == 0);
    }
}

/// The workers that are there.
#[derive(Clone, Debug)]
pub(super) struct Workers {
    table: Vec<Option<Worker>>,
    len: usize,
    /// Workers that came, went, began or ceased to run, or have other resources, of late and in
    /// order.
    changed: Vec<WorkerId>,
    /// How many such changes there were before these.
    changes_before: u64,
    names: FxHashMap<String, WorkerId>,
    addresses: FxHashMap<String, WorkerId>,
    machines: Machines,
    /// Those that run.
    pub(super) emptiest: Emptiest,
    /// Their threads together.
    pub(super) running_nthreads: u64,
    /// Threads of all.
    pub(super) nthreads: u64,
    /// Memory limits of all that have one: how many workers have each.
    memory_limits: BTreeMap<u64, u32>,
    /// Numbers of threads: how many workers have each.
    threads: BTreeMap<u32, u32>,
}

/// Changes that are remembered while there are few workers; with many, one for each worker. An ask
/// that is older than all of them looks at the workers themselves.
const CHANGES: usize = 1024;

impl Workers {
    /// Nobody; the seed decides among equals.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            table: Vec::new(),
            len: 0,
            changed: Vec::new(),
            changes_before: 0,
            names: FxHashMap::default(),
            addresses: FxHashMap::default(),
            machines: Machines::default(),
            emptiest: Emptiest::new(seed),
            running_nthreads: 0,
            nthreads: 0,
            memory_limits: BTreeMap::new(),
            threads: BTreeMap::new(),
        }
    }

    pub(super) fn get(&self, worker: WorkerId) -> Option<&Worker> {
        self.table.get(worker.index())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, worker: WorkerId) -> Option<&mut Worker> {
        self.table.get_mut(worker.index())?.as_mut()
    }

    /// The record of a worker that a task or a result is at.
    pub(super) fn at(&mut self, worker: WorkerId) -> &mut Worker {
        self.get_mut(worker).expect("tasks and results are only at workers that are there")
    }

    pub(super) fn contains(&self, worker: WorkerId) -> bool {
        self.get(worker).is_some()
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The smallest memory limit, bytes; the largest number when no worker has one.
    pub(super) fn smallest_memory_limit(&self) -> u64 {
        self.memory_limits.first_key_value().map_or(u64::MAX, |(limit, _)| *limit)
    }

    /// The fewest threads that a worker has, as it said; the largest number without workers.
    pub(super) fn fewest_threads(&self) -> u32 {
        self.threads.first_key_value().map_or(u32::MAX, |(threads, _)| *threads)
    }

    /// Number of the current set of workers and of those that run; never 0 once a worker came.
    pub(super) const fn version(&self) -> u64 {
        self.changes_before + self.changed.len() as u64
    }

    /// Workers that came, went, began or ceased to run since a version; none when that is too long
    /// ago to be remembered.
    pub(super) fn changed_since(&self, version: u64) -> Option<&[WorkerId]> {
        let from = usize::try_from(version.checked_sub(self.changes_before)?).ok()?;
        self.changed.get(from..)
    }

    /// A worker came, went, began or ceased to run, or has other resources.
    pub(super) fn note_change(&mut self, worker: WorkerId) {
        if self.changed.len() >= self.len.max(CHANGES) {
            self.changes_before += self.changed.len() as u64;
            self.changed.clear();
        }
        self.changed.push(worker);
    }

    /// By number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        let rows = self.table.iter().enumerate();
        rows.filter_map(|(index, row)| Some((WorkerId::from_index(index), row.as_ref()?)))
    }

    /// The worker with a name.
    pub(super) fn named(&self, name: &str) -> Option<WorkerId> {
        self.names.get(name).copied()
    }

    /// The worker at an address.
    pub(super) fn at_address(&self, address: &str) -> Option<WorkerId> {
        self.addresses.get(address).copied()
    }

    /// Registers a worker that runs; its number, name and addresses are new.
    pub(super) fn insert(&mut self, id: WorkerId, worker: Worker) {
        if self.table.len() <= id.index() {
            self.table.resize_with(id.index() + 1, || None);
        }
        self.names.insert(worker.registration().name.clone(), id);
        for address in &worker.registration().addresses {
            self.addresses.insert(address.clone(), id);
        }
        self.machines.insert(id, &worker.registration().machine);
        self.nthreads += u64::from(worker.nthreads);
        self.running_nthreads += u64::from(worker.nthreads);
        self.emptiest.insert(id, worker.load());
        let limit = worker.registration().memory_limit_bytes;
        if limit > 0 {
            *self.memory_limits.entry(limit).or_insert(0) += 1;
        }
        *self.threads.entry(worker.registration().nthreads).or_insert(0) += 1;
        self.table[id.index()] = Some(worker);
        self.len += 1;
        self.note_change(id);
    }

    /// Takes a worker out of every register.
    pub(super) fn remove(&mut self, id: WorkerId) -> Option<Worker> {
        self.stop(id);
        let worker = self.table.get_mut(id.index())?.take()?;
        self.names.remove(&worker.registration().name);
        for address in &worker.registration().addresses {
            self.addresses.remove(address);
        }
        self.machines.remove(id);
        self.nthreads -= u64::from(worker.nthreads);
        count_down(&mut self.memory_limits, &worker.registration().memory_limit_bytes);
        count_down(&mut self.threads, &worker.registration().nthreads);
        self.len -= 1;
        self.note_change(id);
        Some(worker)
    }

    /// The worker takes tasks again.
    pub(super) fn run(&mut self, id: WorkerId) {
        let Some(worker) = self.get(id) else { return };
        if !self.emptiest.contains(id) {
            let (load, nthreads) = (worker.load(), u64::from(worker.nthreads));
            self.emptiest.insert(id, load);
            self.running_nthreads += nthreads;
            self.note_change(id);
        }
    }

    /// The worker takes no tasks.
    pub(super) fn stop(&mut self, id: WorkerId) {
        let Some(nthreads) = self.get(id).map(|worker| u64::from(worker.nthreads)) else {
            return;
        };
        if self.emptiest.contains(id) {
            self.emptiest.remove(id);
            self.running_nthreads -= nthreads;
            self.note_change(id);
        }
    }

    /// The limits and the running threads that are kept are those of the workers that are there.
    pub(super) fn check_limits(&self) -> Result<(), String> {
        let (mut limits, mut threads) = (BTreeMap::new(), BTreeMap::new());
        for (_, worker) in self.iter() {
            *threads.entry(worker.registration().nthreads).or_insert(0_u32) += 1;
            let limit = worker.registration().memory_limit_bytes;
            if limit > 0 {
                *limits.entry(limit).or_insert(0_u32) += 1;
            }
        }
        let running = self.iter().filter(|(id, _)| self.emptiest.contains(*id));
        let running: u64 = running.map(|(_, worker)| u64::from(worker.nthreads)).sum();
        let agree = limits == self.memory_limits && threads == self.threads;
        if agree && running == self.running_nthreads {
            return Ok(());
        }
        Err("memory limits or threads are miscounted".to_owned())
    }

    /// Number of the machine that a worker is or was on.
    pub(super) fn machine(&self, worker: WorkerId) -> u32 {
        self.machines.of.get(worker.index()).copied().unwrap_or(u32::MAX)
    }

    /// Some workers share a machine and some do not: which input is on which machine makes a
    /// difference beside which worker holds it.
    pub(super) const fn machines_matter(&self) -> bool {
        self.machines.len > 1 && self.machines.len < self.len
    }

    /// All workers are on one machine.
    pub(super) const fn share_a_machine(&self) -> bool {
        self.machines.len <= 1
    }

    /// Registers for names and addresses, for checks.
    pub(super) fn register_sizes(&self) -> (usize, usize) {
        (self.names.len(), self.addresses.len())
    }
}

/// One worker less has this.
fn count_down<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
