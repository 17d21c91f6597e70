//! Ordered set of ranks: the tasks that are held back, best first.
//!
//! A tree of bit words, 64 ranks to a word, 64 words to a word of the level above: insertion,
//! removal and the least member take one step a level (four for 10^7 tasks) and never allocate.

/// A set of ranks below a fixed number.
#[derive(Clone, Debug, Default)]
pub(super) struct RankSet {
    /// From the ranks themselves up to a single word.
    levels: Vec<Vec<u64>>,
    len: usize,
}

impl RankSet {
    /// An empty set for ranks below `capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        let mut levels = Vec::new();
        let mut words = capacity.div_ceil(64).max(1);
        loop {
            levels.push(vec![0; words]);
            if words == 1 {
                break;
            }
            words = words.div_ceil(64);
        }
        Self { levels, len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn contains(&self, rank: u32) -> bool {
        let rank = rank as usize;
        self.levels.first().is_some_and(|words| words[rank / 64] >> (rank % 64) & 1 == 1)
    }

    /// Adds a rank that is not there.
    pub(super) fn insert(&mut self, rank: u32) {
        let mut place = rank as usize;
        for words in &mut self.levels {
            let word = &mut words[place / 64];
            let was_empty = *word == 0;
            *word |= 1 << (place % 64);
            if !was_empty {
                break;
            }
            place /= 64;
        }
        self.len += 1;
    }

    /// Takes a rank out that is there.
    pub(super) fn remove(&mut self, rank: u32) {
        let mut place = rank as usize;
        for words in &mut self.levels {
            let word = &mut words[place / 64];
            *word &= !(1 << (place % 64));
            if *word != 0 {
                break;
            }
            place /= 64;
        }
        self.len -= 1;
    }

    /// The least rank above one.
    pub(super) fn after(&self, rank: u32) -> Option<u32> {
        let mut place = rank as usize + 1;
        for (level, words) in self.levels.iter().enumerate() {
            let rest = words.get(place / 64).map_or(0, |word| word >> (place % 64) << (place % 64));
            if rest != 0 {
                let found = place / 64 * 64 + rest.trailing_zeros() as usize;
                let below = self.levels[..level].iter().rev();
                let least = |place: usize, words: &Vec<u64>| {
                    place * 64 + words[place].trailing_zeros() as usize
                };
                return u32::try_from(below.fold(found, least)).ok();
            }
            place = place / 64 + 1;
        }
        None
    }

    /// The least rank.
    pub(super) fn first(&self) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let place = self
            .levels
            .iter()
            .rev()
            .fold(0usize, |place, words| place * 64 + words[place].trailing_zeros() as usize);
        Some(u32::try_from(place).expect("ranks are 32-bit numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::RankSet;
    use crate::rng::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_sorted_set() {
        let mut rng = Rng::new(3);
        for capacity in [1_u64, 63, 64, 65, 5000, 300_000] {
            let mut set = RankSet::new(capacity as usize);
            let mut expected = BTreeSet::new();
            for _ in 0..4000 {
                let rank = rng.below(capacity) as u32;
                assert_eq!(set.contains(rank), expected.contains(&rank));
                if expected.remove(&rank) {
                    set.remove(rank);
                } else {
                    set.insert(rank);
                    expected.insert(rank);
                }
                assert_eq!(set.first(), expected.first().copied());
                let above = rng.below(capacity) as u32;
                assert_eq!(set.after(above), expected.range(above + 1..).next().copied());
                assert_eq!(set.len(), expected.len());
            }
        }
    }
}
