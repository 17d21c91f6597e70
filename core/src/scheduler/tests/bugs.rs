//! Bugs that others have met in schedulers like this one, as scripts.
//!
//! The numbers are those of issues of dask/distributed. `worker/tests/bugs.rs` has those that a
//! single worker shows.

use super::amm::{managed, results};
use super::cluster::{CLIENT, Cluster, Draft, bang, checked, finished, registration, submission};
use super::retire::retire;
use crate::config::{Config, SECOND_NS};
use crate::graph::{Attributes, RunSpec};
use crate::ids::{ClientId, RunId, TaskId, WorkerId};
use crate::messages::WorkerStatus;
use crate::scheduler::{SchedulerEvent, TaskState as S};
use std::sync::Arc;

const X: TaskId = TaskId(0);

fn refresh(worker: u32, task: TaskId) -> SchedulerEvent {
    SchedulerEvent::RequestRefreshWhoHas { worker: WorkerId(worker), tasks: vec![task] }
}

fn bad_replica(worker: u32, task: TaskId, peer: u32) -> SchedulerEvent {
    let (worker, peer, why) = (WorkerId(worker), WorkerId(peer), "unreachable".to_owned());
    SchedulerEvent::BadReplica { worker, task, peer, why }
}

/// A worker fetches from one that retires, while the books say that it has the key already: the
/// answer never names the asker, and always what else there is.
#[test]
fn bug_6244_a_fetcher_is_never_told_that_it_has_the_key_itself() {
    let mut cluster = results(managed(), 3, &[(0, 10), (1, 20), (2, 30)]);
    cluster.handle(retire(&[0]));
    assert_eq!(cluster.said()[1..], ["w1 acquire 0@0"]);
    // Worker 2 fetches the same at the same time and asks who has it.
    cluster.handle(refresh(2, X));
    cluster.expect(&["w2 refresh 0@0"]);
    cluster.add_keys(1, &[X]);
    assert_eq!(cluster.state.workers().count(), 2, "worker 0 has left");
    // Its transfer broke off: the copy that was made is named instead.
    cluster.handle(refresh(2, X));
    cluster.expect(&["w2 refresh 0@1"]);
    cluster.add_keys(2, &[X]);
    cluster.handle(refresh(2, X));
    cluster.expect(&["w2 refresh 0@1"]);
    // Alone with it on the books: nobody else, and not itself.
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(1), task: X });
    cluster.handle(refresh(2, X));
    cluster.expect(&["w2 refresh 0@"]);
    // What it then says puts the books right, and the key is computed again.
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(2), task: X });
    assert_eq!(cluster.state.state_of(X), S::Processing);
}

/// The holder never answers. Its readers say so; the copy no longer counts, and the retirement ends.
#[test]
fn bug_6223_6110_a_holder_that_does_not_answer_does_not_keep_itself_from_retiring() {
    let mut cluster = results(managed(), 2, &[(0, 10), (1, 20)]);
    cluster.handle(retire(&[0]));
    assert_eq!(cluster.said()[1..], ["w1 acquire 0@0"]);
    for _ in 0..10 {
        // Ordered again when its time is over; there is nobody else to ask.
        cluster.tick();
        assert_eq!(cluster.state.retiring().count(), 1);
    }
    cluster.handle(bad_replica(1, X, 0));
    let said = cluster.said();
    for line in ["w0 free 0#0", "w1 struck 0 off w0", "w0 retired: the node is drained"] {
        assert!(said.contains(&line.to_owned()), "{line}: {said:?}");
    }
    assert_eq!(cluster.on(X).0, WorkerId(1), "computed again by one that answers");
    // Another holder: the bad copy goes, nothing is computed.
    let mut cluster = results(managed(), 3, &[(0, 10), (1, 20), (2, 30)]);
    cluster.add_keys(2, &[X]);
    cluster.handle(bad_replica(1, X, 0));
    assert_eq!(cluster.said(), ["w0 drop 0", "w1 struck 0 off w0"]);
    assert_eq!(cluster.holders(X), [2]);
    assert_eq!(cluster.state.state_of(X), S::Memory);
}

