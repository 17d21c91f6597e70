//! A map of whole inputs, some of them transposed, and perhaps the sum of it, slab by slab.
//!
//! ```text
//!   input ───────────────────────▶ piece ┐
//!   input ─ transposed: some rows ▶ piece ┴ map ▶ piece ─▶ rows of the result, or its sum
//! ```
//!
//! A slab of rows is transposed at once, and mapped and added up in pieces of it: slab and piece
//! stay in the second-level cache, where whole arrays between the steps would go through memory.

use super::Written;
use crate::kernels::Context;
use crate::kernels::array::{Output, View};
use crate::kernels::elementwise::Map;
use crate::kernels::fault::Outcome;
use crate::kernels::params::Reader;
use crate::kernels::reduce::PiecewiseSum;
use crate::kernels::strided::{Layout, gather};
use rdask_store::{DType, Sealed};

/// Bytes of a slab: half of a common second-level cache.
const SLAB_BYTES: usize = 512 << 10;
/// Rows of a slab are a multiple of this, so that lines of the source are used whole.
const ROWS: usize = 16;
/// Elements of a piece: enough that starting a map on it costs little.
const PIECE: usize = 16 * 1024;

/// Steps that can be computed so.
pub(super) struct Slabs {
    map: Map,
    /// What the map reads, in its order.
    operands: Vec<Operand>,
    /// The result is the sum of the map, not the map.
    sums: bool,
}

/// An input, transposed or as it is.
#[derive(Clone, Copy)]
struct Operand {
    input: usize,
    transposed: bool,
}

impl Slabs {
    /// Finds such steps behind so many inputs: transposes of inputs, a map, a sum over all axes.
    pub(super) fn of(inputs: usize, steps: &[Written<'_>]) -> Option<Self> {
        let is_plain = |step: &Written<'_>, kernel| step.kernel == kernel && step.params.is_empty();
        let (before, map, sums) = match steps {
            [before @ .., map, sum] if is_plain(sum, "sum") => (before, map, true),
            [before @ .., map] => (before, map, false),
            [] => return None,
        };
        if map.kernel != "map" || steps.len() < 2 {
            return None;
        }
        let operand = |read: &usize| {
            let Some(step) = read.checked_sub(inputs) else {
                return Some(Operand { input: *read, transposed: false });
            };
            let step = before.get(step).filter(|step| is_plain(step, "transpose"))?;
            let [input] = step.reads[..] else { return None };
            (input < inputs).then_some(Operand { input, transposed: true })
        };
        let operands = map.reads.iter().map(operand).collect::<Option<Vec<Operand>>>()?;
        let reader = Reader::new("map", &map.params, operands.len(), &["expr"]).ok()?;
        Some(Self { map: Map::parse(&reader).ok()?, operands, sums })
    }

    /// The result; none where the steps must be taken one after the other: with several threads,
    /// which each step has to itself, where inputs are broadcast, and where a step fails.
    pub(super) fn run(&self, context: &Context<'_>, inputs: &[Sealed]) -> Option<Sealed> {
        if context.threads > 1 {
            return None;
        }
        let views = View::all(inputs).ok()?;
        let run = Run::new(self, &views)?;
        if self.sums {
            (run.dtype == DType::F64).then(|| run.sum(context))?.ok()
        } else {
            run.array(context).ok()
        }
    }
}

/// One run on inputs that fit.
struct Run<'a> {
    slabs: &'a Slabs,
    views: &'a [View<'a>],
    /// Shape and dtype of the map.
    shape: Vec<usize>,
    dtype: DType,
    /// Elements of a row, along the first axis.
    width: usize,
    /// Rows of a slab.
    rows: usize,
}

