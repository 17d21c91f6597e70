//! The active memory manager, rule by rule: who gets a copy, who gives one up, what is refused.

use super::cluster::{CLIENT, Cluster, Draft, checked, registration};
use crate::config::{Config, MemoryMeasure, Policies, SECOND_NS};
use crate::ids::{TaskId, WorkerId};
use crate::messages::WorkerStatus;
use crate::paths::PathSpeeds;
use crate::scheduler::{SchedulerEvent, TaskState};

const X: TaskId = TaskId(0);
/// Interval of the manager.
const INTERVAL_NS: u64 = 2 * SECOND_NS;

pub(super) fn managed() -> Config {
    // A steal would take the task away that a test wants to stay.
    Config { validate: true, work_stealing: false, ..Config::default() }
}

impl Cluster {
    /// Lets the manager's interval pass; gives what was ordered besides timers.
    pub(super) fn tick(&mut self) -> Vec<String> {
        self.now = self.now.after_ns(INTERVAL_NS);
        self.handle(SchedulerEvent::Timeout);
        self.said()
    }

    /// What the last event led to, besides timers.
    pub(super) fn said(&self) -> Vec<String> {
        let mut said = super::cluster::render(&self.out);
        said.retain(|line| !line.starts_with("timer"));
        said
    }

    pub(super) fn add_keys(&mut self, worker: u32, tasks: &[TaskId]) {
        let (worker, tasks) = (WorkerId(worker), tasks.to_vec());
        self.handle(SchedulerEvent::AddKeys { worker, tasks });
    }

    pub(super) fn status(&mut self, worker: u32, status: WorkerStatus) {
        let worker = WorkerId(worker);
        self.handle(SchedulerEvent::WorkerStatusChange { worker, status });
    }

    pub(super) fn holders(&self, task: TaskId) -> Vec<u32> {
        self.state.who_has(task).map(|worker| worker.0).collect()
    }

    /// Tells of the bytes that a worker has resident.
    pub(super) fn resident(&mut self, worker: u32, rss_bytes: u64) {
        let (worker, executing) = (WorkerId(worker), Vec::new());
        let (worker_now_ns, paths) = (0, PathSpeeds::default());
        self.handle(SchedulerEvent::Heartbeat {
            worker,
            worker_now_ns,
            executing,
            paths,
            rss_bytes,
        });
    }
}

/// Wanted results of so many bytes, each alone on the worker that is given, without dependents.
pub(super) fn results(config: Config, workers: u32, sizes: &[(u32, u64)]) -> Cluster {
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> =
        (0..sizes.len()).map(|i| draft.task(&format!("result{i}-x"), &[])).collect();
    let mut cluster = Cluster::with(config, &vec![1; workers as usize]);
    cluster.submit(&draft.graph(), &tasks);
    for (task, (worker, nbytes)) in tasks.iter().zip(sizes) {
        cluster.finish(*task, *nbytes);
        let home = cluster.holders(*task)[0];
        if home != *worker {
            cluster.add_keys(*worker, &[*task]);
            let (worker, task) = (WorkerId(home), *task);
            cluster.handle(SchedulerEvent::ReleaseWorkerData { worker, task });
        }
        assert_eq!(cluster.holders(*task), [*worker]);
    }
    cluster
}

/// x with so many waiting dependents, on so many workers.
fn waited_for(waiters: usize, copies: u32) -> Cluster {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let never = draft.task("never", &[]);
    let waiting: Vec<TaskId> =
        (0..waiters).map(|i| draft.task(&format!("y{i}"), &[x, never])).collect();
    let mut cluster = Cluster::with(managed(), &vec![1; copies as usize]);
    let wanted: Vec<TaskId> = [x].into_iter().chain(waiting).collect();
    cluster.submit(&draft.graph(), &wanted);
    cluster.finish(x, 100);
    for worker in 0..copies {
        cluster.add_keys(worker, &[x]);
    }
    assert_eq!(cluster.holders(x).len(), copies as usize);
    cluster
}

/// One copy stays, or one for each dependent that is to be served.
#[test]
fn copies_beyond_those_that_are_waited_for_are_dropped() {
    for (waiters, copies, left) in
        [(0, 1, 1), (0, 2, 1), (0, 9, 1), (1, 5, 1), (2, 5, 2), (3, 5, 3), (7, 5, 5), (25, 30, 25)]
    {
        let mut cluster = waited_for(waiters, copies);
        cluster.tick();
        assert_eq!(cluster.holders(X).len(), left, "{copies} copies, {waiters} waiters");
        assert_eq!(cluster.tick(), [""; 0], "nothing more to do");
    }
}

