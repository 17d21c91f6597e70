//! `norm`: of a vector, of a matrix, or of all elements.
//!
//! Sums run in f64, in an order that the shape alone decides.

use crate::kernels::Context;
use crate::kernels::array::{Output, View};
use crate::kernels::cast::cast;
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::params::{Read, Reader, kind};
use bytemuck::Pod;
use num_complex::Complex;
use rdask_core::graph::Param;
use rdask_store::{DType, Sealed};

/// Which norm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    /// The square root of the sum of squares of all elements, of any array.
    All,
    /// The same, of a matrix only.
    Frobenius,
    /// Sum of sizes; of a matrix the largest of its columns' sums.
    One,
    /// Largest size; of a matrix the largest of its rows' sums.
    Infinity,
}

/// `norm(ord?)`: without `ord` the 2-norm of all elements, else "fro", 1 or "inf".
#[derive(Debug)]
pub(super) struct Norm {
    order: Order,
}

impl Norm {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let order = match reader.value("ord") {
            None => Order::All,
            Some(Param::Str(word)) if word == "fro" => Order::Frobenius,
            Some(Param::Str(word)) if word == "inf" => Order::Infinity,
            Some(Param::Int(1)) => Order::One,
            Some(Param::Float(value)) if *value == 1.0 => Order::One,
            Some(other) => {
                let problem = format!("expected \"fro\", 1 or \"inf\", found {}", kind(other));
                return Err(reader.bad("ord", problem));
            }
        };
        Ok(Self { order })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let value = match input.dtype {
            DType::F64 => self.of(input, input.elements::<f64>()),
            DType::F32 => self.of(input, input.elements::<f32>()),
            DType::C64 => self.of(input, input.elements::<Complex<f32>>()),
            DType::C128 => self.of(input, input.elements::<Complex<f64>>()),
            other => {
                let mut wide = Output::new(context, DType::F64, &input.shape)?;
                cast(other, input.bytes, DType::F64, wide.bytes_mut());
                self.of(input, wide.elements_mut::<f64>())
            }
        }?;
        let single = matches!(input.dtype, DType::F32 | DType::C64);
        let mut output = Output::new(context, if single { DType::F32 } else { DType::F64 }, &[])?;
        if single {
            output.elements_mut::<f32>()[0] = value as f32;
        } else {
            output.elements_mut::<f64>()[0] = value;
        }
        output.seal()
    }

    fn of<T: Magnitude>(&self, input: &View<'_>, elements: &[T]) -> Outcome<f64> {
        match (self.order, &input.shape[..]) {
            (Order::All, _) | (Order::Frobenius, [_, _]) => Ok(sum(elements, T::square).sqrt()),
            (Order::Frobenius, [_]) => Err(value_error("Invalid norm order 'fro' for vectors")),
            (Order::One, [_]) => Ok(sum(elements, T::size)),
            (Order::Infinity, [_]) => Ok(elements.iter().map(|x| x.size()).fold(0.0, larger)),
            (_, [rows, columns]) if *rows == 0 || *columns == 0 => Ok(0.0),
            (Order::One, [_, columns]) => {
                let mut sums = vec![0.0; *columns];
                for row in elements.chunks_exact(*columns) {
                    for (sum, x) in sums.iter_mut().zip(row) {
                        *sum += x.size();
                    }
                }
                Ok(sums.into_iter().fold(0.0, larger))
            }
            (Order::Infinity, [_, columns]) => {
                let rows = elements.chunks_exact(*columns);
                Ok(rows.map(|row| sum(row, T::size)).fold(0.0, larger))
            }
            _ => Err(value_error("Improper number of dimensions to norm.")),
        }
    }
}

/// The larger one; NaN when one is.
fn larger(most: f64, value: f64) -> f64 {
    if most.is_nan() || value <= most { most } else { value }
}

/// An element's size and the square of it.
trait Magnitude: Pod {
    fn size(self) -> f64;
    fn square(self) -> f64;
}

macro_rules! sized {
    ($($type:ty),*) => {
        $(impl Magnitude for $type {
            #[inline(always)]
            fn size(self) -> f64 {
                f64::from(self).abs()
            }
            #[inline(always)]
            fn square(self) -> f64 {
                let wide = f64::from(self);
                wide * wide
            }
        }
        impl Magnitude for Complex<$type> {
            #[inline(always)]
            fn size(self) -> f64 {
                f64::from(self.re).hypot(f64::from(self.im))
            }
            #[inline(always)]
            fn square(self) -> f64 {
                self.re.square() + self.im.square()
            }
        })*
    };
}

sized!(f32, f64);

/// Elements that are summed in lanes before sums are added pairwise.
const RUN: usize = 1024;

/// Lanes of one run.
const LANES: usize = 16;

/// The pairwise sum of what `of` makes of the elements.
fn sum<T: Copy>(elements: &[T], of: impl Fn(T) -> f64 + Copy) -> f64 {
    if elements.len() > RUN {
        let half = (elements.len() / 2).next_multiple_of(RUN);
        let (left, right) = elements.split_at(half.min(elements.len()));
        return sum(left, of) + sum(right, of);
    }
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = elements.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += of(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += of(*x);
    }
    let mut count = LANES;
    while count > 1 {
        count /= 2;
        for lane in 0..count {
            lanes[lane] += lanes[lane + count];
        }
    }
    lanes[0]
}
