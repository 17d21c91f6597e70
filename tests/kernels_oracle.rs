//! Kernels against numpy: one Python process computes what every random case must give.
//!
//! A case states how near the kernel must be: the same bits, 2 ulp from the correctly rounded
//! value, within the bound of pairwise summation, or within the errors of numpy's own functions.
//! Zeros of either sign are equal but in the last class, NaNs always.

use crate::kernels::{array, context, params};
use crate::support::oracle;
use half::f16;
use rdask::kernels::parse;
use rdask_core::messages::TaskError;
use rdask_store::{DType, Header, Sealed, Store};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// An input of a case.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}

/// How near the result must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    Exact,
    Ulp,
    Sum,
    Special,
}

/// One run of one kernel.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kernel: &'static str,
    pub(crate) params: Value,
    pub(crate) inputs: Vec<Given>,
    pub(crate) class: Class,
    /// More that the oracle needs to know.
    pub(crate) extra: Value,
}

/// What numpy gave for one case.
struct Answer<'a> {
    value: &'a Value,
    data: &'a [u8],
}

/// Compares all cases; says so and returns when there is no numpy.
pub(crate) fn check(cases: &[Case]) {
    let Some(python) = oracle::numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    write(cases, folder.path());
    let path = folder.path().to_str().unwrap();
    drop(python.run_file("tests/oracle/kernels.py", [path]));
    let answers = fs::read_to_string(folder.path().join("expected.json")).unwrap();
    let answers: Vec<Value> = serde_json::from_str(&answers).unwrap();
    let data = fs::read(folder.path().join("expected.bin")).unwrap();
    assert_eq!(answers.len(), cases.len());
    let mut faults = Vec::new();
    for (case, value) in cases.iter().zip(&answers) {
        let result = run(case, folder.path());
        if let Err(fault) = compare(case, &result, &Answer { value, data: &data }) {
            faults.push(format!("{fault}\n{}", described(case)));
        }
    }
    let first: Vec<&String> = faults.iter().take(12).collect();
    assert!(faults.is_empty(), "{} of {} differ:\n{first:#?}", faults.len(), cases.len());
}

fn described(case: &Case) -> String {
    let mut text = format!("{} {}", case.kernel, case.params);
    for input in &case.inputs {
        text += &format!(" {} {:?}", input.dtype.name(), input.shape);
    }
    text
}

fn write(cases: &[Case], folder: &Path) {
    let mut inputs = Vec::new();
    let mut listed = Vec::new();
    for case in cases {
        let mut given = Vec::new();
        for input in &case.inputs {
            inputs.resize(inputs.len().next_multiple_of(16), 0);
            given.push(json!({
                "dtype": input.dtype.name(), "shape": input.shape, "offset": inputs.len(),
            }));
            inputs.extend_from_slice(&input.bytes);
        }
        let class = match case.class {
            Class::Exact => "exact",
            Class::Ulp => "ulp",
            Class::Sum => "sum",
            Class::Special => "special",
        };
        let mut entry = json!({
            "kernel": case.kernel, "params": case.params, "inputs": given, "class": class,
        });
        if let Some(extra) = case.extra.as_object() {
            for (name, value) in extra {
                entry[name] = value.clone();
            }
        }
        listed.push(entry);
    }
    fs::write(folder.join("inputs.bin"), inputs).unwrap();
    fs::write(folder.join("cases.json"), serde_json::to_vec(&listed).unwrap()).unwrap();
}

fn run(case: &Case, folder: &Path) -> Result<Sealed, TaskError> {
    let store = Store::new(0);
    let mut inputs: Vec<Sealed> = case
        .inputs
        .iter()
        .map(|input| array(&store, input.dtype, &input.shape, &input.bytes))
        .collect();
    if case.kernel == "load_npy" {
        inputs.clear();
    }
    let kernel = parse(case.kernel, &params(&case.params), inputs.len());
    let kernel = kernel.unwrap_or_else(|error| panic!("{error}: {}", described(case)));
    let result = kernel.run(&context(&store, folder), &inputs);
    if case.kernel != "store_npy" {
        return result;
    }
    result?;
    let load = parse("load_npy", &params(&json!({"path": case.params["path"]})), 0).unwrap();
    load.run(&context(&store, folder), &[])
}

