//! One function per edge of the task graph of states, named after it. processing → memory and
//! waiting → memory carry the worker's report and are called by task-finished itself.
//!
//! An edge changes the task, recommends for its neighbours, and emits messages. It never changes a
//! neighbour's state.

use super::instruction::{SchedulerInstruction, SchedulerOut};
use super::placement::Placement;
use super::task::{Flags, NONE};
use super::task_events::{End, Output};
use super::{SchedulerState, TaskState, client};
use crate::ids::{RunId, TaskId};
use crate::messages::TypeCode;

impl SchedulerState {
    /// The task is needed: it waits for inputs that are not in memory.
    pub(super) fn released_waiting(&mut self, task: TaskId) {
        if self.tasks[task.index()].flags.has(Flags::LOST_DEPENDENCIES) {
            self.recommend(task, TaskState::Forgotten);
            return;
        }
        if let Some(blame) = self.erred_input(task) {
            self.tasks[task.index()].blame = blame;
            self.recommend(task, TaskState::Erred);
            return;
        }
        let joins = u32::from(!self.tasks[task.index()].flags.has(Flags::HOLDS));
        let mut waiting_on = 0;
        for i in self.dependencies.range(task) {
            let input = self.dependencies.values[i];
            let record = &mut self.tasks[input.index()];
            record.waiters += joins;
            waiting_on += u32::from(!record.is_held());
            if record.state == TaskState::Released {
                self.recommend(input, TaskState::Waiting);
            }
        }
        let record = &mut self.tasks[task.index()];
        record.flags.set(Flags::HOLDS);
        record.waiting_on = waiting_on;
        if !record.is_needed() && record.flags.has(Flags::RUN_ONCE) {
            // Tried again after an error, with which the wish to see it run once had ended.
            record.who_wants |= client::FIRE_AND_FORGET;
        }
        self.set_state(task, TaskState::Waiting);
        if waiting_on == 0 {
            self.recommend(task, TaskState::Processing);
        }
    }

    /// The task that is to blame for an input that failed.
    fn erred_input(&self, task: TaskId) -> Option<u32> {
        if self.counts[TaskState::Erred as usize] == 0 {
            return None;
        }
        let mut inputs = self.dependencies.row(task).iter().map(|input| &self.tasks[input.index()]);
        inputs.find(|input| input.blame != NONE).map(|input| input.blame)
    }

    /// All inputs are in memory: a worker is chosen.
    pub(super) fn waiting_processing(&mut self, task: TaskId, out: &mut SchedulerOut) {
        if self.tasks[task.index()].waiting_on > 0 {
            return;
        }
        match self.place(task) {
            Placement::On(worker) => self.add_to_processing(task, worker, out),
            Placement::Queue => self.recommend(task, TaskState::Queued),
            Placement::Nowhere => self.recommend(task, TaskState::NoWorker),
        }
    }

    /// Root-ish, and every slot is taken.
    pub(super) fn waiting_queued(&mut self, task: TaskId) {
        self.queued.insert(self.tasks[task.index()].rank);
        self.set_state(task, TaskState::Queued);
    }

    /// No running worker serves it.
    pub(super) fn waiting_no_worker(&mut self, task: TaskId) {
        self.unrunnable.insert(task, self.tasks[task.index()].ask, self.now);
        self.set_state(task, TaskState::NoWorker);
    }

    /// The result arrived after the scheduler had given the task up: the free-keys that is on its
    /// way removes it there, so nothing changes here.
    pub(super) fn waiting_memory(&mut self, task: TaskId) {
        self.record(task, TaskState::Waiting, TaskState::Memory);
    }

    /// Nobody needs it, or a step of a longer path.
    pub(super) fn waiting_released(&mut self, task: TaskId) {
        self.leave_dependencies(task);
        self.set_state(task, TaskState::Released);
        let record = &mut self.tasks[task.index()];
        record.waiting_on = 0;
        if record.flags.has(Flags::LOST_DEPENDENCIES) {
            self.recommend(task, TaskState::Forgotten);
        } else if record.is_needed() && record.blame == NONE {
            self.recommend(task, TaskState::Waiting);
        }
    }

    /// A slot came free.
    pub(super) fn queued_processing(&mut self, task: TaskId, out: &mut SchedulerOut) {
        match self.place_queued(task) {
            Placement::On(worker) => {
                self.queued.remove(self.tasks[task.index()].rank);
                self.add_to_processing(task, worker, out);
            }
            Placement::Queue | Placement::Nowhere => {}
        }
    }

    /// Not needed any more, an input was lost, or the queue is no place for it any more.
    pub(super) fn queued_released(&mut self, task: TaskId) {
        self.queued.remove(self.tasks[task.index()].rank);
        self.propagate_released(task);
    }

