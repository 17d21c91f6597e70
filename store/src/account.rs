//! The byte counters: exact, written by the owner of each event, read by anyone without a lock.
//!
//! `committed` is what the limit is tested against: the bytes of living objects plus the touched
//! bytes of warm free buffers (of the longest object that lived in each: no page behind was ever
//! used). It is only ever raised by `commit`, which tests the limit in the same
//! step, so `committed ≤ limit` holds at every instant.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Warm memory that may always lie idle below the highest use: a few tasks' results, which come and
/// go together and would cost fresh pages each time.
const IDLE: u64 = 64 << 20;

/// Counters of one store.
#[derive(Debug)]
pub(crate) struct Account {
    /// Largest value of `committed`; `u64::MAX` when there is no limit.
    pub(crate) limit: u64,
    committed: AtomicU64,
    used: AtomicU64,
    peak_used: AtomicU64,
    sealed: AtomicU64,
    pinned: AtomicU64,
    fragmentation: AtomicU64,
    warm_free: AtomicU64,
}

/// A reading of the counters. Each is exact; they are read one after the other, so sums over
/// several may be torn while others write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// Most bytes that objects and warm memory may take together; 0 = no limit.
    pub limit_bytes: u64,
    /// Bytes of all living objects, written or sealed.
    pub used_bytes: u64,
    /// Of these, reserved and not yet sealed.
    pub reserved_bytes: u64,
    /// Of these, sealed.
    pub sealed_bytes: u64,
    /// Bytes lent to peers at this moment, once per loan.
    pub pinned_bytes: u64,
    /// Room inside buffers beyond the bytes asked for.
    pub fragmentation_bytes: u64,
    /// Freed memory kept for the next reservation: the bytes of it that were in use.
    pub warm_free_bytes: u64,
    /// All memory of the store: used, fragmentation and warm.
    pub capacity_bytes: u64,
    /// Highest value that `used_bytes` had.
    pub peak_used_bytes: u64,
}

impl Account {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            limit: if limit_bytes == 0 { u64::MAX } else { limit_bytes },
            committed: zero(),
            used: zero(),
            peak_used: zero(),
            sealed: zero(),
            pinned: zero(),
            fragmentation: zero(),
            warm_free: zero(),
        }
    }

    /// Adds to what counts against the limit, if it fits.
    pub(crate) fn commit(&self, nbytes: u64) -> bool {
        let fits = |now: u64| now.checked_add(nbytes).filter(|next| *next <= self.limit);
        self.committed.fetch_update(SeqCst, SeqCst, fits).is_ok()
    }

    /// Takes back what `commit` added.
    pub(crate) fn uncommit(&self, nbytes: u64) {
        self.committed.fetch_sub(nbytes, SeqCst);
    }

    /// An object of `nbytes` in a buffer of `capacity` begins to live.
    pub(crate) fn born(&self, nbytes: u64, capacity: u64) {
        let used = self.used.fetch_add(nbytes, SeqCst).saturating_add(nbytes);
        self.peak_used.fetch_max(used, SeqCst);
        self.fragmentation.fetch_add(capacity.saturating_sub(nbytes), SeqCst);
    }

    /// It ends.
    pub(crate) fn died(&self, nbytes: u64, capacity: u64) {
        self.used.fetch_sub(nbytes, SeqCst);
        self.fragmentation.fetch_sub(capacity.saturating_sub(nbytes), SeqCst);
    }

    /// A freed buffer is kept. The difference to what its object had committed must be committed.
    pub(crate) fn warmed(&self, touched: u64) {
        self.warm_free.fetch_add(touched, SeqCst);
    }

    /// A warm buffer is used again or given up.
    pub(crate) fn cooled(&self, touched: u64) {
        self.warm_free.fetch_sub(touched, SeqCst);
    }

    pub(crate) fn sealed(&self, nbytes: u64) {
        self.sealed.fetch_add(nbytes, SeqCst);
    }

    pub(crate) fn unsealed(&self, nbytes: u64) {
        self.sealed.fetch_sub(nbytes, SeqCst);
    }

    pub(crate) fn pinned(&self, nbytes: u64) {
        self.pinned.fetch_add(nbytes, SeqCst);
    }

    pub(crate) fn unpinned(&self, nbytes: u64) {
        self.pinned.fetch_sub(nbytes, SeqCst);
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used.load(SeqCst)
    }

    /// Most warm memory that is worth keeping once `coming` more bytes are used. Used and warm
    /// together never exceed the highest use so far, so warm memory never raises the process's
    /// high-water mark; and at most half of that highest use lies idle, or what a few tasks need.
    pub(crate) fn warm_allowance(&self, coming: u64) -> u64 {
        let used = self.used_bytes().saturating_add(coming);
        let peak = self.peak_used.load(SeqCst);
        (peak / 2).max(IDLE).min(peak.saturating_sub(used))
    }

    pub(crate) fn warm_free_bytes(&self) -> u64 {
        self.warm_free.load(SeqCst)
    }

    pub(crate) fn read(&self) -> Usage {
        let (used, sealed) = (self.used_bytes(), self.sealed.load(SeqCst));
        let fragmentation = self.fragmentation.load(SeqCst);
        let warm = self.warm_free_bytes();
        Usage {
            limit_bytes: if self.limit == u64::MAX { 0 } else { self.limit },
            used_bytes: used,
            reserved_bytes: used.saturating_sub(sealed),
            sealed_bytes: sealed,
            pinned_bytes: self.pinned.load(SeqCst),
            fragmentation_bytes: fragmentation,
            warm_free_bytes: warm,
            capacity_bytes: used.saturating_add(fragmentation).saturating_add(warm),
            peak_used_bytes: self.peak_used.load(SeqCst),
        }
    }
}
