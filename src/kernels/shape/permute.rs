//! `transpose` and `flip`: another order of axes, another direction along them.

use super::arranged;
use super::axes::marked;
use crate::kernels::Context;
use crate::kernels::array::{View, axis_of, strides_of};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::params::{Read, Reader};
use crate::kernels::strided::Layout;
use rdask_store::Sealed;

/// `transpose(axes?)`: axis `i` of the result is axis `axes[i]` of the input; all reversed without.
#[derive(Debug)]
pub(super) struct Transpose {
    axes: Option<Vec<i64>>,
}

impl Transpose {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { axes: reader.axes("axes")? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let order = self.order(input.shape.len())?;
        let own = strides_of(&input.shape);
        let layout = Layout {
            shape: order.iter().map(|axis| input.shape[*axis]).collect(),
            strides: order.iter().map(|axis| own[*axis]).collect(),
            start: 0,
        };
        arranged(context, input, &layout)
    }

    fn order(&self, axes: usize) -> Outcome<Vec<usize>> {
        let Some(given) = &self.axes else { return Ok((0..axes).rev().collect()) };
        if given.len() != axes {
            return Err(value_error("axes don't match array"));
        }
        let mut seen = vec![false; axes];
        let mut order = Vec::with_capacity(axes);
        for axis in given {
            let axis = axis_of(*axis, axes)?;
            if std::mem::replace(&mut seen[axis], true) {
                return Err(value_error("repeated axis in transpose"));
            }
            order.push(axis);
        }
        Ok(order)
    }
}

/// `flip(axis?)`: the elements along these axes, all without, in reverse.
#[derive(Debug)]
pub(super) struct Flip {
    axes: Option<Vec<i64>>,
}

impl Flip {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { axes: reader.axes("axis")? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let count = input.shape.len();
        let flipped = match &self.axes {
            None => vec![true; count],
            Some(axes) => marked(axes, count, "repeated axis")?,
        };
        let mut layout =
            Layout { shape: input.shape.clone(), strides: strides_of(&input.shape), start: 0 };
        for (axis, _) in flipped.iter().enumerate().filter(|(_, flipped)| **flipped) {
            let stride = &mut layout.strides[axis];
            layout.start += input.shape[axis].saturating_sub(1) * stride.unsigned_abs();
            *stride = -*stride;
        }
        if input.bytes.is_empty() {
            layout.start = 0;
        }
        arranged(context, input, &layout)
    }
}
