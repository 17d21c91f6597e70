//! Tasks that leave before they began, because the scheduler asks for them back (steal-request).
//!
//! What has not begun is let go and the answer says so; anything else stays. The answer names the
//! state in which the request found the task, so the scheduler needs no guess: only waiting, ready
//! and constrained mean that the task may run elsewhere.

use super::task::State;
use super::{WorkerInstruction, WorkerState};
use crate::ids::TaskId;
use crate::messages::StateAtWorker;

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

/// To be computed here, and not begun.
const fn is_movable(state: State) -> bool {
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
