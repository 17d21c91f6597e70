//! The two faces of an object: unique while it is written, shared once it is sealed.
//!
//! Memory goes back to the store when its last owner is dropped, whichever face it wears; no other
//! code frees. A view shares the memory of another object under a header of its own.

use crate::buffer::{Buffer, Placement};
use crate::classes::class_of;
use crate::room::Shared;
use crate::{Activity, Header, StoreError};
use bytes::Bytes;
use std::sync::Arc;

/// Memory of one object and where it returns to.
#[derive(Debug)]
struct Held {
    /// None for memory outside the store's accounts.
    shared: Option<Arc<Shared>>,
    /// Taken by `drop` only.
    buffer: Option<Buffer>,
    nbytes: usize,
    sealed: bool,
}

impl Held {
    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| buffer.bytes(self.nbytes))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (Some(shared), Some(buffer)) = (self.shared.take(), self.buffer.take()) else { return };
        if self.sealed {
            shared.account.unsealed(self.nbytes as u64);
        }
        shared.free(buffer, self.nbytes as u64);
    }
}

/// Reserved room that one writer fills.
#[derive(Debug)]
pub struct Writing {
    held: Held,
}

impl Writing {
    /// Room of `nbytes` that are committed already; `warm` is a used buffer of their class.
    pub(crate) fn new(
        shared: Arc<Shared>,
        nbytes: u64,
        warm: Option<Buffer>,
    ) -> Result<Self, StoreError> {
        let fresh = || Buffer::allocate(class_of(nbytes)?, &shared.placement);
        let len = usize::try_from(nbytes).ok();
        let Some((buffer, nbytes_usize)) = warm.or_else(fresh).zip(len) else {
            shared.account.uncommit(nbytes);
            shared.serve();
            return Err(StoreError::System { nbytes });
        };
        shared.account.born(nbytes, buffer.capacity() as u64);
        let held = Held {
            shared: Some(shared),
            buffer: Some(buffer),
            nbytes: nbytes_usize,
            sealed: false,
        };
        Ok(Self { held })
    }

    /// The bytes, 64-byte aligned, exactly as many as were reserved.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let nbytes = self.held.nbytes;
        self.held.buffer.as_mut().map_or(&mut [], |buffer| buffer.bytes_mut(nbytes))
    }

    /// Size in bytes.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.held.nbytes as u64
    }

    /// Makes an object of it, immutable from here on.
    ///
    /// # Errors
    /// `WrongSize` when the header asks for another number of bytes.
    pub fn seal(mut self, header: Header) -> Result<Sealed, StoreError> {
        check_size(&header, self.held.nbytes)?;
        if let Some(shared) = &self.held.shared {
            shared.account.sealed(self.held.nbytes as u64);
            self.held.sealed = true;
        }
        Ok(Sealed { object: Arc::new(Object { header, memory: Memory::Own(self.held) }) })
    }
}

fn check_size(header: &Header, buffer: usize) -> Result<(), StoreError> {
    match header {
        Header::Bytes => Ok(()),
        Header::Array { .. } if header.nbytes() == Some(buffer as u64) => Ok(()),
        Header::Array { .. } => Err(StoreError::WrongSize {
            header: header.nbytes().unwrap_or(u64::MAX),
            buffer: buffer as u64,
        }),
    }
}

#[derive(Debug)]
struct Object {
    header: Header,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    Own(Held),
    /// Another object's, never itself a view.
    Shared(Arc<Object>),
}

impl Object {
    fn held(&self) -> Option<&Held> {
        match &self.memory {
            Memory::Own(held) => Some(held),
            Memory::Shared(root) => match &root.memory {
                Memory::Own(held) => Some(held),
                Memory::Shared(_) => None,
            },
        }
    }
}

/// A pin on an immutable object; clones pin it too. The last one gone frees the room.
#[derive(Clone, Debug)]
pub struct Sealed {
    object: Arc<Object>,
}

impl Sealed {
    /// An object of a copy of a few bytes, outside every store's accounts: for data that a graph
    /// carries inline and for tests. Anything large belongs into a store.
    ///
    /// # Errors
    /// `WrongSize` when the header asks for another number of bytes, `System`.
    pub fn from_bytes(bytes: &[u8], header: Header) -> Result<Self, StoreError> {
        check_size(&header, bytes.len())?;
        let mut buffer = Buffer::allocate(bytes.len(), &Placement::default())
            .ok_or(StoreError::System { nbytes: bytes.len() as u64 })?;
        buffer.bytes_mut(bytes.len()).copy_from_slice(bytes);
        let held = Held { shared: None, buffer: Some(buffer), nbytes: bytes.len(), sealed: true };
        Ok(Self { object: Arc::new(Object { header, memory: Memory::Own(held) }) })
    }

    /// The same bytes under another header, without a copy; both pin them.
    ///
    /// # Errors
    /// `WrongSize` when the header asks for another number of bytes.
    pub fn with_header(&self, header: Header) -> Result<Self, StoreError> {
        check_size(&header, self.bytes().len())?;
        let root = match &self.object.memory {
            Memory::Own(_) => self.object.clone(),
            Memory::Shared(root) => root.clone(),
        };
        Ok(Self { object: Arc::new(Object { header, memory: Memory::Shared(root) }) })
    }

    /// What the bytes are.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.object.header
    }

    /// The bytes, 64-byte aligned.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.object.held().map_or(&[], Held::bytes)
    }

    /// Size in bytes.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.bytes().len() as u64
    }

    /// The bytes as a handle that keeps this pin.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        Bytes::from_owner(self.clone())
    }

    /// A pin on behalf of a peer: it is counted, and its end can free memory, so reservations wait
    /// for it.
    #[must_use]
    pub fn lend(&self) -> Lent {
        let shared = self.object.held().and_then(|held| held.shared.clone());
        if let Some(shared) = &shared {
            shared.account.pinned(self.nbytes());
        }
        let activity = shared.map(Activity::new);
        Lent { sealed: self.clone(), activity }
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// An object pinned for a peer until dropped.
#[derive(Debug)]
pub struct Lent {
    // Dropped first: the end of the activity must find the pin gone.
    sealed: Sealed,
    activity: Option<Activity>,
}

impl Lent {
    /// The object.
    #[must_use]
    pub fn object(&self) -> &Sealed {
        &self.sealed
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(activity) = &self.activity {
            activity.shared().account.unpinned(self.sealed.nbytes());
        }
    }
}
