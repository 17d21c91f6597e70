//! Simulations of given graphs against closed forms: makespans that can be worked out by hand.
//!
//! `L` is the latency of a message, `t` the duration of a task, `s` the time of a result's bytes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use rdask_core::config::{Config, MILLISECOND_NS, SECOND_NS};
use rdask_core::graph::{Attributes, Graph, GraphBuilder, RunSpec, TaskHandle};
use rdask_core::ids::TaskId;
use rdask_core::sim::{
    Behaviour, Fault, FaultPlan, MachineSpec, Network, NoOutcome, Outcome, Scenario, Simulation,
    Workload, serial_peak,
};
use rdask_core::time::Time;
use std::sync::Arc;

const LATENCY_NS: u64 = 10_000;
const DURATION_NS: u64 = 5 * MILLISECOND_NS;
const BYTES: u64 = 1_000_000;
/// 1 GB/s: a result takes a millisecond.
const BANDWIDTH: u64 = 1_000_000_000;
const TRANSFER_NS: u64 = MILLISECOND_NS;

fn spec() -> RunSpec {
    RunSpec::kernel::<&str>("identity", [])
}

fn scenario(graph: Graph, workers: u32, threads: u32, seed: u64) -> Scenario {
    let behaviour =
        |_| Behaviour { duration_ns: DURATION_NS, nbytes: BYTES, ..Behaviour::default() };
    let machine = |host| MachineSpec {
        host,
        numa: 0,
        nthreads: threads,
        speed: 100,
        memory_limit_bytes: 0,
        disk_bytes: 0,
        gpu: 0,
    };
    Scenario {
        seed,
        config: Config { bandwidth: BANDWIDTH, ..Config::default() },
        network: Network {
            latency_ns: LATENCY_NS,
            jitter_ns: 0,
            bandwidth: BANDWIDTH,
            bandwidth_within: BANDWIDTH,
            bandwidth_disk: BANDWIDTH,
            timeout_ns: 30 * SECOND_NS,
        },
        machines: (0..workers).map(machine).collect(),
        workload: Workload::of(Arc::new(graph), behaviour),
        plan: FaultPlan::default(),
        orders: Vec::new(),
    }
}

fn run(graph: Graph, workers: u32, threads: u32, seed: u64) -> Outcome {
    Simulation::given(scenario(graph, workers, threads, seed), true).unwrap()
}

fn independent(count: usize) -> Graph {
    let mut graph = GraphBuilder::new();
    for index in 0..count {
        graph.add(&format!("x-{index}"), spec(), &[]);
    }
    graph.build().unwrap()
}

fn chain(count: usize) -> Graph {
    let mut graph = GraphBuilder::new();
    let mut last: Vec<TaskHandle> = Vec::new();
    for index in 0..count {
        last = vec![graph.add(&format!("link-{index}"), spec(), &last)];
    }
    graph.build().unwrap()
}

/// A binary tree of `levels` levels.
fn tree(levels: u32) -> Graph {
    let mut graph = GraphBuilder::new();
    let mut row: Vec<TaskHandle> = Vec::new();
    for leaf in 0..1 << (levels - 1) {
        row.push(graph.add(&format!("leaf-{leaf}"), spec(), &[]));
    }
    for level in 1..levels {
        row = row
            .chunks(2)
            .enumerate()
            .map(|(at, pair)| graph.add(&format!("add-{level}-{at}"), spec(), pair))
            .collect();
    }
    graph.build().unwrap()
}

#[test]
fn independent_tasks_fill_all_threads() {
    for (count, workers, threads) in
        [(1, 3, 2), (7, 7, 1), (30, 30, 1), (1000, 24, 1), (100, 4, 2), (1000, 3, 8)]
    {
        let outcome = run(independent(count), workers, threads, 1);
        let rounds = (count as u64).div_ceil(u64::from(workers * threads));
        // A worker holds one task more than it has threads, until durations are known: of several
        // threads that end together the others wait for a round trip.
        let least = rounds * DURATION_NS + 2 * LATENCY_NS;
        let most = if threads == 1 { least } else { rounds * (DURATION_NS + 2 * LATENCY_NS) };
        let makespan_ns = outcome.makespan_ns;
        assert!(
            (least..=most).contains(&makespan_ns),
            "{count} on {workers} x {threads}: {makespan_ns}, not {least} to {most}"
        );
        assert_eq!(outcome.bounds.work_ns, {
            (count as u64 * DURATION_NS).div_ceil(u64::from(workers * threads))
        });
        assert_eq!(outcome.bounds.critical_path_ns, DURATION_NS);
        assert_eq!((outcome.trace.moved_bytes, outcome.tasks), (0, count as u64));
        assert_eq!(outcome.trace.executed, count as u64);
    }
}

