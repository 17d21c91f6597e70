//! The ordinary edges (docs/states.md, "Worker: all transitions") and the drain.
//!
//! An event recommends states; `drain` takes the latest recommendation first until none is left.
//! A pair without an edge goes through released. Functions are named after their edge. A pair that
//! cannot occur is a broken invariant: a panic with the task's story.

use super::task::{Live, Slot, State};
use super::{RunEnd, WorkerInstruction, WorkerState};
use crate::ids::TaskId;
use crate::messages::TaskError;
use crate::story::Transition;
use std::fmt::Write;

impl WorkerState {
    /// Asks for a state; the last word before the drain reaches the task counts.
    pub(super) fn recommend(&mut self, slot: Slot, finish: State) {
        if self.tasks[slot].pending.replace(finish).is_none() {
            self.stack.push(slot);
        }
    }

    /// Carries out recommendations, the latest first, until none is left.
    pub(super) fn drain(&mut self) {
        while let Some(slot) = self.stack.pop() {
            if let Some(finish) = self.tasks[slot].pending.take() {
                self.transition(slot, finish);
            }
        }
    }

    pub(super) fn transition(&mut self, slot: Slot, finish: State) {
        let record = &self.tasks[slot];
        let (task, start) = (record.task, record.state);
        if start == finish {
            if start == State::Fetch && record.who_has.is_empty() {
                self.transition(slot, State::Missing);
            }
            return;
        }
        let direct = match start {
            State::Cancelled(live) => self.cancelled(slot, live, finish),
            State::Resumed(live) => self.resumed(slot, live, finish),
            State::Released => self.step_released(slot, finish),
            State::Waiting | State::Ready | State::Constrained => self.step_queued(slot, finish),
            State::Executing | State::LongRunning => self.step_running(slot, finish),
            State::Fetch | State::Flight | State::Missing => self.step_network(slot, finish),
            State::Memory | State::Erred => self.step_ended(slot, finish),
            State::Rescheduled | State::Forgotten => false,
        };
        if direct {
            self.note(task, start, finish, slot);
        } else if start == State::Released || finish == State::Released {
            self.impossible(task, start, finish);
        } else {
            self.through_released(slot, finish);
        }
    }

    fn note(&mut self, task: TaskId, start: State, asked: State, slot: Slot) {
        self.transition_count += 1;
        self.story.push(Transition {
            task,
            start,
            asked,
            finish: self.tasks[slot].state,
            stimulus: self.stimulus,
            time: self.now,
        });
    }

    /// A pair without an edge: release, then on. What the release recommends for the task itself
    /// is void, and what the next state needs (holders, the error to report) is carried over.
    fn through_released(&mut self, slot: Slot, finish: State) {
        let record = &mut self.tasks[slot];
        let error = record.error.take();
        let holders = (finish == State::Fetch).then(|| std::mem::take(&mut record.who_has));
        self.transition(slot, State::Released);
        let record = &mut self.tasks[slot];
        record.pending = None;
        record.error = error;
        if let Some(holders) = holders {
            record.who_has = holders;
        }
        self.transition(slot, finish);
    }

    fn step_released(&mut self, slot: Slot, finish: State) -> bool {
        match finish {
            State::Waiting => self.released_waiting(slot),
            State::Fetch => self.released_fetch(slot),
            State::Missing => self.released_missing(slot),
            State::Memory => self.put_memory(slot),
            State::Erred => self.released_erred(slot),
            State::Forgotten => self.released_forgotten(slot),
            State::Released
            | State::Ready
            | State::Constrained
            | State::Executing
            | State::LongRunning
            | State::Rescheduled
            | State::Flight
            | State::Cancelled(_)
            | State::Resumed(_) => return false,
        }
        true
    }

