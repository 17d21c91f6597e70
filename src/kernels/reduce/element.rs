//! What reductions need of an element type: its sums, its order, its zeros and its gaps.
//!
//! Every function is a few instructions without a branch, so that the loops over it are vectorised.
//! A gap is a NaN or NaT; a complex number is one when either part is.

use super::extreme;
use crate::kernels::simd::Level;
use crate::kernels::time::{NAT, Ticks};
use bytemuck::Pod;
use num_complex::Complex;
use std::ops::BitOr;

/// A flag as wide as an element, so that comparisons need no packing: no bit or all of them.
pub(super) trait Mask: Pod + Send + Sync + PartialEq + BitOr<Output = Self> {
    /// False.
    const NONE: Self;
    /// One of them for each `true`.
    fn of(flag: bool) -> Self;
    /// A small number, below 256.
    fn small(number: usize) -> Self;
    /// The number.
    fn number(self) -> usize;
}

/// What elements are added and multiplied as.
pub(super) trait Wide: Pod + Send + Sync {
    /// Neutral in sums; −0 for floats, which keeps the sign of a sum of −0.
    const ZERO: Self;
    /// Neutral in products.
    const ONE: Self;
    /// The sum of nothing.
    const NOTHING: Self;
    /// Sum; integers wrap.
    fn plus(self, other: Self) -> Self;
    /// Product; integers wrap.
    fn times(self, other: Self) -> Self;
    /// Divided by a number; integers are cut.
    fn over(self, count: f64) -> Self;
    /// Integers of 64 bits: the best instructions alone multiply and compare them.
    const IS_WIDE: bool = false;
}

/// The type of an array's elements.
pub(super) trait Element: Pod + Send + Sync + PartialEq {
    /// What they are summed as: i64, f64 or a complex number of two f64.
    type Wide: Wide;
    /// A flag of their width, of 8 bytes for the widest.
    type Mask: Mask;
    /// What a sum is given as: i64 (u64 by its bits), f32, f64, or complex numbers of these.
    type Sum: Pod + Send;
    /// Nothing is smaller.
    const LEAST: Self;
    /// Nothing is larger.
    const GREATEST: Self;
    /// What stands for NaN where the smallest is looked for.
    const HIGH: Self = Self::GREATEST;
    /// What stands for NaN where the largest is looked for.
    const LOW: Self = Self::LEAST;
    /// What a nan form has of nothing: NaN where there is one.
    const GAP: Self;
    /// The zero.
    const NIL: Self;
    /// To the type of sums; u64 keeps its bits.
    fn widen(self) -> Self::Wide;
    /// A sum as it is given: rounded, and with one NaN only, so that no bit depends on the machine.
    fn close(sum: Self::Wide) -> Self::Sum;
    /// To f64, rounded; the real part.
    fn real(self) -> f64;
    /// The imaginary part.
    fn imaginary(self) -> f64;
    /// NaN.
    fn is_gap(self) -> bool;
    /// Smaller; false when either is NaN. Complex numbers go by the real part first.
    fn precedes(self, other: Self) -> bool;

    /// How many of some are not zero.
    #[inline(always)]
    fn count_of(run: &[Self]) -> i64 {
        run.iter().fold(0, |count, x| count.plus(i64::from(*x != Self::NIL)))
    }

    /// The smallest of some, NaN when one is NaN.
    #[inline(always)]
    fn least_of(run: &[Self]) -> Self {
        run.iter().fold(Self::GREATEST, |least, x| least.or_less(*x))
    }

    /// The largest of some, NaN when one is NaN.
    #[inline(always)]
    fn greatest_of(run: &[Self]) -> Self {
        run.iter().fold(Self::LEAST, |greatest, x| greatest.or_more(*x))
    }

    /// The smallest that is not NaN, else NaN.
    #[inline(always)]
    fn least_sound_of(run: &[Self]) -> Self {
        run.iter().fold(Self::GAP, |least, x| least.or_sound_less(*x))
    }

    /// The largest that is not NaN, else NaN.
    #[inline(always)]
    fn greatest_sound_of(run: &[Self]) -> Self {
        run.iter().fold(Self::GAP, |greatest, x| greatest.or_sound_more(*x))
    }

    /// The best of each run of `length`, NaN where one is NaN, in vectors of their own: floats
    /// only; says whether it has been done.
    fn extremes<const MAX: bool>(
        _level: Level,
        _source: &[Self],
        _length: usize,
        _out: &mut [Self],
    ) -> bool {
        false
    }

    /// In the same way where the first best one, or NaN, of each run stands.
    fn places<const MAX: bool>(
        _level: Level,
        _source: &[Self],
        _length: usize,
        _out: &mut [i64],
    ) -> bool {
        false
    }

