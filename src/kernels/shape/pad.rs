//! `pad`: a border of one value.

use super::pieces::{Content, Piece, assembled};
use crate::kernels::Context;
use crate::kernels::array::{View, text};
use crate::kernels::fault::{Outcome, type_error, value_error};
use crate::kernels::params::{Read, Reader, kind};
use crate::kernels::scalar::Number;
use rdask_core::graph::Param;
use rdask_store::Sealed;

/// `pad(widths, value = 0)`: `widths` is `[before, after]` for each axis, or one such pair, or one
/// number, for all axes.
#[derive(Debug)]
pub(super) struct Pad {
    widths: Vec<[usize; 2]>,
    /// One pair counts for all axes.
    each: bool,
    value: Number,
    /// The value is "NaT".
    no_time: bool,
}

impl Pad {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let given = reader.need("widths", reader.value("widths"))?;
        let (widths, each) = match given {
            Param::List(pairs) if pairs.iter().any(|pair| matches!(pair, Param::List(_))) => {
                let pairs = pairs.iter().map(|pair| Self::pair(reader, pair));
                let pairs = pairs.collect::<Read<Vec<_>>>()?;
                let each = pairs.len() == 1;
                (pairs, each)
            }
            Param::List(none) if none.is_empty() => (Vec::new(), false),
            one => (vec![Self::pair(reader, one)?], true),
        };
        let no_time = matches!(reader.value("value"), Some(Param::Str(text)) if text == "NaT");
        let value = match no_time {
            true => Number::Float(f64::NAN),
            false => reader.number("value")?.unwrap_or(Number::Int(0)),
        };
        Ok(Self { widths, each, value, no_time })
    }

    /// `[before, after]`, or one number for both, with or without brackets.
    fn pair(reader: &Reader<'_>, given: &Param) -> Read<[usize; 2]> {
        let width = |value: &Param| {
            let width = reader.as_integer("widths", value)?;
            usize::try_from(width)
                .map_err(|_| reader.bad("widths", "index can't contain negative values"))
        };
        match given {
            Param::List(pair) => match pair.as_slice() {
                [both] => width(both).map(|both| [both, both]),
                [before, after] => Ok([width(before)?, width(after)?]),
                more => Err(reader.bad(
                    "widths",
                    format!("expected [before, after] for each axis, found {} numbers", more.len()),
                )),
            },
            both @ Param::Int(_) => width(both).map(|both| [both, both]),
            other => Err(reader.bad(
                "widths",
                format!("expected [before, after] for each axis, found {}", kind(other)),
            )),
        }
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let axes = input.shape.len();
        let widths = match self.widths.as_slice() {
            [all] if self.each => vec![*all; axes],
            widths if widths.len() == axes => widths.to_vec(),
            widths => {
                return Err(value_error(format!(
                    "operands could not be broadcast together with remapped shapes: widths for {} \
                     axes and an array of {axes}",
                    widths.len()
                )));
            }
        };
        if self.no_time && !input.dtype.is_time() {
            let name = input.dtype.numpy_name();
            return Err(type_error(format!("\"NaT\" is no {name}")));
        }
        let element = self.value.encode(input.dtype).map_err(value_error)?;
        let too_big = || value_error(format!("array of shape {} is too big", text(&input.shape)));
        let mut shape = Vec::with_capacity(axes);
        for (length, [before, after]) in input.shape.iter().zip(&widths) {
            let sum = before.checked_add(*after).and_then(|width| width.checked_add(*length));
            shape.push(sum.ok_or_else(too_big)?);
        }
        let corner: Vec<usize> = widths.iter().map(|[before, _]| *before).collect();
        let inside = Piece::whole(input.bytes, input.dtype, input.shape.clone(), corner);
        let mut pieces = vec![inside];
        // Borders of one axis: within the input on the axes before it, whole on those behind.
        let (mut part, mut corner) = (shape.clone(), vec![0; axes]);
        for axis in 0..axes {
            let [before, after] = widths[axis];
            for (width, begin) in [(before, 0), (after, before + input.shape[axis])] {
                let (mut shape, mut corner) = (part.clone(), corner.clone());
                (shape[axis], corner[axis]) = (width, begin);
                pieces.push(Piece { content: Content::Value(&element), shape, corner });
            }
            (part[axis], corner[axis]) = (input.shape[axis], before);
        }
        assembled(context, input.dtype, &shape, &pieces)
    }
}
