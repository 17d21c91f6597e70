//! Room: who gets memory, who waits for it, and who is told that there is none.
//!
//! A reservation that does not fit waits in a queue ordered by priority, then arrival. Whatever
//! frees memory serves the queue from its head. When nothing is active that could free anything
//! (every activity is itself waiting), those that fit are served out of order; if none fits for
//! the length of the store's patience, the last of the queue is refused, which lets it fail and
//! give back what it holds. Lock order: this file's one lock, nothing inside it.

use crate::StoreError;
use crate::account::Account;
use crate::buffer::{Buffer, Placement};
use crate::classes::{SMALL, Warm};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// What all handles of one store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) account: Account,
    pub(crate) placement: Placement,
    /// Tasks and transfers under way.
    activities: AtomicUsize,
    /// Undecided entries of the queue.
    waiting: AtomicUsize,
    /// Raised by whatever may change the fate of a waiter.
    changes: AtomicU64,
    patience: Duration,
    room: Mutex<Room>,
}

/// A place in the queue: priority, then arrival.
pub(crate) type Ticket = (u64, u64);
/// Memory granted: for each size a warm buffer, or none where a fresh one must be made.
pub(crate) type Grant = Vec<Option<Buffer>>;

#[derive(Debug, Default)]
struct Room {
    warm: Warm,
    queue: BTreeMap<Ticket, Waiter>,
    arrivals: u64,
    watched: bool,
}

#[derive(Debug)]
struct Waiter {
    sizes: Arc<[u64]>,
    waker: Waker,
    /// None while it waits.
    outcome: Option<Result<Grant, StoreError>>,
}

/// What must happen once the lock is open: memory goes back first, then waiters run.
#[derive(Default)]
struct After {
    evicted: Vec<Buffer>,
    wakers: Vec<Waker>,
}

impl After {
    fn run(self) {
        drop(self.evicted);
        for waker in self.wakers {
            waker.wake();
        }
    }
}

impl Shared {
    pub(crate) fn new(limit_bytes: u64, placement: Placement, patience: Duration) -> Self {
        Self {
            account: Account::new(limit_bytes),
            placement,
            activities: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            changes: AtomicU64::new(0),
            patience,
            room: Mutex::default(),
        }
    }

    /// The lock is never held across foreign code, so a poisoned one still guards whole data.
    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory at once, if it is there and nobody waits for it.
    pub(crate) fn try_take(&self, sizes: &[u64]) -> Option<Grant> {
        if self.waiting.load(SeqCst) != 0 {
            return None;
        }
        let mut after = After::default();
        let grant = self.lock().take(&self.account, sizes, &mut after);
        after.run();
        grant
    }

    /// A small object's share of the limit, without a lock or an allocation: as long as nobody
    /// waits and no warm memory has to go for it.
    pub(crate) fn try_take_small(&self, nbytes: u64) -> bool {
        nbytes <= SMALL
            && self.waiting.load(SeqCst) == 0
            && self.account.warm_free_bytes() <= self.account.warm_allowance(nbytes)
            && self.account.commit(nbytes)
    }

