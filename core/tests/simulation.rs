//! Seeds of the simulator. Each runs twice and must give the same trace; a failing seed is shrunk
//! and printed with the command that runs it again.
//!
//! `SIM_SEEDS` (300) and `SIM_FIRST` (0) say how many seeds and from which on.

use rdask_core::sim::{Scenario, Simulation, Trace};
use std::panic::{AssertUnwindSafe, catch_unwind};

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

#[test]
fn seeds() {
    let (seeds, first) = (number("SIM_SEEDS", 300), number("SIM_FIRST", 0));
    let (mut events, mut deaths, mut transfers) = (0, 0, 0);
    let (mut stolen, mut retired) = (0, 0);
    for seed in first..first + seeds {
        let trace = match run(seed, &[]) {
            Ok(trace) => trace,
            Err(what) => {
                let without = shrink(seed);
                let left = run(seed, &without).err().unwrap_or_default();
                let tasks = Scenario::shrunk(seed, &without).workload.graph.len();
                panic!(
                    "seed {seed}: {what}\nagain: make sim FIRST={seed} SEEDS=1\n\
                     shrunk to {tasks} tasks (without {without:?}): {left}"
                );
            }
        };
        assert_eq!(run(seed, &[]).as_ref(), Ok(&trace), "seed {seed} runs in two ways");
        events += trace.events;
        deaths += trace.deaths;
        transfers += trace.transfers;
        stolen += trace.stolen;
        retired += trace.retired;
        if (seed - first + 1) % 10_000 == 0 {
            println!("{} seeds, {events} events", seed - first + 1);
        }
    }
    println!(
        "{seeds} seeds from {first}: {events} events, {transfers} transfers, {stolen} steals, \
         {deaths} deaths, {retired} retired"
    );
    assert!(seeds < 100 || (deaths > 0 && transfers > 0 && stolen > 0 && retired > 0));
}
