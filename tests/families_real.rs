//! `graph generate --real` through the real binary: results that a closed form or numpy knows, the
//! same bytes however they are computed.

use crate::support::oracle::{Python, numpy};
use crate::support::{Launcher, Start};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Random tiles as the kernel makes them: uniform f64 of seed and number.
const RANDOM: &str = "
import json, os, sys
import numpy as np
folder = sys.argv[1]
outputs = json.load(open(os.path.join(folder, 'manifest.json')))['outputs']
def load(key):
    return np.load(os.path.join(folder, outputs[key]['file']))
def tile(number, shape, seed=0):
    bits = np.random.Philox(key=[seed + number, 0], counter=[2**64 - 1] * 4)
    return np.random.Generator(bits).random(shape)
def square(tiles, block, first=0, seed=0):
    rows = [[tile(first + i * tiles + j, (block, block), seed) for j in range(tiles)]
            for i in range(tiles)]
    return np.block(rows)
def close(ours, numpys, rtol=1e-12):
    assert ours.shape == numpys.shape and ours.dtype == numpys.dtype, (ours.shape, ours.dtype)
    error = np.max(np.abs(ours - numpys)) / max(1.0, np.max(np.abs(numpys)))
    assert error < rtol, error
";

/// A graph that was made in a folder of its own.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn new(words: &str) -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        let arguments = ["graph", "generate"].into_iter().chain(words.split_whitespace());
        let output = made.graph().display().to_string();
        Start::new(Launcher::Local).args(arguments).args(["-o", &output]).finish().expect_code(0);
        made
    }

    fn graph(&self) -> PathBuf {
        self.folder.path().join("graph.bin")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// Runs it, and returns the summary and what was written, without the manifest.
    fn run(&self, launcher: Launcher, options: &[&str]) -> (Value, BTreeMap<String, Vec<u8>>) {
        let outcome = Start::new(launcher)
            .args([&self.graph(), Path::new("--output"), &self.out()])
            .args(["--json", "--validate"])
            .args(options)
            .finish()
            .expect_code(0);
        let summary = serde_json::from_str(outcome.last_line()).unwrap();
        let files = std::fs::read_dir(self.out()).unwrap().map(|entry| entry.unwrap());
        let files = files.map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        });
        let ours = |name: &str| name == "manifest.json" || name == ".rdask-exit";
        (summary, files.filter(|(name, _)| !ours(name)).collect())
    }
}

/// Makes a graph, runs it with one worker and with two, alone and under both MPIs, and has numpy
/// look at the result.
#[track_caller]
fn check(words: &str, python: &Python, script: &str) {
    let made = Made::new(words);
    let (_, first) = made.run(Launcher::Local, &["--workers", "1"]);
    assert!(!first.is_empty(), "{words}: nothing was written");
    python.run(&format!("{RANDOM}{script}"), [made.out()]);
    let (_, again) = made.run(Launcher::Local, &["--workers", "2", "--overwrite"]);
    assert!(first == again, "{words}: two workers give other bytes");
    for launcher in [Launcher::OpenMpi(2), Launcher::Mpich(2)] {
        if launcher.available() {
            let (_, again) = made.run(launcher, &["--overwrite"]);
            assert!(first == again, "{words}: {launcher:?} gives other bytes");
        }
    }
}

#[test]
fn a_real_merge_joins_the_tens() {
    let Some(python) = numpy() else { return };
    check(
        "merge --n 300 --real",
        &python,
        "assert np.array_equal(load('merge'), 10 * np.arange(300)), load('merge')",
    );
}

#[test]
fn a_real_tree_sums_the_numbers_below_a_power_of_two() {
    let Some(python) = numpy() else { return };
    check(
        "tree --depth 8 --real",
        &python,
        "[key] = outputs\nassert load(key) == 2**7 * (2**8 - 1) and load(key).shape == ()",
    );
}

#[test]
fn a_real_numpy_graph_gives_numpys_number() {
    let Some(python) = numpy() else { return };
    // Blocks of 15 rows: every second one begins with an odd row. Five columns of blocks: a
    // reduction of two levels with one left over.
    check(
        "numpy --size 150 --chunks 10 --real --seed 3",
        &python,
        "x = square(10, 15, seed=3)\ny = x + x.T\n\
         close(load('sum'), y[::2, 75:].mean(axis=1).sum())",
    );
}

#[test]
fn a_real_stencil_takes_means_of_neighbours() {
    let Some(python) = numpy() else { return };
    check(
        "stencil --width 7 --steps 9 --bytes 80 --real",
        &python,
        "
x = [tile(p, (1, 10)) for p in range(7)]
for step in range(8):
    x = [sum(x[max(p - 1, 0):p + 2]) / len(x[max(p - 1, 0):p + 2]) for p in range(7)]
for p in range(7):
    close(load(f'stencil-8-{p}'), x[p])
",
    );
}

