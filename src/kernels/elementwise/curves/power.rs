//! `x ** y` of f64: 2 to the power y · log2 x, whose logarithm has some 70 bits; and `hypot`.

use super::{Curve2, choose, number, power_of_two, rounded, upper};

const L: [f64; 6] = [
    5.999_999_999_999_946e-1,
    4.285_714_285_785_502e-1,
    3.333_333_298_183_774_3e-1,
    2.727_281_238_085_34e-1,
    2.306_607_457_755_617_5e-1,
    2.069_750_178_003_384_2e-1,
];
const P: [f64; 5] = [
    1.666_666_666_666_660_2e-1,
    -2.777_777_777_701_559_3e-3,
    6.613_756_321_437_934e-5,
    -1.653_390_220_546_525_2e-6,
    4.138_136_797_057_238_5e-8,
];
/// 2 / (3 ln 2): whole, and in two parts.
const SCALE: [f64; 3] =
    [9.617_966_939_259_756e-1, 9.617_967_009_544_373e-1, -7.028_461_650_952_758e-9];
/// log2 1.5 in two parts.
const LOG_ONE_AND_HALF: [f64; 2] = [5.849_624_872_207_642e-1, 1.350_039_202_129_749e-8];
/// ln 2: whole, and in two parts.
const LN2: [f64; 3] = [std::f64::consts::LN_2, 6.931_471_824_645_996e-1, -1.904_654_299_957_768e-9];

/// log2 x in two parts, the first with half of the bits, of a positive normal number.
#[inline(always)]
fn logarithm(x: f64) -> (f64, f64) {
    let bits = x.to_bits();
    let fraction = bits & 0x000f_ffff_ffff_ffff;
    // Beside 1, 3/2 or 2, whichever is nearest.
    let above = fraction >= 0xb_b67a << 32;
    let middle = (fraction >= 0x3_988f << 32) & !above;
    let exponent = (bits >> 52).wrapping_sub(1023).wrapping_add(u64::from(above));
    let m = f64::from_bits(fraction | if above { 0x3fe << 52 } else { 0x3ff << 52 });
    let base = choose(middle, 1.5, 1.0);
    let u = m - base;
    let v = 1.0 / (m + base);
    let s = u * v;
    let s_high = upper(s);
    let sum_high = upper(m + base);
    let sum_low = m - (sum_high - base);
    let s_low = v * ((u - s_high * sum_high) - s_high * sum_low);
    let square = s * s;
    let series = L[0]
        + square * (L[1] + square * (L[2] + square * (L[3] + square * (L[4] + square * L[5]))));
    let r = square * square * series + s_low * (s_high + s);
    let square = s_high * s_high;
    let t_high = upper(3.0 + square + r);
    let t_low = r - ((t_high - 3.0) - square);
    let u = s_high * t_high;
    let v = s_low * t_high + t_low * s;
    let p_high = upper(u + v);
    let p_low = v - (p_high - u);
    let z_high = SCALE[1] * p_high;
    let z_low = SCALE[2] * p_high + p_low * SCALE[0] + choose(middle, LOG_ONE_AND_HALF[1], 0.0);
    let log_base = choose(middle, LOG_ONE_AND_HALF[0], 0.0);
    let k = number(exponent);
    let high = upper(((z_high + z_low) + log_base) + k);
    (high, z_low - (((high - k) - log_base) - z_high))
}

#[inline(always)]
fn power(x: f64, y: f64) -> f64 {
    let (high, low) = logarithm(x);
    let y_high = upper(y);
    let product_low = (y - y_high) * high + y * low;
    let product_high = y_high * high;
    let (count, power) = rounded(product_low + product_high);
    let product_high = product_high - count;
    let t = upper(product_low + product_high);
    let u = t * LN2[1];
    let v = (product_low - (t - product_high)) * LN2[0] + t * LN2[2];
    let z = u + v;
    let w = v - (z - u);
    let t = z * z;
    let t1 = z - t * (P[0] + t * (P[1] + t * (P[2] + t * (P[3] + t * P[4]))));
    let r = (z * t1) / (t1 - 2.0) - (w + z * w);
    (1.0 - (r - z)) * power_of_two(power)
}

/// `x ** y`
pub(in super::super) struct Power;

impl Curve2<f64> for Power {
    #[inline(always)]
    fn near(x: f64, y: f64) -> f64 {
        power(x, y)
    }
    /// Positive normal numbers, and results far from the range's ends.
    #[inline(always)]
    fn covers(x: f64, y: f64, value: f64) -> bool {
        // The logarithm is below the exponent's magnitude and 1; beyond the range, bits of the
        // result would wrap.
        let exponent = number((x.to_bits() >> 52).wrapping_sub(1023)).abs() + 1.0;
        (x >= f64::MIN_POSITIVE)
            & x.is_finite()
            & (exponent * y.abs() < 1000.0)
            & (value > 1e-300)
            & (value < 1e300)
    }
    fn any(x: f64, y: f64) -> f64 {
        libm::pow(x, y)
    }
}

/// The root of the sum of two squares.
pub(in super::super) struct Hypot;

impl Curve2<f64> for Hypot {
    #[inline(always)]
    fn near(x: f64, y: f64) -> f64 {
        (x * x + y * y).sqrt()
    }
    /// Where no square that counts is subnormal or infinite.
    #[inline(always)]
    fn covers(_: f64, _: f64, value: f64) -> bool {
        (value > 1e-140) & (value < 1e150)
    }
    fn any(x: f64, y: f64) -> f64 {
        libm::hypot(x, y)
    }
}
