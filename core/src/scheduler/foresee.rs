//! Reading ahead: the driver says which ends of runs come next, and the core reads what they will
//! touch, so that it is in the cache when they come.
//!
//! With thousands of workers each event is about records that no cache holds. While an event is
//! handled, a read waits for what was decided on the one before it; here reads of many events wait
//! for nothing, and main memory serves them side by side. Nothing changes by it, and what was not
//! foreseen is handled the same.

use super::SchedulerState;
use crate::ids::{TaskId, WorkerId};
use std::hint::black_box;

/// Inputs and dependents of a task that are looked at.
const NEIGHBOURS: usize = 4;

impl SchedulerState {
    /// The next events are that these tasks finished on these workers. A dozen or two at a time
    /// keep main memory busy and find room in the cache; numbers may be wrong.
    pub fn foresee(&self, ends: &[(WorkerId, TaskId)]) {
        for (worker, task) in ends {
            self.read_records(*worker, *task);
        }
        // Where these lead to, once all of them are there.
        for (worker, task) in ends {
            self.read_neighbours(*worker, *task);
        }
        for (_, task) in ends {
            self.read_places(*task);
        }
    }

    fn read_records(&self, worker: WorkerId, task: TaskId) {
        let Some(record) = self.tasks.get(task.index()) else { return };
        let (inputs, dependents) = (self.dependencies.range(task), self.dependents.range(task));
        black_box((record.waiters, inputs.start, dependents.start));
        if let Some(at) = self.workers.get(worker) {
            black_box((at.slots_used, at.nbytes, self.workers.emptiest.load(worker)));
        }
    }

    fn read_neighbours(&self, worker: WorkerId, task: TaskId) {
        let (Some(record), Some(at)) = (self.tasks.get(task.index()), self.workers.get(worker))
        else {
            return;
        };
        black_box((at.processing.read(record.processing_at()), at.has_what.read_next()));
        for input in self.dependencies.row(task).iter().take(NEIGHBOURS) {
            let held = self.tasks[input.index()].holder;
            if let Some(holder) = self.workers.get(held.worker) {
                black_box((holder.has_what.read(held.at), holder.nbytes));
            }
        }
        for dependent in self.dependents.row(task).iter().take(NEIGHBOURS) {
            black_box(self.tasks[dependent.index()].waiting_on);
        }
    }

    /// Dependents that will be runnable are placed where their other inputs are.
    fn read_places(&self, task: TaskId) {
        if task.index() >= self.tasks.len() {
            return;
        }
        for dependent in self.dependents.row(task).iter().take(NEIGHBOURS) {
            if self.tasks[dependent.index()].waiting_on != 1 {
                continue;
            }
            for input in self.dependencies.row(*dependent).iter().take(NEIGHBOURS) {
                let held = self.tasks[input.index()].holder;
                if let Some(holder) = self.workers.get(held.worker) {
                    black_box((holder.slots_used, holder.nbytes, holder.processing.read_next()));
                }
            }
        }
    }
}
