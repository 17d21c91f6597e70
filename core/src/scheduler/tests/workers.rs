//! Workers come, are refused, start again; what they ask and tell.

use super::cluster::{Cluster, Draft, checked, registration};
use crate::config::{Config, MILLISECOND_NS, SECOND_NS};
use crate::ids::{TaskId, WorkerId};
use crate::paths::PathSpeeds;
use crate::scheduler::{SchedulerEvent, SchedulerInstruction, TaskState};
use crate::time::Time;

#[test]
fn taken_names_and_addresses_are_refused() {
    let mut cluster = Cluster::with(checked(), &[1]);
    let mut namesake = registration(1, 1);
    namesake.name = "0".to_owned();
    cluster.add_worker(namesake);
    cluster.expect(&["w1 refuse: the name 0 is taken by worker 0 (process 1 on node)"]);
    let mut neighbour = registration(2, 1);
    neighbour.addresses = vec!["tcp://10.0.0.1:0".to_owned()];
    cluster.add_worker(neighbour);
    let refusal = "the address tcp://10.0.0.1:0 is taken by worker 0 (process 1 on node)";
    cluster.expect(&[&format!("w2 refuse: {refusal}")]);
    cluster.add_worker(registration(0, 1));
    cluster.expect(&["w0 refuse: worker number 0 is taken"]);
    assert_eq!(cluster.state.workers().count(), 1);
}

#[test]
fn a_restarted_worker_takes_the_place_of_its_former_life() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let mut cluster = Cluster::new(checked());
    let life = |worker: u32| {
        let mut life = registration(worker, 1);
        life.name = "seven".to_owned();
        life.addresses = vec!["tcp://10.0.0.1:7".to_owned()];
        life.nanny = 77;
        life
    };
    cluster.add_worker(life(0));
    cluster.submit(&draft.graph(), &[b]);
    cluster.finish(a, 8);
    cluster.add_worker(life(1));
    cluster.expect(&["w1 accept", "w1 compute 0#3 attempt 0"]);
    assert_eq!(cluster.state.workers().collect::<Vec<_>>(), [WorkerId(1)]);
    // Reports of the former life and of its death come too late.
    cluster.handle(super::cluster::finished(WorkerId(0), b, crate::ids::RunId(2), 8));
    cluster.expect(&[]);
    cluster.lose(WorkerId(0));
    cluster.expect(&[]);
    // Another supervisor's worker may not take the name.
    let mut stranger = life(2);
    stranger.nanny = 78;
    cluster.add_worker(stranger);
    assert!(matches!(cluster.out.instructions[0], SchedulerInstruction::RefuseWorker { .. }));
}

/// The registration of a process that died at once arrives behind that of its successor.
#[test]
fn a_registration_that_was_overtaken_ends_nobody() {
    let mut cluster = Cluster::new(checked());
    let life = |worker: u32| {
        let mut life = registration(worker, 1);
        life.name = "seven".to_owned();
        life.addresses = vec!["tcp://10.0.0.1:7".to_owned()];
        life.nanny = 77;
        life
    };
    let mut add = |worker: u32| {
        let registration = Box::new(life(worker));
        cluster.handle(SchedulerEvent::AddWorker { worker: WorkerId(worker), registration });
        cluster.state.workers().collect::<Vec<_>>()
    };
    assert_eq!(add(5), [WorkerId(5)]);
    assert_eq!(add(4), [WorkerId(5)]);
    cluster
        .expect(&["w4 refuse: it was started again meanwhile as worker seven (process 1 on node)"]);
}

#[test]
fn heartbeats_are_rarer_the_more_workers_there_are() {
    let mut cluster = Cluster::new(checked());
    let mut intervals = Vec::new();
    for worker in 0..400 {
        cluster.add_worker(registration(worker, 1));
        for instruction in &cluster.out.instructions {
            if let SchedulerInstruction::AcceptWorker { heartbeat_ns, .. } = instruction {
                intervals.push(*heartbeat_ns);
            }
        }
    }
    let expected = [(0, 500 * MILLISECOND_NS), (9, 500 * MILLISECOND_NS), (10, SECOND_NS)];
    for (worker, interval) in expected {
        assert_eq!(intervals[worker], interval);
    }
    assert_eq!(
        (intervals[49], intervals[199], intervals[399]),
        (2 * SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS)
    );
    let mut cluster = Cluster::new(Config { heartbeat_ns: 7, ..checked() });
    cluster.add_worker(registration(0, 1));
    assert!(cluster.out.instructions.iter().any(|instruction| {
        matches!(instruction, SchedulerInstruction::AcceptWorker { heartbeat_ns: 7, .. })
    }));
}

