//! Reductions over any axes of an array in C order, in stages, on several threads.
//!
//! ```text
//!   axes merged to groups     K R K R K      K kept, R reduced
//!   one stage                 [outer, R, inner] ─▶ [outer, blocks, inner] ─▶ [outer, inner]
//! ```
//!
//! A stage reduces the last group that is left. A long one is cut into blocks of a fixed size, whose
//! results are reduced once more. Threads share the blocks or, where there are few, the columns:
//! neither changes the order of additions, which depends on the shape and the axes alone.

use super::fold::Fold;
use super::lanes::{self, Rows, STRIP, Scratch};
use crate::kernels::Context;
use crate::kernels::array::Output;
use crate::kernels::fault::Outcome;
use crate::kernels::parallel;
use crate::kernels::simd::Level;
use crate::kernels::strided::Walk;
use bytemuck::Pod;
use rdask_store::DType;
use std::ops::Range;

/// Elements of a block: much more than a block's share of the work above blocks, few enough for
/// many threads to find some.
pub(super) const BLOCK: usize = 128 * 1024;

/// Bytes of input below which a thread costs more than it saves.
const LEAST_PART_BYTES: usize = 512 * 1024;

/// Runs that are folded before their results are closed.
const TOGETHER: usize = 1024;

/// The groups of an array's axes.
#[derive(Debug)]
pub(super) struct Plan {
    /// Length and whether it is reduced; neighbours differ, no length is 1.
    groups: Vec<(usize, bool)>,
}

/// Where and how a plan runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) level: Level,
}

impl<'a> Site<'a> {
    /// With the best instructions of this machine.
    pub(super) fn here(context: &'a Context<'a>) -> Self {
        Self { context, level: Level::best() }
    }
}

impl Plan {
    /// Merges neighbours that are treated alike.
    pub(super) fn new(shape: &[usize], reduced: &[bool]) -> Self {
        let mut groups: Vec<(usize, bool)> = Vec::new();
        for (length, reduced) in shape.iter().zip(reduced).filter(|(length, _)| **length != 1) {
            match groups.last_mut() {
                Some((merged, kind)) if kind == reduced => *merged = merged.saturating_mul(*length),
                _ => groups.push((*length, *reduced)),
            }
        }
        Self { groups }
    }

    /// Elements that go into one result.
    pub(super) fn count(&self) -> usize {
        self.product(true)
    }

    /// Number of results.
    pub(super) fn results(&self) -> usize {
        self.product(false)
    }

    fn product(&self, of_reduced: bool) -> usize {
        let lengths = self.groups.iter().filter(|(_, reduced)| *reduced == of_reduced);
        lengths.fold(1, |product, (length, _)| product.saturating_mul(*length))
    }

    /// Folds all of `source` into `out`.
    ///
    /// # Errors
    /// No memory for what stands between two stages.
    pub(super) fn run<F: Fold, R: Pod + Send>(
        &self,
        site: Site<'_>,
        source: Source<'_, F::Item, F::Value>,
        finish: impl Fn(F::Partial) -> R + Sync,
        out: &mut [R],
    ) -> Outcome<()> {
        if source.elements.is_empty() {
            out.fill(finish(F::NOTHING));
            return Ok(());
        }
        let close = |parts: &[F::Partial], out: &mut [u8]| {
            let out: &mut [R] = bytemuck::cast_slice_mut(out);
            for (out, part) in out.iter_mut().zip(parts) {
                *out = finish(*part);
            }
        };
        let closing = Closing { size: size_of::<R>(), close: &close };
        self.fold::<F>(site, source, closing, bytemuck::cast_slice_mut(out))
    }

    fn fold<F: Fold>(
        &self,
        site: Site<'_>,
        source: Source<'_, F::Item, F::Value>,
        closing: Closing<'_, F::Partial>,
        out: &mut [u8],
    ) -> Outcome<()> {
        let mut groups = self.groups.clone();
        let first = Stage::last_of(&groups);
        let places = first.places(source.values.len());
        let placed = Placed { source, places: &places };
        if !Stage::drop_last(&mut groups) {
            return first.run::<F>(site, placed, closing, out);
        }
        let room = |stage: &Stage| parts::<F>(site, stage.outer.saturating_mul(stage.inner));
        let mut partial = room(&first)?;
        first.run::<F>(site, placed, Closing::none(), partial.bytes_mut())?;
        loop {
            let stage = Stage::last_of(&groups);
            if !Stage::drop_last(&mut groups) {
                let parts = Placed::parts(partial.elements_mut());
                return stage.run::<F::Above>(site, parts, closing, out);
            }
            let mut next = room(&stage)?;
            let parts = Placed::parts(partial.elements_mut());
            stage.run::<F::Above>(site, parts, Closing::none(), next.bytes_mut())?;
            partial = next;
        }
    }
}

