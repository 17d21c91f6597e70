//! Workers that are paused: none of them may stay so for ever.
//!
//! A paused worker gives back what it has not begun by itself, and others may steal it. One that
//! stays paused all the same is started again by its nanny: what it holds is computed anew, which
//! is dear, but a job that never ends is dearer. Where restarts do not help, because what is needed
//! at a time fills the memory again, they end, and the no-workers time-out ends the tasks.

use super::SchedulerState;
use super::instruction::{SchedulerInstruction, SchedulerOut};
use super::worker::Worker;
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
            if !self.restarted_in_vain(worker) {
                self.pause_grace = self.pause_grace.max(due);
            }
            self.paused.insert((due, worker));
        }
    }

    /// The worker was started again for its pause, and since then no task has ended for the first
    /// time anywhere: another restart would change nothing.
    fn restarted_in_vain(&self, worker: WorkerId) -> bool {
        let (finished, restarted) = &self.pause_restarts;
        let name = self.workers.get(worker).map(|worker| &worker.registration().name);
        *finished == self.totals.finished && name.is_some_and(|name| restarted.contains(name))
    }

    /// Workers that are paused now.
    pub(super) fn paused_count(&self) -> usize {
        let paused = |worker: &&Worker| worker.profile.status == WorkerStatus::Paused;
        self.workers.iter().map(|(_, worker)| worker).filter(paused).count()
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
            if self.restarted_in_vain(worker) {
                let due = self.now.after_ns(self.config.pause_restart_ns);
                self.paused.insert((due, worker));
                continue;
            }
            self.note_restart(worker);
            let seconds = self.config.pause_restart_ns / SECOND_NS;
            let reason = format!("was paused for {seconds} s (worker.memory.pause-restart)");
            out.instructions.push(SchedulerInstruction::RestartWorker { worker, reason });
        }
    }

    fn note_restart(&mut self, worker: WorkerId) {
        let Some(worker) = self.workers.get(worker) else { return };
        let name = worker.registration().name.clone();
        let (finished, restarted) = &mut self.pause_restarts;
        if *finished != self.totals.finished {
            *finished = self.totals.finished;
            restarted.clear();
        }
        restarted.insert(name);
    }
}
