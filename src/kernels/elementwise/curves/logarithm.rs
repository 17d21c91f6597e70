//! Logarithms: x = 2^k · (1 + f) with 1 + f between the roots of 1/2 and of 2.

use super::exponential::LN2;
use super::{Curve, choose, number, upper};

const L: [f64; 7] = [
    6.666_666_666_666_735e-1,
    3.999_999_999_940_942e-1,
    2.857_142_874_366_239e-1,
    2.222_219_843_214_978_4e-1,
    1.818_357_216_161_805e-1,
    1.531_383_769_920_937_3e-1,
    1.479_819_860_511_658_6e-1,
];

/// Bits from those of the root of 1/2 to those of 1, but for the lower half.
const SHIFT: u64 = (0x3ff0_0000 - 0x3fe6_a09e) << 32;

/// k and 1 + f.
#[inline(always)]
fn split(x: f64) -> (f64, f64) {
    let bits = x.to_bits().wrapping_add(SHIFT);
    let k = number((bits >> 52).wrapping_sub(1023));
    let rest = (bits & 0x000f_ffff_ffff_ffff).wrapping_add(0x3fe6_a09e << 32);
    (k, f64::from_bits(rest))
}

/// s · (f²/2 + R) with ln(1 + f) = f − f²/2 + that; and f²/2.
#[inline(always)]
fn series(f: f64) -> (f64, f64) {
    let half = 0.5 * f * f;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let odd = w * (L[1] + w * (L[3] + w * L[5]));
    let even = z * (L[0] + w * (L[2] + w * (L[4] + w * L[6])));
    (s * (half + (odd + even)), half)
}

#[inline(always)]
fn is_normal(x: f64) -> bool {
    (x >= f64::MIN_POSITIVE) & x.is_finite()
}

/// The natural logarithm.
pub(in super::super) struct Log;

impl Curve<f64> for Log {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let (k, one_and) = split(x);
        let f = one_and - 1.0;
        let (sum, half) = series(f);
        sum + k * LN2[1] - half + f + k * LN2[0]
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        is_normal(x)
    }
    fn any(x: f64) -> f64 {
        libm::log(x)
    }
}

/// `ln(1 + x)`
pub(in super::super) struct Log1p;

impl Curve<f64> for Log1p {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let whole = 1.0 + x;
        let (k, one_and) = split(whole);
        // Here 1 + x need not be formed.
        let near = (x > -0.292_893_2) & (x < 0.414_213_5);
        let lost = choose(k >= 2.0, 1.0 - (whole - x), x - (whole - 1.0)) / whole;
        let (k, lost) = (choose(near, 0.0, k), choose(near, 0.0, lost));
        let f = choose(near, x, one_and - 1.0);
        let (sum, half) = series(f);
        let value = sum + (k * LN2[1] + lost) - half + f + k * LN2[0];
        choose(x.abs() < 5e-17, x, value)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        (x > -1.0) & (x < 1e300)
    }
    fn any(x: f64) -> f64 {
        libm::log1p(x)
    }
}

/// ln(1 + f) in two parts, the first with half of the bits.
#[inline(always)]
fn two_parts(one_and: f64) -> (f64, f64) {
    let f = one_and - 1.0;
    let (sum, half) = series(f);
    let high = upper(f - half);
    (high, (f - high) - half + sum)
}

/// The logarithm to base 2.
pub(in super::super) struct Log2;

/// 1 / ln 2 in two parts.
const INVERSE_LN2: [f64; 2] = [1.442_695_040_721_446_3, 1.675_171_316_488_651_2e-10];

impl Curve<f64> for Log2 {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let (k, one_and) = split(x);
        let (high, low) = two_parts(one_and);
        let value = high * INVERSE_LN2[0];
        let rest = (low + high) * INVERSE_LN2[1] + low * INVERSE_LN2[0];
        let sum = k + value;
        (rest + ((k - sum) + value)) + sum
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        is_normal(x)
    }
    fn any(x: f64) -> f64 {
        libm::log2(x)
    }
}

/// The logarithm to base 10.
pub(in super::super) struct Log10;

/// 1 / ln 10 and the logarithm of 2, in two parts.
const INVERSE_LN10: [f64; 2] = [4.342_944_818_781_689e-1, 2.508_294_671_164_527_5e-11];
const LOG10_2: [f64; 2] = [3.010_299_956_636_117_7e-1, 3.694_239_077_158_931e-13];

impl Curve<f64> for Log10 {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let (k, one_and) = split(x);
        let (high, low) = two_parts(one_and);
        let value = high * INVERSE_LN10[0];
        let large = k * LOG10_2[0];
        let rest = k * LOG10_2[1] + (low + high) * INVERSE_LN10[1] + low * INVERSE_LN10[0];
        let sum = large + value;
        (rest + ((large - sum) + value)) + sum
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        is_normal(x)
    }
    fn any(x: f64) -> f64 {
        libm::log10(x)
    }
}