    /// The smallest of a part and of eight elements, NaN when one is NaN.
    #[inline(always)]
    fn least_of_eight(self, [a, b, c, d, e, f, g, h]: [Self; 8]) -> Self {
        let upper = a.or_less(b).or_less(c.or_less(d));
        let lower = e.or_less(f).or_less(g.or_less(h));
        self.or_less(upper.or_less(lower))
    }

    /// The largest of a part and of eight elements, NaN when one is NaN.
    #[inline(always)]
    fn greatest_of_eight(self, [a, b, c, d, e, f, g, h]: [Self; 8]) -> Self {
        let upper = a.or_more(b).or_more(c.or_more(d));
        let lower = e.or_more(f).or_more(g.or_more(h));
        self.or_more(upper.or_more(lower))
    }

    /// The smaller one that is not NaN.
    #[inline(always)]
    fn or_sound_less(self, other: Self) -> Self {
        if other.precedes(self) | self.is_gap() { other } else { self }
    }

    /// The larger one that is not NaN.
    #[inline(always)]
    fn or_sound_more(self, other: Self) -> Self {
        if self.precedes(other) | self.is_gap() { other } else { self }
    }

    /// The smaller one, NaN when either is NaN.
    #[inline(always)]
    fn or_less(self, other: Self) -> Self {
        if self.precedes(other) | self.is_gap() { self } else { other }
    }

    /// The larger one, NaN when either is NaN.
    #[inline(always)]
    fn or_more(self, other: Self) -> Self {
        if other.precedes(self) | self.is_gap() { self } else { other }
    }
}

macro_rules! mask {
    ($($type:ty),*) => {
        $(impl Mask for $type {
            const NONE: Self = 0;
            #[inline(always)]
            fn of(flag: bool) -> Self {
                if flag { Self::MAX } else { 0 }
            }
            #[inline(always)]
            fn small(number: usize) -> Self {
                number as Self
            }
            #[inline(always)]
            fn number(self) -> usize {
                self as usize
            }
        })*
    };
}
mask!(u8, u16, u32, u64);

impl Wide for i64 {
    const IS_WIDE: bool = true;
    const ZERO: Self = 0;
    const ONE: Self = 1;
    const NOTHING: Self = 0;
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.wrapping_mul(other)
    }
    #[inline(always)]
    fn over(self, count: f64) -> Self {
        (self as f64 / count) as Self
    }
}

impl Wide for f64 {
    const ZERO: Self = -0.0;
    const ONE: Self = 1.0;
    const NOTHING: Self = 0.0;
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self * other
    }
    #[inline(always)]
    fn over(self, count: f64) -> Self {
        self / count
    }
}

impl Wide for Complex<f64> {
    const ZERO: Self = Self { re: -0.0, im: -0.0 };
    const ONE: Self = Self { re: 1.0, im: 0.0 };
    const NOTHING: Self = Self { re: 0.0, im: 0.0 };
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
    #[inline(always)]
    fn over(self, count: f64) -> Self {
        Self { re: self.re / count, im: self.im / count }
    }
}

/// NaN of one kind; other numbers as they are.
#[inline(always)]
pub(super) fn one_nan(x: f64) -> f64 {
    if x.is_nan() { f64::NAN } else { x }
}

/// Folds elements side by side: two cache lines of them, fewer where they are narrow, since more
/// lanes than vector registers gain nothing.
macro_rules! lanes_of {
    ($run:expr, $mask:ty, $start:expr, $join:expr) => {{
        const LANES: usize = if size_of::<$mask>() > 4 { 16 } else { 32 };
        let mut lanes = [$start; LANES];
        let (chunks, rest) = $run.as_chunks::<LANES>();
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane = $join(*lane, *x);
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane = $join(*lane, *x);
        }
        let mut left = LANES;
        while left > 1 {
            left /= 2;
            for lane in 0..left {
                lanes[lane] = $join(lanes[lane], lanes[lane + left]);
            }
        }
        lanes[0]
    }};
}

/// The best of a part and of eight floats, NaN when one is NaN. Two elements are looked at for NaN
/// by one comparison; a part that is NaN stays one.
macro_rules! float_eight {
    ($part:expr, $eight:expr, $better:expr) => {{
        let [a, b, c, d, e, f, g, h] = $eight;
        let gaps = (a.is_nan() | b.is_nan()) | (c.is_nan() | d.is_nan());
        let gaps = gaps | ((e.is_nan() | f.is_nan()) | (g.is_nan() | h.is_nan()));
        let upper = $better($better(a, b), $better(c, d));
        let lower = $better($better(e, f), $better(g, h));
        let best = $better($better(upper, lower), $part);
        if gaps { Self::NAN } else { best }
    }};
}

