//! The sum of an array of f64 that comes piece by piece, with the bits that `sum` gives to it whole.
//!
//! `sum` cuts its input into leaves and joins those of a block pairwise (`lanes`), then the blocks
//! (`stage`). Here the leaves are folded as they come, and what is above them when all have come.

use super::element::Element;
use super::fold::{Fold, Total};
use super::lanes;
use super::stage::BLOCK;
use crate::kernels::simd::Level;

const LEAF: usize = <Total<f64> as Fold>::LEAF;
const _: () = assert!(BLOCK.is_multiple_of(LEAF), "blocks are made of whole leaves");

/// A sum in the making.
pub(in crate::kernels) struct PiecewiseSum {
    /// Elements of the whole array.
    count: usize,
    /// Sums of the leaves that have come.
    leaves: Vec<f64>,
    /// Elements of a leaf that has begun.
    begun: Vec<f64>,
}

impl PiecewiseSum {
    /// Of an array of so many elements, at least one.
    pub(in crate::kernels) fn of(count: usize) -> Self {
        let leaves = Vec::with_capacity(count.div_ceil(LEAF));
        Self { count, leaves, begun: Vec::with_capacity(LEAF) }
    }

    /// Adds the next elements.
    pub(in crate::kernels) fn add(&mut self, piece: &[f64]) {
        let missing = if self.begun.is_empty() { 0 } else { LEAF - self.begun.len() };
        let (head, rest) = piece.split_at(missing.min(piece.len()));
        self.begun.extend_from_slice(head);
        if self.begun.len() == LEAF {
            fold(&self.begun, &mut self.leaves);
            self.begun.clear();
        }
        let (whole, tail) = rest.split_at(rest.len() / LEAF * LEAF);
        fold(whole, &mut self.leaves);
        self.begun.extend_from_slice(tail);
    }

    /// The sum, when all elements have come.
    pub(in crate::kernels) fn finish(mut self) -> f64 {
        fold(&self.begun, &mut self.leaves);
        let block = if self.count < 2 * BLOCK { self.count } else { BLOCK };
        let blocks: Vec<f64> = self.leaves.chunks(block.div_ceil(LEAF)).map(pairwise).collect();
        if let [single] = blocks[..] {
            return f64::close(single);
        }
        let mut sum = [0.0];
        lanes::runs::<<Total<f64> as Fold>::Above>(
            Level::best(),
            &blocks,
            blocks.len(),
            &[()],
            &mut sum,
        );
        f64::close(sum[0])
    }
}

/// Folds leaves, of which only the last may be short.
fn fold(elements: &[f64], leaves: &mut Vec<f64>) {
    let known = leaves.len();
    leaves.resize(known + elements.len().div_ceil(LEAF), 0.0);
    lanes::runs::<Total<f64>>(Level::best(), elements, LEAF, &[()], &mut leaves[known..]);
}

/// Joins leaves as the binary counter of `lanes` does: the left half is the largest power of two
/// that leaves something for the right one.
fn pairwise(leaves: &[f64]) -> f64 {
    match leaves {
        [] => Total::<f64>::IDENTITY,
        [single] => *single,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            Total::<f64>::join(pairwise(left), pairwise(right))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stage::{Plan, Site, Source};
    use super::*;
    use crate::kernels::Context;
    use rdask_store::Store;
    use std::path::Path;

    fn whole(elements: &[f64]) -> f64 {
        let store = Store::new(0);
        let context = Context {
            store: &store,
            priority: 0,
            threads: 1,
            attempt: 0,
            rank: 0,
            working_directory: Path::new("/"),
        };
        let plan = Plan::new(&[elements.len()], &[true]);
        let source = Source { elements, values: &[()] };
        let mut sum = [0.0];
        plan.run::<Total<f64>, f64>(Site::here(&context), source, f64::close, &mut sum).unwrap();
        sum[0]
    }

    #[test]
    fn pieces_of_any_length_have_the_bits_of_the_whole() {
        let element = |at: usize| ((at * 7919) % 10_007) as f64 / 5003.0 - 1.0;
        let elements: Vec<f64> = (0..5 * BLOCK + 700).map(element).collect();
        for count in [1, 2, 511, 512, 513, 7 * LEAF + 3, 2 * BLOCK - 1, 2 * BLOCK, 5 * BLOCK + 700]
        {
            let elements = &elements[..count];
            let expected = whole(elements);
            for piece in [1, 100, 512, 1000, 16 * 1024, count] {
                // One by one only where that is quick.
                if count / piece > 300_000 {
                    continue;
                }
                let mut sum = PiecewiseSum::of(count);
                elements.chunks(piece).for_each(|piece| sum.add(piece));
                assert_eq!(sum.finish().to_bits(), expected.to_bits(), "{count} by {piece}");
            }
        }
    }
}
