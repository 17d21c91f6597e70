//! The rule, row by row of the example table, and what the table leaves open.

use super::*;
use crate::limits::MemoryLimit;

fn set(list: &str) -> Cpuset {
    list.parse().unwrap()
}

/// A node whose ranks all may use `allowed`, without a network device, quota or options.
fn node(description: &str, ranks: usize, scheduler: SchedulerPlace) -> NodeFacts {
    let topology = Topology::synthetic(description).unwrap();
    NodeFacts {
        node: "node7".into(),
        masks: vec![topology.cpus(); ranks],
        topology,
        scheduler,
        widest: None,
        quota_millicpus: None,
        bind: Bind::Auto,
        scheduler_cores: None,
        threads: None,
        memory: MemoryFacts::default(),
    }
}

const BIG: &str = "pack:2 numa:4 core:16";
use SchedulerPlace::{Elsewhere, OwnRank, SameProcess, SharedRank};

fn cpus(plan: &NodePlan) -> Vec<String> {
    plan.workers.iter().map(|worker| worker.cpus.to_string()).collect()
}

fn threads(plan: &NodePlan) -> Vec<usize> {
    plan.workers.iter().map(|worker| worker.threads.len()).collect()
}

#[test]
fn two_cores() {
    let one = plan(&node("core:2", 1, SameProcess));
    assert_eq!((cpus(&one), threads(&one)), (vec!["0-1".to_owned()], vec![2]));
    assert_eq!(one.scheduler, None);
    let two = plan(&node("core:2", 2, OwnRank));
    assert_eq!((cpus(&two), threads(&two)), (vec!["0-1".to_owned()], vec![2]));
    assert!(!two.scheduler.unwrap().bound);
    let four = plan(&node("core:2", 4, OwnRank));
    assert_eq!((cpus(&four), threads(&four)), (vec!["0-1".to_owned(); 3], vec![1; 3]));
    assert!(four.workers.iter().all(|worker| !worker.bound));
    assert_eq!(four.warnings.len(), 1, "{:?}", four.warnings);
}

#[test]
fn whole_domains_of_a_large_node() {
    let rows: [(usize, SchedulerPlace, &[usize], &str, &str); 7] = [
        (2, OwnRank, &[127], "0-126", "0-126"),
        (2, Elsewhere, &[64, 64], "0-63", "64-127"),
        (5, OwnRank, &[32, 32, 32, 31], "0-31", "96-126"),
        (5, Elsewhere, &[32, 32, 32, 16, 16], "0-31", "112-127"),
        (8, OwnRank, &[32, 16, 16, 16, 16, 16, 15], "0-31", "112-126"),
        (8, Elsewhere, &[16; 8], "0-15", "112-127"),
        (9, OwnRank, &[16, 16, 16, 16, 16, 16, 16, 15], "0-15", "112-126"),
    ];
    for (ranks, scheduler, expected, first, last) in rows {
        let plan = plan(&node(BIG, ranks, scheduler));
        assert_eq!(threads(&plan), expected, "{ranks} ranks, scheduler {scheduler:?}");
        assert_eq!(cpus(&plan).first().unwrap(), first);
        assert_eq!(cpus(&plan).last().unwrap(), last);
        let own = (scheduler == OwnRank).then(|| SchedulerPlan { cpus: set("127"), bound: true });
        assert_eq!(plan.scheduler, own);
    }
}

#[test]
fn several_workers_per_domain() {
    let elsewhere = plan(&node(BIG, 64, Elsewhere));
    assert_eq!(threads(&elsewhere), [2; 64]);
    assert_eq!(cpus(&elsewhere)[8], "16-17");
    let here = plan(&node(BIG, 64, OwnRank));
    assert_eq!(threads(&here)[..56], [2; 56]);
    assert_eq!(threads(&here)[56..], [3, 2, 2, 2, 2, 2, 2]);
    assert_eq!(cpus(&here)[56], "112-114");
    assert_eq!(cpus(&here)[62], "125-126");
}

#[test]
fn parts_of_a_node() {
    let mut facts = node(BIG, 3, Elsewhere);
    facts.masks = vec![set("32-63"); 3];
    assert_eq!(cpus(&plan(&facts)), ["32-39", "40-47", "48-63"]);
    let mut facts = node(BIG, 2, Elsewhere);
    facts.masks = vec![set("0-23"); 2];
    assert_eq!(cpus(&plan(&facts)), ["0-15", "16-23"]);
}