    /// Joins the queue.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        sizes: Arc<[u64]>,
        priority: u64,
        waker: Waker,
    ) -> Ticket {
        let ticket = {
            let mut room = self.lock();
            room.arrivals += 1;
            let ticket = (priority, room.arrivals);
            room.queue.insert(ticket, Waiter { sizes, waker, outcome: None });
            self.waiting.fetch_add(1, SeqCst);
            ticket
        };
        // Memory that was freed between the failed attempt and this point is found here.
        self.serve();
        ticket
    }

    /// What became of a place in the queue; a decided one leaves it.
    pub(crate) fn poll(&self, ticket: Ticket, waker: &Waker) -> Poll<Result<Grant, StoreError>> {
        let mut room = self.lock();
        let Some(waiter) = room.queue.get_mut(&ticket) else {
            // Polled again after its end, which futures need not support: never ready.
            return Poll::Pending;
        };
        if waiter.outcome.is_none() {
            waiter.waker.clone_from(waker);
            return Poll::Pending;
        }
        match room.queue.remove(&ticket).and_then(|waiter| waiter.outcome) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }

    /// Gives a place in the queue up, with whatever it was granted.
    pub(crate) fn leave(self: &Arc<Self>, ticket: Ticket) {
        let Some(waiter) = self.lock().queue.remove(&ticket) else { return };
        match waiter.outcome {
            None => {
                self.waiting.fetch_sub(1, SeqCst);
            }
            Some(Ok(grant)) => {
                for (buffer, nbytes) in grant.into_iter().zip(waiter.sizes.iter()) {
                    drop(buffer);
                    self.account.uncommit(*nbytes);
                }
            }
            Some(Err(_)) => {}
        }
        self.serve();
    }

    /// Memory of an object of `nbytes` that ended.
    pub(crate) fn free(self: &Arc<Self>, buffer: Buffer, nbytes: u64) {
        let capacity = buffer.capacity() as u64;
        self.account.died(nbytes, capacity);
        if nbytes <= SMALL {
            drop(buffer);
            self.account.uncommit(nbytes);
        } else if let Err(buffer) = self.keep_warm(buffer, nbytes) {
            drop(buffer);
            self.account.uncommit(nbytes);
        }
        self.serve();
    }

    /// Keeps a freed buffer; what was freed longest ago makes room for it, or memory of a size that
    /// nothing asks for any more would keep that which is asked for from staying warm.
    fn keep_warm(&self, mut buffer: Buffer, nbytes: u64) -> Result<(), Buffer> {
        buffer.touch(nbytes);
        let touched = buffer.touched();
        let account = &self.account;
        let mut after = After::default();
        let mut room = self.lock();
        let allowed = account.warm_allowance(0).checked_sub(touched);
        if let Some(allowed) = allowed {
            room.trim(account, allowed, &mut after);
        }
        let kept = allowed.is_some() && account.commit(touched - nbytes);
        let refused = if kept {
            account.warmed(touched);
            room.warm.keep(buffer);
            Ok(())
        } else {
            Err(buffer)
        };
        drop(room);
        after.run();
        refused
    }

    /// Gives all warm memory back to the system.
    pub(crate) fn release_warm(&self) {
        let mut after = After::default();
        self.lock().trim(&self.account, 0, &mut after);
        after.run();
    }

    pub(crate) fn activity_begins(&self) {
        self.changes.fetch_add(1, SeqCst);
        self.activities.fetch_add(1, SeqCst);
    }

    pub(crate) fn activity_ends(self: &Arc<Self>) {
        self.activities.fetch_sub(1, SeqCst);
        self.serve();
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    /// Gives memory to those who wait; called after everything that may have freed some.
    pub(crate) fn serve(self: &Arc<Self>) {
        if self.waiting.load(SeqCst) == 0 {
            return;
        }
        self.changes.fetch_add(1, SeqCst);
        let mut after = After::default();
        let watch = {
            let mut room = self.lock();
            room.serve_in_order(self, &mut after);
            let watch = room.is_stuck(self) && !room.watched;
            room.watched |= watch;
            watch
        };
        after.run();
        if watch {
            self.watch();
        }
    }

    /// Starts the thread that refuses waiters when nothing moves for the store's patience. It
    /// exists only while the store is stuck, which ends a run or happens a few times in it.
    fn watch(self: &Arc<Self>) {
        let shared = self.clone();
        let body = move || {
            loop {
                let before = shared.changes.load(SeqCst);
                std::thread::sleep(shared.patience);
                if !shared.refuse_if_still(before) {
                    return;
                }
            }
        };
        if std::thread::Builder::new().name("store-watch".into()).spawn(body).is_err() {
            // No thread to be had: decide at once rather than wait for ever.
            while self.refuse_if_still(self.changes.load(SeqCst)) {}
        }
    }

    /// Refuses the last waiter if nothing has changed since `before`; says whether to go on.
    fn refuse_if_still(&self, before: u64) -> bool {
        let mut after = After::default();
        let stuck = {
            let mut room = self.lock();
            if room.is_stuck(self) && self.changes.load(SeqCst) == before {
                room.refuse_last(self, &mut after);
            }
            room.watched = room.is_stuck(self);
            room.watched
        };
        after.run();
        stuck
    }
}

