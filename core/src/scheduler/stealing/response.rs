//! Answers of victims.
//!
//! Only the answer to the request that is under way for the task counts; by then the thief may be
//! gone, and what the victim let go of is placed anew.

use super::in_flight::Request;
use crate::ids::{TaskId, WorkerId};
use crate::messages::StateAtWorker;
use crate::scheduler::instruction::{SchedulerInstruction, SchedulerOut};
use crate::scheduler::task::Flags;
use crate::scheduler::{SchedulerState, TaskState};

/// An answer as it came.
#[derive(Clone, Copy, Debug)]
pub(in crate::scheduler) struct Answer {
    pub(in crate::scheduler) worker: WorkerId,
    pub(in crate::scheduler) task: TaskId,
    pub(in crate::scheduler) stimulus_id: u64,
    pub(in crate::scheduler) state: Option<StateAtWorker>,
}

impl SchedulerState {
    /// steal-response
    pub(in crate::scheduler) fn on_steal_response(
        &mut self,
        answer: Answer,
        out: &mut SchedulerOut,
    ) {
        use StateAtWorker as S;
        let Answer { worker, task, stimulus_id, state } = answer;
        let request = self.stealing.in_flight.get(task).copied();
        let request = request.filter(|request| {
            request.stimulus_id == stimulus_id
                && request.victim == worker
                && self.tasks[task.index()].worker() == Some(worker)
        });
        let Some(request) = request else {
            self.totals.stale += 1;
            return;
        };
        self.stealing.in_flight.remove(task);
        match state {
            Some(S::Waiting | S::Ready | S::Constrained) => self.move_stolen(task, request, out),
            Some(
                S::Executing | S::LongRunning | S::Memory | S::Erred | S::Cancelled | S::Resumed,
            ) => self.keep(task, worker),
            Some(S::Released | S::Fetch | S::Flight | S::Missing) | None => {
                self.recommend(task, TaskState::Released);
            }
        }
    }

    /// The victim let go of the task: it goes to the thief, or where it can go by now.
    fn move_stolen(&mut self, task: TaskId, request: Request, out: &mut SchedulerOut) {
        let Request { victim, thief, .. } = request;
        if !self.may_steal(thief, task) {
            self.recommend(task, TaskState::Released);
            return;
        }
        self.leave_processing(task);
        out.instructions.push(SchedulerInstruction::Stolen { task, victim, thief });
        let repeats = self.tasks[task.index()].flags.has(Flags::STARTED);
        self.add_to_processing(task, thief, out);
        // It did not begin on the victim, so it was counted with its sending there.
        self.totals.recomputed -= u64::from(repeats);
        self.stealing.stolen += 1;
        self.record(task, TaskState::Processing, TaskState::Processing);
    }

    /// The victim has begun with it, or is done: it is not asked for again.
    fn keep(&mut self, task: TaskId, victim: WorkerId) {
        let place = self.tasks[task.index()].processing_at();
        if let Some(assigned) = self.workers.at(victim).processing.get_mut(place) {
            assigned.refused = true;
        }
    }
}
