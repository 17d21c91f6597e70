//! Conversion between dtypes, element by element.
//!
//! As numpy's `astype` with unsafe casting: integers wrap, floats are cut towards zero, the
//! imaginary part is dropped, everything but zero is true (NaN too). Floats that no integer of the
//! target holds are left undefined by numpy; here they saturate and NaN gives 0, the same on every
//! machine. What is no date (NaN, too large) becomes NaT.

use super::Context;
use super::array::{Output, View, with_type};
use super::fault::Outcome;
use super::parallel;
use super::params::{Read, Reader};
use super::simd::{self, Cut, Level, Loop};
use super::table::{Entry, Inputs, entry, of_one};
use super::time::{NAT, Ticks, check_units, convert};
use bytemuck::Pod;
use half::f16;
use num_complex::Complex;
use rdask_store::{DType, Sealed};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[entry("astype", Inputs::Exactly(1), &["dtype"], |reader| {
    let astype = Astype::parse(reader)?;
    Ok(of_one(move |context, input| astype.run(context, input)))
})];

/// `astype(dtype)`.
#[derive(Debug)]
pub(super) struct Astype {
    dtype: DType,
}

impl Astype {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { dtype: reader.need("dtype", reader.dtype("dtype")?)? })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        if let (DType::Datetime(from), DType::Datetime(to))
        | (DType::Timedelta(from), DType::Timedelta(to)) = (input.dtype, self.dtype)
        {
            check_units(from, to)?;
        }
        let mut output = Output::new(context, self.dtype, &input.shape)?;
        let (from, to) = (input.dtype, self.dtype);
        parallel::rows(output.bytes_mut(), to.size(), context.threads, |start, out| {
            let source = &input.bytes[start * from.size()..];
            cast(from, &source[..out.len() / to.size() * from.size()], to, out);
            Ok(())
        })?;
        output.seal()
    }
}

/// Converts all elements of `source` into `out`, which has as many.
pub(super) fn cast(from: DType, source: &[u8], to: DType, out: &mut [u8]) {
    cast_at(Level::best(), from, source, to, out);
}

/// Converts with the vector instructions of a level, which changes no bit.
pub(super) fn cast_at(level: Level, from: DType, source: &[u8], to: DType, out: &mut [u8]) {
    if from == to {
        out.copy_from_slice(source);
        return;
    }
    match (from, to) {
        (DType::Datetime(from), DType::Datetime(to)) => convert(true, from, to, source, out),
        (DType::Timedelta(from), DType::Timedelta(to)) => convert(false, from, to, source, out),
        _ => with_type!(from, T => cast_from::<T>(level, source, to, out)),
    }
}

fn cast_from<T: Number>(level: Level, source: &[u8], to: DType, out: &mut [u8]) {
    let source: &[T] = bytemuck::cast_slice(source);
    match to {
        DType::Bool => each(level, source, out, |value| u8::from(value.is_true())),
        DType::I8 => each(level, source, out, T::to_i8),
        DType::I16 => each(level, source, out, T::to_i16),
        DType::I32 => each(level, source, out, T::to_i32),
        DType::I64 => each(level, source, out, T::to_i64),
        DType::U8 => each(level, source, out, T::to_u8),
        DType::U16 => each(level, source, out, T::to_u16),
        DType::U32 => each(level, source, out, T::to_u32),
        DType::U64 => each(level, source, out, T::to_u64),
        DType::F32 => each(level, source, out, T::to_f32),
        DType::F64 => each(level, source, out, T::to_f64),
        DType::C64 => each(level, source, out, T::to_c64),
        DType::C128 => each(level, source, out, T::to_c128),
        DType::F16 => each(level, source, out, T::to_f16),
        DType::Datetime(_) | DType::Timedelta(_) => each(level, source, out, T::to_ticks),
    }
}

struct Each<'a, T, U, F> {
    source: &'a [T],
    out: &'a mut [U],
    convert: F,
}

