//! What will happen and when: one agenda for the whole pretend machine, ordered by time and, at the
//! same moment, by the order of entry. Nothing else decides what comes next.

use super::faults::Fault;
use super::orders::Order;
use crate::ids::{RunId, TaskId, TransferId, WorkerId};
use crate::time::Time;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// How a peer answers a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Values of what it holds.
    Values(Vec<(TaskId, u64)>),
    /// It serves too many already.
    Busy,
    /// It is not there, or broke off.
    Broken,
}

/// One entry of the agenda.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A worker process starts and registers.
    Starts { slot: usize },
    /// A frame of control messages arrives at a worker.
    ToWorker { worker: WorkerId, frame: Vec<u8> },
    /// A frame of control messages arrives at the scheduler.
    ToScheduler { worker: WorkerId, frame: Vec<u8> },
    /// A life sign arrives at the scheduler.
    Vitals { worker: WorkerId, frame: Vec<u8> },
    /// The scheduler sees the end of a worker's stream.
    StreamEnds { worker: WorkerId },
    /// A nanny's report of a death arrives: what the threads were running.
    Reported { worker: WorkerId, executing: Vec<(TaskId, RunId)> },
    /// No report came for a stream that ended.
    PatienceEnds { worker: WorkerId },
    /// A worker sees that the scheduler has given it up.
    Disowned { worker: WorkerId },
    /// The code of a task ends.
    RunEnds { worker: WorkerId, task: TaskId, run_id: RunId },
    /// The code of a task was stopped, or ran for too long.
    RunStops { worker: WorkerId, task: TaskId, run_id: RunId, kind: &'static str },
    /// The code of a task leaves the pool.
    Secedes { worker: WorkerId, task: TaskId, run_id: RunId },
    /// A request of `worker` arrives at `peer`.
    Asked { worker: WorkerId, transfer: TransferId, peer: WorkerId, tasks: Vec<TaskId> },
    /// The answer arrives at `worker`.
    Answered { worker: WorkerId, transfer: TransferId, peer: WorkerId, answer: Answer },
    /// A request was not answered in time.
    Unanswered { worker: WorkerId, transfer: TransferId },
    /// A worker is due to send its vitals.
    Heartbeat { worker: WorkerId },
    /// The timer of a worker core.
    WorkerTimer { worker: WorkerId, at: Time },
    /// The timer of the scheduler core.
    SchedulerTimer { at: Time },
    /// A stopped worker has been silent for too long.
    Silent { worker: WorkerId, since: Time },
    /// A stopped or paused machine, or a cut path, is as before.
    Mends { fault: Fault },
    /// Something breaks.
    Breaks { fault: Fault },
    /// The scheduler is told to do something.
    Ordered { order: Order },
    /// From here on nothing breaks any more, and what was broken works again.
    Heals,
}

impl Happening {
    /// The worker whose path to the scheduler it takes.
    pub(super) const fn passenger(&self) -> Option<WorkerId> {
        match self {
            Self::ToWorker { worker, .. }
            | Self::ToScheduler { worker, .. }
            | Self::Vitals { worker, .. }
            | Self::StreamEnds { worker }
            | Self::Reported { worker, .. }
            | Self::Disowned { worker } => Some(*worker),
            _ => None,
        }
    }

    /// The worker process that takes it in.
    pub(super) const fn receiver(&self) -> Option<WorkerId> {
        match self {
            Self::ToWorker { worker, .. }
            | Self::Disowned { worker }
            | Self::RunEnds { worker, .. }
            | Self::RunStops { worker, .. }
            | Self::Secedes { worker, .. }
            | Self::Asked { peer: worker, .. }
            | Self::Answered { worker, .. }
            | Self::Unanswered { worker, .. }
            | Self::Heartbeat { worker }
            | Self::WorkerTimer { worker, .. } => Some(*worker),
            Self::Starts { .. }
            | Self::ToScheduler { .. }
            | Self::Vitals { .. }
            | Self::StreamEnds { .. }
            | Self::Reported { .. }
            | Self::PatienceEnds { .. }
            | Self::SchedulerTimer { .. }
            | Self::Silent { .. }
            | Self::Mends { .. }
            | Self::Breaks { .. }
            | Self::Ordered { .. }
            | Self::Heals => None,
        }
    }

    /// Whether the job can go on by it: timers, vitals and faults alone do not count.
    pub(super) const fn is_progress(&self) -> bool {
        match self {
            Self::Starts { .. }
            | Self::ToWorker { .. }
            | Self::ToScheduler { .. }
            | Self::StreamEnds { .. }
            | Self::Reported { .. }
            | Self::PatienceEnds { .. }
            | Self::Disowned { .. }
            | Self::RunEnds { .. }
            | Self::RunStops { .. }
            | Self::Secedes { .. }
            | Self::Asked { .. }
            | Self::Answered { .. } => true,
            Self::Unanswered { .. }
            | Self::Vitals { .. }
            | Self::Heartbeat { .. }
            | Self::WorkerTimer { .. }
            | Self::SchedulerTimer { .. }
            | Self::Silent { .. }
            | Self::Mends { .. }
            | Self::Breaks { .. }
            | Self::Ordered { .. }
            | Self::Heals => false,
        }
    }
}

struct Entry {
    at: Time,
    number: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, since the heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// The agenda.
#[derive(Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Entry>,
    entered: u64,
    progress: usize,
}

impl Agenda {
    /// Enters something.
    pub(super) fn at(&mut self, at: Time, happening: Happening) {
        self.progress += usize::from(happening.is_progress());
        self.entered += 1;
        self.heap.push(Entry { at, number: self.entered, happening });
    }

    /// What happens next: when, its number, what.
    pub(super) fn pop(&mut self) -> Option<(Time, u64, Happening)> {
        let entry = self.heap.pop()?;
        self.progress -= usize::from(entry.happening.is_progress());
        Some((entry.at, entry.number, entry.happening))
    }

    /// Puts off what `pop` gave; among what is put off to the same moment the order stays.
    pub(super) fn put_off(&mut self, at: Time, number: u64, happening: Happening) {
        self.progress += usize::from(happening.is_progress());
        self.heap.push(Entry { at, number, happening });
    }

    /// Entries by which the job can go on.
    pub(super) const fn progress(&self) -> usize {
        self.progress
    }
}
