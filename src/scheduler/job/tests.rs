//! The job's books against what users are promised: what is written, when it is let go, and what a
//! lost worker, lost data, a failing disk and a chunk that does not fit lead to.

use super::*;
use crate::{ArrayOutput, GraphBuilder, RunSpec};

const A: WorkerId = WorkerId(0);
const B: WorkerId = WorkerId(1);
const X: TaskId = TaskId(0);
const Y: TaskId = TaskId(1);
const Z: TaskId = TaskId(2);

fn rank() -> RunSpec {
    RunSpec::kernel::<&str>("rank", [])
}

/// x and y feed z; nothing is said about outputs.
fn diamond() -> GraphBuilder {
    let mut graph = GraphBuilder::new();
    let x = graph.add("x", rank(), &[]);
    let y = graph.add("y", rank(), &[]);
    graph.add("z", rank(), &[x, y]);
    graph
}

/// An array of 3 × 5 elements in chunks of 2 or 1 × 3 or 2, all of them by name.
fn array(keys: [&str; 4], graph: &mut GraphBuilder) {
    let array = ArrayOutput {
        name: "whole".to_owned(),
        shape: vec![3, 5],
        dtype: "f64".to_owned(),
        chunks: vec![vec![2, 1], vec![3, 2]],
        grid: Vec::new(),
    };
    graph.array_by_key(array, keys);
}

fn job(graph: &Graph) -> (Job, Wishes) {
    let stem = |task| graph.key(task).to_owned();
    Job::new(graph, stem, |index| (format!("part-{index}"), 128))
}

/// The job of `diamond` with these keys as outputs.
fn job_of(outputs: &[&str]) -> Job {
    let mut graph = diamond();
    graph.outputs_by_key(outputs.iter().copied());
    job(&graph.build().unwrap()).0
}

fn file(stem: &str) -> WriteTarget {
    WriteTarget::File { stem: stem.to_owned() }
}

fn written(file: &str) -> Written {
    Written {
        file: file.to_owned(),
        kind: "array".to_owned(),
        dtype: "f64".to_owned(),
        shape: vec![1],
        nbytes: 8,
        checksum: 7,
    }
}

fn failed(task: TaskId, stem: &str, reason: &str) -> FailedWrite {
    FailedWrite { task, target: file(stem), reason: reason.to_owned(), mismatch: false }
}

#[test]
fn without_outputs_the_sinks_are_written() {
    let graph = diamond().build().unwrap();
    assert_eq!(outputs(&graph), [Z]);
    assert_eq!(job(&graph).1, Wishes { wanted: vec![Z], run_once: vec![] });
}

#[test]
fn a_sink_that_is_a_chunk_needs_no_file() {
    let mut graph = diamond();
    graph.add("w", rank(), &[]);
    array(["z", "z", "x", "y"], &mut graph);
    let graph = graph.build().unwrap();
    assert_eq!(outputs(&graph), [TaskId(3)]);
    assert_eq!(job(&graph).1, Wishes { wanted: vec![X, Y, Z, TaskId(3)], run_once: vec![] });
}

#[test]
fn named_outputs_are_wanted_once_each() {
    let mut graph = diamond();
    graph.outputs_by_key(["z", "x", "z"]);
    let (graph, _) = graph.finish();
    assert_eq!(outputs(&graph), [X, Z]);
}

#[test]
fn an_empty_list_runs_everything_once_and_writes_only_arrays() {
    let mut graph = diamond();
    graph.add("w", rank(), &[]);
    graph.outputs(&[]);
    let plain = graph.build().unwrap();
    let (job_of_it, wishes) = job(&plain);
    assert_eq!(wishes, Wishes { wanted: vec![], run_once: vec![Z, TaskId(3)] });
    assert!(job_of_it.is_done());

    let mut graph = diamond();
    graph.outputs(&[]);
    array(["z"; 4], &mut graph);
    let wishes = job(&graph.build().unwrap()).1;
    assert_eq!(wishes, Wishes { wanted: vec![Z], run_once: vec![] });
}

