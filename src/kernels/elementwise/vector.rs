//! The inner loops: one operation on one block of elements.
//!
//! The match over functions stands outside of the loops. Arithmetic on floats is not here: `joined`
//! takes all of it, and most of that on integers of 32 and 64 bits. Functions of `libm` are calls, so
//! their loops exist once, for the portable level.

use super::complex;
use super::curves::{self, Curved};
use super::expression::{Binary, Compare, Unary};
use super::loops::{each, pairs};
use super::real::{self, Float, Integer};
use super::time;
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::simd::Level;
use bytemuck::Pod;
use num_complex::Complex;
use rdask_store::DType;

/// For loops that call functions.
const PLAIN: Level = Level::Portable;

/// A function of one argument on elements of this dtype.
pub(super) fn unary(level: Level, function: Unary, dtype: DType, x: &[u8], out: &mut [u8]) {
    match dtype {
        DType::Bool => each(level, x, out, |x: u8| x ^ 1),
        DType::I8 => integer_unary::<i8>(level, function, x, out),
        DType::I16 => integer_unary::<i16>(level, function, x, out),
        DType::I32 => integer_unary::<i32>(level, function, x, out),
        DType::I64 => integer_unary::<i64>(level, function, x, out),
        DType::U8 => integer_unary::<u8>(level, function, x, out),
        DType::U16 => integer_unary::<u16>(level, function, x, out),
        DType::U32 => integer_unary::<u32>(level, function, x, out),
        DType::U64 => integer_unary::<u64>(level, function, x, out),
        DType::F32 => float_unary::<f32>(level, function, x, out),
        DType::F64 => float_unary::<f64>(level, function, x, out),
        DType::C64 => complex_unary::<f32>(level, function, x, out),
        DType::C128 => complex_unary::<f64>(level, function, x, out),
        // Typing computes f16 in f32.
        DType::F16 | DType::Datetime(_) | DType::Timedelta(_) => {
            time::unary(level, function, x, out);
        }
    }
}

fn integer_unary<T: Integer>(level: Level, function: Unary, x: &[u8], out: &mut [u8]) {
    match function {
        Unary::Negative => each(level, x, out, T::negative),
        Unary::Invert => each(level, x, out, T::invert),
        Unary::Abs => each(level, x, out, T::magnitude),
        // Typing leaves no other function to integers.
        _ => each(level, x, out, T::sign),
    }
}

fn float_unary<T: Curved>(level: Level, function: Unary, x: &[u8], out: &mut [u8]) {
    match function {
        Unary::Sign => each(level, x, out, real::sign::<T>),
        Unary::Floor => each(level, x, out, T::floor),
        Unary::Ceil => each(level, x, out, T::ceil),
        Unary::Round => each(level, x, out, T::round),
        Unary::Trunc => each(level, x, out, T::trunc),
        Unary::IsNan => each(level, x, out, |x: T| u8::from(x.is_nan())),
        Unary::IsFinite => each(level, x, out, |x: T| u8::from(x.is_finite())),
        Unary::IsInf => each(level, x, out, |x: T| u8::from(!x.is_finite() && !x.is_nan())),
        Unary::Cbrt => T::along(level, x, out, curves::Cbrt),
        Unary::Exp => T::along(level, x, out, curves::Exp),
        Unary::Expm1 => T::along(level, x, out, curves::Expm1),
        Unary::Log => T::along(level, x, out, curves::Log),
        Unary::Log2 => T::along(level, x, out, curves::Log2),
        Unary::Log10 => T::along(level, x, out, curves::Log10),
        Unary::Log1p => T::along(level, x, out, curves::Log1p),
        Unary::Sin => T::along(level, x, out, curves::Sin),
        Unary::Cos => T::along(level, x, out, curves::Cos),
        Unary::Tan => T::along(level, x, out, curves::Tan),
        Unary::Arcsin => T::along(level, x, out, curves::Arcsin),
        Unary::Arccos => T::along(level, x, out, curves::Arccos),
        Unary::Arctan => T::along(level, x, out, curves::Arctan),
        Unary::Sinh => T::along(level, x, out, curves::Sinh),
        Unary::Cosh => T::along(level, x, out, curves::Cosh),
        Unary::Tanh => T::along(level, x, out, curves::Tanh),
        // Typing resolves the latter for floats, and the machine has the former.
        Unary::Negative
        | Unary::Abs
        | Unary::Sqrt
        | Unary::Invert
        | Unary::Real
        | Unary::Imag
        | Unary::Conj => out.copy_from_slice(x),
    }
}

