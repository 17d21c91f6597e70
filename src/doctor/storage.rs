//! Folders for scratch files and results: which there are, what they lie on, how much is free.

use super::machine::Machine;
use super::mounts::{Mount, Mounts, Storage};
use super::{Finding, bytes_in_words};
use std::path::{Path, PathBuf};

const SCRATCH: &str = "runs of commands and data that memory does not hold go to a scratch folder of \
                       the node (--local-directory)";
const HERE: &str = "results go below the working directory unless --output says otherwise; every \
                    node must see it";

/// Variables that name a scratch folder of a job or a node.
const VARIABLES: [&str; 6] =
    ["TMPDIR", "SLURM_TMPDIR", "PBS_JOBFS", "JOBFS", "LOCAL_SCRATCH", "LOCALSCRATCH"];
/// Where sites put node-local disks.
const FOLDERS: [&str; 9] = [
    "/tmp",
    "/var/tmp",
    "/scratch",
    "/local",
    "/localscratch",
    "/local_scratch",
    "/ssd",
    "/nvme",
    "/mnt/nvme",
];

pub(super) fn check(machine: &Machine) -> Vec<Finding> {
    let mounts = Mounts::of(machine);
    let mut findings = scratch(machine, &mounts);
    findings.extend(here(machine, &mounts));
    findings
}

fn scratch(machine: &Machine, mounts: &Mounts) -> Vec<Finding> {
    let named = VARIABLES.iter().filter_map(|name| Some((*name, machine.env().var(name)?)));
    let named = named.map(|(name, path)| (PathBuf::from(path), format!(" ({name})")));
    let known = FOLDERS.iter().map(|path| (PathBuf::from(path), String::new()));
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut findings = Vec::new();
    for (path, suffix) in named.chain(known) {
        if !path.is_absolute() || seen.contains(&path) || !machine.at(&path).is_dir() {
            continue;
        }
        let name = format!("scratch {}{suffix}", path.display());
        findings.push(on(machine, mounts, name, &path));
        seen.push(path);
    }
    if findings.is_empty() {
        findings.push(Finding::missing("scratch folder").help("set TMPDIR, or --local-directory"));
    }
    findings.into_iter().map(|finding| finding.why(SCRATCH)).collect()
}

/// A scratch folder by what it lies on.
fn on(machine: &Machine, mounts: &Mounts, name: String, path: &Path) -> Finding {
    let Some(mount) = mounts.holding(path) else {
        return Finding::found(name, "on a file system that is not known");
    };
    let value = described(machine, mount, path);
    match mount.storage() {
        Storage::Memory => Finding::warning(name, format!("{value}: files there are memory")).help(
            "choose a disk with --local-directory DIR: files here count against the memory of the \
             job, and moving results here frees none",
        ),
        Storage::Network => Finding::warning(name, format!("{value}: shared by nodes"))
            .help("choose a disk of the node with --local-directory DIR, where there is one"),
        Storage::Layer => Finding::warning(name, format!("{value}: a layer of a container"))
            .help("bind a disk of the node into the container"),
        Storage::Disk => Finding::found(name, value),
    }
}

/// The working directory, which a described machine does not have.
fn here(machine: &Machine, mounts: &Mounts) -> Option<Finding> {
    let path = std::env::current_dir().ok().filter(|_| machine.is_this())?;
    let name = format!("working directory {}", path.display());
    let mount = mounts.holding(&path)?;
    let value = described(machine, mount, &path);
    let finding = match mount.storage() {
        Storage::Memory => Finding::warning(name, format!("{value}: files there are memory"))
            .help("start jobs in a folder on a disk, for several nodes on a shared one"),
        Storage::Network => Finding::found(name, format!("{value}: shared by nodes")),
        Storage::Disk | Storage::Layer => {
            Finding::found(name, format!("{value}: of this node alone"))
                .help("for jobs of several nodes start in a folder that all of them see")
        }
    };
    Some(finding.why(HERE))
}

/// `ext4 on /dev/sda1, 12 GiB free of 100 GiB`
fn described(machine: &Machine, mount: &Mount, path: &Path) -> String {
    let mut text = format!("{} on {}", mount.kind, mount.source);
    if let Some((free, total)) = room(machine, path) {
        text.push_str(&format!(", {} free of {}", bytes_in_words(free), bytes_in_words(total)));
    } else if let Some(bytes) = mount.size_bytes {
        text.push_str(&format!(", {}", bytes_in_words(bytes)));
    }
    text
}

/// Bytes that we may still write, and all; only the system knows them.
fn room(machine: &Machine, path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok().filter(|_| machine.is_this())?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Some((bytes(found.f_bavail), bytes(found.f_blocks)))
}
