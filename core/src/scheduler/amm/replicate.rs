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
}

impl Amm {
    /// Copies of a task that were asked for.
    pub(super) fn copies_asked(&self, task: TaskId) -> usize {
        if self.copies.is_empty() {
            return 0;
        }
        self.copies.get(&task).map_or(0, |copies| copies.n as usize)
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

    /// One round of copies; of what has too many some are dropped.
    pub(super) fn run_replicate(&self, round: &mut Round) {
        for (&task, copies) in &self.amm.copies {
            let holders = self.overflow.holders(&self.tasks[task.index()]);
            let (arriving, leaving) = round.pending(task);
            let counts = |worker: &WorkerId| {
                copies.workers.as_ref().is_none_or(|workers| workers.contains(worker))
            };
            let held = holders.iter().filter(|held| counts(&held.worker)).count();
            let arriving = arriving.iter().filter(|worker| counts(worker)).count();
            let leaving = leaving.iter().filter(|worker| counts(worker)).count();
            let have = (held + arriving).saturating_sub(leaving);
            let want = copies.n as usize;
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
