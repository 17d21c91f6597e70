//! The other workers: what is wanted from each, who is busy, who is being asked.
//!
//! A task in fetch stands in the queue of every holder; `needy` lists the peers whose queue is not
//! empty. Numbers of workers are never reused in a job, so a peer that is gone stays as a mark and
//! a late message that names it changes nothing.

use super::task::{PeerIndex, Rank};
use crate::ids::{TransferId, WorkerId};
use crate::time::Time;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) worker: WorkerId,
    pub(super) same_machine: bool,
    pub(super) gone: bool,
    /// Tasks in fetch that it holds (Dask's data_needed).
    pub(super) wanted: BTreeSet<Rank>,
    /// The transfer under way from it; one at a time.
    pub(super) transfer: Option<TransferId>,
    /// Not asked before this moment.
    pub(super) busy_until: Option<Time>,
    /// Busy answers since the last transfer that worked.
    pub(super) busy_count: u32,
}

/// All peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    list: Vec<Peer>,
    index: FxHashMap<WorkerId, PeerIndex>,
    needy: BTreeSet<PeerIndex>,
    busy: BTreeSet<(Time, PeerIndex)>,
}

impl Peers {
    /// The peer's position; a peer that was never announced counts as one on another machine.
    pub(super) fn find_or_insert(&mut self, worker: WorkerId) -> PeerIndex {
        if let Some(&at) = self.index.get(&worker) {
            return at;
        }
        let at = PeerIndex::try_from(self.list.len()).expect("worker numbers have 32 bits");
        self.list.push(Peer {
            worker,
            same_machine: false,
            gone: false,
            wanted: BTreeSet::new(),
            transfer: None,
            busy_until: None,
            busy_count: 0,
        });
        self.index.insert(worker, at);
        at
    }

    pub(super) fn find(&self, worker: WorkerId) -> Option<PeerIndex> {
        self.index.get(&worker).copied()
    }

    pub(super) fn at(&self, at: PeerIndex) -> &Peer {
        &self.list[at as usize]
    }

    pub(super) fn at_mut(&mut self, at: PeerIndex) -> &mut Peer {
        &mut self.list[at as usize]
    }

    /// Wants a task from a peer.
    pub(super) fn want(&mut self, at: PeerIndex, rank: Rank) {
        if self.list[at as usize].wanted.insert(rank) {
            self.needy.insert(at);
        }
    }

    /// Wants a task from a peer no more.
    pub(super) fn unwant(&mut self, at: PeerIndex, rank: Rank) {
        let wanted = &mut self.list[at as usize].wanted;
        if wanted.remove(&rank) && wanted.is_empty() {
            self.needy.remove(&at);
        }
    }

    /// Peers from which something is wanted.
    pub(super) fn needy(&self) -> impl Iterator<Item = PeerIndex> + '_ {
        self.needy.iter().copied()
    }

    /// Does not ask a peer before `until`.
    pub(super) fn set_busy(&mut self, at: PeerIndex, until: Time) {
        self.clear_busy(at);
        let peer = &mut self.list[at as usize];
        peer.busy_until = Some(until);
        peer.busy_count = peer.busy_count.saturating_add(1);
        self.busy.insert((until, at));
    }

    fn clear_busy(&mut self, at: PeerIndex) {
        if let Some(until) = self.list[at as usize].busy_until.take() {
            self.busy.remove(&(until, at));
        }
    }

    /// Lets go of every peer whose wait is over at `now`.
    pub(super) fn end_busy(&mut self, now: Time) {
        while let Some(&(until, at)) = self.busy.first() {
            if until > now {
                break;
            }
            self.clear_busy(at);
        }
    }

    /// When the next busy peer may be asked again.
    pub(super) fn next_retry(&self) -> Option<Time> {
        self.busy.first().map(|&(until, _)| until)
    }

    /// All peers by position.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerIndex, &Peer)> {
        (0..).zip(&self.list)
    }
}
