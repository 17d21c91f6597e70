//! What runs next: one queue for plain tasks, one for each distinct requirement.
//!
//! The best task whose needs are free starts. A task that cannot start blocks only its equals; but
//! when it has been overtaken too often, others no longer take what it lacks, so that many small
//! tasks cannot hold up a large one for ever. A worker whose pool is idle starts a task whose
//! memory is not free all the same: waiting could be for ever. Nothing starts while too much waits
//! to be written: that ends by itself.

use super::WorkerState;
use super::task::{Rank, Requirement, Slot, State};
use crate::ids::TaskId;
use crate::messages::{Needs, TaskError};
use std::collections::BTreeSet;

/// A blocked task may be overtaken this many times for each slot of the worker: enough to keep all
/// slots busy while a few of them drain, few enough that its wait is a few rounds of tasks.
const OVERTAKES_PER_THREAD: u64 = 4;

/// An abstract resource of the worker, in millionths.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) name: String,
    pub(super) total: u64,
    /// What runs took of it: more than the total when that fell meanwhile.
    pub(super) taken: u64,
}

impl Resource {
    const fn available(&self) -> u64 {
        self.total.saturating_sub(self.taken)
    }
}

/// Tasks with equal requirements, best first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) ranks: BTreeSet<Rank>,
    /// Starts of worse tasks since the best of this queue could not start.
    pub(super) overtaken: u64,
}

/// What blocked tasks that waited too long keep from worse ones.
#[derive(Default)]
struct Reserved {
    threads: bool,
    memory: bool,
    resources: Vec<u32>,
}

impl Reserved {
    fn keeps_from(&self, needs: &Requirement) -> bool {
        self.threads
            || (self.memory && needs.memory_bytes > 0)
            || needs.resources.iter().any(|(at, _)| self.resources.contains(at))
    }
}

impl WorkerState {
    /// Starts tasks until slots or candidates run out.
    pub(super) fn ensure_computing(&mut self) {
        while self.may_start() && self.used_threads < self.options.nthreads {
            let slot = if self.constrained.is_empty() {
                self.ready.first().map(|rank| rank.slot)
            } else {
                self.best_candidate()
            };
            let Some(slot) = slot else {
                return;
            };
            self.transition(slot, State::Executing);
        }
    }

    /// Whether it starts tasks at all: not paused, and not ahead of the disk.
    pub(super) fn may_start(&self) -> bool {
        self.running && self.unwritten_bytes <= self.config.write_backlog_bytes
    }

    /// The best task that may start, with blocked tasks in mind.
    fn best_candidate(&mut self) -> Option<Slot> {
        let mut heads: Vec<(Rank, &Requirement, bool)> = Vec::new();
        for (needs, queue) in &self.constrained {
            if let Some(&rank) = queue.ranks.first() {
                heads.push((rank, needs, queue.overtaken >= self.overtakes()));
            }
        }
        heads.sort_unstable_by_key(|head| head.0);
        let plain = Requirement { threads: 1, memory_bytes: 0, resources: Vec::new() };
        let mut reserved = Reserved::default();
        let mut blocked: Vec<Requirement> = Vec::new();
        let mut chosen = self.ready.first().copied();
        for (rank, needs, waited_long) in heads {
            if chosen.is_some_and(|best| best < rank) {
                break;
            }
            let fits = self.fits(needs);
            if fits && !reserved.keeps_from(needs) {
                chosen = Some(rank);
                break;
            }
            if !fits && waited_long {
                self.reserve(needs, &mut reserved);
            }
            blocked.push(needs.clone());
        }
        if let Some(best) = chosen
            && self.tasks[best.slot].state == State::Ready
            && reserved.keeps_from(&plain)
        {
            chosen = None;
        }
        if chosen.is_none() && self.executing.is_empty() {
            return self.best_without_memory();
        }
        if chosen.is_some() {
            for needs in blocked {
                if let Some(queue) = self.constrained.get_mut(&needs) {
                    queue.overtaken += 1;
                }
            }
        }
        chosen.map(|rank| rank.slot)
    }

    /// The best task that lacks nothing but memory, for a worker whose pool is idle.
    fn best_without_memory(&self) -> Option<Slot> {
        let heads = self.constrained.iter().filter(|(needs, _)| self.has_resources(needs));
        heads.filter_map(|(_, queue)| queue.ranks.first()).min().map(|rank| rank.slot)
    }

    fn overtakes(&self) -> u64 {
        u64::from(self.options.nthreads) * OVERTAKES_PER_THREAD
    }

    fn free_threads(&self) -> u32 {
        self.options.nthreads.saturating_sub(self.used_threads)
    }

    fn has_memory(&self, bytes: u64) -> bool {
        let used = self.nbytes.saturating_add(self.promised_bytes);
        bytes == 0 || used.saturating_add(bytes) <= self.options.memory_limit_bytes
    }

    fn has_resource(&self, &(at, amount): &(u32, u64)) -> bool {
        self.resources[at as usize].available() >= amount
    }

