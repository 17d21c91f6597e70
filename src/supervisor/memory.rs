//! The share of its memory limit above which a worker is ended, before the kernel picks somebody.
//!
//! Dask's terminate. The worker itself pauses earlier: see `src/worker/memory.rs`.

use crate::role::Request;
use rdask_core::config::Config;
use rdask_launcher::bootstrap::Job;
use std::time::{Duration, Instant};

/// The shortest interval between two looks.
const SHORTEST: Duration = Duration::from_millis(1);

/// When the workers' memory is looked at, and what is too much.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    /// Between two looks, and between asking a worker to end and killing it.
    pub(super) interval: Duration,
    /// Fraction of the limit.
    terminate: f64,
    /// None: no worker has a limit, or none is ended for its memory.
    next: Option<Instant>,
}

impl MemoryWatch {
    /// What the job's settings say; `limited`: a worker here has a limit.
    pub(super) fn of(job: &Job, limited: bool, now: Instant) -> Self {
        let request: Option<Request> = serde_json::from_str(&job.bootstrap.options).ok();
        let config = request.and_then(|request| request.options.config().ok()).unwrap_or_default();
        Self::new(&config, limited, now)
    }

    fn new(config: &Config, limited: bool, now: Instant) -> Self {
        let terminate = config.memory_terminate;
        let interval = Duration::from_nanos(config.memory_monitor_ns).max(SHORTEST);
        Self { interval, terminate, next: (limited && terminate > 0.0).then_some(now) }
    }

    /// When it wants to look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Whether it is time to look, which then is put off to the next time.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next.is_some_and(|next| next <= now);
        if due {
            self.next = Some(now + self.interval);
        }
        due
    }

    /// Why a worker that uses so many bytes of its limit is to be ended; none: it is not.
    pub(super) fn why_end(&self, used: u64, limit: u64) -> Option<String> {
        // Sizes are far below 2^53, where floats are exact.
        (used as f64 >= limit as f64 * self.terminate).then(|| {
            let percent = self.terminate * 100.0;
            format!(
                "was ended because it used {used} bytes of memory, over {percent:.0} % of its limit \
                 of {limit} (worker.memory.terminate, --memory-limit)"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(terminate: f64) -> MemoryWatch {
        let config = Config { memory_terminate: terminate, ..Config::default() };
        MemoryWatch::new(&config, true, Instant::now())
    }

    #[test]
    fn what_the_setting_says_is_too_much() {
        assert_eq!(watch(0.95).why_end(949, 1000), None);
        let why = watch(0.95).why_end(950, 1000).unwrap();
        assert!(why.contains("950 bytes") && why.contains("over 95 %"), "{why}");
        assert!(watch(0.01).why_end(10, 1000).unwrap().contains("over 1 %"));
        assert!(watch(1.0).why_end(999, 1000).is_none());
    }

    #[test]
    fn nobody_looks_without_a_limit_or_a_part_of_it() {
        let now = Instant::now();
        let mut some = MemoryWatch::new(&Config::default(), true, now);
        assert!(some.is_due(now) && !some.is_due(now + Duration::from_millis(99)));
        assert!(some.is_due(now + Duration::from_millis(100)));
        assert_eq!(MemoryWatch::new(&Config::default(), false, now).due(), None);
        assert_eq!(watch(0.0).due(), None);
    }
}
