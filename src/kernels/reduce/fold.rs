//! The folds that reductions are made of: how an element is lifted, and how two parts are joined.
//!
//! Joining is associative but for rounding, and the identity is neutral. All is inlined into the
//! loops of `lanes`, which say in which order parts are joined.

use super::element::{Element, Mask, Wide};
use super::lanes;
use crate::kernels::simd::Level;
use bytemuck::Pod;
use num_complex::Complex;
use std::marker::PhantomData;

/// One reduction of one element type.
pub(super) trait Fold: 'static {
    /// Type of the elements.
    type Item: Pod + Send + Sync;
    /// What belongs to each result beforehand: its mean, or nothing.
    type Value: Copy + Send + Sync;
    /// What is joined.
    type Partial: Pod + Send + Sync;
    /// The fold of what is left when blocks or axes have been folded.
    type Above: Fold<Item = Self::Partial, Value = (), Partial = Self::Partial>;
    /// Neutral.
    const IDENTITY: Self::Partial;
    /// The result of no elements.
    const NOTHING: Self::Partial = Self::IDENTITY;
    /// Most elements that `leaf` folds.
    const LEAF: usize = 512;
    /// An element as a part.
    fn lift(item: Self::Item, value: Self::Value) -> Self::Partial;
    /// Two parts as one.
    fn join(left: Self::Partial, right: Self::Partial) -> Self::Partial;
    /// The best instructions alone have what columns are joined by.
    const IS_WIDE: bool = false;
    /// A part and eight elements as one.
    #[inline(always)]
    fn join_eight(
        part: Self::Partial,
        [a, b, c, d, e, f, g, h]: [Self::Item; 8],
        value: Self::Value,
    ) -> Self::Partial {
        let pair = |x, y| Self::join(Self::lift(x, value), Self::lift(y, value));
        let upper = Self::join(pair(a, b), pair(c, d));
        let lower = Self::join(pair(e, f), pair(g, h));
        Self::join(part, Self::join(upper, lower))
    }
    /// Folds runs of one length in vectors of its own; says whether it has any.
    fn runs(
        _level: Level,
        _source: &[Self::Item],
        _length: usize,
        _out: &mut [Self::Partial],
    ) -> bool {
        false
    }
    /// Nothing that is joined changes this part.
    #[inline(always)]
    fn settled(_part: Self::Partial) -> bool {
        false
    }
    /// Folds at most `LEAF` elements.
    #[inline(always)]
    fn leaf(run: &[Self::Item], value: Self::Value) -> Self::Partial {
        lanes::leaf::<Self>(run, value)
    }
}

/// Declares folds: lift and join as closures, the rest as they stand in the trait.
macro_rules! fold {
    ($(#[doc = $doc:literal] $name:ident: $value:ty => $partial:ty, $above:ident,
        $identity:expr, $nothing:expr, $lift:expr, $join:expr $(, $is_wide:expr)?;)*) => {
        $(#[doc = $doc]
        pub(super) struct $name<T>(PhantomData<T>);

        impl<T: Element> Fold for $name<T> {
            type Item = T;
            type Value = $value;
            type Partial = $partial;
            type Above = $above<$partial>;
            const IDENTITY: Self::Partial = $identity;
            const NOTHING: Self::Partial = $nothing;
            $(const IS_WIDE: bool = $is_wide;)?
            #[inline(always)]
            fn lift(item: T, value: $value) -> Self::Partial {
                $lift(item, value)
            }
            #[inline(always)]
            fn join(left: Self::Partial, right: Self::Partial) -> Self::Partial {
                $join(left, right)
            }
        })*
    };
}

fold! {
    /// The sum.
    Total: () => T::Wide, Sum, T::Wide::ZERO, T::Wide::NOTHING, |x: T, ()| x.widen(), Wide::plus;
    /// The sum without NaN.
    TotalOfSound: () => T::Wide, Sum, T::Wide::ZERO, T::Wide::NOTHING,
        |x: T, ()| if x.is_gap() { T::NIL.widen() } else { x.widen() }, Wide::plus;
    /// The sum of integers as floats.
    RealTotal: () => f64, Sum, -0.0, 0.0, |x: T, ()| x.real(), Wide::plus;
    /// The product.
    Product: () => T::Wide, Times, T::Wide::ONE, T::Wide::ONE, |x: T, ()| x.widen(), Wide::times,
        T::Wide::IS_WIDE;
    /// The product without NaN.
    ProductOfSound: () => T::Wide, Times, T::Wide::ONE, T::Wide::ONE,
        |x: T, ()| if x.is_gap() { T::Wide::ONE } else { x.widen() }, Wide::times;
    /// How many are not NaN, as a float.
    Sound: () => f64, Sum, 0.0, 0.0, |x: T, ()| if x.is_gap() { 0.0 } else { 1.0 }, Wide::plus;
    /// Squares of the distances from the mean.
    Spread: f64 => f64, Sum, -0.0, 0.0, |x: T, mean: f64| square(x.real() - mean), Wide::plus;
    /// Squares of the distances from the mean, without NaN.
    SpreadOfSound: f64 => f64, Sum, -0.0, 0.0,
        |x: T, mean: f64| if x.is_gap() { 0.0 } else { square(x.real() - mean) }, Wide::plus;
    /// Squares of the distances from a complex mean.
    ComplexSpread: Complex<f64> => f64, Sum, -0.0, 0.0, distance, Wide::plus;
    /// Squares of the distances from a complex mean, without NaN.
    ComplexSpreadOfSound: Complex<f64> => f64, Sum, -0.0, 0.0,
        |x: T, mean| if x.is_gap() { 0.0 } else { distance(x, mean) }, Wide::plus;
}

