//! Runs on threads: from the choice of a task to the one event that ends its run.
//!
//! An end event counts only when it names the run that `Execute` named, once. What the run took is
//! given back at that moment, whatever became of the task meanwhile. A result is reported under the
//! run that the scheduler asked for last; a result of an older spec is dropped and the task runs
//! anew.

use super::task::{Live, Run, Slot, State};
use super::{WorkerInstruction, WorkerState};
use crate::ids::{RunId, TaskId};
use crate::messages::{TaskError, TypeCode};

impl WorkerState {
    /// Hands a task to a thread. It left its queue, and what it needs is taken here.
    pub(super) fn ready_executing(&mut self, slot: Slot) {
        self.dequeue(slot);
        let record = &mut self.tasks[slot];
        record.state = State::Executing;
        let taken = record.needs.clone();
        let threads = taken.as_ref().map_or(1, |needs| needs.threads);
        self.take(taken.as_deref());
        let record = &mut self.tasks[slot];
        let run_id = record.run_id;
        record.run =
            Some(Run { run_id, started: self.now, taken, told_to_stop: false, outdated: false });
        let Some(spec) = record.spec else {
            self.impossible(self.tasks[slot].task, State::Ready, State::Executing)
        };
        let (task, attempt, priority) = (record.task, record.attempt, record.priority);
        let timeout_ns = record.timeout_ns;
        let inputs = self.inputs(slot);
        self.executing.insert(slot);
        self.emit(WorkerInstruction::Execute {
            task,
            run_id,
            attempt,
            spec,
            inputs,
            threads,
            timeout_ns,
            priority,
        });
    }

    /// Arguments in order.
    pub(super) fn inputs(&self, slot: Slot) -> Vec<TaskId> {
        let record = &self.tasks[slot];
        let task_at = |at: usize| self.tasks[record.dependencies[at].slot].task;
        if record.arguments.is_empty() {
            (0..record.dependencies.len()).map(task_at).collect()
        } else {
            record.arguments.iter().map(|&at| task_at(at as usize)).collect()
        }
    }

    /// The scheduler wants it no more, but the thread runs on.
    pub(super) fn executing_cancelled(&mut self, slot: Slot) {
        let record = &mut self.tasks[slot];
        record.state = State::Cancelled(if record.state == State::Executing {
            Live::Executing
        } else {
            Live::LongRunning
        });
        let task = record.task;
        if let Some(run) = &mut record.run {
            run.told_to_stop = true;
            let run_id = run.run_id;
            self.emit(WorkerInstruction::Cancel { task, run_id });
        }
        self.rewant(slot);
    }

    pub(super) fn executing_long_running(&mut self, slot: Slot) {
        self.tasks[slot].state = State::LongRunning;
        self.leave_pool(slot);
        let duration = self.run_end.map(|end| end.stop_ns.saturating_sub(end.start_ns));
        self.report_long_running(slot, duration);
    }

    /// Gives the slots back; resources and memory stay with the run.
    pub(super) fn leave_pool(&mut self, slot: Slot) {
        self.executing.remove(&slot);
        self.long_running.insert(slot);
        let run = self.tasks[slot].run.as_ref();
        let taken = run.and_then(|run| run.taken.as_ref());
        self.used_threads -= taken.map_or(1, |needs| needs.threads);
    }

    pub(super) fn report_long_running(&mut self, slot: Slot, compute_duration_ns: Option<u64>) {
        let record = &self.tasks[slot];
        let (task, run_id) = (record.task, record.run_id);
        self.emit(WorkerInstruction::LongRunning { task, run_id, compute_duration_ns });
    }

    /// A run ended well.
    pub(super) fn on_execute_success(
        &mut self,
        task: TaskId,
        run_id: RunId,
        nbytes: u64,
        type_code: TypeCode,
    ) {
        let Some((slot, run)) = self.end_run(task, run_id) else {
            return;
        };
        if run.outdated {
            self.run_anew(slot);
        } else {
            let record = &mut self.tasks[slot];
            record.nbytes = nbytes;
            record.type_code = type_code;
            self.recommend(slot, State::Memory);
        }
    }

    /// A run failed. That of a run which was told to stop says nothing about the task.
    pub(super) fn on_execute_failure(
        &mut self,
        task: TaskId,
        run_id: RunId,
        error: Box<TaskError>,
    ) {
        let Some((slot, run)) = self.end_run(task, run_id) else {
            return;
        };
        if run.outdated || run.told_to_stop {
            self.run_anew(slot);
        } else {
            self.tasks[slot].error = Some(error);
            self.recommend(slot, State::Erred);
        }
    }

    /// A task gave itself back.
    pub(super) fn on_reschedule(&mut self, task: TaskId, run_id: RunId) {
        let Some((slot, run)) = self.end_run(task, run_id) else {
            return;
        };
        if run.outdated || run.told_to_stop {
            self.run_anew(slot);
        } else {
            self.recommend(slot, State::Rescheduled);
        }
    }

    /// A task leaves the pool and runs on.
    pub(super) fn on_secede(&mut self, task: TaskId, run_id: RunId) {
        match self.live_run(task, run_id) {
            Some(slot) if self.executing.contains(&slot) => {
                self.recommend(slot, State::LongRunning);
            }
            _ => self.ignored_count += 1,
        }
    }

    /// The run's end is of no use: a wanted computation starts over, a wanted copy is fetched. What
    /// left the pool goes back to the scheduler, which would count it as outside the pool for ever.
    fn run_anew(&mut self, slot: Slot) {
        let finish = match self.tasks[slot].state {
            State::Executing => State::Waiting,
            _ => State::Rescheduled,
        };
        self.recommend(slot, finish);
    }

    fn live_run(&self, task: TaskId, run_id: RunId) -> Option<Slot> {
        let slot = self.tasks.find(task)?;
        let run = self.tasks[slot].run.as_ref()?;
        (run.run_id == run_id).then_some(slot)
    }

    /// The common end of every run: everything it took is given back, once.
    fn end_run(&mut self, task: TaskId, run_id: RunId) -> Option<(Slot, Run)> {
        let Some(slot) = self.live_run(task, run_id) else {
            self.ignored_count += 1;
            return None;
        };
        let run = self.tasks[slot].run.take()?;
        let holds_slots = self.executing.remove(&slot);
        if !holds_slots {
            self.long_running.remove(&slot);
        }
        self.give_back(run.taken.as_deref(), holds_slots);
        self.tasks[slot].done = true;
        self.executed_count += 1;
        self.give_back_at = None;
        Some((slot, run))
    }
}
