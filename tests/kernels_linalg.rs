//! Linear algebra against numpy: random cases whose results numpy checks by backward errors, equal
//! bits for every number of threads, faults in numpy's words.

use crate::kernels::{array, context, params};
use crate::support::oracle;
use rdask::kernels::{SpecError, parse};
use rdask_core::messages::TaskError;
use rdask_store::{DType, Header, Sealed, Store};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Random cases of each kernel.
pub(crate) const CASES: usize = 200;

/// An input of a case.
#[derive(Clone, Debug)]
pub(crate) struct Matrix {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
}

/// One run of one kernel.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kernel: &'static str,
    pub(crate) params: Value,
    pub(crate) inputs: Vec<Matrix>,
}

/// A small generator with a fixed seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn word(&mut self) -> u64 {
        // xorshift64*, whose state must not be 0.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, count: u64) -> u64 {
        (self.word() >> 11) % count
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.below(2) == 0
    }

    /// A number from −1 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / 4_503_599_627_370_496.0 - 1.0
    }

    /// Mostly small lengths, sometimes 0, sometimes more than a block.
    pub(crate) fn length(&mut self) -> u64 {
        match self.below(10) {
            0 => 0,
            1 => 1,
            2 => 30 + self.below(60),
            _ => 2 + self.below(20),
        }
    }

    /// An array; floats from −1 to 1, integers of all sizes.
    pub(crate) fn array(&mut self, dtype: DType, shape: &[u64]) -> Matrix {
        let count: u64 = shape.iter().product();
        let mut bytes = Vec::new();
        for _ in 0..count {
            let parts = if dtype >= DType::C64 { 2 } else { 1 };
            for _ in 0..parts {
                match dtype {
                    DType::Bool => bytes.push(u8::from(self.below(3) == 0)),
                    DType::F32 | DType::C64 => bytes.extend((self.unit() as f32).to_ne_bytes()),
                    DType::F64 | DType::C128 => bytes.extend(self.unit().to_ne_bytes()),
                    integer => bytes.extend(&self.word().to_le_bytes()[..integer.size()]),
                }
            }
        }
        Matrix { dtype, shape: shape.to_vec(), bytes }
    }

    /// A Hermitian matrix with a heavy diagonal; what stands above it is anything.
    fn definite(&mut self, dtype: DType, stack: &[u64], size: u64) -> Matrix {
        let shape = [stack, &[size, size]].concat();
        let mut matrix = self.array(dtype, &shape);
        let width = dtype.size();
        for (at, element) in matrix.bytes.chunks_exact_mut(width).enumerate() {
            let place = at as u64 % (size * size);
            if place / size == place % size {
                let heavy = size as f64 + 0.5 + self.unit();
                match dtype {
                    DType::F32 | DType::C64 => {
                        element.fill(0);
                        element[..4].copy_from_slice(&(heavy as f32).to_ne_bytes());
                    }
                    _ => {
                        element.fill(0);
                        element[..8].copy_from_slice(&heavy.to_ne_bytes());
                    }
                }
            }
        }
        matrix
    }

    /// A matrix with a heavy diagonal, so that a triangle of it is well conditioned.
    fn heavy(&mut self, dtype: DType, size: u64) -> Matrix {
        match dtype {
            DType::F32 | DType::F64 | DType::C64 | DType::C128 => self.definite(dtype, &[], size),
            // A zero among integers makes a triangle singular.
            _ => {
                let mut matrix = self.array(dtype, &[size, size]);
                matrix.bytes.iter_mut().for_each(|byte| *byte = *byte % 7 + 1);
                matrix
            }
        }
    }
}

pub(crate) const FIELDS: [DType; 4] = [DType::F32, DType::F64, DType::C64, DType::C128];

fn case(kernel: &'static str, params: Value, inputs: Vec<Matrix>) -> Case {
    Case { kernel, params, inputs }
}

