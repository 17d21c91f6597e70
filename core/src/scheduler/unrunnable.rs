//! Tasks that no running worker serves, in the order in which they came.

use crate::ids::TaskId;
use crate::time::Time;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Tasks in `no-worker`, each with the time since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Unrunnable {
    by_age: BTreeMap<u64, (TaskId, Time)>,
    numbers: FxHashMap<TaskId, u64>,
    last: u64,
}

impl Unrunnable {
    /// Adds a task that is not there.
    pub(super) fn insert(&mut self, task: TaskId, since: Time) {
        self.last += 1;
        self.by_age.insert(self.last, (task, since));
        self.numbers.insert(task, self.last);
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, task: TaskId) {
        if let Some(number) = self.numbers.remove(&task) {
            self.by_age.remove(&number);
        }
    }

    pub(super) fn contains(&self, task: TaskId) -> bool {
        self.numbers.contains_key(&task)
    }

    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, Time)> {
        self.by_age.values().copied()
    }
}
