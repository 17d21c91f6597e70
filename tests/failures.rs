//! Workers, tasks and signals that end badly: right results or the right error, and nothing left.

use crate::support::graphs::{Case, graph, task};
use crate::support::tree_run::TreeRun;
use crate::support::{Launcher, Start};
use rustix::process::Signal;
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

/// How long each leaf of the tree computes.
const BUSY: Duration = Duration::from_millis(3);

/// Kills a worker after `delay`, if the run still goes on.
fn kill_after(tree: &mut TreeRun, delay: Duration, draw: f64) {
    let due = tree.joined + delay;
    while Instant::now() < due && tree.run.goes_on() {
        std::thread::yield_now();
    }
    let workers = tree.run.processes_of_role("worker");
    if let Some(victim) = workers.get((draw * workers.len() as f64) as usize) {
        // It may end by itself at this moment.
        let _gone = victim.signal(Signal::KILL);
    }
}

/// What lost workers were at, by the events of the runs.
#[derive(Default, Debug)]
struct Losses {
    killed: u32,
    executing: u32,
    sending: u32,
    receiving: u32,
    recomputed: u64,
}

impl Losses {
    /// Waits for the end and adds what the lost workers were doing.
    fn end(&mut self, tree: TreeRun) -> Duration {
        let end = tree.end();
        self.recomputed += end.summary["recomputed"].as_u64().unwrap();
        self.count(&end.events);
        end.took
    }

    fn count(&mut self, events: &[Value]) {
        let lost: Vec<&Value> =
            events.iter().filter(|event| event["event"] == "worker_lost").collect();
        for lost in &lost {
            let worker = &lost["worker"];
            let any = |kind: &str, outcome: &str, who: &str| {
                events.iter().any(|event| {
                    event["event"] == kind && event["outcome"] == outcome && event[who] == *worker
                })
            };
            self.killed += 1;
            self.executing += u32::from(any("task", "lost", "worker"));
            self.sending += u32::from(any("transfer", "erred", "from"));
            self.receiving += u32::from(any("transfer", "lost", "to"));
        }
    }

    /// Enough of everything.
    fn suffice(&self) -> bool {
        let Self { killed, executing, sending, receiving, recomputed } = self;
        *killed >= 40 && *executing.min(sending).min(receiving) >= 5 && *recomputed > 0
    }
}

#[test]
fn forty_kills_at_any_time_leave_the_right_results() {
    let launchers =
        [Launcher::Local, Launcher::OpenMpi(4), Launcher::Mpich(4), Launcher::OpenMpi(2)];
    let launchers: Vec<Launcher> =
        launchers.into_iter().filter(|launcher| launcher.available()).collect();
    let mut draw = Draw(20_261_121);
    let mut losses = Losses::default();
    // The length of the run is measured first; a kill lengthens it, so a few more are drawn.
    let lengths: Vec<Duration> =
        launchers.iter().map(|launcher| losses.end(TreeRun::start(*launcher, BUSY, &[]))).collect();
    for round in 0..200 {
        if losses.suffice() {
            break;
        }
        let which = round % launchers.len();
        let mut tree = TreeRun::start(launchers[which], BUSY, &[]);
        kill_after(&mut tree, lengths[which].mul_f64(draw.fraction()), draw.fraction());
        losses.end(tree);
    }
    assert!(losses.suffice(), "{losses:?}");
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
        let [file, events] = ["scheduler.json", "events.jsonl"].map(|name| case.path().join(name));
        let start = Start::new(launcher).args(case.args());
        let start = start.args(["--scheduler-file"]).args([&file]);
        let mut run = start.args(["--events"]).args([&events]).spawn();
        run.until("the graph's begin", |_| {
            let text = std::fs::read_to_string(&events).ok()?;
            text.contains("\"event\":\"graph\"").then_some(())
        });
        assert!(file.exists(), "no scheduler file");
        let signal = if launcher == Launcher::Local { Signal::INT } else { Signal::TERM };
        let sent = Instant::now();
        run.signal(signal);
        let outcome = run.wait();
        assert!(sent.elapsed() < Duration::from_secs(30), "hangs: {outcome}");
        let told = outcome.stderr.contains("stopped by signal");
        match launcher {
            Launcher::Local => assert!(told && outcome.code == Some(3), "{outcome}"),
            // After its own TERM it may end before it has passed on what rank 0 says.
            Launcher::OpenMpi(_) => assert_ne!(outcome.code, Some(0), "{outcome}"),
            // Hydra returns 0 after a TERM although rank 0 ends with 3 (seen with plain shells too).
            Launcher::Mpich(_) => assert!(told, "{outcome}"),
        }
        // What a launcher makes of the code, the job script finds in the folder.
        let verdict = std::fs::read_to_string(case.out().join(".rdask-exit")).unwrap_or_default();
        let code = verdict.split_whitespace().nth(1);
        assert_eq!(code, Some("3"), "{launcher:?}: {verdict:?}\n{outcome}");
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
