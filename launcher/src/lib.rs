//! Ranks and CPUs: who started us, who does what, and the processes that do it.
//!
//! The launcher places processes and knows no task. `env` finds the launcher, `bootstrap` brings
//! the ranks together (through MPI or alone), `plan` and `pinning` divide each machine, `spawn`
//! starts children, `control` talks to them, `nanny` decides when one is started again. The
//! supervisor that drives all this over the network is `src/nanny.rs` of the root package.

pub mod assign;
pub mod bootstrap;
pub mod control;
pub mod cpuset;
pub mod descendants;
pub mod env;
pub mod facts;
pub mod layout;
pub mod limits;
pub mod mpi;
pub mod nanny;
pub mod pinning;
pub mod plan;
pub mod programs;
pub mod roles;
pub mod scratch;
pub mod signals;
pub mod spawn;
pub mod topology;
