//! How fast payloads travel between workers, by the class of the path that they take.
//!
//! Workers measure their transfers with a `PathMeter` and tell the averages in their heartbeats; the
//! scheduler averages over workers and prices moves with them. A worker is a process, so what lies in
//! the same process is already there and has no price.

use crate::config::SECOND_NS;
use serde::{Deserialize, Serialize};

/// Transfers below this size say more about latency than about bandwidth.
const SMALLEST_FOR_BANDWIDTH: u64 = 1 << 20;
/// Transfers above this size say too much about bandwidth to be taken for the latency.
const LARGEST_FOR_LATENCY: u64 = 16 << 10;

/// What lies between two workers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PathClass {
    /// They are on one machine.
    SameMachine,
    /// The network between machines.
    Fabric,
}

impl PathClass {
    /// All of them, the nearest first.
    pub const ALL: [Self; 2] = [Self::SameMachine, Self::Fabric];
}

/// What was measured of one class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PathSpeed {
    /// Bytes a second that large transfers reached; 0 = none yet.
    pub bandwidth: u64,
    /// Nanoseconds that small transfers took, from asking to having; 0 = none yet.
    pub latency_ns: u64,
}

/// Speeds of all classes, in the order of `PathClass::ALL`.
pub type PathSpeeds = [PathSpeed; PathClass::ALL.len()];

/// Averages over recent transfers of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathMeter {
    speeds: PathSpeeds,
}

impl PathMeter {
    /// A transfer ended well: so many bytes arrived, so long after they were asked for.
    pub fn add(&mut self, class: PathClass, nbytes: u64, took_ns: u64) {
        let speed = &mut self.speeds[class as usize];
        if took_ns == 0 {
            return;
        }
        if nbytes >= SMALLEST_FOR_BANDWIDTH {
            let measured = u128::from(nbytes) * u128::from(SECOND_NS) / u128::from(took_ns);
            average(&mut speed.bandwidth, u64::try_from(measured).unwrap_or(u64::MAX));
        } else if (1..=LARGEST_FOR_LATENCY).contains(&nbytes) {
            average(&mut speed.latency_ns, took_ns);
        }
    }

    /// What was measured so far.
    #[must_use]
    pub const fn speeds(&self) -> PathSpeeds {
        self.speeds
    }
}

/// Half the new, half the old.
const fn average(value: &mut u64, measured: u64) {
    *value = if *value == 0 { measured } else { *value / 2 + measured / 2 };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_transfers_tell_bandwidth_small_ones_latency() {
        let mut meter = PathMeter::default();
        let (near, far) = (PathClass::SameMachine, PathClass::Fabric);
        // Too large for a latency, too small for a bandwidth, empty, or in no time at all.
        for (nbytes, took_ns) in [(100_000, 50), (1 << 19, 50), (0, 50), (1 << 21, 0)] {
            meter.add(near, nbytes, took_ns);
        }
        assert_eq!(meter.speeds(), PathSpeeds::default());
        meter.add(far, 2_000_000, SECOND_NS / 2);
        meter.add(far, 100, 30_000);
        assert_eq!(meter.speeds()[0], PathSpeed::default());
        assert_eq!(meter.speeds()[1], PathSpeed { bandwidth: 4_000_000, latency_ns: 30_000 });
        meter.add(far, 2_000_000, SECOND_NS);
        meter.add(far, 1, 10_000);
        assert_eq!(meter.speeds()[1], PathSpeed { bandwidth: 3_000_000, latency_ns: 20_000 });
        meter.add(near, u64::MAX, 1);
        assert_eq!(meter.speeds()[0].bandwidth, u64::MAX);
    }
}
