//! Arrays side by side: concatenate, stack, block. dtypes are promoted.

use super::pieces::{Piece, assembled};
use crate::kernels::Context;
use crate::kernels::array::{MAX_AXES, View, axis_of, text};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::params::{Read, Reader};
use crate::kernels::promotion::promote_all;
use rdask_store::{DType, Sealed};

/// The dtype of all inputs together.
fn common(inputs: &[View<'_>]) -> Outcome<DType> {
    promote_all(&inputs.iter().map(|input| input.dtype).collect::<Vec<_>>())
}

/// The shape of arrays of these shapes, one behind the other along an axis.
fn joined(shapes: &[&[usize]], axis: usize) -> Outcome<Vec<usize>> {
    let first = shapes[0];
    let mut shape = first.to_vec();
    for (index, other) in shapes.iter().enumerate().skip(1) {
        if other.len() != first.len() {
            return Err(value_error(format!(
                "all the input arrays must have same number of dimensions, but the array at index \
                 0 has {} dimension(s) and the array at index {index} has {} dimension(s)",
                first.len(),
                other.len()
            )));
        }
        for (along, (length, expected)) in other.iter().zip(first).enumerate() {
            if along != axis && length != expected {
                return Err(value_error(format!(
                    "all the input array dimensions except for the concatenation axis must match \
                     exactly, but along dimension {along}, the array at index 0 has size \
                     {expected} and the array at index {index} has size {length}"
                )));
            }
        }
        shape[axis] = shape[axis]
            .checked_add(other[axis])
            .ok_or_else(|| value_error(format!("array of shape {} is too big", text(first))))?;
    }
    Ok(shape)
}

/// `concatenate(axis = 0)`: all other lengths must agree.
#[derive(Debug)]
pub(super) struct Concatenate {
    axis: i64,
}

impl Concatenate {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { axis: reader.integer("axis")?.unwrap_or(0) })
    }

    pub(super) fn run(&self, context: &Context<'_>, inputs: &[View<'_>]) -> Outcome<Sealed> {
        let axes = inputs[0].shape.len();
        if axes == 0 {
            return Err(value_error("zero-dimensional arrays cannot be concatenated"));
        }
        let axis = axis_of(self.axis, axes)?;
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| &input.shape[..]).collect();
        let shape = joined(&shapes, axis)?;
        let mut corner = vec![0; axes];
        let mut pieces = Vec::with_capacity(inputs.len());
        for input in inputs {
            let own = input.shape.clone();
            pieces.push(Piece::whole(input.bytes, input.dtype, own, corner.clone()));
            corner[axis] += input.shape[axis];
        }
        assembled(context, common(inputs)?, &shape, &pieces)
    }
}

/// `stack(axis = 0)`: arrays of one shape along a new axis.
#[derive(Debug)]
pub(super) struct Stack {
    axis: i64,
}

impl Stack {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { axis: reader.integer("axis")?.unwrap_or(0) })
    }

    pub(super) fn run(&self, context: &Context<'_>, inputs: &[View<'_>]) -> Outcome<Sealed> {
        let mut own = inputs[0].shape.clone();
        if let Some(other) = inputs.iter().find(|input| input.shape != own) {
            return Err(value_error(format!(
                "all input arrays must have the same shape, not {} and {}",
                text(&own),
                text(&other.shape)
            )));
        }
        let axis = axis_of(self.axis, own.len() + 1)?;
        if own.len() == MAX_AXES {
            return Err(value_error(format!(
                "maximum supported dimension for an array is {MAX_AXES}, found {}",
                own.len() + 1
            )));
        }
        own.insert(axis, 1);
        let mut shape = own.clone();
        shape[axis] = inputs.len();
        let mut corner = vec![0; own.len()];
        let mut pieces = Vec::with_capacity(inputs.len());
        for input in inputs {
            pieces.push(Piece::whole(input.bytes, input.dtype, own.clone(), corner.clone()));
            corner[axis] += 1;
        }
        assembled(context, common(inputs)?, &shape, &pieces)
    }
}

/// `block(grid)`: the inputs, row-major, in a grid of that shape, which lies on the last axes of
/// the result.
#[derive(Debug)]
pub(super) struct Block {
    grid: Vec<usize>,
}

/// Inputs that are already put together: their shape, and number and corner of each.
struct Group {
    shape: Vec<usize>,
    members: Vec<(usize, Vec<usize>)>,
}

impl Block {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let grid = reader.need("grid", reader.shape("grid")?)?;
        let count = grid.iter().try_fold(1_usize, |count, length| count.checked_mul(*length));
        if count != Some(reader.inputs) || grid.is_empty() {
            let problem = format!("{} does not hold {} inputs", text(&grid), reader.inputs);
            return Err(reader.bad("grid", problem));
        }
        Ok(Self { grid })
    }

    pub(super) fn run(&self, context: &Context<'_>, inputs: &[View<'_>]) -> Outcome<Sealed> {
        let most = inputs.iter().map(|input| input.shape.len()).max().unwrap_or(0);
        let axes = most.max(self.grid.len());
        let mut groups: Vec<Group> = inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                // Missing axes are in front, as in broadcasting.
                let mut shape = vec![1; axes - input.shape.len()];
                shape.extend_from_slice(&input.shape);
                Group { shape, members: vec![(index, vec![0; axes])] }
            })
            .collect();
        for (place, length) in self.grid.iter().enumerate().rev() {
            let axis = axes - self.grid.len() + place;
            groups = groups
                .chunks_mut(*length)
                .map(|groups| merged(groups, axis))
                .collect::<Outcome<_>>()?;
        }
        // One group is left, for the grid holds all inputs.
        let all = merged(&mut groups, 0)?;
        let pieces: Vec<Piece<'_>> = all
            .members
            .into_iter()
            .map(|(index, corner)| {
                let input = &inputs[index];
                let mut own = vec![1; axes - input.shape.len()];
                own.extend_from_slice(&input.shape);
                Piece::whole(input.bytes, input.dtype, own, corner)
            })
            .collect();
        assembled(context, common(inputs)?, &all.shape, &pieces)
    }
}

/// Groups one behind the other along an axis.
fn merged(groups: &mut [Group], axis: usize) -> Outcome<Group> {
    let shapes: Vec<&[usize]> = groups.iter().map(|group| &group.shape[..]).collect();
    let shape = joined(&shapes, axis)?;
    let mut members = Vec::new();
    let mut offset = 0;
    for group in groups {
        for (index, mut corner) in group.members.drain(..) {
            corner[axis] += offset;
            members.push((index, corner));
        }
        offset += group.shape[axis];
    }
    Ok(Group { shape, members })
}
