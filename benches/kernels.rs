//! Kernels beside numpy, in turn in one run: CPU time of one thread for both, and their ratio.
//!
//! `cargo bench --bench kernels [-- WORD …]` measures the kernels whose name or expression has one
//! of the words, without words all. numpy is found through RDASK_BENCH_PYTHON, RDASK_TEST_PYTHON,
//! else `python3`; without numpy 2 the anchor is `–`. The ratio is numpy's time over ours, so more
//! is better. Arrays have 8 MB, those with a capital letter 128 KB, so that all fit a second-level
//! cache; results go into memory that was used before.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod anchor;

use anchor::Anchor;
use rdask::kernels::{Context, Kernel, parse};
use rdask_core::graph::{Param, Params};
use rdask_store::{Sealed, Store};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

/// Times that each side is measured; the least counts, since what else runs only adds.
const ROUNDS: usize = 9;

/// Elements of a small array.
const SMALL: i64 = 16_384;

/// Runs in one measurement, on large and on small arrays.
const REPEATS: [u32; 2] = [4, 200];

/// Runs the expression on each line that it is sent, as often as the number before it says, and
/// answers with the seconds that one run took.
const ANCHOR: &str = r"
import sys, time
import numpy as np
assert int(np.__version__.split('.')[0]) >= 2
rng = np.random.default_rng(1)
x, y, z = (rng.random(1_000_000) for _ in range(3))
m = rng.random((1000, 1000))
f = x.astype('f4')
i = (x * 1000).astype('i8')
X, Y, Z = (each[:16384].copy() for each in (x, y, z))
F, G, I = X.astype('f4'), Y.astype('f4'), i[:16384].copy()
print('ready', flush=True)
for line in sys.stdin:
    count, text = line.split(' ', 1)
    code = compile('for _ in range(count): ' + text, 'bench', 'exec')
    space = dict(globals(), count=int(count))
    start = time.process_time()
    exec(code, space)
    print((time.process_time() - start) / int(count), flush=True)
";

/// Runs a kernel on inputs.
struct Bench {
    store: Store,
}

impl Bench {
    fn context(&self) -> Context<'_> {
        Context {
            store: &self.store,
            priority: 0,
            threads: 1,
            attempt: 0,
            rank: 0,
            working_directory: Path::new("."),
        }
    }

    fn kernel(name: &str, params: &[(&str, Param)], inputs: usize) -> Kernel {
        let params: Params =
            params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        parse(name, &params, inputs).expect("the table holds valid kernels")
    }

    fn run(&self, kernel: &Kernel, inputs: &[Sealed]) -> Sealed {
        kernel.run(&self.context(), inputs).expect("the table holds kernels that succeed")
    }

    fn random(&self, shape: &[i64], seed: i64) -> Sealed {
        let shape = Param::List(shape.iter().map(|length| Param::Int(*length)).collect());
        let dtype = Param::Str("f64".to_owned());
        let params = [("shape", shape), ("dtype", dtype), ("seed", Param::Int(seed))];
        self.run(&Self::kernel("random", &params, 0), &[])
    }
}

/// Time that this thread has computed, without that in which others had its core.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn text(value: &str) -> Param {
    Param::Str(value.to_owned())
}

