//! rdask: Dask's distributed scheduler and workers as one HPC batch job.

pub mod cli;
pub mod config;
pub mod kernels;
pub mod observe;
pub mod output;
pub mod run;
pub mod user_error;