    /// No worker ran for too long.
    pub(super) fn queued_erred(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.queued.remove(self.tasks[task.index()].rank);
        self.propagate_erred(task, out);
    }

    /// A worker came, ran again or gained what the task asks for.
    pub(super) fn no_worker_processing(&mut self, task: TaskId, out: &mut SchedulerOut) {
        if let Placement::On(worker) = self.place_by_cost(task) {
            self.unrunnable.remove(task);
            self.add_to_processing(task, worker, out);
        }
    }

    /// Not needed any more, or an input was lost.
    pub(super) fn no_worker_released(&mut self, task: TaskId) {
        self.unrunnable.remove(task);
        self.propagate_released(task);
    }

    /// No fitting worker came for too long.
    pub(super) fn no_worker_erred(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.unrunnable.remove(task);
        self.propagate_erred(task, out);
    }

    /// The result is there.
    pub(super) fn processing_memory(&mut self, end: End, result: Output, out: &mut SchedulerOut) {
        let task = end.task;
        self.merge_start = self.recommended.len();
        self.measure(task, &result);
        self.leave_processing(task);
        let record = &mut self.tasks[task.index()];
        record.nbytes = result.nbytes;
        // One that came to its worker in a transfer has the type of the run that made it.
        if result.type_code != TypeCode::default() {
            record.type_code = result.type_code;
        }
        if !record.flags.has(Flags::REACHED) {
            record.flags.set(Flags::REACHED);
            record.flags.set(Flags::STARTED);
            self.totals.finished += 1;
        }
        if record.flags.has(Flags::FAILED) {
            record.flags.clear(Flags::FAILED);
            self.failures.remove(task);
        }
        self.set_state(task, TaskState::Memory);
        // Recommended before the dependents, so that these are placed beside the inputs first.
        self.leave_dependencies(task);
        self.report_memory(task, out);
        self.recommend_runnable(task);
        self.add_replica(task, end.worker);
        let record = &self.tasks[task.index()];
        if !record.is_needed() {
            let finish = match record.live_dependents {
                0 => TaskState::Forgotten,
                _ => TaskState::Released,
            };
            self.recommend(task, finish);
        }
        self.record(task, TaskState::Processing, TaskState::Memory);
    }

    /// Takes a task whose result came off its dependents' inputs, and recommends those that now can
    /// run: the best is recommended last and so comes first.
    fn recommend_runnable(&mut self, task: TaskId) {
        let mut runnable = std::mem::take(&mut self.scratch.tasks);
        for i in self.dependents.range(task) {
            let dependent = self.dependents.values[i];
            let record = &mut self.tasks[dependent.index()];
            if record.state == TaskState::Waiting {
                record.waiting_on -= 1;
                if record.waiting_on == 0 {
                    runnable.push(dependent);
                }
            }
        }
        self.recommend_best_last(&mut runnable, TaskState::Processing);
        self.scratch.tasks = runnable;
    }

    /// Recommends a state for tasks, the best last; empties the list.
    pub(super) fn recommend_best_last(&mut self, tasks: &mut Vec<TaskId>, finish: TaskState) {
        if tasks.len() > 1 {
            tasks.sort_unstable_by_key(|task| std::cmp::Reverse(self.tasks[task.index()].rank));
        }
        for task in tasks.drain(..) {
            self.recommend(task, finish);
        }
    }

    /// The run is given up.
    pub(super) fn processing_released(&mut self, task: TaskId, out: &mut SchedulerOut) {
        let run_id = self.tasks[task.index()].run_id;
        let worker = self.leave_processing(task);
        if self.workers.contains(worker) {
            free_keys(out, worker, task, run_id);
        }
        self.propagate_released(task);
    }

    /// The task failed for good, or what it reads did: then its worker still waits for that.
    pub(super) fn processing_erred(&mut self, task: TaskId, out: &mut SchedulerOut) {
        let record = &self.tasks[task.index()];
        let (run_id, is_blamed) = (record.run_id, record.blame != task.0);
        let worker = self.leave_processing(task);
        if is_blamed && self.workers.contains(worker) {
            free_keys(out, worker, task, run_id);
        }
        self.propagate_erred(task, out);
    }

    /// Nobody needs the result, or its last copy is lost.
    pub(super) fn memory_released(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.free_replicas(task, out);
        self.set_state(task, TaskState::Released);
        let record = &self.tasks[task.index()];
        let (wanted_by, flags) = (record.who_wants, record.flags);
        for client in self.clients.of(wanted_by) {
            out.instructions.push(SchedulerInstruction::LostData { client, task });
        }
        if flags.has(Flags::LOST_DEPENDENCIES) {
            self.recommend(task, TaskState::Forgotten);
        } else if record.is_needed() {
            self.recommend(task, TaskState::Waiting);
        }
        self.recall_waiters(task);
    }

