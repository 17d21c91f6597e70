//! What a way costs decides who gets a task: within a machine, and between machines.

use super::cluster::{Cluster, Draft, checked, registration};
use crate::config::{MILLISECOND_NS, SECOND_NS};
use crate::graph::Attributes;
use crate::ids::{TaskId, WorkerId};
use crate::paths::{PathSpeed, PathSpeeds};
use crate::scheduler::SchedulerEvent;

const NEAR: PathSpeed = PathSpeed { bandwidth: 10_000_000_000, latency_ns: 10_000 };
const FAR: PathSpeed = PathSpeed { bandwidth: 100_000_000, latency_ns: MILLISECOND_NS };

/// Workers 0 and 1 on one machine, 2 and 3 on another, with one thread each.
fn two_machines() -> Cluster {
    let mut cluster = Cluster::new(checked());
    for worker in 0..4 {
        let mut it = registration(worker, 1);
        it.machine = format!("boot{}", worker / 2);
        cluster.add_worker(it);
    }
    cluster
}

fn tell(cluster: &mut Cluster, paths: PathSpeeds) {
    let (worker, executing) = (WorkerId(0), Vec::new());
    let (worker_now_ns, rss_bytes) = (0, 0);
    cluster.handle(SchedulerEvent::Heartbeat {
        worker,
        worker_now_ns,
        executing,
        paths,
        rss_bytes,
    });
}

fn on_workers(names: &[&str]) -> Attributes {
    let workers = names.iter().map(|name| (*name).to_owned()).collect();
    Attributes { workers, ..Attributes::default() }
}

/// Where a task goes that only workers 1 and 2 may run and that reads 100 MB of another worker; worker
/// 1 is busy for a time.
fn decide(holder: &str, busy_ns: u64) -> WorkerId {
    let mut draft = Draft::default();
    let input = draft.task_with("input", &[], on_workers(&[holder]));
    let time_ns = Some(busy_ns);
    let busy = draft.task_with("busy", &[], Attributes { time_ns, ..on_workers(&["1"]) });
    let task = draft.task_with("task", &[input], on_workers(&["1", "2"]));
    let mut cluster = two_machines();
    tell(&mut cluster, [NEAR, FAR]);
    cluster.submit(&draft.graph(), &[busy, task]);
    cluster.finish(input, 100_000_000);
    cluster.on(task).0
}

#[test]
fn a_task_goes_where_the_way_and_the_wait_are_shortest() {
    // 10 ms within the machine, 1 s and 1 ms between machines.
    assert_eq!(decide("0", 900 * MILLISECOND_NS), WorkerId(1));
    assert_eq!(decide("0", 1100 * MILLISECOND_NS), WorkerId(2));
    assert_eq!(decide("3", 1), WorkerId(2));
}

/// `near` lies on worker 0, `far` on worker 3, `both` on workers 1 and 2; a task that reads all three.
fn scattered() -> (Cluster, TaskId) {
    let mut draft = Draft::default();
    let near = draft.task_with("near", &[], on_workers(&["0"]));
    let far = draft.task_with("far", &[], on_workers(&["3"]));
    let both = draft.task_with("both", &[], on_workers(&["2"]));
    let late = draft.task_with("late", &[], on_workers(&["2"]));
    let task = draft.task_with("task", &[near, far, both, late], on_workers(&["0"]));
    let mut cluster = two_machines();
    cluster.submit(&draft.graph(), &[task]);
    cluster.finish(near, 3_000_000_000);
    cluster.finish(far, 200_000_000);
    cluster.finish(both, 1_000_000_000);
    cluster.handle(SchedulerEvent::AddKeys { worker: WorkerId(1), tasks: vec![both] });
    cluster.finish(late, 0);
    (cluster, task)
}

#[test]
fn each_input_takes_the_way_from_its_nearest_holder() {
    let (mut cluster, task) = scattered();
    tell(&mut cluster, [NEAR, FAR]);
    let fetch_ns = |worker| cluster.state.fetch_ns(task, WorkerId(worker));
    let ms = |ms: u64| ms * MILLISECOND_NS;
    // Worker 0 holds `near`: `both` comes from beside it in 100 ms, `far` in 2 s.
    for (worker, expected) in [
        (0, ms(100) + NEAR.latency_ns + ms(2000) + FAR.latency_ns),
        (1, ms(300) + NEAR.latency_ns + ms(2000) + FAR.latency_ns),
        (2, ms(20) + NEAR.latency_ns + ms(30_000) + FAR.latency_ns),
        (3, ms(100) + NEAR.latency_ns + ms(30_000) + FAR.latency_ns),
    ] {
        let off = fetch_ns(worker).abs_diff(expected);
        assert!(off <= 4, "worker {worker}: {} and not {expected}", fetch_ns(worker));
    }
}

#[test]
fn what_is_to_be_fetched_counts_by_the_longest_way() {
    let (mut cluster, task) = scattered();
    let occupancy = |cluster: &Cluster| cluster.state.occupancy_s(WorkerId(0));
    assert_eq!(cluster.on(task).0, WorkerId(0));
    // `task` has run nowhere: 50 ms. 1.2 GB at 100 MB/s.
    let near = |occupancy: f64, expected: f64| (occupancy - expected).abs() < 1e-6;
    assert!(near(occupancy(&cluster), 12.05), "{}", occupancy(&cluster));
    tell(&mut cluster, [NEAR, PathSpeed { bandwidth: 200_000_000, latency_ns: 0 }]);
    assert!(near(occupancy(&cluster), 6.05), "{}", occupancy(&cluster));
    // Where all share a machine that is the way within it.
    let mut draft = Draft::default();
    let input = draft.task_with("input", &[], on_workers(&["1"]));
    let task = draft.task_with("task", &[input], on_workers(&["0"]));
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    tell(&mut cluster, [NEAR, FAR]);
    cluster.submit(&draft.graph(), &[task]);
    cluster.finish(input, 1_000_000_000);
    assert!(near(occupancy(&cluster), 0.15), "{}", occupancy(&cluster));
}

#[test]
fn without_measurements_a_message_takes_a_round_trip() {
    let (mut cluster, task) = scattered();
    tell(&mut cluster, PathSpeeds::default());
    let trip_ns = checked().round_trip_ns;
    // One message on each way, and 1.2 GB at 100 MB/s.
    let expected = 12 * SECOND_NS + 2 * trip_ns;
    let off = cluster.state.fetch_ns(task, WorkerId(0)).abs_diff(expected);
    assert!(off <= 8 * trip_ns, "the round trip was measured meanwhile");
    tell(&mut cluster, [NEAR, PathSpeed::default()]);
    let fetch_ns = cluster.state.fetch_ns(task, WorkerId(0));
    assert!(fetch_ns.abs_diff(2 * SECOND_NS + 100 * MILLISECOND_NS) < MILLISECOND_NS, "{fetch_ns}");
}