/// How parts become results of `size` bytes. The loops know the parts alone, so that they are
/// compiled once for each fold.
struct Closing<'a, A> {
    size: usize,
    close: &'a (dyn Fn(&[A], &mut [u8]) + Sync),
}

impl<A> Clone for Closing<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Closing<'_, A> {}

impl<A: Pod> Closing<'_, A> {
    /// Parts stay parts.
    fn none() -> Self {
        Self {
            size: size_of::<A>(),
            close: &|parts, out| out.copy_from_slice(bytemuck::cast_slice(parts)),
        }
    }
}

/// Room for parts between two stages.
fn parts<F: Fold>(site: Site<'_>, count: usize) -> Outcome<Output> {
    let nbytes = count.saturating_mul(size_of::<F::Partial>());
    Output::new(site.context, DType::U8, &[nbytes])
}

/// What is folded.
pub(super) struct Source<'a, T, V> {
    /// The array.
    pub(super) elements: &'a [T],
    /// One value for each result, or one for all.
    pub(super) values: &'a [V],
}

impl<T, V> Clone for Source<'_, T, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, V> Copy for Source<'_, T, V> {}

/// A source, and where the values of each outer index begin; without places there is one for all.
struct Placed<'a, T, V> {
    source: Source<'a, T, V>,
    places: &'a [usize],
}

impl<T, V> Clone for Placed<'_, T, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, V> Copy for Placed<'_, T, V> {}

impl<'a, T> Placed<'a, T, ()> {
    /// Parts that a stage has left.
    fn parts(elements: &'a [T]) -> Self {
        Self { source: Source { elements, values: &[()] }, places: &[] }
    }
}

/// One stage: the middle one of three axes goes.
#[derive(Debug)]
struct Stage {
    /// Groups before the reduced one.
    before: Vec<(usize, bool)>,
    outer: usize,
    length: usize,
    inner: usize,
}

impl Stage {
    /// The stage that reduces the last group which is reduced.
    fn last_of(groups: &[(usize, bool)]) -> Self {
        let product = |groups: &[(usize, bool)]| groups.iter().map(|(length, _)| length).product();
        match groups.iter().rposition(|(_, reduced)| *reduced) {
            Some(last) => Self {
                before: groups[..last].to_vec(),
                outer: product(&groups[..last]),
                length: groups[last].0,
                inner: product(&groups[last + 1..]),
            },
            None => Self { before: Vec::new(), outer: 1, length: 1, inner: product(groups) },
        }
    }

    /// Takes that group away; false when no reduced group is left.
    fn drop_last(groups: &mut Vec<(usize, bool)>) -> bool {
        if let Some(last) = groups.iter().rposition(|(_, reduced)| *reduced) {
            groups.remove(last);
            if last > 0 && last < groups.len() {
                let (length, _) = groups.remove(last);
                groups[last - 1].0 *= length;
            }
        }
        groups.iter().any(|(_, reduced)| *reduced)
    }

    /// For each outer index, where the values of its results begin; empty for one value for all.
    fn places(&self, values: usize) -> Vec<usize> {
        if values == 1 {
            return Vec::new();
        }
        let mut strides = vec![0_isize; self.before.len()];
        let mut stride = self.inner;
        for (axis, (length, reduced)) in self.before.iter().enumerate().rev() {
            if !reduced {
                strides[axis] = stride as isize;
                stride *= length;
            }
        }
        let shape: Vec<usize> = self.before.iter().map(|(length, _)| *length).collect();
        let mut walk = Walk::new(&shape, &strides, 0);
        let mut places = Vec::with_capacity(self.outer);
        for _ in 0..self.outer {
            places.push(walk.position());
            walk.advance();
        }
        places
    }

