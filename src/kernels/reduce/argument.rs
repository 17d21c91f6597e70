//! argmin and argmax: where the first smallest or largest element stands.
//!
//! A NaN wins over every number; the nan forms see infinities in their place. Values are compared
//! before places are looked for: a block of a run, a group of rows. The numbers of groups fit the
//! width of an element, so that the same vector instructions choose both.

use super::element::{Element, Mask, with_element, with_float};
use crate::kernels::Context;
use crate::kernels::array::{Output, View, axis_of};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::parallel;
use crate::kernels::params::{Read, Reader};
use crate::kernels::simd::{self, Level, Loop};
use crate::kernels::widened;
use rdask_store::{DType, Sealed};
use std::ops::Range;

/// Elements whose best one is found before its place: they stay in the first-level cache.
const BLOCK: usize = 1024;

/// Elements that are searched at once for the best one.
const PART: usize = 32;

/// Rows whose best ones are found before their places.
const GROUP: usize = 4;

/// Groups of a block: their numbers fit a byte.
const STEPS: usize = 128;

/// Columns that are searched together.
const STRIP: usize = 512;

/// Elements below which a thread costs more than it saves.
const LEAST_PART: usize = 128 * 1024;

/// `argmin`, `argmax` and their nan forms `(axis?, keepdims = false)`.
#[derive(Debug)]
pub(super) struct Argument {
    axis: Option<i64>,
    keepdims: bool,
    largest: bool,
    sound: bool,
}

impl Argument {
    pub(super) fn parse(reader: &Reader<'_>, largest: bool, sound: bool) -> Read<Self> {
        Ok(Self {
            axis: reader.integer("axis")?,
            keepdims: reader.flag("keepdims")?.unwrap_or(false),
            largest,
            sound,
        })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        widened::run(context, input, |input| self.places(context, input))
    }

    fn places(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Output> {
        let axes = input.shape.len();
        let mut shape = input.shape.clone();
        let lengths = match self.axis {
            // numpy sees a 0-d array as one of length one here.
            Some(axis) if axes == 0 => {
                axis_of(axis, 1)?;
                [1, 1, 1]
            }
            Some(axis) => {
                let axis = axis_of(axis, axes)?;
                let (before, after) = (&input.shape[..axis], &input.shape[axis + 1..]);
                if self.keepdims {
                    shape[axis] = 1;
                } else {
                    shape.remove(axis);
                }
                [before.iter().product(), input.shape[axis], after.iter().product()]
            }
            None => {
                shape = if self.keepdims { vec![1; axes] } else { Vec::new() };
                [1, input.len(), 1]
            }
        };
        let mut output = Output::new(context, DType::I64, &shape)?;
        let out: &mut [i64] = output.elements_mut();
        if lengths[1] == 0 {
            let name = if self.largest { "argmax" } else { "argmin" };
            return Err(value_error(format!("attempt to get {name} of an empty sequence")));
        }
        // numpy's nan forms see NaT as the plain ones do.
        let sound = self.sound && input.dtype >= DType::F32 && !input.dtype.is_time();
        let search =
            Search { source: &[], lengths, threads: context.threads, level: Level::best() };
        if sound {
            with_float!(input.dtype, T => search.on(input.elements::<T>()).sound(self.largest, out)?);
        } else {
            with_element!(input.dtype, T => {
                search.on(input.elements::<T>()).plain(self.largest, out)?;
            });
        }
        Ok(output)
    }
}

/// An array of `[outer, length, inner]`, of which the middle axis is searched.
struct Search<'a, T> {
    source: &'a [T],
    lengths: [usize; 3],
    threads: u32,
    level: Level,
}

impl Search<'_, u8> {
    /// The same search in other elements.
    fn on<'a, T>(&self, source: &'a [T]) -> Search<'a, T> {
        Search { source, lengths: self.lengths, threads: self.threads, level: self.level }
    }
}

