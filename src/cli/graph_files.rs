//! The library's graph files as the commands need them: faults in words, with a way out.

use crate::graph_info::GraphInfo;
use crate::graph_load::{self, Fault, LoadError};
use crate::user_error::UserError;
use rdask_core::graph::{Graph, quoted};
use std::path::Path;

/// A graph in any form; all faults of it become one error.
pub(super) fn load(path: &Path) -> Result<Graph, UserError> {
    graph_load::load(text(path)?).map_err(|error| {
        let help = error.help();
        with_help(UserError::new(error.to_string(), ""), help)
    })
}

/// Each fault of a graph file, its kernels included.
pub(super) fn faults(path: &Path) -> Result<Vec<UserError>, UserError> {
    let origin = text(path)?.to_owned();
    let faults = graph_load::validate_file(&origin);
    let helps: Vec<Option<String>> = faults.iter().map(Fault::help).collect();
    let lines = LoadError { origin, faults };
    let errors = lines.lines().zip(helps);
    Ok(errors.map(|(line, help)| with_help(UserError::new(line, ""), help)).collect())
}

/// What is told about a graph, one line each.
pub(super) fn info_text(info: &GraphInfo) -> String {
    let kernels: Vec<String> =
        info.kernels.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let path = &info.critical_path;
    let keys: Vec<String> = path.keys.iter().map(|key| quoted(key)).collect();
    let seconds = path.seconds.map_or(String::new(), |seconds| format!(", {seconds} s"));
    let more = if (path.keys.len() as u64) < path.tasks { " → …" } else { "" };
    let lines = [
        ("tasks", format!("{} ({} not needed)", info.tasks, info.not_needed)),
        ("edges", info.edges.to_string()),
        ("run specs", info.specs.to_string()),
        ("kernels", kernels.join(", ")),
        ("sources", info.sources.to_string()),
        ("sinks", info.sinks.to_string()),
        ("outputs", info.outputs.to_string()),
        ("arrays", info.arrays.to_string()),
        ("attributes", format!("of {} tasks", info.with_attributes)),
        ("depth", format!("{} levels", info.depth)),
        ("width", format!("{} tasks", info.width)),
        ("critical path", format!("{} tasks{seconds}: {}{more}", path.tasks, keys.join(" → "))),
        ("created", format!("{} bytes by tasks without inputs", info.created_bytes)),
        ("file", format!("{} bytes as graph.bin", info.file_bytes)),
        ("content hash", info.content_hash.clone()),
    ];
    lines.iter().map(|(name, text)| format!("{name:<14} {text}\n")).collect()
}

fn with_help(error: UserError, help: Option<String>) -> UserError {
    match help {
        Some(help) => error.help(help),
        None => error,
    }
}

fn text(path: &Path) -> Result<&str, UserError> {
    let place = path.display().to_string();
    path.to_str().ok_or_else(|| UserError::new("the path of the graph is not UTF-8", place))
}
