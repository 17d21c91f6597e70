//! Seeds of the simulator. Each runs twice and must give the same trace; a failing seed is shrunk
//! and printed with the command that runs it again. Together they must take every edge of both
//! machines.
//!
//! `SIM_SEEDS` (300) and `SIM_FIRST` (0) say how many seeds and from which on; `SIM_MUTANT` runs each
//! once and stops at the first that fails, without shrinking: that is for planted bugs. What a seed
//! is and how to read a failure: docs/simulator.md.

use rdask_core::sim::coverage::Coverage;
use rdask_core::sim::edges::{
    RESUMED_ROWS, SCHEDULER_EDGES, SCHEDULER_RARE, SCHEDULER_UNREACHED, WORKER_RARE, WORKER_ROWS,
    WORKER_UNREACHED,
};
use rdask_core::sim::{Scenario, Simulation, Trace};
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// After so many failing seeds it is enough.
const MOST_FAILURES: usize = 10;
/// So many seeds take every edge; fewer need not.
const ENOUGH: u64 = 300;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().expect(name))
}

/// The trace of a seed without some tasks, or what went wrong.
fn run(seed: u64, without: &[u32]) -> Result<Trace, String> {
    let run = || Simulation::new(Scenario::shrunk(seed, without)).run();
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|broken| broken.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            Err(text
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "a panic without words".to_owned()))
        }
    }
}

/// Takes tasks away, in ever smaller pieces, as long as the seed still fails.
fn shrink(seed: u64) -> Vec<u32> {
    let tasks = Scenario::draw(seed).workload.graph.len() as u32;
    let mut without: Vec<u32> = Vec::new();
    let mut piece = tasks / 2;
    while piece > 0 {
        for start in (0..tasks).step_by(piece as usize) {
            let more: Vec<u32> = (start..(start + piece).min(tasks))
                .filter(|task| !without.contains(task))
                .chain(without.iter().copied())
                .collect();
            if more.len() > without.len()
                && more.len() < tasks as usize
                && run(seed, &more).is_err()
            {
                without = more;
            }
        }
        piece /= 2;
    }
    without.sort_unstable();
    without
}

/// Sums over all seeds.
#[derive(Default)]
struct Totals {
    events: u64,
    executed: u64,
    transfers: u64,
    stolen: u64,
    retired: u64,
    further_graphs: u64,
    refused_graphs: u64,
    recomputed: u64,
    deaths: u64,
    moved_bytes: u64,
    coverage: Coverage,
}

impl Totals {
    fn add(&mut self, trace: &Trace) {
        self.events += trace.events;
        self.executed += trace.executed;
        self.transfers += trace.transfers;
        self.stolen += trace.stolen;
        self.retired += trace.retired;
        self.further_graphs += trace.further_graphs;
        self.refused_graphs += trace.refused_graphs;
        self.recomputed += trace.recomputed;
        self.deaths += trace.deaths;
        self.moved_bytes += trace.moved_bytes;
        self.coverage.add(&trace.coverage);
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{} events, {} runs, {} recomputed, {} stolen, {} transfers, {} MB moved, {} deaths, \
             {} retired, {} further graphs, {} refused\n",
            self.events,
            self.executed,
            self.recomputed,
            self.stolen,
            self.transfers,
            self.moved_bytes / 1_000_000,
            self.deaths,
            self.retired,
            self.further_graphs,
            self.refused_graphs
        );
        for (name, edges) in WORKER_ROWS.iter().chain(RESUMED_ROWS) {
            let counts = edges.iter().map(|edge| self.coverage.of_worker(*edge).to_string());
            let counts = counts.collect::<Vec<_>>().join(" ");
            writeln!(text, "  worker     {name:<55} {counts}").expect("a string takes any text");
        }
        for edge in SCHEDULER_EDGES {
            let (name, count) =
                (format!("{:?} → {:?}", edge.0, edge.1), self.coverage.of_scheduler(*edge));
            writeln!(text, "  scheduler  {name:<55} {count}").expect("a string takes any text");
        }
        text
    }

    /// Edges that no seed took although each should be taken by so many seeds.
    fn gaps(&self) -> Vec<String> {
        let rows = WORKER_ROWS.iter().chain(RESUMED_ROWS);
        let worker = rows.flat_map(|(_, edges)| edges.iter()).filter(|edge| {
            let mut excused = WORKER_RARE.iter().chain(WORKER_UNREACHED);
            self.coverage.of_worker(**edge) == 0 && !excused.any(|(other, _)| other == *edge)
        });
        let scheduler = SCHEDULER_EDGES.iter().filter(|edge| {
            let mut excused = SCHEDULER_RARE.iter().chain(SCHEDULER_UNREACHED);
            self.coverage.of_scheduler(**edge) == 0 && !excused.any(|(other, _)| other == *edge)
        });
        let worker = worker.map(|edge| format!("{edge:?}"));
        worker.chain(scheduler.map(|edge| format!("{edge:?}"))).collect()
    }

    /// Edges that are said to be out of reach and were taken.
    fn surprises(&self) -> Vec<String> {
        let worker = WORKER_UNREACHED.iter().map(|(edge, _)| edge);
        let worker = worker.filter(|edge| self.coverage.of_worker(**edge) > 0);
        let scheduler = SCHEDULER_UNREACHED.iter().map(|(edge, _)| edge);
        let scheduler = scheduler.filter(|edge| self.coverage.of_scheduler(**edge) > 0);
        let worker = worker.map(|edge| format!("{edge:?}"));
        worker.chain(scheduler.map(|edge| format!("{edge:?}"))).collect()
    }
}

