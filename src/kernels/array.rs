//! Arrays as kernels see them: borrowed inputs with a shape, and outputs on their way to be sealed.
//!
//! Elements are in C order, native endian, 64-byte aligned (the store's promise), so bytes may be
//! seen as typed slices. A bool is a `u8` of 0 or 1. Shapes are checked for overflow before any
//! memory is asked for.

use super::Context;
use super::fault::{Outcome, fault, memory_error, type_error, value_error};
use bytemuck::Pod;
use rdask_store::{DType, Header, Sealed, Writing};

/// Most axes that an array may have; numpy 2's number.
pub(super) const MAX_AXES: usize = 64;

/// An input array.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    /// Element type.
    pub(super) dtype: DType,
    /// Length of each axis.
    pub(super) shape: Vec<usize>,
    /// The elements in C order.
    pub(super) bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// The array in an object; plain bytes are a `TypeError`.
    pub(super) fn of(sealed: &'a Sealed, index: usize) -> Outcome<Self> {
        let Header::Array { dtype, shape } = sealed.header() else {
            let name = input_name(index);
            return Err(type_error(format!("input {name} is bytes, not an array")));
        };
        let shape = shape.iter().map(|length| usize::try_from(*length));
        let shape: Vec<usize> =
            shape.collect::<Result<_, _>>().map_err(|_| value_error("array is too big"))?;
        if shape.len() > MAX_AXES {
            return Err(value_error(format!(
                "maximum supported dimension for an array is {MAX_AXES}, found {}",
                shape.len()
            )));
        }
        Ok(Self { dtype: *dtype, shape, bytes: sealed.bytes() })
    }

    /// All inputs as arrays.
    pub(super) fn all(inputs: &'a [Sealed]) -> Outcome<Vec<Self>> {
        inputs.iter().enumerate().map(|(index, sealed)| Self::of(sealed, index)).collect()
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// The elements; `T` is the type that stands for `dtype`.
    pub(super) fn elements<T: Pod>(&self) -> &'a [T] {
        bytemuck::cast_slice(self.bytes)
    }
}

/// An array that a kernel fills.
#[derive(Debug)]
pub(super) struct Output {
    writing: Writing,
    dtype: DType,
    shape: Vec<u64>,
}

impl Output {
    /// Room for an array of this type and shape; its elements are unspecified until written.
    pub(super) fn new(context: &Context<'_>, dtype: DType, shape: &[usize]) -> Outcome<Self> {
        let nbytes = nbytes_of(dtype, shape)
            .ok_or_else(|| value_error(format!("array of shape {} is too big", text(shape))))?;
        let writing = context
            .store
            .reserve(nbytes as u64, context.priority)
            .map_err(|error| memory_error(&error))?;
        let shape = shape.iter().map(|length| *length as u64).collect();
        Ok(Self { writing, dtype, shape })
    }

    /// The element type.
    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    /// Length of each axis.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.shape.iter().map(|length| *length as usize).collect()
    }

    /// The bytes, to write.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.writing.bytes_mut()
    }

    /// The elements, to write; `T` is the type that stands for the dtype.
    pub(super) fn elements_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(self.writing.bytes_mut())
    }

    /// The finished array.
    pub(super) fn seal(self) -> Outcome<Sealed> {
        let header = Header::Array { dtype: self.dtype, shape: self.shape };
        self.writing.seal(header).map_err(|error| fault("RuntimeError", error.to_string()))
    }
}

/// A plain bytes object.
pub(super) fn bytes_object(context: &Context<'_>, bytes: &[u8]) -> Outcome<Sealed> {
    let mut writing = context
        .store
        .reserve(bytes.len() as u64, context.priority)
        .map_err(|error| memory_error(&error))?;
    writing.bytes_mut().copy_from_slice(bytes);
    writing.seal(Header::Bytes).map_err(|error| fault("RuntimeError", error.to_string()))
}

/// A 0-d i64.
pub(super) fn integer_object(context: &Context<'_>, value: i64) -> Outcome<Sealed> {
    let mut output = Output::new(context, DType::I64, &[])?;
    output.bytes_mut().copy_from_slice(&value.to_ne_bytes());
    output.seal()
}

/// Number of elements; none when it overflows. As in numpy the other axes of an empty array count,
/// too: with an axis added or dropped it would not be empty.
pub(super) fn count_of(shape: &[usize]) -> Option<usize> {
    let mut others = shape.iter().filter(|length| **length > 0);
    let count = others.try_fold(1_usize, |count, length| count.checked_mul(*length))?;
    Some(if shape.contains(&0) { 0 } else { count })
}

/// Number of bytes; none when it, or that of the axes that are not empty, does not fit `isize`.
pub(super) fn nbytes_of(dtype: DType, shape: &[usize]) -> Option<usize> {
    let others: Vec<usize> = shape.iter().copied().filter(|length| *length > 0).collect();
    let nbytes = count_of(&others)?.checked_mul(dtype.size())?;
    isize::try_from(nbytes).ok().map(|_| if others.len() < shape.len() { 0 } else { nbytes })
}

