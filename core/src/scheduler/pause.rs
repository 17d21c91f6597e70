//! Workers that are paused: none of them may stay so for ever.
//!
//! A paused worker gives back what it has not begun by itself, and others may steal it. One that
//! stays paused all the same is started again by its nanny: what it holds is computed anew, which
//! is dear, but a job that never ends is dearer.

use super::SchedulerState;
use super::instruction::{SchedulerInstruction, SchedulerOut};
use crate::config::SECOND_NS;
use crate::ids::WorkerId;
use crate::messages::WorkerStatus;
use crate::time::Time;

impl SchedulerState {
    /// A worker's status has changed, or it is gone.
    pub(super) fn note_pause(&mut self, worker: WorkerId, status: WorkerStatus) {
        let is_noted = self.paused.iter().any(|(_, other)| *other == worker);
        if status != WorkerStatus::Paused {
            self.paused.retain(|(_, other)| *other != worker);
        } else if !is_noted && self.config.pause_restart_ns > 0 {
            let due = self.now.after_ns(self.config.pause_restart_ns);
            self.pause_grace = self.pause_grace.max(due);
            self.paused.insert((due, worker));
        }
    }

    /// When the next paused worker is started again.
    pub(super) fn restart_due(&self) -> Option<Time> {
        self.paused.first().map(|(due, _)| *due)
    }

    /// Ends the workers that have been paused for too long.
    pub(super) fn restart_paused(&mut self, out: &mut SchedulerOut) {
        while let Some((due, worker)) = self.paused.first().copied()
            && due <= self.now
        {
            self.paused.pop_first();
            let seconds = self.config.pause_restart_ns / SECOND_NS;
            let reason = format!("was paused for {seconds} s (worker.memory.pause-restart)");
            out.instructions.push(SchedulerInstruction::RestartWorker { worker, reason });
        }
    }
}
