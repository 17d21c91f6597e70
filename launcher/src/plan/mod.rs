//! Who runs where on one node: the plan, and the rule that makes it.
//!
//! A pure function from what is known of a node to what each of its processes gets, so that
//! every rank computes the same plan and a laptop can show a supercomputer's. Does not bind
//! anything (pinning.rs) and reads nothing from the system. Invariant: a plan has exactly one
//! entry per worker, in rank order, each with at least one thread.
//!
//! ```text
//! masks of the ranks ─► shares (masks.rs) ─► scheduler's core ─► cores per worker (divide.rs)
//!                                                              ─► threads, quota, memory
//! ```

mod divide;
mod masks;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use crate::cpuset::Cpuset;
use crate::limits::{MemoryFacts, worker_memory};
use crate::topology::Topology;
use masks::Share;

/// With fewer allowed cores than this nobody gives one up for the scheduler. It needs a core
/// when there are many small tasks and none when there are few; an eighth is the price.
pub const CORES_FOR_A_SCHEDULER_CORE: usize = 8;

/// Where the scheduler runs, seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedulerPlace {
    /// On another node.
    Elsewhere,
    /// It is the first of the local ranks, which is no worker.
    OwnRank,
    /// It shares the first local rank with a worker (`--rank0 both`).
    SharedRank,
    /// It is a thread of the only worker (one rank in the whole job).
    SameProcess,
}

/// What `--bind` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bind {
    /// By the rule; each thread to one core.
    #[default]
    Auto,
    /// Keep what the launcher gave and bind nothing.
    None,
    /// As auto: each thread to one core.
    Core,
    /// Each thread to its worker's CPUs in one NUMA domain.
    Numa,
    /// Each thread to its worker's CPUs in one package.
    Package,
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "core" => Ok(Self::Core),
            "numa" => Ok(Self::Numa),
            "package" => Ok(Self::Package),
            _ => Err(format!("`{word}` is none of auto, none, core, numa, package")),
        }
    }
}

/// Everything that is known of a node before its processes start.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// The node's name, for the log.
    pub node: String,
    /// The machine.
    pub topology: Topology,
    /// The affinity mask of each local rank in rank order, the scheduler's included.
    pub masks: Vec<Cpuset>,
    /// Where the scheduler runs.
    pub scheduler: SchedulerPlace,
    /// What the masks can be widened to, besides their union, where the launcher's default bound
    /// each rank to one core. None where the masks are somebody's wish.
    pub widest: Option<Cpuset>,
    /// CPU quota of the control group, in thousandths of a CPU.
    pub quota_millicpus: Option<u64>,
    /// `--bind`.
    pub bind: Bind,
    /// `--scheduler-cores`, where given.
    pub scheduler_cores: Option<u32>,
    /// `--threads`, where given.
    pub threads: Option<u32>,
    /// Memory of the node and how to limit it.
    pub memory: MemoryFacts,
}

impl NodeFacts {
    /// How many of the local ranks are workers.
    pub fn worker_count(&self) -> usize {
        match self.scheduler {
            SchedulerPlace::OwnRank => self.masks.len().saturating_sub(1),
            _ => self.masks.len(),
        }
    }

    /// The local rank of the worker with this index.
    pub fn rank_of_worker(&self, worker: usize) -> usize {
        worker + usize::from(self.scheduler == SchedulerPlace::OwnRank)
    }
}

/// One executor thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPlan {
    /// The CPUs it is bound to, or may use where its worker is unbound.
    pub cpus: Cpuset,
    /// The NUMA node (operating system number) of those CPUs: threads of one node share a
    /// queue.
    pub node: u32,
}

/// One worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerPlan {
    /// The CPUs of the process: its communication thread floats over them.
    pub cpus: Cpuset,
    /// Whether the process and its threads are to be bound.
    pub bound: bool,
    /// Its executor threads.
    pub threads: Vec<ThreadPlan>,
    /// NUMA nodes (operating system numbers) that its memory should come from, ascending.
    /// Empty where nothing is to be preferred.
    pub nodes: Vec<u32>,
    /// Bytes it may use; none = no limit.
    pub memory_limit_bytes: Option<u64>,
}

/// The scheduler process on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchedulerPlan {
    /// The CPUs it may use.
    pub cpus: Cpuset,
    /// Whether they are its own; otherwise it floats over the workers' CPUs.
    pub bound: bool,
}

/// What every process of a node gets, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlan {
    /// In rank order, without the scheduler's rank.
    pub workers: Vec<WorkerPlan>,
    /// Where the scheduler is a process of this node.
    pub scheduler: Option<SchedulerPlan>,
    /// Whether the plan is for the machine we run on. If not, nothing of it may be applied.
    pub applies: bool,
    /// One sentence per decision.
    pub reasons: Vec<String>,
    /// What wastes cores or surprises; to be said once.
    pub warnings: Vec<String>,
}

