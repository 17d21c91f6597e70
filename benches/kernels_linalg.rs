//! Linear algebra, stencils and Fourier transforms beside numpy on one thread, in turn in one run.
//!
//! `cargo bench --bench kernels_linalg`. numpy is found as `anchor` says;
//! without numpy 2 there is nothing to compare with and the bench says so. The ratio is numpy's time
//! over ours, so more is better; the goal is the project's promise, where there is one.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod anchor;
mod clock;

use anchor::Anchor;
use clock::thread_seconds;
use rdask::kernels::{Context, Kernel, parse};
use rdask_core::graph::{Param, Params};
use rdask_store::{Sealed, Store};
use std::path::Path;

/// Times that each side is measured; the median counts.
const ROUNDS: usize = 7;

/// Runs one expression for each line that it is sent, and answers with the seconds it took.
const ANCHOR: &str = r"
import sys, time
import numpy as np
assert int(np.__version__.split('.')[0]) >= 2
rng = np.random.default_rng(1)
m, w = rng.random((1000, 1000)), rng.random((1000, 1000))
f = m.astype('f4')
z = m + 1j * w
spd = m @ m.T + 1000 * np.eye(1000)
big = rng.random((2048, 2048))
big = big @ big.T + 2048 * np.eye(2048)
x = rng.random(1 << 20)
prime = rng.random((64, 10007))
c = x + 0j
grid = rng.random((4096, 4096))
def heat(u):
    out = u * 0.6
    inner = out[1:-1, 1:-1]
    inner += 0.1 * u[:-2, 1:-1]
    inner += 0.1 * u[2:, 1:-1]
    inner += 0.1 * u[1:-1, :-2]
    inner += 0.1 * u[1:-1, 2:]
    return out
print('ready', flush=True)
for line in sys.stdin:
    code = compile(line, 'bench', 'eval')
    start = time.thread_time()
    eval(code)
    print(time.thread_time() - start, flush=True)
";

/// Runs kernels on one thread.
struct Bench {
    store: Store,
}

impl Bench {
    fn run(&self, kernel: &Kernel, inputs: &[Sealed]) -> Sealed {
        let context = Context {
            store: &self.store,
            priority: 0,
            threads: 1,
            attempt: 0,
            rank: 0,
            working_directory: Path::new("."),
        };
        kernel.run(&context, inputs).expect("the table holds kernels that succeed")
    }

    fn result(&self, name: &str, params: &[(&str, Param)], inputs: &[Sealed]) -> Sealed {
        self.run(&kernel(name, params, inputs.len()), inputs)
    }

    fn random(&self, shape: &[i64], seed: i64) -> Sealed {
        let params = [("shape", list(shape)), ("dtype", text("f64")), ("seed", Param::Int(seed))];
        self.result("random", &params, &[])
    }

    /// A symmetric matrix with positive eigenvalues.
    fn definite(&self, size: i64) -> Sealed {
        let root = self.random(&[size, size], 7);
        let eye = [("n", Param::Int(size)), ("dtype", text("f64"))];
        let eye = self.result("eye", &eye, &[]);
        let params = [("beta", Param::Int(size))];
        self.result("syrk", &params, &[root, eye])
    }
}

