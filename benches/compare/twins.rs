//! Graphs of both studies in Dask, task by task: the same keys, edges and output sizes.
//!
//! Tasks take no time of their own, so that a line is what a task costs the runtime. Both sides
//! have a process with one thread for each core; Dask's time begins when its client gets the graph.

use super::{Bench, median, number_of};
use rdask::generate::{Knob, Request, generate};
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Times that each is run in turn.
const ROUNDS: usize = 3;

/// `distributed.scheduler.worker-saturation`: Dask's default, and without queuing.
const SATURATIONS: [&str; 2] = ["1.1", "inf"];

/// Families and sizes: two or three thousand tasks, which take Dask some seconds.
const GRAPHS: &[(&str, &[(Knob, u64)])] = &[
    ("merge", &[(Knob::N, 2500)]),
    ("tree", &[(Knob::Depth, 11)]),
    ("numpy", &[(Knob::Size, 3000), (Knob::Chunks, 30)]),
    ("bag", &[(Knob::Partitions, 30)]),
    ("groupby", &[(Knob::Partitions, 270)]),
    ("join", &[(Knob::Partitions, 24)]),
    ("xarray-25", &[]),
    ("trivial", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("no_comm", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("stencil_1d", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("fft_butterfly", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("nearest", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("spread", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("random_nearest", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("all_to_all", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("dom", &[(Knob::Width, 50), (Knob::Steps, 50)]),
    ("tree_tb", &[(Knob::Width, 50), (Knob::Steps, 50)]),
];

/// One line for each graph, or for those that were chosen.
pub(super) fn table(bench: &Bench, chosen: &[String]) {
    let is_chosen = |family: &str| chosen.is_empty() || chosen.iter().any(|word| word == family);
    let graphs: Vec<_> = GRAPHS.iter().filter(|(family, _)| is_chosen(family)).collect();
    if graphs.is_empty() {
        return;
    }
    println!("\nOne task in microseconds, median of {ROUNDS} runs in turn; Dask with");
    println!("worker-saturation {} and {}", SATURATIONS[0], SATURATIONS[1]);
    let Some(python) = std::env::var_os("RDASK_BENCH_PYTHON") else {
        println!("not run: Dask (pip install dask distributed; RDASK_BENCH_PYTHON=its python)");
        return;
    };
    println!(
        "{:<16} {:>7} {:>8} {:>9} {:>9} {:>9} {:>9}",
        "graph", "tasks", "ours", "Dask 1.1", "Dask inf", "ratio", "ratio"
    );
    for (family, sizes) in graphs {
        line(bench, Path::new(&python), family, sizes);
    }
}

fn line(bench: &Bench, python: &Path, family: &str, sizes: &[(Knob, u64)]) {
    let request = Request {
        family: family.to_owned(),
        sizes: sizes.to_vec(),
        task_us: Some(0.0),
        ..Request::default()
    };
    let graph = generate(&request).expect("the sizes are right");
    let path = bench.write(family, &graph);
    let json = path.with_extension("json");
    let out = File::create(&json).expect("room for the graph");
    rdask::graph_json::export(&graph, out).expect("room for the graph");
    let workers = bench.cores.to_string();
    let dask = |saturation: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/dask_replay.py");
        number_of(Command::new(python).arg(script).arg(&json).args([&workers, saturation]))
    };
    let mut seconds: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        seconds[0].push(bench.run(&path, &["--workers", &workers, "--threads", "1"]));
        for (column, saturation) in SATURATIONS.iter().enumerate() {
            let Some(taken) = dask(saturation) else {
                println!("{family:<16} not run: Dask failed (pip install dask distributed)");
                return;
            };
            seconds[column + 1].push(taken);
        }
    }
    let tasks = graph.len();
    let [ours, queued, free] = seconds.map(|seconds| median(seconds) / tasks as f64 * 1e6);
    println!(
        "{family:<16} {tasks:>7} {ours:>8.1} {queued:>9.1} {free:>9.1} {:>8.1}x {:>8.1}x",
        queued / ours,
        free / ours
    );
}
