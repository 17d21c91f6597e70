//! One test for each edge between states, named after it. The rows are those of the document.

use super::cluster::{CLIENT, Cluster, Draft, checked, registration};
use crate::config::SECOND_NS;
use crate::graph::Attributes;
use crate::ids::{TaskId, WorkerId};
use crate::scheduler::TaskState as S;
use crate::scheduler::{SchedulerEvent, TaskState};
use crate::time::Time;

/// An edge, with a scenario that takes it.
type Row = (S, S, fn() -> Cluster);

const EDGES: &[Row] = &[
    (S::Released, S::Waiting, submitted),
    (S::Waiting, S::Processing, submitted),
    (S::Waiting, S::Queued, queued),
    (S::Waiting, S::NoWorker, unserved),
    (S::Waiting, S::Memory, late_result),
    (S::Waiting, S::Released, input_lost_twice),
    (S::Queued, S::Processing, slot_opens),
    (S::Queued, S::Released, queue_is_no_place_any_more),
    (S::Queued, S::Erred, queue_never_served),
    (S::NoWorker, S::Processing, served_later),
    (S::NoWorker, S::Released, unserved_and_released),
    (S::NoWorker, S::Erred, never_served),
    (S::Processing, S::Memory, finished),
    (S::Processing, S::Released, worker_lost),
    (S::Processing, S::Erred, failed),
    (S::Memory, S::Released, finished),
    (S::Memory, S::Forgotten, ran_once),
    (S::Erred, S::Released, released_when_erred),
    (S::Released, S::Erred, wanted_above_a_failure),
    (S::Released, S::Forgotten, ran_once),
    (S::Waiting, S::Erred, failed),
    (S::Waiting, S::Forgotten, given_up_while_waiting),
    (S::Queued, S::Waiting, input_of_queued_lost),
    (S::Queued, S::Forgotten, given_up_while_queued),
    (S::NoWorker, S::Waiting, input_of_unserved_lost),
    (S::NoWorker, S::Forgotten, given_up_while_unserved),
    (S::Processing, S::Waiting, input_lost_twice),
    (S::Processing, S::Forgotten, given_up_while_processing),
    (S::Erred, S::Waiting, retried),
    (S::Erred, S::Forgotten, given_up_while_erred),
];

/// Runs the scenario of an edge and finds the edge in its story.
fn prove(start: TaskState, asked: TaskState) {
    let row = EDGES.iter().find(|(s, a, _)| (*s, *a) == (start, asked)).unwrap();
    let cluster = row.2();
    let taken = cluster.state.story.all().any(|one| one.start == start && one.asked == asked);
    assert!(taken, "the scenario does not go from {start:?} to {asked:?}");
}

#[test]
fn released_waiting() {
    prove(S::Released, S::Waiting);
}

#[test]
fn waiting_processing() {
    prove(S::Waiting, S::Processing);
}

#[test]
fn waiting_queued() {
    prove(S::Waiting, S::Queued);
}

#[test]
fn waiting_no_worker() {
    prove(S::Waiting, S::NoWorker);
}

#[test]
fn waiting_memory() {
    prove(S::Waiting, S::Memory);
}

#[test]
fn waiting_released() {
    prove(S::Waiting, S::Released);
}

#[test]
fn queued_processing() {
    prove(S::Queued, S::Processing);
}

#[test]
fn queued_released() {
    prove(S::Queued, S::Released);
}

#[test]
fn queued_erred() {
    prove(S::Queued, S::Erred);
}

#[test]
fn no_worker_processing() {
    prove(S::NoWorker, S::Processing);
}

#[test]
fn no_worker_released() {
    prove(S::NoWorker, S::Released);
}

#[test]
fn no_worker_erred() {
    prove(S::NoWorker, S::Erred);
}

#[test]
fn processing_memory() {
    prove(S::Processing, S::Memory);
}

#[test]
fn processing_released() {
    prove(S::Processing, S::Released);
}

#[test]
fn processing_erred() {
    prove(S::Processing, S::Erred);
}

#[test]
fn memory_released() {
    prove(S::Memory, S::Released);
}

#[test]
fn memory_forgotten() {
    prove(S::Memory, S::Forgotten);
}

#[test]
fn erred_released() {
    prove(S::Erred, S::Released);
}

#[test]
fn released_erred() {
    prove(S::Released, S::Erred);
}

#[test]
fn released_forgotten() {
    prove(S::Released, S::Forgotten);
}

#[test]
fn waiting_erred() {
    prove(S::Waiting, S::Erred);
}

#[test]
fn waiting_forgotten() {
    prove(S::Waiting, S::Forgotten);
}

#[test]
fn queued_waiting() {
    prove(S::Queued, S::Waiting);
}

#[test]
fn queued_forgotten() {
    prove(S::Queued, S::Forgotten);
}

