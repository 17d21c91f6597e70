//! The machine as its cores, L3 groups, NUMA domains and packages.
//!
//! Owns the one picture of a machine that the plan divides, whether it came from hwloc, from
//! /sys or from a description of a machine that is not there. Does not know masks, ranks or
//! limits. Invariant: cores stand in logical order, so that neighbours in the list are
//! neighbours in the machine, and every core has at least one CPU.

#[cfg(feature = "hwloc")]
mod hwloc;
mod synthetic;
mod sys;

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::cpuset::{Cpuset, CpusetError};

/// Where the picture comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// libhwloc, which also obeys `HWLOC_XMLFILE` and `HWLOC_SYNTHETIC`.
    Hwloc,
    /// The kernel's files under /sys.
    Sys,
    /// A description in hwloc's synthetic syntax.
    Synthetic,
    /// Another rank.
    Peer,
}

impl Source {
    /// The word that the program prints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hwloc => "hwloc",
            Self::Sys => "/sys",
            Self::Synthetic => "synthetic",
            Self::Peer => "peer",
        }
    }
}

/// Why there is no picture of the machine.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// A file under /sys that must be there cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file under /sys that cannot be understood.
    #[error("{path}: {source}")]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong with its list.
        source: CpusetError,
    },
    /// libhwloc refuses to load.
    #[error("hwloc cannot load the topology (is HWLOC_XMLFILE or HWLOC_SYNTHETIC wrong?)")]
    Hwloc,
    /// A synthetic description that cannot be understood.
    #[error("`{token}` in the synthetic topology `{description}`: {reason}")]
    Synthetic {
        /// The part at fault.
        token: String,
        /// The whole description.
        description: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// There is no CPU in it.
    #[error("the topology has no CPU")]
    Empty,
    /// A peer's byte form cannot be read.
    #[error("the byte form of a topology is damaged")]
    Damaged,
}

/// One physical core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// Its hardware threads (hwloc's PUs).
    pub cpus: Cpuset,
    /// Index of its L3 group.
    pub l3: u32,
    /// Index of its domain in [`Topology::domains`].
    pub domain: u32,
    /// Index of its package.
    pub package: u32,
}

/// A NUMA node that has CPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The NUMA node's number in the operating system.
    pub node: u32,
    /// Index of the package of its first core.
    pub package: u32,
}

/// One CPU and what it belongs to, by labels that only have to differ. What every source
/// delivers, in logical order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    cpu: u32,
    core: u32,
    l3: u32,
    node: u32,
    package: u32,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    rows: Vec<Row>,
    cores: Vec<Core>,
    domains: Vec<Domain>,
    memory_only_nodes: Vec<u32>,
    package_count: u32,
    l3_count: u32,
    network_domain: Option<u32>,
    is_this_system: bool,
    source: Source,
}

impl Topology {
    /// The machine we run on, by hwloc where the build has it, else by /sys. CPUs that our
    /// cgroup forbids are in it: other ranks of the node may own them.
    ///
    /// # Errors
    /// hwloc that cannot load what its variables name, or /sys that cannot be read.
    pub fn discover() -> Result<Self, TopologyError> {
        #[cfg(feature = "hwloc")]
        let mut topology = hwloc::load()?;
        #[cfg(not(feature = "hwloc"))]
        let mut topology = sys::load(Path::new("/sys"))?;
        if topology.is_this_system {
            let node = sys::network_node(Path::new("/sys"));
            topology.network_domain = node.and_then(|node| topology.domain_of_node(node));
        }
        Ok(topology)
    }

    /// The machine under another root than /sys, for machines whose files were saved.
    ///
    /// # Errors
    /// A file that must be there is missing or makes no sense.
    pub fn from_sys(root: &Path) -> Result<Self, TopologyError> {
        sys::load(root)
    }

    /// A machine that is not there, in hwloc's synthetic syntax: `pack:2 numa:4 core:16 pu:2`.
    ///
    /// # Errors
    /// The part that cannot be understood.
    pub fn synthetic(description: &str) -> Result<Self, TopologyError> {
        synthetic::parse(description)
    }

