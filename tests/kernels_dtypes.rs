//! f16, dates and durations against numpy: casts between all dtypes, expressions, extremes, files.

use crate::kernels::{array, context, params};
use crate::kernels_oracle::{Case, Class, Given, check};
use crate::kernels_random::{Chance, Fill, axes, case, given, partner};
use rdask::kernels::parse;
use rdask_store::{DType, Header, Store, TimeUnit};
use serde_json::{Value, json};

/// Those that are stored and moved but are not basic.
fn others() -> Vec<DType> {
    DType::all().skip(DType::BASIC.len()).collect()
}

/// Times near today in every unit, with some NaT; whatever the dtype, nothing that a cast to it
/// could not hold.
fn tame(chance: &mut Chance, dtype: DType, shape: &[u64]) -> Given {
    let (DType::Datetime(unit) | DType::Timedelta(unit)) = dtype else {
        return given(chance, dtype, shape, Fill::Small);
    };
    let count: u64 = shape.iter().product();
    let most = if unit <= TimeUnit::Day { 60 } else { 1_000_000_000_000_000 };
    let bytes = (0..count).flat_map(|_| {
        let value = chance.word() % (2 * most) as u64;
        let value = if chance.one_in(9) { i64::MIN } else { value as i64 - most };
        value.to_ne_bytes()
    });
    Given { dtype, shape: shape.to_vec(), bytes: bytes.collect() }
}

#[test]
fn casts_between_all_dtypes() {
    let chance = &mut Chance::new(21);
    let mut cases = Vec::new();
    for from in DType::all() {
        for to in DType::all() {
            if from < DType::F16 && to < DType::F16 {
                continue;
            }
            for _ in 0..1 + 2 * usize::from(from.is_time() && to.is_time()) {
                let shape = chance.shape();
                let mut input = tame(chance, from, &shape);
                // Negative floats in unsigned integers are undefined in numpy.
                if from == DType::F16 && (DType::U8..=DType::U64).contains(&to) {
                    input.bytes.chunks_mut(2).for_each(|bytes| bytes[1] &= 0x7f);
                }
                cases.push(case("astype", json!({"dtype": to.name()}), vec![input], Class::Exact));
            }
        }
    }
    for from in [DType::F64, DType::F32, DType::I32, DType::U64, DType::C128] {
        let input = given(chance, from, &[3000], Fill::Wild);
        cases.push(case("astype", json!({"dtype": "f16"}), vec![input.clone()], Class::Exact));
        cases.push(case("astype", json!({"dtype": "M8[ms]"}), vec![input], Class::Exact));
    }
    for to in [DType::F64, DType::F32, DType::C64, DType::C128, DType::Bool] {
        // Every f16.
        let bytes = (0..=u16::MAX).flat_map(u16::to_ne_bytes).collect();
        let input = Given { dtype: DType::F16, shape: vec![1 << 16], bytes };
        cases.push(case("astype", json!({"dtype": to.name()}), vec![input], Class::Exact));
    }
    check(&cases);
}

#[test]
fn rounding_to_f16_happens_once() {
    // Halfway between two f16 but for the last bit of an f64: by way of f32 it would be a tie.
    let mut values = Vec::new();
    for exponent in -26..17 {
        for fraction in [1.0, 1.0 + 2.0_f64.powi(-11), 1.0 + 3.0 * 2.0_f64.powi(-11)] {
            let value = fraction * 2.0_f64.powi(exponent);
            values.extend([value, value.next_up(), value.next_down(), -value.next_up()]);
        }
    }
    let bytes = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let input = Given { dtype: DType::F64, shape: vec![values.len() as u64], bytes };
    check(&[case("astype", json!({"dtype": "f16"}), vec![input], Class::Exact)]);
}

