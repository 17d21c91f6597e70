//! Functions of shared libraries as tasks: include/rdask_kernel.h from this side.
//!
//! ```text
//!   run spec ─▶ Plugin ── first run ─▶ file checked, opened, function found (once per process)
//!                        each run  ─▶ Call (views of the inputs) ─▶ function ─▶ sealed result
//! ```
//! Owns all `unsafe` of plugins. The function gets pointers into the store: inputs to read, and the
//! result's memory to write, which nobody else sees before the function has returned. What a plugin
//! may break is its own worker process; what it may not do silently is fail: an error that it
//! notes, a result that it does not make and a number that it returns all fail the task.
#![expect(unsafe_code, reason = "calls functions of libraries that are opened at run time")]

use super::Context;
use super::array::{MAX_AXES, nbytes_of};
use super::fault::{Outcome, fault, memory_error, type_error, value_error};
use super::plugin_file::{self, ABI_SYMBOL, KERNEL_ABI, PluginFault};
use super::plugin_params::{Found, PluginParams};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rdask_core::graph::{Params, quoted};
use rdask_core::messages::TaskError;
use rdask_store::{DType, Header, Sealed, Writing};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// `dtype` of an input or a result that is bytes.
const BYTES: i32 = -1;
/// Longest text of an error that is kept, bytes: it travels to the scheduler and to the user.
const MESSAGE_LIMIT: usize = 4096;
/// Longest kind of an error that is kept, bytes.
const KIND_LIMIT: usize = 64;
/// Kind of an error that a plugin gives no kind.
const KIND: &str = "PluginError";

const FOUND: i32 = 0;
const ABSENT: i32 = 1;
const WRONG: i32 = 2;

/// `rdask_array`.
#[repr(C)]
struct RawArray {
    dtype: i32,
    ndim: i32,
    shape: *const i64,
    data: *const c_void,
    nbytes: i64,
}

/// `rdask_call`.
#[repr(C)]
struct RawCall<'a> {
    abi: u32,
    threads: u32,
    attempt: u32,
    rank: i32,
    ninputs: i64,
    inputs: *const RawArray,
    params: *const c_char,
    working_directory: *const c_char,
    host: &'a Host<'a>,
    output: extern "C" fn(&Self, i32, i32, *const i64) -> *mut c_void,
    fail: extern "C" fn(&Self, *const c_char, *const c_char) -> i32,
    param_int: extern "C" fn(&Self, *const c_char, *mut i64) -> i32,
    param_float: extern "C" fn(&Self, *const c_char, *mut f64) -> i32,
    param_text: extern "C" fn(&Self, *const c_char, *mut *const c_char, *mut i64) -> i32,
    param_floats: extern "C" fn(&Self, *const c_char, *mut *const f64, *mut i64) -> i32,
}

/// `rdask_kernel`. An exception that leaves it ends the process, which the ABI string makes sure of.
type Function = for<'a, 'b> unsafe extern "C-unwind" fn(&'a RawCall<'b>) -> i32;

/// This side of one call. The lock lets a plugin ask from threads of its own.
struct Host<'a> {
    context: &'a Context<'a>,
    params: &'a PluginParams,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    output: Option<(Writing, Header)>,
    error: Option<TaskError>,
}

/// A function of a plugin with its parameters.
pub(super) struct Plugin {
    path: String,
    symbol: String,
    params: PluginParams,
    function: OnceLock<Function>,
}

impl Plugin {
    pub(super) fn new(path: &str, symbol: &str, params: &Params) -> Self {
        Self {
            path: path.to_owned(),
            symbol: symbol.to_owned(),
            params: PluginParams::new(params),
            function: OnceLock::new(),
        }
    }

    /// Calls the function; the first call opens the library, so that no thread but a task's ever
    /// runs code of it.
    pub(super) fn run(&self, context: &Context<'_>, inputs: &[Sealed]) -> Outcome<Sealed> {
        let function = match self.function.get() {
            Some(function) => *function,
            None => {
                let path = context.working_directory.join(&self.path);
                let found = function(&path, &self.symbol).map_err(|error| {
                    let message = format!("plugin {}: {error}", quoted(&self.path));
                    fault(error.kind(), message)
                })?;
                *self.function.get_or_init(|| found)
            }
        };
        self.call(function, context, inputs)
    }

