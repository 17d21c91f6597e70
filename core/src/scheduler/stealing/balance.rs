//! Which task goes from whom to whom.
//!
//! Thieves are workers that are idle, victims those that have the most work which waits. Cheap
//! tasks come first, then those of the fullest victim, then those that it would run last. A task
//! moves when it will be done earlier by that, the round trip of the steal included. However many
//! workers and tasks there are, a look at them all happens once an interval, and a look because of
//! an idle worker is bounded.

use super::in_flight::Request;
use crate::ids::{TaskId, WorkerId};
use crate::rng::mix;
use crate::scheduler::SchedulerState;
use crate::scheduler::ask::PLAIN;
use crate::scheduler::instruction::{SchedulerInstruction, SchedulerOut};
use crate::scheduler::placement::has_free;
use crate::scheduler::worker::{Assigned, FULL};
use rustc_hash::FxHashSet;
use std::cmp::Reverse;

/// Idle workers that a balance serves at most.
const THIEVES: usize = 64;
/// Thieves that one task is offered to.
const OFFERS: usize = 16;
/// Victims that are looked at when they are not saturated (Dask's number).
const VICTIMS: usize = 10;
/// Overfull workers that one balance looks at.
const LOOKED_AT: usize = 64;
/// Tasks of a victim that are looked at: those in so many of its last places, and in as many from
/// a random one on.
const WINDOW: usize = 64;
/// Tasks of a victim that are done earlier where they are, until the rest of them is left alone.
/// Tasks that no thief may take do not count: those behind them may be anybody's.
const REFUSALS: u32 = 8;
/// Distinct asks without a thief, until only tasks that ask for nothing are looked at: each costs
/// a look at all thieves.
const UNSERVED: usize = 256;
/// A victim has work for more than so many latencies (Dask: 0.2 s at a latency of 0.1 s).
const OCCUPIED: u64 = 2;
/// A saturated one waits for more than so many latencies (Dask: 0.4 s).
const SATURATED: u64 = 4;

/// A worker with tasks that wait.
#[derive(Clone, Copy, Debug)]
struct Victim {
    worker: WorkerId,
    nthreads: u32,
    occupancy_ns: u64,
    slots: u32,
    /// It does not run: whatever it has not begun waits for ever.
    is_stalled: bool,
    refusals: u32,
}

/// A task that may move. The order is the order of the offers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Candidate {
    level: u8,
    /// Place among the victims.
    victim: usize,
    /// It had a slot when it was sent, and has probably begun.
    at_once: bool,
    rank: Reverse<u32>,
    task: TaskId,
}

/// What a move would cost and bring.
#[derive(Clone, Copy, Debug)]
struct Offer {
    thief: WorkerId,
    /// Until it is done there, the steal included.
    done_ns: u64,
    burden_ns: u64,
}

/// Lists that are used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    thieves: Vec<WorkerId>,
    victims: Vec<Victim>,
    candidates: Vec<Candidate>,
    /// Asks that no thief serves. Thieves and what they have left only get fewer in a balance.
    unserved: FxHashSet<u32>,
}

impl SchedulerState {
    /// Asks victims for tasks; true when one was asked. `all`: every worker is looked at.
    pub(super) fn balance(&mut self, all: bool, out: &mut SchedulerOut) -> bool {
        let mut scratch = std::mem::take(&mut self.stealing.scratch);
        self.find_thieves(all, &mut scratch.thieves);
        let before = self.stealing.in_flight.len();
        if !scratch.thieves.is_empty() {
            self.find_victims(&scratch.thieves, &mut scratch.victims);
            self.find_candidates(&scratch.victims, &mut scratch.candidates);
            self.match_up(&mut scratch, out);
        }
        self.stealing.scratch = scratch;
        self.stealing.in_flight.len() > before
    }

    /// Idle workers, in a random order when there are more than one balance serves.
    fn find_thieves(&mut self, all: bool, thieves: &mut Vec<WorkerId>) {
        thieves.clear();
        if all {
            let running = self.workers.emptiest.workers();
            thieves.extend(running.filter(|worker| self.is_unoccupied(*worker)));
        } else {
            self.workers.emptiest.below(FULL, THIEVES, thieves);
            thieves.retain(|worker| self.is_unoccupied(*worker));
        }
        if thieves.len() > THIEVES {
            let from = self.rng.below(thieves.len() as u64) as usize;
            thieves.rotate_left(from);
            thieves.truncate(THIEVES);
        }
    }

    /// A free slot, or half as much work as the average, requests in flight included.
    fn is_unoccupied(&self, worker: WorkerId) -> bool {
        let Some(at) = self.workers.get(worker) else { return false };
        let (occupancy_ns, slots) = self.combined(worker);
        let share = u128::from(self.total_compute_ns) * u128::from(at.nthreads)
            / u128::from(self.workers.nthreads.max(1));
        slots < at.nthreads || u128::from(occupancy_ns) < share / 2
    }

