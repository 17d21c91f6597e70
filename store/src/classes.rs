//! Freed buffers that stay warm: one last-in-first-out list per size class.
//!
//! First use of fresh pages costs several times a warm write, so a freed buffer waits here for the
//! next reservation of its class. What is kept is bounded by the caller; this file only finds,
//! stores and gives up the oldest.

use crate::buffer::Buffer;
use std::collections::{BTreeMap, VecDeque};

/// Objects up to this size are never kept warm: the heap's own lists serve them well.
pub(crate) const SMALL: u64 = 8 << 10;

/// Capacity of the class that holds `nbytes`: four steps per power of two, whole cache lines.
/// Waste is at most a quarter. Small sizes have their own size; none when it overflows.
pub(crate) fn class_of(nbytes: u64) -> Option<usize> {
    if nbytes <= SMALL {
        return usize::try_from(nbytes).ok();
    }
    let step = 1_u64 << (nbytes.ilog2() - 2);
    // Exact powers of two start a row, so 4, 5, 6, 7, 8 …: the size is rounded up to the step.
    usize::try_from(nbytes.checked_next_multiple_of(step)?).ok()
}

/// The free buffers.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    lists: BTreeMap<usize, VecDeque<(u64, Buffer)>>,
    clock: u64,
}

impl Warm {
    /// A free buffer for `nbytes`, the one freed last.
    pub(crate) fn take(&mut self, nbytes: u64) -> Option<Buffer> {
        if nbytes <= SMALL {
            return None;
        }
        let class = class_of(nbytes)?;
        let list = self.lists.get_mut(&class)?;
        let taken = list.pop_back();
        if list.is_empty() {
            self.lists.remove(&class);
        }
        taken.map(|(_, buffer)| buffer)
    }

    /// Keeps a freed buffer.
    pub(crate) fn keep(&mut self, buffer: Buffer) {
        self.clock += 1;
        self.lists.entry(buffer.capacity()).or_default().push_back((self.clock, buffer));
    }

    /// Gives up the buffer that was freed longest ago.
    pub(crate) fn give_up_oldest(&mut self) -> Option<Buffer> {
        let (class, _) = self
            .lists
            .iter()
            .filter_map(|(class, list)| list.front().map(|(freed, _)| (*class, *freed)))
            .min_by_key(|(_, freed)| *freed)?;
        let list = self.lists.get_mut(&class)?;
        let oldest = list.pop_front();
        if list.is_empty() {
            self.lists.remove(&class);
        }
        oldest.map(|(_, buffer)| buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Placement;

    #[test]
    fn classes_have_four_steps_per_power_of_two() {
        let mib = 1 << 20;
        assert_eq!(class_of(0), Some(0));
        assert_eq!(class_of(17), Some(17));
        assert_eq!(class_of(8192), Some(8192));
        assert_eq!(class_of(8193), Some(10_240));
        assert_eq!(class_of(4 * mib), Some(4 << 20));
        assert_eq!(class_of(4 * mib + 1), Some(5 << 20));
        assert_eq!(class_of(7 * mib + 1), Some(8 << 20));
        assert_eq!(class_of(64 * mib), Some(64 << 20));
        assert_eq!(class_of(u64::MAX), None);
    }

    #[test]
    fn the_last_freed_is_the_first_used_and_the_oldest_goes_first() {
        let buffer = |size| Buffer::allocate(size, &Placement::default()).unwrap();
        let mut warm = Warm::default();
        let (first, second, other) = (buffer(10_240), buffer(10_240), buffer(20_480));
        let addresses = [&first, &second, &other].map(|b| b.bytes(1).as_ptr());
        warm.keep(first);
        warm.keep(other);
        warm.keep(second);
        assert_eq!(warm.take(9000).unwrap().bytes(1).as_ptr(), addresses[1]);
        assert_eq!(warm.give_up_oldest().unwrap().bytes(1).as_ptr(), addresses[0]);
        assert!(warm.take(9000).is_none());
        assert_eq!(warm.take(20_000).unwrap().bytes(1).as_ptr(), addresses[2]);
        assert!(warm.give_up_oldest().is_none());
    }
}
