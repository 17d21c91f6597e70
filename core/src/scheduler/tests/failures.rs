//! Errors, retries, workers that die, results that cannot be read.

use super::cluster::{CLIENT, Cluster, Draft, bang, checked, registration};
use crate::config::Config;
use crate::graph::Attributes;
use crate::ids::{ClientId, RunId, TaskId, WorkerId};
use crate::scheduler::{SchedulerEvent, TaskState};

const X: TaskId = TaskId(0);

fn single(config: Config, attributes: Attributes) -> Cluster {
    let mut draft = Draft::default();
    let x = draft.task_with("x", &[], attributes);
    let mut cluster = Cluster::with(config, &[1]);
    cluster.submit(&draft.graph(), &[x]);
    cluster
}

#[test]
fn a_task_survives_as_many_errors_as_it_has_retries() {
    let attributes = Attributes { retries: Some(2), ..Attributes::default() };
    let mut cluster = single(checked(), attributes);
    for attempt in 1..=2 {
        let event = cluster.erred(X);
        cluster.handle(event);
        let free = format!("w0 free 0#{attempt}");
        let compute = format!("w0 compute 0#{} attempt {attempt}", attempt + 1);
        cluster.expect(&[&free, &compute]);
    }
    let event = cluster.erred(X);
    cluster.handle(event);
    cluster.expect(&["c0 erred 0", "idle"]);
    assert_eq!(cluster.state.attempt_of(X), 3);
    assert_eq!(cluster.state.recomputed_count(), 2);
}

#[test]
fn an_error_reaches_all_that_depends_on_it_and_names_its_root() {
    let mut draft = Draft::default();
    let good = draft.task("good", &[]);
    let bad = draft.task("bad", &[]);
    let mut last = bad;
    let mut chain = Vec::new();
    for i in 0..5 {
        last = draft.task(&format!("link-{i}"), &[last, good]);
        chain.push(last);
    }
    let other = draft.task("other", &[good]);
    let mut cluster = Cluster::with(checked(), &[4]);
    cluster.submit(&draft.graph(), &[last, other]);
    let event = cluster.erred(bad);
    cluster.handle(event);
    cluster.expect(&["c0 erred 6"]);
    assert_eq!(cluster.state.dependents_affected(bad), chain);
    for task in &chain {
        let failure = cluster.state.error_of(*task).unwrap();
        assert_eq!((failure.root, failure.error), (bad, &bang()));
    }
    cluster.finish(good, 8);
    cluster.finish(other, 8);
    assert!(cluster.state.is_idle());
    assert_eq!(cluster.state.erred_count(), 6);
}

/// Loses the worker that x is on and brings a new one; what the supervisor saw running is given.
fn lose(cluster: &mut Cluster, executing: Option<Vec<(TaskId, RunId)>>, next: u32) {
    let (worker, _) = cluster.on(X);
    let reason = "died by signal 9".to_owned();
    cluster.add_worker(registration(next, 1));
    cluster.handle(SchedulerEvent::RemoveWorker { worker, expected: false, executing, reason });
}

#[test]
fn a_task_that_kills_too_many_workers_errs() {
    let mut cluster = single(checked(), Attributes::default());
    for death in 1..=3 {
        lose(&mut cluster, None, death);
        assert_eq!(cluster.state.state_of(X), TaskState::Processing);
        assert_eq!(cluster.state.attempt_of(X), death);
    }
    lose(&mut cluster, None, 4);
    let failure = cluster.state.error_of(X).unwrap();
    assert_eq!(failure.error.kind, "KilledWorker");
    for part in ["4 workers", "'x'", "worker 3", "died by signal 9"] {
        assert!(failure.error.message.contains(part), "{}", failure.error.message);
    }
}

#[test]
fn only_what_ran_is_suspicious_when_the_supervisor_tells() {
    let mut cluster = single(checked(), Attributes::default());
    for death in 1..=9 {
        lose(&mut cluster, Some(Vec::new()), death);
    }
    assert_eq!(cluster.state.attempt_of(X), 0);
    assert_eq!(cluster.state.recomputed_count(), 0);
    for death in 10..14 {
        let run = cluster.on(X).1;
        lose(&mut cluster, Some(vec![(X, run)]), death);
    }
    assert_eq!(cluster.state.error_of(X).unwrap().error.kind, "KilledWorker");
    assert_eq!(cluster.state.recomputed_count(), 3);
}

