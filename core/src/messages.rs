//! The vocabulary between scheduler, workers and nannies on the control connections.
//!
//! Names are Dask's. Messages carry numbers; a key, a spec, a peer's name and addresses cross once
//! to each receiver (`DefineSpec`, `AddPeer`, the key inside `ComputeTask`) before the first message
//! that needs them. Each direction of a connection is ordered, and nothing else is.
//! docs/protocol.md says which message can arrive late and what exposes it.

use crate::ids::{RunId, SpecId, TaskId, TransferId, WorkerId};
use crate::paths::PathSpeeds;
use serde::{Deserialize, Serialize};

/// Lower runs first: larger user priority, then earlier graph, then the static order.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Priority {
    /// The user's priority, negated.
    pub user: i32,
    /// One more for each graph.
    pub generation: u32,
    /// Position in the static order.
    pub order: u32,
}

/// An input of a task and who holds it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dependency {
    /// The input.
    pub task: TaskId,
    /// Its size in bytes.
    pub nbytes: u64,
    /// Workers that hold it: at least one.
    pub who_has: Vec<WorkerId>,
}

/// What a task asks of the worker beyond one slot.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Needs {
    /// Slots.
    pub threads: u32,
    /// Bytes that must be neither used nor promised when it starts.
    pub memory_bytes: u64,
    /// Abstract resources by name, in millionths.
    pub resources: Vec<(String, u64)>,
    /// Fails after this long; 0 = never.
    pub timeout_ns: u64,
}

/// Run this task (Dask's compute-task).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ComputeTask {
    /// The task.
    pub task: TaskId,
    /// Its name.
    pub key: String,
    /// This sending of it.
    pub run_id: RunId,
    /// Runs before this one that ended in an error or in the death of their worker.
    pub attempt: u32,
    /// Place among the worker's tasks.
    pub priority: Priority,
    /// What to run; defined on this connection before.
    pub spec: SpecId,
    /// Its distinct inputs.
    pub dependencies: Vec<Dependency>,
    /// Arguments in order, as positions in `dependencies`; empty when they are just those.
    pub arguments: Vec<u32>,
    /// Absent: one slot and nothing else.
    pub needs: Option<Box<Needs>>,
}

/// A worker's data address, for its peers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Number of that life of the worker.
    pub worker: WorkerId,
    /// Identity of its process.
    pub server_id: u128,
    /// Name, as users know it.
    pub name: String,
    /// Where it serves data, best first.
    pub addresses: Vec<String>,
    /// Which machine it runs on: equal strings mean the same kernel (boot id).
    pub machine: String,
}

/// How a run of a task failed, as data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TaskError {
    /// Short class, `ValueError` for example.
    pub kind: String,
    /// What is wrong, in words, with the shapes of the inputs.
    pub message: String,
    /// Where, when the executor knows more; else empty.
    pub traceback: String,
}

/// What a result is: 0 unknown, 1 bytes, 2 pickle, 16 + dtype code for arrays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TypeCode(pub u8);

/// Status of a worker (Dask's names).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WorkerStatus {
    /// Takes tasks.
    Running,
    /// Starts nothing; memory is short.
    Paused,
    /// Finishes what runs, takes nothing new.
    ClosingGracefully,
}

/// State of a task on a worker, in its answer to a steal-request (docs/states.md tells what each
/// means).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StateAtWorker {
    /// Known, nothing held.
    Released,
    /// To be computed there, inputs missing.
    Waiting,
    /// Inputs there, waits for a slot.
    Ready,
    /// Inputs there, waits for slots, memory or resources.
    Constrained,
    /// On a thread.
    Executing,
    /// On a thread outside the pool.
    LongRunning,
    /// Wanted from a peer.
    Fetch,
    /// On its way from a peer.
    Flight,
    /// Wanted, no holder known.
    Missing,
    /// The result is there.
    Memory,
    /// Failed there.
    Erred,
    /// Released while something runs that cannot be stopped.
    Cancelled,
    /// Cancelled, then wanted in the other way.
    Resumed,
}

/// What a worker says about itself when it registers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkerRegistration {
    /// Identity of the process.
    pub server_id: u128,
    /// Name: the rank under MPI, 1, 2, … locally.
    pub name: String,
    /// MPI rank; locally the slot.
    pub rank: u32,
    /// Host name.
    pub host: String,
    /// Boot id of the kernel: equal means same machine.
    pub machine: String,
    /// Process id.
    pub pid: u32,
    /// Process id of its supervisor.
    pub nanny_pid: u32,
    /// Identity of its supervisor's process; 0 = none.
    pub nanny: u128,
    /// Where it serves data, best first.
    pub addresses: Vec<String>,
    /// Slots.
    pub nthreads: u32,
    /// CPUs it is pinned to, as a list such as `0-7,16`.
    pub cpus: String,
    /// Bytes; 0 = unlimited.
    pub memory_limit_bytes: u64,
    /// What the worker has of each abstract resource, in millionths.
    pub resources: Vec<(String, u64)>,
    /// Kernel features in use, to warn about mixed CPUs.
    pub cpu_features: String,
}

