//! The inner loops: one operation on one block of elements.
//!
//! Every loop is plain, over slices of equal length, so that the compiler vectorises it for any
//! width without changing a bit of the results.

use super::complex;
use super::expression::{Binary, Compare, Unary};
use super::real::{self, Float, Integer};
use super::time;
use crate::kernels::fault::{Outcome, value_error};
use bytemuck::Pod;
use num_complex::Complex;
use rdask_store::DType;

pub(super) fn each<T: Pod, R: Pod>(x: &[u8], out: &mut [u8], f: impl Fn(T) -> R) {
    let x: &[T] = bytemuck::cast_slice(x);
    let out: &mut [R] = bytemuck::cast_slice_mut(out);
    for (out, x) in out.iter_mut().zip(x) {
        *out = f(*x);
    }
}

pub(super) fn pairs<T: Pod, R: Pod>(x: &[u8], y: &[u8], out: &mut [u8], f: impl Fn(T, T) -> R) {
    let (x, y): (&[T], &[T]) = (bytemuck::cast_slice(x), bytemuck::cast_slice(y));
    let out: &mut [R] = bytemuck::cast_slice_mut(out);
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = f(*x, *y);
    }
}

/// A function of one argument on elements of this dtype.
pub(super) fn unary(function: Unary, dtype: DType, x: &[u8], out: &mut [u8]) {
    match dtype {
        DType::Bool => each(x, out, |x: u8| x ^ 1),
        DType::I8 => integer_unary::<i8>(function, x, out),
        DType::I16 => integer_unary::<i16>(function, x, out),
        DType::I32 => integer_unary::<i32>(function, x, out),
        DType::I64 => integer_unary::<i64>(function, x, out),
        DType::U8 => integer_unary::<u8>(function, x, out),
        DType::U16 => integer_unary::<u16>(function, x, out),
        DType::U32 => integer_unary::<u32>(function, x, out),
        DType::U64 => integer_unary::<u64>(function, x, out),
        DType::F32 => float_unary::<f32>(function, x, out),
        DType::F64 => float_unary::<f64>(function, x, out),
        DType::C64 => complex_unary::<f32>(function, x, out),
        DType::C128 => complex_unary::<f64>(function, x, out),
        // Typing computes f16 in f32.
        DType::F16 | DType::Datetime(_) | DType::Timedelta(_) => time::unary(function, x, out),
    }
}

fn integer_unary<T: Integer>(function: Unary, x: &[u8], out: &mut [u8]) {
    match function {
        Unary::Negative => each(x, out, T::negative),
        Unary::Invert => each(x, out, T::invert),
        Unary::Abs => each(x, out, T::magnitude),
        // Typing leaves no other function to integers.
        _ => each(x, out, T::sign),
    }
}

fn float_unary<T: Float>(function: Unary, x: &[u8], out: &mut [u8]) {
    let via = |f: fn(f64) -> f64| move |x: T| T::narrow(f(x.wide()));
    match function {
        Unary::Negative => each(x, out, |x: T| -x),
        Unary::Abs => each(x, out, T::abs),
        Unary::Sign => each(x, out, real::sign::<T>),
        Unary::Sqrt => each(x, out, T::sqrt),
        Unary::Floor => each(x, out, T::floor),
        Unary::Ceil => each(x, out, T::ceil),
        Unary::Round => each(x, out, T::round),
        Unary::Trunc => each(x, out, T::trunc),
        Unary::IsNan => each(x, out, |x: T| u8::from(x.is_nan())),
        Unary::IsFinite => each(x, out, |x: T| u8::from(x.is_finite())),
        Unary::IsInf => each(x, out, |x: T| u8::from(!x.is_finite() && !x.is_nan())),
        Unary::Cbrt => each(x, out, via(libm::cbrt)),
        Unary::Exp => each(x, out, via(libm::exp)),
        Unary::Expm1 => each(x, out, via(libm::expm1)),
        Unary::Log => each(x, out, via(libm::log)),
        Unary::Log2 => each(x, out, via(libm::log2)),
        Unary::Log10 => each(x, out, via(libm::log10)),
        Unary::Log1p => each(x, out, via(libm::log1p)),
        Unary::Sin => each(x, out, via(libm::sin)),
        Unary::Cos => each(x, out, via(libm::cos)),
        Unary::Tan => each(x, out, via(libm::tan)),
        Unary::Arcsin => each(x, out, via(libm::asin)),
        Unary::Arccos => each(x, out, via(libm::acos)),
        Unary::Arctan => each(x, out, via(libm::atan)),
        Unary::Sinh => each(x, out, via(libm::sinh)),
        Unary::Cosh => each(x, out, via(libm::cosh)),
        Unary::Tanh => each(x, out, via(libm::tanh)),
        // Typing resolves these for floats; they are the element itself.
        Unary::Invert | Unary::Real | Unary::Imag | Unary::Conj => out.copy_from_slice(x),
    }
}

