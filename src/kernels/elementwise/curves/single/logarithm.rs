//! Logarithms of f32: x = 2^k · (1 + f) with 1 + f between the roots of 1/2 and of 2.

use super::super::{Curve, Log, Log1p, Log2, Log10, choose};
use super::exponential::LN2;
use super::power_of_two;

/// (ln(1 + f) − f + f²/2) / f³ by powers of f.
const L: [f32; 8] = [
    0.333_333_3,
    -0.250_008_2,
    0.200_012_27,
    -0.166_233_57,
    0.142_017_59,
    -0.131_601_83,
    0.127_615_75,
    -0.076_344_93,
];

/// Bits of the root of 1/2, and from there to those of 1.
const ROOT: u32 = 0x3f35_04f3;
const SHIFT: u32 = 0x3f80_0000 - ROOT;

/// The bits of k, and 1 + f.
#[inline(always)]
fn split(x: f32) -> (u32, f32) {
    let bits = x.to_bits().wrapping_add(SHIFT);
    let rest = (bits & 0x007f_ffff).wrapping_add(ROOT);
    ((bits >> 23).wrapping_sub(127), f32::from_bits(rest))
}

/// f²/2 and the rest: ln(1 + f) = f − f²/2 + rest.
#[inline(always)]
fn series(f: f32) -> (f32, f32) {
    let z = f * f;
    let first = (L[0] + L[1] * f) + z * (L[2] + L[3] * f);
    let second = (L[4] + L[5] * f) + z * (L[6] + L[7] * f);
    (0.5 * z, f * z * (first + z * z * second))
}

/// k · ln 2 + ln(1 + f)
#[inline(always)]
fn natural(power: u32, f: f32) -> f32 {
    let k = (power as i32) as f32;
    let (half, rest) = series(f);
    k * LN2[0] + (f - (half - (rest + k * LN2[1])))
}

#[inline(always)]
fn is_normal(x: f32) -> bool {
    (x >= f32::MIN_POSITIVE) & x.is_finite()
}

impl Curve<f32> for Log {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let (power, one_and) = split(x);
        natural(power, one_and - 1.0)
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        is_normal(x)
    }
    fn any(x: f32) -> f32 {
        libm::log(x.into()) as f32
    }
}

impl Curve<f32> for Log1p {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let whole = 1.0 + x;
        // What the sum lost, whichever of both is larger.
        let back = whole - 1.0;
        let lost = (1.0 - (whole - back)) + (x - back);
        let (power, one_and) = split(whole);
        // Near 0 this is x itself.
        let f = (one_and - 1.0) + lost * power_of_two(power.wrapping_neg());
        choose(x == 0.0, x, natural(power, f))
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        (x > -1.0) & (x < 1e30)
    }
    fn any(x: f32) -> f32 {
        libm::log1p(x.into()) as f32
    }
}

/// 1 / ln 2 − 1
const INVERSE_LN2_LESS_1: f32 = 0.442_695_04;

impl Curve<f32> for Log2 {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let (power, one_and) = split(x);
        let f = one_and - 1.0;
        let (half, rest) = series(f);
        let low = rest - half;
        let small = low * INVERSE_LN2_LESS_1 + f * INVERSE_LN2_LESS_1;
        ((small + low) + f) + (power as i32) as f32
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        is_normal(x)
    }
    fn any(x: f32) -> f32 {
        libm::log2(x.into()) as f32
    }
}

/// 1 / ln 10 and the logarithm of 2 in two parts, the first of few bits.
const INVERSE_LN10: [f32; 2] = [0.433_593_75, 7.007_319e-4];
const LOG10_2: [f32; 2] = [0.300_781_25, 2.487_456_6e-4];

impl Curve<f32> for Log10 {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let (power, one_and) = split(x);
        let k = (power as i32) as f32;
        let f = one_and - 1.0;
        let (half, rest) = series(f);
        // The upper half of f, whose product is exact.
        let high = f32::from_bits(f.to_bits() & 0xffff_f000);
        let low = (f - high) - (half - rest);
        let small = low * INVERSE_LN10[0] + (high + low) * INVERSE_LN10[1] + k * LOG10_2[1];
        let large = k * LOG10_2[0];
        large + (high * INVERSE_LN10[0] + small)
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        is_normal(x)
    }
    fn any(x: f32) -> f32 {
        libm::log10(x.into()) as f32
    }
}
