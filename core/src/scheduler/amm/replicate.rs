//! Replicate: so many copies of a result, while it is in memory.
//!
//! Copies spread in rounds: each holder serves at most `branching_factor` new ones at a time, so
//! that n copies take about log n rounds and no holder is flooded. An order stands until its result
//! leaves memory: copies that are lost are made again, and ReduceReplicas leaves them alone.

use super::Amm;
use super::suggestions::Round;
use crate::ids::{TaskId, WorkerId};
use crate::scheduler::instruction::{SchedulerInstruction, SchedulerOut};
use crate::scheduler::{SchedulerState, TaskState};

/// What was asked for one result.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    /// Copies; more than there are workers means one on each.
    n: u32,
    /// Where they may be; none: anywhere.
    workers: Option<Vec<WorkerId>>,
    branching_factor: u32,
}

impl Copies {
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
        add(u64::from(self.n) << 32 | u64::from(self.branching_factor));
        add(self.workers.as_ref().map_or(u64::MAX, |workers| workers.len() as u64));
        for worker in self.workers.iter().flatten() {
            add(u64::from(worker.0));
        }
    }

    /// How many there shall be.
    pub(super) const fn n(&self) -> usize {
        self.n as usize
    }

    /// Only copies at certain workers count.
    pub(super) const fn is_bound(&self) -> bool {
        self.workers.is_some()
    }

    /// A copy there counts.
    pub(super) fn counts(&self, worker: WorkerId) -> bool {
        self.workers.as_ref().is_none_or(|workers| workers.contains(&worker))
    }
}

impl Amm {
    /// What was asked for a task.
    pub(super) fn asked(&self, task: TaskId) -> Option<&Copies> {
        if self.copies.is_empty() { None } else { self.copies.get(&task) }
    }
}

impl SchedulerState {
    /// replicate. Only results that are in memory have copies; others are named in a warning.
    pub(in crate::scheduler) fn on_replicate(
        &mut self,
        tasks: &[TaskId],
        (n, workers): (Option<u32>, Option<Vec<WorkerId>>),
        branching_factor: u32,
        out: &mut SchedulerOut,
    ) {
        if n == Some(0) {
            let text = "replicate: at least one copy stays; n must not be 0".to_owned();
            out.instructions.push(SchedulerInstruction::Warn(text));
            return;
        }
        let there = |worker: &WorkerId| self.workers.contains(*worker);
        let workers: Option<Vec<_>> = workers.map(|list| list.into_iter().filter(there).collect());
        let mut absent = 0;
        for &task in tasks {
            if self.state_of(task) != TaskState::Memory {
                absent += 1;
                continue;
            }
            let workers = workers.clone();
            let branching_factor = branching_factor.max(1);
            let copies = Copies { n: n.unwrap_or(u32::MAX), workers, branching_factor };
            self.amm.copies.insert(task, copies);
        }
        if absent > 0 {
            let text = format!("replicate: {absent} of {} keys are not in memory", tasks.len());
            out.instructions.push(SchedulerInstruction::Warn(text));
        }
        self.amm.hurry();
    }

    /// Some result has fewer copies than were asked for, and a worker that runs could take one.
    #[must_use]
    pub fn lacks_copies(&self) -> bool {
        self.amm.copies.iter().any(|(task, copies)| {
            let record = &self.tasks[task.index()];
            let holders = self.overflow.holders(record).iter();
            let held = holders.filter(|held| copies.counts(held.worker)).count();
            let mut running = self.workers.emptiest.workers();
            held < copies.n()
                && running.any(|other| copies.counts(other) && !self.overflow.holds(record, other))
        })
    }

    /// One round of copies; of what has too many some are dropped.
    pub(super) fn run_replicate(&self, round: &mut Round) {
        for (&task, copies) in &self.amm.copies {
            let holders = self.overflow.holders(&self.tasks[task.index()]);
            let (arriving, leaving) = round.pending(task);
            let held = holders.iter().filter(|held| copies.counts(held.worker)).count();
            let arriving = arriving.iter().filter(|worker| copies.counts(**worker)).count();
            let leaving = leaving.iter().filter(|worker| copies.counts(**worker)).count();
            let have = (held + arriving).saturating_sub(leaving);
            let want = copies.n();
            let served = holders.len().saturating_mul(copies.branching_factor as usize);
            let candidates = copies.workers.as_deref();
            for _ in 0..want.saturating_sub(have).min(served.saturating_sub(arriving)) {
                if self.suggest_replicate(round, task, candidates).is_none() {
                    break;
                }
            }
            for _ in want..have {
                if self.suggest_drop(round, task, candidates).is_none() {
                    break;
                }
            }
        }
    }
}
