//! Orders against numpy's stable sorts: every dtype, axis and special value; threads; faults.

use crate::kernels::{array, context, params};
use crate::kernels_oracle::{Class, Given, check};
use crate::kernels_random::{Chance, Fill, case, given};
use crate::kernels_reduce::{half_or_time, same_for_all_threads};
use rdask::kernels::parse;
use rdask_store::{DType, Store, TimeUnit};
use serde_json::{Value, json};
use std::path::Path;

/// Cases of each kernel.
const CASES: usize = 260;

const KERNELS: [&str; 4] = ["sort", "argsort", "topk", "argtopk"];

fn parameters(chance: &mut Chance, kernel: &str, count: usize) -> Value {
    let mut params = json!({});
    match chance.below(4) {
        0 => {}
        1 => params["axis"] = Value::Null,
        _ => {
            let range = 2 * count.max(1) + usize::from(chance.one_in(10));
            params["axis"] = json!(chance.below(range) as i64 - count.max(1) as i64);
        }
    }
    if kernel.ends_with("topk") {
        params["k"] = json!(chance.pick(&[0, 1, 2, 3, 5, 9, 100, 5000]));
    }
    params
}

#[test]
fn every_order_is_numpys() {
    let chance = &mut Chance::new(81);
    let mut cases = Vec::new();
    for kernel in KERNELS {
        for round in 0..CASES {
            let dtype = DType::BASIC[round % 13];
            let shape = chance.shape();
            let params = parameters(chance, kernel, shape.len());
            // Small integers have many equals, zeros of both signs among them.
            let fill = if chance.one_in(3) { Fill::Small } else { Fill::Wild };
            let input = given(chance, dtype, &shape, fill);
            cases.push(case(kernel, params, vec![input], Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn halves_and_times() {
    let chance = &mut Chance::new(84);
    let others = [DType::F16, DType::Datetime(TimeUnit::Second), DType::Timedelta(TimeUnit::Hour)];
    let mut cases = Vec::new();
    for kernel in KERNELS {
        for round in 0..60 {
            let shape = chance.shape();
            let params = parameters(chance, kernel, shape.len());
            let input = half_or_time(chance, others[round % 3], &shape);
            cases.push(case(kernel, params, vec![input], Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn long_lines() {
    let chance = &mut Chance::new(82);
    let mut cases = Vec::new();
    for kernel in KERNELS {
        for dtype in DType::BASIC {
            let shapes: [&[u64]; 3] = [&[20_011], &[300, 70], &[9000, 3]];
            for shape in shapes {
                let mut params = json!({"axis": 0});
                if kernel.ends_with("topk") {
                    params["k"] = json!(17);
                }
                let input = given(chance, dtype, shape, Fill::Wild);
                cases.push(case(kernel, params, vec![input], Class::Exact));
            }
        }
    }
    check(&cases);
}

#[test]
fn threads_change_no_bit() {
    let chance = &mut Chance::new(83);
    let shapes: [&[u64]; 4] = [&[100_000], &[500, 300], &[30_000, 5], &[9, 700, 40]];
    for shape in shapes {
        for dtype in [DType::F64, DType::I16, DType::C64] {
            let input = given(chance, dtype, shape, Fill::Wild);
            for kernel in KERNELS {
                for axis in 0..shape.len() {
                    let mut params = json!({"axis": axis});
                    if kernel.ends_with("topk") {
                        params["k"] = json!(11);
                    }
                    same_for_all_threads(&case(kernel, params, vec![input.clone()], Class::Exact));
                }
            }
        }
    }
}

#[test]
fn zeros_keep_their_order_and_nan_is_last() {
    let values = [0.0, f64::NAN, -0.0, 1.0, 0.0, -1.0, f64::INFINITY];
    let bytes = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let input = Given { dtype: DType::F64, shape: vec![7], bytes };
    let run = |kernel: &str, value: Value| {
        let store = Store::new(0);
        let inputs = [array(&store, input.dtype, &input.shape, &input.bytes)];
        let kernel = parse(kernel, &params(&value), 1).unwrap();
        kernel.run(&context(&store, Path::new("/")), &inputs).unwrap().bytes().to_vec()
    };
    let floats = |bytes: Vec<u8>| -> Vec<String> {
        let values = bytes.chunks(8).map(|bytes| f64::from_ne_bytes(bytes.try_into().unwrap()));
        values.map(|value| value.to_string()).collect()
    };
    let integers = |bytes: Vec<u8>| -> Vec<i64> {
        bytes.chunks(8).map(|bytes| i64::from_ne_bytes(bytes.try_into().unwrap())).collect()
    };
    assert_eq!(floats(run("sort", json!({}))), ["-1", "0", "-0", "0", "1", "inf", "NaN"]);
    assert_eq!(integers(run("argsort", json!({}))), [5, 0, 2, 4, 3, 6, 1]);
    assert_eq!(floats(run("topk", json!({"k": 4}))), ["inf", "1", "0", "-0"]);
    assert_eq!(integers(run("argtopk", json!({"k": 9}))), [6, 3, 0, 2, 4, 5, 1]);
}

#[test]
fn faults_in_words() {
    let store = Store::new(0);
    let scalar = array(&store, DType::I8, &[], &[1]);
    let kernel = parse("sort", &params(&json!({})), 1).unwrap();
    let error = kernel.run(&context(&store, Path::new("/")), &[scalar]).unwrap_err();
    assert_eq!(error.kind, "AxisError");
    assert_eq!(error.message, "axis -1 is out of bounds for array of dimension 0 [a int8 ()]");
    let fault = |name: &str, value: Value| parse(name, &params(&value), 1).unwrap_err().to_string();
    assert_eq!(fault("topk", json!({})), "kernel 'topk' needs the parameter 'k'");
    assert_eq!(
        fault("argtopk", json!({"k": -1})),
        "parameter 'k' of kernel 'argtopk': -1 is negative, expected 0 or more"
    );
}
