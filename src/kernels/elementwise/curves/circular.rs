//! Trigonometric functions and their inverses, and the cube root.

use super::{Curve, Curve2, choose, rounded, upper};
use std::f64::consts::FRAC_2_PI;

/// π/2 in three parts; an integer below 2^20 times one of the first two is exact.
const HALF_PI: [f64; 3] =
    [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];

const S: [f64; 6] = [
    -1.666_666_666_666_663_2e-1,
    8.333_333_333_322_49e-3,
    -1.984_126_982_985_795e-4,
    2.755_731_370_707_006_8e-6,
    -2.505_076_025_340_686_3e-8,
    1.589_690_995_211_55e-10,
];
const C: [f64; 6] = [
    4.166_666_666_666_66e-2,
    -1.388_888_888_887_411e-3,
    2.480_158_728_947_673e-5,
    -2.755_731_435_139_066_3e-7,
    2.087_572_321_298_175e-9,
    -1.135_964_755_778_819_5e-11,
];

/// Sine and cosine of what is left of x above a multiple of π/2, each with what its rounding lost,
/// and that multiple's bits.
#[inline(always)]
fn both(x: f64) -> ([f64; 2], [f64; 2], u64) {
    let (count, quarter) = rounded(x * FRAC_2_PI);
    let first = x - count * HALF_PI[0];
    let part = count * HALF_PI[1];
    let second = first - part;
    // What the subtraction lost, whichever is larger.
    let back = second - first;
    let lost = (first - (second - back)) - (part + back);
    let rest = count * HALF_PI[2] - lost;
    let r = second - rest;
    let low = (second - r) - rest;

    let z = r * r;
    let w = z * z;
    let v = z * r;
    let sum = S[1] + z * (S[2] + z * S[3]) + z * w * (S[4] + z * S[5]);
    let less = (z * (0.5 * low - v * sum) - low) - v * S[0];
    let sin = r - less;
    let sin = [sin, (r - sin) - less];
    let sum = z * (C[0] + z * (C[1] + z * C[2])) + w * w * (C[3] + z * (C[4] + z * C[5]));
    let half = 0.5 * z;
    let near = 1.0 - half;
    let more = ((1.0 - near) - half) + (z * sum - r * low);
    let cos = near + more;
    let cos = [cos, (near - cos) + more];
    (sin, cos, quarter)
}

/// The sign that bit 1 of a quarter gives.
#[inline(always)]
fn signed(value: f64, quarter: u64) -> f64 {
    f64::from_bits(value.to_bits() ^ ((quarter & 2) << 62))
}

/// Whether the three parts of π/2 suffice for this argument and value.
#[inline(always)]
fn is_near(x: f64, y: f64) -> bool {
    (x.abs() < 1e6) & ((y.abs() > 1e-9) | (x.abs() < 0.7))
}

/// The sine.
pub(in super::super) struct Sin;

impl Curve<f64> for Sin {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let (sin, cos, quarter) = both(x);
        signed(choose(quarter & 1 == 0, sin[0], cos[0]), quarter)
    }
    #[inline(always)]
    fn covers(x: f64, y: f64) -> bool {
        is_near(x, y)
    }
    fn any(x: f64) -> f64 {
        libm::sin(x)
    }
}

/// The cosine.
pub(in super::super) struct Cos;

impl Curve<f64> for Cos {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let (sin, cos, quarter) = both(x);
        signed(choose(quarter & 1 == 0, cos[0], sin[0]), quarter.wrapping_add(1))
    }
    #[inline(always)]
    fn covers(x: f64, y: f64) -> bool {
        is_near(x, y)
    }
    fn any(x: f64) -> f64 {
        libm::cos(x)
    }
}

/// The tangent.
pub(in super::super) struct Tan;

impl Curve<f64> for Tan {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let (sin, cos, quarter) = both(x);
        let even = quarter & 1 == 0;
        let above = [choose(even, sin[0], -cos[0]), choose(even, sin[1], -cos[1])];
        let below = [choose(even, cos[0], sin[0]), choose(even, cos[1], sin[1])];
        let quotient = above[0] / below[0];
        let value = quotient + (above[1] - quotient * below[1]) / below[0];
        // Keeps the sign of zero.
        choose(x == 0.0, x, value)
    }
    #[inline(always)]
    fn covers(x: f64, y: f64) -> bool {
        is_near(x, y) & (y.abs() < 1e9)
    }
    fn any(x: f64) -> f64 {
        libm::tan(x)
    }
}

const A: [f64; 11] = [
    3.333_333_333_333_293e-1,
    -1.999_999_999_987_648_3e-1,
    1.428_571_427_250_346_6e-1,
    -1.111_111_040_546_235_6e-1,
    9.090_887_133_436_507e-2,
    -7.691_876_205_044_83e-2,
    6.661_073_137_387_531e-2,
    -5.833_570_133_790_573_5e-2,
    4.976_877_994_615_932_4e-2,
    -3.653_157_274_421_691_6e-2,
    1.628_582_011_536_578_2e-2,
];

/// The inverse tangent.
pub(in super::super) struct Arctan;

