//! One program, every level of vector instructions and every number of threads: the same bits.

use super::program::Program;
use super::{parser, typing};
use crate::kernels::array::{View, broadcast};
use crate::kernels::simd::Level;
use rdask_store::DType;

/// Bytes of pseudo-random elements; for floats all classes of values are among them.
fn elements(dtype: DType, count: usize, seed: u64) -> Vec<u64> {
    let mut state = seed;
    let mut word = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    let mut words: Vec<u64> = (0..(count * dtype.size()).div_ceil(8)).map(|_| word()).collect();
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    match dtype {
        DType::Bool => bytes.iter_mut().for_each(|byte| *byte &= 1),
        DType::F64 | DType::C128 => {
            let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 2.5, -1.5];
            let values: &mut [f64] = bytemuck::cast_slice_mut(bytes);
            for (index, value) in values.iter_mut().enumerate() {
                *value = match index % 13 {
                    0 => special[index / 13 % special.len()],
                    1..5 => (value.to_bits() % 1000) as f64 / 8.0 - 60.0,
                    _ if value.is_nan() => 1.0,
                    _ => *value,
                };
            }
        }
        DType::F32 | DType::C64 => {
            let values: &mut [f32] = bytemuck::cast_slice_mut(bytes);
            for (index, value) in values.iter_mut().enumerate() {
                *value = match index % 13 {
                    0 => [0.0, -0.0, f32::INFINITY, f32::NAN][index / 13 % 4],
                    1..5 => (value.to_bits() % 1000) as f32 / 8.0 - 60.0,
                    _ if value.is_nan() => 1.0,
                    _ => *value,
                };
            }
        }
        _ => {}
    }
    words
}

/// Makes all NaN the same: which of two operands' NaN an instruction hands on is the compiler's
/// choice, so sign and payload of a NaN are not promised.
fn one_nan(dtype: DType, out: &mut [u8]) {
    match dtype {
        DType::F32 | DType::C64 => {
            let numbers: &mut [f32] = bytemuck::cast_slice_mut(out);
            numbers.iter_mut().filter(|number| number.is_nan()).for_each(|nan| *nan = f32::NAN);
        }
        DType::F64 | DType::C128 => {
            let numbers: &mut [f64] = bytemuck::cast_slice_mut(out);
            numbers.iter_mut().filter(|number| number.is_nan()).for_each(|nan| *nan = f64::NAN);
        }
        _ => {}
    }
}

/// Runs an expression over arrays of these shapes in every way of `ways` and compares the bytes.
fn check(text: &str, dtype: DType, shapes: [&[usize]; 3], ways: &[(Level, u32)]) {
    let data: Vec<Vec<u64>> = shapes
        .iter()
        .zip(1..)
        .map(|(shape, seed)| elements(dtype, shape.iter().product(), seed))
        .collect();
    let inputs: Vec<View<'_>> = shapes
        .iter()
        .zip(&data)
        .map(|(shape, words)| {
            let nbytes = shape.iter().product::<usize>() * dtype.size();
            View { dtype, shape: shape.to_vec(), bytes: &bytemuck::cast_slice(words)[..nbytes] }
        })
        .collect();
    let expression = parser::parse(text, 3).unwrap();
    let Ok(typed) = typing::typed(&expression, &[dtype; 3]) else { return };
    let program = Program::new(typed);
    let shape = broadcast(&shapes).unwrap();
    let count: usize = shape.iter().product();
    let mut results = ways.iter().map(|way| {
        let mut words = vec![0_u64; (count * program.dtype.size()).div_ceil(8)];
        let out = &mut bytemuck::cast_slice_mut(&mut words)[..count * program.dtype.size()];
        let outcome = program.run(&inputs, &shape, out, *way).map_err(|error| error.message);
        one_nan(program.dtype, out);
        (words, outcome)
    });
    let first = results.next().unwrap();
    for (result, way) in results.zip(&ways[1..]) {
        assert!(result == first, "{text} {dtype:?} {way:?}");
    }
}

