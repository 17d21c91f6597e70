//! Workers that are short of memory: what they start, what they tell, how such a job ends.
//!
//! A plugin holds memory until a file appears, so the tests decide when it is there again, and never
//! by time.

use crate::plugins::compile;
use crate::support::graphs::{Case, graph, task};
use crate::support::leftovers::tick;
use crate::support::run::Run;
use crate::support::{Launcher, Start};
use serde_json::{Value, json};
use std::path::Path;

/// Half of it pauses a worker; far more than the program itself needs.
const LIMIT: &str = "512MiB";
/// Enough to pause a worker, and not to end it.
const MUCH: u64 = 300 << 20;

/// The run of a task that holds memory until a file is there: see tests/plugins/hold.c.
pub(crate) fn hold(params: &Value) -> Value {
    json!({"plugin": "libhold.so", "symbol": "hold", "params": params})
}

/// Builds its plugin into the folder of a case.
pub(crate) fn build_hold(case: &Case) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins/hold.c");
    compile(&source, &case.path().join("libhold.so"), &["-shared", "-fPIC"]);
}

/// A run of one worker with events, in a folder with the plugin.
fn start(case: &Case, settings: &[&str]) -> Run {
    build_hold(case);
    let settings = ["worker.memory.pause=0.5"].iter().chain(settings);
    Start::new(Launcher::Local)
        .args(case.args())
        .args(["--workers", "1", "--threads", "2", "--memory-limit", LIMIT, "--validate"])
        .args(["--events".into(), case.path().join("events.jsonl")])
        .args(settings.flat_map(|setting| ["--set", setting]))
        .current_dir(case.path())
        .spawn()
}

/// The events so far; the last line may be half written.
pub(crate) fn events(case: &Case) -> Vec<Value> {
    let text = std::fs::read_to_string(case.path().join("events.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statuses(events: &[Value]) -> Vec<&str> {
    let told = events.iter().filter(|event| event["event"] == "worker_status");
    told.map(|event| event["status"].as_str().unwrap()).collect()
}

/// The one run of a task.
fn run_of<'a>(events: &'a [Value], key: &str) -> Option<&'a Value> {
    events.iter().find(|event| event["event"] == "task" && event["key"] == key)
}

pub(crate) fn touch(case: &Case, name: &str) {
    std::fs::write(case.path().join(name), "").unwrap();
}

#[test]
fn a_worker_short_of_memory_starts_nothing_until_it_is_there_again() {
    let first = |key: &str, params: &Value| {
        let mut task = task(key, hold(params), &[]);
        task["priority"] = json!(10);
        task
    };
    // Both threads are busy; `late` waits at the worker, what needs `gate` at the scheduler.
    let mut tasks = vec![
        first("hog", &json!({"bytes": MUCH, "until": "free"})),
        first("gate", &json!({"until": "open"})),
        task("late", json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": 7}), &[]),
    ];
    let after: Vec<String> = (0..3).map(|number| format!("after-{number}")).collect();
    tasks.extend(after.iter().map(|key| task(key, json!({"kernel": "identity"}), &["gate"])));
    let mut outputs = vec!["hog", "late"];
    outputs.extend(after.iter().map(String::as_str));
    let case = Case::new(&graph(tasks, &outputs));
    let mut run = start(&case, &[]);
    run.until("a pause", |_| statuses(&events(&case)).contains(&"paused").then_some(()));
    touch(&case, "open");
    // What the worker says of itself once a second, and after what it ran has ended.
    let states = |events: &[Value]| {
        let ended = events.iter().position(|event| event["key"] == "gate")?;
        let states = events[ended..].iter().filter(|event| event["event"] == "state");
        Some(states.cloned().collect::<Vec<Value>>()).filter(|states| states.len() >= 2)
    };
    let states = run.until("the end of what ran", |_| states(&events(&case)));
    let worker = &states[states.len() - 1]["workers"][0];
    assert!(worker["executing"] == 1 && worker["ready"] == 1, "{worker}");
    let paused = events(&case);
    assert!(outputs.iter().all(|key| run_of(&paused, key).is_none()), "{paused:?}");
    touch(&case, "free");
    let outcome = run.wait().expect_code(0);
    let events = events(&case);
    assert_eq!(statuses(&events), ["paused", "running"], "{outcome}");
    for key in &outputs[1..] {
        assert_eq!(case.floats(key), [if *key == "late" { 7.0 } else { 1.0 }]);
    }
    let told = outcome.stderr.matches("paused: over").count();
    assert_eq!(told, 1, "{outcome}");
}

/// What the last task needs pauses its worker, in each life of it.
#[test]
fn a_job_whose_results_fill_the_memory_ends_with_an_error_that_says_so() {
    let params = json!({"bytes": MUCH, "until": "seen", "take": 1, "keep": 1});
    let tasks = vec![
        task("fill", hold(&params), &[]),
        task("last", json!({"kernel": "identity"}), &["fill"]),
    ];
    let case = Case::new(&graph(tasks, &["last"]));
    let settings = [
        "worker.memory.pause-restart=2s",
        "worker.memory.pause-patience=100ms",
        "scheduler.no-workers-timeout=4s",
    ];
    let mut run = start(&case, &settings);
    let mut seen = 0;
    while run.goes_on() {
        let pauses = statuses(&events(&case)).len();
        if pauses > seen {
            seen = pauses;
            touch(&case, "seen");
        }
        tick();
    }
    let outcome = run.wait().expect_code(1);
    for words in ["task 'last' failed: NoWorkerError", "1 of 1 are paused", "over 50 %"] {
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
    assert!(outcome.stderr.contains("(worker.memory.pause-restart)"), "{outcome}");
}

/// The supervisor ends a worker where the setting says, not at a number of its own.
#[test]
fn the_terminate_fraction_is_the_settings() {
    let params = json!({"bytes": MUCH, "until": "never"});
    let case = Case::new(&graph(vec![task("hog", hold(&params), &[])], &["hog"]));
    let settings = ["worker.memory.terminate=0.55", "scheduler.allowed-failures=0"];
    let outcome = start(&case, &settings).wait().expect_code(1);
    for words in ["KilledWorker", "over 55 % of its limit", "worker.memory.terminate"] {
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
}
