//! Work stealing by real processes: the events show it, and a thief or a victim that is killed
//! meanwhile changes no result.

use crate::support::graphs::{Case, tree, tree_root, tree_sum};
use crate::support::run::Outcome;
use crate::support::{Launcher, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LEVELS: u32 = 5;
const LENGTH: u64 = 1000;
/// Of each of the tasks that worker 1 gets.
const SLEEP_MS: u64 = 15;

/// A tree whose slow tasks all prefer worker 1, and may run elsewhere.
fn uneven() -> Case {
    let mut graph = tree(LEVELS, LENGTH, 0);
    for task in graph["tasks"].as_array_mut().unwrap() {
        if task["key"].as_str().unwrap().starts_with("wait-") {
            task["run"] = json!({"kernel": "sleep", "ms": SLEEP_MS});
            task["workers"] = json!(["1"]);
            task["allow_other_workers"] = json!(true);
        }
    }
    Case::new(&graph)
}

fn start(case: &Case, launcher: Launcher) -> Start {
    let events = case.path().join("events.jsonl");
    let start = Start::new(launcher).args(case.args()).args(["--validate", "--threads", "1"]);
    let start = start.args(["--events"]).args([events]);
    if launcher == Launcher::Local { start.args(["--workers", "3"]) } else { start }
}

fn launchers() -> Vec<Launcher> {
    let all = [Launcher::Local, Launcher::OpenMpi(4), Launcher::Mpich(4)];
    all.into_iter().filter(|launcher| launcher.available()).collect()
}

fn events(case: &Case) -> Vec<Value> {
    let text = std::fs::read_to_string(case.path().join("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// The result is right; the summary counts what the events tell. How many tasks were stolen.
fn check(case: &Case, outcome: &Outcome) -> usize {
    assert_eq!(case.floats(&tree_root(LEVELS)), tree_sum(LEVELS, LENGTH), "{outcome}");
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    let events = events(case);
    let steals = of_kind(&events, "steal");
    assert_eq!(summary["stolen"], steals.len(), "{outcome}");
    steals.len()
}

#[test]
fn what_waits_on_one_worker_is_stolen_by_the_others() {
    for launcher in launchers() {
        let case = uneven();
        let outcome = start(&case, launcher).finish().expect_code(0);
        let stolen = check(&case, &outcome);
        assert!(stolen >= 4, "{stolen} of 32 tasks: {outcome}");
        let events = events(&case);
        let runs = of_kind(&events, "task");
        for steal in of_kind(&events, "steal") {
            assert!(steal["from"] != steal["to"], "{steal}");
            let of_task: Vec<_> = runs.iter().filter(|run| run["key"] == steal["key"]).collect();
            assert_eq!(of_task.len(), 1, "a stolen task runs once: {steal}");
            assert_eq!(of_task[0]["outcome"], "finished");
        }
        // Whoever got a task last ran it.
        let last_thief = |key: &Value| {
            let steals = of_kind(&events, "steal");
            steals.iter().rfind(|steal| steal["key"] == *key).map(|steal| steal["to"].clone())
        };
        for run in &runs {
            if let Some(thief) = last_thief(&run["key"]) {
                assert_eq!(run["worker"], thief, "{run}");
            }
        }
    }
}

#[test]
fn without_stealing_every_task_stays() {
    let case = uneven();
    let off = ["--set", "scheduler.work-stealing=false"];
    let outcome = start(&case, Launcher::Local).args(off).finish().expect_code(0);
    assert_eq!(check(&case, &outcome), 0);
    let events = events(&case);
    let waits = |event: &&&Value| event["key"].as_str().unwrap().starts_with("wait-");
    let elsewhere = |event: &&Value| event["worker"] != "1";
    let runs = of_kind(&events, "task");
    assert_eq!(runs.iter().filter(waits).count(), 32);
    assert_eq!(runs.iter().filter(waits).filter(|run| elsewhere(run)).count(), 0);
}

/// Draws numbers for the times of kills (Marsaglia's xorshift64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Runs the tree and kills a worker some time after all have come; how many steals came before and
/// after the loss.
fn kill_one(launcher: Launcher, draw: &mut Draw) -> (usize, usize) {
    let case = uneven();
    let file = case.path().join("scheduler.json");
    let mut run = start(&case, launcher).args(["--scheduler-file"]).args([&file]).spawn();
    run.until("three workers", |_| {
        let text = std::fs::read_to_string(&file).ok()?;
        let file: Value = serde_json::from_str(&text).ok()?;
        (file["workers"].as_array()?.len() == 3).then_some(())
    });
    let due = Instant::now() + Duration::from_millis(draw.below(32 * SLEEP_MS / 3));
    while Instant::now() < due && run.goes_on() {
        std::thread::yield_now();
    }
    let workers = run.processes_of_role("worker");
    if let Some(victim) = workers.get(draw.below(workers.len().max(1) as u64) as usize) {
        // It may end by itself at this moment.
        let _gone = kill_process(Pid::from_raw(victim.pid).unwrap(), Signal::KILL);
    }
    let outcome = run.wait().expect_code(0);
    check(&case, &outcome);
    let events = events(&case);
    let place = |event: &&Value| event["event"] == "worker_lost";
    let Some(lost) = events.iter().position(|event| place(&event)) else { return (0, 0) };
    let (before, after) = events.split_at(lost);
    (of_kind(before, "steal").len(), of_kind(after, "steal").len())
}

#[test]
fn thieves_and_victims_killed_while_steals_are_under_way() {
    let launchers = launchers();
    let mut draw = Draw(20_261_121);
    let (mut kills, mut amid) = (0, 0);
    for round in 0..60 {
        if kills >= 9 && amid >= 3 {
            break;
        }
        let (before, after) = kill_one(launchers[round % launchers.len()], &mut draw);
        kills += u32::from(before + after > 0);
        amid += u32::from(before > 0 && after > 0);
    }
    assert!(kills >= 9 && amid >= 3, "{kills} kills, {amid} of them between two steals");
}
