//! A graph takes tasks of another one over, behind its own.
//!
//! The numbers of the tasks that are here stay. What is to be written, arrays and `meta` remain
//! those of this graph; a static order is that of one file and is dropped.

use super::{Graph, RunSpec};
use crate::ids::{SpecId, TaskId};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;

impl Graph {
    /// Takes those tasks of `other` over whose number here, in `numbers`, is not in use yet; these
    /// numbers follow each other in the order of the tasks. Every input of such a task has a number.
    /// Equal run specs share one.
    ///
    /// # Panics
    /// When an input of a task that is taken over has no number.
    pub fn extend(&mut self, other: &Self, numbers: &[Option<TaskId>]) {
        let here = self.len();
        let mut specs = SpecTable::new(&self.specs, other.specs.len());
        if self.keys.is_empty() {
            self.keys.offsets = vec![0];
            self.inputs.offsets = vec![0];
        }
        for (index, number) in numbers.iter().enumerate() {
            if number.is_none_or(|number| number.index() < here) {
                continue;
            }
            let task = TaskId::from_index(index);
            self.keys.text.push_str(other.key(task));
            self.keys.offsets.push(self.keys.text.len() as u64);
            let inputs = other.inputs.row(task).iter().map(|input| numbers[input.index()]);
            self.inputs.values.extend(inputs.map(|input| input.expect("the caller numbered it")));
            self.inputs.offsets.push(self.inputs.values.len() as u64);
            self.spec_of.push(specs.number(other, other.spec_of[index], &mut self.specs));
        }
        let attributes = other.attributes.iter().filter_map(|(task, attributes)| {
            let number = numbers[task.index()].filter(|number| number.index() >= here)?;
            Some((number, attributes.clone()))
        });
        self.attributes.extend(attributes);
        self.order = None;
    }
}

/// Numbers of the run specs of another graph.
struct SpecTable {
    /// Specs that are here, by hash.
    here: FxHashMap<u64, Vec<SpecId>>,
    /// Numbers that were found, by number in the other graph.
    found: Vec<Option<SpecId>>,
}

impl SpecTable {
    fn new(specs: &[RunSpec], others: usize) -> Self {
        let mut here: FxHashMap<u64, Vec<SpecId>> = FxHashMap::default();
        for (index, spec) in specs.iter().enumerate() {
            here.entry(FxBuildHasher.hash_one(spec)).or_default().push(SpecId::from_index(index));
        }
        Self { here, found: vec![None; others] }
    }

    fn number(&mut self, other: &Graph, id: SpecId, specs: &mut Vec<RunSpec>) -> SpecId {
        if let Some(known) = self.found[id.index()] {
            return known;
        }
        let spec = &other.specs[id.index()];
        let equal = self.here.entry(FxBuildHasher.hash_one(spec)).or_default();
        let known = equal.iter().copied().find(|known| specs[known.index()] == *spec);
        let number = known.unwrap_or_else(|| {
            let number = SpecId::from_index(specs.len());
            specs.push(spec.clone());
            equal.push(number);
            number
        });
        self.found[id.index()] = Some(number);
        number
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Attributes, GraphBuilder, RunSpec};
    use crate::ids::TaskId;

    fn spec(name: &str) -> RunSpec {
        RunSpec::kernel::<&str>(name, [])
    }

    #[test]
    fn what_is_new_follows_behind_and_equal_specs_share_a_number() {
        let mut first = GraphBuilder::new();
        let a = first.add("a", spec("rank"), &[]);
        first.add("b", spec("identity"), &[a]);
        let mut graph = first.build().unwrap();
        let mut second = GraphBuilder::new();
        let unused = second.add("unused", spec("sum"), &[]);
        let b = second.add("b", spec("rank"), &[]);
        let c = second.add("c", spec("exp"), &[b, unused, b]);
        let d = second.add("d", spec("identity"), &[c]);
        second.attributes(d, Attributes { retries: Some(3), ..Attributes::default() });
        let second = second.build().unwrap();
        // 'b' is the one that is here; 'unused' comes as well, behind it.
        let numbers = [2, 1, 3, 4].map(|number| Some(TaskId(number)));
        graph.extend(&second, &numbers);
        let tasks = (0..graph.len()).map(TaskId::from_index);
        let keys: Vec<&str> = tasks.map(|task| graph.key(task)).collect();
        assert_eq!(keys, ["a", "b", "unused", "c", "d"]);
        assert_eq!(graph.inputs.row(TaskId(1)), [TaskId(0)], "what is here stays");
        assert_eq!(graph.inputs.row(TaskId(3)), [1, 2, 1].map(TaskId));
        assert_eq!(graph.inputs.row(TaskId(4)), [TaskId(3)]);
        let names: Vec<&str> = graph.specs.iter().map(RunSpec::name).collect();
        assert_eq!(names, ["rank", "identity", "sum", "exp"]);
        assert_eq!(graph.spec(TaskId(4)).name(), "identity");
        assert_eq!(graph.attributes_of(TaskId(4)).unwrap().retries, Some(3));
        assert_eq!(graph.faults(), []);
    }
}