#[test]
fn a_chain_stays_on_its_worker() {
    let outcome = run(chain(50), 4, 2, 7);
    assert_eq!(outcome.makespan_ns, 50 * (DURATION_NS + 2 * LATENCY_NS));
    assert_eq!(outcome.bounds.critical_path_ns, 50 * DURATION_NS);
    assert_eq!((outcome.trace.moved_bytes, outcome.trace.transfers), (0, 0));
    // A link and the one behind it.
    assert_eq!(outcome.peak_worker_bytes, 2 * BYTES);
}

#[test]
fn a_tree_fetches_one_input_a_task() {
    // 2^3 leaves on as many workers: nothing waits for a thread, each sum fetches its second input.
    let outcome = run(tree(4), 8, 1, 3);
    let fetch_ns = 2 * LATENCY_NS + TRANSFER_NS;
    let expected = 4 * (DURATION_NS + 2 * LATENCY_NS) + 3 * fetch_ns;
    // Messages of one stream that leave together arrive a nanosecond apart.
    assert!((expected..expected + 8).contains(&outcome.makespan_ns), "{}", outcome.makespan_ns);
    assert_eq!((outcome.trace.moved_bytes, outcome.trace.transfers), (7 * BYTES, 7));
    assert_eq!(outcome.bounds.critical_path_ns, 4 * DURATION_NS);
}

#[test]
fn transfers_share_the_link_of_their_receiver() {
    // One task reads what five workers hold, one of them itself: four payloads over one link.
    let mut graph = GraphBuilder::new();
    let leaves: Vec<_> = (0..5).map(|leaf| graph.add(&format!("x-{leaf}"), spec(), &[])).collect();
    graph.add("sum", spec(), &leaves);
    let outcome = run(graph.build().unwrap(), 5, 1, 3);
    let expected = 2 * (DURATION_NS + 2 * LATENCY_NS) + 2 * LATENCY_NS + 4 * TRANSFER_NS;
    assert_eq!(outcome.makespan_ns, expected);
    assert!(outcome.bounds.bytes_ns <= outcome.makespan_ns);
}

#[test]
fn what_reads_one_result_spreads_over_idle_workers() {
    // 49 of 50 workers fetch the result; its holder serves ten at a time, the others come again.
    let mut graph = GraphBuilder::new();
    let source = graph.add("source", spec(), &[]);
    for child in 0..50 {
        graph.add(&format!("child-{child}"), spec(), &[source]);
    }
    let graph = graph.build().unwrap();
    for work_stealing in [true, false] {
        let mut scenario = scenario(graph.clone(), 50, 1, 1);
        scenario.config.work_stealing = work_stealing;
        for behaviour in &mut scenario.workload.behaviours {
            behaviour.nbytes = 10_000;
        }
        let outcome = Simulation::given(scenario, true).unwrap();
        // All at once, and a quarter more; one wait of 5 ms would cost half of it.
        let (makespan_ns, most) = (outcome.makespan_ns, 2 * DURATION_NS * 5 / 4);
        assert!(makespan_ns < most, "{makespan_ns} with stealing: {work_stealing}");
    }
}

#[test]
fn equal_seeds_give_equal_outcomes() {
    let outcome = |seed| run(tree(6), 5, 2, seed);
    assert_eq!(outcome(11), outcome(11));
    // Another seed breaks ties elsewhere; the work stays.
    let (one, other) = (outcome(11), outcome(12));
    assert_ne!(one.trace.hash, other.trace.hash);
    assert_eq!(one.trace.executed, other.trace.executed);
}

#[test]
fn a_crash_costs_time_and_no_result() {
    let mut scenario = scenario(independent(100), 4, 1, 5);
    let at = Time(10 * DURATION_NS + DURATION_NS / 2);
    scenario.plan = FaultPlan { faults: vec![(at, Fault::Crash { slot: 2 })], heals: at };
    let outcome = Simulation::given(scenario, true).unwrap();
    assert_eq!(outcome.trace.deaths, 1);
    assert!(outcome.trace.executed > 100, "{outcome:?}");
    assert!(outcome.makespan_ns > 25 * DURATION_NS, "{outcome:?}");
}

#[test]
fn what_no_machine_has_is_told() {
    let mut graph = GraphBuilder::new();
    let task = graph.add("x", spec(), &[]);
    graph.attributes(task, Attributes { threads: Some(3), ..Attributes::default() });
    let refused = Simulation::given(scenario(graph.build().unwrap(), 2, 2, 0), true);
    let Err(NoOutcome::Unsatisfiable(what)) = refused else { panic!("{refused:?}") };
    assert_eq!((what.task, what.asks.as_str()), (TaskId(0), "3 threads"));
}

#[test]
fn the_serial_peak_counts_what_is_alive() {
    let graph = tree(4);
    let breadth_first: Vec<u32> = (0..15).collect();
    // All leaves, and then one more while the first pair is still there.
    assert_eq!(serial_peak(&graph, &breadth_first, |_| 10), (9, 90));
    // Depth first: one result of each level, and the pair at work.
    let order = rdask_core::graph::static_order(&graph);
    assert_eq!(serial_peak(&graph, &order, |_| 10), (5, 50));
}
