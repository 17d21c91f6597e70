//! `rdask-hpc simulate`: the report of the real binary, its defaults, its faults and its errors.

use crate::support::graphs::{Case, graph, task};
use crate::support::run::Outcome;
use crate::support::schema::assert_fits;
use crate::support::{Launcher, Start};
use serde_json::{Value, json};

fn simulate(case: &Case, more: &[&str]) -> Outcome {
    let path = case.path().join("graph.json").display().to_string();
    Start::new(Launcher::Local).args(["simulate", &path]).args(more).finish()
}

fn report(case: &Case, more: &[&str]) -> (Value, String) {
    let outcome = simulate(case, &[more, &["--json"]].concat()).expect_code(0);
    let report = serde_json::from_str(outcome.last_line()).unwrap();
    assert_fits("simulate", &report);
    (report, outcome.stderr)
}

/// So many tasks of a millisecond without inputs.
fn independent(count: usize) -> Case {
    let busy = |at| task(&format!("x-{at}"), json!({"kernel": "busy", "us": 1000}), &[]);
    Case::new(&graph((0..count).map(busy).collect(), &[]))
}

#[test]
fn equal_tasks_take_their_rounds_and_one_round_trip() {
    let case = independent(100);
    let (report, stderr) = report(&case, &["--workers", "8", "--latency", "10"]);
    // ceil(100 / 8) rounds of a millisecond, and 10 µs there and back.
    assert_eq!(report["makespan"], 0.01302, "{report}");
    assert_eq!(report["lower_bound"]["work"], 0.0125, "{report}");
    assert_eq!((&report["tasks"], &report["runs"]), (&json!(100), &json!(100)), "{report}");
    assert_eq!((&report["transfers"], &report["bytes_moved"]), (&json!(0), &json!(0)), "{report}");
    assert_eq!(stderr, "");
}

#[test]
fn the_same_seed_gives_the_same_answer_and_text_says_what_json_says() {
    let case = independent(60);
    let more = ["--workers", "5", "--seed", "3", "--faults", "crash,pause"];
    let (first, _) = report(&case, &more);
    assert_eq!(report(&case, &more).0, first);
    let text = simulate(&case, &more).expect_code(0).stdout;
    assert!(text.contains(first["hash"].as_str().unwrap()), "{text}");
    for name in ["makespan", "lower bound", "ratio", "transfers", "peak memory"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
}

#[test]
fn what_the_graph_does_not_say_is_assumed_and_told() {
    let shape = json!({"kernel": "full", "shape": [1000], "dtype": "f64", "value": 1});
    let tasks =
        vec![task("a", shape, &[]), task("b", json!({"kernel": "map", "expr": "a + 1"}), &["a"])];
    let case = Case::new(&graph(tasks, &["b"]));
    let (report, stderr) = report(&case, &["--task-us", "500", "--bytes", "10", "--latency", "0"]);
    assert_eq!(report["lower_bound"]["critical_path"], 0.001, "{report}");
    assert_eq!(report["defaults"], json!({"durations": 2, "sizes": 1}), "{report}");
    assert_eq!(
        stderr.trim_end(),
        "assumed, where the graph does not say: 2 tasks take 500 us each (--task-us), 1 results \
         have 10B each (--bytes)"
    );
    assert_eq!(report["peak_memory"], json!({"worker": 8010, "total": 8010}), "{report}");
}

#[test]
fn wrong_requests_are_refused_with_a_way_out() {
    let case = independent(2);
    for (more, what, help) in [
        (&["--faults", "crsh"][..], "no fault is called 'crsh'", "did you mean 'crash'?"),
        (&["--faults", "rain"], "no fault is called 'rain'", "there are crash, node-loss"),
        (&["--workers", "0"], "--workers 0 is out of range", ""),
        (&["--latency", "much"], "it is a number from 0", ""),
        (&["--bandwidth", "fast"], "it is a number above 0", ""),
        (&["--set", "scheduler.bandwith=1"], "unknown setting", "did you mean"),
        (&["--bytes", "many"], "", ""),
    ] {
        let error = simulate(&case, more).expect_code(2).stderr;
        assert!(error.contains(what) && error.contains(help), "{more:?}: {error}");
    }
    let needs = json!({"key": "x", "run": {"kernel": "busy", "us": 1}, "threads": 3});
    let case = Case::new(&graph(vec![needs], &[]));
    let error = simulate(&case, &["--threads", "2"]).expect_code(2).stderr;
    assert!(error.contains("no worker can run task 'x': it asks for 3 threads"), "{error}");
    simulate(&case, &["--threads", "3"]).expect_code(0);
}

#[test]
fn a_job_that_fails_on_the_way_is_no_schedule() {
    let case = independent(40);
    let more = ["--faults", "crash", "--set", "scheduler.allowed-failures=0", "--json"];
    let failed = (0..20_u32).find_map(|seed| {
        let outcome = simulate(&case, &[&more[..], &["--seed", &seed.to_string()]].concat());
        (outcome.code != Some(0)).then_some(outcome)
    });
    let outcome = failed.expect("a crash hits a running task in one of twenty runs");
    let report: Value = serde_json::from_str(outcome.expect_code(1).last_line()).unwrap();
    assert!(report["erred"].as_u64().unwrap() > 0 && report["ratio"].is_null(), "{report}");
    assert!(report["failure"]["message"].as_str().unwrap().contains("died"), "{report}");
}

#[test]
fn a_partition_ends_and_so_does_the_job() {
    let case = Case::new(&exchange(30));
    for seed in 0..8_u32 {
        let seed = seed.to_string();
        let (report, _) = report(&case, &["--faults", "partition", "--seed", &seed]);
        // The workers beyond it are lost after the ttl of 30 s, their work is done again.
        assert!(report["makespan"].as_f64().unwrap() < 200.0, "{report}");
    }
}

/// So many sources, each read by three tasks.
fn exchange(count: usize) -> Value {
    let busy = || json!({"kernel": "bytes", "size": 1000, "us": 1000});
    let mut tasks: Vec<Value> =
        (0..count).map(|at| task(&format!("a-{at}"), busy(), &[])).collect();
    for at in 0..count {
        let inputs = [at, (at + 7) % count, (at + 13) % count].map(|at| format!("a-{at}"));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        tasks.push(task(&format!("b-{at}"), busy(), &inputs));
    }
    graph(tasks, &[])
}
