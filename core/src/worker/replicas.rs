//! Copies on purpose: acquire-replicas.
//!
//! A copy that no task here needs is fetched after everything that one needs. It is no promise: it
//! may be let go again with the tasks that came to share it, and the only answer is add-keys.

use super::WorkerState;
use super::stimuli::MAX_NBYTES;
use super::task::{Live, Slot, State};
use crate::messages::{Dependency, Priority};

/// Copies that are only to be kept come after what tasks need, and before tasks of lower priority
/// than the usual one.
pub(super) const ACQUIRE: Priority = Priority { user: 1, generation: 0, order: 0 };

impl WorkerState {
    /// acquire-replicas: fetch copies. What is to be computed here, or is here, stays as it is.
    pub(super) fn on_acquire_replicas(&mut self, tasks: &[Dependency]) {
        for copy in tasks {
            let (slot, _) = self.tasks.find_or_insert(copy.task);
            let record = &mut self.tasks[slot];
            let state = record.state;
            if state.is_processing()
                || matches!(state, State::Memory | State::Resumed(Live::Flight))
            {
                continue;
            }
            if state == State::Released && record.waiter_count == 0 {
                (record.priority, record.generation) = (ACQUIRE, self.generation);
            }
            record.nbytes = copy.nbytes.min(MAX_NBYTES);
            self.update_who_has(slot, &copy.who_has);
            self.recommend(slot, State::Fetch);
        }
    }

    /// Changes the place of an input, also in the queues of its holders.
    pub(super) fn set_priority(&mut self, slot: Slot, priority: Priority, generation: u32) {
        let fetched = self.tasks[slot].state == State::Fetch;
        if fetched {
            self.leave_fetch(slot, State::Released);
        }
        let record = &mut self.tasks[slot];
        (record.priority, record.generation) = (priority, generation);
        if fetched {
            self.enter_fetch(slot);
        }
    }
}