#[test]
fn a_transposed_sum_is_numpys() {
    let Some(python) = numpy() else { return };
    check(
        "transpose_sum --n 100 --block 20 --real",
        &python,
        "x = square(5, 20)\nclose(load('sum'), (x + x.T).sum())",
    );
}

#[test]
fn rechunked_times_are_the_same_numbers() {
    let Some(python) = numpy() else { return };
    check(
        "rechunk --n 60 --block 12 --real",
        &python,
        "x = np.concatenate([tile(i, (12, 60)) for i in range(5)])\n\
         assert np.array_equal(load('series'), x)",
    );
}

#[test]
fn a_tiled_product_is_numpys() {
    let Some(python) = numpy() else { return };
    check(
        "matmul --n 96 --block 24 --real --seed 5",
        &python,
        "close(load('C'), square(4, 24, seed=5) @ square(4, 24, first=16, seed=5))",
    );
}

#[test]
fn tiled_cholesky_factors_give_the_matrix_back() {
    let Some(python) = numpy() else { return };
    check(
        "cholesky --n 120 --block 24 --real",
        &python,
        "
a = np.tril(square(5, 24))
for i in range(5):
    at = slice(24 * i, 24 * i + 24)
    d = tile(5 * i + i, (24, 24))
    a[at, at] = (d + d.T) / 2 + 120 * np.eye(24)
a = np.tril(a) + np.tril(a, -1).T
L = load('L')
assert np.array_equal(L, np.tril(L)) and np.all(np.diag(L) > 0)
assert np.linalg.norm(a - L @ L.T) / np.linalg.norm(a) < 1e-14
close(L, np.linalg.cholesky(a))
",
    );
}

#[test]
fn tiled_qr_factors_give_the_matrix_back() {
    let Some(python) = numpy() else { return };
    check(
        "qr --n 80 --block 20 --real",
        &python,
        "
a = square(4, 20) + 80 * np.eye(80)
Q, R = load('Q'), load('R')
assert np.array_equal(R, np.triu(R)) and np.all(np.diag(R) >= 0)
assert np.linalg.norm(a - Q @ R) / np.linalg.norm(a) < 1e-14
assert np.linalg.norm(Q.T @ Q - np.eye(80)) < 1e-13
",
    );
}

#[test]
fn jacobi_on_a_plate_is_numpys() {
    let Some(python) = numpy() else { return };
    check(
        "jacobi --n 24 --block 8 --steps 20 --real",
        &python,
        "
u = np.zeros((26, 26))
u[0, 1:-1] = 1
for step in range(20):
    u[1:-1, 1:-1] = (0.25 * u[:-2, 1:-1] + 0.25 * u[2:, 1:-1]
                     + 0.25 * u[1:-1, :-2] + 0.25 * u[1:-1, 2:])
close(load('plate'), u[1:-1, 1:-1].copy())
",
    );
}

#[test]
fn replayed_graphs_run_every_task_and_write_nothing() {
    for (words, tasks) in [
        ("merge --n 200 --bytes 100 --task-us 10", 201),
        ("xarray-25 --task-us 5", 552),
        ("random_nearest --width 8 --steps 20 --radix 3 --task-us 20 --bytes 64", 160),
        ("merge_slow --n 20 --task-us 1000", 21),
    ] {
        let made = Made::new(words);
        let (summary, files) = made.run(Launcher::Local, &["--workers", "2"]);
        assert_eq!(summary["tasks"], tasks, "{words}: {summary}");
        assert!(files.is_empty(), "{words}: {:?}", files.keys());
    }
}

#[test]
fn requests_that_cannot_be_end_with_2_and_write_no_graph() {
    let folder = tempfile::tempdir().unwrap();
    let graph = folder.path().join("graph.bin").display().to_string();
    let mut said = String::new();
    for words in [
        "megre",
        "no such",
        "merge --width 3",
        "merge --n 0",
        "merge --n -1",
        "merge --n 99999999999999999999",
        "merge --n 4294967296",
        "merge --task-us nan",
        "merge --bytes 18446744073709551615",
        "random_nearest --fraction 1.5",
        "matmul --n 100 --block 7",
        "bag --real",
        "numpy-50K-10 --size 100",
        "tree --real --bytes 8",
        "merge --outputs all",
    ] {
        let outcome = Start::new(Launcher::Local)
            .args(["graph", "generate", "-o", &graph])
            .args(words.split(' '))
            .finish()
            .expect_code(2);
        assert!(outcome.stdout.is_empty(), "{outcome}");
        said.push_str(&format!("$ {words}\n{}\n", outcome.stderr));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    insta::assert_snapshot!(said);
}
