//! Inverse trigonometric functions of f32, and the cube root.

use super::super::{Arccos, Arcsin, Arctan, Arctan2, Cbrt, Curve, Curve2, choose};
use super::rounded;
use std::f32::consts::{FRAC_PI_2, PI};

/// π/2 and π in two parts.
const HALF_PI: [f32; 2] = [FRAC_PI_2, -4.371_139e-8];
const WHOLE_PI: [f32; 2] = [PI, -8.742_278e-8];

/// (arctan t − t) / t³ by powers of t², to t = 1.
const A: [f32; 9] = [
    -0.333_333,
    0.199_985_49,
    -0.142_642_42,
    0.109_521_86,
    -0.084_034_51,
    0.057_957_6,
    -0.031_177_852,
    0.010_914_609,
    -0.001_793_622_4,
];

/// The inverse tangent of a number from 0 to 1.
#[inline(always)]
fn within_one(t: f32) -> f32 {
    let z = t * t;
    let w = z * z;
    let first = (A[0] + z * A[1]) + w * (A[2] + z * A[3]);
    let second = (A[4] + z * A[5]) + w * (A[6] + z * A[7]);
    t + t * z * (first + w * w * (second + w * w * A[8]))
}

impl Curve<f32> for Arctan {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let a = x.abs();
        let beyond = a > 1.0;
        let angle = within_one(choose(beyond, 1.0 / a, a));
        choose(beyond, HALF_PI[0] - (angle - HALF_PI[1]), angle).copysign(x)
    }
    #[inline(always)]
    fn covers(_: f32, _: f32) -> bool {
        true
    }
    fn any(x: f32) -> f32 {
        libm::atan(x.into()) as f32
    }
}

impl Curve2<f32> for Arctan2 {
    #[inline(always)]
    fn near(y: f32, x: f32) -> f32 {
        let (up, along) = (y.abs(), x.abs());
        let steep = up > along;
        let quotient = choose(steep, along, up) / choose(steep, up, along);
        let angle = within_one(quotient);
        let angle = choose(steep, HALF_PI[0] - (angle - HALF_PI[1]), angle);
        choose(x < 0.0, WHOLE_PI[0] - (angle - WHOLE_PI[1]), angle).copysign(y)
    }
    /// Points not too near to an axis, neither zero nor infinite.
    #[inline(always)]
    fn covers(y: f32, x: f32, _: f32) -> bool {
        let (up, along) = (y.abs(), x.abs());
        let steep = up > along;
        choose(steep, along, up) / choose(steep, up, along) > 1e-30
    }
    fn any(y: f32, x: f32) -> f32 {
        libm::atan2(y.into(), x.into()) as f32
    }
}

/// (arcsin t − t) / t³ by powers of t², to t = 1/2.
const S: [f32; 5] = [0.166_667_52, 0.074_952_886, 0.045_471_605, 0.024_172_96, 0.042_178_217];

/// For |x| below 1/2 that, else the root of (1 − |x|) / 2; and its arcsine less itself.
#[inline(always)]
fn arc(a: f32) -> (f32, f32) {
    let small = a < 0.5;
    let z = choose(small, a * a, (1.0 - a) * 0.5);
    let s = choose(small, a, z.sqrt());
    (s, s * z * ((S[0] + z * S[1]) + z * z * ((S[2] + z * S[3]) + z * z * S[4])))
}

impl Curve<f32> for Arcsin {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let a = x.abs();
        let (s, rest) = arc(a);
        let large = (HALF_PI[0] - 2.0 * s) - (2.0 * rest - HALF_PI[1]);
        choose(a < 0.5, s + rest, large).copysign(x)
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        x.abs() <= 1.0
    }
    fn any(x: f32) -> f32 {
        libm::asin(x.into()) as f32
    }
}

impl Curve<f32> for Arccos {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let a = x.abs();
        let (s, rest) = arc(a);
        let middle = HALF_PI[0] - (x + (rest.copysign(x) - HALF_PI[1]));
        let left = 2.0 * (HALF_PI[0] - (s + (rest - HALF_PI[1])));
        choose(a < 0.5, middle, choose(x < 0.0, left, 2.0 * (s + rest)))
    }
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        x.abs() <= 1.0
    }
    fn any(x: f32) -> f32 {
        libm::acos(x.into()) as f32
    }
}

/// Bits that with a third of a number's taken away are those of its inverse cube root, to 5 %.
const INVERSE: f32 = 1_419_967_116.0;

impl Curve<f32> for Cbrt {
    #[inline(always)]
    fn near(x: f32) -> f32 {
        let a = x.abs();
        // Of bits below 2^31 the nearest multiple of 2^9 suffices.
        let bits = (INVERSE - (a.to_bits() as i32) as f32 * (1.0 / 3.0)) * (1.0 / 512.0);
        let y = f32::from_bits(rounded(bits).1 << 9);
        // To 13 bits, by the first terms of (1 − e)^(−1/3).
        let e = 1.0 - a * y * y * y;
        let y = y + y * e * (1.0 / 3.0 + e * (2.0 / 9.0 + e * (14.0 / 81.0)));
        let root = a * y * y;
        // One step of Newton's method, with all digits of the cube.
        let wide = f64::from(root);
        let lacks = (f64::from(a) - wide * wide * wide) as f32;
        (root + lacks * (y * y * (1.0 / 3.0))).copysign(x)
    }
    /// Where what the cube lacks is not subnormal.
    #[inline(always)]
    fn covers(x: f32, _: f32) -> bool {
        (x.abs() > 1e-25) & (x.abs() < f32::INFINITY)
    }
    fn any(x: f32) -> f32 {
        libm::cbrt(x.into()) as f32
    }
}
