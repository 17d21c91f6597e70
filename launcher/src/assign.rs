//! From what the ranks know to what each of them does: hosts are grouped into machines, each
//! machine is planned by `plan.rs`, and the workers get their names.
//!
//! Pure, but for the machine's topology, which callers read. Under a launcher a worker is named
//! after its rank; in a local run workers are 1, 2, …; a single rank holds worker `0` beside the
//! scheduler.

use crate::cpuset::Cpuset;
use crate::facts::HostFacts;
use crate::limits::{self, MemoryFacts, MemoryLimit};
use crate::plan::{self, Bind, NodeFacts, SchedulerPlace};
use crate::roles::{JobPlan, RankPlan, ThreadSlot, WorkerSlot};
use crate::topology::Topology;
use std::path::PathBuf;
use std::time::Duration;

/// What the user wants of the launch. Rank 0's count; the others' are not looked at.
#[derive(Clone, PartialEq, Debug)]
pub struct LaunchOptions {
    /// Worker processes of a local run; absent: one a NUMA domain.
    pub workers: Option<u32>,
    /// Threads of each worker; absent: its cores.
    pub threads: Option<u32>,
    /// What is bound to what.
    pub bind: Bind,
    /// Rank 0 has a worker beside the scheduler.
    pub rank0_both: bool,
    /// Cores kept for the scheduler.
    pub scheduler_cores: Option<u32>,
    /// Memory of each worker.
    pub memory_limit: MemoryLimit,
    /// Node-local folder for scratch; absent: none is made.
    pub local_directory: Option<PathBuf>,
    /// Only this network interface is used.
    pub interface: Option<String>,
    /// Supervisors end when they cannot reach the scheduler for this long.
    pub death_timeout: Duration,
    /// Tasks of the graph, for the scheduler's memory.
    pub task_count: u64,
}

impl Default for LaunchOptions {
    fn default() -> Self {
        Self {
            workers: None,
            threads: None,
            bind: Bind::Auto,
            rank0_both: false,
            scheduler_cores: None,
            memory_limit: MemoryLimit::Auto,
            local_directory: None,
            interface: None,
            death_timeout: Duration::from_secs(30),
            task_count: 0,
        }
    }
}

/// The ranks of one machine, in order; the first reads its topology.
#[must_use]
pub fn machines(ranks: &[HostFacts]) -> Vec<Vec<usize>> {
    let mut machines: Vec<Vec<usize>> = Vec::new();
    for (rank, facts) in ranks.iter().enumerate() {
        match machines.iter_mut().find(|ranks_of| ranks[ranks_of[0]].machine == facts.machine) {
            Some(machine) => machine.push(rank),
            None => machines.push(vec![rank]),
        }
    }
    machines
}

/// Plans a job of at least two ranks. `topologies` are those of `machines`, in that order.
#[must_use]
pub fn assign(ranks: &[HostFacts], topologies: &[Topology], options: &LaunchOptions) -> JobPlan {
    let mut job = JobPlan::default();
    for (rank, facts) in ranks.iter().enumerate() {
        let rank = u32::try_from(rank).unwrap_or(u32::MAX);
        let scheduler = rank == 0;
        job.ranks.push(RankPlan {
            rank,
            host: facts.host.clone(),
            scheduler,
            ..RankPlan::default()
        });
    }
    for (members, topology) in machines(ranks).iter().zip(topologies) {
        let place = match (members[0], options.rank0_both) {
            (0, true) => SchedulerPlace::SharedRank,
            (0, false) => SchedulerPlace::OwnRank,
            _ => SchedulerPlace::Elsewhere,
        };
        let facts: Vec<&HostFacts> = members.iter().map(|rank| &ranks[*rank]).collect();
        let masks = facts.iter().map(|facts| facts.mask.iter().copied().collect()).collect();
        let planned = plan::plan(&node_facts(&facts, topology, masks, place, options));
        let skip = usize::from(place == SchedulerPlace::OwnRank);
        for (rank, worker) in members[skip..].iter().zip(&planned.workers) {
            job.ranks[*rank].workers.push(slot(rank.to_string(), worker, planned.applies));
        }
        let host = &facts[0].host;
        job.remarks.extend(planned.warnings.iter().map(|text| format!("{host}: {text}")));
    }
    job
}

/// Plans a local run: the scheduler and N workers below one supervisor.
#[must_use]
pub fn assign_local(facts: &HostFacts, topology: &Topology, options: &LaunchOptions) -> JobPlan {
    let mask: Cpuset = facts.mask.iter().copied().collect();
    let domains = topology.domain_count(&mask).max(1);
    let count = options.workers.map_or(domains, |workers| workers.max(1) as usize);
    let masks = vec![mask; count + 1];
    let node = node_facts(&[facts], topology, masks, SchedulerPlace::OwnRank, options);
    let planned = plan::plan(&node);
    let workers = (1..).zip(&planned.workers);
    let workers = workers.map(|(n, worker)| slot(n.to_string(), worker, planned.applies));
    let rank = RankPlan {
        rank: 0,
        host: facts.host.clone(),
        scheduler: true,
        together: false,
        workers: workers.collect(),
    };
    JobPlan { ranks: vec![rank], remarks: planned.warnings }
}