    fn call(
        &self,
        function: Function,
        context: &Context<'_>,
        inputs: &[Sealed],
    ) -> Outcome<Sealed> {
        let shapes: Vec<Vec<i64>> = inputs.iter().map(shape_of).collect::<Outcome<_>>()?;
        let arrays: Vec<RawArray> =
            inputs.iter().zip(&shapes).map(|(input, shape)| raw_array(input, shape)).collect();
        let working_directory = CString::new(context.working_directory.as_os_str().as_bytes())
            .map_err(|_| value_error("the working directory's name holds a zero byte"))?;
        let host = Host { context, params: &self.params, state: Mutex::default() };
        let call = RawCall {
            abi: KERNEL_ABI,
            threads: context.threads.max(1),
            attempt: context.attempt,
            rank: i32::try_from(context.rank).unwrap_or(i32::MAX),
            ninputs: arrays.len() as i64,
            inputs: arrays.as_ptr(),
            params: self.params.json().as_ptr(),
            working_directory: working_directory.as_ptr(),
            host: &host,
            output,
            fail,
            param_int,
            param_float,
            param_text,
            param_floats,
        };
        // SAFETY: the file says that it was built for this version of the header, which promises
        // a function of this type; `call` and all that it points to outlive the call.
        let code = unsafe { function(&call) };
        let State { output, error } =
            host.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = error {
            return Err(error);
        }
        let (name, path) = (quoted(&self.symbol), quoted(&self.path));
        if code != 0 {
            return Err(fault(KIND, format!("{name} of plugin {path} returned {code}")));
        }
        let Some((mut writing, header)) = output else {
            return Err(fault(KIND, format!("{name} of plugin {path} made no result")));
        };
        if matches!(header, Header::Array { dtype: DType::Bool, .. }) {
            // Other kernels rely on it.
            writing.bytes_mut().iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
        }
        writing.seal(header).map_err(|error| fault("RuntimeError", error.to_string()))
    }
}

fn shape_of(input: &Sealed) -> Outcome<Vec<i64>> {
    let lengths = match input.header() {
        Header::Bytes => &[input.nbytes()][..],
        Header::Array { shape, .. } => shape,
    };
    let fits = lengths.iter().map(|length| i64::try_from(*length));
    fits.collect::<Result<_, _>>().map_err(|_| value_error("array is too big"))
}

fn raw_array(input: &Sealed, shape: &[i64]) -> RawArray {
    let dtype = match input.header() {
        Header::Bytes => BYTES,
        Header::Array { dtype, .. } => i32::from(dtype.code()),
    };
    RawArray {
        dtype,
        ndim: shape.len() as i32,
        shape: shape.as_ptr(),
        data: input.bytes().as_ptr().cast(),
        nbytes: input.bytes().len() as i64,
    }
}

/// The function of a library; the library is opened once per process and stays open.
fn function(path: &Path, symbol: &str) -> Result<Function, PluginFault> {
    static OPEN: Mutex<BTreeMap<PathBuf, &'static Library>> = Mutex::new(BTreeMap::new());
    // One at a time: constructors of two libraries that share a third must not meet.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let library = match open.get(path) {
        Some(library) => *library,
        None => {
            plugin_file::check(path, symbol)?;
            let library: &'static Library = Box::leak(Box::new(opened(path)?));
            open.insert(path.to_owned(), library);
            library
        }
    };
    let not_found = |_| PluginFault::NoSymbol {
        symbol: symbol.to_owned(),
        help: "the file has changed since it was checked".to_owned(),
    };
    // SAFETY: the library's version says that what tasks name has this type.
    let found = unsafe { library.get::<Function>(symbol.as_bytes()) };
    found.map(|function| *function).map_err(not_found)
}

fn opened(path: &Path) -> Result<Library, PluginFault> {
    let not_loaded = |error: libloading::Error| PluginFault::NotLoaded { problem: deepest(&error) };
    // SAFETY: the user's graph asks for it: its constructors run as its functions will.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(not_loaded)?;
    // SAFETY: the header declares it as a 32-bit unsigned integer; the pointer is only compared.
    let version = unsafe { library.get::<*const u32>(ABI_SYMBOL.as_bytes()) };
    let version = *version.map_err(|_| PluginFault::NoVersion)?;
    // SAFETY: as above, and the library stays open.
    let found = unsafe { version.read_unaligned() };
    if found == KERNEL_ABI { Ok(library) } else { Err(PluginFault::OtherVersion { found }) }
}

/// The system's own words.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl Host<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an error; the first one counts.
    fn note(&self, error: TaskError) {
        self.lock().error.get_or_insert(error);
    }

    /// Memory for the result.
    fn output(&self, dtype: i32, shape: &[i64]) -> Outcome<*mut u8> {
        let (header, nbytes) = header_of(dtype, shape)?;
        let mut state = self.lock();
        if state.output.is_some() {
            return Err(fault(KIND, "a plugin asked for a second result; a task has one"));
        }
        let writing = self.context.store.reserve(nbytes, self.context.priority);
        let writing = writing.map_err(|error| memory_error(&error))?;
        let (writing, _) = state.output.insert((writing, header));
        Ok(writing.bytes_mut().as_mut_ptr())
    }
}

