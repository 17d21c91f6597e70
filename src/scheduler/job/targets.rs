//! Where the result of one key goes: a file of its own, chunks of arrays, often just one of them.
//!
//! A key may be in very many chunks, so that a chunk is found by its place and what is left to
//! write is counted, not looked for.

use rdask_core::ids::WorkerId;
use rdask_core::messages::{WriteTarget, Written};
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::{Hash, Hasher};
use std::ops::{Index, IndexMut};
use std::time::Instant;

/// From this many targets on they are found by an index.
const INDEXED_COUNT: usize = 16;

/// One thing to write.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) what: WriteTarget,
    pub(super) state: Writing,
    pub(super) failures: u32,
}

/// How far a write is.
#[derive(Debug)]
pub(super) enum Writing {
    /// Its key is not in memory.
    Waiting,
    /// A worker is at it.
    By(WorkerId),
    /// It failed; the next try is due then.
    Again(Instant),
    /// Done.
    Done(Written),
    /// No try will help: the result does not fit its array, or the disk takes nothing.
    Never,
}

impl Target {
    /// Nothing is left to do for it.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.state, Writing::Done(_) | Writing::Never)
    }

    fn is_at(&self, part: &str, at: &[u64]) -> bool {
        matches!(&self.what, WriteTarget::Chunk { path, start, .. } if path == part && start == at)
    }
}

/// All targets of one key.
#[derive(Debug, Default)]
pub(super) struct Targets {
    all: Vec<Target>,
    /// Position of a target by its place, once there are many.
    by_place: FxHashMap<u64, usize>,
    /// Some places look alike (chunks without elements): those are found by looking at all.
    has_doubles: bool,
    settled_count: usize,
    written_count: usize,
}

impl Targets {
    /// One more.
    pub(super) fn push(&mut self, what: WriteTarget) {
        self.all.push(Target { what, state: Writing::Waiting, failures: 0 });
        let first = if self.all.len() == INDEXED_COUNT { 0 } else { self.all.len() - 1 };
        if self.all.len() >= INDEXED_COUNT {
            for (at, target) in self.all.iter().enumerate().skip(first) {
                let first = *self.by_place.entry(place(&target.what)).or_insert(at);
                self.has_doubles |= first != at;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Target> {
        self.all.iter()
    }

    /// To look and to order; `settle` ends them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        self.all.iter_mut()
    }

    /// Nothing is left to do for any.
    pub(super) fn are_settled(&self) -> bool {
        self.settled_count == self.all.len()
    }

    /// All are done.
    pub(super) fn are_written(&self) -> bool {
        self.written_count == self.all.len()
    }

    /// The target that this worker is at; none when the order was taken back.
    pub(super) fn being_written(&self, worker: WorkerId, what: &WriteTarget) -> Option<usize> {
        self.find(place(what), |target| {
            target.what == *what && matches!(target.state, Writing::By(by) if by == worker)
        })
    }

    /// Ends one that was not settled before.
    pub(super) fn settle(&mut self, at: usize, state: Writing) {
        self.settled_count += 1;
        self.written_count += usize::from(matches!(state, Writing::Done(_)));
        self.all[at].state = state;
    }

    /// What became of the file of its own.
    pub(super) fn file(&self) -> Option<&Written> {
        // It stands before all chunks.
        self.all.first().and_then(|target| match (&target.what, &target.state) {
            (WriteTarget::File { .. }, Writing::Done(written)) => Some(written),
            _ => None,
        })
    }

    /// What became of the chunk that starts there in the array with this part file.
    pub(super) fn chunk(&self, part: &str, at: &[u64]) -> Option<&Written> {
        let position = self.find(chunk_place(part, at), |target| {
            target.is_at(part, at) && matches!(target.state, Writing::Done(_))
        })?;
        match &self.all[position].state {
            Writing::Done(written) => Some(written),
            _ => None,
        }
    }

    /// The first target that is wanted: where the index says, or wherever it is.
    fn find(&self, place: u64, is_wanted: impl Fn(&Target) -> bool) -> Option<usize> {
        if self.all.len() >= INDEXED_COUNT {
            let at = *self.by_place.get(&place)?;
            if is_wanted(&self.all[at]) || !self.has_doubles {
                return Some(at).filter(|at| is_wanted(&self.all[*at]));
            }
        }
        self.all.iter().position(is_wanted)
    }
}

impl Index<usize> for Targets {
    type Output = Target;

    fn index(&self, at: usize) -> &Target {
        &self.all[at]
    }
}

impl IndexMut<usize> for Targets {
    fn index_mut(&mut self, at: usize) -> &mut Target {
        &mut self.all[at]
    }
}

fn place(what: &WriteTarget) -> u64 {
    match what {
        WriteTarget::File { stem } => chunk_place(stem, &[]),
        WriteTarget::Chunk { path, start, .. } => chunk_place(path, start),
    }
}

fn chunk_place(path: &str, start: &[u64]) -> u64 {
    let mut hasher = FxHasher::default();
    (path, start).hash(&mut hasher);
    hasher.finish()
}
