//! Tests of the transport through its public interface, in one process.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attacks;
mod channels;
mod objects;
mod replay;
mod suite;
