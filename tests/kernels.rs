//! Kernels without numpy: faults found at parse, task errors in words, files, test kernels.

use rdask::kernels::{Context, Kernel, SpecError, names, parameters, parse};
use rdask_core::graph::{Param, Params};
use rdask_core::messages::TaskError;
use rdask_store::{DType, Header, Sealed, Store};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Parameters from JSON, as a graph file would give them.
pub(crate) fn params(value: &Value) -> Params {
    let object = value.as_object().unwrap();
    object.iter().map(|(name, value)| (name.clone(), param(value))).collect()
}

fn param(value: &Value) -> Param {
    match value {
        Value::Null => Param::Null,
        Value::Bool(value) => Param::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Param::Int(value),
            (None, Some(value)) => Param::UInt(value),
            (None, None) => Param::Float(number.as_f64().unwrap()),
        },
        Value::String(text) => Param::Str(text.clone()),
        Value::Array(values) => Param::List(values.iter().map(param).collect()),
        Value::Object(_) => Param::Map(params(value)),
    }
}

/// A context over this store and folder.
pub(crate) fn context<'a>(store: &'a Store, folder: &'a Path) -> Context<'a> {
    Context { store, priority: 0, threads: 1, attempt: 0, rank: 3, working_directory: folder }
}

/// An array in the store.
pub(crate) fn array(store: &Store, dtype: DType, shape: &[u64], bytes: &[u8]) -> Sealed {
    let mut writing = store.reserve(bytes.len() as u64, 0).unwrap();
    writing.bytes_mut().copy_from_slice(bytes);
    writing.seal(Header::Array { dtype, shape: shape.to_vec() }).unwrap()
}

fn kernel(name: &str, value: &Value, inputs: usize) -> Kernel {
    parse(name, &params(value), inputs).unwrap()
}

fn run(name: &str, value: &Value, inputs: &[Sealed]) -> Result<Sealed, TaskError> {
    let store = Store::new(0);
    kernel(name, value, inputs.len()).run(&context(&store, Path::new("/")), inputs)
}

fn f64s(values: &[f64], shape: &[u64]) -> Sealed {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    array(&Store::new(0), DType::F64, shape, &bytes)
}

fn problem(name: &str, value: &Value, inputs: usize) -> SpecError {
    parse(name, &params(value), inputs).unwrap_err()
}

#[test]
fn faults_are_found_without_data() {
    let cases = [
        ("transpos", json!({}), 1, "unknown kernel 'transpos'"),
        ("full", json!({"shape": [2]}), 0, "kernel 'full' needs the parameter 'dtype'"),
        ("sum", json!({"axes": 0}), 1, "kernel 'sum' has no parameter 'axes'"),
        ("matmul", json!({}), 1, "kernel 'matmul' takes 2 inputs, not 1 inputs"),
        (
            "full",
            json!({"shape": [2], "dtype": "M8[25s]", "value": 0}),
            0,
            "parameter 'dtype' of kernel 'full': unknown dtype 'M8[25s]'; known are bool i8 i16 \
             i32 i64 u8 u16 u32 u64 f16 f32 f64 c64 c128, M8[unit] and m8[unit] with a unit of Y M \
             W D h m s ms us ns ps fs as; others need a Python task",
        ),
        (
            "full",
            json!({"shape": [2], "dtype": "u8", "value": 256}),
            0,
            "parameter 'value' of kernel 'full': 256 is out of bounds for uint8",
        ),
        (
            "full",
            json!({"shape": [1u64 << 40, 1u64 << 40], "dtype": "u8", "value": 2}),
            0,
            "parameter 'shape' of kernel 'full': (1099511627776,1099511627776) is too big",
        ),
        (
            "full",
            json!({"shape": [-1], "dtype": "u8", "value": 2}),
            0,
            "parameter 'shape' of kernel 'full': -1 is negative, expected 0 or more",
        ),
        (
            "map",
            json!({"expr": "a + "}),
            1,
            "parameter 'expr' of kernel 'map': expected an operand at column 5, where the text ends",
        ),
        (
            "slice",
            json!({"ranges": [[0, 5, 0]]}),
            1,
            "parameter 'ranges' of kernel 'slice': slice step cannot be zero",
        ),
        (
            "arange",
            json!({"count": 300, "dtype": "u8"}),
            0,
            "parameter 'count' of kernel 'arange': 0 to 299 are out of bounds for uint8",
        ),
        (
            "random",
            json!({"shape": 3, "dtype": "i8", "seed": 1, "high": 200}),
            0,
            "parameter 'high' of kernel 'random': [0, 200) is out of bounds for int8",
        ),
    ];
    for (name, value, inputs, expected) in cases {
        assert_eq!(problem(name, &value, inputs).to_string(), expected);
    }
    let SpecError::UnknownKernel { nearest, .. } = problem("concatinate", &json!({}), 1) else {
        panic!("another fault");
    };
    assert_eq!(nearest.as_deref(), Some("concatenate"));
    let SpecError::UnknownParameter { nearest, .. } = problem("sum", &json!({"axes": 0}), 1) else {
        panic!("another fault");
    };
    assert_eq!(nearest.as_deref(), Some("axis"));
}

