//! What a steal of a task is worth: its level, from the time to move its inputs over its duration.
//!
//! Level 0 has no inputs. Above it, each level doubles the ratio; level 6 means that moving takes
//! as long as computing. A task whose level would be 15 or more is not worth moving. Whole numbers
//! only, so that a flight record replays alike on every machine.

use crate::ids::{TaskId, WorkerId};
use crate::scheduler::SchedulerState;
use crate::scheduler::task::Flags;

/// Levels that may be stolen are below this.
const LEVELS: u32 = 15;
/// The level of a ratio of one.
const EVEN: u32 = 6;
/// Numbers are cut to so many bits, so that their squares, shifted, fit.
const BITS: u32 = 54;

/// The level of a task that has inputs; none when it is not worth moving.
pub(super) fn level(moving_ns: u64, duration_ns: u64) -> Option<u8> {
    let duration_ns = duration_ns.max(1);
    let excess = (u64::BITS - moving_ns.max(duration_ns).leading_zeros()).saturating_sub(BITS);
    let (moving, duration) = (u128::from(moving_ns >> excess), u128::from(duration_ns >> excess));
    let (moving, duration) = (moving * moving, duration * duration);
    // round(log2(ratio)) <= k exactly when ratio² < 2^(2k + 1).
    let is_at_most = |level: &u32| {
        let above = 2 * level + 1;
        match above.checked_sub(2 * EVEN) {
            Some(shift) => moving < duration << shift,
            None => moving << (2 * EVEN - above) < duration,
        }
    };
    (1..LEVELS).find(is_at_most).and_then(|level| u8::try_from(level).ok())
}

impl SchedulerState {
    /// The level of a task that `victim` processes; none when it must not be stolen.
    pub(super) fn steal_level(&self, task: TaskId, victim: WorkerId) -> Option<u8> {
        let record = &self.tasks[task.index()];
        let prefix = self.families.prefix_of(record) as usize;
        if record.worker() != Some(victim)
            || record.flags.has(Flags::LONG_RUNNING)
            || self.families.prefixes[prefix].is_fast
            || self.stealing.in_flight.contains(task)
        {
            return None;
        }
        let inputs = self.dependencies.row(task);
        if inputs.is_empty() {
            return Some(0);
        }
        let sizes = inputs.iter().map(|input| self.tasks[input.index()].nbytes);
        let nbytes = sizes.fold(0, u64::saturating_add);
        let moving = self
            .paths
            .bytes_ns(self.longest_path(), nbytes)
            .saturating_add(self.steal_latency_ns());
        level(moving, self.duration_ns(task))
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    /// The rule as it is written: round(log2(ratio)) + 6, at least 1, below 15.
    fn by_logarithm(moving_ns: u64, duration_ns: u64) -> Option<u8> {
        let ratio = moving_ns as f64 / duration_ns as f64;
        let level = (ratio.log2().round() + 6.0).max(1.0);
        (level < 15.0).then_some(level as u8)
    }

    #[test]
    fn the_rule() {
        for (moving_ns, duration_ns, expected) in [
            (1000, 1000, Some(6)),
            (2000, 1000, Some(7)),
            (1, 1_000_000_000, Some(1)),
            (0, 1000, Some(1)),
            (256_000, 1000, Some(14)),
            (362_000, 1000, Some(14)),
            (363_000, 1000, None),
            (u64::MAX, 1, None),
            (u64::MAX, u64::MAX, Some(6)),
            (5, 0, Some(8)),
        ] {
            assert_eq!(level(moving_ns, duration_ns), expected, "{moving_ns} / {duration_ns}");
        }
    }

    #[test]
    fn it_is_the_rounded_logarithm() {
        let mut rng = crate::rng::Rng::new(15);
        for _ in 0..20_000 {
            let (moving, duration) =
                (1 + (rng.next_u64() >> rng.below(60)), 1 + (rng.next_u64() >> rng.below(60)));
            let near = (moving as f64 / duration as f64).log2().fract().abs();
            // On the very edge the logarithm itself is rounded.
            if (near - 0.5).abs() > 1e-9 {
                assert_eq!(level(moving, duration), by_logarithm(moving, duration));
            }
        }
    }
}
