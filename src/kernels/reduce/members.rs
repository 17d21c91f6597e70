//! The members of groups, copied next to each other, and what is computed of them.
//!
//! Each thread has whole groups or whole outer indices, so that the number of threads changes no
//! order. The members of a group keep their order.

use super::element::{Element, Wide, one_nan};
use super::fold::{Fold, Sound, Total, TotalOfSound};
use super::lanes::{self, Rows, STRIP, Scratch};
use crate::kernels::fault::{Outcome, fault};
use crate::kernels::parallel;
use crate::kernels::simd::Level;
use bytemuck::Pod;
use std::marker::PhantomData;
use std::ops::Range;

/// Bytes of members that are folded together: they stay in the cache between copy and fold.
const STRIP_BYTES: usize = 512 * 1024;

/// Fewest columns that are copied together: a cache line of 8-byte elements.
const FEWEST_COLUMNS: usize = 8;

/// Elements below which a thread costs more than it saves.
const LEAST_PART: usize = 64 * 1024;

/// The indices of each group.
pub(super) struct Members {
    /// Where the indices of a group begin; one more than there are groups.
    starts: Vec<usize>,
    indices: Vec<usize>,
}

impl Members {
    /// Sorts indices by their group, stably.
    pub(super) fn new(numbers: &[Option<usize>], ngroups: usize) -> Outcome<Self> {
        let mut starts: Vec<usize> = Vec::new();
        let count = ngroups.saturating_add(1);
        if starts.try_reserve_exact(count).is_err() {
            return Err(fault("MemoryError", format!("no memory for {ngroups} groups")));
        }
        starts.resize(count, 0);
        for group in numbers.iter().flatten() {
            starts[group + 1] += 1;
        }
        for group in 0..ngroups {
            starts[group + 1] += starts[group];
        }
        let mut next = starts.clone();
        let mut indices = vec![0; starts[ngroups]];
        for (index, group) in numbers.iter().enumerate() {
            if let Some(group) = group {
                indices[next[*group]] = index;
                next[*group] += 1;
            }
        }
        Ok(Self { starts, indices })
    }

    /// The first group without members.
    pub(super) fn first_empty(&self) -> Option<usize> {
        self.starts.windows(2).position(|pair| pair[0] == pair[1])
    }

    fn groups(&self) -> usize {
        self.starts.len() - 1
    }

    fn of(&self, group: usize) -> Range<usize> {
        self.starts[group]..self.starts[group + 1]
    }
}

/// What is computed of the members of a group.
pub(super) trait Grouped: Sync {
    /// Type of the elements.
    type Item: Pod + Send + Sync;
    /// Type of the results.
    type Out: Pod + Send;
    /// One result for each column of a block of members.
    fn row(&self, block: &[Self::Item], out: &mut [Self::Out]);
}

/// Folds a block of as many columns as there are values.
fn columns<F: Fold>(block: &[F::Item], values: &[F::Value]) -> Vec<F::Partial> {
    if values.len() == 1 {
        let mut parts = vec![F::IDENTITY];
        lanes::runs::<F>(Level::best(), block, block.len(), values, &mut parts);
        return parts;
    }
    let rows = Rows { block, width: values.len(), start: 0 };
    Scratch::<F>::new().columns(Level::best(), rows, values).to_vec()
}

/// One fold, closed with the number of members.
pub(super) struct Folded<F: Fold, R> {
    close: fn(F::Partial, usize) -> R,
}

impl<F: Fold<Value = ()>, R> Folded<F, R> {
    pub(super) fn new(close: fn(F::Partial, usize) -> R) -> Self {
        Self { close }
    }
}

impl<F: Fold<Value = ()>, R: Pod + Send> Grouped for Folded<F, R> {
    type Item = F::Item;
    type Out = R;
    fn row(&self, block: &[F::Item], out: &mut [R]) {
        let count = block.len() / out.len();
        let parts = columns::<F>(block, &vec![(); out.len()]);
        for (out, part) in out.iter_mut().zip(parts) {
            *out = (self.close)(part, count);
        }
    }
}

/// Means of each column, wide, and how many elements count.
fn means<T: Element, S: Fold<Item = T, Value = (), Partial = T::Wide>, const SOUND: bool>(
    block: &[T],
    width: usize,
) -> (Vec<T::Wide>, Vec<f64>) {
    let nothing = vec![(); width];
    let counts = if SOUND {
        columns::<Sound<T>>(block, &nothing)
    } else {
        vec![(block.len() / width) as f64; width]
    };
    let mut means = columns::<S>(block, &nothing);
    for (mean, count) in means.iter_mut().zip(&counts) {
        *mean = mean.over(*count);
    }
    (means, counts)
}

/// The mean of floats, with or without NaN.
pub(super) struct Means<T, const SOUND: bool>(PhantomData<fn() -> T>);

impl<T, const SOUND: bool> Means<T, SOUND> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Element, const SOUND: bool> Grouped for Means<T, SOUND> {
    type Item = T;
    type Out = T::Sum;
    fn row(&self, block: &[T], out: &mut [T::Sum]) {
        let (means, _) = if SOUND {
            means::<T, TotalOfSound<T>, true>(block, out.len())
        } else {
            means::<T, Total<T>, false>(block, out.len())
        };
        for (out, mean) in out.iter_mut().zip(means) {
            *out = T::close(mean);
        }
    }
}

