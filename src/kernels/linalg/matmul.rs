//! `matmul`: numpy's product of vectors, matrices and stacks of them.
//!
//! Floats and complex numbers go through ndarray to `matrixmultiply`, which picks vector
//! instructions at run time, so last bits may differ between kinds of CPU. Integers wrap; the
//! product of bools is "or of ands".

use super::field::{Field, Operand, matrix, matrix_mut};
use super::product::{dot, multiply};
use crate::kernels::Context;
use crate::kernels::array::{Output, View, broadcast, broadcast_strides, text};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::parallel;
use crate::kernels::promotion::promote;
use crate::kernels::strided::Walk;
use crate::kernels::time::refuse_times;
use bytemuck::Pod;
use num_complex::Complex;
use rdask_store::{DType, Sealed};

/// Words of the signature in numpy's messages.
const SIGNATURE: &str = "(n?,k),(k,m?)->(n?,m?)";

/// The product of the two inputs.
pub(super) fn run(context: &Context<'_>, left: &View<'_>, right: &View<'_>) -> Outcome<Sealed> {
    let sizes = Sizes::new(&left.shape, &right.shape)?;
    let dtype = promote(left.dtype, right.dtype)?;
    let mut output = Output::new(context, dtype, &sizes.shape)?;
    let mut left = Operand::new(context, left, dtype)?;
    let mut right = Operand::new(context, right, dtype)?;
    sizes.each(context.threads, dtype, [left.bytes(), right.bytes()], output.bytes_mut())?;
    output.seal()
}

/// Lengths of one product: `[n, k] · [k, m]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Rows of the first matrix and of the product.
    pub(super) n: usize,
    /// Elements in each sum.
    pub(super) k: usize,
    /// Columns of the second matrix and of the product.
    pub(super) m: usize,
}

/// Shapes of a stack of products.
#[derive(Debug)]
struct Sizes {
    one: Size,
    /// Stack that both inputs are broadcast to.
    stack: Vec<usize>,
    /// Steps between the matrices of the inputs along the stack, elements.
    strides: [Vec<isize>; 2],
    /// Shape of the result.
    shape: Vec<usize>,
}

impl Sizes {
    fn new(left: &[usize], right: &[usize]) -> Outcome<Self> {
        for (operand, shape) in [left, right].into_iter().enumerate() {
            if shape.is_empty() {
                return Err(value_error(format!(
                    "matmul: Input operand {operand} does not have enough dimensions (has 0, \
                     gufunc core with signature {SIGNATURE} requires 1)"
                )));
            }
        }
        let (left_stack, left_core) = left.split_at(left.len().saturating_sub(2));
        let (right_stack, right_core) = right.split_at(right.len().saturating_sub(2));
        let (n, k) = match left_core {
            [n, k] => (Some(*n), *k),
            _ => (None, left[0]),
        };
        let (rows, m) = match right_core {
            [rows, m] => (*rows, Some(*m)),
            _ => (right[0], None),
        };
        if rows != k {
            return Err(value_error(format!(
                "matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc \
                 signature {SIGNATURE} (size {rows} is different from {k}): {} and {}",
                text(left),
                text(right)
            )));
        }
        let stack = broadcast(&[left_stack, right_stack])?;
        let one = Size { n: n.unwrap_or(1), k, m: m.unwrap_or(1) };
        let scaled = |of: &[usize], size: usize| -> Vec<isize> {
            let strides = broadcast_strides(of, &stack).into_iter();
            strides.map(|stride| stride.saturating_mul(size as isize)).collect()
        };
        let strides = [scaled(left_stack, one.n * one.k), scaled(right_stack, one.k * one.m)];
        let mut shape = stack.clone();
        shape.extend(n);
        shape.extend(m);
        Ok(Self { one, stack, strides, shape })
    }

