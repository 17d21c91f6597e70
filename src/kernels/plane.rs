//! Transposition of a matrix: square by square, each through vector registers.
//!
//! A side of a square is a line of the cache where the machine has registers of that size, so that
//! a line of the source is read once and one of the result written once, whole. A band of rows is
//! gone through column by column of squares: the lines of the source are read on and on, and what
//! is left of a line that begins within a square still is in the cache when the next one comes.

use super::simd::{Level, Lines, SquareLoop, Squares, settle, side_bytes, squares};
use bytemuck::Pod;

/// A matrix whose rows are contiguous in the result and whose columns are contiguous in the source.
#[derive(Clone, Copy)]
pub(super) struct Plane {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// First element in the source.
    pub(super) from: usize,
    /// First element in the result.
    pub(super) to: usize,
    /// From column to column in the source.
    pub(super) read_stride: isize,
    /// From row to row in the result.
    pub(super) write_stride: usize,
}

/// Bytes of a result from which on it goes past the cache, which could not hold it together with
/// the source: an ordinary store reads a line before it writes to it, in vain where all of the line
/// is written.
const STREAMED_FROM: usize = 4 << 20;

/// Fewest rows of a band, and bytes that it has of each line of the source, a page: a line of the
/// cache of each row fits the second-level cache, and the pages of all fit the second table of
/// addresses.
const BAND: usize = 512;
const BAND_BYTES: usize = 4096;

/// Copies planes, one after the other.
pub(super) struct Transposer {
    level: Level,
    streams: bool,
}

impl Transposer {
    /// For a result of that many bytes in all.
    pub(super) fn new(nbytes: usize) -> Self {
        Self { level: Level::best(), streams: nbytes >= STREAMED_FROM }
    }

    /// Writes a plane of the result.
    pub(super) fn copy<T: Pod>(&self, plane: Plane, source: &[T], out: &mut [T]) {
        // The largest squares that the plane has room for.
        let shortest = plane.rows.min(plane.columns).saturating_mul(size_of::<T>());
        let levels = [Level::Avx512, Level::Avx2, Level::Portable];
        let fits = |level: &Level| *level <= self.level && side_bytes(*level) <= shortest;
        let Some(level) = levels.into_iter().find(fits) else {
            plane.copy_plainly(source, out);
            return;
        };
        let (source, out) = (bytemuck::cast_slice(source), bytemuck::cast_slice_mut(out));
        let streams = self.streams;
        match size_of::<T>() {
            1 => squares(level, Tiles::<16> { plane, source, out, streams }),
            2 => squares(level, Tiles::<8> { plane, source, out, streams }),
            4 => squares(level, Tiles::<4> { plane, source, out, streams }),
            8 => squares(level, Tiles::<2> { plane, source, out, streams }),
            _ => squares(level, Tiles::<1> { plane, source, out, streams }),
        }
    }
}

/// A plane of elements of which `N` make 16 bytes, no smaller than one square.
struct Tiles<'a, const N: usize> {
    plane: Plane,
    source: &'a [u8],
    out: &'a mut [u8],
    streams: bool,
}

impl<const N: usize> SquareLoop for Tiles<'_, N> {
    #[inline(always)]
    fn run<S: Squares>(self) {
        let Self { plane, source, out, streams } = self;
        let size = const { 16 / N };
        let side = S::BYTES / size;
        let step = plane.write_stride * size;
        let begin = out.as_ptr() as usize + plane.to * size;
        let is_aligned = begin.is_multiple_of(S::BYTES) && step.is_multiple_of(S::BYTES);
        let past = S::STREAMS && streams && is_aligned;
        let to_step = step as isize;
        let from_step = plane.read_stride * size as isize;
        let height = const { if BAND * 16 / N < BAND_BYTES { BAND_BYTES * N / 16 } else { BAND } };
        for band in (0..plane.rows).step_by(height) {
            // The last band may have fewer rows than a square.
            let rows = plane.rows.min(band + height);
            let first = band.min(rows - side);
            for column in starts(plane.columns, side) {
                let line = plane.line(column);
                for row in starts(rows - first, side) {
                    let row = first + row;
                    let from = Lines { start: (line + row) * size, step: from_step };
                    let start = (plane.to + row * plane.write_stride + column) * size;
                    let to = Lines { start, step: to_step };
                    if past && column.is_multiple_of(side) {
                        S::turn::<N, true>(source, from, out, to);
                    } else {
                        S::turn::<N, false>(source, from, out, to);
                    }
                }
            }
        }
        if past {
            settle();
        }
    }
}

/// Where squares begin along a length; the last one covers a part of the one before it where they
/// do not come out even.
#[inline(always)]
fn starts(length: usize, side: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(side).map(
        #[inline(always)]
        move |start| start.min(length - side),
    )
}

impl Plane {
    /// Where a column begins in the source.
    fn line(self, column: usize) -> usize {
        (self.from as isize + column as isize * self.read_stride) as usize
    }

    /// A few rows or columns.
    fn copy_plainly<T: Pod>(self, source: &[T], out: &mut [T]) {
        for row in 0..self.rows {
            let start = self.to + row * self.write_stride;
            for (column, out) in out[start..start + self.columns].iter_mut().enumerate() {
                *out = source[self.line(column) + row];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row and column of a plane within larger arrays, and nothing beside it; the columns of
    /// the source one after the other, or in reverse.
    fn check_one<T: Pod + PartialEq + std::fmt::Debug>(
        number: &impl Fn(usize) -> T,
        (rows, columns): (usize, usize),
        transposer: &Transposer,
        reversed: bool,
    ) {
        // With one row in two, lines of the result begin where lines of the cache do.
        let (read, write) = (rows + 5, if rows.is_multiple_of(2) { columns + 3 } else { 1024 });
        let source: Vec<T> = (0..columns * read + 2).map(number).collect();
        let first = |column: usize| 2 + if reversed { columns - 1 - column } else { column } * read;
        let mut out = vec![number(0); rows * write + 64];
        let to = out.as_ptr().align_offset(64);
        let read_stride = if reversed { -(read as isize) } else { read as isize };
        let plane = Plane { rows, columns, from: first(0), to, read_stride, write_stride: write };
        transposer.copy(plane, &source, &mut out);
        for (place, value) in out.iter().enumerate() {
            let (row, column) = (place.wrapping_sub(to) / write, place.wrapping_sub(to) % write);
            let inside = place >= to && row < rows && column < columns;
            let from = if inside { first(column) + row } else { 0 };
            assert_eq!(*value, number(from), "{rows} {columns} {place} {:?}", transposer.level);
        }
    }

    fn check<T: Pod + PartialEq + std::fmt::Debug>(number: impl Fn(usize) -> T) {
        let shapes = [
            (3, 500),
            (500, 3),
            (16, 16),
            (37, 200),
            (129, 130),
            (256, 64),
            (515, 90),
            (4098, 70),
            (1, 1),
        ];
        for shape in shapes {
            for level in Level::available() {
                for (streams, reversed) in [(false, false), (false, true), (true, false)] {
                    check_one(&number, shape, &Transposer { level, streams }, reversed);
                }
            }
        }
    }

    #[test]
    fn every_size_of_elements_is_transposed() {
        check(|at| (at * 31 % 251) as u8);
        check(|at| (at * 31 % 65_521) as u16);
        check(|at| at as u32);
        check(|at| at as u64);
        check(|at| [at as u64, !(at as u64)]);
    }
}