    /// A result is gone: dependents that counted on it wait again.
    fn recall_waiters(&mut self, task: TaskId) {
        if self.tasks[task.index()].waiters == 0 {
            return;
        }
        let mut recalled = std::mem::take(&mut self.scratch.tasks);
        for i in self.dependents.range(task) {
            let dependent = self.dependents.values[i];
            let record = &mut self.tasks[dependent.index()];
            match record.state {
                TaskState::Queued | TaskState::NoWorker | TaskState::Processing => {
                    recalled.push(dependent);
                }
                TaskState::Waiting => record.waiting_on += 1,
                TaskState::Released
                | TaskState::Memory
                | TaskState::Erred
                | TaskState::Forgotten => {}
            }
        }
        self.recommend_best_last(&mut recalled, TaskState::Waiting);
        self.scratch.tasks = recalled;
    }

    /// Nobody wants the result and nothing depends on it.
    pub(super) fn memory_forgotten(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.propagate_forgotten(task, out);
    }

    /// The task is to be tried again, or to be forgotten.
    pub(super) fn erred_released(&mut self, task: TaskId, out: &mut SchedulerOut) {
        let record = &mut self.tasks[task.index()];
        record.blame = NONE;
        let wanted_by = record.who_wants;
        if record.flags.has(Flags::FAILED) {
            record.flags.clear(Flags::FAILED);
            let failure = self.failures.remove(task);
            for worker in failure.map(|failure| failure.erred_on).unwrap_or_default() {
                if self.workers.contains(worker) {
                    free_keys(out, worker, task, RunId::NONE);
                }
            }
        }
        self.set_state(task, TaskState::Released);
        for client in self.clients.of(wanted_by) {
            out.instructions.push(SchedulerInstruction::TaskRetried { client, task });
        }
        self.recommend_erred_dependents(task);
    }

    /// The task is to be tried again, but another input has failed too: it stays erred and blames that
    /// one. True when it is so. What failed through it is looked at again only where the blame
    /// changes, so that a retry looks at each task a few times and not once for each way to it.
    pub(super) fn stays_erred(&mut self, task: TaskId) -> bool {
        if self.tasks[task.index()].flags.has(Flags::FAILED) {
            return false;
        }
        let Some(blame) = self.erred_input(task) else { return false };
        if std::mem::replace(&mut self.tasks[task.index()].blame, blame) != blame {
            self.recommend_erred_dependents(task);
        }
        true
    }

    /// Dependents that erred are to be tried again.
    fn recommend_erred_dependents(&mut self, task: TaskId) {
        let mut erred = std::mem::take(&mut self.scratch.tasks);
        for i in self.dependents.range(task) {
            let dependent = self.dependents.values[i];
            if self.tasks[dependent.index()].state == TaskState::Erred {
                erred.push(dependent);
            }
        }
        self.recommend_best_last(&mut erred, TaskState::Waiting);
        self.scratch.tasks = erred;
    }

    /// An ancestor failed.
    pub(super) fn released_erred(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.propagate_erred(task, out);
        let blame = self.tasks[task.index()].blame;
        for i in self.dependents.range(task) {
            let dependent = self.dependents.values[i];
            let record = &self.tasks[dependent.index()];
            let settled =
                matches!(record.state, TaskState::Memory | TaskState::Erred | TaskState::Forgotten);
            if !settled {
                self.tasks[dependent.index()].blame = blame;
                self.recommend(dependent, TaskState::Erred);
            }
        }
    }

    /// Nobody wants it and nothing depends on it, or it can never run again.
    pub(super) fn released_forgotten(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.propagate_forgotten(task, out);
    }

    /// Tells who wants the task that its result is there; the fire-and-forget wish ends.
    fn report_memory(&mut self, task: TaskId, out: &mut SchedulerOut) {
        let record = &mut self.tasks[task.index()];
        record.who_wants &= !client::FIRE_AND_FORGET;
        if record.who_wants != 0 {
            for client in self.clients.of(record.who_wants) {
                out.instructions.push(SchedulerInstruction::KeyInMemory { client, task });
            }
        }
    }
}

/// Tells a worker to free a task. Consecutive orders for one worker become one message.
pub(super) fn free_keys(
    out: &mut SchedulerOut,
    worker: crate::ids::WorkerId,
    task: TaskId,
    run_id: RunId,
) {
    let end = super::instruction::position(out.frees.len());
    out.frees.push((task, run_id));
    if let Some(SchedulerInstruction::FreeKeys { worker: last, tasks }) =
        out.instructions.last_mut()
        && *last == worker
    {
        tasks.end = end + 1;
        return;
    }
    let tasks = super::Span { start: end, end: end + 1 };
    out.instructions.push(SchedulerInstruction::FreeKeys { worker, tasks });
}