#[test]
fn no_worker_waiting() {
    prove(S::NoWorker, S::Waiting);
}

#[test]
fn no_worker_forgotten() {
    prove(S::NoWorker, S::Forgotten);
}

#[test]
fn processing_waiting() {
    prove(S::Processing, S::Waiting);
}

#[test]
fn processing_forgotten() {
    prove(S::Processing, S::Forgotten);
}

#[test]
fn erred_waiting() {
    prove(S::Erred, S::Waiting);
}

#[test]
fn erred_forgotten() {
    prove(S::Erred, S::Forgotten);
}

/// The document has a row for each edge, and no other.
#[test]
fn every_edge_of_the_document_has_a_test() {
    let text = include_str!("../../../../docs/states.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut written: Vec<&str> =
        rows.map(|(edge, _)| edge).filter(|edge| edge.contains(" → ")).collect();
    let name = |state: &S| match state {
        S::NoWorker => "no-worker".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let mut tested: Vec<String> = EDGES
        .iter()
        .map(|(start, asked, _)| format!("{} → {}", name(start), name(asked)))
        .collect();
    written.sort_unstable();
    tested.sort_unstable();
    assert_eq!(written, tested);
}

/// a → b, b wanted, on workers of one thread each.
fn pair(workers: usize) -> (Cluster, TaskId, TaskId) {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let mut cluster = Cluster::with(checked(), &vec![1; workers]);
    cluster.submit(&draft.graph(), &[b]);
    (cluster, a, b)
}

fn submitted() -> Cluster {
    let (cluster, a, b) = pair(1);
    cluster.expect(&["w0 compute 0#1 attempt 0"]);
    assert_eq!(cluster.state.state_of(a), S::Processing);
    assert_eq!(cluster.state.state_of(b), S::Waiting);
    cluster
}

/// Three tasks of one group on one thread: two slots.
fn queued() -> Cluster {
    let mut draft = Draft::default();
    let leaves: Vec<TaskId> = (0..3).map(|i| draft.task(&format!("leaf-{i}"), &[])).collect();
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &leaves);
    cluster.expect(&["w0 compute 0#1 attempt 0", "w0 compute 1#2 attempt 0"]);
    assert_eq!(cluster.state.state_of(leaves[2]), S::Queued);
    cluster
}

fn slot_opens() -> Cluster {
    let mut cluster = queued();
    cluster.finish(TaskId(0), 8);
    cluster.expect(&["c0 memory 0", "w0 compute 2#3 attempt 0"]);
    cluster
}

fn only(workers: &[&str]) -> Attributes {
    let workers = workers.iter().map(|name| (*name).to_owned()).collect();
    Attributes { workers, ..Attributes::default() }
}

/// a → b, both wanted; b may only run on worker 1.
fn unserved() -> Cluster {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task_with("b", &[a], only(&["1"]));
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.handle(SchedulerEvent::AllWorkersArrived);
    cluster.submit(&draft.graph(), &[a, b]);
    cluster.finish(a, 8);
    cluster.expect(&["c0 memory 0", "timer 60000000000"]);
    assert_eq!(cluster.state.state_of(b), S::NoWorker);
    cluster
}

fn served_later() -> Cluster {
    let mut cluster = unserved();
    cluster.add_worker(registration(1, 1));
    cluster.expect(&["w1 accept", "w1 compute 1#2 attempt 0 0@0"]);
    cluster
}

fn never_served() -> Cluster {
    let mut cluster = unserved();
    cluster.now = Time(59 * SECOND_NS);
    cluster.handle(SchedulerEvent::Timeout);
    cluster.expect(&["timer 60000000000"]);
    cluster.now = Time(60 * SECOND_NS);
    cluster.handle(SchedulerEvent::Timeout);
    cluster.expect(&["c0 erred 1", "idle"]);
    let failure = cluster.state.error_of(TaskId(1)).unwrap();
    assert_eq!(failure.error.kind, "NoValidWorkerError");
    assert!(failure.error.message.contains("worker 1"), "{}", failure.error.message);
    cluster
}

/// x only runs on worker 1, z reads it; both are in memory. Worker 1 is lost, so x can run nowhere;
/// then nobody wants it.
fn unserved_and_released() -> Cluster {
    let mut draft = Draft::default();
    let x = draft.task_with("x", &[], only(&["1"]));
    let z = draft.task_with("z", &[x], only(&["0"]));
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &[x, z]);
    cluster.finish(x, 8);
    cluster.finish(z, 8);
    cluster.lose(WorkerId(1));
    cluster.expect(&["c0 lost 0", "w0 gone w1"]);
    assert_eq!(cluster.state.state_of(x), S::NoWorker);
    let tasks = vec![x];
    cluster.handle(SchedulerEvent::ClientReleasesKeys { client: CLIENT, tasks });
    cluster.expect(&["idle"]);
    assert_eq!(cluster.state.state_of(x), S::Released);
    cluster
}

