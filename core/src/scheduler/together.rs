//! Which of the best queued tasks goes next: large results that one task reads belong together.
//!
//! Slots come free one at a time, so a queue in plain order deals the inputs of a task out to
//! different workers, and all but one of them travel. When results are large a worker leaves a task
//! to the worker that has its siblings, the other inputs of its dependents, and takes one of the
//! next few instead. When it would leave all of them it takes the first: no slot stays free.

use super::{SchedulerState, TaskState};
use crate::ids::{TaskId, WorkerId};

/// Queued tasks that a worker may choose from: enough for trees of eight on eight workers.
const LOOK_AHEAD: usize = 64;
/// Dependents of a task that are looked at.
const DEPENDENTS: usize = 4;
/// Inputs of each that are looked at.
const INPUTS: usize = 8;

impl SchedulerState {
    /// The queued task that a worker with a slot for `first`, the best one, takes.
    pub(super) fn next_queued(&self, first: TaskId, worker: WorkerId) -> TaskId {
        let prefix = self.families.prefix_of(&self.tasks[first.index()]);
        if !self.families.prefixes[prefix as usize].has_large_results() {
            return first;
        }
        let mut task = first;
        for _ in 0..LOOK_AHEAD {
            if !self.belongs_elsewhere(task, worker) {
                return task;
            }
            let Some(next) = self.queued.after(self.tasks[task.index()].rank) else { break };
            task = self.ranked[next as usize];
            // Only its like is sure to have a slot here as well.
            let (one, other) = (&self.tasks[task.index()], &self.tasks[first.index()]);
            if (one.group, one.ask) != (other.group, other.ask) {
                break;
            }
        }
        first
    }

    /// The first sibling of a task that has a worker has another one.
    fn belongs_elsewhere(&self, task: TaskId, worker: WorkerId) -> bool {
        let dependents = self.dependents.row(task).iter().take(DEPENDENTS);
        let inputs = dependents
            .flat_map(|dependent| self.dependencies.row(*dependent).iter().take(INPUTS))
            .filter(|input| **input != task);
        for input in inputs {
            let sibling = &self.tasks[input.index()];
            match sibling.state {
                TaskState::Memory => return !self.overflow.holds(sibling, worker),
                TaskState::Processing => return sibling.worker() != Some(worker),
                _ => {}
            }
        }
        false
    }
}
