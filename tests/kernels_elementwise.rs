//! `map` and `clip` against numpy: random expressions over all dtypes, bounds of every kind, and the
//! rules that a compiled program must keep when it shares, folds and joins operations.

use crate::kernels_oracle::{Case, Class, check};
use crate::kernels_random::{Chance, Fill, REALS, case, given, partner, positive_zeros};
use rdask_store::DType;
use serde_json::{Value, json};

/// Random cases of each kernel; the promise is at least 200.
const CASES: usize = 400;

/// A random expression of exact operations over `a`, `b`, `c` and literals, of any dtype.
fn expression(chance: &mut Chance, depth: usize) -> String {
    if depth == 0 {
        return chance.pick(&["a", "b", "c", "a", "b", "c", "1", "3", "0.5", "7"]).to_owned();
    }
    let part = |chance: &mut Chance| {
        let less = 1 + chance.below(2);
        expression(chance, depth.saturating_sub(less))
    };
    match chance.below(12) {
        0 => {
            let compare = chance.pick(&["<", "<=", ">", ">=", "==", "!="]);
            let condition = format!("({} {compare} {})", part(chance), part(chance));
            // A bare literal as a branch is the documented difference from numpy.
            format!("where({condition}, {} + a, b - {})", part(chance), part(chance))
        }
        1 => format!("abs({})", part(chance)),
        2 => format!("-{}", part(chance)),
        3 => format!("sqrt(abs({} + b))", part(chance)),
        4 => format!("{}({})", chance.pick(&["floor", "ceil", "trunc", "sign"]), part(chance)),
        5 => format!("({} ** 2)", part(chance)),
        6 => {
            let shared = part(chance);
            format!("({shared} * {shared} + ({shared}))")
        }
        7 => format!("({} < {}) * {}", part(chance), part(chance), part(chance)),
        _ => {
            let operator = chance.pick(&["+", "-", "*", "/", "//", "%", "+", "-", "*"]);
            format!("({} {operator} {})", part(chance), part(chance))
        }
    }
}

/// Every literal alone is Python's business; a text that does not parse is not a case.
fn parses(text: &str, inputs: usize) -> bool {
    let params = crate::kernels::params(&json!({"expr": text}));
    rdask::kernels::parse("map", &params, inputs).is_ok()
}

fn map(text: &str, inputs: Vec<crate::kernels_oracle::Given>, class: Class) -> Case {
    case("map", json!({"expr": text}), inputs, class)
}

#[test]
fn random_expressions_over_all_real_dtypes() {
    let chance = &mut Chance::new(101);
    let mut cases = Vec::new();
    while cases.len() < CASES {
        let depth = 1 + chance.below(4);
        let text = format!("{} + a", expression(chance, depth));
        if !parses(&text, 3) {
            continue;
        }
        let shape = chance.shape();
        let mut inputs = Vec::new();
        for index in 0..3 {
            let dtype = if chance.one_in(8) { DType::Bool } else { chance.pick(&REALS) };
            let other = if index == 0 { shape.clone() } else { partner(chance, &shape) };
            inputs.push(given(chance, dtype, &other, Fill::Wild));
        }
        cases.push(map(&text, inputs, Class::Exact));
    }
    check(&cases);
}

#[test]
fn joined_operations_round_one_by_one() {
    let chance = &mut Chance::new(102);
    let signs = ["+", "-", "*", "/"];
    let mut cases = Vec::new();
    for first in signs {
        for second in signs {
            for text in [
                format!("(a {first} b) {second} c"),
                format!("a {second} (b {first} c)"),
                format!("sqrt(a {first} b) {second} c"),
                format!("abs(a {first} b) {second} 3"),
            ] {
                cases.push(text);
            }
            for third in signs {
                cases.push(format!("(a {first} b) {second} (c {third} a)"));
            }
        }
    }
    let mut checked = Vec::new();
    for text in cases {
        for dtype in [DType::F32, DType::F64] {
            let shape = vec![600 + chance.below(3000) as u64];
            let inputs = (0..3).map(|_| given(chance, dtype, &shape, Fill::Wild)).collect();
            checked.push(map(&text, inputs, Class::Exact));
        }
    }
    check(&checked);
}