impl Room {
    /// Memory for all of `sizes` or none. Warm buffers of the right class are used first, others
    /// are given up as far as the limit demands.
    fn take(&mut self, account: &Account, sizes: &[u64], after: &mut After) -> Option<Grant> {
        let mut grant: Grant = Vec::with_capacity(sizes.len());
        let mut fresh = 0_u64;
        for nbytes in sizes {
            let buffer = self.warm.take(*nbytes);
            match &buffer {
                Some(warm) => {
                    let touched = warm.touched();
                    account.cooled(touched);
                    account.uncommit(touched.saturating_sub(*nbytes));
                    fresh = fresh.saturating_add(nbytes.saturating_sub(touched));
                }
                None => fresh = fresh.saturating_add(*nbytes),
            }
            grant.push(buffer);
        }
        while !account.commit(fresh) {
            let Some(oldest) = self.warm.give_up_oldest() else {
                self.put_back(account, grant, sizes, after);
                return None;
            };
            give_up(account, oldest, after);
        }
        // Warm memory beyond the allowance would raise the high-water mark.
        let coming = sizes.iter().fold(0, |sum: u64, nbytes| sum.saturating_add(*nbytes));
        self.trim(account, account.warm_allowance(coming), after);
        Some(grant)
    }

    /// Undoes the taking of warm buffers.
    fn put_back(&mut self, account: &Account, grant: Grant, sizes: &[u64], after: &mut After) {
        for (buffer, nbytes) in grant.into_iter().zip(sizes) {
            let Some(buffer) = buffer else { continue };
            let touched = buffer.touched();
            if account.commit(touched.saturating_sub(*nbytes)) {
                account.warmed(touched);
                self.warm.keep(buffer);
            } else {
                account.uncommit(touched.min(*nbytes));
                after.evicted.push(buffer);
            }
        }
    }

    /// Gives up warm buffers until at most `allowed` bytes are warm.
    fn trim(&mut self, account: &Account, allowed: u64, after: &mut After) {
        while account.warm_free_bytes() > allowed {
            let Some(oldest) = self.warm.give_up_oldest() else { return };
            give_up(account, oldest, after);
        }
    }

    fn serve_in_order(&mut self, shared: &Shared, after: &mut After) {
        let mut skip = false;
        loop {
            let stuck = self.is_stuck(shared);
            let mut candidates = self.undecided(skip && stuck);
            let Some((ticket, grant)) = candidates.drain(..).find_map(|(ticket, sizes)| {
                self.take(&shared.account, &sizes, after).map(|grant| (ticket, grant))
            }) else {
                if skip || !stuck {
                    return;
                }
                skip = true;
                continue;
            };
            self.decide(shared, ticket, Ok(grant), after);
            skip = false;
        }
    }

    /// The first of the queue, or all of it in order.
    fn undecided(&self, all: bool) -> Vec<(Ticket, Arc<[u64]>)> {
        let waiting = self.queue.iter().filter(|(_, waiter)| waiter.outcome.is_none());
        let most = if all { usize::MAX } else { 1 };
        waiting.take(most).map(|(ticket, waiter)| (*ticket, waiter.sizes.clone())).collect()
    }

    fn is_stuck(&self, shared: &Shared) -> bool {
        let waiting = shared.waiting.load(SeqCst);
        waiting != 0 && shared.activities.load(SeqCst) <= waiting
    }

    fn refuse_last(&mut self, shared: &Shared, after: &mut After) {
        let last = self.queue.iter().rev().find(|(_, waiter)| waiter.outcome.is_none());
        let Some((ticket, nbytes)) =
            last.map(|(ticket, waiter)| (*ticket, waiter.sizes.iter().sum::<u64>()))
        else {
            return;
        };
        let used = shared.account.used_bytes();
        let full = StoreError::Full { nbytes, used, limit: shared.account.limit };
        self.decide(shared, ticket, Err(full), after);
    }

    fn decide(
        &mut self,
        shared: &Shared,
        ticket: Ticket,
        outcome: Result<Grant, StoreError>,
        after: &mut After,
    ) {
        let Some(waiter) = self.queue.get_mut(&ticket) else { return };
        waiter.outcome = Some(outcome);
        shared.waiting.fetch_sub(1, SeqCst);
        after.wakers.push(waiter.waker.clone());
    }
}

fn give_up(account: &Account, buffer: Buffer, after: &mut After) {
    account.cooled(buffer.touched());
    account.uncommit(buffer.touched());
    after.evicted.push(buffer);
}