fn queue_never_served() -> Cluster {
    let mut cluster = queued();
    cluster.handle(SchedulerEvent::AllWorkersArrived);
    cluster.lose(WorkerId(0));
    cluster.expect(&["timer 60000000000"]);
    assert_eq!(cluster.state.queued_count(), 3);
    cluster.now = Time(60 * SECOND_NS);
    cluster.handle(SchedulerEvent::Timeout);
    cluster.expect(&["c0 erred 0", "c0 erred 1", "c0 erred 2", "idle"]);
    assert_eq!(cluster.state.error_of(TaskId(2)).unwrap().error.kind, "NoWorkerError");
    cluster
}

/// Tasks of two threads wait in the queue; a worker of one thread comes, so that they must choose.
fn queue_is_no_place_any_more() -> Cluster {
    let mut draft = Draft::default();
    let wide = Attributes { threads: Some(2), ..Attributes::default() };
    let leaves: Vec<TaskId> =
        (0..8).map(|i| draft.task_with(&format!("leaf-{i}"), &[], wide.clone())).collect();
    let mut cluster = Cluster::with(checked(), &[2]);
    cluster.submit(&draft.graph(), &leaves);
    assert_eq!(cluster.state.queued_count(), 6);
    cluster.add_worker(registration(1, 1));
    assert_eq!(cluster.state.queued_count(), 0);
    assert_eq!(cluster.state.processing(WorkerId(1)).count(), 0);
    cluster
}

/// a runs on worker 0, which the scheduler gives up; its result arrives when the task waits again.
fn late_result() -> Cluster {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let c = draft.task_with("c", &[b], only(&["1"]));
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &[c]);
    let first = cluster.on(a).0;
    cluster.finish(a, 8);
    // b runs beside a; its input is lost while it runs, so it waits again.
    let result = cluster.finished(b, 8);
    let other = WorkerId(1 - first.0);
    assert_eq!(cluster.on(b).0, first);
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: first, task: a });
    assert_eq!(cluster.state.state_of(b), S::Waiting);
    cluster.handle(result);
    cluster.expect(&[]);
    assert_eq!(cluster.state.state_of(b), S::Waiting);
    assert_eq!(
        cluster.state.processing(other).count() + cluster.state.processing(first).count(),
        1
    );
    cluster
}

/// c waits for a and b; b is only there for c. When nobody wants c but d keeps it alive, it is
/// released while it waits.
fn input_lost_twice() -> Cluster {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let c = draft.task("c", &[a]);
    let d = draft.task("d", &[c]);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &[c, d]);
    for task in [a, c, d] {
        cluster.finish(task, 8);
    }
    // The result of c is lost: c runs again once a has. Then its input is lost while it runs.
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(0), task: c });
    cluster.expect(&["c0 lost 1", "w0 compute 0#4 attempt 0"]);
    cluster.finish(a, 8);
    cluster.expect(&["w0 compute 1#5 attempt 0 0@0"]);
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(0), task: a });
    cluster.expect(&["w0 free 1#5", "w0 compute 0#6 attempt 0"]);
    assert_eq!(cluster.state.state_of(c), S::Waiting);
    let tasks = vec![c];
    cluster.handle(SchedulerEvent::ClientReleasesKeys { client: CLIENT, tasks });
    cluster.expect(&["w0 free 0#6", "idle"]);
    assert_eq!(cluster.state.state_of(c), S::Released);
    cluster
}

fn finished() -> Cluster {
    let (mut cluster, a, b) = pair(1);
    cluster.finish(a, 8);
    cluster.expect(&["w0 compute 1#2 attempt 0 0@0"]);
    cluster.finish(b, 8);
    cluster.expect(&["c0 memory 1", "w0 free 0#0", "idle"]);
    assert_eq!(cluster.state.nbytes_of(b), Some(8));
    assert_eq!(cluster.state.state_of(a), S::Released);
    cluster
}

fn worker_lost() -> Cluster {
    let (mut cluster, a, _) = pair(2);
    let (worker, _) = cluster.on(a);
    cluster.lose(worker);
    let other = 1 - worker.0;
    let compute = format!("w{other} compute 0#2 attempt 1");
    let gone = format!("w{other} gone w{}", worker.0);
    cluster.expect(&[&compute, &gone]);
    cluster
}

fn failed() -> Cluster {
    let (mut cluster, a, b) = pair(1);
    let event = cluster.erred(a);
    cluster.handle(event);
    cluster.sent.clear();
    cluster.expect(&["c0 erred 1", "idle"]);
    let failure = cluster.state.error_of(b).unwrap();
    assert_eq!((failure.root, failure.error.message.as_str()), (a, "bang"));
    assert_eq!(failure.workers, [WorkerId(0)]);
    assert_eq!(cluster.state.dependents_affected(a), [b]);
    cluster
}