#[test]
fn expressions_of_f16() {
    let chance = &mut Chance::new(22);
    let texts = [
        "a + b",
        "a - b",
        "a * b",
        "a / b",
        "a < b",
        "a == b",
        "minimum(a, b)",
        "maximum(b, a)",
        "a * 2.1 + b",
        "-a",
        "abs(a)",
        "floor(a)",
        "isnan(a)",
        "a ** 2",
        "sqrt(abs(a))",
        "a + 1",
        "where(a < b, a, b)",
        "a // b",
        "a % b",
        "sign(a)",
        "round(a)",
        "a < 2.1",
        "1 / a",
    ];
    let mut cases = Vec::new();
    for text in texts {
        for _ in 0..9 {
            let shape = chance.shape();
            let other = chance.pick(&[DType::F16, DType::F16, DType::I8, DType::I32, DType::F32]);
            let partner = partner(chance, &shape);
            let a = given(chance, DType::F16, &shape, Fill::Wild);
            let mut inputs = vec![a];
            if text.contains('b') && text != "abs(a)" && text != "sqrt(abs(a))" {
                inputs.push(given(chance, other, &partner, Fill::Wild));
            }
            cases.push(case("map", json!({"expr": text}), inputs, Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn expressions_of_times() {
    let chance = &mut Chance::new(23);
    let texts = [
        "a < b",
        "a <= b",
        "a > b",
        "a >= b",
        "a == b",
        "a != b",
        "minimum(a, b)",
        "maximum(a, b)",
        "where(isnan(a), b, a)",
    ];
    let mut cases = Vec::new();
    let times: Vec<DType> = others().into_iter().filter(|dtype| dtype.is_time()).collect();
    for text in texts {
        for _ in 0..60 {
            let x = chance.pick(&times);
            let near = chance.pick(&times);
            // numpy answers == of a date and a duration with false; here it is refused.
            let kind = |dtype: DType| matches!(dtype, DType::Datetime(_));
            let y = if kind(near) == kind(x) { near } else { x };
            let shape = chance.shape();
            let partner = partner(chance, &shape);
            let inputs = vec![tame(chance, x, &shape), tame(chance, y, &partner)];
            // numpy answers == of units that have no common one with false.
            if matches!(text, "a == b" | "a != b") && x != y {
                continue;
            }
            cases.push(case("map", json!({"expr": text}), inputs, Class::Exact));
        }
    }
    for text in ["isnan(a)", "isfinite(a)", "isinf(a)", "a == a", "a != a"] {
        for dtype in &times {
            let input = tame(chance, *dtype, &[40]);
            cases.push(case("map", json!({"expr": text}), vec![input], Class::Exact));
        }
    }
    check(&cases);
}

#[test]
fn extremes_and_sums() {
    let chance = &mut Chance::new(24);
    let mut cases: Vec<Case> = Vec::new();
    for round in 0..40 {
        for dtype in others() {
            let kernel = if round % 2 == 0 { "min" } else { "max" };
            let shape = chance.shape();
            let mut params = json!({});
            axes(chance, &mut params, shape.len());
            let input = if dtype == DType::F16 {
                given(chance, dtype, &shape, Fill::Wild)
            } else {
                tame(chance, dtype, &shape)
            };
            cases.push(case(kernel, params, vec![input], Class::Exact));
        }
        for kernel in ["sum", "mean", "var", "std"] {
            let shape = chance.shape();
            let mut params = json!({});
            axes(chance, &mut params, shape.len());
            let input = given(chance, DType::F16, &shape, Fill::Small);
            cases.push(case(kernel, params, vec![input], Class::Sum));
        }
    }
    check(&cases);
}

#[test]
fn creations_moves_and_files() {
    let chance = &mut Chance::new(25);
    let mut cases = Vec::new();
    for round in 0..12 {
        for dtype in others() {
            let name = dtype.name();
            let shape = chance.shape();
            let input = tame(chance, dtype, &shape);
            let value = match (dtype, chance.below(3)) {
                (DType::F16, 0) => json!("-inf"),
                (DType::F16, pick) => json!([65519.0, 2.1][pick - 1]),
                (_, 0) => json!("NaT"),
                (_, pick) => json!([-5, 1_i64 << 50][pick - 1]),
            };
            let full = json!({"shape": shape, "dtype": name, "value": value});
            cases.push(case("full", full, vec![], Class::Exact));
            let arange = json!({"start": -3, "step": 2, "count": round, "dtype": name});
            cases.push(case("arange", arange, vec![], Class::Exact));
            let text = "AAECAwQFBgcICQoLDA0ODw==";
            let data = json!({"base64": text, "dtype": name, "shape": [16 / dtype.size(), 1]});
            cases.push(case("data", data, vec![], Class::Exact));
            cases.push(case("transpose", json!({}), vec![input.clone()], Class::Exact));
            let path = format!("{round}-{name}.npy");
            let store = json!({"path": format!("out-{path}")});
            cases.push(case("store_npy", store, vec![input.clone()], Class::Exact));
            let mut load = case("load_npy", json!({"path": path}), vec![input], Class::Exact);
            load.extra = json!({
                "big_endian": round % 2 == 0,
                "order": if round % 3 == 0 { "F" } else { "C" },
                "version": [1 + round % 3, 0],
            });
            cases.push(load);
            // A date beside a duration is refused for one of two reasons, not always numpy's.
            let near = chance.pick(&others());
            let kind =
                |dtype: DType| (dtype == DType::F16, dtype < DType::Timedelta(TimeUnit::Year));
            let pair = [if kind(near) == kind(dtype) { near } else { dtype }, dtype];
            let inputs = pair.map(|dtype| tame(chance, dtype, &[2, 3])).to_vec();
            cases.push(case("concatenate", json!({}), inputs, Class::Exact));
        }
    }
    check(&cases);
}

/// The error of a kernel on zeros of these dtypes, three of each.
fn fault(kernel: &str, parameters: &Value, dtypes: &[DType]) -> (String, String) {
    let store = Store::new(0);
    let inputs: Vec<_> = dtypes
        .iter()
        .map(|dtype| array(&store, *dtype, &[3], &vec![0; 3 * dtype.size()]))
        .collect();
    let kernel = parse(kernel, &params(parameters), inputs.len()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = kernel.run(&context(&store, folder.path()), &inputs).unwrap_err();
    (error.kind, error.message)
}

#[test]
fn arithmetic_on_times_is_refused_by_name() {
    let date = DType::Datetime(TimeUnit::Second);
    let span = DType::Timedelta(TimeUnit::Month);
    let map = |text: &str, dtypes: &[DType]| fault("map", &json!({"expr": text}), dtypes);
    let (kind, message) = map("a - b", &[date, date]);
    assert_eq!(kind, "TypeError");
    assert!(message.contains("datetime64[s], datetime64[s]"), "{message}");
    for (text, dtypes) in [
        ("a + 1", vec![date]),
        ("a + b", vec![date, span]),
        ("a < b", vec![date, span]),
        ("-a", vec![span]),
        ("sqrt(a)", vec![span]),
        ("a < 1.5", vec![span]),
        ("where(b, a, 1)", vec![date, DType::Bool]),
        ("a == b", vec![span, DType::Timedelta(TimeUnit::Day)]),
    ] {
        assert_eq!(map(text, &dtypes).0, "TypeError", "{text}");
    }
    for kernel in ["sum", "mean", "var", "std"] {
        let (kind, message) = fault(kernel, &json!({}), &[date]);
        assert_eq!(kind, "TypeError");
        assert!(message.contains("for datetime64[s]") && message.contains("Python task"));
    }
    let (kind, message) = fault("matmul", &json!({}), &[date, date]);
    assert_eq!((kind.as_str(), message.contains("'matmul' is not supported")), ("TypeError", true));
    let (kind, _) = fault("astype", &json!({"dtype": "M8[as]"}), &[date]);
    assert_eq!(kind, "OverflowError");
}

#[test]
fn durations_compare_with_integers() {
    let store = Store::new(0);
    let span = DType::Timedelta(TimeUnit::Second);
    let bytes: Vec<u8> = [5_i64, i64::MIN, 7].into_iter().flat_map(i64::to_ne_bytes).collect();
    let input = array(&store, span, &[3], &bytes);
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [("a > 5", [0, 0, 1]), ("a != 5", [0, 1, 1]), ("7 <= a", [0, 0, 1])] {
        let kernel = parse("map", &params(&json!({"expr": text})), 1).unwrap();
        let inputs = std::slice::from_ref(&input);
        let result = kernel.run(&context(&store, folder.path()), inputs).unwrap();
        assert_eq!(result.bytes(), expected, "{text}");
        assert!(matches!(result.header(), Header::Array { dtype: DType::Bool, .. }));
    }
}
