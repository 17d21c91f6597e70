//! A weighted running mean along the first axis, as a plugin in Rust. Parameter: weights, a list.
//!
//! Element i of the result is the mean of the elements around i, weighted; at the ends only the
//! weights inside the array count. The two structures are those of include/rdask_kernel.h. A panic
//! ends the worker process, as every crash of a plugin does.

use std::ffi::{c_char, c_void};

const F64: i32 = 10;
const FOUND: i32 = 0;

/// The version of rdask_kernel.h that this file was written for.
#[unsafe(no_mangle)]
pub static rdask_kernel_abi: u32 = 1;

/// `rdask_array`
#[repr(C)]
pub struct Array {
    dtype: i32,
    ndim: i32,
    shape: *const i64,
    data: *const c_void,
    nbytes: i64,
}

type Getter<T> = extern "C" fn(&Call, *const c_char, *mut T) -> i32;
type ListGetter<T> = extern "C" fn(&Call, *const c_char, *mut *const T, *mut i64) -> i32;

/// `rdask_call`
#[repr(C)]
pub struct Call {
    abi: u32,
    threads: u32,
    attempt: u32,
    rank: i32,
    ninputs: i64,
    inputs: *const Array,
    params: *const c_char,
    working_directory: *const c_char,
    host: *const c_void,
    output: extern "C" fn(&Call, i32, i32, *const i64) -> *mut c_void,
    fail: extern "C" fn(&Call, *const c_char, *const c_char) -> i32,
    param_int: Getter<i64>,
    param_float: Getter<f64>,
    param_text: ListGetter<c_char>,
    param_floats: ListGetter<f64>,
}

/// The kernel: a task names it as its symbol.
#[unsafe(no_mangle)]
pub extern "C" fn running_mean(call: &Call) -> i32 {
    // SAFETY: the header promises so many inputs.
    let inputs = unsafe { std::slice::from_raw_parts(call.inputs, call.ninputs as usize) };
    let [input] = inputs else { return wrong_input(call) };
    if input.dtype != F64 || input.ndim < 1 {
        return wrong_input(call);
    }
    let (mut start, mut count) = (std::ptr::null(), 0);
    let found = (call.param_floats)(call, c"weights".as_ptr(), &mut start, &mut count);
    if found != FOUND || count < 1 {
        let message = c"running_mean needs weights";
        return (call.fail)(call, c"ValueError".as_ptr(), message.as_ptr());
    }
    // SAFETY: the getter has found so many numbers there.
    let weights = unsafe { std::slice::from_raw_parts(start, count as usize) };
    let out = (call.output)(call, F64, input.ndim, input.shape).cast::<f64>();
    if out.is_null() {
        return 1;
    }
    // SAFETY: an input has `ndim` lengths, and here at least one.
    let rows = unsafe { *input.shape } as usize;
    let len = input.nbytes as usize / size_of::<f64>();
    // SAFETY: the input has so many elements, which nobody writes.
    let x = unsafe { std::slice::from_raw_parts(input.data.cast::<f64>(), len) };
    // SAFETY: the result has the shape of the input and is ours alone; the store has written its
    // memory once, whatever is in it.
    let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
    mean(x, rows, weights, out);
    0
}

fn wrong_input(call: &Call) -> i32 {
    let message = c"running_mean takes one array of f64 with an axis";
    (call.fail)(call, c"TypeError".as_ptr(), message.as_ptr())
}

fn mean(x: &[f64], rows: usize, weights: &[f64], out: &mut [f64]) {
    let columns = x.len() / rows.max(1);
    for i in 0..rows {
        for j in 0..columns {
            let (mut sum, mut total) = (0.0, 0.0);
            for (k, weight) in weights.iter().enumerate() {
                let Some(row) = (i + k).checked_sub(weights.len() / 2) else { continue };
                if row < rows {
                    sum += weight * x[row * columns + j];
                    total += weight;
                }
            }
            out[i * columns + j] = sum / total;
        }
    }
}
