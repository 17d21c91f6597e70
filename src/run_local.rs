//! A graph run inside the calling process: scheduler, one worker, results as values.
//!
//! Nothing is spawned but threads, nothing is written, no port is opened.

use crate::clock::Clock;
use crate::config::{Fsync, Progress};
use crate::executor::{Programs, Seat};
use crate::graph_load::{LoadError, Terms};
use crate::scheduler::{self, Delivery, ExpectedWorker, Inbox, LoadedGraph, SchedulerOptions};
use crate::worker::{Worker, WorkerSetup};
use rdask_core::config::Config;
use rdask_core::graph::Graph;
use rdask_core::ids::TaskId;
use rdask_core::messages::WorkerRegistration;
use rdask_launcher::scratch::TaskFolder;
use rdask_store::{Sealed, Store};
use rdask_transport::{Endpoint, ErrorKind, Identity, Role, Secret};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How a graph is run in this process.
#[derive(Clone, Debug)]
pub struct LocalOptions {
    /// Threads of the worker; 0 = as many as there are cores.
    pub threads: u32,
    /// Bytes that results may take; 0 = unlimited.
    pub memory_limit_bytes: u64,
    /// Relative paths in the graph refer to it.
    pub working_directory: PathBuf,
    /// Compute what does not depend on a failed task.
    pub keep_going: bool,
    /// Check every invariant after every event.
    pub validate: bool,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            memory_limit_bytes: 0,
            working_directory: PathBuf::from("."),
            keep_going: false,
            validate: false,
        }
    }
}

/// Results of a run by key.
#[derive(Clone, Debug, Default)]
pub struct Results {
    values: BTreeMap<String, Sealed>,
}

impl Results {
    /// The result of a wanted key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Sealed> {
        self.values.get(key)
    }

    /// All wanted keys in order, with their results.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Sealed)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }
}

