//! What it costs to bring results to a worker, by the class of the path.
//!
//! Workers tell what they measured; until then the fabric has the configured bandwidth, a machine's
//! inside is at least as fast as the fabric, and a message takes a round trip. The class of an input
//! for a worker is that of its nearest holder.

use super::SchedulerState;
use super::task::Held;
use super::worker::{Worker, Workers};
use crate::config::SECOND_NS;
use crate::ids::{TaskId, WorkerId};
use crate::paths::{PathClass, PathSpeed, PathSpeeds};

/// Holders of a result that are looked at for the nearest one.
const LOOK_AT: usize = 20;
/// Bits of a price behind the point.
const FRACTION_BITS: u32 = 32;

/// What one class of paths costs: a multiplication in place of a division.
#[derive(Clone, Copy, Debug)]
struct Price {
    /// Nanoseconds a byte, in units of 2^-32.
    a_byte: u64,
    /// Nanoseconds until the first byte; none: not measured.
    latency_ns: Option<u64>,
}

impl Price {
    fn of(bandwidth: u64, latency_ns: u64) -> Self {
        let a_byte = (u128::from(SECOND_NS) << FRACTION_BITS) / u128::from(bandwidth.max(1));
        Self {
            a_byte: u64::try_from(a_byte).unwrap_or(u64::MAX),
            latency_ns: (latency_ns > 0).then_some(latency_ns),
        }
    }

    /// Time of so many bytes on their way.
    fn bytes_ns(&self, nbytes: u64) -> u64 {
        let ns = (u128::from(nbytes) * u128::from(self.a_byte)) >> FRACTION_BITS;
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// What is known of the paths between workers.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    /// Averages over workers; 0 = not measured.
    speeds: PathSpeeds,
    /// Bandwidth of the fabric until it was measured.
    default_bandwidth: u64,
    prices: [Price; PathClass::ALL.len()],
}

impl Paths {
    /// Nothing was measured; the fabric is taken to carry `bandwidth` bytes a second.
    pub(super) fn new(bandwidth: u64) -> Self {
        let price = Price::of(bandwidth, 0);
        Self {
            speeds: PathSpeeds::default(),
            default_bandwidth: bandwidth,
            prices: [price; PathClass::ALL.len()],
        }
    }

    /// One of `count` workers tells what it measured; each counts alike.
    pub(super) fn learn(&mut self, told: &PathSpeeds, count: u64) {
        let mut changed = false;
        for (speed, told) in self.speeds.iter_mut().zip(told) {
            let before = *speed;
            average(&mut speed.bandwidth, told.bandwidth, count);
            average(&mut speed.latency_ns, told.latency_ns, count);
            changed |= before != *speed;
        }
        if !changed {
            return;
        }
        let mut farther = self.default_bandwidth;
        for class in PathClass::ALL.into_iter().rev() {
            let PathSpeed { bandwidth, latency_ns } = self.speeds[class as usize];
            // A way that nobody tried is not taken for slower than a longer one.
            let bandwidth = if bandwidth == 0 { farther } else { bandwidth };
            self.prices[class as usize] = Price::of(bandwidth, latency_ns);
            farther = bandwidth.max(self.default_bandwidth);
        }
    }

    /// What was measured.
    pub(super) const fn speeds(&self) -> &PathSpeeds {
        &self.speeds
    }

    /// Time of so many bytes over a class of paths, without the latency.
    pub(super) fn bytes_ns(&self, class: PathClass, nbytes: u64) -> u64 {
        self.prices[class as usize].bytes_ns(nbytes)
    }
}

/// Moves an average of `count` workers' numbers towards what one of them tells.
fn average(value: &mut u64, told: u64, count: u64) {
    let count = count.max(1);
    if *value == 0 {
        *value = told;
    } else if told > 0 {
        *value = (*value - *value / count).saturating_add(told / count).max(1);
    }
}

impl Workers {
    /// The class of the path from the nearest of some holders to a worker.
    pub(super) fn path_class(&self, holders: &[Held], worker: WorkerId) -> PathClass {
        let here = self.machine(worker);
        let mut holders = holders.iter().take(LOOK_AT);
        if holders.any(|held| self.machine(held.worker) == here) {
            PathClass::SameMachine
        } else {
            PathClass::Fabric
        }
    }
}

impl SchedulerState {
    /// Time until bytes are at a worker that come from its own machine and from others.
    pub(super) fn fetch_time_ns(&self, near_bytes: u64, far_bytes: u64) -> u64 {
        self.trip_ns(PathClass::SameMachine, near_bytes)
            .saturating_add(self.trip_ns(PathClass::Fabric, far_bytes))
    }

