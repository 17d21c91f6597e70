//! The loops of reductions: runs of elements, and rows of elements one below the other.
//!
//! The order in which parts are joined depends on lengths alone, never on the instruction set: as
//! many lanes as fill two cache lines side by side, leaves and blocks of rows pairwise above. The
//! loops have no branch, so that the compiler vectorises them.

use super::fold::Fold;
use crate::kernels::simd::{self, Level, Loop};

/// Rows that are folded one by one before partial rows are joined pairwise.
const ROWS: usize = 64;

/// Columns that are folded together: partial rows of 16 bytes an element stay in the cache.
pub(super) const STRIP: usize = 1024;

/// Rows shorter than this are folded several at once.
const NARROW: usize = 32;

/// Bytes of rows below which the next rows are asked for: a page, behind which the machine does not
/// look ahead by itself.
const FETCHED: usize = 4096;

/// Levels of a pairwise tree: a run, whose longest is one part for each block of an array, has
/// fewer leaves than two to this power.
const LEVELS: usize = 24;

/// Folds runs of one length, one after the other; `values` has one for each, or one for all.
pub(super) fn runs<F: Fold>(
    level: Level,
    source: &[F::Item],
    length: usize,
    values: &[F::Value],
    out: &mut [F::Partial],
) {
    if !F::runs(level, source, length, out) {
        simd::run_bounded(level, Runs::<F> { source, length, values, out });
    }
}

struct Runs<'a, F: Fold> {
    source: &'a [F::Item],
    length: usize,
    values: &'a [F::Value],
    out: &'a mut [F::Partial],
}

impl<F: Fold> Loop for Runs<'_, F> {
    #[inline(always)]
    fn run(self) {
        let runs = self.source.chunks(self.length.max(1));
        for (index, (out, elements)) in self.out.iter_mut().zip(runs).enumerate() {
            let value = *self.values.get(index).unwrap_or(&self.values[0]);
            *out = run::<F>(elements, value);
        }
    }
}

/// Folds one run, pairwise above its leaves.
#[inline(always)]
fn run<F: Fold>(run: &[F::Item], value: F::Value) -> F::Partial {
    // A binary counter: entry `k` holds the join of two to the power of `k` leaves.
    let mut stack = [F::IDENTITY; LEVELS];
    let leaves = run.len().div_ceil(F::LEAF);
    for (number, leaf) in run.chunks(F::LEAF).enumerate() {
        let mut part = F::leaf(leaf, value);
        if leaves == 1 || F::settled(part) {
            return part;
        }
        let full = number.trailing_ones() as usize;
        for earlier in &stack[..full] {
            part = F::join(*earlier, part);
        }
        stack[full] = part;
    }
    let mut left = (0..LEVELS).filter(|level| leaves >> level & 1 == 1);
    let first = left.next().map_or(F::IDENTITY, |level| stack[level]);
    left.fold(first, |part, level| F::join(stack[level], part))
}

/// Folds a short run, lane by lane, the lanes pairwise.
#[inline(always)]
pub(super) fn leaf<F: Fold + ?Sized>(run: &[F::Item], value: F::Value) -> F::Partial {
    if const { size_of::<F::Partial>() <= 4 } {
        lanes::<F, 32>(run, value)
    } else if const { size_of::<F::Partial>() == 8 } {
        lanes::<F, 16>(run, value)
    } else {
        lanes::<F, 8>(run, value)
    }
}

#[inline(always)]
fn lanes<F: Fold + ?Sized, const LANES: usize>(run: &[F::Item], value: F::Value) -> F::Partial {
    if run.len() < LANES {
        return run.iter().fold(F::IDENTITY, |part, x| F::join(part, F::lift(*x, value)));
    }
    let mut lanes = [F::IDENTITY; LANES];
    let (chunks, rest) = run.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = F::join(*lane, F::lift(*x, value));
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = F::join(*lane, F::lift(*x, value));
    }
    let mut left = LANES;
    while left > 1 {
        left /= 2;
        for lane in 0..left {
            lanes[lane] = F::join(lanes[lane], lanes[lane + left]);
        }
    }
    lanes[0]
}

/// Partial rows that are used again and again.
pub(super) struct Scratch<F: Fold> {
    /// The sums of the columns.
    sums: Vec<F::Partial>,
    /// Values of rows that stand side by side.
    values: Vec<F::Value>,
    /// Partial rows of two to the power of their index blocks.
    levels: Vec<Vec<F::Partial>>,
}

impl<F: Fold> Scratch<F> {
    /// Without room yet.
    pub(super) fn new() -> Self {
        Self { sums: Vec::new(), values: Vec::new(), levels: Vec::new() }
    }

