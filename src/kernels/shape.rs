//! Kernels that move elements without changing them: transpose, slice, concatenate.

use super::Context;
use super::array::{Output, View, axis_of, strides_of, text};
use super::cast::cast;
use super::fault::{Outcome, fault, value_error};
use super::params::{Read, Reader, kind};
use super::promotion::promote;
use super::strided::{Layout, gather};
use super::table::{Entry, Inputs, entry, of_many, of_one};
use rdask_core::graph::Param;
use rdask_store::Sealed;

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("transpose", Inputs::Exactly(1), &["axes"], |reader| {
        let transpose = Transpose::parse(reader)?;
        Ok(of_one(move |context, input| transpose.run(context, input)))
    }),
    entry("slice", Inputs::Exactly(1), &["ranges"], |reader| {
        let slice = Slice::parse(reader)?;
        Ok(of_one(move |context, input| slice.run(context, input)))
    }),
    entry("concatenate", Inputs::AtLeast(1), &["axis"], |reader| {
        let concatenate = Concatenate::parse(reader)?;
        Ok(of_many(move |context, inputs| concatenate.run(context, inputs)))
    }),
];

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
        let mut output = Output::new(context, input.dtype, &layout.shape)?;
        gather(input.bytes, input.dtype.size(), &layout, output.bytes_mut());
        output.seal()
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

/// What `slice` takes of one axis.
#[derive(Debug)]
enum Range {
    All,
    Index(i64),
    Steps { start: Option<i64>, stop: Option<i64>, step: i64 },
}

/// `slice(ranges)`: Python's basic indexing. Axes without a range are taken whole.
#[derive(Debug)]
pub(super) struct Slice {
    ranges: Vec<Range>,
}

impl Slice {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let given = reader.need("ranges", reader.list("ranges")?)?;
        let ranges = given.iter().map(|range| Self::range(reader, range)).collect::<Read<_>>()?;
        Ok(Self { ranges })
    }

    fn range(reader: &Reader<'_>, range: &Param) -> Read<Range> {
        let bound = |value: &Param| match value {
            Param::Null => Ok(None),
            other => reader.as_integer("ranges", other).map(Some),
        };
        match range {
            Param::Null => Ok(Range::All),
            Param::Int(index) => Ok(Range::Index(*index)),
            Param::List(parts) if matches!(parts.len(), 2 | 3) => {
                let step = parts.get(2).map(bound).transpose()?.flatten().unwrap_or(1);
                if step == 0 {
                    return Err(reader.bad("ranges", "slice step cannot be zero"));
                }
                Ok(Range::Steps { start: bound(&parts[0])?, stop: bound(&parts[1])?, step })
            }
            other => Err(reader.bad(
                "ranges",
                format!("expected [start, stop, step], an index or null, found {}", kind(other)),
            )),
        }
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let layout = self.layout(&input.shape)?;
        let mut output = Output::new(context, input.dtype, &layout.shape)?;
        gather(input.bytes, input.dtype.size(), &layout, output.bytes_mut());
        output.seal()
    }

    fn layout(&self, shape: &[usize]) -> Outcome<Layout> {
        if self.ranges.len() > shape.len() {
            return Err(fault(
                "IndexError",
                format!(
                    "too many indices for array: array is {}-dimensional, but {} were indexed",
                    shape.len(),
                    self.ranges.len()
                ),
            ));
        }
        let own = strides_of(shape);
        let mut layout = Layout { shape: Vec::new(), strides: Vec::new(), start: 0 };
        for (axis, length) in shape.iter().enumerate() {
            let (first, count, step) = match self.ranges.get(axis) {
                None | Some(Range::All) => (0, *length, 1),
                Some(Range::Index(index)) => {
                    layout.start += index_of(*index, axis, *length)? * own[axis] as usize;
                    continue;
                }
                Some(Range::Steps { start, stop, step }) => steps(*start, *stop, *step, *length),
            };
            layout.start += first * own[axis] as usize;
            layout.shape.push(count);
            layout.strides.push(own[axis].saturating_mul(step));
        }
        Ok(layout)
    }
}

fn index_of(index: i64, axis: usize, length: usize) -> Outcome<usize> {
    let count = length as i64;
    if index < -count || index >= count {
        return Err(fault(
            "IndexError",
            format!("index {index} is out of bounds for axis {axis} with size {length}"),
        ));
    }
    Ok((if index < 0 { index + count } else { index }) as usize)
}

