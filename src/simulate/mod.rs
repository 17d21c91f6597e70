//! A graph of the user's on a machine that is not there: the real cores on the core's pretend
//! cluster, and what came of it beside the lower bounds.
//!
//! ```text
//!   Graph ─▶ estimate (durations, sizes) ─▶ Scenario ─▶ Simulation::given ─▶ Report
//! ```
//!
//! Time in it is simulated: the same graph, request and seed give the same report on every machine.
//! Each worker is a machine of its own; what scheduling, hashing or writing costs is not simulated.

mod estimate;

pub use estimate::Defaults;

use estimate::{Estimates, estimate};
use rdask_core::config::{Config, SECOND_NS};
use rdask_core::graph::{Graph, Outputs, static_order};
use rdask_core::ids::TaskId;
use rdask_core::nearest::nearest;
use rdask_core::rng::Rng;
use rdask_core::sim::{
    Extent, FaultPlan, KINDS, MachineSpec, Network, NoOutcome, Outcome, Scenario, Simulation,
    Workload,
};
use serde::Serialize;
use std::sync::Arc;

/// Most workers of a pretend cluster.
pub const MOST_WORKERS: u32 = 100_000;
/// Faults that clients bring, which a job of one graph does not have.
const NOT_FAULTS: [&str; 3] = ["client", "flutter", "retry"];

/// The pretend cluster and what happens to it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Worker processes, each on a machine of its own.
    pub workers: u32,
    /// Threads of each.
    pub threads: u32,
    /// One way of a message, nanoseconds.
    pub latency_ns: u64,
    /// Bytes a second of each machine's link, in and out.
    pub bandwidth: u64,
    /// Seed of ties and faults.
    pub seed: u64,
    /// What breaks: names from `fault_names`.
    pub faults: Vec<String>,
    /// What is taken where the graph does not say.
    pub defaults: Defaults,
    /// Numbers of the policies. The scheduler knows the bandwidth, as if it had measured it.
    pub config: Config,
    /// Every invariant of both machines and across them is checked.
    pub validate: bool,
}

/// What came of it; `--json` prints it as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Tasks that were needed.
    pub tasks: u64,
    /// Worker processes.
    pub workers: u32,
    /// Threads of all of them.
    pub threads: u64,
    /// From the graph's arrival to its last result, seconds.
    pub makespan: f64,
    /// What no scheduler can beat.
    pub lower_bound: LowerBound,
    /// Makespan over the greatest lower bound; none when tasks erred.
    pub ratio: Option<f64>,
    /// Needed tasks that erred, by themselves or with an input: the job failed.
    pub erred: u64,
    /// The first task that failed by itself, and its error.
    pub failure: Option<Failure>,
    /// Requests between workers.
    pub transfers: u64,
    /// Bytes that moved between workers.
    pub bytes_moved: u64,
    /// Most bytes of results on one worker, and on all together.
    pub peak_memory: PeakMemory,
    /// Runs of tasks; more than `tasks` where faults cost results.
    pub runs: u64,
    /// Workers that died.
    pub deaths: u64,
    /// Tasks whose duration, and whose size, nobody said.
    pub defaults: DefaultsTaken,
    /// Hash of every message: equal for equal runs.
    pub hash: String,
}

/// Lower bounds of a makespan, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LowerBound {
    /// The longest chain of durations.
    pub critical_path: f64,
    /// All durations over all threads.
    pub work: f64,
    /// Work that has long chains before and behind it, and these chains.
    pub phases: f64,
    /// What one task must gather, and the chain behind it.
    pub bytes: f64,
}

/// Most bytes of results at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PeakMemory {
    /// On one worker.
    pub worker: u64,
    /// On all workers together.
    pub total: u64,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Its key.
    pub key: String,
    /// Its error.
    pub message: String,
}

