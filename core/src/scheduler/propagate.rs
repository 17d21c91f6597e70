//! What several edges have in common: how being released, erred or forgotten reaches neighbours.

use super::edges::free_keys;
use super::instruction::{SchedulerInstruction, SchedulerOut, position};
use super::task::{Flags, NONE};
use super::{SchedulerState, Span, TaskState, client};
use crate::ids::{RunId, TaskId};

impl SchedulerState {
    /// The task no longer holds its inputs: those that nobody else needs are released.
    pub(super) fn leave_dependencies(&mut self, task: TaskId) {
        let record = &mut self.tasks[task.index()];
        if !record.flags.has(Flags::HOLDS) {
            return;
        }
        record.flags.clear(Flags::HOLDS);
        for i in self.dependencies.range(task) {
            let input = self.dependencies.values[i];
            let record = &mut self.tasks[input.index()];
            record.waiters -= 1;
            let live = !matches!(record.state, TaskState::Forgotten | TaskState::Erred);
            if live && !record.is_needed() {
                self.recommend(input, TaskState::Released);
            }
        }
    }

    /// The task stops being queued, no-worker or processing. It waits again when it is needed, and
    /// then keeps holding its inputs.
    pub(super) fn propagate_released(&mut self, task: TaskId) {
        self.set_state(task, TaskState::Released);
        let record = &self.tasks[task.index()];
        let lost = record.flags.has(Flags::LOST_DEPENDENCIES);
        if !lost && record.is_needed() {
            self.recommend(task, TaskState::Waiting);
            return;
        }
        if lost {
            self.recommend(task, TaskState::Forgotten);
        }
        self.leave_dependencies(task);
    }

    /// The task has failed for good; `blame` says through whom. So have all that hold it.
    pub(super) fn propagate_erred(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.set_state(task, TaskState::Erred);
        let record = &mut self.tasks[task.index()];
        let blame = record.blame;
        let wanted_by = record.who_wants;
        record.who_wants &= !client::FIRE_AND_FORGET;
        if record.waiters > 0 {
            for i in self.dependents.range(task) {
                let dependent = self.dependents.values[i];
                let record = &mut self.tasks[dependent.index()];
                if record.flags.has(Flags::HOLDS) {
                    record.blame = blame;
                    self.recommend(dependent, TaskState::Erred);
                }
            }
        }
        self.leave_dependencies(task);
        let submitter = self.submissions.client_of(task);
        for client in self.clients.told_of_failure(wanted_by, submitter) {
            out.instructions.push(SchedulerInstruction::TaskErred { client, task });
        }
    }

    /// The task is removed: what depends on it can never run again, and inputs that served only it
    /// are forgotten as well.
    pub(super) fn propagate_forgotten(&mut self, task: TaskId, out: &mut SchedulerOut) {
        for i in self.dependents.range(task) {
            let dependent = self.dependents.values[i];
            let record = &mut self.tasks[dependent.index()];
            if record.state == TaskState::Forgotten {
                continue;
            }
            record.flags.set(Flags::LOST_DEPENDENCIES);
            if !matches!(record.state, TaskState::Memory | TaskState::Erred) {
                self.recommend(dependent, TaskState::Forgotten);
            }
        }
        let held = self.tasks[task.index()].flags.has(Flags::HOLDS);
        self.tasks[task.index()].flags.clear(Flags::HOLDS);
        for i in self.dependencies.range(task) {
            let input = self.dependencies.values[i];
            let record = &mut self.tasks[input.index()];
            if record.state == TaskState::Forgotten {
                continue;
            }
            record.live_dependents -= 1;
            record.waiters -= u32::from(held);
            if record.live_dependents == 0 && record.who_wants == 0 {
                self.recommend(input, TaskState::Forgotten);
            } else if held && !record.is_needed() {
                self.recommend(input, TaskState::Released);
            }
        }
        self.free_replicas(task, out);
        self.set_state(task, TaskState::Forgotten);
        let record = &mut self.tasks[task.index()];
        record.blame = NONE;
        let wanted_by = std::mem::take(&mut record.who_wants);
        if record.flags.has(Flags::FAILED) {
            record.flags.clear(Flags::FAILED);
            self.failures.remove(task);
        }
        for client in self.clients.of(wanted_by) {
            let start = position(out.tasks.len());
            out.tasks.push(task);
            let reason = "an input was forgotten".to_owned();
            let tasks = Span { start, end: start + 1 };
            out.instructions.push(SchedulerInstruction::CancelledKeys { client, tasks, reason });
        }
    }

    /// Takes all copies of a result away, and tells the holders.
    pub(super) fn free_replicas(&mut self, task: TaskId, out: &mut SchedulerOut) {
        self.amm.forget_task(task);
        while let Some(held) = self.overflow.holders(&self.tasks[task.index()]).last() {
            let worker = held.worker;
            self.remove_replica(task, worker);
            free_keys(out, worker, task, RunId::NONE);
        }
    }
}
