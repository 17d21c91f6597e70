//! The scheduler's end of one worker: its connection and what has crossed it already.
//!
//! Numbers cross alone; a spec and a peer's name and addresses go ahead of the first message that
//! needs them, once to each worker.

use crate::outgoing::Outgoing;
use rdask_core::ids::WorkerId;
use rdask_core::messages::{Heartbeat, Peer, WorkerRegistration};
use rdask_core::time::Time;
use rdask_transport::ChannelSender;
use std::time::Instant;

/// Bits by index: which specs and peers a worker knows.
#[derive(Debug, Default)]
struct Known {
    words: Vec<u64>,
}

impl Known {
    /// Marks one; true when it was not marked before.
    fn insert(&mut self, index: usize) -> bool {
        let (word, bit) = (index / 64, 1 << (index % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        fresh
    }
}

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
    /// Since when it does not read what it is sent.
    pub(super) blocked_since: Option<Instant>,
    /// Its connection.
    pub(super) outgoing: Outgoing,
    specs: Known,
    peers: Known,
}

impl Link {
    /// A link over a proven connection.
    pub(super) fn new(sender: ChannelSender, registration: WorkerRegistration) -> Self {
        Self {
            registration,
            heartbeat: Heartbeat::default(),
            clock_offset_ns: 0,
            wrote: false,
            blocked_since: None,
            outgoing: Outgoing::new(sender),
            specs: Known::default(),
            peers: Known::default(),
        }
    }

    /// True when this spec must be defined first; it counts as defined from here on.
    pub(super) fn must_define_spec(&mut self, spec: usize) -> bool {
        self.specs.insert(spec)
    }

    /// True when this peer must be introduced first; it counts as known from here on.
    pub(super) fn must_introduce(&mut self, peer: WorkerId) -> bool {
        self.peers.insert(peer.index())
    }

    /// The worker as its peers know it.
    pub(super) fn as_peer(&self, worker: WorkerId) -> Peer {
        Peer {
            worker,
            server_id: self.registration.server_id,
            name: self.registration.name.clone(),
            addresses: self.registration.addresses.clone(),
            machine: self.registration.machine.clone(),
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
