//! `dot` and `tensordot`: sums over shared axes, as one product of matrices.
//!
//! The axes that are summed over are brought to the end of the first input and to the front of the
//! second one.

use super::field::Operand;
use super::matmul::{Size, product};
use crate::kernels::Context;
use crate::kernels::array::{Output, View, count_of, strides_of, text};
use crate::kernels::fault::{Outcome, fault, value_error};
use crate::kernels::params::{Read, Reader, kind};
use crate::kernels::promotion::promote;
use crate::kernels::strided::{Layout, gather};
use rdask_core::graph::Param;
use rdask_store::{DType, Sealed};

/// `dot`: over the last axis of the first input and the last but one of the second; with a 0-d
/// input the product of elements.
pub(super) fn dot(context: &Context<'_>, a: &View<'_>, b: &View<'_>) -> Outcome<Sealed> {
    let (left, right) = (a.shape.len(), b.shape.len());
    if left == 0 || right == 0 {
        return contract(context, [a, b], [&[], &[]]);
    }
    let axes = [left - 1, right.saturating_sub(2)];
    let lengths = [a.shape[axes[0]], b.shape[axes[1]]];
    if lengths[0] != lengths[1] {
        return Err(value_error(format!(
            "shapes {} and {} not aligned: {} (dim {}) != {} (dim {})",
            text(&a.shape),
            text(&b.shape),
            lengths[0],
            axes[0],
            lengths[1],
            axes[1]
        )));
    }
    contract(context, [a, b], [&axes[..1], &axes[1..]])
}

/// `tensordot(axes = 2)`: over the last axes of the first input and the first ones of the second,
/// or over the pairs of `[[axes of a], [axes of b]]`.
#[derive(Debug)]
pub(super) struct TensorDot {
    axes: Axes,
}

#[derive(Debug)]
enum Axes {
    /// So many.
    Count(usize),
    /// These.
    Pairs([Vec<i64>; 2]),
}

impl TensorDot {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let axes = match reader.value("axes") {
            None => Axes::Count(2),
            // numpy takes a negative number for none.
            Some(Param::Int(count)) => Axes::Count(usize::try_from(*count).unwrap_or(0)),
            Some(Param::List(pair)) if pair.len() == 2 => {
                Axes::Pairs([axes_of(reader, &pair[0])?, axes_of(reader, &pair[1])?])
            }
            Some(other) => {
                let problem = format!("expected a number or two lists, found {}", kind(other));
                return Err(reader.bad("axes", problem));
            }
        };
        if let Axes::Pairs(pairs) = &axes {
            if pairs.iter().any(|axes| has_twice(axes)) {
                return Err(reader.bad("axes", "duplicate axes are not allowed in tensordot"));
            }
            if pairs[0].len() != pairs[1].len() {
                return Err(reader.bad("axes", "shape-mismatch for sum"));
            }
        }
        Ok(Self { axes })
    }

    pub(super) fn run(&self, context: &Context<'_>, a: &View<'_>, b: &View<'_>) -> Outcome<Sealed> {
        let views = [a, b];
        let dims = views.map(|view| view.shape.len());
        let axes = match &self.axes {
            Axes::Count(count) if *count > dims[0].min(dims[1]) => return Err(out_of_range()),
            Axes::Count(count) => [(dims[0] - count..dims[0]).collect(), (0..*count).collect()],
            Axes::Pairs([left, right]) => [existing(left, dims[0])?, existing(right, dims[1])?],
        };
        let lengths = [0, 1].map(|index: usize| -> Vec<usize> {
            axes[index].iter().map(|axis| views[index].shape[*axis]).collect()
        });
        if lengths[0] != lengths[1] {
            return Err(value_error("shape-mismatch for sum"));
        }
        if axes.iter().any(|axes| has_twice(axes)) {
            return Err(value_error("duplicate axes are not allowed in tensordot"));
        }
        contract(context, views, [&axes[0], &axes[1]])
    }
}

fn axes_of(reader: &Reader<'_>, value: &Param) -> Read<Vec<i64>> {
    let axes = match value {
        Param::List(axes) => axes.as_slice(),
        single => std::slice::from_ref(single),
    };
    axes.iter().map(|axis| reader.as_integer("axes", axis)).collect()
}

fn has_twice<T: Ord + Copy>(axes: &[T]) -> bool {
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| pair[0] == pair[1])
}

fn out_of_range() -> rdask_core::messages::TaskError {
    fault("IndexError", "tuple index out of range")
}

fn existing(axes: &[i64], count: usize) -> Outcome<Vec<usize>> {
    let one = |axis: &i64| {
        let from_start = if *axis < 0 { axis.checked_add(count as i64) } else { Some(*axis) };
        let found = from_start.and_then(|axis| usize::try_from(axis).ok());
        found.filter(|axis| *axis < count).ok_or_else(out_of_range)
    };
    axes.iter().map(one).collect()
}

fn contract(
    context: &Context<'_>,
    [a, b]: [&View<'_>; 2],
    [left, right]: [&[usize]; 2],
) -> Outcome<Sealed> {
    let kept = |view: &View<'_>, summed: &[usize]| -> Vec<usize> {
        (0..view.shape.len()).filter(|axis| !summed.contains(axis)).collect()
    };
    let (rows, columns) = (kept(a, left), kept(b, right));
    let lengths = |view: &View<'_>, axes: &[usize]| -> Vec<usize> {
        axes.iter().map(|axis| view.shape[*axis]).collect()
    };
    let mut shape = lengths(a, &rows);
    shape.extend(lengths(b, &columns));
    let dtype = promote(a.dtype, b.dtype)?;
    // First, because it finds a result that is too big.
    let mut output = Output::new(context, dtype, &shape)?;
    let count = |view: &View<'_>, axes: &[usize]| count_of(&lengths(view, axes)).unwrap_or(0);
    let size = Size { n: count(a, &rows), k: count(a, left), m: count(b, &columns) };
    let mut a = arranged(context, a, dtype, &[&rows, left].concat())?;
    let mut b = arranged(context, b, dtype, &[right, &columns].concat())?;
    if !output.bytes_mut().is_empty() {
        product(context.threads, dtype, size, [a.bytes(), b.bytes()], output.bytes_mut())?;
    }
    output.seal()
}

/// The input in the dtype of the result, with its axes in this order.
fn arranged<'a>(
    context: &Context<'_>,
    view: &View<'a>,
    dtype: DType,
    order: &[usize],
) -> Outcome<Operand<'a>> {
    let mut operand = Operand::new(context, view, dtype)?;
    if order.iter().enumerate().all(|(place, axis)| place == *axis) {
        return Ok(operand);
    }
    let own = strides_of(&view.shape);
    let layout = Layout {
        shape: order.iter().map(|axis| view.shape[*axis]).collect(),
        strides: order.iter().map(|axis| own[*axis]).collect(),
        start: 0,
    };
    let mut turned = Output::new(context, dtype, &layout.shape)?;
    gather(operand.bytes(), dtype.size(), &layout, turned.bytes_mut());
    Ok(Operand::Cast(turned))
}