fn complex_unary<T: Float>(function: Unary, x: &[u8], out: &mut [u8])
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
        Unary::Negative => each(x, out, |x: Complex<T>| Complex { re: -x.re, im: -x.im }),
        Unary::Conj => each(x, out, |x: Complex<T>| Complex { re: x.re, im: -x.im }),
        Unary::Real => each(x, out, |x: Complex<T>| x.re),
        Unary::Imag => each(x, out, |x: Complex<T>| x.im),
        Unary::Abs => each(x, out, |x: Complex<T>| {
            T::narrow(complex::abs(Complex::new(x.re.wide(), x.im.wide())))
        }),
        Unary::Round => {
            each(x, out, |x: Complex<T>| Complex { re: x.re.round(), im: x.im.round() });
        }
        Unary::IsNan => each(x, out, |x: Complex<T>| u8::from(complex::is_nan(x))),
        Unary::IsFinite => {
            each(x, out, |x: Complex<T>| u8::from(x.re.is_finite() && x.im.is_finite()));
        }
        Unary::IsInf => each(x, out, |x: Complex<T>| {
            let infinite = |part: T| !part.is_finite() && !part.is_nan();
            u8::from(infinite(x.re) || infinite(x.im))
        }),
        Unary::Sign => each(x, out, via(complex::sign)),
        Unary::Sqrt => each(x, out, via(complex::sqrt)),
        Unary::Exp => each(x, out, via(complex::exp)),
        Unary::Expm1 => each(x, out, via(complex::expm1)),
        Unary::Log => each(x, out, via(complex::log)),
        Unary::Log2 => each(x, out, via(complex::log2)),
        Unary::Log10 => each(x, out, via(complex::log10)),
        Unary::Log1p => each(x, out, via(complex::log1p)),
        Unary::Sin => each(x, out, via(complex::sin)),
        Unary::Cos => each(x, out, via(complex::cos)),
        Unary::Tan => each(x, out, via(complex::tan)),
        Unary::Arcsin => each(x, out, via(complex::arcsin)),
        Unary::Arccos => each(x, out, via(complex::arccos)),
        Unary::Arctan => each(x, out, via(complex::arctan)),
        Unary::Sinh => each(x, out, via(complex::sinh)),
        Unary::Cosh => each(x, out, via(complex::cosh)),
        Unary::Tanh => each(x, out, via(complex::tanh)),
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
    function: Binary,
    dtype: DType,
    x: &[u8],
    y: &[u8],
    out: &mut [u8],
) -> Outcome<()> {
    match dtype {
        DType::Bool | DType::U8 => integer_binary::<u8>(function, x, y, out),
        DType::I8 => integer_binary::<i8>(function, x, y, out),
        DType::I16 => integer_binary::<i16>(function, x, y, out),
        DType::I32 => integer_binary::<i32>(function, x, y, out),
        DType::I64 => integer_binary::<i64>(function, x, y, out),
        DType::U16 => integer_binary::<u16>(function, x, y, out),
        DType::U32 => integer_binary::<u32>(function, x, y, out),
        DType::U64 => integer_binary::<u64>(function, x, y, out),
        DType::F32 => {
            float_binary::<f32>(function, x, y, out);
            Ok(())
        }
        DType::F64 => {
            float_binary::<f64>(function, x, y, out);
            Ok(())
        }
        DType::C64 => {
            complex_binary::<f32>(function, x, y, out);
            Ok(())
        }
        DType::C128 => {
            complex_binary::<f64>(function, x, y, out);
            Ok(())
        }
        // Typing computes f16 in f32.
        DType::F16 | DType::Datetime(_) | DType::Timedelta(_) => {
            time::binary(function, x, y, out);
            Ok(())
        }
    }
}

fn integer_binary<T: Integer>(function: Binary, x: &[u8], y: &[u8], out: &mut [u8]) -> Outcome<()> {
    match function {
        Binary::Add => pairs(x, y, out, T::plus),
        Binary::Subtract => pairs(x, y, out, T::minus),
        Binary::Multiply => pairs(x, y, out, T::times),
        Binary::FloorDivide => pairs(x, y, out, T::floor_divide),
        Binary::Remainder => pairs(x, y, out, T::remainder),
        Binary::Power => {
            if bytemuck::cast_slice::<_, T>(y).iter().any(|y| y.is_negative()) {
                return Err(value_error("Integers to negative integer powers are not allowed."));
            }
            pairs(x, y, out, T::power);
        }
        Binary::And => pairs(x, y, out, T::and),
        Binary::Or => pairs(x, y, out, T::or),
        Binary::Xor => pairs(x, y, out, T::xor),
        Binary::Compare(compare) => ordered::<T>(compare, x, y, out),
        Binary::Minimum => pairs(x, y, out, T::min),
        // Typing gives integers no other function.
        Binary::Maximum | Binary::Divide | Binary::Arctan2 | Binary::Hypot => {
            pairs(x, y, out, T::max);
        }
    }
    Ok(())
}

