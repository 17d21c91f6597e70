//! The examples hello, tiled_matmul, column_statistics, cholesky and heat_stencil in small form:
//! their own graph makers and checks, the same bytes alone, with several workers and under both MPIs.

use crate::support::oracle::{Python, numpy};
use crate::support::results::Results;
use crate::support::{Launcher, Start};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

#[path = "../examples/tiled_matmul/graph.rs"]
mod tiled_matmul;

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

/// Runs a graph in every way, each time with the check, and expects the same bytes.
struct Trial<'a> {
    folder: &'a Path,
    graph: PathBuf,
    options: &'a [&'a str],
}

impl Trial<'_> {
    fn out(&self) -> PathBuf {
        self.folder.join("results")
    }

    /// Runs it, has `check` look at the results, and removes them.
    fn run(&self, launcher: Launcher, options: &[&str], check: &impl Fn(&Results)) -> Results {
        let outcome = Start::new(launcher)
            .args([&self.graph, Path::new("--output"), &self.out()])
            .args(["--json", "--validate"])
            .args(self.options)
            .args(options)
            .finish()
            .expect_code(0);
        let results =
            Results::read(&self.out(), serde_json::from_str(outcome.last_line()).unwrap());
        check(&results);
        fs::remove_dir_all(self.out()).unwrap();
        results
    }

    /// Names of the files that every way gave.
    #[track_caller]
    fn everywhere(&self, check: impl Fn(&Results)) -> Vec<String> {
        let first = self.run(Launcher::Local, &["--workers", "1"], &check);
        let two = self.run(Launcher::Local, &["--workers", "2"], &check);
        first.expect_equal(&two, "two local workers");
        for launcher in
            [Launcher::OpenMpi(1), Launcher::OpenMpi(3), Launcher::Mpich(2), Launcher::Mpich(4)]
        {
            if launcher.available() {
                let other = self.run(launcher, &[], &check);
                first.expect_equal(&other, &format!("{launcher:?}"));
            }
        }
        first.files.into_keys().collect()
    }
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file)
}

fn run_script(python: &Python, file: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> String {
    python.run_file(&format!("examples/{file}"), arguments.iter().map(|it| it.as_ref()))
}

#[test]
fn hello_gives_what_its_readme_says() {
    let Some(python) = numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let trial = Trial { folder: folder.path(), graph: example("hello/graph.json"), options: &[] };
    let expected = fs::read_to_string(example("hello/expected.txt")).unwrap();
    let files = trial.everywhere(|_| {
        let show = "import numpy as np, sys\nfor name in 'squares', 'total':\n    \
                    print(name, np.load(f'{sys.argv[1]}/{name}.npy').tolist())";
        assert_eq!(python.run(show, [trial.out()]), expected);
    });
    assert_eq!(files, ["squares.npy", "total.npy"]);
}

#[test]
fn tiles_of_a_product_become_one_file() {
    let Some(python) = numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let rows = ["--rows", "96"];
    let make: [&dyn AsRef<std::ffi::OsStr>; 4] = [&rows[0], &rows[1], &"--folder", &folder.path()];
    run_script(&python, "tiled_matmul/make_input.py", &make);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let product = tiled_matmul::Product { a: path("a.npy"), b: path("b.npy"), rows: 96, tile: 24 };
    let graph = product.graph().unwrap();
    assert_eq!(graph.len(), 2 * 16 + 64);
    rdask::graph_file::write(&graph, File::create(path("graph.bin")).unwrap()).unwrap();
    let trial = Trial { folder: folder.path(), graph: path("graph.bin").into(), options: &[] };
    let files = trial.everywhere(|_| {
        let [a, b] = [path("a.npy"), path("b.npy")];
        run_script(&python, "tiled_matmul/check.py", &[&a, &b, &trial.out()]);
    });
    assert_eq!(files, ["C.npy"]);
}

#[test]
fn a_tiled_cholesky_factor_gives_the_matrix_back() {
    let Some(python) = numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let graph = folder.path().join("graph.bin");
    Start::new(Launcher::Local)
        .args(["graph", "generate", "cholesky", "--n", "150", "--block", "30"])
        .args(["--seed", "7", "--real", "-o"])
        .args([&graph])
        .finish()
        .expect_code(0);
    let trial = Trial { folder: folder.path(), graph, options: &[] };
    let files = trial.everywhere(|_| {
        let arguments: [&dyn AsRef<std::ffi::OsStr>; 5] =
            [&trial.out(), &"--block", &"30", &"--seed", &"7"];
        run_script(&python, "cholesky/check.py", &arguments);
    });
    assert_eq!(files, ["L.npy"]);
}

#[test]
fn heat_spreads_as_in_numpy_to_the_last_bit() {
    let Some(python) = numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [start, graph] = ["start.npy", "graph.json"].map(|name| folder.path().join(name));
    run_script(&python, "heat_stencil/make_input.py", &[&start, &"--rows", &"64"]);
    // Three tiles along each edge, the last ones of 14 points.
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 6] =
        [&start, &graph, &"--tile", &"25", &"--steps", &"20"];
    run_script(&python, "heat_stencil/make_graph.py", &arguments);
    let trial = Trial { folder: folder.path(), graph, options: &[] };
    let files = trial.everywhere(|_| {
        let arguments: [&dyn AsRef<std::ffi::OsStr>; 4] = [&start, &trial.out(), &"--steps", &"20"];
        run_script(&python, "heat_stencil/check.py", &arguments);
    });
    assert_eq!(files, ["plate.npy"]);
}

/// Writes a table of `mib` MiB in 100 columns and the graph of its statistics.
fn table(python: &Python, folder: &Path, mib: u64, block_mib: &str) -> (PathBuf, PathBuf) {
    let (table, graph) = (folder.join("table.npy"), folder.join("graph.json"));
    let gib = (mib as f64 / 1024.0).to_string();
    run_script(
        python,
        "column_statistics/make_input.py",
        &[&table, &"--gib", &gib, &"--columns", &"100"],
    );
    run_script(
        python,
        "column_statistics/make_graph.py",
        &[&table, &graph, &"--block-mib", &block_mib],
    );
    (table, graph)
}

#[test]
fn statistics_of_columns_are_numpys() {
    let Some(python) = numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Blocks of 0.3 MiB, whose last one is shorter.
    let (table, graph) = table(&python, folder.path(), 2, "0.3");
    let trial = Trial { folder: folder.path(), graph, options: &[] };
    let files = trial.everywhere(|_| {
        run_script(&python, "column_statistics/check.py", &[&table, &trial.out()]);
    });
    assert_eq!(files, ["max.npy", "mean.npy", "min.npy", "std.npy"]);
}

#[test]
fn a_table_four_times_the_memory_limit_needs_less_than_the_limit() {
    let Some(python) = numpy() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Resident memory counts the program's own code, which is up to 40 MiB where it is not optimised.
    let limit = 64 * MIB;
    let (table, graph) = table(&python, folder.path(), 4 * 64, "1");
    assert!(fs::metadata(&table).unwrap().len() > 4 * limit - MIB);
    let options = &["--memory-limit", "64MiB"];
    let trial = Trial { folder: folder.path(), graph, options };
    trial.run(Launcher::Local, &["--workers", "1"], &|results| {
        run_script(&python, "column_statistics/check.py", &[&table, &trial.out()]);
        let peak = results.summary["peak_memory"].as_u64().unwrap();
        assert!(peak < limit, "{peak} bytes: {}", results.summary);
    });
}
