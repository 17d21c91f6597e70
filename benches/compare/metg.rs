//! METG(50 %): the mean task duration at which half of the machine's speed is left, by Task Bench's
//! method, beside a small MPI program.
//!
//! stencil_1d with the compute-bound kernel; iterations fall by powers of two. The peak is the best
//! speed of any run of either system, runs are taken in turn, the coarse ones as often as the fine
//! ones, and a point is the median. The kernel is one piece of C in both.

use super::{Bench, median, number_of};
use rdask::generate::{Knob, Request, generate};
use rdask::{Graph, Param, RunSpec};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Times that each point is run.
const ROUNDS: usize = 5;
/// Iterations of the coarsest and the finest tasks, as powers of two.
const COARSEST: u32 = 20;
const FINEST: u32 = 6;
/// Operations of one iteration.
const OPERATIONS: f64 = 128.0;
/// Points of a step for each core: Task Bench's own, and enough to have a choice.
const POINTS_PER_CORE: [usize; 2] = [1, 8];
/// What a run takes at least where the kernel itself fills it, seconds, and the time that one
/// iteration is taken for: they only choose the number of steps.
const RUN_SECONDS: f64 = 0.3;
const ITERATION_SECONDS: f64 = 3e-9;
/// Task Bench runs 1000 steps; coarse tasks need fewer.
const MOST_STEPS: u64 = 1000;
const LEAST_STEPS: u64 = 50;

/// Launcher and compiler wrapper of each MPI.
const MPIS: [[&str; 2]; 3] =
    [["mpirun.openmpi", "mpicc.openmpi"], ["mpirun.mpich", "mpicc.mpich"], ["mpirun", "mpicc"]];

/// One table for each width.
pub(super) fn tables(bench: &Bench) {
    println!("\nMETG(50 %), stencil_1d, 16 bytes, median of {ROUNDS} runs in turn, shared peak");
    let Some(programs) = Programs::build(bench) else { return };
    for points in POINTS_PER_CORE {
        table(bench, &programs, (points * bench.cores) as u64);
    }
}

/// The plugin, and the MPI program where there is an MPI.
struct Programs {
    plugin: PathBuf,
    mpi: Option<(&'static str, PathBuf)>,
}

impl Programs {
    fn build(bench: &Bench) -> Option<Self> {
        let plugin = bench.folder.join("libcompute.so");
        if !compile("cc", "compute_plugin.c", &["-shared", "-fPIC"], &plugin) {
            println!("not run: no C compiler (apt-get install gcc)");
            return None;
        }
        let program = bench.folder.join("metg");
        let mut mpis = MPIS.into_iter();
        let found = mpis.find(|[_, mpicc]| compile(mpicc, "metg.c", &[], &program));
        if found.is_none() {
            println!("not run: MPI (apt-get install openmpi-bin libopenmpi-dev)");
        }
        Some(Self { plugin, mpi: found.map(|[mpirun, _]| (mpirun, program)) })
    }

    /// Seconds of the MPI program.
    fn mpi_seconds(&self, ranks: usize, run: Sweep) -> Option<f64> {
        let (mpirun, program) = self.mpi.as_ref()?;
        let mut command = Command::new(mpirun);
        for name in ["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] {
            command.env(name, "1").env(name.replace("OMPI", "PRTE"), "1");
        }
        command.arg("-n").arg(ranks.to_string()).arg(program);
        let numbers = [run.width, run.steps, run.iterations];
        number_of(command.args(numbers.map(|number| number.to_string())))
    }
}

fn compile(compiler: &str, source: &str, options: &[&str], program: &Path) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(compiler);
    command.args(["-O3", "-march=native"]).args(options).arg("-I").arg(root.join("include"));
    command.arg("-o").arg(program).arg(root.join("benches/compare").join(source));
    command.status().is_ok_and(|status| status.success())
}

/// One point of the sweep.
#[derive(Clone, Copy)]
struct Sweep {
    width: u64,
    steps: u64,
    iterations: u64,
}