/// What a worker must write of a result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum WriteTarget {
    /// A file of its own in the output folder: stem without suffix.
    File {
        /// File name without suffix, unique in the folder.
        stem: String,
    },
    /// A chunk of the array `NAME.npy.part`.
    Chunk {
        /// Path of the part file.
        path: String,
        /// Bytes before the first element.
        data_offset: u64,
        /// Shape of the whole array.
        shape: Vec<u64>,
        /// First index of the chunk on each axis.
        start: Vec<u64>,
        /// Shape that the chunk must have.
        chunk: Vec<u64>,
        /// dtype that the chunk must have.
        dtype: String,
    },
}

/// What a worker wrote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Written {
    /// File name within the output folder; empty for chunks.
    pub file: String,
    /// `array`, `bytes` or `pickle`.
    pub kind: String,
    /// dtype of an array, else empty.
    pub dtype: String,
    /// Shape of an array, else empty.
    pub shape: Vec<u64>,
    /// Size of the file; of a chunk, of its elements.
    pub nbytes: u64,
    /// xxh3-64 of the file; of a chunk, of its elements in C order.
    pub checksum: u64,
}

/// Scheduler to worker.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// Answer to the registration; first message.
    Registered {
        /// The number of this life of the worker.
        worker: WorkerId,
        /// Heartbeat interval.
        heartbeat_ns: u64,
    },
    /// A run spec, before the first task that uses it.
    DefineSpec {
        /// Its number.
        spec: SpecId,
        /// Encoded `RunSpec`.
        bytes: Vec<u8>,
    },
    /// A peer, before the first message that names it.
    AddPeer(Peer),
    /// Run this.
    ComputeTask(ComputeTask),
    /// You no longer hold or run these. A record with a newer run ignores it.
    FreeKeys {
        /// Tasks, each with the run that it ends (`NONE`: whatever you have).
        tasks: Vec<(TaskId, RunId)>,
    },
    /// Drop these copies if not needed; refusal is `AddKeys`.
    RemoveReplicas {
        /// Tasks.
        tasks: Vec<TaskId>,
    },
    /// Fetch copies, after what tasks need. The only answer is `AddKeys`.
    AcquireReplicas {
        /// Tasks, their sizes and holders.
        tasks: Vec<Dependency>,
    },
    /// Close gracefully (give back what has not started, start nothing), or run again.
    WorkerStatusChange {
        /// To what.
        status: WorkerStatus,
    },
    /// Answer to `RequestRefreshWhoHas`: an empty list means nobody holds it now.
    RefreshWhoHas {
        /// Tasks and their holders.
        who_has: Vec<(TaskId, Vec<WorkerId>)>,
    },
    /// A peer is gone.
    RemoveWorker {
        /// Which.
        worker: WorkerId,
    },
    /// A replica was struck off after `BadReplica`.
    BadKeyAck {
        /// The task.
        task: TaskId,
        /// The holder that no longer counts.
        peer: WorkerId,
    },
    /// Write this result, which you hold, to the output folder.
    WriteOutput {
        /// The task.
        task: TaskId,
        /// Where.
        target: WriteTarget,
    },
    /// Sync what you wrote (one fsync per file), then answer `OutputsSynced`.
    SyncOutputs,
    /// End.
    Close {
        /// Why, for the log.
        reason: String,
    },
    /// Give this task back, if it has not begun; answered by `StealResponse`.
    StealRequest {
        /// The task.
        task: TaskId,
        /// Of this request; comes back with the answer.
        stimulus_id: u64,
    },
}

/// How a transfer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TransferOutcome {
    /// It was asked for.
    Started,
    /// The peer answered.
    Finished,
    /// The peer cannot be reached, broke off, was busy, or there was no room here.
    Failed,
}

/// Beginning and end of a transfer, for the event file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TransferReport {
    /// Its number at the receiver.
    pub transfer: TransferId,
    /// Beginning or end.
    pub outcome: TransferOutcome,
    /// What was asked for; at a good end, what arrived.
    pub tasks: Vec<TaskId>,
    /// From whom.
    pub from: WorkerId,
    /// `inproc`, `shm`, `ucx` or `tcp`.
    pub path: String,
    /// Payload bytes that arrived.
    pub nbytes: u64,
    /// Start and stop on the worker's clock, nanoseconds.
    pub start_ns: u64,
    /// See `start_ns`.
    pub stop_ns: u64,
}

/// What a worker says about itself now and then.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The worker's clock, nanoseconds.
    pub now_ns: u64,
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Peak resident bytes (VmHWM).
    pub peak_rss_bytes: u64,
    /// Bytes of results in the store.
    pub managed_bytes: u64,
    /// Tasks that run now, with nanoseconds so far.
    pub executing: Vec<(TaskId, u64)>,
    /// Tasks that wait for a slot.
    pub ready_count: u32,
    /// Bytes received over each path so far: same process, shared memory, UCX, TCP.
    pub received_bytes: [u64; 4],
    /// How fast recent transfers were, by class of path.
    pub paths: PathSpeeds,
}

