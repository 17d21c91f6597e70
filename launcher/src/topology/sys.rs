//! The machine as the kernel shows it under /sys.
//!
//! Serves builds without hwloc, and finds the network device's NUMA node for both. Reads under
//! a root that tests choose. Invariant: only online CPUs are in it, ordered by package, node,
//! L3 and core, each by its lowest CPU, as hwloc orders them.

use std::path::{Path, PathBuf};

use super::{Row, Source, Topology, TopologyError};
use crate::cpuset::Cpuset;

/// Reads the machine below `root`, which is /sys on a real one.
pub(super) fn load(root: &Path) -> Result<Topology, TopologyError> {
    let cpus = root.join("devices/system/cpu");
    let online = required_list(&cpus.join("online"))?;
    let nodes = nodes(root)?;
    let packages = online.iter().map(|cpu| package_id(&cpus, cpu)).collect::<Vec<_>>();
    let lowest = |id: i64| online.iter().zip(&packages).find(|(_, other)| **other == id);
    let mut rows = Vec::new();
    for (cpu, &id) in online.iter().zip(&packages) {
        let folder = cpus.join(format!("cpu{cpu}"));
        let package = lowest(id).map_or(cpu, |(first, _)| first);
        let siblings = first_list(&[
            folder.join("topology/core_cpus_list"),
            folder.join("topology/thread_siblings_list"),
        ])?;
        let core = siblings.and_then(|set| set.intersection(&online).first()).unwrap_or(cpu);
        let l3 = l3_cpus(&folder)?.and_then(|set| set.intersection(&online).first());
        let home = nodes.iter().find(|(_, cpus)| cpus.contains(cpu));
        let (node, node_first) = home.map_or((0, 0), |(node, cpus)| {
            (*node, cpus.intersection(&online).first().unwrap_or(cpu))
        });
        let row = Row { cpu, core, l3: l3.unwrap_or(package), node, package };
        rows.push(((package, node_first, row.l3, core, cpu), row));
    }
    rows.sort_unstable_by_key(|(place, _)| *place);
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    let memory_only = nodes.iter().filter(|(_, cpus)| cpus.is_disjoint(&online));
    Topology::from_rows(rows, memory_only.map(|(node, _)| *node).collect(), Source::Sys)
}

/// The NUMA node of the network: of the first InfiniBand device, else of the first interface
/// whose device says where it is.
pub(super) fn network_node(root: &Path) -> Option<u32> {
    ["class/infiniband", "class/net"].iter().find_map(|class| {
        let mut names: Vec<PathBuf> =
            std::fs::read_dir(root.join(class)).ok()?.flatten().map(|entry| entry.path()).collect();
        names.sort();
        names.iter().find_map(|device| {
            let node = std::fs::read_to_string(device.join("device/numa_node")).ok()?;
            node.trim().parse().ok()
        })
    })
}

/// Every NUMA node with its CPUs, ascending. A kernel without NUMA has none.
fn nodes(root: &Path) -> Result<Vec<(u32, Cpuset)>, TopologyError> {
    let folder = root.join("devices/system/node");
    let online = optional_list(&folder.join("online"))?.unwrap_or_default();
    let cpus = |node| required_list(&folder.join(format!("node{node}/cpulist")));
    online.iter().map(|node| Ok((node, cpus(node)?))).collect()
}

/// The CPUs that share this CPU's L3 cache.
fn l3_cpus(cpu: &Path) -> Result<Option<Cpuset>, TopologyError> {
    // A CPU has at most a handful of cache levels; 16 is beyond all of them.
    for index in 0..16 {
        let cache = cpu.join(format!("cache/index{index}"));
        let Ok(level) = std::fs::read_to_string(cache.join("level")) else { return Ok(None) };
        if level.trim() == "3" {
            return optional_list(&cache.join("shared_cpu_list"));
        }
    }
    Ok(None)
}