impl<T: Element> Search<'_, T> {
    fn plain(&self, largest: bool, out: &mut [i64]) -> Outcome<()> {
        if largest { self.run::<true, false>(out) } else { self.run::<false, false>(out) }
    }

    fn sound(&self, largest: bool, out: &mut [i64]) -> Outcome<()> {
        if largest { self.run::<true, true>(out) } else { self.run::<false, true>(out) }
    }

    fn run<const MAX: bool, const SOUND: bool>(&self, out: &mut [i64]) -> Outcome<()> {
        if out.is_empty() {
            return Ok(());
        }
        let [outer, length, inner] = self.lengths;
        if outer < self.threads as usize && inner == 1 {
            for (run, out) in self.source.chunks_exact(length).zip(&mut *out) {
                *out = self.in_parts::<MAX, SOUND>(run)? as i64;
            }
        } else {
            self.in_pieces::<MAX, SOUND>(out)?;
        }
        if SOUND { self.refuse_gaps(out) } else { Ok(()) }
    }

    /// One long run: threads search parts of it, of which the first best one counts.
    fn in_parts<const MAX: bool, const SOUND: bool>(&self, run: &[T]) -> Outcome<usize> {
        let parts = parallel::split(run.len(), self.threads, LEAST_PART, 1);
        let mut places = vec![0_i64; parts.len()];
        let job = |(part, place): (Range<usize>, &mut i64)| {
            let lines = Lines::<T, MAX, SOUND> {
                source: &run[part.clone()],
                length: part.len(),
                inner: 1,
                column: 0,
                out: std::slice::from_mut(&mut *place),
            };
            lines.search(self.level);
            *place += part.start as i64;
            Ok(())
        };
        let mut jobs: Vec<parallel::Job<'_>> = Vec::new();
        for piece in parts.into_iter().zip(&mut places) {
            jobs.push(Box::new(move || job(piece)));
        }
        parallel::all(jobs)?;
        let mut best = 0;
        for place in places {
            if beats::<T, MAX, SOUND>(run[place as usize], run[best]) {
                best = place as usize;
            }
        }
        Ok(best)
    }

    /// Threads search whole runs, or columns where there are few runs.
    fn in_pieces<const MAX: bool, const SOUND: bool>(&self, out: &mut [i64]) -> Outcome<()> {
        let [outer, length, inner] = self.lengths;
        let mut jobs: Vec<parallel::Job<'_>> = Vec::new();
        let mut push = |part: Range<usize>, column, out| {
            let source = &self.source[part.start * length * inner..part.end * length * inner];
            let lines = Lines::<T, MAX, SOUND> { source, length, inner, column, out };
            jobs.push(Box::new(move || {
                lines.search(self.level);
                Ok(())
            }));
        };
        if outer < self.threads as usize {
            let least = (LEAST_PART / length).max(STRIP);
            for (index, mut row) in out.chunks_exact_mut(inner).enumerate() {
                for part in parallel::split(inner, self.threads, least, 64) {
                    let (piece, rest) = row.split_at_mut(part.len());
                    row = rest;
                    push(index..index + 1, part.start, piece);
                }
            }
        } else {
            let least = LEAST_PART.div_ceil(length.saturating_mul(inner));
            let mut rest = out;
            for part in parallel::split(outer, self.threads, least, 1) {
                let (piece, behind) = rest.split_at_mut(part.len() * inner);
                rest = behind;
                push(part, 0, piece);
            }
        }
        parallel::all(jobs)
    }

    /// Where a NaN is best there may be nothing else.
    fn refuse_gaps(&self, out: &[i64]) -> Outcome<()> {
        let [_, length, inner] = self.lengths;
        for (index, place) in out.iter().enumerate() {
            let first = index / inner * length * inner + index % inner;
            if self.source[first + *place as usize * inner].is_gap() {
                let line = self.source[first..].iter().step_by(inner).take(length);
                if line.copied().all(T::is_gap) {
                    return Err(value_error("All-NaN slice encountered"));
                }
            }
        }
        Ok(())
    }
}

/// The element that is compared.
#[inline(always)]
fn seen<T: Element, const MAX: bool, const SOUND: bool>(x: T) -> T {
    if SOUND && x.is_gap() {
        return if MAX { T::LOW } else { T::HIGH };
    }
    x
}

#[inline(always)]
fn beats<T: Element, const MAX: bool, const SOUND: bool>(x: T, best: T) -> bool {
    let (x, best) = (seen::<T, MAX, SOUND>(x), seen::<T, MAX, SOUND>(best));
    let better = if MAX { best.precedes(x) } else { x.precedes(best) };
    if SOUND { better } else { better | (x.is_gap() & !best.is_gap()) }
}

/// What is as good as the best one.
#[inline(always)]
fn is_same<T: Element, const MAX: bool, const SOUND: bool>(x: T, best: T) -> bool {
    let (x, best) = (seen::<T, MAX, SOUND>(x), seen::<T, MAX, SOUND>(best));
    (x == best) | (x.is_gap() & best.is_gap())
}

/// Some runs or columns of one thread; `out` has the columns from `column` on.
struct Lines<'a, T, const MAX: bool, const SOUND: bool> {
    source: &'a [T],
    length: usize,
    inner: usize,
    column: usize,
    out: &'a mut [i64],
}

impl<T: Element, const MAX: bool, const SOUND: bool> Lines<'_, T, MAX, SOUND> {
    fn search(self, level: Level) {
        let is_plain = self.inner == 1 && !SOUND;
        if !(is_plain && T::places::<MAX>(level, self.source, self.length, self.out)) {
            simd::run(level, self);
        }
    }
}

impl<T: Element, const MAX: bool, const SOUND: bool> Loop for Lines<'_, T, MAX, SOUND> {
    #[inline(always)]
    fn run(self) {
        if self.inner == 1 {
            for (run, out) in self.source.chunks_exact(self.length).zip(self.out) {
                *out = run_place::<T, MAX, SOUND>(run) as i64;
            }
            return;
        }
        let blocks = self.source.chunks_exact(self.length * self.inner);
        for (block, out) in blocks.zip(self.out.chunks_mut(self.inner)) {
            for (number, out) in out.chunks_mut(STRIP).enumerate() {
                let column = self.column + number * STRIP;
                column_places::<T, MAX, SOUND>(block, self.inner, column, out);
            }
        }
    }
}

