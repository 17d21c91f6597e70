//! The running workers, the emptiest first: a heap that knows where each worker stands.
//!
//! Placement asks for the worker with the least load a thread millions of times; a change of one
//! worker's load costs a few steps, however many workers there are. Equal loads are ordered by a
//! seeded hash, so that low numbers are not preferred.

use super::task::NONE;
use crate::ids::WorkerId;

/// Children of a node; four keep the tree flat and a node's children on one cache line.
const ARITY: usize = 4;

/// A heap of workers by load.
#[derive(Clone, Debug, Default)]
pub(super) struct Emptiest {
    heap: Vec<(u64, WorkerId)>,
    /// Place of each worker in the heap, `NONE` when it is not in it.
    places: Vec<u32>,
}

impl Emptiest {
    /// The workers in it, in the order of the heap.
    pub(super) fn workers(&self) -> impl ExactSizeIterator<Item = WorkerId> {
        self.heap.iter().map(|(_, worker)| *worker)
    }

    /// Number of workers.
    pub(super) const fn len(&self) -> usize {
        self.heap.len()
    }

    /// The worker at a place of the heap.
    pub(super) fn at(&self, place: usize) -> WorkerId {
        self.heap[place].1
    }

    /// The worker with the least load.
    pub(super) fn first(&self) -> Option<WorkerId> {
        self.heap.first().map(|(_, worker)| *worker)
    }

    /// Adds the workers with less than a load to a list, in no order, until it has `most`.
    pub(super) fn below(&self, load: u64, most: usize, found: &mut Vec<WorkerId>) {
        let mut place = 0;
        // A walk down and along the tree without a list of open places: after a subtree comes the
        // next child of the same parent, and after the last the parent's neighbour.
        while found.len() < most {
            let is_below = self.heap.get(place).is_some_and(|entry| entry.0 < load);
            if is_below {
                found.push(self.heap[place].1);
                place = place * ARITY + 1;
                continue;
            }
            while place > 0 && place % ARITY == 0 {
                place = (place - 1) / ARITY;
            }
            if place == 0 {
                return;
            }
            place += 1;
        }
    }

    pub(super) fn contains(&self, worker: WorkerId) -> bool {
        self.places.get(worker.index()).is_some_and(|place| *place != NONE)
    }

    /// The load that a worker stands under.
    pub(super) fn load(&self, worker: WorkerId) -> Option<u64> {
        self.contains(worker).then(|| self.heap[self.places[worker.index()] as usize].0)
    }

    /// Adds a worker that is not there.
    pub(super) fn insert(&mut self, worker: WorkerId, load: u64) {
        if self.places.len() <= worker.index() {
            self.places.resize(worker.index() + 1, NONE);
        }
        self.heap.push((load, worker));
        self.rise(self.heap.len() - 1);
    }

    /// Takes a worker out, when it is there.
    pub(super) fn remove(&mut self, worker: WorkerId) {
        if !self.contains(worker) {
            return;
        }
        let place = self.places[worker.index()] as usize;
        self.heap.swap_remove(place);
        self.places[worker.index()] = NONE;
        if place < self.heap.len() {
            self.settle(place);
        }
    }

    /// Changes a worker's load, when it is there.
    pub(super) fn update(&mut self, worker: WorkerId, load: u64) {
        if self.contains(worker) {
            let place = self.places[worker.index()] as usize;
            self.heap[place].0 = load;
            self.settle(place);
        }
    }

    fn settle(&mut self, place: usize) {
        if place > 0 && self.heap[place] < self.heap[(place - 1) / ARITY] {
            self.rise(place);
        } else {
            self.sink(place);
        }
    }

    fn rise(&mut self, mut place: usize) {
        let entry = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent] <= entry {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, entry);
    }

    fn sink(&mut self, mut place: usize) {
        let entry = self.heap[place];
        loop {
            let first = place * ARITY + 1;
            let last = (first + ARITY).min(self.heap.len());
            let Some(least) = (first..last).min_by_key(|child| self.heap[*child]) else { break };
            if entry <= self.heap[least] {
                break;
            }
            self.put(place, self.heap[least]);
            place = least;
        }
        self.put(place, entry);
    }

    fn put(&mut self, place: usize, entry: (u64, WorkerId)) {
        self.heap[place] = entry;
        self.places[entry.1.index()] = u32::try_from(place).expect("fewer workers than 2^32");
    }
}

#[cfg(test)]
mod tests {
    use super::Emptiest;
    use crate::ids::WorkerId;
    use crate::rng::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn agrees_with_a_sorted_list() {
        let mut rng = Rng::new(11);
        let mut heap = Emptiest::default();
        let mut expected = BTreeMap::new();
        for _ in 0..20_000 {
            let worker = WorkerId(rng.below(100) as u32);
            let load = rng.below(50);
            match rng.below(4) {
                0 => {
                    heap.remove(worker);
                    expected.remove(&worker);
                }
                _ if expected.contains_key(&worker) => {
                    heap.update(worker, load);
                    expected.insert(worker, load);
                }
                _ => {
                    heap.insert(worker, load);
                    expected.insert(worker, load);
                }
            }
            let least = expected.iter().map(|(w, load)| (*load, *w)).min();
            assert_eq!(heap.first(), least.map(|(_, w)| w));
            assert_eq!(heap.len(), expected.len());
            let mut below = Vec::new();
            heap.below(20, usize::MAX, &mut below);
            below.sort_unstable();
            let few = expected.iter().filter(|(_, load)| **load < 20).map(|(w, _)| *w);
            assert_eq!(below, few.collect::<Vec<_>>());
            below.clear();
            heap.below(20, 3, &mut below);
            assert!(below.len() <= 3 && below.iter().all(|worker| expected[worker] < 20));
            assert_eq!(heap.load(worker), expected.get(&worker).copied());
        }
    }
}