/// Worker to scheduler.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum ToScheduler {
    /// First message of a worker.
    Register(Box<WorkerRegistration>),
    /// A run ended well.
    TaskFinished {
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
        /// Size of the result.
        nbytes: u64,
        /// What it is.
        type_code: TypeCode,
        /// Executor thread.
        thread: u32,
        /// Start and stop of the user code on the worker's clock, nanoseconds.
        start_ns: u64,
        /// See `start_ns`.
        stop_ns: u64,
    },
    /// A run failed.
    TaskErred {
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
        /// How.
        error: Box<TaskError>,
        /// Executor thread.
        thread: u32,
        /// Start and stop, as above.
        start_ns: u64,
        /// See `start_ns`.
        stop_ns: u64,
    },
    /// A task left the pool.
    LongRunning {
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
        /// Time in the pool, when known.
        compute_duration_ns: Option<u64>,
    },
    /// A task gave itself back.
    Reschedule {
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
    },
    /// I hold these now.
    AddKeys {
        /// Tasks.
        tasks: Vec<TaskId>,
    },
    /// I hold this no more.
    ReleaseWorkerData {
        /// The task.
        task: TaskId,
    },
    /// Who has these?
    RequestRefreshWhoHas {
        /// Tasks.
        tasks: Vec<TaskId>,
    },
    /// My status changed.
    WorkerStatusChange {
        /// To what.
        status: WorkerStatus,
    },
    /// A copy at `peer` cannot be had or read.
    BadReplica {
        /// The task.
        task: TaskId,
        /// The holder.
        peer: WorkerId,
        /// `unreachable` or `mismatch`.
        why: String,
    },
    /// Life sign with measurements.
    Heartbeat(Box<Heartbeat>),
    /// A transfer began or ended; sent only when an event file is written.
    Transferred(Box<TransferReport>),
    /// A result is in the output folder.
    OutputWritten {
        /// The task.
        task: TaskId,
        /// Which target: position of the `WriteOutput` for this task on this connection.
        target: Box<WriteTarget>,
        /// What it became.
        written: Box<Written>,
    },
    /// A result could not be written.
    OutputFailed {
        /// The task.
        task: TaskId,
        /// Where it should have gone.
        target: Box<WriteTarget>,
        /// The system's reason; empty: I do not hold it.
        reason: String,
        /// The chunk has another shape or dtype than the array says: no retry will help.
        mismatch: bool,
    },
    /// Everything written is on disk.
    OutputsSynced {
        /// The first error, when one occurred.
        error: Option<String>,
    },
    /// A warning for the user, forwarded to rank 0's log.
    Warning {
        /// One line.
        text: String,
    },
    /// Last message.
    Goodbye,
    /// Answer to `StealRequest`: a task in waiting, ready or constrained was let go.
    StealResponse {
        /// The task.
        task: TaskId,
        /// That of the request.
        stimulus_id: u64,
        /// Its state when the request came; none: it is not known there.
        state: Option<StateAtWorker>,
    },
    /// My abstract resources changed.
    SetResources {
        /// Totals by name, in millionths; others stay.
        resources: Vec<(String, u64)>,
    },
}

/// Nanny to scheduler, on its own connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FromNanny {
    /// First message.
    Register {
        /// Identity of the supervisor's process.
        nanny: u128,
        /// Rank.
        rank: u32,
        /// Host name.
        host: String,
        /// Process id.
        pid: u32,
        /// Names of the worker slots that it watches.
        slots: Vec<String>,
    },
    /// A worker process ended without being asked.
    WorkerDied {
        /// Its slot's name.
        slot: String,
        /// Identity of the process that died; 0 when it never registered.
        server_id: u128,
        /// Its process id.
        pid: u32,
        /// Signal, when one killed it.
        signal: Option<i32>,
        /// Exit code, when it exited.
        code: Option<i32>,
        /// Why, where its supervisor knows more than signal and code: memory, for example. Else
        /// empty.
        cause: String,
        /// Runs that were on its threads.
        executing: Vec<(TaskId, RunId)>,
        /// Last lines of its stderr.
        log_tail: String,
        /// Whether it will be started again.
        restarts: bool,
    },
    /// A slot is given up.
    SlotGivenUp {
        /// Its name.
        slot: String,
        /// Why, with the last lines of stderr.
        reason: String,
    },
    /// A worker shall leave: its results move to others first, then it ends.
    RetireWorker {
        /// Its slot's name.
        slot: String,
        /// Why.
        reason: String,
        /// Start another in its place.
        restart: bool,
    },
    /// A stop signal arrived here.
    Signalled {
        /// Its number.
        signal: i32,
    },
    /// The supervisor is done and its worker reaped.
    Goodbye,
}

/// Scheduler to nanny.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToNanny {
    /// Registration is accepted.
    Registered,
    /// End this worker process (and start a new one when `restart`).
    KillWorker {
        /// Slot name.
        slot: String,
        /// Why.
        reason: String,
        /// Start another.
        restart: bool,
    },
    /// A worker that should retire goes on: nobody can take what it holds.
    NotRetired {
        /// Slot name.
        slot: String,
        /// Why.
        reason: String,
    },
    /// The job is over: end the worker, say goodbye.
    Close {
        /// Why.
        reason: String,
    },
}