/// The place in a run: the best element of each block first, then where the best of all stands.
#[inline(always)]
fn run_place<T: Element, const MAX: bool, const SOUND: bool>(run: &[T]) -> usize {
    let mut best = (run[0], 0);
    for (number, block) in run.chunks(BLOCK).enumerate() {
        let one = match (MAX, SOUND) {
            (false, false) => T::least_of(block),
            (true, false) => T::greatest_of(block),
            (false, true) => T::least_sound_of(block),
            (true, true) => T::greatest_sound_of(block),
        };
        if beats::<T, MAX, SOUND>(one, best.0) {
            best = (one, number * BLOCK);
        }
    }
    let (best, start) = best;
    let best = seen::<T, MAX, SOUND>(best);
    let place = if best.is_gap() {
        first(&run[start..], T::is_gap)
    } else {
        first(&run[start..], |x| seen::<T, MAX, SOUND>(x) == best)
    };
    start + place
}

/// Where the first element stands of which something holds that holds of one.
#[inline(always)]
fn first<T: Element>(run: &[T], holds: impl Fn(T) -> bool) -> usize {
    for (number, part) in run.chunks(PART).enumerate() {
        let found = part.iter().fold(T::Mask::NONE, |found, x| found | Mask::of(holds(*x)));
        if found != T::Mask::NONE {
            return number * PART + part.iter().position(|x| holds(*x)).unwrap_or(0);
        }
    }
    0
}

/// The better of two, NaN before all; in the nan forms the other one.
#[inline(always)]
fn better<T: Element, const MAX: bool, const SOUND: bool>(one: T, other: T) -> T {
    match (MAX, SOUND) {
        (false, false) => one.or_less(other),
        (true, false) => one.or_more(other),
        (false, true) => one.or_sound_less(other),
        (true, true) => one.or_sound_more(other),
    }
}

/// The places in some columns of rows of `width`: the best of each group of rows first, then the
/// row of the best group.
#[inline(always)]
fn column_places<T: Element, const MAX: bool, const SOUND: bool>(
    block: &[T],
    width: usize,
    column: usize,
    out: &mut [i64],
) {
    let columns = out.len();
    let mut bests = [T::NIL; STRIP];
    let mut steps = [T::Mask::NONE; STRIP];
    let (bests, steps) = (&mut bests[..columns], &mut steps[..columns]);
    bests.copy_from_slice(&block[column..column + columns]);
    out.fill(0);
    for (number, groups) in block.chunks(STEPS * GROUP * width).enumerate() {
        // Step 0 says that the best one stands in an earlier group.
        steps.fill(T::Mask::NONE);
        for (step, rows) in groups.chunks(GROUP * width).enumerate() {
            let step = T::Mask::small(step + 1);
            group_step::<T, MAX, SOUND>((rows, width, column), step, bests, steps);
        }
        for (out, step) in out.iter_mut().zip(&*steps) {
            if *step != T::Mask::NONE {
                *out = (number * STEPS + step.number() - 1) as i64;
            }
        }
    }
    for (index, (out, best)) in out.iter_mut().zip(bests).enumerate() {
        let first = *out as usize * GROUP;
        let mut line = block[first * width + column + index..].iter().step_by(width).take(GROUP);
        let within = line.position(|x| is_same::<T, MAX, SOUND>(*x, *best));
        *out = (first + within.unwrap_or(0)) as i64;
    }
}

/// Compares the best of a group of rows with the best of those before it.
#[inline(always)]
fn group_step<T: Element, const MAX: bool, const SOUND: bool>(
    (rows, width, column): (&[T], usize, usize),
    step: T::Mask,
    bests: &mut [T],
    steps: &mut [T::Mask],
) {
    let columns = bests.len();
    let steps = &mut steps[..columns];
    if rows.len() == GROUP * width {
        let row = |number: usize| &rows[number * width + column..][..columns];
        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
        for index in 0..columns {
            let upper = better::<T, MAX, SOUND>(a[index], b[index]);
            let lower = better::<T, MAX, SOUND>(c[index], d[index]);
            let x = better::<T, MAX, SOUND>(upper, lower);
            let wins = beats::<T, MAX, SOUND>(x, bests[index]);
            bests[index] = if wins { x } else { bests[index] };
            steps[index] = if wins { step } else { steps[index] };
        }
        return;
    }
    for row in rows.chunks_exact(width) {
        for ((best, place), x) in bests.iter_mut().zip(&mut *steps).zip(&row[column..]) {
            let wins = beats::<T, MAX, SOUND>(*x, *best);
            *best = if wins { *x } else { *best };
            *place = if wins { step } else { *place };
        }
    }
}
