//! Work stealing: tasks that wait on one worker go to another that has nothing to do.
//!
//! ```text
//!   a worker is idle, or 100 ms are over ─▶ balance: which task from whom to whom
//!        steal-request ──▶ victim                         (in_flight remembers)
//!        steal-response ◀── victim: it had not begun
//!        compute-task ───▶ thief, with a new run          (response)
//! ```
//!
//! `levels` says what a steal of a task is worth, `balance` chooses, `in_flight` keeps account of
//! what was asked for, `response` acts on the answers. Nothing is kept for a task that is not in
//! flight: levels are found when a victim is looked at, so that a task that nobody steals costs
//! one comparison. This file holds the state and decides when a balance is due.

mod balance;
mod in_flight;
mod levels;
mod response;

use super::SchedulerState;
use super::instruction::SchedulerOut;
use super::worker::{FULL, Worker};
use crate::ids::WorkerId;
use crate::time::Time;
pub(super) use response::Answer;

use balance::Scratch;
use in_flight::InFlight;
use std::collections::BTreeMap;

/// After a balance that found nothing, an idle worker waits for so many latencies until the next.
const PATIENCE: u64 = 10;
/// Part of the scheduler's time, as a divisor, that pricing all tasks anew may take.
const REPRICE_SHARE: u64 = 50;
/// About what pricing one task, or looking at one worker, takes.
const REPRICE_NS: u64 = 20;

/// What stealing remembers.
#[derive(Debug, Default)]
pub(super) struct Stealing {
    pub(super) in_flight: InFlight,
    pub(super) overfull: Overfull,
    /// When the loads of all workers were last compared.
    compared: Time,
    /// Not before then because of an idle worker.
    not_before: Time,
    /// Not before then are tasks priced anew.
    no_price_before: Time,
    /// Tasks that went from one worker to another.
    stolen: u64,
    scratch: Scratch,
}

/// Workers that have tasks which they cannot run now: more than slots, or not running at all.
#[derive(Clone, Debug, Default)]
pub(super) struct Overfull {
    workers: Vec<WorkerId>,
    /// Who is among them, a bit each: nearly every change of a load asks, and nothing changes.
    members: Vec<u64>,
    /// Place of each of them.
    places: Vec<u32>,
}

impl Overfull {
    /// In any order.
    pub(super) fn workers(&self) -> &[WorkerId] {
        &self.workers
    }

    fn contains(&self, worker: WorkerId) -> bool {
        let word = self.members.get(worker.index() / 64);
        word.is_some_and(|word| word >> (worker.index() % 64) & 1 == 1)
    }

    /// Adds a worker or takes it out.
    pub(super) fn set(&mut self, worker: WorkerId, is_overfull: bool) {
        if self.contains(worker) == is_overfull {
            return;
        }
        let (word, bit) = (worker.index() / 64, 1 << (worker.index() % 64));
        if is_overfull {
            if self.places.len() <= worker.index() {
                self.places.resize(worker.index() + 1, 0);
                self.members.resize(word + 1, 0);
            }
            self.members[word] |= bit;
            self.places[worker.index()] = super::instruction::position(self.workers.len());
            self.workers.push(worker);
        } else {
            self.members[word] &= !bit;
            let place = self.places[worker.index()];
            self.workers.swap_remove(place as usize);
            if let Some(moved) = self.workers.get(place as usize) {
                self.places[moved.index()] = place;
            }
        }
    }
}

impl SchedulerState {
    /// A worker's load has changed.
    pub(super) fn reload(&mut self, worker: WorkerId) {
        let Some(at) = self.workers.get(worker) else { return };
        let runs = self.workers.emptiest.contains(worker);
        let (load, is_overfull) = (at.load(), is_overfull(at, runs));
        self.workers.emptiest.update(worker, load);
        self.stealing.overfull.set(worker, is_overfull);
    }

    /// Balances when that is due.
    pub(super) fn consider_stealing(&mut self, out: &mut SchedulerOut) {
        let Some(due) = self.steal_due() else { return };
        if due > self.now {
            return;
        }
        let compares_all = self.compare_due() <= self.now;
        if compares_all {
            self.stealing.compared = self.now;
            self.reprice_drifted();
        }
        let found = self.balance(compares_all, out) || !self.stealing.in_flight.is_empty();
        let patience = if found { 1 } else { PATIENCE };
        let wait = self.steal_latency_ns().saturating_mul(patience);
        self.stealing.not_before = self.now.after_ns(wait);
    }