    fn step_queued(&mut self, slot: Slot, finish: State) -> bool {
        match (self.tasks[slot].state, finish) {
            (State::Waiting, State::Ready | State::Constrained) => self.waiting_ready(slot),
            (State::Ready | State::Constrained, State::Executing) => self.ready_executing(slot),
            (_, State::Released) => self.release(slot),
            _ => return false,
        }
        true
    }

    fn step_running(&mut self, slot: Slot, finish: State) -> bool {
        let record = &self.tasks[slot];
        match (record.state, finish, record.done) {
            (_, State::Memory, true) => self.executing_memory(slot),
            (_, State::Erred, true) => self.executing_erred(slot),
            (_, State::Rescheduled, true) => self.executing_rescheduled(slot),
            (_, State::Released, true) => self.release(slot),
            (State::Executing, State::LongRunning, false) => self.executing_long_running(slot),
            (_, State::Released, false) => self.executing_cancelled(slot),
            _ => return false,
        }
        true
    }

    fn step_network(&mut self, slot: Slot, finish: State) -> bool {
        let record = &self.tasks[slot];
        match (record.state, finish) {
            (State::Fetch, State::Flight) => self.leave_fetch(slot, State::Flight),
            (State::Fetch, State::Missing) => self.fetch_missing(slot),
            (State::Fetch, State::Released) => self.release(slot),
            (State::Flight, State::Memory) if record.done => self.flight_memory(slot),
            (State::Flight, State::Fetch | State::Missing) => self.flight_fetch(slot),
            (State::Flight, State::Erred) if record.done => self.flight_erred(slot),
            (State::Flight, State::Released) => self.flight_released(slot),
            (State::Missing, State::Fetch) => self.missing_fetch(slot),
            (State::Missing, State::Waiting) => self.missing_waiting(slot),
            (State::Missing, State::Released) => self.release(slot),
            _ => return false,
        }
        true
    }

    fn step_ended(&mut self, slot: Slot, finish: State) -> bool {
        match (self.tasks[slot].state, finish) {
            (State::Memory, State::Released) => self.memory_released(slot),
            (State::Erred, State::Released) => self.release(slot),
            _ => return false,
        }
        true
    }

    pub(super) fn released_waiting(&mut self, slot: Slot) {
        self.tasks[slot].state = State::Waiting;
        for at in 0..self.tasks[slot].dependencies.len() {
            let input = self.tasks[slot].dependencies[at].slot;
            if self.tasks[input].state != State::Memory {
                self.tasks.set_waiting(slot, at, true);
                self.recommend(input, State::Fetch);
            }
        }
        if self.tasks[slot].waiting_count == 0 {
            self.recommend(slot, State::Ready);
        }
    }

    pub(super) fn released_fetch(&mut self, slot: Slot) {
        if self.tasks[slot].who_has.is_empty() {
            self.released_missing(slot);
        } else {
            self.enter_fetch(slot);
        }
    }

    fn released_missing(&mut self, slot: Slot) {
        self.tasks[slot].state = State::Missing;
        self.missing.insert(slot);
        if self.find_missing_at.is_none() {
            self.find_missing_at = Some(self.next_find_missing());
        }
    }

    /// Keeps the value that the event announced.
    pub(super) fn put_memory(&mut self, slot: Slot) {
        let record = &mut self.tasks[slot];
        record.state = State::Memory;
        record.done = false;
        record.who_has.clear();
        self.nbytes += record.nbytes;
        let task = record.task;
        self.emit(WorkerInstruction::Store { task });
        if self.tasks[slot].waiter_count == 0 {
            return;
        }
        for at in 0..self.tasks[slot].dependents.len() {
            let link = self.tasks[slot].dependents[at];
            self.tasks.set_waiting(link.slot, link.back as usize, false);
            let dependent = &self.tasks[link.slot];
            if dependent.state == State::Waiting && dependent.waiting_count == 0 {
                self.recommend(link.slot, State::Ready);
            }
        }
    }

    fn released_erred(&mut self, slot: Slot) {
        self.tasks[slot].state = State::Erred;
        self.report_erred(slot);
    }

