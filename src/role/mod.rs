//! What a child process is: the scheduler, a worker, or (a job of one rank) both.
//!
//! A child learns everything from the `Start` message of its supervisor, answers to nobody else,
//! and ends when the supervisor is gone.

mod scheduler;
mod worker;

use crate::config::RunOptions;
use rdask_core::config::Config;
use rdask_launcher::control::{ChildEnd, Start};
use rdask_launcher::roles::Role;
use rdask_transport::{Endpoint, Identity, Secret, Settings};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the supervisor hands on: the run as the user asked for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Options, resolved on rank 0.
    pub options: RunOptions,
    /// The graph: a path, absolute or relative to the working directory, or `-`.
    pub graph: String,
}

/// Plays the role that the supervisor named; gives the exit code of this process.
///
/// # Errors
/// When the supervisor's message or the system is of no use.
pub(crate) fn play(start: &Start, end: &ChildEnd) -> anyhow::Result<i32> {
    let request: Request = serde_json::from_str(&start.options)?;
    let options = &request.options;
    let (who, name) = match start.role {
        Role::Scheduler | Role::Both => ("scheduler", "scheduler".to_owned()),
        // The supervisor marks each line of a worker with its name.
        Role::Worker => ("", format!("worker-{}", start.slot)),
    };
    crate::panics::end_the_process(if who.is_empty() { String::new() } else { format!("{who}: ") });
    crate::observe::log::init(&options.log, who, &name, options.log_dir.as_deref())?;
    rdask_launcher::limits::raise_open_files();
    match start.role {
        Role::Scheduler => scheduler::play(start, &request, end, false),
        Role::Both => scheduler::play(start, &request, end, true),
        Role::Worker => worker::play(start, &request, end),
    }
}

fn label(start: &Start) -> String {
    match start.role {
        Role::Scheduler | Role::Both => "scheduler".to_owned(),
        Role::Worker => format!("worker {} ({})", start.slot, start.host),
    }
}

/// A current-thread runtime: one thread owns all I/O of a role.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Who this process is to others.
fn endpoint(
    start: &Start,
    config: &Config,
    role: rdask_transport::Role,
    server_id: u128,
) -> Endpoint {
    let identity = Identity {
        server_id,
        role,
        job_id: start.job_id.clone(),
        label: label(start),
        machine: start.machine.clone(),
        netns: start.network_namespace,
    };
    // A worker without a sign of life for the worker-ttl is lost, and so is a scheduler that takes
    // nothing for the time-out of connections.
    let timeout = match role {
        rdask_transport::Role::Scheduler => config.worker_ttl_ns,
        _ => config.tcp_timeout_ns,
    };
    let settings = Settings {
        timeout: Duration::from_nanos(timeout),
        connect_attempts: config.connect_attempts,
        ..Settings::default()
    };
    Endpoint::with_settings(identity, Secret::from_bytes(*start.secret.expose()), settings)
}

/// A fresh identity of a process.
fn server_id() -> anyhow::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(u128::from_le_bytes(bytes))
}
