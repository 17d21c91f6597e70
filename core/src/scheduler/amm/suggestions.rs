//! One round of suggestions: who gets a copy, who gives one up, and what is refused.
//!
//! What is already suggested in this round, and copies that are under way, count as done: both in
//! the number of copies and in the memory that each worker is projected to use.

use super::memory::used_bytes;
use crate::ids::{TaskId, WorkerId};
use crate::scheduler::task::Flags;
use crate::scheduler::{SchedulerState, TaskState};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Suggestions that were taken up, by task.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Workers that get a copy, those under way included.
    pub(super) replicate: Vec<WorkerId>,
    /// Workers that give theirs up.
    pub(super) drop: Vec<WorkerId>,
}

/// A round in progress.
#[derive(Debug, Default)]
pub(super) struct Round {
    pending: FxHashMap<TaskId, Pending>,
    /// Projected bytes of each worker that is there, by number.
    memory: Vec<u64>,
    /// Running workers, the emptiest first; an entry with another number than `memory` is old.
    recipients: BinaryHeap<Reverse<(u64, WorkerId)>>,
    /// What to order, in the order of suggestion.
    pub(super) acquires: Vec<(WorkerId, TaskId)>,
    /// What to drop.
    pub(super) drops: Vec<(WorkerId, TaskId)>,
    /// Workers on which dependents of a task run: of the task that was last asked for.
    readers: Option<(TaskId, Vec<WorkerId>)>,
}

impl Round {
    /// A round that begins with what is under way.
    pub(super) fn new(state: &SchedulerState) -> Self {
        let mut round = Self::default();
        for (worker, record) in state.workers.iter() {
            if round.memory.len() <= worker.index() {
                round.memory.resize(worker.index() + 1, 0);
            }
            round.memory[worker.index()] = used_bytes(record, &state.config);
        }
        for (task, list) in &state.amm.under_way {
            let nbytes = state.tasks[task.index()].nbytes;
            for one in list {
                round.grow(one.recipient, nbytes);
                round.pending.entry(*task).or_default().replicate.push(one.recipient);
            }
        }
        for worker in state.workers.emptiest.workers() {
            round.recipients.push(Reverse((round.memory_of(worker), worker)));
        }
        round
    }

    /// Projected bytes of a worker.
    pub(super) fn memory_of(&self, worker: WorkerId) -> u64 {
        self.memory.get(worker.index()).copied().unwrap_or(0)
    }

    /// What is suggested about a task.
    pub(super) fn pending(&self, task: TaskId) -> (&[WorkerId], &[WorkerId]) {
        self.pending.get(&task).map_or((&[], &[]), |pending| (&pending.replicate, &pending.drop))
    }

    /// A worker that runs again may get copies.
    pub(super) fn add_recipient(&mut self, worker: WorkerId) {
        self.recipients.push(Reverse((self.memory_of(worker), worker)));
    }

    /// A worker will have so much less soon.
    pub(super) fn expect_drop(&mut self, worker: WorkerId, nbytes: u64) {
        self.shrink(worker, nbytes);
        self.add_recipient(worker);
    }

    fn grow(&mut self, worker: WorkerId, nbytes: u64) {
        let memory = &mut self.memory[worker.index()];
        *memory = memory.saturating_add(nbytes);
    }

    fn shrink(&mut self, worker: WorkerId, nbytes: u64) {
        let memory = &mut self.memory[worker.index()];
        *memory = memory.saturating_sub(nbytes);
    }
}

