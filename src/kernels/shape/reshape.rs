//! Other shapes for the same elements: reshape, expand_dims, squeeze; broadcast_to repeats them.

use super::axes::marked;
use super::{arranged, reshaped};
use crate::kernels::Context;
use crate::kernels::array::{MAX_AXES, View, broadcast_strides, count_of, text};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::params::{Read, Reader};
use crate::kernels::strided::Layout;
use rdask_store::Sealed;

/// `reshape(shape)`: the same elements in C order; one length may be −1, it is what remains.
#[derive(Debug)]
pub(super) struct Reshape {
    /// None where the length follows from the others.
    lengths: Vec<Option<usize>>,
}

impl Reshape {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let given = reader.need("shape", reader.axes("shape")?)?;
        if given.len() > MAX_AXES {
            let problem = format!("{} axes are more than the {MAX_AXES} allowed", given.len());
            return Err(reader.bad("shape", problem));
        }
        if given.iter().filter(|length| **length == -1).count() > 1 {
            return Err(reader.bad("shape", "can only specify one unknown dimension"));
        }
        let length = |length: &i64| match length {
            -1 => Ok(None),
            length => usize::try_from(*length).map(Some).map_err(|_| {
                reader.bad("shape", format!("expected lengths and one -1, found {length}"))
            }),
        };
        Ok(Self { lengths: given.iter().map(length).collect::<Read<_>>()? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let known: Vec<usize> = self.lengths.iter().copied().flatten().collect();
        let product = count_of(&known);
        let rest = match product {
            Some(product) if known.len() == self.lengths.len() => {
                (product == input.len()).then_some(1)
            }
            Some(0) | None => None,
            Some(product) => input.len().is_multiple_of(product).then_some(input.len() / product),
        };
        let Some(rest) = rest else {
            let lengths: Vec<String> = self
                .lengths
                .iter()
                .map(|length| length.map_or_else(|| "-1".to_owned(), |length| length.to_string()))
                .collect();
            return Err(value_error(format!(
                "cannot reshape array of size {} into shape ({})",
                input.len(),
                lengths.join(",")
            )));
        };
        let shape: Vec<usize> = self.lengths.iter().map(|length| length.unwrap_or(rest)).collect();
        reshaped(context, input, &shape)
    }
}

/// `expand_dims(axis)`: axes of length one, at these places of the result.
#[derive(Debug)]
pub(super) struct ExpandDims {
    axes: Vec<i64>,
}

impl ExpandDims {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { axes: reader.need("axis", reader.axes("axis")?)? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let count = input.shape.len() + self.axes.len();
        let new = marked(&self.axes, count, "repeated axis")?;
        if count > MAX_AXES {
            return Err(value_error(format!(
                "maximum supported dimension for an array is {MAX_AXES}, found {count}"
            )));
        }
        let mut lengths = input.shape.iter();
        // As many places are not new as the input has axes.
        let place = |new: &bool| if *new { 1 } else { lengths.next().copied().unwrap_or(1) };
        let shape: Vec<usize> = new.iter().map(place).collect();
        reshaped(context, input, &shape)
    }
}

/// `squeeze(axis?)`: without these axes of length one; without all of them when none is named.
#[derive(Debug)]
pub(super) struct Squeeze {
    axes: Option<Vec<i64>>,
}

impl Squeeze {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { axes: reader.axes("axis")? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let dropped = match &self.axes {
            None => input.shape.iter().map(|length| *length == 1).collect(),
            // numpy lets a 0-d array have an axis 0 or −1 here.
            Some(axes) if input.shape.is_empty() && matches!(axes[..], [0 | -1]) => Vec::new(),
            Some(axes) => marked(axes, input.shape.len(), "duplicate value in 'axis'")?,
        };
        let mut shape = Vec::with_capacity(input.shape.len());
        for (length, dropped) in input.shape.iter().zip(dropped) {
            match (dropped, length) {
                (false, _) => shape.push(*length),
                (true, 1) => {}
                (true, _) => {
                    return Err(value_error(
                        "cannot select an axis to squeeze out which has size not equal to one",
                    ));
                }
            }
        }
        reshaped(context, input, &shape)
    }
}

/// `broadcast_to(shape)`: axes of length one, and missing ones in front, are repeated.
#[derive(Debug)]
pub(super) struct BroadcastTo {
    shape: Vec<usize>,
}

impl BroadcastTo {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { shape: reader.need("shape", reader.shape("shape")?)? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let own = &input.shape;
        if own.len() > self.shape.len() {
            return Err(value_error(format!(
                "input operand has more dimensions than allowed by the axis remapping: {} cannot \
                 be broadcast to {}",
                text(own),
                text(&self.shape)
            )));
        }
        let targets = &self.shape[self.shape.len() - own.len()..];
        if own.iter().zip(targets).any(|(length, target)| length != target && *length != 1) {
            return Err(value_error(format!(
                "operands could not be broadcast together with remapped shapes \
                 [original->remapped]: {} and requested shape {}",
                text(own),
                text(&self.shape)
            )));
        }
        let strides = broadcast_strides(own, &self.shape);
        arranged(context, input, &Layout { shape: self.shape.clone(), strides, start: 0 })
    }
}
