//! Trigonometric functions of f32, of what is left above a multiple of π/2.

use super::super::{Cos, Curve, Sin, Tan, choose};
use super::rounded;
use std::f32::consts::FRAC_2_PI;

/// π/2 in four parts; an integer below 2^13 times one of the first three is exact.
const HALF_PI: [f32; 4] = [1.570_312_5, 4.837_513e-4, 7.549_533_6e-8, 2.563_344e-12];

/// Arguments to which the products with these parts are exact.
const LIMIT: f32 = 12_000.0;

/// What is left, in two parts, and the bits of the multiple.
#[inline(always)]
fn reduced(x: f32) -> (f32, f32, u32) {
    let (count, quarter) = rounded(x * FRAC_2_PI);
    let first = (x - count * HALF_PI[0]) - count * HALF_PI[1];
    let part = count * HALF_PI[2];
    let second = first - part;
    let last = count * HALF_PI[3];
    let r = second - last;
    (r, ((first - second) - part) + ((second - r) - last), quarter)
}

/// (sin r − r) / r³ and (cos r − 1 + r²/2) / r⁴ by powers of r².
const S: [f32; 3] = [-0.166_666_54, 0.008_332_151, -1.951_398e-4];
const C: [f32; 3] = [0.041_666_646, -0.001_388_735_5, 2.443_700_8e-5];

/// The sine of r, or its cosine.
#[inline(always)]
fn either(r: f32, is_sine: bool) -> f32 {
    let z = r * r;
    let sin = r + r * z * (S[0] + z * (S[1] + z * S[2]));
    let cos = (1.0 - 0.5 * z) + z * z * (C[0] + z * (C[1] + z * C[2]));
    choose(is_sine, sin, cos)
}

/// The sign that bit 1 of a quarter gives.
#[inline(always)]
fn signed(value: f32, quarter: u32) -> f32 {
    f32::from_bits(value.to_bits() ^ ((quarter & 2) << 30))
}

/// Whether the parts of π/2 suffice for this argument and value.
#[inline(always)]
fn is_near(x: f32, y: f32) -> bool {
    (x.abs() < LIMIT) & ((y.abs() > 2e-5) | (x.abs() < 0.7))
}

impl Curve<f32> for Sin {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let (r, _, quarter) = reduced(x);
        // Keeps the sign of zero.
        choose(x == 0.0, x, signed(either(r, quarter & 1 == 0), quarter))
    }
    #[inline(always)]
    fn covers(x: f32, y: f32) -> bool {
        is_near(x, y)
    }
    fn any(x: f32) -> f32 {
        libm::sin(x.into()) as f32
    }
}

impl Curve<f32> for Cos {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let (r, _, quarter) = reduced(x);
        signed(either(r, quarter & 1 == 1), quarter.wrapping_add(1))
    }
    #[inline(always)]
    fn covers(x: f32, y: f32) -> bool {
        is_near(x, y)
    }
    fn any(x: f32) -> f32 {
        libm::cos(x.into()) as f32
    }
}

/// (tan r − r) / r³ by powers of r².
const T: [f32; 6] =
    [0.333_331_53, 0.133_389_34, 0.053_399_865, 0.024_471_622, 0.003_052_248_4, 0.009_426_094];

impl Curve<f32> for Tan {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let (r, low, quarter) = reduced(x);
        let z = r * r;
        let w = z * z;
        let sum = (T[0] + z * T[1]) + w * ((T[2] + z * T[3]) + w * (T[4] + z * T[5]));
        let rest = r * z * sum;
        let tan = r + rest;
        // What r lacks counts by the slope there.
        let tan = r + (rest + low * (1.0 + tan * tan));
        choose(x == 0.0, x, choose(quarter & 1 == 0, tan, -1.0 / tan))
    }
    #[inline(always)]
    fn covers(x: f32, y: f32) -> bool {
        is_near(x, y) & (y.abs() < 5e4)
    }
    fn any(x: f32) -> f32 {
        libm::tan(x.into()) as f32
    }
}
