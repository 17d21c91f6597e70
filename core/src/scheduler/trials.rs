//! Runs that did not end well: kept for the tasks that had any, beside their records, so that the
//! million tasks that simply run do not pay for them.

use crate::ids::TaskId;
use rustc_hash::FxHashMap;

/// What went wrong with a task so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Trials {
    /// Runs that ended in an error or in the death of their worker.
    pub(super) attempt: u32,
    /// Errors that it survived, of those that it may.
    pub(super) survived: u32,
    /// Deaths of its worker.
    pub(super) suspicious: u32,
    /// Times it gave itself back.
    pub(super) reschedules: u32,
}

/// Trials by task.
#[derive(Clone, Debug, Default)]
pub(super) struct TrialsByTask {
    by_task: FxHashMap<TaskId, Trials>,
}

impl TrialsByTask {
    /// What went wrong with a task; nothing, mostly.
    pub(super) fn of(&self, task: TaskId) -> Trials {
        // Mostly the table is empty.
        if self.by_task.is_empty() {
            return Trials::default();
        }
        self.by_task.get(&task).copied().unwrap_or_default()
    }

    /// To be changed.
    pub(super) fn of_mut(&mut self, task: TaskId) -> &mut Trials {
        self.by_task.entry(task).or_default()
    }
}