    /// Time until bytes are there over one class of paths, the latency included; nothing takes no
    /// time.
    fn trip_ns(&self, class: PathClass, nbytes: u64) -> u64 {
        if nbytes == 0 {
            return 0;
        }
        let price = &self.paths.prices[class as usize];
        price.bytes_ns(nbytes).saturating_add(price.latency_ns.unwrap_or(self.round_trip_ns))
    }

    /// How long a worker fetches the inputs of a task that it does not hold.
    pub(super) fn fetch_ns(&self, task: TaskId, worker: WorkerId) -> u64 {
        let mut missing = [0_u64; PathClass::ALL.len()];
        for input in self.dependencies.row(task) {
            let record = &self.tasks[input.index()];
            if !self.overflow.holds(record, worker) {
                let class = self.workers.path_class(self.overflow.holders(record), worker);
                let bytes = &mut missing[class as usize];
                *bytes = bytes.saturating_add(record.nbytes);
            }
        }
        let [near, far] = missing;
        self.fetch_time_ns(near, far)
    }

    /// Expected time until a worker has done what it was sent, on one thread. What is yet to come
    /// counts as if it came the longest way.
    pub(super) fn occupancy_ns(&self, worker: &Worker) -> u64 {
        worker.occupancy_ns(&self.paths, self.longest_path())
    }

    /// What moves between workers goes this way at worst.
    pub(super) fn longest_path(&self) -> PathClass {
        if self.workers.share_a_machine() { PathClass::SameMachine } else { PathClass::Fabric }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR: PathClass = PathClass::SameMachine;
    const FAR: PathClass = PathClass::Fabric;

    fn told(near: u64, far: u64) -> PathSpeeds {
        [near, far].map(|bandwidth| PathSpeed { bandwidth, latency_ns: 0 })
    }

    #[test]
    fn a_price_is_a_division() {
        for bandwidth in [1, 7, 1_000_000, 100_000_000, 12_345_678_901, u64::MAX] {
            let price = Price::of(bandwidth, 0);
            for nbytes in [0, 1, 1000, 123_456_789, 1 << 40] {
                let exact = u128::from(nbytes) * u128::from(SECOND_NS) / u128::from(bandwidth);
                let exact = u64::try_from(exact).unwrap_or(u64::MAX);
                let off = exact.abs_diff(price.bytes_ns(nbytes));
                // The price of a byte is rounded down by less than 2^-32 ns.
                assert!(off <= 1 + (nbytes >> FRACTION_BITS), "{nbytes} at {bandwidth}: {off}");
            }
        }
    }

    #[test]
    fn what_was_not_measured_is_no_slower_than_what_is_farther() {
        let mut paths = Paths::new(100_000_000);
        assert_eq!(paths.bytes_ns(NEAR, 1_000_000), 10_000_000);
        paths.learn(&told(0, 1_000_000_000), 4);
        assert_eq!(paths.bytes_ns(FAR, 1_000_000), 1_000_000);
        assert_eq!(paths.bytes_ns(NEAR, 1_000_000), 1_000_000);
        paths.learn(&told(0, 10_000_000), 1);
        assert_eq!(paths.bytes_ns(FAR, 1_000_000), 100_000_000);
        assert_eq!(paths.bytes_ns(NEAR, 1_000_000), 10_000_000, "the configured number");
        paths.learn(&told(50_000_000, 0), 1);
        assert_eq!(paths.bytes_ns(NEAR, 1_000_000), 20_000_000);
        assert_eq!(paths.bytes_ns(FAR, 1_000_000), 100_000_000);
    }

    #[test]
    fn each_worker_counts_alike() {
        let mut paths = Paths::new(1);
        paths.learn(&told(0, 400), 4);
        paths.learn(&told(0, 800), 4);
        assert_eq!(paths.speeds()[1].bandwidth, 500);
        paths.learn(&told(0, 0), 4);
        assert_eq!(paths.speeds()[1].bandwidth, 500);
    }
}