#[test]
fn no_parameter_makes_parse_or_run_panic() {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!("nan"),
        json!([]),
        json!([[]]),
        json!([-3, 9]),
        json!({"a": 1}),
        json!("f64"),
        json!([0]),
        json!(i64::MIN),
        json!([i64::MIN, i64::MAX, i64::MIN]),
        json!(7),
        json!("a//b**a"),
        json!([[i64::MIN, i64::MAX, i64::MIN]]),
    ];
    // What a kernel needs beside the parameter that is tried.
    let sound = json!({"shape": [2], "dtype": "i16", "seed": 1, "value": 3, "count": 2, "expr": "a",
        "ranges": [], "path": "x", "size": 3, "message": "m", "base64": "AAAA", "n": 2, "k": 1,
        "part": "q", "offsets": [0], "weights": [1], "shift": 1, "widths": 1, "indices": [0],
        "grid": [1], "func": "sum", "ngroups": 2});
    let store = Store::new(1 << 20);
    let folder = tempfile::tempdir().unwrap();
    let matrix = || f64s(&[2.0, 1.0, 1.0, 3.0], &[2, 2]);
    let groups = array(&store, DType::I64, &[2], bytemuck::cast_slice(&[1_i64, 0]));
    let pairs = [
        [f64s(&[1.0, -2.0, f64::NAN], &[3]), f64s(&[], &[0, 2])],
        [matrix(), matrix()],
        [matrix(), groups],
    ];
    for name in names().filter(|name| !matches!(*name, "abort" | "sleep" | "busy")) {
        // `us` is a time to wait.
        for parameter in parameters(name).iter().filter(|parameter| **parameter != "us") {
            for (value, count) in values.iter().flat_map(|value| (0..=2).map(move |n| (value, n))) {
                let mut all = sound.clone();
                all[parameter] = value.clone();
                let mut all = params(&all);
                all.retain(|(given, _)| parameters(name).contains(&given.as_str()));
                let Ok(kernel) = parse(name, &all, count) else { continue };
                for inputs in &pairs {
                    let context = context(&store, folder.path());
                    drop(kernel.run(&context, &inputs[..count]));
                }
            }
        }
    }
}

#[test]
fn errors_name_condition_shapes_and_dtypes() {
    let (x, y) = (f64s(&[0.0; 12], &[3, 4]), f64s(&[0.0; 5], &[5]));
    let error = run("map", &json!({"expr": "a + b"}), &[x.clone(), y]).unwrap_err();
    assert_eq!(error.kind, "ValueError");
    assert_eq!(
        error.message,
        "operands could not be broadcast together with shapes (3,4) (5,) [a float64 (3,4), b \
         float64 (5,)]"
    );
    let error = run("min", &json!({}), &[f64s(&[], &[0])]).unwrap_err();
    assert_eq!(
        error.message,
        "zero-size array to reduction operation minimum which has no identity [a float64 (0,)]"
    );
    let error = run("sum", &json!({"axis": 2}), std::slice::from_ref(&x)).unwrap_err();
    assert_eq!(error.kind, "AxisError");
    assert!(error.message.starts_with("axis 2 is out of bounds for array of dimension 2"));
    let error = run("sum", &json!({"axis": [0, -2]}), &[x]).unwrap_err();
    assert!(error.message.starts_with("duplicate value in 'axis'"));
    let bytes = run("bytes", &json!({"size": 10}), &[]).unwrap();
    let error = run("sum", &json!({}), &[bytes]).unwrap_err();
    assert_eq!(error.kind, "TypeError");
    assert_eq!(error.message, "input a is bytes, not an array [a bytes of 10]");
}

#[test]
fn memory_errors_name_the_sizes() {
    let store = Store::new(1000);
    let full = kernel("full", &json!({"shape": 1000, "dtype": "f64", "value": 0}), 0);
    let error = full.run(&context(&store, Path::new("/")), &[]).unwrap_err();
    assert_eq!(error.kind, "MemoryError");
    assert!(error.message.contains("8000") && error.message.contains("1000"), "{}", error.message);
}

