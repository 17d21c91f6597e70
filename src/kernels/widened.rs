//! f16 in kernels that compute in f32: the input is widened first, the result rounded at last.
//!
//! Widening is exact and keeps the order, so that what only compares gives f16's own results.

use super::Context;
use super::array::{Output, View};
use super::cast::cast;
use super::fault::Outcome;
use rdask_store::{DType, Sealed};

/// Runs a kernel on an array; on one of f16 by way of f32, whose results become f16 again.
///
/// # Errors
/// The kernel's, or no memory for the array in f32.
pub(super) fn run(
    context: &Context<'_>,
    input: &View<'_>,
    kernel: impl Fn(&View<'_>) -> Outcome<Output>,
) -> Outcome<Sealed> {
    if input.dtype != DType::F16 {
        return kernel(input)?.seal();
    }
    let mut wide = Output::new(context, DType::F32, &input.shape)?;
    cast(DType::F16, input.bytes, DType::F32, wide.bytes_mut());
    let bytes: &[u8] = wide.bytes_mut();
    let wide = View { dtype: DType::F32, shape: input.shape.clone(), bytes };
    let mut result = kernel(&wide)?;
    if result.dtype() != DType::F32 {
        return result.seal();
    }
    let mut narrow = Output::new(context, DType::F16, &result.shape())?;
    cast(DType::F32, result.bytes_mut(), DType::F16, narrow.bytes_mut());
    narrow.seal()
}