/// A run that did not end well.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The graph is wrong; nothing was run.
    #[error(transparent)]
    Graph(#[from] LoadError),
    /// A task failed, or the run could not go on.
    #[error("{message}")]
    Failed {
        /// Exit code that the command would have: 1 a task, 2 the graph, 3 the run.
        code: i32,
        /// `error:` and `help:` lines.
        message: String,
    },
    /// The system refuses a thread or the runtime.
    #[error("the run cannot start: {0}")]
    System(#[from] std::io::Error),
    /// The two ends in this process do not fit.
    #[error("the run cannot start: {0}")]
    Transport(#[from] ErrorKind),
}

/// Runs a graph and gives the results of its outputs.
///
/// ```
/// use rdask::{GraphBuilder, LocalOptions, run_local};
///
/// let graph = rdask::graph_json::import(
///     r#"{"version": 1,
///         "tasks": [
///           {"key": "x", "run": {"kernel": "arange", "start": 0, "step": 1, "count": 4,
///                                "dtype": "f64"}},
///           {"key": "y", "run": {"kernel": "map", "expr": "a * 2"}, "deps": ["x"]}],
///         "outputs": ["y"]}"#,
/// )?;
/// let results = run_local(graph, LocalOptions::default())?;
/// let y = results.value("y").expect("y was asked for");
/// assert_eq!(y.bytes()[8..16], 2.0_f64.to_le_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As `RunError` says; a failed task is an error that names it.
pub fn run_local(graph: Graph, options: LocalOptions) -> Result<Results, RunError> {
    let loaded = scheduler::loaded(graph, &Terms::all(&options.working_directory))
        .map_err(|fault| LoadError { origin: String::new(), faults: vec![fault] })?;
    // A thread of its own, so that the caller may be inside any runtime.
    let thread = std::thread::Builder::new()
        .name("run_local".to_owned())
        .spawn(move || run(loaded, &options))?;
    thread.join().unwrap_or_else(|_| {
        Err(RunError::Failed { code: 3, message: "error: the run panicked".to_owned() })
    })
}

fn run(loaded: LoadedGraph, options: &LocalOptions) -> Result<Results, RunError> {
    let clock = Clock::start();
    let graph = Arc::clone(&loaded.graph);
    let config = Config { validate: options.validate, ..Config::default() };
    let (inbox, receiver) = scheduler::inbox();
    let secret = Secret::random()?;
    let at_scheduler = Endpoint::new(identity(0, Role::Scheduler), secret.clone());
    let at_worker = Endpoint::new(identity(1, Role::Worker), secret);
    let (theirs, ours) = rdask_transport::inproc::pair(&at_scheduler, &at_worker)?;
    let worker = Worker::new(setup(options, &config, clock));
    let values = worker.values();
    let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let local = tokio::task::LocalSet::new();
        match local.block_on(&runtime, worker.run(ours, at_worker, || {})) {
            Ok(ended) => ended.join(),
            Err(reason) => tracing::error!("the worker could not join: {reason}"),
        }
        std::io::Result::Ok(())
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let sender = inbox.clone();
    let verdict = local.block_on(&runtime, async move {
        // Both fit the empty inbox.
        let _fits = inbox.try_send(Inbox::Connected(Box::new(theirs)));
        let _fits = inbox.try_send(Inbox::Loaded(Ok(Box::new(loaded))));
        scheduler::run(scheduler_options(config, options.keep_going), clock, sender, receiver).await
    });
    let results = collect(&graph, values);
    drop(local);
    drop(runtime);
    if let Ok(Err(error)) = thread.join() {
        return Err(RunError::System(error));
    }
    match verdict.code {
        0 => Ok(results),
        code => Err(RunError::Failed { code, message: verdict.message }),
    }
}

fn collect(graph: &Graph, values: impl Fn(TaskId) -> Option<Sealed>) -> Results {
    let chunks = graph.arrays.iter().flat_map(|array| array.grid.iter().copied());
    let wanted = scheduler::outputs(graph).into_iter().chain(chunks);
    let values =
        wanted.filter_map(|task| Some((graph.key(task).to_owned(), values(task)?))).collect();
    Results { values }
}

fn scheduler_options(config: Config, keep_going: bool) -> SchedulerOptions {
    SchedulerOptions {
        config,
        seed: 0,
        keep_going,
        workers: vec![ExpectedWorker { name: "0".to_owned(), rank: 0, host: "local".to_owned() }],
        nannies: Vec::new(),
        startup_timeout: Duration::from_secs(60),
        delivery: Delivery::Keep,
        scheduler_file: None,
        events: None,
        record: None,
        progress: Progress::None,
        job_id: "local".to_owned(),
        graph_path: String::new(),
        accepted: None,
    }
}

fn identity(server_id: u128, role: Role) -> Identity {
    Identity {
        server_id,
        role,
        job_id: "local".to_owned(),
        label: format!("{role:?} in this process"),
        machine: "local".to_owned(),
        netns: 0,
    }
}

/// Where commands run. A process may have several runs at once.
fn task_folder() -> TaskFolder {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    TaskFolder::of(Path::new(""), &format!("local-{}", std::process::id()), 0, &count.to_string())
}

fn setup(options: &LocalOptions, config: &Config, clock: Clock) -> WorkerSetup {
    let cores = || std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let threads = if options.threads == 0 { cores() } else { options.threads };
    WorkerSetup {
        registration: WorkerRegistration {
            server_id: 1,
            name: "0".to_owned(),
            rank: 0,
            host: "local".to_owned(),
            machine: "local".to_owned(),
            pid: std::process::id(),
            nanny_pid: 0,
            nanny: 0,
            addresses: Vec::new(),
            nthreads: threads,
            cpus: String::new(),
            memory_limit_bytes: options.memory_limit_bytes,
            resources: Vec::new(),
            cpu_features: String::new(),
        },
        config: config.clone(),
        seed: 0,
        clock,
        store: Store::new(options.memory_limit_bytes),
        seats: vec![Seat::default(); threads as usize],
        spin: Duration::ZERO,
        bind: Box::new(|_| {}),
        note: Box::new(|_, _| {}),
        working_directory: options.working_directory.clone(),
        programs: Programs::new(task_folder()),
        output: PathBuf::new(),
        fsync: Fsync::None,
        warnings: None,
        reports_transfers: false,
    }
}