/// ReduceReplicas would drop the copy that RetireWorker has just made, since the old holder cannot
/// drop its own while a task there reads it; the next round would make it again, and so on.
#[test]
fn retiring_and_reducing_do_not_play_ping_pong() {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let reader = draft.task("reader", &[x]);
    let mut cluster = Cluster::with(managed(), &[1, 1]);
    cluster.submit(&draft.graph(), &[x, reader]);
    cluster.finish(x, 100);
    let (old, new) = (cluster.holders(x)[0], 1 - cluster.holders(x)[0]);
    assert_eq!(cluster.on(reader).0, WorkerId(old));
    cluster.handle(retire(&[old]));
    assert_eq!(cluster.said()[1..], [format!("w{new} acquire 0@{old}")]);
    cluster.add_keys(new, &[x]);
    for _ in 0..5 {
        assert_eq!(cluster.tick(), [""; 0]);
        assert_eq!(cluster.holders(x), [0, 1]);
    }
    cluster.finish(reader, 8);
    cluster.add_keys(new, &[reader]);
    assert_eq!(cluster.state.workers().collect::<Vec<_>>(), [WorkerId(new)]);
    assert_eq!(cluster.state.recomputed_count(), 0);
}

/// A worker whose stream broke goes on computing, and comes back with results: nothing of its old
/// life counts, and its new life holds nothing.
#[test]
fn bug_5480_6354_6361_there_is_no_reconnection() {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let y = draft.task("y", &[]);
    let z = draft.task("z", &[x, y]);
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &[x, z]);
    cluster.finish(x, 8);
    let home = cluster.holders(x)[0];
    let (worker, run_id) = cluster.on(y);
    cluster.lose(WorkerId(home));
    cluster.lose(worker);
    let worker = WorkerId(home);
    let before = (cluster.state.run_of(x), cluster.state.run_of(y));
    for event in [
        finished(worker, y, run_id, 8),
        finished(worker, x, RunId(1), 8),
        SchedulerEvent::AddKeys { worker, tasks: vec![x, y] },
        SchedulerEvent::ReleaseWorkerData { worker, task: x },
        SchedulerEvent::Reschedule { worker, task: y, run_id },
        SchedulerEvent::LongRunning { worker, task: y, run_id, compute_duration_ns: None },
        SchedulerEvent::WorkerStatusChange { worker, status: WorkerStatus::Running },
        SchedulerEvent::RequestRefreshWhoHas { worker, tasks: vec![x] },
        SchedulerEvent::BadReplica { worker, task: x, peer: worker, why: String::new() },
    ] {
        cluster.handle(event);
        cluster.expect(&[]);
    }
    assert_eq!(cluster.state.who_has(x).count(), 0);
    assert_eq!((cluster.state.run_of(x), cluster.state.run_of(y)), before);
    let mut next = registration(7, 1);
    next.addresses = vec!["tcp://10.0.0.1:0".to_owned()];
    cluster.add_worker(next);
    assert_eq!(cluster.state.managed_bytes_of(WorkerId(7)), Some(0));
    cluster.sent.clear();
    for task in [x, y, z] {
        cluster.finish(task, 8);
    }
    assert!(cluster.state.is_idle());
}

/// task-finished and free-keys cross: the worker is dropping what it says it has. A task that is
/// queued, waits, or has no worker by then does not go to memory by the old run.
#[test]
fn bug_7348_7200_a_finish_that_crosses_its_free_does_not_count() {
    for (leaves, expected) in [(4, S::Queued), (1, S::NoWorker)] {
        let mut draft = Draft::default();
        let tasks: Vec<TaskId> =
            (0..leaves).map(|i| draft.task(&format!("leaf-{i}"), &[])).collect();
        let mut cluster = Cluster::with(checked(), &[1]);
        cluster.submit(&draft.graph(), &tasks);
        let (worker, run_id) = cluster.on(X);
        cluster.status(0, WorkerStatus::Paused);
        // Given back, so that free-keys is sent; a report is on its way all the same.
        cluster.handle(SchedulerEvent::Reschedule { worker, task: X, run_id });
        cluster.expect(&["w0 free 0#1"]);
        assert_eq!(cluster.state.state_of(X), expected);
        cluster.handle(finished(worker, X, run_id, 8));
        cluster.expect(&["w0 free 0#1"]);
        assert_eq!(cluster.state.state_of(X), expected);
        cluster.status(0, WorkerStatus::Running);
        assert!(cluster.on(X).1 > run_id);
    }
    // Waiting: its input was lost while it ran.
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let y = draft.task("y", &[x]);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &[y]);
    cluster.finish(x, 8);
    let (worker, run_id) = cluster.on(y);
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker, task: x });
    cluster.handle(finished(worker, y, run_id, 8));
    assert_eq!(cluster.state.state_of(y), S::Waiting);
    cluster.finish(x, 8);
    assert!(cluster.on(y).1 > run_id);
}

