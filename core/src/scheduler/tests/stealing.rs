//! The rules of work stealing: what is asked of whom, and what the answers do.

use super::cluster::{Cluster, Draft, checked, registration};
use crate::config::{Config, MILLISECOND_NS, SECOND_NS};
use crate::graph::{Attributes, Graph};
use crate::ids::{TaskId, WorkerId};
use crate::messages::{StateAtWorker, WorkerStatus};
use crate::paths::PathSpeeds;
use crate::scheduler::{SchedulerEvent, SchedulerInstruction, TaskState};
use std::sync::Arc;

/// Queuing is off, so that everything lands on the workers that are there.
pub(super) fn unqueued() -> Config {
    Config { worker_saturation: f64::INFINITY, ..checked() }
}

pub(super) fn taking(time_ns: u64) -> Attributes {
    Attributes { time_ns: Some(time_ns), ..Attributes::default() }
}

/// So many tasks without inputs, with the same attributes.
pub(super) fn alike(count: usize, attributes: &Attributes) -> (Arc<Graph>, Vec<TaskId>) {
    let mut draft = Draft::default();
    let tasks = (0..count)
        .map(|index| draft.task_with(&format!("t-{index}"), &[], attributes.clone()))
        .collect();
    (draft.graph(), tasks)
}

/// Worker 0, with one thread, has so many tasks.
pub(super) fn loaded(config: Config, count: usize, attributes: &Attributes) -> Cluster {
    let mut cluster = Cluster::with(config, &[1]);
    let (graph, tasks) = alike(count, attributes);
    cluster.submit(&graph, &tasks);
    cluster
}

/// The same, when worker 1 has come.
fn with_thief(count: usize, attributes: &Attributes) -> Cluster {
    let mut cluster = loaded(unqueued(), count, attributes);
    cluster.add_worker(registration(1, 1));
    cluster
}

/// Steal-requests of the last event: victim, task, stimulus.
pub(super) fn asked(cluster: &Cluster) -> Vec<(u32, u32, u64)> {
    let asked = |instruction: &SchedulerInstruction| match instruction {
        SchedulerInstruction::StealRequest { worker, task, stimulus_id } => {
            Some((worker.0, task.0, *stimulus_id))
        }
        _ => None,
    };
    cluster.out.instructions.iter().filter_map(asked).collect()
}

fn asked_tasks(cluster: &Cluster) -> Vec<u32> {
    asked(cluster).into_iter().map(|(_, task, _)| task).collect()
}

pub(super) fn answer(
    worker: u32,
    task: u32,
    stimulus_id: u64,
    state: Option<StateAtWorker>,
) -> SchedulerEvent {
    let (worker, task) = (WorkerId(worker), TaskId(task));
    SchedulerEvent::StealResponse { worker, task, stimulus_id, state }
}

#[test]
fn an_idle_worker_is_offered_half_of_an_average_share_the_last_tasks_first() {
    let mut cluster = with_thief(10, &taking(SECOND_NS));
    cluster.expect(&[
        "w1 accept",
        "w0 steal 9 s1",
        "w0 steal 8 s2",
        "w0 steal 7 s3",
        "timer 1000000",
    ]);
    assert_eq!(cluster.state.steals_in_flight(), 3);
    cluster.handle(answer(0, 9, 1, Some(StateAtWorker::Ready)));
    cluster.expect(&["stolen 9 from w0 to w1", "w1 compute 9#11 attempt 0"]);
    cluster.handle(answer(0, 8, 2, Some(StateAtWorker::Constrained)));
    cluster.expect(&["stolen 8 from w0 to w1", "w1 compute 8#12 attempt 0"]);
    cluster.handle(answer(0, 7, 3, Some(StateAtWorker::Waiting)));
    cluster.expect(&["stolen 7 from w0 to w1", "w1 compute 7#13 attempt 0"]);
    assert_eq!((cluster.state.stolen_count(), cluster.state.steals_in_flight()), (3, 0));
    assert_eq!(cluster.on(TaskId(7)).0, WorkerId(1));
}

