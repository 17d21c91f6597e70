//! Copies elements between layouts: every reordering kernel is one `gather`.
//!
//! A layout is a start and a stride for each axis of the result, in elements. Axes are merged where
//! they can be, runs are copied whole, and a transposition goes plane by plane through `plane`.

use super::plane::{Plane, Transposer};
use bytemuck::Pod;

/// Where the elements of a result stand in a source.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Shape of the result.
    pub(super) shape: Vec<usize>,
    /// Step in the source for each axis of the result, elements.
    pub(super) strides: Vec<isize>,
    /// Index in the source of the result's first element.
    pub(super) start: usize,
}

impl Layout {
    /// Drops axes of length one and merges neighbours that are one run in the source.
    fn merged(&self) -> Self {
        let mut shape: Vec<usize> = Vec::with_capacity(self.shape.len());
        let mut strides: Vec<isize> = Vec::with_capacity(self.shape.len());
        for (length, stride) in self.shape.iter().zip(&self.strides) {
            if *length == 1 {
                continue;
            }
            match (shape.last_mut(), strides.last_mut()) {
                (Some(outer), Some(step)) if *step == *stride * *length as isize => {
                    *outer *= *length;
                    *step = *stride;
                }
                _ => {
                    shape.push(*length);
                    strides.push(*stride);
                }
            }
        }
        Self { shape, strides, start: self.start }
    }
}

/// Fills `out`, in C order of the layout's shape, from `source`; elements have `size` bytes.
pub(super) fn gather(source: &[u8], size: usize, layout: &Layout, out: &mut [u8]) {
    match size {
        1 => gather_typed::<u8>(source, layout, out),
        2 => gather_typed::<u16>(source, layout, out),
        4 => gather_typed::<u32>(source, layout, out),
        8 => gather_typed::<u64>(source, layout, out),
        _ => gather_typed::<[u64; 2]>(source, layout, out),
    }
}

fn gather_typed<T: Pod>(source: &[u8], layout: &Layout, out: &mut [u8]) {
    let source: &[T] = bytemuck::cast_slice(source);
    let out: &mut [T] = bytemuck::cast_slice_mut(out);
    if out.is_empty() {
        return;
    }
    let layout = layout.merged();
    let axes = layout.shape.len();
    let Some(inner) = axes.checked_sub(1) else {
        out[0] = source[layout.start];
        return;
    };
    // The axis along which the source is contiguous, when it is not the last one.
    let contiguous = (0..inner).rev().find(|axis| layout.strides[*axis] == 1);
    if let (false, Some(fast)) = (layout.strides[inner] == 1, contiguous) {
        transpose(source, &layout, fast, out);
        return;
    }
    let (length, stride) = (layout.shape[inner], layout.strides[inner]);
    let mut walk = Walk::new(&layout.shape[..inner], &layout.strides[..inner], layout.start);
    for row in out.chunks_exact_mut(length) {
        copy_row(source, walk.position(), stride, row);
        walk.advance();
    }
}

fn copy_row<T: Pod>(source: &[T], start: usize, stride: isize, row: &mut [T]) {
    match stride {
        1 => row.copy_from_slice(&source[start..start + row.len()]),
        0 => row.fill(source[start]),
        2.. => {
            let picked = source[start..].iter().step_by(stride as usize);
            for (out, value) in row.iter_mut().zip(picked) {
                *out = *value;
            }
        }
        _ => {
            let picked = source[..=start].iter().rev().step_by(stride.unsigned_abs());
            for (out, value) in row.iter_mut().zip(picked) {
                *out = *value;
            }
        }
    }
}

