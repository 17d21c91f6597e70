//! Which worker gets a task, and how many tasks a worker gets.

use super::cluster::{Cluster, Draft, checked, finished, registration, submission};
use crate::config::{Config, MILLISECOND_NS};
use crate::graph::Attributes;
use crate::ids::{TaskId, WorkerId};
use crate::messages::{TypeCode, WorkerStatus};
use crate::scheduler::{SchedulerEvent, TaskState};

fn on_workers(names: &[&str]) -> Attributes {
    let workers = names.iter().map(|name| (*name).to_owned()).collect();
    Attributes { workers, ..Attributes::default() }
}

/// Inputs pinned to workers with sizes, tasks of known time that keep workers busy, and a task that
/// reads all inputs: where it goes.
fn decide(inputs: &[(&str, u64)], busy: &[(&str, u64)], attributes: Attributes) -> WorkerId {
    let mut draft = Draft::default();
    let sources: Vec<TaskId> = inputs
        .iter()
        .enumerate()
        .map(|(i, (worker, _))| draft.task_with(&format!("in{i}"), &[], on_workers(&[*worker])))
        .collect();
    let mut wanted: Vec<TaskId> = Vec::new();
    for (i, (worker, time_ns)) in busy.iter().enumerate() {
        let attributes = Attributes { time_ns: Some(*time_ns), ..on_workers(&[*worker]) };
        wanted.push(draft.task_with(&format!("busy{i}"), &[], attributes));
    }
    let task = draft.task_with("task", &sources, attributes);
    wanted.push(task);
    let mut cluster = Cluster::with(checked(), &[1, 1, 1]);
    cluster.submit(&draft.graph(), &wanted);
    for (source, (_, nbytes)) in sources.iter().zip(inputs) {
        cluster.finish(*source, *nbytes);
    }
    cluster.on(task).0
}

#[test]
fn the_only_holder_gets_it_while_it_has_a_free_thread() {
    for worker in ["0", "1", "2"] {
        let chosen = decide(&[(worker, 8)], &[], Attributes::default());
        assert_eq!(chosen.0.to_string(), worker);
    }
}

#[test]
fn an_idle_worker_gets_it_when_the_way_is_shorter_than_the_wait() {
    // 8 bytes take a round trip of 0.2 ms, a megabyte 10 ms more at 100 MB/s.
    for (nbytes, busy_ns, stays) in [
        (8, 100_000, true),
        (8, MILLISECOND_NS, false),
        (1_000_000, 10 * MILLISECOND_NS, true),
        (1_000_000, 11 * MILLISECOND_NS, false),
    ] {
        let chosen = decide(&[("1", nbytes)], &[("1", busy_ns)], Attributes::default());
        assert_eq!(chosen == WorkerId(1), stays, "{nbytes} bytes, busy for {busy_ns} ns");
    }
    // Nobody is idle: the holder keeps it.
    let busy = ["0", "1", "2"].map(|worker| (worker, 1000 * MILLISECOND_NS));
    assert_eq!(decide(&[("1", 8)], &busy, Attributes::default()), WorkerId(1));
}

#[test]
fn inputs_stay_where_a_thread_is_free() {
    // Worker 0 holds the large input and runs a long task on one of its two threads; worker 1 holds
    // the small one and does nothing.
    let mut draft = Draft::default();
    let large = draft.task_with("large", &[], on_workers(&["0"]));
    let small = draft.task_with("small", &[], on_workers(&["1"]));
    let time_ns = Some(1000 * MILLISECOND_NS);
    let busy = draft.task_with("busy", &[], Attributes { time_ns, ..on_workers(&["0"]) });
    let task = draft.task("task", &[large, small]);
    let mut cluster = Cluster::with(checked(), &[2, 2]);
    cluster.submit(&draft.graph(), &[busy, task]);
    cluster.finish(large, 1 << 20);
    cluster.finish(small, 8);
    assert_eq!(cluster.on(task).0, WorkerId(0));
}

#[test]
fn of_two_holders_the_less_occupied_gets_it() {
    let inputs = [("0", 8), ("1", 8)];
    let chosen = decide(&inputs, &[("0", MILLISECOND_NS)], Attributes::default());
    assert_eq!(chosen, WorkerId(1));
    let chosen = decide(&inputs, &[("1", MILLISECOND_NS)], Attributes::default());
    assert_eq!(chosen, WorkerId(0));
}

#[test]
fn with_a_set_of_valid_workers_a_holder_among_them_gets_it() {
    let inputs = [("0", 8), ("1", 8)];
    let busy = [("1", 1000 * MILLISECOND_NS)];
    assert_eq!(decide(&inputs, &busy, on_workers(&["1", "2"])), WorkerId(1));
}

