//! The smallest and the largest floats of runs, and where they stand, in vectors named by hand.
//!
//! The compiler vectorises a minimum and a search for NaN, but not both in one loop. Here the sum
//! of all elements is taken beside the extreme: it is NaN where one of them is. Where only
//! infinities of both signs make it so, a second look tells.
//!
//! Whatever the vectors, as many elements stand side by side as two lines of the cache hold: all
//! levels choose the same of two zeros.

use super::element::Element;
use crate::kernels::simd::{LaneLoop, Lanes, Level, Packed};

/// Bytes of elements side by side.
const SIDE_BYTES: usize = 128;

/// Most lanes of one vector.
const MOST_LANES: usize = 16;

/// Elements whose best one is found before its place: they stay in the first-level cache.
const BLOCK: usize = 1024;

/// The best element of each run of `length`, NaN where one is NaN.
pub(super) fn extremes<T: Element + Packed, const MAX: bool>(
    level: Level,
    source: &[T],
    length: usize,
    out: &mut [T],
) {
    T::run(level, Extremes::<T, MAX> { source, length, out });
}

/// Where the first best element, or the first NaN, of each run of `length` stands.
pub(super) fn places<T: Element + Packed, const MAX: bool>(
    level: Level,
    source: &[T],
    length: usize,
    out: &mut [i64],
) {
    T::run(level, Places::<T, MAX> { source, length, out });
}

struct Extremes<'a, T, const MAX: bool> {
    source: &'a [T],
    length: usize,
    out: &'a mut [T],
}

impl<T: Element, const MAX: bool> LaneLoop<T> for Extremes<'_, T, MAX> {
    #[inline(always)]
    fn run<V: Lanes<Element = T>, const N: usize>(self, here: V::Here) {
        for (run, out) in self.source.chunks(self.length.max(1)).zip(self.out) {
            *out = extreme::<T, V, MAX>(here, run);
        }
    }
}

struct Places<'a, T, const MAX: bool> {
    source: &'a [T],
    length: usize,
    out: &'a mut [i64],
}

impl<T: Element, const MAX: bool> LaneLoop<T> for Places<'_, T, MAX> {
    #[inline(always)]
    fn run<V: Lanes<Element = T>, const N: usize>(self, here: V::Here) {
        for (run, out) in self.source.chunks(self.length.max(1)).zip(self.out) {
            *out = place::<T, V, MAX>(here, run) as i64;
        }
    }
}

/// The better of two; the other one on a draw or where either is NaN.
#[inline(always)]
fn better<T: Element, const MAX: bool>(x: T, other: T) -> T {
    let wins = if MAX { other.precedes(x) } else { x.precedes(other) };
    if wins { x } else { other }
}

/// The same, lane by lane.
#[inline(always)]
fn better_lanes<V: Lanes, const MAX: bool>(x: V, other: V) -> V {
    if MAX { x.greater(other) } else { x.lesser(other) }
}

/// The best element of a run, or NaN.
#[inline(always)]
fn extreme<T: Element, V: Lanes<Element = T>, const MAX: bool>(here: V::Here, run: &[T]) -> T {
    let side = const { SIDE_BYTES / size_of::<T>() };
    if run.len() < side {
        let start = if MAX { T::LEAST } else { T::GREATEST };
        let join = |best: T, x: &T| if MAX { best.or_more(*x) } else { best.or_less(*x) };
        let best = run.iter().fold(start, join);
        return if best.is_gap() { T::GAP } else { best };
    }
    // Two registers or four.
    let count = side / V::COUNT;
    let mut bests = [V::load(here, run); 4];
    for (number, best) in bests.iter_mut().enumerate().take(count) {
        *best = V::load(here, &run[number * V::COUNT..]);
    }
    let mut sums = bests;
    let mut join = |part: &[T]| {
        for number in 0..count {
            let x = V::load(here, &part[number * V::COUNT..]);
            bests[number] = better_lanes::<V, MAX>(x, bests[number]);
            sums[number] = sums[number].add(x);
        }
    };
    let parts = run[side..].chunks_exact(side);
    let is_whole = parts.remainder().is_empty();
    for part in parts {
        join(part);
    }
    if !is_whole {
        // Some of these for the second time, which changes neither.
        join(&run[run.len() - side..]);
    }
    let mut left = count;
    while left > 1 {
        left /= 2;
        for number in 0..left {
            bests[number] = better_lanes::<V, MAX>(bests[number + left], bests[number]);
            sums[number] = sums[number].add(sums[number + left]);
        }
    }
    let is_sound = sums[0].equal(sums[0]) == ones(V::COUNT);
    if !is_sound && run.iter().any(|x| x.is_gap()) {
        return T::GAP;
    }
    let mut lanes = [T::NIL; MOST_LANES];
    bests[0].store(&mut lanes);
    let mut left = V::COUNT;
    while left > 1 {
        left /= 2;
        for lane in 0..left {
            lanes[lane] = better::<T, MAX>(lanes[lane + left], lanes[lane]);
        }
    }
    lanes[0]
}

