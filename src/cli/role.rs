//! `rdask-hpc __role`: what supervisors start as their children, and what sweeps after a worker.

use rdask_launcher::control::ChildEnd;
use rdask_launcher::descendants::{Within, kill_tasks_of};
use rdask_launcher::scratch::TaskFolder;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

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
    /// Its supervisor, which keeps what is worth keeping before the folder goes.
    #[arg(long)]
    pub supervisor: Option<i32>,
}

/// Plays the role until it ends.
///
/// # Errors
/// When the process was not started by a supervisor.
pub fn run(args: &RoleArgs) -> anyhow::Result<ExitCode> {
    if let (Some(worker), Some(folder)) = (args.pid, &args.folder) {
        sweep_after(worker, args.supervisor, folder.clone());
        return Ok(ExitCode::SUCCESS);
    }
    let (start, end) = ChildEnd::from_inherited()?;
    tracing::debug!(role = args.role, slot = args.slot, "started by a supervisor");
    let code = crate::role::play(&start, &end)?;
    // Threads that still run a task end with the process.
    std::process::exit(code)
}

/// How long a supervisor may take to clear up after its worker.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the sweeper looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until the worker is gone, then ends what its programs have left. The folder is the
/// supervisor's to clear, which first keeps the output in it; without one it goes at once.
fn sweep_after(worker: i32, supervisor: Option<i32>, folder: PathBuf) {
    let mut nothing = [0; 1];
    // The worker never writes: this ends, in whatever way, when its end of the pipe is closed.
    let _gone = std::io::stdin().read(&mut nothing);
    let job_id = rdask_launcher::env::job_id().unwrap_or_default();
    kill_tasks_of(worker, &job_id, Within::Machine);
    let gone = Instant::now();
    // A supervisor is the subreaper of all below it: as long as it lives it becomes the parent here,
    // a moment after the worker has closed its files.
    let parent = || rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
    let watched = || [supervisor, Some(worker)].contains(&parent());
    while supervisor.is_some() && watched() && folder.exists() {
        if gone.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(LOOK);
    }
    TaskFolder::at(folder).remove();
}
