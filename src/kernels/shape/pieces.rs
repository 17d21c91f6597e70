//! Results that are put together from boxes: parts of inputs, and one value repeated.
//!
//! Every element of the result belongs to exactly one piece. Axes that are one run on both sides
//! are merged; long runs are copied whole, short ones column by column within the cache, so that
//! columns put side by side do not cost a call for each.

use crate::kernels::Context;
use crate::kernels::array::{Output, strides_of};
use crate::kernels::cast::cast;
use crate::kernels::fault::Outcome;
use crate::kernels::parallel;
use crate::kernels::scalar::Element;
use crate::kernels::strided::Walk;
use bytemuck::Pod;
use rdask_store::{DType, Sealed};

/// Where a piece's elements come from.
pub(super) enum Content<'a> {
    /// A box of an array: its bytes, dtype, step along each axis and first element, in elements.
    Array { bytes: &'a [u8], dtype: DType, strides: Vec<isize>, start: usize },
    /// One value everywhere.
    Value(&'a Element),
}

/// A box of the result.
pub(super) struct Piece<'a> {
    pub(super) content: Content<'a>,
    /// Its lengths.
    pub(super) shape: Vec<usize>,
    /// Where it begins in the result.
    pub(super) corner: Vec<usize>,
}

impl<'a> Piece<'a> {
    /// A whole array; `shape` is its shape, or one with more axes of length one.
    pub(super) fn whole(
        bytes: &'a [u8],
        dtype: DType,
        shape: Vec<usize>,
        corner: Vec<usize>,
    ) -> Self {
        let strides = strides_of(&shape);
        Self { content: Content::Array { bytes, dtype, strides, start: 0 }, shape, corner }
    }
}

