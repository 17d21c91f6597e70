//! Which edges of the two machines a run went through, as their stories tell them: state before,
//! state asked for, on workers also the state after. `edges.rs` has the edges that there are.

use super::Simulation;
use crate::ids::WorkerId;
use crate::scheduler::TaskState;
use crate::worker::{Live, State};
use std::collections::BTreeMap;

/// An edge of a worker core: state before, state asked for, state after.
pub type WorkerEdge = (State, State, State);
/// An edge of the scheduler core: state before, state asked for.
pub type SchedulerEdge = (TaskState, TaskState);

/// How often each edge was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    worker: BTreeMap<(u8, u8, u8), u64>,
    scheduler: BTreeMap<(u8, u8), u64>,
}

impl Coverage {
    /// Times that a worker core took an edge.
    #[must_use]
    pub fn of_worker(&self, (start, asked, finish): WorkerEdge) -> u64 {
        let key = (number(start), number(asked), number(finish));
        self.worker.get(&key).copied().unwrap_or(0)
    }

    /// Times that the scheduler core took an edge.
    #[must_use]
    pub fn of_scheduler(&self, (start, asked): SchedulerEdge) -> u64 {
        self.scheduler.get(&(start as u8, asked as u8)).copied().unwrap_or(0)
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (edge, count) in &other.worker {
            *self.worker.entry(*edge).or_default() += count;
        }
        for (edge, count) in &other.scheduler {
            *self.scheduler.entry(*edge).or_default() += count;
        }
    }
}

impl Simulation {
    /// Counts the edges of the scheduler's last event.
    pub(super) fn cover_scheduler(&mut self) {
        for one in self.scheduler.latest_transitions() {
            let edge = (one.start as u8, one.asked as u8);
            *self.trace.coverage.scheduler.entry(edge).or_default() += 1;
        }
    }

    /// Counts the edges of a worker's last events.
    pub(super) fn cover_worker(&mut self, worker: WorkerId) {
        let slot = self.slot_of[worker.index()];
        let Some(life) = self.machines[slot].life.as_mut() else { return };
        let Some(state) = life.state.as_ref() else { return };
        let count = state.transition_count();
        for one in state.transitions().latest(count - life.transitions) {
            let edge = (number(one.start), number(one.asked), number(one.finish));
            *self.trace.coverage.worker.entry(edge).or_default() += 1;
        }
        life.transitions = count;
    }
}

const fn number(state: State) -> u8 {
    const fn live(live: Live) -> u8 {
        live as u8
    }
    match state {
        State::Released => 0,
        State::Waiting => 1,
        State::Ready => 2,
        State::Constrained => 3,
        State::Executing => 4,
        State::LongRunning => 5,
        State::Rescheduled => 6,
        State::Fetch => 7,
        State::Flight => 8,
        State::Missing => 9,
        State::Memory => 10,
        State::Erred => 11,
        State::Forgotten => 12,
        State::Cancelled(of) => 16 + live(of),
        State::Resumed(of) => 24 + live(of),
    }
}
