//! Workers that leave on purpose, and whom the cluster can do without.

use super::amm::{managed, results};
use super::cluster::{Cluster, Draft, checked, registration};
use crate::config::Config;
use crate::ids::{TaskId, WorkerId};
use crate::messages::WorkerStatus;
use crate::scheduler::{CloseTerms, Retirees, SchedulerEvent, TaskState};

const X: TaskId = TaskId(0);

pub(super) fn retire(workers: &[u32]) -> SchedulerEvent {
    SchedulerEvent::RetireWorkers {
        which: Retirees::Workers(workers.iter().copied().map(WorkerId).collect()),
        close: true,
        reason: "the node is drained".to_owned(),
    }
}

/// The sequence of the protocol's page: status, copies, drops, close.
#[test]
fn a_worker_hands_over_what_it_holds_and_leaves() {
    let mut cluster = results(managed(), 3, &[(0, 10), (0, 20), (1, 15), (2, 12)]);
    cluster.add_keys(2, &[X]);
    cluster.handle(retire(&[0]));
    // x is elsewhere as well; the other result goes to the emptier of the two.
    assert_eq!(cluster.said(), ["w0 status ClosingGracefully", "w1 acquire 1@0", "w0 drop 0"]);
    assert_eq!(cluster.state.status_of(WorkerId(0)), Some(WorkerStatus::ClosingGracefully));
    assert_eq!(cluster.state.retiring().collect::<Vec<_>>(), [WorkerId(0)]);
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(0), task: X });
    assert_eq!(cluster.said(), [""; 0]);
    cluster.add_keys(1, &[TaskId(1)]);
    assert_eq!(
        cluster.said(),
        [
            "w0 drop 1",
            "w0 retired: the node is drained",
            "w0 close: retired: the node is drained",
            "w1 gone w0",
            "w2 gone w0"
        ]
    );
    assert_eq!(cluster.state.workers().count(), 2);
    assert_eq!(cluster.state.recomputed_count(), 0);
    assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Memory);
}

#[test]
fn an_idle_worker_leaves_at_once_and_names_count() {
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    let which = Retirees::Names(vec!["1".to_owned(), "nobody".to_owned()]);
    let reason = "not needed".to_owned();
    cluster.handle(SchedulerEvent::RetireWorkers { which, close: false, reason });
    cluster.expect(&["w1 status ClosingGracefully", "w1 retired: not needed", "w0 gone w1"]);
    cluster.handle(retire(&[1]));
    cluster.expect(&[]);
}

/// Running tasks finish, their results are handed over, what did not start runs elsewhere.
#[test]
fn running_tasks_finish_first_and_nothing_new_comes() {
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..4).map(|i| draft.task(&format!("t{i}"), &[])).collect();
    let mut cluster = Cluster::with(managed(), &[1, 1]);
    cluster.submit(&draft.graph(), &tasks);
    let on_0: Vec<TaskId> = tasks.iter().copied().filter(|t| cluster.on(*t).0.0 == 0).collect();
    let (runs, waits) = (on_0[0], on_0[1]);
    cluster.handle(retire(&[0]));
    assert_eq!(cluster.said(), ["w0 status ClosingGracefully"]);
    let (worker, run_id) = cluster.on(waits);
    cluster.handle(SchedulerEvent::Reschedule { worker, task: waits, run_id });
    assert_eq!(cluster.on(waits).0, WorkerId(1));
    assert_eq!(cluster.state.workers().count(), 2, "one task still runs");
    cluster.finish(runs, 50);
    let acquire = format!("w1 acquire {}@0", runs.0);
    assert!(cluster.said().contains(&acquire), "{:?}", cluster.said());
    cluster.add_keys(1, &[runs]);
    assert_eq!(cluster.state.workers().collect::<Vec<_>>(), [WorkerId(1)]);
    let left: Vec<TaskId> = tasks.into_iter().filter(|task| *task != runs).collect();
    for task in left {
        cluster.finish(task, 8);
    }
    assert_eq!(cluster.state.recomputed_count(), 0);
}

