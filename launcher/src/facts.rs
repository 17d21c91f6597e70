//! What each rank knows of its host, and every other rank must learn before the plan is made.
//!
//! `HostFacts` is gathered from all ranks in one blob of a fixed layout (≤ 64 KiB). The machine's
//! topology is not in it: only the first rank of each node reads that, after the gathering has told
//! which rank is first. Two ranks are on the same *machine* when their kernels' boot ids agree, and
//! can share memory and sockets when their network namespaces agree too; host names prove nothing.

use crate::layout::{LayoutError, Put, Take};
use crate::{limits, pinning};
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileExt, MetadataExt};

/// Number of this layout.
const VERSION: u32 = 1;
/// Longest blob of one rank, bytes.
pub const MAX_BLOB_BYTES: usize = 64 << 10;

/// An address of this host that other hosts may reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its device.
    pub name: String,
    /// The address.
    pub ip: IpAddr,
}

/// What one rank knows of its host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostFacts {
    /// Host name, for messages only.
    pub host: String,
    /// Boot id of the kernel: equal means same machine.
    pub machine: String,
    /// Inode of its network namespace.
    pub network_namespace: u64,
    /// CPUs that the rank may use.
    pub mask: Vec<u32>,
    /// What the mask can be widened to, where it is not the user's wish.
    pub widest: Option<Vec<u32>>,
    /// Quota of the control group in thousandths of a CPU.
    pub quota_millicpus: Option<u64>,
    /// What the node lets us use, in bytes.
    pub memory_bytes: Option<u64>,
    /// Addresses, best first.
    pub interfaces: Vec<Interface>,
    /// Identity of the executable.
    pub build_id: u64,
    /// What is wrong with this rank's configuration, as rank 0 shall print it; empty: nothing.
    pub fault: String,
}

impl HostFacts {
    /// Looks at this host; its addresses are told by the caller, best first.
    #[must_use]
    pub fn of_this_process(interfaces: Vec<Interface>) -> Self {
        let trimmed = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let uname = rustix::system::uname();
        let cpus = |set: crate::cpuset::Cpuset| set.iter().collect::<Vec<u32>>();
        Self {
            host: uname.nodename().to_string_lossy().into_owned(),
            machine: trimmed("/proc/sys/kernel/random/boot_id"),
            network_namespace: std::fs::metadata("/proc/self/ns/net").map_or(0, |m| m.ino()),
            mask: pinning::current_mask().map(cpus).unwrap_or_default(),
            widest: pinning::widest_mask().ok().map(cpus),
            quota_millicpus: limits::cpu_quota_millicpus(),
            memory_bytes: limits::node_memory_bytes(),
            interfaces,
            build_id: build_id().unwrap_or(0),
            fault: String::new(),
        }
    }

    /// Whether both may open the same sockets and share memory by name of a process.
    #[must_use]
    pub fn shares_sockets_with(&self, other: &Self) -> bool {
        self.machine == other.machine && self.network_namespace == other.network_namespace
    }

    /// The blob.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.u32(VERSION);
        put.u64(self.build_id);
        put.text(&self.host);
        put.text(&self.machine);
        put.u64(self.network_namespace);
        put_cpus(&mut put, &self.mask);
        put.u8(self.widest.is_some().into());
        put_cpus(&mut put, self.widest.as_deref().unwrap_or_default());
        put_option(&mut put, self.quota_millicpus);
        put_option(&mut put, self.memory_bytes);
        put.text(&self.fault);
        put.count(self.interfaces.len());
        for interface in &self.interfaces {
            put.text(&interface.name);
            put.addresses(&[SocketAddr::new(interface.ip, 0)]);
        }
        put.0
    }

    /// Reads a blob.
    ///
    /// # Errors
    /// When it is too long, of another version, or not such a blob.
    pub fn decode(blob: &[u8]) -> Result<Self, LayoutError> {
        if blob.len() > MAX_BLOB_BYTES {
            return Err(LayoutError::Wrong { field: "length of host facts" });
        }
        let mut take = Take::new(blob);
        if take.u32("version")? != VERSION {
            return Err(LayoutError::Wrong { field: "version of host facts" });
        }
        let build_id = take.u64("build id")?;
        let host = take.text("host")?;
        let machine = take.text("boot id")?;
        let network_namespace = take.u64("network namespace")?;
        let mask = take_cpus(&mut take)?;
        let has_widest = take.bool("widest mask")?;
        let widest = Some(take_cpus(&mut take)?).filter(|_| has_widest);
        let quota_millicpus = take_option(&mut take)?;
        let memory_bytes = take_option(&mut take)?;
        let fault = take.text("fault")?;
        let count = take.count(26, "interfaces")?;
        let interface = |_| {
            let name = take.text("interface")?;
            let addresses = take.addresses("interface's address")?;
            let [address] = addresses[..] else {
                return Err(LayoutError::Wrong { field: "interface's address" });
            };
            Ok(Interface { name, ip: address.ip() })
        };
        let interfaces = (0..count).map(interface).collect::<Result<_, _>>()?;
        take.end()?;
        Ok(Self {
            host,
            machine,
            network_namespace,
            mask,
            widest,
            quota_millicpus,
            memory_bytes,
            fault,
            interfaces,
            build_id,
        })
    }
}

