//! What can happen to the scheduler core: the vocabulary in.

use crate::graph::Graph;
use crate::ids::{ClientId, RunId, TaskId, WorkerId};
use crate::messages::{StateAtWorker, TaskError, TypeCode, WorkerRegistration, WorkerStatus};
use crate::paths::PathSpeeds;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A graph and what somebody wants of it.
#[derive(Clone, Debug)]
pub struct GraphSubmission {
    /// Who asks.
    pub client: ClientId,
    /// The checked graph. The task numbers of the first one are the scheduler's. Of a later one,
    /// what is new gets the next numbers: see `SchedulerState::task_named`.
    pub graph: Arc<Graph>,
    /// Position of each task in the static order.
    pub order: Vec<u32>,
    /// Tasks whose results the client wants.
    pub wanted: Vec<TaskId>,
    /// Tasks that must run once, results unwanted (Dask's fire-and-forget).
    pub run_once: Vec<TaskId>,
    /// Tasks that stand for keys which the scheduler has: what they run and read here does not
    /// count. A graph that needs one which the scheduler does not have is refused.
    pub references: Vec<TaskId>,
    /// A graph that comes within this time of the last new generation shares it.
    pub fifo_timeout_ns: u64,
}

/// Workers that shall retire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Retirees {
    /// These.
    Workers(Vec<WorkerId>),
    /// Those with these names.
    Names(Vec<String>),
    /// Those that `SchedulerState::workers_to_close` picks.
    ToClose(CloseTerms),
}

/// Which workers the cluster can do without.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloseTerms {
    /// Memory limits of those that stay are at least this many times all results together; none:
    /// 2 when no number is given.
    pub memory_ratio: Option<f64>,
    /// So many; none: as many as are idle.
    pub n: Option<usize>,
    /// All workers of a host go together.
    pub by_host: bool,
    /// At least so many stay.
    pub minimum: usize,
    /// So many stay; none: see `n`.
    pub target: Option<usize>,
}

