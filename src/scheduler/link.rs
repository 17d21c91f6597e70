//! The scheduler's end of one worker: its connection and what has crossed it already.
//!
//! Numbers cross alone; a spec and a peer's name and addresses go ahead of the first message that
//! needs them, once to each worker.

use rdask_core::codec;
use rdask_core::ids::WorkerId;
use rdask_core::messages::{Heartbeat, Peer, ToWorker, WorkerRegistration};
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
    /// Since when more than the budget waits to be sent.
    pub(super) full_since: Option<Instant>,
    sender: ChannelSender,
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
            full_since: None,
            sender,
            specs: Known::default(),
            peers: Known::default(),
        }
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &ToWorker) {
        self.sender.push(|buffer| {
            codec::encode_into(message, buffer).expect("messages to workers are bounded");
        });
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

    /// Bytes that wait to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        self.sender.queued_bytes()
    }

    /// Ends the connection without a word.
    pub(super) fn abort(&self) {
        self.sender.abort();
    }

    /// A moment of the worker's clock on ours, in seconds.
    #[expect(clippy::cast_precision_loss, reason = "reports need no more than 53 bits")]
    pub(super) fn on_our_clock_s(&self, worker_ns: u64) -> f64 {
        (worker_ns.cast_signed().saturating_add(self.clock_offset_ns)) as f64 / 1e9
    }
}
