//! One number as a parameter or a literal, and its encoding in any dtype.
//!
//! JSON lacks some numbers, so "nan", "inf", "-inf" are strings and a complex number is `[re, im]`.

use super::cast::narrowest;
use super::params::kind;
use super::time::NAT;
use num_complex::Complex;
use rdask_core::graph::Param;
use rdask_store::DType;

/// A number without dtype.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// `true` or `false`
    Bool(bool),
    /// An integer; wider than any dtype so that arithmetic on literals can be checked.
    Int(i128),
    /// A float.
    Float(f64),
    /// Real and imaginary part.
    Complex(f64, f64),
}

/// One encoded element: its bytes, of which the dtype's size counts.
pub(super) type Element = [u8; 16];

impl Number {
    /// Reads a parameter; the error says what is wrong.
    pub(super) fn from_param(value: &Param) -> Result<Self, String> {
        match value {
            Param::Bool(value) => Ok(Self::Bool(*value)),
            Param::List(parts) => match parts.as_slice() {
                [re, im] => Ok(Self::Complex(float_of(re)?, float_of(im)?)),
                _ => Err("a complex number is a list of two numbers".to_owned()),
            },
            Param::Int(value) => Ok(Self::Int(i128::from(*value))),
            Param::UInt(value) => Ok(Self::Int(i128::from(*value))),
            other => float_of(other).map(Self::Float),
        }
    }

    /// The element that this number is in a dtype. What does not fit is refused, never wrapped or
    /// cut: integers out of range, fractions in integers, imaginary parts in reals. A date is its
    /// count of units, NaN makes NaT.
    pub(super) fn encode(self, dtype: DType) -> Result<Element, String> {
        match dtype {
            DType::Bool => match self {
                Self::Bool(value) => Ok(pad([u8::from(value)])),
                Self::Int(value @ 0..=1) => Ok(pad([value as u8])),
                other => Err(format!("{other} is not a bool")),
            },
            DType::F32 => self.real(dtype).map(|value| pad((value as f32).to_ne_bytes())),
            DType::F64 => self.real(dtype).map(|value| pad(value.to_ne_bytes())),
            DType::C64 => {
                let value = self.complex();
                let narrow = Complex::new(value.re as f32, value.im as f32);
                Ok(pad(bytemuck::cast::<_, [u8; 8]>(narrow)))
            }
            DType::C128 => Ok(bytemuck::cast::<_, [u8; 16]>(self.complex())),
            DType::F16 => self.real(dtype).map(|value| pad(narrowest(value).to_ne_bytes())),
            DType::Datetime(_) | DType::Timedelta(_) => match self {
                Self::Float(value) if value.is_nan() => Ok(pad(NAT.to_ne_bytes())),
                other => other.integer(dtype),
            },
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => self.integer(dtype),
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => self.integer(dtype),
        }
    }

    fn integer(self, dtype: DType) -> Result<Element, String> {
        let value = match self {
            Self::Bool(value) => i128::from(value),
            Self::Int(value) => value,
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 2e19 => value as i128,
            other => return Err(format!("{other} is not an integer, as {} asks", dtype.name())),
        };
        let (low, high) = bounds(dtype);
        if value < low || value > high {
            return Err(format!("{value} is out of bounds for {}", dtype.numpy_name()));
        }
        // Two's complement, little endian: the low bytes are the narrow integer.
        Ok(value.to_le_bytes())
    }

    fn real(self, dtype: DType) -> Result<f64, String> {
        match self {
            Self::Bool(value) => Ok(f64::from(u8::from(value))),
            Self::Int(value) => Ok(value as f64),
            Self::Float(value) => Ok(value),
            Self::Complex(..) => Err(format!("{self} is complex, {} is not", dtype.name())),
        }
    }

    fn complex(self) -> Complex<f64> {
        match self {
            Self::Bool(value) => Complex::new(f64::from(u8::from(value)), 0.0),
            Self::Int(value) => Complex::new(value as f64, 0.0),
            Self::Float(value) => Complex::new(value, 0.0),
            Self::Complex(re, im) => Complex::new(re, im),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Complex(re, im) => write!(f, "[{re:?}, {im:?}]"),
        }
    }
}

/// Least and greatest value of an integer dtype or count of time (of the others: none fits).
pub(super) const fn bounds(dtype: DType) -> (i128, i128) {
    match dtype {
        DType::I8 => (i8::MIN as i128, i8::MAX as i128),
        DType::I16 => (i16::MIN as i128, i16::MAX as i128),
        DType::I32 => (i32::MIN as i128, i32::MAX as i128),
        DType::I64 | DType::Datetime(_) | DType::Timedelta(_) => {
            (i64::MIN as i128, i64::MAX as i128)
        }
        DType::U8 => (0, u8::MAX as i128),
        DType::U16 => (0, u16::MAX as i128),
        DType::U32 => (0, u32::MAX as i128),
        DType::U64 => (0, u64::MAX as i128),
        DType::Bool => (0, 1),
        DType::F16 | DType::F32 | DType::F64 | DType::C64 | DType::C128 => (0, -1),
    }
}

fn float_of(value: &Param) -> Result<f64, String> {
    match value {
        Param::Int(value) => Ok(*value as f64),
        Param::UInt(value) => Ok(*value as f64),
        Param::Float(value) => Ok(*value),
        Param::Str(text) => match text.as_str() {
            "nan" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(format!("expected a number, \"nan\", \"inf\" or \"-inf\", found {text:?}")),
        },
        other => Err(format!("expected a number, found {}", kind(other))),
    }
}

fn pad<const N: usize>(bytes: [u8; N]) -> Element {
    let mut element = [0; 16];
    element[..N].copy_from_slice(&bytes);
    element
}

/// Repeats one element of `size` bytes over all of `out`.
pub(super) fn fill(out: &mut [u8], element: &Element, size: usize) {
    if element[..size].iter().all(|byte| *byte == element[0]) {
        out.fill(element[0]);
        return;
    }
    // Doubling copies run at memcpy's speed for every size.
    let mut done = size.min(out.len());
    out[..done].copy_from_slice(&element[..done]);
    while done < out.len() {
        let step = done.min(out.len() - done).min(FILL_BYTES);
        out.copy_within(..step, done);
        done += step;
    }
}

/// Longest piece that `fill` copies at once: it stays in the first-level cache. A multiple of 16.
const FILL_BYTES: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert!(Number::Int(256).encode(DType::U8).is_err());
        assert!(Number::Int(-1).encode(DType::U64).is_err());
        assert!(Number::Float(1.5).encode(DType::I32).is_err());
        assert!(Number::Float(f64::NAN).encode(DType::I32).is_err());
        assert!(Number::Complex(1.0, 0.0).encode(DType::F64).is_err());
        assert_eq!(Number::Int(-2).encode(DType::I16).unwrap()[..2], [0xfe, 0xff]);
        assert_eq!(Number::Float(3.0).encode(DType::U8).unwrap()[0], 3);
    }

    #[test]
    fn fill_repeats_the_element() {
        for (size, count) in [(1, 7), (2, 0), (4, 1), (8, 3000), (16, 5)] {
            let mut element = [0; 16];
            for (index, byte) in element.iter_mut().enumerate() {
                *byte = index as u8 + 1;
            }
            let mut out = vec![0; size * count];
            fill(&mut out, &element, size);
            assert!(out.chunks(size).all(|chunk| *chunk == element[..size]));
        }
    }
}
