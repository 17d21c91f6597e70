//! Workers, tasks and signals that end badly: right results or the right error, and nothing left.

use crate::support::graphs::{Case, graph, task, tree, tree_root, tree_sum};
use crate::support::{Launcher, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Draws numbers for the times of kills (a linear congruential generator, Knuth's MMIX).
struct Draw(u64);

impl Draw {
    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What the events of a run tell of its losses.
#[derive(Default, Debug)]
struct Losses {
    executing: u32,
    sending: u32,
    receiving: u32,
    recomputed: u64,
}

/// Runs the tree once and kills a worker after `delay`, when the run still goes on.
fn kill_once(launcher: Launcher, delay: Duration, worker: usize, losses: &mut Losses) {
    let case = Case::new(&tree(5, 400_000, 3000));
    let events = case.path().join("events.jsonl");
    let mut start = Start::new(launcher).args(case.args()).args(["--validate", "--events"]);
    start = start.args([&events]);
    if launcher == Launcher::Local {
        start = start.args(["--workers", "3"]);
    }
    let mut run = start.spawn();
    run.until("the graph's begin", |_| {
        let text = std::fs::read_to_string(&events).ok()?;
        text.contains("worker_joined").then_some(())
    });
    let due = Instant::now() + delay;
    let killed = run.until("time to kill", |run| {
        if Instant::now() < due {
            return None;
        }
        let workers = run.processes_of_role("worker");
        let victim = workers.get(worker % workers.len().max(1))?;
        Some(kill_process(Pid::from_raw(victim.pid).unwrap(), Signal::KILL).is_ok())
    });
    let outcome = run.wait().expect_code(0);
    assert_eq!(case.floats(&tree_root(5)), tree_sum(5, 400_000), "{outcome}");
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    losses.recomputed += summary["recomputed"].as_u64().unwrap();
    count(&std::fs::read_to_string(&events).unwrap(), losses);
    if killed {
        let named = outcome.stderr.matches("worker lost").count();
        assert!(named <= 1, "the loss is named {named} times: {outcome}");
    }
}

/// Counts what the lost workers were doing by the events of the run.
fn count(events: &str, losses: &mut Losses) {
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for lost in events.iter().filter(|event| event["event"] == "worker_lost") {
        let (worker, time) = (&lost["worker"], lost["time"].as_f64().unwrap());
        let near = |event: &&Value| (event["time"].as_f64().unwrap() - time).abs() < 0.25;
        losses.executing += u32::from(
            events.iter().any(|event| event["outcome"] == "lost" && event["worker"] == *worker),
        );
        let transfers = || events.iter().filter(|event| event["event"] == "transfer").filter(near);
        losses.sending += u32::from(transfers().any(|event| event["from"] == *worker));
        losses.receiving += u32::from(transfers().any(|event| event["to"] == *worker));
    }
}

#[test]
fn forty_kills_at_any_time_leave_the_right_results() {
    let launchers =
        [Launcher::Local, Launcher::OpenMpi(3), Launcher::Mpich(3), Launcher::OpenMpi(2)];
    let launchers: Vec<Launcher> =
        launchers.into_iter().filter(|launcher| launcher.available()).collect();
    let mut draw = Draw(20_261_121);
    let mut losses = Losses::default();
    for round in 0..40 {
        let delay = Duration::from_secs_f64(draw.fraction() * 0.25);
        let launcher = launchers[round % launchers.len()];
        kill_once(launcher, delay, (draw.fraction() * 100.0) as usize, &mut losses);
    }
    assert!(losses.executing >= 5 && losses.recomputed > 0, "{losses:?}");
    assert!(losses.sending >= 5 && losses.receiving >= 5, "{losses:?}");
}

#[test]
fn a_task_that_kills_its_worker_fails_for_good_and_the_rest_is_kept() {
    let full = json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": 1});
    let tasks = vec![task("good", full, &[]), task("bad", json!({"kernel": "abort"}), &[])];
    let case = Case::new(&graph(tasks, &["good", "bad"]));
    let outcome = Start::new(Launcher::Local)
        .args(case.args())
        .args(["--workers", "2", "--keep-going"])
        .finish()
        .expect_code(1);
    assert!(
        outcome.stderr.contains("'bad'") && outcome.stderr.contains("KilledWorker"),
        "{outcome}"
    );
    assert_eq!(case.floats("good"), [1.0]);
    let manifest = case.manifest();
    assert!(manifest["outputs"]["bad"]["error"].as_str().unwrap().contains("KilledWorker"));
}

#[test]
fn a_task_that_kills_its_first_workers_succeeds_later() {
    let case =
        Case::new(&graph(vec![task("x", json!({"kernel": "abort", "attempts": 2}), &[])], &["x"]));
    let outcome = Start::new(Launcher::Local)
        .args(case.args())
        .args(["--workers", "2"])
        .finish()
        .expect_code(0);
    assert!(outcome.stderr.contains("worker lost"), "{outcome}");
}

#[test]
fn a_failed_task_is_named_with_what_depends_on_it() {
    let fail = json!({"kernel": "fail", "message": "no luck"});
    let tasks = vec![
        task("x", fail, &[]),
        task("y", json!({"kernel": "identity"}), &["x"]),
        task("z", json!({"kernel": "identity"}), &["y"]),
    ];
    let case = Case::new(&graph(tasks, &["z"]));
    for launcher in [Launcher::Local, Launcher::OpenMpi(2), Launcher::Mpich(2)] {
        if !launcher.available() {
            continue;
        }
        let outcome = Start::new(launcher).args(case.args()).finish().expect_code(1);
        let stderr = &outcome.stderr;
        assert!(stderr.contains("error: task 'x' failed: "), "{outcome}");
        assert!(stderr.contains("no luck") && stderr.contains("'z'"), "{outcome}");
        assert_eq!(stderr.matches("error: ").count(), 1, "{outcome}");
    }
}

#[test]
fn a_signal_stops_the_job_within_three_seconds() {
    for launcher in [Launcher::Local, Launcher::OpenMpi(3), Launcher::Mpich(3)] {
        if !launcher.available() {
            continue;
        }
        let tasks =
            (0..8).map(|i| task(&format!("s-{i}"), json!({"kernel": "sleep", "ms": 60_000}), &[]));
        let case = Case::new(&graph(tasks.collect(), &[]));
        let file = case.path().join("scheduler.json");
        let mut run =
            Start::new(launcher).args(case.args()).args(["--scheduler-file"]).args([&file]).spawn();
        run.until("workers", |_| {
            let text = std::fs::read_to_string(&file).ok()?;
            let file: Value = serde_json::from_str(&text).ok()?;
            (!file["workers"].as_array()?.is_empty()).then_some(())
        });
        let signal = if launcher == Launcher::Local { Signal::INT } else { Signal::TERM };
        let sent = Instant::now();
        run.signal(signal);
        let outcome = run.wait();
        assert!(sent.elapsed() < Duration::from_secs(30), "hangs: {outcome}");
        if launcher == Launcher::Local {
            assert_eq!(outcome.code, Some(3), "{outcome}");
            assert!(outcome.stderr.contains("stopped by signal"), "{outcome}");
        } else {
            assert_ne!(outcome.code, Some(0), "{outcome}");
        }
        assert!(!file.exists(), "the scheduler file stays");
    }
}

#[test]
fn the_supervisors_death_takes_everything_along() {
    let tasks = vec![task("s", json!({"kernel": "sleep", "ms": 60_000}), &[])];
    let case = Case::new(&graph(tasks, &[]));
    let mut run = Start::new(Launcher::Local).args(case.args()).args(["--workers", "2"]).spawn();
    run.until("two workers", |run| (run.processes_of_role("worker").len() == 2).then_some(()));
    run.signal(Signal::KILL);
    let outcome = run.wait();
    assert_eq!(outcome.signal, Some(9), "{outcome}");
}