#[inline(always)]
fn square(x: f64) -> f64 {
    x * x
}

#[inline(always)]
fn distance<T: Element>(x: T, mean: Complex<f64>) -> f64 {
    square(x.real() - mean.re) + square(x.imaginary() - mean.im)
}

/// The smallest, NaN when one is NaN.
pub(super) struct Least<T>(PhantomData<T>);
/// The largest, NaN when one is NaN.
pub(super) struct Greatest<T>(PhantomData<T>);

/// The smallest without NaN; NaN when there is nothing else.
pub(super) struct LeastOfSound<T>(PhantomData<T>);
/// The largest without NaN; NaN when there is nothing else.
pub(super) struct GreatestOfSound<T>(PhantomData<T>);

macro_rules! extreme {
    ($($name:ident $identity:ident $join:ident $leaf:ident
        $($eight:ident $max:literal)?),*) => {
        $(impl<T: Element> Fold for $name<T> {
            type Item = T;
            type Value = ();
            type Partial = T;
            type Above = Self;
            const IDENTITY: T = T::$identity;
            const LEAF: usize = 1024;
            const IS_WIDE: bool = T::Wide::IS_WIDE && size_of::<T>() == size_of::<T::Wide>();
            #[inline(always)]
            fn lift(item: T, (): ()) -> T {
                item
            }
            #[inline(always)]
            fn join(left: T, right: T) -> T {
                left.$join(right)
            }
            $(#[inline(always)]
            fn join_eight(part: T, items: [T; 8], (): ()) -> T {
                part.$eight(items)
            }
            fn runs(level: Level, source: &[T], length: usize, out: &mut [T]) -> bool {
                T::extremes::<$max>(level, source, length, out)
            })?
            #[inline(always)]
            fn leaf(run: &[T], (): ()) -> T {
                T::$leaf(run)
            }
        })*
    };
}
extreme!(
    Least GREATEST or_less least_of least_of_eight false,
    Greatest LEAST or_more greatest_of greatest_of_eight true,
    LeastOfSound GAP or_sound_less least_sound_of,
    GreatestOfSound GAP or_sound_more greatest_sound_of
);

macro_rules! above {
    ($($name:ident $bound:ident $identity:ident $join:expr),*) => {
        $(/// Joins what another fold has left.
        pub(super) struct $name<A>(PhantomData<A>);

        impl<A: $bound> Fold for $name<A> {
            type Item = A;
            type Value = ();
            type Partial = A;
            type Above = Self;
            const IDENTITY: A = A::$identity;
            #[inline(always)]
            fn lift(item: A, (): ()) -> A {
                item
            }
            #[inline(always)]
            fn join(left: A, right: A) -> A {
                $join(left, right)
            }
        })*
    };
}
above!(Sum Wide ZERO Wide::plus, Times Wide ONE Wide::times, Flags Mask NONE |x, y| x | y);

/// How many are not zero.
pub(super) struct Count<T>(PhantomData<T>);

impl<T: Element> Fold for Count<T> {
    type Item = T;
    type Value = ();
    type Partial = i64;
    type Above = Sum<i64>;
    const IDENTITY: i64 = 0;
    const LEAF: usize = 4096;
    #[inline(always)]
    fn lift(item: T, (): ()) -> i64 {
        i64::from(item != T::NIL)
    }
    #[inline(always)]
    fn join(left: i64, right: i64) -> i64 {
        left.plus(right)
    }
    #[inline(always)]
    fn leaf(run: &[T], (): ()) -> i64 {
        T::count_of(run)
    }
}

/// A flag: whether one is not zero, or whether one is.
pub(super) struct Exists<T, const NIL: bool>(PhantomData<T>);

impl<T: Element, const NIL: bool> Fold for Exists<T, NIL> {
    type Item = T;
    type Value = ();
    type Partial = T::Mask;
    type Above = Flags<T::Mask>;
    const IDENTITY: T::Mask = T::Mask::NONE;
    const LEAF: usize = 4096;
    #[inline(always)]
    fn lift(item: T, (): ()) -> T::Mask {
        Mask::of((item == T::NIL) == NIL)
    }
    #[inline(always)]
    fn join(left: T::Mask, right: T::Mask) -> T::Mask {
        left | right
    }
    #[inline(always)]
    fn settled(part: T::Mask) -> bool {
        part != T::Mask::NONE
    }
    #[inline(always)]
    fn leaf(run: &[T], (): ()) -> T::Mask {
        run.iter().fold(T::Mask::NONE, |flags, x| flags | Self::lift(*x, ()))
    }
}
