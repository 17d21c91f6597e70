//! Who holds which result, kept on both sides: `who_has` of the task and `has_what` of the worker.
//!
//! The scheduler also knows which inputs of its tasks a worker has yet to fetch (`needs_what`, which
//! counts only inputs that several tasks read). A copy that comes or goes moves between the two
//! registers, so that they never share a task.

use super::SchedulerState;
use super::task::Held;
use crate::ids::{TaskId, WorkerId};

impl SchedulerState {
    /// A worker holds a result that it did not hold.
    pub(super) fn add_replica(&mut self, task: TaskId, worker: WorkerId) {
        let record = &mut self.tasks[task.index()];
        let (nbytes, is_first) = (record.nbytes, !record.is_held());
        let at = self.workers.at(worker);
        let held = Held { worker, at: at.has_what.insert(task) };
        at.nbytes = at.nbytes.saturating_add(nbytes);
        self.overflow.insert(task, record, held);
        // Nothing was sent out that reads a result without a holder.
        if !is_first && self.was_needed(task, worker) {
            let at = self.workers.at(worker);
            at.network_bytes = at.network_bytes.saturating_sub(nbytes);
        }
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
        at.has_what.remove(place);
        at.nbytes = at.nbytes.saturating_sub(nbytes);
        true
    }

    /// Tasks that the worker was sent and that read a result which it no longer holds need it again.
    fn need_again(&mut self, task: TaskId, worker: WorkerId, nbytes: u64) {
        let row = self.dependents.row(task);
        let here = |task: &&TaskId| self.tasks[task.index()].processing_on == worker.0;
        let count = u32::try_from(row.iter().filter(here).count()).unwrap_or(u32::MAX);
        if count > 0 {
            self.needs(worker, task, count, nbytes);
        }
    }

    /// An input came: true when some task of the worker needed it.
    fn was_needed(&mut self, input: TaskId, worker: WorkerId) -> bool {
        match self.dependents.row(input) {
            [only] => self.tasks[only.index()].processing_on == worker.0,
            _ => self.needs_what.remove(worker, input),
        }
    }

    /// Only one task reads the input: where that task is tells who needs it, and nobody counts.
    pub(super) fn has_one_reader(&self, input: TaskId) -> bool {
        self.dependents.range(input).len() == 1
    }

    /// Some more tasks of a worker need an input that is not there.
    pub(super) fn needs(&mut self, worker: WorkerId, input: TaskId, tasks: u32, nbytes: u64) {
        if self.has_one_reader(input) || self.needs_what.add(worker, input, tasks) {
            let at = self.workers.at(worker);
            at.network_bytes = at.network_bytes.saturating_add(nbytes);
        }
    }

    /// One task less of a worker needs an input that is not there.
    pub(super) fn needs_no_more(&mut self, worker: WorkerId, input: TaskId, nbytes: u64) {
        if self.has_one_reader(input) || self.needs_what.take(worker, input) {
            let at = self.workers.at(worker);
            at.network_bytes = at.network_bytes.saturating_sub(nbytes);
        }
    }
}