    /// The cores in logical order.
    pub fn cores(&self) -> &[Core] {
        &self.cores
    }

    /// The NUMA nodes that have CPUs, in logical order.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Operating system numbers of NUMA nodes that hold memory only (HBM, CXL).
    pub fn memory_only_nodes(&self) -> &[u32] {
        &self.memory_only_nodes
    }

    /// How many packages (sockets) there are.
    pub fn package_count(&self) -> u32 {
        self.package_count
    }

    /// How many L3 caches there are; each core counts to one.
    pub fn l3_count(&self) -> u32 {
        self.l3_count
    }

    /// The domain next to the network device, where the machine tells.
    pub fn network_domain(&self) -> Option<u32> {
        self.network_domain
    }

    /// Whether it is the machine we run on. If not, nothing may be bound by it.
    pub fn is_this_system(&self) -> bool {
        self.is_this_system
    }

    /// Where the picture comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Every CPU.
    pub fn cpus(&self) -> Cpuset {
        self.rows.iter().map(|row| row.cpu).collect()
    }

    /// How many cores have at least one CPU in `cpus`.
    pub fn core_count(&self, cpus: &Cpuset) -> usize {
        self.cores.iter().filter(|core| !core.cpus.is_disjoint(cpus)).count()
    }

    /// The logical numbers of the cores that have at least one CPU in `cpus`.
    pub fn core_numbers(&self, cpus: &Cpuset) -> Cpuset {
        let here = (0u32..).zip(&self.cores).filter(|(_, core)| !core.cpus.is_disjoint(cpus));
        here.map(|(number, _)| number).collect()
    }

    /// The CPUs of the cores with these logical numbers; unknown numbers have none.
    pub fn cpus_of_cores(&self, numbers: &Cpuset) -> Cpuset {
        let here = (0u32..).zip(&self.cores).filter(|(number, _)| numbers.contains(*number));
        here.fold(Cpuset::new(), |cpus, (_, core)| cpus.union(&core.cpus))
    }

    /// The CPUs of the domain with this index.
    pub fn cpus_of_domain(&self, domain: u32) -> Cpuset {
        let here = self.cores.iter().filter(|core| core.domain == domain);
        here.fold(Cpuset::new(), |cpus, core| cpus.union(&core.cpus))
    }

    /// How many domains have a CPU in `cpus`.
    pub fn domain_count(&self, cpus: &Cpuset) -> usize {
        let mut domains: Vec<u32> = self
            .cores
            .iter()
            .filter(|core| !core.cpus.is_disjoint(cpus))
            .map(|core| core.domain)
            .collect();
        domains.sort_unstable();
        domains.dedup();
        domains.len()
    }

