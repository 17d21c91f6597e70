//! rdask: Dask's distributed scheduler and workers as one HPC batch job.

pub mod kernels;
mod nanny;
pub mod supervisor;
