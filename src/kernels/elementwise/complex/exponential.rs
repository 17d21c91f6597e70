//! `exp`, `expm1`, the hyperbolic functions, and the trigonometric ones, which are those of `i · x`.
//!
//! Finite arguments are computed as mantissa and power of two, so that only a result outside of the
//! range overflows or vanishes, not a factor of it; all others have annex G's values one by one.

use super::super::real::Float;
use super::pair::{self, Pair, power_of_two, product, scaled, sincos, sinhcosh};
use super::{C, over_i, times_i};

const NAN: C = C::new(f64::NAN, f64::NAN);

/// The exponential function.
pub(in super::super) fn exp(x: C) -> C {
    if x.re.is_finite() && x.im.is_finite() {
        return finite_exp(Pair::of(x.re), Pair::of(x.im));
    }
    if x.im == 0.0 {
        return C::new(libm::exp(x.re), x.im);
    }
    match x.re {
        f64::INFINITY if x.im.is_finite() => quadrant(f64::INFINITY, x.im),
        f64::INFINITY => C::new(f64::INFINITY, f64::NAN),
        f64::NEG_INFINITY if x.im.is_finite() => quadrant(0.0, x.im),
        f64::NEG_INFINITY => C::new(0.0, 0.0_f64.copysign(x.im)),
        _ => NAN,
    }
}

/// The exponential function of finite numbers, however large.
pub(super) fn finite_exp(re: Pair, im: Pair) -> C {
    let (power, exponent) = pair::exp(re);
    let (sin, cos) = sincos(im);
    C::new(product(power, cos, exponent), product(power, sin, exponent))
}

/// Zero or infinity in the direction of a finite angle.
fn quadrant(size: f64, angle: f64) -> C {
    let (sin, cos) = libm::sincos(angle);
    C::new(size.copysign(cos), size.copysign(sin))
}

/// `exp(x) − 1` without cancellation near 0.
pub(in super::super) fn expm1<T: Float>(x: C) -> C {
    if !x.re.is_finite() || !x.im.is_finite() {
        let half = libm::sin(x.im * 0.5);
        let re = libm::expm1(x.re) * libm::cos(x.im) - 2.0 * half * half;
        return C::new(re, libm::exp(x.re) * libm::sin(x.im));
    }
    if x.im == 0.0 && !T::narrow(libm::exp(x.re)).is_finite() {
        // numpy multiplies infinity by the sine.
        return C::new(f64::INFINITY, f64::NAN);
    }
    let (power, exponent) = pair::exp(Pair::of(x.re));
    let (sin, cos) = sincos(Pair::of(x.im));
    let im = product(power, sin, exponent);
    if x.re.abs() > 0.3 {
        let size = power.times(power_of_two(exponent.clamp(-100, 500)));
        let beyond = scaled((size * cos - Pair::ONE).value(), (exponent - 500).max(0));
        return C::new(beyond, im);
    }
    let (half, _) = sincos(Pair::of(x.im * 0.5));
    let re = pair::expm1(x.re) * cos - half.square().times(2.0);
    // What vanishes in the dtype leaves the sign of the real part, as in numpy's difference.
    let vanishes = x.re == 0.0 && T::narrow(re.high) == T::ZERO;
    C::new(if vanishes { x.re } else { re.value() }, im)
}

/// The hyperbolic sine.
pub(in super::super) fn sinh(x: C) -> C {
    if x.re.is_finite() && x.im.is_finite() {
        let (sinh, cosh, exponent) = sinhcosh(x.re);
        let (sin, cos) = sincos(Pair::of(x.im));
        return C::new(product(sinh, cos, exponent), product(cosh, sin, exponent));
    }
    if x.im == 0.0 {
        return x;
    }
    if x.re == 0.0 {
        return C::new(x.re, f64::NAN);
    }
    if x.re.is_infinite() {
        if !x.im.is_finite() {
            return C::new(f64::INFINITY, f64::NAN);
        }
        let value = quadrant(f64::INFINITY, x.im);
        return C::new(value.re * 1.0_f64.copysign(x.re), value.im);
    }
    NAN
}

/// The hyperbolic cosine.
pub(in super::super) fn cosh(x: C) -> C {
    if x.re.is_finite() && x.im.is_finite() {
        let (sinh, cosh, exponent) = sinhcosh(x.re);
        let (sin, cos) = sincos(Pair::of(x.im));
        return C::new(product(cosh, cos, exponent), product(sinh, sin, exponent));
    }
    if x.im == 0.0 {
        let side = if x.re.is_nan() { 1.0 } else { 1.0_f64.copysign(x.re) };
        return C::new(x.re.abs(), x.im * side);
    }
    if x.re == 0.0 {
        return C::new(f64::NAN, 0.0);
    }
    if x.re.is_infinite() {
        if !x.im.is_finite() {
            return C::new(f64::INFINITY, f64::NAN);
        }
        let value = quadrant(f64::INFINITY, x.im);
        return C::new(value.re, value.im * 1.0_f64.copysign(x.re));
    }
    NAN
}

/// The hyperbolic tangent.
pub(in super::super) fn tanh(x: C) -> C {
    if x.re.is_infinite() {
        // The imaginary part vanishes on the side that sin(2 · im) gives.
        let side = if x.im.is_finite() && x.im.abs() > 1.0 {
            let (sin, cos) = libm::sincos(x.im);
            sin * cos
        } else {
            x.im
        };
        return C::new(1.0_f64.copysign(x.re), 0.0_f64.copysign(side));
    }
    if !x.re.is_finite() || !x.im.is_finite() {
        return if x.im == 0.0 {
            x
        } else if x.re == 0.0 {
            C::new(x.re, f64::NAN)
        } else {
            NAN
        };
    }
    let (sin, cos) = sincos(Pair::of(x.im));
    if x.re.abs() > 40.0 {
        let (power, exponent) = pair::exp(Pair::of(-2.0 * x.re.abs().min(1000.0)));
        let im = product(power.times(4.0), sin * cos, exponent);
        return C::new(1.0_f64.copysign(x.re), im.copysign(sin.high * cos.high));
    }
    let (sinh, cosh, _) = sinhcosh(x.re);
    let below = sinh.square() + cos.square();
    let re = product(sinh, cosh / below, 0);
    C::new(re, product(sin, cos / below, 0))
}

/// The sine.
pub(in super::super) fn sin(x: C) -> C {
    if x.im.is_infinite() && !x.re.is_finite() {
        return C::new(f64::NAN, f64::INFINITY);
    }
    over_i(sinh(times_i(x)))
}

/// The cosine.
pub(in super::super) fn cos(x: C) -> C {
    cosh(times_i(x))
}

/// The tangent.
pub(in super::super) fn tan(x: C) -> C {
    over_i(tanh(times_i(x)))
}
