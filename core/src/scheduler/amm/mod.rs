//! The active memory manager: copies of results that are made, kept and dropped on purpose.
//!
//! ```text
//!   every 2 s; for orders also as soon as what was asked for has arrived
//!     retire_worker ──┐
//!     rebalance ──────┤            suggestions                  acquire-replicas
//!     replicate ──────┼─▶ Round: pending, projected memory ─▶ enact ─▶ remove-replicas
//!     reduce_replicas ┘
//! ```
//!
//! A policy suggests, the round picks a recipient or a holder or refuses, `enact` carries out. A
//! copy that is dropped is off the books at once; a worker that needs it answers add-keys. No task
//! pays for any of this: what has several holders stands in the overflow table anyway.

mod enact;
mod memory;
mod rebalance;
mod reduce_replicas;
mod replicate;
mod retire_worker;
mod suggestions;

pub(super) use memory::Unmanaged;

use super::SchedulerState;
use super::instruction::SchedulerOut;
use super::retire::Retirement;
use crate::ids::{TaskId, WorkerId};
use crate::time::Time;
use rebalance::{Move, Scope};
use replicate::Copies;
use std::collections::BTreeMap;
use suggestions::Round;

/// A copy that was ordered and has not arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Acquisition {
    recipient: WorkerId,
    /// From then on it is not waited for.
    until: Time,
}

/// Orders and what is under way.
#[derive(Debug, Default)]
pub(super) struct Amm {
    /// When the policies run next; none while there is nothing to do.
    due: Option<Time>,
    /// Orders are to be looked at in this event.
    hurry: bool,
    /// Workers that leave.
    pub(super) retiring: BTreeMap<WorkerId, Retirement>,
    /// How many copies somebody asked for.
    copies: BTreeMap<TaskId, Copies>,
    /// A rebalance that was asked for.
    rebalance: Option<Scope>,
    /// What a rebalance moves.
    moves: Vec<Move>,
    /// Copies that were ordered.
    under_way: BTreeMap<TaskId, Vec<Acquisition>>,
    /// Where the next look at replicated tasks begins.
    next_row: usize,
}

impl Amm {
    /// A worker holds a result that it did not hold.
    pub(super) fn arrived(&mut self, task: TaskId, worker: WorkerId) {
        if self.under_way.is_empty() {
            return;
        }
        if let Some(list) = self.under_way.get_mut(&task) {
            list.retain(|one| one.recipient != worker);
            if list.is_empty() {
                self.under_way.remove(&task);
                // What was waited for is there: the orders go on without waiting for the clock.
                self.hurry |= self.under_way.is_empty();
            }
        }
    }

    /// A result left memory: nothing that was ordered about it counts.
    pub(super) fn forget_task(&mut self, task: TaskId) {
        if !self.copies.is_empty() {
            self.copies.remove(&task);
        }
        if !self.moves.is_empty() {
            self.moves.retain(|one| one.task != task);
        }
        if !self.under_way.is_empty() && self.under_way.remove(&task).is_some() {
            self.hurry |= self.under_way.is_empty();
        }
    }

    /// A worker is gone.
    pub(super) fn forget_worker(&mut self, worker: WorkerId) {
        self.retiring.remove(&worker);
        self.moves.retain(|one| one.from != worker && one.to != worker);
        self.under_way.retain(|_, list| {
            list.retain(|one| one.recipient != worker);
            !list.is_empty()
        });
        for copies in self.copies.values_mut() {
            copies.forget_worker(worker);
        }
        if let Some(scope) = &mut self.rebalance {
            scope.forget_worker(worker);
        }
        self.hurry |= !self.retiring.is_empty() || !self.copies.is_empty();
    }

    /// What its orders are made of, for a hash of the state.
    pub(super) fn numbers(&self, add: &mut impl FnMut(u64)) {
        add(self.due.map_or(u64::MAX, |due| due.0));
        add(self.next_row as u64);
        for worker in self.retiring.keys() {
            add(u64::from(worker.0));
        }
        for (task, copies) in &self.copies {
            add(u64::from(task.0));
            copies.numbers(add);
        }
        if let Some(scope) = &self.rebalance {
            scope.numbers(add);
        }
        for one in &self.moves {
            add(u64::from(one.task.0));
            add(u64::from(one.from.0) << 32 | u64::from(one.to.0));
        }
        for (task, list) in &self.under_way {
            for one in list {
                add(u64::from(task.0) << 32 | u64::from(one.recipient.0));
                add(one.until.0);
            }
        }
    }

    /// A worker has no task left. One that leaves may go as soon as its last task has ended: then it
    /// is looked at once more, without waiting for the clock.
    pub(super) fn emptied(&mut self, worker: WorkerId) {
        self.hurry |= self.retiring.contains_key(&worker);
    }

    /// The policies run as soon as the driver lets them.
    pub(super) fn soon(&mut self, now: Time) {
        self.due = self.due.map(|due| due.min(now));
    }

    /// Orders are to be looked at in this event.
    pub(super) const fn hurry(&mut self) {
        self.hurry = true;
    }

    fn has_orders(&self) -> bool {
        !self.retiring.is_empty()
            || !self.copies.is_empty()
            || !self.moves.is_empty()
            || self.rebalance.is_some()
            // Whose order is void, or who was let go of with a task that shared it, never comes: its
            // time must pass.
            || !self.under_way.is_empty()
    }
}

