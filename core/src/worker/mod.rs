//! The worker's state machine.

mod event;
mod instruction;

pub use event::WorkerEvent;
pub use instruction::{WorkerInstruction, WorkerOut};
