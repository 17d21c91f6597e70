//! What a task costs the scheduler core: time, memory, and how both grow with the workers.
//!
//! Workers are played by a queue that answers in order. A graph arrives, every task is sent, ends and
//! is released; nothing else is timed. Like the real driver, this one takes a few answers at a time and
//! tells the core of them before it hands over the first. Time is time on a CPU, so that other work on
//! the machine counts little. Each line is the median of some runs that take turns.
//!
//! The last line is the loss of a worker that holds a tenth of all results.
//!
//! `cargo bench -p rdask-core --bench scheduler [-- TASKS [RUNS]]`
#![expect(clippy::print_stdout, reason = "the table is the purpose of this program")]

use rdask_core::config::Config;
use rdask_core::graph::{Csr, Graph, Keys, Outputs, RunSpec};
use rdask_core::ids::{ClientId, RunId, SpecId, TaskId, WorkerId};
use rdask_core::messages::{TypeCode, WorkerRegistration};
use rdask_core::scheduler::{
    GraphSubmission, SchedulerEvent, SchedulerInstruction, SchedulerOut, SchedulerState, TaskState,
};
use rdask_core::time::Time;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Time of every task in the user code, as it is reported.
const DURATION_NS: u64 = 10_000_000;
/// Answers that are taken at a time.
const TURN: usize = 16;
/// Sizes of clusters: the first is what the others are compared with, beside the goal for the ratio.
const CLUSTERS: [(u32, f64); 3] = [(64, 1.0), (4096, 1.5), (10_000, 1.3)];

#[derive(Clone, Copy)]
enum Shape {
    Independent,
    Tree,
}

struct Figures {
    ns_per_task: f64,
    bytes_per_task: f64,
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|text| text.parse().ok()).collect();
    let tasks = numbers.first().copied().unwrap_or(1_000_000).max(2);
    let runs = numbers.get(1).copied().unwrap_or(5);
    println!(
        "{:<14}{:>9}{:>10}{:>12}{:>14}",
        "graph", "workers", "ns/task", "tasks/s", "bytes/task"
    );
    for shape in [Shape::Independent, Shape::Tree] {
        // A full binary tree has an odd number of nodes.
        let graph = Arc::new(graph(shape, (tasks - 1) | 1));
        let mut all: [Vec<Figures>; CLUSTERS.len()] = Default::default();
        for _ in 0..runs {
            for (figures, (workers, _)) in all.iter_mut().zip(CLUSTERS) {
                figures.push(run(&graph, shape, workers));
            }
        }
        let all = all.map(median);
        for (figures, (workers, _)) in all.iter().zip(CLUSTERS) {
            println!(
                "{:<14}{workers:>9}{:>10.0}{:>12.0}{:>14.0}",
                name(shape),
                figures.ns_per_task,
                1e9 / figures.ns_per_task,
                figures.bytes_per_task
            );
        }
        for (figures, (workers, goal)) in all.iter().zip(CLUSTERS).skip(1) {
            println!(
                "{:<14}{:>9}{:>9.2}x  (goal: at most {goal}x)",
                name(shape),
                format!("{workers}/64"),
                figures.ns_per_task / all[0].ns_per_task
            );
        }
    }
    println!("goals: at least 1000000 tasks/s and at most 150 bytes/task with 64 workers");
    let mut losses: Vec<f64> = (0..runs).map(|_| lose_a_worker(tasks)).collect();
    losses.sort_by(f64::total_cmp);
    println!(
        "loss of a worker that holds {} of {tasks} results: {:.0} ms  (goal: less than 1000 ms)",
        tasks / 10,
        losses[runs / 2] * 1e3
    );
}

fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::Independent => "independent",
        Shape::Tree => "binary tree",
    }
}

fn median(mut runs: Vec<Figures>) -> Figures {
    runs.sort_by(|a, b| a.ns_per_task.total_cmp(&b.ns_per_task));
    runs.swap_remove(runs.len() / 2)
}

