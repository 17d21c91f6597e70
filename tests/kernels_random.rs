//! Random cases of every kernel for the comparison with numpy, from fixed seeds.

use crate::kernels_oracle::{Case, Class, Given, check};
use half::f16;
use rdask_store::DType;
use serde_json::{Value, json};

/// Cases of each kernel and class; the promise is at least 100.
const CASES: usize = 120;

/// A small generator; the core's is not for tests of other packages.
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.word() % count as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// A shape, sometimes empty, 0-d or long.
    pub(crate) fn shape(&mut self) -> Vec<u64> {
        if self.one_in(8) {
            return vec![500 + self.below(3000) as u64, 1 + self.below(3) as u64];
        }
        let axes = self.below(5);
        let lengths = [0, 1, 2, 3, 4, 5, 7, 9, 33];
        (0..axes)
            .map(|_| {
                let length = self.pick(&lengths);
                if length == 0 && !self.one_in(3) { 6 } else { length }
            })
            .collect()
    }
}

/// Which numbers stand in an input.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fill {
    /// Anything, NaN and infinities too.
    Wild,
    /// Finite and of moderate size.
    Tame,
    /// Small integers.
    Small,
}

fn float(chance: &mut Chance, fill: Fill) -> f64 {
    const SPECIAL: [f64; 12] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.5,
        2.0,
        -2.5,
        1e-30,
        -1e30,
    ];
    match fill {
        Fill::Wild if chance.one_in(4) => chance.pick(&SPECIAL),
        Fill::Small => chance.below(9) as f64 - 4.0,
        _ => {
            let sign = if chance.one_in(2) { 1.0 } else { -1.0 };
            sign * chance.unit() * 10.0_f64.powi(chance.below(5) as i32 - 2)
        }
    }
}

fn element(chance: &mut Chance, dtype: DType, fill: Fill, bytes: &mut Vec<u8>) {
    match dtype {
        DType::Bool => bytes.push((chance.word() & 1) as u8),
        DType::F64 => bytes.extend(float(chance, fill).to_ne_bytes()),
        DType::F32 => bytes.extend((float(chance, fill) as f32).to_ne_bytes()),
        DType::F16 => bytes.extend(f16::from_f64(float(chance, fill)).to_ne_bytes()),
        DType::C128 => (0..2).for_each(|_| bytes.extend(float(chance, fill).to_ne_bytes())),
        DType::C64 => {
            (0..2).for_each(|_| bytes.extend((float(chance, fill) as f32).to_ne_bytes()));
        }
        integer => {
            let value = match (fill, chance.below(4)) {
                (Fill::Wild, 0) => chance.word(),
                (Fill::Wild, 1) => chance.pick(&[0, u64::MAX, 1 << 63, 1 << 31, 127, 128, 255]),
                (Fill::Small, _) => chance.below(6) as u64,
                _ => (chance.below(200) as u64).wrapping_sub(100),
            };
            bytes.extend(&value.to_le_bytes()[..integer.size()]);
        }
    }
}

pub(crate) fn given(chance: &mut Chance, dtype: DType, shape: &[u64], fill: Fill) -> Given {
    let mut bytes = Vec::new();
    for _ in 0..shape.iter().product() {
        element(chance, dtype, fill, &mut bytes);
    }
    Given { dtype, shape: shape.to_vec(), bytes }
}

/// A shape that broadcasts with another one.
pub(crate) fn partner(chance: &mut Chance, shape: &[u64]) -> Vec<u64> {
    let dropped = if shape.is_empty() || !chance.one_in(3) { 0 } else { chance.below(shape.len()) };
    shape[dropped..].iter().map(|length| if chance.one_in(4) { 1 } else { *length }).collect()
}

pub(crate) fn case(kernel: &'static str, params: Value, inputs: Vec<Given>, class: Class) -> Case {
    Case { kernel, params, inputs, class, extra: Value::Null }
}

pub(crate) const REALS: [DType; 10] = [
    DType::I8,
    DType::I16,
    DType::I32,
    DType::I64,
    DType::U8,
    DType::U16,
    DType::U32,
    DType::U64,
    DType::F32,
    DType::F64,
];

