//! Element functions of complex numbers, in f64; c64 is computed wide and rounded once.
//!
//! Division is Smith's, as numpy's. Branch cuts and signs of zero follow C's annex G where the
//! formulas (Kahan, "Branch cuts for complex elementary functions") keep them.

use super::expression::Compare;
use super::real::Float;
use num_complex::Complex;
use std::f64::consts::{LN_2, LN_10};

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

/// The exponential function.
pub(in crate::kernels) fn exp(x: C) -> C {
    if x.im == 0.0 {
        return C::new(libm::exp(x.re), x.im);
    }
    if !x.im.is_finite() {
        return match x.re {
            f64::INFINITY => C::new(f64::INFINITY, f64::NAN),
            f64::NEG_INFINITY => C::ZERO,
            _ => C::new(f64::NAN, f64::NAN),
        };
    }
    let (sin, cos) = libm::sincos(x.im);
    // Twice the half power overflows only where the result does.
    let half = libm::exp(x.re * 0.5);
    if x.re.abs() < 700.0 {
        let power = libm::exp(x.re);
        C::new(power * cos, power * sin)
    } else {
        C::new(half * cos * half, half * sin * half)
    }
}

/// `exp(x) − 1` without cancellation near 0.
pub(in crate::kernels) fn expm1(x: C) -> C {
    let half = libm::sin(x.im * 0.5);
    let re = libm::expm1(x.re) * libm::cos(x.im) - 2.0 * half * half;
    C::new(re, exp(x).im)
}

/// The principal logarithm.
pub(in crate::kernels) fn log(x: C) -> C {
    C::new(log_abs(x), libm::atan2(x.im, x.re))
}

/// `ln |x|`, without cancellation where the magnitude is near 1.
fn log_abs(x: C) -> f64 {
    let (small, large) = {
        let (re, im) = (x.re.abs(), x.im.abs());
        if re < im { (re, im) } else { (im, re) }
    };
    if (0.5..2.0).contains(&large) && small < 2.0 {
        return 0.5 * libm::log1p((large - 1.0) * (large + 1.0) + small * small);
    }
    if !(1e-290..=1e300).contains(&large) {
        let scale = if large > 1.0 { 2.0_f64.powi(-60) } else { 2.0_f64.powi(120) };
        let shift = if large > 1.0 { 60.0 * LN_2 } else { -120.0 * LN_2 };
        return libm::log(libm::hypot(small * scale, large * scale)) + shift;
    }
    libm::log(libm::hypot(small, large))
}

/// The logarithm to base 2.
pub(in crate::kernels) fn log2(x: C) -> C {
    let value = log(x);
    C::new(value.re / LN_2, value.im / LN_2)
}

/// The logarithm to base 10.
pub(in crate::kernels) fn log10(x: C) -> C {
    let value = log(x);
    C::new(value.re / LN_10, value.im / LN_10)
}

/// `ln(1 + x)`.
pub(in crate::kernels) fn log1p(x: C) -> C {
    let angle = libm::atan2(x.im, 1.0 + x.re);
    if abs(x) < 0.5 {
        let re = 0.5 * libm::log1p(x.re * (2.0 + x.re) + x.im * x.im);
        return C::new(re, angle);
    }
    C::new(log_abs(C::new(1.0 + x.re, x.im)), angle)
}

fn times_i(x: C) -> C {
    C::new(-x.im, x.re)
}

fn over_i(x: C) -> C {
    C::new(x.im, -x.re)
}

/// The hyperbolic sine.
pub(in crate::kernels) fn sinh(x: C) -> C {
    let (sin, cos) = libm::sincos(x.im);
    C::new(libm::sinh(x.re) * cos, libm::cosh(x.re) * sin)
}

/// The hyperbolic cosine.
pub(in crate::kernels) fn cosh(x: C) -> C {
    let (sin, cos) = libm::sincos(x.im);
    C::new(libm::cosh(x.re) * cos, libm::sinh(x.re) * sin)
}

/// The hyperbolic tangent.
pub(in crate::kernels) fn tanh(x: C) -> C {
    if x.re.abs() > 20.0 {
        let (sin, cos) = libm::sincos(x.im);
        let im = 4.0 * sin * cos * libm::exp(-2.0 * x.re.abs());
        return C::new(1.0_f64.copysign(x.re), im);
    }
    let tan = libm::tan(x.im);
    let beta = 1.0 + tan * tan;
    let sinh = libm::sinh(x.re);
    let rho = (1.0 + sinh * sinh).sqrt();
    let below = 1.0 + beta * sinh * sinh;
    C::new(beta * rho * sinh / below, tan / below)
}

/// The sine.
pub(in crate::kernels) fn sin(x: C) -> C {
    over_i(sinh(times_i(x)))
}

/// The cosine.
pub(in crate::kernels) fn cos(x: C) -> C {
    cosh(times_i(x))
}

/// The tangent.
pub(in crate::kernels) fn tan(x: C) -> C {
    over_i(tanh(times_i(x)))
}

/// The inverse sine.
pub(in crate::kernels) fn arcsin(x: C) -> C {
    let (below, above) = (sqrt(C::new(1.0 - x.re, -x.im)), sqrt(C::new(1.0 + x.re, x.im)));
    let re = libm::atan2(x.re, multiply(below, above).re);
    C::new(re, libm::asinh(multiply(below.conj(), above).im))
}

/// The inverse cosine.
pub(in crate::kernels) fn arccos(x: C) -> C {
    let (below, above) = (sqrt(C::new(1.0 - x.re, -x.im)), sqrt(C::new(1.0 + x.re, x.im)));
    let re = 2.0 * libm::atan2(below.re, above.re);
    C::new(re, libm::asinh(multiply(above.conj(), below).im))
}

/// The inverse tangent.
pub(in crate::kernels) fn arctan(x: C) -> C {
    over_i(arctanh(times_i(x)))
}

fn arctanh(x: C) -> C {
    // Odd; on the left the logarithm's argument would cancel.
    let (re, im) = if x.re < 0.0 { (-x.re, -x.im) } else { (x.re, x.im) };
    let square = im * im;
    let away = 1.0 - re;
    let real = 0.25 * libm::log1p(4.0 * re / (away * away + square));
    let imaginary = 0.5 * libm::atan2(2.0 * im, away * (1.0 + re) - square);
    if x.re < 0.0 { C::new(-real, -imaginary) } else { C::new(real, imaginary) }
}

/// `x ** y`; small integer powers by multiplication, as numpy does.
pub(in crate::kernels) fn power(x: C, y: C) -> C {
    if y == C::ZERO {
        return C::new(1.0, 0.0);
    }
    if x == C::ZERO {
        return if y.re > 0.0 && y.im == 0.0 { C::ZERO } else { C::new(f64::NAN, f64::NAN) };
    }
    if y.im == 0.0 && y.re.fract() == 0.0 && y.re.abs() < 100.0 {
        return integer_power(x, y.re as i32);
    }
    exp(multiply(y, log(x)))
}

fn integer_power(x: C, exponent: i32) -> C {
    let mut rest = exponent.unsigned_abs();
    let mut base = x;
    let mut result = None;
    while rest > 0 {
        if rest & 1 == 1 {
            result = Some(result.map_or(base, |result| multiply(result, base)));
        }
        rest >>= 1;
        if rest > 0 {
            base = multiply(base, base);
        }
    }
    let result = result.unwrap_or(C::new(1.0, 0.0));
    if exponent < 0 { divide(C::new(1.0, 0.0), result) } else { result }
}