/// Name, parameters and inputs of a kernel, and what numpy computes for it.
type Row<'a> = (&'a str, Vec<(&'a str, Param)>, &'a [Sealed], &'a str);

/// Inputs, as the anchor has them.
struct Given {
    three: [Sealed; 3],
    small: [Sealed; 3],
    matrix: [Sealed; 2],
    single: [Sealed; 1],
    whole: [Sealed; 1],
    small_single: [Sealed; 2],
    small_whole: [Sealed; 1],
}

impl Given {
    fn new(bench: &Bench) -> Self {
        let astype = |dtype: &str, input: &Sealed| {
            let kernel = Bench::kernel("astype", &[("dtype", text(dtype))], 1);
            [bench.run(&kernel, std::slice::from_ref(input))]
        };
        let scaled = |input: &Sealed| {
            let kernel = Bench::kernel("map", &[("expr", text("a * 1000"))], 1);
            bench.run(&kernel, std::slice::from_ref(input))
        };
        let three = [1, 2, 3].map(|seed| bench.random(&[1_000_000], seed));
        let small = [1, 2, 3].map(|seed| bench.random(&[SMALL], seed));
        Self {
            matrix: [bench.random(&[1000, 1000], 4), bench.random(&[1000, 1000], 5)],
            single: astype("f32", &three[0]),
            whole: astype("i64", &scaled(&three[0])),
            small_single: [&small[0], &small[1]].map(|input| {
                let [single] = astype("f32", input);
                single
            }),
            small_whole: astype("i64", &scaled(&small[0])),
            three,
            small,
        }
    }
}

fn elementwise(inputs: &Given) -> Vec<Row<'_>> {
    let expr = |value: &str| vec![("expr", text(value))];
    let Given { three, small, single, whole, small_single, small_whole, .. } = inputs;
    let mut rows: Vec<Row<'_>> = Vec::new();
    // Ours, numpy's on large and on small arrays.
    for (ours, large, little) in [
        ("a * 2 + b - c / 3", "x * 2 + y - z / 3", "X * 2 + Y - Z / 3"),
        ("(a + b) * c - a", "(x + y) * z - x", "(X + Y) * Z - X"),
        (
            "sqrt(a * a + b * b) * 0.5 + abs(a - b) / (c + 2)",
            "np.sqrt(x * x + y * y) * 0.5 + abs(x - y) / (z + 2)",
            "np.sqrt(X * X + Y * Y) * 0.5 + abs(X - Y) / (Z + 2)",
        ),
        (
            "(a + b) * (b - c) + (a * c - 1) * (b + a * 2)",
            "(x + y) * (y - z) + (x * z - 1) * (y + x * 2)",
            "(X + Y) * (Y - Z) + (X * Z - 1) * (Y + X * 2)",
        ),
        ("where(a > b, a, c) + 1", "np.where(x > y, x, z) + 1", "np.where(X > Y, X, Z) + 1"),
        ("a + b", "x + y", "X + Y"),
        ("a ** 3", "x ** 3", "X ** 3"),
        ("a % b", "x % y", "X % Y"),
    ] {
        rows.push(("map", expr(ours), three, large));
        rows.push(("map", expr(ours), small, little));
    }
    rows.push(("map", expr("a * 3 + 1"), single, "f * 3 + 1"));
    rows.push(("map", expr("a * 3 + 1"), small_single, "F * 3 + 1"));
    for (ours, large, little) in [
        ("a * 3 // 7", "i * 3 // 7", "I * 3 // 7"),
        ("a * 3 + 1 - a", "i * 3 + 1 - i", "I * 3 + 1 - I"),
    ] {
        rows.push(("map", expr(ours), whole, large));
        rows.push(("map", expr(ours), small_whole, little));
    }
    for (dtype, numpys) in [("f32", "x.astype('f4')"), ("i32", "x.astype('i4')")] {
        rows.push(("astype", vec![("dtype", text(dtype))], &three[..1], numpys));
    }
    rows
}

/// Functions beyond arithmetic, as numpy has them of f64 and f32, on small arrays.
const FUNCTIONS: [[&str; 3]; 20] = [
    ["exp(a)", "np.exp(X)", "np.exp(F)"],
    ["expm1(a)", "np.expm1(X)", "np.expm1(F)"],
    ["log(a)", "np.log(X)", "np.log(F)"],
    ["log1p(a)", "np.log1p(X)", "np.log1p(F)"],
    ["log2(a)", "np.log2(X)", "np.log2(F)"],
    ["log10(a)", "np.log10(X)", "np.log10(F)"],
    ["sin(a)", "np.sin(X)", "np.sin(F)"],
    ["cos(a)", "np.cos(X)", "np.cos(F)"],
    ["tan(a)", "np.tan(X)", "np.tan(F)"],
    ["arcsin(a)", "np.arcsin(X)", "np.arcsin(F)"],
    ["arccos(a)", "np.arccos(X)", "np.arccos(F)"],
    ["arctan(a)", "np.arctan(X)", "np.arctan(F)"],
    ["arctan2(a, b)", "np.arctan2(X, Y)", "np.arctan2(F, G)"],
    ["sinh(a)", "np.sinh(X)", "np.sinh(F)"],
    ["cosh(a)", "np.cosh(X)", "np.cosh(F)"],
    ["tanh(a)", "np.tanh(X)", "np.tanh(F)"],
    ["cbrt(a)", "np.cbrt(X)", "np.cbrt(F)"],
    ["hypot(a, b)", "np.hypot(X, Y)", "np.hypot(F, G)"],
    ["a ** 1.5", "X ** 1.5", "F ** 1.5"],
    ["a + b", "X + Y", "F + G"],
];

