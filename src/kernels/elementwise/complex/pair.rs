//! Numbers as sums of two f64, and the functions of real numbers that complex ones are made of.
//!
//! Products and sums of pairs keep some 100 bits; `exp`, `sin`, `log1p` and the others some 60, so
//! that a complex function made of a few of them is off by little more than its one last
//! rounding. Sums and products are those of Knuth and Dekker: only additions and multiplications,
//! none fused, so every machine gives the same bits. Arguments must be finite and far enough from
//! the ends of the range that no square overflows; signs of zero are the caller's.

use std::f64::consts::{FRAC_2_PI, LN_2, LOG2_E};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// `high + low`, where the second is at most half a unit in the last place of the first.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Pair {
    pub(super) high: f64,
    pub(super) low: f64,
}

/// The logarithm of 2.
pub(super) const LN2: Pair = Pair { high: LN_2, low: 2.319_046_813_846_299_6e-17 };

/// One sixth.
const SIXTH: Pair = Pair { high: 1.0 / 6.0, low: 9.251_858_538_542_97e-18 };

impl Pair {
    pub(super) const ONE: Self = Self { high: 1.0, low: 0.0 };

    /// A number, exactly.
    #[inline]
    pub(super) fn of(high: f64) -> Self {
        Self { high, low: 0.0 }
    }

    /// The sum of two numbers, exactly.
    #[inline]
    pub(super) fn sum(x: f64, y: f64) -> Self {
        let high = x + y;
        let other = high - x;
        Self { high, low: (x - (high - other)) + (y - other) }
    }

    /// The sum of two numbers, the first being the larger one, exactly.
    #[inline]
    fn ordered(x: f64, y: f64) -> Self {
        let high = x + y;
        Self { high, low: y - (high - x) }
    }

    /// The product of two numbers, exactly.
    #[inline]
    pub(super) fn product(x: f64, y: f64) -> Self {
        let (a, b) = (halves(x), halves(y));
        let high = x * y;
        let low = ((a[0] * b[0] - high) + a[0] * b[1] + a[1] * b[0]) + a[1] * b[1];
        Self { high, low }
    }

    #[inline]
    pub(super) fn square(self) -> Self {
        self * self
    }

    /// Times a power of two.
    #[inline]
    pub(super) fn times(self, scale: f64) -> Self {
        Self { high: self.high * scale, low: self.low * scale }
    }

    pub(super) fn abs(self) -> Self {
        if self.high < 0.0 { -self } else { self }
    }

    /// The root of a number that is not negative.
    pub(super) fn sqrt(self) -> Self {
        if self.high <= 0.0 {
            return Self::of(0.0);
        }
        let root = self.high.sqrt();
        let rest = self - Self::product(root, root);
        Self::ordered(root, rest.high / (2.0 * root))
    }

    /// The nearest f64.
    #[inline]
    pub(super) fn value(self) -> f64 {
        self.high + self.low
    }
}

/// A number as the sum of two of 26 bits.
#[inline]
fn halves(x: f64) -> [f64; 2] {
    let shifted = x * 134_217_729.0;
    let high = shifted - (shifted - x);
    [high, x - high]
}

impl Add for Pair {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        let (high, low) = (Self::sum(self.high, other.high), Self::sum(self.low, other.low));
        let sum = Self::ordered(high.high, high.low + low.high);
        Self::ordered(sum.high, sum.low + low.low)
    }
}

