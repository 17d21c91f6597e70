//! Whole graphs, run to the end.

use super::cluster::{CLIENT, Cluster, Draft, checked};
use crate::ids::TaskId;
use crate::scheduler::{SchedulerInstruction, TaskState};

#[test]
fn a_small_graph_runs_to_the_end() {
    let mut draft = Draft::default();
    let load = draft.task("load", &[]);
    let parts: Vec<TaskId> = (0..6).map(|i| draft.task(&format!("part-{i}"), &[load])).collect();
    let sum = draft.task("sum", &parts);
    let unwanted = draft.task("unwanted", &[load]);
    let mut cluster = Cluster::with(checked(), &[2, 1]);
    cluster.submit(&draft.graph(), &[sum]);
    assert_eq!(cluster.run_to_end(), 8);
    let last = &cluster.out.instructions[cluster.out.instructions.len() - 1];
    assert_eq!(*last, SchedulerInstruction::Idle);
    let told = SchedulerInstruction::KeyInMemory { client: CLIENT, task: sum };
    assert!(cluster.out.instructions.contains(&told));
    assert_eq!(cluster.state.state_of(sum), TaskState::Memory);
    assert_eq!(cluster.state.state_of(load), TaskState::Released);
    assert_eq!(cluster.state.state_of(unwanted), TaskState::Forgotten);
    assert_eq!(cluster.state.finished_count(), 8);
    assert_eq!(cluster.state.recomputed_count(), 0);
    assert_eq!(cluster.state.who_has(sum).count(), 1);
}

#[test]
fn tasks_that_run_once_are_forgotten_at_the_end() {
    let mut draft = Draft::default();
    let load = draft.task("load", &[]);
    let mut all = vec![load];
    all.extend((0..40).map(|i| draft.task(&format!("identity-{i}"), &[load])));
    let mut cluster = Cluster::with(checked(), &[2, 2]);
    cluster.run_once(&draft.graph(), &all);
    assert_eq!(cluster.run_to_end(), 41);
    assert!(all.iter().all(|task| cluster.state.state_of(*task) == TaskState::Forgotten));
    assert!(cluster.state.is_idle());
}
