//! Processes and files that a run may leave behind.
//!
//! Processes are found by the mark in their environment, so that orphans that changed session
//! or parent are found too. Shared memory has no such mark: what is new since the start must be
//! gone soon after the end, which also holds for the short-lived segments of other tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long what a run left may take to go. A hang guard: the promise is 3 s.
const GRACE: Duration = Duration::from_secs(30);

/// A process of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Its arguments, the program first.
    pub(crate) arguments: Vec<String>,
}

impl Process {
    /// Whether it plays this role of ours (`scheduler` or `worker`).
    pub(crate) fn has_role(&self, role: &str) -> bool {
        self.arguments.windows(2).any(|words| words[0] == "__role" && words[1] == role)
    }

    /// Sends it a signal; an error if it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> rustix::io::Result<()> {
        kill_process(Pid::from_raw(self.pid).unwrap(), signal)
    }
}

/// The processes that carry this job id, zombies apart, in the order of their ids.
pub(crate) fn processes(job_id: &str) -> Vec<Process> {
    let mark = format!("RDASK_JOB_ID={job_id}");
    let mut found: Vec<Process> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let is_ours = environment.split(|&byte| byte == 0).any(|it| it == mark.as_bytes());
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let words = command.split(|&byte| byte == 0).filter(|word| !word.is_empty());
            let arguments = words.map(|word| String::from_utf8_lossy(word).into_owned()).collect();
            is_ours.then_some(Process { pid, arguments })
        })
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// Kills what carries this job id until nothing does, and returns what there was.
pub(crate) fn kill(job_id: &str) -> Vec<Process> {
    let first = processes(job_id);
    let mut left = first.clone();
    let deadline = Instant::now() + GRACE;
    while !left.is_empty() && Instant::now() < deadline {
        for process in &left {
            if let Some(pid) = Pid::from_raw(process.pid) {
                // It may have ended since it was listed.
                let _ended = kill_process(pid, Signal::KILL);
            }
        }
        tick();
        left = processes(job_id);
    }
    first
}

/// What there was in places that all runs share, before a run began.
pub(crate) struct Before {
    shared_memory: BTreeSet<String>,
}

impl Before {
    pub(crate) fn new() -> Self {
        Self { shared_memory: shared_memory() }
    }

    /// What the run left, after some time to go: one line each. Left processes are killed.
    pub(crate) fn left_by(&self, job_id: &str, temp_dir: &Path) -> Vec<String> {
        let deadline = Instant::now() + GRACE;
        let mut new: BTreeSet<String> =
            shared_memory().difference(&self.shared_memory).cloned().collect();
        loop {
            let now = shared_memory();
            new.retain(|name| now.contains(name));
            let files = files(temp_dir);
            let processes = processes(job_id);
            if new.is_empty() && files.is_empty() && processes.is_empty() {
                return Vec::new();
            }
            if Instant::now() >= deadline {
                let killed = kill(job_id);
                let killed =
                    killed.iter().map(|it| format!("process {} {:?}", it.pid, it.arguments));
                let new = new.iter().map(|name| format!("shared memory {name}"));
                let files = files.iter().map(|name| format!("temporary file {name}"));
                return killed.chain(new).chain(files).collect();
            }
            tick();
        }
    }
}

/// Waits a moment before a condition is looked at again.
pub(crate) fn tick() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Names in /dev/shm, and ids of SysV segments.
fn shared_memory() -> BTreeSet<String> {
    let names = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = names.map(|entry| format!("/dev/shm/{}", entry.file_name().to_string_lossy()));
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    let id = |line: &str| Some(format!("SysV segment {}", line.split_whitespace().nth(1)?));
    names.chain(segments.lines().skip(1).filter_map(id)).collect()
}

/// What is in a run's TMPDIR. Open MPI's own session folder stays when mpirun is killed.
fn files(temp_dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(temp_dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with("ompi.")).collect()
}
