//! One run from its options to its exit code.

use crate::config::RunOptions;
use std::path::Path;

/// Runs a graph and returns the exit code of the process.
pub fn run(options: RunOptions, graph: &Path) -> i32 {
    tracing::error!(?options, ?graph, "nothing runs yet");
    3
}
