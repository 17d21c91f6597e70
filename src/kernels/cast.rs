//! Conversion between dtypes, element by element.
//!
//! As numpy's `astype` with unsafe casting: integers wrap, floats are cut towards zero, the
//! imaginary part is dropped, everything but zero is true (NaN too). Floats that no integer of the
//! target holds are left undefined by numpy; here they saturate and NaN gives 0, the same on every
//! machine.

use super::Context;
use super::array::{Output, View, with_type};
use super::fault::Outcome;
use super::parallel;
use super::params::{Read, Reader};
use super::simd::{self, Level, Loop};
use super::table::{Entry, Inputs, entry, of_one};
use bytemuck::Pod;
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
    with_type!(from, T => cast_from::<T>(level, source, to, out));
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

macro_rules! complex_methods {
    ($($method:ident $target:ty),*) => {
        $(fn $method(self) -> $target {
            self.re as $target
        })*
    };
}

macro_rules! number {
    ($methods:ident, $zero:expr, [$($type:ty),*], $c64:expr, $c128:expr) => {
        $(impl Number for $type {
            fn is_true(self) -> bool {
                self != $zero
            }
            $methods! {
                to_i8 i8, to_i16 i16, to_i32 i32, to_i64 i64,
                to_u8 u8, to_u16 u16, to_u32 u32, to_u64 u64, to_f32 f32, to_f64 f64
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

number!(
    real_methods,
    0,
    [i8, i16, i32, i64, u8, u16, u32, u64],
    |value| Complex::new(value as f32, 0.0),
    |value| Complex::new(value as f64, 0.0)
);
number!(
    real_methods,
    0.0,
    [f32, f64],
    |value: Self| Complex::new(value.to_f32(), 0.0),
    |value: Self| Complex::new(value.to_f64(), 0.0)
);
number!(
    complex_methods,
    Complex::ZERO,
    [Complex<f32>, Complex<f64>],
    |value: Self| Complex::new(value.re.to_f32(), value.im.to_f32()),
    |value: Self| Complex::new(value.re.to_f64(), value.im.to_f64())
);