impl Sub for Pair {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Pair {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Mul for Pair {
    type Output = Self;
    #[inline]
    fn mul(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        let rest = self.high * other.low + self.low * other.high;
        Self::ordered(product.high, product.low + rest)
    }
}

impl Div for Pair {
    type Output = Self;
    #[inline]
    fn div(self, other: Self) -> Self {
        let quotient = self.high / other.high;
        let rest = self - other * Self::of(quotient);
        Self::ordered(quotient, rest.high / other.high)
    }
}

/// The sum of a series by its coefficients, the highest first, two at a time.
#[inline(always)]
fn series(x: f64, coefficients: &[f64]) -> f64 {
    let square = x * x;
    coefficients.rchunks(2).rev().fold(0.0, |sum, pair| match pair {
        [upper, lower] => sum * square + (upper * x + lower),
        [only] => *only,
        _ => sum,
    })
}

/// 1 / n! from n = 20 down to 0.
const FACTORIALS: [f64; 21] = {
    let mut table = [1.0; 21];
    let (mut n, mut product) = (1, 1.0);
    while n <= 20 {
        // Up to 18! this is exact.
        product *= n as f64;
        table[20 - n] = 1.0 / product;
        n += 1;
    }
    table
};

/// 1 / n! for every second n, from the first down to the last.
const fn every_second<const N: usize>(first: usize, sign: f64) -> [f64; N] {
    let mut table = [0.0; N];
    let mut place = 0;
    while place < N {
        let n = first - 2 * place;
        let odd = (n / 2) % 2 == 1;
        table[place] = FACTORIALS[20 - n] * if odd { sign } else { 1.0 };
        place += 1;
    }
    table
}

const SIN: [f64; 8] = every_second(19, -1.0);
const COS: [f64; 8] = every_second(20, -1.0);
const SINH: [f64; 6] = every_second(15, 1.0);
const COSH: [f64; 6] = every_second(14, 1.0);

/// Up to here the series of `exp` and the hyperbolic functions are taken.
const NEAR: f64 = 0.347;

/// `x + y + rest`, each much smaller than the one before.
#[inline]
fn total(x: Pair, y: Pair, rest: f64) -> Pair {
    let sum = Pair::sum(x.high, y.high);
    Pair::ordered(sum.high, sum.low + (x.low + (y.low + rest)))
}

/// `exp(r) − 1` for a number of at most `NEAR`, relative to its own size.
fn near_expm1(r: Pair) -> Pair {
    let x = r.high;
    let square = r.square();
    let sum = total(r, square.times(0.5), 0.0);
    total(sum, square * r * SIXTH, square.high * square.high * series(x, &FACTORIALS[4..17]))
}

/// `exp(x)` as a number near 1 and a power of two; from ±2000 on the power is that of ±2000.
pub(super) fn exp(x: Pair) -> (Pair, i32) {
    /// The logarithm of 2 in two parts, of which the first times an integer below 2^20 is exact.
    const PARTS: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    let x = if x.high.abs() > 2000.0 { Pair::of(2000.0_f64.copysign(x.high)) } else { x };
    let count = (x.high * LOG2_E).round_ties_even();
    let first = x.high - count * PARTS[0];
    let r = total(Pair::of(first), Pair::product(-count, PARTS[1]), x.low);
    (total(Pair::ONE, near_expm1(r), 0.0), count as i32)
}

/// `exp(x) − 1` for a number of at most 700, relative to its own size.
pub(super) fn expm1(x: f64) -> Pair {
    if x.abs() <= NEAR {
        return near_expm1(Pair::of(x));
    }
    let (power, exponent) = exp(Pair::of(x));
    power.times(power_of_two(exponent)) - Pair::ONE
}

/// 2 to an integer power within ±1022.
pub(super) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::from((exponent + 1023).unsigned_abs()) << 52)
}

/// A number times any power of two, rounded once but for results below the normal range.
pub(super) fn scaled(value: f64, exponent: i32) -> f64 {
    let mut value = value;
    let mut rest = exponent.clamp(-5000, 5000);
    while rest.abs() > 1000 {
        let step = rest.clamp(-1000, 1000);
        value *= power_of_two(step);
        rest -= step;
    }
    value * power_of_two(rest)
}

/// `x · y · 2^exponent` of any size, with the sign of the product, zero or not.
pub(super) fn product(x: Pair, y: Pair, exponent: i32) -> f64 {
    let sign = x.high * y.high;
    // The smallest numbers first become large enough for the product's rest to be kept.
    let (x, down) = if x.high.abs() < 1e-200 { (x.times(power_of_two(900)), 900) } else { (x, 0) };
    let (y, more) = if y.high.abs() < 1e-200 { (y.times(power_of_two(900)), 900) } else { (y, 0) };
    scaled((x * y).value().abs(), exponent - down - more).copysign(sign)
}

