//! The main job: a graph under every launcher gives the same, right bytes.

use crate::support::graphs::{Case, graph, task, tree, tree_root, tree_sum};
use crate::support::{Launcher, Start};
use serde_json::{Value, json};

/// Everything that may start a run, with one, two and more ranks.
const LAUNCHERS: [Launcher; 9] = [
    Launcher::Local,
    Launcher::OpenMpi(1),
    Launcher::OpenMpi(2),
    Launcher::OpenMpi(3),
    Launcher::OpenMpi(4),
    Launcher::Mpich(1),
    Launcher::Mpich(2),
    Launcher::Mpich(3),
    Launcher::Mpich(4),
];

#[test]
fn a_tree_gives_its_sum_under_every_launcher() {
    for launcher in LAUNCHERS {
        if !launcher.available() {
            continue;
        }
        let case = Case::new(&tree(4, 1000, 100));
        let outcome =
            Start::new(launcher).args(case.args()).args(["--validate"]).finish().expect_code(0);
        assert_eq!(case.floats(&tree_root(4)), tree_sum(4, 1000), "{launcher:?}");
        let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
        assert_eq!(summary["tasks"], 16 * 3 + 15, "{launcher:?}: {summary}");
        assert_eq!(summary["recomputed"], 0, "{launcher:?}: {summary}");
        assert_eq!(summary["outputs"], 1, "{launcher:?}: {summary}");
        assert_eq!(case.files(), ["manifest.json", "sum4-0.npy"], "{launcher:?}");
    }
}

#[test]
fn results_move_between_workers() {
    let case = Case::new(&tree(5, 100_000, 2000));
    let outcome = Start::new(Launcher::Local).args(case.args()).args(["--workers", "3"]).finish();
    let outcome = outcome.expect_code(0);
    assert_eq!(case.floats(&tree_root(5)), tree_sum(5, 100_000));
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    assert_eq!(summary["workers"], 3, "{summary}");
    assert!(summary["bytes_moved"]["tcp"].as_u64().unwrap() > 0, "{summary}");
    assert!(summary["peak_memory"].as_u64().unwrap() > 1 << 20, "{summary}");
}

#[test]
fn the_summary_line_has_the_words_of_the_contract() {
    let tasks =
        vec![task("x", json!({"kernel": "full", "shape": [2], "dtype": "f64", "value": 3}), &[])];
    let case = Case::new(&graph(tasks, &["x"]));
    let mut args = case.args();
    args.retain(|argument| argument != "--json");
    let outcome = Start::new(Launcher::Local).args(args).finish().expect_code(0);
    let line = outcome.last_line();
    assert!(line.starts_with("1 tasks, 1 outputs, "), "{line}");
    let end = format!(" s, 0 bytes moved (0/0/0), {}", case.out().display());
    assert!(line.ends_with(&end), "{line}");
}

#[test]
fn no_outputs_run_every_task_and_write_nothing() {
    let full = json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": 1});
    let mut tasks = vec![task("x", full, &[])];
    for i in 0..500 {
        tasks.push(task(&format!("i-{i}"), json!({"kernel": "identity"}), &["x"]));
    }
    let case = Case::new(&graph(tasks, &[]));
    let outcome = Start::new(Launcher::Local)
        .args(case.args())
        .args(["--validate", "--workers", "2"])
        .finish()
        .expect_code(0);
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    assert_eq!((&summary["tasks"], &summary["outputs"]), (&json!(501), &json!(0)));
    assert_eq!(case.files(), ["manifest.json"]);
}

#[test]
fn what_no_output_needs_is_not_run() {
    let fail = json!({"kernel": "fail", "message": "never"});
    let full = json!({"kernel": "full", "shape": [1], "dtype": "i64", "value": 7});
    let case = Case::new(&graph(vec![task("x", full, &[]), task("y", fail, &["x"])], &["x"]));
    Start::new(Launcher::Local).args(case.args()).finish().expect_code(0);
    assert_eq!(case.elements("x"), 7_i64.to_le_bytes());
}

#[test]
fn an_input_may_stand_twice() {
    let full = json!({"kernel": "full", "shape": [3], "dtype": "f64", "value": 2});
    let map = json!({"kernel": "map", "expr": "a * b + c"});
    let case =
        Case::new(&graph(vec![task("x", full, &[]), task("y", map, &["x", "x", "x"])], &["y"]));
    Start::new(Launcher::Local).args(case.args()).finish().expect_code(0);
    assert_eq!(case.floats("y"), [6.0, 6.0, 6.0]);
}

#[test]
fn chunks_become_one_file() {
    let arange = |start: u64| json!({"kernel": "arange", "start": start, "step": 1, "count": 6, "dtype": "f64"});
    let mut value = graph(vec![task("a-0", arange(0), &[]), task("a-1", arange(6), &[])], &[]);
    value.as_object_mut().unwrap().remove("outputs");
    value["arrays"] = json!({"whole": {"shape": [12], "dtype": "f64", "chunks": [[6, 6]],
                                       "grid": ["a-0", "a-1"], "into": "npy"}});
    let case = Case::new(&value);
    Start::new(Launcher::Local).args(case.args()).args(["--workers", "2"]).finish().expect_code(0);
    assert_eq!(case.files(), ["manifest.json", "whole.npy"]);
    let expected: Vec<f64> = (0..12).map(f64::from).collect();
    assert_eq!(case.floats("whole"), expected);
}

#[test]
fn the_graph_may_come_from_standard_input() {
    let full = json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": 5});
    let case = Case::new(&graph(vec![task("x", full, &[])], &["x"]));
    let mut args = case.args();
    args[0] = "-".to_owned();
    let stdin = case.path().join("graph.json");
    Start::new(Launcher::Local).args(args).stdin(stdin).finish().expect_code(0);
    assert_eq!(case.floats("x"), [5.0]);
}

#[test]
fn retries_run_a_task_again() {
    let fail = json!({"kernel": "fail", "message": "once", "attempts": 2});
    let mut wanted = task("x", fail, &[]);
    wanted["retries"] = json!(2);
    let case = Case::new(&graph(vec![wanted], &["x"]));
    Start::new(Launcher::Local).args(case.args()).args(["--validate"]).finish().expect_code(0);
}

#[test]
fn a_run_again_replaces_its_files_and_another_graph_is_refused() {
    let full = |value: u64| {
        let run = json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": value});
        graph(vec![task("x", run, &[])], &["x"])
    };
    let case = Case::new(&full(1));
    Start::new(Launcher::Local).args(case.args()).finish().expect_code(0);
    Start::new(Launcher::Local).args(case.args()).finish().expect_code(0);
    std::fs::write(case.path().join("graph.json"), full(2).to_string()).unwrap();
    let refused = Start::new(Launcher::Local).args(case.args()).finish().expect_code(2);
    assert!(refused.stderr.contains("another graph"), "{refused}");
    assert_eq!(case.floats("x"), [1.0]);
    Start::new(Launcher::Local).args(case.args()).args(["--overwrite"]).finish().expect_code(0);
    assert_eq!(case.floats("x"), [2.0]);
}
