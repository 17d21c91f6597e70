//! Which workers serve an ask: lists that follow the workers that come, go, start and stop.
//!
//! A list is brought up to date when it is asked for, by what has changed since, so that a decision
//! about a task never looks at all workers; the first one about an ask does. What every worker
//! serves by its size has no list, and asks that differ only in their expected time share one.

use super::ask::Terms;
use super::worker::Workers;
use crate::ids::WorkerId;

/// Which workers a task may run on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Valid<'a> {
    /// Each one.
    Any,
    /// These, which run.
    Only(&'a [WorkerId]),
}

/// The workers that serve an ask, each list by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    /// Registered ones.
    registered: Vec<WorkerId>,
    /// Those of them that run.
    running: Vec<WorkerId>,
    /// Running ones that are large enough, whatever their name; kept only for asks that take other
    /// workers too.
    large_enough: Vec<WorkerId>,
    /// Version of the workers that the lists are for.
    version: u64,
}

impl Reach {
    /// The workers that serve an ask. When none of the named workers runs and others are allowed,
    /// those that are large enough.
    pub(super) fn valid(&mut self, terms: &Terms, workers: &Workers) -> Valid<'_> {
        if serves_by_size(terms, workers) {
            return Valid::Any;
        }
        self.catch_up(terms, workers);
        if self.registered.len() == workers.len() {
            Valid::Any
        } else if terms.allow_other_workers && self.running.is_empty() {
            Valid::Only(&self.large_enough)
        } else {
            Valid::Only(&self.running)
        }
    }

    /// A worker that runs may take what asks for this: it is large enough, and named or one of the
    /// others where these are allowed.
    pub(super) fn contains(&mut self, worker: WorkerId, terms: &Terms, workers: &Workers) -> bool {
        if serves_by_size(terms, workers) {
            return true;
        }
        self.catch_up(terms, workers);
        self.running.binary_search(&worker).is_ok()
            || self.large_enough.binary_search(&worker).is_ok()
    }

    fn catch_up(&mut self, terms: &Terms, workers: &Workers) {
        if self.version == workers.version() {
            return;
        }
        match workers.changed_since(self.version) {
            Some(changed) => changed.iter().for_each(|worker| self.note(*worker, terms, workers)),
            None => {
                *self = Self::default();
                workers.iter().for_each(|(worker, _)| self.note(worker, terms, workers));
            }
        }
        self.version = workers.version();
    }

    /// Lists that are current name workers that are there.
    pub(super) fn check(&self, workers: &Workers) -> Result<(), String> {
        if self.version != workers.version() {
            return Ok(());
        }
        let running = self.running.iter().chain(&self.large_enough);
        let stopped = running.copied().find(|worker| !workers.emptiest.contains(*worker));
        let gone = self.registered.iter().copied().find(|worker| !workers.contains(*worker));
        match gone.or(stopped) {
            Some(worker) => Err(format!("worker {} does not run and may be chosen", worker.0)),
            None => Ok(()),
        }
    }

    /// Puts a worker in the lists where it belongs, and takes it out of the others.
    fn note(&mut self, id: WorkerId, terms: &Terms, workers: &Workers) {
        let worker = workers.get(id).map(|worker| worker.registration());
        let fits = worker.is_some_and(|worker| terms.fits(worker));
        let serves = fits && worker.is_some_and(|worker| terms.names(worker));
        let runs = workers.emptiest.contains(id);
        put(&mut self.registered, id, serves);
        put(&mut self.running, id, serves && runs);
        if terms.allow_other_workers {
            put(&mut self.large_enough, id, fits && runs);
        }
    }
}

/// Every worker serves the ask, since none is too small and none is named.
fn serves_by_size(terms: &Terms, workers: &Workers) -> bool {
    !terms.is_restricted()
        && terms.threads <= workers.fewest_threads()
        && terms.memory_bytes <= workers.smallest_memory_limit()
}

/// Makes a worker a member of a sorted list, or none.
fn put(list: &mut Vec<WorkerId>, worker: WorkerId, belongs: bool) {
    match list.binary_search(&worker) {
        Ok(place) if !belongs => {
            list.remove(place);
        }
        Err(place) if belongs => list.insert(place, worker),
        Ok(_) | Err(_) => {}
    }
}
