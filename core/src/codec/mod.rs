//! Messages to bytes and back: the one serializer of messages and flight records.
//!
//! Layout: that of bincode 2 in its standard configuration (little endian, integers of variable
//! length), byte for byte. `writer` and `reader` are ours because each task is a few messages, and
//! through bincode's serde layer they cost nearly twice as much. Memory that a forged length can ask
//! for is bounded by the length of the body that holds it, and nesting has a limit.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use reader::Reader;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use writer::Writer;

/// Longest body of one message, bytes. A whole control frame holds 64 MiB.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// Longest encoded run spec, bytes: the message that carries it adds a few of its own.
pub const MAX_SPEC_BYTES: usize = MAX_BODY_BYTES - 4096;

/// A first byte below this is the number itself; this one announces two bytes.
const TWO: u8 = 251;
/// Announces four bytes.
const FOUR: u8 = 252;
/// Announces eight bytes.
const EIGHT: u8 = 253;
/// Announces sixteen bytes.
const SIXTEEN: u8 = 254;

/// What is wrong with bytes, or with a value to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// It reaches over the end.
    #[error("it reaches over the end")]
    End,
    /// A number is longer than its kind.
    #[error("a number is too large")]
    Integer,
    /// Text is not UTF-8.
    #[error("a string is not UTF-8")]
    Text,
    /// A choice, a flag or a field has a value that its type does not have.
    #[error("a value is none of those that may stand there")]
    Value,
    /// Lists and choices are nested too deep.
    #[error("it is nested too deep")]
    Depth,
    /// A list to be written does not know its length.
    #[error("the length of a list is not known")]
    Length,
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::Value
    }
}

impl serde::ser::Error for Fault {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self::Value
    }
}

/// A message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not such a message.
    #[error("message of {nbytes} bytes cannot be read: {source}")]
    Malformed {
        /// Length of the body.
        nbytes: usize,
        /// What is wrong.
        source: Fault,
    },
    /// Bytes are left behind the message.
    #[error("message has {left} bytes behind its end")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// The message has no form as bytes.
    #[error("message cannot be written: {0}")]
    Unwritable(Fault),
    /// A body longer than any may be.
    #[error("message of {nbytes} bytes is longer than {MAX_BODY_BYTES}")]
    Oversized {
        /// Its length.
        nbytes: usize,
    },
}

/// Appends a message to a buffer.
///
/// # Errors
/// When the message is longer than `MAX_BODY_BYTES`; the buffer is then as before.
pub fn encode_into<M: Serialize>(message: &M, buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = buffer.len();
    let written = message.serialize(Writer { buffer });
    let nbytes = buffer.len() - start;
    if written.is_err() || nbytes > MAX_BODY_BYTES {
        buffer.truncate(start);
    }
    written.map_err(CodecError::Unwritable)?;
    if nbytes > MAX_BODY_BYTES {
        return Err(CodecError::Oversized { nbytes });
    }
    Ok(())
}

/// A message as bytes.
///
/// # Errors
/// As `encode_into`.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, CodecError> {
    let mut buffer = Vec::new();
    encode_into(message, &mut buffer)?;
    Ok(buffer)
}

/// Reads a message that fills the whole body.
///
/// # Errors
/// When the bytes are not such a message, or more than one.
pub fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M, CodecError> {
    let nbytes = body.len();
    if nbytes > MAX_BODY_BYTES {
        return Err(CodecError::Oversized { nbytes });
    }
    let mut reader = Reader::new(body);
    // One step, so that a long message is not moved more often than it must be.
    match M::deserialize(&mut reader) {
        Ok(message) if reader.left() == 0 => Ok(message),
        Ok(_) => Err(CodecError::Trailing { left: reader.left() }),
        Err(source) => Err(CodecError::Malformed { nbytes, source }),
    }
}