impl SchedulerState {
    /// Suggests a copy: on the worker with the least projected memory among the candidates, or among
    /// all. It must run and neither hold the result nor be about to. None: refused.
    pub(super) fn suggest_replicate(
        &self,
        round: &mut Round,
        task: TaskId,
        candidates: Option<&[WorkerId]>,
    ) -> Option<WorkerId> {
        let record = &self.tasks[task.index()];
        if record.state != TaskState::Memory {
            return None;
        }
        let may = |round: &Round, worker: WorkerId| {
            self.workers.emptiest.contains(worker)
                && !self.overflow.holds(record, worker)
                && !round.pending(task).0.contains(&worker)
        };
        let recipient = match candidates {
            Some(candidates) => {
                let fit = candidates.iter().copied().filter(|worker| may(round, *worker));
                fit.min_by_key(|worker| (round.memory_of(*worker), *worker))?
            }
            None => pop_recipient(round, may)?,
        };
        round.grow(recipient, record.nbytes);
        round.add_recipient(recipient);
        round.pending.entry(task).or_default().replicate.push(recipient);
        round.acquires.push((recipient, task));
        Some(recipient)
    }

    /// Suggests that a holder gives its copy up: a worker that does not run rather than one that
    /// does, then the fullest. One copy stays, and a worker that runs a dependent keeps its own.
    /// None: refused.
    pub(super) fn suggest_drop(
        &self,
        round: &mut Round,
        task: TaskId,
        candidates: Option<&[WorkerId]>,
    ) -> Option<WorkerId> {
        let record = &self.tasks[task.index()];
        let holders = self.overflow.holders(record);
        let dropped = round.pending(task).1.len();
        if record.state != TaskState::Memory || holders.len() < 2 + dropped {
            return None;
        }
        self.find_readers(round, task);
        let readers = round.readers.as_ref().map_or(&[][..], |(_, readers)| readers);
        let runs = |worker: WorkerId| self.workers.emptiest.contains(worker);
        let (mut best, mut fit, mut needed_by_stopped) = (None, 0, false);
        for held in holders {
            let worker = held.worker;
            if round.pending(task).1.contains(&worker) {
                continue;
            }
            if readers.contains(&worker) {
                needed_by_stopped |= !runs(worker);
                continue;
            }
            if candidates.is_some_and(|candidates| !candidates.contains(&worker)) {
                continue;
            }
            fit += 1;
            best = best.max(Some((!runs(worker), round.memory_of(worker), worker)));
        }
        let (stopped, _, worker) = best?;
        // A worker that leaves needs its copy for now, and this is the one that was made for it:
        // dropped, it would be made again in the next round, and so on.
        if fit == 1 && !stopped && needed_by_stopped {
            return None;
        }
        round.shrink(worker, record.nbytes);
        if !stopped {
            round.add_recipient(worker);
        }
        round.pending.entry(task).or_default().drop.push(worker);
        round.drops.push((worker, task));
        Some(worker)
    }

    /// Notes on which workers dependents of a task are processing.
    fn find_readers(&self, round: &mut Round, task: TaskId) {
        if round.readers.as_ref().is_some_and(|(known, _)| *known == task) {
            return;
        }
        let mut readers = round.readers.take().map_or_else(Vec::new, |(_, list)| list);
        readers.clear();
        let mut left = self.tasks[task.index()].waiters;
        for dependent in self.dependents.row(task) {
            if left == 0 {
                break;
            }
            let record = &self.tasks[dependent.index()];
            left -= u32::from(record.flags.has(Flags::HOLDS));
            if let Some(worker) = record.worker()
                && !readers.contains(&worker)
            {
                readers.push(worker);
            }
        }
        round.readers = Some((task, readers));
    }
}

/// Takes the emptiest worker that may; those that may not stay where they are.
fn pop_recipient(round: &mut Round, may: impl Fn(&Round, WorkerId) -> bool) -> Option<WorkerId> {
    let mut passed = Vec::new();
    let mut found = None;
    while let Some(Reverse((memory, worker))) = round.recipients.pop() {
        if memory != round.memory_of(worker) {
            continue;
        }
        if may(round, worker) {
            found = Some(worker);
            break;
        }
        passed.push(Reverse((memory, worker)));
    }
    round.recipients.extend(passed);
    found
}
