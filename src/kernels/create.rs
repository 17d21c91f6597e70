//! Kernels that make arrays from parameters alone: full, arange, data.

use super::Context;
use super::array::Output;
use super::cast::narrowest;
use super::fault::{Outcome, fault, memory_error};
use super::params::{Read, Reader};
use super::promotion::{Kind, kind_of};
use super::scalar::{Element, Number, bounds, fill};
use super::table::{Entry, Inputs, entry, without_inputs};
use half::f16;
use num_complex::Complex;
use rdask_store::{DType, Header, Sealed};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("full", Inputs::Exactly(0), &["shape", "dtype", "value"], |reader| {
        let full = Full::parse(reader)?;
        Ok(without_inputs(move |context| full.run(context)))
    }),
    entry("arange", Inputs::Exactly(0), &["start", "step", "count", "dtype"], |reader| {
        let arange = Arange::parse(reader)?;
        Ok(without_inputs(move |context| arange.run(context)))
    }),
    entry("data", Inputs::Exactly(0), &["base64", "dtype", "shape"], |reader| {
        let data = Data::parse(reader)?;
        Ok(without_inputs(move |context| data.run(context)))
    }),
];

/// `full(shape, dtype, value)`: every element is `value`.
#[derive(Debug)]
pub(super) struct Full {
    shape: Vec<usize>,
    dtype: DType,
    element: Element,
}

impl Full {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let shape = reader.need("shape", reader.shape("shape")?)?;
        let dtype = reader.need("dtype", reader.dtype("dtype")?)?;
        reader.check_size("shape", dtype, &shape)?;
        let element = reader.need("value", reader.element("value", dtype)?)?;
        Ok(Self { shape, dtype, element })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let mut output = Output::new(context, self.dtype, &self.shape)?;
        fill(output.bytes_mut(), &self.element, self.dtype.size());
        output.seal()
    }
}

/// `arange(start = 0, step = 1, count, dtype)`: element `i` is `start + i · step`, for floats
/// computed in f64 and rounded once to the dtype.
#[derive(Debug)]
pub(super) struct Arange {
    start: Number,
    step: Number,
    count: usize,
    dtype: DType,
}

impl Arange {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let start = reader.number("start")?.unwrap_or(Number::Int(0));
        let step = reader.number("step")?.unwrap_or(Number::Int(1));
        let count = reader.need("count", reader.count("count")?)?;
        let dtype = reader.need("dtype", reader.dtype("dtype")?)?;
        let count = usize::try_from(count).map_err(|_| reader.bad("count", "is too big"))?;
        reader.check_size("count", dtype, &[count])?;
        let arange = Self { start, step, count, dtype };
        match kind_of(dtype) {
            Kind::Bool => return Err(reader.bad("dtype", "arange does not make bools")),
            Kind::Signed | Kind::Unsigned | Kind::Datetime | Kind::Timedelta => {
                arange.check_integers(reader)?;
            }
            Kind::Float | Kind::Complex => {
                for (name, value) in [("start", start), ("step", step)] {
                    value.encode(dtype).map_err(|problem| reader.bad(name, problem))?;
                }
            }
        }
        Ok(arange)
    }

    fn check_integers(&self, reader: &Reader<'_>) -> Read<()> {
        let (low, high) = bounds(self.dtype);
        let mut values = [0; 2];
        for (value, (name, number)) in
            values.iter_mut().zip([("start", self.start), ("step", self.step)])
        {
            *value = integer_of(number).ok_or_else(|| {
                reader.bad(name, format!("{number} is not an integer of {}", self.dtype.name()))
            })?;
        }
        let [start, step] = values;
        let last = (self.count as i128).saturating_sub(1).max(0);
        let last = step.saturating_mul(last).saturating_add(start);
        if self.count > 0 && [start, last].iter().any(|value| *value < low || *value > high) {
            let name = self.dtype.numpy_name();
            let problem = format!("{start} to {last} are out of bounds for {name}");
            return Err(reader.bad("count", problem));
        }
        Ok(())
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let mut output = Output::new(context, self.dtype, &[self.count])?;
        match self.dtype {
            DType::F64 => {
                let (start, step) = self.reals();
                for (i, value) in output.elements_mut::<f64>().iter_mut().enumerate() {
                    *value = start + i as f64 * step;
                }
            }
            DType::F32 => {
                let (start, step) = self.reals();
                for (i, value) in output.elements_mut::<f32>().iter_mut().enumerate() {
                    *value = (start + i as f64 * step) as f32;
                }
            }
            DType::F16 => {
                let (start, step) = self.reals();
                for (i, value) in output.elements_mut::<f16>().iter_mut().enumerate() {
                    *value = narrowest(start + i as f64 * step);
                }
            }
            DType::C64 | DType::C128 => self.complex(&mut output),
            _ => self.integers(&mut output),
        }
        output.seal()
    }

    fn reals(&self) -> (f64, f64) {
        (parts_of(self.start).re, parts_of(self.step).re)
    }

    fn complex(&self, output: &mut Output) {
        let (start, step) = (parts_of(self.start), parts_of(self.step));
        let at = |i: usize| {
            let i = i as f64;
            Complex::new(start.re + i * step.re, start.im + i * step.im)
        };
        if self.dtype == DType::C128 {
            for (i, value) in output.elements_mut::<Complex<f64>>().iter_mut().enumerate() {
                *value = at(i);
            }
        } else {
            for (i, value) in output.elements_mut::<Complex<f32>>().iter_mut().enumerate() {
                let exact = at(i);
                *value = Complex::new(exact.re as f32, exact.im as f32);
            }
        }
    }

    /// All values fit, so the low bytes of wrapping 64-bit arithmetic are the elements.
    fn integers(&self, output: &mut Output) {
        let start = integer_of(self.start).unwrap_or(0) as u64;
        let step = integer_of(self.step).unwrap_or(0) as u64;
        let size = self.dtype.size();
        let mut value = start;
        for element in output.bytes_mut().chunks_exact_mut(size) {
            element.copy_from_slice(&value.to_le_bytes()[..size]);
            value = value.wrapping_add(step);
        }
    }
}

