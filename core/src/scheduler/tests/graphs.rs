//! Further graphs: known keys in every state, forgotten ones, generations, who hears of what.

use super::cluster::{CLIENT, Cluster, Draft, checked, submission};
use crate::config::SECOND_NS;
use crate::graph::{Attributes, Graph, RunSpec};
use crate::ids::{ClientId, TaskId};
use crate::messages::Priority;
use crate::scheduler::{GraphSubmission, SchedulerEvent, SchedulerInstruction, TaskState as S};
use std::sync::Arc;

const OTHER: ClientId = ClientId(1);

/// A submission of the other client.
fn further(graph: &Arc<Graph>, wanted: &[TaskId], references: &[TaskId]) -> GraphSubmission {
    let (client, references) = (OTHER, references.to_vec());
    GraphSubmission { client, references, ..submission(graph, wanted, &[]) }
}

fn submit(cluster: &mut Cluster, submission: GraphSubmission) {
    cluster.handle(SchedulerEvent::UpdateGraph(Box::new(submission)));
}

fn cancel(cluster: &mut Cluster, task: TaskId) {
    let (tasks, reason) = (vec![task], "on purpose".to_owned());
    cluster.handle(SchedulerEvent::CancelKeys { client: CLIENT, tasks, force: true, reason });
}

/// One old task, `x`, and a graph of a reader of it.
fn reader_of_x() -> (Arc<Graph>, TaskId, TaskId) {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    let reader = draft.task("reader", &[x]);
    (draft.graph(), x, reader)
}

/// The number of `reader` in the scheduler when `x` and `y` are there.
const READER: TaskId = TaskId(2);

fn cluster_with_x(threads: &[u32]) -> (Cluster, TaskId) {
    let mut draft = Draft::default();
    let x = draft.task("x", &[]);
    draft.task("y", &[]);
    let mut cluster = Cluster::with(checked(), threads);
    cluster.submit(&draft.graph(), &[x, TaskId(1)]);
    (cluster, x)
}

#[test]
fn a_new_task_reads_a_result_that_is_there() {
    let (mut cluster, x) = cluster_with_x(&[1]);
    cluster.finish(x, 8);
    let (graph, reference, reader) = reader_of_x();
    submit(&mut cluster, further(&graph, &[reader, reference], &[reference]));
    cluster.expect(&["c1 memory 0", "w0 compute 2#3 attempt 0 0@0"]);
    assert_eq!(cluster.state.task_named("reader"), Some(READER));
    assert_eq!(cluster.state.graph().unwrap().inputs.row(READER), [x]);
    cluster.finish(READER, 8);
    cluster.expect(&["c1 memory 2"]);
    cluster.finish(TaskId(1), 8);
    assert!(cluster.state.is_idle());
}

#[test]
fn a_new_task_waits_for_one_that_runs_and_for_one_that_was_let_go() {
    let (mut cluster, x) = cluster_with_x(&[1]);
    let (graph, reference, reader) = reader_of_x();
    submit(&mut cluster, further(&graph, &[reader], &[reference]));
    cluster.expect(&[]);
    assert_eq!(
        (cluster.state.state_of(READER), cluster.state.waiting_on(READER)),
        (S::Waiting, Some(1))
    );
    cluster.finish(x, 8);
    cluster.finish(READER, 8);
    // `x` is held by its reader, which is in memory, and by nobody's wish.
    let tasks = vec![x];
    cluster.handle(SchedulerEvent::ClientReleasesKeys { client: CLIENT, tasks });
    assert_eq!(cluster.state.state_of(x), S::Released);
    let mut draft = Draft::default();
    let x_again = draft.task("x", &[]);
    let second = draft.task("second", &[x_again]);
    submit(&mut cluster, further(&draft.graph(), &[second], &[x_again]));
    assert_eq!(cluster.on(x).1.0, 4, "it runs again");
    cluster.finish(x, 8);
    assert_eq!(cluster.state.state_of(TaskId(3)), S::Processing);
}

