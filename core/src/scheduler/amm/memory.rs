//! How much memory a worker uses, as the active memory manager counts it.
//!
//! *managed* is the size of its results; what is resident besides them is *unmanaged*, and the least
//! of it over the last 30 s is *old*: it will not go away by itself. *optimistic* is managed and old.

use crate::config::{Config, MemoryMeasure};
use crate::scheduler::worker::Worker;
use crate::time::Time;
use std::collections::VecDeque;

/// Unmanaged bytes at recent heartbeats. Only those are kept that may be the least one day: each
/// entry is later and larger than the one before it.
#[derive(Clone, Debug, Default)]
pub(in crate::scheduler) struct Unmanaged {
    entries: VecDeque<(Time, u64)>,
}

impl Unmanaged {
    /// Notes a measurement, and drops what is older than `window_ns`.
    pub(in crate::scheduler) fn note(&mut self, now: Time, nbytes: u64, window_ns: u64) {
        while self.entries.back().is_some_and(|(_, other)| *other >= nbytes) {
            self.entries.pop_back();
        }
        self.entries.push_back((now, nbytes));
        while self.entries.front().is_some_and(|(at, _)| now.since(*at) > window_ns) {
            self.entries.pop_front();
        }
    }

    /// The least of them; 0 before the first.
    pub(in crate::scheduler) fn old(&self) -> u64 {
        self.entries.front().map_or(0, |(_, nbytes)| *nbytes)
    }
}

/// Bytes that a worker uses by the configured measure.
pub(super) fn used_bytes(worker: &Worker, config: &Config) -> u64 {
    match config.amm_measure {
        MemoryMeasure::Process => worker.profile.rss_bytes,
        MemoryMeasure::Managed => worker.nbytes,
        MemoryMeasure::Optimistic => worker.nbytes.saturating_add(worker.profile.unmanaged.old()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_the_window_is_old() {
        let mut unmanaged = Unmanaged::default();
        assert_eq!(unmanaged.old(), 0);
        for (at, nbytes, old) in
            [(0, 50, 50), (10, 70, 50), (20, 60, 50), (30, 90, 50), (31, 80, 60), (51, 95, 80)]
        {
            unmanaged.note(Time(at), nbytes, 30);
            assert_eq!(unmanaged.old(), old, "at {at}");
        }
        unmanaged.note(Time(52), 1, 30);
        assert_eq!(unmanaged.old(), 1);
        unmanaged.note(Time(1000), 99, 30);
        assert_eq!(unmanaged.old(), 99);
    }
}
