//! The four number types of dense linear algebra, and how inputs become one of them.
//!
//! Scalars of a factorisation (norms, pivots) go through `Complex<f64>`: for f32 that costs nothing
//! and is nearer, and one code serves real and complex matrices.

use super::complex;
use crate::kernels::Context;
use crate::kernels::array::{Output, View};
use crate::kernels::cast::cast;
use crate::kernels::fault::{Outcome, fault};
use crate::kernels::promotion::{Kind, kind_of, promote_all};
use bytemuck::Pod;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar};
use num_complex::Complex;
use rdask_core::messages::TaskError;
use rdask_store::DType;
use std::ops::{AddAssign, Neg, SubAssign};

/// f32, f64 and the complex numbers over them.
pub(super) trait Field:
    LinalgScalar + Pod + Send + Sync + Neg<Output = Self> + AddAssign + SubAssign
{
    /// True of the complex ones.
    const COMPLEX: bool;
    /// Real and imaginary part.
    fn parts(self) -> Complex<f64>;
    /// The nearest number; real types drop the imaginary part.
    fn of(parts: Complex<f64>) -> Self;
    /// The complex conjugate.
    fn conj(self) -> Self;
    /// The quotient; of complex numbers without overflow on the way.
    fn over(self, divisor: Self) -> Self;
    /// c ← α · a · b + β · c; with β = 0 the old elements of `c` do not count, NaN neither.
    fn product(
        scalars: [Self; 2],
        a: &ArrayView2<'_, Self>,
        b: &ArrayView2<'_, Self>,
        c: ArrayViewMut2<'_, Self>,
    );
}

macro_rules! real_field {
    ($($type:ty),*) => {
        $(impl Field for $type {
            const COMPLEX: bool = false;
            #[inline(always)]
            fn parts(self) -> Complex<f64> {
                Complex::new(f64::from(self), 0.0)
            }
            #[inline(always)]
            fn of(parts: Complex<f64>) -> Self {
                parts.re as $type
            }
            #[inline(always)]
            fn conj(self) -> Self {
                self
            }
            #[inline(always)]
            fn over(self, divisor: Self) -> Self {
                self / divisor
            }
            #[inline]
            fn product(
                [alpha, beta]: [Self; 2],
                a: &ArrayView2<'_, Self>,
                b: &ArrayView2<'_, Self>,
                mut c: ArrayViewMut2<'_, Self>,
            ) {
                general_mat_mul(alpha, a, b, beta, &mut c);
            }
        }
        impl Field for Complex<$type> {
            const COMPLEX: bool = true;
            #[inline(always)]
            fn parts(self) -> Complex<f64> {
                Complex::new(f64::from(self.re), f64::from(self.im))
            }
            #[inline(always)]
            fn of(parts: Complex<f64>) -> Self {
                Complex::new(parts.re as $type, parts.im as $type)
            }
            #[inline(always)]
            fn conj(self) -> Self {
                Complex::new(self.re, -self.im)
            }
            #[inline(always)]
            fn over(self, divisor: Self) -> Self {
                // The larger part is divided out first, so that no square is taken.
                if divisor.im == 0.0 {
                    return Complex::new(self.re / divisor.re, self.im / divisor.re);
                }
                if divisor.re.abs() >= divisor.im.abs() {
                    let ratio = divisor.im / divisor.re;
                    let scale = divisor.re + divisor.im * ratio;
                    let (re, im) = (self.re + self.im * ratio, self.im - self.re * ratio);
                    Complex::new(re / scale, im / scale)
                } else {
                    let ratio = divisor.re / divisor.im;
                    let scale = divisor.re * ratio + divisor.im;
                    let (re, im) = (self.re * ratio + self.im, self.im * ratio - self.re);
                    Complex::new(re / scale, im / scale)
                }
            }
            fn product(
                scalars: [Self; 2],
                a: &ArrayView2<'_, Self>,
                b: &ArrayView2<'_, Self>,
                c: ArrayViewMut2<'_, Self>,
            ) {
                complex::product(scalars, a, b, c);
            }
        })*
    };
}

real_field!(f32, f64);