/// The last copy of an input is lost: dependents in every state wait again, queued ones too.
#[test]
fn bug_8702_8703_a_lost_input_calls_every_dependent_back() {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let other = draft.task("other", &[]);
    let waiting = draft.task("waiting", &[x, other]);
    let gpu = Attributes { resources: vec![("GPU".to_owned(), 1)], ..Attributes::default() };
    let no_worker = draft.task_with("stuck", &[x], gpu);
    let mut dependents = vec![waiting, no_worker];
    dependents.extend((0..9).map(|i| draft.task(&format!("leaf-{i}"), &[x])));
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &dependents);
    cluster.finish(x, 8);
    let states: Vec<S> = dependents.iter().map(|task| cluster.state.state_of(*task)).collect();
    for state in [S::Waiting, S::NoWorker, S::Processing, S::Queued] {
        assert!(states.contains(&state), "{state:?}: {states:?}");
    }
    let worker = WorkerId(cluster.holders(x)[0]);
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker, task: x });
    assert_eq!(cluster.state.state_of(x), S::Processing);
    for task in &dependents {
        assert_eq!(cluster.state.state_of(*task), S::Waiting, "{}", cluster.state.story(*task));
    }
}

/// A worker that is paused for good keeps no task: what it gives back runs elsewhere, and when all
/// are paused the tasks end with an error, not never.
#[test]
fn bug_3761_5235_5635_paused_workers_keep_no_task_for_ever() {
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..4).map(|i| draft.task(&format!("t{i}"), &[])).collect();
    // Without restarts nobody waits for a worker that is paused for good.
    let config = Config { max_reschedules: 0, pause_restart_ns: 0, ..checked() };
    let mut cluster = Cluster::with(config, &[1, 1]);
    cluster.handle(SchedulerEvent::AllWorkersArrived);
    cluster.submit(&draft.graph(), &tasks);
    let give_back = |cluster: &mut Cluster, paused: u32| {
        cluster.status(paused, WorkerStatus::Paused);
        let worker = WorkerId(paused);
        let sent: Vec<_> = cluster.state.processing(worker).collect();
        for (task, run_id) in sent {
            cluster.handle(SchedulerEvent::Reschedule { worker, task, run_id });
        }
        assert_eq!(cluster.state.processing(worker).count(), 0);
    };
    give_back(&mut cluster, 0);
    assert!(tasks.iter().all(|task| cluster.on(*task).0 == WorkerId(1)));
    give_back(&mut cluster, 1);
    assert!(tasks.iter().all(|task| cluster.state.state_of(*task) == S::NoWorker));
    cluster.now = cluster.now.after_ns(61 * SECOND_NS);
    cluster.handle(SchedulerEvent::Timeout);
    for task in &tasks {
        assert_eq!(cluster.state.error_of(*task).unwrap().error.kind, "NoWorkerError");
    }
    assert!(cluster.state.is_idle());
}