#[test]
fn a_quota_caps_the_threads_and_unbinds_them() {
    let mut facts = node(BIG, 4, Elsewhere);
    facts.quota_millicpus = Some(32_000);
    let quota = plan(&facts);
    assert_eq!(threads(&quota), [8; 4]);
    assert_eq!(cpus(&quota), ["0-31", "32-63", "64-95", "96-127"]);
    assert!(quota.workers.iter().all(|worker| !worker.bound));
    assert_eq!(quota.workers[1].threads[0].cpus, set("32-63"));
    // 2.5 CPUs are three threads; two workers get 2 and 1.
    facts = node("core:8", 2, Elsewhere);
    facts.quota_millicpus = Some(2_500);
    assert_eq!(threads(&plan(&facts)), [2, 1]);
    // A quota at or above the cores changes nothing.
    facts.quota_millicpus = Some(8_000);
    assert_eq!(threads(&plan(&facts)), [4, 4]);
    assert!(plan(&facts).workers[0].bound);
}

#[test]
fn uneven_shares_are_named() {
    let warning = |ranks| plan(&node(BIG, ranks, Elsewhere)).warnings;
    assert_eq!(warning(5), ["5 workers over 8 NUMA domains is uneven: use 4 or 8"]);
    assert_eq!(warning(3), ["3 workers over 8 NUMA domains is uneven: use 2 or 4"]);
    assert_eq!(warning(63), ["63 workers over 8 NUMA domains is uneven: use 56 or 64"]);
    assert_eq!(warning(127), ["127 workers over 8 NUMA domains is uneven: use 120 or 128"]);
    for even in [1, 2, 4, 8, 16, 128] {
        assert_eq!(warning(even), [""; 0], "{even}");
    }
}

#[test]
fn hardware_threads_follow_their_core() {
    let plan = plan(&node("pack:1 core:4 pu:2", 2, Elsewhere));
    assert_eq!(cpus(&plan), ["0-3", "4-7"]);
    assert_eq!(threads(&plan), [2, 2]);
    assert_eq!(plan.workers[1].threads[0].cpus, set("4-5"));
    // A core of which only one hardware thread is allowed counts, with that one.
    let mut facts = node("core:4 pu:2", 1, SameProcess);
    facts.masks = vec![set("0,2-4")];
    let one = super::plan(&facts);
    let bound: Vec<_> = one.workers[0].threads.iter().map(|it| it.cpus.to_string()).collect();
    assert_eq!(bound, ["0", "2-3", "4"]);
}

#[test]
fn a_default_of_one_core_per_rank_is_widened_where_the_node_is_ours() {
    let mut facts = node("core:64", 4, Elsewhere);
    facts.masks = (0..4).map(|cpu| [cpu].into_iter().collect()).collect();
    facts.widest = Some(set("0-63"));
    let widened = plan(&facts);
    assert_eq!(threads(&widened), [16; 4]);
    let sentence = "launcher bound ranks to 1 core; using 64 cores of node7 for 4 workers \
                    (set --bind none to keep it)";
    assert!(widened.reasons.iter().any(|it| it == sentence), "{:?}", widened.reasons);
    facts.bind = Bind::None;
    let kept = plan(&facts);
    assert_eq!(cpus(&kept), ["0", "1", "2", "3"]);
    assert!(kept.workers.iter().all(|worker| !worker.bound));
    facts.bind = Bind::Auto;
    facts.widest = None;
    assert_eq!(cpus(&plan(&facts)), ["0", "1", "2", "3"], "a wish is kept");
}

#[test]
fn one_rank_with_one_core_gets_the_machine() {
    let mut facts = node("core:4", 1, SameProcess);
    facts.masks = vec![set("2")];
    facts.widest = Some(set("0-3"));
    assert_eq!(cpus(&plan(&facts)), ["0-3"]);
}

#[test]
fn masks_that_the_launcher_partitioned_are_kept() {
    let mut facts = node(BIG, 3, OwnRank);
    facts.masks = vec![set("0-15"), set("16-31"), set("64-71")];
    facts.widest = Some(set("0-127"));
    let plan = plan(&facts);
    assert_eq!(cpus(&plan), ["16-31", "64-71"]);
    assert_eq!(threads(&plan), [16, 8]);
    assert_eq!(plan.scheduler, Some(SchedulerPlan { cpus: set("0-15"), bound: false }));
}

#[test]
fn ranks_bound_to_the_same_package_divide_it() {
    // Open MPI with more than two ranks: by package, ranks in turn.
    let mut facts = node("pack:2 core:4", 4, Elsewhere);
    facts.masks = vec![set("0-3"), set("4-7"), set("0-3"), set("4-7")];
    assert_eq!(cpus(&plan(&facts)), ["0-1", "4-5", "2-3", "6-7"]);
}

