//! Reductions against numpy: every dtype, axis and special value; groups, running sums, faults.

use crate::kernels::{array, context, params};
use crate::kernels_oracle::{Case, Class, Given, check};
use crate::kernels_random::{Chance, Fill, axes, case, given, positive_zeros};
use rdask::kernels::{Context, parse};
use rdask_core::messages::TaskError;
use rdask_store::{DType, Sealed, Store, TimeUnit};
use serde_json::{Value, json};
use std::path::Path;

/// Cases of each kernel.
const CASES: usize = 260;

/// Puts 1 in the place of infinities in complex numbers: numpy divides them as complex by complex,
/// which makes NaN of the other part.
fn tame_infinities(input: &mut Given) {
    let one = |bytes: &mut [u8], one: &[u8], infinite: bool| {
        if infinite {
            bytes.copy_from_slice(one);
        }
    };
    match input.dtype {
        DType::C64 => input.bytes.chunks_exact_mut(4).for_each(|bytes| {
            let infinite = f32::from_ne_bytes(bytes.try_into().unwrap()).is_infinite();
            one(bytes, &1_f32.to_ne_bytes(), infinite);
        }),
        DType::C128 => input.bytes.chunks_exact_mut(8).for_each(|bytes| {
            let infinite = f64::from_ne_bytes(bytes.try_into().unwrap()).is_infinite();
            one(bytes, &1_f64.to_ne_bytes(), infinite);
        }),
        _ => {}
    }
}

/// Numbers near 1, of which thousands can be multiplied.
fn factors(chance: &mut Chance, dtype: DType, shape: &[u64]) -> Given {
    let mut bytes = Vec::new();
    let parts = if dtype >= DType::C64 { 2 } else { 1 };
    for _ in 0..parts * shape.iter().product::<u64>() {
        let sign = if chance.one_in(2) { 1.0 } else { -1.0 };
        let length = if parts == 2 { 0.5_f64.sqrt() } else { 1.0 };
        let value = sign * length * (0.6 + 0.4 * chance.unit());
        match dtype {
            DType::F32 | DType::C64 => bytes.extend((value as f32).to_ne_bytes()),
            _ => bytes.extend(value.to_ne_bytes()),
        }
    }
    Given { dtype, shape: shape.to_vec(), bytes }
}