    /// Occupancy and slots of a worker, requests in flight included.
    fn combined(&self, worker: WorkerId) -> (u64, u32) {
        let at = self.workers.get(worker);
        let (occupancy_ns, slots) = at.map_or((0, 0), |at| (self.occupancy_ns(at), at.slots_used));
        self.stealing.in_flight.combined(worker, occupancy_ns, slots)
    }

    /// The saturated workers, or the most occupied ones; the fullest first.
    fn find_victims(&mut self, thieves: &[WorkerId], victims: &mut Vec<Victim>) {
        victims.clear();
        let overfull = self.stealing.overfull.workers();
        let from =
            if overfull.len() > LOOKED_AT { self.rng.below(overfull.len() as u64) } else { 0 };
        let overfull = self.stealing.overfull.workers();
        let looked_at = overfull.iter().cycle().skip(from as usize);
        for worker in looked_at.take(overfull.len().min(LOOKED_AT)) {
            let Some(at) = self.workers.get(*worker) else { continue };
            let (occupancy_ns, slots) = self.combined(*worker);
            let is_stalled = !self.workers.emptiest.contains(*worker);
            let victim = Victim {
                worker: *worker,
                nthreads: at.nthreads,
                occupancy_ns,
                slots,
                is_stalled,
                refusals: 0,
            };
            if self.has_spare(&victim) && (is_stalled || !thieves.contains(worker)) {
                victims.push(victim);
            }
        }
        let seed = self.seed;
        victims.sort_unstable_by_key(|victim| {
            let tie = mix(seed ^ u64::from(victim.worker.0));
            (!victim.is_stalled, Reverse(victim.occupancy_ns), tie)
        });
        if victims.iter().any(|victim| self.is_saturated(victim)) {
            victims.retain(|victim| victim.is_stalled || self.is_saturated(victim));
        } else {
            let stalled = victims.iter().filter(|victim| victim.is_stalled).count();
            victims.truncate(stalled + VICTIMS);
        }
    }

    /// It has work that waits, and enough of it.
    fn has_spare(&self, victim: &Victim) -> bool {
        let enough_ns = self.steal_latency_ns().saturating_mul(OCCUPIED);
        victim.is_stalled || (victim.slots > victim.nthreads && victim.occupancy_ns > enough_ns)
    }

    /// What waits takes much longer than the average worker's work.
    fn is_saturated(&self, victim: &Victim) -> bool {
        let (p, n) = (u128::from(victim.slots), u128::from(victim.nthreads.max(1)));
        if victim.is_stalled || p <= n {
            return false;
        }
        let pending = u128::from(victim.occupancy_ns) * (p - n) / (p * n);
        let average = u128::from(self.total_compute_ns) / u128::from(self.workers.nthreads.max(1));
        let floor = u128::from(self.steal_latency_ns().saturating_mul(SATURATED));
        pending > floor.max(average * 19 / 10)
    }

    /// The tasks of the victims that may be stolen, in the order in which they are offered.
    fn find_candidates(&mut self, victims: &[Victim], candidates: &mut Vec<Candidate>) {
        candidates.clear();
        for (place, victim) in victims.iter().enumerate() {
            let Some(at) = self.workers.get(victim.worker) else { continue };
            let last = at.processing.places().saturating_sub(WINDOW);
            let from = self.rng.below(last as u64) as usize;
            let before = (from + WINDOW).min(last);
            let newest = at.processing.within(last..at.processing.places());
            for assigned in newest.chain(at.processing.within(from..before)) {
                candidates.extend(self.candidate(assigned, place, victim.worker));
            }
        }
        candidates.sort_unstable();
    }

    fn candidate(&self, assigned: &Assigned, victim: usize, worker: WorkerId) -> Option<Candidate> {
        let Assigned { task, at_once, refused, .. } = *assigned;
        if refused {
            return None;
        }
        let level = self.steal_level(task, worker)?;
        let rank = Reverse(self.tasks[task.index()].rank);
        Some(Candidate { level, victim, at_once, rank, task })
    }

    /// Offers the candidates to the thieves.
    fn match_up(&mut self, scratch: &mut Scratch, out: &mut SchedulerOut) {
        let Scratch { thieves, victims, candidates, unserved } = scratch;
        unserved.clear();
        for candidate in candidates.iter() {
            if thieves.is_empty() {
                break;
            }
            let victim = &mut victims[candidate.victim];
            if victim.refusals >= REFUSALS || !self.has_spare(victim) {
                continue;
            }
            let task = candidate.task;
            let ask = self.tasks[task.index()].ask;
            if unserved.contains(&ask) || (ask != PLAIN && unserved.len() >= UNSERVED) {
                continue;
            }
            let compute_ns = self.duration_ns(task);
            let Some(offer) = self.best_offer(task, compute_ns, thieves) else {
                if !thieves.iter().any(|thief| self.serves(*thief, task)) {
                    unserved.insert(ask);
                }
                continue;
            };
            let own_ns = compute_ns.saturating_add(self.fetch_ns(task, victim.worker));
            if !victim.is_stalled && offer.done_ns > stays_ns(victim, own_ns) {
                victim.refusals += 1;
                continue;
            }
            let stimulus_id = self.stealing.in_flight.next_stimulus();
            let terms = self.asks.terms(self.tasks[task.index()].ask);
            let request = Request {
                victim: victim.worker,
                thief: offer.thief,
                stimulus_id,
                relief_ns: own_ns,
                burden_ns: offer.burden_ns,
                threads: terms.threads,
                is_constrained: !terms.resources.is_empty(),
            };
            self.stealing.in_flight.insert(task, request);
            let worker = victim.worker;
            out.instructions.push(SchedulerInstruction::StealRequest { worker, task, stimulus_id });
            (victim.occupancy_ns, victim.slots) = self.combined(worker);
            if !self.is_unoccupied(offer.thief) {
                thieves.retain(|thief| *thief != offer.thief);
            }
        }
    }

