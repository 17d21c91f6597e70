//! Ranks and CPUs.

pub mod cpuset;
pub mod limits;
pub mod pinning;
pub mod plan;
pub mod topology;
