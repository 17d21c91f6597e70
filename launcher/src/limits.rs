//! What the system lets us have: memory, CPU quota, open files.
//!
//! Reads control groups of both versions with all parents, RLIMIT_AS and the machine's memory,
//! and shares the node's memory among workers. Knows no batch system's variables. Invariant:
//! what cannot be read sets no limit, and no share is ever larger than the node's limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// Part of the node's memory that stays for the system: one twentieth.
const RESERVE_DIVISOR: u64 = 20;
/// The least that stays for the system, in bytes.
const RESERVE_LEAST_BYTES: u64 = 512 << 20;
/// What the scheduler needs per task, in bytes: the state of a task and its key.
const SCHEDULER_BYTES_PER_TASK: u64 = 200;
/// The most that is kept for the scheduler, in bytes; beyond it tasks compete with data.
const SCHEDULER_MOST_BYTES: u64 = 1 << 30;
/// Version 1 writes "no limit" as the largest multiple of a page; no machine has 2^60 bytes.
const NO_LIMIT_FROM_BYTES: u64 = 1 << 60;

/// What `--memory-limit` says, for each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MemoryLimit {
    /// The worker's share of the node.
    #[default]
    Auto,
    /// No limit.
    None,
    /// So many bytes.
    Bytes(u64),
    /// A part of the worker's share, in hundredths of a percent.
    PercentOfShare(u32),
}

/// A `--memory-limit` that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{given}` is no memory limit: give bytes (8GiB, 500MB, 1000000), a percentage (50%), auto or none"
)]
pub struct MemoryLimitError {
    /// What was given.
    pub given: String,
}

impl FromStr for MemoryLimit {
    type Err = MemoryLimitError;

    fn from_str(given: &str) -> Result<Self, MemoryLimitError> {
        let fault = || MemoryLimitError { given: given.to_owned() };
        let text = given.trim();
        match text {
            "auto" => return Ok(Self::Auto),
            "none" => return Ok(Self::None),
            _ => {}
        }
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().map_err(|_| fault())?;
            if !(percent > 0.0 && percent <= 100.0) {
                return Err(fault());
            }
            return Ok(Self::PercentOfShare((percent * 100.0).round() as u32));
        }
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: f64 = number.trim().parse().map_err(|_| fault())?;
        let bytes = number * unit_bytes(unit).ok_or_else(fault)?;
        if !(bytes >= 1.0 && bytes < NO_LIMIT_FROM_BYTES as f64) {
            return Err(fault());
        }
        Ok(Self::Bytes(bytes as u64))
    }
}

fn unit_bytes(unit: &str) -> Option<f64> {
    let power = |base: f64, exponent| Some(base.powi(exponent));
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => power(1.0, 1),
        "kb" => power(1000.0, 1),
        "mb" => power(1000.0, 2),
        "gb" => power(1000.0, 3),
        "tb" => power(1000.0, 4),
        "k" | "kib" => power(1024.0, 1),
        "m" | "mib" => power(1024.0, 2),
        "g" | "gib" => power(1024.0, 3),
        "t" | "tib" => power(1024.0, 4),
        _ => None,
    }
}

/// A node's memory and how its workers share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryFacts {
    /// What the node may use in all, in bytes; none = not known, so no limit.
    pub node_bytes: Option<u64>,
    /// What is kept for a scheduler on this node, in bytes ([`scheduler_bytes`]).
    pub scheduler_bytes: u64,
    /// `--memory-limit`.
    pub limit: MemoryLimit,
}

/// Memory that is kept for a scheduler of a graph with so many tasks, in bytes.
pub fn scheduler_bytes(tasks: u64) -> u64 {
    tasks.saturating_mul(SCHEDULER_BYTES_PER_TASK).min(SCHEDULER_MOST_BYTES)
}

/// The limit of each worker in bytes. The node's memory less a reserve is shared by threads.
pub fn worker_memory(facts: &MemoryFacts, threads: &[usize]) -> Vec<Option<u64>> {
    let sum = threads.iter().sum::<usize>().max(1) as u128;
    let share = |own: usize| -> Option<u64> {
        let node = facts.node_bytes?;
        let reserve = (node / RESERVE_DIVISOR).max(RESERVE_LEAST_BYTES) + facts.scheduler_bytes;
        // On a very small machine the reserve must not leave workers with nothing.
        let rest = node.saturating_sub(reserve).max(node / 2);
        u64::try_from(u128::from(rest) * own as u128 / sum).ok()
    };
    let limit = |own: &usize| match facts.limit {
        MemoryLimit::None => None,
        MemoryLimit::Bytes(bytes) => Some(bytes),
        MemoryLimit::Auto => share(*own),
        MemoryLimit::PercentOfShare(hundredths) => share(*own).and_then(|bytes| {
            u64::try_from(u128::from(bytes) * u128::from(hundredths) / 10_000).ok()
        }),
    };
    threads.iter().map(limit).collect()
}

/// What this node lets us use in all, in bytes: the least of its memory, our control group's
/// limits and RLIMIT_AS.
pub fn node_memory_bytes() -> Option<u64> {
    let root = Path::new("/");
    let limits = [memory_total(root), cgroup_memory_bytes(root), getrlimit(Resource::As).current];
    limits.into_iter().flatten().min()
}

