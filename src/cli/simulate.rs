//! `rdask-hpc simulate`: a graph on a machine that is not there.
//!
//! The pretend cluster is `crate::simulate`; here stand the arguments and what is printed.

use super::{graph_files, print};
use crate::config::{Flags, Surroundings, resolve};
use crate::simulate::{Defaults, Report, Request, SimulateError, fault_names, simulate};
use crate::user_error::UserError;
use rdask_core::units::{format_bytes, parse_bytes};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `simulate`.
#[derive(clap::Args, Debug)]
pub(super) struct SimulateArgs {
    /// graph.bin, a .json file, or - for stdin
    graph: PathBuf,
    /// Worker processes, each on a machine of its own
    #[arg(long, value_name = "N", default_value_t = 4)]
    workers: u32,
    /// Threads of each worker
    #[arg(long, value_name = "C", default_value_t = 1)]
    threads: u32,
    /// One way of a message, microseconds
    #[arg(long, value_name = "US", default_value_t = 20.0, value_parser = amount)]
    latency: f64,
    /// Link of each machine, in and out, gigabytes (10^9) a second
    #[arg(long, value_name = "GBPS", default_value_t = 1.0, value_parser = positive)]
    bandwidth: f64,
    /// Seed of ties and faults
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[arg(long, value_name = "LIST", value_delimiter = ',', help = faults_help())]
    faults: Vec<String>,
    /// Duration of a task that does not say its own, microseconds
    #[arg(long, value_name = "US", default_value_t = 1000.0, value_parser = amount)]
    task_us: f64,
    /// Result of a task that does not say its own
    #[arg(long, value_name = "BYTES", default_value = "1KiB")]
    bytes: String,
    /// Check every invariant after every event
    #[arg(long)]
    validate: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Change a setting; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

fn faults_help() -> String {
    format!("What breaks, of {}", fault_names().collect::<Vec<_>>().join(", "))
}

/// A number of microseconds up to a day.
fn amount(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=86_400e6).contains(number));
    number.ok_or_else(|| "it is a number from 0 to 86400000000".to_owned())
}

/// A bandwidth: a byte a second to 10^18.
fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (1e-9..=1e9).contains(number));
    number.ok_or_else(|| "it is a number above 0, at most 10^9".to_owned())
}

/// Simulates and prints.
pub(super) fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let nbytes =
        parse_bytes(&args.bytes).map_err(|error| UserError::new(error.to_string(), "--bytes"))?;
    let mut flags = Flags::new();
    if !args.set.is_empty() {
        flags.insert("set", args.set.clone());
    }
    let options = resolve(flags, &Surroundings::of_process()?)?;
    let graph = graph_files::load(&args.graph)?;
    let nanoseconds = |us: f64| (us * 1e3).round() as u64;
    let request = Request {
        workers: args.workers,
        threads: args.threads,
        latency_ns: nanoseconds(args.latency),
        bandwidth: (args.bandwidth * 1e9).round() as u64,
        seed: args.seed,
        faults: args.faults,
        defaults: Defaults { duration_ns: nanoseconds(args.task_us), nbytes },
        config: options.config()?,
        validate: args.validate,
    };
    let report = match simulate(graph, &request) {
        Ok(report) => report,
        Err(SimulateError::Broken(what)) => {
            return Err(anyhow::Error::new(SimulateError::Broken(what)));
        }
        Err(error) => {
            let text = UserError::new(error.to_string(), "");
            let text = match error.help() {
                Some(help) => text.help(help),
                None => text,
            };
            return Err(text.into());
        }
    };
    if let Some(line) = defaults_line(&report, &request) {
        print::note(&line);
    }
    let text = if args.json { serde_json::to_string(&report)? } else { as_text(&report) };
    print::data(&text)?;
    Ok(if report.erred == 0 { ExitCode::SUCCESS } else { ExitCode::from(super::EXIT_TASK) })
}

/// What was assumed of tasks that do not say.
fn defaults_line(report: &Report, request: &Request) -> Option<String> {
    let taken = report.defaults;
    let us = request.defaults.duration_ns as f64 / 1e3;
    let mut parts = Vec::new();
    if taken.durations > 0 {
        parts.push(format!("{} tasks take {us} us each (--task-us)", taken.durations));
    }
    if taken.sizes > 0 {
        let size = format_bytes(request.defaults.nbytes);
        parts.push(format!("{} results have {size} each (--bytes)", taken.sizes));
    }
    (!parts.is_empty())
        .then(|| format!("assumed, where the graph does not say: {}", parts.join(", ")))
}

fn as_text(report: &Report) -> String {
    let bound = &report.lower_bound;
    let mut lines = vec![
        (
            "tasks",
            format!("{} on {} workers, {} threads", report.tasks, report.workers, report.threads),
        ),
        ("makespan", format!("{:.6} s", report.makespan)),
        (
            "lower bound",
            format!(
                "critical path {:.6} s, work {:.6} s, phases {:.6} s, bytes {:.6} s",
                bound.critical_path, bound.work, bound.phases, bound.bytes
            ),
        ),
        ("ratio", report.ratio.map_or("none: the job failed".to_owned(), |it| format!("{it:.3}"))),
        ("transfers", format!("{}, {} bytes", report.transfers, report.bytes_moved)),
        (
            "peak memory",
            format!(
                "{} bytes on one worker, {} on all",
                report.peak_memory.worker, report.peak_memory.total
            ),
        ),
    ];
    if let Some(failure) = &report.failure {
        let (erred, key) = (report.erred, &failure.key);
        lines.push(("erred", format!("{erred} tasks, first '{key}': {}", failure.message)));
    }
    if report.deaths > 0 || report.runs > report.tasks {
        let again = report.runs.saturating_sub(report.tasks);
        lines.push(("faults", format!("{} workers died, {again} runs more", report.deaths)));
    }
    lines.push(("hash", report.hash.clone()));
    lines.iter().map(|(name, text)| format!("{name:<14} {text}\n")).collect()
}