    /// When the next balance is due; none while there is nothing to steal or nobody who could.
    pub(super) fn steal_due(&self) -> Option<Time> {
        let running = self.workers.emptiest.len();
        let overfull = &self.stealing.overfull;
        if overfull.workers.is_empty() || running == 0 || !self.config.work_stealing {
            return None;
        }
        if running == 1
            && overfull.workers.len() == 1
            && overfull.contains(self.workers.emptiest.at(0))
        {
            return None;
        }
        let compare = self.compare_due();
        let is_idle =
            self.workers.emptiest.first().is_some_and(|first| {
                self.workers.emptiest.load(first).is_some_and(|load| load < FULL)
            });
        Some(if is_idle { compare.min(self.stealing.not_before) } else { compare })
    }

    fn compare_due(&self) -> Time {
        self.stealing.compared.after_ns(self.config.work_stealing_interval_ns)
    }

    /// What a steal costs beside the transfer of the inputs: a round trip.
    pub(super) fn steal_latency_ns(&self) -> u64 {
        self.round_trip_ns.max(self.config.work_stealing_latency_ns).max(1)
    }

    /// Tasks of prefixes whose duration turned out quite different are priced anew, unless that was
    /// done a moment ago: with many prefixes it would be done all the time.
    pub(super) fn reprice_drifted(&mut self) {
        if self.families.drifted.is_empty() || self.now < self.stealing.no_price_before {
            return;
        }
        let tasks = u64::from(self.counts[super::TaskState::Processing as usize]);
        let looked_at = tasks + self.workers.emptiest.len() as u64;
        let pause = looked_at.saturating_mul(REPRICE_NS * REPRICE_SHARE);
        self.stealing.no_price_before = self.now.after_ns(pause);
        self.reprice();
    }

    /// A worker is gone, or stands nowhere any more.
    pub(super) fn forget_load(&mut self, worker: WorkerId) {
        self.stealing.overfull.set(worker, false);
    }

    /// Tasks that went from one worker to another before they began.
    #[must_use]
    pub const fn stolen_count(&self) -> u64 {
        self.stealing.stolen
    }

    /// Steal-requests that were not answered.
    #[must_use]
    pub fn steals_in_flight(&self) -> usize {
        self.stealing.in_flight.len()
    }

    /// The registers of stealing agree with the tasks and workers.
    pub(super) fn check_stealing(&self) -> Result<(), String> {
        let overfull = &self.stealing.overfull;
        let expected = self
            .workers
            .iter()
            .filter(|(id, worker)| is_overfull(worker, self.workers.emptiest.contains(*id)));
        let mut count = 0;
        for (id, _) in expected {
            count += 1;
            if !overfull.contains(id) {
                return Err(format!("worker {} has tasks that wait, unnoticed", id.0));
            }
        }
        if overfull.workers.len() != count {
            return Err("a worker counts as overfull and is not".to_owned());
        }
        let mut sums: BTreeMap<WorkerId, (i128, i64)> = BTreeMap::new();
        let mut thiefless = 0;
        for (task, request) in self.stealing.in_flight.iter() {
            let record = &self.tasks[task.index()];
            let processes = record.worker() == Some(request.victim);
            let seceded = record.flags.has(super::task::Flags::LONG_RUNNING);
            if !processes || seceded || request.thief == request.victim {
                return Err(format!("a steal of {} goes on in vain", self.key_of(task)));
            }
            let nobody = request.thief == in_flight::NOBODY;
            if !nobody && !self.workers.contains(request.thief) {
                return Err(format!("{} is for a thief that is gone", self.key_of(task)));
            }
            let [of_victim, of_thief] = request.deltas();
            thiefless += if nobody { of_victim.1.1 } else { 0 };
            let both = [of_victim, of_thief].into_iter().take(if nobody { 1 } else { 2 });
            for (worker, (occupancy, slots)) in both {
                let sum = sums.entry(worker).or_default();
                *sum = (sum.0 + occupancy, sum.1 + slots);
            }
        }
        if sums.values().map(|sum| sum.1).sum::<i64>() != thiefless {
            return Err("slots of steals in flight do not add up to nothing".to_owned());
        }
        self.stealing.in_flight.check(&sums)
    }
}

/// A worker has tasks that it cannot run now.
fn is_overfull(worker: &Worker, runs: bool) -> bool {
    worker.slots_used > worker.nthreads || (!runs && !worker.processing.is_empty())
}