#[test]
fn no_holder_is_valid_so_the_valid_one_with_the_least_cost_gets_it() {
    let inputs = [("0", 8)];
    let valid = || on_workers(&["1", "2"]);
    assert_eq!(decide(&inputs, &[("1", MILLISECOND_NS)], valid()), WorkerId(2));
    assert_eq!(decide(&inputs, &[("2", MILLISECOND_NS)], valid()), WorkerId(1));
}

#[test]
fn bytes_go_before_occupancy() {
    // 999 bytes more to fetch take 9,990 ns at 100 MB/s; worker 1 is occupied for 5,000 ns.
    let inputs = [("0", 1), ("1", 1000)];
    assert_eq!(decide(&inputs, &[("1", 5000)], Attributes::default()), WorkerId(1));
    assert_eq!(decide(&inputs, &[("1", 20_000)], Attributes::default()), WorkerId(0));
}

fn leaves(draft: &mut Draft, count: usize) -> Vec<TaskId> {
    (0..count).map(|i| draft.task(&format!("leaf-{i}"), &[])).collect()
}

#[test]
fn root_tasks_fill_one_slot_more_than_threads_and_queue() {
    let mut draft = Draft::default();
    let tasks = leaves(&mut draft, 100);
    let mut cluster = Cluster::with(checked(), &[1, 4, 20]);
    cluster.submit(&draft.graph(), &tasks);
    // max(ceil(1.1 n), n + 1)
    for (worker, slots) in [(0, 2), (1, 5), (2, 22)] {
        assert_eq!(cluster.state.processing(WorkerId(worker)).count(), slots);
    }
    assert_eq!(cluster.state.queued_count(), 100 - 29);
    assert_eq!(cluster.run_to_end(), 100);
}

#[test]
fn without_saturation_nothing_is_queued_and_neighbours_stay_together() {
    let mut draft = Draft::default();
    let tasks = leaves(&mut draft, 40);
    let config = Config { worker_saturation: f64::INFINITY, ..checked() };
    let mut cluster = Cluster::with(config, &[2, 2]);
    cluster.submit(&draft.graph(), &tasks);
    assert_eq!(cluster.state.queued_count(), 0);
    let first = cluster.on(tasks[0]).0;
    assert!(tasks[..20].iter().all(|task| cluster.on(*task).0 == first));
    assert!(tasks[20..].iter().all(|task| cluster.on(*task).0 != first));
}

/// Ten tasks that read one other, on one thread: how many of them it gets at once.
fn sent_of_ten(config: Config) -> usize {
    let mut draft = Draft::default();
    let root = draft.task("root", &[]);
    let tasks: Vec<TaskId> = (0..10).map(|i| draft.task(&format!("leaf-{i}"), &[root])).collect();
    let mut cluster = Cluster::with(config, &[1]);
    cluster.submit(&draft.graph(), &tasks);
    cluster.finish(root, 8);
    cluster.state.processing(WorkerId(0)).count()
}

#[test]
fn what_counts_as_root_ish_is_what_the_settings_say() {
    assert_eq!(sent_of_ten(checked()), 2);
    let per_thread = |tasks| Config { rootish_tasks_per_thread: tasks, ..checked() };
    assert_eq!((sent_of_ten(per_thread(9)), sent_of_ten(per_thread(10))), (2, 10));
    let groups = |groups| Config { rootish_groups: groups, ..checked() };
    assert_eq!((sent_of_ten(groups(2)), sent_of_ten(groups(1))), (2, 10));
    let read = |tasks| Config { rootish_group_tasks: tasks, ..checked() };
    assert_eq!((sent_of_ten(read(2)), sent_of_ten(read(1))), (2, 10));
}

/// Of 32 tasks that read two leaves each: how many have leaves of `nbytes` from different workers.
fn pairs_apart(nbytes: u64) -> usize {
    let mut draft = Draft::default();
    let leaves = leaves(&mut draft, 64);
    let pairs = leaves.chunks(2).enumerate();
    let readers: Vec<TaskId> =
        pairs.map(|(at, pair)| draft.task(&format!("reader-{at}"), pair)).collect();
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    cluster.submit(&draft.graph(), &readers);
    let mut made_on = vec![None; leaves.len()];
    while let Some((worker, task, run_id)) = cluster.sent.pop_front() {
        cluster.now = cluster.now.after_ns(1000);
        if let Some(leaf) = leaves.iter().position(|leaf| *leaf == task) {
            made_on[leaf] = Some(worker);
        }
        cluster.handle(finished(worker, task, run_id, nbytes));
    }
    assert!(made_on.iter().all(Option::is_some));
    made_on.chunks(2).filter(|pair| pair[0] != pair[1]).count()
}

