//! From the start of the process to its exit code: bootstrap, supervise, clean up.

use super::{Supervisor, WorkerTasks};
use rdask_launcher::bootstrap::{BootstrapError, Job, Wishes, bootstrap};
use rdask_launcher::descendants;
use rdask_launcher::env::{self, Env, Launch, LaunchError};
use rdask_launcher::facts::Interface;
use rdask_launcher::scratch::{Scratch, ScratchError};
use rdask_launcher::spawn::Spawner;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// How a rank ends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Exit code of this process: the job's on rank 0, else 0.
    pub code: i32,
    /// What to print to stderr, whole, with `error:` and `help:`.
    pub message: Option<String>,
    /// Where the verdict belongs, on rank 0; none while no run has begun to write there.
    pub accepted: Option<Accepted>,
}

/// An output folder that the job has accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// The folder.
    pub folder: PathBuf,
    /// The job.
    pub job_id: String,
}

impl Outcome {
    /// The system failed at this rank: rank 0 tells, the others end in silence.
    pub(super) fn failed(job: &Job, message: String) -> Self {
        if job.rank == 0 {
            Self { code: 3, message: Some(message), accepted: None }
        } else {
            tracing::error!("{message}");
            Self::default()
        }
    }

    fn of_error(rank: u32, error: &BootstrapError) -> Self {
        if rank != 0 {
            return Self::default();
        }
        let message = match (error, error.help()) {
            (BootstrapError::Fault(message), _) => message.clone(),
            (_, Some(help)) => format!("error: {error}\nhelp: {help}"),
            (_, None) => format!("error: {error}"),
        };
        Self { code: error.code(), message: Some(message), accepted: None }
    }
}

/// The rank that this process will have, as far as the environment tells; 0 where it does not.
#[must_use]
pub fn expected_rank(launcher: Option<&str>) -> u32 {
    detected(launcher, &Env::from_process()).map_or(0, |launch| launch.rank)
}

fn detected(launcher: Option<&str>, env: &Env) -> Result<Launch, LaunchError> {
    match launcher {
        Some(name) => env::detect_as(name, env),
        None => env::detect(env),
    }
}

/// The addresses that this rank tells the others. A host that does not say is reached by loopback
/// alone, which is an error only where there are others.
fn interfaces() -> Vec<Interface> {
    let all = rdask_transport::reachable_interfaces().unwrap_or_else(|error| {
        tracing::warn!("cannot list the network interfaces: {error}");
        Vec::new()
    });
    all.into_iter().map(|one| Interface { name: one.name, ip: one.address }).collect()
}

/// Runs this process as a rank of the job, or as the parent of a local one, to its end. Call in
/// the main thread before any other thread exists.
///
/// `launcher` is `--launcher`. `wishes` is called on rank 0 only, once MPI is up: it reads flags
/// and graph, and what it returns as an error is printed by rank 0 (exit code 2), after the other
/// ranks were told to end.
pub fn launch(launcher: Option<&str>, wishes: impl FnOnce() -> Result<Wishes, String>) -> Outcome {
    start(launcher, "", wishes)
}

/// Takes part in the launch of a job that cannot run, so that no other rank waits for this one:
/// its configuration is wrong, and rank 0 tells `fault` (exit code 2), its own before another's.
#[must_use]
pub fn launch_faulty(launcher: Option<&str>, fault: &str) -> Outcome {
    start(launcher, fault, || Err(fault.to_owned()))
}

fn start(
    launcher: Option<&str>,
    fault: &str,
    wishes: impl FnOnce() -> Result<Wishes, String>,
) -> Outcome {
    let env = Env::from_process();
    let launch = match detected(launcher, &env) {
        Ok(launch) => launch,
        Err(error) => return Outcome::of_error(0, &error.into()),
    };
    if let Some(hint) = &launch.hint {
        tracing::warn!("{hint}");
    }
    let job = match bootstrap(&launch, &env, interfaces(), fault, wishes) {
        Ok(job) => job,
        Err(error) => return Outcome::of_error(launch.rank, &error),
    };
    log_start(&launch, &job);
    supervise(job)
}

fn log_start(launch: &Launch, job: &Job) {
    let bootstrap = &job.bootstrap;
    tracing::debug!(
        launcher = launch.launcher.name(),
        rank = job.rank,
        size = job.size,
        job = bootstrap.job_id,
        addresses = ?bootstrap.addresses,
        "bootstrapped"
    );
    if job.rank == 0 {
        for remark in &bootstrap.plan.remarks {
            tracing::warn!("{remark}");
        }
    }
}

/// Whatever happens inside, no process of ours and no file is left behind.
fn supervise(job: Job) -> Outcome {
    let rank = job.rank;
    // Nothing is made unless a folder is named: what a killed supervisor leaves, nobody removes.
    let local = job.bootstrap.local_directory.clone();
    let scratch = (!local.as_os_str().is_empty())
        .then(|| Scratch::create(&local, &job.bootstrap.job_id, rank))
        .transpose();
    let path = scratch.as_ref().ok().and_then(Option::as_ref).map(|it| it.path().to_owned());
    let tasks = tasks_of(&job, &path.unwrap_or_default());
    let outcome = catch_unwind(AssertUnwindSafe(|| run(job, &scratch)));
    let left = descendants::kill_all();
    if left > 0 {
        tracing::debug!(left, "killed what was left below this supervisor");
    }
    tasks.iter().for_each(WorkerTasks::clear);
    drop(scratch);
    outcome.unwrap_or_else(|_| {
        let message = "error: the supervisor failed; the job is lost".to_owned();
        if rank == 0 {
            Outcome { code: 3, message: Some(message), accepted: None }
        } else {
            Outcome::default()
        }
    })
}

/// What the programs of this rank's tasks leave, by worker.
fn tasks_of(job: &Job, scratch: &Path) -> Vec<WorkerTasks> {
    let plan = job.bootstrap.plan.rank(job.rank);
    plan.map_or(&[][..], |plan| &plan.workers)
        .iter()
        .map(|worker| WorkerTasks::of(job, scratch, worker))
        .collect()
}

fn run(job: Job, scratch: &Result<Option<Scratch>, ScratchError>) -> Outcome {
    let spawner = match Spawner::new() {
        Ok(spawner) => spawner,
        Err(error) => return Outcome::failed(&job, format!("error: {error}")),
    };
    let built = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = match built {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::failed(&job, format!("error: no event loop: {error}")),
    };
    let path = match scratch {
        Ok(scratch) => Ok(scratch.as_ref().map(|it| it.path().to_owned()).unwrap_or_default()),
        Err(error) => Err(error.to_string()),
    };
    let supervisor = Supervisor::new(job, spawner, path);
    tokio::task::LocalSet::new().block_on(&runtime, supervisor.run())
}
