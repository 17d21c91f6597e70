//! Keys that sort as elements do: integers in whose order numpy sorts a dtype.
//!
//! NaN comes last, −0 and 0 are equal in `rank`. `bits` is one-to-one: it tells −0 from 0, so that
//! an element can be found again in its key; who sorts by it puts zeros back in their order.

use crate::kernels::time::Ticks;
use bytemuck::Pod;
use num_complex::Complex;
use std::cmp::Ordering;

/// An element type of one number: sorted by its key.
pub(super) trait Keyed: Pod + Send + Sync {
    /// An unsigned integer of the width of the element.
    type Key: Pod + Ord + Send + Sync + Into<u64>;
    /// The key to sort by; equal for what numpy holds equal, the greatest for NaN.
    fn rank(self) -> Self::Key;
    /// The key with the order turned round, but for NaN.
    fn falling_rank(self) -> Self::Key;
    /// A key that the element can be read from, for all that is not NaN.
    fn bits(self) -> Self::Key;
    /// The element of such a key.
    fn from_bits(bits: Self::Key) -> Self;
    /// NaN.
    fn is_gap(self) -> bool;
    /// −0 or 0, where there are two of them.
    fn is_signed_zero(self) -> bool;
}

macro_rules! unsigned {
    ($($type:ty),*) => {
        $(impl Keyed for $type {
            type Key = $type;
            #[inline(always)]
            fn rank(self) -> $type {
                self
            }
            #[inline(always)]
            fn falling_rank(self) -> $type {
                !self
            }
            #[inline(always)]
            fn bits(self) -> $type {
                self
            }
            #[inline(always)]
            fn from_bits(bits: $type) -> Self {
                bits
            }
            #[inline(always)]
            fn is_gap(self) -> bool {
                false
            }
            #[inline(always)]
            fn is_signed_zero(self) -> bool {
                false
            }
        })*
    };
}
unsigned!(u8, u16, u32, u64);

macro_rules! signed {
    ($($type:ty: $key:ty),*) => {
        $(impl Keyed for $type {
            type Key = $key;
            #[inline(always)]
            fn rank(self) -> $key {
                self.bits()
            }
            #[inline(always)]
            fn falling_rank(self) -> $key {
                !self.bits()
            }
            #[inline(always)]
            fn bits(self) -> $key {
                (self as $key) ^ (1 << (<$key>::BITS - 1))
            }
            #[inline(always)]
            fn from_bits(bits: $key) -> Self {
                (bits ^ (1 << (<$key>::BITS - 1))) as Self
            }
            #[inline(always)]
            fn is_gap(self) -> bool {
                false
            }
            #[inline(always)]
            fn is_signed_zero(self) -> bool {
                false
            }
        })*
    };
}
signed!(i8: u8, i16: u16, i32: u32, i64: u64);

macro_rules! float {
    ($($type:ty: $key:ty, $signed:ty),*) => {
        $(impl Keyed for $type {
            type Key = $key;
            #[inline(always)]
            fn rank(self) -> $key {
                // −0 + 0 is 0.
                if self.is_nan() { <$key>::MAX } else { (self + 0.0).bits() }
            }
            #[inline(always)]
            fn falling_rank(self) -> $key {
                if self.is_nan() { <$key>::MAX } else { !(self + 0.0).bits() }
            }
            #[inline(always)]
            fn bits(self) -> $key {
                let bits = self.to_bits();
                let negative = (bits as $signed >> (<$key>::BITS - 1)) as $key;
                bits ^ (negative | 1 << (<$key>::BITS - 1))
            }
            #[inline(always)]
            fn from_bits(bits: $key) -> Self {
                let positive = (bits as $signed >> (<$key>::BITS - 1)) as $key;
                Self::from_bits(bits ^ (!positive | 1 << (<$key>::BITS - 1)))
            }
            #[inline(always)]
            fn is_gap(self) -> bool {
                self.is_nan()
            }
            #[inline(always)]
            fn is_signed_zero(self) -> bool {
                self == 0.0
            }
        })*
    };
}
float!(f32: u32, i32, f64: u64, i64);

impl Keyed for Ticks {
    type Key = u64;
    #[inline(always)]
    fn rank(self) -> u64 {
        self.bits()
    }
    #[inline(always)]
    fn falling_rank(self) -> u64 {
        // NaT is the least count.
        !self.0.bits()
    }
    #[inline(always)]
    fn bits(self) -> u64 {
        // One less, so that NaT wraps to the end.
        self.0.wrapping_sub(1).bits()
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self(<i64 as Keyed>::from_bits(bits).wrapping_add(1))
    }
    #[inline(always)]
    fn is_gap(self) -> bool {
        false
    }
    #[inline(always)]
    fn is_signed_zero(self) -> bool {
        false
    }
}

/// Order of complex numbers: by the real, then by the imaginary part; NaN in the imaginary part
/// comes behind all numbers, in the real part behind those, in both last.
pub(super) fn complex_order<T: Copy + PartialOrd + Into<f64>>(
    x: &Complex<T>,
    y: &Complex<T>,
) -> Ordering {
    let (re, im) = ([x.re.into(), y.re.into()], [x.im.into(), y.im.into()]);
    let class = |at: usize| u8::from(re[at].is_nan()) * 2 + u8::from(im[at].is_nan());
    let part = |parts: [f64; 2]| parts[0].partial_cmp(&parts[1]).unwrap_or(Ordering::Equal);
    class(0).cmp(&class(1)).then(part(re)).then(part(im))
}

/// The largest first, all with a NaN last.
pub(super) fn falling_complex_order<T: Copy + PartialOrd + Into<f64>>(
    x: &Complex<T>,
    y: &Complex<T>,
) -> Ordering {
    let gap = |z: &Complex<T>| z.re.into().is_nan() || z.im.into().is_nan();
    match (gap(x), gap(y)) {
        (false, false) => complex_order(y, x),
        (x, y) => x.cmp(&y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RISING: [f64; 9] =
        [f64::NEG_INFINITY, -1e300, -1.0, -5e-324, 0.0, 5e-324, 2.0, 1e300, f64::INFINITY];

    #[test]
    fn keys_keep_the_order_and_the_bits() {
        let ranks: Vec<u64> = RISING.iter().map(|x| x.rank()).collect();
        assert!(ranks.is_sorted_by(|x, y| x < y));
        let falling: Vec<u64> = RISING.iter().map(|x| x.falling_rank()).collect();
        assert!(falling.is_sorted_by(|x, y| x > y));
        for x in RISING.into_iter().chain([-0.0]) {
            assert_eq!(<f64 as Keyed>::from_bits(x.bits()).to_bits(), x.to_bits());
            assert!(x.rank() < f64::NAN.rank() && x.falling_rank() < f64::NAN.falling_rank());
            let narrow = x as f32;
            assert_eq!(<f32 as Keyed>::from_bits(narrow.bits()).to_bits(), narrow.to_bits());
        }
        assert_eq!((-0.0_f64).rank(), 0.0_f64.rank());
        assert!((-0.0_f64).bits() < 0.0_f64.bits());
        for x in [i8::MIN, -1, 0, 1, i8::MAX] {
            assert_eq!(<i8 as Keyed>::from_bits(x.bits()), x);
            assert_eq!(i16::from(x.rank()), i16::from(x) + 128);
        }
    }
}
