//! Flight records of real runs: under every launcher, with workers and schedulers that are killed,
//! they replay to the state that the run ended in; what cannot be written or read is one error.

use crate::support::graphs::{Case, graph, task, tree, tree_root, tree_sum};
use crate::support::run::{Outcome, Run};
use crate::support::schema::assert_fits;
use crate::support::{Launcher, Start};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn record_of(case: &Case) -> PathBuf {
    case.path().join("run.record")
}

fn recording(case: &Case, launcher: Launcher) -> Start {
    let workers: &[&str] = if launcher == Launcher::Local { &["--workers", "2"] } else { &[] };
    Start::new(launcher).args(case.args()).args(["--record"]).args([record_of(case)]).args(workers)
}

fn replay(record: &Path, more: &[&str]) -> Outcome {
    let words = [Path::new("replay"), record];
    Start::new(Launcher::Local).args(words).args(more).finish()
}

/// What the replay says of a record that it agrees with.
fn agreeing(record: &Path) -> Value {
    let outcome = replay(record, &["--json", "--validate"]).expect_code(0);
    let said: Value = serde_json::from_str(outcome.last_line()).unwrap();
    assert_fits("replay", &said);
    assert_eq!((&said["agrees"], &said["diverged"]), (&json!(true), &Value::Null), "{said}");
    said
}