    /// The thief that would be done first with a task.
    fn best_offer(&mut self, task: TaskId, compute_ns: u64, thieves: &[WorkerId]) -> Option<Offer> {
        let latency_ns = self.steal_latency_ns();
        let salt = self.seed ^ u64::from(task.0);
        let mut best: Option<((u64, u64, u64), Offer)> = None;
        let mut offers = 0;
        for thief in thieves {
            if offers >= OFFERS {
                break;
            }
            if !self.serves(*thief, task) || self.is_too_small_for(*thief, task) {
                continue;
            }
            offers += 1;
            let fetch_ns = self.fetch_ns(task, *thief);
            let wait_ns = self.wait_ns(*thief, task).saturating_add(fetch_ns);
            let nbytes = self.workers.get(*thief).map_or(0, |worker| worker.nbytes);
            let key = (wait_ns, nbytes, mix(salt ^ (u64::from(thief.0) << 32)));
            let burden_ns = compute_ns.saturating_add(fetch_ns);
            let done_ns = wait_ns.saturating_add(compute_ns).saturating_add(latency_ns);
            if best.is_none_or(|(least, _)| key < least) {
                best = Some((key, Offer { thief: *thief, done_ns, burden_ns }));
            }
        }
        best.map(|(_, offer)| offer)
    }

    /// A worker may run a task that another has: it runs, the task's terms allow it, and its
    /// inputs have room there.
    pub(super) fn may_steal(&mut self, thief: WorkerId, task: TaskId) -> bool {
        self.workers.emptiest.contains(thief)
            && self.asks.serves(self.tasks[task.index()].ask, thief, &self.workers)
            && !self.is_too_small_for(thief, task)
    }

    /// A thief has what a task asks for.
    fn serves(&mut self, thief: WorkerId, task: TaskId) -> bool {
        self.asks.serves(self.tasks[task.index()].ask, thief, &self.workers)
            && self.has_resources_for(thief, task)
    }

    /// The inputs of a task can never be together in a worker's memory.
    fn is_too_small_for(&self, worker: WorkerId, task: TaskId) -> bool {
        let inputs = self.dependencies.row(task).iter();
        let nbytes = inputs.map(|input| self.tasks[input.index()].nbytes);
        self.exceeds_memory(worker, nbytes.fold(0, u64::saturating_add))
    }

    /// A thief has the resources that a task asks for, less what is on its way there.
    fn has_resources_for(&self, thief: WorkerId, task: TaskId) -> bool {
        let terms = self.asks.terms(self.tasks[task.index()].ask);
        if terms.resources.is_empty() {
            return true;
        }
        let Some(worker) = self.workers.get(thief) else { return false };
        terms.resources.iter().all(|(name, need)| {
            let coming = self.stealing.in_flight.coming(thief).iter();
            let promised = coming.fold(0_u64, |sum, other| {
                let terms = self.asks.terms(self.tasks[other.index()].ask);
                let need = terms.resources.iter().find(|(has, _)| has == name);
                sum.saturating_add(need.map_or(0, |(_, need)| *need))
            });
            has_free(worker, name, need.saturating_add(promised))
        })
    }

    /// How long a task would wait for a slot of a worker.
    fn wait_ns(&self, worker: WorkerId, task: TaskId) -> u64 {
        let Some(at) = self.workers.get(worker) else { return u64::MAX };
        let (occupancy_ns, slots) = self.combined(worker);
        let threads = self.asks.terms(self.tasks[task.index()].ask).threads;
        if slots.saturating_add(threads) <= at.nthreads {
            return 0;
        }
        occupancy_ns / u64::from(at.nthreads)
    }
}

/// Until a task is done that stays where it is: the others before it, then itself, less half of it
/// in favour of staying. With one thread this is Dask's rule.
fn stays_ns(victim: &Victim, own_ns: u64) -> u64 {
    let others_ns = victim.occupancy_ns.saturating_sub(own_ns);
    (others_ns / u64::from(victim.nthreads.max(1))).saturating_add(own_ns / 2)
}
