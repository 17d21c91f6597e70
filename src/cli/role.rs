//! `rdask-hpc __role`: what supervisors start as their children.

use std::process::ExitCode;

/// Arguments of `__role`.
#[derive(clap::Args, Debug)]
pub struct RoleArgs {
    /// `scheduler` or `worker`.
    pub role: String,
}

/// Plays the role until it ends.
///
/// # Errors
/// When the process was not started by a supervisor.
pub fn run(_args: RoleArgs) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
