//! The launch from end to end, with children that play scripts instead of a scheduler and workers.
//!
//! A program of its own, because a supervisor starts its children by running itself again: called
//! with `__role` it is a child, with `rank SCRIPT` a rank, else it runs the tests, of which each
//! starts ranks alone or under mpirun. No test leaves a process behind: each asserts that.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test with a main of its own"
)]

mod cases;
#[path = "../support/path.rs"]
mod path;
mod roles;

use rdask::supervisor::launch;
use rdask_launcher::assign::LaunchOptions;
use rdask_launcher::bootstrap::Wishes;
use rdask_launcher::limits::MemoryLimit;
use std::process::ExitCode;

/// Memory limit of each worker in these tests, bytes.
pub const MEMORY_LIMIT_BYTES: u64 = 256 << 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    match words[..] {
        ["__role", ..] => roles::play(),
        ["rank", script, workers] => rank(script, workers),
        _ => cases::run_all(words.iter().copied().find(|word| !word.starts_with('-'))),
    }
}

fn rank(script: &str, workers: &str) -> ExitCode {
    let outcome = launch(None, || {
        if script == "fault" {
            return Err("error: no such graph".to_owned());
        }
        let launch = LaunchOptions {
            workers: workers.parse().ok(),
            memory_limit: MemoryLimit::Bytes(MEMORY_LIMIT_BYTES),
            // Where the scripts mark that a worker lived before; the supervisor removes it.
            local_directory: Some(std::env::temp_dir()),
            ..LaunchOptions::default()
        };
        Ok(Wishes { launch, options: script.to_owned() })
    });
    if let Some(message) = outcome.message {
        eprintln!("{message}");
    }
    ExitCode::from(u8::try_from(outcome.code).unwrap())
}