pub(crate) fn run(case: &Case, threads: u32) -> Result<Sealed, TaskError> {
    let store = Store::new(0);
    let inputs: Vec<Sealed> = case
        .inputs
        .iter()
        .map(|input| array(&store, input.dtype, &input.shape, &input.bytes))
        .collect();
    let kernel = parse(case.kernel, &params(&case.params), inputs.len());
    let kernel = kernel.unwrap_or_else(|error| panic!("{error}: {}", case.params));
    let mut context = context(&store, Path::new("/"));
    context.threads = threads;
    kernel.run(&context, &inputs)
}

/// Has numpy check the results of all cases; says so and returns when there is no numpy.
pub(crate) fn check(cases: &[Case]) {
    let Some(python) = oracle::numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut data = Vec::new();
    let mut put = |dtype: DType, shape: &[u64], bytes: &[u8]| {
        data.resize(data.len().next_multiple_of(16), 0);
        let offset = data.len();
        data.extend_from_slice(bytes);
        json!({"dtype": dtype.name(), "shape": shape, "offset": offset})
    };
    let mut listed = Vec::new();
    for case in cases {
        let inputs: Vec<Value> =
            case.inputs.iter().map(|input| put(input.dtype, &input.shape, &input.bytes)).collect();
        let result = match run(case, 1) {
            Ok(sealed) => {
                let Header::Array { dtype, shape } = sealed.header() else {
                    panic!("{} gave bytes", case.kernel);
                };
                put(*dtype, shape, sealed.bytes())
            }
            Err(error) => json!({"error": error.kind, "message": error.message}),
        };
        listed.push(json!({
            "kernel": case.kernel, "params": case.params, "inputs": inputs, "result": result,
        }));
    }
    fs::write(folder.path().join("data.bin"), &data).unwrap();
    fs::write(folder.path().join("cases.json"), serde_json::to_vec(&listed).unwrap()).unwrap();
    let printed = python.run_file("tests/oracle/linalg.py", [folder.path()]);
    let faults: Vec<&str> = printed.lines().filter(|line| *line != "checked").collect();
    assert!(printed.ends_with("checked\n"), "the oracle did not end: {printed}");
    let first: Vec<&&str> = faults.iter().take(12).collect();
    assert!(faults.is_empty(), "{} of {} differ:\n{first:#?}", faults.len(), cases.len());
}

#[test]
fn products_of_every_shape_and_dtype() {
    let dice = &mut Dice::new(11);
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let (x, y) = (dice.pick(&DType::BASIC), dice.pick(&DType::BASIC));
        let [n, k, m] = [0; 3].map(|_| dice.length());
        let (a, b) = (dice.array(x, &[n, k]), dice.array(y, &[k, m]));
        cases.push(case("matmul", json!({}), vec![a.clone(), b.clone()]));
        cases.push(case("dot", json!({}), vec![a, b]));
        let (vector, cube) = (dice.array(x, &[k]), dice.array(y, &[2, k, 3]));
        let wrong = if dice.below(8) == 0 { 1 } else { 0 };
        let other = dice.array(y, &[k + wrong]);
        cases.push(case("dot", json!({}), vec![vector.clone(), other]));
        cases.push(case("dot", json!({}), vec![vector, cube]));
        cases.push(case("dot", json!({}), vec![dice.array(x, &[]), dice.array(y, &[n.min(9), 2])]));
    }
    check(&cases);
}

#[test]
fn tensordot_over_any_axes() {
    let dice = &mut Dice::new(12);
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let (x, y) = (dice.pick(&DType::BASIC), dice.pick(&DType::BASIC));
        let lengths = [0; 3].map(|_| dice.length().min(6));
        let [p, q, r] = lengths;
        let (a, b) = (dice.array(x, &[p, q, r]), dice.array(y, &[r, 3, p]));
        let axes = dice.pick(&[0, 1, 2, 3, 4]);
        let axes = match axes {
            0 => json!(0),
            1 => json!(1),
            2 => json!([[2, 0], [0, 2]]),
            3 => json!([-1, 0]),
            _ => json!([[0], [-1]]),
        };
        // Outer products stay small.
        if axes == json!(0) {
            cases.push(case(
                "tensordot",
                json!({"axes": 0}),
                vec![dice.array(x, &[2, 3]), dice.array(y, &[p])],
            ));
        } else {
            cases.push(case("tensordot", json!({"axes": axes}), vec![a, b]));
        }
    }
    let (a, b) = (dice.array(DType::F64, &[2, 3]), dice.array(DType::F64, &[3, 4]));
    for axes in [json!(2), json!(3), json!([[5], [0]]), json!([[0], [0]]), json!(-1)] {
        cases.push(case("tensordot", json!({"axes": axes}), vec![a.clone(), b.clone()]));
    }
    check(&cases);
}

