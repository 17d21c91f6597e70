//! Inputs that workers have yet to fetch for tasks that they were sent (Dask's `needs_what`), as far
//! as more than one task reads them: of others the one task's worker tells the same.
//!
//! One table for all workers: an entry comes and goes with almost every task, and a table for each
//! worker would spread them over as many places of memory.

use crate::ids::{TaskId, WorkerId};
use rustc_hash::FxHashMap;

/// How many tasks of a worker need an input that is not there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct NeedsWhat {
    counts: FxHashMap<(WorkerId, TaskId), u32>,
}

impl NeedsWhat {
    /// Some more tasks of a worker need an input; true when none did.
    pub(super) fn add(&mut self, worker: WorkerId, input: TaskId, tasks: u32) -> bool {
        let count = self.counts.entry((worker, input)).or_insert(0);
        let first = *count == 0;
        *count = count.saturating_add(tasks);
        first
    }

    /// One task less needs an input; true when it was the last.
    pub(super) fn take(&mut self, worker: WorkerId, input: TaskId) -> bool {
        let Some(count) = self.counts.get_mut(&(worker, input)) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.counts.remove(&(worker, input));
        }
        last
    }

    /// The input came, or the worker is gone; true when some task needed it.
    pub(super) fn remove(&mut self, worker: WorkerId, input: TaskId) -> bool {
        !self.counts.is_empty() && self.counts.remove(&(worker, input)).is_some()
    }

    /// Every entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, TaskId, u32)> {
        self.counts.iter().map(|(&(worker, input), &count)| (worker, input, count))
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }
}
