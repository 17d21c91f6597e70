//! numpy 2's promotion of dtypes: the smallest dtype to which both can be cast safely.

use rdask_store::DType;

/// Kinds of dtypes, in the order of their generality.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// bool
    Bool,
    /// u8 … u64
    Unsigned,
    /// i8 … i64
    Signed,
    /// f32, f64
    Float,
    /// c64, c128
    Complex,
}

/// The kind of a dtype.
pub(super) const fn kind_of(dtype: DType) -> Kind {
    match dtype {
        DType::Bool => Kind::Bool,
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => Kind::Signed,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => Kind::Unsigned,
        DType::F32 | DType::F64 => Kind::Float,
        DType::C64 | DType::C128 => Kind::Complex,
    }
}

/// True for integers, signed or not; bool is none.
pub(super) const fn is_integer(dtype: DType) -> bool {
    matches!(kind_of(dtype), Kind::Signed | Kind::Unsigned)
}

/// The dtype of an operation on arrays of these two.
pub(super) fn promote(left: DType, right: DType) -> DType {
    let (left, right) = if kind_of(left) <= kind_of(right) { (left, right) } else { (right, left) };
    match (kind_of(left), kind_of(right)) {
        (Kind::Bool, _) => right,
        (lower, higher) if lower == higher => {
            if left.size() >= right.size() {
                left
            } else {
                right
            }
        }
        (Kind::Unsigned, Kind::Signed) => match left.size() {
            _ if right.size() > left.size() => right,
            1 => DType::I16,
            2 => DType::I32,
            4 => DType::I64,
            _ => DType::F64,
        },
        (_, Kind::Float) => {
            if left.size() <= 2 {
                right
            } else {
                DType::F64
            }
        }
        // A complex number against a real one: c64 holds what f32 holds.
        _ => {
            if right == DType::C64 && promote(left, DType::F32) == DType::F32 {
                DType::C64
            } else {
                DType::C128
            }
        }
    }
}

/// The float dtype in which a function like `sin` computes on this dtype. numpy takes float16 for
/// 8-bit integers, here it is f32. Complex stays complex.
pub(super) const fn inexact(dtype: DType) -> DType {
    match dtype {
        DType::Bool | DType::I8 | DType::U8 | DType::I16 | DType::U16 | DType::F32 => DType::F32,
        DType::I32 | DType::U32 | DType::I64 | DType::U64 | DType::F64 => DType::F64,
        DType::C64 => DType::C64,
        DType::C128 => DType::C128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2.4's `promote_types` for every pair, in the order of the codes.
    const TABLE: [&str; 13] = [
        "bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 c64 c128",
        "i8 i8 i16 i32 i64 i16 i32 i64 f64 f32 f64 c64 c128",
        "i16 i16 i16 i32 i64 i16 i32 i64 f64 f32 f64 c64 c128",
        "i32 i32 i32 i32 i64 i32 i32 i64 f64 f64 f64 c128 c128",
        "i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 c128 c128",
        "u8 i16 i16 i32 i64 u8 u16 u32 u64 f32 f64 c64 c128",
        "u16 i32 i32 i32 i64 u16 u16 u32 u64 f32 f64 c64 c128",
        "u32 i64 i64 i64 i64 u32 u32 u32 u64 f64 f64 c128 c128",
        "u64 f64 f64 f64 f64 u64 u64 u64 u64 f64 f64 c128 c128",
        "f32 f32 f32 f64 f64 f32 f32 f64 f64 f32 f64 c64 c128",
        "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 c128 c128",
        "c64 c64 c64 c128 c128 c64 c64 c128 c128 c64 c128 c64 c128",
        "c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128",
    ];

    #[test]
    fn promotion_is_numpys() {
        for left in DType::ALL {
            let row: Vec<&str> = TABLE[left as usize].split(' ').collect();
            for right in DType::ALL {
                assert_eq!(promote(left, right).name(), row[right as usize], "{left:?} {right:?}");
            }
        }
    }
}