    fn released_forgotten(&mut self, slot: Slot) {
        if !self.tasks[slot].dependents.is_empty() {
            return;
        }
        let mut cut = std::mem::take(&mut self.cut);
        self.tasks.unlink(slot, &mut cut);
        for input in cut.drain(..) {
            let record = &self.tasks[input];
            if record.state == State::Released && record.dependents.is_empty() {
                self.recommend(input, State::Forgotten);
            }
        }
        self.cut = cut;
        self.forget_suspects(self.tasks[slot].task);
        self.tasks.remove(slot);
    }

    fn waiting_ready(&mut self, slot: Slot) {
        if self.tasks[slot].waiting_count == 0 {
            self.enqueue(slot);
        }
    }

    fn executing_memory(&mut self, slot: Slot) {
        self.put_memory(slot);
        self.report_finished(slot);
    }

    fn executing_erred(&mut self, slot: Slot) {
        let record = &mut self.tasks[slot];
        record.state = State::Erred;
        record.done = false;
        self.report_erred(slot);
    }

    fn executing_rescheduled(&mut self, slot: Slot) {
        let record = &self.tasks[slot];
        let (task, run_id) = (record.task, record.run_id);
        self.emit(WorkerInstruction::Reschedule { task, run_id });
        self.release(slot);
    }

    fn fetch_missing(&mut self, slot: Slot) {
        if self.tasks[slot].who_has.is_empty() {
            self.leave_fetch(slot, State::Released);
            self.released_missing(slot);
        }
    }

    fn flight_memory(&mut self, slot: Slot) {
        self.put_memory(slot);
        let task = self.tasks[slot].task;
        self.arrived.push(task);
    }

    fn flight_fetch(&mut self, slot: Slot) {
        let record = &mut self.tasks[slot];
        if record.done {
            record.done = false;
            record.state = State::Released;
            self.released_fetch(slot);
        }
    }

    /// The value came but could not be kept: those who wait for it fail, since the scheduler, which
    /// has this task in memory elsewhere, would ignore a failure of the task itself.
    fn flight_erred(&mut self, slot: Slot) {
        let error = self.tasks[slot].error.take();
        let mut waiters = std::mem::take(&mut self.cut);
        for link in &self.tasks[slot].dependents {
            if self.tasks[link.slot].dependencies[link.back as usize].waiting {
                waiters.push(link.slot);
            }
        }
        self.release(slot);
        if !waiters.is_empty() {
            self.tasks[slot].pending = None;
        }
        for waiter in waiters.drain(..) {
            if self.tasks[waiter].state == State::Waiting {
                self.tasks[waiter].error.clone_from(&error);
                self.recommend(waiter, State::Erred);
            }
        }
        self.cut = waiters;
    }

    fn flight_released(&mut self, slot: Slot) {
        if self.tasks[slot].done {
            self.release(slot);
        } else {
            self.tasks[slot].state = State::Cancelled(Live::Flight);
            self.rewant(slot);
        }
    }

    fn missing_waiting(&mut self, slot: Slot) {
        self.release(slot);
        self.tasks[slot].pending = None;
        self.released_waiting(slot);
    }

    fn missing_fetch(&mut self, slot: Slot) {
        if !self.tasks[slot].who_has.is_empty() {
            self.missing.remove(&slot);
            self.enter_fetch(slot);
        }
    }

    /// Dependents that counted on the value want it again; one whose own release is on its way is
    /// left to it.
    fn memory_released(&mut self, slot: Slot) {
        for at in 0..self.tasks[slot].dependents.len() {
            let link = self.tasks[slot].dependents[at];
            let dependent = &self.tasks[link.slot];
            if dependent.pending == Some(State::Released) {
                continue;
            }
            match dependent.state {
                State::Ready | State::Constrained => self.recommend(link.slot, State::Waiting),
                State::Waiting => self.tasks.set_waiting(link.slot, link.back as usize, true),
                _ => {}
            }
        }
        self.release(slot);
        self.flush_arrived();
        let task = self.tasks[slot].task;
        self.emit(WorkerInstruction::ReleaseWorkerData { task });
    }

