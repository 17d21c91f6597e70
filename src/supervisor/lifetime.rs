//! The age at which a worker process retires (Dask's lifetime and stagger).
//!
//! The order goes to the scheduler, which moves what the worker holds before the worker ends. One
//! that cannot leave yet is asked again after a while.

use crate::role::Request;
use rdask_launcher::bootstrap::Job;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A worker that could not leave is asked again after this long: others may have come by then.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// When the workers of this rank retire.
#[derive(Debug)]
pub(super) struct Lifetimes {
    lifetime: Duration,
    stagger: Duration,
    /// Another worker takes the place.
    pub(super) restart: bool,
    due: BTreeMap<usize, Instant>,
}

impl Lifetimes {
    /// What the job's settings say; a duration of 0 means that workers live as long as the job.
    pub(super) fn of(job: &Job) -> Self {
        let request: Option<Request> = serde_json::from_str(&job.bootstrap.options).ok();
        let config = request.and_then(|request| request.options.config().ok()).unwrap_or_default();
        Self {
            lifetime: Duration::from_nanos(config.lifetime_ns),
            stagger: Duration::from_nanos(config.lifetime_stagger_ns),
            restart: config.lifetime_restart,
            due: BTreeMap::new(),
        }
    }

    /// A worker has joined; `chance` is drawn from 0 to 1.
    pub(super) fn begin(&mut self, slot: usize, now: Instant, chance: f64) {
        if !self.lifetime.is_zero() {
            let spread = self.stagger.mul_f64(2.0 * chance.clamp(0.0, 1.0));
            self.due.insert(slot, now + (self.lifetime + spread).saturating_sub(self.stagger));
        }
    }

    /// A worker process has ended.
    pub(super) fn end(&mut self, slot: usize) {
        self.due.remove(&slot);
    }

    /// A worker could not leave.
    pub(super) fn put_off(&mut self, slot: usize, now: Instant) {
        if !self.lifetime.is_zero() {
            self.due.insert(slot, now + ASK_AGAIN);
        }
    }

    /// When the next worker is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.values().copied().min()
    }

    /// Slots whose workers are due, each once.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<usize> {
        self.due.extract_if(.., |_, at| *at <= now).map(|(slot, _)| slot).collect()
    }

    /// Why they retire.
    pub(super) fn reason(&self) -> String {
        format!("its lifetime of {} s is over", self.lifetime.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetimes(lifetime: u64, stagger: u64) -> Lifetimes {
        let (lifetime, stagger) = (Duration::from_secs(lifetime), Duration::from_secs(stagger));
        Lifetimes { lifetime, stagger, restart: false, due: BTreeMap::new() }
    }

    #[test]
    fn each_worker_is_due_once_at_its_own_time() {
        let now = Instant::now();
        let mut lives = lifetimes(100, 20);
        for (slot, chance) in [(0, 0.0), (1, 0.5), (2, 1.0)] {
            lives.begin(slot, now, chance);
        }
        assert_eq!(lives.next(), Some(now + Duration::from_secs(80)));
        assert_eq!(lives.take_due(now + Duration::from_secs(79)), [0; 0]);
        assert_eq!(lives.take_due(now + Duration::from_secs(100)), [0, 1]);
        assert_eq!(lives.take_due(now + Duration::from_secs(100)), [0; 0]);
        lives.end(2);
        assert_eq!(lives.next(), None);
        lives.put_off(1, now);
        assert_eq!(lives.next(), Some(now + ASK_AGAIN));
    }

    #[test]
    fn without_a_lifetime_nobody_is_due() {
        let mut lives = lifetimes(0, 20);
        lives.begin(0, Instant::now(), 0.5);
        lives.put_off(0, Instant::now());
        assert_eq!(lives.next(), None);
        // A stagger beyond the lifetime: at once.
        let mut lives = lifetimes(1, 20);
        let now = Instant::now();
        lives.begin(0, now, 0.0);
        assert_eq!(lives.take_due(now), [0]);
    }
}
