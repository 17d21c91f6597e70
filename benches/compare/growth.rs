//! What a task costs as graphs grow: 10^4, 10^5 and 10^6 tasks of two patterns, taking no time of
//! their own. Sizes are run in turn; the ratio is to the smallest.

use super::{Bench, median};
use rdask::generate::{Knob, Request, generate};

/// Times that each size is run in turn.
const ROUNDS: usize = 3;
/// Points of a step.
const WIDTH: u64 = 100;
/// Steps of each size: tasks are as many times `WIDTH`.
const STEPS: [u64; 3] = [100, 1_000, 10_000];
/// What a task of the largest graph may cost beside one of the smallest.
const GOAL: f64 = 1.2;

/// One line for each pattern and size.
pub(super) fn table(bench: &Bench) {
    println!("\nCost of a task as graphs grow, median of {ROUNDS} runs in turn");
    println!("{:<16} {:>9} {:>9} {:>7}  goal", "graph", "tasks", "us/task", "ratio");
    for family in ["trivial", "stencil_1d"] {
        let graphs = STEPS.map(|steps| {
            let request = Request {
                family: family.to_owned(),
                sizes: vec![(Knob::Width, WIDTH), (Knob::Steps, steps)],
                task_us: Some(0.0),
                ..Request::default()
            };
            let graph = generate(&request).expect("the sizes are right");
            (bench.write(&format!("growth-{family}-{steps}"), &graph), graph.len())
        });
        let workers = bench.cores.to_string();
        let mut seconds: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            for ((path, _), seconds) in graphs.iter().zip(&mut seconds) {
                seconds.push(bench.run(path, &["--workers", &workers, "--threads", "1"]));
            }
        }
        let mut smallest = None;
        for ((path, tasks), seconds) in graphs.iter().zip(seconds) {
            let cost = median(seconds) / *tasks as f64;
            let ratio = cost / *smallest.get_or_insert(cost);
            println!("{family:<16} {tasks:>9} {:>9.2} {ratio:>7.2}  <= {GOAL}", cost * 1e6);
            // The bench needs it no more, and a million tasks fill a small disk.
            let _removed = std::fs::remove_file(path);
        }
    }
}
