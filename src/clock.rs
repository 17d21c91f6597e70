//! The drivers' clock: nanoseconds since an origin, read from CLOCK_MONOTONIC.
//!
//! All processes of one machine share that clock, so the origin of rank 0 (which travels in the
//! start message) makes their times comparable; other machines are shifted by their heartbeat.

use rdask_core::time::Time;
use std::time::{Duration, Instant};

/// A clock that starts at 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose 0 is now.
    #[must_use]
    pub(crate) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since the origin.
    #[must_use]
    pub(crate) fn now(&self) -> Time {
        Time(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Time of a moment; 0 when it was before the origin.
    #[must_use]
    pub(crate) fn at(&self, moment: Instant) -> Time {
        let since = moment.saturating_duration_since(self.origin);
        Time(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The moment of a core's time, for a timer.
    #[must_use]
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.origin + Duration::from_nanos(time.0)
    }
}