/// Plans a job of a single rank: scheduler and worker `0` in one process.
#[must_use]
pub fn assign_single(facts: &HostFacts, topology: &Topology, options: &LaunchOptions) -> JobPlan {
    let masks = vec![facts.mask.iter().copied().collect()];
    let node = node_facts(&[facts], topology, masks, SchedulerPlace::SameProcess, options);
    let planned = plan::plan(&node);
    let worker = planned.workers.first().map(|w| slot("0".to_owned(), w, planned.applies));
    let rank = RankPlan {
        rank: 0,
        host: facts.host.clone(),
        scheduler: true,
        together: true,
        workers: worker.into_iter().collect(),
    };
    JobPlan { ranks: vec![rank], remarks: planned.warnings }
}

fn node_facts(
    ranks: &[&HostFacts],
    topology: &Topology,
    masks: Vec<Cpuset>,
    scheduler: SchedulerPlace,
    options: &LaunchOptions,
) -> NodeFacts {
    let first = ranks[0];
    let has_scheduler = scheduler != SchedulerPlace::Elsewhere;
    NodeFacts {
        node: first.host.clone(),
        topology: topology.clone(),
        masks,
        scheduler,
        widest: first.widest.as_ref().map(|cpus| cpus.iter().copied().collect()),
        quota_millicpus: first.quota_millicpus,
        bind: options.bind,
        scheduler_cores: options.scheduler_cores,
        threads: options.threads,
        memory: MemoryFacts {
            node_bytes: ranks.iter().filter_map(|facts| facts.memory_bytes).min(),
            scheduler_bytes: if has_scheduler {
                limits::scheduler_bytes(options.task_count)
            } else {
                0
            },
            limit: options.memory_limit,
        },
    }
}

fn slot(name: String, worker: &plan::WorkerPlan, applies: bool) -> WorkerSlot {
    let thread = |thread: &plan::ThreadPlan| ThreadSlot {
        cpus: thread.cpus.iter().collect(),
        numa_node: thread.node,
    };
    WorkerSlot {
        name,
        cpus: worker.cpus.iter().collect(),
        bound: worker.bound && applies,
        threads: worker.threads.iter().map(thread).collect(),
        numa_nodes: if applies { worker.nodes.clone() } else { Vec::new() },
        memory_limit_bytes: worker.memory_limit_bytes.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, machine: &str) -> HostFacts {
        HostFacts {
            host: name.to_owned(),
            machine: machine.to_owned(),
            mask: (0..8).collect(),
            memory_bytes: Some(64 << 30),
            ..HostFacts::default()
        }
    }

    fn machine() -> Topology {
        Topology::synthetic("pack:2 numa:1 core:4 pu:1").unwrap()
    }

    #[test]
    fn ranks_of_one_kernel_share_a_machine_whatever_their_hosts_are_called() {
        let ranks = [host("a", "x"), host("b", "y"), host("c", "x"), host("d", "y")];
        assert_eq!(machines(&ranks), [vec![0, 2], vec![1, 3]]);
    }

    #[test]
    fn rank_0_schedules_and_the_others_work_under_their_own_names() {
        let ranks = [host("a", "x"), host("b", "y"), host("a", "x"), host("b", "y")];
        let topologies = [machine(), machine()];
        let plan = assign(&ranks, &topologies, &LaunchOptions::default());
        let names: Vec<_> = plan.workers().map(|(rank, w)| (rank, w.name.clone())).collect();
        let expected = [1, 2, 3].map(|rank: u32| (rank, rank.to_string()));
        assert_eq!(names, expected);
        assert!(plan.ranks[0].scheduler && !plan.ranks[1].scheduler);
        // Machine y has no scheduler: a package each.
        assert_eq!(plan.ranks[1].workers[0].threads.len(), 4);
        assert_eq!(plan.ranks[3].workers[0].cpus, [4, 5, 6, 7]);
        assert_eq!(plan.nanny_count(), 3);
    }

    #[test]
    fn rank_0_may_work_too() {
        let options = LaunchOptions { rank0_both: true, ..LaunchOptions::default() };
        let plan = assign(&[host("a", "x"), host("a", "x")], &[machine()], &options);
        let names: Vec<_> = plan.workers().map(|(_, w)| w.name.as_str()).collect();
        assert_eq!(names, ["0", "1"]);
        assert!(plan.ranks[0].scheduler && !plan.ranks[0].together);
        assert_eq!(plan.nanny_count(), 2);
    }

    #[test]
    fn a_local_run_has_a_worker_for_each_domain_unless_told() {
        let plan = assign_local(&host("a", "x"), &machine(), &LaunchOptions::default());
        let names: Vec<_> = plan.workers().map(|(_, w)| w.name.as_str()).collect();
        assert_eq!(names, ["1", "2"]);
        let options = LaunchOptions { workers: Some(3), ..LaunchOptions::default() };
        let plan = assign_local(&host("a", "x"), &machine(), &options);
        assert_eq!(plan.workers().count(), 3);
        assert!(plan.workers().all(|(_, worker)| !worker.bound), "a pretended machine");
    }

    #[test]
    fn a_single_rank_does_both_in_one_process() {
        let plan = assign_single(&host("a", "x"), &machine(), &LaunchOptions::default());
        assert!(plan.ranks[0].together && plan.ranks[0].scheduler);
        assert_eq!(plan.ranks[0].workers[0].name, "0");
        assert_eq!(plan.ranks[0].workers[0].threads.len(), 8);
        assert_eq!(plan.nanny_count(), 0);
    }
}
