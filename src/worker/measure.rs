//! What a worker measures of itself for its heartbeats.

use crate::clock::Clock;
use rdask_core::messages::Heartbeat;
use rdask_store::Store;
use rdask_transport::Endpoint;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Transfers below this size say more about latency than about bandwidth.
const SMALLEST_BYTES: u64 = 1 << 20;

/// Measures; clones share the numbers.
#[derive(Clone)]
pub(super) struct Meter {
    clock: Clock,
    store: Store,
    bandwidth: Arc<AtomicU64>,
}

impl Meter {
    pub(super) fn new(clock: Clock, store: Store) -> Self {
        Self { clock, store, bandwidth: Arc::new(AtomicU64::new(0)) }
    }

    /// A transfer ended: its bandwidth is averaged in.
    pub(super) fn add_transfer(&self, nbytes: u64, took_ns: u64) {
        if nbytes < SMALLEST_BYTES || took_ns == 0 {
            return;
        }
        let measured = u128::from(nbytes) * 1_000_000_000 / u128::from(took_ns);
        let measured = u64::try_from(measured).unwrap_or(u64::MAX);
        let before = self.bandwidth.load(Ordering::Relaxed);
        let average = if before == 0 { measured } else { before / 2 + measured / 2 };
        self.bandwidth.store(average, Ordering::Relaxed);
    }

    /// Everything but what the core knows.
    pub(super) fn measure(&self, endpoint: &Endpoint) -> Heartbeat {
        let (rss_bytes, peak_rss_bytes) = resident();
        Heartbeat {
            now_ns: self.clock.now().0,
            rss_bytes,
            peak_rss_bytes,
            managed_bytes: self.store.usage().sealed_bytes,
            received_bytes: [0, 0, 0, endpoint.stats().data_tcp_received_bytes],
            bandwidth: self.bandwidth.load(Ordering::Relaxed),
            ..Heartbeat::default()
        }
    }
}

/// Resident bytes of this process, now and at most (VmRSS, VmHWM); 0 where /proc does not tell.
fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|number| number.trim().parse::<u64>().ok())
            .map_or(0, |kib| kib * 1024)
    };
    (field("VmRSS:"), field("VmHWM:"))
}
