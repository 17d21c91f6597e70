//! Tests of the store through its public interface, in one process.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod model;
mod waiting;
