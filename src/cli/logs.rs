//! `rdask-hpc logs`: what a command task printed, every attempt under a heading.

use super::print;
use crate::config::{Flags, Surroundings, resolve};
use crate::task_log::{Attempt, FOLDER, TaskLogs};
use crate::user_error::UserError;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;

/// Whose words, and where they are.
#[derive(Debug, clap::Args)]
pub(super) struct LogsArgs {
    /// The task
    key: String,
    /// Output folder of the run [default: rdask-output]
    #[arg(long, value_name = "DIR")]
    output: Option<String>,
    /// Folder of the logs, where the run had one of its own
    #[arg(long, value_name = "DIR")]
    log_dir: Option<String>,
    /// Print one JSON object an attempt
    #[arg(long)]
    json: bool,
}

/// Prints every attempt of a key, the oldest first.
pub(super) fn run(args: LogsArgs) -> anyhow::Result<ExitCode> {
    let mut flags = Flags::new();
    flags.extend(args.output.map(|folder| ("output", vec![folder])));
    flags.extend(args.log_dir.map(|folder| ("log-dir", vec![folder])));
    let options = resolve(flags, &Surroundings::of_process()?)?;
    let mut folders = vec![options.output.join(FOLDER)];
    if options.task_logs != folders[0] {
        folders.push(options.task_logs);
    }
    let logs = TaskLogs::open(&folders).map_err(|(path, error)| {
        UserError::new(format!("a log cannot be read: {error}"), path.display().to_string())
    })?;
    let attempts = logs.of(&args.key);
    if attempts.is_empty() {
        return Err(
            nothing(&args.key, &logs, &folders[folders.len() - 1].display().to_string()).into()
        );
    }
    for attempt in attempts {
        let (stdout, stderr) = attempt.read().map_err(|error| {
            UserError::new(format!("a log cannot be read: {error}"), attempt.record.worker.clone())
        })?;
        if args.json {
            print::data(&as_json(attempt, &stdout, &stderr).to_string())?;
        } else {
            as_text(attempt, &stdout, &stderr)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why there is nothing to show.
fn nothing(key: &str, logs: &TaskLogs, folder: &str) -> UserError {
    let error = UserError::new(format!("no command task '{key}' is in the logs"), folder);
    match (logs.nearest(key), logs.key_count()) {
        (Some(near), _) => error.help(format!("did you mean '{near}'?")),
        (None, 0) => error.help("name the output folder of the run with --output DIR"),
        (None, count) => error.help(format!("there are {count} others")),
    }
}

fn as_json(attempt: &Attempt, stdout: &[u8], stderr: &[u8]) -> serde_json::Value {
    let record = &attempt.record;
    json!({
        "key": record.key,
        "attempt": record.attempt,
        "job": record.job,
        "worker": record.worker,
        "host": record.host,
        "began": record.began,
        "seconds": record.seconds,
        "end": record.end,
        "stdout": String::from_utf8_lossy(stdout),
        "stderr": String::from_utf8_lossy(stderr),
    })
}

/// The bytes as the program wrote them, each stream marked when both are there.
fn as_text(attempt: &Attempt, stdout: &[u8], stderr: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(attempt.record.heading().as_bytes())?;
    for (name, bytes) in [("stdout", stdout), ("stderr", stderr)] {
        if bytes.is_empty() {
            continue;
        }
        writeln!(out, "---- {name}")?;
        out.write_all(bytes)?;
        if !bytes.ends_with(b"\n") {
            out.write_all(b"\n")?;
        }
    }
    out.flush()
}
