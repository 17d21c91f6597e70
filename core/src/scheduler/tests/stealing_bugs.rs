//! Bugs that others have met with stealing, as scripts. The numbers are those of issues of
//! dask/distributed.

use super::cluster::{CLIENT, Cluster, finished, registration};
use super::stealing::{answer, asked, loaded, taking, unqueued};
use crate::config::SECOND_NS;
use crate::ids::{RunId, TaskId, WorkerId};
use crate::messages::{StateAtWorker, WorkerRegistration, WorkerStatus};
use crate::scheduler::{SchedulerEvent, TaskState};

const LATER: u64 = SECOND_NS;

/// A worker at the address and with the name of another, in the place of it.
fn successor(worker: u32, of: u32) -> WorkerRegistration {
    let mut successor = registration(of, 1);
    successor.rank = worker;
    successor.server_id += 7000;
    successor.nanny = 5;
    successor
}

fn watched(worker: u32) -> WorkerRegistration {
    WorkerRegistration { nanny: 5, ..registration(worker, 1) }
}

/// Worker 0 has two tasks, worker 1 has come and will get task 1: request s1 is under way.
fn under_way() -> Cluster {
    let mut cluster = Cluster::new(unqueued());
    cluster.add_worker(watched(0));
    let (graph, tasks) = super::stealing::alike(2, &taking(SECOND_NS));
    cluster.submit(&graph, &tasks);
    cluster.add_worker(watched(1));
    assert_eq!(asked(&cluster), [(0, 1, 1)]);
    cluster
}

fn start(cluster: &mut Cluster, worker: u32, of: u32) {
    let registration = Box::new(successor(worker, of));
    cluster.handle(SchedulerEvent::AddWorker { worker: WorkerId(worker), registration });
}

/// Everything ends although answers of all kinds come late.
fn ends(mut cluster: Cluster) {
    for _ in 0..10 {
        let requests = asked(&cluster);
        for (victim, task, stimulus) in requests {
            cluster.handle(answer(victim, task, stimulus, Some(StateAtWorker::Ready)));
        }
        cluster.now = cluster.now.after_ns(LATER);
        cluster.handle(SchedulerEvent::Timeout);
    }
    for task in [0, 1] {
        cluster.finish(TaskId(task), 8);
    }
    assert!(cluster.state.is_idle());
    for task in [0, 1] {
        assert_eq!(cluster.state.state_of(TaskId(task)), TaskState::Memory);
    }
    assert_eq!(cluster.state.steals_in_flight(), 0);
}

#[test]
fn bug_6356_steal_confirmed_to_a_restarted_thief() {
    let mut cluster = under_way();
    start(&mut cluster, 2, 1);
    assert_eq!(cluster.state.steals_in_flight(), 1, "the victim still answers");
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Ready)));
    let (worker, run_id) = cluster.on(TaskId(1));
    assert_eq!(worker, WorkerId(2), "the life that is there, not the one that was meant");
    assert_eq!(run_id, RunId(3));
    assert_eq!(cluster.state.stolen_count(), 0, "it was placed anew");
    ends(cluster);
}

#[test]
fn bug_6356_the_thief_is_lost_between_request_and_answer() {
    let mut cluster = under_way();
    cluster.lose(WorkerId(1));
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Ready)));
    assert_eq!(cluster.on(TaskId(1)).0, WorkerId(0));
    ends(cluster);
}

#[test]
fn bug_6263_the_victim_restarts_between_request_and_answer() {
    let mut cluster = under_way();
    start(&mut cluster, 2, 0);
    assert_eq!(cluster.state.steals_in_flight(), asked(&cluster).len());
    let before = cluster.on(TaskId(1));
    assert_ne!(before.0, WorkerId(0));
    // The answer of the dead one was still under way; nobody else may give it in its place.
    for victim in [0, 2] {
        cluster.handle(answer(victim, 1, 1, Some(StateAtWorker::Ready)));
        assert_eq!(cluster.on(TaskId(1)), before);
    }
    ends(cluster);
}

#[test]
fn bug_6263_both_restart_between_request_and_answer() {
    let mut cluster = under_way();
    start(&mut cluster, 2, 1);
    start(&mut cluster, 3, 0);
    let before = cluster.on(TaskId(1));
    assert!(before.0 == WorkerId(2) || before.0 == WorkerId(3));
    for victim in [0, 3] {
        cluster.handle(answer(victim, 1, 1, Some(StateAtWorker::Ready)));
        assert_eq!(cluster.on(TaskId(1)), before);
    }
    ends(cluster);
}

/// The task of `under_way` was placed on worker 1 since, and is asked back from there: s2.
fn two_rounds() -> Cluster {
    let mut cluster = loaded(unqueued(), 4, &taking(SECOND_NS));
    cluster.add_worker(registration(1, 1));
    let first = asked(&cluster);
    assert_eq!(first, [(0, 3, 1)]);
    // Worker 0 gives the task back by itself; by now worker 1 has less to do and gets it.
    let (worker, run_id) = cluster.on(TaskId(3));
    cluster.handle(SchedulerEvent::Reschedule { worker, task: TaskId(3), run_id });
    assert_eq!(cluster.on(TaskId(3)).0, WorkerId(1));
    // Worker 1 pauses: whatever it has is offered to a third, which has to come first.
    let (worker, status) = (WorkerId(1), WorkerStatus::Paused);
    cluster.handle(SchedulerEvent::WorkerStatusChange { worker, status });
    cluster.now = cluster.now.after_ns(LATER);
    cluster.add_worker(registration(2, 1));
    cluster
}

