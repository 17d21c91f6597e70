//! The built-in array operations, with numpy 2's rules, and functions of plugins.
//!
//! `parse` turns a name and its parameters into a `Kernel` and finds every fault that can be found
//! without data; `Kernel::run` computes on inputs borrowed from the store, into a buffer of the
//! store. No result depends on the number of threads or on the schedule.

mod array;
mod cast;
mod create;
mod elementwise;
mod fault;
mod fuse;
mod io;
mod linalg;
mod npy;
mod numeric;
mod order;
mod parallel;
mod params;
mod philox;
mod plane;
mod plugin;
mod plugin_file;
mod plugin_params;
mod promotion;
mod random;
mod reduce;
mod scalar;
mod shape;
mod signal;
mod simd;
mod stencil;
mod strided;
mod table;
mod testing;
mod time;
mod widened;

pub(crate) use npy::header_bytes as npy_header;
pub use plugin_file::PluginFault;

use array::{input_name, text};
use plugin::Plugin;
use plugin_file::PluginChecker;
use rdask_core::graph::{CommandFault, Params, RunSpec, quoted};
use rdask_core::messages::TaskError;
use rdask_store::{Header, Sealed, Store};
use std::fmt;
use std::path::Path;
use table::Operation;

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
    /// A command that no system can run.
    #[error(transparent)]
    Command(#[from] CommandFault),
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
    /// A plugin cannot be used.
    #[error("plugin {}: {fault}", quoted(path))]
    Plugin {
        /// Its file, as the graph names it.
        path: String,
        /// Why.
        fault: PluginFault,
    },
}

/// A kernel with its checked parameters. It may run many times, on many threads at once.
pub struct Kernel {
    name: &'static str,
    operation: Operation,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks a name, its parameters and the number of inputs.
///
/// # Errors
/// The first fault found.
pub fn parse(name: &str, params: &Params, inputs: usize) -> Result<Kernel, SpecError> {
    table::parse(name, params, inputs).map(|(name, operation)| Kernel { name, operation })
}

/// What a run spec runs, with checked parameters. Nothing of a plugin is opened before it runs.
///
/// None for a command, which is no kernel and runs in a process of its own.
///
/// # Errors
/// The first fault of a kernel or a command.
pub fn of_spec(spec: &RunSpec, inputs: usize) -> Result<Option<Kernel>, SpecError> {
    match spec {
        RunSpec::Kernel { name, params } => parse(name, params, inputs).map(Some),
        RunSpec::Command(command) => Ok(command.check(inputs).map(|()| None)?),
        RunSpec::Plugin { path, symbol, params } => {
            let plugin = Plugin::new(path, symbol, params);
            let operation: Operation = Box::new(move |context, inputs| plugin.run(context, inputs));
            Ok(Some(Kernel { name: "plugin", operation }))
        }
    }
}

/// Finds what is wrong with run specs before a run.
#[derive(Debug)]
pub struct Checker {
    plugins: PluginChecker,
}

impl Checker {
    /// Relative paths of plugins refer to `working_directory`.
    #[must_use]
    pub fn new(working_directory: &Path) -> Self {
        Self { plugins: PluginChecker::new(working_directory) }
    }

    /// Checks a run spec with a number of inputs; a plugin by its file, without running any of it.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check(&mut self, spec: &RunSpec, inputs: usize) -> Result<(), SpecError> {
        match spec {
            RunSpec::Kernel { name, params } => parse(name, params, inputs).map(drop),
            RunSpec::Command(command) => Ok(command.check(inputs)?),
            RunSpec::Plugin { path, symbol, .. } => self
                .plugins
                .check(path, symbol)
                .map_err(|fault| SpecError::Plugin { path: path.clone(), fault }),
        }
    }
}

/// Names of all kernels, in the order of the documentation.
pub fn names() -> impl Iterator<Item = &'static str> {
    table::names()
}

/// Names of the parameters of a kernel; none of one that is not known.
pub fn parameters(kernel: &str) -> &'static [&'static str] {
    table::parameters(kernel)
}

impl Kernel {
    /// Computes.
    ///
    /// # Errors
    /// The task's error as data: kind as Python would name it (`ValueError`, `TypeError`,
    /// `FileNotFoundError`, `MemoryError`), numpy's condition in words with the shapes.
    pub fn run(&self, context: &Context<'_>, inputs: &[Sealed]) -> Result<Sealed, TaskError> {
        (self.operation)(context, inputs).map_err(|mut error| {
            // The message of `fail` is the user's own.
            if !inputs.is_empty() && self.name != "fail" {
                error.message = format!("{} [{}]", error.message, described(inputs));
            }
            error
        })
    }
}

/// Most inputs that an error message describes.
const DESCRIBED_INPUTS: usize = 8;

/// The inputs in words: `a float64 (3,4), b bytes of 10`.
fn described(inputs: &[Sealed]) -> String {
    let one = |(index, input): (usize, &Sealed)| {
        let name = input_name(index);
        match input.header() {
            Header::Bytes => format!("{name} bytes of {}", input.nbytes()),
            Header::Array { dtype, shape } => {
                let shape: Vec<usize> = shape.iter().map(|length| *length as usize).collect();
                format!("{name} {} {}", dtype.numpy_name(), text(&shape))
            }
        }
    };
    let mut words: Vec<String> =
        inputs.iter().enumerate().take(DESCRIBED_INPUTS).map(one).collect();
    if inputs.len() > DESCRIBED_INPUTS {
        words.push(format!("and {} more", inputs.len() - DESCRIBED_INPUTS));
    }
    words.join(", ")
}
