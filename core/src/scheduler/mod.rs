//! The scheduler's state machine.

mod event;
mod instruction;

pub use event::{GraphSubmission, SchedulerEvent};
pub use instruction::{DependencyAt, SchedulerInstruction, SchedulerOut, Span};
