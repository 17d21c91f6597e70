//! `exp`, `expm1` and the hyperbolic functions: e^x = 2^k · e^r with |r| ≤ ln 2 / 2.

use super::{Curve, choose, power_of_two, rounded};
use std::f64::consts::LOG2_E;

/// ln 2 in two parts; an integer below 2^21 times the first is exact.
pub(super) const LN2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// The integer k as number and bits, and r with its rounding error.
#[inline(always)]
fn reduced(x: f64) -> (f64, u64, f64, f64) {
    let (number, bits) = rounded(x * LOG2_E);
    let high = x - number * LN2[0];
    let low = number * LN2[1];
    let rest = high - low;
    (number, bits, rest, (high - rest) - low)
}

/// (e^r − 1 − r) / r² by powers of r, to 58 bits of e^r; fitted.
const E: [f64; 10] = [
    0.500_000_000_000_001_1,
    0.166_666_666_666_664_05,
    0.041_666_666_666_526_93,
    0.008_333_333_333_498_246,
    0.001_388_888_894_460_184_5,
    0.000_198_412_695_007_301_1,
    2.480_149_198_447_53e-5,
    2.755_758_943_402_492e-6,
    2.763_067_937_977_729e-7,
    2.499_978_827_617_018_3e-8,
];

#[inline(always)]
fn exp(x: f64) -> f64 {
    let (_, power, r, _) = reduced(x);
    let (r2, pair) = (r * r, |place: usize| E[place] + E[place + 1] * r);
    let r4 = r2 * r2;
    let tail = (pair(4) + pair(6) * r2) + pair(8) * r4;
    let sum = (pair(0) + pair(2) * r2) + r4 * tail;
    let value = 1.0 + (r + r2 * sum);
    // The exponent's bits are above all others.
    f64::from_bits(value.to_bits().wrapping_add(power << 52))
}

/// Coefficients of `expm1`.
const Q: [f64; 5] = [
    -3.333_333_333_333_313e-2,
    1.587_301_587_254_814_6e-3,
    -7.936_507_578_674_88e-5,
    4.008_217_827_329_362e-6,
    -2.010_992_181_836_243_7e-7,
];

#[inline(always)]
fn expm1(x: f64) -> f64 {
    let (k, power, r, error) = reduced(x);
    let half = 0.5 * r;
    let square = r * half;
    let r1 =
        1.0 + square * (Q[0] + square * (Q[1] + square * (Q[2] + square * (Q[3] + square * Q[4]))));
    let t = 3.0 - r1 * half;
    let e = square * ((r1 - t) / (6.0 - r * t));
    let e = r * (e - error) - error - square;
    let scale = power_of_two(power);
    // Near −1/4 the sum of r and 1/2 is exact.
    let value =
        choose(k == 1.0 && r < -0.25, 2.0 * ((r + 0.5) - e), scale * (r - e) + (scale - 1.0));
    choose(x.abs() < 5e-17, x, value)
}

/// e^x
pub(in super::super) struct Exp;

impl Curve<f64> for Exp {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        exp(x)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        x.abs() < 708.0
    }
    fn any(x: f64) -> f64 {
        libm::exp(x)
    }
}

/// e^x − 1
pub(in super::super) struct Expm1;

impl Curve<f64> for Expm1 {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        expm1(x)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        x.abs() < 700.0
    }
    fn any(x: f64) -> f64 {
        libm::expm1(x)
    }
}

/// (sinh x − x) / x³ by powers of x², for |x| ≤ 1: 1 / n! from n = 3 on.
const S: [f64; 8] = [
    1.0 / 6.0,
    1.0 / 120.0,
    1.0 / 5040.0,
    1.0 / 362_880.0,
    1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];

/// The hyperbolic sine.
pub(in super::super) struct Sinh;

impl Curve<f64> for Sinh {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let a = x.abs();
        let z = a * a;
        let (w, pair) = (z * z, |place: usize| S[place] + S[place + 1] * z);
        let small = a + a * z * ((pair(0) + pair(2) * w) + (pair(4) + pair(6) * w) * (w * w));
        let e = exp(a);
        choose(a < 1.0, small, 0.5 * e - 0.5 / e).copysign(x)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        x.abs() < 700.0
    }
    fn any(x: f64) -> f64 {
        libm::sinh(x)
    }
}

/// The hyperbolic cosine.
pub(in super::super) struct Cosh;

impl Curve<f64> for Cosh {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        let e = exp(x.abs());
        0.5 * e + 0.5 / e
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        x.abs() < 700.0
    }
    fn any(x: f64) -> f64 {
        libm::cosh(x)
    }
}

/// Coefficients of `tanh` near 0, those of Cephes.
const T: [f64; 6] = [
    -1.614_687_684_417_084_5e3,
    -9.928_772_310_019_185e1,
    -9.643_991_794_250_523e-1,
    4.844_063_053_251_255e3,
    2.235_488_390_601_004_4e3,
    1.128_116_784_916_329_3e2,
];

/// The hyperbolic tangent.
pub(in super::super) struct Tanh;

impl Curve<f64> for Tanh {
    #[inline(always)]
    fn near(x: f64) -> f64 {
        // From there on the value is 1.
        let size = choose(x.abs() > 22.0, 22.0, x.abs());
        let z = size * size;
        let quotient = (T[0] + z * (T[1] + z * T[2])) / (T[3] + z * (T[4] + z * (T[5] + z)));
        let small = size + size * z * quotient;
        let large = 1.0 - 2.0 / (exp(2.0 * size) + 1.0);
        choose(size < 0.625, small, large).copysign(x)
    }
    #[inline(always)]
    fn covers(x: f64, _: f64) -> bool {
        !x.is_nan()
    }
    fn any(x: f64) -> f64 {
        libm::tanh(x)
    }
}