/// How many tasks took a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DefaultsTaken {
    /// For their duration.
    pub durations: u64,
    /// For the size of their result.
    pub sizes: u64,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// No fault has this name.
    #[error("no fault is called '{name}'")]
    UnknownFault {
        /// What was given.
        name: String,
        /// A name that was perhaps meant.
        nearest: Option<&'static str>,
    },
    /// A number that the pretend cluster cannot have.
    #[error("--{option} {value} is out of range: it goes from {range}")]
    Range {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u64,
        /// Least and largest value.
        range: String,
    },
    /// A task asks for what no pretend worker has.
    #[error("no worker can run task '{key}': it asks for {asks}")]
    Unsatisfiable {
        /// The task.
        key: String,
        /// What it asks for.
        asks: String,
        /// The largest worker, in words.
        largest: String,
    },
    /// The job did not end, or a property was broken: a fault of the scheduler.
    #[error("the simulation failed: {0}; this is a fault of rdask-hpc, please report the command")]
    Broken(String),
}

impl SimulateError {
    /// The way out, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownFault { nearest: Some(name), .. } => {
                Some(format!("did you mean '{name}'?"))
            }
            Self::UnknownFault { nearest: None, .. } => {
                Some(format!("there are {}", fault_names().collect::<Vec<_>>().join(", ")))
            }
            Self::Unsatisfiable { largest, .. } => Some(format!(
                "the largest worker is {largest}; --threads makes workers larger, and pretend \
                 workers have no resources and the names 0, 1, …"
            )),
            Self::Range { .. } | Self::Broken(_) => None,
        }
    }
}

/// What may break.
pub fn fault_names() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().filter(|name| !NOT_FAULTS.contains(name))
}

/// Runs a checked graph on the pretend cluster.
///
/// # Errors
/// When the request names what is not there, a task asks for what no worker has, or the job does
/// not end.
pub fn simulate(graph: Graph, request: &Request) -> Result<Report, SimulateError> {
    check(request)?;
    let kinds = kinds_of(&request.faults)?;
    let Estimates { behaviours, default_durations, default_sizes } =
        estimate(&graph, request.defaults);
    let graph = Arc::new(graph);
    let workload = Workload {
        order: graph.order.clone().unwrap_or_else(|| static_order(&graph)),
        wanted: wanted(&graph),
        run_once: Vec::new(),
        graph: Arc::clone(&graph),
        behaviours,
    };
    let scenario = scenario(workload, kinds, request);
    let outcome = Simulation::given(scenario, request.validate).map_err(|error| match error {
        NoOutcome::Unsatisfiable(what) => SimulateError::Unsatisfiable {
            key: graph.key(what.task).to_owned(),
            asks: what.asks,
            largest: what.largest_worker,
        },
        NoOutcome::Broken(broken) => SimulateError::Broken(broken.to_string()),
    })?;
    let defaults = DefaultsTaken { durations: default_durations, sizes: default_sizes };
    Ok(report(&graph, &outcome, request, defaults))
}

fn check(request: &Request) -> Result<(), SimulateError> {
    let hour_ns = 3600 * SECOND_NS;
    let numbers = [
        ("workers", u64::from(request.workers), 1, u64::from(MOST_WORKERS)),
        ("threads", u64::from(request.threads), 1, 1024),
        ("latency", request.latency_ns / 1000, 0, hour_ns / 1000),
    ];
    for (option, value, low, high) in numbers {
        if !(low..=high).contains(&value) {
            let range = format!("{low} to {high}");
            return Err(SimulateError::Range { option, value, range });
        }
    }
    Ok(())
}

/// Faults by name as a bit each.
fn kinds_of(faults: &[String]) -> Result<u16, SimulateError> {
    let mut kinds = 0;
    for name in faults {
        let known = KINDS.iter().position(|known| known == name && !NOT_FAULTS.contains(known));
        let Some(kind) = known else {
            let nearest = nearest(name, fault_names());
            return Err(SimulateError::UnknownFault { name: name.clone(), nearest });
        };
        kinds |= 1 << kind;
    }
    Ok(kinds)
}

