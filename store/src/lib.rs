//! The object store: results at rest in one worker process.
//!
//! It knows neither tasks nor peers. Life of an object:
//!
//! ```text
//! reserve → Writing (unique, mutable) → seal → Sealed (shared, immutable) → last pin gone → warm
//! ```
//!
//! Objects and warm memory together never exceed the limit. A reservation that does not fit waits
//! for its turn as long as something that runs can still free memory, and fails otherwise.
//!
//! ```
//! use rdask_store::{Header, Store};
//! let store = Store::new(1 << 20);
//! let mut writing = store.reserve(5, 0)?;
//! writing.bytes_mut().copy_from_slice(b"hello");
//! let sealed = writing.seal(Header::Bytes)?;
//! assert_eq!(sealed.bytes(), b"hello");
//! # Ok::<(), rdask_store::StoreError>(())
//! ```

mod account;
mod buffer;
mod classes;
mod dtype;
mod object;
mod pin;
mod room;
mod wait;

pub use account::Usage;
pub use dtype::{DType, TimeUnit, UnknownDType};
pub use object::Header;
pub use pin::{Lent, Sealed, Writing};

use buffer::Placement;
use room::Shared;
use std::sync::Arc;
use std::time::Duration;
use wait::Reservation;

/// Why there is no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// One object is larger than the whole store.
    #[error("{nbytes} bytes do not fit the memory limit of {limit} bytes")]
    TooLarge {
        /// Asked for.
        nbytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The store is full, and nothing that runs, is in flight or is pinned can free space.
    #[error(
        "{nbytes} bytes do not fit: {used} of {limit} bytes are in use and nothing can free any"
    )]
    Full {
        /// Asked for.
        nbytes: u64,
        /// In use.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// The system has no memory.
    #[error("the system has no memory for {nbytes} bytes")]
    System {
        /// Asked for.
        nbytes: u64,
    },
    /// The header says another size than the buffer has.
    #[error("an object of {header} bytes cannot be sealed in a buffer of {buffer} bytes")]
    WrongSize {
        /// By the header.
        header: u64,
        /// By the buffer.
        buffer: u64,
    },
}

/// How long a store stays stuck before its last waiter is refused. What runs here may be over while
/// the scheduler's message that frees its inputs is still under way: one second is far above such
/// a round trip, and short for a run that is about to fail.
const PATIENCE: Duration = Duration::from_secs(1);

/// The store of one worker process; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// A store that holds at most `limit_bytes` (0 = unlimited).
    #[must_use]
    pub fn new(limit_bytes: u64) -> Self {
        Self::build(limit_bytes, Placement::default(), PATIENCE)
    }

    /// The same, whose large buffers prefer the memory of these NUMA nodes, in this order. A node
    /// that is full or absent is passed over: a preference never fails an allocation.
    #[must_use]
    pub fn with_placement(limit_bytes: u64, nodes: &[u32]) -> Self {
        Self::build(limit_bytes, Placement::prefer(nodes), PATIENCE)
    }

    /// The same as `new` with another patience than one second.
    #[must_use]
    pub fn with_patience(limit_bytes: u64, patience: Duration) -> Self {
        Self::build(limit_bytes, Placement::default(), patience)
    }

    fn build(limit_bytes: u64, placement: Placement, patience: Duration) -> Self {
        Self { shared: Arc::new(Shared::new(limit_bytes, placement, patience)) }
    }

    /// Room for `nbytes`, 64-byte aligned; contents are unspecified until written. Waits, on an executor thread, while something can still free space; smaller
    /// `priority` is served first.
    ///
    /// # Errors
    /// `TooLarge`, `Full`, `System`.
    pub fn reserve(&self, nbytes: u64, priority: u64) -> Result<Writing, StoreError> {
        if self.shared.try_take_small(nbytes) {
            return Writing::new(self.shared.clone(), nbytes, None);
        }
        let mut reservation = self.reservation([nbytes].into(), priority);
        let mut written = wait::block_on(&mut reservation)?;
        written.pop().ok_or(StoreError::System { nbytes })
    }

    /// `reserve` for asynchronous callers, on any runtime. Dropping the future gives its place up.
    pub fn reserve_async(
        &self,
        nbytes: u64,
        priority: u64,
    ) -> impl Future<Output = Result<Writing, StoreError>> + Send + use<> {
        let reservation = self.reservation([nbytes].into(), priority);
        async move { reservation.await?.pop().ok_or(StoreError::System { nbytes }) }
    }

    /// Room for several objects, all or nothing, so that two callers that each need several cannot
    /// block each other half served. The answer has the order of `sizes`.
    pub fn reserve_all(
        &self,
        sizes: &[u64],
        priority: u64,
    ) -> impl Future<Output = Result<Vec<Writing>, StoreError>> + Send + use<> {
        self.reservation(sizes.into(), priority)
    }

    fn reservation(&self, sizes: Arc<[u64]>, priority: u64) -> Reservation {
        Reservation::new(self.shared.clone(), sizes, priority)
    }

    /// Says that a task or a transfer is under way until the guard is dropped: something that may
    /// yet free memory. It does not count while it waits inside `reserve`, so each call of
    /// `reserve` belongs under one. Hold it until what the work frees has been freed: let it travel
    /// with the event that reports the end.
    #[must_use]
    pub fn activity(&self) -> Activity {
        Activity::new(self.shared.clone())
    }

    /// The counters, read without a lock.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.shared.account.read()
    }

    /// Reservations that wait for memory at this moment.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.shared.waiting_count()
    }

    /// Gives all warm memory back to the system: for a worker under memory pressure.
    pub fn release_warm(&self) {
        self.shared.release_warm();
    }
}

/// Something under way that may yet free memory.
#[derive(Debug)]
pub struct Activity {
    shared: Arc<Shared>,
}

impl Activity {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.activity_begins();
        Self { shared }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.shared.activity_ends();
    }
}
