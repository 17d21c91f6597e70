//! What the scheduler core wants done: the vocabulary out.
//!
//! `SchedulerOut` is an arena that the driver reuses: instructions hold ranges into its arrays, so
//! that handling an event allocates nothing once warm.

use crate::ids::{ClientId, RunId, TaskId, WorkerId};
use crate::messages::{Priority, WorkerStatus};
use crate::time::Time;

/// A range of positions in one of the arena's arrays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// First position.
    pub start: u32,
    /// One behind the last.
    pub end: u32,
}

impl Span {
    /// The part of `array` that this range names.
    #[must_use]
    pub fn of<T>(self, array: &[T]) -> &[T] {
        &array[self.start as usize..self.end as usize]
    }
}

/// One distinct input of a task that is sent out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DependencyAt {
    /// The input.
    pub task: TaskId,
    /// Its size.
    pub nbytes: u64,
    /// Its holders, in `SchedulerOut::holders`.
    pub holders: Span,
}

/// An order of the scheduler core. Those for one worker keep their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SchedulerInstruction {
    /// Send compute-task. The driver adds key, spec, arguments and needs from the graph.
    ComputeTask {
        /// To whom.
        worker: WorkerId,
        /// What.
        task: TaskId,
        /// Which sending.
        run_id: RunId,
        /// Runs that failed or died before.
        attempt: u32,
        /// Its priority.
        priority: Priority,
        /// Distinct inputs, in `SchedulerOut::dependencies`.
        dependencies: Span,
    },
    /// Send free-keys.
    FreeKeys {
        /// To whom.
        worker: WorkerId,
        /// In `SchedulerOut::frees`.
        tasks: Span,
    },
    /// Send remove-replicas.
    RemoveReplicas {
        /// To whom.
        worker: WorkerId,
        /// In `SchedulerOut::tasks`.
        tasks: Span,
    },
    /// Send acquire-replicas.
    AcquireReplicas {
        /// To whom.
        worker: WorkerId,
        /// In `SchedulerOut::dependencies`.
        who_has: Span,
    },
    /// Send worker-status-change.
    WorkerStatusChange {
        /// To whom.
        worker: WorkerId,
        /// To what.
        status: WorkerStatus,
    },
    /// Send refresh-who-has.
    RefreshWhoHas {
        /// To whom.
        worker: WorkerId,
        /// In `SchedulerOut::dependencies` (sizes are there too); empty holders are meant.
        who_has: Span,
    },
    /// Tell a worker that a peer is gone.
    RemoveWorker {
        /// To whom.
        worker: WorkerId,
        /// Who is gone.
        gone: WorkerId,
    },
    /// Answer to bad-replica.
    BadKeyAck {
        /// To whom.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The holder that was struck off.
        peer: WorkerId,
    },
    /// Send steal-request.
    StealRequest {
        /// To whom: the victim.
        worker: WorkerId,
        /// What it shall give back if it has not begun.
        task: TaskId,
        /// For the answer.
        stimulus_id: u64,
    },
    /// A task was stolen: its compute-task to the thief comes next. For those who watch.
    Stolen {
        /// The task.
        task: TaskId,
        /// Who gave it back.
        victim: WorkerId,
        /// Who gets it.
        thief: WorkerId,
    },
    /// The registration is accepted.
    AcceptWorker {
        /// Which.
        worker: WorkerId,
        /// Heartbeat interval for it.
        heartbeat_ns: u64,
    },
    /// The registration is refused: answer and close.
    RefuseWorker {
        /// Which.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// A worker must end (its stream is useless to us): close the connection after a `Close`.
    CloseWorker {
        /// Which.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// A worker has retired: what it held is elsewhere, and it is no member any more. `CloseWorker`
    /// follows unless the order left its end to the driver.
    WorkerRetired {
        /// Which.
        worker: WorkerId,
        /// Why it was to retire.
        reason: String,
    },
    /// A worker could not retire, because nobody can take what it holds: it runs again.
    WorkerNotRetired {
        /// Which.
        worker: WorkerId,
        /// Why it was to retire.
        reason: String,
    },
    /// A worker has been paused for too long: end its process; its nanny starts another.
    RestartWorker {
        /// Which.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// key-in-memory, to a client that wants it.
    KeyInMemory {
        /// To whom.
        client: ClientId,
        /// The task.
        task: TaskId,
    },
    /// task-erred, to a client that wants it, and for a task that runs once to the client that
    /// submitted it. `SchedulerState::error_of` tells root and error.
    TaskErred {
        /// To whom.
        client: ClientId,
        /// The task.
        task: TaskId,
    },
    /// lost-data, to a client that wants it: it will be computed again.
    LostData {
        /// To whom.
        client: ClientId,
        /// The task.
        task: TaskId,
    },
    /// task-retried, to a client that wants it.
    TaskRetried {
        /// To whom.
        client: ClientId,
        /// The task.
        task: TaskId,
    },
    /// cancelled-keys
    CancelledKeys {
        /// To whom.
        client: ClientId,
        /// In `SchedulerOut::tasks`.
        tasks: Span,
        /// Why.
        reason: String,
    },
    /// Nothing of a submission was taken: every key that it wanted is cancelled. What the client
    /// wanted before stays.
    GraphRefused {
        /// To whom.
        client: ClientId,
        /// Why.
        reason: String,
    },
    /// Nothing is waiting, queued, unrunnable, processing, and no result is wanted but not there.
    Idle,
    /// Send `Timeout` at this moment (one timer; a new one replaces it).
    SetTimer(Time),
    /// A line for the user.
    Warn(String),
}

/// The arena of instructions. Clear it, hand it to `handle`, carry out what is in it.
#[derive(Debug, Default)]
pub struct SchedulerOut {
    /// In order.
    pub instructions: Vec<SchedulerInstruction>,
    /// Inputs.
    pub dependencies: Vec<DependencyAt>,
    /// Holders of inputs.
    pub holders: Vec<WorkerId>,
    /// Tasks to free with the run that each ends (`RunId::NONE`: whatever the worker has).
    pub frees: Vec<(TaskId, RunId)>,
    /// Task lists.
    pub tasks: Vec<TaskId>,
}

impl SchedulerOut {
    /// Empties the arena and keeps its memory.
    pub fn clear(&mut self) {
        self.instructions.clear();
        self.dependencies.clear();
        self.holders.clear();
        self.frees.clear();
        self.tasks.clear();
    }
}

/// A position in one of the arena's arrays.
pub(super) fn position(len: usize) -> u32 {
    u32::try_from(len).expect("one event fills fewer than 2^32 positions")
}
