//! rdask: Dask's distributed scheduler and workers as one HPC batch job.

pub mod byte_size;
pub mod graph_dot;
pub mod graph_file;
pub mod graph_info;
pub mod graph_json;
pub mod graph_load;
#[cfg(test)]
mod graph_samples;
pub mod kernels;

pub use graph_load::{Fault, LoadError};
pub use rdask_core::graph::{
    ArrayOutput, Attributes, Graph, GraphBuilder, GraphError, Outputs, Param, Params, RunSpec,
    TaskHandle,
};
