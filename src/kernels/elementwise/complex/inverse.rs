//! `arcsin`, `arccos` and `arctan`, by Kahan's formulas ("Branch cuts for complex elementary
//! functions"), in numbers of two parts and in the first quadrant, where nothing cancels.
//!
//! The signs of both arguments, zero or not, are put on the result: each function is odd in one part
//! and even or odd in the other. Far from 0 the first term of the series in `1 / x` is all there is.

use super::C;
use super::pair::{self, LN2, Pair, power_of_two};
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};

/// From here on 1 is lost beside a number or its square.
const FAR: f64 = 1e17;

/// The inverse sine.
pub(in super::super) fn arcsin(x: C) -> C {
    if !x.re.is_finite() || !x.im.is_finite() {
        return infinite_arcsin(x);
    }
    let (re, im) = (x.re.abs(), x.im.abs());
    let (angle, length) = if re.max(im) > FAR {
        (libm::atan2(re, im), far(re, im))
    } else {
        let [below, above] = roots(re, im);
        let side = below.0 * above.0 + below.1 * above.1;
        (pair::atan2(Pair::of(re), side).value(), length(below, above))
    };
    // The real part of a point on the imaginary axis is its own.
    C::new(if re == 0.0 { x.re } else { angle.copysign(x.re) }, length.copysign(x.im))
}

fn infinite_arcsin(x: C) -> C {
    let infinite = x.re.is_infinite() || x.im.is_infinite();
    if x.re.is_nan() || x.im.is_nan() {
        return if x.re == 0.0 {
            x
        } else if infinite {
            C::new(f64::NAN, f64::INFINITY.copysign(x.im))
        } else {
            C::new(f64::NAN, f64::NAN)
        };
    }
    let angle = match (x.re.is_infinite(), x.im.is_infinite()) {
        (true, true) => FRAC_PI_4,
        (true, false) => FRAC_PI_2,
        _ => 0.0,
    };
    C::new(angle.copysign(x.re), f64::INFINITY.copysign(x.im))
}

/// The inverse cosine.
pub(in super::super) fn arccos(x: C) -> C {
    if !x.re.is_finite() || !x.im.is_finite() {
        let value = infinite_arcsin(x);
        return C::new(FRAC_PI_2 - value.re, -value.im);
    }
    let (re, im) = (x.re.abs(), x.im.abs());
    let (angle, length) = if re.max(im) > FAR {
        (libm::atan2(im, x.re), far(re, im))
    } else {
        let [below, above] = roots(re, im);
        let (y, x) = if x.re < 0.0 { (above.0, below.0) } else { (below.0, above.0) };
        (pair::atan2(y, x).times(2.0).value(), length(below, above))
    };
    C::new(angle, -length.copysign(x.im))
}

/// The roots of `1 − x + iy` and of `1 + x + iy`, for x and y that are not negative.
fn roots(x: f64, y: f64) -> [(Pair, Pair); 2] {
    [root(Pair::sum(1.0, -x), y), root(Pair::sum(1.0, x), y)]
}

/// The root of `x + iy`, for y that is not negative.
fn root(x: Pair, y: f64) -> (Pair, Pair) {
    let y = Pair::of(y);
    if x.high == 0.0 {
        // The square of y may be below the range.
        let half = y.times(power_of_two(401)).sqrt().times(power_of_two(-201));
        return (half, half);
    }
    let half = ((x.abs() + (x.square() + y.square()).sqrt()).times(0.5)).sqrt();
    let other = y / half.times(2.0);
    if x.high > 0.0 { (half, other) } else { (other, half) }
}

/// The imaginary part of an inverse sine: `asinh` of that of the product of both roots.
fn length(below: (Pair, Pair), above: (Pair, Pair)) -> f64 {
    let product = below.0 * above.1 + below.1 * above.0;
    if product.high < 1e-30 {
        return product.value();
    }
    let square = product.square();
    let more = square / ((square + Pair::ONE).sqrt() + Pair::ONE);
    pair::log1p(product + more).value()
}

/// `ln(2 |z|)`
fn far(x: f64, y: f64) -> f64 {
    // An eighth of each, so that the length is in the range.
    let length = libm::hypot(x * 0.125, y * 0.125);
    (pair::log(Pair::of(length)) + LN2.times(4.0)).value()
}

/// The inverse tangent.
pub(in super::super) fn arctan(x: C) -> C {
    let (re, im) = (x.re.abs(), x.im.abs());
    if re.is_infinite() {
        return C::new(FRAC_PI_2.copysign(x.re), 0.0_f64.copysign(x.im));
    }
    if im.is_infinite() || re.is_nan() || im.is_nan() {
        let re = if im.is_infinite() && !re.is_nan() { FRAC_PI_2 } else { f64::NAN };
        let im = if im == 0.0 || im.is_infinite() { 0.0 } else { f64::NAN };
        return C::new(re.copysign(x.re), im.copysign(x.im));
    }
    if re.max(im) > FAR {
        // The real part of −1/z is lost beside π/2; its imaginary part is what remains.
        let (large, small) = (re.max(im), re.min(im));
        let ratio = small / large;
        let length = im / large / (1.0 + ratio * ratio) / large;
        return C::new(FRAC_PI_2.copysign(x.re), length.copysign(x.im));
    }
    let one_away = Pair::sum(1.0, -im);
    let angle = if re == 0.0 && im < 1.0 {
        0.0
    } else if re < 1e-140 {
        // 1 − |z|² without the square of the real part.
        libm::atan2(2.0 * re, (1.0 - im) * (1.0 + im)) * 0.5
    } else {
        let beside = one_away * Pair::sum(1.0, im) - Pair::of(re).square();
        pair::atan2(Pair::of(2.0 * re), beside).times(0.5).value()
    };
    let length = if im == 1.0 && re < 1e-30 {
        0.5 * (std::f64::consts::LN_2 - libm::log(re))
    } else {
        let below = Pair::of(re).square() + one_away.square();
        if im < 1e-200 {
            im / below.high
        } else {
            pair::log1p(Pair::of(im).times(4.0) / below).times(0.25).value()
        }
    };
    C::new(angle.copysign(x.re), length.copysign(x.im))
}
