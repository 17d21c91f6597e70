//! Around kernels that compute with numbers of single precision or more: f16 by way of f32, dates
//! and durations refused by name.
//!
//! A kernel behind `numeric` never sees those dtypes. Its result is f16 where numpy's promotion of
//! the inputs is.

use super::Context;
use super::array::Output;
use super::cast::cast;
use super::fault::Outcome;
use super::promotion::promote;
use super::table::Operation;
use super::time::refuse_times;
use rdask_store::{DType, Header, Sealed};

/// The operation on inputs that it can compute with.
pub(super) fn numeric(kernel: &'static str, inner: Operation) -> Operation {
    Box::new(move |context, inputs| {
        let dtypes: Vec<DType> = inputs.iter().filter_map(dtype_of).collect();
        refuse_times(kernel, dtypes.iter().copied())?;
        if !dtypes.contains(&DType::F16) {
            return inner(context, inputs);
        }
        let widened: Vec<Sealed> =
            inputs.iter().map(|input| widened(context, input)).collect::<Outcome<_>>()?;
        let result = inner(context, &widened)?;
        let mut promoted = dtypes[0];
        for dtype in &dtypes[1..] {
            promoted = promote(promoted, *dtype)?;
        }
        if promoted == DType::F16 && dtype_of(&result) == Some(DType::F32) {
            return converted(context, &result, DType::F32, DType::F16);
        }
        Ok(result)
    })
}

fn dtype_of(object: &Sealed) -> Option<DType> {
    match object.header() {
        Header::Array { dtype, .. } => Some(*dtype),
        Header::Bytes => None,
    }
}

fn widened(context: &Context<'_>, input: &Sealed) -> Outcome<Sealed> {
    if dtype_of(input) == Some(DType::F16) {
        converted(context, input, DType::F16, DType::F32)
    } else {
        Ok(input.clone())
    }
}

fn converted(context: &Context<'_>, object: &Sealed, from: DType, to: DType) -> Outcome<Sealed> {
    let Header::Array { shape, .. } = object.header() else { return Ok(object.clone()) };
    let shape: Vec<usize> = shape.iter().map(|length| *length as usize).collect();
    let mut output = Output::new(context, to, &shape)?;
    cast(from, object.bytes(), to, output.bytes_mut());
    output.seal()
}
