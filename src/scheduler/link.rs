//! The scheduler's end of one worker: its connection, what it said last, and its clock.
//!
//! What has crossed the connection already is known to `Introductions` of the core.

use super::retiring::Leaving;
use crate::outgoing::Outgoing;
use rdask_core::messages::{Heartbeat, WorkerRegistration};
use rdask_core::time::Time;
use rdask_transport::ChannelSender;
use std::time::Instant;

/// A worker as the driver sees it.
#[derive(Debug)]
pub(super) struct Link {
    /// What it said about itself.
    pub(super) registration: WorkerRegistration,
    /// Its latest heartbeat.
    pub(super) heartbeat: Heartbeat,
    /// Our clock minus its clock, nanoseconds.
    pub(super) clock_offset_ns: i64,
    /// It holds files that are not synced.
    pub(super) wrote: bool,
    /// It was ordered to leave, or has left.
    pub(super) leaving: Option<Leaving>,
    /// Since when it does not read what it is sent.
    pub(super) blocked_since: Option<Instant>,
    /// Its connection.
    pub(super) outgoing: Outgoing,
}

impl Link {
    /// A link over a proven connection.
    pub(super) fn new(sender: ChannelSender, registration: WorkerRegistration) -> Self {
        Self {
            registration,
            heartbeat: Heartbeat::default(),
            clock_offset_ns: 0,
            wrote: false,
            leaving: None,
            blocked_since: None,
            outgoing: Outgoing::new(sender),
        }
    }

    /// A moment of our clock on the worker's, in nanoseconds.
    pub(super) fn on_its_clock_ns(&self, ours: Time) -> u64 {
        ours.0.cast_signed().saturating_sub(self.clock_offset_ns).max(0).cast_unsigned()
    }

    /// A moment of the worker's clock on ours, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "reports need no more than 53 bits")]
    pub(super) fn on_our_clock_s(&self, worker_ns: u64) -> f64 {
        (worker_ns.cast_signed().saturating_add(self.clock_offset_ns)) as f64 / 1e9
    }
}