/// The array that the pieces make.
pub(super) fn assembled(
    context: &Context<'_>,
    dtype: DType,
    shape: &[usize],
    pieces: &[Piece<'_>],
) -> Outcome<Sealed> {
    assembled_under(context, dtype, shape, shape, pieces)
}

/// The same with another shape, of as many elements, on the result.
pub(super) fn assembled_under(
    context: &Context<'_>,
    dtype: DType,
    shape: &[usize],
    named: &[usize],
    pieces: &[Piece<'_>],
) -> Outcome<Sealed> {
    let mut output = Output::new(context, dtype, named)?;
    // Threads share the first axis that is longer than one.
    let axis = shape.iter().position(|length| *length > 1);
    let behind = axis.map_or(shape.len(), |axis| axis + 1);
    let width = shape[behind..].iter().product::<usize>() * dtype.size();
    parallel::rows(output.bytes_mut(), width, context.threads, |first, rows| {
        let slab =
            Slab { dtype, strides: strides_of(shape), axis, first, count: rows.len() / width };
        match dtype.size() {
            1 => slab.fill::<u8>(pieces, rows),
            2 => slab.fill::<u16>(pieces, rows),
            4 => slab.fill::<u32>(pieces, rows),
            8 => slab.fill::<u64>(pieces, rows),
            _ => slab.fill::<[u64; 2]>(pieces, rows),
        }
        Ok(())
    })?;
    output.seal()
}

/// Neighbouring indices of one axis of the result.
struct Slab {
    dtype: DType,
    strides: Vec<isize>,
    /// The axis; none when the result has one element.
    axis: Option<usize>,
    first: usize,
    count: usize,
}

impl Slab {
    fn fill<T: Pod>(&self, pieces: &[Piece<'_>], out: &mut [u8]) {
        let out: &mut [T] = bytemuck::cast_slice_mut(out);
        for piece in pieces {
            self.place(piece, out);
        }
    }

    fn place<T: Pod>(&self, piece: &Piece<'_>, out: &mut [T]) {
        let mut shape = piece.shape.clone();
        let mut corner = piece.corner.clone();
        let mut skipped = 0;
        if let Some(axis) = self.axis {
            let begin = corner[axis].max(self.first);
            let end = (corner[axis] + shape[axis]).min(self.first + self.count);
            skipped = begin - corner[axis];
            shape[axis] = end.saturating_sub(begin);
            corner[axis] = begin - self.first;
        }
        if shape.contains(&0) {
            return;
        }
        let to: isize =
            corner.iter().zip(&self.strides).map(|(at, step)| *at as isize * step).sum();
        let out = &mut out[to as usize..];
        match &piece.content {
            Content::Array { bytes, dtype, strides, start } => {
                let step = self.axis.map_or(0, |axis| strides[axis] as usize);
                let bytes = &bytes[(start + skipped * step) * dtype.size()..];
                let region = Region::new(&shape, strides, &self.strides);
                if *dtype == self.dtype {
                    region.copy(bytemuck::cast_slice(bytes), out);
                } else {
                    region.convert(*dtype, bytes, self.dtype, out);
                }
            }
            Content::Value(element) => {
                let none = vec![0; shape.len()];
                // An element is as aligned as bytes are.
                let value = bytemuck::pod_read_unaligned::<T>(&element[..size_of::<T>()]);
                Region::new(&shape, &none, &self.strides).copy(&[value], out);
            }
        }
    }
}

/// An axis of a box: its length and the steps on both sides, elements.
#[derive(Clone, Copy, Debug)]
struct Axis {
    length: usize,
    from: usize,
    to: usize,
}

/// A box in two arrays, the axes merged.
struct Region {
    /// The innermost axis.
    inner: Axis,
    /// The one before it.
    rows: Axis,
    outer: Vec<Axis>,
}

/// Runs from here on are copied whole, bytes.
const LONG_RUN: usize = 64;
/// Rows whose columns are copied one by one: their lines stay in the first-level cache.
const ROWS: usize = 128;
/// Elements that are converted at once on their way.
const CONVERTED: usize = 512;

impl Region {
    fn new(shape: &[usize], from: &[isize], to: &[isize]) -> Self {
        let mut outer: Vec<Axis> = Vec::with_capacity(shape.len());
        for ((length, from), to) in shape.iter().zip(from).zip(to) {
            let axis = Axis { length: *length, from: *from as usize, to: *to as usize };
            match outer.last_mut() {
                _ if *length == 1 => {}
                Some(last)
                    if last.from == axis.from * axis.length && last.to == axis.to * axis.length =>
                {
                    *last = Axis { length: last.length * axis.length, ..axis };
                }
                _ => outer.push(axis),
            }
        }
        let one = Axis { length: 1, from: 1, to: 1 };
        let inner = outer.pop().unwrap_or(one);
        let rows = outer.pop().unwrap_or(one);
        Self { inner, rows, outer }
    }

    /// Calls `plane` with the first elements on both sides of each plane of rows.
    fn planes(&self, mut plane: impl FnMut(usize, usize)) {
        let shape: Vec<usize> = self.outer.iter().map(|axis| axis.length).collect();
        let from: Vec<isize> = self.outer.iter().map(|axis| axis.from as isize).collect();
        let to: Vec<isize> = self.outer.iter().map(|axis| axis.to as isize).collect();
        let (mut read, mut write) = (Walk::new(&shape, &from, 0), Walk::new(&shape, &to, 0));
        for _ in 0..shape.iter().product() {
            plane(read.position(), write.position());
            read.advance();
            write.advance();
        }
    }

    fn copy<T: Pod>(&self, source: &[T], out: &mut [T]) {
        let (inner, rows) = (self.inner, self.rows);
        let short = inner.length * size_of::<T>() < LONG_RUN && inner.length < rows.length;
        self.planes(|from, to| {
            let (source, out) = (&source[from..], &mut out[to..]);
            if !short {
                for row in 0..rows.length {
                    copy_line(&source[row * rows.from..], &mut out[row * rows.to..], inner);
                }
                return;
            }
            for first in (0..rows.length).step_by(ROWS) {
                let line = Axis { length: ROWS.min(rows.length - first), ..rows };
                for column in 0..inner.length {
                    let from = first * rows.from + column * inner.from;
                    let to = first * rows.to + column * inner.to;
                    copy_line(&source[from..], &mut out[to..], line);
                }
            }
        });
    }

    /// `copy` from another dtype; `T` stands for `to`.
    fn convert<T: Pod>(&self, from: DType, source: &[u8], to: DType, out: &mut [T]) {
        let size = from.size();
        let mut converted = vec![T::zeroed(); CONVERTED.min(self.inner.length)];
        // A whole array's innermost axis has the step one; a single element may have any.
        let chunk = if self.inner.from == 1 { CONVERTED } else { 1 };
        self.planes(|read, write| {
            for row in 0..self.rows.length {
                for first in (0..self.inner.length).step_by(chunk) {
                    let count = chunk.min(self.inner.length - first);
                    let begin = read + row * self.rows.from + first * self.inner.from;
                    let part = &source[begin * size..(begin + count) * size];
                    let ready = &mut converted[..count];
                    cast(from, part, to, bytemuck::cast_slice_mut(ready));
                    let begin = write + row * self.rows.to + first * self.inner.to;
                    copy_line(
                        ready,
                        &mut out[begin..],
                        Axis { length: count, from: 1, ..self.inner },
                    );
                }
            }
        });
    }
}

fn copy_line<T: Pod>(source: &[T], out: &mut [T], axis: Axis) {
    match (axis.from, axis.to) {
        (1, 1) => out[..axis.length].copy_from_slice(&source[..axis.length]),
        (0, 1) => out[..axis.length].fill(source[0]),
        (0, step) => {
            out.iter_mut().step_by(step).take(axis.length).for_each(|out| *out = source[0]);
        }
        (from, to) => {
            let picked = source.iter().step_by(from);
            let places = out.iter_mut().step_by(to.max(1));
            places.zip(picked).take(axis.length).for_each(|(out, value)| *out = *value);
        }
    }
}
