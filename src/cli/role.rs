//! `rdask-hpc __role`: what supervisors start as their children, and what sweeps after a worker.

use rdask_launcher::control::ChildEnd;
use rdask_launcher::descendants::{Within, kill_tasks_of};
use rdask_launcher::scratch::TaskFolder;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `__role`; what to do comes over the inherited control socket.
#[derive(clap::Args, Debug)]
pub struct RoleArgs {
    /// `scheduler` or `worker`, for people who look at the process list; or `sweeper`.
    pub role: String,
    /// Name of the worker slot, likewise.
    #[arg(long)]
    pub slot: Option<String>,
    /// The worker that a sweeper sweeps after.
    #[arg(long, requires = "folder")]
    pub pid: Option<i32>,
    /// The folder of its tasks.
    #[arg(long)]
    pub folder: Option<PathBuf>,
}

/// Plays the role until it ends.
///
/// # Errors
/// When the process was not started by a supervisor.
pub fn run(args: &RoleArgs) -> anyhow::Result<ExitCode> {
    if let (Some(worker), Some(folder)) = (args.pid, &args.folder) {
        sweep_after(worker, folder.clone());
        return Ok(ExitCode::SUCCESS);
    }
    let (start, end) = ChildEnd::from_inherited()?;
    tracing::debug!(role = args.role, slot = args.slot, "started by a supervisor");
    let code = crate::role::play(&start, &end)?;
    // Threads that still run a task end with the process.
    std::process::exit(code)
}

/// Waits until the worker is gone, then ends what its programs have left.
fn sweep_after(worker: i32, folder: PathBuf) {
    let mut nothing = [0; 1];
    // The worker never writes: this ends, in whatever way, when its end of the pipe is closed.
    let _gone = std::io::stdin().read(&mut nothing);
    let job_id = rdask_launcher::env::job_id().unwrap_or_default();
    kill_tasks_of(worker, &job_id, Within::Machine);
    TaskFolder::at(folder).remove();
}
