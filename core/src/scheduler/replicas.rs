//! Who holds which result, kept on both sides: `who_has` of the task and `has_what` of the worker.
//!
//! A worker also knows which inputs of its tasks it has yet to fetch (`needs_what`). A copy that
//! comes or goes moves between the two registers, so that they never share a task.

use super::SchedulerState;
use super::instruction::position;
use super::task::Held;
use crate::ids::{TaskId, WorkerId};

impl SchedulerState {
    /// A worker holds a result that it did not hold.
    pub(super) fn add_replica(&mut self, task: TaskId, worker: WorkerId) {
        let record = &mut self.tasks[task.index()];
        let nbytes = record.nbytes;
        let at = self.workers.at(worker);
        let held = Held { worker, at: position(at.has_what.len()) };
        at.has_what.push(task);
        at.nbytes = at.nbytes.saturating_add(nbytes);
        if !at.needs_what.is_empty() && at.needs_what.remove(&task).is_some() {
            at.network_bytes = at.network_bytes.saturating_sub(nbytes);
        }
        self.overflow.insert(task, record, held);
        self.amm.arrived(task, worker);
    }

    /// A worker no longer holds a result; true when it did.
    pub(super) fn remove_replica(&mut self, task: TaskId, worker: WorkerId) -> bool {
        let removed = self.remove_unread_replica(task, worker);
        let record = &self.tasks[task.index()];
        if removed && record.waiters > 0 {
            let nbytes = record.nbytes;
            self.need_again(task, worker, nbytes);
        }
        removed
    }

    /// The same where no task that the worker was sent reads the result.
    pub(super) fn remove_unread_replica(&mut self, task: TaskId, worker: WorkerId) -> bool {
        let record = &mut self.tasks[task.index()];
        let Some(place) = self.overflow.remove(record, worker) else { return false };
        let nbytes = record.nbytes;
        let at = self.workers.at(worker);
        at.has_what.swap_remove(place as usize);
        at.nbytes = at.nbytes.saturating_sub(nbytes);
        if let Some(moved) = at.has_what.get(place as usize) {
            self.overflow.moved(&mut self.tasks[moved.index()], worker, place);
        }
        true
    }

    /// Tasks that the worker was sent and that read a result which it no longer holds need it again.
    fn need_again(&mut self, task: TaskId, worker: WorkerId, nbytes: u64) {
        let row = self.dependents.row(task);
        let here = |task: &&TaskId| self.tasks[task.index()].processing_on == worker.0;
        let count = i64::try_from(row.iter().filter(here).count()).unwrap_or(i64::MAX);
        if count > 0 {
            self.needs(worker, task, count, nbytes);
        }
    }

    /// Changes how many tasks of a worker need an input that is not there.
    pub(super) fn needs(&mut self, worker: WorkerId, input: TaskId, change: i64, nbytes: u64) {
        let at = self.workers.at(worker);
        let count = at.needs_what.entry(input).or_insert(0);
        if *count == 0 {
            at.network_bytes = at.network_bytes.saturating_add(nbytes);
        }
        *count = u32::try_from(i64::from(*count) + change).unwrap_or(0);
        if *count == 0 {
            at.needs_what.remove(&input);
            at.network_bytes = at.network_bytes.saturating_sub(nbytes);
        }
    }
}
