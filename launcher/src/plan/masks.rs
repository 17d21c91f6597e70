//! What the launcher's affinity masks mean: a wish, its default, or nothing.
//!
//! Turns the masks of a node's ranks into shares: sets of CPUs and the ranks that divide each.
//! Invariant: every rank is in exactly one share, every share has a CPU that the machine knows,
//! and shares do not overlap, unless `--bind none` keeps masks that do.

use super::{Bind, NodeFacts, Notes, SchedulerPlace, plural};
use crate::cpuset::Cpuset;

/// CPUs, and the local ranks that divide them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) cpus: Cpuset,
    pub(super) ranks: Vec<usize>,
}

/// The shares of a node, in the order of their lowest rank.
pub(super) fn shares(facts: &NodeFacts, notes: &mut Notes) -> Vec<Share> {
    let machine = facts.topology.cpus();
    let known = |mask: &Cpuset| {
        let known = mask.intersection(&machine);
        // A mask that the picture of the machine does not know says nothing.
        if known.is_empty() { machine.clone() } else { known }
    };
    let masks: Vec<Cpuset> = facts.masks.iter().map(known).collect();
    if let Some(cpus) = widened(facts, &masks, notes) {
        return vec![Share { cpus, ranks: (0..masks.len()).collect() }];
    }
    let shares = overlapping(&masks);
    explain(facts, &shares, notes);
    shares
}

/// One core per rank is the default of Open MPI (up to two ranks) and of srun, and nobody's
/// wish: use what the masks can be widened to.
fn widened(facts: &NodeFacts, masks: &[Cpuset], notes: &mut Notes) -> Option<Cpuset> {
    let widest = facts.widest.as_ref()?.intersection(&facts.topology.cpus());
    let all = masks.iter().fold(widest, |all, mask| all.union(mask));
    let count = |cpus: &Cpuset| facts.topology.core_count(cpus);
    let bound_to_one = masks.iter().all(|mask| count(mask) == 1);
    if !bound_to_one || masks.is_empty() || count(&all) == 1 {
        return None;
    }
    if facts.bind == Bind::None {
        notes.reasons.push("the launcher bound each rank to 1 core; --bind none keeps it".into());
        return None;
    }
    let (cores, workers) = (count(&all), facts.worker_count());
    notes.reasons.push(format!(
        "launcher bound ranks to 1 core; using {cores} cores of {} for {workers} worker{} \
         (set --bind none to keep it)",
        facts.node,
        plural(workers)
    ));
    Some(all)
}

/// Ranks whose masks overlap, directly or through others, share; disjoint masks are a
/// partition that the launcher made, and stay.
fn overlapping(masks: &[Cpuset]) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for (rank, mask) in masks.iter().enumerate() {
        let (touched, apart): (Vec<_>, Vec<_>) =
            shares.into_iter().partition(|share| !share.cpus.is_disjoint(mask));
        let mut merged = Share { cpus: mask.clone(), ranks: vec![rank] };
        for share in touched {
            merged.cpus = merged.cpus.union(&share.cpus);
            merged.ranks.extend(share.ranks);
        }
        merged.ranks.sort_unstable();
        shares = apart;
        shares.push(merged);
    }
    shares.sort_by_key(|share| share.ranks.first().copied());
    shares
}

fn explain(facts: &NodeFacts, shares: &[Share], notes: &mut Notes) {
    let ranks = facts.masks.len();
    let cores = |share: &Share| facts.topology.core_count(&share.cpus);
    match shares {
        [only] if facts.scheduler == SchedulerPlace::SameProcess => notes.reasons.push(format!(
            "one rank: scheduler and worker in one process on all {} allowed core{}",
            cores(only),
            plural(cores(only))
        )),
        [only] => notes.reasons.push(format!(
            "the {ranks} local rank{} may use the same {} core{}: divided among {} worker{}",
            plural(ranks),
            cores(only),
            plural(cores(only)),
            facts.worker_count(),
            plural(facts.worker_count())
        )),
        _ => notes.reasons.push(format!(
            "the launcher gave the {ranks} local ranks {} separate masks: each is kept",
            shares.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Open MPI binds two ranks of a machine of two cores to one each: the worker gets both.
    #[test]
    fn single_cores_that_are_the_whole_machine_are_shared() {
        let masks = ["0", "1"].map(|cpu| cpu.parse::<Cpuset>().unwrap());
        let facts = NodeFacts {
            node: "n".to_owned(),
            topology: crate::topology::Topology::synthetic("core:2 pu:1").unwrap(),
            masks: masks.to_vec(),
            scheduler: SchedulerPlace::OwnRank,
            widest: Some("0-1".parse().unwrap()),
            quota_millicpus: None,
            bind: Bind::Auto,
            scheduler_cores: None,
            threads: None,
            memory: crate::limits::MemoryFacts::default(),
        };
        let plan = crate::plan::plan(&facts);
        assert_eq!(plan.workers.len(), 1);
        assert_eq!(plan.workers[0].threads.len(), 2, "{plan:?}");
    }

    #[test]
    fn chains_of_overlaps_are_one_share() {
        let set = |list: &str| list.parse::<Cpuset>().unwrap();
        let shares = overlapping(&[set("0-1"), set("4-5"), set("1-2"), set("2,4"), set("8")]);
        let expected = [
            Share { cpus: set("0-2,4-5"), ranks: vec![0, 1, 2, 3] },
            Share { cpus: set("8"), ranks: vec![4] },
        ];
        assert_eq!(shares, expected);
    }
}