const TEXTS: [&str; 20] = [
    "(a + b) * (b - c) + (a * c - 1) * (b + a * 2)",
    "a * 2 + b - c / 3",
    "sqrt(a * a + b * b) * 0.5 + abs(a - b) / (c + 2)",
    "where(a < b, a, c) + where(a == c, b, 1)",
    "minimum(a, maximum(b, c))",
    "floor(a) + ceil(b) - round(c) * trunc(a)",
    "a // b + a % c",
    "(a & b) | (c ^ ~a)",
    "sign(a) + abs(b) * -c",
    "isnan(a) | isfinite(b) ^ isinf(c)",
    "a / b - b / c",
    "a ** 2 + a ** 3",
    "exp(a) - log(b)",
    "sin(a) * cos(b) + tanh(c)",
    "(a < b) + (a >= c) + (b != c)",
    "arctan2(a, b) + hypot(b, c)",
    "real(a) * imag(b) + abs(conj(c))",
    "cbrt(a) + expm1(b) - log1p(c)",
    "a + 1",
    "a ** b",
];

/// Elements of three inputs, not a whole number of tiles.
fn three_inputs() -> [Vec<f64>; 3] {
    [1.7, -0.3, 12.5].map(|step| (0..333).map(|at| f64::from(at % 47) * step - 20.0).collect())
}

/// A random expression of arithmetic with its value, often of parts that were there before.
fn arithmetic(
    word: &mut impl FnMut(usize) -> usize,
    known: &mut Vec<(String, Vec<f64>)>,
    depth: usize,
) -> (String, Vec<f64>) {
    if depth == 0 || word(9) == 0 {
        return known[word(3)].clone();
    }
    if word(5) == 0 {
        return known[word(known.len())].clone();
    }
    let (text, x) = arithmetic(word, known, depth - 1);
    let one = |f: fn(f64) -> f64| x.iter().copied().map(f).collect::<Vec<f64>>();
    let made = match word(9) {
        0 => (format!("(-{text})"), one(|x| -x)),
        1 => (format!("sqrt(abs({text}))"), one(|x| x.abs().sqrt())),
        2 => (format!("({text} - 3)"), one(|x| x - 3.0)),
        3 => (format!("(0.5 / {text})"), one(|x| 0.5 / x)),
        other => {
            let (right, y) = arithmetic(word, known, depth - 1);
            let (sign, f): (_, fn(f64, f64) -> f64) = match other {
                4 => ("+", |x, y| x + y),
                5 | 6 => ("-", |x, y| x - y),
                7 => ("*", |x, y| x * y),
                _ => ("/", |x, y| x / y),
            };
            let value = x.iter().zip(y).map(|(x, y)| f(*x, y)).collect();
            (format!("({text} {sign} {right})"), value)
        }
    };
    known.push(made.clone());
    made
}

#[test]
fn joined_arithmetic_is_that_of_the_expression() {
    let inputs = three_inputs();
    let views: Vec<View<'_>> = inputs
        .iter()
        .map(|input| View {
            dtype: DType::F64,
            shape: vec![333],
            bytes: bytemuck::cast_slice(input),
        })
        .collect();
    let mut state = 7_u64;
    let mut word = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for round in 0..400 {
        let mut known: Vec<(String, Vec<f64>)> =
            ["a", "b", "c"].map(String::from).into_iter().zip(inputs.clone()).collect();
        let (text, expected) = arithmetic(&mut word, &mut known, 1 + round % 7);
        let expression = parser::parse(&text, 3).unwrap();
        let program = Program::new(typing::typed(&expression, &[DType::F64; 3]).unwrap());
        for level in Level::available() {
            let mut out = vec![0.0; 333];
            program.run(&views, &[333], bytemuck::cast_slice_mut(&mut out), (level, 1)).unwrap();
            let same =
                |(x, y): (&f64, &f64)| x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan();
            assert!(out.iter().zip(&expected).all(same), "{text} {level:?}");
        }
    }
}

#[test]
fn vector_levels_change_no_bit() {
    let ways: Vec<(Level, u32)> = Level::available().map(|level| (level, 1)).collect();
    for text in TEXTS {
        for dtype in DType::BASIC {
            check(text, dtype, [&[7, 301], &[301], &[7, 1]], &ways);
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let ways: Vec<(Level, u32)> = (1..=8).map(|threads| (Level::best(), threads)).collect();
    for (text, dtype) in [
        (TEXTS[0], DType::F64),
        (TEXTS[3], DType::F32),
        (TEXTS[6], DType::I32),
        (TEXTS[9], DType::C128),
        ("a ** (b - c)", DType::I16),
    ] {
        let rows = (1 << 20) / dtype.size() / 512;
        check(text, dtype, [&[rows, 512], &[512], &[rows, 1]], &ways);
        check(text, dtype, [&[512, rows], &[1], &[512, rows]], &ways);
    }
}