/// Dependents on the same worker need one copy together, and theirs is not dropped.
#[test]
fn dependents_that_run_keep_the_copy_that_they_read() {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let readers: Vec<TaskId> = (0..4).map(|i| draft.task(&format!("y{i}"), &[x])).collect();
    let mut cluster = Cluster::with(managed(), &[4, 4, 4]);
    let wanted: Vec<TaskId> = [x].into_iter().chain(readers.iter().copied()).collect();
    cluster.submit(&draft.graph(), &wanted);
    cluster.finish(x, 100);
    for worker in 0..3 {
        cluster.add_keys(worker, &[x]);
    }
    let mut placed: Vec<u32> = readers.iter().map(|reader| cluster.on(*reader).0.0).collect();
    placed.sort_unstable();
    placed.dedup();
    // The fullest would give its copy up, if nothing there read it.
    cluster.resident(placed[0], 1_000_000);
    cluster.tick();
    let holders = cluster.holders(x);
    assert_eq!(holders.len(), placed.len());
    assert!(placed.iter().all(|worker| holders.contains(worker)), "{holders:?} {placed:?}");
}

/// A worker that does not run gives its copy up rather than one that does, then the fullest.
#[test]
fn the_fullest_worker_gives_its_copy_up_one_that_is_paused_first() {
    let sizes = [(0, 10), (1, 5000), (2, 300), (3, 40)];
    let mut cluster = results(managed(), 4, &sizes);
    for worker in 0..4 {
        cluster.add_keys(worker, &[X]);
    }
    cluster.status(0, WorkerStatus::Paused);
    let mut said = cluster.tick();
    said.sort();
    assert_eq!(said, ["w0 drop 0", "w1 drop 0", "w2 drop 0"]);
    assert_eq!(cluster.holders(X), [3]);
}

/// The books change at once; the worker's refusal puts the copy back.
#[test]
fn a_dropped_copy_is_off_the_books_and_a_refusal_puts_it_back() {
    let mut cluster = results(managed(), 2, &[(0, 10), (1, 500)]);
    cluster.add_keys(1, &[X]);
    assert_eq!(cluster.tick(), ["w1 drop 0"]);
    assert_eq!(cluster.holders(X), [0]);
    cluster.add_keys(1, &[X]);
    assert_eq!(cluster.holders(X), [0, 1]);
    assert_eq!(cluster.tick(), ["w1 drop 0"]);
    // The worker's word that it is gone comes after the books say so.
    cluster.handle(SchedulerEvent::ReleaseWorkerData { worker: WorkerId(1), task: X });
    assert_eq!(cluster.holders(X), [0]);
    assert_eq!(cluster.state.state_of(X), TaskState::Memory);
}

#[test]
fn nothing_happens_by_itself_when_the_manager_is_off() {
    let off = Policies { reduce_replicas: false, rebalance: false };
    for config in [checked(), Config { amm_policies: off, ..managed() }] {
        let mut cluster = results(config, 2, &[(0, 10), (1, 500)]);
        cluster.add_keys(1, &[X]);
        assert_eq!(super::cluster::render(&cluster.out), [""; 0], "not even a timer");
        assert_eq!(cluster.tick(), [""; 0]);
        assert_eq!(cluster.holders(X), [0, 1]);
    }
}

fn replicate(tasks: &[TaskId], n: Option<u32>, workers: Option<&[u32]>) -> SchedulerEvent {
    SchedulerEvent::Replicate {
        tasks: tasks.to_vec(),
        n,
        workers: workers.map(|workers| workers.iter().copied().map(WorkerId).collect()),
        branching_factor: 2,
    }
}

/// The recipients that an answer names, which then say that they have it.
fn arrive(cluster: &mut Cluster, said: &[String]) -> usize {
    let recipients: Vec<u32> = said
        .iter()
        .filter(|line| line.contains("acquire"))
        .map(|line| line[1..line.find(' ').unwrap()].parse().unwrap())
        .collect();
    for worker in &recipients {
        cluster.add_keys(*worker, &[X]);
    }
    recipients.len()
}

