//! Rebalance: results move from workers with much memory in use to workers with little.
//!
//! A band around the mean is left alone. The fullest worker gives its results away, one at a time,
//! to the emptiest, as long as neither crosses the mean by more than the band. First a copy is made;
//! the original is dropped when the copy has arrived and nobody reads the original, so that it is
//! safe while tasks run.

use super::suggestions::Round;
use crate::ids::{TaskId, WorkerId};
use crate::scheduler::SchedulerState;
use rustc_hash::FxHashSet;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What may move, and between whom.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    tasks: Option<Vec<TaskId>>,
    workers: Option<Vec<WorkerId>>,
}

impl Scope {
    pub(super) fn forget_worker(&mut self, worker: WorkerId) {
        if let Some(workers) = &mut self.workers {
            workers.retain(|other| *other != worker);
        }
    }

    /// Workers that are named.
    pub(super) fn named(&self) -> impl Iterator<Item = &WorkerId> {
        self.workers.iter().flatten()
    }

    /// What it is made of, for a hash.
    pub(super) fn numbers(&self, add: &mut impl FnMut(u64)) {
        for length in [self.tasks.as_ref().map(Vec::len), self.workers.as_ref().map(Vec::len)] {
            add(length.map_or(u64::MAX, |length| length as u64));
        }
        for task in self.tasks.iter().flatten() {
            add(u64::from(task.0));
        }
        for worker in self.workers.iter().flatten() {
            add(u64::from(worker.0));
        }
    }
}

/// A result on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub(super) task: TaskId,
    pub(super) from: WorkerId,
    pub(super) to: WorkerId,
}

/// Bytes that a worker may end up with.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// A sender stays above it.
    floor: u64,
    /// A recipient stays below it.
    ceiling: u64,
}

/// Workers that give and take, with the mean that both strive for.
struct Plan {
    mean: u64,
    /// By bytes above the mean.
    senders: BinaryHeap<(u64, Reverse<WorkerId>)>,
    /// By bytes below the mean.
    recipients: BinaryHeap<(u64, Reverse<WorkerId>)>,
}

impl SchedulerState {
    /// rebalance
    pub(in crate::scheduler) fn on_rebalance(
        &mut self,
        tasks: Option<Vec<TaskId>>,
        workers: Option<Vec<WorkerId>>,
    ) {
        let tasks = tasks.map(|mut tasks| {
            tasks.sort_unstable();
            tasks
        });
        let there = |worker: &WorkerId| self.workers.contains(*worker);
        let workers = workers.map(|list| list.into_iter().filter(there).collect());
        self.amm.rebalance = Some(Scope { tasks, workers });
        self.amm.hurry();
    }

    /// Drops what has arrived elsewhere; plans anew when nothing is on its way.
    pub(super) fn run_rebalance(&mut self, round: &mut Round, by_clock: bool) {
        self.end_moves(round);
        if !self.amm.moves.is_empty() {
            return;
        }
        let by_itself = by_clock && self.config.amm_start && self.config.amm_policies.rebalance;
        let asked = self.amm.rebalance.take();
        if let Some(scope) = asked.or_else(|| by_itself.then(Scope::default)) {
            self.plan_moves(round, &scope);
        }
    }

    fn end_moves(&mut self, round: &mut Round) {
        let moves = std::mem::take(&mut self.amm.moves);
        for one in moves {
            let record = &self.tasks[one.task.index()];
            if self.overflow.holds(record, one.to) {
                // Refused while it is read at the old place: ReduceReplicas sees to it.
                let _refused = self.suggest_drop(round, one.task, Some(&[one.from])).is_none();
            } else if round.pending(one.task).0.contains(&one.to) {
                self.amm.moves.push(one);
            }
        }
    }

