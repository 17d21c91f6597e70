//! `rdask-hpc replay`: a flight record through a fresh scheduler.

use super::{EXIT_CLUSTER, print};
use crate::user_error::UserError;
use rdask_core::ids::TaskId;
use rdask_core::nearest::nearest;
use rdask_core::record::{Record, RecordError, Replay, Replayed};
use rdask_core::scheduler::{SchedulerEvent, TaskState};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// Keys among which a near one is looked for.
const KEYS_LOOKED_AT: usize = 100_000;

/// Arguments of `replay`.
#[derive(clap::Args, Debug)]
pub(super) struct ReplayArgs {
    /// What --record wrote
    record: PathBuf,
    /// Stop behind this many events
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Print the state changes of a task
    #[arg(long, value_name = "KEY", conflicts_with = "events")]
    story: Option<String>,
    /// Print the events instead, one a line; also those of a ring
    #[arg(long)]
    events: bool,
    /// Check every invariant after every event
    #[arg(long)]
    validate: bool,
    /// Print one JSON object; with --events one a line
    #[arg(long)]
    json: bool,
}

/// Replays and prints; exit code 3 when the state is another one.
pub(super) fn run(args: &ReplayArgs, commit: Option<&str>) -> anyhow::Result<ExitCode> {
    let place = args.record.display().to_string();
    let bytes = std::fs::read(&args.record).map_err(|error| {
        UserError::new(format!("the record cannot be read: {error}"), place.clone())
    })?;
    let wrong = |error: RecordError| refused(&error, &place);
    let record = Record::read(bytes).map_err(wrong)?;
    if args.events {
        print_events(&record, args).map_err(|error| match error.downcast::<RecordError>() {
            Ok(error) => anyhow::Error::new(wrong(error)),
            Err(error) => error,
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let task = args.story.as_deref().map(|key| task_of(&record, key)).transpose()?;
    let replay = Replay { until: args.until, stories: task.is_some(), validate: args.validate };
    let replayed = replay.run(&record).map_err(wrong)?;
    if args.json {
        print::data(&as_json(&record, &replayed, task).to_string())?;
    } else {
        print::data(&as_text(&record, &replayed, task))?;
    }
    if replayed.agrees() {
        return Ok(ExitCode::SUCCESS);
    }
    let ours = format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let ours = commit.map_or_else(|| ours.clone(), |commit| format!("{ours} ({commit})"));
    print::remark(&format!(
        "the replay went another way than the run; the record is of {}, this is {ours}",
        record.info().program
    ));
    Ok(ExitCode::from(EXIT_CLUSTER))
}

fn refused(error: &RecordError, place: &str) -> UserError {
    let refusal = UserError::new(error.to_string(), place);
    match error {
        RecordError::Ring { .. } => refusal.help(
            "only a record from its first event on can be replayed: record without --record-size, \
             or look at the events with --events",
        ),
        RecordError::Version { .. } | RecordError::Settings(_) => {
            refusal.help("replay with the program that wrote it")
        }
        _ => refusal,
    }
}

/// The task with a key.
fn task_of(record: &Record, key: &str) -> Result<TaskId, UserError> {
    let Some(submission) = record.graph() else {
        return Err(UserError::new("the record has no graph: its run ended before", ""));
    };
    let graph = &submission.graph;
    let tasks = || (0..graph.len()).map(TaskId::from_index);
    if let Some(task) = tasks().find(|task| graph.key(*task) == key) {
        return Ok(task);
    }
    let error = UserError::new(format!("the graph has no task '{key}'"), "--story");
    let keys = tasks().take(KEYS_LOOKED_AT).map(|task| graph.key(task));
    Err(match nearest(key, keys) {
        Some(name) => error.help(format!("did you mean '{name}'?")),
        None => error,
    })
}

/// States by name, with how many tasks are in each.
fn states(replayed: &Replayed) -> Vec<(String, u64)> {
    let named = TaskState::ALL
        .into_iter()
        .map(|state| (format!("{state:?}").to_lowercase(), replayed.state.count_in(state)));
    named.filter(|(_, count)| *count > 0).collect()
}

fn as_text(record: &Record, replayed: &Replayed, task: Option<TaskId>) -> String {
    let states: Vec<String> =
        states(replayed).iter().map(|(name, count)| format!("{count} {name}")).collect();
    let hash = replayed.state_hash;
    let compared = match replayed.expected {
        Some(expected) if expected == hash => "the same as recorded".to_owned(),
        Some(expected) => format!("recorded was {expected:016x}"),
        None if record.end().is_some() => "not compared: the record goes on".to_owned(),
        None => "not compared: the record has no end, its run was killed".to_owned(),
    };
    let mut lines = vec![
        ("record", format!("by {}, seed {}", record.info().program, record.info().seed)),
        ("events", format!("{} of {}", replayed.events, record.events())),
        ("workers", replayed.state.workers().count().to_string()),
        ("tasks", states.join(", ")),
        ("state hash", format!("{hash:016x}, {compared}")),
    ];
    if record.cut_bytes() > 0 {
        lines
            .push(("cut off", format!("{} bytes behind the last whole block", record.cut_bytes())));
    }
    if let Some(number) = replayed.diverged {
        lines.push(("diverged", format!("at event {number} or shortly before")));
    }
    let mut text: String =
        lines.iter().map(|(name, line)| format!("{name:<11} {line}\n")).collect();
    if let Some(task) = task {
        text.push_str(&replayed.story(task));
    }
    text
}

fn as_json(record: &Record, replayed: &Replayed, task: Option<TaskId>) -> serde_json::Value {
    let states: serde_json::Map<String, serde_json::Value> =
        states(replayed).into_iter().map(|(name, count)| (name, count.into())).collect();
    let story: Option<Vec<String>> = task.map(|task| {
        replayed.story(task).lines().skip(1).map(|line| line.trim().to_owned()).collect()
    });
    json!({
        "version": 1,
        "program": record.info().program,
        "seed": record.info().seed,
        "events": replayed.events,
        "recorded_events": record.events(),
        "workers": replayed.state.workers().count(),
        "tasks": states,
        "state_hash": format!("{:016x}", replayed.state_hash),
        "recorded_hash": replayed.expected.map(|hash| format!("{hash:016x}")),
        "agrees": replayed.agrees(),
        "diverged": replayed.diverged,
        "cut_bytes": record.cut_bytes(),
        "story": story,
    })
}

/// Writes the events as they come.
fn print_events(record: &Record, args: &ReplayArgs) -> anyhow::Result<()> {
    if !print::speaks() {
        return Ok(());
    }
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut written = Ok(());
    let until = args.until.unwrap_or(u64::MAX);
    record.for_each(&mut |number, now, event, _| {
        if number >= until {
            return false;
        }
        let name = event.name();
        let what = about(record, &event);
        let seconds = now.as_secs_f64();
        written = if args.json {
            let line = json!({"event": number, "time": seconds, "name": name, "what": what});
            writeln!(out, "{line}")
        } else {
            writeln!(out, "{number} {seconds:.6} {name} {what}")
        };
        written.is_ok()
    })?;
    written?;
    out.flush()?;
    Ok(())
}

/// What an event is about, in words: keys instead of numbers where the graph is there.
fn about(record: &Record, event: &SchedulerEvent) -> String {
    use SchedulerEvent as E;
    let key = |task: TaskId| match record.graph() {
        Some(submission) if task.index() < submission.graph.len() => {
            submission.graph.key(task).to_owned()
        }
        _ => format!("task {}", task.0),
    };
    let keys = |tasks: &[TaskId]| {
        let named: Vec<String> = tasks.iter().take(10).map(|task| key(*task)).collect();
        let more = tasks.len().saturating_sub(10);
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{rest}", named.join(" "))
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _infallible = match event {
        E::AddWorker { worker, registration } => {
            write!(text, "worker {} ({} on {})", worker.0, registration.name, registration.host)
        }
        E::RemoveWorker { worker, reason, .. } => write!(text, "worker {}: {reason}", worker.0),
        E::TaskFinished { worker, task, run_id, nbytes, duration_ns, .. } => write!(
            text,
            "{} run {} on worker {}, {nbytes} bytes, {duration_ns} ns",
            key(*task),
            run_id.0,
            worker.0
        ),
        E::TaskErred { worker, task, run_id, error } => write!(
            text,
            "{} run {} on worker {}: {}: {}",
            key(*task),
            run_id.0,
            worker.0,
            error.kind,
            error.message
        ),
        E::UpdateGraph(submission) => write!(text, "{} tasks", submission.graph.len()),
        E::AddKeys { worker, tasks } => write!(text, "worker {}: {}", worker.0, keys(tasks)),
        E::Heartbeat { worker, .. } => write!(text, "worker {}", worker.0),
        E::ClientDesiresKeys { tasks, .. } | E::ClientReleasesKeys { tasks, .. } => {
            write!(text, "{}", keys(tasks))
        }
        other => write!(text, "{other:?}"),
    };
    text
}
