//! Who is what: which rank holds the scheduler, which workers it holds, and what each may use.
//!
//! Rank 0 makes the `JobPlan` once (`bootstrap.rs`) and broadcasts it; nobody decides again. A
//! worker slot keeps its name and its share of the machine for the whole run, through every restart
//! of its process. CPUs and memory come from `topology.rs`; this file only says who gets them.

use crate::layout::{LayoutError, Put, Take};

/// What a child process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The scheduler alone.
    Scheduler,
    /// One worker.
    Worker,
    /// Scheduler and worker `0` in one process (a job of one rank).
    Both,
}

/// One worker slot and its share of the node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorkerSlot {
    /// Name, as users know it: the rank under a launcher, 1, 2, … locally.
    pub name: String,
    /// CPUs (operating system numbers) of the process.
    pub cpus: Vec<u32>,
    /// Process and threads are to be bound to their CPUs.
    pub bound: bool,
    /// Its executor threads, at least one.
    pub threads: Vec<ThreadSlot>,
    /// NUMA nodes (operating system numbers) for its memory; empty: no policy.
    pub numa_nodes: Vec<u32>,
    /// Memory limit in bytes; 0 = unlimited.
    pub memory_limit_bytes: u64,
}

/// One executor thread.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ThreadSlot {
    /// CPUs that it is bound to, or may use where its worker is not bound.
    pub cpus: Vec<u32>,
    /// NUMA node of those CPUs: threads of one node share a queue.
    pub numa_node: u32,
}

/// What one rank does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RankPlan {
    /// Which rank.
    pub rank: u32,
    /// Host name, for messages.
    pub host: String,
    /// This rank's supervisor has the scheduler as a child.
    pub scheduler: bool,
    /// Scheduler and the only worker share one process.
    pub together: bool,
    /// Its workers.
    pub workers: Vec<WorkerSlot>,
}

/// What all ranks do, in the order of ranks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct JobPlan {
    /// One entry a rank.
    pub ranks: Vec<RankPlan>,
    /// What the user should know about the shares (uneven, unbound), for the log.
    pub remarks: Vec<String>,
}

impl RankPlan {
    /// Whether its supervisor watches worker processes and so has a control connection.
    #[must_use]
    pub fn is_nanny(&self) -> bool {
        !self.together && !self.workers.is_empty()
    }
}

impl JobPlan {
    /// What the rank does.
    #[must_use]
    pub fn rank(&self, rank: u32) -> Option<&RankPlan> {
        self.ranks.iter().find(|plan| plan.rank == rank)
    }

    /// How many supervisors will register as nannies with the scheduler.
    #[must_use]
    pub fn nanny_count(&self) -> usize {
        self.ranks.iter().filter(|plan| plan.is_nanny()).count()
    }

    /// All worker slots with their ranks.
    pub fn workers(&self) -> impl Iterator<Item = (u32, &WorkerSlot)> {
        self.ranks.iter().flat_map(|plan| plan.workers.iter().map(move |w| (plan.rank, w)))
    }

    /// The part that one rank needs.
    #[must_use]
    pub fn only(&self, rank: u32) -> Self {
        let ranks = self.rank(rank).cloned().into_iter().collect();
        Self { ranks, remarks: Vec::new() }
    }

    pub(crate) fn put(&self, put: &mut Put) {
        put.count(self.ranks.len());
        for rank in &self.ranks {
            put.u32(rank.rank);
            put.text(&rank.host);
            put.u8(rank.scheduler.into());
            put.u8(rank.together.into());
            put.count(rank.workers.len());
            for worker in &rank.workers {
                worker.put(put);
            }
        }
        put.texts(&self.remarks);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Self, LayoutError> {
        let count = take.count(14, "ranks")?;
        let ranks = (0..count)
            .map(|_| {
                let rank = take.u32("rank")?;
                let host = take.text("host")?;
                let scheduler = take.bool("scheduler")?;
                let together = take.bool("together")?;
                let workers = take.count(29, "workers")?;
                let workers =
                    (0..workers).map(|_| WorkerSlot::take(take)).collect::<Result<_, _>>();
                Ok(RankPlan { rank, host, scheduler, together, workers: workers? })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { ranks, remarks: take.texts("remarks")? })
    }
}

impl WorkerSlot {
    fn put(&self, put: &mut Put) {
        put.text(&self.name);
        put.u32s(&self.cpus);
        put.u8(self.bound.into());
        put.count(self.threads.len());
        for thread in &self.threads {
            put.u32s(&thread.cpus);
            put.u32(thread.numa_node);
        }
        put.u32s(&self.numa_nodes);
        put.u64(self.memory_limit_bytes);
    }

    fn take(take: &mut Take<'_>) -> Result<Self, LayoutError> {
        Ok(Self {
            name: take.text("worker name")?,
            cpus: take.u32s("cpus")?,
            bound: take.bool("bound")?,
            threads: {
                let count = take.count(8, "threads")?;
                let thread = |_| -> Result<_, LayoutError> {
                    let cpus = take.u32s("thread's cpus")?;
                    Ok(ThreadSlot { cpus, numa_node: take.u32("thread's NUMA node")? })
                };
                (0..count).map(thread).collect::<Result<_, _>>()?
            },
            numa_nodes: take.u32s("NUMA nodes")?,
            memory_limit_bytes: take.u64("memory limit")?,
        })
    }

    /// The CPUs as a list such as `0-7,16`.
    #[must_use]
    pub fn cpu_list(&self) -> String {
        format_list(&self.cpus)
    }
}

/// Numbers as ranges: `[0, 1, 2, 5]` is `0-2,5`. The input need not be sorted.
#[must_use]
pub fn format_list(numbers: &[u32]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let parts: Vec<String> = runs
        .iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> JobPlan {
        let worker = WorkerSlot {
            name: "1".to_owned(),
            cpus: vec![0, 1, 2, 5],
            bound: true,
            threads: vec![
                ThreadSlot { cpus: vec![0, 1], numa_node: 0 },
                ThreadSlot { cpus: vec![2, 5], numa_node: 1 },
            ],
            numa_nodes: vec![1],
            memory_limit_bytes: 1 << 33,
        };
        JobPlan {
            ranks: vec![
                RankPlan { rank: 0, host: "n0".into(), scheduler: true, ..RankPlan::default() },
                RankPlan {
                    rank: 1,
                    host: "n1".into(),
                    workers: vec![worker],
                    ..RankPlan::default()
                },
            ],
            remarks: vec!["uneven".to_owned()],
        }
    }

    #[test]
    fn a_plan_survives_its_layout() {
        let mut put = Put::default();
        plan().put(&mut put);
        let mut take = Take::new(&put.0);
        assert_eq!(JobPlan::take(&mut take).unwrap(), plan());
        take.end().unwrap();
    }

    #[test]
    fn only_ranks_with_worker_processes_are_nannies() {
        let mut plan = plan();
        assert_eq!(plan.nanny_count(), 1);
        plan.ranks[1].together = true;
        assert_eq!(plan.nanny_count(), 0);
        assert_eq!(plan.only(1).ranks.len(), 1);
        assert_eq!(plan.workers().map(|(rank, _)| rank).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn lists_name_runs() {
        assert_eq!(format_list(&[5, 0, 1, 2]), "0-2,5");
        assert_eq!(format_list(&[]), "");
        assert_eq!(format_list(&[7]), "7");
    }
}
