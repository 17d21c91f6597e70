//! Stencils and Fourier transforms against numpy.

use crate::kernels::params;
use crate::kernels_linalg::{CASES, Case, Dice, check, run};
use rdask::kernels::parse;
use rdask_store::DType;
use serde_json::{Value, json};

fn case(kernel: &'static str, params: Value, input: crate::kernels_linalg::Matrix) -> Case {
    Case { kernel, params, inputs: vec![input] }
}

/// A shape of 0 to 3 axes.
fn shape(dice: &mut Dice) -> Vec<u64> {
    match dice.below(5) {
        0 => vec![1 + dice.below(3000)],
        1 => vec![1 + dice.below(40), 1 + dice.below(40)],
        axes => (0..axes - 1).map(|_| dice.length().min(12)).collect(),
    }
}

#[test]
fn transforms_of_any_length_along_any_axis() {
    let dice = &mut Dice::new(21);
    let mut cases = Vec::new();
    for _ in 0..CASES + 100 {
        let shape = shape(dice);
        if shape.is_empty() {
            continue;
        }
        let axis = dice.below(shape.len() as u64) as i64;
        let axis = if dice.yes() { axis } else { axis - shape.len() as i64 };
        let dtype = dice.pick(&DType::BASIC);
        // 64-bit integers would drown the bound.
        let dtype = if matches!(dtype, DType::I64 | DType::U64) { DType::F64 } else { dtype };
        let params = json!({"axis": axis, "inverse": dice.yes()});
        cases.push(case("fft", params, dice.array(dtype, &shape)));
    }
    for length in [2, 3, 64, 97, 101, 128, 210, 1009, 2048, 4099] {
        for dtype in [DType::F64, DType::C64] {
            cases.push(case("fft", json!({}), dice.array(dtype, &[length])));
        }
    }
    cases.push(case("fft", json!({}), dice.array(DType::F64, &[3, 0])));
    cases.push(case("fft", json!({"axis": 2}), dice.array(DType::F64, &[3])));
    cases.push(case("fft", json!({}), dice.array(DType::F64, &[])));
    check(&cases);
}

fn offset(dice: &mut Dice, shape: &[u64]) -> Vec<i64> {
    let reach = |dice: &mut Dice, length: u64| match dice.below(6) {
        0 => dice.below(3 * length + 2) as i64 - length as i64,
        _ => dice.below(5) as i64 - 2,
    };
    shape.iter().map(|length| reach(dice, *length)).collect()
}

#[test]
fn stencils_have_numpys_bits() {
    let dice = &mut Dice::new(22);
    let mut cases = Vec::new();
    for _ in 0..2 * CASES {
        let shape = shape(dice);
        let dtype = dice.pick(&DType::BASIC);
        let count = 1 + dice.below(12);
        let offsets: Vec<Vec<i64>> = (0..count).map(|_| offset(dice, &shape)).collect();
        let kind = dice.below(if dtype >= DType::C64 { 3 } else { 2 });
        let weights: Vec<Value> = (0..count)
            .map(|_| match kind {
                0 => json!(dice.below(100)),
                1 => json!(dice.unit()),
                _ => json!([dice.unit(), dice.unit()]),
            })
            .collect();
        let boundary = dice.pick(&["constant", "wrap", "nearest"]);
        let value = if dtype == DType::Bool { dice.below(2) } else { dice.below(50) };
        let params =
            json!({"offsets": offsets, "weights": weights, "boundary": boundary, "value": value});
        cases.push(case("stencil", params, dice.array(dtype, &shape)));
    }
    // Numbers without a list are offsets of vectors.
    let params = json!({"offsets": [-1, 0, 1], "weights": [1, -2, 1]});
    cases.push(case("stencil", params, dice.array(DType::I32, &[50])));
    check(&cases);
}

#[test]
fn faults_of_stencils_are_named() {
    let dice = &mut Dice::new(23);
    let input = dice.array(DType::U8, &[4, 4]);
    let cases = [
        (json!({"offsets": [1], "weights": [1]}), "offsets have 1 axes, the array has 2"),
        (
            json!({"offsets": [[0, 1]], "weights": [300]}),
            "Python integer 300 is out of bounds for uint8",
        ),
        (
            json!({"offsets": [[0, 1]], "weights": [1], "value": -1}),
            "-1 is out of bounds for uint8",
        ),
    ];
    for (params, expected) in cases {
        let error = run(&case("stencil", params, input.clone()), 1).unwrap_err();
        assert!(error.message.starts_with(expected), "{}", error.message);
    }
    let cases = [
        (json!({"weights": [1]}), "kernel 'stencil' needs the parameter 'offsets'"),
        (
            json!({"offsets": [], "weights": []}),
            "parameter 'offsets' of kernel 'stencil': expected at least one",
        ),
        (
            json!({"offsets": [[0, 1], [1]], "weights": [1, 1]}),
            "parameter 'offsets' of kernel 'stencil': have 2 and 1 axes",
        ),
        (
            json!({"offsets": [0, 1], "weights": [1]}),
            "parameter 'weights' of kernel 'stencil': 1 for 2 offsets",
        ),
        (
            json!({"offsets": [0], "weights": [1], "boundary": "mirror"}),
            "parameter 'boundary' of kernel 'stencil': expected \"constant\", \"wrap\" or \
             \"nearest\", found the string \"mirror\"",
        ),
    ];
    for (value, expected) in cases {
        let error = parse("stencil", &params(&value), 1).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn no_number_of_threads_changes_a_bit() {
    let dice = &mut Dice::new(24);
    let plane = dice.array(DType::F64, &[301, 700]);
    let line = dice.array(DType::F32, &[300_000]);
    let cross = json!({"offsets": [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1], [2, -2]],
        "weights": [0.5, 0.1, 0.1, 0.1, 0.1, 0.1], "boundary": "wrap"});
    let cases = [
        case("fft", json!({}), plane.clone()),
        case("fft", json!({"axis": 0}), plane.clone()),
        case("fft", json!({}), dice.array(DType::C64, &[20_001, 9])),
        case("stencil", cross, plane),
        case("stencil", json!({"offsets": [-3, 5], "weights": [0.5, 0.25]}), line),
    ];
    for case in cases {
        let one = run(&case, 1).unwrap();
        for threads in [2, 3, 8] {
            let many = run(&case, threads).unwrap();
            assert!(one.bytes() == many.bytes(), "{} on {threads} threads", case.kernel);
        }
    }
}
