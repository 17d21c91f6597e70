//! `exp`, `expm1` and the hyperbolic functions of f32: e^x = 2^k · e^r with |r| ≤ ln 2 / 2.

use super::super::{Cosh, Curve, Exp, Expm1, Sinh, Tanh, choose};
use super::{at_least, at_most, power_of_two, rounded};
use std::f32::consts::LOG2_E;

/// ln 2 in two parts; an integer below 2^15 times the first is exact.
pub(super) const LN2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];

/// (e^r − 1 − r) / r² by powers of r.
const E: [f32; 5] = [0.499_999_94, 0.166_665_18, 0.041_668_408, 0.008_368_927, 0.001_381_416_2];

/// The bits of k, and e^r − 1 as r and the rest.
#[inline(always)]
fn parts(x: f32) -> (u32, f32, f32) {
    let (number, power) = rounded(x * LOG2_E);
    let r = (x - number * LN2[0]) - number * LN2[1];
    let z = r * r;
    (power, r, z * ((E[0] + E[1] * r) + z * ((E[2] + E[3] * r) + z * E[4])))
}

/// e^x · 2^scale, where neither that nor e^x leaves the range of normal numbers.
#[inline(always)]
fn scaled(x: f32, scale: u32) -> f32 {
    let (power, r, rest) = parts(x);
    let value = 1.0 + (r + rest);
    // The exponent's bits are above all others.
    f32::from_bits(value.to_bits().wrapping_add(power.wrapping_add(scale) << 23))
}

impl Curve<f32> for Exp {
    /// All arguments: from the limits on the value is 0 or infinite.
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let (power, r, rest) = parts(at_least(at_most(x, 89.0), -104.0));
        // Half of the power at a time, so that only the last product leaves the normal numbers.
        let half = ((power as i32) >> 1) as u32;
        let value = (1.0 + (r + rest)) * power_of_two(half);
        value * power_of_two(power.wrapping_sub(half))
    }
    #[inline(always)]
    fn covers(_: f32, _: f32) -> bool {
        true
    }
    fn any(x: f32) -> f32 {
        libm::exp(x.into()) as f32
    }
}

impl Curve<f32> for Expm1 {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        // Below, the value is −1.
        let (power, r, rest) = parts(at_least(x, -20.0));
        let scale = power_of_two(power);
        choose(x == 0.0, x, scale * (r + rest) + (scale - 1.0))
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        x < 88.0
    }
    fn any(x: f32) -> f32 {
        libm::expm1(x.into()) as f32
    }
}

/// (sinh x − x) / x³ by powers of x², to |x| = 1.
const S: [f32; 4] = [0.166_666_67, 0.008_333_350_5, 1.983_613_9e-4, 2.817_074e-6];

impl Curve<f32> for Sinh {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let a = x.abs();
        let z = a * a;
        let small = a + a * z * ((S[0] + S[1] * z) + z * z * (S[2] + S[3] * z));
        let half = scaled(a, 1_u32.wrapping_neg());
        choose(a < 1.0, small, half - 0.25 / half).copysign(x)
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        x.abs() < 88.0
    }
    fn any(x: f32) -> f32 {
        libm::sinh(x.into()) as f32
    }
}

impl Curve<f32> for Cosh {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let half = scaled(x.abs(), 1_u32.wrapping_neg());
        half + 0.25 / half
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        x.abs() < 88.0
    }
    fn any(x: f32) -> f32 {
        libm::cosh(x.into()) as f32
    }
}

/// (tanh x − x) / x³ by powers of x², to |x| = 5/8.
const T: [f32; 5] = [-0.333_332_8, 0.133_314_2, -0.053_737_797, 0.020_632_546, -0.005_697_384];

impl Curve<f32> for Tanh {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        // From there on the value is 1.
        let a = at_most(x.abs(), 10.0);
        let z = a * a;
        let small = a + a * z * ((T[0] + T[1] * z) + z * z * ((T[2] + T[3] * z) + z * z * T[4]));
        let large = 1.0 - 2.0 / (scaled(2.0 * a, 0) + 1.0);
        choose(a < 0.625, small, large).copysign(x)
    }
    #[inline(always)]
    fn covers(_: f32, _: f32) -> bool {
        true
    }
    fn any(x: f32) -> f32 {
        libm::tanh(x.into()) as f32
    }
}