/// Sine and cosine.
pub(super) fn sincos(x: Pair) -> (Pair, Pair) {
    /// π/2 in three parts; an integer below 2^20 times one of the first two is exact.
    const PARTS: [f64; 3] =
        [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];
    if x.high.abs() < 1e-8 {
        let low = x.low - x.high * x.high * x.high * SIXTH.high;
        let cos = Pair::ordered(1.0, -0.5 * x.high * x.high);
        return (Pair { high: x.high, low }, cos);
    }
    if x.high.abs() > 1e6 {
        let (sin, cos) = libm::sincos(x.high);
        return (Pair::ordered(sin, x.low * cos), Pair::ordered(cos, -x.low * sin));
    }
    let count = (x.high * FRAC_2_PI).round_ties_even();
    let first = Pair::sum(x.high - count * PARTS[0], -count * PARTS[1]);
    let r = total(first, Pair::product(-count, PARTS[2]), x.low);
    let square = r.square();
    let z = square.high;
    let sin = total(r, square * r * -SIXTH, z * z * r.high * series(z, &SIN));
    let cos = total(Pair::ONE, square.times(-0.5), 0.0);
    let cos = total(cos, square.square() * SIXTH.times(0.25), z * z * z * series(z, &COS));
    match count as i64 & 3 {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// Hyperbolic sine and cosine, both times the same power of two.
pub(super) fn sinhcosh(x: f64) -> (Pair, Pair, i32) {
    let size = x.abs();
    if size < 1e-8 {
        let cosh = Pair::ordered(1.0, 0.5 * x * x);
        return (Pair { high: x, low: x * x * x * SIXTH.high }, cosh, 0);
    }
    let (sinh, cosh, exponent) = if size < NEAR {
        let x = Pair::of(size);
        let square = x.square();
        let z = square.high;
        let sinh = total(x, square * x * SIXTH, z * z * size * series(z, &SINH));
        (sinh, total(Pair::ONE, square.times(0.5), z * z * series(z, &COSH)), 0)
    } else {
        let (power, exponent) = exp(Pair::of(size));
        if size < 40.0 {
            let power = power.times(power_of_two(exponent - 1));
            let inverse = Pair::of(0.25) / power;
            (power - inverse, power + inverse, 0)
        } else {
            (power, power, exponent - 1)
        }
    };
    (if x < 0.0 { -sinh } else { sinh }, cosh, exponent)
}

/// `ln(1 + x)` for −1/2 and above, relative to its own size.
pub(super) fn log1p(x: Pair) -> Pair {
    let near = libm::log1p(x.high);
    if x.high.abs() < 1e-30 {
        return x;
    }
    // One step of Newton's method.
    let rest = x - expm1(near);
    Pair::ordered(near, rest.high / (1.0 + x.high))
}

/// The logarithm of a positive number of the normal range, relative to 1 or its own size.
pub(super) fn log(x: Pair) -> Pair {
    let exponent = exponent(x.high * std::f64::consts::SQRT_2);
    let part = log1p(x.times(power_of_two(-exponent)) - Pair::ONE);
    LN2 * Pair::of(f64::from(exponent)) + part
}

/// The power of two below a positive number of the normal range.
pub(super) fn exponent(x: f64) -> i32 {
    (x.to_bits() >> 52) as i32 - 1023
}

/// The angle of the point (x, y), also where both are infinite or zero.
pub(super) fn atan2(y: Pair, x: Pair) -> Pair {
    let near = libm::atan2(y.high, x.high);
    let usual = |number: f64| (1e-120..1e120).contains(&number.abs());
    if !(usual(x.high) && usual(y.high) && usual(near)) {
        return Pair::of(near);
    }
    // What the estimate misses is its distance from the point, seen from the point's own angle.
    let (sin, cos) = sincos(Pair::of(near));
    let beside = y * cos - x * sin;
    Pair::ordered(near, beside.high / (x * cos + y * sin).high)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far below what one f64 could keep.
    const LITTLE: f64 = 1.0 / (1_u64 << 58) as f64;

    fn numbers() -> impl Iterator<Item = f64> {
        (1..2000).map(|place| f64::from(place) * 0.017_3 * if place % 2 == 0 { 1.0 } else { -1.0 })
    }

    #[test]
    fn functions_keep_their_identities_beyond_one_f64() {
        for x in numbers() {
            let (sin, cos) = sincos(Pair::of(x));
            let one = sin.square() + cos.square() - Pair::ONE;
            assert!(one.high.abs() < LITTLE, "sin and cos of {x}: {one:?}");
            let (power, up) = exp(Pair::of(x));
            let (inverse, down) = exp(Pair::of(-x));
            let one = power * inverse - Pair::ONE;
            assert!(up == -down && one.high.abs() < LITTLE, "exp of {x}: {one:?}");
            let (sinh, cosh, exponent) = sinhcosh(x);
            assert_eq!(exponent, 0);
            let rest = (cosh + sinh) * (cosh - sinh) - Pair::ONE;
            assert!(rest.high.abs() < LITTLE * cosh.high * cosh.high, "sinh of {x}: {rest:?}");
            let back = log1p(expm1(x)) - Pair::of(x);
            assert!(x < -5.0 || back.high.abs() < 8.0 * LITTLE * x.abs(), "log1p: {x} {back:?}");
            let angle = atan2(sin, cos);
            let (again, _) = sincos(angle);
            assert!((again - sin).high.abs() < LITTLE, "angle of {x}: {angle:?}");
        }
    }

    #[test]
    fn logarithms_of_products_are_sums() {
        for x in numbers() {
            let product = Pair::product(x, x);
            let rest = log(product) - log(Pair::of(x.abs())).times(2.0);
            assert!(rest.high.abs() < 16.0 * LITTLE, "{x}: {rest:?}");
        }
        let two = log(Pair::of(2.0));
        assert!((two - LN2).high.abs() < LITTLE, "{two:?}");
    }
}
