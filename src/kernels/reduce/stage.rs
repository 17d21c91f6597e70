//! The loops of reductions: any axes of an array in C order, in stages.
//!
//! ```text
//!   axes merged to groups     K R K R K      K kept, R reduced
//!   one stage                 [outer, R, inner] ─▶ [outer, inner]
//! ```
//!
//! A stage reduces the last group that is left. With one inner element it folds runs, eight lanes
//! wide and pairwise above; else it folds whole rows, elementwise, pairwise over the rows. Both are
//! loops without a branch, which the compiler vectorises.

use crate::kernels::Context;
use crate::kernels::array::Output;
use crate::kernels::fault::Outcome;
use crate::kernels::strided::Walk;
use bytemuck::Pod;
use rdask_store::DType;

/// Lanes of a run; enough to hide the latency of an addition, few enough for the registers.
const LANES: usize = 8;

/// Elements of a run that are folded without recursion: 32 for each lane.
const LEAF: usize = 256;

/// Rows that are folded one by one before partial rows are joined pairwise.
const ROWS: usize = 16;

/// Columns that are folded together: partial rows of 16 bytes an element stay in the cache.
const STRIP: usize = 1024;

/// Rows shorter than this are folded several at once.
const NARROW: usize = 32;

/// How elements become results: `lift` each (with a value of its result, the mean for example),
/// then `join`, which is associative but for rounding. `identity` is neutral.
pub(super) struct Fold<A, L, J> {
    pub(super) identity: A,
    pub(super) lift: L,
    pub(super) join: J,
}

/// The groups of an array's axes.
#[derive(Debug)]
pub(super) struct Plan {
    /// Length and whether it is reduced; neighbours differ, no length is 1.
    groups: Vec<(usize, bool)>,
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

    /// Folds all of `source` into `output`; `values` has one value for each result, or one for all.
    ///
    /// # Errors
    /// No memory for what stands between two stages.
    #[expect(clippy::too_many_arguments, reason = "a loop and the closures that it is made for")]
    pub(super) fn run<T: Pod, S: Copy, A: Pod, R: Pod>(
        &self,
        context: &Context<'_>,
        source: &[T],
        values: &[S],
        fold: &Fold<A, impl Fn(T, S) -> A, impl Fn(A, A) -> A>,
        finish: impl Fn(A) -> R,
        output: &mut Output,
    ) -> Outcome<()> {
        let out: &mut [R] = output.elements_mut();
        if source.is_empty() {
            out.fill(finish(fold.identity));
            return Ok(());
        }
        let mut groups = self.groups.clone();
        let first = Stage::last_of(&groups);
        let places = first.places(values.len());
        if !Stage::drop_last(&mut groups) {
            first.run(source, values, &places, fold, finish, out);
            return Ok(());
        }
        let between = |stage: &Stage| {
            let nbytes = stage.outer * stage.inner * size_of::<A>();
            Output::new(context, DType::U8, &[nbytes])
        };
        let mut partial = between(&first)?;
        first.run(source, values, &places, fold, |x| x, partial.elements_mut::<A>());
        let join = Fold { identity: fold.identity, lift: |x: A, (): ()| x, join: &fold.join };
        loop {
            let stage = Stage::last_of(&groups);
            let places = stage.places(1);
            if !Stage::drop_last(&mut groups) {
                stage.run(partial.elements_mut::<A>(), &[()], &places, &join, finish, out);
                return Ok(());
            }
            let mut next = between(&stage)?;
            let target = next.elements_mut::<A>();
            stage.run(partial.elements_mut::<A>(), &[()], &places, &join, |x| x, target);
            partial = next;
        }
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

    #[expect(clippy::too_many_arguments, reason = "a loop and the closures that it is made for")]
    fn run<T: Pod, S: Copy, A: Pod, R: Pod>(
        &self,
        source: &[T],
        values: &[S],
        places: &[usize],
        fold: &Fold<A, impl Fn(T, S) -> A, impl Fn(A, A) -> A>,
        finish: impl Fn(A) -> R,
        out: &mut [R],
    ) {
        let blocks = source.chunks_exact(self.length * self.inner);
        if self.inner == 1 {
            for (index, (out, block)) in out.iter_mut().zip(blocks).enumerate() {
                let value = values[places.get(index).copied().unwrap_or(0)];
                *out = finish(run(block, value, fold));
            }
            return;
        }
        let repeated = if places.is_empty() { vec![values[0]; self.inner] } else { Vec::new() };
        let rows = out.chunks_exact_mut(self.inner).zip(blocks);
        for (index, (out, block)) in rows.enumerate() {
            let values = match places.get(index) {
                Some(place) => &values[*place..*place + self.inner],
                None => &repeated,
            };
            fold_rows(block, values, fold, &finish, out);
        }
    }
}

/// Folds one run, pairwise above its leaves.
fn run<T: Pod, S: Copy, A: Pod>(
    run_of: &[T],
    value: S,
    fold: &Fold<A, impl Fn(T, S) -> A, impl Fn(A, A) -> A>,
) -> A {
    if run_of.len() <= LEAF {
        return leaf(run_of, value, fold);
    }
    let half = (run_of.len() / 2).next_multiple_of(LANES);
    let (left, right) = run_of.split_at(half);
    (fold.join)(run(left, value, fold), run(right, value, fold))
}

fn leaf<T: Pod, S: Copy, A: Pod>(
    run: &[T],
    value: S,
    fold: &Fold<A, impl Fn(T, S) -> A, impl Fn(A, A) -> A>,
) -> A {
    let (lift, join) = (&fold.lift, &fold.join);
    if run.len() < LANES {
        return run.iter().fold(fold.identity, |sum, x| join(sum, lift(*x, value)));
    }
    let mut lanes = [fold.identity; LANES];
    let (chunks, rest) = run.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = join(*lane, lift(*x, value));
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = join(*lane, lift(*x, value));
    }
    let mut left = LANES;
    while left > 1 {
        left /= 2;
        for lane in 0..left {
            lanes[lane] = join(lanes[lane], lanes[lane + left]);
        }
    }
    lanes[0]
}

