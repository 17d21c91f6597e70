//! How good schedules are, in simulated time: makespan over the lower bound on the graphs of the RSDS
//! study, and the most results alive in serial order beside Dask's order.
//!
//! Nothing here is timed, so that the tables are the same on every machine. A graph counts as bound
//! by compute when its mean task takes ten times as long as a round trip and its mean result's way
//! over the link. Dask is taken from the python that `RDASK_BENCH_PYTHON` names.
//!
//! `cargo bench --bench schedule [-- GRAPH…]`
#![expect(clippy::print_stdout, reason = "the tables are the purpose of this program")]

use rdask::Graph;
use rdask::generate::{Request as Wanted, generate};
use rdask::simulate::{Defaults, Report, Request, simulate};
use rdask_core::config::Config;
use rdask_core::graph::{Param, static_order};
use rdask_core::ids::TaskId;
use rdask_core::sim::serial_peak;
use std::io::Write;
use std::process::{Command, Stdio};

/// One way of a message.
const LATENCY_NS: u64 = 20_000;
/// Bytes a second of a machine's link.
const BANDWIDTH: u64 = 1_000_000_000;
/// The goal for graphs that compute.
const GOAL: f64 = 1.25;
/// The goal for `merge_slow-20K-0.1` on 1,512 workers, seconds.
const SLOW_GOAL: f64 = 1.8;
/// Dask's order takes minutes for larger graphs.
const LARGEST_FOR_DASK: usize = 50_000;

/// The graphs of the study; of merge and groupby the smaller ones, whose shape is the same.
const GRAPHS: [&str; 27] = [
    "bag-25K-10",
    "bag-25K-50",
    "bag-25K-100",
    "bag-25K-200",
    "bag-50K-50",
    "merge-10K",
    "merge-100K",
    "merge_slow-5K-0.1",
    "merge_slow-20K-0.1",
    "numpy-50K-10",
    "numpy-50K-50",
    "numpy-50K-100",
    "numpy-50K-200",
    "groupby-90-1S-8H",
    "groupby-90-1S-1H",
    "groupby-360-1S-8H",
    "groupby-360-1S-1H",
    "groupby-1440-1S-8H",
    "groupby-2880-1S-16H",
    "join-1-1S-1H",
    "join-1-1S-1T",
    "join-1-2s-1H",
    "tree-15",
    "vectorizer-1M-300",
    "wordbag-100K-50",
    "xarray-5",
    "xarray-25",
];

fn main() {
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |name: &&str| chosen.is_empty() || chosen.iter().any(|it| it == name);
    let graphs: Vec<&str> = GRAPHS.into_iter().filter(|name| is_chosen(name)).collect();
    println!("simulated: latency {} µs, {BANDWIDTH} bytes a second", LATENCY_NS / 1000);
    println!("\n| graph | bound by | 24 workers | ratio | 168 workers | ratio | goal |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for name in &graphs {
        let (few, many) = (run(name, 24), run(name, 168));
        let bound = bound_by(&graph(name));
        let cell = |report: &Report| {
            let ratio = report.ratio.expect("nothing errs without faults");
            format!("{:.3} s | {ratio:.2}", report.makespan)
        };
        let goal = if bound == "compute" { format!("at most {GOAL}") } else { "–".to_owned() };
        println!("| {name} | {bound} | {} | {} | {goal} |", cell(&few), cell(&many));
    }
    let slow = "merge_slow-20K-0.1";
    if is_chosen(&slow) {
        let report = run(slow, 1512);
        println!(
            "\n{slow} on 1,512 workers: {:.3} s, goal at most {SLOW_GOAL} s (bound {:.3} s)",
            report.makespan, report.lower_bound.work
        );
    }
    peaks(&graphs);
}

/// The most results alive in serial order, ours beside Dask's.
fn peaks(graphs: &[&str]) {
    let Some(python) = std::env::var_os("RDASK_BENCH_PYTHON") else {
        println!("\norder beside Dask's: left out (RDASK_BENCH_PYTHON names a python with dask)");
        return;
    };
    println!("\n| graph | tasks | ours | Dask | ratio | ours, bytes | Dask, bytes | ratio |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for name in graphs {
        let graph = graph(name);
        if graph.len() > LARGEST_FOR_DASK {
            continue;
        }
        let nbytes = |task: TaskId| number(&graph, task, "size").unwrap_or(8.0) as u64;
        let ours = serial_peak(&graph, &static_order(&graph), nbytes);
        let Some(order) = dask_order(&python, &graph) else {
            println!("order beside Dask's: left out (this python has no dask)");
            return;
        };
        let dask = serial_peak(&graph, &order, nbytes);
        println!(
            "| {name} | {} | {} | {} | {:.2} | {} | {} | {:.2} |",
            graph.len(),
            ours.0,
            dask.0,
            ours.0 as f64 / dask.0 as f64,
            ours.1,
            dask.1,
            ours.1 as f64 / dask.1 as f64
        );
    }
}

/// Position of each task in Dask's order.
fn dask_order(python: &std::ffi::OsStr, graph: &Graph) -> Option<Vec<u32>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/dask_order.py");
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut text = String::new();
    for index in 0..graph.len() {
        let inputs = graph.inputs.row(TaskId::from_index(index)).iter();
        let inputs: Vec<String> = inputs.map(|input| input.0.to_string()).collect();
        text.push_str(&format!("{} {}\n", index, inputs.join(" ")));
    }
    let mut stdin = child.stdin.take()?;
    let feeder = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().ok()?;
    // A python that ended early closed the pipe; its output then says so.
    let _fed = feeder.join();
    let text = String::from_utf8(output.stdout).ok()?;
    let order: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (order.len() == graph.len()).then_some(order)
}

fn graph(name: &str) -> Graph {
    let wanted = Wanted { family: name.to_owned(), ..Wanted::default() };
    generate(&wanted).expect("a graph of the study")
}

fn run(name: &str, workers: u32) -> Report {
    let request = Request {
        workers,
        threads: 1,
        latency_ns: LATENCY_NS,
        bandwidth: BANDWIDTH,
        seed: 0,
        faults: Vec::new(),
        defaults: Defaults { duration_ns: 0, nbytes: 8 },
        config: Config::default(),
        validate: false,
    };
    simulate(graph(name), &request).expect("a graph of the study ends")
}

/// A numeric parameter of a task.
fn number(graph: &Graph, task: TaskId, name: &str) -> Option<f64> {
    let params = graph.spec(task).params();
    match &params.iter().find(|(known, _)| known == name)?.1 {
        Param::Int(value) => Some(*value as f64),
        Param::Float(value) => Some(*value),
        _ => None,
    }
}

/// What the graph's mean task spends its time with.
fn bound_by(graph: &Graph) -> &'static str {
    let count = graph.len() as f64;
    let tasks = || (0..graph.len()).map(TaskId::from_index);
    let mean = |name| tasks().filter_map(|task| number(graph, task, name)).sum::<f64>() / count;
    let (task_ns, way_ns) = (mean("us") * 1e3, mean("size") * 1e9 / BANDWIDTH as f64);
    let trip_ns = 2.0 * LATENCY_NS as f64;
    if task_ns >= 10.0 * (trip_ns + way_ns) {
        "compute"
    } else if way_ns > trip_ns {
        "bytes"
    } else {
        "messages"
    }
}