fn scenario(workload: Workload, kinds: u16, request: &Request) -> Scenario {
    let durations = workload.behaviours.iter().map(|one| u128::from(one.duration_ns));
    let threads = u128::from(request.workers) * u128::from(request.threads);
    let work_ns = durations.sum::<u128>() / threads;
    // Faults strike while about this much work is done.
    let span_ns = u64::try_from(work_ns).unwrap_or(u64::MAX / 8).clamp(1000, u64::MAX / 8);
    let config = Config {
        bandwidth: request.bandwidth,
        round_trip_ns: (2 * request.latency_ns).max(1),
        ..request.config.clone()
    };
    let size = (request.workers as usize, workload.graph.len().max(1));
    let mut rng = Rng::new(request.seed);
    let (slots, tasks) = size;
    let ttl_ns = config.worker_ttl_ns;
    let extent = Extent { span_ns, slots, tasks, restless: false, ttl_ns };
    let plan = FaultPlan::draw(&mut rng, kinds, &extent);
    let plan = if kinds == 0 { FaultPlan::default() } else { plan };
    let machine = |host| MachineSpec {
        host,
        numa: 0,
        nthreads: request.threads,
        speed: 100,
        memory_limit_bytes: 0,
        disk_bytes: 0,
        gpu: 0,
    };
    Scenario {
        seed: request.seed,
        network: Network {
            latency_ns: request.latency_ns,
            jitter_ns: 0,
            bandwidth: request.bandwidth,
            bandwidth_within: request.bandwidth,
            bandwidth_disk: request.bandwidth,
            // An answer takes two ways; bytes that are on their way keep a request alive.
            timeout_ns: config.tcp_timeout_ns.max(request.latency_ns.saturating_mul(4)),
        },
        config,
        machines: (0..request.workers).map(machine).collect(),
        workload,
        plan,
        orders: Vec::new(),
    }
}

/// What a run of the graph would write; with nothing to write, all that is last.
fn wanted(graph: &Graph) -> Vec<TaskId> {
    let mut wanted: Vec<TaskId> = match &graph.outputs {
        Outputs::Tasks(tasks) if !tasks.is_empty() => tasks.clone(),
        _ => crate::graph_info::sinks(graph).collect(),
    };
    wanted.extend(graph.arrays.iter().flat_map(|array| &array.grid));
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}

#[expect(clippy::cast_precision_loss, reason = "a report needs no more than 53 bits")]
fn report(graph: &Graph, outcome: &Outcome, request: &Request, defaults: DefaultsTaken) -> Report {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let Outcome { makespan_ns, bounds, tasks, erred, failure, peak_worker_bytes, trace } = outcome;
    let ratio = *makespan_ns as f64 / bounds.greatest_ns().max(1) as f64;
    let failure = failure.as_ref().map(|(task, message)| Failure {
        key: graph.key(*task).to_owned(),
        message: message.clone(),
    });
    Report {
        tasks: *tasks,
        workers: request.workers,
        threads: u64::from(request.workers) * u64::from(request.threads),
        makespan: seconds(*makespan_ns),
        lower_bound: LowerBound {
            critical_path: seconds(bounds.critical_path_ns),
            work: seconds(bounds.work_ns),
            phases: seconds(bounds.phases_ns),
            bytes: seconds(bounds.bytes_ns),
        },
        ratio: (*erred == 0).then_some(ratio),
        erred: *erred,
        failure,
        transfers: trace.transfers,
        bytes_moved: trace.moved_bytes,
        peak_memory: PeakMemory { worker: *peak_worker_bytes, total: trace.peak_bytes },
        runs: trace.executed,
        deaths: trace.deaths,
        defaults,
        hash: format!("{:016x}", trace.hash),
    }
}
