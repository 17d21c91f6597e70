//! Logarithms: that of the length, from the sum of the squares, and the angle.
//!
//! Near the unit circle 1 is taken from the exact squares before anything is rounded: there the
//! logarithm of a rounded length has no bit right.

use super::pair::{self, LN2, Pair, power_of_two};
use super::{C, is_nan};
use std::f64::consts::{LOG2_E, LOG10_E};

/// 1 / ln 2 and 1 / ln 10.
const INVERSE_LN2: Pair = Pair { high: LOG2_E, low: 2.035_527_374_093_103_3e-17 };
const INVERSE_LN10: Pair = Pair { high: LOG10_E, low: 1.098_319_650_216_765e-17 };

/// The principal logarithm.
pub(in super::super) fn log(x: C) -> C {
    match parts(Pair::of(x.re), x.im) {
        Some((re, im)) => C::new(re.value(), angle(im, x.im)),
        None => special(x),
    }
}

/// The logarithm to base 2.
pub(in super::super) fn log2(x: C) -> C {
    to_base(x, INVERSE_LN2)
}

/// The logarithm to base 10.
pub(in super::super) fn log10(x: C) -> C {
    to_base(x, INVERSE_LN10)
}

fn to_base(x: C, inverse: Pair) -> C {
    match parts(Pair::of(x.re), x.im) {
        Some((re, im)) => {
            // The smallest angles are below the range of products.
            let im = if im.high.abs() < 1e-200 {
                im.high * inverse.high
            } else {
                (im * inverse).value()
            };
            C::new((re * inverse).value(), im.copysign(x.im))
        }
        None => {
            let value = special(x);
            C::new(value.re, value.im * inverse.high)
        }
    }
}

/// `ln(1 + x)`.
pub(in super::super) fn log1p(x: C) -> C {
    let more = Pair::sum(1.0, x.re);
    let Some((re, im)) = parts(more, x.im) else { return special(C::new(1.0 + x.re, x.im)) };
    let im = angle(im, x.im);
    if x.re.abs() < 0.5 && x.im.abs() < 0.5 {
        let square = Pair::product(x.re, x.re) + Pair::product(x.im, x.im);
        return C::new(half_log1p(Pair::of(2.0 * x.re) + square), im);
    }
    C::new(re.value(), im)
}

/// Half of `ln(1 + x)`, also of the smallest numbers.
fn half_log1p(x: Pair) -> f64 {
    pair::log1p(x).times(0.5).value()
}

/// An angle with its sign, which zero loses in sums.
fn angle(value: Pair, sign: f64) -> f64 {
    value.value().abs().copysign(sign)
}

/// Of zero, infinities and NaN.
fn special(x: C) -> C {
    if is_nan(x) {
        let infinite = x.re.is_infinite() || x.im.is_infinite();
        return C::new(if infinite { f64::INFINITY } else { f64::NAN }, f64::NAN);
    }
    let re = if x.re == 0.0 && x.im == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    C::new(re, libm::atan2(x.im, x.re))
}

/// Logarithm of the length, and angle, of a finite point but zero.
pub(super) fn parts(re: Pair, im: f64) -> Option<(Pair, Pair)> {
    let largest = re.high.abs().max(im.abs());
    let finite = re.high.is_finite() && im.is_finite();
    if !finite || largest == 0.0 {
        return None;
    }
    // First into the middle of the range, then the larger part between 1 and 2.
    let shift = match largest {
        large if large > 1e250 => -400,
        large if large < 1e-250 => 400,
        _ => 0,
    };
    let exponent = pair::exponent(largest * power_of_two(shift));
    let scale = |number: f64| number * power_of_two(shift) * power_of_two(-exponent);
    let x = Pair { high: scale(re.high), low: scale(re.low) };
    let y = Pair::of(scale(im));
    let angle = pair::atan2(y, x);
    if shift == 0 && (-1..1).contains(&exponent) {
        let beyond = beyond_circle(re.square(), Pair::of(im).square());
        if (-0.5..1.0).contains(&beyond.high) {
            return Some((pair::log1p(beyond).times(0.5), angle));
        }
    }
    let length = pair::log(x.square() + y.square()).times(0.5);
    Some((LN2 * Pair::of(f64::from(exponent - shift)) + length, angle))
}

/// `x + y − 1`, the larger one less 1 first: this is exact near 1.
fn beyond_circle(x: Pair, y: Pair) -> Pair {
    let (large, small) = if x.high < y.high { (y, x) } else { (x, y) };
    (large - Pair::ONE) + small
}
