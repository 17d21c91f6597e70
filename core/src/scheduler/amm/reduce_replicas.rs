//! ReduceReplicas: copies beyond what anybody needs are dropped.
//!
//! A result keeps one copy, or as many as there are workers that wait to read it, or as many as
//! somebody asked for with `replicate`.

use super::replicate::Copies;
use super::suggestions::Round;
use crate::ids::{TaskId, WorkerId};
use crate::scheduler::SchedulerState;
use crate::scheduler::task::{Flags, NONE};
use rustc_hash::FxHashSet;

/// With fewer waiting dependents it is counted on how many workers they are; with more their number
/// is taken, which keeps more copies than are needed for a while.
const COUNTED_WAITERS: u32 = 20;
/// Replicated tasks that one round looks at; the next round goes on behind them. A look takes less
/// than a microsecond, so the scheduler is never away for long.
const LOOK_AT: usize = 50_000;

impl SchedulerState {
    pub(super) fn run_reduce_replicas(&mut self, round: &mut Round) {
        let rows = self.overflow.row_count();
        let from = if self.amm.next_row < rows { self.amm.next_row } else { 0 };
        let count = rows.min(LOOK_AT);
        for row in (from..rows).chain(0..from).take(count) {
            let Some((task, holders)) = self.overflow.replicated(row) else { continue };
            let copies = holders.len();
            let (arriving, leaving) = round.pending(task);
            let copies = (copies + arriving.len()).saturating_sub(leaving.len());
            let asked = self.amm.asked(task);
            let keep = self.copies_needed(task).max(asked.map_or(0, Copies::n));
            // Copies that were asked for at certain workers are not given up there.
            let elsewhere: Option<Vec<WorkerId>> = asked.filter(|it| it.is_bound()).map(|it| {
                let there = holders.iter().map(|held| held.worker);
                there.filter(|worker| !it.counts(*worker)).collect()
            });
            for _ in keep..copies {
                if self.suggest_drop(round, task, elsewhere.as_deref()).is_none() {
                    break;
                }
            }
        }
        self.amm.next_row = if rows == 0 { 0 } else { (from + count) % rows };
    }

    /// Copies that dependents still need: as many as workers that wait to read the result.
    fn copies_needed(&self, task: TaskId) -> usize {
        let waiters = self.tasks[task.index()].waiters;
        if waiters <= 1 || waiters >= COUNTED_WAITERS {
            return waiters.max(1) as usize;
        }
        let mut placed = FxHashSet::default();
        let (mut unplaced, mut left) = (0, waiters);
        for dependent in self.dependents.row(task) {
            let record = &self.tasks[dependent.index()];
            if !record.flags.has(Flags::HOLDS) {
                continue;
            }
            match record.processing_on {
                NONE => unplaced += 1,
                worker => {
                    placed.insert(worker);
                }
            }
            left -= 1;
            if left == 0 {
                break;
            }
        }
        (placed.len() + unplaced).max(1)
    }
}
