//! `stencil`: a weighted sum of neighbours, Σ weights[k] · a[i + offsets[k]], for every element.
//!
//! The sum is taken in the order of the offsets, so floats have the same bits everywhere. A row is
//! cut in pieces that stay in the first-level cache while a few offsets at a time are added; only
//! the elements near the ends of a row look at the boundary.

use super::Context;
use super::array::{Output, View, with_type};
use super::cast::cast;
use super::fault::{Outcome, fault, value_error};
use super::parallel;
use super::params::{Read, Reader, kind};
use super::promotion::{Kind, kind_of};
use super::scalar::{Element, Number};
use super::simd::{self, Level, Loop};
use super::table::{Entry, Inputs, entry, of_one};
use super::time::{Ticks, refuse_times};
use bytemuck::Pod;
use num_complex::Complex;
use rdask_core::graph::Param;
use rdask_store::{DType, Sealed};
use std::ops::{Add as _, Mul as _};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[entry(
    "stencil",
    Inputs::Exactly(1),
    &["offsets", "weights", "boundary", "value"],
    |reader| {
        let stencil = Stencil::parse(reader)?;
        Ok(of_one(move |context, input| {
            refuse_times("stencil", [input.dtype])?;
            stencil.run(context, input)
        }))
    },
)];

/// What stands outside of the array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Boundary {
    /// A value.
    Constant,
    /// The array again.
    Wrap,
    /// The nearest element.
    Nearest,
}

/// `stencil(offsets, weights, boundary = "constant", value = 0)`.
#[derive(Debug)]
struct Stencil {
    offsets: Vec<Vec<i64>>,
    weights: Vec<Number>,
    boundary: Boundary,
    value: Number,
}

impl Stencil {
    fn parse(reader: &Reader<'_>) -> Read<Self> {
        let offsets = reader.need("offsets", reader.list("offsets")?)?;
        let offsets: Vec<Vec<i64>> = offsets
            .iter()
            .map(|offset| match offset {
                Param::List(axes) => {
                    axes.iter().map(|axis| reader.as_integer("offsets", axis)).collect()
                }
                single => reader.as_integer("offsets", single).map(|axis| vec![axis]),
            })
            .collect::<Read<_>>()?;
        if offsets.is_empty() {
            return Err(reader.bad("offsets", "expected at least one"));
        }
        if let Some(other) = offsets.iter().find(|other| other.len() != offsets[0].len()) {
            let problem = format!("have {} and {} axes", offsets[0].len(), other.len());
            return Err(reader.bad("offsets", problem));
        }
        let weights = reader.need("weights", reader.list("weights")?)?;
        if weights.len() != offsets.len() {
            let problem = format!("{} for {} offsets", weights.len(), offsets.len());
            return Err(reader.bad("weights", problem));
        }
        let number = |weight| Number::from_param(weight);
        let weights: Result<Vec<Number>, String> = weights.iter().map(number).collect();
        let boundary = match reader.value("boundary") {
            None => Boundary::Constant,
            Some(Param::Str(word)) if word == "constant" => Boundary::Constant,
            Some(Param::Str(word)) if word == "wrap" => Boundary::Wrap,
            Some(Param::Str(word)) if word == "nearest" => Boundary::Nearest,
            Some(other) => {
                let problem = format!(
                    "expected \"constant\", \"wrap\" or \"nearest\", found {}",
                    kind(other)
                );
                return Err(reader.bad("boundary", problem));
            }
        };
        Ok(Self {
            offsets,
            weights: weights.map_err(|problem| reader.bad("weights", problem))?,
            boundary,
            value: reader.number("value")?.unwrap_or(Number::Int(0)),
        })
    }

    fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let axes = self.offsets[0].len();
        if axes != input.shape.len() {
            return Err(value_error(format!(
                "offsets have {axes} axes, the array has {}",
                input.shape.len()
            )));
        }
        let dtype = self.dtype(input.dtype)?;
        let weights: Vec<Element> = self
            .weights
            .iter()
            .map(|weight| weight.encode(dtype).map_err(|problem| out_of_bounds(*weight, problem)))
            .collect::<Outcome<_>>()?;
        let outside = self.value.encode(input.dtype).map_err(value_error)?;
        let mut output = Output::new(context, dtype, &input.shape)?;
        if output.bytes_mut().is_empty() {
            return output.seal();
        }
        let mut converted;
        let source = if input.dtype == dtype {
            input.bytes
        } else {
            converted = Output::new(context, dtype, &input.shape)?;
            cast(input.dtype, input.bytes, dtype, converted.bytes_mut());
            converted.bytes_mut()
        };
        let mut value = Element::default();
        let size = dtype.size();
        cast(input.dtype, &outside[..input.dtype.size()], dtype, &mut value[..size]);
        let plan = Plan::new(&input.shape, &self.offsets, self.boundary);
        with_type!(dtype, T => {
            let one = |element: &Element| bytemuck::pod_read_unaligned::<T>(&element[..size]);
            let sum = Sum {
                plan: &plan,
                source: bytemuck::cast_slice(source),
                weights: weights.iter().map(one).collect(),
                value: one(&value),
                outside: vec![one(&value); plan.outside_length()],
            };
            sum.run(context.threads, output.elements_mut())?;
        });
        output.seal()
    }

    /// That of weight · element, weights being Python scalars.
    fn dtype(&self, input: DType) -> Outcome<DType> {
        let is = |wanted: fn(&Number) -> bool| self.weights.iter().any(wanted);
        let exact = matches!(kind_of(input), Kind::Bool | Kind::Signed | Kind::Unsigned);
        Ok(if is(|weight| matches!(weight, Number::Complex(..))) {
            let single = matches!(input, DType::F16 | DType::F32 | DType::C64);
            if single { DType::C64 } else { DType::C128 }
        } else if exact && is(|weight| matches!(weight, Number::Float(_))) {
            DType::F64
        } else if input == DType::Bool {
            DType::I64
        } else {
            input
        })
    }
}

/// Weights of a dtype that does not hold them, in numpy's words.
fn out_of_bounds(weight: Number, problem: String) -> rdask_core::messages::TaskError {
    match weight {
        Number::Int(_) => fault("OverflowError", format!("Python integer {problem}")),
        _ => value_error(problem),
    }
}

/// Offsets made fit for one shape.
#[derive(Debug)]
struct Plan {
    /// All axes but the last.
    outer: Vec<usize>,
    /// Length of a row.
    length: usize,
    /// Steps along the outer axes, elements.
    strides: Vec<isize>,
    /// An offset for each weight; the last axis apart.
    offsets: Vec<(Vec<isize>, isize)>,
    boundary: Boundary,
    /// The part of a row whose neighbours are all inside of it.
    inside: [usize; 2],
}

impl Plan {
    /// The shape holds no zero.
    fn new(shape: &[usize], offsets: &[Vec<i64>], boundary: Boundary) -> Self {
        // A 0-d array is a row of one element.
        let (length, outer) = shape.split_last().map_or((1, shape), |(last, rest)| (*last, rest));
        let fit = |offset: i64, length: usize| -> isize {
            let length = length as i64;
            let fitted = match boundary {
                // To the nearest way round, so that most of a row needs no wrapping.
                Boundary::Wrap => {
                    let forward = offset.rem_euclid(length);
                    if forward > length / 2 { forward - length } else { forward }
                }
                Boundary::Constant | Boundary::Nearest => offset.clamp(-length, length),
            };
            fitted as isize
        };
        let offsets: Vec<(Vec<isize>, isize)> = offsets
            .iter()
            .map(|offset| {
                let (last, rest) = offset.split_last().map_or((0, &[][..]), |(l, r)| (*l, r));
                let rest = rest.iter().zip(outer).map(|(offset, length)| fit(*offset, *length));
                (rest.collect(), fit(last, length))
            })
            .collect();
        let shifts = || offsets.iter().map(|(_, shift)| *shift);
        let start = shifts().map(|shift| (-shift).max(0) as usize).max().unwrap_or(0);
        let behind = shifts().map(|shift| shift.max(0) as usize).max().unwrap_or(0);
        let end = length.saturating_sub(behind).max(start);
        let mut strides = super::array::strides_of(shape);
        strides.pop();
        let inside = [start.min(length), end.min(length)];
        Self { outer: outer.to_vec(), length, strides, offsets, boundary, inside }
    }

