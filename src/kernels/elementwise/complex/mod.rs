//! Element functions of complex numbers, in f64; c64 is computed wide and rounded once.
//!
//! Division is Smith's, as numpy's. Functions beyond arithmetic take their finite values from
//! numbers of two parts (`pair`), so that each part of a result is rounded little more than once,
//! and those of infinities and NaN, like all signs of zero, from C's annex G. Where the annex
//! leaves a sign open, and where numpy has a formula of its own (`expm1`, `log1p`, powers), the
//! value is numpy's.

mod exponential;
mod inverse;
mod logarithm;
mod pair;
mod power;

pub(super) use exponential::{cos, cosh, exp, expm1, sin, sinh, tan, tanh};
pub(super) use inverse::{arccos, arcsin, arctan};
pub(super) use logarithm::{log, log1p, log2, log10};
pub(super) use power::power;

use super::expression::Compare;
use super::real::Float;
use num_complex::Complex;

type C = Complex<f64>;

/// `x · y` by the four products.
#[inline(always)]
pub(in crate::kernels) fn multiply<T>(x: Complex<T>, y: Complex<T>) -> Complex<T>
where
    T: Copy + std::ops::Mul<Output = T> + std::ops::Add<Output = T> + std::ops::Sub<Output = T>,
{
    Complex { re: x.re * y.re - x.im * y.im, im: x.re * y.im + x.im * y.re }
}

/// `x / y` by Smith's method.
#[inline(always)]
pub(in crate::kernels) fn divide<T: Float>(x: Complex<T>, y: Complex<T>) -> Complex<T> {
    let (re, im) = (y.re.abs(), y.im.abs());
    if re >= im {
        if re == T::ZERO && im == T::ZERO {
            return Complex { re: x.re / re, im: x.im / re };
        }
        let ratio = y.im / y.re;
        let scale = T::ONE / (y.re + y.im * ratio);
        Complex { re: (x.re + x.im * ratio) * scale, im: (x.im - x.re * ratio) * scale }
    } else {
        let ratio = y.re / y.im;
        let scale = T::ONE / (y.im + y.re * ratio);
        Complex { re: (x.re * ratio + x.im) * scale, im: (x.im * ratio - x.re) * scale }
    }
}

/// numpy's order: by the real part, then by the imaginary part; nothing holds for NaN but `!=`.
#[inline(always)]
pub(super) fn compare<T: Float>(compare: Compare, x: Complex<T>, y: Complex<T>) -> bool {
    let ordered = !x.im.is_nan() && !y.im.is_nan();
    match compare {
        Compare::Less => (x.re < y.re && ordered) || (x.re == y.re && x.im < y.im),
        Compare::LessEqual => (x.re < y.re && ordered) || (x.re == y.re && x.im <= y.im),
        Compare::Greater => (x.re > y.re && ordered) || (x.re == y.re && x.im > y.im),
        Compare::GreaterEqual => (x.re > y.re && ordered) || (x.re == y.re && x.im >= y.im),
        Compare::Equal => x.re == y.re && x.im == y.im,
        Compare::NotEqual => x.re != y.re || x.im != y.im,
    }
}

/// Either part is NaN.
#[inline(always)]
pub(in crate::kernels) fn is_nan<T: Float>(x: Complex<T>) -> bool {
    x.re.is_nan() || x.im.is_nan()
}

/// The first that is smallest, or NaN.
#[inline(always)]
pub(in crate::kernels) fn minimum<T: Float>(x: Complex<T>, y: Complex<T>) -> Complex<T> {
    if compare(Compare::LessEqual, x, y) || is_nan(x) { x } else { y }
}

/// The first that is largest, or NaN.
#[inline(always)]
pub(in crate::kernels) fn maximum<T: Float>(x: Complex<T>, y: Complex<T>) -> Complex<T> {
    if compare(Compare::GreaterEqual, x, y) || is_nan(x) { x } else { y }
}

/// The magnitude without overflow on the way.
pub(in crate::kernels) fn abs(x: C) -> f64 {
    libm::hypot(x.re, x.im)
}

/// `x / |x|`; 0 for 0.
pub(in crate::kernels) fn sign(x: C) -> C {
    let length = abs(x);
    if length == 0.0 {
        return C::ZERO;
    }
    if length.is_infinite() {
        return match (x.re.is_infinite(), x.im.is_infinite()) {
            (true, false) => C::new(1.0_f64.copysign(x.re), 0.0),
            (false, true) => C::new(0.0, 1.0_f64.copysign(x.im)),
            _ => C::new(f64::NAN, f64::NAN),
        };
    }
    C::new(x.re / length, x.im / length)
}

/// The principal root.
pub(in crate::kernels) fn sqrt(x: C) -> C {
    if x.re == 0.0 && x.im == 0.0 {
        return C::new(0.0, x.im);
    }
    if x.im.is_infinite() {
        return C::new(f64::INFINITY, x.im);
    }
    if x.re.is_nan() {
        return C::new(f64::NAN, f64::NAN);
    }
    if x.re.is_infinite() {
        // 0, or NaN when the imaginary part is NaN.
        let rest = x.im * 0.0;
        return if x.re < 0.0 {
            C::new(rest.abs(), x.re.abs().copysign(x.im))
        } else {
            C::new(x.re, rest.copysign(x.im))
        };
    }
    // Halving the exponent first keeps the magnitude from overflowing or vanishing.
    let largest = x.re.abs().max(x.im.abs());
    let (scale, back) = if largest > 1e300 {
        (0.25, 2.0)
    } else if largest < 1e-280 {
        (2.0_f64.powi(108), 2.0_f64.powi(-54))
    } else {
        (1.0, 1.0)
    };
    let (re, im) = (x.re * scale, x.im * scale);
    let half = ((re.abs() + libm::hypot(re, im)) * 0.5).sqrt();
    if re >= 0.0 {
        C::new(half * back, im / (2.0 * half) * back)
    } else {
        C::new(im.abs() / (2.0 * half) * back, half.copysign(im) * back)
    }
}

/// `i · x`
fn times_i(x: C) -> C {
    C::new(-x.im, x.re)
}

/// `x / i`
fn over_i(x: C) -> C {
    C::new(x.im, -x.re)
}