/// The variance of floats: `S` sums, `Q` squares.
pub(super) struct Spreads<S, Q, R, const SOUND: bool> {
    close: fn(f64) -> R,
    folds: PhantomData<fn() -> (S, Q)>,
}

impl<S, Q, R, const SOUND: bool> Spreads<S, Q, R, SOUND> {
    pub(super) fn new(close: fn(f64) -> R) -> Self {
        Self { close, folds: PhantomData }
    }
}

impl<T, S, Q, R: Pod + Send, const SOUND: bool> Grouped for Spreads<S, Q, R, SOUND>
where
    T: Element,
    S: Fold<Item = T, Value = (), Partial = T::Wide>,
    Q: Fold<Item = T, Value = T::Wide, Partial = f64>,
{
    type Item = T;
    type Out = R;
    fn row(&self, block: &[T], out: &mut [R]) {
        let (means, counts) = means::<T, S, SOUND>(block, out.len());
        let sums = columns::<Q>(block, &means);
        for ((out, sum), count) in out.iter_mut().zip(sums).zip(counts) {
            *out = (self.close)(one_nan(sum / count));
        }
    }
}

/// The first or last member, or the first or last that is not NaN; NaN where there is none.
pub(super) struct Ends<T, const LAST: bool, const SOUND: bool>(PhantomData<fn() -> T>);

impl<T, const LAST: bool, const SOUND: bool> Ends<T, LAST, SOUND> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Element, const LAST: bool, const SOUND: bool> Grouped for Ends<T, LAST, SOUND> {
    type Item = T;
    type Out = T;
    fn row(&self, block: &[T], out: &mut [T]) {
        let (width, count) = (out.len(), block.len() / out.len());
        out.fill(T::GAP);
        for (column, out) in out.iter_mut().enumerate() {
            for step in 0..count {
                let row = if LAST { count - 1 - step } else { step };
                *out = block[row * width + column];
                if !(SOUND && out.is_gap()) {
                    break;
                }
                *out = T::GAP;
            }
        }
    }
}

/// An array of `[outer, length, inner]` whose middle axis is grouped.
pub(super) struct Table<'a> {
    pub(super) length: usize,
    pub(super) inner: usize,
    pub(super) members: &'a Members,
    pub(super) threads: u32,
}

impl Table<'_> {
    /// The number of members of every group, for each index of the other axes.
    pub(super) fn count(&self, out: &mut [i64]) {
        if out.is_empty() {
            return;
        }
        for (number, row) in out.chunks_exact_mut(self.inner).enumerate() {
            row.fill(self.members.of(number % self.members.groups()).len() as i64);
        }
    }

    /// Computes all groups: `out` is `[outer, groups, inner]`.
    pub(super) fn run<G: Grouped>(
        &self,
        source: &[G::Item],
        grouped: &G,
        out: &mut [G::Out],
    ) -> Outcome<()> {
        if out.is_empty() {
            return Ok(());
        }
        // Rows of the result: a group of an outer index each.
        let rows = out.len() / self.inner;
        let row_elements = source.len().div_ceil(rows).max(1);
        let least = LEAST_PART.div_ceil(row_elements);
        let mut jobs: Vec<parallel::Job<'_>> = Vec::new();
        let mut rest = out;
        for part in parallel::split(rows, self.threads, least, 1) {
            let (out, behind) = rest.split_at_mut(part.len() * self.inner);
            rest = behind;
            let piece = Piece { table: self, grouped, source, first: part.start, out };
            jobs.push(Box::new(move || {
                piece.run();
                Ok(())
            }));
        }
        parallel::all(jobs)
    }
}

/// Some rows of the result: those from row `first` on.
struct Piece<'a, G: Grouped> {
    table: &'a Table<'a>,
    grouped: &'a G,
    source: &'a [G::Item],
    first: usize,
    out: &'a mut [G::Out],
}

impl<G: Grouped> Piece<'_, G> {
    fn run(self) {
        let Table { length, inner, members, .. } = *self.table;
        let mut block: Vec<G::Item> = Vec::new();
        for (number, row) in self.out.chunks_exact_mut(inner).enumerate() {
            let number = self.first + number;
            let (outer, group) = (number / members.groups(), number % members.groups());
            let indices = &members.indices[members.of(group)];
            let source = &self.source[outer * length * inner..(outer + 1) * length * inner];
            let member_bytes = size_of::<G::Item>() * indices.len().max(1);
            let strip = (STRIP_BYTES / member_bytes).clamp(FEWEST_COLUMNS, STRIP);
            for (strip_number, out) in row.chunks_mut(strip).enumerate() {
                let column = strip_number * strip;
                block.clear();
                if inner == 1 {
                    block.extend(indices.iter().map(|index| source[*index]));
                } else {
                    for index in indices {
                        let first = index * inner + column;
                        block.extend_from_slice(&source[first..first + out.len()]);
                    }
                }
                self.grouped.row(&block, out);
            }
        }
    }
}