    /// The generic release: lets go of everything, then of inputs that nobody else needs.
    pub(super) fn release(&mut self, slot: Slot) {
        self.leave_register(slot);
        let record = &mut self.tasks[slot];
        record.state = State::Released;
        record.done = false;
        record.error = None;
        record.who_has.clear();
        for at in 0..self.tasks[slot].dependencies.len() {
            self.tasks.set_waiting(slot, at, false);
            let input = self.tasks[slot].dependencies[at].slot;
            let record = &self.tasks[input];
            let wanted = record.waiter_count > 0
                || record.state.is_processing()
                || matches!(
                    record.state,
                    State::Memory | State::Released | State::Resumed(Live::Flight)
                );
            if !wanted {
                self.recommend(input, State::Released);
            }
        }
        if self.tasks[slot].dependents.is_empty() {
            self.recommend(slot, State::Forgotten);
        } else {
            self.rewant(slot);
        }
    }

    /// A task that was let go although somebody here waits for it is fetched again.
    pub(super) fn rewant(&mut self, slot: Slot) {
        if self.tasks[slot].waiter_count > 0 {
            self.recommend(slot, State::Fetch);
        }
    }

    fn leave_register(&mut self, slot: Slot) {
        let record = &self.tasks[slot];
        match record.state {
            State::Ready | State::Constrained => self.dequeue(slot),
            State::Fetch => self.leave_fetch(slot, State::Released),
            State::Missing => {
                self.missing.remove(&slot);
            }
            State::Memory => {
                self.nbytes -= record.nbytes;
                let task = record.task;
                self.emit(WorkerInstruction::Drop { task });
            }
            State::Released
            | State::Waiting
            | State::Executing
            | State::LongRunning
            | State::Rescheduled
            | State::Flight
            | State::Erred
            | State::Cancelled(_)
            | State::Resumed(_)
            | State::Forgotten => {}
        }
    }

    /// task-finished under the current run. A value that was fetched has no run of its own: it is
    /// reported with an empty interval.
    pub(super) fn report_finished(&mut self, slot: Slot) {
        let end = self.end_of_run();
        let record = &self.tasks[slot];
        self.out.push(WorkerInstruction::TaskFinished {
            task: record.task,
            run_id: record.run_id,
            nbytes: record.nbytes,
            type_code: record.type_code,
            thread: end.thread,
            start_ns: end.start_ns,
            stop_ns: end.stop_ns,
        });
    }

    /// task-erred under the current run.
    fn report_erred(&mut self, slot: Slot) {
        let end = self.end_of_run();
        let record = &mut self.tasks[slot];
        let error = record.error.take().unwrap_or_else(|| {
            Box::new(TaskError {
                kind: "RuntimeError".into(),
                message: "the task failed without saying how".into(),
                traceback: String::new(),
            })
        });
        self.out.push(WorkerInstruction::TaskErred {
            task: record.task,
            run_id: record.run_id,
            error,
            thread: end.thread,
            start_ns: end.start_ns,
            stop_ns: end.stop_ns,
        });
    }

    fn end_of_run(&self) -> RunEnd {
        let now = self.now.0;
        self.run_end.unwrap_or(RunEnd { thread: 0, start_ns: now, stop_ns: now })
    }

    /// A pair of states that no event can ask for.
    pub(super) fn impossible(&self, task: TaskId, start: State, finish: State) -> ! {
        let story = self.told(task);
        panic!("task {} cannot go from {start:?} to {finish:?}; its story:\n{story}", task.0)
    }

    /// A task's story as text.
    pub(super) fn told(&self, task: TaskId) -> String {
        let mut text = String::new();
        for transition in self.story(task) {
            writeln!(text, "  {transition}").expect("a string takes any text");
        }
        text
    }
}
