//! `slice`: Python's basic indexing.

use super::arranged;
use crate::kernels::Context;
use crate::kernels::array::{View, strides_of};
use crate::kernels::fault::{Outcome, fault};
use crate::kernels::params::{Read, Reader, kind};
use crate::kernels::strided::Layout;
use rdask_core::graph::Param;
use rdask_store::Sealed;

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
        arranged(context, input, &self.layout(&input.shape)?)
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

/// The place that an index names; negative ones count from the end.
pub(super) fn index_of(index: i64, axis: usize, length: usize) -> Outcome<usize> {
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
