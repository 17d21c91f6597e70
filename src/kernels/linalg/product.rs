//! Products of matrices, c ← α · a · b + β · c, by blocks on `matrixmultiply`'s kernels.
//!
//! A result is computed on a grid of blocks that depends on its shape alone, whatever the number of
//! threads, so that no bit depends on it. `lower` computes the blocks on and below the diagonal.

use super::field::Field;
use crate::kernels::fault::Outcome;
use crate::kernels::parallel;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use std::sync::{Mutex, PoisonError};

/// Side of a block of a result: packing its operands anew costs a few percent of computing it.
const BLOCK: usize = 512;

/// Side of the squares on the diagonal of `lower` that are computed whole: half of that is wasted.
const DIAGONAL: usize = 64;

/// Products of numbers below which starting a thread costs more than it saves.
const LEAST_WORK: usize = 4_000_000;

/// One block of a result with the rows of `a` and the columns of `b` that it comes from.
struct Job<'a, T> {
    a: ArrayView2<'a, T>,
    b: ArrayView2<'a, T>,
    c: ArrayViewMut2<'a, T>,
}

/// c ← α · a · b + β · c; with β = 0 the old elements of `c` do not count, NaN neither.
pub(super) fn multiply<T: Field>(
    threads: u32,
    [alpha, beta]: [T; 2],
    a: &ArrayView2<'_, T>,
    b: &ArrayView2<'_, T>,
    c: ArrayViewMut2<'_, T>,
) -> Outcome<()> {
    let (rows, columns) = c.dim();
    if rows <= BLOCK && columns <= BLOCK {
        T::product([alpha, beta], a, b, c);
        return Ok(());
    }
    let mut jobs = Vec::new();
    grid(Job { a: *a, b: *b, c }, &mut jobs);
    run(threads, [alpha, beta], jobs)
}

/// As `multiply` for a square `c` of which only what is on and below the diagonal is wanted; above
/// it, anything may stand afterwards.
pub(super) fn lower<T: Field>(
    threads: u32,
    scalars: [T; 2],
    a: &ArrayView2<'_, T>,
    b: &ArrayView2<'_, T>,
    c: ArrayViewMut2<'_, T>,
) -> Outcome<()> {
    let mut jobs = Vec::new();
    triangle(Job { a: *a, b: *b, c }, &mut jobs);
    run(threads, scalars, jobs)
}

fn triangle<'a, T: Field>(job: Job<'a, T>, jobs: &mut Vec<Job<'a, T>>) {
    let size = job.c.nrows();
    if size <= DIAGONAL {
        jobs.push(job);
        return;
    }
    let half = (size / 2).next_multiple_of(DIAGONAL);
    let (upper, below) = job.c.split_at(Axis(0), half);
    let (c11, _) = upper.split_at(Axis(1), half);
    let (c21, c22) = below.split_at(Axis(1), half);
    let (a1, a2) = job.a.split_at(Axis(0), half);
    let (b1, b2) = job.b.split_at(Axis(1), half);
    grid(Job { a: a2, b: b1, c: c21 }, jobs);
    triangle(Job { a: a1, b: b1, c: c11 }, jobs);
    triangle(Job { a: a2, b: b2, c: c22 }, jobs);
}

fn grid<'a, T: Field>(job: Job<'a, T>, jobs: &mut Vec<Job<'a, T>>) {
    let Job { a, b, c } = job;
    let mut rest = c;
    let mut row = 0;
    while rest.nrows() > 0 {
        let height = BLOCK.min(rest.nrows());
        let (mut strip, below) = rest.split_at(Axis(0), height);
        let a = a.slice_move(s![row..row + height, ..]);
        let mut column = 0;
        while strip.ncols() > 0 {
            let width = BLOCK.min(strip.ncols());
            let (block, right) = strip.split_at(Axis(1), width);
            let b = b.slice_move(s![.., column..column + width]);
            jobs.push(Job { a, b, c: block });
            strip = right;
            column += width;
        }
        rest = below;
        row += height;
    }
}

fn run<T: Field>(threads: u32, [alpha, beta]: [T; 2], jobs: Vec<Job<'_, T>>) -> Outcome<()> {
    let work: usize = jobs.iter().map(|job| job.c.len().saturating_mul(job.a.ncols())).sum();
    let helpers = if work < LEAST_WORK { 1 } else { (threads.max(1) as usize).min(jobs.len()) };
    let compute = |job: Job<'_, T>| T::product([alpha, beta], &job.a, &job.b, job.c);
    if helpers <= 1 {
        jobs.into_iter().for_each(compute);
        return Ok(());
    }
    let queue = Mutex::new(jobs.into_iter());
    parallel::each((0..helpers).collect(), |_| {
        loop {
            // The lock ends before the work begins; an iterator in a poisoned lock is whole.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(job) = next else { return Ok(()) };
            compute(job);
        }
    })
}

/// Lanes of a dot product.
const LANES: usize = 16;

/// Σ x · y in a fixed order.
#[inline(always)]
pub(super) fn dot<T: Field>(x: &[T], y: &[T]) -> T {
    let mut lanes = [T::zero(); LANES];
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += *x * *y;
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(x_rest).zip(y_rest) {
        *lane += *x * *y;
    }
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for lane in 0..count {
            let other = lanes[lane + count];
            lanes[lane] += other;
        }
    }
    lanes[0]
}

/// out ← out − factor · x.
#[inline(always)]
pub(super) fn subtract<T: Field>(out: &mut [T], factor: T, x: &[T]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out -= factor * *x;
    }
}