#[test]
fn large_results_that_one_task_reads_are_made_by_one_worker() {
    // The first slots are filled before anything is known of the results.
    assert!(pairs_apart(1 << 20) <= 2, "{}", pairs_apart(1 << 20));
    assert!(pairs_apart(8) > 8, "{}", pairs_apart(8));
}

/// Slots of one worker of one thread for tasks of 1 ms, after a first result of so many bytes.
fn slots_after(nbytes: u64) -> usize {
    let mut draft = Draft::default();
    let tasks = leaves(&mut draft, 100);
    let config = Config { round_trip_ns: MILLISECOND_NS, ..checked() };
    let mut cluster = Cluster::with(config, &[1]);
    cluster.submit(&draft.graph(), &tasks);
    let (worker, run_id) = cluster.on(tasks[0]);
    cluster.handle(SchedulerEvent::TaskFinished {
        worker,
        task: tasks[0],
        run_id,
        nbytes,
        type_code: TypeCode(1),
        duration_ns: MILLISECOND_NS,
    });
    cluster.state.processing(worker).count()
}

#[test]
fn short_tasks_with_small_results_are_sent_ahead_for_four_round_trips() {
    assert_eq!(slots_after(64 << 10), 5);
    assert_eq!(slots_after((64 << 10) + 1), 2);
}

#[test]
fn at_most_256_slots_a_thread_are_filled() {
    let mut draft = Draft::default();
    let tasks = leaves(&mut draft, 1000);
    let durations = vec![("leaf".to_owned(), 1)];
    let config = Config { default_task_durations_ns: durations, ..checked() };
    let mut cluster = Cluster::with(config, &[2]);
    cluster.submit(&draft.graph(), &tasks);
    assert_eq!(cluster.state.processing(WorkerId(0)).count(), 512);
}

#[test]
fn a_task_takes_as_many_slots_as_it_has_threads() {
    let mut draft = Draft::default();
    let wide = Attributes { threads: Some(2), ..Attributes::default() };
    let tasks: Vec<TaskId> =
        (0..20).map(|i| draft.task_with(&format!("wide-{i}"), &[], wide.clone())).collect();
    let mut cluster = Cluster::with(checked(), &[4]);
    cluster.submit(&draft.graph(), &tasks);
    // Five slots: the third task still finds one.
    assert_eq!(cluster.state.processing(WorkerId(0)).count(), 3);
    assert_eq!(cluster.run_to_end(), 20);
}

#[test]
fn the_users_priority_goes_before_the_static_order() {
    let mut draft = Draft::default();
    let mut tasks = leaves(&mut draft, 5);
    let urgent = Attributes { priority: Some(1), ..Attributes::default() };
    tasks.push(draft.task_with("leaf-urgent", &[], urgent));
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &tasks);
    let sent: Vec<TaskId> = cluster.sent.iter().map(|(_, task, _)| *task).collect();
    assert_eq!(sent, [tasks[5], tasks[0]]);
}

#[test]
fn names_hosts_and_addresses_restrict_and_add_up() {
    let mut draft = Draft::default();
    let hosts = |host: &str| Attributes { hosts: vec![host.to_owned()], ..Attributes::default() };
    let by_host = draft.task_with("a", &[], hosts("far"));
    let by_address = draft.task_with("b", &[], on_workers(&["10.0.0.1:1"]));
    let either = draft.task_with("c", &[], Attributes { ..hosts("nowhere") });
    let mut loose_terms = on_workers(&["nobody"]);
    loose_terms.allow_other_workers = true;
    let loose = draft.task_with("d", &[], loose_terms);
    let mut cluster = Cluster::new(checked());
    cluster.add_worker(registration(0, 1));
    cluster.add_worker(registration(1, 1));
    let mut far = registration(2, 1);
    far.host = "far.cluster".to_owned();
    cluster.add_worker(far);
    cluster.submit(&draft.graph(), &[by_host, by_address, either, loose]);
    assert_eq!(cluster.on(by_host).0, WorkerId(2));
    assert_eq!(cluster.on(by_address).0, WorkerId(1));
    assert_eq!(cluster.state.state_of(either), TaskState::NoWorker);
    assert_eq!(cluster.state.state_of(loose), TaskState::Processing);
}

