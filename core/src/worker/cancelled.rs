//! Cancelled and resumed tasks (docs/states.md, "Worker: cancelled and resumed").
//!
//! A run on a thread and a transfer cannot be stopped, so the record outlives its release until the
//! instruction ends; `done` tells on which side of that end we are. The scheduler is told what it
//! expects, not what happened; resources stay taken until the end; nothing is ever computed and
//! fetched at once.

use super::WorkerState;
use super::task::{Live, Slot, State};
use crate::messages::TypeCode;

impl WorkerState {
    /// A step of a cancelled task.
    pub(super) fn cancelled(&mut self, slot: Slot, previous: Live, finish: State) -> bool {
        let record = &mut self.tasks[slot];
        match (previous, finish, record.done) {
            (
                _,
                State::Released
                | State::Memory
                | State::Erred
                | State::Missing
                | State::Rescheduled,
                true,
            )
            | (Live::Flight, State::Fetch, true) => self.release(slot),
            (_, State::Released, false) => {}
            (Live::Executing, State::Waiting, false) => record.state = State::Executing,
            (Live::LongRunning, State::Waiting, false) => {
                record.state = State::LongRunning;
                self.report_long_running(slot, None);
            }
            (Live::Flight, State::Waiting, false) => record.state = State::Resumed(Live::Flight),
            (Live::Flight, State::Fetch, false) => record.state = State::Flight,
            (live, State::Fetch, false) => record.state = State::Resumed(live),
            (Live::Executing, State::LongRunning, false) => {
                record.state = State::Cancelled(Live::LongRunning);
                self.leave_pool(slot);
            }
            _ => self.impossible(self.tasks[slot].task, State::Cancelled(previous), finish),
        }
        true
    }

    /// A step of a resumed task: a run whose value is wanted from a peer, or a transfer whose value
    /// is to be computed here.
    pub(super) fn resumed(&mut self, slot: Slot, previous: Live, finish: State) -> bool {
        let record = &mut self.tasks[slot];
        let done = record.done;
        match (previous, finish) {
            (Live::Flight, State::Memory) if done => {
                record.type_code = TypeCode::default();
                self.put_memory(slot);
                self.report_finished(slot);
            }
            (Live::Flight, State::Erred | State::Fetch | State::Missing) if done => {
                self.restart(slot, State::Waiting);
            }
            (Live::Flight, State::Fetch) => record.state = State::Flight,
            (Live::Flight, State::Missing | State::Waiting) => {}
            (_, State::Memory) if done => {
                self.put_memory(slot);
                self.arrived.push(self.tasks[slot].task);
            }
            (_, State::Erred | State::Rescheduled) if done => self.restart(slot, State::Fetch),
            (_, State::Fetch | State::Missing) if !done => {}
            (Live::Executing | Live::LongRunning, State::Waiting) if !done => {
                record.state = State::Cancelled(previous);
                return self.cancelled(slot, previous, State::Waiting);
            }
            (Live::Executing, State::LongRunning) if !done => {
                record.state = State::Resumed(Live::LongRunning);
                self.leave_pool(slot);
            }
            (_, State::Released) if !done => {
                record.state = State::Cancelled(previous);
                self.rewant(slot);
            }
            _ => self.impossible(self.tasks[slot].task, State::Resumed(previous), finish),
        }
        true
    }

    /// The instruction brought nothing: what the task was resumed for begins now.
    fn restart(&mut self, slot: Slot, next: State) {
        let record = &mut self.tasks[slot];
        record.state = State::Released;
        record.done = false;
        record.error = None;
        if next == State::Waiting {
            record.who_has.clear();
            self.released_waiting(slot);
        } else {
            self.released_fetch(slot);
        }
    }
}