#[test]
fn answers_of_every_state() {
    use StateAtWorker as S;
    for (state, moves, again) in [
        (Some(S::Waiting), true, false),
        (Some(S::Ready), true, false),
        (Some(S::Constrained), true, false),
        (Some(S::Executing), false, false),
        (Some(S::LongRunning), false, false),
        (Some(S::Memory), false, false),
        (Some(S::Erred), false, false),
        (Some(S::Cancelled), false, false),
        (Some(S::Resumed), false, false),
        (Some(S::Released), false, true),
        (Some(S::Fetch), false, true),
        (Some(S::Flight), false, true),
        (Some(S::Missing), false, true),
        (None, false, true),
    ] {
        let mut cluster = with_thief(2, &taking(SECOND_NS));
        assert_eq!(asked(&cluster), [(0, 1, 1)]);
        let before = cluster.on(TaskId(1));
        cluster.handle(answer(0, 1, 1, state));
        let after = cluster.on(TaskId(1));
        assert_eq!(cluster.state.stolen_count(), u64::from(moves), "{state:?}");
        assert_eq!(after == before, !moves && !again, "{state:?}");
        assert!(asked(&cluster).is_empty(), "{state:?}");
        assert_eq!(cluster.state.steals_in_flight(), 0);
        if again {
            assert_eq!(cluster.state.state_of(TaskId(1)), TaskState::Processing);
            assert!(after.1 > before.1, "a new run");
        }
    }
}

#[test]
fn a_task_that_its_worker_has_begun_is_not_asked_for_again() {
    let mut cluster = with_thief(2, &taking(SECOND_NS));
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Executing)));
    for _ in 0..30 {
        cluster.now = cluster.now.after_ns(10 * MILLISECOND_NS);
        cluster.handle(SchedulerEvent::Timeout);
        // The other one may be asked for, once.
        assert!(!asked_tasks(&cluster).contains(&1));
        for (victim, task, stimulus) in asked(&cluster) {
            cluster.handle(answer(victim, task, stimulus, Some(StateAtWorker::Executing)));
        }
    }
    assert_eq!(cluster.state.stolen_count(), 0);
}

#[test]
fn what_is_never_stolen() {
    let on = |workers: &[&str], allow_other_workers: bool| Attributes {
        workers: workers.iter().map(|name| (*name).to_owned()).collect(),
        allow_other_workers,
        ..taking(SECOND_NS)
    };
    for (what, attributes, steals) in [
        ("plain", taking(SECOND_NS), true),
        ("pinned", on(&["0"], false), false),
        ("pinned to both", on(&["0", "1"], false), true),
        ("pinned loosely", on(&["0"], true), true),
        ("too large", Attributes { memory_bytes: Some(1 << 30), ..taking(SECOND_NS) }, false),
        ("too short", taking(MILLISECOND_NS / 2), false),
    ] {
        let mut cluster = loaded(unqueued(), 3, &attributes);
        let mut thief = registration(1, 1);
        thief.memory_limit_bytes = 1 << 20;
        cluster.add_worker(thief);
        assert_eq!(!asked(&cluster).is_empty(), steals, "{what}");
    }
}

#[test]
fn prefixes_that_are_known_to_be_short_stay() {
    for (known_ns, steals) in [(MILLISECOND_NS, false), (2 * MILLISECOND_NS, true)] {
        let known = vec![("t".to_owned(), known_ns)];
        let config = Config { default_task_durations_ns: known, ..unqueued() };
        let mut cluster = loaded(config, 100, &Attributes::default());
        cluster.add_worker(registration(1, 1));
        assert_eq!(!asked(&cluster).is_empty(), steals, "{known_ns}");
    }
}

#[test]
fn a_steal_must_be_worth_its_round_trip() {
    // Of two tasks one waits, for as long as the other runs: staying costs one and a half.
    for (time_ns, steals) in [(1, false), (2_100, false), (2_100_000, true), (SECOND_NS, true)] {
        let cluster = with_thief(2, &taking(time_ns));
        assert_eq!(!asked(&cluster).is_empty(), steals, "{time_ns}");
    }
    // A long row of short tasks is worth it.
    assert!(!asked(&with_thief(1000, &taking(100_000))).is_empty());
    // The floor is a setting.
    let config = Config { work_stealing_latency_ns: SECOND_NS, ..unqueued() };
    let mut cluster = loaded(config, 2, &taking(SECOND_NS));
    cluster.add_worker(registration(1, 1));
    assert!(asked(&cluster).is_empty());
}

#[test]
fn it_can_be_turned_off() {
    let config = Config { work_stealing: false, ..unqueued() };
    let mut cluster = loaded(config, 10, &taking(SECOND_NS));
    cluster.add_worker(registration(1, 1));
    cluster.expect(&["w1 accept"]);
}

#[test]
fn seceded_tasks_stay() {
    let mut cluster = loaded(unqueued(), 3, &taking(SECOND_NS));
    for task in [0, 1] {
        let (worker, run_id) = cluster.on(TaskId(task));
        let task = TaskId(task);
        let compute_duration_ns = None;
        cluster.handle(SchedulerEvent::LongRunning { worker, task, run_id, compute_duration_ns });
    }
    // One is left in the pool: the worker has nothing to spare.
    cluster.add_worker(registration(1, 1));
    assert!(asked(&cluster).is_empty());
}