#[test]
fn an_expected_loss_raises_no_suspicion() {
    let mut cluster = single(checked(), Attributes::default());
    cluster.add_worker(registration(1, 1));
    let (worker, _) = cluster.on(X);
    let (reason, executing) = ("retired".to_owned(), None);
    cluster.handle(SchedulerEvent::RemoveWorker { worker, expected: true, executing, reason });
    cluster.expect(&["w1 compute 0#2 attempt 0", "w1 gone w0"]);
}

#[test]
fn results_of_a_lost_worker_are_computed_again() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let c = draft.task("c", &[b]);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &[c]);
    cluster.finish(a, 8);
    cluster.finish(b, 8);
    cluster.add_worker(registration(1, 1));
    cluster.lose(WorkerId(0));
    cluster.expect(&["w1 compute 0#4 attempt 0", "w1 gone w0"]);
    cluster.sent.retain(|(worker, ..)| *worker == WorkerId(1));
    assert_eq!(cluster.run_to_end(), 3);
    assert_eq!(cluster.state.state_of(c), TaskState::Memory);
    assert_eq!(cluster.state.finished_count(), 3);
    assert_eq!(cluster.state.recomputed_count(), 3);
}

/// Seed 1032 of the simulator: the last copy of an input was lost in the event in which what that
/// input is made from failed for good.
#[test]
fn a_task_that_errs_with_its_input_is_taken_back_from_its_worker() {
    let at = |name: &str| Attributes { workers: vec![name.to_owned()], ..Attributes::default() };
    let mut draft = Draft::default();
    let bad = draft.task_with("bad", &[], at("1"));
    let source = draft.task_with("source", &[], at("0"));
    let made = draft.task_with("made", &[source], at("0"));
    let other = draft.task_with("other", &[], at("0"));
    let reader = draft.task_with("reader", &[made, other], at("1"));
    let mut cluster = Cluster::with(Config { allowed_failures: 0, ..checked() }, &[2, 2]);
    cluster.submit(&draft.graph(), &[bad, reader]);
    let event = cluster.erred(bad);
    cluster.handle(event);
    for task in [source, made, other] {
        cluster.finish(task, 8);
    }
    let (worker, run) = cluster.on(reader);
    assert_eq!(worker, WorkerId(1));
    // Its result was let go of; somebody wants it after all, so that it runs again.
    let tasks = vec![source];
    cluster.handle(SchedulerEvent::ClientDesiresKeys { client: CLIENT, tasks });
    assert_eq!(cluster.on(source).0, WorkerId(0));
    cluster.lose(WorkerId(0));
    let failure = cluster.state.error_of(reader).unwrap();
    assert_eq!((failure.root, &*failure.error.kind), (source, "KilledWorker"));
    assert_eq!(cluster.out.frees, [(reader, run)]);
    let told = super::cluster::render(&cluster.out);
    assert!(told.contains(&format!("w1 free {}#{}", reader.0, run.0)), "{told:?}");
    assert_eq!(cluster.state.processing(WorkerId(1)).count(), 0);
}

#[test]
fn a_task_may_give_itself_back_only_so_often() {
    let config = Config { max_reschedules: 2, ..checked() };
    let mut cluster = single(config, Attributes::default());
    for round in 1..=3 {
        assert_eq!(cluster.state.state_of(X), TaskState::Processing, "round {round}");
        let (worker, run_id) = cluster.on(X);
        cluster.handle(SchedulerEvent::Reschedule { worker, task: X, run_id });
        cluster.handle(SchedulerEvent::Reschedule { worker, task: X, run_id });
        assert_eq!(cluster.state.attempt_of(X), 0);
    }
    assert_eq!(cluster.state.error_of(X).unwrap().error.kind, "TooManyReschedules");
}