#[test]
fn scaled_products() {
    let dice = &mut Dice::new(13);
    let mut cases = Vec::new();
    let scalars = [json!(1), json!(-1), json!(0.5), json!(0), json!([0.5, -2.0])];
    for _ in 0..CASES {
        let dtypes = [0; 3].map(|_| if dice.yes() { dice.pick(&FIELDS) } else { DType::F64 });
        let [n, k, m] = [0; 3].map(|_| dice.length());
        let (trans_a, trans_b) = (dice.yes(), dice.yes());
        let shape = |turn: bool, x, y| if turn { [y, x] } else { [x, y] };
        let mut inputs = vec![
            dice.array(dtypes[0], &shape(trans_a, n, k)),
            dice.array(dtypes[1], &shape(trans_b, k, m)),
        ];
        let pick = |dice: &mut Dice| scalars[dice.below(scalars.len() as u64) as usize].clone();
        let mut params = json!({"trans_a": trans_a, "trans_b": trans_b, "alpha": pick(dice)});
        let mut syrk = json!({"alpha": pick(dice)});
        let mut squares = vec![dice.array(dtypes[0], &[n, k])];
        if dice.yes() {
            params["beta"] = pick(dice);
            inputs.push(dice.array(dtypes[2], &[n, m]));
            syrk["beta"] = pick(dice);
            squares.push(dice.array(dtypes[2], &[n, n]));
        }
        cases.push(case("gemm", params, inputs));
        cases.push(case("syrk", syrk, squares));
    }
    check(&cases);
}

#[test]
fn cholesky_gives_the_matrix_back() {
    let dice = &mut Dice::new(14);
    let mut cases = Vec::new();
    for number in 0..CASES {
        let dtype = dice.pick(&FIELDS);
        let size = if number % 20 == 0 { 100 + dice.below(60) } else { dice.length() };
        let stack: &[u64] = if number % 7 == 0 { &[2, 3] } else { &[] };
        let mut input =
            dice.definite(dtype, stack, size.min(if stack.is_empty() { 200 } else { 9 }));
        if number % 9 == 0 {
            // Likely not positive definite any more; numpy tells.
            input = dice.array(dtype, &[size.min(5), size.min(5)]);
        }
        cases.push(case("cholesky", json!({}), vec![input]));
    }
    cases.push(case("cholesky", json!({}), vec![dice.array(DType::F64, &[2, 3])]));
    cases.push(case("cholesky", json!({}), vec![dice.array(DType::F64, &[3])]));
    check(&cases);
}

#[test]
fn triangular_solves_of_every_form() {
    let dice = &mut Dice::new(15);
    let mut cases = Vec::new();
    for number in 0..CASES {
        let dtypes = [0; 2].map(|_| if dice.yes() { dice.pick(&FIELDS) } else { DType::I16 });
        let size = if number % 20 == 0 { 100 } else { dice.length() };
        let columns = dice.length();
        let right = dice.yes();
        let side = if right { "right" } else { "left" };
        let shape = if right { [columns, size] } else { [size, columns] };
        let params = json!({"side": side, "lower": dice.yes(), "trans": dice.yes()});
        let inputs = vec![dice.heavy(dtypes[0], size), dice.array(dtypes[1], &shape)];
        cases.push(case("trsm", params, inputs));
    }
    check(&cases);
}

