//! The scheduler on a real machine: connections and timers → event → `SchedulerState` → messages.
//!
//! ```text
//!   readers (one per connection) ─┐                       ┌─▶ links: compute-task, free-keys, …
//!   graph loader ─────────────────┼─▶ inbox ─▶ Driver ────┼─▶ nannies: kill, close
//!   supervisor (signals) ─────────┘             │  ▲      └─▶ job: files, manifest, summary
//!                                               ▼  │
//!                                         SchedulerState (pure)
//! ```
//! One thread owns everything here. The inbox is bounded, so a flood from workers waits in their
//! sockets. Results never pass through this process.

mod closing;
mod contact;
mod deliver;
mod driver;
mod job;
mod link;
mod nannies;
mod observe;
mod retiring;
mod workers;

pub(crate) use deliver::{Delivery, FolderOptions};
pub(crate) use job::outputs;
pub(crate) use nannies::signal_name;

use crate::clock::Clock;
use crate::config::Progress;
use crate::graph_file::content_hash;
use crate::graph_load::{self, Fault, LoadError, Terms};
use crate::observe::record::RecordOptions;
use rdask_core::config::Config;
use rdask_core::graph::{Graph, static_order};
use rdask_transport::{Batch, Channel, ChannelReceiver};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Frames that may wait for the driver; readers wait when it is full.
const INBOX_FRAMES: usize = 1024;

/// A worker slot that the plan names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedWorker {
    /// Its name: the rank, or 1, 2, … locally.
    pub name: String,
    /// Rank of its supervisor.
    pub rank: u32,
    /// Its host.
    pub host: String,
}

/// What a scheduler needs to know.
#[derive(Debug)]
pub(crate) struct SchedulerOptions {
    /// Numbers of the policies.
    pub config: Config,
    /// Seed of ties.
    pub seed: u64,
    /// Compute what does not depend on a failed task.
    pub keep_going: bool,
    /// Workers to wait for before the graph starts.
    pub workers: Vec<ExpectedWorker>,
    /// Ranks with a supervisor that registers as nanny; empty inside one process.
    pub nannies: Vec<u32>,
    /// How long to wait for them.
    pub startup_timeout: Duration,
    /// Where results go.
    pub delivery: Delivery,
    /// File with address and secret for other programs.
    pub scheduler_file: Option<SchedulerFileOptions>,
    /// Event file.
    pub events: Option<PathBuf>,
    /// Flight record.
    pub record: Option<RecordOptions>,
    /// How progress shows.
    pub progress: Progress,
    /// Identity of the job.
    pub job_id: String,
    /// Path of the graph as given, for the manifest.
    pub graph_path: String,
    /// Hears that the output folder is accepted and the graph starts.
    pub accepted: Option<OnAccepted>,
}

/// Called once with the output folder, when this run may write into it and begins.
pub(crate) struct OnAccepted(pub(crate) Box<dyn FnOnce(&std::path::Path) + Send>);

impl std::fmt::Debug for OnAccepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnAccepted")
    }
}

/// What the scheduler file holds besides the workers.
pub(crate) struct SchedulerFileOptions {
    /// Where it goes.
    pub path: PathBuf,
    /// Our addresses, best first.
    pub addresses: Vec<String>,
    /// The job's secret as hex digits.
    pub secret: String,
}

impl std::fmt::Debug for SchedulerFileOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SchedulerFileOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A graph, ready to be submitted.
#[derive(Debug)]
pub(crate) struct LoadedGraph {
    /// The checked graph.
    pub graph: Arc<Graph>,
    /// Position of each task in the static order.
    pub order: Vec<u32>,
    /// Its content hash.
    pub content_hash: u64,
}

/// Checks what a run checks of a graph before it begins, and numbers its tasks.
///
/// # Errors
/// The first fault of its specs or arrays.
pub(crate) fn loaded(graph: Graph, terms: &Terms) -> Result<LoadedGraph, Fault> {
    if let Some(fault) = graph_load::first_fault(&graph, terms) {
        return Err(fault);
    }
    let order = static_order(&graph);
    let content_hash = content_hash(&graph);
    Ok(LoadedGraph { graph: Arc::new(graph), order, content_hash })
}

/// Something for the driver.
#[derive(Debug)]
pub(crate) enum Inbox {
    /// A proven control connection.
    Connected(Box<Channel>),
    /// One frame of a connection.
    Frame(u32, Batch),
    /// A worker has read enough for what waits to go on.
    Drained(u32),
    /// A connection ended, with the reason.
    Ended(u32, String),
    /// The graph is there, or wrong.
    Loaded(Result<Box<LoadedGraph>, LoadError>),
    /// The supervisor wants an end: a signal arrived, or it is gone itself.
    Stop(String),
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Exit code of the job.
    pub code: i32,
    /// `error:` and `help:` lines for stderr; empty when all went well.
    pub message: String,
    /// The summary, when the graph was accepted.
    pub summary: Option<crate::output::Summary>,
}

/// The queue that feeds a driver.
#[must_use]
pub(crate) fn inbox() -> (mpsc::Sender<Inbox>, mpsc::Receiver<Inbox>) {
    mpsc::channel(INBOX_FRAMES)
}

/// Runs the scheduler to the end of its job.
///
/// Must be called inside a `tokio::task::LocalSet`; `sender` is the sender of `receiver`, for the
/// readers that it starts.
pub(crate) async fn run(
    options: SchedulerOptions,
    clock: Clock,
    sender: mpsc::Sender<Inbox>,
    receiver: mpsc::Receiver<Inbox>,
) -> Verdict {
    driver::Driver::new(options, clock, sender).run(receiver).await
}

/// Forwards the frames of a connection to the driver until it ends.
async fn read(mut receiver: ChannelReceiver, connection: u32, inbox: mpsc::Sender<Inbox>) {
    loop {
        let item = match receiver.recv().await {
            Ok(Some(batch)) => Inbox::Frame(connection, batch),
            Ok(None) => Inbox::Ended(connection, "closed the connection".to_owned()),
            Err(error) => Inbox::Ended(connection, error.to_string()),
        };
        let ended = matches!(item, Inbox::Ended(..));
        if inbox.send(item).await.is_err() || ended {
            return;
        }
    }
}