impl<T: Copy, U, F: Fn(T) -> U> Loop for Each<'_, T, U, F> {
    #[inline(always)]
    fn run(self) {
        for (out, value) in self.out.iter_mut().zip(self.source) {
            *out = (self.convert)(*value);
        }
    }
}

fn each<T: Copy, U: Pod>(level: Level, source: &[T], out: &mut [u8], convert: impl Fn(T) -> U) {
    simd::run(level, Each { source, out: bytemuck::cast_slice_mut(out), convert });
}

/// A type that stands for a dtype, with its conversions to all others.
pub(super) trait Number: Pod {
    /// Not zero.
    fn is_true(self) -> bool;
    /// To int8.
    fn to_i8(self) -> i8;
    /// To int16.
    fn to_i16(self) -> i16;
    /// To int32.
    fn to_i32(self) -> i32;
    /// To int64.
    fn to_i64(self) -> i64;
    /// To uint8.
    fn to_u8(self) -> u8;
    /// To uint16.
    fn to_u16(self) -> u16;
    /// To uint32.
    fn to_u32(self) -> u32;
    /// To uint64.
    fn to_u64(self) -> u64;
    /// To float32.
    fn to_f32(self) -> f32;
    /// To float64.
    fn to_f64(self) -> f64;
    /// To float16.
    fn to_f16(self) -> f16;
    /// To a date or duration; `NAT` where it is none.
    fn to_ticks(self) -> i64;
    /// To complex64.
    fn to_c64(self) -> Complex<f32>;
    /// To complex128.
    fn to_c128(self) -> Complex<f64>;
}

macro_rules! real_methods {
    ($($method:ident $target:ty),*) => {
        $(fn $method(self) -> $target {
            self as $target
        })*
    };
}

macro_rules! float_methods {
    (@ $value:ident f32) => { $value as f32 };
    (@ $value:ident f64) => { $value as f64 };
    (@ $value:ident $target:ident) => { Cut::<$target>::cut($value) };
    ($($method:ident $target:ident),*) => {
        $(#[inline(always)]
        fn $method(self) -> $target {
            float_methods!(@ self $target)
        })*
    };
}

macro_rules! half_methods {
    ($($method:ident $target:ty),*) => {
        $(fn $method(self) -> $target {
            f32::from(self) as $target
        })*
    };
}

macro_rules! ticks_methods {
    ($($method:ident $target:ty),*) => {
        $(fn $method(self) -> $target {
            self.0 as $target
        })*
    };
}

macro_rules! complex_methods {
    ($($method:ident $target:ty),*) => {
        $(fn $method(self) -> $target {
            self.re as $target
        })*
    };
}

macro_rules! number {
    (
        [$($type:ty),*], $methods:ident, $zero:expr,
        f16: $f16:expr, ticks: $ticks:expr, c64: $c64:expr, c128: $c128:expr
    ) => {
        $(impl Number for $type {
            fn is_true(self) -> bool {
                self != $zero
            }
            $methods! {
                to_i8 i8, to_i16 i16, to_i32 i32, to_i64 i64,
                to_u8 u8, to_u16 u16, to_u32 u32, to_u64 u64, to_f32 f32, to_f64 f64
            }
            fn to_f16(self) -> f16 {
                $f16(self)
            }
            fn to_ticks(self) -> i64 {
                $ticks(self)
            }
            fn to_c64(self) -> Complex<f32> {
                $c64(self)
            }
            fn to_c128(self) -> Complex<f64> {
                $c128(self)
            }
        })*
    };
}

/// An f64 in f16, rounded once. (The `half` crate rounds twice or cuts first.)
pub(super) fn narrowest(value: f64) -> f16 {
    let near = value as f32;
    let bits = near.to_bits();
    if f64::from(near) == value || value.is_nan() || bits & 1 == 1 {
        return f16::from_f32(near);
    }
    // The odd neighbour of an inexact f32 is never a tie of two f16.
    let outwards = f64::from(near).abs() < value.abs();
    f16::from_f32(f32::from_bits(if outwards { bits + 1 } else { bits - 1 }))
}