impl Sweep {
    fn new(width: u64, cores: usize, power: u32) -> Self {
        let iterations = 1_u64 << power;
        let step = iterations as f64 * ITERATION_SECONDS * width as f64 / cores as f64;
        let steps = ((RUN_SECONDS / step) as u64).clamp(LEAST_STEPS, MOST_STEPS);
        Self { width, steps, iterations }
    }

    fn tasks(self) -> f64 {
        (self.width * self.steps) as f64
    }

    /// The pattern with the plugin's kernel as its one run spec.
    fn graph(self, plugin: &Path) -> Graph {
        let request = Request {
            family: "stencil_1d".to_owned(),
            sizes: vec![(Knob::Width, self.width), (Knob::Steps, self.steps)],
            ..Request::default()
        };
        let mut graph = generate(&request).expect("the sizes are right");
        let iterations = Param::from(self.iterations);
        graph.specs = vec![RunSpec::Plugin {
            path: plugin.display().to_string(),
            symbol: "compute_bound".to_owned(),
            params: vec![("iterations".to_owned(), iterations)],
        }];
        graph
    }
}

fn table(bench: &Bench, programs: &Programs, width: u64) {
    let cores = bench.cores;
    let sweep: Vec<Sweep> =
        (FINEST..=COARSEST).rev().map(|power| Sweep::new(width, cores, power)).collect();
    let graphs: Vec<PathBuf> = sweep
        .iter()
        .map(|run| bench.write(&format!("metg-{}", run.iterations), &run.graph(&programs.plugin)))
        .collect();
    // Seconds by system, point and round.
    let mut seconds = [(); 2].map(|()| vec![Vec::new(); sweep.len()]);
    for _ in 0..ROUNDS {
        for (at, run) in sweep.iter().enumerate() {
            let threads = cores.to_string();
            let options = ["--workers", "1", "--threads", threads.as_str()];
            seconds[0][at].push(bench.run(&graphs[at], &options));
            seconds[1][at].extend(programs.mpi_seconds(cores, *run));
        }
    }
    let speed =
        |run: &Sweep, seconds: f64| run.tasks() * run.iterations as f64 * OPERATIONS / seconds;
    let all = seconds.iter().flat_map(|system| sweep.iter().zip(system));
    let peak = all
        .flat_map(|(run, rounds)| rounds.iter().map(|seconds| speed(run, *seconds)))
        .fold(0.0, f64::max);
    println!("\nwidth {width}, peak {:.1} GFLOP/s", peak / 1e9);
    println!(
        "{:>10} {:>6} {:>12} {:>6} {:>12} {:>6}",
        "iterations", "steps", "ours", "", "MPI", ""
    );
    let mut curves = [Vec::new(), Vec::new()];
    for (at, run) in sweep.iter().enumerate() {
        print!("{:>10} {:>6}", run.iterations, run.steps);
        for (system, curve) in seconds.iter().zip(&mut curves) {
            if system[at].is_empty() {
                print!(" {:>12} {:>6}", "-", "-");
                continue;
            }
            let taken = median(system[at].clone());
            let (grain, part) = (taken * cores as f64 / run.tasks(), speed(run, taken) / peak);
            print!(" {:>9.1} us {:>4.0} %", grain * 1e6, part * 100.0);
            curve.push((grain, part));
        }
        println!();
    }
    for (name, curve) in ["ours", "MPI"].iter().zip(&curves) {
        match metg(curve) {
            Some(grain) => println!("METG(50 %) {name}: {:.1} us", grain * 1e6),
            None => println!("METG(50 %) {name}: the sweep does not cross 50 %"),
        }
    }
}

/// Where the efficiency crosses one half on the way to finer tasks, between two points by their
/// logarithms. A curve holds mean duration of a task and efficiency, the coarsest first.
fn metg(curve: &[(f64, f64)]) -> Option<f64> {
    let pair = curve.windows(2).find(|pair| pair[0].1 >= 0.5 && pair[1].1 < 0.5)?;
    let [(coarse, above), (fine, below)] = [pair[0], pair[1]];
    let part = (above - 0.5) / (above - below);
    Some((coarse.ln() + part * (fine.ln() - coarse.ln())).exp())
}
