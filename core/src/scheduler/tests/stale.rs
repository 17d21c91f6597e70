//! One test for each row of the table that decides whether a report comes too late.

use super::cluster::{CLIENT, Cluster, Draft, bang, checked, finished};
use crate::ids::{RunId, TaskId, WorkerId};
use crate::scheduler::{SchedulerEvent, TaskState};

const X: TaskId = TaskId(0);

fn erred(worker: WorkerId, task: TaskId, run_id: RunId) -> SchedulerEvent {
    SchedulerEvent::TaskErred { worker, task, run_id, error: Box::new(bang()) }
}

/// x → y, both wanted, on two workers; x processes on the first of the two that are returned.
fn processing() -> (Cluster, WorkerId, WorkerId) {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let y = draft.task("y", &[x]);
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &[x, y]);
    let (worker, run) = cluster.on(x);
    assert_eq!(run, RunId(1));
    (cluster, worker, WorkerId(1 - worker.0))
}

#[test]
fn sender_is_not_a_member() {
    let (mut cluster, ..) = processing();
    for event in [finished(WorkerId(9), X, RunId(1), 8), erred(WorkerId(9), X, RunId(1))] {
        cluster.handle(event);
        cluster.expect(&[]);
    }
    assert_eq!(cluster.state.state_of(X), TaskState::Processing);
    assert_eq!(cluster.state.stale_count(), 2);
}

#[test]
fn task_unknown_released_queued_no_worker_or_erred() {
    // Unknown: a number that no graph has, and a task that was forgotten.
    let (mut cluster, worker, _) = processing();
    let free = |task: u32, run: u32| format!("w{} free {task}#{run}", worker.0);
    cluster.handle(finished(worker, TaskId(77), RunId(5), 8));
    cluster.expect(&[&free(77, 5)]);
    cluster.handle(erred(worker, TaskId(77), RunId(5)));
    cluster.expect(&[]);
    let tasks = vec![X, TaskId(1)];
    cluster.handle(SchedulerEvent::ClientReleasesKeys { client: CLIENT, tasks });
    assert_eq!(cluster.state.state_of(X), TaskState::Forgotten);
    cluster.handle(finished(worker, X, RunId(1), 8));
    cluster.expect(&[&free(0, 1)]);
    // Erred.
    let (mut cluster, worker, _) = processing();
    cluster.handle(erred(worker, X, RunId(1)));
    cluster.handle(finished(worker, X, RunId(1), 8));
    let free = format!("w{} free 0#1", worker.0);
    cluster.expect(&[&free]);
    cluster.handle(erred(worker, X, RunId(1)));
    cluster.expect(&[]);
    // Released: an input whose dependents are done.
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &[b]);
    cluster.run_to_end();
    assert_eq!(cluster.state.state_of(a), TaskState::Released);
    cluster.handle(finished(WorkerId(0), a, RunId(1), 8));
    cluster.expect(&["w0 free 0#1"]);
    // Queued.
    let mut draft = Draft::default();
    let leaves: Vec<TaskId> = (0..3).map(|i| draft.task(&format!("leaf-{i}"), &[])).collect();
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &leaves);
    cluster.handle(finished(WorkerId(0), leaves[2], RunId(9), 8));
    cluster.expect(&["w0 free 2#9"]);
    cluster.handle(erred(WorkerId(0), leaves[2], RunId(9)));
    cluster.expect(&[]);
}

#[test]
fn run_differs_and_the_sender_does_not_process_the_task() {
    let (mut cluster, _, other) = processing();
    cluster.handle(finished(other, X, RunId(7), 8));
    let free = format!("w{} free 0#7", other.0);
    cluster.expect(&[&free]);
    cluster.handle(erred(other, X, RunId(7)));
    cluster.expect(&[]);
    // Also when the result is in memory.
    cluster.finish(X, 8);
    cluster.handle(finished(other, X, RunId(7), 8));
    cluster.expect(&[&free]);
    assert_eq!(cluster.state.state_of(X), TaskState::Memory);
}

#[test]
fn run_differs_and_the_sender_processes_the_task() {
    for report in [finished, |worker, task, run, _| erred(worker, task, run)] {
        let (mut cluster, worker, _) = processing();
        cluster.handle(report(worker, X, RunId(7), 8));
        assert_eq!(cluster.out.frees, [(X, RunId(1))]);
        let (_, run) = cluster.on(X);
        assert_eq!(run, RunId(2));
        assert_eq!(cluster.state.attempt_of(X), 0);
        // The end of the first run comes late: the second one's is still to come.
        cluster.handle(report(worker, X, RunId(1), 8));
        cluster.expect(&[]);
        assert_eq!(cluster.on(X), (worker, RunId(2)));
    }
}

#[test]
fn run_matches_and_the_result_is_in_memory() {
    let (mut cluster, _, other) = processing();
    cluster.finish(X, 8);
    cluster.handle(finished(other, X, RunId(1), 8));
    cluster.expect(&[]);
    assert_eq!(cluster.state.who_has(X).count(), 2);
    cluster.handle(erred(other, X, RunId(1)));
    cluster.expect(&[]);
    assert_eq!(cluster.state.state_of(X), TaskState::Memory);
}

#[test]
fn run_matches_and_the_task_waits() {
    let (mut cluster, worker, _) = processing();
    cluster.finish(X, 8);
    let (on, run) = cluster.on(TaskId(1));
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker, task: X });
    assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Waiting);
    cluster.handle(finished(on, TaskId(1), run, 8));
    cluster.expect(&[]);
    cluster.handle(erred(on, TaskId(1), run));
    cluster.expect(&[]);
    assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Waiting);
}

#[test]
fn run_matches_and_the_sender_processes_the_task() {
    let (mut cluster, worker, _) = processing();
    cluster.handle(finished(worker, X, RunId(1), 8));
    assert_eq!(cluster.state.state_of(X), TaskState::Memory);
    let (mut cluster, worker, _) = processing();
    cluster.handle(erred(worker, X, RunId(1)));
    assert_eq!(cluster.state.state_of(X), TaskState::Erred);
}

#[test]
fn run_matches_and_another_worker_processes_the_task() {
    let (mut cluster, _, other) = processing();
    cluster.handle(finished(other, X, RunId(1), 8));
    let warn =
        format!("warn worker {} reports run 1 of 'x', which another worker processes", other.0);
    let free = format!("w{} free 0#1", other.0);
    cluster.expect(&[&warn, &free]);
    cluster.handle(erred(other, X, RunId(1)));
    cluster.expect(&[&warn]);
    assert_eq!(cluster.state.state_of(X), TaskState::Processing);
}

/// The document's rows, as names of functions, are the tests of this file.
#[test]
fn every_row_of_the_document_has_a_test() {
    let text = include_str!("../../../../docs/states.md");
    let section = text.split("## Scheduler: late reports").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let named = rows.map(|line| {
        let words = line.split('|').nth(1).unwrap().trim().replace(',', "");
        words.replace([' ', '-'], "_")
    });
    let tests = include_str!("stale.rs").lines().filter_map(|line| {
        let name = line.strip_prefix("fn ")?.strip_suffix("() {")?;
        (name != "every_row_of_the_document_has_a_test").then_some(name)
    });
    let (named, tests): (Vec<String>, Vec<&str>) = (named.collect(), tests.collect());
    assert_eq!(named, tests);
}
