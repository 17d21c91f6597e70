//! Processes below this one: their memory, and the end of all that are left.
//!
//! Orphans below a supervisor come back to it (it is a subreaper), so walking /proc from it finds
//! every process that any task ever started. Reads /proc only; knows nothing of slots.

use rustix::process::{Pid, Signal, WaitOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Killing and reaping what is left may take this long.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// A reaped child and how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reaped {
    /// Its process id.
    pub pid: i32,
    /// How it ended.
    pub ending: crate::nanny::Ending,
}

/// Reaps one child that has ended, orphans that came back included.
#[must_use]
pub fn reap() -> Option<Reaped> {
    let (pid, status) = rustix::process::wait(WaitOptions::NOHANG).ok().flatten()?;
    let ending =
        crate::nanny::Ending { signal: status.terminating_signal(), code: status.exit_status() };
    Some(Reaped { pid: pid.as_raw_nonzero().get(), ending })
}

/// SIGKILL to a child and everything in its process group.
pub fn kill_group(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    // Errors mean that it is gone already.
    let group = rustix::process::kill_process_group(pid, Signal::KILL);
    let process = rustix::process::kill_process(pid, Signal::KILL);
    tracing::debug!(pid = pid.as_raw_nonzero().get(), ?group, ?process, "killed");
}

/// Kills and reaps every process below this one until none is left. Returns how many there were.
pub fn kill_all() -> usize {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let deadline = Instant::now() + KILL_LIMIT;
    let mut seen = BTreeSet::new();
    loop {
        while reap().is_some() {}
        let left = below(own, &parents());
        if left.is_empty() || Instant::now() > deadline {
            return seen.len();
        }
        for pid in left {
            seen.insert(pid);
            kill_group(pid);
        }
        // The kernel tears them down meanwhile; there is nothing to wait on for grandchildren.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The variable by which programs of tasks, and what they start, are known as a worker's.
pub const WORKER_MARK: &str = "RDASK_WORKER_PID";

/// Where to look for what a dead worker has left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Within {
    /// Below this process, to which orphans come back.
    Descendants,
    /// On the whole machine: nobody is left to whom they could have come back.
    Machine,
}

/// Kills what programs of a dead worker's tasks have left. Reaps nothing: orphans are a
/// supervisor's children, and its other children are waited for elsewhere.
pub fn kill_tasks_of(worker: i32, job_id: &str, within: Within) {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let marks = [format!("{WORKER_MARK}={worker}"), format!("RDASK_JOB_ID={job_id}")];
    let is_marked = |pid: &i32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |mark: &String| environ.split(|byte| *byte == 0).any(|it| it == mark.as_bytes());
        marks.iter().all(has)
    };
    let deadline = Instant::now() + KILL_LIMIT;
    loop {
        let parents = parents();
        let mut left = match within {
            Within::Descendants => below(own, &parents),
            Within::Machine => parents.into_keys().collect(),
        };
        left.retain(is_marked);
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in left {
            kill_group(pid);
        }
        // They may start others until they are gone, and tell nobody when that is.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Resident bytes of a process, shared memory included; `None` when it is gone.
#[must_use]
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Parent of each process, zombies left out.
fn parents() -> BTreeMap<i32, i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse_parent(&stat)?))
        })
        .collect()
}

/// The parent in a line of /proc/PID/stat; `None` for zombies. The name in the line may hold
/// anything, closing parentheses too, so the fields are counted from the last one.
fn parse_parent(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    (state != "Z" && state != "X").then_some(parent)
}

/// All processes below `root`, children of children included.
fn below(root: i32, parents: &BTreeMap<i32, i32>) -> Vec<i32> {
    let is_below = |pid: &i32| {
        let mut at = *pid;
        // A chain longer than the table is a cycle that a racing read made up.
        for _ in 0..parents.len() {
            match parents.get(&at) {
                Some(parent) if *parent == root => return true,
                Some(parent) => at = *parent,
                None => return false,
            }
        }
        false
    };
    parents.keys().copied().filter(is_below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_stat_with_any_name_give_the_parent() {
        assert_eq!(parse_parent("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parse_parent("12 (x) Z 7 12"), None);
        assert_eq!(parse_parent("12 (x"), None);
    }

    #[test]
    fn only_processes_below_the_root_are_found() {
        let parents = BTreeMap::from([(2, 1), (3, 2), (4, 3), (5, 1), (6, 9), (7, 8), (8, 7)]);
        assert_eq!(below(2, &parents), [3, 4]);
        assert_eq!(below(1, &parents), [2, 3, 4, 5]);
        assert!(below(4, &parents).is_empty());
    }

    #[test]
    fn this_process_has_resident_memory() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(resident_bytes(own).unwrap() > 100_000);
        assert_eq!(resident_bytes(i32::MAX), None);
    }
}
