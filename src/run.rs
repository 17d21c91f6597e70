//! One run from its options to its exit code: `rdask-hpc GRAPH`.
//!
//! Every rank comes through here. Rank 0 reads the options for all; the others do what its plan
//! says. Whatever is wrong with flags, graph or output folder ends the run with 2 before a task
//! begins, with one message from rank 0.

use crate::config::{Bind, MemoryLimit, Rank0, RunOptions};
use crate::graph_load::Fault;
use crate::observe::log;
use crate::output::{self, Unfinished, in_words};
use crate::role::Request;
use crate::supervisor::{self, Accepted, Outcome};
use crate::user_error::UserError;
use rdask_launcher::assign::LaunchOptions;
use rdask_launcher::bootstrap::Wishes;
use rdask_launcher::{limits, plan};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a command does around its run, on rank 0 alone.
pub struct Around<B, A> {
    /// Before anything is looked at: it may still make the graph. Its error is the run's, code 2.
    pub before: B,
    /// When the run is over and its output folder was accepted: gets the exit code and that folder,
    /// gives the code to return and the folder where the verdict belongs.
    pub after: A,
}

/// Runs a graph and returns the exit code of the process.
#[must_use]
pub fn run(options: RunOptions, graph: &Path) -> i32 {
    run_with(options, graph, None)
}

/// As `run`, with something about the configuration that rank 0 shall warn of.
pub(crate) fn run_with(options: RunOptions, graph: &Path, remark: Option<String>) -> i32 {
    let rank = supervisor::expected_rank(options.launcher.as_deref());
    let before = move || {
        if let Some(remark) = remark.filter(|_| rank == 0) {
            tracing::warn!("{remark}");
        }
        Ok(())
    };
    run_around(options, graph, Around { before, after: |code, folder| (code, folder) })
}

/// The same with something before and after.
#[must_use]
pub fn run_around(
    options: RunOptions,
    graph: &Path,
    around: Around<
        impl FnOnce() -> Result<(), UserError>,
        impl FnOnce(i32, PathBuf) -> (i32, PathBuf),
    >,
) -> i32 {
    let launcher = options.launcher.clone();
    // A fault of the log, as any other, is rank 0's to tell, once MPI is up to tell the others.
    let log = start_log(&options, supervisor::expected_rank(launcher.as_deref()));
    let wishes = || {
        log.and_then(|()| (around.before)()).map_err(|error| error.to_string())?;
        wishes(options, graph)
    };
    let Outcome { mut code, message, accepted } = supervisor::launch(launcher.as_deref(), wishes);
    if let Some(message) = message {
        tell(&message);
    }
    if let Some(Accepted { folder, job_id }) = accepted {
        let (last, folder) = (around.after)(code, folder);
        code = last;
        if let Err(error) = output::write_verdict(&folder, &job_id, code) {
            tracing::warn!(%error, "the verdict cannot be written to the output folder");
        }
    }
    code
}

/// Ends a run whose configuration is wrong at this rank: with one message of rank 0 and 2 there,
/// whichever rank has the fault.
#[must_use]
pub fn refuse(error: UserError, launcher: Option<&str>) -> i32 {
    let rank = supervisor::expected_rank(launcher);
    let fault = match rank {
        0 => error,
        _ => elsewhere(error, rank),
    };
    let outcome = supervisor::launch_faulty(launcher, &fault.to_string());
    if rank != 0 {
        return outcome.code;
    }
    // Whatever else hinders the launch: this the user can mend first.
    tell(&fault.to_string());
    2
}

/// The fault of another rank as rank 0 tells it.
fn elsewhere(error: UserError, rank: u32) -> UserError {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy().into_owned();
    let place = if error.place.is_empty() { String::new() } else { format!("{}, ", error.place) };
    UserError { place: format!("{place}rank {rank} on {host}"), ..error }
}

/// The supervisor's own log. Only rank 0's lines come without a name.
fn start_log(options: &RunOptions, rank: u32) -> Result<(), UserError> {
    let who = if rank == 0 { String::new() } else { format!("rank {rank}") };
    let name = format!("supervisor-{rank}");
    log::init(&options.log, &who, &name, options.log_dir.as_deref())
}

#[expect(clippy::print_stderr, reason = "the command's last words")]
fn tell(message: &str) {
    eprintln!("{message}");
}

/// What rank 0 wants of the launch.
fn wishes(options: RunOptions, graph: &Path) -> Result<Wishes, String> {
    let graph = graph.to_str().ok_or_else(|| {
        UserError::new("the path of the graph is not UTF-8", graph.display().to_string())
            .help("rename the file")
            .to_string()
    })?;
    look_at(&options, graph).map_err(|error| error.to_string())?;
    look_at_scratch(&options).map_err(|error| error.to_string())?;
    let launch = LaunchOptions {
        workers: options.workers,
        threads: options.threads,
        bind: bind(options.bind),
        rank0_both: options.rank0 == Rank0::Both,
        scheduler_cores: options.scheduler_cores,
        memory_limit: memory_limit(options.memory_limit),
        local_directory: options.local_directory.clone(),
        interface: options.interface.clone(),
        death_timeout: Duration::from_nanos(options.death_timeout_ns),
        task_count: 0,
    };
    let request = Request { options, graph: graph.to_owned() };
    let options = serde_json::to_string(&request).map_err(|error| error.to_string())?;
    Ok(Wishes { launch, options })
}

/// What can be seen before any other process exists: the scheduler's child reads the graph whole.
fn look_at(options: &RunOptions, graph: &str) -> Result<(), UserError> {
    if graph == "-" {
        return Ok(());
    }
    let path = options.working_directory.join(graph);
    let found = std::fs::metadata(&path).and_then(|metadata| match metadata.is_dir() {
        true => Err(std::io::ErrorKind::IsADirectory.into()),
        false => Ok(()),
    });
    found.map_err(|error| {
        let fault = Fault::io(&error);
        let told = UserError::new(fault.to_string(), path.display().to_string());
        fault.help().into_iter().fold(told, UserError::help)
    })
}

/// The scratch folder of this host, where one was asked for.
fn look_at_scratch(options: &RunOptions) -> Result<(), UserError> {
    let Some(folder) = &options.local_directory else { return Ok(()) };
    let probe = || {
        std::fs::create_dir_all(folder)?;
        drop(Unfinished::begin(&folder.join("probe"))?);
        Ok(())
    };
    probe().map_err(|error: std::io::Error| {
        let what = format!("the scratch folder cannot be written: {}", in_words(folder, &error));
        UserError::new(what, folder.display().to_string())
            .help("choose another one with --local-directory DIR")
    })
}

const fn bind(bind: Bind) -> plan::Bind {
    match bind {
        Bind::Auto => plan::Bind::Auto,
        Bind::None => plan::Bind::None,
        Bind::Core => plan::Bind::Core,
        Bind::Numa => plan::Bind::Numa,
        Bind::Package => plan::Bind::Package,
    }
}

fn memory_limit(limit: MemoryLimit) -> limits::MemoryLimit {
    match limit {
        MemoryLimit::Auto => limits::MemoryLimit::Auto,
        MemoryLimit::None => limits::MemoryLimit::None,
        MemoryLimit::Bytes(bytes) => limits::MemoryLimit::Bytes(bytes),
        MemoryLimit::Percent(percent) => {
            limits::MemoryLimit::PercentOfShare((percent * 100.0).round() as u32)
        }
    }
}
