//! `matmul`: numpy's product of vectors, matrices and stacks of them.
//!
//! Floats and complex numbers go through ndarray to `matrixmultiply`, which picks vector
//! instructions at run time, so last bits may differ between kinds of CPU. Integers wrap; the
//! product of bools is "or of ands".

use crate::kernels::Context;
use crate::kernels::array::{Output, View, broadcast, broadcast_strides, text};
use crate::kernels::cast::cast;
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::promotion::promote;
use crate::kernels::strided::Walk;
use crate::kernels::time::refuse_times;
use bytemuck::Pod;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};
use num_complex::Complex;
use rdask_store::{DType, Sealed};

/// Words of the signature in numpy's messages.
const SIGNATURE: &str = "(n?,k),(k,m?)->(n?,m?)";

/// The product of the two inputs.
pub(super) fn run(context: &Context<'_>, left: &View<'_>, right: &View<'_>) -> Outcome<Sealed> {
    let sizes = Sizes::new(&left.shape, &right.shape)?;
    refuse_times("matmul", [left.dtype, right.dtype])?;
    let dtype = promote(left.dtype, right.dtype)?;
    if dtype == DType::F16 {
        let mut wide = product(context, &sizes, left, right, DType::F32)?;
        let mut output = Output::new(context, dtype, &sizes.shape)?;
        cast(DType::F32, wide.bytes_mut(), dtype, output.bytes_mut());
        return output.seal();
    }
    product(context, &sizes, left, right, dtype)?.seal()
}

/// The product, computed in a dtype that is neither f16 nor a time.
fn product(
    context: &Context<'_>,
    sizes: &Sizes,
    left: &View<'_>,
    right: &View<'_>,
    dtype: DType,
) -> Outcome<Output> {
    let mut output = Output::new(context, dtype, &sizes.shape)?;
    let mut left = Operand::new(context, left, dtype)?;
    let mut right = Operand::new(context, right, dtype)?;
    let (left, right) = (left.bytes(), right.bytes());
    let out = output.bytes_mut();
    match dtype {
        DType::Bool => sizes.each::<u8>(left, right, out, |size, x, y, out| {
            plain(size, x, y, out, |sum, x, y| sum | (x & y));
        }),
        DType::I8 | DType::U8 => sizes.each::<u8>(left, right, out, |size, x, y, out| {
            plain(size, x, y, out, |sum, x, y| sum.wrapping_add(x.wrapping_mul(y)));
        }),
        DType::I16 | DType::U16 => sizes.each::<u16>(left, right, out, |size, x, y, out| {
            plain(size, x, y, out, |sum, x, y| sum.wrapping_add(x.wrapping_mul(y)));
        }),
        DType::I32 | DType::U32 => sizes.each::<u32>(left, right, out, |size, x, y, out| {
            plain(size, x, y, out, |sum, x, y| sum.wrapping_add(x.wrapping_mul(y)));
        }),
        DType::I64 | DType::U64 => sizes.each::<u64>(left, right, out, |size, x, y, out| {
            plain(size, x, y, out, |sum, x, y| sum.wrapping_add(x.wrapping_mul(y)));
        }),
        DType::F32 => sizes.each::<f32>(left, right, out, dense),
        DType::F64 => sizes.each::<f64>(left, right, out, dense),
        DType::C64 => sizes.each::<Complex<f32>>(left, right, out, dense),
        DType::C128 => sizes.each::<Complex<f64>>(left, right, out, dense),
        DType::F16 | DType::Datetime(_) | DType::Timedelta(_) => {
            refuse_times("matmul", [dtype])?;
        }
    }
    Ok(output)
}

/// An input in the dtype of the product.
enum Operand<'a> {
    Borrowed(&'a [u8]),
    Cast(Output),
}

impl<'a> Operand<'a> {
    fn new(context: &Context<'_>, view: &View<'a>, dtype: DType) -> Outcome<Self> {
        if view.dtype == dtype {
            return Ok(Self::Borrowed(view.bytes));
        }
        let mut converted = Output::new(context, dtype, &view.shape)?;
        cast(view.dtype, view.bytes, dtype, converted.bytes_mut());
        Ok(Self::Cast(converted))
    }

    fn bytes(&mut self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Cast(output) => output.bytes_mut(),
        }
    }
}

/// Lengths of one product: `[n, k] · [k, m]`.
#[derive(Clone, Copy, Debug)]
struct Size {
    n: usize,
    k: usize,
    m: usize,
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

    /// Runs `product` for every matrix of the stack.
    fn each<T: Pod>(
        &self,
        left: &[u8],
        right: &[u8],
        out: &mut [u8],
        product: impl Fn(Size, &[T], &[T], &mut [T]),
    ) {
        let (left, right): (&[T], &[T]) = (bytemuck::cast_slice(left), bytemuck::cast_slice(right));
        let out: &mut [T] = bytemuck::cast_slice_mut(out);
        let Size { n, k, m } = self.one;
        if out.is_empty() {
            return;
        }
        let mut x = Walk::new(&self.stack, &self.strides[0], 0);
        let mut y = Walk::new(&self.stack, &self.strides[1], 0);
        for out in out.chunks_exact_mut(n * m) {
            let x_part = &left[x.position()..x.position() + n * k];
            let y_part = &right[y.position()..y.position() + k * m];
            product(self.one, x_part, y_part, out);
            x.advance();
            y.advance();
        }
    }
}

/// The sum over `k` in order, row by row so that the inner loop is contiguous.
fn plain<T: Pod>(size: Size, x: &[T], y: &[T], out: &mut [T], add: impl Fn(T, T, T) -> T) {
    out.fill(T::zeroed());
    if size.k == 0 {
        return;
    }
    for (out, x) in out.chunks_exact_mut(size.m).zip(x.chunks_exact(size.k)) {
        for (x, y) in x.iter().zip(y.chunks_exact(size.m)) {
            for (out, y) in out.iter_mut().zip(y) {
                *out = add(*out, *x, *y);
            }
        }
    }
}

/// Lanes of a dot product.
const LANES: usize = 8;

/// Floats: matrices by blocks, a single row or column by plain loops.
fn dense<T: Pod + LinalgScalar>(size: Size, x: &[T], y: &[T], out: &mut [T]) {
    if size.k == 0 {
        out.fill(T::zero());
    } else if size.m == 1 {
        for (out, x) in out.iter_mut().zip(x.chunks_exact(size.k)) {
            *out = dot(x, y);
        }
    } else if size.n == 1 {
        plain(size, x, y, out, |sum, x, y| sum + x * y);
    } else {
        let shaped = "the slices have as many elements as the shapes";
        let x = ArrayView2::from_shape((size.n, size.k), x).expect(shaped);
        let y = ArrayView2::from_shape((size.k, size.m), y).expect(shaped);
        let mut out = ArrayViewMut2::from_shape((size.n, size.m), out).expect(shaped);
        general_mat_mul(T::one(), &x, &y, T::zero(), &mut out);
    }
}

fn dot<T: Pod + LinalgScalar>(x: &[T], y: &[T]) -> T {
    let mut lanes = [T::zero(); LANES];
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane = *lane + *x * *y;
        }
    }
    for ((lane, x), y) in lanes.iter_mut().zip(x_rest).zip(y_rest) {
        *lane = *lane + *x * *y;
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