#[test]
fn qr_gives_the_matrix_back() {
    let dice = &mut Dice::new(16);
    let mut cases = Vec::new();
    for number in 0..CASES {
        let dtype = dice.pick(&[DType::F32, DType::F64, DType::C64, DType::C128, DType::I8]);
        let mut shape = vec![dice.length(), dice.length()];
        if number % 20 == 0 {
            shape = vec![80 + dice.below(40), 60 + dice.below(60)];
        } else if number % 7 == 0 {
            shape = vec![2, dice.length().min(6), dice.length().min(6)];
        }
        let mut input = dice.array(dtype, &shape);
        if number % 11 == 0 {
            // Columns of zeros need no reflector.
            let half = input.bytes.len() / 2;
            input.bytes[..half].fill(0);
        }
        for part in ["q", "r"] {
            cases.push(case("qr", json!({"part": part}), vec![input.clone()]));
        }
    }
    cases.push(case("qr", json!({"part": "r"}), vec![dice.array(DType::F64, &[3])]));
    check(&cases);
}

#[test]
fn norms_traces_and_diagonals() {
    let dice = &mut Dice::new(17);
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let dtype = dice.pick(&DType::BASIC);
        let axes = dice.below(4);
        let shape: Vec<u64> = (0..axes).map(|_| dice.length()).collect();
        let shape = if shape.len() > 2 { vec![3, 5, 2] } else { shape };
        let input = dice.array(dtype, &shape);
        let order = dice.pick(&["null", "\"fro\"", "1", "\"inf\""]);
        let order: Value = serde_json::from_str(order).unwrap();
        let params = if order.is_null() { json!({}) } else { json!({"ord": order}) };
        cases.push(case("norm", params, vec![input.clone()]));
        cases.push(case("trace", json!({}), vec![input.clone()]));
        cases.push(case("diag", json!({}), vec![input]));
        cases.push(case("eye", json!({"n": dice.length(), "dtype": dtype.name()}), vec![]));
    }
    check(&cases);
}

#[test]
fn nan_and_infinity_pass_through() {
    let values = |values: &[f64], shape: &[u64]| Matrix {
        dtype: DType::F64,
        shape: shape.to_vec(),
        bytes: values.iter().flat_map(|value| value.to_ne_bytes()).collect(),
    };
    let numbers = |result: Sealed| -> Vec<f64> {
        let bytes = result.bytes().chunks(8);
        bytes.map(|bytes| f64::from_ne_bytes(bytes.try_into().unwrap())).collect()
    };
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let eye = values(&[1.0, 0.0, 0.0, 1.0], &[2, 2]);
    let holes = values(&[nan, 1.0, 2.0, inf], &[2, 2]);
    let params = json!({"beta": 0});
    // With beta = 0 the third input does not count.
    let clean = run(&case("gemm", params, vec![eye.clone(), eye.clone(), holes.clone()]), 1);
    assert_eq!(numbers(clean.unwrap()), [1.0, 0.0, 0.0, 1.0]);
    let product =
        numbers(run(&case("matmul", json!({}), vec![eye.clone(), holes.clone()]), 1).unwrap());
    assert!(product[0].is_nan() && product[1].is_nan() && product[3] == inf, "{product:?}");
    let solved = numbers(run(&case("trsm", json!({}), vec![eye, holes.clone()]), 1).unwrap());
    assert!(solved[0].is_nan() && solved[3] == inf, "{solved:?}");
    for order in [json!(null), json!("fro"), json!(1), json!("inf")] {
        let norm = run(&case("norm", json!({"ord": order}), vec![holes.clone()]), 1);
        assert!(numbers(norm.unwrap())[0].is_nan(), "{order}");
    }
    let error = run(&case("cholesky", json!({}), vec![holes]), 1).unwrap_err();
    assert_eq!(error.kind, "LinAlgError");
}

