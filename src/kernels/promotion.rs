//! numpy 2's promotion of dtypes: the smallest dtype to which both can be cast safely.

use super::fault::{Outcome, type_error};
use super::time::check_units;
use rdask_store::{DType, TimeUnit};

/// Kinds of dtypes, in the order of their generality.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    /// bool
    Bool,
    /// u8 … u64
    Unsigned,
    /// i8 … i64
    Signed,
    /// f16, f32, f64
    Float,
    /// c64, c128
    Complex,
    /// `M8[unit]`
    Datetime,
    /// `m8[unit]`
    Timedelta,
}

/// The kind of a dtype.
pub(super) const fn kind_of(dtype: DType) -> Kind {
    match dtype {
        DType::Bool => Kind::Bool,
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => Kind::Signed,
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => Kind::Unsigned,
        DType::F16 | DType::F32 | DType::F64 => Kind::Float,
        DType::C64 | DType::C128 => Kind::Complex,
        DType::Datetime(_) => Kind::Datetime,
        DType::Timedelta(_) => Kind::Timedelta,
    }
}

/// True for integers, signed or not; bool is none.
pub(super) const fn is_integer(dtype: DType) -> bool {
    matches!(kind_of(dtype), Kind::Signed | Kind::Unsigned)
}

/// The dtype of an operation on arrays of these two.
///
/// # Errors
/// `TypeError` where there is none (a date and a number), `OverflowError` for units of time that are
/// too far apart.
pub(super) fn promote(left: DType, right: DType) -> Outcome<DType> {
    match (left, right) {
        (DType::Datetime(x), DType::Datetime(y)) => finer(x, y).map(DType::Datetime),
        (DType::Timedelta(x), DType::Timedelta(y)) => {
            let calendar = |unit: TimeUnit| unit <= TimeUnit::Month;
            if calendar(x) != calendar(y) {
                return Err(type_error(format!(
                    "Cannot get a common metadata divisor for Numpy timedelta64 metadata [{}] and \
                     [{}] because they have incompatible nonlinear base time units",
                    x.name(),
                    y.name()
                )));
            }
            finer(x, y).map(DType::Timedelta)
        }
        (time @ DType::Timedelta(_), number) | (number, time @ DType::Timedelta(_))
            if kind_of(number) <= Kind::Signed && number != DType::U64 =>
        {
            Ok(time)
        }
        _ if left.is_time() || right.is_time() => Err(type_error(format!(
            "no common DType exists for {} and {}",
            left.numpy_name(),
            right.numpy_name()
        ))),
        _ => Ok(promote_numbers(left, right)),
    }
}

/// The dtype of many arrays together, numpy's `result_type`: the highest kind comes first, or else
/// i16 and u16 would become i32, and that with f32 an f64.
///
/// # Errors
/// As `promote`.
pub(super) fn promote_all(dtypes: &[DType]) -> Outcome<DType> {
    let highest = (0..dtypes.len()).max_by_key(|at| (kind_of(dtypes[*at]), dtypes[*at].size()));
    let Some(highest) = highest else { return Ok(DType::F64) };
    let others = dtypes.iter().enumerate().filter(|(at, _)| *at != highest);
    others.map(|(_, dtype)| *dtype).try_fold(dtypes[highest], promote)
}

fn finer(x: TimeUnit, y: TimeUnit) -> Outcome<TimeUnit> {
    check_units(x, y).map(|()| x.max(y))
}

fn promote_numbers(left: DType, right: DType) -> DType {
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
        (_, Kind::Float) => match left.size() {
            1 => right,
            2 if right == DType::F16 => DType::F32,
            2 => right,
            _ => DType::F64,
        },
        // A complex number against a real one: c64 holds what f32 holds.
        _ => {
            if right == DType::C64 && promote_numbers(left, DType::F32) == DType::F32 {
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
        DType::F16 => DType::F16,
        // No such function takes these; they are refused before.
        DType::Datetime(_) | DType::Timedelta(_) => dtype,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy 2.4's `promote_types` for every pair, in the order of the codes.
    const TABLE: [&str; 14] = [
        "bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 c64 c128 f16",
        "i8 i8 i16 i32 i64 i16 i32 i64 f64 f32 f64 c64 c128 f16",
        "i16 i16 i16 i32 i64 i16 i32 i64 f64 f32 f64 c64 c128 f32",
        "i32 i32 i32 i32 i64 i32 i32 i64 f64 f64 f64 c128 c128 f64",
        "i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 c128 c128 f64",
        "u8 i16 i16 i32 i64 u8 u16 u32 u64 f32 f64 c64 c128 f16",
        "u16 i32 i32 i32 i64 u16 u16 u32 u64 f32 f64 c64 c128 f32",
        "u32 i64 i64 i64 i64 u32 u32 u32 u64 f64 f64 c128 c128 f64",
        "u64 f64 f64 f64 f64 u64 u64 u64 u64 f64 f64 c128 c128 f64",
        "f32 f32 f32 f64 f64 f32 f32 f64 f64 f32 f64 c64 c128 f32",
        "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 c128 c128 f64",
        "c64 c64 c64 c128 c128 c64 c64 c128 c128 c64 c128 c64 c128 c64",
        "c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128 c128",
        "f16 f16 f32 f64 f64 f16 f32 f64 f64 f32 f64 c64 c128 f16",
    ];

    #[test]
    fn promotion_is_numpys() {
        let numbers: Vec<DType> = DType::all().filter(|dtype| !dtype.is_time()).collect();
        for (left, row) in numbers.iter().zip(TABLE) {
            for (right, expected) in numbers.iter().zip(row.split(' ')) {
                let found = promote(*left, *right).unwrap().name();
                assert_eq!(found, expected, "{left:?} {right:?}");
            }
        }
    }

    #[test]
    fn promotion_of_dates_is_numpys() {
        let known = |text: &str| DType::from_name(text).unwrap();
        let found = |x, y| promote(known(x), known(y)).map(DType::name).map_err(|e| e.kind);
        assert_eq!(found("M8[D]", "M8[ns]"), Ok("M8[ns]"));
        assert_eq!(found("M8[M]", "M8[W]"), Ok("M8[W]"));
        assert_eq!(found("m8[s]", "i8"), Ok("m8[s]"));
        assert_eq!(found("bool", "m8[s]"), Ok("m8[s]"));
        for (x, y) in [
            ("m8[M]", "m8[D]"),
            ("m8[s]", "u64"),
            ("m8[s]", "f16"),
            ("i8", "M8[s]"),
            ("m8[s]", "M8[s]"),
        ] {
            assert_eq!(found(x, y), Err("TypeError".to_owned()), "{x} {y}");
        }
        assert_eq!(found("M8[D]", "M8[ps]"), Err("OverflowError".to_owned()));
    }
}
