//! `roll`: elements move along axes, and those that leave at one end come in at the other.

use super::pieces::{Content, Piece, assembled_under};
use super::reshaped;
use crate::kernels::Context;
use crate::kernels::array::{View, axis_of};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::params::{Read, Reader};
use rdask_store::Sealed;

/// `roll(shift, axis?)`: by `shift` along each axis, both numbers or lists; without axis the input
/// counts as flat.
#[derive(Debug)]
pub(super) struct Roll {
    shifts: Vec<i64>,
    axes: Option<Vec<i64>>,
}

impl Roll {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let shifts = reader.need("shift", reader.axes("shift")?)?;
        Ok(Self { shifts, axes: reader.axes("axis")? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let lengths = match &self.axes {
            None => vec![input.len()],
            Some(_) => input.shape.clone(),
        };
        let shifts = self.along(&lengths)?;
        if shifts.iter().all(|shift| *shift == 0) {
            return reshaped(context, input, &input.shape);
        }
        let corner = vec![0; lengths.len()];
        let mut pieces = vec![Piece::whole(input.bytes, input.dtype, lengths.clone(), corner)];
        for (axis, shift) in shifts.iter().enumerate().filter(|(_, shift)| **shift > 0) {
            let first = lengths[axis] - shift;
            pieces = pieces.iter().flat_map(|piece| halves(piece, axis, first, *shift)).collect();
        }
        assembled_under(context, input.dtype, &lengths, &input.shape, &pieces)
    }

    /// How far each axis is moved, less than its length.
    fn along(&self, lengths: &[usize]) -> Outcome<Vec<usize>> {
        let zero = [0];
        let axes = self.axes.as_deref().unwrap_or(&zero);
        let count = match (self.shifts.len(), axes.len()) {
            (shifts, axes) if shifts == axes => shifts,
            (1, axes) => axes,
            (shifts, 1) => shifts,
            (shifts, axes) => {
                return Err(value_error(format!(
                    "shape mismatch: objects cannot be broadcast to a single shape: {shifts} \
                     shifts and {axes} axes"
                )));
            }
        };
        let mut sums = vec![0_i128; lengths.len()];
        for place in 0..count {
            let axis = axis_of(axes[if axes.len() == 1 { 0 } else { place }], lengths.len())?;
            let shift = self.shifts[if self.shifts.len() == 1 { 0 } else { place }];
            sums[axis] += i128::from(shift);
        }
        let within = |(sum, length): (i128, &usize)| match length {
            0 => 0,
            length => sum.rem_euclid(*length as i128) as usize,
        };
        Ok(sums.into_iter().zip(lengths).map(within).collect())
    }
}

/// A piece in two: what is before `first` along the axis moves on by `shift`, the rest comes to the
/// front.
fn halves<'a>(piece: &Piece<'a>, axis: usize, first: usize, shift: usize) -> [Piece<'a>; 2] {
    [(0, first, shift), (first, shift, 0)].map(|(begin, length, corner)| {
        let content = match &piece.content {
            Content::Array { bytes, dtype, strides, start } => Content::Array {
                bytes,
                dtype: *dtype,
                strides: strides.clone(),
                start: start + begin * strides[axis] as usize,
            },
            Content::Value(element) => Content::Value(element),
        };
        let mut half = Piece { content, shape: piece.shape.clone(), corner: piece.corner.clone() };
        half.shape[axis] = length;
        half.corner[axis] = corner;
        half
    })
}
