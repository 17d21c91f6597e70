//! The built-in array operations, with numpy 2's rules.
//!
//! `parse` turns a name and its parameters into a `Kernel` and finds every fault that can be found
//! without data; `Kernel::run` computes on inputs borrowed from the store, into a buffer of the
//! store. No result depends on the number of threads or on the schedule.

use rdask_core::graph::Params;
use rdask_core::messages::TaskError;
use rdask_store::{Sealed, Store};
use std::path::Path;

/// What a kernel may know about where it runs. Results must not depend on it, except `rank`'s.
#[derive(Debug)]
pub struct Context<'a> {
    /// Where results are allocated.
    pub store: &'a Store,
    /// For memory that must be waited for: smaller is served first.
    pub priority: u64,
    /// Threads that the kernel may use.
    pub threads: u32,
    /// Runs of this task that failed or died before.
    pub attempt: u32,
    /// Rank of the worker.
    pub rank: i64,
    /// Folder that relative paths refer to.
    pub working_directory: &'a Path,
}

/// A fault in a run spec, found before the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No kernel has this name.
    #[error("unknown kernel '{name}'")]
    UnknownKernel {
        /// The name.
        name: String,
        /// The most similar one.
        nearest: Option<String>,
    },
    /// A parameter is missing.
    #[error("kernel '{kernel}' needs the parameter '{parameter}'")]
    MissingParameter {
        /// The kernel.
        kernel: String,
        /// The parameter.
        parameter: String,
    },
    /// A parameter that the kernel does not know.
    #[error("kernel '{kernel}' has no parameter '{parameter}'")]
    UnknownParameter {
        /// The kernel.
        kernel: String,
        /// The parameter.
        parameter: String,
        /// The most similar one.
        nearest: Option<String>,
    },
    /// A parameter has the wrong type or value.
    #[error("parameter '{parameter}' of kernel '{kernel}': {problem}")]
    BadParameter {
        /// The kernel.
        kernel: String,
        /// The parameter.
        parameter: String,
        /// What is wrong and what is expected; for expressions with the place.
        problem: String,
    },
    /// The kernel takes another number of inputs.
    #[error("kernel '{kernel}' takes {expected}, not {given} inputs")]
    WrongInputCount {
        /// The kernel.
        kernel: String,
        /// `2 inputs`, `at least 1 input`, …
        expected: String,
        /// How many the task has.
        given: usize,
    },
}

/// A kernel with its checked parameters.
#[derive(Debug)]
pub struct Kernel {}

/// Checks a name, its parameters and the number of inputs.
///
/// # Errors
/// The first fault found.
pub fn parse(name: &str, params: &Params, inputs: usize) -> Result<Kernel, SpecError> {
    let _ = (params, inputs);
    Err(SpecError::UnknownKernel { name: name.to_owned(), nearest: None })
}

impl Kernel {
    /// Computes.
    ///
    /// # Errors
    /// The task's error as data: kind as Python would name it (`ValueError`, `TypeError`,
    /// `FileNotFoundError`, `MemoryError`), numpy's condition in words with the shapes.
    pub fn run(&self, context: &Context<'_>, inputs: &[Sealed]) -> Result<Sealed, TaskError> {
        let _ = (context, inputs);
        Err(TaskError { kind: String::new(), message: String::new(), traceback: String::new() })
    }
}