    /// Elements of the row that stands for the outside.
    fn outside_length(&self) -> usize {
        if self.boundary == Boundary::Constant { self.length } else { 0 }
    }

    /// The first element of the row at `index` + offset; none outside.
    fn row(&self, index: &[usize], offset: &[isize]) -> Option<usize> {
        let mut start = 0;
        for (axis, (place, offset)) in index.iter().zip(offset).enumerate() {
            let place = self.inner(*place as isize + offset, self.outer[axis])?;
            start += place * self.strides[axis] as usize;
        }
        Some(start)
    }

    /// The place inside that a place stands for; none for the constant.
    fn inner(&self, place: isize, length: usize) -> Option<usize> {
        let end = length as isize;
        if (0..end).contains(&place) {
            return Some(place as usize);
        }
        match self.boundary {
            Boundary::Constant => None,
            Boundary::Wrap => Some(place.rem_euclid(end) as usize),
            Boundary::Nearest => Some(place.clamp(0, end - 1) as usize),
        }
    }
}

/// Elements of a row that are summed before the next ones: they stay in the first-level cache.
const PIECE: usize = 1024;

/// Offsets that are added in one pass.
const TOGETHER: usize = 5;

/// The sums of one array.
struct Sum<'a, T> {
    plan: &'a Plan,
    source: &'a [T],
    weights: Vec<T>,
    value: T,
    /// A row of the outside's value.
    outside: Vec<T>,
}

impl<T: Term> Sum<'_, T> {
    fn run(&self, threads: u32, out: &mut [T]) -> Outcome<()> {
        let length = self.plan.length;
        if out.len() == length {
            return parallel::rows(out, 1, threads, |start, part| {
                self.part(&vec![0; self.plan.outer.len()], start, part);
                Ok(())
            });
        }
        parallel::rows(out, length, threads, |start, rows| {
            let mut index = self.index_of(start);
            for row in rows.chunks_exact_mut(length) {
                self.part(&index, 0, row);
                self.advance(&mut index);
            }
            Ok(())
        })
    }

    /// Index of a row along the outer axes.
    fn index_of(&self, mut row: usize) -> Vec<usize> {
        let mut index = vec![0; self.plan.outer.len()];
        for (place, length) in index.iter_mut().zip(&self.plan.outer).rev() {
            *place = row % length;
            row /= length;
        }
        index
    }

    fn advance(&self, index: &mut [usize]) {
        for (place, length) in index.iter_mut().zip(&self.plan.outer).rev() {
            *place += 1;
            if *place < *length {
                return;
            }
            *place = 0;
        }
    }

    /// The elements of a row from `start` on.
    fn part(&self, index: &[usize], start: usize, out: &mut [T]) {
        let plan = self.plan;
        let rows: Vec<&[T]> = plan
            .offsets
            .iter()
            .map(|(offset, _)| match plan.row(index, offset) {
                Some(first) => &self.source[first..first + plan.length],
                None => &self.outside[..],
            })
            .collect();
        let end = start + out.len();
        let [from, to] = plan.inside.map(|place| place.clamp(start, end));
        for place in (start..from).chain(to.max(from)..end) {
            out[place - start] = self.near_an_end(&rows, place);
        }
        for first in (from..to).step_by(PIECE) {
            let last = to.min(first + PIECE);
            self.inside(&rows, first, &mut out[first - start..last - start]);
        }
    }

    fn near_an_end(&self, rows: &[&[T]], place: usize) -> T {
        let mut terms = rows.iter().zip(&self.plan.offsets).zip(&self.weights).map(
            |((row, (_, shift)), weight)| {
                let inner = self.plan.inner(place as isize + shift, self.plan.length);
                weight.times(inner.map_or(self.value, |place| row[place]))
            },
        );
        let first = terms.next().unwrap_or(self.value);
        terms.fold(first, T::plus)
    }

    fn inside(&self, rows: &[&[T]], first: usize, out: &mut [T]) {
        let mut sources: [&[T]; TOGETHER] = [&[]; TOGETHER];
        let mut weights = [self.value; TOGETHER];
        for (pass, group) in rows.chunks(TOGETHER).enumerate() {
            let done = pass * TOGETHER;
            for (at, row) in group.iter().enumerate() {
                let place = (first as isize + self.plan.offsets[done + at].1) as usize;
                sources[at] = &row[place..place + out.len()];
                weights[at] = self.weights[done + at];
            }
            let count = group.len();
            simd::run(Level::best(), Pass { starts: pass == 0, count, sources, weights, out });
        }
    }
}