/// A task that is given back does not use up its reschedules.
#[test]
fn what_a_leaving_worker_gives_back_is_no_reschedule() {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let config = Config { max_reschedules: 0, ..checked() };
    let mut cluster = Cluster::with(config, &[1, 1]);
    cluster.submit(&draft.graph(), &[x]);
    let (worker, run_id) = cluster.on(x);
    cluster.handle(retire(&[worker.0]));
    cluster.handle(SchedulerEvent::Reschedule { worker, task: x, run_id });
    assert_eq!(cluster.state.state_of(x), TaskState::Processing);
    let (worker, run_id) = cluster.on(x);
    cluster.handle(SchedulerEvent::Reschedule { worker, task: x, run_id });
    assert_eq!(cluster.state.state_of(x), TaskState::Erred);
}

#[test]
fn a_worker_that_nobody_can_relieve_runs_again() {
    let mut cluster = results(managed(), 2, &[(0, 10), (1, 10)]);
    cluster.status(1, WorkerStatus::Paused);
    cluster.handle(retire(&[0]));
    assert_eq!(
        cluster.said(),
        ["w0 status ClosingGracefully", "w0 status Running", "w0 not retired: the node is drained"]
    );
    assert_eq!(cluster.state.status_of(WorkerId(0)), Some(WorkerStatus::Running));
    assert_eq!(cluster.state.retiring().count(), 0);
    // It answers what it really is.
    cluster.status(0, WorkerStatus::Paused);
    assert_eq!(cluster.state.status_of(WorkerId(0)), Some(WorkerStatus::Paused));
}

/// All of them at once: one runs again and takes what the others hold.
#[test]
fn the_last_worker_stays() {
    let mut cluster = results(managed(), 3, &[(0, 10), (1, 20), (2, 30)]);
    cluster.handle(retire(&[0, 1, 2]));
    let said = cluster.said();
    assert_eq!(said[3..5], ["w0 status Running", "w0 not retired: the node is drained"]);
    assert_eq!(said[5..], ["w0 acquire 1@1 2@2"]);
    cluster.add_keys(0, &[TaskId(1), TaskId(2)]);
    assert_eq!(cluster.state.workers().collect::<Vec<_>>(), [WorkerId(0)]);
    assert_eq!(cluster.state.recomputed_count(), 0);
}

/// What it says of its memory does not bring it back; that it closes by itself counts as an order.
#[test]
fn a_leaving_worker_leaves_whatever_it_says_of_its_memory() {
    let mut cluster = results(managed(), 2, &[(0, 10), (1, 20)]);
    cluster.status(0, WorkerStatus::ClosingGracefully);
    assert_eq!(cluster.said(), ["w1 acquire 0@0"]);
    for status in [WorkerStatus::Paused, WorkerStatus::Running] {
        cluster.status(0, status);
        assert_eq!(cluster.said(), [""; 0]);
    }
    // Not even its own copy order is repeated while the copy is under way.
    assert_eq!(cluster.tick(), [""; 0]);
    cluster.add_keys(1, &[X]);
    assert_eq!(
        cluster.said()[1..3],
        ["w0 retired: it closes gracefully", "w0 close: retired: it closes gracefully"]
    );
}

/// A worker that dies while it leaves, or the one that takes its results: recomputed, not stuck.
#[test]
fn deaths_on_the_way_end_the_order() {
    let mut cluster = results(managed(), 3, &[(0, 10), (1, 20), (2, 30)]);
    cluster.handle(retire(&[0]));
    assert_eq!(cluster.said()[1..], ["w1 acquire 0@0"]);
    cluster.lose(WorkerId(1));
    // Its recipient is gone, and with it a result: another one is asked.
    let said = cluster.said();
    assert!(said.contains(&"w2 acquire 0@0".to_owned()), "{said:?}");
    cluster.lose(WorkerId(0));
    assert_eq!(cluster.state.retiring().count(), 0);
    assert_eq!(cluster.on(X).0, WorkerId(2));
}

