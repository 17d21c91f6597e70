//! Tasks that leave before they began: the scheduler asks for one back (steal-request), or this
//! worker has been paused for so long that others had better do them.
//!
//! What has not begun is let go and the answer says so; anything else stays. The answer names the
//! state in which the request found the task, so the scheduler needs no guess: only waiting, ready
//! and constrained mean that the task may run elsewhere.

use super::task::{Slot, State};
use super::{WorkerInstruction, WorkerState};
use crate::ids::TaskId;
use crate::messages::StateAtWorker;
use crate::time::Time;

impl WorkerState {
    /// Answers, and lets go of a task that has not begun.
    pub(super) fn on_steal_request(&mut self, task: TaskId, stimulus_id: u64) {
        let slot = self.tasks.find(task);
        let state = slot.and_then(|slot| told(self.tasks[slot].state));
        self.emit(WorkerInstruction::StealResponse { task, stimulus_id, state });
        if let Some(slot) = slot
            && is_movable(self.tasks[slot].state)
        {
            self.recommend(slot, State::Released);
        }
    }
}

impl WorkerState {
    /// When a paused worker gives back what it has not begun; none when it knows no task.
    pub(super) fn give_back_at(&self) -> Option<Time> {
        let since = self.stalled_since.filter(|_| self.config.pause_give_back_ns > 0)?;
        (self.tasks.len() > 0).then(|| since.after_ns(self.config.pause_give_back_ns))
    }

    /// Gives back every task that has not begun, when that is due.
    pub(super) fn give_back_stalled(&mut self) {
        if self.give_back_at().is_none_or(|at| at > self.now) {
            return;
        }
        self.stalled_since = Some(self.now);
        let is_mine = |slot: &Slot| is_movable(self.tasks[*slot].state);
        let slots: Vec<Slot> = self.tasks.slots().filter(is_mine).collect();
        for slot in slots {
            let record = &self.tasks[slot];
            let (task, run_id) = (record.task, record.run_id);
            self.emit(WorkerInstruction::Reschedule { task, run_id });
            self.recommend(slot, State::Released);
        }
    }
}

/// To be computed here, and not begun.
pub(super) const fn is_movable(state: State) -> bool {
    matches!(state, State::Waiting | State::Ready | State::Constrained)
}

/// The state as it is told; none for those that no record has between two events.
const fn told(state: State) -> Option<StateAtWorker> {
    Some(match state {
        State::Released => StateAtWorker::Released,
        State::Waiting => StateAtWorker::Waiting,
        State::Ready => StateAtWorker::Ready,
        State::Constrained => StateAtWorker::Constrained,
        State::Executing => StateAtWorker::Executing,
        State::LongRunning => StateAtWorker::LongRunning,
        State::Fetch => StateAtWorker::Fetch,
        State::Flight => StateAtWorker::Flight,
        State::Missing => StateAtWorker::Missing,
        State::Memory => StateAtWorker::Memory,
        State::Erred => StateAtWorker::Erred,
        State::Cancelled(_) => StateAtWorker::Cancelled,
        State::Resumed(_) => StateAtWorker::Resumed,
        State::Rescheduled | State::Forgotten => return None,
    })
}
