//! The watch over this process's memory: above a part of its limit a worker starts nothing more.
//!
//! Resident bytes decide, as the kernel and the supervisor see them. Warm memory of the store is
//! given back first, since nobody needs it; only what is left then counts. Where nearly all of that
//! is results the worker goes on: only tasks that run can free them while nothing is spilled, and
//! the store has a limit of its own.

use super::Shared;
use rdask_core::config::Config;
use rdask_launcher::descendants::resident_bytes;
use rdask_store::Store;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Looks at the memory now and then.
pub(super) struct MemoryWatch {
    /// Resident bytes from which on the worker is paused,
    pause_bytes: u64,
    /// when at least so many of them are no results.
    unmanaged_bytes: u64,
    limit_bytes: u64,
    interval: Duration,
    /// When it looks again; none: there is no limit, or pausing is off.
    next: Option<Instant>,
    pid: i32,
    store: Store,
    /// It has been told once; workers may pause often.
    told: bool,
}

impl MemoryWatch {
    /// A watch for a worker with this limit in bytes (0: none).
    pub(super) fn new(config: &Config, limit_bytes: u64, store: Store) -> Self {
        let pause_bytes = part(limit_bytes, config.memory_pause);
        let interval = Duration::from_nanos(config.memory_monitor_ns).max(SHORTEST);
        let next = (pause_bytes > 0).then(Instant::now);
        let pid = std::process::id().cast_signed();
        let unmanaged_bytes = limit_bytes.saturating_sub(pause_bytes);
        Self { pause_bytes, unmanaged_bytes, limit_bytes, interval, next, pid, store, told: false }
    }

    /// When it wants to look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Looks when it is time, and pauses the worker or lets it go on.
    pub(super) fn look_and_tell(&mut self, shared: &Shared) {
        let Some(paused) = self.look(Instant::now()) else { return };
        if shared.with(|shell| shell.on_memory(paused)) == Some(true) {
            shared.paused.store(paused, Ordering::Relaxed);
            self.tell(paused);
        }
    }

    /// Looks when it is time, and then says whether the worker is to be paused.
    fn look(&mut self, now: Instant) -> Option<bool> {
        self.next.filter(|next| *next <= now)?;
        self.next = Some(now + self.interval);
        // A system that does not tell is no reason to stop, or to go on.
        let mut used = resident_bytes(self.pid)?;
        if used >= self.pause_bytes {
            self.store.release_warm();
            used = resident_bytes(self.pid)?;
        }
        let unmanaged = used.saturating_sub(self.store.usage().used_bytes);
        Some(used >= self.pause_bytes && unmanaged >= self.unmanaged_bytes)
    }

    /// Tells the user, the first time with what can be done.
    fn tell(&mut self, paused: bool) {
        let (pause, limit) = (self.pause_bytes, self.limit_bytes);
        if !paused {
            tracing::info!("memory is there again: this worker goes on");
        } else if std::mem::replace(&mut self.told, true) {
            tracing::info!("paused again: over {pause} of {limit} bytes of memory are in use");
        } else {
            tracing::warn!(
                "paused: over {pause} of {limit} bytes of memory are in use, so this worker starts \
                 nothing until they are fewer (worker.memory.pause, --memory-limit)"
            );
        }
    }
}

/// The shortest interval between two looks.
const SHORTEST: Duration = Duration::from_millis(1);

/// A fraction of a limit in bytes; none of either gives 0.
fn part(limit_bytes: u64, fraction: f64) -> u64 {
    // Limits are far below 2^53, where floats are exact.
    (limit_bytes as f64 * fraction) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(limit_bytes: u64, pause: f64) -> MemoryWatch {
        let config = Config { memory_pause: pause, ..Config::default() };
        MemoryWatch::new(&config, limit_bytes, Store::new(0))
    }

    #[test]
    fn it_looks_at_its_interval_and_compares_what_is_resident() {
        let now = Instant::now() + Duration::from_secs(1);
        // This process has more than a byte and less than 2^50.
        let mut full = watch(10, 0.8);
        assert_eq!(full.look(now), Some(true));
        assert_eq!(full.look(now + Duration::from_millis(99)), None);
        assert_eq!(full.look(now + Duration::from_millis(100)), Some(true));
        assert_eq!(watch(1 << 50, 0.8).look(now), Some(false));
        assert_eq!(watch(1 << 50, 0.8).due().map(|due| due < now), Some(true));
    }

    #[test]
    fn without_a_limit_or_a_part_of_it_nobody_looks() {
        for mut watch in [watch(0, 0.8), watch(10, 0.0)] {
            assert_eq!(watch.due(), None);
            assert_eq!(watch.look(Instant::now() + Duration::from_secs(1)), None);
        }
    }

    #[test]
    fn warm_memory_does_not_count() {
        let store = Store::new(1 << 30);
        let mut all: Vec<_> = (0..4).map(|_| store.reserve(1 << 20, 0).unwrap()).collect();
        all.iter_mut().for_each(|one| one.bytes_mut().fill(1));
        drop(all.pop());
        assert_eq!(store.usage().warm_free_bytes, 1 << 20);
        let config = Config::default();
        let mut watch = MemoryWatch::new(&config, 10, store.clone());
        watch.look(Instant::now() + Duration::from_secs(1));
        assert_eq!(store.usage().warm_free_bytes, 0);
    }
}