fn ordered<T: Pod + PartialOrd>(compare: Compare, x: &[u8], y: &[u8], out: &mut [u8]) {
    match compare {
        Compare::Less => pairs(x, y, out, |x: T, y: T| u8::from(x < y)),
        Compare::LessEqual => pairs(x, y, out, |x: T, y: T| u8::from(x <= y)),
        Compare::Greater => pairs(x, y, out, |x: T, y: T| u8::from(x > y)),
        Compare::GreaterEqual => pairs(x, y, out, |x: T, y: T| u8::from(x >= y)),
        Compare::Equal => pairs(x, y, out, |x: T, y: T| u8::from(x == y)),
        Compare::NotEqual => pairs(x, y, out, |x: T, y: T| u8::from(x != y)),
    }
}

fn float_binary<T: Float>(function: Binary, x: &[u8], y: &[u8], out: &mut [u8]) {
    let via = |f: fn(f64, f64) -> f64| move |x: T, y: T| T::narrow(f(x.wide(), y.wide()));
    match function {
        Binary::Add => pairs(x, y, out, |x: T, y: T| x + y),
        Binary::Subtract => pairs(x, y, out, |x: T, y: T| x - y),
        Binary::Multiply => pairs(x, y, out, |x: T, y: T| x * y),
        Binary::Divide => pairs(x, y, out, |x: T, y: T| x / y),
        Binary::FloorDivide => pairs(x, y, out, real::floor_divide::<T>),
        Binary::Remainder => pairs(x, y, out, real::remainder::<T>),
        Binary::Power => pairs(x, y, out, via(libm::pow)),
        Binary::Compare(compare) => ordered::<T>(compare, x, y, out),
        Binary::Minimum => pairs(x, y, out, real::minimum::<T>),
        Binary::Maximum => pairs(x, y, out, real::maximum::<T>),
        Binary::Arctan2 => pairs(x, y, out, via(libm::atan2)),
        // Typing refuses bitwise functions of floats.
        Binary::Hypot | Binary::And | Binary::Or | Binary::Xor => {
            pairs(x, y, out, via(libm::hypot));
        }
    }
}

fn complex_binary<T: Float>(function: Binary, x: &[u8], y: &[u8], out: &mut [u8])
where
    Complex<T>: Pod,
{
    let sum = |x: Complex<T>, y: Complex<T>| Complex { re: x.re + y.re, im: x.im + y.im };
    let difference = |x: Complex<T>, y: Complex<T>| Complex { re: x.re - y.re, im: x.im - y.im };
    let wide = |x: Complex<T>| Complex::new(x.re.wide(), x.im.wide());
    match function {
        Binary::Add => pairs(x, y, out, sum),
        Binary::Subtract => pairs(x, y, out, difference),
        Binary::Multiply => pairs(x, y, out, complex::multiply::<T>),
        Binary::Divide => pairs(x, y, out, complex::divide::<T>),
        Binary::Compare(compare) => {
            pairs(x, y, out, |x: Complex<T>, y| u8::from(complex::compare(compare, x, y)));
        }
        Binary::Minimum => pairs(x, y, out, complex::minimum::<T>),
        Binary::Maximum => pairs(x, y, out, complex::maximum::<T>),
        // Typing refuses what is left for complex numbers, but for powers.
        Binary::Power
        | Binary::FloorDivide
        | Binary::Remainder
        | Binary::And
        | Binary::Or
        | Binary::Xor
        | Binary::Arctan2
        | Binary::Hypot => pairs(x, y, out, |x: Complex<T>, y: Complex<T>| {
            let value = complex::power(wide(x), wide(y));
            Complex { re: T::narrow(value.re), im: T::narrow(value.im) }
        }),
    }
}

/// A comparison of i64 with u64 that loses no digit.
pub(super) fn mixed(compare: Compare, x: &[u8], y: &[u8], out: &mut [u8]) {
    let (x, y): (&[i64], &[u64]) = (bytemuck::cast_slice(x), bytemuck::cast_slice(y));
    for ((out, x), y) in out.iter_mut().zip(x).zip(y) {
        *out = u8::from(compare.holds(Some(i128::from(*x).cmp(&i128::from(*y)))));
    }
}

/// Picks from `x` where the condition is 1, else from `y`; elements have `size` bytes.
pub(super) fn choose(size: usize, condition: &[u8], x: &[u8], y: &[u8], out: &mut [u8]) {
    match size {
        1 => choose_typed::<u8>(condition, x, y, out),
        2 => choose_typed::<u16>(condition, x, y, out),
        4 => choose_typed::<u32>(condition, x, y, out),
        8 => choose_typed::<u64>(condition, x, y, out),
        _ => choose_typed::<[u64; 2]>(condition, x, y, out),
    }
}

fn choose_typed<T: Pod>(condition: &[u8], x: &[u8], y: &[u8], out: &mut [u8]) {
    let (x, y): (&[T], &[T]) = (bytemuck::cast_slice(x), bytemuck::cast_slice(y));
    let out: &mut [T] = bytemuck::cast_slice_mut(out);
    for (((out, condition), x), y) in out.iter_mut().zip(condition).zip(x).zip(y) {
        *out = if *condition == 0 { *y } else { *x };
    }
}
