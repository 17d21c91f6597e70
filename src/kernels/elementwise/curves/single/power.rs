//! `x ** y` and `hypot` of f32, in f64: their values need more bits on the way than f32 has.

use super::super::{Curve2, Hypot, Power, number, power_of_two, rounded};

/// 2 / ((2n + 1) ln 2): log2((1 + s) / (1 − s)) / s by powers of s².
const L: [f64; 7] = [
    2.885_390_081_777_926_8,
    0.961_796_693_925_975_6,
    0.577_078_016_355_585_4,
    0.412_198_583_111_132_4,
    0.320_598_897_975_325_2,
    0.262_308_189_252_538_8,
    0.221_953_083_213_686_7,
];

/// 2^r by powers of r, for |r| ≤ 1/2, to 28 bits; fitted.
const E: [f64; 7] = [
    1.0,
    0.693_147_206_702_832_6,
    0.240_226_509_222_887_57,
    0.055_503_272_266_703_03,
    0.009_618_056_678_524_656,
    0.001_340_042_817_761_574_7,
    0.000_154_614_446_985_647_38,
];

/// Bits of the root of 1/2, and from there to those of 1.
const ROOT: u64 = 0x3fe6_a09e << 32;
const SHIFT: u64 = (0x3ff0_0000 << 32) - ROOT;

/// log2 x of a positive f32.
#[inline(always)]
fn log2(x: f64) -> f64 {
    let bits = x.to_bits().wrapping_add(SHIFT);
    let k = number((bits >> 52).wrapping_sub(1023));
    let one_and = f64::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT));
    let s = (one_and - 1.0) / (one_and + 1.0);
    let z = s * s;
    let w = z * z;
    let sum = (L[0] + z * L[1]) + w * ((L[2] + z * L[3]) + w * ((L[4] + z * L[5]) + w * L[6]));
    k + s * sum
}

/// 2^t, beyond the range of f32 too.
#[inline(always)]
fn exp2(t: f64) -> f64 {
    let t = if t > 200.0 { 200.0 } else { t };
    let t = if t < -200.0 { -200.0 } else { t };
    let (count, power) = rounded(t);
    let r = t - count;
    let z = r * r;
    let sum = (E[0] + r * E[1]) + z * ((E[2] + r * E[3]) + z * ((E[4] + r * E[5]) + z * E[6]));
    sum * power_of_two(power)
}

impl Curve2<f32> for Power {
    #[inline(always)]
    fn near(x: f32, y: f32) -> f32 {
        exp2(log2(x.into()) * f64::from(y)) as f32
    }
    /// Positive bases and what is a number: 1 to no number is 1.
    #[inline(always)]
    fn covers(x: f32, _: f32, value: f32) -> bool {
        (x > 0.0) & (x < f32::INFINITY) & !value.is_nan()
    }
    fn any(x: f32, y: f32) -> f32 {
        libm::pow(x.into(), y.into()) as f32
    }
}

impl Curve2<f32> for Hypot {
    #[inline(always)]
    fn near(x: f32, y: f32) -> f32 {
        let (x, y) = (f64::from(x), f64::from(y));
        (x * x + y * y).sqrt() as f32
    }
    /// What is a number: infinite and no number is infinite.
    #[inline(always)]
    fn covers(_: f32, _: f32, value: f32) -> bool {
        !value.is_nan()
    }
    fn any(x: f32, y: f32) -> f32 {
        libm::hypot(x.into(), y.into()) as f32
    }
}
