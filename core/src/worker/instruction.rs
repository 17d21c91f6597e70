//! What the worker core wants done: the vocabulary out.
//!
//! The core knows sizes, the shell holds values. A value that an event announced is kept by `Store`
//! and dropped by the shell when the same `handle` call did not say so; `Drop` deletes a kept one.

use crate::ids::{RunId, SpecId, TaskId, TransferId, WorkerId};
use crate::messages::{Priority, StateAtWorker, TaskError, TypeCode, WorkerStatus};
use crate::time::Time;

/// An order of the worker core.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkerInstruction {
    /// Run a task on a thread; ends in one of `ExecuteSuccess`, `ExecuteFailure`, `Reschedule`.
    Execute {
        /// The task.
        task: TaskId,
        /// The run, which the end must bring back.
        run_id: RunId,
        /// Runs that failed or died before.
        attempt: u32,
        /// What to run.
        spec: SpecId,
        /// Arguments in order (a task may stand twice).
        inputs: Vec<TaskId>,
        /// Slots it takes.
        threads: u32,
        /// Fails after this long; 0 = never.
        timeout_ns: u64,
        /// For memory that must be waited for.
        priority: Priority,
    },
    /// Stop a run if it has not started or can be stopped; its end event still comes.
    Cancel {
        /// The task.
        task: TaskId,
        /// The run.
        run_id: RunId,
    },
    /// Ask a peer; ends in one of the `GatherDep…` events with this number.
    GatherDep {
        /// Number of this transfer.
        transfer: TransferId,
        /// Whom.
        peer: WorkerId,
        /// What, with the announced size.
        tasks: Vec<(TaskId, u64)>,
        /// Best priority among them.
        priority: Priority,
    },
    /// Keep the value that the event announced.
    Store {
        /// The task.
        task: TaskId,
    },
    /// Delete the value.
    Drop {
        /// The task.
        task: TaskId,
    },
    /// task-finished
    TaskFinished {
        /// The task.
        task: TaskId,
        /// The run to report.
        run_id: RunId,
        /// Result size.
        nbytes: u64,
        /// What it is.
        type_code: TypeCode,
        /// Executor thread.
        thread: u32,
        /// Start and stop of the user code.
        start_ns: u64,
        /// See `start_ns`.
        stop_ns: u64,
    },
    /// task-erred
    TaskErred {
        /// The task.
        task: TaskId,
        /// The run to report.
        run_id: RunId,
        /// How.
        error: Box<TaskError>,
        /// Executor thread.
        thread: u32,
        /// Start and stop of the user code.
        start_ns: u64,
        /// See `start_ns`.
        stop_ns: u64,
    },
    /// long-running
    LongRunning {
        /// The task.
        task: TaskId,
        /// The run.
        run_id: RunId,
        /// Time in the pool when known.
        compute_duration_ns: Option<u64>,
    },
    /// reschedule
    Reschedule {
        /// The task.
        task: TaskId,
        /// The run.
        run_id: RunId,
    },
    /// add-keys
    AddKeys {
        /// Tasks.
        tasks: Vec<TaskId>,
    },
    /// release-worker-data
    ReleaseWorkerData {
        /// The task.
        task: TaskId,
    },
    /// request-refresh-who-has
    RequestRefreshWhoHas {
        /// Tasks.
        tasks: Vec<TaskId>,
    },
    /// worker-status-change
    WorkerStatusChange {
        /// To what.
        status: WorkerStatus,
    },
    /// bad-replica
    BadReplica {
        /// The task.
        task: TaskId,
        /// The holder.
        peer: WorkerId,
        /// `unreachable` or `mismatch`.
        why: String,
    },
    /// steal-response
    StealResponse {
        /// The task.
        task: TaskId,
        /// That of the request.
        stimulus_id: u64,
        /// Its state when the request came.
        state: Option<StateAtWorker>,
    },
    /// set_resources
    SetResources {
        /// Totals by name, in millionths; others stay.
        resources: Vec<(String, u64)>,
    },
    /// Send `Timeout` at this moment (one timer; a new one replaces it).
    SetTimer(Time),
}

/// Where instructions are put. Clear it, hand it to `handle`, carry out what is in it.
#[derive(Debug, Default)]
pub struct WorkerOut {
    /// In order.
    pub instructions: Vec<WorkerInstruction>,
}

impl WorkerOut {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.instructions.clear();
    }
}
