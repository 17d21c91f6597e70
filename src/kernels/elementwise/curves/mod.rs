//! Functions beyond arithmetic, without branches, so that the compiler makes vectors of them.
//!
//! Methods and coefficients are those of Sun's fdlibm, each range of arguments computed always and
//! chosen by comparison. What a method does not cover (subnormal, infinite and huge arguments,
//! results at the ends of the range) is computed one by one by `libm`; which of both an element
//! takes depends on its value alone, so neither the level nor its neighbours change a bit. Those of
//! f32 are in `single`, mostly in f32 itself: twice as many elements to a vector.

mod circular;
mod exponential;
mod logarithm;
mod power;
mod single;

pub(super) use circular::{Arccos, Arcsin, Arctan, Arctan2, Cbrt, Cos, Sin, Tan};
pub(super) use exponential::{Cosh, Exp, Expm1, Sinh, Tanh};
pub(super) use logarithm::{Log, Log1p, Log2, Log10};
pub(super) use power::{Hypot, Power};

use super::real::Float;
use crate::kernels::simd::{self, Level, Loop};
use std::marker::PhantomData;

/// A function of one argument.
pub(super) trait Curve<T> {
    /// The value, where the method covers argument and value; else any number.
    fn near(x: T) -> T;
    /// Whether `near(x) = y` is right.
    fn covers(x: T, y: T) -> bool;
    /// The value for every argument.
    fn any(x: T) -> T;
}

/// A function of two arguments.
pub(super) trait Curve2<T> {
    /// The value, where the method covers arguments and value; else any number.
    fn near(x: T, y: T) -> T;
    /// Whether `near(x, y) = value` is right.
    fn covers(x: T, y: T, value: T) -> bool;
    /// The value for all arguments.
    fn any(x: T, y: T) -> T;
}

/// A function of one argument as one of two, whose second is not looked at.
struct Alone<C>(PhantomData<C>);

impl<T, C: Curve<T>> Curve2<T> for Alone<C> {
    #[inline(always)]
    fn near(x: T, _: T) -> T {
        C::near(x)
    }
    #[inline(always)]
    fn covers(x: T, _: T, value: T) -> bool {
        C::covers(x, value)
    }
    fn any(x: T, _: T) -> T {
        C::any(x)
    }
}

/// Elements whose values are looked at together.
const CHUNK: usize = 256;

struct Along<'a, T, C> {
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [T],
    curve: PhantomData<C>,
}

impl<T: Float, C: Curve2<T>> Loop for Along<'_, T, C> {
    #[inline(always)]
    fn run(self) {
        let operands = self.x.chunks(CHUNK).zip(self.y.chunks(CHUNK));
        for (out, (x, y)) in self.out.chunks_mut(CHUNK).zip(operands) {
            // As wide as an element, so that vectors of both have as many.
            let mut missed = T::Flag::from(false);
            for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
                let value = C::near(*x, *y);
                *out = value;
                missed |= T::Flag::from(!C::covers(*x, *y, value));
            }
            if missed != T::Flag::from(false) {
                one_by_one::<T, C>(x, y, out);
            }
        }
    }
}

/// Computes what is not covered; one copy for all levels.
#[inline(never)]
fn one_by_one<T: Float, C: Curve2<T>>(x: &[T], y: &[T], out: &mut [T]) {
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        if !C::covers(*x, *y, C::near(*x, *y)) {
            *out = C::any(*x, *y);
        }
    }
}

/// A float dtype's type, with the functions on its elements.
pub(super) trait Curved: Float {
    /// `out = C(x)`
    fn along<C: Curve<f32> + Curve<f64>>(level: Level, x: &[u8], out: &mut [u8], curve: C);
    /// `out = C(x, y)`
    fn along_both<C>(level: Level, operands: [&[u8]; 2], out: &mut [u8], curve: C)
    where
        C: Curve2<f32> + Curve2<f64>;
}

macro_rules! curved {
    ($($type:ident),*) => {
        $(impl Curved for $type {
            fn along<C: Curve<f32> + Curve<f64>>(level: Level, x: &[u8], out: &mut [u8], _: C) {
                let (x, out) = (bytemuck::cast_slice::<_, Self>(x), bytemuck::cast_slice_mut(out));
                simd::run(level, Along { x, y: x, out, curve: PhantomData::<Alone<C>> });
            }
            fn along_both<C>(level: Level, [x, y]: [&[u8]; 2], out: &mut [u8], _: C)
            where
                C: Curve2<f32> + Curve2<f64>,
            {
                let (x, y) = (bytemuck::cast_slice::<_, Self>(x), bytemuck::cast_slice(y));
                let out = bytemuck::cast_slice_mut(out);
                simd::run(level, Along { x, y, out, curve: PhantomData::<C> });
            }
        })*
    };
}
curved!(f32, f64);

/// Added to a number below 2^51 it rounds it to an integer, which its lowest bits then hold.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// The nearest integer, as a number and as bits of an i64.
#[inline(always)]
fn rounded(x: f64) -> (f64, u64) {
    let shifted = x + ROUNDER;
    (shifted - ROUNDER, shifted.to_bits().wrapping_sub(ROUNDER.to_bits()))
}

/// A small integer in the bits of an i64 as a number.
#[inline(always)]
fn number(integer: u64) -> f64 {
    f64::from_bits(ROUNDER.to_bits().wrapping_add(integer)) - ROUNDER
}

/// 2 to an integer power within ±1022.
#[inline(always)]
fn power_of_two(exponent: u64) -> f64 {
    f64::from_bits(exponent.wrapping_add(1023) << 52)
}

/// The upper 32 bits of a number.
#[inline(always)]
fn upper(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xffff_ffff_0000_0000)
}

#[inline(always)]
fn choose<T>(condition: bool, x: T, y: T) -> T {
    if condition { x } else { y }
}