#[test]
fn inputs_larger_than_the_workers_memory_are_refused() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[]);
    let sum = draft.task("sum", &[a, b]);
    let mut cluster = Cluster::new(checked());
    let mut small = registration(0, 2);
    small.memory_limit_bytes = 1000;
    cluster.add_worker(small);
    cluster.submit(&draft.graph(), &[sum]);
    cluster.finish(a, 600);
    cluster.finish(b, 600);
    cluster.expect(&["c0 erred 2", "w0 free 1#0 0#0", "idle"]);
    let failure = cluster.state.error_of(sum).unwrap();
    assert_eq!(failure.error.kind, "MemoryError");
    for part in ["'sum'", "1200 bytes", "1000 bytes", "--memory-limit"] {
        assert!(failure.error.message.contains(part), "{}", failure.error.message);
    }
}

/// x is held by workers 0 and 1.
fn held_twice() -> Cluster {
    let mut cluster = single(checked(), Attributes::default());
    cluster.finish(X, 8);
    cluster.add_worker(registration(1, 1));
    cluster.handle(SchedulerEvent::AddKeys { worker: WorkerId(1), tasks: vec![X] });
    cluster
}

#[test]
fn a_bad_copy_is_struck_off_and_the_last_one_is_computed_again() {
    let mut cluster = held_twice();
    let bad = |peer: u32| SchedulerEvent::BadReplica {
        worker: WorkerId(1),
        task: X,
        peer: WorkerId(peer),
        why: "mismatch".to_owned(),
    };
    cluster.handle(bad(0));
    cluster.expect(&["w0 drop 0", "w1 struck 0 off w0"]);
    cluster.handle(bad(0));
    cluster.expect(&["w1 struck 0 off w0"]);
    cluster.handle(bad(1));
    assert_eq!(cluster.state.state_of(X), TaskState::Processing);
    assert_eq!(cluster.out.frees, [(X, RunId::NONE)]);
}

#[test]
fn a_lost_copy_is_nothing_while_another_is_left() {
    let mut cluster = held_twice();
    cluster.lose(WorkerId(0));
    cluster.expect(&["w1 gone w0"]);
    assert_eq!(cluster.state.who_has(X).collect::<Vec<_>>(), [WorkerId(1)]);
}

#[test]
fn cancelling_ends_a_task_and_what_depends_on_it() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let c = draft.task("c", &[b]);
    let graph = draft.graph();
    let cancel = |tasks: &[TaskId], force| SchedulerEvent::CancelKeys {
        client: CLIENT,
        tasks: tasks.to_vec(),
        force,
        reason: "enough".to_owned(),
    };
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&graph, &[c]);
    cluster.handle(cancel(&[a], false));
    cluster.expect(&["c0 cancelled 2: enough", "w0 free 0#1", "idle"]);
    // What another client wants goes on, unless it is forced; the wish of this one ends.
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&graph, &[c]);
    let other = ClientId(5);
    cluster.handle(SchedulerEvent::AddClient(other));
    cluster.handle(SchedulerEvent::ClientDesiresKeys { client: other, tasks: vec![c] });
    cluster.handle(cancel(&[a], false));
    cluster.expect(&["c0 cancelled 2: enough"]);
    assert_eq!(cluster.state.state_of(c), TaskState::Waiting);
    cluster.handle(cancel(&[a], true));
    cluster.expect(&["c5 cancelled 2: enough", "w0 free 0#1", "idle"]);
}

#[test]
fn a_client_that_goes_takes_its_wishes_along() {
    let mut cluster = single(checked(), Attributes::default());
    cluster.handle(SchedulerEvent::RemoveClient(CLIENT));
    cluster.expect(&["w0 free 0#1", "idle"]);
    assert_eq!(cluster.state.state_of(X), TaskState::Forgotten);
}

#[test]
fn errors_beyond_the_limit_are_kept_short() {
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..3).map(|i| draft.task(&format!("t{i}"), &[])).collect();
    let config = Config { erred_tasks: 1, ..checked() };
    let mut cluster = Cluster::with(config, &[4]);
    cluster.submit(&draft.graph(), &tasks);
    for task in &tasks {
        let (worker, run_id) = cluster.on(*task);
        let mut error = Box::new(bang());
        error.message = "ä".repeat(1000);
        cluster.handle(SchedulerEvent::TaskErred { worker, task: *task, run_id, error });
    }
    let length = |task: TaskId| cluster.state.error_of(task).unwrap().error.message.len();
    assert_eq!(length(tasks[0]), 2000);
    assert_eq!(length(tasks[2]), 256 + " …".len());
}