#[test]
fn a_task_that_secedes_while_it_is_asked_for_stays() {
    let mut cluster = with_thief(2, &taking(SECOND_NS));
    let (worker, run_id) = cluster.on(TaskId(1));
    let compute_duration_ns = None;
    let task = TaskId(1);
    cluster.handle(SchedulerEvent::LongRunning { worker, task, run_id, compute_duration_ns });
    assert_eq!(cluster.state.steals_in_flight(), 0);
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::LongRunning)));
    assert_eq!(cluster.on(task), (worker, run_id));
}

/// Tasks that read an input of worker 0, which has them all.
fn reading(count: usize, nbytes: u64, time_ns: u64) -> Cluster {
    let mut draft = Draft::default();
    let input = draft.task("input", &[]);
    let readers: Vec<TaskId> = (0..count)
        .map(|index| draft.task_with(&format!("read{index}"), &[input], taking(time_ns)))
        .collect();
    let mut cluster = Cluster::with(unqueued(), &[1]);
    cluster.submit(&draft.graph(), &readers);
    cluster.finish(input, nbytes);
    cluster
}

#[test]
fn inputs_that_take_too_long_to_move_keep_their_readers() {
    // 100 MB/s: 1 MB takes 10 ms, 1 GB 10 s. Ratios above 2^8.5 are never stolen.
    for (nbytes, time_ns, steals) in [
        (8, SECOND_NS, true),
        (1_000_000, 100 * MILLISECOND_NS, true),
        (1_000_000_000, 20 * MILLISECOND_NS, false),
        (1_000_000_000, SECOND_NS, true),
    ] {
        let mut cluster = reading(1000, nbytes, time_ns);
        cluster.add_worker(registration(1, 1));
        assert_eq!(!asked(&cluster).is_empty(), steals, "{nbytes} bytes, {time_ns} ns");
    }
    // Worth moving by its level, but not sooner done than by waiting.
    let mut cluster = reading(3, 1_000_000_000, SECOND_NS);
    cluster.add_worker(registration(1, 1));
    assert!(asked(&cluster).is_empty());
}

#[test]
fn of_two_thieves_the_one_that_holds_the_input_gets_the_task() {
    for holder in [1, 2] {
        let mut cluster = reading(2, 1_000_000, SECOND_NS);
        let input = TaskId(0);
        // Both are there before one of them is idle enough to be looked at.
        cluster.state.config.work_stealing = false;
        cluster.add_worker(registration(1, 1));
        cluster.add_worker(registration(2, 1));
        cluster.handle(SchedulerEvent::AddKeys { worker: WorkerId(holder), tasks: vec![input] });
        cluster.state.config.work_stealing = true;
        cluster.handle(SchedulerEvent::Timeout);
        assert_eq!(asked(&cluster), [(0, 2, 1)]);
        cluster.handle(answer(0, 2, 1, Some(StateAtWorker::Ready)));
        assert_eq!(cluster.on(TaskId(2)).0, WorkerId(holder));
    }
}

#[test]
fn cheap_tasks_are_asked_for_first() {
    let mut draft = Draft::default();
    let input = draft.task("input", &[]);
    let first = draft.task_with("free-0", &[], taking(SECOND_NS));
    let reader = draft.task_with("read", &[input], taking(SECOND_NS));
    let last = draft.task_with("free-1", &[], taking(SECOND_NS));
    let mut cluster = Cluster::with(unqueued(), &[1]);
    cluster.submit(&draft.graph(), &[first, reader, last]);
    cluster.finish(input, 1_000_000);
    cluster.add_worker(registration(1, 1));
    // The rest of a share of 1.5 s is one more.
    assert_eq!(asked_tasks(&cluster)[0], last.0);
    assert!(!asked_tasks(&cluster).contains(&reader.0), "{:?}", asked_tasks(&cluster));
}

fn with_gpus(worker: u32, count: u64) -> crate::messages::WorkerRegistration {
    let mut registration = registration(worker, 2);
    registration.resources = vec![("GPU".to_owned(), count * 1_000_000)];
    registration
}

