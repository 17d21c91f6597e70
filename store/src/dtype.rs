//! Element types of arrays, with their names in graphs, in numpy and in `.npy` files.
//!
//! The code is what travels between processes: 0 to 12 are the basic types, 13 is f16, 32 + unit a
//! date, 64 + unit a duration. Codes and names never change their meaning.

/// What a date or a duration counts; numpy's units but for the one without name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum TimeUnit {
    /// `Y`
    Year = 0,
    /// `M`
    Month = 1,
    /// `W`
    Week = 2,
    /// `D`
    Day = 3,
    /// `h`
    Hour = 4,
    /// `m`
    Minute = 5,
    /// `s`
    Second = 6,
    /// `ms`
    Millisecond = 7,
    /// `us`
    Microsecond = 8,
    /// `ns`
    Nanosecond = 9,
    /// `ps`
    Picosecond = 10,
    /// `fs`
    Femtosecond = 11,
    /// `as`
    Attosecond = 12,
}

/// The name of something that has a unit in brackets at its end.
macro_rules! with_unit {
    ($unit:expr, $before:literal) => {
        match $unit {
            TimeUnit::Year => concat!($before, "Y]"),
            TimeUnit::Month => concat!($before, "M]"),
            TimeUnit::Week => concat!($before, "W]"),
            TimeUnit::Day => concat!($before, "D]"),
            TimeUnit::Hour => concat!($before, "h]"),
            TimeUnit::Minute => concat!($before, "m]"),
            TimeUnit::Second => concat!($before, "s]"),
            TimeUnit::Millisecond => concat!($before, "ms]"),
            TimeUnit::Microsecond => concat!($before, "us]"),
            TimeUnit::Nanosecond => concat!($before, "ns]"),
            TimeUnit::Picosecond => concat!($before, "ps]"),
            TimeUnit::Femtosecond => concat!($before, "fs]"),
            TimeUnit::Attosecond => concat!($before, "as]"),
        }
    };
}

impl TimeUnit {
    /// All of them, the longest first.
    pub const ALL: [Self; 13] = [
        Self::Year,
        Self::Month,
        Self::Week,
        Self::Day,
        Self::Hour,
        Self::Minute,
        Self::Second,
        Self::Millisecond,
        Self::Microsecond,
        Self::Nanosecond,
        Self::Picosecond,
        Self::Femtosecond,
        Self::Attosecond,
    ];

    /// numpy's letters: `Y M W D h m s ms us ns ps fs as`.
    #[must_use]
    pub fn name(self) -> &'static str {
        with_unit!(self, "").trim_end_matches(']')
    }
}

/// Element type of an array; numpy's names in comments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DType {
    /// bool, one byte, 0 or 1
    Bool,
    /// int8
    I8,
    /// int16
    I16,
    /// int32
    I32,
    /// int64
    I64,
    /// uint8
    U8,
    /// uint16
    U16,
    /// uint32
    U32,
    /// uint64
    U64,
    /// float32
    F32,
    /// float64
    F64,
    /// complex64
    C64,
    /// complex128
    C128,
    /// float16; kernels compute in float32 and round back
    F16,
    /// `datetime64[unit]`: an i64 that counts units since 1970, its least value is not a time
    Datetime(TimeUnit),
    /// `timedelta64[unit]`: an i64 that counts units, its least value is not a time
    Timedelta(TimeUnit),
}

/// A dtype's names, `.npy` descr, bytes of an element and code.
struct Row {
    code: u8,
    name: &'static str,
    numpy_name: &'static str,
    descr: &'static str,
    size: usize,
}

const fn row(
    code: u8,
    name: &'static str,
    numpy_name: &'static str,
    descr: &'static str,
    size: usize,
) -> Row {
    Row { code, name, numpy_name, descr, size }
}

/// Code of the date with the first unit.
const DATETIMES: u8 = 32;
/// Code of the duration with the first unit.
const TIMEDELTAS: u8 = 64;

impl DType {
    /// The thirteen basic types, bool to c128, by code: those that every kernel computes with.
    pub const BASIC: [Self; 13] = [
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

    /// Every dtype in words.
    pub const KNOWN: &str = "bool i8 i16 i32 i64 u8 u16 u32 u64 f16 f32 f64 c64 c128, M8[unit] and \
                             m8[unit] with a unit of Y M W D h m s ms us ns ps fs as";

    /// Every dtype: the basic ones, f16, dates and durations of each unit.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::BASIC
            .into_iter()
            .chain([Self::F16])
            .chain(TimeUnit::ALL.into_iter().map(Self::Datetime))
            .chain(TimeUnit::ALL.into_iter().map(Self::Timedelta))
    }