/// Where the first best element of a run stands, or the first NaN.
#[inline(always)]
fn place<T: Element, V: Lanes<Element = T>, const MAX: bool>(here: V::Here, run: &[T]) -> usize {
    let (mut best, mut start) = (run[0], 0);
    for (number, block) in run.chunks(BLOCK).enumerate() {
        let one = extreme::<T, V, MAX>(here, block);
        if one.is_gap() {
            let first = block.iter().position(|x| x.is_gap());
            return number * BLOCK + first.unwrap_or(0);
        }
        if number == 0 || better::<T, MAX>(one, best) != best {
            (best, start) = (one, number * BLOCK);
        }
    }
    start + first::<T, V>(here, &run[start..], best)
}

/// Where the first element stands that equals one of them.
#[inline(always)]
fn first<T: Element, V: Lanes<Element = T>>(here: V::Here, run: &[T], wanted: T) -> usize {
    let lanes = V::load(here, &[wanted; MOST_LANES]);
    let (four, mut done) = (4 * V::COUNT, 0);
    for part in run.chunks_exact(four) {
        let equal = |number: usize| {
            let x = V::load(here, &part[number * V::COUNT..]);
            x.equal(lanes) << (number * V::COUNT)
        };
        let found = equal(0) | equal(1) | equal(2) | equal(3);
        if found != 0 {
            return done + found.trailing_zeros() as usize;
        }
        done += four;
    }
    for part in run[done..].chunks_exact(V::COUNT) {
        let found = V::load(here, part).equal(lanes);
        if found != 0 {
            return done + found.trailing_zeros() as usize;
        }
        done += V::COUNT;
    }
    done + run[done..].iter().position(|x| *x == wanted).unwrap_or(0)
}

/// As many bits.
#[inline(always)]
fn ones(count: usize) -> u64 {
    (1 << count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first best element or NaN, by one comparison after the other.
    fn plain<T: Element, const MAX: bool>(run: &[T]) -> usize {
        let mut best = 0;
        for (place, x) in run.iter().enumerate() {
            let wins = if MAX { run[best].precedes(*x) } else { x.precedes(run[best]) };
            if wins || (x.is_gap() && !run[best].is_gap()) {
                best = place;
            }
        }
        best
    }

    fn check<T: Element + Packed + std::fmt::Debug, const MAX: bool>(all: &[T]) {
        for length in [1, 7, 15, 16, 17, 31, 33, 64, 100, 1000, 1024, 1500, 3000] {
            let count = all.len() / length;
            let source = &all[..count * length];
            let expected: Vec<usize> = source.chunks(length).map(plain::<T, MAX>).collect();
            let mut portable = vec![T::NIL; count];
            extremes::<T, MAX>(Level::Portable, source, length, &mut portable);
            for level in Level::available() {
                let (mut best, mut at) = (vec![T::NIL; count], vec![0; count]);
                extremes::<T, MAX>(level, source, length, &mut best);
                places::<T, MAX>(level, source, length, &mut at);
                for (run, (place, best)) in expected.iter().zip(&best).enumerate() {
                    assert_eq!(at[run], *place as i64, "{length} {level:?}");
                    let wanted = source[run * length + place];
                    let is_same = *best == wanted || (best.is_gap() && wanted.is_gap());
                    assert!(is_same, "{length} {level:?}: {best:?}, not {wanted:?}");
                }
                let bits: &[u8] = bytemuck::cast_slice(&best);
                assert_eq!(bits, bytemuck::cast_slice::<T, u8>(&portable), "{length} {level:?}");
            }
        }
    }

    fn number(at: usize, kind: usize) -> f64 {
        let mixed = (at * 7919 + kind * 31) % 1009;
        match kind {
            0 => mixed as f64 - 500.0,
            // Draws, and zeros of both signs.
            1 => (mixed % 3) as f64 * if mixed.is_multiple_of(2) { -0.0 } else { 0.0 },
            // Infinities of both signs without and with NaN.
            2 if mixed < 20 => f64::INFINITY,
            2 if mixed < 40 => f64::NEG_INFINITY,
            3 if mixed < 5 => f64::NAN,
            3 if mixed < 8 => f64::NEG_INFINITY,
            4 => f64::INFINITY,
            5 => f64::NEG_INFINITY,
            _ => mixed as f64,
        }
    }

    #[test]
    fn all_levels_find_what_one_comparison_after_the_other_finds() {
        for kind in 0..6 {
            let wide: Vec<f64> = (0..9000).map(|at| number(at, kind)).collect();
            let narrow: Vec<f32> = wide.iter().map(|x| *x as f32).collect();
            check::<f64, false>(&wide);
            check::<f64, true>(&wide);
            check::<f32, false>(&narrow);
            check::<f32, true>(&narrow);
        }
    }
}