#[test]
fn the_scheduler_takes_what_it_is_given_next_to_the_network() {
    let mut facts = node("numa:4 core:4", 3, OwnRank);
    facts.scheduler_cores = Some(2);
    assert_eq!(plan(&facts).scheduler.unwrap().cpus, set("14-15"));
    facts.scheduler_cores = Some(0);
    assert_eq!(plan(&facts).scheduler, Some(SchedulerPlan { cpus: set("0-15"), bound: false }));
    assert_eq!(threads(&plan(&facts)), [8, 8]);
    // More than there are leaves the workers one.
    facts.scheduler_cores = Some(99);
    assert_eq!(threads(&plan(&facts)), [1, 1]);
}

#[test]
fn eight_cores_are_not_taken_from_eight_workers() {
    let plan = plan(&node("core:8", 9, OwnRank));
    assert_eq!(threads(&plan), [1; 8]);
    assert!(plan.workers.iter().all(|worker| worker.bound));
    assert!(!plan.scheduler.unwrap().bound);
}

#[test]
fn a_rank_that_schedules_and_works_is_both() {
    let plan = plan(&node("core:16", 2, SharedRank));
    assert_eq!(threads(&plan), [8, 7]);
    assert_eq!(plan.scheduler, Some(SchedulerPlan { cpus: set("15"), bound: true }));
}

#[test]
fn a_scheduler_alone_on_its_node_has_it() {
    let plan = plan(&node("core:16", 1, OwnRank));
    assert_eq!(plan.workers, []);
    assert_eq!(plan.scheduler, Some(SchedulerPlan { cpus: set("0-15"), bound: false }));
}

#[test]
fn threads_given_by_the_user_are_spread_over_the_cores() {
    let mut facts = node("core:8 pu:2", 1, SameProcess);
    facts.threads = Some(2);
    let few = plan(&facts);
    assert_eq!(few.workers[0].threads[1].cpus, set("8-9"));
    facts.threads = Some(16);
    let siblings = plan(&facts);
    assert_eq!(siblings.workers[0].threads[1].cpus, set("0-1"));
    assert!(siblings.workers[0].bound);
    facts.threads = Some(17);
    let many = plan(&facts);
    assert_eq!(threads(&many), [17]);
    assert!(!many.workers[0].bound);
    assert_eq!(many.warnings.len(), 1);
}

#[test]
fn threads_are_bound_as_wide_as_the_option_says() {
    let mut facts = node("pack:2 numa:2 core:4", 1, SameProcess);
    let first = |bind| {
        facts.bind = bind;
        plan(&facts).workers[0].threads[0].cpus.to_string()
    };
    let widths = [Bind::Auto, Bind::Core, Bind::Numa, Bind::Package, Bind::None].map(first);
    assert_eq!(widths, ["0", "0", "0-3", "0-7", "0-15"]);
}

#[test]
fn memory_follows_threads_and_nodes() {
    let mut facts = node(BIG, 3, Elsewhere);
    facts.masks = vec![set("32-63"); 3];
    facts.memory.node_bytes = Some(100 << 30);
    let auto = plan(&facts);
    let expected = [95u64 << 28, 95 << 28, 95 << 29];
    for (worker, bytes) in auto.workers.iter().zip(expected) {
        assert_eq!(worker.memory_limit_bytes, Some(bytes));
    }
    assert_eq!(auto.workers[2].nodes, [3]);
    facts.memory.limit = MemoryLimit::Bytes(77);
    assert_eq!(plan(&facts).workers[0].memory_limit_bytes, Some(77));
}

#[test]
fn every_core_is_used_once_for_every_number_of_ranks() {
    for description in ["pack:2 numa:4 core:16", "numa:3 l3:2 core:5 pu:2", "core:7"] {
        let cores = Topology::synthetic(description).unwrap().cores().len();
        for ranks in 1..=cores {
            for scheduler in [Elsewhere, OwnRank] {
                let facts = node(description, ranks, scheduler);
                let plan = plan(&facts);
                assert_eq!(plan.workers.len(), facts.worker_count());
                let bound = plan.scheduler.iter().filter(|it| it.bound).map(|it| &it.cpus);
                let all: Vec<&Cpuset> =
                    plan.workers.iter().map(|worker| &worker.cpus).chain(bound).collect();
                let union = all.iter().fold(Cpuset::new(), |union, cpus| union.union(cpus));
                let sum: usize = all.iter().map(|cpus| cpus.count()).sum();
                if plan.workers.is_empty() {
                    continue;
                }
                assert_eq!(union, facts.topology.cpus(), "{description}, {ranks} ranks");
                assert_eq!(sum, union.count(), "{description}, {ranks} ranks");
            }
        }
    }
}