fn reductions(kernels: &[&'static str], seed: u64) {
    let chance = &mut Chance::new(seed);
    let mut cases = Vec::new();
    for kernel in kernels {
        let base = kernel.trim_start_matches("nan");
        let exact = !matches!(base, "sum" | "prod" | "mean" | "var" | "std");
        for round in 0..CASES {
            let dtype = DType::BASIC[round % 13];
            let shape = chance.shape();
            let mut params = json!({});
            if base.starts_with("arg") {
                one_axis(chance, &mut params, shape.len());
            } else {
                axes(chance, &mut params, shape.len());
            }
            if matches!(base, "var" | "std") && chance.one_in(3) {
                params["ddof"] = json!(chance.below(3));
            }
            let wild = exact || chance.one_in(3);
            // Which of several complex NaN wins is left open.
            let plain_complex = dtype >= DType::C64 && (!exact || matches!(base, "min" | "max"));
            let fill =
                if wild && !(plain_complex && base == *kernel) { Fill::Wild } else { Fill::Tame };
            let mut input = if base == "prod" && dtype >= DType::F32 {
                factors(chance, dtype, &shape)
            } else {
                given(chance, dtype, &shape, fill)
            };
            if !base.starts_with("arg") {
                positive_zeros(&mut input);
            }
            if !exact {
                tame_infinities(&mut input);
            }
            let class = if exact { Class::Exact } else { Class::Sum };
            cases.push(case(kernel, params, vec![input], class));
        }
    }
    check(&cases);
}

fn one_axis(chance: &mut Chance, params: &mut Value, count: usize) {
    if !chance.one_in(4) {
        let range = 2 * count.max(1) + usize::from(chance.one_in(10));
        params["axis"] = json!(chance.below(range) as i64 - count.max(1) as i64);
    }
    if chance.one_in(3) {
        params["keepdims"] = json!(true);
    }
}

#[test]
fn sums_and_products() {
    reductions(&["sum", "prod", "nansum", "nanprod"], 61);
}

#[test]
fn means_and_variances() {
    reductions(&["mean", "var", "std", "nanmean", "nanvar", "nanstd"], 62);
}

#[test]
fn extremes_and_their_places() {
    reductions(&["min", "max", "nanmin", "nanmax"], 63);
    reductions(&["argmin", "argmax", "nanargmin", "nanargmax"], 64);
}

#[test]
fn flags_and_counts() {
    reductions(&["any", "all", "count_nonzero"], 65);
}

#[test]
fn running_sums() {
    let chance = &mut Chance::new(66);
    let mut cases = Vec::new();
    for kernel in ["cumsum", "cumprod"] {
        for round in 0..CASES {
            let dtype = DType::BASIC[round % 13];
            let shape = chance.shape();
            let mut params = json!({});
            one_axis(chance, &mut params, shape.len());
            params.as_object_mut().unwrap().remove("keepdims");
            let float = dtype >= DType::F32;
            let fill = if dtype >= DType::C64 { Fill::Tame } else { Fill::Wild };
            let input = if kernel == "cumprod" && float {
                factors(chance, dtype, &shape)
            } else {
                given(chance, dtype, &shape, fill)
            };
            let complex_product = kernel == "cumprod" && dtype >= DType::C64;
            let class = if complex_product { Class::Sum } else { Class::Exact };
            cases.push(case(kernel, params, vec![input], class));
        }
    }
    check(&cases);
}

#[test]
fn groups() {
    let chance = &mut Chance::new(67);
    let funcs = ["sum", "mean", "min", "max", "count", "var", "first", "last"];
    let mut cases = Vec::new();
    for round in 0..6 * CASES {
        let nan = if chance.one_in(2) { "nan" } else { "" };
        let func = funcs[round % 8];
        let dtype = chance.pick(&DType::BASIC);
        let mut shape = chance.shape();
        if shape.is_empty() {
            shape.push(40);
        }
        let axis = chance.below(shape.len());
        let length = shape[axis];
        let many = chance.one_in(3);
        let ngroups = 1 + chance.below(if many { 20 } else { 3 });
        let label = chance.pick(&[DType::I8, DType::I16, DType::I32, DType::I64, DType::U8]);
        let mut numbers = Vec::new();
        for _ in 0..length {
            let none = label != DType::U8 && chance.one_in(6);
            let wrong = chance.one_in(40 * length as usize);
            let number = chance.below(ngroups + usize::from(wrong)) as i64;
            let number = if none { -1 } else { number };
            numbers.extend(&number.to_le_bytes()[..label.size()]);
        }
        let wild = matches!(func, "min" | "max" | "first" | "last") || chance.one_in(4);
        let open = dtype >= DType::C64 && !matches!(func, "count" | "first" | "last");
        let fill = if wild && (!open || nan == "nan") { Fill::Wild } else { Fill::Tame };
        let mut input = given(chance, dtype, &shape, fill);
        positive_zeros(&mut input);
        if matches!(func, "sum" | "mean" | "var") {
            tame_infinities(&mut input);
        }
        let labels = Given { dtype: label, shape: vec![length], bytes: numbers };
        let axis = if chance.one_in(2) { axis as i64 } else { axis as i64 - shape.len() as i64 };
        let params = json!({"func": format!("{nan}{func}"), "ngroups": ngroups, "axis": axis});
        let sums = matches!(func, "sum" | "mean" | "var");
        let class = if sums { Class::Sum } else { Class::Exact };
        cases.push(case("groupby_reduce", params, vec![input, labels], class));
    }
    check(&cases);
}

/// Halves are computed as f32 and rounded; of times only comparisons and counts are left.
#[test]
fn halves_and_times() {
    let chance = &mut Chance::new(70);
    let date = DType::Datetime(TimeUnit::Day);
    let span = DType::Timedelta(TimeUnit::Millisecond);
    let sums = ["sum", "mean", "var", "std", "nansum", "nanmean", "nanvar", "nanstd"];
    let exact = [
        "min",
        "max",
        "nanmin",
        "nanmax",
        "argmin",
        "argmax",
        "nanargmin",
        "nanargmax",
        "any",
        "all",
        "count_nonzero",
    ];
    let mut cases = Vec::new();
    for round in 0..40 {
        for kernel in exact {
            let dtype = [DType::F16, date, span][round % 3];
            let shape = chance.shape();
            let mut params = json!({});
            if kernel.contains("arg") {
                one_axis(chance, &mut params, shape.len());
            } else {
                axes(chance, &mut params, shape.len());
            }
            let input = half_or_time(chance, dtype, &shape);
            cases.push(case(kernel, params, vec![input], Class::Exact));
        }
        for kernel in sums {
            let shape = chance.shape();
            let mut params = json!({});
            axes(chance, &mut params, shape.len());
            let input = given(chance, DType::F16, &shape, Fill::Small);
            cases.push(case(kernel, params, vec![input], Class::Sum));
        }
        for func in ["min", "max", "first", "last", "count"] {
            let shape = [1 + chance.below(9) as u64, 3];
            let input = half_or_time(chance, [DType::F16, date, span][round % 3], &shape);
            let numbers = (0..shape[0]).map(|_| chance.below(4) as u8).collect();
            let labels = Given { dtype: DType::U8, shape: vec![shape[0]], bytes: numbers };
            let nan = chance.pick(&["", "nan"]);
            let params = json!({"func": format!("{nan}{func}"), "ngroups": 4, "axis": 0});
            cases.push(case("groupby_reduce", params, vec![input, labels], Class::Exact));
        }
    }
    check(&cases);
    let times = half_or_time(chance, date, &[3]);
    for (kernel, value) in [("nanprod", json!({})), ("cumsum", json!({})), ("nanvar", json!({}))] {
        let error = run(&case(kernel, value, vec![times.clone()], Class::Exact), 1).unwrap_err();
        assert_eq!(error.kind, "TypeError");
        assert!(error.message.contains(&format!("'{kernel}' is not supported for datetime64[D]")));
    }
}

/// Halves with NaN and infinities, or small counts with NaT.
pub(crate) fn half_or_time(chance: &mut Chance, dtype: DType, shape: &[u64]) -> Given {
    if dtype == DType::F16 {
        let mut input = given(chance, dtype, shape, Fill::Wild);
        for bytes in input.bytes.chunks_exact_mut(2).filter(|bytes| *bytes == [0, 0x80]) {
            bytes.fill(0);
        }
        return input;
    }
    let mut bytes = Vec::new();
    for _ in 0..shape.iter().product() {
        let ticks = chance.below(9) as i64 - 4;
        bytes.extend((if ticks == 3 { i64::MIN } else { ticks }).to_ne_bytes());
    }
    Given { dtype, shape: shape.to_vec(), bytes }
}

/// Long axes cross the borders of leaves, blocks of rows and blocks of a stage.
#[test]
fn long_axes() {
    let chance = &mut Chance::new(68);
    let shapes: [&[u64]; 5] = [&[300_001], &[90_000, 3], &[2, 70_001, 2], &[700, 400], &[400, 700]];
    let kernels = [
        "sum",
        "mean",
        "var",
        "min",
        "max",
        "nanmean",
        "nanmin",
        "nanvar",
        "argmin",
        "nanargmax",
        "any",
        "all",
        "count_nonzero",
        "cumsum",
    ];
    let mut cases = Vec::new();
    for kernel in kernels {
        for shape in shapes {
            for dtype in [DType::F64, DType::F32, DType::I32, DType::U8] {
                let axis = chance.below(shape.len() + 1);
                let params = if axis == shape.len() { json!({}) } else { json!({"axis": axis}) };
                let sums = matches!(kernel, "sum" | "mean" | "var" | "nanmean" | "nanvar");
                let fill = if sums || kernel == "cumsum" { Fill::Tame } else { Fill::Wild };
                let mut input = given(chance, dtype, shape, fill);
                positive_zeros(&mut input);
                let class = if sums { Class::Sum } else { Class::Exact };
                cases.push(case(kernel, params, vec![input], class));
            }
        }
    }
    check(&cases);
}

fn run(case: &Case, threads: u32) -> Result<Sealed, TaskError> {
    let store = Store::new(0);
    let inputs: Vec<Sealed> = case
        .inputs
        .iter()
        .map(|input| array(&store, input.dtype, &input.shape, &input.bytes))
        .collect();
    let kernel = parse(case.kernel, &params(&case.params), inputs.len()).unwrap();
    let context = Context { threads, ..context(&store, Path::new("/")) };
    kernel.run(&context, &inputs)
}

/// A case gives the same bytes for any number of threads.
pub(crate) fn same_for_all_threads(case: &Case) {
    let alone = run(case, 1).unwrap();
    for threads in [2, 3, 8] {
        let shared = run(case, threads).unwrap();
        assert_eq!(alone.header(), shared.header());
        assert!(alone.bytes() == shared.bytes(), "{} {} {threads}", case.kernel, case.params);
    }
}

#[test]
fn threads_change_no_bit() {
    let chance = &mut Chance::new(69);
    let kernels = [
        "sum",
        "prod",
        "mean",
        "var",
        "min",
        "max",
        "argmin",
        "argmax",
        "any",
        "count_nonzero",
        "nansum",
        "nanmean",
        "nanvar",
        "nanargmax",
        "cumsum",
    ];
    let shapes: [&[u64]; 5] =
        [&[400_003], &[150_000, 4], &[300, 2200], &[2, 500, 600], &[900, 500]];
    for shape in shapes {
        for dtype in [DType::F64, DType::I32, DType::F32] {
            let mut input = given(chance, dtype, shape, Fill::Tame);
            positive_zeros(&mut input);
            for kernel in kernels {
                let axis = chance.below(shape.len() + 1);
                let params = if axis == shape.len() { json!({}) } else { json!({"axis": axis}) };
                same_for_all_threads(&case(kernel, params, vec![input.clone()], Class::Exact));
            }
            let axis = chance.below(shape.len());
            let numbers: Vec<u8> = (0..shape[axis])
                .flat_map(|_| (chance.below(13) as i64 - 1).to_ne_bytes())
                .collect();
            let labels = Given { dtype: DType::I64, shape: vec![shape[axis]], bytes: numbers };
            for func in ["sum", "nanvar", "max", "last"] {
                // Empty groups of integers are refused.
                if func == "sum" || dtype != DType::I32 {
                    let params = json!({"func": func, "ngroups": 12, "axis": axis});
                    let inputs = vec![input.clone(), labels.clone()];
                    same_for_all_threads(&case("groupby_reduce", params, inputs, Class::Exact));
                }
            }
        }
    }
}

fn f64s(values: &[f64], shape: &[u64]) -> Given {
    let bytes = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    Given { dtype: DType::F64, shape: shape.to_vec(), bytes }
}

fn i64s(values: &[i64]) -> Given {
    let bytes = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    Given { dtype: DType::I64, shape: vec![values.len() as u64], bytes }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of faults and their words")]
fn faults_in_words() {
    let nan = f64::NAN;
    let none = f64s(&[], &[0, 3]);
    let gaps = f64s(&[1.0, nan, nan, nan], &[2, 2]);
    let group = |func: &str, ngroups: usize| json!({"func": func, "ngroups": ngroups, "axis": 0});
    let cases = [
        (
            "min",
            json!({"axis": 0}),
            vec![none.clone()],
            "ValueError: zero-size array to reduction operation minimum which has no identity \
          [a float64 (0,3)]",
        ),
        (
            "nanmax",
            json!({}),
            vec![none.clone()],
            "ValueError: zero-size array to reduction operation fmax which has no identity \
          [a float64 (0,3)]",
        ),
        (
            "argmax",
            json!({"axis": 0}),
            vec![none],
            "ValueError: attempt to get argmax of an empty sequence [a float64 (0,3)]",
        ),
        (
            "nanargmin",
            json!({"axis": 1}),
            vec![gaps.clone()],
            "ValueError: All-NaN slice encountered [a float64 (2,2)]",
        ),
        (
            "sum",
            json!({"axis": [0, -2]}),
            vec![gaps.clone()],
            "ValueError: duplicate value in 'axis' [a float64 (2,2)]",
        ),
        (
            "cumprod",
            json!({"axis": 2}),
            vec![gaps.clone()],
            "AxisError: axis 2 is out of bounds for array of dimension 2 [a float64 (2,2)]",
        ),
        (
            "groupby_reduce",
            group("sum", 2),
            vec![gaps.clone(), i64s(&[0, 2])],
            "ValueError: group number 2 at index 1 is not in -1 to 1 [a float64 (2,2), b int64 (2,)]",
        ),
        (
            "groupby_reduce",
            group("sum", 2),
            vec![gaps.clone(), i64s(&[0])],
            "ValueError: group numbers must have the shape (2,), one for each index of the axis, not \
          (1,) [a float64 (2,2), b int64 (1,)]",
        ),
        (
            "groupby_reduce",
            group("sum", 2),
            vec![gaps.clone(), gaps],
            "TypeError: group numbers must be integers, not float64 [a float64 (2,2), b float64 (2,2)]",
        ),
        (
            "groupby_reduce",
            group("last", 3),
            vec![i64s(&[5, 6]), i64s(&[0, 2])],
            "ValueError: group 1 is empty, and int64 has no NaN to say so [a int64 (2,), b int64 (2,)]",
        ),
    ];
    for (kernel, params, inputs, expected) in cases {
        let error = run(&case(kernel, params, inputs, Class::Exact), 1).unwrap_err();
        assert_eq!(format!("{}: {}", error.kind, error.message), expected);
    }
    let group = |func: &str| json!({"func": func, "ngroups": 2, "axis": 0});
    let specs = [
        (
            "argmin",
            json!({"axis": [0]}),
            1,
            "parameter 'axis' of kernel 'argmin': expected an integer, found a list",
        ),
        (
            "groupby_reduce",
            group("median"),
            2,
            "parameter 'func' of kernel 'groupby_reduce': unknown function 'median'; known are sum \
          mean min max count var first last and nan before each",
        ),
        ("groupby_reduce", group("sum"), 1, "kernel 'groupby_reduce' takes 2 inputs, not 1 inputs"),
        (
            "groupby_reduce",
            json!({"func": "sum", "axis": 0}),
            2,
            "kernel 'groupby_reduce' needs the parameter 'ngroups'",
        ),
    ];
    for (kernel, value, inputs, expected) in specs {
        assert_eq!(parse(kernel, &params(&value), inputs).unwrap_err().to_string(), expected);
    }
}
