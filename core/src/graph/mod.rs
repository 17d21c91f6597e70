//! A task graph as the scheduler takes it: tasks by number, edges in contiguous arrays.
//!
//! ```text
//!   graph.bin ─┐
//!   .json ─────┼─▶ GraphBuilder ─▶ Graph::check ─▶ Graph ─▶ static order ─▶ scheduler core
//!   Rust  ─────┘                    duplicates, cycles, unknown names, unsatisfiable asks
//! ```
//!
//! A `Graph` that came out of `check` holds: every edge names a task, no key stands twice, there is
//! no cycle, every output and every chunk of an array names a task.

mod build;
mod check;
mod command;
mod error;
mod extend;
mod intern;
mod order;
mod spec;
#[cfg(test)]
mod tests;

pub use build::{GraphBuilder, TaskHandle};
pub use check::{MAX_AXES, MAX_KEY_BYTES, MAX_TASKS};
pub use command::{Capture, CommandFault, CommandSpec};
pub use error::{GraphError, quoted};
pub use intern::KeyIndex;
pub use order::static_order;
pub use spec::{MAX_PARAM_DEPTH, Param, Params, RunSpec, TaskKind};

use crate::ids::{SpecId, TaskId};
use serde::{Deserialize, Serialize};

/// Rows of task numbers in one array: row `i` is `values[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Csr {
    /// One more than there are rows; starts with 0 and never decreases.
    pub offsets: Vec<u64>,
    /// All rows, one behind the other.
    pub values: Vec<TaskId>,
}

impl Csr {
    /// The row of a task.
    #[must_use]
    pub fn row(&self, task: TaskId) -> &[TaskId] {
        let start = self.offsets[task.index()] as usize;
        let end = self.offsets[task.index() + 1] as usize;
        &self.values[start..end]
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
}

/// All keys in one string: key `i` is `text[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// One more than there are keys.
    pub offsets: Vec<u64>,
    /// All keys, one behind the other, UTF-8.
    pub text: String,
}

impl Keys {
    /// The key of a task.
    #[must_use]
    pub fn key(&self, task: TaskId) -> &str {
        let start = self.offsets[task.index()] as usize;
        let end = self.offsets[task.index() + 1] as usize;
        &self.text[start..end]
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a user attached to one task. Absent fields follow the defaults of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attributes {
    /// User priority; larger runs earlier; default 0.
    pub priority: Option<i32>,
    /// Runs again this often after an error; default `--retries`.
    pub retries: Option<u32>,
    /// Abstract resources that the task holds while it runs, in millionths of one.
    pub resources: Vec<(String, u64)>,
    /// Worker ids (the rank), names or addresses that may run it; empty: any.
    pub workers: Vec<String>,
    /// Host names that may run it; empty: any. Union with `workers`.
    pub hosts: Vec<String>,
    /// Any worker may run it when none of `workers` and `hosts` is there.
    pub allow_other_workers: bool,
    /// Slots the task takes; default 1.
    pub threads: Option<u32>,
    /// Bytes that must be free before it starts; default 0.
    pub memory_bytes: Option<u64>,
    /// Expected duration in nanoseconds, instead of the prefix average.
    pub time_ns: Option<u64>,
    /// The task fails after this long, in nanoseconds.
    pub timeout_ns: Option<u64>,
}

/// A named array put together from chunks into one `.npy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayOutput {
    /// Name of the array and of its file.
    pub name: String,
    /// Full shape.
    pub shape: Vec<u64>,
    /// dtype as it stands in JSON, `f64` for example.
    pub dtype: String,
    /// Chunk lengths for each axis; each list sums to the axis.
    pub chunks: Vec<Vec<u64>>,
    /// Chunk tasks in C order of the grid of chunks.
    pub grid: Vec<TaskId>,
}

/// Which results the run must write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// Not said: the tasks without dependents.
    Sinks,
    /// These. Empty: every task runs once and nothing is written.
    Tasks(Vec<TaskId>),
}

/// A checked task graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Names of the tasks.
    pub keys: Keys,
    /// Distinct run specs.
    pub specs: Vec<RunSpec>,
    /// Run spec of each task.
    pub spec_of: Vec<SpecId>,
    /// Inputs of each task in the order of its arguments; a task may stand twice in a row.
    pub inputs: Csr,
    /// Attributes, sorted by task; most tasks have none.
    pub attributes: Vec<(TaskId, Attributes)>,
    /// What is to be written.
    pub outputs: Outputs,
    /// Arrays put together from chunks.
    pub arrays: Vec<ArrayOutput>,
    /// An order that came with the file, a permutation of the task numbers: position of each task.
    pub order: Option<Vec<u32>>,
    /// A JSON object: who made it, versions of what made it.
    pub meta: String,
}

impl Graph {
    /// Number of tasks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spec_of.len()
    }

    /// True when there is no task.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spec_of.is_empty()
    }

    /// The key of a task.
    #[must_use]
    pub fn key(&self, task: TaskId) -> &str {
        self.keys.key(task)
    }

    /// The run spec of a task.
    #[must_use]
    pub fn spec(&self, task: TaskId) -> &RunSpec {
        &self.specs[self.spec_of[task.index()].index()]
    }

    /// A task in messages about the end of its process: its key, and the plugin that it runs.
    #[must_use]
    pub fn suspect(&self, task: TaskId) -> String {
        let key = quoted(self.key(task));
        match self.spec(task).foreign() {
            Some(foreign) => format!("{key} ({foreign})"),
            None => key,
        }
    }

    /// Attributes of a task, when it has any.
    #[must_use]
    pub fn attributes_of(&self, task: TaskId) -> Option<&Attributes> {
        self.attributes.binary_search_by_key(&task, |(t, _)| *t).ok().map(|i| &self.attributes[i].1)
    }
}