#[test]
fn chunks_are_ordered_with_their_place() {
    let mut graph = diamond();
    graph.outputs(&[]);
    array(["x", "y", "z", "x"], &mut graph);
    let (mut job, _) = job(&graph.build().unwrap());
    let order = |task, start: [u64; 2], chunk: [u64; 2]| Order {
        worker: A,
        task,
        target: WriteTarget::Chunk {
            path: "part-0".to_owned(),
            data_offset: 128,
            shape: vec![3, 5],
            start: start.to_vec(),
            chunk: chunk.to_vec(),
            dtype: "f64".to_owned(),
        },
    };
    // In C order of the grid: (0, 0), (0, 3), (2, 0), (2, 3).
    assert_eq!(job.on_key_in_memory(X, &[A]), [order(X, [0, 0], [2, 3]), order(X, [2, 3], [1, 2])]);
    assert_eq!(job.on_key_in_memory(Y, &[A]), [order(Y, [0, 3], [2, 2])]);
    assert_eq!(job.on_key_in_memory(Z, &[A]), [order(Z, [2, 0], [1, 3])]);
    // What is under way is not ordered twice.
    assert_eq!(job.on_key_in_memory(X, &[A, B]), []);
}

#[test]
fn a_key_is_let_go_when_its_last_target_is_written() {
    let mut graph = diamond();
    graph.outputs_by_key(["x"]);
    array(["x", "y", "z", "y"], &mut graph);
    let graph = graph.build().unwrap();
    let (mut job, _) = job(&graph);
    let orders = job.on_key_in_memory(X, &[A]);
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[0].target, file("x"));
    assert!(!job.on_written(A, X, &orders[0].target, written("x.npy")));
    assert_eq!(job.file_of(X), Some(&written("x.npy")));
    assert_eq!(job.chunk_of(X, "part-0", &[0, 0]), None);
    assert!(job.writing() && !job.is_done());

    assert!(job.on_written(A, X, &orders[1].target, written("")));
    assert_eq!(job.chunk_of(X, "part-0", &[0, 0]), Some(&written("")));
    assert_eq!(job.chunk_of(X, "part-1", &[0, 0]), None);
    assert_eq!(job.files_written(), 1);
    assert!(!job.writing());

    for task in [Y, Z] {
        for order in job.on_key_in_memory(task, &[B]) {
            job.on_written(B, task, &order.target, written(""));
        }
    }
    assert!(job.is_done());
    assert_eq!(job.files_written(), 1);
}

#[test]
fn nobody_holds_it_so_nobody_writes_it() {
    let mut job = job_of(&["x"]);
    assert_eq!(job.on_key_in_memory(X, &[]), []);
    assert_eq!(job.on_key_in_memory(X, &[B]).len(), 1);
    // Not a wanted key.
    assert_eq!(job.on_key_in_memory(Y, &[B]), []);
}

#[test]
fn what_a_lost_worker_was_writing_is_ordered_of_another() {
    let mut job = job_of(&["x", "y", "z"]);
    job.on_key_in_memory(X, &[A, B]);
    job.on_key_in_memory(Y, &[B]);
    job.on_key_in_memory(Z, &[A]);
    job.on_written(A, Z, &file("z"), written("z.npy"));
    assert_eq!(job.on_worker_lost(A), [X]);
    let order = Order { worker: B, task: X, target: file("x") };
    assert_eq!(job.on_key_in_memory(X, &[B]), [order]);
    // The last word of the dead arrives late: B is at it now.
    assert!(!job.on_written(A, X, &file("x"), written("x.npy")));
    assert_eq!(job.on_failed(A, &failed(X, "x", "disk full")), Failed::Stale);
    assert!(job.on_written(B, X, &file("x"), written("x.npy")));
    assert_eq!(job.on_worker_lost(A), []);
}

#[test]
fn lost_data_is_written_when_it_is_there_again() {
    let mut job = job_of(&["x"]);
    job.on_key_in_memory(X, &[A]);
    assert_eq!(job.on_failed(A, &failed(X, "x", "disk full")), Failed::Retry);
    job.on_lost_data(X);
    assert_eq!(job.due(Instant::now() + WRITE_PERIOD), []);
    assert!(!job.is_done() && !job.writing());
    assert_eq!(job.on_key_in_memory(X, &[B]).len(), 1);
    assert!(job.on_written(B, X, &file("x"), written("x.npy")));
    // What is written stays written.
    job.on_lost_data(X);
    assert!(job.is_done());
    assert_eq!(job.on_key_in_memory(X, &[A]), []);
}