#[test]
fn resources_go_with_the_task_and_no_more_go_than_there_are() {
    let mut cluster = Cluster::new(unqueued());
    cluster.add_worker(with_gpus(0, 1));
    let gpu = Attributes { resources: vec![("GPU".to_owned(), 1_000_000)], ..taking(SECOND_NS) };
    let (graph, tasks) = alike(8, &gpu);
    cluster.submit(&graph, &tasks);
    cluster.add_worker(registration(1, 2));
    assert!(asked(&cluster).is_empty(), "it has no such resource");
    cluster.now = cluster.now.after_ns(SECOND_NS);
    cluster.add_worker(with_gpus(2, 1));
    // One takes it all; that the other fits beside it is nothing to the resource.
    assert_eq!(asked(&cluster), [(0, 7, 1)]);
    cluster.handle(answer(0, 7, 1, Some(StateAtWorker::Constrained)));
    assert_eq!(cluster.on(TaskId(7)).0, WorkerId(2));
    let used = |worker: u32| {
        let worker = cluster.state.workers.get(WorkerId(worker)).unwrap();
        worker.profile.used_resources.clone()
    };
    assert_eq!((used(0), used(2)), (vec![7_000_000], vec![1_000_000]));
}

#[test]
fn a_wide_task_needs_a_wide_thief() {
    let wide = Attributes { threads: Some(2), ..taking(SECOND_NS) };
    let (graph, tasks) = alike(4, &wide);
    let mut cluster = Cluster::with(unqueued(), &[2]);
    cluster.submit(&graph, &tasks);
    cluster.add_worker(registration(1, 1));
    assert!(asked(&cluster).is_empty());
    cluster.now = cluster.now.after_ns(SECOND_NS);
    cluster.add_worker(registration(2, 2));
    assert_eq!(asked_tasks(&cluster), [3]);
}

#[test]
fn what_waits_on_a_paused_worker_goes_to_any_idle_one() {
    let mut cluster = with_thief(1, &taking(SECOND_NS));
    assert!(asked(&cluster).is_empty(), "it may just have begun");
    cluster.now = cluster.now.after_ns(SECOND_NS);
    let (worker, status) = (WorkerId(0), WorkerStatus::Paused);
    cluster.handle(SchedulerEvent::WorkerStatusChange { worker, status });
    assert_eq!(asked(&cluster), [(0, 0, 1)]);
    cluster.handle(answer(0, 0, 1, Some(StateAtWorker::Ready)));
    assert_eq!(cluster.on(TaskId(0)).0, WorkerId(1));
}

#[test]
fn a_paused_worker_takes_nothing() {
    let mut cluster = with_thief(2, &taking(SECOND_NS));
    assert_eq!(asked(&cluster), [(0, 1, 1)]);
    let (worker, status) = (WorkerId(1), WorkerStatus::Paused);
    cluster.handle(SchedulerEvent::WorkerStatusChange { worker, status });
    // The thief that was chosen pauses before the answer.
    cluster.handle(answer(0, 1, 1, Some(StateAtWorker::Ready)));
    assert_eq!(cluster.on(TaskId(1)).0, WorkerId(0));
    cluster.now = cluster.now.after_ns(SECOND_NS);
    cluster.handle(SchedulerEvent::Timeout);
    assert!(asked(&cluster).is_empty());
}

#[test]
fn loads_are_compared_every_interval_although_nobody_is_idle() {
    let mut draft = Draft::default();
    let at = |name: &str| vec![name.to_owned()];
    let mut wanted = Vec::new();
    for index in 0..10 {
        let loose = Attributes { workers: at("0"), allow_other_workers: true, ..taking(SECOND_NS) };
        wanted.push(draft.task_with(&format!("long{index}"), &[], loose));
    }
    let short = Attributes { workers: at("1"), ..taking(MILLISECOND_NS) };
    wanted.push(draft.task_with("short", &[], short));
    let mut cluster = Cluster::with(unqueued(), &[1, 1]);
    cluster.submit(&draft.graph(), &wanted);
    assert!(asked(&cluster).is_empty());
    let timer = 100 * MILLISECOND_NS;
    assert!(
        cluster
            .out
            .instructions
            .contains(&SchedulerInstruction::SetTimer(crate::time::Time(timer)))
    );
    cluster.now = crate::time::Time(timer);
    cluster.handle(SchedulerEvent::Timeout);
    assert_eq!(asked_tasks(&cluster), [9, 8, 7]);
}

#[test]
fn no_timer_runs_while_nobody_could_steal() {
    let cluster = loaded(unqueued(), 10, &taking(SECOND_NS));
    let timers = |one: &SchedulerInstruction| matches!(one, SchedulerInstruction::SetTimer(_));
    assert!(!cluster.out.instructions.iter().any(timers));
}

