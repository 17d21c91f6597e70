//! Graphs as JSON that several tests run.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder of a test with a graph in it; the output goes to `out` in it.
pub(crate) struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    /// A folder with `graph.json`.
    pub(crate) fn new(graph: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("graph.json"), graph.to_string()).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The output folder.
    pub(crate) fn out(&self) -> PathBuf {
        self.path().join("out")
    }

    /// Arguments that run the graph into the output folder.
    pub(crate) fn args(&self) -> Vec<String> {
        let graph = self.path().join("graph.json").display().to_string();
        vec![graph, "--output".to_owned(), self.out().display().to_string(), "--json".to_owned()]
    }

    /// The manifest of the run.
    pub(crate) fn manifest(&self) -> Value {
        let text = std::fs::read_to_string(self.out().join("manifest.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The bytes behind the header of an output that is an array.
    pub(crate) fn elements(&self, key: &str) -> Vec<u8> {
        let manifest = self.manifest();
        let file = manifest["outputs"][key]["file"].as_str().unwrap_or_else(|| {
            panic!("no file for '{key}': {manifest:#}");
        });
        let bytes = std::fs::read(self.out().join(file)).unwrap();
        let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        bytes[10 + header..].to_vec()
    }

    /// The elements of an f64 output.
    pub(crate) fn floats(&self, key: &str) -> Vec<f64> {
        let bytes = self.elements(key);
        bytes.chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().unwrap())).collect()
    }

    /// Names in the output folder, sorted, without the verdict's file, which every run leaves.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.out()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".rdask-exit");
        names.sort();
        names
    }
}

/// One task.
pub(crate) fn task(key: &str, run: Value, deps: &[&str]) -> Value {
    let mut task = json!({ "key": key, "deps": deps });
    task["run"] = run;
    task
}

/// A graph of tasks with outputs.
pub(crate) fn graph(tasks: Vec<Value>, outputs: &[&str]) -> Value {
    let mut graph = json!({ "version": 1, "outputs": outputs });
    graph["tasks"] = Value::Array(tasks);
    graph
}

/// A tree that sums 2^`levels` leaves; leaf i is an array of `length` elements i, i + 1, …
///
/// Element j of the result is Σ (i + j) = n (n − 1) / 2 + n j for n = 2^levels.
pub(crate) fn tree(levels: u32, length: u64, busy_us: u64) -> Value {
    let leaves = 1_u64 << levels;
    let mut tasks = Vec::new();
    let mut row: Vec<String> = (0..leaves).map(|leaf| format!("leaf-{leaf}")).collect();
    for (leaf, key) in row.iter().enumerate() {
        let wait = format!("wait-{leaf}");
        let arange =
            json!({"kernel": "arange", "start": leaf, "step": 1, "count": length, "dtype": "f64"});
        tasks.push(task(&wait, json!({"kernel": "busy", "us": busy_us}), &[]));
        let source = format!("source-{leaf}");
        tasks.push(task(&source, arange, &[]));
        let add = json!({"kernel": "map", "expr": "a + 0 * b"});
        tasks.push(task(key, add, &[&source, &wait]));
    }
    let mut level = 0;
    while row.len() > 1 {
        level += 1;
        let next: Vec<String> = (0..row.len() / 2).map(|i| format!("sum{level}-{i}")).collect();
        for (key, pair) in next.iter().zip(row.chunks(2)) {
            let add = json!({"kernel": "map", "expr": "a + b"});
            tasks.push(task(key, add, &[&pair[0], &pair[1]]));
        }
        row = next;
    }
    graph(tasks, &[&row[0]])
}

/// What `tree` must give.
pub(crate) fn tree_sum(levels: u32, length: u64) -> Vec<f64> {
    let n = (1_u64 << levels) as f64;
    (0..length).map(|j| n * (n - 1.0) / 2.0 + n * j as f64).collect()
}

/// The key of the result of `tree`.
pub(crate) fn tree_root(levels: u32) -> String {
    format!("sum{levels}-0")
}