    /// Indices of the reduced axis that make a block.
    fn block(&self) -> usize {
        if self.length.saturating_mul(self.inner) < 2 * BLOCK {
            return self.length;
        }
        (BLOCK / self.inner).max(64).min(self.length)
    }

    fn run<F: Fold>(
        &self,
        site: Site<'_>,
        placed: Placed<'_, F::Item, F::Value>,
        closing: Closing<'_, F::Partial>,
        out: &mut [u8],
    ) -> Outcome<()> {
        let block = self.block();
        let blocks = self.length.div_ceil(block);
        let units = Units { stage: self, block, blocks, placed };
        if blocks == 1 {
            return units.run::<F>(site, closing, out);
        }
        let mut partial = parts::<F>(site, self.outer * blocks * self.inner)?;
        units.run::<F>(site, Closing::none(), partial.bytes_mut())?;
        let above =
            Self { before: Vec::new(), outer: self.outer, length: blocks, inner: self.inner };
        let placed = Placed::parts(partial.elements_mut());
        let units = Units { stage: &above, block: blocks, blocks: 1, placed };
        units.run::<F::Above>(site, closing, out)
    }
}

/// The blocks of a stage, each of which gives one row of results.
struct Units<'a, T, V> {
    stage: &'a Stage,
    block: usize,
    blocks: usize,
    placed: Placed<'a, T, V>,
}

impl<T: Pod + Send + Sync, V: Copy + Send + Sync> Units<'_, T, V> {
    fn run<F: Fold<Item = T, Value = V>>(
        &self,
        site: Site<'_>,
        closing: Closing<'_, F::Partial>,
        out: &mut [u8],
    ) -> Outcome<()> {
        let (count, inner) = (self.stage.outer * self.blocks, self.stage.inner);
        let threads = site.context.threads.max(1) as usize;
        let unit_bytes = self.block.saturating_mul(inner).saturating_mul(size_of::<T>()).max(1);
        let mut jobs: Vec<parallel::Job<'_>> = Vec::new();
        let mut push = |unit, column, out| {
            let piece = Piece { units: self, level: site.level, unit, column };
            jobs.push(Box::new(move || {
                if inner == 1 {
                    piece.runs::<F>(closing, out);
                } else {
                    piece.columns::<F>(closing, out);
                }
                Ok(())
            }));
        };
        if count < threads && inner >= 2 * STRIP {
            let column_bytes = (unit_bytes / inner).max(1);
            let least = LEAST_PART_BYTES.div_ceil(column_bytes).max(STRIP);
            for (unit, mut row) in out.chunks_exact_mut(inner * closing.size).enumerate() {
                for part in parallel::split(inner, site.context.threads, least, STRIP) {
                    let (piece, rest) = row.split_at_mut(part.len() * closing.size);
                    row = rest;
                    push(unit, part.start, piece);
                }
            }
        } else {
            let least = LEAST_PART_BYTES.div_ceil(unit_bytes);
            let mut rest = out;
            for part in parallel::split(count, site.context.threads, least, 1) {
                let (piece, behind) = rest.split_at_mut(part.len() * inner * closing.size);
                rest = behind;
                push(part.start, 0, piece);
            }
        }
        parallel::all(jobs)
    }

    /// Where the elements of a unit stand.
    fn range(&self, unit: usize) -> Range<usize> {
        let (outer, block) = (unit / self.blocks, unit % self.blocks);
        let (length, inner) = (self.stage.length, self.stage.inner);
        let first = block * self.block;
        let last = (first + self.block).min(length);
        (outer * length + first) * inner..(outer * length + last) * inner
    }

    /// Where the values of a unit begin.
    fn place(&self, unit: usize) -> Option<usize> {
        self.placed.places.get(unit / self.blocks).copied()
    }
}

/// What one thread does: whole units from one on, or some columns of one.
struct Piece<'a, T, V> {
    units: &'a Units<'a, T, V>,
    level: Level,
    unit: usize,
    column: usize,
}

