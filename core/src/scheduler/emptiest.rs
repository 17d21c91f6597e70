//! The running workers, the emptiest first: a tree of least loads, eight to a node.
//!
//! Placement asks for the worker with the least load a thread millions of times. A change of one
//! worker's load costs one cache line a level (five for 10,000 workers) and no branch that a
//! processor would have to guess. A load that becomes less is held back until another one does: a
//! worker whose task has ended mostly gets the next one, and then the tree is spared both changes.
//! Equal loads go by leaf, and workers get their leaves by a seeded hash, so that low numbers are not
//! preferred.

use super::task::NONE;
use crate::ids::WorkerId;
use crate::rng::mix;

/// Loads in a node: a cache line of them.
const ARITY: usize = 8;

/// Larger than any entry.
const NOTHING: u64 = u64::MAX;

/// Entries of eight neighbours: the load in the upper half, the leaf in the lower.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Node([u64; ARITY]);

impl Node {
    const EMPTY: Self = Self([NOTHING; ARITY]);

    fn least(&self) -> u64 {
        let [a, b, c, d, e, f, g, h] = self.0;
        a.min(b).min(c.min(d)).min(e.min(f).min(g.min(h)))
    }
}

/// Running workers by load.
#[derive(Clone, Debug)]
pub(super) struct Emptiest {
    /// The worker of each leaf; leaves have no gaps.
    workers: Vec<WorkerId>,
    /// Leaf of each worker, `NONE` when it is not there.
    leaves: Vec<u32>,
    /// From the leaves up to a single node; each entry is the least of the node below it.
    levels: Vec<Vec<Node>>,
    /// The least entry of the tree.
    least: u64,
    /// An entry that is less than the tree's of the same leaf, or `NOTHING`.
    held_back: u64,
    seed: u64,
}

impl Default for Emptiest {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Emptiest {
    /// Without workers; the seed decides among equals.
    pub(super) fn new(seed: u64) -> Self {
        let levels = vec![vec![Node::EMPTY]];
        let (workers, leaves) = (Vec::new(), Vec::new());
        Self { workers, leaves, levels, least: NOTHING, held_back: NOTHING, seed }
    }

    /// The workers in it.
    pub(super) fn workers(&self) -> impl ExactSizeIterator<Item = WorkerId> {
        self.workers.iter().copied()
    }

    /// Number of workers.
    pub(super) const fn len(&self) -> usize {
        self.workers.len()
    }

    /// The worker at a leaf.
    pub(super) fn at(&self, leaf: usize) -> WorkerId {
        self.workers[leaf]
    }

    /// The worker with the least load.
    pub(super) fn first(&self) -> Option<WorkerId> {
        // What is held back is less than what the tree has instead.
        self.workers.get(leaf_of(self.least.min(self.held_back))).copied()
    }

    /// Adds the workers with less than a load to a list, in no order, until it has `most`.
    pub(super) fn below(&mut self, load: u32, most: usize, found: &mut Vec<WorkerId>) {
        self.settle();
        let mut leaf = 0;
        while leaf < self.workers.len() && found.len() < most {
            // The largest node that begins here and has nothing to give is passed over.
            let (mut passed, mut place, mut span) = (0, leaf, 1);
            for level in &self.levels {
                if (level[place / ARITY].0[place % ARITY] >> 32) < u64::from(load) {
                    break;
                }
                passed = span;
                if !place.is_multiple_of(ARITY) {
                    break;
                }
                (place, span) = (place / ARITY, span * ARITY);
            }
            if passed == 0 {
                found.push(self.workers[leaf]);
            }
            leaf += passed.max(1);
        }
    }

    pub(super) fn contains(&self, worker: WorkerId) -> bool {
        self.leaves.get(worker.index()).is_some_and(|leaf| *leaf != NONE)
    }

    /// The load that a worker stands under.
    pub(super) fn load(&self, worker: WorkerId) -> Option<u32> {
        self.contains(worker).then(|| {
            let leaf = self.leaves[worker.index()];
            let entry = if self.holds_back(leaf) { self.held_back } else { self.entry(leaf) };
            (entry >> 32) as u32
        })
    }

    /// Adds a worker that is not there, at the leaf of one that is drawn, which moves to the end.
    pub(super) fn insert(&mut self, worker: WorkerId, load: u32) {
        self.settle();
        if self.leaves.len() <= worker.index() {
            self.leaves.resize(worker.index() + 1, NONE);
        }
        let last = self.workers.len();
        self.workers.push(worker);
        self.grow();
        let drawn = mix(self.seed ^ mix(u64::from(worker.0))) % self.workers.len() as u64;
        let drawn = drawn as usize;
        if drawn < last {
            let moved = self.workers[drawn];
            let moved_load = (self.entry(self.leaves[moved.index()]) >> 32) as u32;
            self.put(last, moved, moved_load);
        }
        self.put(drawn, worker, load);
    }

    /// Takes a worker out, when it is there; the last leaf's worker takes its leaf.
    pub(super) fn remove(&mut self, worker: WorkerId) {
        if !self.contains(worker) {
            return;
        }
        self.settle();
        let leaf = std::mem::replace(&mut self.leaves[worker.index()], NONE) as usize;
        let last = self.workers.len() - 1;
        let moved = self.workers[last];
        let moved_load = (self.entry(number(last)) >> 32) as u32;
        self.set(last, NOTHING);
        self.workers.truncate(last);
        if leaf < last {
            self.put(leaf, moved, moved_load);
        }
    }