impl<'a> Run<'a> {
    fn new(slabs: &'a Slabs, views: &'a [View<'a>]) -> Option<Self> {
        let read: Vec<View<'_>> =
            slabs.operands.iter().map(|operand| views[operand.input].clone()).collect();
        let mut shapes = slabs.operands.iter().zip(&read).map(|(operand, view)| {
            let mut shape = view.shape.clone();
            if operand.transposed {
                shape.reverse();
            }
            (shape.len() == 2 || !operand.transposed).then_some(shape)
        });
        let shape = shapes.next()??;
        if shape.is_empty()
            || shape.contains(&0)
            || !shapes.all(|other| other.as_ref() == Some(&shape))
        {
            return None;
        }
        let dtype = slabs.map.dtype(&read).ok()?;
        let width: usize = shape[1..].iter().product();
        let largest = read.iter().map(|view| view.dtype.size()).max()?;
        let rows = SLAB_BYTES / width.saturating_mul(largest).max(1) / ROWS * ROWS;
        Some(Self { slabs, views, dtype, width, rows: rows.clamp(ROWS, shape[0].max(ROWS)), shape })
    }

    fn array(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let mut output = Output::new(context, self.dtype, &self.shape)?;
        let size = self.dtype.size();
        self.each(context, |first, piece| {
            let count = piece.first().map_or(0, View::len);
            let out = &mut output.bytes_mut()[first * size..][..count * size];
            self.slabs.map.fill(piece, out)
        })?;
        output.seal()
    }

    fn sum(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let count = self.shape[0] * self.width;
        let mut mapped = Output::new(context, self.dtype, &[PIECE.min(count)])?;
        let mut sum = PiecewiseSum::of(count);
        self.each(context, |_, piece| {
            let count = piece.first().map_or(0, View::len);
            let mapped = &mut mapped.elements_mut::<f64>()[..count];
            self.slabs.map.fill(piece, bytemuck::cast_slice_mut(mapped))?;
            sum.add(mapped);
            Ok(())
        })?;
        let mut output = Output::new(context, DType::F64, &[])?;
        output.elements_mut::<f64>().fill(sum.finish());
        output.seal()
    }

    /// Calls `work` with each piece of the operands in order, and where it begins in the result.
    fn each(
        &self,
        context: &Context<'_>,
        mut work: impl FnMut(usize, &[View<'_>]) -> Outcome<()>,
    ) -> Outcome<()> {
        let height = self.shape[0];
        let operands = self.slabs.operands.iter();
        let mut sources = operands
            .map(|operand| self.source(context, *operand))
            .collect::<Outcome<Vec<Source<'_>>>>()?;
        for first in (0..height).step_by(self.rows) {
            let elements = self.rows.min(height - first) * self.width;
            sources.iter_mut().for_each(|source| source.go_to(first, elements, self.width));
            for begin in (0..elements).step_by(PIECE) {
                let count = PIECE.min(elements - begin);
                let piece = sources.iter_mut().map(|source| source.piece(begin, count));
                let piece: Vec<View<'_>> = piece.collect();
                work(first * self.width + begin, &piece)?;
            }
        }
        Ok(())
    }

    fn source(&self, context: &Context<'_>, operand: Operand) -> Outcome<Source<'a>> {
        let view = &self.views[operand.input];
        let elements = self.rows.min(self.shape[0]) * self.width;
        let room = || Output::new(context, view.dtype, &[elements]);
        let transposed = operand.transposed.then(room).transpose()?;
        Ok(Source { view, transposed, start: 0 })
    }
}

/// Where the pieces of an operand come from.
struct Source<'a> {
    view: &'a View<'a>,
    /// The slab, when it must be transposed.
    transposed: Option<Output>,
    /// Where the slab begins in the input, when it need not.
    start: usize,
}

impl Source<'_> {
    /// Goes on to the slab of so many elements whose first row is `first`.
    fn go_to(&mut self, first: usize, elements: usize, width: usize) {
        let Some(slab) = &mut self.transposed else {
            self.start = first * width;
            return;
        };
        let [_, stride] = self.view.shape[..] else { return };
        let shape = vec![elements / width, width];
        let layout = Layout { shape, strides: vec![1, stride as isize], start: first };
        let size = self.view.dtype.size();
        gather(self.view.bytes, size, &layout, &mut slab.bytes_mut()[..elements * size]);
    }

    /// So many elements of the slab.
    fn piece(&mut self, begin: usize, count: usize) -> View<'_> {
        let View { dtype, bytes, .. } = *self.view;
        let (source, start) = match &mut self.transposed {
            Some(slab) => (&*slab.bytes_mut(), begin),
            None => (bytes, self.start + begin),
        };
        let bytes = &source[start * dtype.size()..][..count * dtype.size()];
        View { dtype, shape: vec![count], bytes }
    }
}