    /// Computes every matrix of the stack.
    fn each(
        &self,
        threads: u32,
        dtype: DType,
        [left, right]: [&[u8]; 2],
        out: &mut [u8],
    ) -> Outcome<()> {
        let Size { n, k, m } = self.one;
        if out.is_empty() {
            return Ok(());
        }
        let bytes = dtype.size();
        let mut x = Walk::new(&self.stack, &self.strides[0], 0);
        let mut y = Walk::new(&self.stack, &self.strides[1], 0);
        for out in out.chunks_exact_mut(n * m * bytes) {
            let x_part = &left[x.position() * bytes..][..n * k * bytes];
            let y_part = &right[y.position() * bytes..][..k * m * bytes];
            product(threads, dtype, self.one, [x_part, y_part], out)?;
            x.advance();
            y.advance();
        }
        Ok(())
    }
}

/// One product of matrices that stand row by row.
pub(super) fn product(
    threads: u32,
    dtype: DType,
    size: Size,
    [x, y]: [&[u8]; 2],
    out: &mut [u8],
) -> Outcome<()> {
    let given = Given { threads, size, x, y };
    match dtype {
        DType::Bool => given.plain::<u8>(out, |x, y| x & y, |sum, xy| sum | xy),
        DType::I8 | DType::U8 => given.plain(out, u8::wrapping_mul, u8::wrapping_add),
        DType::I16 | DType::U16 => given.plain(out, u16::wrapping_mul, u16::wrapping_add),
        DType::I32 | DType::U32 => given.plain(out, u32::wrapping_mul, u32::wrapping_add),
        DType::I64 | DType::U64 => given.plain(out, u64::wrapping_mul, u64::wrapping_add),
        DType::F32 => given.dense::<f32>(out),
        DType::F64 => given.dense::<f64>(out),
        DType::C64 => given.dense::<Complex<f32>>(out),
        DType::C128 => given.dense::<Complex<f64>>(out),
        DType::F16 | DType::Datetime(_) | DType::Timedelta(_) => refuse_times("matmul", [dtype]),
    }
}

/// Two matrices to be multiplied.
#[derive(Clone, Copy)]
struct Given<'a> {
    threads: u32,
    size: Size,
    x: &'a [u8],
    y: &'a [u8],
}

impl Given<'_> {
    /// The sum over `k` in order, row by row so that the inner loop is contiguous.
    fn plain<T: Pod + Send + Sync>(
        self,
        out: &mut [u8],
        times: impl Fn(T, T) -> T + Sync,
        plus: impl Fn(T, T) -> T + Sync,
    ) -> Outcome<()> {
        let Size { k, m, .. } = self.size;
        let (x, y): (&[T], &[T]) = (bytemuck::cast_slice(self.x), bytemuck::cast_slice(self.y));
        let out: &mut [T] = bytemuck::cast_slice_mut(out);
        if k == 0 {
            out.fill(T::zeroed());
            return Ok(());
        }
        parallel::rows(out, m, self.threads, |start, out| {
            for (out, x) in out.chunks_exact_mut(m).zip(x[start * k..].chunks_exact(k)) {
                let mut rows = x.iter().zip(y.chunks_exact(m));
                // The first product is no sum, so that it keeps the sign of a zero.
                if let Some((x, y)) = rows.next() {
                    for (out, y) in out.iter_mut().zip(y) {
                        *out = times(*x, *y);
                    }
                }
                for (x, y) in rows {
                    for (out, y) in out.iter_mut().zip(y) {
                        *out = plus(*out, times(*x, *y));
                    }
                }
            }
            Ok(())
        })
    }

    /// Floats: matrices by blocks, a single row or column by plain loops.
    fn dense<T: Field>(self, out: &mut [u8]) -> Outcome<()> {
        let Size { n, k, m } = self.size;
        if k <= 1 || (n == 1 && m > 1) {
            return self.plain::<T>(out, |x, y| x * y, |sum, xy| sum + xy);
        }
        let (x, y): (&[T], &[T]) = (bytemuck::cast_slice(self.x), bytemuck::cast_slice(self.y));
        let out: &mut [T] = bytemuck::cast_slice_mut(out);
        if m == 1 {
            return parallel::rows(out, 1, self.threads, |start, out| {
                for (out, x) in out.iter_mut().zip(x[start * k..].chunks_exact(k)) {
                    *out = dot(x, y);
                }
                Ok(())
            });
        }
        let (x, y) = (matrix(self.x, [n, k]), matrix(self.y, [k, m]));
        multiply(self.threads, [T::one(), T::zero()], &x, &y, matrix_mut(out, [n, m]))
    }
}
