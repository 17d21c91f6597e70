//! Kernels beside numpy, in turn in one run: medians of both and their ratio.
//!
//! `cargo bench --bench kernels`. numpy is found through RDASK_TEST_PYTHON, else `python3`; without
//! numpy 2 the anchor is `–`. The ratio is numpy's time over ours, so more is better.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use rdask::kernels::{Context, Kernel, parse};
use rdask_core::graph::{Param, Params};
use rdask_store::{Sealed, Store};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// Times that each side is measured; the median counts.
const ROUNDS: usize = 9;

/// Runs one expression for each line that it is sent, and answers with the seconds it took.
const ANCHOR: &str = r"
import sys, time
import numpy as np
assert int(np.__version__.split('.')[0]) >= 2
rng = np.random.default_rng(1)
x, y, z = (rng.random(1_000_000) for _ in range(3))
m = rng.random((1000, 1000))
f = x.astype('f4')
i = (x * 1000).astype('i8')
print('ready', flush=True)
for line in sys.stdin:
    code = compile(line, 'bench', 'eval')
    start = time.perf_counter()
    eval(code)
    print(time.perf_counter() - start, flush=True)
";

struct Anchor {
    child: Child,
    send: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Anchor {
    fn start() -> Option<Self> {
        let python = std::env::var("RDASK_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut child = Command::new(python)
            .args(["-c", ANCHOR])
            .env("OPENBLAS_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let send = child.stdin.take()?;
        let answers = BufReader::new(child.stdout.take()?);
        let mut anchor = Self { child, send, answers };
        (anchor.line()? == "ready").then_some(anchor)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        Some(line.trim().to_owned())
    }

    fn seconds(&mut self, expression: &str) -> Option<f64> {
        writeln!(self.send, "{expression}").ok()?;
        self.line()?.parse().ok()
    }

    fn stop(mut self) {
        drop(self.send);
        // The child ends with its input; its status says nothing more.
        drop(self.child.wait());
    }
}

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

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn text(value: &str) -> Param {
    Param::Str(value.to_owned())
}

/// Name, parameters and inputs of a kernel, and what numpy computes for it.
type Row<'a> = (&'a str, Vec<(&'a str, Param)>, &'a [Sealed], &'a str);

fn main() {
    let bench = Bench { store: Store::new(0) };
    let three = [1, 2, 3].map(|seed| bench.random(&[1_000_000], seed));
    let matrix = [bench.random(&[1000, 1000], 4), bench.random(&[1000, 1000], 5)];
    let astype = |dtype: &str| Bench::kernel("astype", &[("dtype", text(dtype))], 1);
    let single = [bench.run(&astype("f32"), &three[..1])];
    let scaled = Bench::kernel("map", &[("expr", text("a * 1000"))], 1);
    let whole = [bench.run(&astype("i64"), &[bench.run(&scaled, &three[..1])])];
    let expr = |value: &str| vec![("expr", text(value))];
    let axis = |value: i64| vec![("axis", Param::Int(value))];
    let reversed =
        Param::List(vec![Param::Null, Param::List([0, 1000, 2].map(Param::Int).to_vec())]);
    let rows: Vec<Row<'_>> = vec![
        ("map", expr("a * 2 + b - c / 3"), &three, "x * 2 + y - z / 3"),
        ("map", expr("(a + b) * c"), &three, "(x + y) * z"),
        ("map", expr("where(a > b, a, c) + 1"), &three, "np.where(x > y, x, z) + 1"),
        ("map", expr("sqrt(a * a + b * b)"), &three, "np.sqrt(x * x + y * y)"),
        ("map", expr("a * 3 + 1"), &single, "f * 3 + 1"),
        ("map", expr("a * 3 // 7"), &whole, "i * 3 // 7"),
        ("map", expr("exp(a)"), &three, "np.exp(x)"),
        ("map", expr("sin(a)"), &three, "np.sin(x)"),
        ("sum", vec![], &three[..1], "x.sum()"),
        ("sum", vec![], &single, "f.sum()"),
        ("sum", vec![], &whole, "i.sum()"),
        ("sum", axis(0), &matrix[..1], "m.sum(axis=0)"),
        ("sum", axis(1), &matrix[..1], "m.sum(axis=1)"),
        ("mean", vec![], &three[..1], "x.mean()"),
        ("var", vec![], &three[..1], "x.var()"),
        ("var", axis(0), &matrix[..1], "m.var(axis=0)"),
        ("max", vec![], &three[..1], "x.max()"),
        ("max", axis(0), &matrix[..1], "m.max(axis=0)"),
        ("min", vec![], &whole, "i.min()"),
        ("astype", vec![("dtype", text("f32"))], &three[..1], "x.astype('f4')"),
        ("transpose", vec![], &matrix[..1], "m.T.copy()"),
        ("slice", vec![("ranges", reversed)], &matrix[..1], "m[:, 0:1000:2].copy()"),
        ("concatenate", vec![], &matrix, "np.concatenate([m, m])"),
        ("matmul", vec![], &matrix, "m @ m"),
    ];
    let mut anchor = Anchor::start();
    println!(
        "{:<12} {:<28} {:>9} {:>9} {:>6}",
        "kernel", "numpy's", "ours/ms", "numpy/ms", "ratio"
    );
    for (name, params, inputs, expression) in rows {
        // Expressions that use fewer inputs than there are leave the rest unused.
        let inputs = if name == "map" || inputs.len() == 2 { inputs } else { &inputs[..1] };
        let kernel = Bench::kernel(name, &params, inputs.len());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let result = bench.run(&kernel, inputs);
            ours.push(start.elapsed().as_secs_f64());
            drop(result);
            theirs.extend(anchor.as_mut().and_then(|anchor| anchor.seconds(expression)));
        }
        let ours = median(ours) * 1e3;
        let (theirs, ratio) = if theirs.is_empty() {
            ("–".to_owned(), "–".to_owned())
        } else {
            let theirs = median(theirs) * 1e3;
            (format!("{theirs:.3}"), format!("{:.2}", theirs / ours))
        };
        println!("{name:<12} {expression:<28} {ours:>9.3} {theirs:>9} {ratio:>6}");
    }
    match anchor {
        Some(anchor) => anchor.stop(),
        None => println!("not run: numpy, install numpy 2 and set RDASK_TEST_PYTHON to its python"),
    }
}
