//! Finding equal things once: keys by name, equal run specs under one number.
//!
//! Keys are looked up after all of them are known, in a sorted table of 16 bytes a key that costs
//! n·log n even for keys that were chosen to collide. Specs are interned while they arrive; they
//! are numbered by their first use, so that one graph has one numbering.

use super::{Keys, RunSpec};
use crate::ids::{SpecId, TaskId};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;

/// Finds tasks by key.
#[derive(Clone, Debug, Default)]
pub struct KeyIndex {
    /// Sorted by hash, then key, then number.
    entries: Vec<(u64, TaskId)>,
}

impl KeyIndex {
    /// The index of these keys.
    #[must_use]
    pub fn new(keys: &Keys) -> Self {
        let mut entries: Vec<(u64, TaskId)> = (0..keys.len())
            .map(TaskId::from_index)
            .map(|task| (hash(keys.key(task)), task))
            .collect();
        entries.sort_unstable();
        for run in entries.chunk_by_mut(|a, b| a.0 == b.0) {
            if run.len() > 1 {
                run.sort_unstable_by_key(|(_, task)| (keys.key(*task), *task));
            }
        }
        Self { entries }
    }

    /// The first task with this key. `keys` are those that the index was made of.
    #[must_use]
    pub fn find(&self, keys: &Keys, key: &str) -> Option<TaskId> {
        let wanted = (hash(key), key);
        let at = self.entries.partition_point(|(hash, task)| {
            *hash < wanted.0 || (*hash == wanted.0 && keys.key(*task) < wanted.1)
        });
        let (hash, task) = *self.entries.get(at)?;
        (hash == wanted.0 && keys.key(task) == key).then_some(task)
    }

    /// Each task whose key stood before, with the task just before it that has the same key.
    pub(super) fn duplicates(&self, keys: &Keys) -> Vec<(TaskId, TaskId)> {
        let mut pairs: Vec<(TaskId, TaskId)> = self
            .entries
            .windows(2)
            .filter(|pair| pair[0].0 == pair[1].0 && keys.key(pair[0].1) == keys.key(pair[1].1))
            .map(|pair| (pair[0].1, pair[1].1))
            .collect();
        pairs.sort_unstable_by_key(|(_, second)| *second);
        pairs
    }
}

fn hash(key: &str) -> u64 {
    FxBuildHasher.hash_one(key)
}

/// Numbers distinct run specs by their first use.
#[derive(Clone, Debug, Default)]
pub(super) struct SpecInterner {
    pub(super) specs: Vec<RunSpec>,
    /// Last spec with this hash.
    last: FxHashMap<u64, SpecId>,
    /// For each spec the one before it with the same hash.
    before: Vec<Option<SpecId>>,
}

impl SpecInterner {
    /// The number of a normalized spec, a new one when no equal spec is there.
    pub(super) fn intern(&mut self, spec: RunSpec) -> SpecId {
        let hash = FxBuildHasher.hash_one(&spec);
        let mut candidate = self.last.get(&hash).copied();
        let previous = candidate;
        while let Some(id) = candidate {
            if self.specs[id.index()] == spec {
                return id;
            }
            candidate = self.before[id.index()];
        }
        let id = SpecId::from_index(self.specs.len());
        self.specs.push(spec);
        self.before.push(previous);
        self.last.insert(hash, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Param;

    fn keys(names: &[&str]) -> Keys {
        let mut keys = Keys { offsets: vec![0], text: String::new() };
        for name in names {
            keys.text.push_str(name);
            keys.offsets.push(keys.text.len() as u64);
        }
        keys
    }

    #[test]
    fn finds_every_key_and_nothing_else() {
        let keys = keys(&["b", "a", "", "ab", "bb"]);
        let index = KeyIndex::new(&keys);
        for (at, name) in ["b", "a", "", "ab", "bb"].iter().enumerate() {
            assert_eq!(index.find(&keys, name), Some(TaskId::from_index(at)));
        }
        assert_eq!(index.find(&keys, "c"), None);
        assert!(index.duplicates(&keys).is_empty());
    }

    #[test]
    fn names_each_repeated_key_once() {
        let keys = keys(&["x", "y", "x", "z", "y", "x"]);
        let index = KeyIndex::new(&keys);
        assert_eq!(index.find(&keys, "x"), Some(TaskId(0)));
        let expected = [(0, 2), (1, 4), (2, 5)].map(|(a, b)| (TaskId(a), TaskId(b)));
        assert_eq!(index.duplicates(&keys), expected);
    }

    #[test]
    fn equal_specs_share_a_number_and_signed_zeros_do_not() {
        let full = |value| RunSpec::kernel("full", [("value", Param::Float(value))]);
        let mut interner = SpecInterner::default();
        let numbers = [0.0, -0.0, 0.0, 1.0, -0.0].map(|value| interner.intern(full(value)).0);
        assert_eq!(numbers, [0, 1, 0, 2, 1]);
        assert_eq!(interner.specs.len(), 3);
    }
}
