//! `trace`, `diag` and `eye`: what has to do with the diagonal of a matrix.

use crate::kernels::Context;
use crate::kernels::array::{Output, View, with_type};
use crate::kernels::cast::{Number as _, cast};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::params::{Read, Reader};
use crate::kernels::promotion::{Kind, kind_of};
use crate::kernels::scalar::Number;
use num_complex::Complex;
use rdask_store::{DType, Sealed};
use std::ops::Range;

/// `eye(n, dtype)`: ones on the diagonal of n × n zeros.
#[derive(Debug)]
pub(super) struct Eye {
    size: usize,
    dtype: DType,
    one: [u8; 16],
}

impl Eye {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let size = reader.need("n", reader.count("n")?)?;
        let size = usize::try_from(size).map_err(|_| reader.bad("n", "the length does not fit"))?;
        let dtype = reader.need("dtype", reader.dtype("dtype")?)?;
        reader.check_size("n", dtype, &[size, size])?;
        let one = Number::Int(1).encode(dtype);
        Ok(Self { size, dtype, one: one.map_err(|problem| reader.bad("dtype", problem))? })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let mut output = Output::new(context, self.dtype, &[self.size; 2])?;
        let size = self.dtype.size();
        let out = output.bytes_mut();
        out.fill(0);
        for element in out.chunks_exact_mut(size).step_by(self.size + 1) {
            element.copy_from_slice(&self.one[..size]);
        }
        output.seal()
    }
}

/// `diag`: of a vector the matrix with that diagonal, of a matrix its diagonal.
pub(super) fn diag(context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
    let size = input.dtype.size();
    match input.shape[..] {
        [length] => {
            let mut output = Output::new(context, input.dtype, &[length, length])?;
            let out = output.bytes_mut();
            out.fill(0);
            let diagonal = out.chunks_exact_mut(size).step_by(length.saturating_add(1));
            for (element, value) in diagonal.zip(input.bytes.chunks_exact(size)) {
                element.copy_from_slice(value);
            }
            output.seal()
        }
        [rows, columns] => {
            let mut output = Output::new(context, input.dtype, &[rows.min(columns)])?;
            let diagonal = input.bytes.chunks_exact(size).step_by(columns.saturating_add(1));
            for (element, value) in output.bytes_mut().chunks_exact_mut(size).zip(diagonal) {
                element.copy_from_slice(value);
            }
            output.seal()
        }
        _ => Err(value_error("Input must be 1- or 2-d.")),
    }
}

/// `trace`: the sums of the diagonals over the first two axes.
pub(super) fn trace(context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
    let [rows, columns, ref rest @ ..] = input.shape[..] else {
        return Err(value_error("diag requires an array of at least two dimensions"));
    };
    let dtype = match kind_of(input.dtype) {
        Kind::Bool | Kind::Signed => DType::I64,
        Kind::Unsigned => DType::U64,
        Kind::Float | Kind::Complex | Kind::Datetime | Kind::Timedelta => input.dtype,
    };
    let mut output = Output::new(context, dtype, rest)?;
    let width = output.bytes_mut().len() / dtype.size();
    let step = columns.saturating_add(1).saturating_mul(width);
    let count = rows.min(columns);
    with_type!(input.dtype, T => {
        let input = input.elements::<T>();
        match dtype {
            DType::I64 | DType::U64 => {
                for (j, sum) in output.elements_mut::<i64>().iter_mut().enumerate() {
                    let values = (0..count).map(|k| input[k * step + j].to_i64());
                    *sum = values.fold(0, i64::wrapping_add);
                }
            }
            _ => {
                let sums: Vec<Complex<f64>> = (0..width)
                    .map(|j| pairwise(0..count, &|k| input[k * step + j].to_c128()))
                    .collect();
                cast(DType::C128, bytemuck::cast_slice(&sums), dtype, output.bytes_mut());
            }
        }
    });
    output.seal()
}

/// Elements that are summed in order.
const RUN: usize = 16;

fn pairwise(range: Range<usize>, at: &impl Fn(usize) -> Complex<f64>) -> Complex<f64> {
    if range.len() <= RUN {
        return range.map(at).fold(Complex::ZERO, |sum, value| sum + value);
    }
    let middle = range.start + range.len() / 2;
    pairwise(range.start..middle, at) + pairwise(middle..range.end, at)
}