#[test]
fn requests_in_flight_count_for_both_sides() {
    let mut cluster = with_thief(10, &taking(SECOND_NS));
    assert_eq!(asked(&cluster).len(), 3);
    for _ in 0..20 {
        cluster.now = cluster.now.after_ns(10 * MILLISECOND_NS);
        cluster.handle(SchedulerEvent::Timeout);
        assert!(asked(&cluster).is_empty(), "the share of the thief is on its way");
    }
    // One that comes now gets its own share, of other tasks.
    cluster.add_worker(registration(2, 1));
    cluster.now = cluster.now.after_ns(10 * MILLISECOND_NS);
    cluster.handle(SchedulerEvent::Timeout);
    assert_eq!(asked_tasks(&cluster), [6, 5]);
}

#[test]
fn the_fullest_victim_is_relieved_first() {
    let mut draft = Draft::default();
    let mut wanted = Vec::new();
    for (worker, count) in [("0", 3), ("1", 9)] {
        for index in 0..count {
            let loose = Attributes {
                workers: vec![worker.to_owned()],
                allow_other_workers: true,
                ..taking(SECOND_NS)
            };
            wanted.push(draft.task_with(&format!("on{worker}-{index}"), &[], loose));
        }
    }
    let mut cluster = Cluster::with(unqueued(), &[1, 1]);
    cluster.submit(&draft.graph(), &wanted);
    cluster.add_worker(registration(2, 1));
    assert_eq!(asked(&cluster)[..2], [(1, 11, 1), (1, 10, 2)]);
    assert!(asked(&cluster).iter().all(|(victim, ..)| *victim == 1));
}

#[test]
fn durations_that_differ_from_the_estimates_are_seen_in_heartbeats() {
    // Both workers are sent equally much by the estimates; tasks of `slow` take much longer.
    let mut draft = Draft::default();
    let mut wanted = Vec::new();
    for (name, worker) in [("slow", "0"), ("fast", "1")] {
        for index in 0..6 {
            let attributes = Attributes {
                workers: vec![worker.to_owned()],
                allow_other_workers: true,
                ..Attributes::default()
            };
            wanted.push(draft.task_with(&format!("{name}-{index}"), &[], attributes));
        }
    }
    let mut cluster = Cluster::with(unqueued(), &[1, 1]);
    cluster.submit(&draft.graph(), &wanted);
    let occupancy = |cluster: &Cluster| cluster.state.occupancy_s(WorkerId(0));
    assert!((occupancy(&cluster) - 0.3).abs() < 1e-9, "six times 50 ms");
    cluster.now = cluster.now.after_ns(2 * SECOND_NS);
    cluster.handle(SchedulerEvent::Heartbeat {
        worker: WorkerId(0),
        worker_now_ns: 0,
        executing: vec![(TaskId(0), 2 * SECOND_NS)],
        paths: PathSpeeds::default(),
        rss_bytes: 0,
    });
    assert!((occupancy(&cluster) - 24.0).abs() < 1e-9, "six times twice what runs so far");
    // The other worker has a full slot, but not half the average's work.
    assert!(asked_tasks(&cluster).contains(&5), "{:?}", asked_tasks(&cluster));
}

#[test]
fn tasks_that_no_thief_may_take_do_not_hide_those_before_them() {
    let pinned = Attributes { workers: vec!["0".to_owned()], ..taking(SECOND_NS) };
    let gpu = Attributes { resources: vec![("GPU".to_owned(), 1_000_000)], ..taking(SECOND_NS) };
    for what in [pinned, gpu] {
        let mut draft = Draft::default();
        let free: Vec<_> = (0..30)
            .map(|i| draft.task_with(&format!("free-{i}"), &[], taking(SECOND_NS)))
            .collect();
        let held: Vec<_> =
            (0..30).map(|i| draft.task_with(&format!("held-{i}"), &[], what.clone())).collect();
        let mut cluster = Cluster::new(unqueued());
        let mut victim = with_gpus(0, 30);
        victim.nthreads = 1;
        cluster.add_worker(victim);
        cluster.submit(&draft.graph(), &[free.clone(), held].concat());
        cluster.add_worker(registration(1, 1));
        let asked = asked_tasks(&cluster);
        assert!(!asked.is_empty() && asked.iter().all(|task| *task < 30), "{asked:?}");
    }
}

#[test]
fn a_thief_whose_memory_the_inputs_exceed_is_no_thief() {
    for (limit, steals) in [(0, true), (2_000_000, true), (999_999, false)] {
        let mut cluster = reading(3, 1_000_000, SECOND_NS);
        let mut thief = registration(1, 1);
        thief.memory_limit_bytes = limit;
        cluster.add_worker(thief);
        assert_eq!(!asked(&cluster).is_empty(), steals, "{limit}");
    }
}