#[test]
fn shared_and_folded_operations_keep_values_and_dtypes() {
    let chance = &mut Chance::new(103);
    let texts = [
        "(a + b) * (a + b) - (a + b)",
        "a - a",
        "(a - b) * 0 + (a - b) / (a - b)",
        "a + 1 + 1",
        "a + (1 + 1)",
        "a * 2 * 3 - a * 6",
        "a + 2 ** 3 * 4",
        "a * (3 // 2) + (7 % 4)",
        "a + sqrt(4) - sqrt(4)",
        "where(1 < 2, a, b)",
        "where(a < b, 1, 2) + where(a < b, 1, 2)",
        "minimum(1, 2) + a",
        "maximum(a, b) - minimum(a, b)",
        "(a < b) & (a < b) | (b <= a)",
        "(a == a) ^ (b != b)",
        "0 * a + 5",
        "a ** 2 + a ** 2",
        "1 + 2",
        "a",
        "pi",
    ];
    let mut cases = Vec::new();
    for text in texts {
        for dtype in REALS {
            let shape = chance.shape();
            let other = partner(chance, &shape);
            let mut inputs = vec![
                given(chance, dtype, &shape, Fill::Wild),
                given(chance, dtype, &other, Fill::Wild),
            ];
            inputs.iter_mut().for_each(positive_zeros);
            cases.push(map(text, inputs, Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn cubes_and_other_powers_are_within_two_ulp() {
    let chance = &mut Chance::new(104);
    let mut cases = Vec::new();
    for text in
        ["a ** 3", "a ** 3.0", "a ** 4", "a ** -2", "a ** 0.5", "a ** 1.5", "2 ** a", "a ** b"]
    {
        for dtype in [DType::F32, DType::F64] {
            let inputs = (0..2).map(|_| given(chance, dtype, &[3000], Fill::Tame)).collect();
            cases.push(map(text, inputs, Class::Ulp));
        }
    }
    check(&cases);
}

/// Arguments of all magnitudes between powers of ten, of either sign, and the ends of the ranges.
fn spread(chance: &mut Chance, dtype: DType, powers: [i32; 2]) -> crate::kernels_oracle::Given {
    let ends = [0.0, 1.0, 0.5, 1e22, 700.0, 709.7, 745.2, 88.8, 22.0, 5e-324, 1e-310, 1e-40];
    let mut values: Vec<f64> = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE].into();
    values.extend(ends);
    values.extend([1.0 - f64::EPSILON, 1.0 + f64::EPSILON, std::f64::consts::FRAC_PI_2, 1e6]);
    values.extend(values.clone().iter().map(|value| -value));
    while values.len() < 5000 {
        let power = f64::from(powers[0]) + chance.unit() * f64::from(powers[1] - powers[0]);
        let value = 10_f64.powf(power);
        values.push(if chance.one_in(2) { value } else { -value });
    }
    let bytes = values.iter().flat_map(|value| match dtype {
        DType::F32 => (*value as f32).to_ne_bytes().to_vec(),
        _ => value.to_ne_bytes().to_vec(),
    });
    crate::kernels_oracle::Given { dtype, shape: vec![values.len() as u64], bytes: bytes.collect() }
}

#[test]
fn functions_are_within_two_ulp_over_all_of_their_ranges() {
    let chance = &mut Chance::new(107);
    let functions = [
        "cbrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin",
        "arccos", "arctan", "sinh", "cosh", "tanh",
    ];
    let mut cases = Vec::new();
    for dtype in [DType::F32, DType::F64] {
        for powers in [[-2, 1], [-18, 6], [-1, 3], [-37, 37]] {
            for function in functions {
                let input = spread(chance, dtype, powers);
                cases.push(map(&format!("{function}(a)"), vec![input], Class::Ulp));
            }
            let mut inputs = [0, 1].map(|_| spread(chance, dtype, powers));
            cases.push(map("arctan2(a, b)", inputs.to_vec(), Class::Ulp));
            inputs[1] = spread(chance, dtype, [-3, 2]);
            // Every end with every other.
            inputs[1].bytes.rotate_right(dtype.size() * (1 + chance.below(40)));
            cases.push(map("a ** b", inputs.to_vec(), Class::Ulp));
        }
    }
    check(&cases);
}

#[test]
fn integers_divided_by_one_number() {
    let chance = &mut Chance::new(108);
    let mut cases = Vec::new();
    for dtype in REALS {
        for divisor in ["1", "2", "3", "7", "10", "60", "100", "127", "0"] {
            for text in [format!("a // {divisor}"), format!("a % {divisor} + (b < {divisor})")] {
                let mut inputs = vec![given(chance, dtype, &[700], Fill::Wild)];
                inputs.push(given(chance, dtype, &[1], Fill::Wild));
                cases.push(map(&text, inputs, Class::Exact));
            }
        }
        for text in ["a // b", "a % b", "a // -b", "(a + 1) // (b + b)", "a ** 2 - b ** 3"] {
            let inputs = [700, 1].map(|count| given(chance, dtype, &[count], Fill::Wild)).into();
            cases.push(map(text, inputs, Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn axes_of_any_length_and_none() {
    let chance = &mut Chance::new(105);
    let shapes: [[&[u64]; 2]; 9] = [
        [&[], &[]],
        [&[], &[7]],
        [&[0], &[1]],
        [&[1 << 40, 0, 1 << 40], &[1]],
        [&[0, 3], &[3]],
        [&[3, 0], &[]],
        [&[1, 50_001], &[1]],
        [&[50_001, 1], &[3]],
        [&[2, 1, 3, 1, 5], &[4, 1, 6, 1]],
    ];
    let mut cases = Vec::new();
    for shape in shapes {
        for dtype in [DType::U8, DType::F32, DType::F64, DType::C128] {
            let inputs = shape.map(|shape| given(chance, dtype, shape, Fill::Tame)).into();
            cases.push(map("(a + b) - b * 2 + (a - 1)", inputs, Class::Exact));
        }
    }
    // numpy has no such long axes, but an empty result has the same shape.
    cases.retain(|case| case.inputs[0].shape.first() != Some(&(1 << 40)));
    check(&cases);
}

#[test]
fn clips() {
    let chance = &mut Chance::new(106);
    let mut cases = Vec::new();
    let bounds = [
        json!(null),
        json!(0),
        json!(-3),
        json!(5),
        json!(100),
        json!(300),
        json!(-40_000),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.5),
        json!(-1e300),
        json!("nan"),
        json!("inf"),
        json!("-inf"),
        json!(true),
        json!(false),
    ];
    for min in &bounds {
        for max in &bounds {
            for _ in 0..2 {
                let dtype = chance.pick(&DType::BASIC);
                let shape = chance.shape();
                let mut input = given(chance, dtype, &shape, Fill::Wild);
                positive_zeros(&mut input);
                let mut params = json!({});
                for (name, bound) in [("min", min), ("max", max)] {
                    if *bound != Value::Null {
                        params[name] = bound.clone();
                    }
                }
                cases.push(case("clip", params, vec![input], Class::Exact));
            }
        }
    }
    assert!(cases.len() >= CASES);
    check(&cases);
}

#[test]
fn faults_of_clip_are_named_before_the_run() {
    let parse = |params: Value, inputs: usize| {
        let params = crate::kernels::params(&params);
        rdask::kernels::parse("clip", &params, inputs).unwrap_err().to_string()
    };
    assert_eq!(parse(json!({"min": 1}), 2), "kernel 'clip' takes 1 input, not 2 inputs");
    assert_eq!(
        parse(json!({"min": [1, 2]}), 1),
        "parameter 'min' of kernel 'clip': expected a real number"
    );
    assert!(parse(json!({"max": "big"}), 1).contains("expected a number"));
    assert!(parse(json!({"low": 1}), 1).contains("has no parameter 'low'"));
}