/// Towards zero; what i64 does not hold is no date.
fn ticks(value: f64) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&value) { value as i64 } else { NAT }
}

number!(
    [i8, i16, i32, i64, u8, u16, u32, u64],
    real_methods,
    0,
    f16: |value| f16::from_f32(value as f32),
    ticks: Self::to_i64,
    c64: |value| Complex::new(value as f32, 0.0),
    c128: |value| Complex::new(value as f64, 0.0)
);
number!(
    [f32],
    float_methods,
    0.0,
    f16: f16::from_f32,
    ticks: |value| ticks(f64::from(value)),
    c64: |value| Complex::new(value, 0.0),
    c128: |value| Complex::new(f64::from(value), 0.0)
);
number!(
    [f64],
    float_methods,
    0.0,
    f16: narrowest,
    ticks: ticks,
    c64: |value| Complex::new(value as f32, 0.0),
    c128: |value| Complex::new(value, 0.0)
);
number!(
    [Complex<f32>],
    complex_methods,
    Complex::ZERO,
    f16: |value: Self| f16::from_f32(value.re),
    ticks: |value: Self| ticks(f64::from(value.re)),
    c64: |value: Self| value,
    c128: |value: Self| Complex::new(f64::from(value.re), f64::from(value.im))
);
number!(
    [Complex<f64>],
    complex_methods,
    Complex::ZERO,
    f16: |value: Self| narrowest(value.re),
    ticks: |value: Self| ticks(value.re),
    c64: |value: Self| Complex::new(value.re as f32, value.im as f32),
    c128: |value: Self| value
);
number!(
    [f16],
    half_methods,
    Self::ZERO,
    f16: |value: Self| value,
    ticks: |value: Self| ticks(value.to_f64()),
    c64: |value: Self| Complex::new(value.to_f32(), 0.0),
    c128: |value: Self| Complex::new(value.to_f64(), 0.0)
);
number!(
    [Ticks],
    ticks_methods,
    Self(0),
    f16: |value: Self| f16::from_f32(value.0 as f32),
    ticks: |value: Self| value.0,
    c64: |value: Self| Complex::new(value.0 as f32, 0.0),
    c128: |value: Self| Complex::new(value.0 as f64, 0.0)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_cut_to_the_nearest_integer_of_the_dtype() {
        let mut values = vec![0.0, 0.5, 0.999_999_999_999_999_9, 1.5, 2.5, 1e-310, 1e300];
        for power in 1..70 {
            let edge = 2.0_f64.powi(power);
            values.extend([edge, edge - 0.5, edge - 1.0, edge + 0.5, edge + 1.5]);
            values.extend([edge * (1.0 - f64::EPSILON), edge * (1.0 + f64::EPSILON)]);
        }
        values.extend([f64::NAN, f64::INFINITY, f64::MAX]);
        values.extend(values.clone().iter().map(|value| -value));
        let source: &[u8] = bytemuck::cast_slice(&values);
        // Rust's own conversion saturates, and NaN gives 0.
        macro_rules! check {
            ($($dtype:ident $type:ident),*) => {
                $({
                    let expected: Vec<$type> = values.iter().map(|value| *value as $type).collect();
                    let narrow: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                    let of_narrow: Vec<$type> =
                        narrow.iter().map(|value| *value as $type).collect();
                    for level in Level::available() {
                        let mut out: Vec<$type> = vec![0; values.len()];
                        let bytes = bytemuck::cast_slice_mut(&mut out);
                        cast_at(level, DType::F64, source, DType::$dtype, bytes);
                        assert_eq!(out, expected, "{level:?}");
                        let bytes = bytemuck::cast_slice_mut(&mut out);
                        let source = bytemuck::cast_slice(&narrow);
                        cast_at(level, DType::F32, source, DType::$dtype, bytes);
                        assert_eq!(out, of_narrow, "{level:?}");
                    }
                })*
            };
        }
        check!(I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64);
    }
}
