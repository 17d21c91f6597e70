//! `rdask-hpc __role`: what supervisors start as their children. Hidden: without a supervisor on
//! the other end of the inherited socket it ends at once with 2.
//!
//! Both sides follow the same rules: the supervisor sends `Start`, the child plays its role, and a
//! supervisor that is gone ends the child.

use rdask_launcher::control::ChildEnd;
use rdask_launcher::roles::Role;
use std::process::ExitCode;

/// Arguments of `__role`: for people who look at the process list. What counts is in `Start`.
#[derive(clap::Args, Debug)]
pub struct RoleArgs {
    /// `scheduler`, `worker` or `both`.
    pub role: String,
    /// Name of the worker's slot.
    #[arg(long)]
    pub slot: Option<String>,
}

/// Plays the role until it ends; returns the process's exit code.
///
/// # Errors
/// When the process was not started by a supervisor.
pub fn run(args: &RoleArgs) -> anyhow::Result<ExitCode> {
    let (start, end) = ChildEnd::from_inherited()?;
    tracing::debug!(role = args.role, slot = args.slot, "started by supervisor");
    let code = match start.role {
        Role::Scheduler | Role::Both => crate::scheduler::main(start, end),
        Role::Worker => crate::worker::main(start, end),
    };
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}
