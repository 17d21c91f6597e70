//! Memory and processors that a job gets: control groups, limits, huge pages, shared memory, and
//! who may read whose memory.

use super::machine::Machine;
use super::mounts::Mounts;
use super::{Finding, bytes_in_words};
use rdask_launcher::limits;

const KERNEL: &str = "what the job shares among its workers";
const MEMORY_GROUP: &str = "the kernel ends a process when its group is over this; workers' limits \
                            (--memory-limit) are taken from it";
const CPU_GROUP: &str = "more threads than the quota are stopped for a part of each period";
const MEMLOCK: &str = "InfiniBand registers memory by locking it; UCX falls back to TCP where it \
                       may not";
const OPEN_FILES: &str = "a worker has a socket to each peer and a descriptor for each segment";
const HUGE_PAGES: &str = "large results in huge pages cost fewer faults and misses of the TLB; \
                          without a pool, transparent ones serve";
const TRANSPARENT: &str = "large results ask for huge pages (madvise)";
const SHMEM: &str = "memory that processes share (memfd) gets huge pages only if this allows it";
const SHM: &str =
    "MPI and programs of tasks keep shared memory there; rdask-hpc names nothing in it";
const PTRACE: &str = "processes of one node copy from each other (CMA) where this allows it: MPI \
                      and UCX are faster then";

/// MPI wants some tens of MiB a rank; containers often have 64 MiB for all.
const SHM_LEAST_BYTES: u64 = 512 << 20;
/// A few hundred peers with two sockets each.
const OPEN_FILES_LEAST: u64 = 4096;

pub(super) fn check(machine: &Machine) -> Vec<Finding> {
    let mut findings = vec![system(machine), memory_group(machine), cpu_group(machine)];
    findings.extend([memlock(machine), open_files(machine), huge_pages(machine)]);
    findings.extend([transparent(machine), shmem(machine), shm(machine), ptrace(machine)]);
    findings
}

fn system(machine: &Machine) -> Finding {
    let kernel = machine.read("proc/sys/kernel/osrelease");
    let kernel = kernel.map(|release| format!("Linux {release}"));
    let cpus = machine.read("sys/devices/system/cpu/online").map(|list| format!("CPUs {list}"));
    let nodes = machine.list("sys/devices/system/node").into_iter().filter(|name| {
        name.strip_prefix("node").is_some_and(|number| number.parse::<u32>().is_ok())
    });
    let nodes = match nodes.count() {
        0 | 1 => None,
        count => Some(format!("{count} NUMA nodes")),
    };
    let memory = limits::memory_total(machine.root()).map(bytes_in_words);
    let parts: Vec<String> = [kernel, cpus, nodes, memory].into_iter().flatten().collect();
    let finding = match parts.is_empty() {
        true => Finding::missing("system").help("mount /proc and /sys"),
        false => Finding::found("system", parts.join(", ")),
    };
    finding.why(KERNEL)
}

fn memory_group(machine: &Machine) -> Finding {
    let value = match limits::cgroup_memory_bytes(machine.root()) {
        Some(bytes) => bytes_in_words(bytes),
        None => "none: the whole memory".to_owned(),
    };
    Finding::found("memory limit of the control group", value).why(MEMORY_GROUP)
}

fn cpu_group(machine: &Machine) -> Finding {
    let value = match limits::cgroup_quota_millicpus(machine.root()) {
        Some(millis) => format!("{}.{:02} CPUs", millis / 1000, millis % 1000 / 10),
        None => "none: every CPU of the mask".to_owned(),
    };
    Finding::found("CPU quota of the control group", value).why(CPU_GROUP)
}

/// The soft limit of a row of /proc/self/limits; none where it says unlimited.
fn limit(machine: &Machine, name: &str) -> Option<Option<u64>> {
    let text = machine.read("proc/self/limits")?;
    let row = text.lines().find_map(|line| line.strip_prefix(name))?;
    match row.split_whitespace().next()? {
        "unlimited" => Some(None),
        number => Some(Some(number.parse().ok()?)),
    }
}