#[test]
fn a_failed_write_is_tried_three_times_with_pauses() {
    let mut job = job_of(&["x"]);
    for _ in 1..WRITE_TRIES {
        assert_eq!(job.on_key_in_memory(X, &[A]).len(), 1);
        assert_eq!(job.on_failed(A, &failed(X, "x", "disk full")), Failed::Retry);
        // Nothing is ordered before the pause is over.
        assert_eq!(job.on_key_in_memory(X, &[A]), []);
        assert_eq!(job.due(Instant::now()), []);
        assert_eq!(job.due(Instant::now() + WRITE_PERIOD / WRITE_TRIES), [X]);
    }
    assert_eq!(job.on_key_in_memory(X, &[A]).len(), 1);
    assert_eq!(job.on_failed(A, &failed(X, "x", "disk full")), Failed::GivenUp);
    assert!(!job.is_done() && !job.writing());
    assert_eq!(job.due(Instant::now() + WRITE_PERIOD), []);
    assert_eq!(job.on_key_in_memory(X, &[A]), []);
}

#[test]
fn a_worker_without_the_result_costs_no_try() {
    let mut job = job_of(&["x"]);
    for _ in 0..2 * WRITE_TRIES {
        assert_eq!(job.on_key_in_memory(X, &[A]).len(), 1);
        assert_eq!(job.on_failed(A, &failed(X, "x", "")), Failed::Retry);
        assert_eq!(job.due(Instant::now()), [X]);
    }
}

#[test]
fn a_chunk_that_does_not_fit_is_not_tried_again() {
    let mut graph = diamond();
    graph.outputs_by_key(["x"]);
    array(["x", "x", "x", "x"], &mut graph);
    let (mut job, _) = job(&graph.build().unwrap());
    let orders = job.on_key_in_memory(X, &[A]);
    let mut failed = FailedWrite {
        task: X,
        target: orders[1].target.clone(),
        reason: "the chunk is f64 [1], the array says f64 [2, 3]".to_owned(),
        mismatch: true,
    };
    assert_eq!(job.on_failed(A, &failed), Failed::Mismatch);
    job.on_unfit(X, &failed.reason);
    assert_eq!(job.why_unfit(X), Some(&*failed.reason));
    failed.target = orders[2].target.clone();
    assert_eq!(job.on_failed(A, &failed), Failed::Mismatch);
    job.on_unfit(X, &failed.reason);
    assert!(job.is_done());
    // Its other targets may still become whole, and then it may be let go.
    assert!(job.writing());
    for order in [&orders[0], &orders[3]] {
        assert!(!job.on_written(A, X, &order.target, written("x.npy")));
    }
    assert!(job.on_written(A, X, &orders[4].target, written("x.npy")));
    assert!(job.is_settled(X) && job.is_done());
    assert!(!job.writing());
    assert_eq!(job.files_written(), 1);
    job.on_lost_data(X);
    assert_eq!(job.on_key_in_memory(X, &[B]), []);
}

#[test]
fn an_erred_key_is_closed_once() {
    let mut job = job_of(&["x", "z"]);
    job.on_erred(X);
    job.on_erred(X);
    // Nobody wants it.
    job.on_erred(Y);
    assert!(!job.is_done());
    job.on_erred(Z);
    assert!(job.is_done());
    assert_eq!(job.file_of(X), None);
}

#[test]
fn kept_results_are_neither_written_nor_let_go() {
    let mut graph = diamond();
    graph.outputs_by_key(["x", "z"]);
    let (mut job, wishes) = Job::kept(&graph.build().unwrap());
    assert_eq!(wishes, Wishes { wanted: vec![X, Z], run_once: vec![] });
    assert_eq!(job.on_key_in_memory(X, &[A]), []);
    assert_eq!(job.on_key_in_memory(X, &[A]), []);
    assert!(!job.is_done());
    job.on_erred(Z);
    assert!(job.is_done() && !job.writing());
}