/// First index, count and step of a Python slice of an axis; first is 0 when nothing is taken.
fn steps(start: Option<i64>, stop: Option<i64>, step: i64, length: usize) -> (usize, usize, isize) {
    let count = length as i128;
    let (lowest, highest) = if step < 0 { (-1, count - 1) } else { (0, count) };
    let clamp = |bound: i64| {
        let bound = i128::from(bound);
        (if bound < 0 { bound + count } else { bound }).clamp(lowest, highest)
    };
    let (first, end) = if step < 0 {
        (start.map_or(count - 1, clamp), stop.map_or(-1, clamp))
    } else {
        (start.map_or(0, clamp), stop.map_or(count, clamp))
    };
    let step = i128::from(step);
    let distance = if step < 0 { first - end } else { end - first };
    let taken = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
    if taken == 0 { (0, 0, 1) } else { (first as usize, taken as usize, step as isize) }
}

/// `concatenate(axis = 0)`: dtypes are promoted, all other lengths must agree.
#[derive(Debug)]
pub(super) struct Concatenate {
    axis: i64,
}

impl Concatenate {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { axis: reader.integer("axis")?.unwrap_or(0) })
    }

    pub(super) fn run(&self, context: &Context<'_>, inputs: &[View<'_>]) -> Outcome<Sealed> {
        let (axis, shape) = self.shape(inputs)?;
        let mut dtype = inputs[0].dtype;
        for input in inputs {
            dtype = promote(dtype, input.dtype)?;
        }
        let mut output = Output::new(context, dtype, &shape)?;
        let outer: usize = shape[..axis].iter().product();
        if output.bytes_mut().is_empty() {
            return output.seal();
        }
        let mut rest = output.bytes_mut();
        for row in 0..outer {
            for input in inputs {
                let length = input.bytes.len() / outer;
                let source = &input.bytes[row * length..(row + 1) * length];
                let nbytes = length / input.dtype.size() * dtype.size();
                let (part, behind) = rest.split_at_mut(nbytes);
                if input.dtype == dtype {
                    part.copy_from_slice(source);
                } else {
                    cast(input.dtype, source, dtype, part);
                }
                rest = behind;
            }
        }
        output.seal()
    }

    fn shape(&self, inputs: &[View<'_>]) -> Outcome<(usize, Vec<usize>)> {
        let first = &inputs[0].shape;
        if first.is_empty() {
            return Err(value_error("zero-dimensional arrays cannot be concatenated"));
        }
        let axis = axis_of(self.axis, first.len())?;
        let mut shape = first.clone();
        for (index, input) in inputs.iter().enumerate().skip(1) {
            if input.shape.len() != first.len() {
                return Err(value_error(format!(
                    "all the input arrays must have same number of dimensions, but the array at \
                     index 0 has {} dimension(s) and the array at index {index} has {} \
                     dimension(s)",
                    first.len(),
                    input.shape.len()
                )));
            }
            for (along, (length, expected)) in input.shape.iter().zip(first).enumerate() {
                if along != axis && length != expected {
                    return Err(value_error(format!(
                        "all the input array dimensions except for the concatenation axis must \
                         match exactly, but along dimension {along}, the array at index 0 has size \
                         {expected} and the array at index {index} has size {length}"
                    )));
                }
            }
            shape[axis] = shape[axis]
                .checked_add(input.shape[axis])
                .ok_or_else(|| value_error(format!("array of shape {} is too big", text(first))))?;
        }
        Ok((axis, shape))
    }
}

#[cfg(test)]
mod tests {
    use super::steps;

    #[test]
    fn slices_are_pythons() {
        // (start, stop, step, length) → range(length)[start:stop:step]
        assert_eq!(steps(None, None, -1, 5), (4, 5, -1));
        assert_eq!(steps(Some(-3), None, 2, 5), (2, 2, 2));
        assert_eq!(steps(Some(10), Some(-10), -3, 7), (6, 3, -3));
        assert_eq!(steps(Some(4), Some(2), 1, 5), (0, 0, 1));
        assert_eq!(steps(Some(i64::MIN), Some(i64::MAX), i64::MAX, 5), (0, 1, isize::MAX));
        assert_eq!(steps(Some(i64::MAX), Some(i64::MIN), i64::MIN, 5), (4, 1, isize::MIN));
        assert_eq!(steps(None, None, 1, 0), (0, 0, 1));
    }
}
