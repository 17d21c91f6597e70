//! What a worker measures of itself for its heartbeats.

use crate::clock::Clock;
use rdask_core::messages::Heartbeat;
use rdask_core::paths::{PathClass, PathMeter};
use rdask_store::Store;
use rdask_transport::Endpoint;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Measures; clones share the numbers.
#[derive(Clone)]
pub(super) struct Meter {
    clock: Clock,
    store: Store,
    paths: Arc<Mutex<PathMeter>>,
}

impl Meter {
    pub(super) fn new(clock: Clock, store: Store) -> Self {
        Self { clock, store, paths: Arc::default() }
    }

    /// A transfer ended: so many bytes arrived, so long after they were asked for.
    pub(super) fn add_transfer(&self, class: PathClass, nbytes: u64, took_ns: u64) {
        self.lock().add(class, nbytes, took_ns);
    }

    fn lock(&self) -> MutexGuard<'_, PathMeter> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
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
            paths: self.lock().speeds(),
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