#[test]
fn operators_on_all_pairs_of_dtypes() {
    let chance = &mut Chance::new(1);
    let operators = [
        "a + b",
        "a - b",
        "a * b",
        "a / b",
        "a // b",
        "a % b",
        "a < b",
        "a <= b",
        "a > b",
        "a >= b",
        "a == b",
        "a != b",
        "a & b",
        "a | b",
        "a ^ b",
        "minimum(a, b)",
        "maximum(a, b)",
    ];
    let mut cases = Vec::new();
    for x in DType::BASIC {
        for y in DType::BASIC {
            for operator in operators {
                let shape = chance.shape();
                let other = partner(chance, &shape);
                let (one, two) = if chance.one_in(2) { (shape, other) } else { (other, shape) };
                let complex = x.max(y) >= DType::C64;
                // numpy fuses products of complex numbers on some machines.
                let fused = complex && matches!(operator, "a * b" | "a / b");
                let (fill, class) =
                    if fused { (Fill::Tame, Class::Ulp) } else { (Fill::Wild, Class::Exact) };
                let inputs = vec![given(chance, x, &one, fill), given(chance, y, &two, fill)];
                cases.push(case("map", json!({"expr": operator}), inputs, class));
            }
        }
    }
    for case in &mut cases {
        let text = case.params["expr"].as_str().unwrap();
        // Minima of zeros of either sign may be either one.
        if text.contains("imum") {
            case.inputs.iter_mut().for_each(positive_zeros);
        }
    }
    check(&cases);
}

pub(crate) fn positive_zeros(input: &mut Given) {
    match input.dtype {
        DType::F32 | DType::C64 => input.bytes.chunks_mut(4).for_each(|bytes| {
            if f32::from_ne_bytes(bytes.try_into().unwrap()) == 0.0 {
                bytes.fill(0);
            }
        }),
        DType::F64 | DType::C128 => input.bytes.chunks_mut(8).for_each(|bytes| {
            if f64::from_ne_bytes(bytes.try_into().unwrap()) == 0.0 {
                bytes.fill(0);
            }
        }),
        _ => {}
    }
}

#[test]
fn literals_are_weak() {
    let chance = &mut Chance::new(2);
    let texts = [
        "a + 1",
        "1 - a",
        "a * 2.5",
        "a / 3",
        "a // 2",
        "a % 3",
        "7 // a",
        "a + 300",
        "a < 300",
        "a >= -1",
        "a == 1.5",
        "300 > a",
        "a & 3",
        "a ^ 1",
        "a + 2 ** 40",
        "a * (1 < 2)",
        "minimum(a, 3)",
        "maximum(a, 0.5)",
        "where(a > 1, a, 2)",
        "where(a != 0, 1.5, a)",
        "where(a > 0, 1, 2)",
        "a + 1 / 4",
        "a - -1",
        "a + sqrt(2)",
        "abs(-3) + a",
        "a ** 2",
        "a + pi",
        "a * nan",
        "a + inf",
        "2 * 3 + a",
        "1 + 2",
        "1.5",
        "1 < 2",
        "a + (1 < 2)",
        "-a",
        "~a",
        "a < 2 ** 70",
        "a == 2 ** 63",
    ];
    let mut cases = Vec::new();
    for text in texts {
        for dtype in DType::BASIC {
            let shape = chance.shape();
            let complex = dtype >= DType::C64;
            let class =
                if complex && (text.contains(['*', '/'])) { Class::Ulp } else { Class::Exact };
            let fill = if complex { Fill::Tame } else { Fill::Wild };
            let input = given(chance, dtype, &shape, fill);
            cases.push(case("map", json!({"expr": text}), vec![input], class));
        }
    }
    check(&cases);
}

