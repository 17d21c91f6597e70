//! Tests of the transport through its public interface, in one process.

mod attacks;
mod channels;
mod objects;
mod replay;
mod suite;
