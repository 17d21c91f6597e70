//! `//` and `%` of integers by one divisor: by multiplication, since no machine divides vectors of
//! integers.
//!
//! Up to 32 bits the quotient is taken in floats: with half added, (x + ½) / d is never nearer to
//! an integer than 1 / 2d, which is more than all roundings, so that the integer below it is right.
//! For 64 bits it is the upper half of a product (Granlund and Montgomery, "Division by invariant
//! integers using multiplication", figure 4.1).

use super::expression::Binary;
use super::loops::each;
use crate::kernels::simd::Level;
use rdask_store::DType;

/// Divides all elements by the one divisor, rounding down; false if it leaves that to others.
pub(super) fn by_one(
    level: Level,
    function: Binary,
    dtype: DType,
    [x, divisor]: [&[u8]; 2],
    out: &mut [u8],
) -> bool {
    let quotient = match function {
        Binary::FloorDivide => true,
        Binary::Remainder => false,
        _ => return false,
    };
    if divisor.iter().all(|byte| *byte == 0) {
        return false;
    }
    macro_rules! small {
        ($type:ident, $float:ident, $rounder:literal) => {{
            let divisor: $type = bytemuck::pod_read_unaligned(divisor);
            let sign = 1.0_f64.copysign(divisor as f64) as $float;
            let inverse = sign / divisor as $float;
            // Its lowest bits are the integer's.
            let down = move |x: $type| {
                let value = (x as $float * sign + 0.5) * inverse - 0.5;
                (value + $rounder).to_bits() as $type
            };
            if quotient {
                each(level, x, out, down);
            } else {
                each(level, x, out, |x: $type| x.wrapping_sub(down(x).wrapping_mul(divisor)));
            }
            true
        }};
    }
    match dtype {
        DType::I8 => small!(i8, f32, 12_582_912.0),
        DType::I16 => small!(i16, f32, 12_582_912.0),
        DType::I32 => small!(i32, f64, 6_755_399_441_055_744.0),
        DType::U8 => small!(u8, f32, 12_582_912.0),
        DType::U16 => small!(u16, f32, 12_582_912.0),
        DType::U32 => small!(u32, f64, 6_755_399_441_055_744.0),
        DType::I64 => {
            let divisor: i64 = bytemuck::pod_read_unaligned(divisor);
            let Ok(positive) = u64::try_from(divisor) else { return false };
            let invariant = Invariant::new(positive);
            // Below zero the quotient is that of −1 − x, turned around.
            let down = |x: i64| {
                let sign = x >> 63;
                invariant.quotient((x ^ sign).cast_unsigned()).cast_signed() ^ sign
            };
            if quotient {
                each(Level::Portable, x, out, down);
            } else {
                let rest = |x: i64| x.wrapping_sub(down(x).wrapping_mul(divisor));
                each(Level::Portable, x, out, rest);
            }
            true
        }
        DType::U64 => {
            let divisor: u64 = bytemuck::pod_read_unaligned(divisor);
            let invariant = Invariant::new(divisor);
            if quotient {
                each(Level::Portable, x, out, |x: u64| invariant.quotient(x));
            } else {
                let rest = |x: u64| x.wrapping_sub(invariant.quotient(x).wrapping_mul(divisor));
                each(Level::Portable, x, out, rest);
            }
            true
        }
        _ => false,
    }
}

/// A divisor of u64, prepared.
#[derive(Clone, Copy)]
struct Invariant {
    factor: u64,
    first: u32,
    second: u32,
}

impl Invariant {
    /// For a divisor that is not 0.
    fn new(divisor: u64) -> Self {
        // The exponent of the least power of two that is not below the divisor.
        let length = 64 - divisor.wrapping_sub(1).leading_zeros();
        let beyond = (1_u128 << length) - u128::from(divisor);
        let factor = (beyond << 64) / u128::from(divisor) + 1;
        Self { factor: factor as u64, first: length.min(1), second: length.saturating_sub(1) }
    }

    #[inline(always)]
    fn quotient(self, x: u64) -> u64 {
        let upper = ((u128::from(self.factor) * u128::from(x)) >> 64) as u64;
        (upper.wrapping_add(x.wrapping_sub(upper) >> self.first)) >> self.second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with the widest integers, for numbers around the ends and around multiples.
    fn check<T: bytemuck::Pod>(dtype: DType, values: &[i128], cut: fn(i128) -> T) {
        for divisor in values.iter().copied().filter(|divisor| *divisor != 0) {
            let mut numbers = values.to_vec();
            for value in values {
                numbers.extend((-1..2).map(|by| value / divisor * divisor + by));
            }
            let bits = 8 * size_of::<T>() as u32;
            let signed = matches!(dtype, DType::I8 | DType::I16 | DType::I32 | DType::I64);
            let low = if signed { -(1_i128 << (bits - 1)) } else { 0 };
            numbers.retain(|number| (low..low + (1_i128 << bits)).contains(number));
            let x: Vec<T> = numbers.iter().map(|number| cut(*number)).collect();
            for function in [Binary::FloorDivide, Binary::Remainder] {
                let expected: Vec<T> = numbers
                    .iter()
                    .map(|number| {
                        let rest = number.rem_euclid(divisor.abs());
                        let rest = if divisor < 0 && rest != 0 { rest + divisor } else { rest };
                        let down = (number - rest) / divisor;
                        cut(if function == Binary::Remainder { rest } else { down })
                    })
                    .collect();
                for level in Level::available() {
                    let mut out = vec![T::zeroed(); x.len()];
                    let by = [cut(divisor)];
                    let operands = [bytemuck::cast_slice(&x), bytemuck::cast_slice(&by)];
                    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut out);
                    if by_one(level, function, dtype, operands, bytes) {
                        let wanted: &[u8] = bytemuck::cast_slice(&expected);
                        assert_eq!(bytes, wanted, "{dtype:?} {function:?} {divisor}");
                    } else {
                        assert!(dtype == DType::I64 && divisor < 0);
                    }
                }
            }
        }
    }

    #[test]
    fn quotients_are_rounded_down_for_all_divisors() {
        let values = |bits: u32, signed: bool| {
            let mut values = vec![0, 1, 2, 3, 5, 7, 10, 60, 100];
            for power in 1..=bits {
                values.extend((-2..3).map(|by| (1_i128 << power) + by));
            }
            values.extend([1_000_003, 123_456_789_123, 0x5555_5555, 641]);
            if signed {
                let negative: Vec<i128> = values.iter().map(|value| -value).collect();
                values.extend(negative);
            }
            let low = if signed { -(1_i128 << (bits - 1)) } else { 0 };
            values.retain(|value| (low..low + (1_i128 << bits)).contains(value));
            values.sort_unstable();
            values.dedup();
            values
        };
        check(DType::I8, &values(8, true), |value| value as i8);
        check(DType::I16, &values(16, true), |value| value as i16);
        check(DType::I32, &values(32, true), |value| value as i32);
        check(DType::I64, &values(64, true), |value| value as i64);
        check(DType::U8, &values(8, false), |value| value as u8);
        check(DType::U16, &values(16, false), |value| value as u16);
        check(DType::U32, &values(32, false), |value| value as u32);
        check(DType::U64, &values(64, false), |value| value as u64);
    }
}