/// Results are matched by their run, not by their key alone: a task that was let go and sent again is
/// neither finished nor failed by what its old run says, on the same worker or on another one.
/// `stale.rs` has the rows one by one.
#[test]
fn bug_7463_a_task_sent_again_is_not_ended_by_its_old_run() {
    for elsewhere in [false, true] {
        let mut draft = Draft::default();
        let x = draft.task("x", &[]);
        let mut cluster = Cluster::with(checked(), if elsewhere { &[1, 1] } else { &[1] });
        cluster.submit(&draft.graph(), &[x]);
        let (worker, old) = cluster.on(x);
        if elsewhere {
            cluster.status(worker.0, WorkerStatus::Paused);
        }
        // free-keys is sent while it executes, and then compute-task again.
        cluster.handle(SchedulerEvent::Reschedule { worker, task: x, run_id: old });
        let said = cluster.said();
        assert!(said[0].starts_with(&format!("w{} free 0#{}", worker.0, old.0)), "{said:?}");
        let (now_on, new) = cluster.on(x);
        assert!(new > old && (now_on != worker) == elsewhere);
        for late in [
            finished(worker, x, old, 1),
            SchedulerEvent::TaskErred { worker, task: x, run_id: old, error: Box::new(bang()) },
        ] {
            cluster.handle(late);
            assert_eq!((cluster.state.state_of(x), cluster.on(x)), (S::Processing, (now_on, new)));
        }
        assert_eq!(cluster.state.nbytes_of(x), None);
        cluster.handle(finished(now_on, x, new, 64));
        assert_eq!((cluster.state.state_of(x), cluster.state.nbytes_of(x)), (S::Memory, Some(64)));
        assert_eq!(cluster.holders(x), [now_on.0]);
        assert_eq!(cluster.state.attempt_of(x), 0);
    }
}

/// After every kind of failure the next, unrelated computation runs.
#[test]
fn bug_5497_an_unrelated_computation_runs_after_an_error() {
    let fail: [fn(&mut Cluster, TaskId); 4] = [
        |cluster, task| {
            let event = cluster.erred(task);
            cluster.handle(event);
        },
        |cluster, task| {
            for next in 10..14 {
                let (worker, run_id) = cluster.on(task);
                cluster.add_worker(registration(next, 1));
                let (executing, reason) = (Some(vec![(task, run_id)]), "died".to_owned());
                let expected = false;
                cluster.handle(SchedulerEvent::RemoveWorker {
                    worker,
                    expected,
                    executing,
                    reason,
                });
            }
        },
        |cluster, task| {
            let (worker, run_id) = cluster.on(task);
            cluster.handle(SchedulerEvent::Reschedule { worker, task, run_id });
        },
        |cluster, task| {
            let (client, tasks) = (CLIENT, vec![task]);
            let (force, reason) = (true, "on purpose".to_owned());
            cluster.handle(SchedulerEvent::CancelKeys { client, tasks, force, reason });
        },
    ];
    for (number, fail) in fail.into_iter().enumerate() {
        let mut draft = Draft::default();
        let bad = draft.task("bad", &[]);
        let after_bad = draft.task("after-bad", &[bad]);
        let a = draft.task("a", &[]);
        let b = draft.task("b", &[a]);
        let c = draft.task("c", &[b]);
        // Without restarts nobody waits for a worker that is paused for good.
        let config = Config { max_reschedules: 0, pause_restart_ns: 0, ..checked() };
        let mut cluster = Cluster::with(config, &[1]);
        cluster.submit(&draft.graph(), &[after_bad, c]);
        fail(&mut cluster, bad);
        let ended = cluster.state.state_of(after_bad);
        assert!(matches!(ended, S::Erred | S::Forgotten), "failure {number}: {ended:?}");
        // The first computation is over; b was let go when c was there, and is wanted now.
        for task in [a, b] {
            cluster.finish(task, 8);
        }
        let (client, tasks) = (ClientId(1), vec![b]);
        cluster.handle(SchedulerEvent::ClientDesiresKeys { client, tasks });
        cluster.finish(c, 8);
        assert!(cluster.state.is_idle(), "failure {number}");
        assert_eq!(cluster.state.state_of(b), S::Memory);
        assert_eq!(cluster.state.state_of(c), S::Memory);
    }
}

