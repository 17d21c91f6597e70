//! The worker's records in a slab, and the links between them.
//!
//! A message's `TaskId` is looked up once, at the edge; inside, records are named by `Slot`. A slot
//! that is forgotten keeps its vectors for the next record, so that a warm worker hardly allocates.
//! Each link knows the position of its opposite: cutting one costs the same for an input of two
//! dependents as for one of a million.

use super::task::{DependencyLink, DependentLink, Record, Slot, State};
use crate::ids::TaskId;
use rustc_hash::FxHashMap;
use std::ops::{Index, IndexMut};

/// A vector of a forgotten record with more entries than this gives its memory back.
const KEPT_CAPACITY: usize = 64;

/// Records by slot and by task.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    records: Vec<Record>,
    vacant: Vec<Slot>,
    index: FxHashMap<TaskId, Slot>,
}

impl Index<Slot> for Tasks {
    type Output = Record;
    fn index(&self, slot: Slot) -> &Record {
        &self.records[slot.0 as usize]
    }
}

impl IndexMut<Slot> for Tasks {
    fn index_mut(&mut self, slot: Slot) -> &mut Record {
        &mut self.records[slot.0 as usize]
    }
}

impl Tasks {
    /// The record of a task, if there is one.
    pub(super) fn find(&self, task: TaskId) -> Option<Slot> {
        self.index.get(&task).copied()
    }

    /// The record of a task; a new one starts as released. The flag tells whether it is new.
    pub(super) fn find_or_insert(&mut self, task: TaskId) -> (Slot, bool) {
        if let Some(slot) = self.find(task) {
            return (slot, false);
        }
        let slot = match self.vacant.pop() {
            Some(slot) => {
                let record = &mut self[slot];
                record.task = task;
                record.state = State::Released;
                slot
            }
            None => {
                let at = u32::try_from(self.records.len()).expect("task numbers have 32 bits");
                self.records.push(Record::new(task));
                Slot(at)
            }
        };
        self.index.insert(task, slot);
        (slot, true)
    }

    /// Takes a record out; its links must be cut.
    pub(super) fn remove(&mut self, slot: Slot) {
        let record = &mut self[slot];
        debug_assert!(record.dependencies.is_empty() && record.dependents.is_empty());
        let task = record.task;
        let mut fresh = Record::new(task);
        fresh.state = State::Forgotten;
        fresh.arguments = emptied(std::mem::take(&mut record.arguments));
        fresh.dependencies = emptied(std::mem::take(&mut record.dependencies));
        fresh.dependents = emptied(std::mem::take(&mut record.dependents));
        fresh.who_has = emptied(std::mem::take(&mut record.who_has));
        *record = fresh;
        self.index.remove(&task);
        self.vacant.push(slot);
    }

    /// Links a task to one of its inputs.
    pub(super) fn link(&mut self, dependent: Slot, dependency: Slot) {
        let forward = position(self[dependent].dependencies.len());
        let back = position(self[dependency].dependents.len());
        self[dependent].dependencies.push(DependencyLink {
            slot: dependency,
            back,
            waiting: false,
        });
        self[dependency].dependents.push(DependentLink { slot: dependent, back: forward });
    }

    /// Cuts all links of a task to its inputs; it must not wait for any. The inputs' slots are
    /// appended to `cut`.
    pub(super) fn unlink(&mut self, dependent: Slot, cut: &mut Vec<Slot>) {
        while let Some(link) = self[dependent].dependencies.pop() {
            let at = link.back as usize;
            let input = &mut self[link.slot];
            input.dependents.swap_remove(at);
            if let Some(&moved) = input.dependents.get(at) {
                self[moved.slot].dependencies[moved.back as usize].back = link.back;
            }
            cut.push(link.slot);
        }
    }

    /// Notes that a task waits for its input number `at`, or no longer does.
    pub(super) fn set_waiting(&mut self, dependent: Slot, at: usize, waiting: bool) {
        let record = &mut self[dependent];
        let link = &mut record.dependencies[at];
        if link.waiting == waiting {
            return;
        }
        link.waiting = waiting;
        let input = link.slot;
        if waiting {
            record.waiting_count += 1;
            self[input].waiter_count += 1;
        } else {
            record.waiting_count -= 1;
            self[input].waiter_count -= 1;
        }
    }

    /// Slots of all records, in the order of the slab.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        (0u32..)
            .zip(&self.records)
            .filter(|(_, record)| record.state != State::Forgotten)
            .map(|(at, _)| Slot(at))
    }

    /// One past the last slot.
    pub(super) const fn slot_count(&self) -> usize {
        self.records.len()
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}

fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    if list.capacity() > KEPT_CAPACITY {
        return Vec::new();
    }
    list.clear();
    list
}

fn position(len: usize) -> u32 {
    u32::try_from(len).expect("a task has fewer than 2^32 links")
}