    const fn row(self) -> Row {
        match self {
            Self::Bool => row(0, "bool", "bool", "|b1", 1),
            Self::I8 => row(1, "i8", "int8", "|i1", 1),
            Self::I16 => row(2, "i16", "int16", "<i2", 2),
            Self::I32 => row(3, "i32", "int32", "<i4", 4),
            Self::I64 => row(4, "i64", "int64", "<i8", 8),
            Self::U8 => row(5, "u8", "uint8", "|u1", 1),
            Self::U16 => row(6, "u16", "uint16", "<u2", 2),
            Self::U32 => row(7, "u32", "uint32", "<u4", 4),
            Self::U64 => row(8, "u64", "uint64", "<u8", 8),
            Self::F32 => row(9, "f32", "float32", "<f4", 4),
            Self::F64 => row(10, "f64", "float64", "<f8", 8),
            Self::C64 => row(11, "c64", "complex64", "<c8", 8),
            Self::C128 => row(12, "c128", "complex128", "<c16", 16),
            Self::F16 => row(13, "f16", "float16", "<f2", 2),
            Self::Datetime(unit) => row(
                DATETIMES + unit as u8,
                with_unit!(unit, "M8["),
                with_unit!(unit, "datetime64["),
                with_unit!(unit, "<M8["),
                8,
            ),
            Self::Timedelta(unit) => row(
                TIMEDELTAS + unit as u8,
                with_unit!(unit, "m8["),
                with_unit!(unit, "timedelta64["),
                with_unit!(unit, "<m8["),
                8,
            ),
        }
    }

    /// Name as it stands in graphs and manifests: `f64`, `M8[ns]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// numpy's name, for messages that quote its conditions: `float64`, `datetime64[ns]`.
    #[must_use]
    pub const fn numpy_name(self) -> &'static str {
        self.row().numpy_name
    }

    /// numpy's descr in a `.npy` header: `<f8`, `<M8[ns]`.
    #[must_use]
    pub const fn descr(self) -> &'static str {
        self.row().descr
    }

    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        self.row().size
    }

    /// The code that travels.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.row().code
    }

    /// The type of a code that came from outside.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::all().find(|dtype| dtype.code() == code)
    }

    /// The type of a name in a graph.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|dtype| dtype.name() == name)
    }

    /// The type of a name in a graph.
    ///
    /// # Errors
    /// A name that is none, with what is known.
    pub fn parse(name: &str) -> Result<Self, UnknownDType> {
        Self::from_name(name).ok_or_else(|| UnknownDType { name: name.to_owned() })
    }

    /// True for dates and durations, which are moved and compared but not computed with.
    #[must_use]
    pub const fn is_time(self) -> bool {
        matches!(self, Self::Datetime(_) | Self::Timedelta(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
/// A dtype that native kernels do not know.
#[error("unknown dtype '{name}'; known are {}; others need a Python task", DType::KNOWN)]
pub struct UnknownDType {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_lead_back() {
        let mut codes = Vec::new();
        for dtype in DType::all() {
            assert_eq!(DType::from_code(dtype.code()), Some(dtype));
            assert_eq!(DType::parse(dtype.name()), Ok(dtype));
            codes.push(dtype.code());
        }
        assert_eq!(codes.len(), 40);
        codes.dedup();
        assert_eq!(codes.len(), 40);
        for (position, dtype) in DType::BASIC.into_iter().enumerate() {
            assert_eq!(usize::from(dtype.code()), position);
        }
        assert_eq!(DType::from_code(14), None);
        assert_eq!(DType::from_code(45), None);
        assert_eq!(DType::from_code(255), None);
    }

    #[test]
    fn names_of_dates() {
        let date = DType::Datetime(TimeUnit::Microsecond);
        assert_eq!((date.name(), date.numpy_name()), ("M8[us]", "datetime64[us]"));
        assert_eq!((date.descr(), date.size()), ("<M8[us]", 8));
        assert_eq!(DType::Timedelta(TimeUnit::Year).descr(), "<m8[Y]");
        for name in ["M8", "M8[]", "M8[25s]", "m8[x]", "f128", "M8[us", "float16", ""] {
            let error = DType::parse(name).unwrap_err().to_string();
            assert!(error.starts_with(&format!("unknown dtype '{name}'; known are")), "{error}");
        }
        let units: Vec<&str> = TimeUnit::ALL.map(TimeUnit::name).into();
        assert_eq!(units.join(" "), "Y M W D h m s ms us ns ps fs as");
    }
}
