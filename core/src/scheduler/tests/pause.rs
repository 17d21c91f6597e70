//! Workers that are paused: what they have goes elsewhere, and in the end they are started again.

use super::cluster::{Cluster, checked, registration};
use super::stealing::{alike, taking};
use crate::config::{Config, SECOND_NS};
use crate::ids::{TaskId, WorkerId};
use crate::messages::{WorkerRegistration, WorkerStatus};
use crate::scheduler::{SchedulerEvent, TaskState};

fn turn(cluster: &mut Cluster, worker: u32, status: WorkerStatus) {
    let worker = WorkerId(worker);
    cluster.handle(SchedulerEvent::WorkerStatusChange { worker, status });
}

fn wait(cluster: &mut Cluster, seconds: u64) {
    cluster.now = cluster.now.after_ns(seconds * SECOND_NS);
    cluster.handle(SchedulerEvent::Timeout);
}

const RESTART: &str = "w0 restart: was paused for 300 s (worker.memory.pause-restart)";

#[test]
fn bug_5635_a_worker_that_stays_paused_is_started_again() {
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    turn(&mut cluster, 0, WorkerStatus::Paused);
    cluster.expect(&["timer 300000000000"]);
    wait(&mut cluster, 299);
    cluster.expect(&["timer 300000000000"]);
    // Said again, it is no new pause.
    turn(&mut cluster, 0, WorkerStatus::Paused);
    wait(&mut cluster, 1);
    cluster.expect(&[RESTART]);
    wait(&mut cluster, 1000);
    cluster.expect(&[]);
}

#[test]
fn a_pause_that_ends_is_forgotten() {
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    turn(&mut cluster, 0, WorkerStatus::Paused);
    wait(&mut cluster, 299);
    turn(&mut cluster, 0, WorkerStatus::Running);
    wait(&mut cluster, 1);
    cluster.expect(&[]);
    turn(&mut cluster, 0, WorkerStatus::Paused);
    cluster.lose(WorkerId(0));
    wait(&mut cluster, 1000);
    cluster.expect(&[]);
    let config = Config { pause_restart_ns: 0, ..checked() };
    let mut cluster = Cluster::with(config, &[1, 1]);
    turn(&mut cluster, 0, WorkerStatus::Paused);
    cluster.expect(&[]);
}

#[test]
fn bug_3761_tasks_that_a_paused_worker_gives_back_run_elsewhere() {
    let mut cluster = Cluster::with(Config { work_stealing: false, ..checked() }, &[1]);
    let (graph, tasks) = alike(2, &taking(SECOND_NS));
    cluster.submit(&graph, &tasks);
    cluster.add_worker(registration(1, 1));
    turn(&mut cluster, 0, WorkerStatus::Paused);
    let (worker, run_id) = cluster.on(TaskId(1));
    assert_eq!(worker, WorkerId(0));
    cluster.handle(SchedulerEvent::Reschedule { worker, task: TaskId(1), run_id });
    assert_eq!(cluster.on(TaskId(1)).0, WorkerId(1));
}

/// Nobody runs: the tasks wait for the restarts before they are given up.
#[test]
fn bug_3761_all_workers_paused() {
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.handle(SchedulerEvent::AllWorkersArrived);
    turn(&mut cluster, 0, WorkerStatus::Paused);
    let (graph, tasks) = alike(1, &taking(SECOND_NS));
    cluster.submit(&graph, &tasks);
    assert_eq!(cluster.state.state_of(TaskId(0)), TaskState::NoWorker);
    wait(&mut cluster, 299);
    assert_eq!(cluster.state.state_of(TaskId(0)), TaskState::NoWorker);
    wait(&mut cluster, 1);
    assert!(super::cluster::render(&cluster.out).contains(&RESTART.to_owned()));
    // It ends, and the next life takes a while to come.
    cluster.lose(WorkerId(0));
    wait(&mut cluster, 59);
    assert_eq!(cluster.state.state_of(TaskId(0)), TaskState::NoWorker);
    cluster.add_worker(registration(1, 1));
    assert_eq!(cluster.on(TaskId(0)).0, WorkerId(1));
}

/// Nobody runs, and nobody comes back: the tasks are given up in the end.
#[test]
fn all_workers_paused_for_good() {
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.handle(SchedulerEvent::AllWorkersArrived);
    turn(&mut cluster, 0, WorkerStatus::Paused);
    let (graph, tasks) = alike(1, &taking(SECOND_NS));
    cluster.submit(&graph, &tasks);
    wait(&mut cluster, 359);
    assert_eq!(cluster.state.state_of(TaskId(0)), TaskState::NoWorker);
    wait(&mut cluster, 1);
    assert_eq!(cluster.state.state_of(TaskId(0)), TaskState::Erred);
}

/// What the tasks need at a time pauses the worker again in its next life, and no other task has ended
/// since: it is not started a third time, and the tasks end.
#[test]
fn restarts_that_do_not_help_end() {
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.handle(SchedulerEvent::AllWorkersArrived);
    let (graph, tasks) = alike(1, &taking(SECOND_NS));
    turn(&mut cluster, 0, WorkerStatus::Paused);
    cluster.submit(&graph, &tasks);
    wait(&mut cluster, 300);
    assert!(super::cluster::render(&cluster.out).contains(&RESTART.to_owned()));
    cluster.lose(WorkerId(0));
    cluster.add_worker(WorkerRegistration { name: "0".to_owned(), ..registration(1, 1) });
    let (worker, run_id) = cluster.on(TaskId(0));
    turn(&mut cluster, 1, WorkerStatus::Paused);
    cluster.handle(SchedulerEvent::Reschedule { worker, task: TaskId(0), run_id });
    wait(&mut cluster, 59);
    assert_eq!(cluster.state.state_of(TaskId(0)), TaskState::NoWorker);
    wait(&mut cluster, 1);
    assert_eq!(cluster.state.state_of(TaskId(0)), TaskState::Erred);
    let error = &cluster.state.error_of(TaskId(0)).unwrap().error;
    assert_eq!(error.kind, "NoWorkerError");
    assert!(error.message.contains("1 of 1 are paused"), "{}", error.message);
    wait(&mut cluster, 1000);
    let told = super::cluster::render(&cluster.out);
    assert!(!told.iter().any(|line| line.contains("restart")), "{told:?}");
}