/// The tightest CPU quota of our control group and its parents, in thousandths of a CPU.
pub fn cpu_quota_millicpus() -> Option<u64> {
    cgroup_quota_millicpus(Path::new("/"))
}

/// How many processes of our control group the kernel has killed because memory ran out; 0 where
/// it does not count them.
pub fn oom_kills() -> u64 {
    cgroup_oom_kills(Path::new("/"))
}

/// Raises the soft limit of open files to the hard one and returns it. Sockets to every peer
/// and a descriptor per segment are more than the usual 1,024.
pub fn raise_open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    if current != maximum && setrlimit(Resource::Nofile, raised).is_err() {
        return current.unwrap_or(u64::MAX);
    }
    maximum.unwrap_or(u64::MAX)
}

/// MemTotal, in bytes. hwloc's sum over the nodes can be far too small in virtual machines.
pub fn memory_total(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// The tightest memory limit of our control group and its parents, in bytes, by the files of a
/// machine below `root`.
pub fn cgroup_memory_bytes(root: &Path) -> Option<u64> {
    let number = |text: String| text.trim().parse().ok().filter(|&it| it < NO_LIMIT_FROM_BYTES);
    let unified = cgroup_folders(root, "").into_iter().flat_map(|folder| {
        ["memory.max", "memory.high"].map(|name| fs::read_to_string(folder.join(name)).ok())
    });
    let version_1 = cgroup_folders(root, "memory")
        .into_iter()
        .map(|folder| fs::read_to_string(folder.join("memory.limit_in_bytes")).ok());
    unified.chain(version_1).flatten().filter_map(number).min()
}

/// The innermost group alone counts for us: a parent's count holds other jobs' too.
fn cgroup_oom_kills(root: &Path) -> u64 {
    let unified = cgroup_folders(root, "").into_iter().next().map(|it| it.join("memory.events"));
    let version_1 =
        cgroup_folders(root, "memory").into_iter().next().map(|it| it.join("memory.oom_control"));
    let count = |path: PathBuf| {
        let text = fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse::<u64>().ok()
    };
    [unified, version_1].into_iter().flatten().filter_map(count).max().unwrap_or(0)
}

/// The tightest CPU quota of our control group and its parents, in thousandths of a CPU, by the
/// files of a machine below `root`.
pub fn cgroup_quota_millicpus(root: &Path) -> Option<u64> {
    let unified = cgroup_folders(root, "").into_iter().filter_map(|folder| {
        let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        Some((quota.parse().ok()?, period.parse().ok()?))
    });
    let version_1 = cgroup_folders(root, "cpu").into_iter().filter_map(|folder| {
        let read = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok();
        // Without a quota the file says -1, which is no u64.
        Some((read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?))
    });
    let millicpus = |(quota, period): (u64, u64)| quota.checked_mul(1000)?.checked_div(period);
    unified.chain(version_1).filter_map(millicpus).filter(|&quota| quota > 0).min()
}

/// The folder of our control group and of each of its parents, innermost first, for a version
/// 1 controller, or for version 2 where `controller` is empty.
fn cgroup_folders(root: &Path, controller: &str) -> Vec<PathBuf> {
    let read = |name: &str| fs::read_to_string(root.join(name)).unwrap_or_default();
    let groups = read("proc/self/cgroup");
    let mounts = read("proc/self/mountinfo");
    let own = groups.lines().find_map(|line| {
        let (_, line) = line.split_once(':')?;
        let (controllers, path) = line.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    });
    let mount = mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let is_ours = match (kind.next()?, controller) {
            ("cgroup2", "") => true,
            ("cgroup", name) => kind.nth(1)?.split(',').any(|option| option == name),
            _ => false,
        };
        let mut place = place.split(' ').skip(3);
        is_ours.then_some((place.next()?, place.next()?))
    });
    let (Some(own), Some((mount_root, mount_point))) = (own, mount) else { return Vec::new() };
    let top = root.join(mount_point.trim_start_matches('/'));
    // In a container the mount shows only a part of the tree; our path may then be named from
    // a root that we do not see, and the mount's top is all there is.
    let below = Path::new(own).strip_prefix(mount_root).unwrap_or(Path::new(""));
    let folder = top.join(below);
    let inside = folder.ancestors().take_while(|folder| folder.starts_with(&top));
    inside.map(Path::to_path_buf).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn limits_of_version_2_hold_with_all_parents() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "proc/self/cgroup", "0::/job/step\n");
        write(root, "proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        write(root, "sys/fs/cgroup/job/step/memory.max", "max\n");
        write(root, "sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
        assert_eq!(cgroup_memory_bytes(root), None);
        assert_eq!(cgroup_quota_millicpus(root), None);
        write(root, "sys/fs/cgroup/job/memory.max", "8589934592\n");
        write(root, "sys/fs/cgroup/job/memory.high", "4294967296\n");
        write(root, "sys/fs/cgroup/job/cpu.max", "250000 100000\n");
        assert_eq!(cgroup_memory_bytes(root), Some(4 * GIB));
        assert_eq!(cgroup_quota_millicpus(root), Some(2500));
    }

    #[test]
    fn limits_of_version_1_are_read_from_their_own_mounts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(
            root,
            "proc/self/cgroup",
            "5:cpu,cpuacct:/slurm/job_7\n4:memory:/slurm/job_7\n0::/\n",
        );
        let mounts = "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n\
                      36 31 0:33 /slurm /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        write(root, "proc/self/mountinfo", mounts);
        write(root, "cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
        write(root, "cg/memory/slurm/job_7/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(cgroup_memory_bytes(root), None);
        write(root, "cg/memory/slurm/memory.limit_in_bytes", "1073741824\n");
        assert_eq!(cgroup_memory_bytes(root), Some(GIB));
        write(root, "cg/cpu/job_7/cpu.cfs_quota_us", "-1\n");
        write(root, "cg/cpu/job_7/cpu.cfs_period_us", "100000\n");
        assert_eq!(cgroup_quota_millicpus(root), None);
        write(root, "cg/cpu/job_7/cpu.cfs_quota_us", "150000\n");
        assert_eq!(cgroup_quota_millicpus(root), Some(1500));
    }

    #[test]
    fn the_kernels_kills_of_our_group_are_counted() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(cgroup_oom_kills(root), 0);
        write(root, "proc/self/cgroup", "4:memory:/job\n0::/job\n");
        let mounts = "31 23 0:28 / /two rw - cgroup2 cgroup2 rw\n\
                      35 31 0:32 / /one rw - cgroup cgroup rw,memory\n";
        write(root, "proc/self/mountinfo", mounts);
        write(root, "two/job/memory.events", "low 0\nhigh 9\nmax 8\noom 4\noom_kill 3\n");
        assert_eq!(cgroup_oom_kills(root), 3);
        write(root, "one/job/memory.oom_control", "under_oom 0\noom_kill 5\n");
        assert_eq!(cgroup_oom_kills(root), 5);
    }

    #[test]
    fn nothing_readable_sets_no_limit() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(cgroup_memory_bytes(root.path()), None);
        assert_eq!(cgroup_quota_millicpus(root.path()), None);
        assert_eq!(memory_total(root.path()), None);
        assert!(node_memory_bytes().unwrap() > 0);
        assert!(raise_open_files() > 0);
    }

    #[test]
    fn memory_is_shared_by_threads_after_the_reserve() {
        let facts =
            |gib, limit| MemoryFacts { node_bytes: Some(gib * GIB), scheduler_bytes: 0, limit };
        // 5 % of 100 GiB stay: 95 GiB over 19 threads are 5 GiB a thread.
        let auto = worker_memory(&facts(100, MemoryLimit::Auto), &[4, 4, 11]);
        assert_eq!(auto, [Some(20 * GIB), Some(20 * GIB), Some(55 * GIB)]);
        let half = worker_memory(&facts(100, MemoryLimit::PercentOfShare(5000)), &[19]);
        assert_eq!(half, [Some(95 * GIB / 2)]);
        // 5 % of 4 GiB are less than the least reserve.
        let small = worker_memory(&facts(4, MemoryLimit::Auto), &[1]);
        assert_eq!(small, [Some(4 * GIB - RESERVE_LEAST_BYTES)]);
        let tiny =
            MemoryFacts { node_bytes: Some(GIB), scheduler_bytes: GIB, ..MemoryFacts::default() };
        assert_eq!(worker_memory(&tiny, &[1, 1]), [Some(GIB / 4), Some(GIB / 4)]);
        assert_eq!(worker_memory(&facts(4, MemoryLimit::None), &[1]), [None]);
        assert_eq!(worker_memory(&facts(4, MemoryLimit::Bytes(7)), &[1, 1]), [Some(7), Some(7)]);
        assert_eq!(worker_memory(&MemoryFacts::default(), &[1]), [None]);
    }

    #[test]
    fn the_scheduler_keeps_by_tasks_up_to_a_cap() {
        assert_eq!(scheduler_bytes(1_000_000), 200_000_000);
        assert_eq!(scheduler_bytes(u64::MAX), GIB);
    }

    #[test]
    fn limits_are_given_in_bytes_percent_or_words() {
        let parse = |text: &str| text.parse::<MemoryLimit>();
        assert_eq!(parse("2GiB"), Ok(MemoryLimit::Bytes(2 * GIB)));
        assert_eq!(parse("1.5 GiB"), Ok(MemoryLimit::Bytes(3 * GIB / 2)));
        assert_eq!(parse("500MB"), Ok(MemoryLimit::Bytes(500_000_000)));
        assert_eq!(parse("1000000"), Ok(MemoryLimit::Bytes(1_000_000)));
        assert_eq!(parse("12.5%"), Ok(MemoryLimit::PercentOfShare(1250)));
        assert_eq!(parse("auto"), Ok(MemoryLimit::Auto));
        assert_eq!(parse("none"), Ok(MemoryLimit::None));
        for wrong in ["", "GiB", "2 GiBs", "-1", "0", "0%", "101%", "nan", "nan%", "inf", "1e30"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