/// The last axis strides, axis `fast` does not: works on planes of these two.
fn transpose<T: Pod>(source: &[T], layout: &Layout, fast: usize, out: &mut [T]) {
    let inner = layout.shape.len() - 1;
    let own = super::array::strides_of(&layout.shape);
    let others: Vec<usize> = (0..inner).filter(|axis| *axis != fast).collect();
    let pick = |from: &[isize]| -> Vec<isize> { others.iter().map(|axis| from[*axis]).collect() };
    let shape: Vec<usize> = others.iter().map(|axis| layout.shape[*axis]).collect();
    let mut read = Walk::new(&shape, &pick(&layout.strides), layout.start);
    let mut write = Walk::new(&shape, &pick(&own), 0);
    let (rows, columns) = (layout.shape[fast], layout.shape[inner]);
    let transposer = Transposer::new(size_of_val(out));
    for _ in 0..shape.iter().product::<usize>() {
        let plane = Plane {
            rows,
            columns,
            from: read.position(),
            to: write.position(),
            read_stride: layout.strides[inner],
            write_stride: own[fast] as usize,
        };
        transposer.copy(plane, source, out);
        read.advance();
        write.advance();
    }
}

/// Goes through the positions of an index space in C order.
#[derive(Debug)]
pub(super) struct Walk {
    shape: Vec<usize>,
    strides: Vec<isize>,
    index: Vec<usize>,
    position: isize,
}

impl Walk {
    /// At the first position, `start`.
    pub(super) fn new(shape: &[usize], strides: &[isize], start: usize) -> Self {
        let index = vec![0; shape.len()];
        Self { shape: shape.to_vec(), strides: strides.to_vec(), index, position: start as isize }
    }

    /// Goes on by `count` positions at once.
    pub(super) fn skip(&mut self, count: usize) {
        let mut rest = count;
        for axis in (0..self.shape.len()).rev() {
            let length = self.shape[axis].max(1);
            let index = self.index[axis] + rest % length;
            rest = rest / length + index / length;
            let index = index % length;
            self.position += (index as isize - self.index[axis] as isize) * self.strides[axis];
            self.index[axis] = index;
        }
    }

    /// The current position, elements. Only meaningful inside the index space.
    pub(super) fn position(&self) -> usize {
        self.position as usize
    }

    /// Goes on to the next one; after the last comes the first again.
    pub(super) fn advance(&mut self) {
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            self.position += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                return;
            }
            self.position -= self.strides[axis] * self.shape[axis] as isize;
            self.index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(source: &[u32], shape: &[usize], strides: &[isize], start: usize) -> Vec<u32> {
        let mut out = vec![0_u32; shape.iter().product()];
        let layout = Layout { shape: shape.to_vec(), strides: strides.to_vec(), start };
        gather(bytemuck::cast_slice(source), 4, &layout, bytemuck::cast_slice_mut(&mut out));
        out
    }

    #[test]
    fn skipping_is_advancing() {
        for start in 0..24 {
            for count in 0..30 {
                let mut one = Walk::new(&[2, 3, 4], &[-5, 0, 7], 90);
                (0..start).for_each(|_| one.advance());
                let mut all = Walk::new(&[2, 3, 4], &[-5, 0, 7], 90);
                all.skip(start);
                all.skip(count);
                (0..count).for_each(|_| one.advance());
                assert_eq!(all.position(), one.position(), "{start} {count}");
            }
        }
    }

    #[test]
    fn every_layout_equals_the_plain_loop() {
        let source: Vec<u32> = (0..40_000).collect();
        let cases: [(&[usize], &[isize], usize); 8] = [
            (&[70, 90], &[1, 70], 0),
            (&[5, 70, 40], &[2800, 1, 70], 3),
            (&[40, 5, 70], &[1, 2800, 40], 3),
            (&[10], &[-3], 39),
            (&[3, 4], &[0, 1], 7),
            (&[3, 4], &[1, 0], 7),
            (&[], &[], 9),
            (&[2, 0, 3], &[3, 3, 1], 0),
        ];
        for (shape, strides, start) in cases {
            let mut expected = Vec::new();
            let mut walk = Walk::new(shape, strides, start);
            for _ in 0..shape.iter().product() {
                expected.push(source[walk.position()]);
                walk.advance();
            }
            assert_eq!(gathered(&source, shape, strides, start), expected, "{shape:?}");
        }
    }
}