#[test]
fn functions_are_within_two_ulp() {
    let chance = &mut Chance::new(3);
    let functions = [
        "sqrt", "cbrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan",
        "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh",
    ];
    let mut cases = Vec::new();
    for function in functions {
        for dtype in DType::BASIC {
            let complex = dtype >= DType::C64;
            let unary = json!({"expr": format!("{function}(a)")});
            for round in 0..9 {
                let shape = if round == 0 { vec![3000] } else { chance.shape() };
                let fill = if complex { Fill::Tame } else { Fill::Wild };
                let input = given(chance, dtype, &shape, fill);
                cases.push(case("map", unary.clone(), vec![input], Class::Ulp));
            }
        }
    }
    for text in ["arctan2(a, b)", "hypot(a, b)", "a ** b"] {
        for x in REALS {
            for y in REALS {
                let integers = x < DType::F32 && y < DType::F32;
                let class = if text == "a ** b" && integers { Class::Exact } else { Class::Ulp };
                let shape = chance.shape();
                let fill = if integers { Fill::Small } else { Fill::Tame };
                let inputs = vec![given(chance, x, &shape, fill), given(chance, y, &shape, fill)];
                cases.push(case("map", json!({"expr": text}), inputs, class));
            }
        }
    }
    check(&cases);
}

#[test]
fn functions_that_are_exact() {
    let chance = &mut Chance::new(4);
    let texts = [
        "abs(a)",
        "sign(a)",
        "floor(a)",
        "ceil(a)",
        "round(a)",
        "trunc(a)",
        "isnan(a)",
        "isfinite(a)",
        "isinf(a)",
        "real(a)",
        "imag(a)",
        "conj(a)",
        "-a",
        "~a",
        "sqrt(a)",
    ];
    let mut cases = Vec::new();
    for text in texts {
        for dtype in DType::BASIC {
            let inexact = dtype >= DType::C64 && matches!(text, "abs(a)" | "sign(a)" | "sqrt(a)");
            let class = if inexact { Class::Ulp } else { Class::Exact };
            let fill = if inexact { Fill::Tame } else { Fill::Wild };
            for _ in 0..8 {
                let shape = chance.shape();
                let input = given(chance, dtype, &shape, fill);
                cases.push(case("map", json!({"expr": text}), vec![input], class));
            }
        }
    }
    check(&cases);
}

/// A random expression of exact operations over `a`, `b` and `c`.
fn expression(chance: &mut Chance, depth: usize) -> String {
    if depth == 0 {
        let leaves = ["a", "b", "c", "a", "b", "c", "2", "0.5", "3"];
        return chance.pick(&leaves).to_owned();
    }
    let part = |chance: &mut Chance| expression(chance, depth - 1);
    match chance.below(10) {
        0 => format!("where({} < {}, {}, b)", part(chance), part(chance), part(chance)),
        1 => format!("abs({})", part(chance)),
        2 => format!("-{}", part(chance)),
        3 => format!("sqrt(abs(b + {}))", part(chance)),
        4 => format!("floor({})", part(chance)),
        _ => {
            let operator = chance.pick(&["+", "-", "*", "/", "//", "%", "+", "*"]);
            format!("({} {operator} {})", part(chance), part(chance))
        }
    }
}

#[test]
fn random_expressions_have_the_same_bits() {
    let chance = &mut Chance::new(5);
    let mut cases = Vec::new();
    while cases.len() < 6 * CASES {
        let depth = 1 + chance.below(4);
        let text = format!("{} + a", expression(chance, depth));
        let shape = chance.shape();
        let mut inputs = Vec::new();
        for index in 0..3 {
            let dtypes = if index == 1 { &REALS[8..] } else { &REALS[..] };
            let dtype = chance.pick(dtypes);
            let other = if index == 0 { shape.clone() } else { partner(chance, &shape) };
            inputs.push(given(chance, dtype, &other, Fill::Wild));
        }
        // Literals alone are Python's business, where a division by zero is an error.
        if rdask::kernels::parse("map", &crate::kernels::params(&json!({"expr": text})), 3).is_ok()
        {
            cases.push(case("map", json!({"expr": text}), inputs, Class::Exact));
        }
    }
    check(&cases);
}

