//! Reductions and orders beside numpy, in turn in one run: the best of both and their ratio.
//!
//! `cargo bench --bench kernels_reduce [WORD]` measures the rows whose name holds the word. numpy is
//! found as `anchor` says; without numpy 2 the anchor is `–`. The ratio is
//! numpy's time over ours; a ratio below its goal is marked. Both sides have one thread, and only
//! what it computed counts.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod anchor;
mod clock;

use anchor::Anchor;
use clock::thread_seconds;
use rdask::kernels::{Context, Kernel, parse};
use rdask_core::graph::{Param, Params};
use rdask_store::{Sealed, Store};
use std::path::Path;

/// Times that each side is measured; the best counts, since neighbours on the machine only slow.
const ROUNDS: usize = 15;

/// Runs one expression for each line that it is sent, and answers with the seconds it took.
const ANCHOR: &str = r"
import sys, time, warnings
import numpy as np
assert int(np.__version__.split('.')[0]) >= 2
warnings.simplefilter('ignore')
rng = np.random.default_rng(1)
x = rng.random(1_000_000)
arrays = {'f64': x, 'f32': x.astype('f4'), 'i64': (x * 1e6).astype('i8'), 'i32': (x * 1e6).astype('i4')}
shapes = {'1d': (1_000_000,), '2d': (1000, 1000), '3d': (100, 100, 100)}
a = {(d, s): arrays[d].reshape(shapes[s]) for d in arrays for s in shapes}
print('ready', flush=True)
for line in sys.stdin:
    code = compile(line, 'bench', 'eval')
    start = time.thread_time()
    eval(code)
    print(time.thread_time() - start, flush=True)
";

fn kernel(name: &str, params: Vec<(&str, Param)>, inputs: usize) -> Kernel {
    let params: Params = params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    parse(name, &params, inputs).expect("the table holds valid kernels")
}

fn run(store: &Store, kernel: &Kernel, inputs: &[Sealed]) -> Sealed {
    let context = Context {
        store,
        priority: 0,
        threads: 1,
        attempt: 0,
        rank: 0,
        working_directory: Path::new("."),
    };
    kernel.run(&context, inputs).expect("the table holds kernels that succeed")
}

/// A million random numbers of a dtype in a shape.
fn array(store: &Store, dtype: &str, shape: &[i64]) -> Sealed {
    let text = |value: &str| Param::Str(value.to_owned());
    let shape = Param::List(shape.iter().map(|length| Param::Int(*length)).collect());
    let mut params = vec![("shape", shape), ("dtype", text(dtype)), ("seed", Param::Int(7))];
    if dtype.starts_with('i') {
        params.push(("distribution", text("integers")));
        params.push(("high", Param::Int(1_000_000)));
    }
    run(store, &kernel("random", params, 0), &[])
}

/// A kernel on an array of a dtype and shape along an axis, and how fast it must be.
struct Row {
    kernel: &'static str,
    dtype: &'static str,
    shape: &'static str,
    axis: Option<i64>,
    goal: f64,
}

impl Row {
    fn name(&self) -> String {
        let axis = self.axis.map_or("all".to_owned(), |axis| axis.to_string());
        format!("{} {} {} {axis}", self.kernel, self.dtype, self.shape)
    }

    fn expression(&self) -> String {
        let array = format!("a['{}', '{}']", self.dtype, self.shape);
        let axis = self.axis.map_or("None".to_owned(), |axis| axis.to_string());
        match self.kernel {
            "sort" | "argsort" => {
                format!("np.{}({array}, axis={axis}, kind='stable')", self.kernel)
            }
            "topk" => format!("np.sort({array}, axis={axis})[..., -10:]"),
            name => format!("np.{name}({array}, axis={axis})"),
        }
    }

    fn kernel(&self) -> Kernel {
        let mut params = vec![("axis", self.axis.map_or(Param::Null, Param::Int))];
        if self.kernel == "topk" {
            params.push(("k", Param::Int(10)));
        }
        kernel(self.kernel, params, 1)
    }
}

/// numpy is slow along axis 0 of these: it copies, or goes through the array several times.
const SLOW_ON_AXIS_0: [&str; 10] = [
    "var",
    "argmin",
    "argmax",
    "count_nonzero",
    "nansum",
    "nanmean",
    "nanvar",
    "nanargmin",
    "cumsum",
    "sort",
];

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let reductions = [
        "sum",
        "prod",
        "min",
        "max",
        "mean",
        "var",
        "argmin",
        "argmax",
        "any",
        "all",
        "count_nonzero",
        "nansum",
        "nanmean",
        "nanmin",
        "nanvar",
        "nanargmin",
        "cumsum",
    ];
    for kernel in reductions {
        for dtype in ["f64", "f32", "i64", "i32"] {
            let places = [("1d", None), ("2d", Some(0)), ("2d", Some(1))];
            let more = [("3d", Some(0)), ("3d", Some(1)), ("3d", Some(2))];
            for (shape, axis) in places.into_iter().chain(more) {
                // Of integers the nan forms are the plain ones, in numpy too.
                let plain = dtype.starts_with('i') && matches!(kernel, "nansum" | "nanmean");
                let slow = axis == Some(0) && SLOW_ON_AXIS_0.contains(&kernel) && !plain;
                rows.push(Row { kernel, dtype, shape, axis, goal: if slow { 2.0 } else { 1.0 } });
            }
        }
    }
    for kernel in ["sort", "argsort", "topk"] {
        for dtype in ["f64", "i64", "i32", "f32"] {
            for (shape, axis) in [("1d", None), ("2d", Some(0)), ("2d", Some(1))] {
                rows.push(Row { kernel, dtype, shape, axis, goal: 1.0 });
            }
        }
    }
    rows
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min) * 1e3
}

fn main() {
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let store = Store::new(0);
    let shapes = [("1d", &[1_000_000][..]), ("2d", &[1000, 1000]), ("3d", &[100, 100, 100])];
    let mut anchor = Anchor::start(ANCHOR);
    println!("{:<24} {:>9} {:>9} {:>6} {:>5}", "what", "ours/ms", "numpy/ms", "ratio", "goal");
    for row in rows().into_iter().filter(|row| row.name().contains(&word)) {
        let shape = shapes.iter().find(|(name, _)| *name == row.shape).map_or(&[][..], |it| it.1);
        let input = [array(&store, row.dtype, shape)];
        let (kernel, expression) = (row.kernel(), row.expression());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = thread_seconds();
            let result = run(&store, &kernel, &input);
            ours.push(thread_seconds() - start);
            drop(result);
            theirs.extend(anchor.as_mut().and_then(|anchor| anchor.seconds(&expression)));
        }
        let (ours, name, goal) = (best(&ours), row.name(), row.goal);
        if theirs.is_empty() {
            println!("{name:<24} {ours:>9.3} {:>9} {:>6} {goal:>5.1}", "–", "–");
            continue;
        }
        let (theirs, mark) =
            (best(&theirs), if best(&theirs) < goal * ours { "below" } else { "" });
        let ratio = theirs / ours;
        println!("{name:<24} {ours:>9.3} {theirs:>9.3} {ratio:>6.2} {goal:>5.1} {mark}");
    }
    match anchor {
        Some(anchor) => anchor.stop(),
        None => {
            println!("not run: numpy, install numpy 2 and set RDASK_BENCH_PYTHON to its python");
        }
    }
}