impl SchedulerState {
    /// Carries orders on, when something that they wait for has happened. Runs after each event.
    pub(super) fn manage_memory(&mut self, out: &mut SchedulerOut) {
        if std::mem::take(&mut self.amm.hurry) && self.amm.has_orders() {
            self.run_policies(false, out);
        }
    }

    /// Runs the policies when they are due.
    pub(super) fn manage_memory_on_time(&mut self, out: &mut SchedulerOut) {
        if self.amm.due.is_some_and(|due| due <= self.now) {
            self.amm.due = None;
            self.run_policies(true, out);
        }
    }

    /// When the policies want to run: only while there is something that they may change.
    pub(super) fn amm_deadline(&mut self) -> Option<Time> {
        if self.amm.due.is_none() {
            let policies = self.config.amm_policies;
            let reduces = policies.reduce_replicas && self.overflow.replicated_count() > 0;
            let by_itself = self.config.amm_start && (reduces || policies.rebalance);
            if by_itself || self.amm.has_orders() {
                self.amm.due = Some(self.now.after_ns(self.config.amm_interval_ns));
            }
        }
        self.amm.due
    }

    /// One round. `by_clock`: also what the manager does by itself.
    fn run_policies(&mut self, by_clock: bool, out: &mut SchedulerOut) {
        self.give_up_acquisitions();
        let mut round = Round::new(self);
        let left = self.run_retire_worker(&mut round, out);
        self.run_rebalance(&mut round, by_clock);
        self.run_replicate(&mut round);
        if by_clock && self.config.amm_start && self.config.amm_policies.reduce_replicas {
            self.run_reduce_replicas(&mut round);
        }
        self.enact(round, out);
        for worker in left {
            self.finish_retirement(worker, out);
        }
        self.drain(out);
    }

    /// What did not arrive in time, or goes to a worker that starts no transfer, is not waited for.
    fn give_up_acquisitions(&mut self) {
        let (now, running) = (self.now, &self.workers.emptiest);
        self.amm.under_way.retain(|_, list| {
            list.retain(|one| one.until > now && running.contains(one.recipient));
            !list.is_empty()
        });
    }

    /// Copies that were ordered and are expected, and orders that are not carried out whole.
    #[must_use]
    pub fn is_moving_data(&self) -> bool {
        let amm = &self.amm;
        !amm.under_way.is_empty()
            || !amm.retiring.is_empty()
            || !amm.moves.is_empty()
            || amm.rebalance.is_some()
    }

    /// Orders and copies that are under way, in words.
    #[must_use]
    pub fn orders_left(&self) -> String {
        let amm = &self.amm;
        let retiring: Vec<u32> = amm.retiring.keys().map(|worker| worker.0).collect();
        format!(
            "retiring {retiring:?}, moves {:?}, under way {:?}, asked for {:?}",
            amm.moves, amm.under_way, amm.copies
        )
    }

    /// The books of the manager name only what is there.
    pub(super) fn check_amm(&self) -> Result<(), String> {
        let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let in_memory = |task: &TaskId| {
            let record = self.tasks.get(task.index());
            record.is_some_and(|record| record.state == super::TaskState::Memory)
        };
        for (task, list) in &self.amm.under_way {
            ensure(in_memory(task) && !list.is_empty(), "a copy is ordered of what is not there")?;
            for one in list {
                let there = self.workers.contains(one.recipient);
                let held = self.overflow.holds(&self.tasks[task.index()], one.recipient);
                ensure(there && !held, "a copy is under way to one that is gone or has it")?;
                let orders = list.iter().filter(|other| other.recipient == one.recipient).count();
                ensure(orders == 1, "one copy is ordered twice")?;
            }
        }
        let retiring = self.amm.retiring.keys();
        let gone = retiring.filter(|worker| !self.workers.contains(**worker)).count();
        ensure(gone == 0, "a worker leaves that is gone")?;
        ensure(self.amm.copies.keys().all(in_memory), "copies are kept of what is not there")?;
        let named = self.amm.copies.values().flat_map(Copies::named);
        let named = named.chain(self.amm.rebalance.iter().flat_map(Scope::named));
        let gone = named.filter(|worker| !self.workers.contains(**worker)).count();
        ensure(gone == 0, "an order names a worker that is gone")?;
        for one in &self.amm.moves {
            let there = self.workers.contains(one.from) && self.workers.contains(one.to);
            ensure(there && in_memory(&one.task), "moves what is not there")?;
        }
        let mut several = 0;
        for row in 0..self.overflow.row_count() {
            let Some((task, holders)) = self.overflow.replicated(row) else { continue };
            several += 1;
            let listed = self.overflow.holders(&self.tasks[task.index()]);
            let same = std::ptr::eq(listed, holders);
            ensure(holders.len() > 1 && same, "a row of replicated tasks is another's")?;
        }
        let counted = self.tasks.iter().filter(|task| self.overflow.holders(task).len() > 1);
        ensure(counted.count() == several, "replicated tasks are miscounted")?;
        ensure(self.overflow.replicated_count() == several, "rows of replicated tasks are lost")
    }
}
