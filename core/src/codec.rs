//! Messages to bytes and back: the only file besides `record.rs` that names the serializer here.
//!
//! Layout: bincode 2, standard configuration (little endian, variable-length integers). Decoding
//! never allocates more than the body holds: every length is checked against what is left of it
//! (bincode's limit), so that a forged length costs nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest body of one message, bytes. A whole control frame holds 64 MiB.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// A message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not such a message.
    #[error("message of {nbytes} bytes cannot be read: {source}")]
    Malformed {
        /// Length of the body.
        nbytes: usize,
        /// What bincode says.
        source: bincode::error::DecodeError,
    },
    /// Bytes are left behind the message.
    #[error("message has {left} bytes behind its end")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// The message is longer than any body may be.
    #[error("message cannot be written: {0}")]
    TooLong(#[from] bincode::error::EncodeError),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_BODY_BYTES>()
}

/// Appends a message to a buffer.
///
/// # Errors
/// When the message cannot be written (longer than `MAX_BODY_BYTES`).
pub fn encode_into<M: Serialize>(message: &M, buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(message, buffer, config())?;
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
    let (message, read) = bincode::serde::decode_from_slice(body, config())
        .map_err(|source| CodecError::Malformed { nbytes: body.len(), source })?;
    if read != body.len() {
        return Err(CodecError::Trailing { left: body.len() - read });
    }
    Ok(message)
}
