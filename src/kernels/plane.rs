//! Transposition of a matrix: whole lines of the cache go in and out, squares turn in registers.
//!
//! ```text
//!   source ─ runs of lines ─▶ taken ─ squares of 16-byte rows ─▶ turned ─ runs of rows ─▶ result
//! ```
//!
//! Both blocks stay in the cache. Without them the lines of a matrix whose width is a power of two
//! would push each other out, for they belong to the same few places of the cache.

use super::simd::{settle, square_turned, stream};
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
/// the source.
const STREAMED_FROM: usize = 6 << 20;

/// Elements of a plane from which on blocks are worth their while.
const LEAST: usize = 256;

/// Side of the square of elements that makes a block: at least some lines of the cache.
const fn side(size: usize) -> usize {
    match size {
        1 | 2 => 128,
        16 => 32,
        _ => 64,
    }
}

/// Copies planes, one after the other, through its blocks.
pub(super) struct Transposer<T> {
    taken: Vec<T>,
    turned: Vec<T>,
    streams: bool,
}

impl<T: Pod> Transposer<T> {
    /// For a result of that many elements in all.
    pub(super) fn new(elements: usize) -> Self {
        let side = side(size_of::<T>());
        let block = if elements < LEAST { 0 } else { side * side };
        let streams = elements.saturating_mul(size_of::<T>()) >= STREAMED_FROM;
        Self { taken: vec![T::zeroed(); block], turned: vec![T::zeroed(); block], streams }
    }

    /// Writes a plane of the result.
    pub(super) fn copy(&mut self, plane: Plane, source: &[T], out: &mut [T]) {
        let Plane { rows, columns, to, write_stride, .. } = plane;
        let least = (16 / size_of::<T>()).max(4);
        if rows < least || columns < least || rows.saturating_mul(columns) < LEAST {
            plane.copy_plainly(source, out);
            return;
        }
        let side = const { side(size_of::<T>()) };
        for row in (0..rows).step_by(side) {
            let height = side.min(rows - row);
            for column in (0..columns).step_by(side) {
                let width = side.min(columns - column);
                for (line, taken) in self.taken.chunks_exact_mut(side).take(width).enumerate() {
                    let start = plane.line(column + line) + row;
                    taken[..height].copy_from_slice(&source[start..start + height]);
                }
                turn(&self.taken, &mut self.turned, [height, width]);
                for (line, turned) in self.turned.chunks_exact(side).take(height).enumerate() {
                    let start = to + (row + line) * write_stride + column;
                    let (out, turned) = (&mut out[start..start + width], &turned[..width]);
                    if self.streams {
                        stream(bytemuck::cast_slice(turned), bytemuck::cast_slice_mut(out));
                    } else {
                        out.copy_from_slice(turned);
                    }
                }
            }
        }
        if self.streams {
            settle();
        }
    }
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

/// Transposes a block; beyond `height` rows and `width` columns of the result anything may stand.
fn turn<T: Pod>(taken: &[T], turned: &mut [T], [height, width]: [usize; 2]) {
    match size_of::<T>() {
        1 => turn_by::<T, 16>(taken, turned, [height, width]),
        2 => turn_by::<T, 8>(taken, turned, [height, width]),
        4 => turn_by::<T, 4>(taken, turned, [height, width]),
        8 => turn_by::<T, 2>(taken, turned, [height, width]),
        _ => turn_by::<T, 1>(taken, turned, [height, width]),
    }
}

/// In squares of `N` elements, which make 16 bytes.
#[inline(always)]
fn turn_by<T: Pod, const N: usize>(taken: &[T], turned: &mut [T], [height, width]: [usize; 2]) {
    let side = const { side(size_of::<T>()) };
    for column in (0..width).step_by(N) {
        for row in (0..height).step_by(N) {
            let mut square = [[0_u8; 16]; N];
            for (line, bytes) in square.iter_mut().enumerate() {
                let start = (column + line) * side + row;
                bytes.copy_from_slice(bytemuck::cast_slice(&taken[start..start + N]));
            }
            for (line, bytes) in square_turned(square).iter().enumerate() {
                let start = (row + line) * side + column;
                bytemuck::cast_slice_mut(&mut turned[start..start + N]).copy_from_slice(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row and column of a plane within larger arrays, and nothing beside it.
    fn check<T: Pod + PartialEq + std::fmt::Debug>(number: impl Fn(usize) -> T) {
        for (rows, columns) in [(3, 500), (500, 3), (16, 16), (37, 200), (130, 129), (256, 64)] {
            for streams in [false, true] {
                let (read, write) = (rows + 5, columns + 3);
                let source: Vec<T> = (0..columns * read + 2).map(&number).collect();
                let plane = Plane {
                    rows,
                    columns,
                    from: 2,
                    to: 1,
                    read_stride: read as isize,
                    write_stride: write,
                };
                let mut out = vec![number(0); rows * write + 1];
                let mut transposer = Transposer::new(rows * columns);
                transposer.streams = streams;
                transposer.copy(plane, &source, &mut out);
                for (place, value) in out.iter().enumerate() {
                    let row = place.div_ceil(write);
                    let column = (place + write - 1) % write;
                    let inside = row > 0 && column < columns;
                    let from = if inside { 2 + column * read + row - 1 } else { 0 };
                    assert_eq!(*value, number(from), "{rows} {columns} {place} {streams}");
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
