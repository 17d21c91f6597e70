//! Tasks that no running worker serves, in the order in which they came and by what they ask for.

use crate::ids::TaskId;
use crate::time::Time;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};

/// A task's entry.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    ask: u32,
}

/// Tasks in `no-worker`, each with the time since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Unrunnable {
    by_age: BTreeMap<u64, (TaskId, Time)>,
    /// A worker that comes is compared with the asks: there are few of them, and many tasks.
    by_ask: BTreeMap<u32, BTreeSet<TaskId>>,
    entries: FxHashMap<TaskId, Entry>,
    last: u64,
}

impl Unrunnable {
    /// Adds a task that is not there.
    pub(super) fn insert(&mut self, task: TaskId, ask: u32, since: Time) {
        self.last += 1;
        self.by_age.insert(self.last, (task, since));
        self.by_ask.entry(ask).or_default().insert(task);
        self.entries.insert(task, Entry { number: self.last, ask });
    }

    /// Takes a task out.
    pub(super) fn remove(&mut self, task: TaskId) {
        let Some(Entry { number, ask }) = self.entries.remove(&task) else { return };
        self.by_age.remove(&number);
        if let Some(tasks) = self.by_ask.get_mut(&ask) {
            tasks.remove(&task);
            if tasks.is_empty() {
                self.by_ask.remove(&ask);
            }
        }
    }

    pub(super) fn contains(&self, task: TaskId) -> bool {
        self.entries.contains_key(&task)
    }

    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// The oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TaskId, Time)> {
        self.by_age.values().copied()
    }

    /// The asks with their tasks.
    pub(super) fn asks(&self) -> impl Iterator<Item = (u32, &BTreeSet<TaskId>)> {
        self.by_ask.iter().map(|(ask, tasks)| (*ask, tasks))
    }
}

#[cfg(test)]
mod tests {
    use super::Unrunnable;
    use crate::ids::TaskId;
    use crate::time::Time;

    #[test]
    fn tasks_stand_by_age_and_by_ask() {
        let mut unrunnable = Unrunnable::default();
        for (task, ask) in [(7, 1), (3, 0), (5, 1), (4, 2)] {
            unrunnable.insert(TaskId(task), ask, Time(u64::from(task)));
        }
        unrunnable.remove(TaskId(4));
        unrunnable.remove(TaskId(4));
        assert!(unrunnable.contains(TaskId(5)) && !unrunnable.contains(TaskId(4)));
        let ages: Vec<u32> = unrunnable.iter().map(|(task, _)| task.0).collect();
        assert_eq!((ages, unrunnable.len()), (vec![7, 3, 5], 3));
        let asks: Vec<(u32, Vec<u32>)> = unrunnable
            .asks()
            .map(|(ask, tasks)| (ask, tasks.iter().map(|task| task.0).collect()))
            .collect();
        assert_eq!(asks, [(0, vec![3]), (1, vec![5, 7])]);
    }
}
