//! What min and max need of an element type: both bounds and both choices.
//!
//! NaN wins over every number and NaT over every time, as in numpy.

use crate::kernels::elementwise::{complex, real};
use crate::kernels::time::{NAT, Ticks};
use bytemuck::Pod;
use half::f16;
use num_complex::Complex;

/// An element type with an order.
pub(super) trait Extreme: Pod {
    /// Nothing is smaller.
    const LEAST: Self;
    /// Nothing is larger.
    const GREATEST: Self;
    /// The smaller of two.
    fn smaller(self, other: Self) -> Self;
    /// The larger of two.
    fn larger(self, other: Self) -> Self;
}

macro_rules! extreme {
    ([$($type:ty),*], $least:expr, $greatest:expr, $smaller:expr, $larger:expr) => {
        $(impl Extreme for $type {
            const LEAST: Self = $least;
            const GREATEST: Self = $greatest;
            fn smaller(self, other: Self) -> Self {
                $smaller(self, other)
            }
            fn larger(self, other: Self) -> Self {
                $larger(self, other)
            }
        })*
    };
}

extreme!([i8, i16, i32, i64, u8, u16, u32, u64], Self::MIN, Self::MAX, Ord::min, Ord::max);
extreme!([f32, f64], Self::NEG_INFINITY, Self::INFINITY, real::minimum, real::maximum);
extreme!(
    [Complex<f32>],
    Self { re: f32::NEG_INFINITY, im: f32::NEG_INFINITY },
    Self { re: f32::INFINITY, im: f32::INFINITY },
    complex::minimum,
    complex::maximum
);
extreme!(
    [Complex<f64>],
    Self { re: f64::NEG_INFINITY, im: f64::NEG_INFINITY },
    Self { re: f64::INFINITY, im: f64::INFINITY },
    complex::minimum,
    complex::maximum
);

impl Extreme for f16 {
    const LEAST: Self = Self::NEG_INFINITY;
    const GREATEST: Self = Self::INFINITY;
    fn smaller(self, other: Self) -> Self {
        Self::from_f32(real::minimum(self.to_f32(), other.to_f32()))
    }
    fn larger(self, other: Self) -> Self {
        Self::from_f32(real::maximum(self.to_f32(), other.to_f32()))
    }
}

impl Extreme for Ticks {
    // The least count above NaT.
    const LEAST: Self = Self(i64::MIN + 1);
    const GREATEST: Self = Self(i64::MAX);
    fn smaller(self, other: Self) -> Self {
        self.min(other)
    }
    fn larger(self, other: Self) -> Self {
        if self.0.min(other.0) == NAT { Self(NAT) } else { self.max(other) }
    }
}
