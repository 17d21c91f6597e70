//! What a job costs beyond MPI itself: `mpirun -n 4` of a one-task graph beside a bare MPI program
//! (`compare/bare_mpi.c`: init, allgather, broadcast, finalize) of the same size.
//!
//! Ours and the anchor in turn, median of each, for every MPI that has a compiler wrapper, a
//! launcher and a shim beside the release binary. `make build && cargo bench --bench startup`.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Times that ours and the anchor are run in turn.
const ROUNDS: usize = 9;
const RANKS: &str = "4";
/// What ours may take beyond the anchor, in seconds.
const GOAL_SECONDS: f64 = 0.3;

const GRAPH: &str = r#"{"version": 1,
  "tasks": [{"key": "x", "run": {"kernel": "full", "shape": [1], "dtype": "f64", "value": 1}}],
  "outputs": ["x"]}"#;

/// Title, launcher, compiler wrapper, shim.
const MPIS: [[&str; 4]; 2] = [
    ["Open MPI", "mpirun.openmpi", "mpicc.openmpi", "librdask_mpi_openmpi.so"],
    ["MPICH", "mpirun.mpich", "mpicc.mpich", "librdask_mpi_mpich.so"],
];

fn main() {
    let folder = std::env::temp_dir().join(format!("rdask-startup-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the graph");
    std::fs::write(folder.join("graph.json"), GRAPH).expect("the graph");
    println!("{:<34} {:>12} {:>12} {:>8}  goal", "what", "ours", "anchor", "ratio");
    for mpi in MPIS {
        line(&folder, mpi);
    }
    // The bench is over; a folder that stays is only untidy.
    let _removed = std::fs::remove_dir_all(&folder);
}

fn line(folder: &Path, [title, mpirun, mpicc, shim]: [&str; 4]) {
    let name = format!("one task, {RANKS} ranks, {title}");
    let bare = folder.join(mpicc);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/bare_mpi.c");
    let compiled = Command::new(mpicc).arg("-O2").arg("-o").args([&bare, &source]).status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("{name:<34} left out: {mpicc} does not compile (apt-get install it)");
        return;
    }
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_rdask-hpc"));
    if !binary.with_file_name(shim).exists() {
        println!("{name:<34} left out: {shim} is not beside the binary (make build)");
        return;
    }
    let (graph, output) = (folder.join("graph.json"), folder.join("out"));
    let arguments = [graph.as_path(), Path::new("--output"), &output];
    // Once each, so that both are in the page cache.
    timed(mpirun, &bare, &[]);
    timed(mpirun, &binary, &arguments);
    let (ours, anchor): (Vec<f64>, Vec<f64>) = (0..ROUNDS)
        .map(|_| (timed(mpirun, &binary, &arguments), timed(mpirun, &bare, &[])))
        .unzip();
    let (ours, anchor) = (median(ours), median(anchor));
    println!(
        "{name:<34} {ours:>10.3} s {anchor:>10.3} s {:>8.2}  <= anchor + {GOAL_SECONDS} s \
         ({:+.3} s)",
        ours / anchor,
        ours - anchor
    );
}

/// Seconds from the launcher's start to its end.
fn timed(mpirun: &str, program: &Path, arguments: &[&Path]) -> f64 {
    let mut command = Command::new(mpirun);
    command.args(["-n", RANKS]).arg(program).args(arguments);
    for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
        command.env(name, "1");
    }
    command.env("OMPI_MCA_rmaps_base_oversubscribe", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("the launcher starts");
    assert!(status.success(), "{command:?}: {status}");
    begun.elapsed().as_secs_f64()
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}