/// A shape as numpy writes it in its messages: `()`, `(5,)`, `(3,4)`.
pub(super) fn text(shape: &[usize]) -> String {
    match shape {
        [length] => format!("({length},)"),
        _ => {
            let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
            format!("({})", lengths.join(","))
        }
    }
}

/// Name of an input in expressions and messages: `a` to `z`, then `aa`, `ab`, …
pub(super) fn input_name(index: usize) -> String {
    let mut name = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        name.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    name.iter().rev().collect()
}

/// The input that a name stands for: `a` is 0, `z` 25, `aa` 26.
pub(super) fn input_index(name: &str) -> Option<usize> {
    if name.len() > 4 || !name.bytes().all(|letter| letter.is_ascii_lowercase()) {
        return None;
    }
    let number =
        name.bytes().fold(0, |number, letter| number * 26 + usize::from(letter - b'a') + 1);
    number.checked_sub(1)
}

/// The axis that `axis` names in an array of `axes` axes; negative ones count from the end.
pub(super) fn axis_of(axis: i64, axes: usize) -> Outcome<usize> {
    let count = axes as i64;
    if axis < -count || axis >= count {
        return Err(fault(
            "AxisError",
            format!("axis {axis} is out of bounds for array of dimension {axes}"),
        ));
    }
    Ok((if axis < 0 { axis + count } else { axis }) as usize)
}

/// The shape to which all broadcast.
pub(super) fn broadcast(shapes: &[&[usize]]) -> Outcome<Vec<usize>> {
    let axes = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut result = vec![1; axes];
    for shape in shapes {
        let skipped = axes - shape.len();
        for (length, given) in result[skipped..].iter_mut().zip(*shape) {
            if *length == 1 {
                *length = *given;
            } else if *given != 1 && *given != *length {
                let texts: Vec<String> = shapes.iter().map(|shape| text(shape)).collect();
                return Err(value_error(format!(
                    "operands could not be broadcast together with shapes {}",
                    texts.join(" ")
                )));
            }
        }
    }
    Ok(result)
}

/// Distance in elements between neighbours along each axis, in C order.
pub(super) fn strides_of(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = 1_isize;
    for (axis, length) in shape.iter().enumerate().rev() {
        strides[axis] = stride;
        stride = stride.saturating_mul((*length).max(1) as isize);
    }
    strides
}

/// Strides with which an array of `shape` is read as `target`: 0 where it is repeated.
pub(super) fn broadcast_strides(shape: &[usize], target: &[usize]) -> Vec<isize> {
    let skipped = target.len() - shape.len();
    let own = strides_of(shape);
    let mut strides = vec![0; target.len()];
    for axis in 0..shape.len() {
        if shape[axis] != 1 {
            strides[skipped + axis] = own[axis];
        }
    }
    strides
}

/// Runs `$body` with `$T` as the Rust type of a dtype; bool is `u8`, dates and durations are
/// `Ticks`.
macro_rules! with_type {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::kernels::array::with_type!(@ $dtype, $T => $body, {
            Bool u8, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64,
            F32 f32, F64 f64, C64 num_complex::Complex<f32>, C128 num_complex::Complex<f64>, F16 half::f16
        })
    };
    (@ $dtype:expr, $T:ident => $body:expr, { $($name:ident $type:ty),* }) => {
        match $dtype {
            $(rdask_store::DType::$name => {
                type $T = $type;
                $body
            })*
            rdask_store::DType::Datetime(_) | rdask_store::DType::Timedelta(_) => {
                type $T = $crate::kernels::time::Ticks;
                $body
            }
        }
    };
}
pub(super) use with_type;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_inputs() {
        let names: Vec<String> = [0, 25, 26, 27, 701, 702].map(input_name).into();
        assert_eq!(names, ["a", "z", "aa", "ab", "zz", "aaa"]);
    }

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        assert_eq!(broadcast(&[&[3, 1], &[4]]).unwrap(), [3, 4]);
        assert_eq!(broadcast(&[&[], &[0, 2]]).unwrap(), [0, 2]);
        assert_eq!(broadcast(&[]).unwrap(), [0_usize; 0]);
        let error = broadcast(&[&[3, 4], &[5]]).unwrap_err();
        assert_eq!(
            error.message,
            "operands could not be broadcast together with shapes (3,4) (5,)"
        );
    }

    #[test]
    fn sizes_that_overflow_are_found() {
        assert_eq!(nbytes_of(DType::F64, &[1 << 40, 1 << 40]), None);
        assert_eq!(nbytes_of(DType::F64, &[1 << 60]), None);
        assert_eq!(nbytes_of(DType::F64, &[1 << 60, 0, 1 << 60]), None);
        assert_eq!(nbytes_of(DType::F64, &[1 << 40, 0, 3]), Some(0));
    }
}