    /// Appends the byte form for another rank: 12 bytes a CPU, 3 KiB for 256 CPUs.
    ///
    /// Layout, little endian: u32 rows, u16 memory-only nodes, u16 network domain (65,535 =
    /// none), u8 is-this-system; per node u32; per row u32 CPU and u16 core, L3, node, package.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let short = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).to_le_bytes();
        out.extend((self.rows.len() as u32).to_le_bytes());
        out.extend(short(self.memory_only_nodes.len() as u32));
        out.extend(short(self.network_domain.unwrap_or(u32::MAX)));
        out.push(u8::from(self.is_this_system));
        self.memory_only_nodes.iter().for_each(|node| out.extend(node.to_le_bytes()));
        for row in &self.rows {
            out.extend(row.cpu.to_le_bytes());
            for label in [row.core, row.l3, row.node, row.package] {
                out.extend(short(label));
            }
        }
    }

    /// Reads the byte form from the front of `bytes` and moves past it.
    ///
    /// # Errors
    /// [`TopologyError::Damaged`] where the bytes end early or hold no machine.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, TopologyError> {
        let row_count = u32::from_le_bytes(take(bytes)?);
        let node_count = u16::from_le_bytes(take(bytes)?);
        let network = u16::from_le_bytes(take(bytes)?);
        let [here] = take::<1>(bytes)?;
        let mut nodes = Vec::new();
        for _ in 0..node_count {
            nodes.push(u32::from_le_bytes(take(bytes)?));
        }
        let mut rows = Vec::new();
        for _ in 0..row_count {
            let cpu = u32::from_le_bytes(take(bytes)?);
            let mut label = || take::<2>(bytes).map(|it| u32::from(u16::from_le_bytes(it)));
            let (core, l3, node, package) = (label()?, label()?, label()?, label()?);
            rows.push(Row { cpu, core, l3, node, package });
        }
        let mut topology = Self::from_rows(rows, nodes, Source::Peer)?;
        topology.is_this_system = here == 1;
        let known = |domain: &u32| (*domain as usize) < topology.domains.len();
        topology.network_domain = Some(u32::from(network)).filter(known);
        Ok(topology)
    }

    /// Numbers the labels in the order in which they first appear.
    fn from_rows(
        rows: Vec<Row>,
        memory_only_nodes: Vec<u32>,
        source: Source,
    ) -> Result<Self, TopologyError> {
        if rows.is_empty() {
            return Err(TopologyError::Empty);
        }
        let (mut packages, mut l3s, mut core_labels) = (Vec::new(), Vec::new(), Vec::new());
        let (mut cores, mut domains): (Vec<Core>, Vec<Domain>) = (Vec::new(), Vec::new());
        let mut nodes = Vec::new();
        for row in &rows {
            let package = index_of(&mut packages, row.package);
            let l3 = index_of(&mut l3s, row.l3);
            let domain = index_of(&mut nodes, row.node);
            if domain as usize == domains.len() {
                domains.push(Domain { node: row.node, package });
            }
            let core = index_of(&mut core_labels, row.core) as usize;
            if core == cores.len() {
                cores.push(Core { cpus: Cpuset::new(), l3, domain, package });
            }
            cores[core].cpus.insert(row.cpu);
        }
        Ok(Self {
            cores,
            domains,
            memory_only_nodes,
            package_count: packages.len() as u32,
            l3_count: l3s.len() as u32,
            network_domain: None,
            is_this_system: matches!(source, Source::Hwloc | Source::Sys),
            source,
            rows,
        })
    }

    fn domain_of_node(&self, node: u32) -> Option<u32> {
        (0u32..).zip(&self.domains).find(|(_, domain)| domain.node == node).map(|(at, _)| at)
    }
}

fn index_of(labels: &mut Vec<u32>, label: u32) -> u32 {
    // The label asked for is nearly always the newest one: search from the end.
    let at = labels.iter().rposition(|&known| known == label).unwrap_or_else(|| {
        labels.push(label);
        labels.len() - 1
    });
    at as u32
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], TopologyError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(TopologyError::Damaged)?;
    *bytes = rest;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_at_least_what_the_kernel_lets_us_use() {
        let topology = Topology::discover().unwrap();
        let mask = crate::pinning::current_mask().unwrap();
        if topology.is_this_system() {
            assert!(mask.is_subset(&topology.cpus()), "{mask} of {}", topology.cpus());
        }
        assert!(!topology.cores().is_empty());
    }

    #[test]
    fn hwloc_and_sys_see_the_same_machine() {
        let (one, other) = (Topology::discover().unwrap(), Topology::from_sys(Path::new("/sys")));
        if one.is_this_system() {
            let other = other.unwrap();
            assert_eq!(one.cores(), other.cores());
            assert_eq!(one.domains(), other.domains());
        }
    }

    #[test]
    fn the_byte_form_brings_everything_back() {
        let topology = Topology::synthetic("pack:2 [numa] [numa] l3:2 core:4 pu:2").unwrap();
        let mut bytes = Vec::new();
        topology.encode(&mut bytes);
        bytes.push(7);
        let mut rest = &bytes[..];
        let copy = Topology::decode(&mut rest).unwrap();
        assert_eq!(rest, [7]);
        assert_eq!(copy.cores(), topology.cores());
        assert_eq!(copy.domains(), topology.domains());
        assert_eq!(copy.memory_only_nodes(), topology.memory_only_nodes());
        assert!(!copy.is_this_system());
        for len in 0..bytes.len() - 1 {
            assert!(Topology::decode(&mut &bytes[..len]).is_err(), "{len} bytes");
        }
    }
}
