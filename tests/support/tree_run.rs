//! A run of the tree graph with three workers, its events on, for tests that disturb it.
//!
//! ```text
//! TreeRun::start(launcher, busy, flags) ─► all workers have joined ─► the test kills or stops
//!                                      .end() ─► right result, each loss named once ─► TreeEnd
//! ```

use super::graphs::{Case, tree, tree_root, tree_sum};
use super::run::{Outcome, Run};
use super::{Launcher, Start};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Leaves of the tree and the length of each: about a megabyte moves in each transfer.
const LEVELS: u32 = 5;
const LENGTH: u64 = 150_000;

/// A run of the tree with events.
pub(crate) struct TreeRun {
    case: Case,
    pub(crate) run: Run,
    /// When all workers had joined.
    pub(crate) joined: Instant,
}

/// How it ended.
pub(crate) struct TreeEnd {
    pub(crate) outcome: Outcome,
    /// From the join of the last worker.
    pub(crate) took: Duration,
    pub(crate) summary: Value,
    pub(crate) events: Vec<Value>,
}

impl TreeRun {
    /// Starts it with leaves of `busy` each and waits for its workers: 3 locally, under mpirun
    /// one for each rank but the first.
    pub(crate) fn start(launcher: Launcher, busy: Duration, flags: &[&str]) -> Self {
        let case = Case::new(&tree(LEVELS, LENGTH, busy.as_micros().try_into().unwrap()));
        let start = Start::new(launcher).args(case.args()).args(["--validate", "--events"]);
        let start = start.args([case.path().join("events.jsonl")]).args(flags);
        let workers: &[&str] = if launcher == Launcher::Local { &["--workers", "3"] } else { &[] };
        let file = case.path().join("scheduler.json");
        let mut run = start.args(["--scheduler-file"]).args([&file]).args(workers).spawn();
        run.until("a worker", |run| {
            let text = std::fs::read_to_string(&file).ok()?;
            let file: Value = serde_json::from_str(&text).ok()?;
            let all = run.processes_of_role("worker").len();
            (file["workers"].as_array()?.len() == all).then_some(())
        });
        Self { case, run, joined: Instant::now() }
    }

    /// Waits until so many events of a kind have been written.
    pub(crate) fn until_events(&mut self, kind: &str, number: usize) {
        let path = self.case.path().join("events.jsonl");
        self.run.until(kind, |_| {
            let text = std::fs::read_to_string(&path).ok()?;
            // The last line may be half written.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let events = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let found = events.filter(|event| event["event"] == kind).count();
            (found >= number).then_some(())
        });
    }

    /// Waits for the end: code 0, the right result, and each lost worker named once.
    pub(crate) fn end(self) -> TreeEnd {
        let Self { case, run, joined } = self;
        let outcome = run.wait().expect_code(0);
        let took = joined.elapsed();
        assert_eq!(case.floats(&tree_root(LEVELS)), tree_sum(LEVELS, LENGTH), "{outcome}");
        let summary = serde_json::from_str(outcome.last_line()).unwrap();
        let text = std::fs::read_to_string(case.path().join("events.jsonl")).unwrap();
        let events: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let end = TreeEnd { outcome, took, summary, events };
        let named = end.outcome.stderr.matches("worker lost").count();
        assert_eq!(named, end.lost().len(), "each loss is named once: {}", end.outcome);
        end
    }
}

impl TreeEnd {
    /// The events of workers that were lost.
    pub(crate) fn lost(&self) -> Vec<&Value> {
        self.events.iter().filter(|event| event["event"] == "worker_lost").collect()
    }
}
