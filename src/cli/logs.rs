//! `rdask-hpc logs`: what a command task printed, every attempt under a heading.

use super::print;
use crate::config::{Flags, Surroundings, resolve};
use crate::output::{MANIFEST, Manifest};
use crate::task_log::{Attempt, FOLDER, TaskLogs};
use crate::user_error::UserError;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
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
    // Of several attempts that ended well the file has what the last one printed.
    let last = attempts.iter().rposition(|attempt| attempt.record.captured);
    for (index, attempt) in attempts.into_iter().enumerate() {
        let (mut stdout, stderr) = attempt.read().map_err(|error| {
            UserError::new(format!("a log cannot be read: {error}"), attempt.record.worker.clone())
        })?;
        let result = (last == Some(index)).then(|| result_of(&options.output, &args.key)).flatten();
        if let Some(path) = &result {
            stdout = std::fs::read(path).map_err(|error| {
                UserError::new(
                    format!("a result cannot be read: {error}"),
                    path.display().to_string(),
                )
            })?;
        }
        if args.json {
            print::data(&as_json(attempt, &stdout, &stderr, result.as_deref()).to_string())?;
        } else {
            as_text(attempt, &stdout, &stderr, result.as_deref())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The file with the result of a task, when the run has written one.
fn result_of(output: &Path, key: &str) -> Option<PathBuf> {
    let text = std::fs::read(output.join(MANIFEST)).ok()?;
    let manifest: Manifest = serde_json::from_slice(&text).ok()?;
    Some(output.join(manifest.outputs.get(key)?.file()?))
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

fn as_json(
    attempt: &Attempt,
    stdout: &[u8],
    stderr: &[u8],
    result: Option<&Path>,
) -> serde_json::Value {
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
        "captured": record.captured,
        "result": result.map(|path| path.display().to_string()),
    })
}

/// The bytes as the program wrote them, each stream marked when both are there.
fn as_text(
    attempt: &Attempt,
    stdout: &[u8],
    stderr: &[u8],
    result: Option<&Path>,
) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(attempt.record.heading().as_bytes())?;
    let printed = match result {
        Some(path) => format!("stdout, the result: {}", path.display()),
        None => "stdout".to_owned(),
    };
    if attempt.record.captured && result.is_none() {
        writeln!(out, "---- stdout became the result, which is in no file here")?;
    }
    for (name, bytes) in [(printed.as_str(), stdout), ("stderr", stderr)] {
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
