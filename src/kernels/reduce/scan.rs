//! cumsum and cumprod: running sums and products in the order of the elements.
//!
//! The additions are numpy's, one after the other in the dtype of the result, so that floats have
//! the same bits as numpy's. Threads share the lines, never one line.

use super::element::{Element, with_number};
use super::sum_dtype;
use crate::kernels::Context;
use crate::kernels::array::{Output, View, axis_of};
use crate::kernels::fault::Outcome;
use crate::kernels::parallel;
use crate::kernels::params::{Read, Reader};
use crate::kernels::time::refuse_times;
use crate::kernels::widened;
use bytemuck::Pod;
use num_complex::Complex;
use rdask_store::Sealed;

/// Elements below which a thread costs more than it saves.
const LEAST_PART: usize = 64 * 1024;

/// `cumsum(axis?)`, `cumprod(axis?)`; without an axis of all elements in C order.
#[derive(Debug)]
pub(super) struct Scan {
    name: String,
    axis: Option<i64>,
    product: bool,
}

impl Scan {
    pub(super) fn parse(reader: &Reader<'_>, product: bool) -> Read<Self> {
        Ok(Self { name: reader.kernel.to_owned(), axis: reader.integer("axis")?, product })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        refuse_times(&self.name, [input.dtype])?;
        widened::run(context, input, |input| self.scan(context, input))
    }

    fn scan(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Output> {
        // A 0-d array is one of length one, with an axis too.
        let shape = match self.axis {
            Some(_) if !input.shape.is_empty() => input.shape.clone(),
            _ => vec![input.len()],
        };
        let axis = axis_of(self.axis.unwrap_or(0), shape.len())?;
        let mut output = Output::new(context, sum_dtype(input.dtype), &shape)?;
        let lines = Lines {
            length: shape[axis],
            inner: shape[axis + 1..].iter().product(),
            threads: context.threads,
        };
        with_number!(input.dtype, T => self.all::<T, <T as Element>::Sum>(&lines, input, &mut output)?);
        Ok(output)
    }

    fn all<T: Element, R: Running<T>>(
        &self,
        lines: &Lines,
        input: &View<'_>,
        output: &mut Output,
    ) -> Outcome<()> {
        let (source, out) = (input.elements::<T>(), output.elements_mut::<R>());
        if self.product {
            lines.run::<T, R, true>(source, out)
        } else {
            lines.run::<T, R, false>(source, out)
        }
    }
}

/// The type of running sums of `T`.
trait Running<T>: Pod + Send + Sync {
    /// An element as a sum.
    fn from(item: T) -> Self;
    /// Sum; integers wrap.
    fn plus(self, other: Self) -> Self;
    /// Product; integers wrap.
    fn times(self, other: Self) -> Self;
}

impl<T: Element<Wide = Self>> Running<T> for i64 {
    #[inline(always)]
    fn from(item: T) -> Self {
        item.widen()
    }
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
}

macro_rules! own_type {
    ($($type:ty: |$x:ident, $y:ident| $times:expr),*) => {
        $(impl Running<$type> for $type {
            #[inline(always)]
            fn from(item: $type) -> Self {
                item
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                let ($x, $y) = (self, other);
                $times
            }
        })*
    };
}
own_type!(
    f32: |x, y| x * y,
    f64: |x, y| x * y,
    Complex<f32>: |x, y| Self::new(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re),
    Complex<f64>: |x, y| Self::new(x.re * y.re - x.im * y.im, x.re * y.im + x.im * y.re)
);

/// An array seen as `[…, length, inner]`.
struct Lines {
    length: usize,
    inner: usize,
    threads: u32,
}

impl Lines {
    fn run<T: Element, R: Running<T>, const PRODUCT: bool>(
        &self,
        source: &[T],
        out: &mut [R],
    ) -> Outcome<()> {
        let block = self.length.saturating_mul(self.inner);
        if out.is_empty() {
            return Ok(());
        }
        let mut jobs: Vec<parallel::Job<'_>> = Vec::new();
        let mut rest = out;
        let least = LEAST_PART.div_ceil(block);
        for part in parallel::split(source.len() / block, self.threads, least, 1) {
            let (out, behind) = rest.split_at_mut(part.len() * block);
            rest = behind;
            let source = &source[part.start * block..part.end * block];
            let piece = Piece::<T, R, PRODUCT> { source, inner: self.inner, block, out };
            jobs.push(Box::new(move || {
                piece.run();
                Ok(())
            }));
        }
        parallel::all(jobs)
    }
}

/// Some whole blocks of `length * inner` elements.
struct Piece<'a, T, R, const PRODUCT: bool> {
    source: &'a [T],
    inner: usize,
    block: usize,
    out: &'a mut [R],
}

impl<T: Element, R: Running<T>, const PRODUCT: bool> Piece<'_, T, R, PRODUCT> {
    fn run(self) {
        let join = |x: R, y: R| if PRODUCT { x.times(y) } else { x.plus(y) };
        let blocks = self.source.chunks_exact(self.block);
        for (source, out) in blocks.zip(self.out.chunks_exact_mut(self.block)) {
            if self.inner == 1 {
                let mut running = R::from(source[0]);
                out[0] = running;
                for (out, x) in out[1..].iter_mut().zip(&source[1..]) {
                    running = join(running, R::from(*x));
                    *out = running;
                }
                continue;
            }
            let (first, mut left) = out.split_at_mut(self.inner);
            for (out, x) in first.iter_mut().zip(source) {
                *out = R::from(*x);
            }
            let mut above: &[R] = first;
            for row in source.chunks_exact(self.inner).skip(1) {
                let (out, behind) = left.split_at_mut(self.inner);
                for ((out, x), above) in out.iter_mut().zip(row).zip(above) {
                    *out = join(*above, R::from(*x));
                }
                (above, left) = (out, behind);
            }
        }
    }
}
