//! Objects: a small typed header and the bytes it describes.
//!
//! Every kind of task reads and writes the same objects. An array's bytes are its elements in C
//! order, native (little) endian, 64-byte aligned.

/// Element type of an array; numpy's names in comments. The code is what travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum DType {
    /// bool, one byte, 0 or 1
    Bool = 0,
    /// int8
    I8 = 1,
    /// int16
    I16 = 2,
    /// int32
    I32 = 3,
    /// int64
    I64 = 4,
    /// uint8
    U8 = 5,
    /// uint16
    U16 = 6,
    /// uint32
    U32 = 7,
    /// uint64
    U64 = 8,
    /// float32
    F32 = 9,
    /// float64
    F64 = 10,
    /// complex64
    C64 = 11,
    /// complex128
    C128 = 12,
}

impl DType {
    /// All of them, by code.
    pub const ALL: [Self; 13] = [
        Self::Bool,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::F32,
        Self::F64,
        Self::C64,
        Self::C128,
    ];

    /// Name as it stands in graphs and manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::C64 => "c64",
            Self::C128 => "c128",
        }
    }

    /// numpy's name, for messages that quote its conditions.
    #[must_use]
    pub const fn numpy_name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::C64 => "complex64",
            Self::C128 => "complex128",
        }
    }

    /// numpy's descr in a `.npy` header, `<f8` for example.
    #[must_use]
    pub const fn descr(self) -> &'static str {
        match self {
            Self::Bool => "|b1",
            Self::I8 => "|i1",
            Self::I16 => "<i2",
            Self::I32 => "<i4",
            Self::I64 => "<i8",
            Self::U8 => "|u1",
            Self::U16 => "<u2",
            Self::U32 => "<u4",
            Self::U64 => "<u8",
            Self::F32 => "<f4",
            Self::F64 => "<f8",
            Self::C64 => "<c8",
            Self::C128 => "<c16",
        }
    }

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }

    /// The type of a code that came from outside.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The type of a name in a graph.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

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
