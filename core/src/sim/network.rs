//! The pretend network: how long a message and a payload take.
//!
//! Messages of one stream keep their order; nothing orders two streams. So each stream remembers
//! when its last message arrives, and every message has a delay of its own.

use crate::config::SECOND_NS;
use crate::rng::Rng;
use crate::time::Time;

/// What a payload passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Path {
    /// Memory of one NUMA node.
    SameNode,
    /// Memory of one host.
    SameHost,
    /// The network between hosts.
    Fabric,
    /// A disk.
    Disk,
}

/// Speeds of the network.
#[derive(Clone, Debug)]
pub struct Network {
    /// Shortest way of a message, nanoseconds.
    pub latency_ns: u64,
    /// A message takes up to this much longer, now and then eight times that.
    pub jitter_ns: u64,
    /// Bytes a second between two machines.
    pub bandwidth: u64,
    /// Bytes a second between two workers of one machine.
    pub bandwidth_within: u64,
    /// Bytes a second from a disk.
    pub bandwidth_disk: u64,
    /// A request that nobody answered for this long has failed.
    pub timeout_ns: u64,
}

impl Network {
    /// Time of one message.
    pub(super) fn delay_ns(&self, rng: &mut Rng) -> u64 {
        let jitter = rng.below(self.jitter_ns + 1);
        let slow = if rng.below(16) == 0 { 8 } else { 1 };
        self.latency_ns + jitter * slow
    }

    /// Time of a payload. Memory of another NUMA node is half as fast.
    pub(super) fn transfer_ns(&self, nbytes: u64, path: Path) -> u64 {
        let bandwidth = match path {
            Path::SameNode => self.bandwidth_within,
            Path::SameHost => self.bandwidth_within / 2,
            Path::Fabric => self.bandwidth,
            Path::Disk => self.bandwidth_disk,
        };
        let ns = u128::from(nbytes) * u128::from(SECOND_NS) / u128::from(bandwidth.max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// One direction of a control connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stream {
    last: Time,
}

impl Stream {
    /// When a message that is sent now arrives: behind all that went before.
    pub(super) fn arrival(&mut self, now: Time, delay_ns: u64) -> Time {
        self.last = now.after_ns(delay_ns).max(self.last.after_ns(1));
        self.last
    }
}