impl<T: Pod + Send + Sync, V: Copy + Send + Sync> Piece<'_, T, V> {
    /// Units of one column, some at a time.
    fn runs<F: Fold<Item = T, Value = V>>(&self, closing: Closing<'_, F::Partial>, out: &mut [u8]) {
        let units = self.units;
        let together = if units.blocks == 1 { TOGETHER } else { 1 };
        let mut parts = vec![F::IDENTITY; together.min(out.len() / closing.size)];
        let mut gathered = Vec::with_capacity(parts.len());
        for (number, out) in out.chunks_mut(together * closing.size).enumerate() {
            let first = self.unit + number * together;
            let count = out.len() / closing.size;
            let last = units.range(first + count - 1).end;
            let source = &units.placed.source.elements[units.range(first).start..last];
            gathered.clear();
            for unit in first..first + count {
                gathered.push(units.placed.source.values[units.place(unit).unwrap_or(0)]);
            }
            let parts = &mut parts[..count];
            lanes::runs::<F>(self.level, source, units.block, &gathered, parts);
            (closing.close)(parts, out);
        }
    }

    /// Units of several columns, a strip at a time.
    fn columns<F: Fold<Item = T, Value = V>>(
        &self,
        closing: Closing<'_, F::Partial>,
        out: &mut [u8],
    ) {
        let (units, width) = (self.units, self.units.stage.inner);
        let all = units.placed.source.values;
        let mut scratch = Scratch::<F>::new();
        let repeated = if units.placed.places.is_empty() {
            vec![all[0]; STRIP.min(width)]
        } else {
            Vec::new()
        };
        for (index, row) in out.chunks_mut(width * closing.size).enumerate() {
            let unit = self.unit + index;
            let block = &units.placed.source.elements[units.range(unit)];
            for (number, out) in row.chunks_mut(STRIP * closing.size).enumerate() {
                let start = self.column + number * STRIP;
                let count = out.len() / closing.size;
                let values = match units.place(unit) {
                    Some(place) => &all[place + start..place + start + count],
                    None => &repeated[..count],
                };
                let rows = Rows { block, width, start };
                (closing.close)(scratch.columns(self.level, rows, values), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::{Greatest, Least, Product, Spread, Total};
    use super::*;
    use rdask_store::Store;
    use std::path::Path;

    const SHAPES: [(&[usize], &[bool]); 9] = [
        (&[700_001], &[true]),
        (&[300, 1000], &[true, false]),
        (&[300, 1000], &[false, true]),
        (&[70_000, 5], &[true, false]),
        (&[7, 90, 500], &[false, true, false]),
        (&[20, 30, 10, 40], &[true, false, true, false]),
        (&[20, 30, 10, 40], &[false, true, false, true]),
        (&[3, 200_000], &[true, false]),
        (&[1000, 17], &[false, false]),
    ];

    fn bits<F: Fold<Item = f64, Partial = f64>>(
        (shape, reduced): (&[usize], &[bool]),
        value: F::Value,
        threads: u32,
        level: Level,
    ) -> Vec<u64> {
        let count: usize = shape.iter().product();
        let source: Vec<f64> =
            (0..count).map(|index| ((index * 7919) % 10_007) as f64 / 5003.0 - 1.0).collect();
        let store = Store::new(0);
        let context = Context {
            store: &store,
            priority: 0,
            threads,
            attempt: 0,
            rank: 0,
            working_directory: Path::new("/"),
        };
        let plan = Plan::new(shape, reduced);
        let mut out = vec![0_u64; plan.results()];
        let site = Site { context: &context, level };
        let source = Source { elements: &source, values: &[value] };
        plan.run::<F, u64>(site, source, f64::to_bits, &mut out).unwrap();
        out
    }

    #[test]
    fn threads_and_instructions_change_no_bit() {
        for case in SHAPES {
            let all = |threads, level| {
                [
                    bits::<Total<f64>>(case, (), threads, level),
                    bits::<Product<f64>>(case, (), threads, level),
                    bits::<Least<f64>>(case, (), threads, level),
                    bits::<Greatest<f64>>(case, (), threads, level),
                    bits::<Spread<f64>>(case, 0.1, threads, level),
                ]
            };
            let expected = all(1, Level::Portable);
            for level in Level::available() {
                for threads in [1, 2, 3, 7] {
                    assert_eq!(all(threads, level), expected, "{case:?} {threads} {level:?}");
                }
            }
        }
    }
}
