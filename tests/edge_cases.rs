//! Graphs and moments at the edge: nothing to do, nobody who wants it, too much of it.

use crate::support::graphs::{Case, graph, task};
use crate::support::{Launcher, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn full(length: u64) -> Value {
    json!({"kernel": "full", "shape": [length], "dtype": "f64", "value": 1})
}

fn local(case: &Case, more: &[&str]) -> Start {
    Start::new(Launcher::Local).args(case.args()).args(["--workers", "2"]).args(more)
}

#[test]
fn a_graph_without_tasks_ends_well() {
    let case = Case::new(&graph(Vec::new(), &[]));
    let outcome = local(&case, &[]).finish().expect_code(0);
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    assert_eq!((&summary["tasks"], &summary["outputs"]), (&json!(0), &json!(0)));
    assert_eq!(case.files(), ["manifest.json"]);
}

#[test]
fn a_task_whose_result_nobody_wants_fails_the_run_when_it_fails() {
    let tasks = || {
        vec![
            task("good", full(1), &[]),
            task("bad", json!({"kernel": "fail", "message": "no luck"}), &[]),
            task("after", json!({"kernel": "identity"}), &["bad"]),
        ]
    };
    for more in [&[][..], &["--keep-going"]] {
        let case = Case::new(&graph(tasks(), &[]));
        let outcome = local(&case, more).finish().expect_code(1);
        assert!(outcome.stderr.contains("error: task 'bad' failed: "), "{outcome}");
        assert!(outcome.stderr.contains("no luck"), "{outcome}");
        assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{outcome}");
    }
}

#[test]
fn a_chunk_of_another_shape_fails_its_task_and_no_other() {
    let mut graph = graph(vec![task("x", full(3), &[]), task("y", full(4), &[])], &["x", "y"]);
    graph["arrays"] = json!({"A": {
        "shape": [8], "dtype": "f64", "chunks": [[4, 4]], "grid": ["x", "y"], "into": "npy",
    }});
    for more in [&[][..], &["--keep-going"]] {
        let case = Case::new(&graph);
        let outcome = local(&case, more).finish().expect_code(1);
        let reason = "ValueError: the chunk is f64 [3], the array says f64 [4]";
        assert!(outcome.stderr.contains(&format!("task 'x' failed: {reason}")), "{outcome}");
        let manifest = case.manifest();
        assert_eq!(manifest["outputs"]["A"]["error"], reason);
        assert!(!case.files().iter().any(|file| file.contains("A.npy")), "{:?}", case.files());
        if !more.is_empty() {
            assert_eq!(case.floats("y"), [1.0; 4]);
            assert_eq!(case.floats("x"), [1.0; 3]);
        }
    }
}

#[test]
fn one_task_fills_several_chunks_and_a_file() {
    let mut graph = graph(vec![task("x", full(3), &[])], &["x", "x"]);
    graph["arrays"] = json!({
        "A": {"shape": [6], "dtype": "f64", "chunks": [[3, 3]], "grid": ["x", "x"], "into": "npy"},
        "empty": {"shape": [0], "dtype": "f64", "chunks": [[]], "grid": [], "into": "npy"},
    });
    let case = Case::new(&graph);
    local(&case, &[]).finish().expect_code(0);
    assert_eq!(case.floats("x"), [1.0; 3]);
    assert_eq!(case.floats("A"), [1.0; 6]);
    assert!(case.floats("empty").is_empty());
}

#[test]
fn of_many_failures_ten_are_told_and_the_rest_is_counted() {
    let fail = |i| task(&format!("f-{i}"), json!({"kernel": "fail", "message": "m"}), &[]);
    let tasks: Vec<Value> = (0..3000).map(fail).collect();
    let case = Case::new(&json!({"version": 1, "tasks": tasks}));
    let outcome = local(&case, &["--keep-going"]).finish().expect_code(1);
    assert_eq!(outcome.stderr.matches("error: task 'f-").count(), 10, "{outcome}");
    assert!(outcome.stderr.contains("error: 2990 more tasks failed"), "{outcome}");
    let manifest = case.manifest();
    assert_eq!(manifest["outputs"].as_object().unwrap().len(), 3000);
    assert!(manifest["outputs"]["f-2999"]["error"].as_str().unwrap().ends_with(": m"));
}

#[test]
fn many_outputs_are_synced_at_once() {
    let tasks: Vec<Value> = (0..4000).map(|i| task(&format!("o-{i}"), full(1), &[])).collect();
    let case = Case::new(&json!({"version": 1, "tasks": tasks}));
    let outcome = local(&case, &[]).finish().expect_code(0);
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    assert_eq!(summary["outputs"], 4000);
    assert_eq!(case.floats("o-3999"), [1.0]);
}

#[test]
fn a_stopped_worker_is_replaced() {
    let tasks = (0..2).map(|i| task(&format!("s-{i}"), json!({"kernel": "sleep", "ms": 500}), &[]));
    let mut tasks: Vec<Value> = tasks.collect();
    tasks.push(task("r", json!({"kernel": "sleep", "ms": 8000}), &[]));
    tasks[2]["workers"] = json!(["1"]);
    let case = Case::new(&graph(tasks, &["s-0", "s-1", "r"]));
    let events = case.path().join("events.jsonl");
    let start = local(&case, &["--set", "timeouts.tcp=2s", "--events"]).args([&events]);
    let mut run = start.spawn();
    run.until("the end of a short task", |_| {
        let text = std::fs::read_to_string(&events).ok()?;
        text.contains("\"finished\"").then_some(())
    });
    for worker in run.processes_of_role("worker") {
        let pid = Pid::from_raw(worker.pid).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }
    let outcome = run.wait().expect_code(0);
    let joined = std::fs::read_to_string(&events).unwrap().matches("worker_joined").count();
    assert!(joined > 2, "{outcome}");
}

#[test]
fn a_bad_graph_ends_all_ranks_at_once() {
    let case = Case::new(&graph(vec![task("x", json!({"kernel": "nope"}), &[])], &["x"]));
    for launcher in [Launcher::OpenMpi(4), Launcher::Mpich(4)] {
        if !launcher.available() {
            continue;
        }
        // A rank that looks for the scheduler until its death time-out takes 30 s.
        let start = Start::new(launcher).args(case.args()).deadline(Duration::from_secs(25));
        let outcome = start.finish();
        assert_ne!(outcome.code, Some(0), "{outcome}");
        assert!(outcome.stderr.contains("error: unknown kernel 'nope'"), "{outcome}");
    }
}

/// Time that grows with the square of the chunks would be minutes here.
#[test]
fn one_result_in_twenty_thousand_chunks_is_written_in_linear_time() {
    const CHUNKS: usize = 20_000;
    let mut graph = graph(vec![task("x", full(1), &[])], &[]);
    graph.as_object_mut().unwrap().remove("outputs");
    graph["arrays"] = json!({"A": {
        "shape": [CHUNKS], "dtype": "f64", "chunks": [vec![1; CHUNKS]],
        "grid": vec!["x"; CHUNKS], "into": "npy",
    }});
    let case = Case::new(&graph);
    local(&case, &[]).deadline(Duration::from_secs(60)).finish().expect_code(0);
    assert_eq!(case.floats("A"), [1.0; CHUNKS]);
    let chunks = case.manifest()["outputs"]["A"]["chunks"].as_array().unwrap().len();
    assert_eq!(chunks, CHUNKS);
}

/// A stranger at the worker's data port makes it warn; only rank 0 talks.
#[test]
fn a_workers_warning_is_told_by_rank_0() {
    for launcher in [Launcher::Local, Launcher::OpenMpi(2), Launcher::Mpich(2)] {
        if !launcher.available() {
            continue;
        }
        let pause = json!({"kernel": "sleep", "ms": 1500});
        let case = Case::new(&graph(vec![task("p", pause, &[])], &["p"]));
        let file = case.path().join("scheduler.json");
        let start = Start::new(launcher).args(case.args()).args(["--scheduler-file"]).args([&file]);
        let mut run = if launcher == Launcher::Local {
            start.args(["--workers", "1"]).spawn()
        } else {
            start.spawn()
        };
        let address = run.until("a worker", |_| {
            let text = std::fs::read_to_string(&file).ok()?;
            let file: Value = serde_json::from_str(&text).ok()?;
            Some(file["workers"][0]["address"].as_str()?.to_owned())
        });
        let address = address.rsplit('/').next().unwrap();
        let mut stranger = TcpStream::connect(address).unwrap();
        stranger.write_all(&[7; 64]).unwrap();
        // It hangs up, once it has warned.
        let mut answer = Vec::new();
        let _reset = stranger.read_to_end(&mut answer);
        let outcome = run.wait().expect_code(0);
        let told = |line: &&str| line.contains("refused a connection");
        let lines: Vec<&str> = outcome.stderr.lines().filter(told).collect();
        assert_eq!(lines.len(), 1, "{launcher:?}: {outcome}");
        assert!(lines[0].starts_with("scheduler: ") && lines[0].contains("worker=1"), "{outcome}");
    }
}