#[test]
fn files_that_cannot_be_loaded_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(0);
    let context = context(&store, folder.path());
    let load = |path: &str| kernel("load_npy", &json!({"path": path}), 0).run(&context, &[]);
    let error = load("missing.npy").unwrap_err();
    assert_eq!(error.kind, "FileNotFoundError");
    assert!(error.message.contains("missing.npy"), "{}", error.message);
    fs::write(folder.path().join("text.npy"), "no array").unwrap();
    assert_eq!(load("text.npy").unwrap_err().kind, "ValueError");
    let input = f64s(&[1.0, 2.0, 3.0], &[3]);
    let stored = kernel("store_npy", &json!({"path": "x.npy"}), 1).run(&context, &[input]);
    assert_eq!(stored.unwrap().bytes(), b"x.npy");
    let whole = fs::read(folder.path().join("x.npy")).unwrap();
    assert_eq!(load("x.npy").unwrap().bytes(), &whole[128..]);
    for end in [0, 5, 11, 100, 128, whole.len() - 1] {
        fs::write(folder.path().join("cut.npy"), &whole[..end]).unwrap();
        let error = load("cut.npy").unwrap_err();
        assert_eq!(error.kind, "ValueError");
        assert!(error.message.contains("cut.npy"), "{}", error.message);
    }
    let other = String::from_utf8_lossy(&whole).contains("'<f8'");
    assert!(other);
    let mut date = whole.clone();
    let at = whole.windows(3).position(|part| part == b"<f8").unwrap();
    date[at..at + 3].copy_from_slice(b"<m8");
    fs::write(folder.path().join("date.npy"), date).unwrap();
    let error = load("date.npy").unwrap_err();
    assert_eq!(error.kind, "TypeError");
    assert!(error.message.contains("'<m8'") && error.message.contains("Python task"));
    let parts = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".part"));
    assert_eq!(parts.count(), 0);
}

#[test]
fn test_kernels_do_what_they_say() {
    let store = Store::new(0);
    let mut context = context(&store, Path::new("/"));
    let number = |sealed: Sealed| i64::from_ne_bytes(sealed.bytes().try_into().unwrap());
    let fail = kernel("fail", &json!({"message": "as asked", "attempts": 2}), 0);
    for attempt in 0..2 {
        context.attempt = attempt;
        let error = fail.run(&context, &[]).unwrap_err();
        assert_eq!((error.kind.as_str(), error.message.as_str()), ("RuntimeError", "as asked"));
    }
    context.attempt = 2;
    assert_eq!(number(fail.run(&context, &[]).unwrap()), 0);
    let always = kernel("fail", &json!({"message": "m"}), 3);
    assert!(always.run(&context, &[]).is_err());
    let spared = kernel("abort", &json!({"attempts": 2}), 0);
    assert_eq!(number(spared.run(&context, &[]).unwrap()), 0);
    assert_eq!(number(kernel("rank", &json!({}), 0).run(&context, &[]).unwrap()), 3);
    assert_eq!(number(kernel("busy", &json!({"us": 10}), 0).run(&context, &[]).unwrap()), 0);
    assert_eq!(number(kernel("sleep", &json!({"ms": 0.5}), 0).run(&context, &[]).unwrap()), 0);
    let bytes = kernel("bytes", &json!({"size": 33, "seed": 5}), 0);
    let (one, two) = (bytes.run(&context, &[]).unwrap(), bytes.run(&context, &[]).unwrap());
    assert_eq!((one.nbytes(), one.header()), (33, &Header::Bytes));
    assert_eq!(one.bytes(), two.bytes());
    let input = f64s(&[1.5], &[1]);
    let same = kernel("identity", &json!({}), 1).run(&context, std::slice::from_ref(&input));
    assert_eq!(same.unwrap().bytes().as_ptr(), input.bytes().as_ptr());
}

/// Vectors of the documentation: docs/kernels.md lists the same numbers.
#[test]
fn random_has_its_documented_vectors() {
    let random = |value: Value| run("random", &value, &[]).unwrap();
    let normal = random(json!({"shape": 4, "dtype": "f64", "seed": 7, "distribution": "normal"}));
    let normal: Vec<f64> = normal
        .bytes()
        .chunks(8)
        .map(|bytes| f64::from_ne_bytes(bytes.try_into().unwrap()))
        .collect();
    let integers = random(json!({"shape": 8, "dtype": "i16", "seed": 7, "low": -100, "high": 100}));
    let integers: Vec<i16> = integers
        .bytes()
        .chunks(2)
        .map(|bytes| i16::from_ne_bytes(bytes.try_into().unwrap()))
        .collect();
    let uniform = random(json!({"shape": 2, "dtype": "f32", "seed": 7}));
    let uniform: Vec<f32> = uniform
        .bytes()
        .chunks(4)
        .map(|bytes| f32::from_ne_bytes(bytes.try_into().unwrap()))
        .collect();
    assert_eq!(
        normal,
        [0.36907499283677353, -2.117593988140012, 2.077974840661349, 1.5360642116966974]
    );
    assert_eq!(integers, [80, 55, 92, -80, 74, -41, -16, -19]);
    assert_eq!(uniform, [0.9007596, 0.7774632]);
}