/// CPUs as ranges: first and last of each run, since machines have hundreds.
fn put_cpus(put: &mut Put, cpus: &[u32]) {
    let mut runs: Vec<u32> = Vec::new();
    for cpu in cpus {
        match runs.last_mut() {
            Some(last) if *last + 1 == *cpu => *last = *cpu,
            _ => runs.extend([*cpu, *cpu]),
        }
    }
    put.u32s(&runs);
}

fn take_cpus(take: &mut Take<'_>) -> Result<Vec<u32>, LayoutError> {
    let runs = take.u32s("cpus")?;
    let mut cpus = Vec::new();
    for run in runs.chunks(2) {
        let [first, last] = *run else { return Err(LayoutError::Wrong { field: "cpus" }) };
        if first > last || last >= crate::cpuset::CPU_NUMBER_LIMIT {
            return Err(LayoutError::Wrong { field: "cpus" });
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

fn put_option(put: &mut Put, value: Option<u64>) {
    put.u8(value.is_some().into());
    put.u64(value.unwrap_or(0));
}

fn take_option(take: &mut Take<'_>) -> Result<Option<u64>, LayoutError> {
    let is_some = take.bool("presence")?;
    let value = take.u64("number")?;
    Ok(is_some.then_some(value))
}

/// Tells two builds apart: the length of the executable and 64 samples of it. Reading all of it
/// would cost every rank more than MPI does.
fn build_id() -> io::Result<u64> {
    const SAMPLES: u64 = 64;
    const SAMPLE_BYTES: u64 = 4096;
    let file = File::open("/proc/self/exe")?;
    let len = file.metadata()?.len();
    let mut hash = mix(0x9e37_79b9_7f4a_7c15, len);
    let mut sample = vec![0; 4096];
    for index in 0..SAMPLES {
        let offset = len.saturating_sub(SAMPLE_BYTES) / (SAMPLES - 1) * index;
        let read = file.read_at(&mut sample, offset)?;
        for word in sample[..read].as_chunks::<8>().0 {
            hash = mix(hash, u64::from_le_bytes(*word));
        }
    }
    Ok(hash)
}

fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_survives_its_blob() {
        let interface = Interface { name: "ib0".to_owned(), ip: [192, 0, 2, 1].into() };
        let facts = HostFacts::of_this_process(vec![interface]);
        assert!(!facts.mask.is_empty() && !facts.machine.is_empty());
        assert_ne!(facts.build_id, 0);
        let blob = facts.encode();
        assert!(blob.len() <= MAX_BLOB_BYTES);
        assert_eq!(HostFacts::decode(&blob).unwrap(), facts);
        for len in 0..blob.len() {
            assert!(HostFacts::decode(&blob[..len]).is_err(), "{len} bytes were enough");
        }
    }

    #[test]
    fn another_version_is_refused() {
        let mut blob = HostFacts::default().encode();
        blob[0] += 1;
        let wrong = LayoutError::Wrong { field: "version of host facts" };
        assert_eq!(HostFacts::decode(&blob), Err(wrong));
    }

    #[test]
    fn cpus_travel_as_runs() {
        let facts = HostFacts { mask: (0..256).chain(512..768).collect(), ..HostFacts::default() };
        let blob = facts.encode();
        assert!(blob.len() < 150, "{}", blob.len());
        assert_eq!(HostFacts::decode(&blob).unwrap().mask, facts.mask);
    }

    #[test]
    fn only_the_same_kernel_and_network_share_sockets() {
        let host = |machine: &str, network_namespace| HostFacts {
            machine: machine.to_owned(),
            network_namespace,
            ..HostFacts::default()
        };
        assert!(host("a", 1).shares_sockets_with(&host("a", 1)));
        assert!(!host("a", 1).shares_sockets_with(&host("a", 2)));
        assert!(!host("a", 1).shares_sockets_with(&host("b", 1)));
    }
}