fn graph(shape: Shape, count: usize) -> Graph {
    let mut keys = Keys { offsets: vec![0], text: String::new() };
    let mut inputs = Csr { offsets: vec![0], values: Vec::new() };
    let leaves = count.div_ceil(2);
    for index in 0..count {
        let is_leaf = matches!(shape, Shape::Independent) || index < leaves;
        keys.text.push_str(&if is_leaf { format!("leaf-{index}") } else { format!("add-{index}") });
        keys.offsets.push(keys.text.len() as u64);
        if !is_leaf {
            let first = 2 * (index - leaves);
            inputs.values.extend([TaskId::from_index(first), TaskId::from_index(first + 1)]);
        }
        inputs.offsets.push(inputs.values.len() as u64);
    }
    Graph {
        keys,
        specs: vec![RunSpec::Kernel { name: "identity".to_owned(), params: Vec::new() }],
        spec_of: vec![SpecId(0); count],
        inputs,
        attributes: Vec::new(),
        outputs: Outputs::Sinks,
        arrays: Vec::new(),
        order: None,
        meta: String::new(),
    }
}

fn run(graph: &Arc<Graph>, shape: Shape, workers: u32) -> Figures {
    let count = graph.len();
    let all = || (0..count).map(TaskId::from_index).collect::<Vec<_>>();
    let (wanted, run_once) = match shape {
        Shape::Independent => (Vec::new(), all()),
        Shape::Tree => (vec![TaskId::from_index(count - 1)], Vec::new()),
    };
    let submission = GraphSubmission {
        client: ClientId(0),
        graph: Arc::clone(graph),
        order: depth_first(graph),
        wanted,
        run_once,
        references: Vec::new(),
        fifo_timeout_ns: 0,
    };
    let before = resident_bytes();
    let (mut state, mut out) = (with_workers(workers), SchedulerOut::default());
    let with_workers = resident_bytes();
    let (begin, begin_cpu_ns) = (Instant::now(), cpu_ns());
    let (finished, peak) = play(&mut state, submission, &mut out);
    let wall_ns = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let elapsed_ns = cpu_ns().zip(begin_cpu_ns).map_or(wall_ns, |(end, begin)| end - begin);
    assert_eq!(finished, count, "every task runs once");
    assert!(state.is_idle());
    let graph_bytes = graph.inputs.offsets.len() * 8 + graph.inputs.values.len() * 4;
    let bytes = peak.saturating_sub(with_workers.max(before)) + graph_bytes;
    Figures {
        ns_per_task: elapsed_ns as f64 / count as f64,
        bytes_per_task: bytes as f64 / count as f64,
    }
}

fn with_workers(workers: u32) -> SchedulerState {
    let mut state = SchedulerState::new(Config::default(), 1);
    let mut out = SchedulerOut::default();
    for worker in 0..workers {
        let event = SchedulerEvent::AddWorker {
            worker: WorkerId(worker),
            registration: Box::new(registration(worker)),
        };
        out.clear();
        state.handle(Time(0), event, &mut out);
    }
    state
}

/// Seconds that the scheduler needs when one of ten workers dies with its results, all wanted.
fn lose_a_worker(tasks: usize) -> f64 {
    let graph = Arc::new(graph(Shape::Independent, tasks));
    let all = (0..tasks).map(TaskId::from_index).collect();
    let order = depth_first(&graph);
    let submission = GraphSubmission {
        client: ClientId(0),
        graph,
        order,
        wanted: all,
        run_once: Vec::new(),
        references: Vec::new(),
        fifo_timeout_ns: 0,
    };
    let (mut state, mut out) = (with_workers(10), SchedulerOut::default());
    play(&mut state, submission, &mut out);
    let gone = WorkerId(3);
    let lost = tasks
        - (0..tasks)
            .filter(|task| state.who_has(TaskId::from_index(*task)).all(|at| at != gone))
            .count();
    assert!(lost > tasks / 20, "{lost} results are not a tenth");
    let event = SchedulerEvent::RemoveWorker {
        worker: gone,
        expected: false,
        executing: None,
        reason: "it was lost".to_owned(),
    };
    out.clear();
    let begin = Instant::now();
    state.handle(Time(DURATION_NS * 1000), event, &mut out);
    let elapsed = begin.elapsed().as_secs_f64();
    let again = state.count_in(TaskState::Queued) + state.count_in(TaskState::Processing);
    assert_eq!(again as usize, lost, "what was lost runs again");
    elapsed
}