/// -1 on machines that do not number their packages, which then are one.
fn package_id(cpus: &Path, cpu: u32) -> i64 {
    let path = cpus.join(format!("cpu{cpu}/topology/physical_package_id"));
    std::fs::read_to_string(path).ok().and_then(|id| id.trim().parse().ok()).unwrap_or(-1)
}

fn first_list(paths: &[PathBuf]) -> Result<Option<Cpuset>, TopologyError> {
    for path in paths {
        if let Some(set) = optional_list(path)? {
            return Ok(Some(set));
        }
    }
    Ok(None)
}

fn optional_list(path: &Path) -> Result<Option<Cpuset>, TopologyError> {
    match required_list(path) {
        Err(TopologyError::Read { .. }) => Ok(None),
        other => other.map(Some),
    }
}

fn required_list(path: &Path) -> Result<Cpuset, TopologyError> {
    let list = std::fs::read_to_string(path)
        .map_err(|source| TopologyError::Read { path: path.to_owned(), source })?;
    list.parse().map_err(|source| TopologyError::List { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the files of a machine with two packages, a node and an L3 each, two cores of two
    /// hardware threads per package numbered as Linux does (0-3, then the siblings 4-7), and a
    /// third node with memory only.
    fn machine(root: &Path) {
        let write = |path: String, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("devices/system/cpu/online".into(), "0-7\n");
        for cpu in 0..8 {
            let folder = format!("devices/system/cpu/cpu{cpu}");
            let package = cpu % 4 / 2;
            write(format!("{folder}/topology/physical_package_id"), &format!("{package}\n"));
            let core = cpu % 4;
            write(format!("{folder}/topology/core_cpus_list"), &format!("{core},{}\n", core + 4));
            write(format!("{folder}/cache/index0/level"), "1\n");
            write(format!("{folder}/cache/index1/level"), "3\n");
            let l3 = ["0-1,4-5\n", "2-3,6-7\n"][package];
            write(format!("{folder}/cache/index1/shared_cpu_list"), l3);
        }
        write("devices/system/node/online".into(), "0-2\n");
        write("devices/system/node/node0/cpulist".into(), "0-1,4-5\n");
        write("devices/system/node/node1/cpulist".into(), "2-3,6-7\n");
        write("devices/system/node/node2/cpulist".into(), "\n");
        write("class/net/eth0/device/numa_node".into(), "-1\n");
        write("class/net/ib0/device/numa_node".into(), "1\n");
    }

    #[test]
    fn packages_nodes_caches_and_siblings_are_found() {
        let root = tempfile::tempdir().unwrap();
        machine(root.path());
        let topology = load(root.path()).unwrap();
        let cores: Vec<String> =
            topology.cores().iter().map(|core| core.cpus.to_string()).collect();
        assert_eq!(cores, ["0,4", "1,5", "2,6", "3,7"]);
        assert_eq!(topology.domains().len(), 2);
        assert_eq!(topology.package_count(), 2);
        assert_eq!(topology.l3_count(), 2);
        assert_eq!(topology.memory_only_nodes(), [2]);
        assert_eq!(network_node(root.path()), Some(1));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let root = tempfile::tempdir().unwrap();
        assert!(load(root.path()).unwrap_err().to_string().contains("cpu/online"));
        machine(root.path());
        std::fs::write(root.path().join("devices/system/node/node1/cpulist"), "x\n").unwrap();
        let fault = load(root.path()).unwrap_err().to_string();
        assert!(fault.contains("node1/cpulist"), "{fault}");
        assert_eq!(network_node(Path::new("/nonexistent")), None);
    }

    #[test]
    fn a_kernel_that_tells_only_which_cpus_are_online_is_one_domain() {
        let root = tempfile::tempdir().unwrap();
        let cpus = root.path().join("devices/system/cpu");
        std::fs::create_dir_all(&cpus).unwrap();
        std::fs::write(cpus.join("online"), "0-3").unwrap();
        let topology = load(root.path()).unwrap();
        assert_eq!((topology.domains().len(), topology.cores().len()), (1, 4));
    }
}
