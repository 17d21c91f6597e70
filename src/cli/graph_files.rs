//! The library's graph files as the commands need them: faults in words, with a way out.

use crate::user_error::UserError;
use rdask_core::graph::Graph;
use std::io::Write;
use std::path::Path;

fn absent() -> UserError {
    UserError::new("graph files are not linked in", "")
}

/// A graph in any form: `crate::graph_file::load`.
pub(super) fn load(_path: &Path) -> Result<Graph, UserError> {
    Err(absent())
}

/// A graph in the JSON form: `crate::graph_json::…`.
pub(super) fn load_json(path: &Path) -> Result<Graph, UserError> {
    load(path)
}

/// graph.bin: `crate::graph_file::write`.
pub(super) fn write_binary(_graph: &Graph, _out: &mut dyn Write) -> std::io::Result<()> {
    Err(std::io::Error::other(absent()))
}

/// The JSON form: `crate::graph_json::export`.
pub(super) fn write_json(_graph: &Graph, _out: &mut dyn Write) -> std::io::Result<()> {
    Err(std::io::Error::other(absent()))
}

/// Graphviz: `crate::graph_dot::dot`.
pub(super) fn write_dot(_graph: &Graph, _out: &mut dyn Write) -> std::io::Result<()> {
    Err(std::io::Error::other(absent()))
}

/// What is told about a graph: `crate::graph_info::info`.
pub(super) fn info(_graph: &Graph, _json: bool) -> anyhow::Result<String> {
    Err(absent().into())
}

/// All faults of a graph file, or one line about it: `crate::graph_check::validate`.
pub(super) fn faults(path: &Path) -> (Vec<UserError>, String) {
    match load(path) {
        Err(error) => (vec![error], String::new()),
        Ok(graph) => (Vec::new(), format!("{} tasks, no fault", graph.len())),
    }
}
