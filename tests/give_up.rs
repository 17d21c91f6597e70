//! Slots without a future, and deaths of what nobody restarts: the run ends with 3, says why, and
//! leaves nothing.

use crate::support::graphs::{Case, graph, task};
use crate::support::leftovers::Process;
use crate::support::run::{Outcome, Run};
use crate::support::{Launcher, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

/// Longest end of a run after what it cannot survive. A hang guard: it takes about one second.
const END: Duration = Duration::from_secs(25);

const ALL: [Launcher; 3] = [Launcher::Local, Launcher::OpenMpi(3), Launcher::Mpich(3)];

fn one() -> Value {
    json!({"kernel": "full", "shape": [1], "dtype": "f64", "value": 1})
}

/// A graph whose tasks are executing until somebody ends the run.
fn endless() -> Case {
    let sleep = |i| task(&format!("s-{i}"), json!({"kernel": "sleep", "ms": 60_000}), &[]);
    Case::new(&graph((0..8).map(sleep).collect(), &[]))
}

/// What a run left as its verdict: job id and exit code.
fn verdict(case: &Case) -> Option<String> {
    std::fs::read_to_string(case.out().join(".rdask-exit")).ok()
}

/// Starts an endless run with two workers and waits until its graph has begun.
fn running(launcher: Launcher, case: &Case) -> Run {
    let events = case.path().join("events.jsonl");
    let mut start = Start::new(launcher).args(case.args()).deadline(END);
    if launcher == Launcher::Local {
        start = start.args(["--workers", "2"]);
    }
    let mut run = start.args(["--events"]).args([&events]).spawn();
    run.until("the graph's begin", |_| {
        let text = std::fs::read_to_string(&events).ok()?;
        text.contains("\"begin\"").then_some(())
    });
    run
}

fn kill(process: &Process) {
    process.signal(Signal::KILL).unwrap();
}

/// Rank 0 says what happened, once, and returns 3.
fn check_lost(launcher: Launcher, outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code, Some(3), "{launcher:?}: {outcome}");
    assert!(outcome.stderr.contains(what), "{launcher:?}: {outcome}");
    assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{launcher:?}: {outcome}");
}

#[test]
fn workers_that_never_fit_their_memory_are_given_up_and_the_run_ends() {
    for launcher in ALL.into_iter().filter(|launcher| launcher.available()) {
        let case = Case::new(&graph(vec![task("x", one(), &[])], &["x"]));
        // The graph comes through a pipe that stays open, so that no task is ever executing.
        let pipe = case.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let writer = File::options().read(true).write(true).open(&pipe).unwrap();
        let output = ["--output".into(), case.out().display().to_string()];
        let mut start = Start::new(launcher).args(["-"]).args(output).stdin(&pipe);
        if launcher == Launcher::Local {
            start = start.args(["--workers", "2"]);
        }
        let outcome = start.args(["--memory-limit", "1MiB"]).finish();
        drop(writer);
        check_lost(launcher, &outcome, "error: no worker is left");
        for words in ["5 times", "no task executing", "of memory", "--memory-limit", "worker 1"] {
            assert!(outcome.stderr.contains(words), "{launcher:?}, {words}: {outcome}");
        }
        assert!(outcome.seconds < 60.0, "{launcher:?}: {outcome}");
        assert!(verdict(&case).is_none(), "nothing was begun in the folder");
    }
}

#[test]
fn the_schedulers_death_ends_the_run_with_3() {
    for launcher in ALL.into_iter().filter(|launcher| launcher.available()) {
        let case = endless();
        let run = running(launcher, &case);
        let job_id = run.job_id().to_owned();
        kill(&run.processes_of_role("scheduler")[0]);
        let outcome = run.wait();
        check_lost(launcher, &outcome, "error: the process of the scheduler was killed");
        assert_eq!(verdict(&case), Some(format!("{job_id} 3\n")), "{launcher:?}");
    }
}

#[test]
fn a_supervisors_death_ends_its_worker_and_under_mpirun_the_job() {
    for launcher in ALL.into_iter().filter(|launcher| launcher.available()) {
        let case = endless();
        let run = running(launcher, &case);
        // The last rank's supervisor is the parent of its worker; locally there is only one.
        let worker = run.processes_of_role("worker").pop().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.pid)).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let parent: i32 = fields.split_whitespace().nth(1).unwrap().parse().unwrap();
        kill_process(Pid::from_raw(parent).unwrap(), Signal::KILL).unwrap();
        let outcome = run.wait();
        // Launchers have a code of their own for a killed rank.
        assert_ne!(outcome.code, Some(0), "{launcher:?}: {outcome}");
    }
}