/// An event of the scheduler core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum SchedulerEvent {
    /// A client is there (the batch job itself is client 0).
    AddClient(ClientId),
    /// A client is gone: all its wishes end.
    RemoveClient(ClientId),
    /// update-graph
    UpdateGraph(#[serde(with = "crate::record::elsewhere")] Box<GraphSubmission>),
    /// client-desires-keys
    ClientDesiresKeys {
        /// Who.
        client: ClientId,
        /// What.
        tasks: Vec<TaskId>,
    },
    /// client-releases-keys
    ClientReleasesKeys {
        /// Who.
        client: ClientId,
        /// What.
        tasks: Vec<TaskId>,
    },
    /// cancel-keys
    CancelKeys {
        /// Who.
        client: ClientId,
        /// What.
        tasks: Vec<TaskId>,
        /// Also what other clients want.
        force: bool,
        /// Why, for the others.
        reason: String,
    },
    /// retry of erred tasks
    Retry {
        /// What.
        tasks: Vec<TaskId>,
    },
    /// add-worker. The driver chose the number; a refusal comes as `RefuseWorker`.
    AddWorker {
        /// Number of this life.
        worker: WorkerId,
        /// What it says about itself.
        registration: Box<WorkerRegistration>,
    },
    /// remove-worker: its stream ended, it was silent too long, or its nanny reported its death.
    RemoveWorker {
        /// Which.
        worker: WorkerId,
        /// Retired or told to close: no suspicion falls on its tasks.
        expected: bool,
        /// What its threads were running, from its nanny; none: unknown, all processing tasks count.
        executing: Option<Vec<(TaskId, RunId)>>,
        /// For messages, `died by signal 9` for example.
        reason: String,
    },
    /// task-finished
    TaskFinished {
        /// Sender.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
        /// Result size.
        nbytes: u64,
        /// What it is.
        type_code: TypeCode,
        /// Time in the user code.
        duration_ns: u64,
    },
    /// task-erred
    TaskErred {
        /// Sender.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
        /// How it failed.
        error: Box<TaskError>,
    },
    /// release-worker-data
    ReleaseWorkerData {
        /// Sender.
        worker: WorkerId,
        /// The task.
        task: TaskId,
    },
    /// add-keys
    AddKeys {
        /// Sender.
        worker: WorkerId,
        /// What it holds.
        tasks: Vec<TaskId>,
    },
    /// long-running
    LongRunning {
        /// Sender.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
        /// Time in the pool when known.
        compute_duration_ns: Option<u64>,
    },
    /// reschedule
    Reschedule {
        /// Sender.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// Which run.
        run_id: RunId,
    },
    /// worker-status-change
    WorkerStatusChange {
        /// Sender.
        worker: WorkerId,
        /// To what.
        status: WorkerStatus,
    },
    /// request-refresh-who-has
    RequestRefreshWhoHas {
        /// Sender.
        worker: WorkerId,
        /// Tasks.
        tasks: Vec<TaskId>,
    },
    /// bad-replica
    BadReplica {
        /// Sender.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// The holder.
        peer: WorkerId,
        /// Why.
        why: String,
    },
    /// heartbeat
    Heartbeat {
        /// Sender.
        worker: WorkerId,
        /// Its clock, nanoseconds.
        worker_now_ns: u64,
        /// Tasks that run, with nanoseconds so far.
        executing: Vec<(TaskId, u64)>,
        /// How fast its recent transfers were, by class of path.
        paths: PathSpeeds,
        /// Resident bytes.
        rss_bytes: u64,
    },
    /// steal-response
    StealResponse {
        /// Sender: the victim.
        worker: WorkerId,
        /// The task.
        task: TaskId,
        /// Of the request that this answers.
        stimulus_id: u64,
        /// Its state there when the request came.
        state: Option<StateAtWorker>,
    },
    /// retire_workers: results move to others, then the workers leave.
    RetireWorkers {
        /// Which.
        which: Retirees,
        /// Tell them to end; otherwise the driver ends them.
        close: bool,
        /// Why.
        reason: String,
    },
    /// replicate: keep so many copies while the results are in memory.
    Replicate {
        /// What.
        tasks: Vec<TaskId>,
        /// Copies of each; none: one on every worker.
        n: Option<u32>,
        /// Where copies may be; none: anywhere.
        workers: Option<Vec<WorkerId>>,
        /// Copies that each holder serves in one round.
        branching_factor: u32,
    },
    /// rebalance: move results from full workers to empty ones, once.
    Rebalance {
        /// What may move; none: everything.
        tasks: Option<Vec<TaskId>>,
        /// Between whom; none: all.
        workers: Option<Vec<WorkerId>>,
    },
    /// All ranks that the launcher started have come, or will not: from here on the
    /// no-workers time-out runs.
    AllWorkersArrived,
    /// A timer that `SetTimer` asked for.
    Timeout,
    /// set_resources: a worker's abstract resources changed.
    SetResources {
        /// Which.
        worker: WorkerId,
        /// Totals by name, in millionths; others stay.
        resources: Vec<(String, u64)>,
    },
}

impl SchedulerEvent {
    /// Dask's name of the stimulus, for stories.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddClient(_) => "add-client",
            Self::RemoveClient(_) => "remove-client",
            Self::UpdateGraph(_) => "update-graph",
            Self::ClientDesiresKeys { .. } => "client-desires-keys",
            Self::ClientReleasesKeys { .. } => "client-releases-keys",
            Self::CancelKeys { .. } => "cancel-keys",
            Self::Retry { .. } => "retry",
            Self::AddWorker { .. } => "add-worker",
            Self::RemoveWorker { .. } => "remove-worker",
            Self::TaskFinished { .. } => "task-finished",
            Self::TaskErred { .. } => "task-erred",
            Self::ReleaseWorkerData { .. } => "release-worker-data",
            Self::AddKeys { .. } => "add-keys",
            Self::LongRunning { .. } => "long-running",
            Self::Reschedule { .. } => "reschedule",
            Self::WorkerStatusChange { .. } => "worker-status-change",
            Self::RequestRefreshWhoHas { .. } => "request-refresh-who-has",
            Self::BadReplica { .. } => "bad-replica",
            Self::Heartbeat { .. } => "heartbeat",
            Self::StealResponse { .. } => "steal-response",
            Self::RetireWorkers { .. } => "retire-workers",
            Self::Replicate { .. } => "replicate",
            Self::Rebalance { .. } => "rebalance",
            Self::AllWorkersArrived => "all-workers-arrived",
            Self::Timeout => "timeout",
            Self::SetResources { .. } => "set-resources",
        }
    }
}