fn kernel(name: &str, params: &[(&str, Param)], inputs: usize) -> Kernel {
    let params: Params =
        params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    parse(name, &params, inputs).expect("the table holds valid kernels")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn text(value: &str) -> Param {
    Param::Str(value.to_owned())
}

fn list(values: &[i64]) -> Param {
    Param::List(values.iter().map(|value| Param::Int(*value)).collect())
}

/// A kernel, its parameters and inputs, what numpy computes for it, and the ratio promised.
struct Row {
    name: &'static str,
    params: Vec<(&'static str, Param)>,
    inputs: Vec<Sealed>,
    anchor: &'static str,
    goal: Option<f64>,
}

fn rows(bench: &Bench) -> Vec<Row> {
    let row = |name, params, inputs: &[Sealed], anchor, goal| Row {
        name,
        params,
        inputs: inputs.to_vec(),
        anchor,
        goal,
    };
    let square = [bench.random(&[1000, 1000], 4), bench.random(&[1000, 1000], 5)];
    let single = [bench.result("astype", &[("dtype", text("f32"))], &square[..1])];
    let complex = [bench.result("astype", &[("dtype", text("c128"))], &square[..1])];
    let (spd, big) = (bench.definite(1000), bench.definite(2048));
    let long = [bench.random(&[1 << 20], 6)];
    let waves = [bench.result("astype", &[("dtype", text("c128"))], &long)];
    let prime = [bench.random(&[64, 10_007], 8)];
    let grid = [bench.random(&[4096, 4096], 9)];
    let right = || vec![("side", text("right")), ("trans", Param::Bool(true))];
    let cross: Vec<Param> =
        [[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]].iter().map(|offset| list(offset)).collect();
    let weights = [0.6, 0.1, 0.1, 0.1, 0.1].map(Param::Float).to_vec();
    let heat =
        || vec![("offsets", Param::List(cross.clone())), ("weights", Param::List(weights.clone()))];
    let axis = |axis| vec![("axis", Param::Int(axis))];
    vec![
        row("matmul", vec![], &square, "m @ w", Some(0.75)),
        row("matmul", vec![], &[single[0].clone(), single[0].clone()], "f @ f", Some(0.75)),
        row("matmul", vec![], &[complex[0].clone(), complex[0].clone()], "z @ z", Some(0.75)),
        row("syrk", vec![], &square[..1], "m @ m.T", None),
        row("cholesky", vec![], std::slice::from_ref(&spd), "np.linalg.cholesky(spd)", Some(0.6)),
        row("cholesky", vec![], &[big], "np.linalg.cholesky(big)", Some(0.6)),
        row("trsm", right(), &[spd, square[0].clone()], "np.linalg.solve(spd, m)", None),
        row("qr", vec![("part", text("r"))], &square[..1], "np.linalg.qr(m, 'r')", None),
        row("qr", vec![("part", text("q"))], &square[..1], "np.linalg.qr(m)[0]", None),
        row("norm", vec![], &square[..1], "np.linalg.norm(m)", None),
        row("fft", vec![], &long, "np.fft.fft(x)", Some(1.0)),
        row("fft", vec![], &waves, "np.fft.fft(c)", Some(1.0)),
        row("fft", vec![], &square[..1], "np.fft.fft(m)", Some(1.0)),
        row("fft", axis(0), &square[..1], "np.fft.fft(m, axis=0)", Some(1.0)),
        row("fft", vec![], &complex, "np.fft.fft(z)", Some(1.0)),
        row("fft", vec![], &single, "np.fft.fft(f)", Some(1.0)),
        row("fft", vec![], &prime, "np.fft.fft(prime)", Some(1.0)),
        row("stencil", heat(), &grid, "grid.copy()", None),
        row("stencil", heat(), &grid, "heat(grid)", Some(1.0)),
    ]
}

fn main() {
    let bench = Bench { store: Store::new(0) };
    let Some(mut anchor) = Anchor::start(ANCHOR) else {
        println!("not run: numpy, install numpy 2 and set RDASK_BENCH_PYTHON to its python");
        return;
    };
    println!(
        "{:<10} {:<26} {:>9} {:>9} {:>6} {:>5}",
        "kernel", "numpy's", "ours/ms", "numpy/ms", "ratio", "goal"
    );
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    for row in rows(&bench) {
        if !wanted.is_empty() && !wanted.iter().any(|word| row.name.contains(word.as_str())) {
            continue;
        }
        let kernel = kernel(row.name, &row.params, row.inputs.len());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = thread_seconds();
            drop(bench.run(&kernel, &row.inputs));
            ours.push(thread_seconds() - start);
            theirs.extend(anchor.seconds(row.anchor));
        }
        let goal = row.goal.map_or_else(|| "–".to_owned(), |goal| format!("{goal:.2}"));
        if theirs.is_empty() {
            println!("{:<10} {:<26} numpy has failed", row.name, row.anchor);
            break;
        }
        let (ours, theirs) = (median(ours) * 1e3, median(theirs) * 1e3);
        let ratio = theirs / ours;
        println!(
            "{:<10} {:<26} {ours:>9.3} {theirs:>9.3} {ratio:>6.2} {goal:>5}",
            row.name, row.anchor
        );
    }
    anchor.stop();
}