    /// Folds the columns `start..` of a block of rows of `width`, as many as there are values, and
    /// gives their results in order.
    pub(super) fn columns(
        &mut self,
        level: Level,
        rows: Rows<'_, F::Item>,
        values: &[F::Value],
    ) -> &[F::Partial] {
        let Rows { block, width, start } = rows;
        let count = block.len() / width;
        // Several short rows are one long row; its parts are joined at the end.
        let is_narrow = width < NARROW && count >= 4 * NARROW && values.len() == width;
        let group = if is_narrow { (4 * NARROW / width).next_power_of_two() } else { 1 };
        let whole = count / group * group * width;
        let mut repeated = std::mem::take(&mut self.values);
        repeated.clear();
        (0..group).for_each(|_| repeated.extend_from_slice(values));
        let rows = Rows { block: &block[..whole], width: width * group, start };
        let strip = Strip { scratch: self, rows, values: &repeated };
        if const { F::IS_WIDE } {
            simd::run(level, strip);
        } else {
            simd::run_bounded(level, strip);
        }
        self.values = repeated;
        let mut left = group;
        while left > 1 {
            left /= 2;
            let (low, high) = self.sums.split_at_mut(left * width);
            for (low, high) in low.iter_mut().zip(high) {
                *low = F::join(*low, *high);
            }
        }
        for row in block[whole..].chunks_exact(width) {
            for ((sum, x), value) in self.sums.iter_mut().zip(row).zip(values) {
                *sum = F::join(*sum, F::lift(*x, *value));
            }
        }
        &self.sums[..values.len()]
    }
}

/// Rows of `width` elements, of which the columns from `start` on are folded.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T> {
    pub(super) block: &'a [T],
    pub(super) width: usize,
    pub(super) start: usize,
}

/// Blocks of rows, joined pairwise by a binary counter.
struct Strip<'a, F: Fold> {
    scratch: &'a mut Scratch<F>,
    rows: Rows<'a, F::Item>,
    values: &'a [F::Value],
}

impl<F: Fold> Loop for Strip<'_, F> {
    #[inline(always)]
    fn run(self) {
        let Scratch { sums, levels, .. } = self.scratch;
        let Rows { block, width, start } = self.rows;
        let columns = self.values.len();
        sums.clear();
        sums.resize(columns, F::IDENTITY);
        let blocks = block.len().div_ceil(ROWS * width);
        for (number, rows) in block.chunks(ROWS * width).enumerate() {
            sums.fill(F::IDENTITY);
            few_rows::<F>(rows, width, start, self.values, sums);
            if blocks == 1 {
                return;
            }
            let full = number.trailing_ones() as usize;
            if levels.len() <= full {
                levels.resize_with(full + 1, Vec::new);
            }
            for earlier in &levels[..full] {
                for (sum, before) in sums.iter_mut().zip(earlier) {
                    *sum = F::join(*before, *sum);
                }
            }
            std::mem::swap(sums, &mut levels[full]);
            sums.resize(columns, F::IDENTITY);
        }
        let mut left = (0..levels.len()).filter(|level| blocks >> level & 1 == 1);
        if let Some(first) = left.next() {
            sums.copy_from_slice(&levels[first]);
        }
        for level in left {
            for (sum, before) in sums.iter_mut().zip(&levels[level]) {
                *sum = F::join(*before, *sum);
            }
        }
    }
}

/// Joins some rows to the sums, eight at a time: the sums are loaded and stored once for all eight.
#[inline(always)]
fn few_rows<F: Fold>(
    rows: &[F::Item],
    width: usize,
    start: usize,
    values: &[F::Value],
    sums: &mut [F::Partial],
) {
    let columns = sums.len();
    let values = &values[..columns];
    let is_short = columns == width && width * size_of::<F::Item>() < FETCHED;
    let mut eights = rows.chunks_exact(8 * width);
    for eight in &mut eights {
        let row = |number: usize| {
            let first = number * width + start;
            &eight[first..first + columns]
        };
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        let (e, f, g, h) = (row(4), row(5), row(6), row(7));
        if is_short {
            simd::fetch_behind(eight);
        }
        for (i, sum) in sums.iter_mut().enumerate() {
            let items = [a[i], b[i], c[i], d[i], e[i], f[i], g[i], h[i]];
            *sum = F::join_eight(*sum, items, values[i]);
        }
    }
    for row in eights.remainder().chunks_exact(width) {
        let row = &row[start..start + columns];
        for ((sum, x), value) in sums.iter_mut().zip(row).zip(values) {
            *sum = F::join(*sum, F::lift(*x, *value));
        }
    }
}
