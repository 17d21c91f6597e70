//! `cholesky`: the lower triangular l with l · lᴴ = a and a positive diagonal.
//!
//! Halving the matrix leaves triangular solves, products of matrices and small matrices, which are
//! factored column by column. Only what is on and below the diagonal of the input is read.

use super::field::{Field, Operand, linalg_error, linear, stack_of, with_field};
use super::product::{lower, subtract};
use super::triangular::solve;
use crate::kernels::Context;
use crate::kernels::array::{Output, View};
use crate::kernels::fault::Outcome;
use crate::kernels::simd::{self, Level, Loop};
use ndarray::{Array2, ArrayViewMut2, Axis, CowArray, Ix2, s};
use num_complex::Complex;
use rdask_store::Sealed;

/// Matrices of this size are factored column by column.
const SMALL: usize = 32;

/// The factor of a matrix, or of each matrix of a stack.
pub(super) fn run(context: &Context<'_>, a: &View<'_>) -> Outcome<Sealed> {
    let (_, [size, columns]) = stack_of(a)?;
    if size != columns {
        return Err(linalg_error("Last 2 dimensions of the array must be square"));
    }
    let dtype = linear(&[a])?;
    let mut output = Output::new(context, dtype, &a.shape)?;
    output.bytes_mut().copy_from_slice(Operand::new(context, a, dtype)?.bytes());
    with_field!(dtype, T => {
        for matrix in output.elements_mut::<T>().chunks_exact_mut((size * size).max(1)) {
            let whole = "a chunk has as many elements as the matrix";
            let mut matrix = ArrayViewMut2::from_shape((size, size), matrix).expect(whole);
            factor(context.threads, matrix.view_mut())?;
            for (row, mut line) in matrix.rows_mut().into_iter().enumerate() {
                line.slice_mut(s![row + 1..]).fill(T::of(Complex::ZERO));
            }
        }
    });
    output.seal()
}

fn factor<T: Field>(threads: u32, a: ArrayViewMut2<'_, T>) -> Outcome<()> {
    let size = a.nrows();
    if size <= SMALL {
        return columns(a);
    }
    let half = (size / 2).next_multiple_of(SMALL);
    let (upper, below) = a.split_at(Axis(0), half);
    let (mut a11, _) = upper.split_at(Axis(1), half);
    let (mut a21, mut a22) = below.split_at(Axis(1), half);
    factor(threads, a11.view_mut())?;
    // l21 · l11ᴴ = a21 is conj(l11) · l21ᵀ = a21ᵀ.
    solve(threads, &conjugate(&a11).view(), a21.view_mut().reversed_axes())?;
    let scalars = [-T::one(), T::one()];
    lower(threads, scalars, &a21.view(), &conjugate(&a21).t(), a22.view_mut())?;
    factor(threads, a22)
}

/// A copy for complex matrices; real ones are their own conjugates.
fn conjugate<'a, T: Field>(a: &'a ArrayViewMut2<'_, T>) -> CowArray<'a, T, Ix2> {
    if T::COMPLEX { a.mapv(T::conj).into() } else { a.view().into() }
}

fn columns<T: Field>(mut a: ArrayViewMut2<'_, T>) -> Outcome<()> {
    let size = a.nrows();
    let mut dense: Array2<T> = a.to_owned();
    let work = dense.as_slice_mut().expect("a fresh copy is contiguous");
    let mut definite = true;
    simd::run(Level::best(), Columns { size, work, definite: &mut definite });
    if !definite {
        return Err(linalg_error("Matrix is not positive definite"));
    }
    a.assign(&dense);
    Ok(())
}

/// The factor of a small matrix, in place; each column is subtracted from what is right of it.
struct Columns<'a, T> {
    size: usize,
    work: &'a mut [T],
    definite: &'a mut bool,
}

impl<T: Field> Loop for Columns<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { size, work, definite } = self;
        let mut scaled = [T::zero(); SMALL];
        for j in 0..size {
            let pivot = work[j * size + j].parts().re;
            // NaN is no positive number.
            if pivot.is_nan() || pivot <= 0.0 {
                *definite = false;
                return;
            }
            let root = T::of(Complex::new(pivot.sqrt(), 0.0));
            work[j * size + j] = root;
            for i in j + 1..size {
                let value = work[i * size + j].over(root);
                work[i * size + j] = value;
                scaled[i] = value.conj();
            }
            for i in j + 1..size {
                let factor = work[i * size + j];
                subtract(&mut work[i * size + j + 1..=i * size + i], factor, &scaled[j + 1..=i]);
            }
        }
    }
}
