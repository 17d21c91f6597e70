//! Tests of the store through its public interface, in one process.

mod model;
mod waiting;
