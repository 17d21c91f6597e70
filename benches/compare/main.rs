//! `make compare`: the same graphs in Dask, the smallest task that pays (METG) beside MPI, and what
//! a task costs as graphs grow.
//!
//! Every figure is a median of runs in turn, ours and theirs, with the machine in the heading. What
//! is not here is named with what to install. It takes ten minutes on two cores, so that
//! `make bench`, which runs all benches, leaves it out: the word `run` starts it; words behind it
//! choose graphs, `metg` or `growth`.
#![expect(clippy::print_stdout, reason = "a bench prints its tables")]

mod growth;
mod metg;
mod twins;

use rdask::Graph;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn main() {
    let mut words = std::env::args().skip_while(|word| word != "run");
    if words.next().is_none() {
        println!("comparison with Dask and MPI: left out (make compare)");
        return;
    }
    // Cargo adds its own word.
    let chosen: Vec<String> = words.filter(|word| word != "--bench").collect();
    let bench = Bench::new();
    println!("{}, {} cores", cpu(), bench.cores);
    twins::table(&bench, &chosen);
    let wants = |what: &str| chosen.is_empty() || chosen.iter().any(|word| word == what);
    if wants("growth") {
        growth::table(&bench);
    }
    if wants("metg") {
        metg::tables(&bench);
    }
    // The bench is over; a folder that stays is only untidy.
    let _removed = std::fs::remove_dir_all(&bench.folder);
}

/// What the comparisons share.
struct Bench {
    /// For graphs, programs and results.
    folder: PathBuf,
    cores: usize,
}

impl Bench {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("rdask-compare-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the graphs");
        Self { folder, cores: std::thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Writes a graph as graph.bin.
    fn write(&self, name: &str, graph: &Graph) -> PathBuf {
        let path = self.folder.join(format!("{name}.bin"));
        let mut out = BufWriter::new(File::create(&path).expect("room for the graph"));
        rdask::graph_file::write(graph, &mut out).expect("room for the graph");
        out.flush().expect("room for the graph");
        path
    }

    /// Seconds from a graph's arrival at the scheduler to its last result.
    fn run(&self, graph: &Path, options: &[&str]) -> f64 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdask-hpc"));
        command.arg(graph).args(["--json", "--progress", "none", "--overwrite", "--output"]);
        let output = command.arg(self.folder.join("out")).args(options).stdin(Stdio::null());
        let output = output.output().expect("the binary starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary: serde_json::Value =
            serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|_| {
                panic!("no summary: {}", String::from_utf8_lossy(&output.stderr))
            });
        summary["seconds"].as_f64().expect("seconds are a number")
    }
}

/// The last line of a program's output as a number.
fn number_of(command: &mut Command) -> Option<f64> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().last()?.trim().parse().ok()
}

fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