/// The integer that a number is, within ± 2^64.
fn integer_of(number: Number) -> Option<i128> {
    match number {
        Number::Bool(value) => Some(i128::from(value)),
        Number::Int(value) => Some(value),
        Number::Float(value) if value.fract() == 0.0 && value.abs() < 2e19 => Some(value as i128),
        Number::Float(_) | Number::Complex(..) => None,
    }
}

fn parts_of(number: Number) -> Complex<f64> {
    match number {
        Number::Bool(value) => Complex::new(f64::from(u8::from(value)), 0.0),
        Number::Int(value) => Complex::new(value as f64, 0.0),
        Number::Float(value) => Complex::new(value, 0.0),
        Number::Complex(re, im) => Complex::new(re, im),
    }
}

/// `data(base64, dtype?, shape?)`: bytes that stand in the graph; without dtype a bytes object,
/// with it an array, 1-d without shape. Elements are little endian.
#[derive(Debug)]
pub(super) struct Data {
    bytes: Vec<u8>,
    header: Header,
}

impl Data {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let text = reader.need("base64", reader.string("base64")?)?;
        let mut bytes = decode(text).map_err(|problem| reader.bad("base64", problem))?;
        let Some(dtype) = reader.dtype("dtype")? else {
            if reader.value("shape").is_some() {
                return Err(reader.bad("shape", "needs a dtype"));
            }
            return Ok(Self { bytes, header: Header::Bytes });
        };
        let shape = match reader.shape("shape")? {
            Some(shape) => shape,
            None if bytes.len().is_multiple_of(dtype.size()) => vec![bytes.len() / dtype.size()],
            None => {
                let problem = format!("{} bytes are no whole {}", bytes.len(), dtype.name());
                return Err(reader.bad("base64", problem));
            }
        };
        reader.check_size("shape", dtype, &shape)?;
        let shape: Vec<u64> = shape.iter().map(|length| *length as u64).collect();
        let header = Header::Array { dtype, shape };
        if header.nbytes() != Some(bytes.len() as u64) {
            let expected = header.nbytes().unwrap_or(0);
            let problem = format!("{} bytes, but shape and dtype ask for {expected}", bytes.len());
            return Err(reader.bad("base64", problem));
        }
        if dtype == DType::Bool {
            bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        Ok(Self { bytes, header })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let mut writing = context
            .store
            .reserve(self.bytes.len() as u64, context.priority)
            .map_err(|error| memory_error(&error))?;
        writing.bytes_mut().copy_from_slice(&self.bytes);
        let sealed = writing.seal(self.header.clone());
        sealed.map_err(|error| fault("RuntimeError", error.to_string()))
    }
}

/// Decodes base64 in the alphabet with `+` and `/`; padding may be missing, blanks are skipped.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut padded = false;
    for (position, letter) in text.bytes().enumerate() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padded = true;
                continue;
            }
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            _ => return Err(format!("byte {} is not base64", position + 1)),
        };
        if padded {
            return Err(format!("byte {} stands behind the padding", position + 1));
        }
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
            (bits, count) = (0, 0);
        }
    }
    match count {
        0 => {}
        2 => bytes.push((bits >> 4) as u8),
        3 => bytes.extend_from_slice(&(bits >> 2).to_be_bytes()[2..]),
        _ => return Err("the last group is one letter".to_owned()),
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn base64_of_the_standard() {
        assert_eq!(decode("Zm9vYmFy").unwrap(), b"foobar");
        assert_eq!(decode("Zm9vYg==").unwrap(), b"foob");
        assert_eq!(decode("Zm9vYmE").unwrap(), b"fooba");
        assert_eq!(decode("").unwrap(), b"");
        assert!(decode("Zm9v!").unwrap_err().contains("byte 5"));
        assert!(decode("Z").is_err());
    }
}