/// What a result is and how many bytes it takes.
fn header_of(dtype: i32, shape: &[i64]) -> Outcome<(Header, u64)> {
    let lengths = shape.iter().map(|length| usize::try_from(*length));
    let lengths: Vec<usize> = lengths
        .collect::<Result<_, _>>()
        .map_err(|_| value_error(format!("a plugin asked for a result of shape {shape:?}")))?;
    if dtype == BYTES {
        let [length] = lengths[..] else {
            return Err(value_error("bytes have one axis"));
        };
        return Ok((Header::Bytes, length as u64));
    }
    let known = u8::try_from(dtype).ok().and_then(DType::from_code);
    let dtype =
        known.ok_or_else(|| type_error(format!("a plugin asked for a result of dtype {dtype}")))?;
    let nbytes = nbytes_of(dtype, &lengths)
        .ok_or_else(|| value_error(format!("array of shape {shape:?} is too big")))?;
    let shape = lengths.iter().map(|length| *length as u64).collect();
    Ok((Header::Array { dtype, shape }, nbytes as u64))
}

extern "C" fn output(call: &RawCall<'_>, dtype: i32, ndim: i32, shape: *const i64) -> *mut c_void {
    let shape = match usize::try_from(ndim) {
        Ok(0) => Ok(&[][..]),
        Ok(ndim) if ndim <= MAX_AXES && !shape.is_null() => {
            // SAFETY: the header asks for `ndim` lengths there.
            Ok(unsafe { std::slice::from_raw_parts(shape, ndim) })
        }
        _ => Err(value_error(format!("a plugin asked for a result of {ndim} axes"))),
    };
    match shape.and_then(|shape| call.host.output(dtype, shape)) {
        Ok(start) => start.cast(),
        Err(error) => {
            call.host.note(error);
            std::ptr::null_mut()
        }
    }
}

extern "C" fn fail(call: &RawCall<'_>, kind: *const c_char, message: *const c_char) -> i32 {
    // SAFETY: the header asks for a text that ends with a zero byte, or none.
    let kind = unsafe { text_at(kind) }.filter(|kind| is_kind(kind));
    // SAFETY: as above.
    let message = unsafe { text_at(message) }.unwrap_or_else(|| "no message".to_owned());
    call.host.note(fault(kind.as_deref().unwrap_or(KIND), message));
    1
}

/// A word such as `ValueError`.
fn is_kind(text: &str) -> bool {
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word && !text.is_empty() && text.len() <= KIND_LIMIT
}

/// A copy of a text from outside, cut and made UTF-8; none for NULL.
///
/// # Safety
/// `text` is NULL or points to bytes that end with a zero byte.
unsafe fn text_at(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    let cut = &bytes[..bytes.len().min(MESSAGE_LIMIT)];
    Some(String::from_utf8_lossy(cut).into_owned())
}

extern "C" fn param_int(call: &RawCall<'_>, name: *const c_char, value: *mut i64) -> i32 {
    get(call, name, PluginParams::int, |found| {
        // SAFETY: the header asks for room for the value.
        unsafe { value.write(found) }
    })
}

extern "C" fn param_float(call: &RawCall<'_>, name: *const c_char, value: *mut f64) -> i32 {
    get(call, name, PluginParams::float, |found| {
        // SAFETY: the header asks for room for the value.
        unsafe { value.write(found) }
    })
}

extern "C" fn param_text(
    call: &RawCall<'_>,
    name: *const c_char,
    text: *mut *const c_char,
    nbytes: *mut i64,
) -> i32 {
    get(call, name, PluginParams::text, |found| {
        // SAFETY: the header asks for room for the pointer.
        unsafe { text.write(found.as_ptr().cast()) };
        if !nbytes.is_null() {
            // The zero byte behind it does not count.
            // SAFETY: the header asks for room for the number, or NULL.
            unsafe { nbytes.write(found.len().saturating_sub(1) as i64) };
        }
    })
}

extern "C" fn param_floats(
    call: &RawCall<'_>,
    name: *const c_char,
    values: *mut *const f64,
    count: *mut i64,
) -> i32 {
    get(call, name, PluginParams::floats, |found| {
        // SAFETY: the header asks for room for the pointer.
        unsafe { values.write(found.as_ptr()) };
        // SAFETY: the header asks for room for the number.
        unsafe { count.write(found.len() as i64) };
    })
}

/// Looks a parameter up and hands it to `write`; a wrong type fails the task.
fn get<'a, T>(
    call: &RawCall<'a>,
    name: *const c_char,
    find: impl Fn(&'a PluginParams, &str) -> Found<T>,
    write: impl FnOnce(T),
) -> i32 {
    // SAFETY: the header asks for a text that ends with a zero byte.
    let name = unsafe { text_at(name) }.unwrap_or_default();
    match find(call.host.params, &name) {
        Ok(Some(found)) => {
            write(found);
            FOUND
        }
        Ok(None) => ABSENT,
        Err(problem) => {
            call.host.note(type_error(problem));
            WRONG
        }
    }
}
