//! The two faces of an object: unique while it is written, shared once it is sealed.

use crate::buffer::Buffer;
use crate::{Header, Shared, StoreError};
use bytes::Bytes;
use std::sync::Arc;

/// Reserved room that one writer fills.
#[derive(Debug)]
pub struct Writing {
    shared: Arc<Shared>,
    buffer: Buffer,
}

impl Writing {
    pub(crate) fn new(shared: Arc<Shared>, buffer: Buffer) -> Self {
        Self { shared, buffer }
    }

    /// The bytes, 64-byte aligned, exactly as many as were reserved.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.bytes_mut()
    }

    /// Makes an object of it, immutable from here on.
    ///
    /// # Errors
    /// `WrongSize` when the header asks for another number of bytes.
    pub fn seal(self, header: Header) -> Result<Sealed, StoreError> {
        let buffer = self.buffer.bytes().len() as u64;
        if let Some(nbytes) = header.nbytes()
            && nbytes != buffer
        {
            return Err(StoreError::WrongSize { header: nbytes, buffer });
        }
        Ok(Sealed { object: Arc::new(Object { header, buffer: self.buffer, _shared: self.shared }) })
    }
}

#[derive(Debug)]
struct Object {
    header: Header,
    buffer: Buffer,
    _shared: Arc<Shared>,
}

/// A pin on an immutable object; clones pin it too. The last one gone frees the room.
#[derive(Clone, Debug)]
pub struct Sealed {
    object: Arc<Object>,
}

impl Sealed {
    /// What the bytes are.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.object.header
    }

    /// The bytes, 64-byte aligned.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.object.buffer.bytes()
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
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}
