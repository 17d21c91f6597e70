//! rdask: Dask's distributed scheduler and workers as one HPC batch job.
//!
//! The library builds and reads graphs, and runs them inside the calling process:
//!
//! * [`GraphBuilder`] puts a graph together, [`graph_file`] and [`graph_json`] read and write it;
//! * [`run_local()`] runs it with a scheduler and one worker in this process.
//!
//! The binary `rdask-hpc` runs a graph under `mpirun`, `srun` or alone: see [`cli`].

pub mod cli;
mod clock;
pub mod config;
pub mod doctor;
mod executor;
pub mod generate;
pub mod graph_dot;
pub mod graph_file;
pub mod graph_info;
pub mod graph_json;
pub mod graph_load;
#[cfg(test)]
mod graph_samples;
pub mod kernels;
mod nanny;
pub mod observe;
mod outgoing;
pub mod output;
mod panics;
mod role;
pub mod run;
mod run_local;
mod scheduler;
pub mod simulate;
pub mod supervisor;
pub mod sweep;
pub mod task_log;
pub mod user_error;
mod worker;

pub use graph_file::GraphFile;
pub use graph_load::{Fault, LoadError};
pub use rdask_core::graph::{
    ArrayOutput, Attributes, Capture, CommandFault, CommandSpec, Graph, GraphBuilder, GraphError,
    Outputs, Param, Params, RunSpec, TaskHandle,
};
pub use run_local::{LocalOptions, Results, RunError, run_local};

/// The examples of the README run as tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
