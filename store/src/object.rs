//! Objects: a small typed header and the bytes it describes.
//!
//! Every kind of task reads and writes the same objects. An array's bytes are its elements in C
//! order, native (little) endian, 64-byte aligned.

use crate::DType;

/// What the bytes of an object are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Header {
    /// Plain bytes.
    Bytes,
    /// An array in C order.
    Array {
        /// Element type.
        dtype: DType,
        /// Shape; empty for a 0-d array.
        shape: Vec<u64>,
    },
}

impl Header {
    /// Number of bytes that this header asks for; none for plain bytes or when it overflows.
    #[must_use]
    pub fn nbytes(&self) -> Option<u64> {
        match self {
            Self::Bytes => None,
            Self::Array { dtype, shape } => {
                shape.iter().try_fold(dtype.size() as u64, |size, length| size.checked_mul(*length))
            }
        }
    }
}