impl Curve<f64> for Arctan {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let a = x.abs();
        let (mut above, mut below, mut high, mut low) = (a, 1.0, 0.0, 0.0);
        // The value at 1/2, 1, 3/2 and infinity, in two parts, and the argument beside it.
        let mut from = |start: f64, numerator: f64, denominator: f64, parts: [f64; 2]| {
            let there = a >= start;
            above = choose(there, numerator, above);
            below = choose(there, denominator, below);
            high = choose(there, parts[0], high);
            low = choose(there, parts[1], low);
        };
        from(
            0.4375,
            2.0 * a - 1.0,
            2.0 + a,
            [4.636_476_090_008_061e-1, 2.269_877_745_296_168_7e-17],
        );
        from(0.6875, a - 1.0, a + 1.0, [std::f64::consts::FRAC_PI_4, 3.061_616_997_868_383e-17]);
        from(
            1.1875,
            a - 1.5,
            1.0 + 1.5 * a,
            [9.827_937_232_473_29e-1, 1.390_331_103_123_099_8e-17],
        );
        from(2.4375, -1.0, a, [std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17]);
        let t = above / below;
        let z = t * t;
        let w = z * z;
        let odd = z * (A[0] + w * (A[2] + w * (A[4] + w * (A[6] + w * (A[8] + w * A[10])))));
        let even = w * (A[1] + w * (A[3] + w * (A[5] + w * (A[7] + w * A[9]))));
        (high - ((t * (odd + even) - low) - t)).copysign(x)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        !x.is_nan()
    }
    fn any(x: f64) -> f64 {
        libm::atan(x)
    }
}

/// The angle of a point (y, x).
pub(in super::super) struct Arctan2;

impl Curve2<f64> for Arctan2 {
    #[inline(always)]
    fn near(y: f64, x: f64) -> f64 {
        let angle = Arctan::near((y / x).abs());
        let pi = [2.0 * QUARTER[0], 2.0 * QUARTER[1]];
        choose(x < 0.0, pi[0] - (angle - pi[1]), angle).copysign(y)
    }
    /// Points far from the axes, neither zero nor infinite.
    #[inline(always)]
    fn covers(y: f64, x: f64, _: f64) -> bool {
        let ratio = (y / x).abs();
        (x.abs() < f64::INFINITY) & (ratio > 1e-15) & (ratio < 1e15)
    }
    fn any(y: f64, x: f64) -> f64 {
        libm::atan2(y, x)
    }
}

const P: [f64; 6] = [
    1.666_666_666_666_666_6e-1,
    -3.255_658_186_224_009e-1,
    2.012_125_321_348_629_3e-1,
    -4.005_553_450_067_941e-2,
    7.915_349_942_898_145e-4,
    3.479_331_075_960_212e-5,
];
const Q: [f64; 4] = [
    -2.403_394_911_734_414,
    2.020_945_760_233_505_7,
    -6.882_839_716_054_533e-1,
    7.703_815_055_590_194e-2,
];

/// π/2 in two parts.
const QUARTER: [f64; 2] = [std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17];

#[inline(always)]
fn arc(z: f64) -> f64 {
    let p = z * (P[0] + z * (P[1] + z * (P[2] + z * (P[3] + z * (P[4] + z * P[5])))));
    p / (1.0 + z * (Q[0] + z * (Q[1] + z * (Q[2] + z * Q[3]))))
}

/// The inverse sine.
pub(in super::super) struct Arcsin;

impl Curve<f64> for Arcsin {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let a = x.abs();
        let small = a < 0.5;
        let z = choose(small, a * a, (1.0 - a) * 0.5);
        let r = arc(z);
        let s = z.sqrt();
        let f = upper(s);
        let c = (z - f * f) / (s + f);
        let half = 0.5 * QUARTER[0];
        let middle = half - (2.0 * s * r - (QUARTER[1] - 2.0 * c) - (half - 2.0 * f));
        let end = QUARTER[0] - (2.0 * (s + s * r) - QUARTER[1]);
        choose(small, a + a * r, choose(a > 0.975, end, middle)).copysign(x)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        x.abs() <= 1.0
    }
    fn any(x: f64) -> f64 {
        libm::asin(x)
    }
}

/// The inverse cosine.
pub(in super::super) struct Arccos;

impl Curve<f64> for Arccos {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let a = x.abs();
        let small = a < 0.5;
        let z = choose(small, a * a, (1.0 - a) * 0.5);
        let r = arc(z);
        let s = z.sqrt();
        let f = upper(s);
        let c = (z - f * f) / (s + f);
        let middle = QUARTER[0] - (x - (QUARTER[1] - x * r));
        let left = 2.0 * (QUARTER[0] - (s + (r * s - QUARTER[1])));
        let right = 2.0 * (f + (r * s + c));
        choose(small, middle, choose(x < 0.0, left, right))
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        (x > -1.0) & (x < 1.0)
    }
    fn any(x: f64) -> f64 {
        libm::acos(x)
    }
}

/// The cube root.
pub(in super::super) struct Cbrt;

impl Curve<f64> for Cbrt {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let a = x.abs();
        // A third of the exponent, to 5 bits; then a polynomial to 23 bits.
        let third = (a.to_bits() >> 32) as u32 / 3;
        let t = f64::from_bits(u64::from(third.wrapping_add(715_094_163)) << 32);
        let r = t * t * (t / a);
        let low =
            1.875_951_824_271_77 + r * (-1.884_979_795_433_771_7 + r * 1.621_429_720_105_354_5);
        let high = -7.583_979_347_787_66e-1 + r * 1.459_961_928_866_124_5e-1;
        let t = t * (low + r * r * r * high);
        // Its square is exact; one step of Newton's method does the rest.
        let t = f64::from_bits(t.to_bits().wrapping_add(0x8000_0000) & 0xffff_ffff_c000_0000);
        let quotient = a / (t * t);
        (t + t * ((quotient - t) / (t + t + quotient))).copysign(x)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        (x.abs() >= f64::MIN_POSITIVE) & (x.abs() < f64::INFINITY)
    }
    fn any(x: f64) -> f64 {
        libm::cbrt(x)
    }
}