/// Kills a process of a role with the signal that nobody can catch.
fn kill_one(run: &mut Run, role: &str) {
    let victim = run.until("a process to kill", |run| run.processes_of_role(role).first().cloned());
    kill_process(Pid::from_raw(victim.pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_run_replays_to_the_state_that_it_ended_in() {
    for launcher in [Launcher::Local, Launcher::OpenMpi(3), Launcher::Mpich(3)] {
        if !launcher.available() {
            continue;
        }
        let case = Case::new(&tree(4, 1000, 100));
        recording(&case, launcher).finish().expect_code(0);
        let said = agreeing(&record_of(&case));
        assert_eq!(said["recorded_hash"], said["state_hash"], "{launcher:?}: {said}");
        assert_eq!(said["events"], said["recorded_events"], "{launcher:?}: {said}");
        // The result is written and let go, and with it all else.
        assert_eq!(said["tasks"], json!({"forgotten": 16 * 3 + 15}), "{launcher:?}: {said}");
        assert_eq!(case.floats(&tree_root(4)), tree_sum(4, 1000), "{launcher:?}");
    }
}

#[test]
fn a_story_a_prefix_and_the_events_of_a_record() {
    let case = Case::new(&tree(2, 10, 0));
    recording(&case, Launcher::Local).finish().expect_code(0);
    let record = record_of(&case);
    let root = tree_root(2);
    let told = replay(&record, &["--story", &root, "--json"]).expect_code(0);
    assert_fits("replay", &serde_json::from_str(told.last_line()).unwrap());
    let story = replay(&record, &["--story", &root]).expect_code(0).stdout;
    assert!(story.contains("the same as recorded"), "{story}");
    for step in ["Released -> Waiting", "Waiting -> Processing", "Processing -> Memory"] {
        assert!(story.contains(step), "{step}: {story}");
    }
    let wrong = replay(&record, &["--story", "smu2-0"]).expect_code(2).stderr;
    assert!(wrong.contains("the graph has no task 'smu2-0'"), "{wrong}");
    assert!(wrong.contains(&format!("did you mean '{root}'?")), "{wrong}");

    let some = replay(&record, &["--until", "3", "--json"]).expect_code(0);
    let some: Value = serde_json::from_str(some.last_line()).unwrap();
    assert_eq!((&some["events"], &some["recorded_hash"]), (&json!(3), &Value::Null), "{some}");

    let events = replay(&record, &["--events"]).expect_code(0).stdout;
    let finished = events.lines().filter(|line| line.contains(" task-finished ")).count();
    assert_eq!(finished, 4 * 3 + 3, "{events}");
    assert!(events.contains(&format!("task-finished {root} run")), "{events}");
    for line in replay(&record, &["--events", "--json"]).expect_code(0).stdout.lines() {
        assert_fits("replay-events", &serde_json::from_str(line).unwrap());
    }
}

#[test]
fn a_run_with_a_killed_worker_replays() {
    let case = Case::new(&tree(5, 1000, 150_000));
    let mut run = recording(&case, Launcher::Local).spawn();
    run.until("a task on a worker", |_| {
        let here = replay_quietly(&record_of(&case))?;
        (here["tasks"]["processing"].as_u64()? >= 1).then_some(())
    });
    kill_one(&mut run, "worker");
    run.wait().expect_code(0);
    assert_eq!(case.floats(&tree_root(5)), tree_sum(5, 1000));
    let said = agreeing(&record_of(&case));
    assert_eq!(said["recorded_hash"], said["state_hash"], "{said}");
    let events = replay(&record_of(&case), &["--events"]).expect_code(0).stdout;
    assert!(events.contains(" remove-worker "), "{events}");
}

#[test]
fn the_record_of_a_killed_scheduler_replays_to_its_last_whole_event() {
    let tasks = vec![task("nap", json!({"kernel": "sleep", "ms": 60_000}), &[])];
    let case = Case::new(&graph(tasks, &["nap"]));
    let mut run = recording(&case, Launcher::Local).spawn();
    run.until("the task on its worker", |run| {
        let here = replay_quietly(&record_of(&case))?;
        (run.processes_of_role("worker").len() == 2 && here["tasks"]["processing"] == 1)
            .then_some(())
    });
    kill_one(&mut run, "scheduler");
    run.wait().expect_code(3);
    let said = agreeing(&record_of(&case));
    assert_eq!((&said["recorded_hash"], &said["tasks"]["processing"]), (&Value::Null, &json!(1)));
}

/// The replay of a record that is still being written, once it has a graph.
fn replay_quietly(record: &Path) -> Option<Value> {
    let bytes = std::fs::read(record).ok()?;
    let record = rdask_core::record::Record::read(bytes).ok()?;
    record.graph()?;
    let replayed = rdask_core::record::Replay::default().run(&record).ok()?;
    let processing = replayed.state.count_in(rdask_core::scheduler::TaskState::Processing);
    Some(json!({"tasks": {"processing": processing}}))
}

#[test]
fn a_ring_keeps_the_latest_events_and_says_so() {
    let tasks =
        (0..30_000).map(|at| task(&format!("x-{at}"), json!({"kernel": "bytes", "size": 1}), &[]));
    let case = Case::new(&graph(tasks.collect(), &[]));
    let small = ["--record-size", "256KiB"];
    recording(&case, Launcher::Local).args(small).finish().expect_code(0);
    let record = record_of(&case);
    let refused = replay(&record, &[]).expect_code(2).stderr;
    assert!(refused.contains("is a ring that begins with event"), "{refused}");
    assert!(refused.contains("record without --record-size"), "{refused}");
    let events = replay(&record, &["--events"]).expect_code(0).stdout;
    let numbers: Vec<u64> =
        events.lines().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.len() > 100 && numbers[0] > 1000, "{} from {}", numbers.len(), numbers[0]);
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn what_cannot_be_written_or_read_is_one_error() {
    let case = Case::new(&tree(2, 10, 0));
    let nowhere = case.path().join("missing").join("run.record");
    let args = case.args();
    let start = Start::new(Launcher::Local).args(&args).args(["--record"]).args([&nowhere]);
    let refused = start.finish().expect_code(2).stderr;
    assert!(refused.contains("error: cannot write the record: "), "{refused}");
    assert!(refused.contains("choose another one with --record FILE"), "{refused}");
    assert!(!case.out().join("manifest.json").exists());
    let start = Start::new(Launcher::Local).args(&args).args(["--record-size", "1MiB"]);
    let refused = start.finish().expect_code(2).stderr;
    assert!(refused.contains("there is no record to keep small"), "{refused}");

    let missing = replay(&nowhere, &[]).expect_code(2).stderr;
    assert!(missing.contains("the record cannot be read: "), "{missing}");
    let graph_file = case.path().join("graph.json");
    let wrong = replay(&graph_file, &[]).expect_code(2).stderr;
    assert!(wrong.contains("this is no flight record"), "{wrong}");
    recording(&case, Launcher::Local).finish().expect_code(0);
    let bytes = std::fs::read(record_of(&case)).unwrap();
    let bad = case.path().join("bad.record");
    // The checksum of the header, and the hash at the end.
    for at in [17, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&bad, &damaged).unwrap();
        let wrong = replay(&bad, &[]).expect_code(2).stderr;
        assert!(wrong.contains("damaged at byte"), "{wrong}");
        assert_eq!(wrong.lines().count(), 1, "{wrong}");
    }
    std::fs::write(&bad, &bytes[..20]).unwrap();
    let wrong = replay(&bad, &[]).expect_code(2).stderr;
    assert!(wrong.contains("cut off at byte 20"), "{wrong}");
}

#[test]
fn a_disk_that_is_full_costs_the_record_and_not_the_run() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let case = Case::new(&tree(2, 10, 0));
    let start = Start::new(Launcher::Local).args(case.args()).args(["--record"]).args([full]);
    let refused = start.finish().expect_code(2).stderr;
    assert!(refused.contains("cannot write the record: No space left on device"), "{refused}");
}