#[test]
fn what_reads_an_erred_task_errs_at_once_with_its_blame() {
    let (mut cluster, x) = cluster_with_x(&[1]);
    let event = cluster.erred(x);
    cluster.handle(event);
    let mut draft = Draft::default();
    let reference = draft.task("x", &[]);
    let alone = draft.task("alone", &[]);
    let reader = draft.task("reader", &[reference, alone]);
    let last = draft.task("last", &[reader]);
    submit(&mut cluster, further(&draft.graph(), &[last, reference], &[reference]));
    // 'alone' would be read by what has failed only: it does not run.
    cluster.expect(&["c1 erred 0", "c1 erred 4"]);
    let task = |key: &str| cluster.state.task_named(key).unwrap();
    assert_eq!(cluster.state.error_of(task("last")).unwrap().root, x);
    assert_eq!(cluster.state.state_of(task("alone")), S::Released);
    // Tried again, all of it follows.
    cluster.handle(SchedulerEvent::Retry { tasks: vec![task("last")] });
    cluster.run_to_end();
    assert_eq!(cluster.state.state_of(cluster.state.task_named("last").unwrap()), S::Memory);
}

#[test]
fn a_forgotten_key_that_comes_again_is_another_task() {
    let (mut cluster, x) = cluster_with_x(&[1]);
    let old_run = cluster.on(x);
    cancel(&mut cluster, x);
    assert_eq!(cluster.state.state_of(x), S::Forgotten);
    let mut draft = Draft::default();
    let again = draft.task("x", &[]);
    submit(&mut cluster, further(&draft.graph(), &[again], &[]));
    assert_eq!(cluster.state.task_named("x"), Some(TaskId(2)));
    assert_eq!(cluster.state.state_of(x), S::Forgotten);
    // What the old run still says is not about the new task.
    cluster.handle(super::cluster::finished(old_run.0, x, old_run.1, 8));
    assert_eq!(cluster.state.state_of(TaskId(2)), S::Processing);
    cluster.finish(TaskId(2), 8);
    cluster.expect(&["c1 memory 2"]);
}

#[test]
fn conflicts_are_told_once_for_each_group() {
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..3).map(|i| draft.task(&format!("load-{i}"), &[])).collect();
    let last = draft.task("last", &tasks);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &[last]);
    let mut draft = Draft::default();
    let tasks: Vec<TaskId> = (0..3).map(|i| draft.task(&format!("load-{i}"), &[])).collect();
    let last = draft.task("last", &tasks[..2]);
    let mut graph = draft.graph();
    Arc::get_mut(&mut graph).unwrap().specs = vec![RunSpec::kernel::<&str>("rank", [])];
    let stays = "what was submitted first stays, for it and for others of its group";
    let first = tasks[0];
    submit(&mut cluster, further(&graph, &[first, tasks[1], last], &[]));
    cluster.expect(&[
        &format!("warn 'load-0' was submitted again with another run spec: {stays}"),
        &format!("warn 'last' was submitted again with another run spec and other inputs: {stays}"),
    ]);
    cluster.run_to_end();
    assert_eq!(cluster.state.recomputed_count(), 0);
    let kept = cluster.state.graph().unwrap();
    assert_eq!((kept.len(), kept.inputs.row(TaskId(3)).len()), (4, 3));
}

#[test]
fn tasks_that_must_run_once_do_and_their_submitter_hears_of_failures() {
    let (mut cluster, x) = cluster_with_x(&[1]);
    cluster.finish(x, 8);
    let (graph, reference, reader) = reader_of_x();
    let once =
        GraphSubmission { run_once: vec![reference, reader], ..further(&graph, &[], &[reference]) };
    submit(&mut cluster, once);
    cluster.expect(&["w0 compute 2#3 attempt 0 0@0"]);
    let event = cluster.erred(READER);
    cluster.handle(event);
    cluster.expect(&["c1 erred 2"]);
    // Again: it has failed, which is all that there is to say.
    let (graph, reference, reader) = reader_of_x();
    let once = GraphSubmission { run_once: vec![reader], ..further(&graph, &[], &[reference]) };
    submit(&mut cluster, once);
    cluster.expect(&["c1 erred 2"]);
}