    fn has_resources(&self, needs: &Requirement) -> bool {
        needs.resources.iter().all(|need| self.has_resource(need))
    }

    fn fits(&self, needs: &Requirement) -> bool {
        needs.threads <= self.free_threads()
            && self.has_memory(needs.memory_bytes)
            && self.has_resources(needs)
    }

    /// Marks what a blocked task lacks.
    fn reserve(&self, needs: &Requirement, reserved: &mut Reserved) {
        reserved.threads |= needs.threads > self.free_threads();
        reserved.memory |= !self.has_memory(needs.memory_bytes);
        let lacking = needs.resources.iter().filter(|need| !self.has_resource(need));
        reserved.resources.extend(lacking.map(|need| need.0));
    }

    /// A complete task enters its queue.
    pub(super) fn enqueue(&mut self, slot: Slot) {
        let record = &mut self.tasks[slot];
        if let Some(needs) = record.needs.as_deref() {
            record.state = State::Constrained;
            let rank = record.rank(slot);
            if let Some(queue) = self.constrained.get_mut(needs) {
                queue.ranks.insert(rank);
            } else {
                let queue = Queue { ranks: BTreeSet::from([rank]), overtaken: 0 };
                self.constrained.insert(needs.clone(), queue);
            }
        } else {
            record.state = State::Ready;
            self.ready.insert(record.rank(slot));
        }
    }

    /// A task leaves its queue.
    pub(super) fn dequeue(&mut self, slot: Slot) {
        let record = &self.tasks[slot];
        let rank = record.rank(slot);
        let Some(needs) = record.needs.as_deref() else {
            self.ready.remove(&rank);
            return;
        };
        if let Some(queue) = self.constrained.get_mut(needs) {
            if queue.ranks.first() == Some(&rank) {
                queue.overtaken = 0;
            }
            queue.ranks.remove(&rank);
            if queue.ranks.is_empty() {
                self.constrained.remove(needs);
            }
        }
    }

    /// Takes what a run needs.
    pub(super) fn take(&mut self, needs: Option<&Requirement>) {
        let Some(needs) = needs else {
            self.used_threads += 1;
            return;
        };
        self.used_threads += needs.threads;
        self.promised_bytes += needs.memory_bytes;
        for &(at, amount) in &needs.resources {
            self.resources[at as usize].taken += amount;
        }
    }

    /// Gives back what a run took; its slots only if it still held them.
    pub(super) fn give_back(&mut self, needs: Option<&Requirement>, slots: bool) {
        if slots {
            self.used_threads -= needs.map_or(1, |needs| needs.threads);
        }
        if let Some(needs) = needs {
            self.promised_bytes -= needs.memory_bytes;
            for &(at, amount) in &needs.resources {
                self.resources[at as usize].taken -= amount;
            }
        }
    }

    /// What a compute-task asks for, in the worker's terms; `None` = one slot and nothing else.
    /// More slots or memory than there are mean all of them; without a limit memory is no need.
    ///
    /// # Errors
    /// When the worker has no such resource, or less of it in all.
    pub(super) fn requirement(
        &self,
        needs: &Needs,
    ) -> Result<Option<Box<Requirement>>, Box<TaskError>> {
        let threads = needs.threads.clamp(1, self.options.nthreads.max(1));
        let mut resources: Vec<(u32, u64)> = Vec::with_capacity(needs.resources.len());
        for (name, amount) in &needs.resources {
            let at = self.resources.iter().position(|resource| resource.name == *name);
            let total = at.map_or(0, |at| self.resources[at].total);
            let (Some(at), true) = (at, *amount <= total) else {
                return Err(lacking(name, *amount, total));
            };
            let at = u32::try_from(at).expect("a worker has few resources");
            match resources.iter_mut().find(|have| have.0 == at) {
                Some(have) => have.1 = have.1.max(*amount),
                None => resources.push((at, *amount)),
            }
        }
        let memory_bytes = needs.memory_bytes.min(self.options.memory_limit_bytes);
        if threads == 1 && memory_bytes == 0 && resources.is_empty() {
            return Ok(None);
        }
        resources.sort_unstable();
        Ok(Some(Box::new(Requirement { threads, memory_bytes, resources })))
    }

    /// Tasks in queues that are complete, for checks.
    pub(super) fn queued(&self) -> impl Iterator<Item = (Slot, TaskId)> + '_ {
        self.ready
            .iter()
            .chain(self.constrained.values().flat_map(|queue| &queue.ranks))
            .map(|rank| (rank.slot, self.tasks[rank.slot].task))
    }
}

fn lacking(name: &str, amount: u64, total: u64) -> Box<TaskError> {
    Box::new(TaskError {
        kind: "ResourceError".into(),
        message: format!(
            "the task needs {} of resource {name:?}, the worker has {}",
            in_units(amount),
            in_units(total)
        ),
        traceback: String::new(),
    })
}

/// Millionths as a decimal number.
fn in_units(millionths: u64) -> String {
    let (whole, rest) = (millionths / 1_000_000, millionths % 1_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = format!("{rest:06}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}