/// Each holder serves two new ones in a round: 1, 3, 8.
#[test]
fn copies_spread_in_rounds_that_branch() {
    let mut cluster = results(managed(), 10, &[(0, 10)]);
    cluster.handle(replicate(&[X], Some(8), None));
    let said = cluster.said();
    assert!(said.iter().all(|line| line.ends_with("acquire 0@0")), "{said:?}");
    assert_eq!(arrive(&mut cluster, &said), 2);
    // The last arrival starts the next round at once.
    let said = cluster.said();
    assert_eq!(arrive(&mut cluster, &said), 5);
    assert_eq!(cluster.holders(X).len(), 8);
    assert_eq!(cluster.said(), [""; 0]);
    // They stay, although nobody waits for them.
    assert_eq!(cluster.tick(), [""; 0]);
    // One that is lost is made again.
    let lost = *cluster.holders(X).last().unwrap();
    cluster.lose(WorkerId(lost));
    let said = cluster.said();
    assert_eq!(arrive(&mut cluster, &said), 1);
    assert_eq!(cluster.holders(X).len(), 8);
    // Fewer are asked for: the rest is dropped.
    cluster.handle(replicate(&[X], Some(3), None));
    assert_eq!(cluster.holders(X).len(), 3);
    let tasks = vec![X];
    cluster.handle(SchedulerEvent::ClientReleasesKeys { client: CLIENT, tasks });
    assert_eq!(cluster.state.state_of(X), TaskState::Forgotten);
    assert_eq!(cluster.tick(), [""; 0]);
}

#[test]
fn copies_go_where_they_were_asked_for_and_not_beyond_the_workers_there_are() {
    let mut cluster = results(managed(), 4, &[(0, 10)]);
    cluster.handle(replicate(&[X], Some(2), Some(&[1, 3, 77])));
    assert_eq!(cluster.said(), ["w1 acquire 0@0", "w3 acquire 0@0"]);
    cluster.handle(replicate(&[X], Some(0), None));
    assert_eq!(cluster.said(), ["warn replicate: at least one copy stays; n must not be 0"]);
    cluster.handle(replicate(&[X, TaskId(9)], None, None));
    let said = cluster.said();
    assert_eq!(said[0], "warn replicate: 1 of 2 keys are not in memory");
    // Both copies of the first order are under way; one holder serves two at a time.
    assert_eq!(said[1..], [""; 0]);
    cluster.add_keys(1, &[X]);
    cluster.add_keys(3, &[X]);
    assert_eq!(cluster.said().len(), 1, "{:?}", cluster.said());
    assert!(cluster.said()[0].starts_with("w2 acquire 0@"));
    cluster.add_keys(2, &[X]);
    assert_eq!(cluster.tick(), [""; 0], "there are no more workers");
}

/// A copy goes to the worker with the least memory in use, counting what is on its way there.
#[test]
fn recipients_are_the_emptiest_that_run() {
    let mut sizes = vec![(0, 100); 4];
    sizes.extend([(1, 150), (2, 10), (3, 20)]);
    let mut cluster = results(managed(), 4, &sizes);
    cluster.status(3, WorkerStatus::Paused);
    let tasks: Vec<TaskId> = (0..4).map(TaskId).collect();
    cluster.handle(replicate(&tasks, Some(2), None));
    // 10, 110 and then 150 against 210: worker 2, worker 2, worker 1, worker 2.
    assert_eq!(cluster.said(), ["w1 acquire 2@0", "w2 acquire 0@0 1@0 3@0"]);
}

/// What is under way is not ordered again before its time is over; then somebody else is asked.
#[test]
fn a_copy_that_does_not_come_is_ordered_elsewhere() {
    let mut cluster = results(managed(), 3, &[(0, 10), (2, 5)]);
    cluster.handle(replicate(&[X], Some(2), None));
    assert_eq!(cluster.said(), ["w1 acquire 0@0"]);
    assert_eq!(cluster.tick(), [""; 0]);
    assert!(cluster.state.is_moving_data());
    // The recipient fills up meanwhile, and its time passes.
    cluster.resident(1, 1_000_000);
    let mut said = Vec::new();
    for _ in 0..4 {
        said.extend(cluster.tick());
    }
    assert_eq!(said, ["w2 acquire 0@0"]);
    // One that stops is not waited for at all.
    cluster.status(2, WorkerStatus::Paused);
    assert_eq!(cluster.tick(), ["w1 acquire 0@0"]);
    // Both come in the end: one is too many.
    cluster.add_keys(1, &[X]);
    cluster.add_keys(2, &[X]);
    assert_eq!(cluster.tick(), ["w2 drop 0"]);
    assert!(!cluster.state.is_moving_data());
}