fn compare(
    case: &Case,
    result: &Result<Sealed, TaskError>,
    answer: &Answer<'_>,
) -> Result<(), String> {
    let expected = answer.value;
    let sealed = match (result, expected.get("error")) {
        (Err(error), Some(kind)) if *kind == error.kind.as_str() => return Ok(()),
        (Ok(sealed), None) => sealed,
        (Err(error), _) => return Err(format!("{}: {} for {expected}", error.kind, error.message)),
        (Ok(sealed), Some(_)) => return Err(format!("{:?} for {expected}", sealed.header())),
    };
    let Header::Array { dtype, shape } = sealed.header() else {
        return Err("bytes".to_owned());
    };
    if *dtype.name() != expected["dtype"] || json!(shape) != expected["shape"] {
        return Err(format!("{:?} for {expected}", sealed.header()));
    }
    let at = |name: &str| expected.get(name).map(|offset| offset.as_u64().unwrap() as usize);
    let start = at("offset").unwrap();
    let theirs = &answer.data[start..start + sealed.bytes().len()];
    let tolerances = at("tolerance").map(|start| &answer.data[start..]);
    elements(case.class, *dtype, sealed.bytes(), theirs, tolerances)
}

/// One element as numbers: one part, or two for complex.
fn parts(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let narrow = |bytes: &[u8]| f64::from(f32::from_ne_bytes(bytes.try_into().unwrap()));
    let wide = |bytes: &[u8]| f64::from_ne_bytes(bytes.try_into().unwrap());
    match dtype {
        DType::F16 => {
            bytes.chunks(2).map(|bytes| f16::from_ne_bytes([bytes[0], bytes[1]]).to_f64()).collect()
        }
        DType::F32 | DType::C64 => bytes.chunks(4).map(narrow).collect(),
        _ => bytes.chunks(8).map(wide).collect(),
    }
}

fn elements(
    class: Class,
    dtype: DType,
    ours: &[u8],
    theirs: &[u8],
    tolerances: Option<&[u8]>,
) -> Result<(), String> {
    let size = dtype.size();
    let (epsilon, least) = match dtype {
        DType::F16 => (f16::EPSILON.to_f64(), f16::MIN_POSITIVE.to_f64()),
        DType::F32 | DType::C64 => (f64::from(f32::EPSILON), f64::from(f32::MIN_POSITIVE)),
        DType::F64 | DType::C128 => (f64::EPSILON, f64::MIN_POSITIVE),
        _ => (0.0, 0.0),
    };
    let float = epsilon > 0.0;
    for (index, (x, y)) in ours.chunks(size).zip(theirs.chunks(size)).enumerate() {
        if x == y {
            continue;
        }
        if !float {
            return Err(format!("element {index}: {x:?} for {y:?}"));
        }
        let (x, y) = (parts(dtype, x), parts(dtype, y));
        let length = y.iter().fold(0.0_f64, |length, part| length.max(part.abs()));
        let allowed = match (class, tolerances) {
            (Class::Exact, _) => 0.0,
            (Class::Sum | Class::Special, Some(all)) => {
                f64::from_ne_bytes(all[8 * index..8 * index + 8].try_into().unwrap())
            }
            // Complex functions are compared by their length, real ones by the element.
            _ => epsilon * (length.max(least)) * 2.0,
        };
        let near = x.iter().zip(&y).all(|(x, y)| {
            let differ =
                class == Class::Special && x == y && x.is_sign_negative() != y.is_sign_negative();
            let same = (x.is_nan() && y.is_nan()) || x == y;
            !differ && (same || (x - y).abs() <= allowed)
        });
        if !near {
            return Err(format!("element {index}: {x:?} for {y:?}, ± {allowed:e}"));
        }
    }
    Ok(())
}
