//! The machine as libhwloc sees it.
//!
//! The only file that names the crate `hwloc2`. That crate reaches neither the NUMA level (it
//! has a virtual depth) nor I/O objects, so the domains come from the node set of each PU and
//! the network device from /sys. Invariant: nothing of hwloc's leaves this file.

use std::collections::BTreeMap;

use hwloc2::{CpuSet, ObjectType, TopologyFlag, TopologyObject};

use super::{Row, Source, Topology, TopologyError};
use crate::cpuset::{CPU_NUMBER_LIMIT, Cpuset};

/// Loads the topology, CPUs that our cgroup forbids included.
pub(super) fn load() -> Result<Topology, TopologyError> {
    let topology = hwloc2::Topology::with_flags(vec![TopologyFlag::IncludeDisallowed])
        .ok_or(TopologyError::Hwloc)?;
    let pus = topology.objects_with_type(&ObjectType::PU).map_err(|_| TopologyError::Hwloc)?;
    let nodes_of: Vec<Cpuset> = pus.iter().map(|pu| set_of(pu.nodeset())).collect();
    let (main_node, memory_only) = split_nodes(&nodes_of);
    let rows = pus.iter().zip(&nodes_of).map(|(pu, nodes)| Row {
        cpu: pu.os_index(),
        core: ancestor(pu, &ObjectType::Core).unwrap_or(pu.logical_index()),
        // Where a machine has no L3, the package is the next thing that its cores share.
        l3: ancestor(pu, &ObjectType::L3Cache)
            .or_else(|| ancestor(pu, &ObjectType::Package))
            .unwrap_or(0),
        node: main_node.get(nodes).copied().unwrap_or(0),
        package: ancestor(pu, &ObjectType::Package).unwrap_or(0),
    });
    let mut found = Topology::from_rows(rows.collect(), memory_only, Source::Hwloc)?;
    // hwloc offers binding only for the machine it runs on.
    found.is_this_system = topology.support().cpu().set_current_process();
    Ok(found)
}

/// CPUs with the same set of local nodes are one domain. Its node is the lowest that no larger
/// set of CPUs shares; the others (HBM beside DDR, memory behind CXL) hold memory only.
fn split_nodes(nodes_of: &[Cpuset]) -> (BTreeMap<Cpuset, u32>, Vec<u32>) {
    let users = |node: u32| nodes_of.iter().filter(|nodes| nodes.contains(node)).count();
    let mut main_node = BTreeMap::new();
    for nodes in nodes_of {
        let nearest = || nodes.iter().min_by_key(|&node| (users(node), node)).unwrap_or(0);
        main_node.entry(nodes.clone()).or_insert_with(nearest);
    }
    let all = nodes_of.iter().fold(Cpuset::new(), |all, nodes| all.union(nodes));
    let used: Cpuset = main_node.values().copied().collect();
    let memory_only = all.difference(&used).iter().collect();
    (main_node, memory_only)
}

/// Logical index of the nearest ancestor of this type.
fn ancestor(object: &TopologyObject, wanted: &ObjectType) -> Option<u32> {
    let mut parent = object.parent();
    while let Some(object) = parent {
        if object.object_type() == *wanted {
            return Some(object.logical_index());
        }
        parent = object.parent();
    }
    None
}

/// hwloc's set as ours. A set without an end ("all there is") comes out empty.
fn set_of(set: Option<CpuSet>) -> Cpuset {
    let finite = set.filter(|set| set.weight() >= 0);
    finite
        .map(|set| set.into_iter().filter(|&at| at < CPU_NUMBER_LIMIT).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hbm_beside_ddr_is_no_domain_of_its_own() {
        let nodes = |list: &str| list.parse::<Cpuset>().unwrap();
        // Two domains of two CPUs; node 2 and 3 are the HBM of each, node 4 serves all.
        let of = [nodes("0,2,4"), nodes("0,2,4"), nodes("1,3,4"), nodes("1,3,4")];
        let (main, memory_only) = split_nodes(&of);
        assert_eq!(main.values().copied().collect::<Vec<_>>(), [0, 1]);
        assert_eq!(memory_only, [2, 3, 4]);
    }
}