#[test]
fn resources_and_memory_restrict() {
    let mut draft = Draft::default();
    let resources = vec![("GPU".to_owned(), 1_500_000)];
    let gpu = Attributes { resources, ..Attributes::default() };
    let memory = Attributes { memory_bytes: Some(1000), ..Attributes::default() };
    let on_gpu = draft.task_with("a", &[], gpu);
    let large = draft.task_with("b", &[], memory);
    let mut cluster = Cluster::new(checked());
    for (worker, gpus, limit) in [(0, 1_000_000, 999), (1, 2_000_000, 999), (2, 0, 1000)] {
        let mut with = registration(worker, 1);
        with.resources = vec![("GPU".to_owned(), gpus)];
        with.memory_limit_bytes = limit;
        cluster.add_worker(with);
    }
    cluster.submit(&draft.graph(), &[on_gpu, large]);
    assert_eq!(cluster.on(on_gpu).0, WorkerId(1));
    assert_eq!(cluster.on(large).0, WorkerId(2));
    assert_eq!(cluster.run_to_end(), 2);
}

#[test]
fn what_no_worker_can_ever_run_is_found_before_the_run() {
    let mut draft = Draft::default();
    let unneeded = Attributes { threads: Some(99), ..Attributes::default() };
    draft.task_with("unneeded", &[], unneeded);
    let fits = Attributes { threads: Some(4), ..Attributes::default() };
    let fits = draft.task_with("fits", &[], fits);
    let resources = vec![("GPU".to_owned(), 500_000)];
    let wide = Attributes { threads: Some(8), resources, ..on_workers(&["node7"]) };
    let wide = draft.task_with("wide", &[fits], wide);
    let graph = draft.graph();
    let cluster = Cluster::with(checked(), &[2, 4]);
    let found = cluster.state.unsatisfiable(&submission(&graph, &[wide], &[])).unwrap();
    assert_eq!(found.task, wide);
    assert_eq!(found.asks, "8 threads, 0.5 of resource GPU, worker node7");
    assert_eq!(found.largest_worker, "worker 1 on node with 4 threads, unlimited memory");
    assert_eq!(cluster.state.unsatisfiable(&submission(&graph, &[fits], &[])), None);
}

#[test]
fn a_paused_worker_gets_nothing_until_it_runs_again() {
    let mut draft = Draft::default();
    let tasks = leaves(&mut draft, 10);
    let mut cluster = Cluster::with(checked(), &[1, 1]);
    let worker = WorkerId(0);
    let status = WorkerStatus::Paused;
    cluster.handle(SchedulerEvent::WorkerStatusChange { worker, status });
    cluster.submit(&draft.graph(), &tasks);
    assert_eq!(cluster.state.processing(worker).count(), 0);
    let status = WorkerStatus::Running;
    cluster.handle(SchedulerEvent::WorkerStatusChange { worker, status });
    assert_eq!(cluster.state.processing(worker).count(), 2);
    assert_eq!(cluster.run_to_end(), 10);
}

#[test]
fn a_task_that_leaves_the_pool_frees_its_slot() {
    let mut draft = Draft::default();
    let tasks = leaves(&mut draft, 3);
    let mut cluster = Cluster::with(checked(), &[1]);
    cluster.submit(&draft.graph(), &tasks);
    let (worker, run_id) = cluster.on(tasks[0]);
    let task = tasks[0];
    let compute_duration_ns = Some(MILLISECOND_NS);
    let event = SchedulerEvent::LongRunning { worker, task, run_id, compute_duration_ns };
    cluster.handle(event.clone());
    cluster.expect(&["w0 compute 2#3 attempt 0"]);
    cluster.handle(event);
    cluster.expect(&[]);
    assert_eq!(cluster.run_to_end(), 3);
}

#[test]
fn readers_of_a_widely_held_input_are_told_some_of_its_holders() {
    let mut draft = Draft::default();
    let load = draft.task("load", &[]);
    let read = draft.task("read", &[load]);
    let gate = draft.task_with("gate", &[], on_workers(&["0"]));
    let late = draft.task("late", &[load, gate]);
    let mut cluster = Cluster::with(checked(), &[1; 40]);
    cluster.submit(&draft.graph(), &[read, late]);
    cluster.finish(load, 8);
    for worker in 0..40 {
        cluster.handle(SchedulerEvent::AddKeys { worker: WorkerId(worker), tasks: vec![load] });
    }
    assert_eq!(cluster.state.who_has(load).count(), 40);
    cluster.finish(gate, 8);
    assert_eq!(cluster.out.dependencies[0].task, load);
    let told = cluster.out.dependencies[0].holders.of(&cluster.out.holders);
    assert_eq!(told.len(), 16);
}