/// Decides who runs where.
pub fn plan(facts: &NodeFacts) -> NodePlan {
    let mut notes = Notes::default();
    let mut slots: Vec<Option<WorkerPlan>> = vec![None; facts.worker_count()];
    let mut scheduler = None;
    let shares = masks::shares(facts, &mut notes);
    let quota = binding_quota(facts, &shares);
    for share in &shares {
        let placed = place_share(facts, share, quota.is_some(), &mut slots, &mut notes);
        scheduler = scheduler.or(placed);
    }
    let mut workers: Vec<WorkerPlan> = slots.into_iter().flatten().collect();
    if let Some(quota) = quota {
        apply_quota(quota, &mut workers, &mut notes);
    }
    apply_threads(facts, &mut workers, &mut notes);
    let threads: Vec<usize> = workers.iter().map(|worker| worker.threads.len()).collect();
    let limits = worker_memory(&facts.memory, &threads);
    for (worker, limit) in workers.iter_mut().zip(limits) {
        worker.memory_limit_bytes = limit;
    }
    let Notes { reasons, warnings } = notes;
    NodePlan { workers, scheduler, applies: facts.topology.is_this_system(), reasons, warnings }
}

/// What is said about a plan while it is made.
#[derive(Default)]
struct Notes {
    reasons: Vec<String>,
    warnings: Vec<String>,
}

/// Places the ranks of one share: its workers into their slots, and the scheduler, if it is
/// one of them.
fn place_share(
    facts: &NodeFacts,
    share: &Share,
    has_quota: bool,
    slots: &mut [Option<WorkerPlan>],
    notes: &mut Notes,
) -> Option<SchedulerPlan> {
    let topology = &facts.topology;
    let workers: Vec<usize> = (0..slots.len())
        .filter(|&worker| share.ranks.contains(&facts.rank_of_worker(worker)))
        .collect();
    let mut cores = cores_in(topology, &share.cpus);
    let is_here = share.ranks.contains(&0)
        && matches!(facts.scheduler, SchedulerPlace::OwnRank | SchedulerPlace::SharedRank);
    let scheduler = is_here.then(|| {
        let wanted = wanted_cores(facts, cores.len(), workers.len(), has_quota, notes);
        let own = scheduler_cores(topology, share, &cores, wanted, notes);
        cores.retain(|core| !own.contains(core));
        let bound = !own.is_empty();
        let cpus = if bound { cpus_of(topology, &own, &share.cpus) } else { share.cpus.clone() };
        SchedulerPlan { cpus, bound }
    });
    if workers.len() > cores.len() {
        let (count, cores) = (workers.len(), cores.len());
        notes.warnings.push(format!(
            "{count} workers on {cores} core{}: each has 1 thread and none is bound; \
             {cores} or fewer would run without sharing cores",
            plural(cores)
        ));
        let any_core = &cores_in(topology, &share.cpus)[..1];
        for worker in workers {
            slots[worker] = Some(worker_on(facts, any_core, share, false));
        }
        return scheduler;
    }
    let parts = divide::divide(topology, &cores, workers.len());
    divide::explain(topology, &cores, workers.len(), notes);
    for (&worker, part) in workers.iter().zip(&parts) {
        slots[worker] = Some(worker_on(facts, part, share, facts.bind != Bind::None));
    }
    scheduler
}

/// How many of the share's cores the scheduler takes, 0 with the reason noted.
fn wanted_cores(
    facts: &NodeFacts,
    count: usize,
    workers: usize,
    has_quota: bool,
    notes: &mut Notes,
) -> usize {
    const LEAST: usize = CORES_FOR_A_SCHEDULER_CORE;
    let why_none = match facts.scheduler_cores {
        _ if workers == 0 => "no worker shares its cores".to_owned(),
        Some(0) => "as --scheduler-cores says".to_owned(),
        Some(wanted) => return (wanted as usize).min(count.saturating_sub(1)),
        None if facts.bind == Bind::None => "--bind none".to_owned(),
        None if has_quota => "a CPU quota is shared, not divided".to_owned(),
        None if count < LEAST => format!("{count} allowed cores are fewer than {LEAST}"),
        None if count <= workers => format!("{workers} workers need all {count} cores"),
        None => return 1,
    };
    notes.reasons.push(format!("the scheduler floats unbound: {why_none}"));
    0
}

/// The cores that the scheduler takes for itself: from the end of the network device's domain,
/// where there is one among ours, then from the end of the others.
fn scheduler_cores(
    topology: &Topology,
    share: &Share,
    cores: &[usize],
    wanted: usize,
    notes: &mut Notes,
) -> Vec<usize> {
    let network_domain = topology.network_domain();
    let near = |core: &&usize| Some(topology.cores()[**core].domain) == network_domain;
    let network = cores.iter().rev().filter(near);
    let others = cores.iter().rev().filter(|core| !near(core));
    let own: Vec<usize> = network.chain(others).take(wanted).copied().collect();
    if !own.is_empty() {
        let cpus = cpus_of(topology, &own, &share.cpus);
        let list: Cpuset = own.iter().map(|&core| core as u32).collect();
        notes.reasons.push(format!(
            "the scheduler takes core{} {list} (CPUs {cpus}) of {} allowed cores",
            plural(own.len()),
            cores.len()
        ));
    }
    own
}

