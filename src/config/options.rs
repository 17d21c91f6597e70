//! The options of one run with everything resolved: plain data that travels as JSON to the other
//! ranks and to child processes.
//!
//! It holds no default that depends on the machine: what is absent here (`None`) is decided at the
//! start, by the launcher or the plan.

use rdask_core::config::{Config, ConfigError};
use rdask_core::graph::TaskKind;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// When results are synced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// Every file before its rename.
    Each,
    /// One sync per worker before the manifest.
    End,
    /// Never.
    None,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// A line every few seconds.
    Log,
    /// Not at all.
    None,
}

/// What executor threads are bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    /// Cores, unless the allocation forbids it.
    Auto,
    /// Nothing.
    None,
    /// One core each.
    Core,
    /// Their NUMA node.
    Numa,
    /// Their package.
    Package,
}

/// What rank 0 runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rank0 {
    /// The scheduler alone.
    Scheduler,
    /// The scheduler and a worker.
    Both,
}

/// How the ranks find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bootstrap {
    /// What the launcher offers.
    Auto,
    /// Through MPI.
    Mpi,
}

/// Memory of each worker.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemoryLimit {
    /// Its share of what the machine and the cgroup allow.
    Auto,
    /// No limit.
    None,
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of its share.
    Percent(f64),
}

/// Everything that a user may say about a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Working directory of rank 0, which relative paths in graphs refer to. Absolute.
    pub working_directory: PathBuf,
    /// The output folder. Absolute.
    pub output: PathBuf,
    /// Where results end up, when a command moves them there after the run.
    pub results: Option<PathBuf>,
    /// Replace the results of another graph.
    pub overwrite: bool,
    /// When results are synced.
    pub fsync: Fsync,
    /// The summary as JSON.
    pub json: bool,
    /// Where the scheduler file goes. Absolute, as all paths here.
    pub scheduler_file: Option<PathBuf>,
    /// Where the event file goes.
    pub events: Option<PathBuf>,
    /// Where the flight record goes.
    pub record: Option<PathBuf>,
    /// Bytes of a record that keeps only the latest events.
    pub record_size: Option<u64>,
    /// How progress is shown.
    pub progress: Progress,
    /// Filter of the log.
    pub log: String,
    /// Folder for one log file per process.
    pub log_dir: Option<PathBuf>,
    /// Folder for the logs of what tasks print.
    pub task_logs: PathBuf,
    /// Worker processes of a local run.
    pub workers: Option<u32>,
    /// Threads of each worker.
    pub threads: Option<u32>,
    /// What threads are bound to.
    pub bind: Bind,
    /// What rank 0 runs.
    pub rank0: Rank0,
    /// Cores kept for the scheduler.
    pub scheduler_cores: Option<u32>,
    /// Memory of each worker.
    pub memory_limit: MemoryLimit,
    /// What each worker has of each abstract resource, in millionths, sorted by name.
    pub resources: Vec<(String, u64)>,
    /// Kinds of tasks that may run.
    pub allow: Vec<TaskKind>,
    /// Node-local scratch folder.
    pub local_directory: Option<PathBuf>,
    /// Overrides the detected launcher.
    pub launcher: Option<String>,
    /// How the ranks find each other.
    pub bootstrap: Bootstrap,
    /// Ranks must have registered within this time.
    pub startup_timeout_ns: u64,
    /// Network interface that connections use.
    pub interface: Option<String>,
    /// Compute what does not depend on a failed task.
    pub keep_going: bool,
    /// A worker ends itself when the scheduler is away for this long.
    pub death_timeout_ns: u64,
    /// Seed of ties and jitter.
    pub seed: u64,
    /// Settings by name, lowest layer first, already checked: `--set` as well as `--retries`,
    /// `--allowed-failures`, `--worker-ttl` and `--validate`.
    pub settings: Vec<(String, String)>,
}

impl RunOptions {
    /// The numbers of both state machines.
    ///
    /// # Errors
    /// Only when `settings` were not checked before.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        for (name, value) in &self.settings {
            config.set(name, value)?;
        }
        Ok(config)
    }
}