/// The same key is submitted again with another run spec and other inputs while it runs, waits, is
/// in memory or has failed: the old ones stay, the conflict is told, and both clients get the one
/// result.
#[test]
fn bug_8512_9888_a_conflicting_submission_keeps_the_old_graph_consistent() {
    type Event = fn(&mut Cluster);
    let finish: Event = |cluster| cluster.finish(TaskId(0), 8);
    let finish_both: Event = |cluster| {
        cluster.finish(TaskId(0), 8);
        cluster.finish(TaskId(1), 8);
    };
    let fail: Event = |cluster| {
        let event = cluster.erred(TaskId(0));
        cluster.handle(event);
    };
    let wait: Event = |_| {};
    for (name, before) in
        [("waits", wait), ("runs", finish), ("is there", finish_both), ("failed", fail)]
    {
        let mut draft = Draft::default();
        let a = draft.task("a", &[]);
        let b = draft.task("b", &[a]);
        let mut cluster = Cluster::with(checked(), &[1]);
        cluster.submit(&draft.graph(), &[b]);
        before(&mut cluster);
        // b reads nothing and a reads b: with the new edges on the old ones that is a cycle.
        let mut other = Draft::default();
        let b_first = other.task("b", &[]);
        let a_second = other.task("a", &[b_first]);
        let new = other.task("c", &[a_second, b_first]);
        let mut other = other.graph();
        let specs = vec![RunSpec::kernel::<&str>("rank", [])];
        Arc::get_mut(&mut other).unwrap().specs = specs;
        let mut again = submission(&other, &[b_first, new], &[]);
        again.client = ClientId(1);
        cluster.handle(SchedulerEvent::UpdateGraph(Box::new(again)));
        let warned = cluster.said().iter().filter(|line| line.starts_with("warn")).count();
        assert_eq!(warned, 2, "{name}: {:?}", cluster.said());
        let kept = cluster.state.graph().unwrap();
        assert_eq!((kept.inputs.row(a), kept.inputs.row(b)), (&[][..], &[a][..]), "{name}");
        assert_eq!(kept.spec(b).name(), "identity", "{name}");
        cluster.run_to_end();
        let c = cluster.state.task_named("c").unwrap();
        let expected = if name == "failed" { S::Erred } else { S::Memory };
        for task in [b, c] {
            let (state, story) = (cluster.state.state_of(task), cluster.state.story(task));
            assert_eq!(state, expected, "{name}: {story}");
        }
        assert!(cluster.state.is_idle(), "{name}");
        // a was let go when b was there; c needs it once more.
        let again = u64::from(name == "is there");
        assert_eq!(cluster.state.recomputed_count(), again, "{name}");
    }
}

/// Part of what a graph refers to was forgotten: it is refused whole, with the names of what is
/// missing, and nothing of it is created. What was there before goes on.
#[test]
fn bug_9068_a_graph_that_refers_to_forgotten_keys_is_refused_whole() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let c = draft.task("c", &[b]);
    let free = draft.task("free", &[]);
    let both = draft.task("both", &[free, b]);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &[c, both, free]);
    cluster.finish(a, 8);
    let (tasks, reason) = (vec![b], "on purpose".to_owned());
    cluster.handle(SchedulerEvent::CancelKeys { client: CLIENT, tasks, force: true, reason });
    let said = cluster.said();
    assert!(said.iter().any(|line| line == "c0 cancelled 4 2: on purpose"), "{said:?}");
    for task in [a, b, c, both] {
        assert_eq!(cluster.state.state_of(task), S::Forgotten);
    }
    // The other client still holds references to a, b, c and free.
    let mut other = Draft::default();
    let references = ["b", "free", "c"].map(|key| other.task(key, &[]));
    let fine = other.task("fine", &[references[1]]);
    let reads = other.task("reads", &[references[0], references[1]]);
    let last = other.task("last", &[reads, references[2], fine]);
    let other = other.graph();
    let mut again = submission(&other, &[last, fine, references[1]], &[]);
    (again.client, again.references) = (ClientId(1), references.to_vec());
    cluster.handle(SchedulerEvent::UpdateGraph(Box::new(again.clone())));
    cluster.expect(&["c1 refused: it needs 'b', 'c', which is not known"]);
    assert_eq!(cluster.state.graph().unwrap().len(), 5);
    assert_eq!(cluster.state.task_named("fine"), None);
    let (client, tasks) = (ClientId(1), vec![c, free]);
    cluster.handle(SchedulerEvent::ClientDesiresKeys { client, tasks });
    cluster.expect(&["warn client 1 desires unknown task 2"]);
    // What needs nothing of the forgotten runs, with the same references beside it.
    again.wanted = vec![fine];
    cluster.handle(SchedulerEvent::UpdateGraph(Box::new(again)));
    cluster.run_to_end();
    assert_eq!(cluster.state.state_of(free), S::Memory);
    assert_eq!(cluster.state.state_of(cluster.state.task_named("fine").unwrap()), S::Memory);
    assert!(cluster.state.is_idle());
}