fn sent(cluster: &Cluster) -> Vec<(TaskId, Priority)> {
    let sent = cluster.out.instructions.iter().filter_map(|one| match one {
        SchedulerInstruction::ComputeTask { task, priority, .. } => Some((*task, *priority)),
        _ => None,
    });
    sent.collect()
}

/// A graph within the fifo-timeout of the last new generation shares it; one that shared it does
/// not prolong it.
#[test]
fn generations_count_up_and_are_shared_within_the_fifo_timeout() {
    let mut cluster = Cluster::with(checked(), &[64]);
    let mut generations = Vec::new();
    for (at, fifo) in [(0, 60), (40, 60), (70, 60), (71, 0), (72, 1)] {
        let mut draft = Draft::default();
        let task = draft.task(&format!("t{at}"), &[]);
        cluster.now = crate::time::Time(at * SECOND_NS);
        let fifo_timeout_ns = fifo * SECOND_NS;
        submit(
            &mut cluster,
            GraphSubmission { fifo_timeout_ns, ..submission(&draft.graph(), &[task], &[]) },
        );
        generations.extend(sent(&cluster).iter().map(|(_, priority)| priority.generation));
    }
    assert_eq!(generations, [1, 1, 2, 3, 3]);
}

/// What is queued of an earlier generation comes before a later one, unless a user says otherwise.
#[test]
fn queued_tasks_of_two_graphs_leave_by_user_priority_then_generation_then_order() {
    let mut cluster = Cluster::with(checked(), &[1]);
    let graph = |name: &str, urgent: bool| {
        let mut draft = Draft::default();
        for i in 0..4 {
            let priority = Some(if urgent && i == 3 { 5 } else { 0 });
            let attributes = Attributes { priority, ..Attributes::default() };
            draft.task_with(&format!("{name}-{i}"), &[], attributes);
        }
        draft.graph()
    };
    let all: Vec<TaskId> = (0..4).map(TaskId).collect();
    cluster.submit(&graph("old", false), &all);
    cluster.now = crate::time::Time(SECOND_NS);
    submit(&mut cluster, further(&graph("new", true), &all, &[]));
    assert!(cluster.state.queued_count() >= 6);
    let mut order = Vec::new();
    while let Some((worker, task, run_id)) = cluster.sent.pop_front() {
        order.push(task.0);
        cluster.handle(super::cluster::finished(worker, task, run_id, 8));
    }
    // Two slots were taken when the new graph came.
    assert_eq!(order, [0, 1, 7, 2, 3, 4, 5, 6]);
}

/// Only what a wish reaches is taken, and a known key keeps its inputs: what it would read is not.
#[test]
fn what_is_not_reached_is_left_out() {
    let (mut cluster, _) = cluster_with_x(&[1]);
    let mut draft = Draft::default();
    let left_out = draft.task("left-out", &[]);
    let beneath = draft.task("beneath", &[]);
    let x = draft.task("x", &[beneath]);
    let reader = draft.task("reader", &[x]);
    submit(&mut cluster, further(&draft.graph(), &[reader], &[left_out]));
    assert_eq!(cluster.state.graph().unwrap().len(), 3);
    assert_eq!(cluster.state.task_named("reader"), Some(READER));
    assert_eq!(cluster.state.task_named("beneath"), None);
    cluster.run_to_end();
    assert_eq!(cluster.state.state_of(READER), S::Memory);
}

#[test]
fn wrong_submissions_are_refused_whole() {
    let (mut cluster, _) = cluster_with_x(&[1]);
    let (graph, _, reader) = reader_of_x();
    let wrong_order = GraphSubmission { order: vec![3, 0], ..further(&graph, &[reader], &[]) };
    submit(&mut cluster, wrong_order);
    cluster.expect(&["c1 refused: the static order is not a permutation of the tasks"]);
    submit(&mut cluster, further(&graph, &[reader, TaskId(9)], &[]));
    cluster.expect(&["c1 refused: task 9 is not in the graph"]);
    assert_eq!(cluster.state.graph().unwrap().len(), 2);
}