/// Counts in numbers as wide as the elements.
macro_rules! count_of {
    ($run:expr, $mask:ty) => {{
        const PART: usize = if size_of::<$mask>() > 1 { 4096 } else { 128 };
        $run.chunks(PART).fold(0_i64, |count, part| {
            let more = part
                .iter()
                .fold(0, |count: $mask, x| count.wrapping_add(<$mask>::from(*x != Self::NIL)));
            count.plus(more as i64)
        })
    }};
}

macro_rules! integer {
    ($($type:ty: $mask:ty),*) => {
        $(impl Element for $type {
            type Wide = i64;
            type Sum = i64;
            type Mask = $mask;
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;
            const GAP: Self = 0;
            const NIL: Self = 0;
            #[inline(always)]
            fn widen(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn close(sum: i64) -> i64 {
                sum
            }
            #[inline(always)]
            fn count_of(run: &[Self]) -> i64 {
                count_of!(run, $mask)
            }
            #[inline(always)]
            fn real(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn imaginary(self) -> f64 {
                0.0
            }
            #[inline(always)]
            fn is_gap(self) -> bool {
                false
            }
            #[inline(always)]
            fn precedes(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn least_of(run: &[Self]) -> Self {
                run.iter().copied().fold(Self::MAX, Ord::min)
            }
            #[inline(always)]
            fn greatest_of(run: &[Self]) -> Self {
                run.iter().copied().fold(Self::MIN, Ord::max)
            }
        })*
    };
}
integer!(i8: u8, i16: u16, i32: u32, i64: u64, u8: u8, u16: u16, u32: u32, u64: u64);

macro_rules! float {
    ($($type:ty: $mask:ty),*) => {
        $(impl Element for $type {
            type Wide = f64;
            type Sum = Self;
            type Mask = $mask;
            const LEAST: Self = Self::NEG_INFINITY;
            const GREATEST: Self = Self::INFINITY;
            const GAP: Self = Self::NAN;
            const NIL: Self = 0.0;
            #[inline(always)]
            fn widen(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn close(sum: f64) -> Self {
                one_nan(sum) as Self
            }
            #[inline(always)]
            fn count_of(run: &[Self]) -> i64 {
                count_of!(run, $mask)
            }
            #[inline(always)]
            fn real(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn imaginary(self) -> f64 {
                0.0
            }
            #[inline(always)]
            fn is_gap(self) -> bool {
                self.is_nan()
            }
            #[inline(always)]
            fn precedes(self, other: Self) -> bool {
                self < other
            }
            fn extremes<const MAX: bool>(
                level: Level,
                source: &[Self],
                length: usize,
                out: &mut [Self],
            ) -> bool {
                extreme::extremes::<Self, MAX>(level, source, length, out);
                true
            }
            fn places<const MAX: bool>(
                level: Level,
                source: &[Self],
                length: usize,
                out: &mut [i64],
            ) -> bool {
                extreme::places::<Self, MAX>(level, source, length, out);
                true
            }
            #[inline(always)]
            fn least_of_eight(self, eight: [Self; 8]) -> Self {
                float_eight!(self, eight, |x: Self, y: Self| if x < y { x } else { y })
            }
            #[inline(always)]
            fn greatest_of_eight(self, eight: [Self; 8]) -> Self {
                float_eight!(self, eight, |x: Self, y: Self| if x > y { x } else { y })
            }
            #[inline(always)]
            fn least_sound_of(run: &[Self]) -> Self {
                let least =
                    lanes_of!(run, $mask, Self::INFINITY, |y: Self, x: Self| if x < y { x } else { y });
                let void = least == Self::INFINITY && !run.contains(&least);
                if void { Self::NAN } else { least }
            }
            #[inline(always)]
            fn greatest_sound_of(run: &[Self]) -> Self {
                let start = Self::NEG_INFINITY;
                let greatest =
                    lanes_of!(run, $mask, start, |y: Self, x: Self| if x > y { x } else { y });
                let void = greatest == Self::NEG_INFINITY && !run.contains(&greatest);
                if void { Self::NAN } else { greatest }
            }
        })*
    };
}
float!(f32: u32, f64: u64);

macro_rules! complex {
    ($($type:ident),*) => {
        $(impl Element for Complex<$type> {
            type Wide = Complex<f64>;
            type Sum = Self;
            type Mask = u64;
            const LEAST: Self = Self { re: $type::NEG_INFINITY, im: $type::NEG_INFINITY };
            const GREATEST: Self = Self { re: $type::INFINITY, im: $type::INFINITY };
            const HIGH: Self = Self { re: $type::INFINITY, im: 0.0 };
            const LOW: Self = Self { re: $type::NEG_INFINITY, im: 0.0 };
            const GAP: Self = Self { re: $type::NAN, im: $type::NAN };
            const NIL: Self = Self { re: 0.0, im: 0.0 };
            #[inline(always)]
            fn widen(self) -> Complex<f64> {
                Complex { re: f64::from(self.re), im: f64::from(self.im) }
            }
            #[inline(always)]
            fn close(sum: Complex<f64>) -> Self {
                Self { re: one_nan(sum.re) as $type, im: one_nan(sum.im) as $type }
            }
            #[inline(always)]
            fn real(self) -> f64 {
                f64::from(self.re)
            }
            #[inline(always)]
            fn imaginary(self) -> f64 {
                f64::from(self.im)
            }
            #[inline(always)]
            fn is_gap(self) -> bool {
                self.re.is_nan() | self.im.is_nan()
            }
            #[inline(always)]
            fn precedes(self, other: Self) -> bool {
                let sound = !(self.is_gap() | other.is_gap());
                sound & ((self.re < other.re) | ((self.re == other.re) & (self.im < other.im)))
            }
        })*
    };
}
complex!(f32, f64);

impl Element for Ticks {
    type Wide = i64;
    type Mask = u64;
    type Sum = i64;
    const LEAST: Self = Self(i64::MIN + 1);
    const GREATEST: Self = Self(i64::MAX);
    const GAP: Self = Self(NAT);
    const NIL: Self = Self(0);
    #[inline(always)]
    fn widen(self) -> i64 {
        self.0
    }
    #[inline(always)]
    fn close(sum: i64) -> i64 {
        sum
    }
    #[inline(always)]
    fn real(self) -> f64 {
        self.0 as f64
    }
    #[inline(always)]
    fn imaginary(self) -> f64 {
        0.0
    }
    #[inline(always)]
    fn is_gap(self) -> bool {
        self.0 == NAT
    }
    #[inline(always)]
    fn precedes(self, other: Self) -> bool {
        (self.0 < other.0) & (self.0 != NAT)
    }
}

/// Runs `$body` with `$T` as the type of a dtype; f16 is f32, to which `widened` has brought it.
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::kernels::reduce::element::with_number!(
            $dtype, $T => $body, times: $crate::kernels::time::Ticks
        )
    };
}
pub(in crate::kernels) use with_element;

/// As `with_element`, without times, which have been refused.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr) => {
        // Sums of u64 wrap as those of i64 do.
        $crate::kernels::reduce::element::with_number!(@ $dtype, $T => $body, {
            [Bool, U8] u8, [I8] i8, [I16] i16, [I32] i32, [I64, U64] i64,
            [U16] u16, [U32] u32, [F32, F16] f32, [F64] f64,
            [C64] num_complex::Complex<f32>, [C128] num_complex::Complex<f64>
        }, i64)
    };
    ($dtype:expr, $T:ident => $body:expr, times: $times:ty) => {
        $crate::kernels::reduce::element::with_number!(@ $dtype, $T => $body, {
            [Bool, U8] u8, [I8] i8, [I16] i16, [I32] i32, [I64] i64,
            [U16] u16, [U32] u32, [U64] u64, [F32, F16] f32, [F64] f64,
            [C64] num_complex::Complex<f32>, [C128] num_complex::Complex<f64>
        }, $times)
    };
    (@ $dtype:expr, $T:ident => $body:expr, { $([$($name:ident),*] $type:ty),* }, $times:ty) => {
        match $dtype {
            $($(rdask_store::DType::$name)|* => {
                type $T = $type;
                $body
            })*
            rdask_store::DType::Datetime(_) | rdask_store::DType::Timedelta(_) => {
                type $T = $times;
                $body
            }
        }
    };
}
pub(in crate::kernels) use with_number;

/// As `with_element` for what only tells zero from the rest: integers by their width.
macro_rules! with_zeros {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::kernels::reduce::element::with_number!(@ $dtype, $T => $body, {
            [Bool, U8, I8] u8, [I16, U16] u16, [I32, U32] u32, [I64, U64] u64,
            [F32, F16] f32, [F64] f64,
            [C64] num_complex::Complex<f32>, [C128] num_complex::Complex<f64>
        }, u64)
    };
}
pub(in crate::kernels) use with_zeros;

/// As `with_element` for floats; the others have gone another way before and count as complex128.
macro_rules! with_float {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            rdask_store::DType::F32 => {
                type $T = f32;
                $body
            }
            rdask_store::DType::F64 => {
                type $T = f64;
                $body
            }
            rdask_store::DType::C64 => {
                type $T = num_complex::Complex<f32>;
                $body
            }
            _ => {
                type $T = num_complex::Complex<f64>;
                $body
            }
        }
    };
}
pub(in crate::kernels) use with_float;
