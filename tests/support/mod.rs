//! What every integration test needs: starting a run, waiting for it, and proof that nothing
//! of it is left.
//!
//! ```text
//! Start::new(launcher).args([...]).finish() ─► Outcome { code, stdout, stderr, … }
//!                                 .spawn()  ─► Run: look, signal, wait() ─► Outcome
//! ```
//!
//! Every run has its own TMPDIR and marks all of its processes by RDASK_JOB_ID. Invariant: when
//! a run is over, also after a panic, no process with that mark is left, nor a file of its own
//! in its TMPDIR, in /dev/shm or among the SysV segments.

pub(crate) mod graphs;
pub(crate) mod leftovers;
pub(crate) mod oracle;
pub(crate) mod path;
pub(crate) mod results;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod tree_run;

pub(crate) use run::{Launcher, Start};

#[cfg(test)]
mod tests;