/// Runs `$body` with `$T` as the field that stands for a dtype of `linear`.
macro_rules! with_field {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            rdask_store::DType::F32 => {
                type $T = f32;
                $body
            }
            rdask_store::DType::C64 => {
                type $T = num_complex::Complex<f32>;
                $body
            }
            rdask_store::DType::C128 => {
                type $T = num_complex::Complex<f64>;
                $body
            }
            _ => {
                type $T = f64;
                $body
            }
        }
    };
}
pub(super) use with_field;

/// The dtype in which `numpy.linalg` computes on these inputs: integers and bools count as f64.
pub(super) fn linear(inputs: &[&View<'_>]) -> Outcome<DType> {
    let one = |view: &View<'_>| match kind_of(view.dtype) {
        Kind::Float | Kind::Complex => view.dtype,
        Kind::Bool | Kind::Signed | Kind::Unsigned | Kind::Datetime | Kind::Timedelta => DType::F64,
    };
    promote_all(&inputs.iter().map(|view| one(view)).collect::<Vec<_>>())
}

/// An input in the dtype of the result.
pub(super) enum Operand<'a> {
    /// It had that dtype.
    Borrowed(&'a [u8]),
    /// It was converted.
    Cast(Output),
}

impl<'a> Operand<'a> {
    /// Converts where it must.
    pub(super) fn new(context: &Context<'_>, view: &View<'a>, dtype: DType) -> Outcome<Self> {
        if view.dtype == dtype {
            return Ok(Self::Borrowed(view.bytes));
        }
        let mut converted = Output::new(context, dtype, &view.shape)?;
        cast(view.dtype, view.bytes, dtype, converted.bytes_mut());
        Ok(Self::Cast(converted))
    }

    /// The elements in the dtype of the result.
    pub(super) fn bytes(&mut self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Cast(output) => output.bytes_mut(),
        }
    }
}

/// An error of kind `LinAlgError`.
pub(super) fn linalg_error(message: impl Into<String>) -> TaskError {
    fault("LinAlgError", message)
}

/// Rows and columns of a matrix; anything else is a `LinAlgError` in numpy's words.
pub(super) fn matrix_of(view: &View<'_>) -> Outcome<[usize; 2]> {
    match view.shape[..] {
        [rows, columns] => Ok([rows, columns]),
        _ => Err(linalg_error(format!(
            "{}-dimensional array given. Array must be two-dimensional",
            view.shape.len()
        ))),
    }
}

/// The stack and the last two lengths of a matrix or of a stack of matrices.
pub(super) fn stack_of<'v>(view: &'v View<'_>) -> Outcome<(&'v [usize], [usize; 2])> {
    match view.shape.split_last_chunk::<2>() {
        Some((stack, matrix)) => Ok((stack, *matrix)),
        None => Err(linalg_error(format!(
            "{}-dimensional array given. Array must be at least two-dimensional",
            view.shape.len()
        ))),
    }
}

/// The elements row by row as a matrix.
pub(super) fn matrix<T: Pod>(bytes: &[u8], shape: [usize; 2]) -> ArrayView2<'_, T> {
    let whole = "the bytes hold as many elements as the shape";
    ArrayView2::from_shape(shape, bytemuck::cast_slice(bytes)).expect(whole)
}

/// The elements row by row as a matrix, to write.
pub(super) fn matrix_mut<T>(elements: &mut [T], shape: [usize; 2]) -> ArrayViewMut2<'_, T> {
    let whole = "there are as many elements as the shape says";
    ArrayViewMut2::from_shape(shape, elements).expect(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complex_division_does_not_overflow_on_the_way() {
        let big = Complex::new(3e200_f64, 4e200);
        let one = Field::over(big, big);
        assert!((one.re - 1.0).abs() < 1e-15 && one.im.abs() < 1e-15, "{one}");
        let turned = Field::over(Complex::new(1.0, 2.0), Complex::new(0.0, 4.0));
        assert_eq!(turned, Complex::new(0.5, -0.25));
        assert_eq!(Field::over(Complex::new(1e300, 0.0), Complex::new(1e200, 0.0)).re, 1e100);
    }
}
