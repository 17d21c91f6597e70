//! Element functions of integers and floats, with numpy's results in every corner.
//!
//! `+ − × ÷ sqrt` and the like are the machine's (`machine`), functions beyond are in `curves`.
//! Nothing here fuses a multiplication with an addition.

use bytemuck::Pod;

/// An integer dtype's type.
pub(in crate::kernels) trait Integer: Pod + Ord {
    /// Wrapping sum.
    fn plus(self, other: Self) -> Self;
    /// Wrapping difference.
    fn minus(self, other: Self) -> Self;
    /// Wrapping product.
    fn times(self, other: Self) -> Self;
    /// Quotient rounded down; 0 for a divisor of 0; the least value over −1 is itself.
    fn floor_divide(self, other: Self) -> Self;
    /// Rest with the sign of the divisor; 0 for a divisor of 0.
    fn remainder(self, other: Self) -> Self;
    /// Wrapping power.
    fn power(self, exponent: Self) -> Self;
    /// Less than zero.
    fn is_negative(self) -> bool;
    /// Wrapping magnitude.
    fn magnitude(self) -> Self;
    /// −1, 0 or 1.
    fn sign(self) -> Self;
    /// Bitwise and.
    fn and(self, other: Self) -> Self;
    /// Bitwise or.
    fn or(self, other: Self) -> Self;
    /// Bitwise exclusive or.
    fn xor(self, other: Self) -> Self;
    /// Bitwise not.
    fn invert(self) -> Self;
    /// Wrapping negation.
    fn negative(self) -> Self;
}

macro_rules! integer {
    ($type:ty, $self:ident, $other:ident, negative: $negative:expr, magnitude: $magnitude:expr,
     sign: $sign:expr, adjust: $adjust:expr) => {
        impl Integer for $type {
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn floor_divide($self, $other: Self) -> Self {
                if $other == 0 {
                    return 0;
                }
                let quotient = $self.wrapping_div($other);
                if $self.wrapping_rem($other) != 0 && $adjust {
                    quotient.wrapping_sub(1)
                } else {
                    quotient
                }
            }
            #[inline(always)]
            fn remainder($self, $other: Self) -> Self {
                if $other == 0 {
                    return 0;
                }
                let rest = $self.wrapping_rem($other);
                if rest != 0 && $adjust { rest.wrapping_add($other) } else { rest }
            }
            #[inline(always)]
            fn power(self, exponent: Self) -> Self {
                let (mut base, mut exponent, mut result): (Self, Self, Self) = (self, exponent, 1);
                while exponent > 0 {
                    if exponent & 1 == 1 {
                        result = result.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    exponent >>= 1;
                }
                result
            }
            #[inline(always)]
            fn is_negative($self) -> bool {
                $negative
            }
            #[inline(always)]
            fn magnitude($self) -> Self {
                $magnitude
            }
            #[inline(always)]
            fn sign($self) -> Self {
                $sign
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn invert(self) -> Self {
                !self
            }
            #[inline(always)]
            fn negative(self) -> Self {
                self.wrapping_neg()
            }
        }
    };
}

macro_rules! signed {
    ($($type:ty),*) => {
        $(integer!($type, self, other, negative: self < 0, magnitude: self.wrapping_abs(),
            sign: self.signum(), adjust: (self < 0) != (other < 0));)*
    };
}
macro_rules! unsigned {
    ($($type:ty),*) => {
        $(integer!($type, self, other, negative: false, magnitude: self,
            sign: Self::from(self > 0), adjust: false);)*
    };
}
signed!(i8, i16, i32, i64);
unsigned!(u8, u16, u32, u64);

/// A float dtype's type.
pub(in crate::kernels) trait Float:
    Pod
    + PartialOrd
    + std::ops::Neg<Output = Self>
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Rem<Output = Self>
{
    /// A yes or no as wide as the float.
    type Flag: From<bool> + std::ops::BitOrAssign + PartialEq;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// One half.
    const HALF: Self;
    /// To f64, exactly.
    fn wide(self) -> f64;
    /// From f64, rounded.
    fn narrow(value: f64) -> Self;
    /// Not a number.
    fn is_nan(self) -> bool;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// The next integer below.
    fn floor(self) -> Self;
    /// The next integer above.
    fn ceil(self) -> Self;
    /// The next integer towards zero.
    fn trunc(self) -> Self;
    /// The nearest integer, ties to even.
    fn round(self) -> Self;
    /// The magnitude.
    fn abs(self) -> Self;
    /// This magnitude with that sign.
    fn copysign(self, sign: Self) -> Self;
}

macro_rules! float {
    ($($type:ident $flag:ident),*) => {
        $(impl Float for $type {
            type Flag = $flag;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const HALF: Self = 0.5;
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn narrow(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $type::is_nan(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $type::is_finite(self)
            }
            #[inline(always)]
            fn floor(self) -> Self {
                $type::floor(self)
            }
            #[inline(always)]
            fn ceil(self) -> Self {
                $type::ceil(self)
            }
            #[inline(always)]
            fn trunc(self) -> Self {
                $type::trunc(self)
            }
            #[inline(always)]
            fn round(self) -> Self {
                self.round_ties_even()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $type::abs(self)
            }
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                $type::copysign(self, sign)
            }
        })*
    };
}
float!(f32 u32, f64 u64);

/// −1, 0, 1 or NaN.
#[inline(always)]
pub(in crate::kernels) fn sign<T: Float>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else if x == T::ZERO {
        T::ZERO
    } else {
        x
    }
}

/// The rest of `x / y` with the sign of `y`.
pub(in crate::kernels) fn remainder<T: Float>(x: T, y: T) -> T {
    let rest = x % y;
    if y == T::ZERO {
        rest
    } else if rest == T::ZERO {
        T::ZERO.copysign(y)
    } else if (y < T::ZERO) != (rest < T::ZERO) {
        rest + y
    } else {
        rest
    }
}

/// `x / y` rounded down, so that it agrees with `remainder`.
pub(in crate::kernels) fn floor_divide<T: Float>(x: T, y: T) -> T {
    if y == T::ZERO {
        return x / y;
    }
    let rest = x % y;
    let mut quotient = (x - rest) / y;
    if rest != T::ZERO && (y < T::ZERO) != (rest < T::ZERO) {
        quotient = quotient - T::ONE;
    }
    if quotient == T::ZERO {
        return T::ZERO.copysign(x / y);
    }
    // The quotient is an integer but for rounding.
    let down = quotient.floor();
    if quotient - down > T::HALF { down + T::ONE } else { down }
}