/// Answers every compute-task in order; how many there were, and the most bytes that were resident.
fn play(
    state: &mut SchedulerState,
    submission: GraphSubmission,
    out: &mut SchedulerOut,
) -> (usize, usize) {
    let mut sent: VecDeque<(WorkerId, TaskId, RunId)> = VecDeque::new();
    let (mut turn, mut ends) = (Vec::with_capacity(TURN), Vec::with_capacity(TURN));
    let (mut now, mut finished, mut peak) = (Time(0), 0, 0);
    out.clear();
    state.handle(now, SchedulerEvent::UpdateGraph(Box::new(submission)), out);
    queue_sent(out, &mut sent);
    while !sent.is_empty() {
        turn.clear();
        turn.extend(sent.drain(..TURN.min(sent.len())));
        ends.clear();
        ends.extend(turn.iter().map(|(worker, task, _)| (*worker, *task)));
        state.foresee(&ends);
        for &(worker, task, run_id) in &turn {
            now = now.after_ns(1000);
            if finished % (1 << 18) == 0 {
                peak = peak.max(resident_bytes());
            }
            finished += 1;
            let event = SchedulerEvent::TaskFinished {
                worker,
                task,
                run_id,
                nbytes: 8,
                type_code: TypeCode(0),
                duration_ns: DURATION_NS,
            };
            out.clear();
            state.handle(now, event, out);
            queue_sent(out, &mut sent);
        }
    }
    (finished, peak.max(resident_bytes()))
}

fn queue_sent(out: &SchedulerOut, sent: &mut VecDeque<(WorkerId, TaskId, RunId)>) {
    for instruction in &out.instructions {
        if let SchedulerInstruction::ComputeTask { worker, task, run_id, .. } = instruction {
            sent.push_back((*worker, *task, *run_id));
        }
    }
}

/// A static order that finishes one subtree before it begins the next.
fn depth_first(graph: &Graph) -> Vec<u32> {
    let mut order = vec![u32::MAX; graph.len()];
    let mut next = 0;
    let mut open = Vec::new();
    for root in (0..graph.len()).rev() {
        open.push((TaskId::from_index(root), false));
        while let Some((task, inputs_done)) = open.pop() {
            if order[task.index()] != u32::MAX {
                continue;
            }
            if inputs_done || graph.inputs.row(task).is_empty() {
                order[task.index()] = next;
                next += 1;
            } else {
                open.push((task, true));
                open.extend(graph.inputs.row(task).iter().map(|input| (*input, false)));
            }
        }
    }
    order
}

fn registration(worker: u32) -> WorkerRegistration {
    WorkerRegistration {
        server_id: u128::from(worker) + 1,
        name: worker.to_string(),
        rank: worker,
        host: "node".to_owned(),
        machine: "boot".to_owned(),
        pid: 1,
        nanny_pid: 1,
        nanny: 0,
        addresses: vec![format!("tcp://10.0.0.1:{worker}")],
        nthreads: 1,
        cpus: String::new(),
        memory_limit_bytes: 0,
        resources: Vec::new(),
        cpu_features: String::new(),
    }
}

/// Resident bytes of this process; 0 where /proc is not there.
fn resident_bytes() -> usize {
    const PAGE_BYTES: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Option<usize> = statm.split_whitespace().nth(1).and_then(|text| text.parse().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

/// Nanoseconds that this process has spent on a CPU, where the system tells.
fn cpu_ns() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