/// A worker on these cores. Unbound it may use its whole share.
fn worker_on(facts: &NodeFacts, cores: &[usize], share: &Share, bound: bool) -> WorkerPlan {
    let topology = &facts.topology;
    let own = cpus_of(topology, cores, &share.cpus);
    let cpus = if bound { own.clone() } else { share.cpus.clone() };
    let threads = cores
        .iter()
        .map(|&core| {
            let core = &topology.cores()[core];
            let wide = match facts.bind {
                Bind::Auto | Bind::Core | Bind::None => core.cpus.clone(),
                Bind::Numa => topology.cpus_of_domain(core.domain),
                Bind::Package => topology
                    .cores()
                    .iter()
                    .filter(|other| other.package == core.package)
                    .fold(Cpuset::new(), |cpus, other| cpus.union(&other.cpus)),
            };
            let cpus = if bound { wide.intersection(&own) } else { cpus.clone() };
            ThreadPlan { cpus, node: topology.domains()[core.domain as usize].node }
        })
        .collect::<Vec<_>>();
    let mut nodes: Vec<u32> = threads.iter().map(|thread| thread.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    if !bound {
        nodes.clear();
    }
    WorkerPlan { cpus, bound, threads, nodes, memory_limit_bytes: None }
}

/// The quota, in thousandths of a CPU, where it and not the number of cores limits the node.
fn binding_quota(facts: &NodeFacts, shares: &[Share]) -> Option<u64> {
    let all = shares.iter().fold(Cpuset::new(), |all, share| all.union(&share.cpus));
    let cores = facts.topology.core_count(&all) as u64;
    facts.quota_millicpus.filter(|&quota| quota < cores * 1000)
}

/// A CPU quota caps the sum of threads and takes the binding away: the kernel throttles a
/// group over all of its CPUs, so that a thread tied to one core only waits longer.
fn apply_quota(quota: u64, workers: &mut [WorkerPlan], notes: &mut Notes) {
    let total = quota.div_ceil(1000);
    let weights: Vec<u64> = workers.iter().map(|worker| worker.threads.len() as u64).collect();
    for (worker, count) in workers.iter_mut().zip(in_proportion(total, &weights)) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        spread(worker, count.min(worker.threads.len()));
        unbind(worker);
    }
    notes.reasons.push(format!(
        "a CPU quota of {}.{:03} CPUs: {total} threads in all, not bound to cores",
        quota / 1000,
        quota % 1000
    ));
}

/// `--threads` overrules the number of cores.
fn apply_threads(facts: &NodeFacts, workers: &mut [WorkerPlan], notes: &mut Notes) {
    let Some(count) = facts.threads.map(|count| count.max(1) as usize) else { return };
    notes.reasons.push(format!("--threads: {count} thread{} per worker", plural(count)));
    let mut over = 0;
    for worker in workers {
        let cpus = worker.cpus.count();
        spread(worker, count);
        if count > cpus {
            unbind(worker);
            over = over.max(cpus);
        }
    }
    if over > 0 {
        notes.warnings.push(format!(
            "--threads {count} is more than the {over} CPU{} of a worker: its threads share \
             CPUs and are not bound",
            plural(over)
        ));
    }
}

/// Changes a worker's number of threads, spread evenly over the places of the old ones.
fn spread(worker: &mut WorkerPlan, count: usize) {
    let places = worker.threads.len();
    worker.threads = (0..count).map(|at| worker.threads[at * places / count].clone()).collect();
}

fn unbind(worker: &mut WorkerPlan) {
    worker.bound = false;
    for thread in &mut worker.threads {
        thread.cpus = worker.cpus.clone();
    }
}

/// `total` cut in proportion to the weights, each part at least 1; what is left over goes to
/// the largest remainders, earlier parts first.
fn in_proportion(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum = weights.iter().sum::<u64>().max(1);
    let mut parts: Vec<u64> = weights.iter().map(|weight| (total * weight / sum).max(1)).collect();
    let mut left = total.saturating_sub(parts.iter().sum());
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|&at| std::cmp::Reverse(total * weights[at] % sum));
    for at in by_remainder {
        if left == 0 {
            break;
        }
        parts[at] += 1;
        left -= 1;
    }
    parts
}

/// The cores that have a CPU in `cpus`, in logical order.
fn cores_in(topology: &Topology, cpus: &Cpuset) -> Vec<usize> {
    let all = topology.cores().iter().enumerate();
    all.filter(|(_, core)| !core.cpus.is_disjoint(cpus)).map(|(at, _)| at).collect()
}

/// The CPUs of these cores, as far as they are allowed.
fn cpus_of(topology: &Topology, cores: &[usize], allowed: &Cpuset) -> Cpuset {
    let cores = cores.iter().map(|&core| &topology.cores()[core].cpus);
    cores.fold(Cpuset::new(), |cpus, core| cpus.union(core)).intersection(allowed)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
