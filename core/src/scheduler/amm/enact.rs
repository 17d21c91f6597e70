//! The end of a round: suggestions become acquire-replicas and remove-replicas.

use super::Acquisition;
use super::suggestions::Round;
use crate::ids::{TaskId, WorkerId};
use crate::scheduler::instruction::{DependencyAt, SchedulerInstruction, SchedulerOut, position};
use crate::scheduler::{SchedulerState, Span};

/// Holders that a worker is told of one result.
const HOLDERS_TOLD: usize = 16;
/// A copy is waited for this many intervals of the manager and this many times as long as its
/// transfer should take: long enough for a busy holder, short enough that a recipient which lost
/// interest does not hold an order up.
const PATIENCE: u64 = 4;

impl SchedulerState {
    /// Orders and drops what the policies suggested; each worker gets one message of each kind.
    pub(super) fn enact(&mut self, mut round: Round, out: &mut SchedulerOut) {
        round.acquires.sort_by_key(|(worker, _)| *worker);
        for group in round.acquires.chunk_by(|a, b| a.0 == b.0) {
            self.acquire(group, out);
        }
        round.drops.sort_by_key(|(worker, _)| *worker);
        for group in round.drops.chunk_by(|a, b| a.0 == b.0) {
            self.strike_off(group, out);
        }
    }

    /// Orders copies for one worker.
    fn acquire(&mut self, group: &[(WorkerId, TaskId)], out: &mut SchedulerOut) {
        let Some(&(worker, _)) = group.first() else { return };
        let start = position(out.dependencies.len());
        for &(_, task) in group {
            let record = &self.tasks[task.index()];
            let (nbytes, known) = (record.nbytes, self.overflow.holders(record));
            let first = position(out.holders.len());
            let from = self.rng.below(known.len() as u64) as usize;
            let shown = known.iter().cycle().skip(from).take(known.len().min(HOLDERS_TOLD));
            out.holders.extend(shown.map(|held| held.worker));
            let holders = Span { start: first, end: position(out.holders.len()) };
            out.dependencies.push(DependencyAt { task, nbytes, holders });
            let trip_ns = self.paths.bytes_ns(self.workers.path_class(known, worker), nbytes);
            let wait_ns = self.config.amm_interval_ns.saturating_add(trip_ns);
            let until = self.now.after_ns(wait_ns.saturating_mul(PATIENCE));
            let list = self.amm.under_way.entry(task).or_default();
            list.push(Acquisition { recipient: worker, until });
        }
        let who_has = Span { start, end: position(out.dependencies.len()) };
        out.instructions.push(SchedulerInstruction::AcquireReplicas { worker, who_has });
    }

    /// Takes copies of one worker off the books, and tells it.
    fn strike_off(&mut self, group: &[(WorkerId, TaskId)], out: &mut SchedulerOut) {
        let Some(&(worker, _)) = group.first() else { return };
        let start = position(out.tasks.len());
        for &(_, task) in group {
            if self.remove_unread_replica(task, worker) {
                out.tasks.push(task);
            }
        }
        let tasks = Span { start, end: position(out.tasks.len()) };
        if tasks.start < tasks.end {
            out.instructions.push(SchedulerInstruction::RemoveReplicas { worker, tasks });
        }
    }
}