#[test]
fn copies_that_are_not_wanted_are_dropped() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &[b]);
    let tasks = vec![a, TaskId(50), b];
    cluster.handle(SchedulerEvent::AddKeys { worker: WorkerId(0), tasks });
    cluster.expect(&["w0 drop 0 50 1"]);
    cluster.handle(SchedulerEvent::AddKeys { worker: WorkerId(9), tasks: vec![a] });
    cluster.expect(&[]);
}

#[test]
fn a_worker_that_asks_who_holds_a_result_is_told_the_others() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let b = draft.task("b", &[a]);
    let mut cluster = Cluster::with(checked(), &[1, 1, 1]);
    cluster.submit(&draft.graph(), &[a, b]);
    let (holder, _) = cluster.on(a);
    cluster.finish(a, 8);
    let asks = |worker: u32, tasks: &[TaskId]| SchedulerEvent::RequestRefreshWhoHas {
        worker: WorkerId(worker),
        tasks: tasks.to_vec(),
    };
    let other = (holder.0 + 1) % 3;
    cluster.handle(asks(other, &[a, b]));
    cluster.expect(&[&format!("w{other} refresh 0@{} 1@", holder.0)]);
    cluster.handle(asks(holder.0, &[a, TaskId(50)]));
    let own = holder.0;
    cluster.expect(&[&format!("w{own} free 50#0"), &format!("w{own} refresh 0@")]);
}

#[test]
fn a_heartbeat_tells_bandwidth_clock_and_long_runs() {
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..4).map(|i| draft.task(&format!("t-{i}"), &[])).collect();
    let mut cluster = Cluster::with(checked(), &[4]);
    cluster.submit(&draft.graph(), &tasks);
    cluster.finish(tasks[0], 8);
    let duration = |cluster: &Cluster| cluster.state.prefixes().next().unwrap().1;
    assert_eq!(duration(&cluster), Some(1000));
    cluster.now = Time(5 * SECOND_NS);
    let beat = |task: TaskId, so_far_ns| SchedulerEvent::Heartbeat {
        worker: WorkerId(0),
        worker_now_ns: 7 * SECOND_NS,
        executing: vec![(task, so_far_ns)],
        paths: PathSpeeds::default(),
        rss_bytes: 1,
    };
    cluster.handle(beat(tasks[1], 2000));
    assert_eq!(duration(&cluster), Some(1000));
    assert_eq!(cluster.state.time_delay_of(WorkerId(0)), Some(-2 * SECOND_NS.cast_signed()));
    cluster.handle(beat(tasks[1], 2001));
    assert_eq!(duration(&cluster), None);
    // Numbers of tasks that the worker does not run change nothing.
    cluster.handle(beat(TaskId(99), 1));
    cluster.expect(&[]);
}

#[test]
fn tasks_wait_for_the_first_worker() {
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..4).map(|i| draft.task(&format!("t-{i}"), &[])).collect();
    let sum = draft.task("sum", &tasks);
    let mut cluster = Cluster::new(checked());
    cluster.submit(&draft.graph(), &[sum]);
    cluster.expect(&[]);
    assert!(!cluster.state.is_idle());
    cluster.add_worker(registration(0, 1));
    assert_eq!(cluster.run_to_end(), 5);
    assert_eq!(cluster.state.state_of(sum), TaskState::Memory);
}

#[test]
fn a_wrong_order_is_refused_and_the_same_graph_again_changes_nothing() {
    let mut draft = Draft::default();
    let a = draft.task("a", &[]);
    let graph = draft.graph();
    let mut cluster = Cluster::with(checked(), &[1]);
    let mut wrong = super::cluster::submission(&graph, &[a], &[]);
    wrong.order = vec![3];
    cluster.handle(SchedulerEvent::UpdateGraph(Box::new(wrong)));
    cluster.expect(&["c0 refused: the static order is not a permutation of the tasks", "idle"]);
    cluster.submit(&graph, &[a]);
    cluster.submit(&graph, &[a]);
    cluster.expect(&[]);
    assert_eq!(cluster.run_to_end(), 1);
}
