//! `gemm` and `syrk`: scaled products of matrices, with a third matrix added.
//!
//! Scalars are weak as number literals are: a complex one makes a real product complex, a real one
//! changes no dtype. With β = 0 the added matrix does not count, NaN neither.

use super::field::{Field, Operand, linear, matrix, matrix_mut, matrix_of, with_field};
use super::product::{lower, multiply};
use crate::kernels::Context;
use crate::kernels::array::{Output, View, text};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::params::{Read, Reader};
use crate::kernels::scalar::Number;
use num_complex::Complex;
use rdask_store::{DType, Sealed};

/// α and β.
#[derive(Clone, Copy, Debug)]
struct Scalars {
    alpha: Complex<f64>,
    beta: Complex<f64>,
    complex: bool,
}

impl Scalars {
    /// `added`: how many inputs the task has when there is a matrix to add.
    fn parse(reader: &Reader<'_>, added: usize) -> Read<Self> {
        let alpha = reader.number("alpha")?.unwrap_or(Number::Int(1));
        let beta = reader.number("beta")?.unwrap_or(Number::Int(0));
        let complex = [alpha, beta].iter().any(|number| matches!(number, Number::Complex(..)));
        let scalars = Self { alpha: parts(alpha), beta: parts(beta), complex };
        if reader.inputs < added && scalars.adds() {
            return Err(reader.bad("beta", format!("needs {added} inputs, the last to be added")));
        }
        if reader.inputs > added {
            return Err(too_many(reader, added));
        }
        Ok(scalars)
    }

    fn adds(self) -> bool {
        self.beta != Complex::ZERO
    }

    fn dtype(self, inputs: &[&View<'_>]) -> Outcome<DType> {
        let dtype = linear(inputs)?;
        Ok(match dtype {
            DType::F32 if self.complex => DType::C64,
            DType::F64 if self.complex => DType::C128,
            other => other,
        })
    }
}

fn too_many(reader: &Reader<'_>, most: usize) -> crate::kernels::SpecError {
    crate::kernels::SpecError::WrongInputCount {
        kernel: reader.kernel.to_owned(),
        expected: format!("{} or {most} inputs", most - 1),
        given: reader.inputs,
    }
}

fn parts(number: Number) -> Complex<f64> {
    match number {
        Number::Bool(value) => Complex::new(f64::from(u8::from(value)), 0.0),
        Number::Int(value) => Complex::new(value as f64, 0.0),
        Number::Float(value) => Complex::new(value, 0.0),
        Number::Complex(re, im) => Complex::new(re, im),
    }
}

/// `gemm(alpha = 1, beta = 0, trans_a = false, trans_b = false)`: α · op(a) · op(b) + β · c.
#[derive(Debug)]
pub(super) struct Gemm {
    scalars: Scalars,
    transposed: [bool; 2],
}

impl Gemm {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let flag = |name| reader.flag(name).map(|flag| flag.unwrap_or(false));
        let transposed = [flag("trans_a")?, flag("trans_b")?];
        Ok(Self { scalars: Scalars::parse(reader, 3)?, transposed })
    }

    /// Of two inputs, or of three.
    pub(super) fn run(&self, context: &Context<'_>, inputs: &[View<'_>]) -> Outcome<Sealed> {
        let [a, b, added @ ..] = inputs else {
            return Err(value_error("gemm takes 2 or 3 inputs"));
        };
        let turned = |view: &View<'_>, turn: bool| {
            let [rows, columns] = matrix_of(view)?;
            Ok(if turn { [columns, rows] } else { [rows, columns] })
        };
        let [rows, inner] = turned(a, self.transposed[0])?;
        let [other, columns] = turned(b, self.transposed[1])?;
        if inner != other {
            return Err(value_error(format!(
                "gemm: Input operand 1 has a mismatch in its core dimension 0, with gufunc \
                 signature (n,k),(k,m)->(n,m) (size {other} is different from {inner})"
            )));
        }
        let shape = [rows, columns];
        check_added(added, shape)?;
        let all: Vec<&View<'_>> = inputs.iter().collect();
        let dtype = self.scalars.dtype(&all)?;
        let mut output = Output::new(context, dtype, &shape)?;
        if let ([added], true) = (added, self.scalars.adds()) {
            let mut added = Operand::new(context, added, dtype)?;
            output.bytes_mut().copy_from_slice(added.bytes());
        }
        let shapes = [matrix_of(a)?, matrix_of(b)?];
        let mut a = Operand::new(context, a, dtype)?;
        let mut b = Operand::new(context, b, dtype)?;
        with_field!(dtype, T => {
            let scalars = [T::of(self.scalars.alpha), T::of(self.scalars.beta)];
            let mut a = matrix::<T>(a.bytes(), shapes[0]);
            let mut b = matrix::<T>(b.bytes(), shapes[1]);
            if self.transposed[0] {
                a = a.reversed_axes();
            }
            if self.transposed[1] {
                b = b.reversed_axes();
            }
            multiply(context.threads, scalars, &a, &b, matrix_mut(output.elements_mut(), shape))?;
        });
        output.seal()
    }
}

/// `syrk(alpha = 1, beta = 0)`: α · a · aᵀ + β · b, both halves.
#[derive(Debug)]
pub(super) struct Syrk {
    scalars: Scalars,
}

impl Syrk {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { scalars: Scalars::parse(reader, 2)? })
    }

    /// Of one input, or of two.
    pub(super) fn run(&self, context: &Context<'_>, inputs: &[View<'_>]) -> Outcome<Sealed> {
        let [a, added @ ..] = inputs else {
            return Err(value_error("syrk takes 1 or 2 inputs"));
        };
        let shape = matrix_of(a)?;
        let square = [shape[0]; 2];
        check_added(added, square)?;
        let all: Vec<&View<'_>> = inputs.iter().collect();
        let dtype = self.scalars.dtype(&all)?;
        let mut output = Output::new(context, dtype, &square)?;
        let mut a = Operand::new(context, a, dtype)?;
        let mut added = match added {
            [added] if self.scalars.adds() => Some(Operand::new(context, added, dtype)?),
            _ => None,
        };
        with_field!(dtype, T => {
            let scalars = [T::of(self.scalars.alpha), T::of(Complex::ZERO)];
            let a = matrix::<T>(a.bytes(), shape);
            let out = output.elements_mut::<T>();
            lower(context.threads, scalars, &a, &a.t(), matrix_mut(out, square))?;
            mirror(out, square[0]);
            if let Some(added) = &mut added {
                let beta = T::of(self.scalars.beta);
                let added: &[T] = bytemuck::cast_slice(added.bytes());
                for (out, added) in out.iter_mut().zip(added) {
                    *out += beta * *added;
                }
            }
        });
        output.seal()
    }
}

fn check_added(added: &[View<'_>], shape: [usize; 2]) -> Outcome<()> {
    match added {
        [added] if added.shape != shape => Err(value_error(format!(
            "operands could not be added with shapes {} {}: the product and the last input must \
             have one shape",
            text(&shape),
            text(&added.shape)
        ))),
        _ => Ok(()),
    }
}

/// Side of the tiles in which a triangle is copied, elements.
const TILE: usize = 32;

/// Copies what is below the diagonal to above it.
fn mirror<T: Field>(out: &mut [T], size: usize) {
    for top in (0..size).step_by(TILE) {
        for left in (top..size).step_by(TILE) {
            for row in top..size.min(top + TILE) {
                for column in left.max(row + 1)..size.min(left + TILE) {
                    out[row * size + column] = out[column * size + row];
                }
            }
        }
    }
}
