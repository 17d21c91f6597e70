//! What is tried again when clients ask for it. The simulator found all of these.

use super::cluster::{Cluster, Draft, checked};
use crate::ids::TaskId;
use crate::scheduler::{SchedulerEvent, TaskState};

fn fail(cluster: &mut Cluster, task: TaskId) {
    let event = cluster.erred(task);
    cluster.handle(event);
}

fn retry(cluster: &mut Cluster, task: TaskId) {
    cluster.handle(SchedulerEvent::Retry { tasks: vec![task] });
}

/// Two roots that fail, and layers of three tasks each of which reads all of the layer before.
fn layers(count: usize) -> (Cluster, [TaskId; 2], TaskId) {
    let mut draft = Draft::default();
    let roots = [draft.task("a", &[]), draft.task("b", &[])];
    let mut layer = roots.to_vec();
    for depth in 0..count {
        let task = |at: usize| draft.task(&format!("mix-{depth}-{at}"), &layer);
        layer = (0..3).map(task).collect();
    }
    let last = draft.task("last", &layer);
    let mut cluster = Cluster::with(checked(), &[2]);
    cluster.submit(&draft.graph(), &[roots[0], roots[1], last]);
    for root in roots {
        fail(&mut cluster, root);
    }
    cluster.sent.clear();
    (cluster, roots, last)
}

#[test]
fn a_retry_looks_at_each_failed_task_once_and_not_once_for_each_way_to_it() {
    let (mut cluster, roots, last) = layers(16);
    let tasks = 2 + 3 * 16 + 1;
    assert_eq!(cluster.state.error_of(last).unwrap().root, roots[0]);
    retry(&mut cluster, roots[0]);
    assert!(cluster.state.totals.transitions <= 8 * tasks);
    // The other root is to blame from now on.
    assert_eq!(cluster.state.error_of(last).unwrap().root, roots[1]);
    assert_eq!(cluster.state.state_of(roots[0]), TaskState::Processing);
    retry(&mut cluster, roots[1]);
    assert!(cluster.state.totals.transitions <= 8 * tasks);
    assert_eq!(cluster.run_to_end(), tasks as usize);
    assert_eq!(cluster.state.state_of(last), TaskState::Memory);
}

#[test]
fn what_ran_for_its_own_sake_does_so_again() {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.run_once(&draft.graph(), &[x]);
    fail(&mut cluster, x);
    assert_eq!(cluster.state.state_of(x), TaskState::Erred);
    retry(&mut cluster, x);
    assert_eq!(cluster.state.state_of(x), TaskState::Processing);
    cluster.finish(x, 8);
    assert_eq!(cluster.state.state_of(x), TaskState::Forgotten);
}