#[test]
fn bug_5370_5379_8787_answers_of_two_rounds_come_in_any_order() {
    for reversed in [false, true] {
        let mut cluster = two_rounds();
        let second = cluster.state.stealing.in_flight.iter().find(|(task, _)| task.0 == 3);
        let (_, second) = second.expect("the task is asked for a second time");
        assert_eq!(second.victim, WorkerId(1));
        let old = answer(0, 3, 1, Some(StateAtWorker::Ready));
        let new = answer(1, 3, second.stimulus_id, Some(StateAtWorker::Ready));
        let (before, stale) = (cluster.on(TaskId(3)), cluster.state.stale_count());
        if reversed {
            cluster.handle(new);
            let moved = cluster.on(TaskId(3));
            assert_eq!(moved.0, second.thief);
            cluster.handle(old);
            assert_eq!(cluster.on(TaskId(3)), moved);
        } else {
            cluster.handle(old);
            assert_eq!(cluster.on(TaskId(3)), before);
            cluster.handle(new);
            assert_eq!(cluster.on(TaskId(3)).0, second.thief);
        }
        assert_eq!(cluster.state.stale_count(), stale + 1);
    }
}

#[test]
fn bug_8787_an_answer_after_release_and_assignment_to_the_same_worker() {
    let mut cluster = under_way();
    // Given up and wanted again: the same task, on the same victim, under another run.
    let tasks = vec![TaskId(1)];
    cluster.lose(WorkerId(1));
    let (worker, run_id) = cluster.on(TaskId(1));
    cluster.handle(SchedulerEvent::Reschedule { worker, task: TaskId(1), run_id });
    let again = cluster.on(TaskId(1));
    assert_eq!(again.0, WorkerId(0));
    assert!(again.1 > run_id);
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Ready)));
    assert_eq!(cluster.on(TaskId(1)), again, "the answer is about an earlier run");
    cluster.handle(SchedulerEvent::ClientReleasesKeys { client: CLIENT, tasks });
    assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Forgotten);
    cluster.handle(answer(0, 1, 1, None));
    assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Forgotten);
}

#[test]
fn bug_5379_a_wrong_or_invented_number_moves_nothing() {
    let mut cluster = under_way();
    let before = cluster.on(TaskId(1));
    for event in [
        answer(0, 1, 2, Some(StateAtWorker::Ready)),
        answer(1, 1, 1, Some(StateAtWorker::Ready)),
        answer(0, 0, 1, Some(StateAtWorker::Ready)),
        answer(0, 77, 1, None),
        answer(9, 1, 1, None),
    ] {
        cluster.handle(event);
        assert_eq!(cluster.on(TaskId(1)), before);
        assert_eq!(cluster.state.steals_in_flight(), 1);
    }
}

#[test]
fn a_result_that_crosses_the_request_counts() {
    let mut cluster = under_way();
    let (worker, run_id) = cluster.on(TaskId(1));
    cluster.handle(finished(worker, TaskId(1), run_id, 8));
    assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Memory);
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Memory)));
    assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Memory);
    assert_eq!(cluster.state.stolen_count(), 0);
}

#[test]
fn a_result_of_the_victim_after_the_move_is_one_of_another_run() {
    let mut cluster = under_way();
    let (_, run_id) = cluster.on(TaskId(1));
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Ready)));
    let moved = cluster.on(TaskId(1));
    cluster.handle(finished(WorkerId(0), TaskId(1), run_id, 8));
    cluster.expect(&["w0 free 1#2"]);
    assert_eq!(cluster.on(TaskId(1)), moved);
}

#[test]
fn steals_count_neither_as_attempts_nor_as_repetitions() {
    let mut cluster = under_way();
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Ready)));
    assert_eq!(cluster.state.attempt_of(TaskId(1)), 0);
    assert_eq!(cluster.state.recomputed_count(), 0);
}

/// A task that left the pool of a worker with one slot waits for one that is queued.
#[test]
fn bug_7223_a_slot_that_secede_frees_goes_to_the_queue() {
    let mut cluster = Cluster::with(super::cluster::checked(), &[1]);
    let (graph, tasks) = super::stealing::alike(8, &crate::graph::Attributes::default());
    cluster.submit(&graph, &tasks);
    assert_eq!(cluster.state.queued_count(), 6, "two slots");
    let (worker, run_id) = cluster.on(TaskId(0));
    let (task, compute_duration_ns) = (TaskId(0), Some(5));
    cluster.handle(SchedulerEvent::LongRunning { worker, task, run_id, compute_duration_ns });
    assert_eq!(cluster.on(TaskId(2)).0, WorkerId(0));
    assert!(cluster.state.queued_count() < 6);
}
