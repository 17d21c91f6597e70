//! RetireWorker: everything that a worker holds moves to others.
//!
//! What somebody who runs holds as well is dropped here; of the rest a copy is made first. When the
//! worker runs nothing any more and everything is elsewhere, it may go. When nobody can take what it
//! holds, it goes on.

use super::suggestions::Round;
use crate::ids::WorkerId;
use crate::scheduler::SchedulerState;
use crate::scheduler::instruction::SchedulerOut;

/// How far a worker is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// Something runs or is still on its way.
    GoesOn,
    /// Nobody can take what it holds.
    NoRecipients,
    /// It may go.
    Done,
}

impl SchedulerState {
    /// Runs for each worker that leaves; which of them may go now. One that nobody can relieve runs
    /// again at once, so that another one that leaves finds a recipient in it.
    pub(super) fn run_retire_worker(
        &mut self,
        round: &mut Round,
        out: &mut SchedulerOut,
    ) -> Vec<WorkerId> {
        let retiring: Vec<WorkerId> = self.amm.retiring.keys().copied().collect();
        let mut done = Vec::new();
        for worker in retiring {
            match self.relieve(round, worker) {
                Progress::GoesOn => {}
                Progress::Done => done.push(worker),
                Progress::NoRecipients => {
                    self.restore(worker, out);
                    round.add_recipient(worker);
                }
            }
        }
        done
    }

    fn relieve(&self, round: &mut Round, worker: WorkerId) -> Progress {
        let Some(record) = self.workers.get(worker) else { return Progress::GoesOn };
        let mut left = !record.processing.is_empty();
        for &task in record.has_what.iter() {
            let holders = self.overflow.holders(&self.tasks[task.index()]);
            let runs = |other: WorkerId| self.workers.emptiest.contains(other);
            let leaving = round.pending(task).1;
            let stays = |other: WorkerId| runs(other) && !leaving.contains(&other);
            if holders.iter().any(|held| stays(held.worker)) {
                // Refused while a task here reads it: it goes with the worker.
                let _refused = self.suggest_drop(round, task, Some(&[worker])).is_none();
                continue;
            }
            left = true;
            let arriving = round.pending(task).0.iter().any(|recipient| runs(*recipient));
            if !arriving && self.suggest_replicate(round, task, None).is_none() {
                return Progress::NoRecipients;
            }
        }
        if left { Progress::GoesOn } else { Progress::Done }
    }
}
