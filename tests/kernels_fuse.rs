//! `fuse` against its steps taken one by one: the same bytes and the same errors, in less memory.

use crate::kernels::{array, context, params};
use crate::kernels_random::{Chance, Fill, REALS, given};
use rdask::kernels::{Context, names, parameters, parse};
use rdask_core::messages::TaskError;
use rdask_store::{DType, Header, Sealed, Store};
use serde_json::{Value, json};
use std::path::Path;

/// Cases of random shapes, dtypes and steps.
const CASES: usize = 240;

fn fused(context: &Context<'_>, steps: &Value, inputs: &[Sealed]) -> Result<Sealed, TaskError> {
    let steps = params(&json!({ "steps": steps }));
    parse("fuse", &steps, inputs.len()).unwrap().run(context, inputs)
}

/// The steps as tasks of their own.
fn one_by_one(
    context: &Context<'_>,
    steps: &Value,
    inputs: &[Sealed],
) -> Result<Sealed, TaskError> {
    let mut values = inputs.to_vec();
    for step in steps.as_array().unwrap() {
        let mut own = step.as_object().unwrap().clone();
        let kernel = own.remove("kernel").unwrap();
        let reads: Vec<Sealed> = own
            .remove("inputs")
            .iter()
            .flat_map(|names| names.as_array().unwrap())
            .map(|name| {
                let letter = name.as_str().unwrap().bytes().next().unwrap();
                values[usize::from(letter - b'a')].clone()
            })
            .collect();
        let kernel = parse(kernel.as_str().unwrap(), &params(&Value::Object(own)), reads.len());
        values.push(kernel.unwrap().run(context, &reads)?);
    }
    Ok(values.pop().unwrap())
}

/// Transposes of two inputs or none, a map of them, a sum or none.
fn steps(chance: &mut Chance, axes: usize) -> Value {
    let turns = [axes == 2 && chance.one_in(2), axes == 2 && chance.one_in(2)];
    let mut steps = Vec::new();
    let mut reads = ["a".to_owned(), "b".to_owned()];
    for (at, letter) in ["a", "b"].into_iter().enumerate().filter(|(at, _)| turns[*at]) {
        reads[at] = ["c", "d"][steps.len()].to_owned();
        steps.push(json!({"kernel": "transpose", "inputs": [letter]}));
    }
    let expr = chance.pick(&["a + b", "a * 2 + b", "b", "where(a < b, a, b)", "sqrt(a) + b"]);
    steps.push(json!({"kernel": "map", "expr": expr, "inputs": reads}));
    if chance.one_in(2) {
        let map = ["c", "d", "e"][steps.len() - 1];
        let end = chance.pick(&["sum", "sum", "max"]);
        steps.push(json!({"kernel": end, "inputs": [map]}));
    }
    json!(steps)
}

#[test]
fn fused_steps_have_the_bytes_of_single_ones() {
    let store = Store::new(0);
    let chance = &mut Chance::new(71);
    let mut failed = 0;
    for round in 0..CASES {
        let (a, b) = (chance.pick(&REALS), if chance.one_in(2) { DType::F64 } else { DType::I16 });
        let shape = match round % 24 {
            // Large enough for several slabs and several blocks of a sum.
            0 => [513, 1021].map(|side| side + chance.below(3) as u64).to_vec(),
            1 | 2 => vec![3, 20_000],
            3 | 4 => vec![20_000, 3],
            _ => chance.shape(),
        };
        let steps = steps(chance, shape.len());
        let inputs = [("a", a), ("b", b)].map(|(letter, dtype)| {
            let mut own = shape.clone();
            // Mostly shapes that fit: what is transposed lies the other way.
            let turned = json!({"kernel": "transpose", "inputs": [letter]});
            if steps.as_array().unwrap().contains(&turned) && !chance.one_in(20) {
                own.reverse();
            }
            let given = given(chance, dtype, &own, Fill::Tame);
            array(&store, dtype, &own, &given.bytes)
        });
        let mut surroundings = context(&store, Path::new("/"));
        surroundings.threads = if round % 7 == 6 { 3 } else { 1 };
        let expected = one_by_one(&surroundings, &steps, &inputs);
        match (fused(&surroundings, &steps, &inputs), expected) {
            (Ok(result), Ok(expected)) => {
                assert_eq!(result.header(), expected.header(), "{steps}");
                assert!(result.bytes() == expected.bytes(), "{steps} {a:?} {b:?} {shape:?}");
            }
            (Err(result), Err(expected)) => {
                assert_eq!(result.kind, expected.kind);
                failed += 1;
            }
            (result, expected) => panic!("{steps}: {result:?}, {expected:?}"),
        }
    }
    assert!(failed < CASES / 4, "{failed} cases say little");
}

