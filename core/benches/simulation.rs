//! How long the simulator takes for a large job: 10^6 tasks on 10,000 pretend workers.
//!
//! Every message passes through the codec; the cores do not check themselves. Independent tasks, a
//! binary tree, and a stencil in which every task reads three others.
//!
//! `cargo bench -p rdask-core --bench simulation [-- TASKS [WORKERS]]`
#![expect(clippy::print_stdout, reason = "the table is the purpose of this program")]

use rdask_core::config::{Config, MILLISECOND_NS, SECOND_NS};
use rdask_core::graph::{Csr, Graph, Keys, Outputs, RunSpec};
use rdask_core::ids::{SpecId, TaskId};
use rdask_core::sim::{Behaviour, FaultPlan, MachineSpec, Network, Scenario, Simulation, Workload};
use std::sync::Arc;
use std::time::Instant;

/// Inputs of a task, by its number and the number of tasks.
type Inputs = fn(usize, usize) -> Vec<usize>;

/// Threads of each worker.
const THREADS: u32 = 4;
/// Workers on one host.
const WORKERS_PER_HOST: usize = 8;
/// Cells of the stencil.
const WIDTH: usize = 50_000;

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let tasks = numbers.first().copied().unwrap_or(1_000_000).max(2);
    let workers = numbers.get(1).copied().unwrap_or(10_000).max(1);
    println!(
        "{:<14}{:>10}{:>9}{:>9}{:>12}{:>12}{:>14}",
        "graph", "tasks", "workers", "seconds", "events", "transfers", "makespan (s)"
    );
    let shapes: [(&str, Inputs); 3] =
        [("independent", |_, _| Vec::new()), ("tree", tree), ("stencil", stencil)];
    for (name, inputs) in shapes {
        let graph = graph(name, tasks, inputs);
        let started = Instant::now();
        let trace = Simulation::new(scenario(graph, workers)).run().expect("nothing breaks");
        let seconds = started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let makespan = trace.makespan_ns as f64 / 1e9;
        println!(
            "{name:<14}{tasks:>10}{workers:>9}{seconds:>9.1}{:>12}{:>12}{makespan:>14.3}",
            trace.events, trace.transfers
        );
    }
}

/// Leaves first; then each task reads the next two of those before it.
fn tree(index: usize, count: usize) -> Vec<usize> {
    let leaves = count.div_ceil(2);
    let first = index.checked_sub(leaves).map(|inner| inner * 2);
    first.map_or_else(Vec::new, |first| (first..(first + 2).min(index)).collect())
}

/// A ring of cells, step after step.
fn stencil(index: usize, count: usize) -> Vec<usize> {
    let width = WIDTH.min(count);
    let Some(row) = (index / width).checked_sub(1).map(|step| step * width) else {
        return Vec::new();
    };
    let cell = index % width;
    vec![row + (cell + width - 1) % width, row + cell, row + (cell + 1) % width]
}

fn graph(name: &str, count: usize, inputs_of: Inputs) -> Arc<Graph> {
    let mut keys = Keys { offsets: vec![0], text: String::new() };
    let mut inputs = Csr { offsets: vec![0], values: Vec::new() };
    for index in 0..count {
        let reads = inputs_of(index, count);
        // Roots are a group of their own, as in real graphs, so that they are queued.
        let group = if reads.is_empty() { "load" } else { name };
        keys.text.push_str(&format!("{group}-{index}"));
        keys.offsets.push(keys.text.len() as u64);
        inputs.values.extend(reads.into_iter().map(TaskId::from_index));
        inputs.offsets.push(inputs.values.len() as u64);
    }
    Arc::new(Graph {
        spec_of: vec![SpecId(0); count],
        keys,
        specs: vec![RunSpec::Kernel { name: "identity".to_owned(), params: Vec::new() }],
        inputs,
        attributes: Vec::new(),
        outputs: Outputs::Sinks,
        arrays: Vec::new(),
        order: None,
        meta: String::new(),
    })
}

fn scenario(graph: Arc<Graph>, workers: usize) -> Scenario {
    let machine = |slot: usize| MachineSpec {
        host: (slot / WORKERS_PER_HOST) as u32,
        numa: 0,
        nthreads: THREADS,
        speed: 100,
        memory_limit_bytes: 0,
        disk_bytes: 0,
        gpu: 0,
    };
    Scenario {
        seed: 1,
        // Nobody reads the stories of 10,000 workers.
        config: Config { log_length: 0, worker_log_length: 0, ..Config::default() },
        network: Network {
            latency_ns: 5_000,
            jitter_ns: 5_000,
            bandwidth: 10_000_000_000,
            bandwidth_within: 20_000_000_000,
            bandwidth_disk: 1_000_000_000,
            timeout_ns: 30 * SECOND_NS,
        },
        machines: (0..workers).map(machine).collect(),
        workload: Workload::of(graph, |_| Behaviour {
            duration_ns: 10 * MILLISECOND_NS,
            nbytes: 8192,
            ..Behaviour::default()
        }),
        plan: FaultPlan::default(),
        orders: Vec::new(),
    }
}