pub(crate) fn axes(chance: &mut Chance, params: &mut Value, count: usize) {
    match chance.below(4) {
        0 => {}
        1 => {
            let range = 2 * count.max(1) + usize::from(chance.one_in(10));
            params["axis"] = json!(chance.below(range) as i64 - count.max(1) as i64);
        }
        _ => {
            let chosen: Vec<usize> = (0..count).filter(|_| chance.one_in(2)).collect();
            let signed = |axis: usize| {
                if axis.is_multiple_of(2) { axis as i64 } else { axis as i64 - count as i64 }
            };
            params["axis"] = json!(chosen.into_iter().map(signed).collect::<Vec<_>>());
        }
    }
    if chance.one_in(3) {
        params["keepdims"] = json!(true);
    }
}

#[test]
fn casts() {
    let chance = &mut Chance::new(7);
    let mut cases = Vec::new();
    for from in DType::BASIC {
        for to in DType::BASIC {
            let shape = chance.shape();
            // Floats that the target does not hold are undefined in numpy.
            let fill = if from >= DType::F32 && to < DType::F32 { Fill::Small } else { Fill::Wild };
            let unsigned = (DType::U8..=DType::U64).contains(&to);
            let mut input = given(chance, from, &shape, fill);
            if from >= DType::F32 && unsigned {
                let size = if matches!(from, DType::F32 | DType::C64) { 4 } else { 8 };
                input.bytes.chunks_mut(size).for_each(|bytes| bytes[size - 1] &= 0x7f);
            }
            cases.push(case("astype", json!({"dtype": to.name()}), vec![input], Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn products() {
    let chance = &mut Chance::new(8);
    let mut cases = Vec::new();
    for round in 0..4 * CASES {
        let lengths = [0, 1, 2, 3, 5, 8, 17, 40];
        let (n, k, m) = (chance.pick(&lengths), chance.pick(&lengths), chance.pick(&lengths));
        let wrong = if chance.one_in(15) { k + 1 } else { k };
        let (mut left, mut right) = match chance.below(5) {
            0 => (vec![k], vec![wrong]),
            1 => (vec![k], vec![wrong, m]),
            2 => (vec![n, k], vec![wrong]),
            _ => (vec![n, k], vec![wrong, m]),
        };
        for shape in [&mut left, &mut right] {
            if shape.len() == 2 && chance.one_in(3) {
                shape.insert(0, chance.pick(&[1, 3]));
            }
        }
        if chance.one_in(40) {
            left.clear();
        }
        let x = DType::BASIC[round % 13];
        let y = if chance.one_in(2) { x } else { chance.pick(&DType::BASIC) };
        let fill = |dtype: DType| if dtype < DType::F32 { Fill::Wild } else { Fill::Tame };
        let inputs = vec![given(chance, x, &left, fill(x)), given(chance, y, &right, fill(y))];
        cases.push(case("matmul", json!({}), inputs, Class::Sum));
    }
    check(&cases);
}

#[test]
fn reorderings() {
    let chance = &mut Chance::new(9);
    let mut cases = Vec::new();
    for round in 0..3 * CASES {
        let dtype = DType::BASIC[round % 13];
        let shape = chance.shape();
        let mut order: Vec<i64> = (0..shape.len() as i64).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, chance.below(last + 1));
        }
        let params = if chance.one_in(4) { json!({}) } else { json!({"axes": order}) };
        let input = given(chance, dtype, &shape, Fill::Wild);
        cases.push(case("transpose", params, vec![input.clone()], Class::Exact));
        let ranges: Vec<Value> = shape
            .iter()
            .take(chance.below(shape.len() + 1))
            .map(|length| {
                let length = *length as i64;
                let mut bound = || match chance.below(4) {
                    0 => Value::Null,
                    _ => json!(chance.below(3 * length as usize + 4) as i64 - length - 2),
                };
                let (start, stop) = (bound(), bound());
                match chance.below(6) {
                    0 => Value::Null,
                    1 => json!(chance.below(2 * length as usize + 1) as i64 - length),
                    2 => json!([start, stop]),
                    _ => json!([start, stop, chance.pick(&[1, 2, 3, -1, -2, 100])]),
                }
            })
            .collect();
        cases.push(case("slice", json!({"ranges": ranges}), vec![input.clone()], Class::Exact));
        cases.push(case("identity", json!({}), vec![input.clone()], Class::Exact));
        let axis = chance.below(shape.len() + 1);
        let mut inputs = vec![input];
        for _ in 0..chance.below(3) {
            let mut other = shape.clone();
            if let Some(length) = other.get_mut(axis) {
                *length = chance.below(4) as u64;
            }
            if chance.one_in(12) {
                other.push(2);
            }
            let other_type = if chance.one_in(2) { dtype } else { chance.pick(&DType::BASIC) };
            inputs.push(given(chance, other_type, &other, Fill::Wild));
        }
        let params = json!({"axis": if chance.one_in(3) { axis as i64 - shape.len() as i64 } else { axis as i64 }});
        cases.push(case("concatenate", params, inputs, Class::Exact));
    }
    // Error kinds must agree, and numpy raises its AxisError as a ValueError and an IndexError.
    check(&cases);
}

#[test]
fn files() {
    let chance = &mut Chance::new(10);
    let mut cases = Vec::new();
    for round in 0..4 * CASES {
        let dtype = DType::BASIC[round % 13];
        let shape = if round % 7 == 0 { vec![40, 3000] } else { chance.shape() };
        let mut params = json!({"path": format!("in-{round}.npy")});
        if !chance.one_in(3) {
            let region: Vec<Value> = shape
                .iter()
                .map(|length| {
                    if chance.one_in(3) {
                        return Value::Null;
                    }
                    let start = chance.below(*length as usize + 1);
                    json!([start, start + chance.below(*length as usize - start + 1)])
                })
                .collect();
            params["region"] = json!(region);
        }
        let input = given(chance, dtype, &shape, Fill::Wild);
        let mut load = case("load_npy", params, vec![input.clone()], Class::Exact);
        load.extra = json!({
            "big_endian": chance.one_in(3),
            "order": if chance.one_in(2) { "F" } else { "C" },
            "version": [1 + chance.below(3), 0],
        });
        cases.push(load);
        if round < CASES {
            let params = json!({"path": format!("out-{round}.npy")});
            cases.push(case("store_npy", params, vec![input], Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn creations() {
    let chance = &mut Chance::new(11);
    let mut cases = Vec::new();
    for round in 0..CASES as u64 {
        let dtype = DType::BASIC[round as usize % 13];
        let shape = chance.shape();
        let value = match dtype {
            DType::Bool => json!(chance.one_in(2)),
            DType::F32 | DType::F64 => chance.pick(&[1.5, -0.0, 1e300]).into(),
            DType::C64 | DType::C128 => json!([chance.unit(), "-inf"]),
            DType::U64 => json!(u64::MAX - chance.word() % 100),
            _ => json!(chance.below(100)),
        };
        let params = json!({"shape": shape, "dtype": dtype.name(), "value": value});
        cases.push(case("full", params, vec![], Class::Exact));
        let params = json!({"shape": shape, "dtype": "f64", "seed": round * round});
        cases.push(case("random", params, vec![], Class::Exact));
        let params = json!({"shape": shape, "dtype": "f64", "seed": round, "low": -3, "high": 5.5});
        cases.push(case("random", params, vec![], Class::Exact));
        let step = if dtype >= DType::F32 { json!(0.25) } else { json!(1 + chance.below(3)) };
        let params = json!({"start": chance.below(5), "step": step, "count": chance.below(40),
            "dtype": if dtype == DType::Bool { "u8" } else { dtype.name() }});
        if dtype < DType::C64 {
            cases.push(case("arange", params, vec![], Class::Exact));
        }
        let text: String =
            (0..chance.below(9) * 32).map(|_| chance.pick(&['A', 'z', '7', '+'])).collect();
        if dtype != DType::Bool {
            let params = json!({"base64": text, "dtype": if dtype.size() > 8 { "u64" } else { dtype.name() }});
            cases.push(case("data", params, vec![], Class::Exact));
        }
    }
    check(&cases);
}