fn retried() -> Cluster {
    let mut cluster = failed();
    cluster.handle(SchedulerEvent::Retry { tasks: vec![TaskId(1)] });
    cluster.expect(&["w0 free 0#0", "w0 compute 0#2 attempt 1", "c0 retried 1"]);
    assert_eq!(cluster.run_to_end(), 2);
    assert_eq!(cluster.state.state_of(TaskId(1)), S::Memory);
    cluster
}

/// d reads two tasks that failed; only one of them is tried again.
/// Nobody needs b when its input fails; then a client wants it.
fn wanted_above_a_failure() -> Cluster {
    let mut draft = Draft::default();
    let (a, e) = (draft.task("a", &[]), draft.task("e", &[]));
    let b = draft.task("b", &[a]);
    let d = draft.task("d", &[b, e]);
    let mut cluster = Cluster::with(checked(), &[2]);
    cluster.submit(&draft.graph(), &[a, d]);
    let (first, second) = (cluster.erred(e), cluster.erred(a));
    cluster.handle(first);
    assert_eq!(cluster.state.state_of(b), S::Released);
    cluster.handle(second);
    cluster.handle(SchedulerEvent::ClientDesiresKeys { client: CLIENT, tasks: vec![b] });
    assert_eq!(cluster.state.error_of(b).unwrap().root, a);
    cluster
}

/// An erred task that another erred task keeps alive is asked for by nobody any more, and stays.
fn released_when_erred() -> Cluster {
    let mut cluster = failed();
    let mut out = crate::scheduler::SchedulerOut::default();
    cluster.state.transition(TaskId(1), S::Released, &mut out);
    assert_eq!(cluster.state.state_of(TaskId(1)), S::Released);
    cluster
}

fn ran_once() -> Cluster {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let c = draft.task("c", &[b]);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.run_once(&draft.graph(), &[a, b, c]);
    cluster.finish(a, 8);
    cluster.finish(b, 8);
    cluster.expect(&["w0 compute 2#3 attempt 0 1@0", "w0 free 0#0"]);
    cluster.finish(c, 8);
    cluster.expect(&["w0 free 2#0 1#0", "idle"]);
    assert!([a, b, c].iter().all(|task| cluster.state.state_of(*task) == S::Forgotten));
    cluster
}

fn release(cluster: &mut Cluster, task: TaskId) {
    cluster.handle(SchedulerEvent::ClientReleasesKeys { client: CLIENT, tasks: vec![task] });
}

fn given_up_while_waiting() -> Cluster {
    let (mut cluster, a, b) = pair(1);
    release(&mut cluster, b);
    cluster.expect(&["w0 free 0#1", "idle"]);
    assert_eq!(cluster.state.state_of(a), S::Forgotten);
    cluster
}

fn given_up_while_processing() -> Cluster {
    let (mut cluster, a, b) = pair(1);
    cluster.finish(a, 8);
    release(&mut cluster, b);
    cluster.expect(&["w0 free 1#2 0#0", "idle"]);
    cluster
}

fn given_up_while_queued() -> Cluster {
    let mut cluster = queued();
    release(&mut cluster, TaskId(2));
    cluster.expect(&[]);
    assert_eq!(cluster.state.queued_count(), 0);
    cluster
}

fn given_up_while_unserved() -> Cluster {
    let mut cluster = unserved();
    release(&mut cluster, TaskId(1));
    cluster.expect(&["idle"]);
    cluster
}

fn given_up_while_erred() -> Cluster {
    let mut cluster = failed();
    release(&mut cluster, TaskId(1));
    assert_eq!(cluster.state.erred_count(), 0);
    assert_eq!(cluster.state.state_of(TaskId(0)), S::Forgotten);
    cluster
}

fn input_of_unserved_lost() -> Cluster {
    let mut cluster = unserved();
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(0), task: TaskId(0) });
    cluster.expect(&["c0 lost 0", "w0 compute 0#2 attempt 0"]);
    assert_eq!(cluster.state.state_of(TaskId(1)), S::Waiting);
    cluster
}

/// Queued tasks read one input; when it is lost they wait for it.
fn input_of_queued_lost() -> Cluster {
    let mut draft = Draft::default();
    let load = draft.task("load", &[]);
    let leaves: Vec<TaskId> = (0..3).map(|i| draft.task(&format!("leaf-{i}"), &[load])).collect();
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &leaves);
    cluster.finish(load, 8);
    assert_eq!(cluster.state.queued_count(), 1);
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(0), task: load });
    cluster.expect(&["w0 free 1#2 2#3", "w0 compute 0#4 attempt 0"]);
    assert!(leaves.iter().all(|leaf| cluster.state.state_of(*leaf) == S::Waiting));
    cluster
}
