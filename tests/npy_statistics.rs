//! The example `npy_statistics` in a small form: real input that numpy wrote, blocks by region,
//! statistics, one array put together from chunks; the same bytes however it is run, and numpy
//! agrees with them.

use crate::support::oracle::{Python, numpy};
use crate::support::{Launcher, Start};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Twenty years on a coarse grid: 12 MB, 15 blocks of three latitudes.
const INPUT: [&str; 5] = ["--months", "240", "--grid", "45", "144"];

/// The input and the graph, in a folder of their own.
struct Example {
    folder: tempfile::TempDir,
    python: Python,
}

impl Example {
    fn new(python: Python) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = Self { folder, python };
        let (input, graph) = (example.path("temperature.npy"), example.path("graph.json"));
        let make_input = "examples/npy_statistics/make_input.py";
        example.python.run_file(make_input, INPUT.map(PathBuf::from).iter().chain([&input]));
        let make_graph = "examples/npy_statistics/make_graph.py";
        example.python.run_file(make_graph, [&input, &graph]);
        example
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the graph, and returns what lies in the output folder.
    fn run(&self, launcher: Launcher, options: &[&str]) -> Results {
        let out = self.path("results");
        let outcome = Start::new(launcher)
            .args([&self.path("graph.json"), Path::new("--output"), &out])
            .args(["--json", "--validate"])
            .args(options)
            .finish()
            .expect_code(0);
        let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
        let results = Results::read(&out, summary);
        self.python
            .run_file("examples/npy_statistics/check.py", [&self.path("temperature.npy"), &out]);
        std::fs::remove_dir_all(out).unwrap();
        results
    }
}

/// What one run gave.
struct Results {
    summary: Value,
    /// What the manifest says of the graph and of each output; not of the run.
    described: [Value; 2],
    /// Every other file by its name.
    files: BTreeMap<String, Vec<u8>>,
}

impl Results {
    fn read(out: &Path, summary: Value) -> Self {
        let mut files: BTreeMap<String, Vec<u8>> = std::fs::read_dir(out)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        let manifest = files.remove("manifest.json").unwrap();
        assert!(files.remove(".rdask-exit").is_some(), "the verdict is missing");
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let described = [manifest["graph"].clone(), manifest["outputs"].clone()];
        Self { summary, described, files }
    }

    #[track_caller]
    fn expect_equal(&self, other: &Self, how: &str) {
        let names = |results: &Self| results.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "{how}");
        for (name, bytes) in &self.files {
            // Not assert_eq, which would print megabytes.
            assert!(*bytes == other.files[name], "{how}: {name} has other bytes");
        }
        assert_eq!(self.described, other.described, "{how}");
        assert_eq!(self.summary["tasks"], other.summary["tasks"], "{how}");
    }
}

#[test]
fn the_example_gives_the_same_bytes_however_it_is_run() {
    let Some(python) = numpy() else { return };
    let example = Example::new(python);
    let first = example.run(Launcher::Local, &["--workers", "1"]);
    assert_eq!(first.files.keys().collect::<Vec<_>>(), ["anomaly.npy", "mean.npy", "std.npy"]);

    for workers in ["2", "3"] {
        let other = example.run(Launcher::Local, &["--workers", workers]);
        assert_eq!(other.summary["workers"].to_string(), workers);
        first.expect_equal(&other, &format!("{workers} local workers"));
    }
    for ranks in 1..=4 {
        for launcher in [Launcher::OpenMpi(ranks), Launcher::Mpich(ranks)] {
            if !launcher.available() {
                continue;
            }
            let other = example.run(launcher, &[]);
            // One of several ranks schedules; a single one does both.
            assert_eq!(other.summary["workers"], (ranks - 1).max(1), "{launcher:?}");
            first.expect_equal(&other, &format!("{launcher:?}"));
        }
    }
}