/// Results move from the fullest to the emptiest until both are near the mean; what has arrived is
/// dropped at its old place.
#[test]
fn rebalance_moves_results_toward_the_mean() {
    let sizes = [(0, 300), (0, 300), (0, 300), (0, 300), (1, 300)];
    let mut cluster = results(managed(), 3, &sizes);
    cluster.handle(SchedulerEvent::Rebalance { tasks: None, workers: None });
    // The mean is 500: one goes to worker 2, a second one would lift worker 1 or 2 above it.
    assert_eq!(cluster.said(), ["w2 acquire 0@0"]);
    cluster.add_keys(2, &[X]);
    assert_eq!(cluster.said(), ["w0 drop 0"]);
    assert_eq!(cluster.holders(X), [2]);
    assert!(!cluster.state.is_moving_data());
}

/// Limits: a sender must use enough, a recipient must have room, small differences are left alone.
#[test]
fn rebalance_leaves_alone_what_the_fractions_exclude() {
    let plan = |used: [u64; 2], limit: u64| {
        let mut cluster = Cluster::new(managed());
        let mut draft = Draft::default();
        let tasks: Vec<TaskId> = (0..20).map(|i| draft.task(&format!("r{i}-x"), &[])).collect();
        for worker in 0..2 {
            let mut registration = registration(worker, 1);
            registration.memory_limit_bytes = limit;
            cluster.add_worker(registration);
        }
        cluster.submit(&draft.graph(), &tasks);
        for task in &tasks {
            cluster.finish(*task, 5);
            let home = cluster.holders(*task)[0];
            if home == 1 {
                cluster.add_keys(0, &[*task]);
                let (worker, task) = (WorkerId(1), *task);
                cluster.handle(SchedulerEvent::ReleaseWorkerData { worker, task });
            }
        }
        cluster.resident(0, used[0]);
        cluster.resident(1, used[1]);
        cluster.handle(SchedulerEvent::Rebalance { tasks: None, workers: None });
        let said = cluster.said();
        said.iter().map(|line| line.matches('@').count()).sum::<usize>()
    };
    // 100 bytes of results on worker 0, unmanaged memory up to `used`.
    assert_eq!(plan([100, 0], 1000), 0, "the sender uses less than 30 %");
    assert_eq!(plan([400, 0], 1000), 20, "400 and 0: it gives all 100 bytes");
    assert_eq!(plan([900, 700], 1000), 0, "the recipient uses more than 60 %");
    assert_eq!(plan([420, 380], 1000), 0, "within the band around the mean");
    assert_eq!(plan([600, 420], 1000), 18, "down to the mean of 510");
    assert_eq!(plan([100, 0], 0), 10, "no limits: down to the mean of 50");
}

/// Nobody reads the original when it is dropped, and what a task of the sender reads stays there.
#[test]
fn rebalance_leaves_inputs_with_the_tasks_that_read_them() {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let y = draft.task("y", &[x]);
    let mut cluster = Cluster::with(managed(), &[1, 1]);
    cluster.submit(&draft.graph(), &[x, y]);
    cluster.finish(x, 1000);
    assert_eq!(cluster.on(y).0.0, cluster.holders(x)[0]);
    cluster.handle(SchedulerEvent::Rebalance { tasks: None, workers: None });
    assert_eq!(cluster.said(), [""; 0]);
}

#[test]
fn rebalance_by_itself_where_the_policy_is_on() {
    let policies = Policies { reduce_replicas: true, rebalance: true };
    let config = Config { amm_policies: policies, ..managed() };
    let mut cluster = results(config, 2, &[(0, 10), (0, 10), (0, 10), (0, 10)]);
    assert_eq!(cluster.tick(), ["w1 acquire 0@0 1@0"]);
    cluster.add_keys(1, &[X, TaskId(1)]);
    assert_eq!(cluster.said(), ["w0 drop 0 1"]);
    assert_eq!(cluster.tick(), [""; 0]);
}

/// Which bytes count.
#[test]
fn memory_is_measured_as_configured() {
    for (measure, expected) in [
        // rss 500, 40 | results 10, 20 | rss without results, least of 30 s: 5, 20.
        (MemoryMeasure::Process, "w1 acquire 2@2"),
        (MemoryMeasure::Managed, "w0 acquire 2@2"),
        (MemoryMeasure::Optimistic, "w0 acquire 2@2"),
    ] {
        let config = Config { amm_measure: measure, ..managed() };
        let mut cluster = results(config, 3, &[(0, 10), (1, 20), (2, 1)]);
        for (worker, rss) in [(0, 15), (0, 500), (1, 40)] {
            cluster.resident(worker, rss);
        }
        cluster.handle(replicate(&[TaskId(2)], Some(2), None));
        assert_eq!(cluster.said(), [expected], "{measure:?}");
    }
}
