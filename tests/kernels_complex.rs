//! Functions of complex numbers against numpy.
//!
//! Each with each of 14 special and extreme numbers as real and as imaginary part, signs of zeros
//! included; random numbers within 2 ulp; and large numbers whose values need no numpy.

use crate::kernels::{array, context, params};
use crate::kernels_oracle::{Case, Class, Given, check};
use crate::kernels_random::{Chance, Fill, case, given};
use rdask::kernels::parse;
use rdask_store::{DType, Store};
use serde_json::json;
use std::path::Path;

const FUNCTIONS: [&str; 16] = [
    "sqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin",
    "arccos", "arctan", "sinh", "cosh", "tanh",
];

/// The numbers of both parts; the last are huge, tiny, and too large for an exponential.
fn specials(dtype: DType) -> [f64; 14] {
    let [huge, tiny, large] =
        if dtype == DType::C64 { [1e30, 1e-40, 100.0] } else { [1e300, 1e-310, 1000.0] };
    let (infinity, nan) = (f64::INFINITY, f64::NAN);
    [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, infinity, -infinity, nan, huge, -huge, tiny, large, -large]
}

/// Every pair of them.
fn grid(dtype: DType) -> Vec<[f64; 2]> {
    let specials = specials(dtype);
    specials.iter().flat_map(|re| specials.map(|im| [*re, im])).collect()
}

fn numbers(dtype: DType, numbers: &[[f64; 2]]) -> Given {
    let bytes = numbers.iter().flatten().flat_map(|part| match dtype {
        DType::C64 => (*part as f32).to_ne_bytes().to_vec(),
        _ => part.to_ne_bytes().to_vec(),
    });
    Given { dtype, shape: vec![numbers.len() as u64], bytes: bytes.collect() }
}

fn map(text: &str, inputs: Vec<Given>, class: Class) -> Case {
    case("map", json!({"expr": text}), inputs, class)
}

#[test]
fn special_values_are_those_of_numpy() {
    let mut cases = Vec::new();
    for dtype in [DType::C64, DType::C128] {
        for function in FUNCTIONS {
            let input = numbers(dtype, &grid(dtype));
            cases.push(map(&format!("{function}(a)"), vec![input], Class::Special));
        }
    }
    check(&cases);
}

/// Of finite numbers other than 0 only small integer powers have a value that does not hang on
/// the last bits of a logarithm.
#[test]
fn powers_of_special_numbers_are_those_of_numpy() {
    let mut cases = Vec::new();
    for dtype in [DType::C64, DType::C128] {
        let mut grid = grid(dtype);
        grid.extend([2.0, 3.0, 4.0, 7.0, -2.0, -3.0, 50.0, -50.0].map(|power| [power, 0.0]));
        let finite = |number: &[f64; 2]| number.iter().all(|part| part.is_finite());
        let integer = |number: &[f64; 2]| {
            number[1] == 0.0 && number[0].fract() == 0.0 && number[0].abs() < 100.0
        };
        let pairs = grid.iter().flat_map(|x| grid.iter().map(move |y| (*x, *y)));
        let (x, y): (Vec<_>, Vec<_>) =
            pairs.filter(|(x, y)| !finite(x) || *x == [0.0; 2] || !finite(y) || integer(y)).unzip();
        assert!(x.len() > 20_000);
        let inputs = vec![numbers(dtype, &x), numbers(dtype, &y)];
        cases.push(map("a ** b", inputs, Class::Special));
    }
    check(&cases);
}

#[test]
fn complex_functions_are_within_two_ulp_of_the_length() {
    let chance = &mut Chance::new(301);
    let mut cases = Vec::new();
    for dtype in [DType::C64, DType::C128] {
        for function in FUNCTIONS {
            let input = given(chance, dtype, &[4000], Fill::Tame);
            cases.push(map(&format!("{function}(a)"), vec![input], Class::Ulp));
        }
        // The angle and the logarithm are multiplied: with them their errors.
        let base = given(chance, dtype, &[4000], Fill::Tame);
        for exponent in ["0.5", "1.5", "-0.25"] {
            cases.push(map(&format!("a ** {exponent}"), vec![base.clone()], Class::Ulp));
        }
    }
    check(&cases);
}

/// Near the circle of radius 1 a logarithm that adds two rounded squares has no bit right.
#[test]
fn logarithms_near_the_unit_circle_keep_their_bits() {
    let chance = &mut Chance::new(302);
    let mut points = Vec::new();
    for place in 0..4000 {
        let angle = chance.unit() * std::f64::consts::TAU;
        let radius = 1.0 + (chance.unit() - 0.5) * 10.0_f64.powi(-(place % 9));
        points.push([radius * angle.cos(), radius * angle.sin()]);
    }
    let cases: Vec<Case> = ["log", "log2", "log10"]
        .map(|function| {
            let input = numbers(DType::C128, &points);
            map(&format!("real({function}(a))"), vec![input], Class::Ulp)
        })
        .into();
    check(&cases);
}

/// What would overflow on the way but does not in the result; the values are those of the first
/// term of each series for large numbers.
#[test]
fn large_arguments_have_their_values() {
    for (text, number, expected) in [
        ("arctan(a)", [1.0, 1e300], [std::f64::consts::FRAC_PI_2, 1e-300]),
        ("sin(a)", [0.0, 1000.0], [0.0, f64::INFINITY]),
        ("exp(a)", [720.0, std::f64::consts::FRAC_PI_2], [3.013e296, f64::INFINITY]),
        ("log(a)", [1e308, 1e308], [709.542_782_232_446, std::f64::consts::FRAC_PI_4]),
        ("arcsin(a)", [1e200, 1e200], [std::f64::consts::FRAC_PI_4, 461.556_739_369_649]),
    ] {
        let store = Store::new(0);
        let input = numbers(DType::C128, &[number]);
        let input = array(&store, DType::C128, &input.shape, &input.bytes);
        let kernel = parse("map", &params(&json!({"expr": text})), 1).unwrap();
        let output = kernel.run(&context(&store, Path::new("/")), &[input]).unwrap();
        let value =
            output.bytes().chunks(8).map(|part| f64::from_ne_bytes(part.try_into().unwrap()));
        let value: Vec<f64> = value.collect();
        for (part, expected) in value.iter().zip(expected) {
            let near = (part - expected).abs() <= 1e-3 * expected.abs();
            assert!(near || *part == expected, "{text} of {number:?}: {value:?}");
        }
    }
}