fn complex_unary<T: Float>(level: Level, function: Unary, x: &[u8], out: &mut [u8])
where
    Complex<T>: Pod,
{
    let via = |f: fn(Complex<f64>) -> Complex<f64>| {
        move |x: Complex<T>| {
            let value = f(Complex::new(x.re.wide(), x.im.wide()));
            Complex { re: T::narrow(value.re), im: T::narrow(value.im) }
        }
    };
    match function {
        Unary::Negative => each(level, x, out, |x: Complex<T>| Complex { re: -x.re, im: -x.im }),
        Unary::Conj => each(level, x, out, |x: Complex<T>| Complex { re: x.re, im: -x.im }),
        Unary::Real => each(level, x, out, |x: Complex<T>| x.re),
        Unary::Imag => each(level, x, out, |x: Complex<T>| x.im),
        Unary::Abs => each(level, x, out, |x: Complex<T>| {
            T::narrow(complex::abs(Complex::new(x.re.wide(), x.im.wide())))
        }),
        Unary::Round => {
            each(level, x, out, |x: Complex<T>| Complex { re: x.re.round(), im: x.im.round() });
        }
        Unary::IsNan => each(level, x, out, |x: Complex<T>| u8::from(complex::is_nan(x))),
        Unary::IsFinite => {
            each(level, x, out, |x: Complex<T>| u8::from(x.re.is_finite() && x.im.is_finite()));
        }
        Unary::IsInf => each(level, x, out, |x: Complex<T>| {
            let infinite = |part: T| !part.is_finite() && !part.is_nan();
            u8::from(infinite(x.re) || infinite(x.im))
        }),
        Unary::Sign => each(PLAIN, x, out, via(complex::sign)),
        Unary::Sqrt => each(PLAIN, x, out, via(complex::sqrt)),
        Unary::Exp => each(PLAIN, x, out, via(complex::exp)),
        Unary::Expm1 => each(PLAIN, x, out, via(complex::expm1::<T>)),
        Unary::Log => each(PLAIN, x, out, via(complex::log)),
        Unary::Log2 => each(PLAIN, x, out, via(complex::log2)),
        Unary::Log10 => each(PLAIN, x, out, via(complex::log10)),
        Unary::Log1p => each(PLAIN, x, out, via(complex::log1p)),
        Unary::Sin => each(PLAIN, x, out, via(complex::sin)),
        Unary::Cos => each(PLAIN, x, out, via(complex::cos)),
        Unary::Tan => each(PLAIN, x, out, via(complex::tan)),
        Unary::Arcsin => each(PLAIN, x, out, via(complex::arcsin)),
        Unary::Arccos => each(PLAIN, x, out, via(complex::arccos)),
        Unary::Arctan => each(PLAIN, x, out, via(complex::arctan)),
        Unary::Sinh => each(PLAIN, x, out, via(complex::sinh)),
        Unary::Cosh => each(PLAIN, x, out, via(complex::cosh)),
        Unary::Tanh => each(PLAIN, x, out, via(complex::tanh)),
        // Typing refuses these for complex numbers.
        Unary::Invert | Unary::Cbrt | Unary::Floor | Unary::Ceil | Unary::Trunc => {
            out.copy_from_slice(x);
        }
    }
}

/// A function of two arguments on elements of this dtype.
///
/// # Errors
/// `ValueError` for a negative exponent of an integer.
pub(super) fn binary(
    level: Level,
    function: Binary,
    dtype: DType,
    [x, y]: [&[u8]; 2],
    out: &mut [u8],
) -> Outcome<()> {
    match dtype {
        DType::Bool | DType::U8 => integer_binary::<u8>(level, function, x, y, out),
        DType::I8 => integer_binary::<i8>(level, function, x, y, out),
        DType::I16 => integer_binary::<i16>(level, function, x, y, out),
        DType::I32 => integer_binary::<i32>(level, function, x, y, out),
        DType::I64 => integer_binary::<i64>(level, function, x, y, out),
        DType::U16 => integer_binary::<u16>(level, function, x, y, out),
        DType::U32 => integer_binary::<u32>(level, function, x, y, out),
        DType::U64 => integer_binary::<u64>(level, function, x, y, out),
        DType::F32 => {
            float_binary::<f32>(level, function, x, y, out);
            Ok(())
        }
        DType::F64 => {
            float_binary::<f64>(level, function, x, y, out);
            Ok(())
        }
        DType::C64 => {
            complex_binary::<f32>(level, function, x, y, out);
            Ok(())
        }
        DType::C128 => {
            complex_binary::<f64>(level, function, x, y, out);
            Ok(())
        }
        // Typing computes f16 in f32.
        DType::F16 | DType::Datetime(_) | DType::Timedelta(_) => {
            time::binary(level, function, x, y, out);
            Ok(())
        }
    }
}

