//! Running, paused, closing gracefully: what a worker starts, and what it gives back.
//!
//! Paused (by its own shell, for want of memory) and closing (by the scheduler) are apart: a worker
//! that closes says nothing of its memory, and one that is to run again answers what it is. What runs
//! goes on in both. A task that was not begun is given back at once when the worker closes, and when
//! a pause lasts long without progress, so that no task waits for ever for a worker that starts none.

use super::task::{Live, Slot, State};
use super::{WorkerInstruction, WorkerState};
use crate::messages::WorkerStatus;

impl WorkerState {
    /// Memory is short, or there again. While the worker closes, its status stays that.
    pub(super) fn on_pause(&mut self, paused: bool) {
        if self.paused == paused {
            return;
        }
        self.paused = paused;
        self.give_back_at = None;
        if !self.closing {
            self.running = !paused;
            self.report_status();
        }
    }

    /// worker-status-change of the scheduler. Back from closing, the answer says whether the worker
    /// is paused.
    pub(super) fn on_status_change(&mut self, status: WorkerStatus) {
        match status {
            WorkerStatus::ClosingGracefully => {
                self.closing = true;
                self.running = false;
            }
            WorkerStatus::Running => {
                self.closing = false;
                self.running = !self.paused;
                self.report_status();
            }
            WorkerStatus::Paused => self.ignored_count += 1,
        }
    }

    fn report_status(&mut self) {
        let status = if self.paused { WorkerStatus::Paused } else { WorkerStatus::Running };
        self.emit(WorkerInstruction::WorkerStatusChange { status });
    }

    /// What a worker that starts nothing does about tasks that it has not begun: one that closes
    /// gives them back at once, a paused one when there was no progress for a while.
    pub(super) fn mind_unstarted(&mut self) {
        if self.closing {
            self.give_back_unstarted();
            self.drain();
            return;
        }
        let patience_ns = self.config.pause_patience_ns;
        let waits = |slot: Slot| is_unstarted(self.tasks[slot].state);
        if patience_ns == 0 || !self.tasks.slots().any(waits) {
            self.give_back_at = None;
        } else if self.give_back_at.is_none() {
            self.give_back_at = Some(self.now.after_ns(patience_ns));
        }
    }

    /// Gives every task that has not started back to the scheduler.
    pub(super) fn give_back_unstarted(&mut self) {
        let unstarted = |slot: &Slot| is_unstarted(self.tasks[*slot].state);
        let slots: Vec<Slot> = self.tasks.slots().filter(unstarted).collect();
        for slot in slots {
            let record = &self.tasks[slot];
            let (task, run_id) = (record.task, record.run_id);
            self.emit(WorkerInstruction::Reschedule { task, run_id });
            self.recommend(slot, State::Released);
        }
    }
}

/// To be computed here, and not begun.
pub(super) const fn is_unstarted(state: State) -> bool {
    matches!(
        state,
        State::Waiting | State::Ready | State::Constrained | State::Resumed(Live::Flight)
    )
}