/// Folds the rows of a block, elementwise.
fn fold_rows<T: Pod, S: Copy, A: Pod, R: Pod>(
    block: &[T],
    values: &[S],
    fold: &Fold<A, impl Fn(T, S) -> A, impl Fn(A, A) -> A>,
    finish: &impl Fn(A) -> R,
    out: &mut [R],
) {
    let width = out.len();
    let rows = block.len() / width;
    if width < NARROW && rows >= 4 * NARROW {
        // Several short rows are one long row; its parts are joined at the end.
        let group = (2 * NARROW / width).next_power_of_two();
        let wide_values = values.repeat(group);
        let whole = rows / group * group * width;
        let mut sums = vec![fold.identity; width * group];
        strip(&block[..whole], width * group, 0, &wide_values, fold, &mut sums);
        let rest = &block[whole..];
        let mut left = group;
        while left > 1 {
            left /= 2;
            let (low, high) = sums.split_at_mut(left * width);
            for (low, high) in low.iter_mut().zip(high) {
                *low = (fold.join)(*low, *high);
            }
        }
        for row in rest.chunks_exact(width) {
            for ((sum, x), value) in sums.iter_mut().zip(row).zip(values) {
                *sum = (fold.join)(*sum, (fold.lift)(*x, *value));
            }
        }
        for (out, sum) in out.iter_mut().zip(&sums) {
            *out = finish(*sum);
        }
        return;
    }
    let mut sums = vec![fold.identity; STRIP.min(width)];
    for (number, out) in out.chunks_mut(STRIP).enumerate() {
        let start = number * STRIP;
        let sums = &mut sums[..out.len()];
        strip(block, width, start, &values[start..start + out.len()], fold, sums);
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = finish(*sum);
        }
    }
}

/// Folds the columns `start..start + sums.len()` of rows of `width` into `sums`.
#[expect(clippy::too_many_arguments, reason = "a loop and the closures that it is made for")]
fn strip<T: Pod, S: Copy, A: Pod>(
    block: &[T],
    width: usize,
    start: usize,
    values: &[S],
    fold: &Fold<A, impl Fn(T, S) -> A, impl Fn(A, A) -> A>,
    sums: &mut [A],
) {
    let columns = sums.len();
    // Partial rows, of which entry `k` covers twice as many rows as those behind it: a binary
    // counter, whose joins make the pairwise tree.
    let mut partials: Vec<Vec<A>> = Vec::new();
    let mut spare: Vec<Vec<A>> = Vec::new();
    for (number, rows) in block.chunks(ROWS * width).enumerate() {
        let mut current = spare.pop().unwrap_or_else(|| vec![fold.identity; columns]);
        current.fill(fold.identity);
        let mut quads = rows.chunks_exact(4 * width);
        for quad in &mut quads {
            let [a, b, c, d] = [0, 1, 2, 3].map(|row| {
                let first = row * width + start;
                &quad[first..first + columns]
            });
            // Four rows at once: the sums are loaded and stored once for all of them.
            for ((((sum, a), b), (c, d)), value) in
                current.iter_mut().zip(a).zip(b).zip(c.iter().zip(d)).zip(values)
            {
                let lift = |x: &T| (fold.lift)(*x, *value);
                let four =
                    (fold.join)((fold.join)(lift(a), lift(b)), (fold.join)(lift(c), lift(d)));
                *sum = (fold.join)(*sum, four);
            }
        }
        for row in quads.remainder().chunks_exact(width) {
            let row = &row[start..start + columns];
            for ((sum, x), value) in current.iter_mut().zip(row).zip(values) {
                *sum = (fold.join)(*sum, (fold.lift)(*x, *value));
            }
        }
        let mut carry = number;
        while carry & 1 == 1 {
            let Some(earlier) = partials.pop() else { break };
            for (sum, before) in current.iter_mut().zip(&earlier) {
                *sum = (fold.join)(*before, *sum);
            }
            spare.push(earlier);
            carry >>= 1;
        }
        partials.push(current);
    }
    sums.fill(fold.identity);
    for partial in partials.iter().rev() {
        for (sum, before) in sums.iter_mut().zip(partial) {
            *sum = (fold.join)(*before, *sum);
        }
    }
}
