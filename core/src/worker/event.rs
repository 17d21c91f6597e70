//! What can happen to the worker core: the vocabulary in.
//!
//! Messages of the scheduler, the ends of what instructions began, and the driver's own events.
//! Each `Execute` and each `GatherDep` ends in exactly one event, which brings its number back.

use crate::ids::{RunId, TaskId, TransferId, WorkerId};
use crate::messages::{ComputeTask, Dependency, TaskError, TypeCode, WorkerStatus};

/// An event of the worker core.
#[derive(Clone, Debug)]
pub enum WorkerEvent {
    /// A peer that later messages name.
    AddPeer {
        /// Which.
        worker: WorkerId,
        /// On this machine: asked first among equals.
        same_machine: bool,
    },
    /// compute-task
    ComputeTask(Box<ComputeTask>),
    /// free-keys
    FreeKeys {
        /// Tasks, each with the run that it ends (`NONE`: whatever there is).
        tasks: Vec<(TaskId, RunId)>,
    },
    /// remove-replicas
    RemoveReplicas {
        /// Tasks.
        tasks: Vec<TaskId>,
    },
    /// acquire-replicas
    AcquireReplicas {
        /// Tasks, their sizes and holders.
        tasks: Vec<Dependency>,
    },
    /// worker-status-change: the scheduler has it close gracefully, or run again.
    StatusChange {
        /// To what.
        status: WorkerStatus,
    },
    /// refresh-who-has
    RefreshWhoHas {
        /// Tasks and their holders.
        who_has: Vec<(TaskId, Vec<WorkerId>)>,
    },
    /// remove-worker
    RemoveWorker {
        /// Who is gone.
        worker: WorkerId,
    },
    /// steal-request
    StealRequest {
        /// The task.
        task: TaskId,
        /// Of this request.
        stimulus_id: u64,
    },
    /// The scheduler struck a bad replica off.
    BadKeyAck {
        /// The task.
        task: TaskId,
        /// The holder.
        peer: WorkerId,
    },
    /// Data put here from outside (Dask's scatter): the shell has it under the task's number.
    UpdateData {
        /// Tasks and sizes.
        data: Vec<(TaskId, u64)>,
    },
    /// The worker's abstract resources changed.
    SetResources {
        /// Totals by name, in millionths; others stay.
        resources: Vec<(String, u64)>,
    },
    /// Memory is short: start nothing.
    Pause,
    /// Memory is there again.
    Unpause,
    /// Results of so many bytes now wait to be written to the output folder: above
    /// `write_backlog_bytes` nothing starts, so that tasks cannot outrun the disk.
    Unwritten {
        /// Bytes, of all results that wait or are being written.
        nbytes: u64,
    },
    /// A transfer ended. What arrived lies with the shell until the core says `Store`.
    GatherDepSuccess {
        /// Which transfer.
        transfer: TransferId,
        /// Arrived: task and size.
        received: Vec<(TaskId, u64)>,
        /// Asked for, but the peer does not hold them.
        absent: Vec<TaskId>,
        /// Arrived with another size or checksum than announced: counts as absent.
        bad: Vec<TaskId>,
    },
    /// The peer serves too many already.
    GatherDepBusy {
        /// Which transfer.
        transfer: TransferId,
    },
    /// The peer cannot be reached, or broke off.
    GatherDepNetworkFailure {
        /// Which transfer.
        transfer: TransferId,
    },
    /// Our side failed: no memory for the result, for example.
    GatherDepFailure {
        /// Which transfer.
        transfer: TransferId,
        /// How.
        error: Box<TaskError>,
    },
    /// A task's code ended well. Its result lies with the shell until the core says `Store`.
    ExecuteSuccess {
        /// The task.
        task: TaskId,
        /// The run that `Execute` named.
        run_id: RunId,
        /// Result size.
        nbytes: u64,
        /// What it is.
        type_code: TypeCode,
        /// Executor thread.
        thread: u32,
        /// Start and stop of the user code on this clock.
        start_ns: u64,
        /// See `start_ns`.
        stop_ns: u64,
    },
    /// A task's code failed.
    ExecuteFailure {
        /// The task.
        task: TaskId,
        /// The run that `Execute` named.
        run_id: RunId,
        /// How.
        error: Box<TaskError>,
        /// Executor thread.
        thread: u32,
        /// Start and stop of the user code on this clock.
        start_ns: u64,
        /// See `start_ns`.
        stop_ns: u64,
    },
    /// A task gave itself back.
    Reschedule {
        /// The task.
        task: TaskId,
        /// The run that `Execute` named.
        run_id: RunId,
    },
    /// A task leaves the pool and runs on.
    Secede {
        /// The task.
        task: TaskId,
        /// The run that `Execute` named.
        run_id: RunId,
        /// Time in the pool.
        compute_duration_ns: u64,
    },
    /// A timer that `SetTimer` asked for.
    Timeout,
}