/// What is printed for a seed that fails.
fn report(seed: u64, what: &str) -> String {
    let without = shrink(seed);
    let left = run(seed, &without).err().unwrap_or_default();
    let tasks = Scenario::shrunk(seed, &without).workload.graph.len();
    format!(
        "seed {seed}: {what}\nagain: make sim FIRST={seed} SEEDS=1\n\
         shrunk to {tasks} tasks (without {without:?}): {left}"
    )
}

#[test]
fn seeds() {
    let (seeds, first) = (number("SIM_SEEDS", ENOUGH), number("SIM_FIRST", 0));
    let mutant = std::env::var_os("SIM_MUTANT").is_some();
    let (mut totals, mut failures) = (Totals::default(), Vec::new());
    for seed in first..first + seeds {
        let trace = match run(seed, &[]) {
            Ok(trace) => trace,
            Err(what) if mutant => panic!("found by seed {seed}: {what}"),
            Err(what) if failures.is_empty() => {
                failures.push(report(seed, &what));
                continue;
            }
            Err(what) => {
                failures.push(format!("seed {seed}: {what}"));
                continue;
            }
        };
        assert!(mutant || run(seed, &[]).as_ref() == Ok(&trace), "seed {seed} runs in two ways");
        totals.add(&trace);
        if failures.len() == MOST_FAILURES {
            break;
        }
        if (seed - first + 1) % 10_000 == 0 {
            println!("{} seeds, {} events", seed - first + 1, totals.events);
        }
    }
    println!("{seeds} seeds from {first}: {}", totals.table());
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    let graphs = totals.further_graphs.min(totals.refused_graphs);
    assert!(seeds < ENOUGH || graphs > 0, "clients submitted one graph only");
    let gaps = totals.gaps();
    assert!(seeds < ENOUGH || gaps.is_empty(), "never taken: {}", gaps.join(", "));
    let surprises = totals.surprises();
    assert!(surprises.is_empty(), "taken after all: {}", surprises.join(", "));
}

/// The rows are those of the document, so that an edge which is new there is asked for here.
#[test]
fn rows_are_those_of_the_document() {
    let text = include_str!("../../docs/states.md");
    let rows = |heading: &str| -> Vec<String> {
        let section = text.split(heading).nth(1).expect("the document has the section");
        let section = section.split("\n## ").next().expect("a first piece is always there");
        let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
        let first = |line: &str| line.split('|').nth(1).expect("a column").trim().to_owned();
        rows.map(first).collect()
    };
    let names = |rows: &[(&str, &[_])]| rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    let worker: Vec<String> = names(WORKER_ROWS);
    assert_eq!(rows("## Worker: all transitions"), worker);
    let resumed: Vec<String> = names(RESUMED_ROWS);
    assert_eq!(rows("## Worker: cancelled and resumed"), resumed);
    let written = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut written: Vec<&str> =
        written.map(|(edge, _)| edge).filter(|edge| edge.contains(" → ")).collect();
    let name = |state| format!("{state:?}").to_lowercase().replace("noworker", "no-worker");
    let mut known: Vec<String> =
        SCHEDULER_EDGES.iter().map(|edge| format!("{} → {}", name(edge.0), name(edge.1))).collect();
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(written, known);
}