    /// Changes a worker's load, when it is there.
    pub(super) fn update(&mut self, worker: WorkerId, load: u32) {
        if !self.contains(worker) {
            return;
        }
        let leaf = self.leaves[worker.index()];
        let new = entry(load, leaf);
        if self.holds_back(leaf) {
            self.held_back = NOTHING;
        }
        if new < self.entry(leaf) {
            self.settle();
            self.held_back = new;
        } else {
            self.set(leaf as usize, new);
        }
    }

    /// The entry that is held back is this leaf's.
    fn holds_back(&self, leaf: u32) -> bool {
        self.held_back != NOTHING && self.held_back as u32 == leaf
    }

    /// Writes what is held back.
    fn settle(&mut self) {
        let entry = std::mem::replace(&mut self.held_back, NOTHING);
        if entry != NOTHING {
            self.set(leaf_of(entry), entry);
        }
    }

    /// The entry of a leaf.
    fn entry(&self, leaf: u32) -> u64 {
        self.levels[0][leaf as usize / ARITY].0[leaf as usize % ARITY]
    }

    fn put(&mut self, leaf: usize, worker: WorkerId, load: u32) {
        self.workers[leaf] = worker;
        self.leaves[worker.index()] = number(leaf);
        self.set(leaf, entry(load, number(leaf)));
    }

    /// Writes the entry of a leaf, and the least of each node above it as far as that changes.
    fn set(&mut self, leaf: usize, entry: u64) {
        let (mut place, mut least) = (leaf, entry);
        for level in &mut self.levels {
            let node = &mut level[place / ARITY];
            if node.0[place % ARITY] == least {
                return;
            }
            node.0[place % ARITY] = least;
            least = node.least();
            place /= ARITY;
        }
        self.least = least;
    }

    /// Makes room for as many leaves as there are workers.
    fn grow(&mut self) {
        let mut nodes = self.workers.len().div_ceil(ARITY);
        for level in &mut self.levels {
            if level.len() >= nodes {
                return;
            }
            level.resize(nodes, Node::EMPTY);
            nodes = nodes.div_ceil(ARITY);
        }
        // The top had one node and has two now: a node above them begins with the least so far.
        let mut top = Node::EMPTY;
        top.0[0] = self.least;
        self.levels.push(vec![top]);
    }
}

fn entry(load: u32, leaf: u32) -> u64 {
    u64::from(load) << 32 | u64::from(leaf)
}

/// The leaf of an entry.
fn leaf_of(entry: u64) -> usize {
    entry as u32 as usize
}

fn number(leaf: usize) -> u32 {
    u32::try_from(leaf).expect("fewer workers than 2^32")
}

#[cfg(test)]
mod tests {
    use super::Emptiest;
    use crate::ids::WorkerId;
    use crate::rng::Rng;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn agrees_with_a_sorted_list() {
        for (seed, most) in [(11, 7), (12, 100), (13, 700)] {
            let mut rng = Rng::new(seed);
            let mut tree = Emptiest::new(seed);
            let mut expected = BTreeMap::new();
            for _ in 0..20_000 {
                let worker = WorkerId(rng.below(most) as u32);
                let load = rng.below(50) as u32;
                match rng.below(4) {
                    0 => {
                        tree.remove(worker);
                        expected.remove(&worker);
                    }
                    _ if expected.contains_key(&worker) => {
                        tree.update(worker, load);
                        expected.insert(worker, load);
                    }
                    _ => {
                        tree.insert(worker, load);
                        expected.insert(worker, load);
                    }
                }
                let least = expected.values().min().copied();
                assert_eq!(tree.first().and_then(|first| tree.load(first)), least);
                assert_eq!(tree.first().map(|first| expected[&first]), least);
                assert_eq!(tree.len(), expected.len());
                assert_eq!(tree.load(worker), expected.get(&worker).copied());
            }
            let mut below = Vec::new();
            tree.below(20, usize::MAX, &mut below);
            let below: BTreeSet<_> = below.into_iter().collect();
            let few = expected.iter().filter(|(_, load)| **load < 20).map(|(worker, _)| *worker);
            assert_eq!(below, few.collect());
            let mut some = Vec::new();
            tree.below(20, 3, &mut some);
            assert_eq!(some.len(), below.len().min(3));
            assert!(some.iter().all(|worker| below.contains(worker)));
            let all: BTreeSet<_> = tree.workers().collect();
            assert!(all.iter().eq(expected.keys()));
            assert!((0..tree.len()).all(|leaf| all.contains(&tree.at(leaf))));
        }
    }

    #[test]
    fn equals_go_by_the_seed() {
        let order = |seed| {
            let mut tree = Emptiest::new(seed);
            (0..40).for_each(|worker| tree.insert(WorkerId(worker), 0));
            let mut order = Vec::new();
            while let Some(first) = tree.first() {
                tree.remove(first);
                order.push(first.0);
            }
            order
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert!(!order(1).is_sorted());
    }
}
