//! Inputs that workers have yet to fetch for tasks that they were sent (Dask's `needs_what`).
//!
//! One table for all workers: an entry comes and goes with almost every task, and a table for each
//! worker would spread them over as many places of memory.

use crate::ids::{TaskId, WorkerId};
use crate::paths::PathClass;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// An input that some tasks of a worker need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Needed {
    /// How many.
    tasks: u32,
    /// The way it comes, as it was when the first of them needed it: what enters an occupancy leaves
    /// it again.
    class: PathClass,
}

/// What tasks of workers need and is not there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct NeedsWhat {
    needed: FxHashMap<(WorkerId, TaskId), Needed>,
}

impl NeedsWhat {
    /// Some more tasks of a worker need an input; the way it comes, when none did.
    pub(super) fn add(
        &mut self,
        worker: WorkerId,
        input: TaskId,
        tasks: u32,
        class: impl FnOnce() -> PathClass,
    ) -> Option<PathClass> {
        match self.needed.entry((worker, input)) {
            Entry::Occupied(mut entry) => {
                let needed = entry.get_mut();
                needed.tasks = needed.tasks.saturating_add(tasks);
                None
            }
            Entry::Vacant(entry) => Some(entry.insert(Needed { tasks, class: class() }).class),
        }
    }

    /// One task less needs an input; the way it comes, when it was the last.
    pub(super) fn take(&mut self, worker: WorkerId, input: TaskId) -> Option<PathClass> {
        let Entry::Occupied(mut entry) = self.needed.entry((worker, input)) else { return None };
        entry.get_mut().tasks -= 1;
        (entry.get().tasks == 0).then(|| entry.remove().class)
    }

    /// The input came, or the worker is gone; the way it comes, when some task needed it.
    pub(super) fn remove(&mut self, worker: WorkerId, input: TaskId) -> Option<PathClass> {
        if self.needed.is_empty() {
            return None;
        }
        self.needed.remove(&(worker, input)).map(|needed| needed.class)
    }

    /// Every entry: worker, input, how many tasks need it, the way it comes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (WorkerId, TaskId, u32, PathClass)> {
        let rows = self.needed.iter();
        rows.map(|(&(worker, input), needed)| (worker, input, needed.tasks, needed.class))
    }

    pub(super) fn len(&self) -> usize {
        self.needed.len()
    }
}
