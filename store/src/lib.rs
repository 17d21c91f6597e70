//! The object store: results at rest in one worker process.
//!
//! It knows neither tasks nor peers. Life of an object:
//! `reserve → Writing (unique, mutable) → seal → Sealed (shared, immutable) → last pin gone → warm free`.

mod buffer;
mod object;
mod pin;

pub use object::{DType, Header};
pub use pin::{Sealed, Writing};

use buffer::Buffer;
use std::sync::Arc;

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
    #[error("{nbytes} bytes do not fit: {used} of {limit} bytes are in use and nothing can free any")]
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

/// The store of one worker process; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    limit: u64,
}

impl Store {
    /// A store that holds at most `limit_bytes` (0 = unlimited).
    #[must_use]
    pub fn new(limit_bytes: u64) -> Self {
        Self { shared: Arc::new(Shared { limit: limit_bytes }) }
    }

    /// Room for `nbytes`, uninitialised for the caller's purposes (contents are unspecified), 64-byte
    /// aligned. Waits, on an executor thread, while something can still free space; smaller
    /// `priority` is served first.
    ///
    /// # Errors
    /// `TooLarge`, `Full`, `System`.
    pub fn reserve(&self, nbytes: u64, priority: u64) -> Result<Writing, StoreError> {
        let _ = priority;
        if self.shared.limit != 0 && nbytes > self.shared.limit {
            return Err(StoreError::TooLarge { nbytes, limit: self.shared.limit });
        }
        let buffer = Buffer::allocate(nbytes).ok_or(StoreError::System { nbytes })?;
        Ok(Writing::new(self.shared.clone(), buffer))
    }
}
