//! What a run shows of itself: log, progress, event file, flight record. All to stderr or to files, never stdout.

pub mod events;
pub(crate) mod forward;
pub mod log;
pub mod progress;
pub mod record;
