//! A worker's abstract resources change while it runs.

use super::cluster::{Cluster, Draft, checked, registration};
use crate::graph::Attributes;
use crate::ids::{TaskId, WorkerId};
use crate::scheduler::{SchedulerEvent, TaskState as S};

fn set(cluster: &mut Cluster, worker: u32, name: &str, total: u64) {
    let (worker, resources) = (WorkerId(worker), vec![(name.to_owned(), total)]);
    cluster.handle(SchedulerEvent::SetResources { worker, resources });
}

fn on(name: &str, amount: u64) -> Attributes {
    Attributes { resources: vec![(name.to_owned(), amount)], ..Attributes::default() }
}

/// Two workers, the second with a GPU, and two tasks that ask for one GPU each.
fn with_a_gpu() -> (Cluster, [TaskId; 2]) {
    let mut draft = Draft::default();
    let tasks = ["a", "b"].map(|key| draft.task_with(key, &[], on("GPU", 1_000_000)));
    let mut cluster = Cluster::with(checked(), &[1]);
    let mut second = registration(1, 1);
    second.resources = vec![("GPU".to_owned(), 1_000_000)];
    cluster.add_worker(second);
    cluster.submit(&draft.graph(), &tasks);
    (cluster, tasks)
}

#[test]
fn what_found_no_worker_goes_to_one_that_gains_the_resource() {
    let mut draft = Draft::default();
    let on_disk = draft.task_with("a", &[], on("DISK", 2));
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &[on_disk]);
    assert_eq!(cluster.state.state_of(on_disk), S::NoWorker);
    set(&mut cluster, 1, "DISK", 1);
    assert_eq!(cluster.state.state_of(on_disk), S::NoWorker);
    set(&mut cluster, 1, "GPU", 5);
    assert_eq!(cluster.state.state_of(on_disk), S::NoWorker);
    set(&mut cluster, 1, "DISK", 2);
    assert_eq!(cluster.on(on_disk).0, WorkerId(1));
    assert_eq!(cluster.run_to_end(), 1);
    // Of one that is gone, and of one that never was.
    cluster.lose(WorkerId(1));
    set(&mut cluster, 1, "DISK", 9);
    cluster.expect(&[]);
}

#[test]
fn what_its_worker_gives_back_for_want_of_a_resource_waits_for_another() {
    let (mut cluster, [a, b]) = with_a_gpu();
    assert_eq!((cluster.on(a).0, cluster.on(b).0), (WorkerId(1), WorkerId(1)));
    set(&mut cluster, 1, "GPU", 500_000);
    // `a` runs and ends there; `b` has not begun and comes back.
    let (worker, run_id) = cluster.on(b);
    cluster.handle(SchedulerEvent::Reschedule { worker, task: b, run_id });
    assert_eq!(cluster.state.state_of(b), S::NoWorker);
    cluster.finish(a, 8);
    assert_eq!(cluster.state.state_of(a), S::Memory);
    set(&mut cluster, 0, "GPU", 1_000_000);
    assert_eq!(cluster.on(b).0, WorkerId(0));
}
