//! The sizes that a user may give a family of graphs, each with its name and its range.
//!
//! All are integers, so that a graph does not depend on how a decimal was rounded: fractions of one
//! count in millionths. The ranges keep every product of three of them within 128 bits.

use std::ops::Index;

/// One size. Its name is that of the option, without dashes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Knob {
    /// Leaves of a merge; rows of a matrix.
    N,
    /// Levels of a tree.
    Depth,
    /// Rows and columns of an array.
    Size,
    /// Chunks along each axis.
    Chunks,
    /// Length of a chunk along each axis.
    Chunk,
    /// Partitions.
    Partitions,
    /// Points of a step.
    Width,
    /// Steps.
    Steps,
    /// Points of the step before that a point may read.
    Radix,
    /// Steps after which a pattern repeats.
    Period,
    /// Probability that a point of the neighbourhood is read, in millionths.
    Fraction,
    /// How uneven the tasks are, in millionths.
    Imbalance,
    /// Graphs side by side.
    Graphs,
    /// Rows and columns of a tile.
    Block,
}

/// One of something that counts in millionths.
pub const MILLION: u64 = 1_000_000;

impl Knob {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::N,
        Self::Depth,
        Self::Size,
        Self::Chunks,
        Self::Chunk,
        Self::Partitions,
        Self::Width,
        Self::Steps,
        Self::Radix,
        Self::Period,
        Self::Fraction,
        Self::Imbalance,
        Self::Graphs,
        Self::Block,
    ];

    /// The name of the option.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::N => "n",
            Self::Depth => "depth",
            Self::Size => "size",
            Self::Chunks => "chunks",
            Self::Chunk => "chunk",
            Self::Partitions => "partitions",
            Self::Width => "width",
            Self::Steps => "steps",
            Self::Radix => "radix",
            Self::Period => "period",
            Self::Fraction => "fraction",
            Self::Imbalance => "imbalance",
            Self::Graphs => "graphs",
            Self::Block => "block",
        }
    }

    /// Least and largest value. The largest lie far beyond what fits a machine; which graph is too
    /// large is decided by its numbers of tasks and edges.
    pub(super) const fn range(self) -> (u64, u64) {
        match self {
            Self::Depth => (1, 31),
            Self::Size => (2, 1 << 32),
            Self::Chunks => (2, 1 << 16),
            Self::Chunk => (1, 1 << 10),
            Self::Radix => (0, 1 << 20),
            Self::Fraction | Self::Imbalance => (0, MILLION),
            Self::Graphs => (1, 1 << 10),
            Self::Block => (1, 1 << 18),
            Self::N | Self::Partitions | Self::Width | Self::Steps | Self::Period => (1, 1 << 32),
        }
    }
}

/// A value for each knob; 0 for those that a family does not take.
#[derive(Clone, Debug, Default)]
pub(super) struct Knobs {
    values: [u64; Knob::ALL.len()],
}

impl Knobs {
    pub(super) fn set(&mut self, knob: Knob, value: u64) {
        self.values[knob as usize] = value;
    }
}

impl Index<Knob> for Knobs {
    type Output = u64;

    fn index(&self, knob: Knob) -> &u64 {
        &self.values[knob as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_stand_in_their_order() {
        assert!(Knob::ALL.iter().enumerate().all(|(at, knob)| *knob as usize == at));
    }

    #[test]
    fn three_largest_values_multiply_without_overflow() {
        let largest = Knob::ALL.iter().map(|knob| u128::from(knob.range().1)).max().unwrap();
        assert!(largest.checked_pow(3).is_some());
    }
}