fn integer_binary<T: Integer>(
    level: Level,
    function: Binary,
    x: &[u8],
    y: &[u8],
    out: &mut [u8],
) -> Outcome<()> {
    match function {
        Binary::Add => pairs(level, x, y, out, T::plus),
        Binary::Subtract => pairs(level, x, y, out, T::minus),
        Binary::Multiply => pairs(level, x, y, out, T::times),
        Binary::FloorDivide => pairs(level, x, y, out, T::floor_divide),
        Binary::Remainder => pairs(level, x, y, out, T::remainder),
        Binary::Power => {
            if bytemuck::cast_slice::<_, T>(y).iter().any(|y| y.is_negative()) {
                return Err(value_error("Integers to negative integer powers are not allowed."));
            }
            pairs(level, x, y, out, T::power);
        }
        Binary::And => pairs(level, x, y, out, T::and),
        Binary::Or => pairs(level, x, y, out, T::or),
        Binary::Xor => pairs(level, x, y, out, T::xor),
        Binary::Compare(compare) => ordered::<T>(level, compare, x, y, out),
        Binary::Minimum => pairs(level, x, y, out, T::min),
        // Typing gives integers no other function.
        Binary::Maximum | Binary::Divide | Binary::Arctan2 | Binary::Hypot => {
            pairs(level, x, y, out, T::max);
        }
    }
    Ok(())
}

fn ordered<T: Pod + PartialOrd>(
    level: Level,
    compare: Compare,
    x: &[u8],
    y: &[u8],
    out: &mut [u8],
) {
    match compare {
        Compare::Less => pairs(level, x, y, out, |x: T, y: T| u8::from(x < y)),
        Compare::LessEqual => pairs(level, x, y, out, |x: T, y: T| u8::from(x <= y)),
        Compare::Greater => pairs(level, x, y, out, |x: T, y: T| u8::from(x > y)),
        Compare::GreaterEqual => pairs(level, x, y, out, |x: T, y: T| u8::from(x >= y)),
        Compare::Equal => pairs(level, x, y, out, |x: T, y: T| u8::from(x == y)),
        Compare::NotEqual => pairs(level, x, y, out, |x: T, y: T| u8::from(x != y)),
    }
}

fn float_binary<T: Curved>(level: Level, function: Binary, x: &[u8], y: &[u8], out: &mut [u8]) {
    match function {
        Binary::FloorDivide => pairs(level, x, y, out, real::floor_divide::<T>),
        Binary::Remainder => pairs(level, x, y, out, real::remainder::<T>),
        Binary::Power => T::along_both(level, [x, y], out, curves::Power),
        Binary::Compare(compare) => ordered::<T>(level, compare, x, y, out),
        Binary::Arctan2 => T::along_both(level, [x, y], out, curves::Arctan2),
        // Typing refuses bitwise functions of floats, and the machine has the others.
        _ => T::along_both(level, [x, y], out, curves::Hypot),
    }
}

fn complex_binary<T: Float>(level: Level, function: Binary, x: &[u8], y: &[u8], out: &mut [u8])
where
    Complex<T>: Pod,
{
    let sum = |x: Complex<T>, y: Complex<T>| Complex { re: x.re + y.re, im: x.im + y.im };
    let difference = |x: Complex<T>, y: Complex<T>| Complex { re: x.re - y.re, im: x.im - y.im };
    match function {
        Binary::Add => pairs(level, x, y, out, sum),
        Binary::Subtract => pairs(level, x, y, out, difference),
        Binary::Multiply => pairs(level, x, y, out, complex::multiply::<T>),
        Binary::Divide => pairs(level, x, y, out, complex::divide::<T>),
        Binary::Compare(compare) => {
            pairs(level, x, y, out, |x: Complex<T>, y| u8::from(complex::compare(compare, x, y)));
        }
        Binary::Minimum => pairs(level, x, y, out, complex::minimum::<T>),
        Binary::Maximum => pairs(level, x, y, out, complex::maximum::<T>),
        // Typing refuses what is left for complex numbers, but for powers.
        Binary::Power
        | Binary::FloorDivide
        | Binary::Remainder
        | Binary::And
        | Binary::Or
        | Binary::Xor
        | Binary::Arctan2
        | Binary::Hypot => pairs(PLAIN, x, y, out, complex::power::<T>),
    }
}

/// A comparison of i64 with u64 that loses no digit.
pub(super) fn mixed(compare: Compare, x: &[u8], y: &[u8], out: &mut [u8]) {
    let (x, y): (&[i64], &[u64]) = (bytemuck::cast_slice(x), bytemuck::cast_slice(y));
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = u8::from(compare.holds(Some(i128::from(*x).cmp(&i128::from(*y)))));
    }
}
