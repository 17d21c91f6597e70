//! The engine: recommendations, the drain, and the table from a pair of states to its function.
//!
//! A task has at most one pending recommendation, the last one given; the one that was first given
//! last is carried out first. Only being forgotten overrides having failed. A pair without a function goes through `released`; what `released`
//! itself recommends for the task then replaces the state that was asked for. Every state change is
//! in the story.

use super::instruction::SchedulerOut;
use super::reach::Valid;
use super::{SchedulerState, TaskState};
use crate::ids::TaskId;
use crate::story::Transition;

/// State changes of one event, per task, before `validate` calls it a livelock.
const MOST_TRANSITIONS_PER_TASK: u64 = 64;

impl SchedulerState {
    /// Asks for a task to go to a state after the running transition.
    pub(super) fn recommend(&mut self, task: TaskId, finish: TaskState) {
        let record = &mut self.tasks[task.index()];
        if record.pending == Some(TaskState::Erred) && finish != TaskState::Forgotten {
            // Whatever else happens to a task that has failed, it has failed.
            return;
        }
        match record.pending.replace(finish) {
            None => self.recommended.push(task),
            // A task that loses its last dependent is no longer held by it either.
            Some(TaskState::Released) if finish == TaskState::Forgotten => {}
            Some(other) if self.config.validate && other != finish => {
                let same_merge = self.recommended[self.merge_start..].contains(&task);
                assert!(
                    !same_merge,
                    "one transition recommends {other:?} and {finish:?}\n{}",
                    self.story(task)
                );
            }
            Some(_) => {}
        }
    }

    /// Carries recommendations out until none is left.
    pub(super) fn drain(&mut self, out: &mut SchedulerOut) {
        while let Some(task) = self.recommended.pop() {
            let record = &mut self.tasks[task.index()];
            let Some(asked) = record.pending.take() else { continue };
            // A result that somebody needs again by now stays.
            let kept = asked == TaskState::Released
                && record.state == TaskState::Memory
                && record.is_held()
                && record.is_needed();
            if !kept {
                self.transition(task, asked, out);
            }
        }
        self.merge_start = 0;
    }

    /// Sends queued tasks out while the emptiest worker has a slot for the best one: one at a time,
    /// after everything that became runnable before has its place.
    pub(super) fn fill_slots(&mut self, out: &mut SchedulerOut) {
        while let Some(rank) = self.queued.first() {
            let task = self.ranked[rank as usize];
            let Some(worker) = self.workers.emptiest.first() else { break };
            let ask = self.tasks[task.index()].ask;
            if !matches!(self.asks.valid(ask, &self.workers), Valid::Any) {
                // A worker came that is too small for it: it has to choose.
                self.transition(task, TaskState::Released, out);
            } else if self.has_slot(worker, task) {
                let task = self.next_queued(task, worker);
                self.transition(task, TaskState::Processing, out);
            } else {
                break;
            }
            self.drain(out);
        }
    }

    /// Takes a task to a state, or as far as it can go.
    pub(super) fn transition(&mut self, task: TaskId, asked: TaskState, out: &mut SchedulerOut) {
        self.merge_start = self.recommended.len();
        let start = self.tasks[task.index()].state;
        if start == asked {
            if start == TaskState::Released {
                self.leave_dependencies(task);
            }
            return;
        }
        let tried_again = start == TaskState::Erred && asked == TaskState::Waiting;
        if tried_again {
            if self.stays_erred(task) {
                self.record(task, start, asked);
                return;
            }
            self.scratch.retried.push(task);
        }
        if !self.edge(task, start, asked, out) {
            if start == TaskState::Released || asked == TaskState::Released {
                self.invalid_transition(task, start, asked);
            }
            if !self.edge(task, start, TaskState::Released, out) {
                self.invalid_transition(task, start, TaskState::Released);
            }
            let next = self.tasks[task.index()].pending.take().unwrap_or(asked);
            if next != TaskState::Released && !self.edge(task, TaskState::Released, next, out) {
                self.invalid_transition(task, TaskState::Released, next);
            }
        }
        self.record(task, start, asked);
    }

    /// Notes a state change in the story.
    pub(super) fn record(&mut self, task: TaskId, start: TaskState, asked: TaskState) {
        let finish = self.tasks[task.index()].state;
        let (stimulus, time) = (self.stimulus, self.now);
        self.story.push(Transition { task, start, asked, finish, stimulus, time });
        self.totals.transitions += 1;
        if self.config.validate {
            let most = (self.tasks.len() as u64 + 16) * MOST_TRANSITIONS_PER_TASK;
            assert!(self.totals.transitions < most, "livelock\n{}", self.story(task));
        }
    }

    /// Calls the function of an edge; false when there is none.
    fn edge(
        &mut self,
        task: TaskId,
        start: TaskState,
        finish: TaskState,
        out: &mut SchedulerOut,
    ) -> bool {
        use TaskState as S;
        match (start, finish) {
            (S::Released, S::Waiting) => self.released_waiting(task),
            (S::Released, S::Erred) => self.released_erred(task, out),
            (S::Released, S::Forgotten) => self.released_forgotten(task, out),
            (S::Waiting, S::Processing) => self.waiting_processing(task, out),
            (S::Waiting, S::Queued) => self.waiting_queued(task),
            (S::Waiting, S::NoWorker) => self.waiting_no_worker(task),
            (S::Waiting, S::Released) => self.waiting_released(task),
            (S::Queued, S::Processing) => self.queued_processing(task, out),
            (S::Queued, S::Released) => self.queued_released(task),
            (S::Queued, S::Erred) => self.queued_erred(task, out),
            (S::NoWorker, S::Processing) => self.no_worker_processing(task, out),
            (S::NoWorker, S::Released) => self.no_worker_released(task),
            (S::NoWorker, S::Erred) => self.no_worker_erred(task, out),
            (S::Processing, S::Released) => self.processing_released(task, out),
            (S::Processing, S::Erred) => self.processing_erred(task, out),
            (S::Memory, S::Released) => self.memory_released(task, out),
            (S::Memory, S::Forgotten) => self.memory_forgotten(task, out),
            (S::Erred, S::Released) => self.erred_released(task, out),
            _ => return false,
        }
        true
    }

    fn invalid_transition(&self, task: TaskId, start: TaskState, asked: TaskState) -> ! {
        panic!("no way from {start:?} to {asked:?}\n{}", self.story(task));
    }

    /// Changes a task's state and the counts of states.
    pub(super) fn set_state(&mut self, task: TaskId, state: TaskState) {
        let record = &mut self.tasks[task.index()];
        let old = std::mem::replace(&mut record.state, state);
        let prefix = self.families.prefix_of(record) as usize;
        let prefix = &mut self.families.prefixes[prefix];
        prefix.states[old as usize] -= 1;
        prefix.states[state as usize] += 1;
        self.counts[old as usize] -= 1;
        self.counts[state as usize] += 1;
    }
}