fn memlock(machine: &Machine) -> Finding {
    let name = "locked memory (memlock)";
    let help = "ulimit -l unlimited; for Slurm LimitMEMLOCK=infinity in slurmd's unit. Look inside \
                a job step: a login shell's limit may be another";
    let has_fabric = !machine.list("sys/class/infiniband").is_empty();
    match limit(machine, "Max locked memory") {
        None => Finding::missing(name).help("mount /proc"),
        Some(None) => Finding::found(name, "unlimited"),
        Some(Some(bytes)) if has_fabric => Finding::warning(name, bytes_in_words(bytes)).help(help),
        Some(Some(bytes)) => {
            Finding::found(name, format!("{}, enough without InfiniBand", bytes_in_words(bytes)))
        }
    }
    .why(MEMLOCK)
}

fn open_files(machine: &Machine) -> Finding {
    let name = "open files";
    // The soft limit is raised to the hard one at start; they stand side by side.
    let text = machine.read("proc/self/limits").unwrap_or_default();
    let row = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = row.and_then(|row| row.split_whitespace().nth(1));
    match hard.map(|text| (text, text.parse::<u64>())) {
        None => Finding::missing(name).help("mount /proc"),
        Some((text, Ok(count))) if count < OPEN_FILES_LEAST => {
            Finding::warning(name, text).help("raise the hard limit (ulimit -Hn, limits.conf)")
        }
        Some((text, _)) => Finding::found(name, text),
    }
    .why(OPEN_FILES)
}

fn huge_pages(machine: &Machine) -> Finding {
    let field = |name| machine.field("proc/meminfo", name);
    match (field("HugePages_Total"), field("HugePages_Free"), field("Hugepagesize")) {
        (Some(total), Some(free), Some(kib)) if total > 0 => {
            let size = bytes_in_words(kib.saturating_mul(1024));
            Finding::found("huge pages", format!("{free} of {total} free, {size} each"))
        }
        _ => Finding::missing("huge pages").help(
            "not needed where transparent ones are on; a pool: sysctl vm.nr_hugepages=N as root",
        ),
    }
    .why(HUGE_PAGES)
}

fn transparent(machine: &Machine) -> Finding {
    let (name, path) = ("transparent huge pages", "sys/kernel/mm/transparent_hugepage/enabled");
    let help = format!("as root: echo madvise > /{path}");
    match machine.choice(path).as_deref() {
        None => Finding::missing(name).help("a kernel with CONFIG_TRANSPARENT_HUGEPAGE"),
        Some("never") => Finding::warning(name, "never").help(help),
        Some(word) => Finding::found(name, word),
    }
    .why(TRANSPARENT)
}

fn shmem(machine: &Machine) -> Finding {
    let name = "transparent huge pages of shared memory";
    let path = "sys/kernel/mm/transparent_hugepage/shmem_enabled";
    let help = format!("as root: echo advise > /{path}");
    match machine.choice(path).as_deref() {
        None => Finding::missing(name).help("a kernel with CONFIG_TRANSPARENT_HUGEPAGE"),
        Some(word @ ("never" | "deny")) => Finding::warning(name, word).help(help),
        Some(word) => Finding::found(name, word),
    }
    .why(SHMEM)
}

fn shm(machine: &Machine) -> Finding {
    let mounts = Mounts::of(machine);
    let Some(mount) = mounts.holding("/dev/shm").filter(|mount| mount.place == "/dev/shm") else {
        return Finding::missing("/dev/shm")
            .why(SHM)
            .help("as root: mount -t tmpfs tmpfs /dev/shm");
    };
    // Without the option a tmpfs may take half of the memory.
    let size = mount.size_bytes.or_else(|| Some(limits::memory_total(machine.root())? / 2));
    let value = size.map_or_else(|| mount.kind.clone(), bytes_in_words);
    match size {
        Some(bytes) if bytes < SHM_LEAST_BYTES => {
            Finding::warning("/dev/shm", value).help("for containers: --shm-size=2g, or --ipc=host")
        }
        _ => Finding::found("/dev/shm", value),
    }
    .why(SHM)
}

fn ptrace(machine: &Machine) -> Finding {
    let name = "ptrace scope";
    match machine.number("proc/sys/kernel/yama/ptrace_scope") {
        None => Finding::found(name, "no limit (no Yama)"),
        Some(0) => Finding::found(name, "0: processes of one user may"),
        Some(scope) => {
            let value = format!("{scope}: only a parent may, or nobody");
            Finding::warning(name, value).help("as root: sysctl kernel.yama.ptrace_scope=0")
        }
    }
    .why(PTRACE)
}