/// One pass over a piece of a row: adds the first `count` terms to the sums.
struct Pass<'a, T> {
    starts: bool,
    count: usize,
    sources: [&'a [T]; TOGETHER],
    weights: [T; TOGETHER],
    out: &'a mut [T],
}

impl<T: Term> Loop for Pass<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { starts, count, sources, weights, out } = self;
        match count {
            1 => add::<T, 1>(starts, out, &sources, &weights),
            2 => add::<T, 2>(starts, out, &sources, &weights),
            3 => add::<T, 3>(starts, out, &sources, &weights),
            4 => add::<T, 4>(starts, out, &sources, &weights),
            _ => add::<T, TOGETHER>(starts, out, &sources, &weights),
        }
    }
}

/// Adds the first `N` terms to the sums, or starts the sums with them.
#[inline(always)]
fn add<T: Term, const N: usize>(
    starts: bool,
    out: &mut [T],
    sources: &[&[T]; TOGETHER],
    weights: &[T; TOGETHER],
) {
    let length = out.len();
    let sources: [&[T]; N] = std::array::from_fn(|at| &sources[at][..length]);
    let weights: [T; N] = std::array::from_fn(|at| weights[at]);
    if starts {
        for (index, out) in out.iter_mut().enumerate() {
            let first = weights[0].times(sources[0][index]);
            *out = terms::<T, N>(first, 1, &sources, &weights, index);
        }
    } else {
        for (index, out) in out.iter_mut().enumerate() {
            *out = terms::<T, N>(*out, 0, &sources, &weights, index);
        }
    }
}

/// The sum with the terms from one on, at one place.
#[inline(always)]
fn terms<T: Term, const N: usize>(
    mut sum: T,
    from: usize,
    sources: &[&[T]; N],
    weights: &[T; N],
    index: usize,
) -> T {
    for at in from..N {
        sum = sum.plus(weights[at].times(sources[at][index]));
    }
    sum
}

/// Elements that can be weighted and added: integers wrap.
trait Term: Pod + Send + Sync {
    fn times(self, other: Self) -> Self;
    fn plus(self, other: Self) -> Self;
}

macro_rules! terms {
    ($times:ident $plus:ident: $($type:ty)*) => {
        $(impl Term for $type {
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.$times(other)
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.$plus(other)
            }
        })*
    };
}

terms!(wrapping_mul wrapping_add: i8 i16 i32 i64 u8 u16 u32 u64);
// Dates are refused before, but a dtype may stand for them.
terms!(mul add: f32 f64 Complex<f32> Complex<f64> half::f16 Ticks);