#[test]
fn faults_are_said_in_numpys_words() {
    let dice = &mut Dice::new(18);
    let mut array = |shape: &[u64]| dice.array(DType::F64, shape);
    let zeros = Matrix { dtype: DType::F64, shape: vec![2, 2], bytes: vec![0; 32] };
    let cases = [
        (
            "cholesky",
            json!({}),
            vec![array(&[2, 3])],
            "Last 2 dimensions of the array must be square",
        ),
        ("cholesky", json!({}), vec![zeros.clone()], "Matrix is not positive definite"),
        ("trsm", json!({}), vec![zeros, array(&[2, 2])], "Singular matrix"),
        (
            "trsm",
            json!({"side": "right"}),
            vec![array(&[2, 2]), array(&[2, 3])],
            "trsm: Input operand 1 has a mismatch in its core dimension 1 (size 3 is different from \
             2): (2,2) and (2,3)",
        ),
        (
            "gemm",
            json!({"trans_a": true}),
            vec![array(&[2, 3]), array(&[3, 4])],
            "gemm: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature \
             (n,k),(k,m)->(n,m) (size 3 is different from 2)",
        ),
        (
            "syrk",
            json!({"beta": 1}),
            vec![array(&[2, 3]), array(&[2, 3])],
            "operands could not be added with shapes (2,2) (2,3): the product and the last input \
             must have one shape",
        ),
        (
            "gemm",
            json!({}),
            vec![array(&[2]), array(&[2, 3])],
            "1-dimensional array given. Array must be two-dimensional",
        ),
        (
            "norm",
            json!({"ord": 1}),
            vec![array(&[2, 2, 2])],
            "Improper number of dimensions to norm.",
        ),
    ];
    for (kernel, params, inputs, expected) in cases {
        let error = run(&case(kernel, params, inputs), 1).unwrap_err();
        assert!(error.message.starts_with(expected), "{}", error.message);
    }
}

#[test]
fn wrong_parameters_are_found_before_the_run() {
    let spec = |kernel, value: Value, inputs| parse(kernel, &params(&value), inputs).unwrap_err();
    let cases = [
        (
            "gemm",
            json!({"beta": 1}),
            2,
            "parameter 'beta' of kernel 'gemm': needs 3 inputs, the last to be added",
        ),
        ("gemm", json!({}), 4, "kernel 'gemm' takes 2 or 3 inputs, not 4 inputs"),
        (
            "trsm",
            json!({"side": "top"}),
            2,
            "parameter 'side' of kernel 'trsm': expected \"left\" or \"right\", found \"top\"",
        ),
        (
            "norm",
            json!({"ord": 3}),
            1,
            "parameter 'ord' of kernel 'norm': expected \"fro\", 1 or \"inf\", found 3",
        ),
        (
            "eye",
            json!({"n": 1_u64 << 40, "dtype": "f64"}),
            0,
            "parameter 'n' of kernel 'eye': (1099511627776,1099511627776) is too big",
        ),
    ];
    for (kernel, value, inputs, expected) in cases {
        assert_eq!(spec(kernel, value, inputs).to_string(), expected);
    }
    assert!(matches!(spec("qr", json!({}), 1), SpecError::MissingParameter { .. }));
}

#[test]
fn no_number_of_threads_changes_a_bit() {
    let dice = &mut Dice::new(19);
    let size = 580;
    for dtype in [DType::F64, DType::F32] {
        let (a, b) = (dice.array(dtype, &[size, size]), dice.array(dtype, &[size, 540]));
        let heavy = dice.definite(dtype, &[], size);
        let cases = [
            case("matmul", json!({}), vec![a.clone(), b.clone()]),
            case("gemm", json!({"alpha": 0.3, "trans_a": true}), vec![a.clone(), b.clone()]),
            case("syrk", json!({"alpha": 0.3}), vec![b.clone()]),
            case("cholesky", json!({}), vec![heavy.clone()]),
            case("trsm", json!({"lower": false}), vec![heavy, b.clone()]),
            case("qr", json!({"part": "q"}), vec![b]),
        ];
        for case in cases {
            let one = run(&case, 1).unwrap();
            for threads in [2, 3, 8] {
                let many = run(&case, threads).unwrap();
                assert!(one.bytes() == many.bytes(), "{} on {threads} threads", case.kernel);
            }
        }
    }
}