#[test]
fn a_run_leaves_its_verdict_in_the_folder_that_it_accepted() {
    for launcher in ALL.into_iter().filter(|launcher| launcher.available()) {
        let case = Case::new(&graph(vec![task("x", one(), &[])], &["x"]));
        let run = Start::new(launcher).args(case.args()).spawn();
        let job_id = run.job_id().to_owned();
        run.wait().expect_code(0);
        assert_eq!(verdict(&case), Some(format!("{job_id} 0\n")), "{launcher:?}");
    }
    let fail = json!({"kernel": "fail", "message": "no luck"});
    let case = Case::new(&graph(vec![task("x", fail, &[])], &["x"]));
    let run = Start::new(Launcher::Local).args(case.args()).spawn();
    let job_id = run.job_id().to_owned();
    run.wait().expect_code(1);
    assert_eq!(verdict(&case), Some(format!("{job_id} 1\n")));
}

#[test]
fn a_folder_that_was_not_accepted_is_left_alone() {
    for launcher in ALL.into_iter().filter(|launcher| launcher.available()) {
        let case = Case::new(&graph(vec![task("x", one(), &[])], &["x"]));
        std::fs::create_dir(case.out()).unwrap();
        std::fs::write(case.out().join("manifest.json"), "{\"name\": \"app\"}").unwrap();
        let outcome = Start::new(launcher).args(case.args()).finish().expect_code(2);
        assert_eq!(outcome.stderr.matches("error: ").count(), 1, "{launcher:?}: {outcome}");
        assert!(verdict(&case).is_none(), "{launcher:?}");
    }
}

/// The scheduler refuses before the other ranks have come: they must hear of it all the same.
#[test]
fn a_graph_that_is_refused_at_once_ends_all_ranks_at_once() {
    for launcher in ALL.into_iter().filter(|launcher| launcher.available()) {
        let case = Case::new(&graph(vec![task("x", json!({"kernel": "fulll"}), &[])], &["x"]));
        let outcome = Start::new(launcher).args(case.args()).deadline(END).finish().expect_code(2);
        assert!(outcome.stderr.contains("'fulll'"), "{launcher:?}: {outcome}");
        assert!(!case.out().exists(), "{launcher:?}");
    }
}

#[test]
fn each_process_has_a_log_of_its_own() {
    for launcher in ALL.into_iter().filter(|launcher| launcher.available()) {
        let case = Case::new(&graph(vec![task("x", one(), &[])], &["x"]));
        let logs = case.path().join("logs");
        let mut start = Start::new(launcher).args(case.args()).args(["--log", "debug"]);
        if launcher == Launcher::Local {
            start = start.args(["--workers", "2"]);
        }
        let outcome = start.args(["--log-dir"]).args([&logs]).finish().expect_code(0);
        let mut names: Vec<String> = std::fs::read_dir(&logs)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let supervisors: &[&str] = match launcher {
            Launcher::Local => &["supervisor-0.log"],
            _ => &["supervisor-0.log", "supervisor-1.log", "supervisor-2.log"],
        };
        let roles = ["scheduler.log", "worker-1.log", "worker-2.log"];
        let mut expected: Vec<&str> = roles.iter().chain(supervisors).copied().collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{launcher:?}");
        let stderr = &outcome.stderr;
        assert!(stderr.contains("worker 1: "), "{launcher:?}: {outcome}");
        assert!(!stderr.contains("worker 1: worker 1"), "{launcher:?}: {outcome}");
    }
}

#[test]
fn a_local_run_on_a_login_node_takes_little_and_says_so() {
    let case = Case::new(&graph(vec![task("x", one(), &[])], &["x"]));
    let bin = case.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(bin.join("sbatch"), "#!/bin/sh\n").unwrap();
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(bin.join("sbatch"), permissions).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", bin.display());
    let start = || Start::new(Launcher::Local).args(case.args()).env("PATH", &path);
    let outcome = start().finish().expect_code(0);
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    assert_eq!(summary["workers"], 1, "{outcome}");
    assert!(summary["threads"].as_u64().unwrap() <= 2, "{outcome}");
    assert!(outcome.stderr.contains("login node (sbatch"), "{outcome}");
    assert!(outcome.stderr.contains("--workers"), "{outcome}");
    let outcome = start().args(["--workers", "3"]).finish().expect_code(0);
    let summary: Value = serde_json::from_str(outcome.last_line()).unwrap();
    assert_eq!(summary["workers"], 3, "{outcome}");
    assert!(!outcome.stderr.contains("login node"), "{outcome}");
}