/// 4 MiB each.
fn two_matrices() -> [Sealed; 2] {
    let store = Store::new(0);
    let chance = &mut Chance::new(72);
    [(); 2].map(|()| {
        let given = given(chance, DType::F64, &[1024, 512], Fill::Tame);
        array(&store, DType::F64, &[1024, 512], &given.bytes)
    })
}

#[test]
fn nothing_between_steps_is_as_large_as_an_input() {
    let [a, b] = two_matrices();
    let steps = json!([
        {"kernel": "transpose", "inputs": ["a"]},
        {"kernel": "transpose", "inputs": ["b"]},
        {"kernel": "map", "expr": "a * b", "inputs": ["c", "d"]},
        {"kernel": "sum", "inputs": ["e"]},
    ]);
    let small = Store::new(3 << 20);
    let result = fused(&context(&small, Path::new("/")), &steps, &[a.clone(), b.clone()]).unwrap();
    let large = Store::new(0);
    let expected = one_by_one(&context(&large, Path::new("/")), &steps, &[a, b]).unwrap();
    assert_eq!(result.bytes(), expected.bytes());
    assert_eq!(*result.header(), Header::Array { dtype: DType::F64, shape: vec![] });
}

#[test]
fn what_no_later_step_reads_makes_room() {
    let [a, _] = two_matrices();
    let steps = json!([
        {"kernel": "flip", "inputs": ["a"]},
        {"kernel": "flip", "inputs": ["b"]},
        {"kernel": "flip", "inputs": ["c"]},
        {"kernel": "flip", "inputs": ["d"]},
    ]);
    let store = Store::new(9 << 20);
    let result = fused(&context(&store, Path::new("/")), &steps, std::slice::from_ref(&a)).unwrap();
    assert!(result.bytes() == a.bytes());
    drop(result);
    assert_eq!(store.usage().used_bytes, 0);
}

#[test]
fn faults_name_the_step() {
    let cases = [
        (json!({}), "kernel 'fuse' needs the parameter 'steps'"),
        (json!({"steps": []}), "'fuse': expected 1 to 1000 steps, found 0"),
        (json!({"steps": ["sum"]}), "step b: expected an object, found the string \"sum\""),
        (json!({"steps": [{}]}), "step b: it has no field 'kernel' with the name of one"),
        (
            json!({"steps": [{"kernel": "sum", "inputs": "a"}]}),
            "step b: its inputs are a list of names, not the string \"a\"",
        ),
        (
            json!({"steps": [{"kernel": "sum", "inputs": ["b"]}]}),
            "step b: the string \"b\" names neither an input nor an earlier step",
        ),
        (
            json!({"steps": [{"kernel": "sum", "inputs": ["a"]}, {"kernel": "sum", "inputs": ["a"]}]}),
            "step b: no later step reads it",
        ),
        (
            json!({"steps": [{"kernel": "sum", "inputs": ["a"], "axes": 1}]}),
            "step b: kernel 'sum' has no parameter 'axes'",
        ),
        (
            json!({"steps": [{"kernel": "map", "inputs": ["a"], "expr": "b"}]}),
            "step b: parameter 'expr' of kernel 'map': unknown name 'b'",
        ),
    ];
    for (parameters, expected) in cases {
        let error = parse("fuse", &params(&parameters), 1).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    for name in names() {
        assert!(!parameters(name).iter().any(|own| ["kernel", "inputs"].contains(own)), "{name}");
    }
}

#[test]
fn a_step_that_fails_says_which_it_is() {
    let [a, _] = two_matrices();
    let store = Store::new(0);
    let steps = json!([
        {"kernel": "transpose", "inputs": ["a"]},
        {"kernel": "map", "expr": "a + b", "inputs": ["a", "b"]},
    ]);
    let error = fused(&context(&store, Path::new("/")), &steps, &[a]).unwrap_err();
    assert_eq!(error.kind, "ValueError");
    assert_eq!(
        error.message,
        "step c, map: operands could not be broadcast together with shapes (1024,512) (512,1024) \
         [a float64 (1024,512)]"
    );
}
