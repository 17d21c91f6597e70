//! Stimuli of clients: who wants what, what is cancelled, what is tried again.

use super::client::FIRE_AND_FORGET;
use super::instruction::{SchedulerInstruction, SchedulerOut, position};
use super::task::{Flags, Task};
use super::{SchedulerState, Span, TaskState};
use crate::ids::{ClientId, TaskId};
use rustc_hash::FxHashSet;

/// Who cancels, whether also what others want, and why.
#[derive(Clone, Debug)]
pub(super) struct Cancellation {
    pub(super) client: ClientId,
    pub(super) force: bool,
    pub(super) reason: String,
}

impl SchedulerState {
    /// add-client
    pub(super) fn on_add_client(&mut self, client: ClientId, out: &mut SchedulerOut) {
        if self.clients.add(client).is_none() {
            let text = format!("client {} is one too many and is not served", client.0);
            out.instructions.push(SchedulerInstruction::Warn(text));
        }
    }

    /// A client is gone: all its wishes end.
    pub(super) fn on_remove_client(&mut self, client: ClientId) {
        let Some(bit) = self.clients.bit(client) else { return };
        for index in 0..self.tasks.len() {
            self.drop_wishes(TaskId::from_index(index), bit);
        }
        self.clients.remove(client);
    }

    /// client-desires-keys
    pub(super) fn on_client_desires_keys(
        &mut self,
        client: ClientId,
        tasks: &[TaskId],
        out: &mut SchedulerOut,
    ) {
        let Some(bit) = self.clients.add(client) else { return };
        for &task in tasks {
            let Some(record) = self.known(task) else {
                let text = format!("client {} desires unknown task {}", client.0, task.0);
                out.instructions.push(SchedulerInstruction::Warn(text));
                continue;
            };
            let state = record.state;
            self.tasks[task.index()].who_wants |= bit;
            match state {
                TaskState::Memory => {
                    out.instructions.push(SchedulerInstruction::KeyInMemory { client, task });
                }
                TaskState::Erred => {
                    out.instructions.push(SchedulerInstruction::TaskErred { client, task });
                }
                TaskState::Released => self.recommend(task, TaskState::Waiting),
                TaskState::Waiting
                | TaskState::Queued
                | TaskState::NoWorker
                | TaskState::Processing
                | TaskState::Forgotten => {}
            }
        }
    }

    /// client-releases-keys
    pub(super) fn on_client_releases_keys(&mut self, client: ClientId, tasks: &[TaskId]) {
        let Some(bit) = self.clients.bit(client) else { return };
        for &task in tasks {
            if self.known(task).is_some() {
                self.drop_wishes(task, bit);
            }
        }
    }

    /// cancel-keys: the tasks and all that depends on them, as far as no other client wants it. Of
    /// what another one wants only this client's wish ends.
    pub(super) fn on_cancel_keys(
        &mut self,
        mut open: Vec<TaskId>,
        cancellation: &Cancellation,
        out: &mut SchedulerOut,
    ) {
        let Cancellation { client, force, reason } = cancellation;
        let Some(bit) = self.clients.bit(*client) else { return };
        let (mut seen, mut cancelled) = (FxHashSet::default(), Vec::new());
        while let Some(task) = open.pop() {
            let Some(record) = self.known(task) else { continue };
            let stays = record.who_wants & !bit != 0 && !*force;
            if seen.insert(task) {
                cancelled.push(task);
                // What another client wants goes on: the wish of this one ends all the same.
                if !stays {
                    open.extend(self.dependents.row(task));
                }
            }
        }
        let whose = if *force { u32::MAX } else { bit };
        let wanted_by =
            whose & cancelled.iter().fold(0, |all, t| all | self.tasks[t.index()].who_wants);
        for client in self.clients.of(wanted_by).collect::<Vec<_>>() {
            let bit = self.clients.bit(client).unwrap_or(0);
            let start = position(out.tasks.len());
            let wants = |task: &&TaskId| self.tasks[task.index()].who_wants & bit != 0;
            out.tasks.extend(cancelled.iter().filter(wants));
            let tasks = Span { start, end: position(out.tasks.len()) };
            let reason = reason.clone();
            out.instructions.push(SchedulerInstruction::CancelledKeys { client, tasks, reason });
        }
        for task in cancelled {
            self.drop_wishes(task, whose);
        }
    }

    /// retry: the roots of failures run again, what erred because of them follows.
    pub(super) fn on_retry(&mut self, mut open: Vec<TaskId>, out: &mut SchedulerOut) {
        let (mut seen, mut roots) = (FxHashSet::default(), Vec::new());
        while let Some(task) = open.pop() {
            if self.state_of(task) != TaskState::Erred || !seen.insert(task) {
                continue;
            }
            let inputs = self.dependencies.row(task).iter();
            let before = open.len();
            open.extend(inputs.filter(|input| self.state_of(**input) == TaskState::Erred));
            if open.len() == before {
                roots.push(task);
            }
        }
        for task in &roots {
            let trials = self.trials_of_mut(*task);
            trials.suspicious = 0;
            trials.reschedules = 0;
        }
        self.scratch.retried.clear();
        self.recommend_best_last(&mut roots, TaskState::Waiting);
        self.drain(out);
        while let Some(task) = self.scratch.retried.pop() {
            let record = &mut self.tasks[task.index()];
            if !record.flags.has(Flags::HOLDS) || record.is_needed() {
                continue;
            }
            if record.live_dependents == 0 {
                // It ran for its own sake, and does so again.
                record.who_wants |= FIRE_AND_FORGET;
            } else {
                // All that reads it stays erred for want of another input.
                self.recommend(task, TaskState::Released);
                self.drain(out);
            }
        }
    }

    /// Ends wishes for a task, and the task with the last of them when nothing else needs it.
    fn drop_wishes(&mut self, task: TaskId, bits: u32) {
        let record = &mut self.tasks[task.index()];
        if record.who_wants & bits == 0 {
            return;
        }
        record.who_wants &= !bits;
        if record.who_wants != 0 || record.state == TaskState::Forgotten {
            return;
        }
        if record.live_dependents == 0 {
            self.recommend(task, TaskState::Forgotten);
        } else if record.state != TaskState::Erred && record.waiters == 0 {
            self.recommend(task, TaskState::Released);
        }
    }

    /// A task that is not forgotten.
    pub(super) fn known(&self, task: TaskId) -> Option<&Task> {
        self.tasks.get(task.index()).filter(|record| record.state != TaskState::Forgotten)
    }
}