    fn plan_moves(&mut self, round: &mut Round, scope: &Scope) {
        let Some(Plan { mean, mut senders, mut recipients }) = self.plan(round, scope) else {
            return;
        };
        while let (Some((_, Reverse(from))), false) = (senders.pop(), recipients.is_empty()) {
            let floor = self.bounds(from, mean).floor;
            let read: FxHashSet<TaskId> = self.read_at(from);
            let held = self.workers.get(from).into_iter().flat_map(|it| it.has_what.iter());
            let held: Vec<TaskId> = held.copied().collect();
            for task in held {
                let nbytes = self.tasks[task.index()].nbytes;
                let stays = round.memory_of(from).saturating_sub(nbytes) < floor;
                let asked = scope.tasks.as_ref().is_none_or(|t| t.binary_search(&task).is_ok());
                let pending = round.pending(task);
                let moves_already = !pending.0.is_empty() || !pending.1.is_empty();
                // Copies that were asked for would be made again where they are taken away.
                let ordered = self.amm.asked(task).is_some();
                let rests = nbytes == 0 || ordered || read.contains(&task);
                if stays || !asked || moves_already || rests {
                    continue;
                }
                let Some((gap, Reverse(to))) = recipients.pop() else { break };
                let after = round.memory_of(to).saturating_add(nbytes);
                let has_room = after <= self.bounds(to, mean).ceiling;
                if has_room && self.suggest_replicate(round, task, Some(&[to])).is_some() {
                    round.expect_drop(from, nbytes);
                    self.amm.moves.push(Move { task, from, to });
                    if after < mean {
                        recipients.push((mean - after, Reverse(to)));
                    }
                } else {
                    recipients.push((gap, Reverse(to)));
                }
            }
        }
    }

    /// Who gives and who takes; none when the scope has no worker.
    fn plan(&self, round: &Round, scope: &Scope) -> Option<Plan> {
        let inside = |worker: &WorkerId| {
            self.workers.emptiest.contains(*worker)
                && scope.workers.as_ref().is_none_or(|workers| workers.contains(worker))
        };
        let workers: Vec<WorkerId> =
            self.workers.iter().map(|(worker, _)| worker).filter(inside).collect();
        let total: u128 = workers.iter().map(|worker| u128::from(round.memory_of(*worker))).sum();
        let mean = u64::try_from(total.checked_div(workers.len() as u128)?).unwrap_or(u64::MAX);
        let mut plan = Plan { mean, senders: BinaryHeap::new(), recipients: BinaryHeap::new() };
        for worker in workers {
            let Some(record) = self.workers.get(worker) else { continue };
            let limit = record.registration().memory_limit_bytes;
            let half_gap = part(limit, self.config.rebalance_sender_recipient_gap / 2.0);
            let used = round.memory_of(worker);
            let gives = used >= part(limit, self.config.rebalance_sender_min);
            let takes = limit == 0 || used < part(limit, self.config.rebalance_recipient_max);
            if !record.has_what.is_empty() && gives && used > mean && used - mean >= half_gap {
                plan.senders.push((used - mean, Reverse(worker)));
            } else if takes && used < mean && mean - used > half_gap {
                plan.recipients.push((mean - used, Reverse(worker)));
            }
        }
        Some(plan)
    }

    fn bounds(&self, worker: WorkerId, mean: u64) -> Bounds {
        let limit = self.workers.get(worker).map_or(0, |at| at.registration().memory_limit_bytes);
        let half_gap = part(limit, self.config.rebalance_sender_recipient_gap / 2.0);
        let most = match limit {
            0 => u64::MAX,
            limit => part(limit, self.config.rebalance_recipient_max),
        };
        Bounds { floor: mean, ceiling: mean.saturating_add(half_gap).min(most) }
    }

    /// Results that tasks of a worker read.
    fn read_at(&self, worker: WorkerId) -> FxHashSet<TaskId> {
        let sent = self.workers.get(worker).into_iter().flat_map(|it| it.processing.iter());
        sent.flat_map(|sent| self.dependencies.row(sent.task)).copied().collect()
    }
}

/// A fraction of a number of bytes, rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a bound of a policy: the conversion saturates, and a byte more or less is the same"
)]
fn part(bytes: u64, fraction: f64) -> u64 {
    (bytes as f64 * fraction) as u64
}
