//! `rdask-hpc __role`: what supervisors start as their children.

use rdask_launcher::control::ChildEnd;
use std::process::ExitCode;

/// Arguments of `__role`; what to do comes over the inherited control socket.
#[derive(clap::Args, Debug)]
pub struct RoleArgs {
    /// `scheduler` or `worker`, for people who look at the process list.
    pub role: String,
    /// Name of the worker slot, likewise.
    #[arg(long)]
    pub slot: Option<String>,
}

/// Plays the role until it ends.
///
/// # Errors
/// When the process was not started by a supervisor.
pub fn run(args: &RoleArgs) -> anyhow::Result<ExitCode> {
    let (start, end) = ChildEnd::from_inherited()?;
    tracing::debug!(role = args.role, slot = args.slot, "started by a supervisor");
    let code = crate::role::play(&start, &end)?;
    // Threads that still run a task end with the process.
    std::process::exit(code)
}