fn functions(inputs: &Given) -> Vec<Row<'_>> {
    let both = |[ours, double, single]: [&'static str; 3]| {
        let expr = || vec![("expr", text(ours))];
        [
            ("map", expr(), inputs.small.as_slice(), double),
            ("map", expr(), inputs.small_single.as_slice(), single),
        ]
    };
    FUNCTIONS.into_iter().flat_map(both).collect()
}

fn others(inputs: &Given) -> Vec<Row<'_>> {
    let Given { three, matrix, single, whole, .. } = inputs;
    let axis = |value: i64| vec![("axis", Param::Int(value))];
    let reversed =
        Param::List(vec![Param::Null, Param::List([0, 1000, 2].map(Param::Int).to_vec())]);
    vec![
        ("sum", vec![], &three[..1], "x.sum()"),
        ("sum", vec![], single, "f.sum()"),
        ("sum", vec![], whole, "i.sum()"),
        ("sum", axis(0), &matrix[..1], "m.sum(axis=0)"),
        ("sum", axis(1), &matrix[..1], "m.sum(axis=1)"),
        ("mean", vec![], &three[..1], "x.mean()"),
        ("var", vec![], &three[..1], "x.var()"),
        ("var", axis(0), &matrix[..1], "m.var(axis=0)"),
        ("max", vec![], &three[..1], "x.max()"),
        ("max", axis(0), &matrix[..1], "m.max(axis=0)"),
        ("min", vec![], whole, "i.min()"),
        ("transpose", vec![], &matrix[..1], "m.T.copy()"),
        ("slice", vec![("ranges", reversed)], &matrix[..1], "m[:, 0:1000:2].copy()"),
        ("concatenate", vec![], matrix, "np.concatenate([m, m])"),
        ("matmul", vec![], matrix, "m @ m"),
    ]
}

fn main() {
    let bench = Bench { store: Store::new(0) };
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let inputs = Given::new(&bench);
    // The store keeps freed memory warm below its highest use, as in a worker that has run a while.
    drop([6, 7].map(|seed| bench.random(&[4_000_000], seed)));
    let rows: Vec<Row<'_>> =
        elementwise(&inputs).into_iter().chain(functions(&inputs)).chain(others(&inputs)).collect();
    let mut anchor = Anchor::start(ANCHOR);
    println!(
        "{:<12} {:<46} {:>9} {:>9} {:>6}",
        "kernel", "numpy's", "ours/ms", "numpy/ms", "ratio"
    );
    for (name, params, inputs, expression) in rows {
        let wanted = |word: &String| name.contains(word.as_str()) || expression.contains(word);
        if !words.is_empty() && !words.iter().any(wanted) {
            continue;
        }
        // Expressions that use fewer inputs than there are leave the rest unused.
        let inputs = if name == "map" || inputs.len() == 2 { inputs } else { &inputs[..1] };
        let kernel = Bench::kernel(name, &params, inputs.len());
        let small = inputs.first().is_some_and(|input| input.nbytes() <= 8 * SMALL as u64);
        let repeats = REPEATS[usize::from(small)];
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = cpu_seconds();
            for _ in 0..repeats {
                drop(bench.run(&kernel, inputs));
            }
            ours.push((cpu_seconds() - start) / f64::from(repeats));
            theirs.extend(
                anchor
                    .as_mut()
                    .and_then(|anchor| anchor.seconds(&format!("{repeats} {expression}"))),
            );
        }
        let ours = least(&ours) * 1e3;
        let (theirs, ratio) = if theirs.is_empty() {
            ("–".to_owned(), "–".to_owned())
        } else {
            let theirs = least(&theirs) * 1e3;
            (format!("{theirs:.4}"), format!("{:.2}", theirs / ours))
        };
        println!("{name:<12} {expression:<46} {ours:>9.4} {theirs:>9} {ratio:>6}");
    }
    match anchor {
        Some(anchor) => anchor.stop(),
        None => {
            println!("not run: numpy, install numpy 2 and set RDASK_BENCH_PYTHON to its python");
        }
    }
}
