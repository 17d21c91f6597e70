//! `take`: chosen indices along an axis, in any order and as often as they are named.

use super::slice::index_of;
use crate::kernels::Context;
use crate::kernels::array::{Output, View, axis_of, text};
use crate::kernels::fault::{Outcome, fault, value_error};
use crate::kernels::parallel;
use crate::kernels::params::{Read, Reader};
use bytemuck::Pod;
use rdask_core::graph::Param;
use rdask_store::Sealed;

/// `take(axis?, indices)`: negative indices count from the end; one integer drops the axis; without
/// axis the input counts as flat.
#[derive(Debug)]
pub(super) struct Take {
    axis: Option<i64>,
    indices: Vec<i64>,
    drops: bool,
}

impl Take {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let indices = reader.need("indices", reader.axes("indices")?)?;
        let drops = !matches!(reader.value("indices"), Some(Param::List(_)));
        Ok(Self { axis: reader.integer("axis")?, indices, drops })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let flat = [input.len()];
        let (axis, shape) = match self.axis {
            None => (0, &flat[..]),
            // numpy lets a 0-d array have an axis 0 or −1 here.
            Some(0 | -1) if input.shape.is_empty() => (0, &flat[..]),
            Some(axis) => (axis_of(axis, input.shape.len())?, &input.shape[..]),
        };
        let length = shape[axis];
        let mut result = shape.to_vec();
        result.splice(axis..=axis, (!self.drops).then_some(self.indices.len()));
        let mut output = Output::new(context, input.dtype, &result)?;
        if length == 0 && !result.contains(&0) {
            return Err(fault("IndexError", "cannot do a non-empty take from an empty axes."));
        }
        let whole = |index: &i64| index_of(*index, axis, length);
        let indices = self.indices.iter().map(whole).collect::<Outcome<Vec<usize>>>()?;
        if result.contains(&0) {
            return output.seal();
        }
        let run = shape[axis + 1..]
            .iter()
            .try_fold(input.dtype.size(), |run, length| run.checked_mul(*length));
        let run = run.ok_or_else(|| value_error(format!("{} is too big", text(shape))))?;
        parallel::rows(output.bytes_mut(), run, context.threads, |first, rows| {
            let source = Source { bytes: input.bytes, indices: &indices, length, first };
            match run {
                1 => source.elements::<u8>(rows),
                2 => source.elements::<u16>(rows),
                4 => source.elements::<u32>(rows),
                8 => source.elements::<u64>(rows),
                16 => source.elements::<[u64; 2]>(rows),
                _ => source.runs(rows, run),
            }
            Ok(())
        })?;
        output.seal()
    }
}

/// What rows of the result, from the row `first` on, are taken from.
struct Source<'a> {
    bytes: &'a [u8],
    indices: &'a [usize],
    /// Of the axis.
    length: usize,
    first: usize,
}

impl Source<'_> {
    /// Calls `take` with some indices, the number of the first run that they count from, and their
    /// part of the result, of `width` each.
    fn each<T>(
        &self,
        out: &mut [T],
        width: usize,
        mut take: impl FnMut(&[usize], usize, &mut [T]),
    ) {
        let (mut outer, mut skipped) =
            (self.first / self.indices.len(), self.first % self.indices.len());
        let mut rest = out;
        while !rest.is_empty() {
            let indices = &self.indices[skipped..];
            let indices = &indices[..indices.len().min(rest.len() / width)];
            let (part, behind) = rest.split_at_mut(indices.len() * width);
            take(indices, outer * self.length, part);
            (rest, outer, skipped) = (behind, outer + 1, 0);
        }
    }

    fn elements<T: Pod>(&self, out: &mut [u8]) {
        let source: &[T] = bytemuck::cast_slice(self.bytes);
        self.each(bytemuck::cast_slice_mut(out), 1, |indices, start, out| {
            let line = &source[start..start + self.length];
            for (out, index) in out.iter_mut().zip(indices) {
                *out = line[*index];
            }
        });
    }

    fn runs(&self, out: &mut [u8], run: usize) {
        self.each(out, run, |indices, start, out| {
            for (out, index) in out.chunks_exact_mut(run).zip(indices) {
                let place = (start + index) * run;
                out.copy_from_slice(&self.bytes[place..place + run]);
            }
        });
    }
}