/// The order is void and its copy never comes: it is not waited for longer than its time.
#[test]
fn a_copy_whose_order_is_void_is_forgotten_in_time() {
    let mut cluster = results(managed(), 3, &[(0, 10), (1, 20), (2, 30)]);
    cluster.add_keys(2, &[X]);
    cluster.status(2, WorkerStatus::Paused);
    cluster.handle(retire(&[0]));
    assert!(cluster.said()[1].starts_with("w1 acquire 0@"), "{:?}", cluster.said());
    cluster.lose(WorkerId(0));
    assert_eq!(cluster.holders(X), [2]);
    assert!(cluster.state.is_moving_data());
    for _ in 0..5 {
        assert_eq!(cluster.tick(), [""; 0]);
    }
    assert!(!cluster.state.is_moving_data());
}

/// Idle before busy, little data before much, as long as memory suffices and enough stay.
#[test]
fn whom_the_cluster_can_do_without() {
    let sizes = [(0, 400), (1, 100), (2, 200), (3, 300)];
    let mut cluster = Cluster::new(checked());
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..5).map(|i| draft.task(&format!("r{i}-x"), &[])).collect();
    for worker in 0..4 {
        let mut registration = registration(worker, 1);
        registration.memory_limit_bytes = 1000;
        registration.host = format!("host{}", worker / 2);
        cluster.add_worker(registration);
    }
    cluster.submit(&draft.graph(), &tasks);
    for (task, (worker, nbytes)) in tasks.iter().zip(sizes) {
        cluster.finish(*task, nbytes);
        let home = cluster.holders(*task)[0];
        if home != worker {
            cluster.add_keys(worker, &[*task]);
            let (worker, task) = (WorkerId(home), *task);
            cluster.handle(SchedulerEvent::ReleaseWorkerData { worker, task });
        }
    }
    let busy = cluster.on(tasks[4]).0.0;
    let close = |terms: CloseTerms| {
        let workers = cluster.state.workers_to_close(&terms).into_iter();
        workers.map(|worker| worker.0).collect::<Vec<_>>()
    };
    let idle: Vec<u32> = [1, 2, 3, 0].into_iter().filter(|worker| *worker != busy).collect();
    let terms =
        || CloseTerms { memory_ratio: None, n: None, by_host: false, minimum: 0, target: None };
    // 1000 bytes of results, limits of 4000: at twice as much, two may go.
    assert_eq!(close(terms()), idle[..2]);
    assert_eq!(close(CloseTerms { memory_ratio: Some(1.0), ..terms() }), idle[..3]);
    assert_eq!(close(CloseTerms { memory_ratio: Some(3.5), ..terms() }), [0; 0]);
    assert_eq!(close(CloseTerms { minimum: 3, ..terms() }), idle[..1]);
    // By number, the busy one last.
    let all: Vec<u32> = idle.iter().copied().chain([busy]).collect();
    for n in 0..=4 {
        assert_eq!(close(CloseTerms { n: Some(n), ..terms() }), all[..n]);
        assert_eq!(close(CloseTerms { target: Some(4 - n), ..terms() }), all[..n]);
    }
    // A host goes whole, and the one with the busy worker stays.
    let hosts = close(CloseTerms { by_host: true, ..terms() });
    let other = 2 * (1 - busy / 2);
    assert_eq!(hosts, [other, other + 1]);
    // A task that left its pool keeps its worker.
    let (worker, run_id) = cluster.on(tasks[4]);
    let compute_duration_ns = None;
    cluster.handle(SchedulerEvent::LongRunning {
        worker,
        task: tasks[4],
        run_id,
        compute_duration_ns,
    });
    let terms = CloseTerms { n: Some(4), ..terms() };
    let left: Vec<u32> = cluster.state.workers_to_close(&terms).iter().map(|w| w.0).collect();
    assert_eq!(left, idle);
    let which = Retirees::ToClose(CloseTerms { n: Some(1), ..terms });
    let reason = "not needed".to_owned();
    cluster.handle(SchedulerEvent::RetireWorkers { which, close: true, reason });
    assert_eq!(cluster.state.retiring().next(), Some(WorkerId(idle[0])));
}
