//! Durations and sizes as people write them: `30s`, `150ms`, `2`, `50MB`, `1KiB`.
//!
//! Reads exact integers, nanoseconds and bytes, without going through a float: `0.1s` is exactly
//! 100,000,000 ns. Writes the shortest form that reads back as the same number.

use crate::graph::quoted;

/// A text that is not a duration or a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number.
    #[error("{} is not {expected}", quoted(text))]
    NotANumber {
        /// What was given.
        text: String,
        /// Which form is expected, with examples.
        expected: &'static str,
    },
    /// A number with a unit that does not exist.
    #[error("{} has the unknown unit {}; units are {units}", quoted(text), quoted(unit))]
    UnknownUnit {
        /// What was given.
        text: String,
        /// Its unit.
        unit: String,
        /// Those that exist.
        units: &'static str,
    },
    /// More than 64 bits hold.
    #[error("{} is too large", quoted(text))]
    TooLarge {
        /// What was given.
        text: String,
    },
}

const DURATION: &str = "a duration such as 30s, 150ms or 2 (seconds)";
const SIZE: &str = "a size such as 50MB, 1KiB or 4096 (bytes)";

/// Unit and nanoseconds, smallest first.
const DURATION_UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Unit and bytes, smallest first.
const SIZE_UNITS: [(&str, u64); 11] = [
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
    ("PB", 1_000_000_000_000_000),
    ("PiB", 1 << 50),
];
/// The same without their `B`, as Dask reads them too.
const SHORT_SIZE_UNITS: [(&str, u64); 10] = [
    ("k", 1_000),
    ("Ki", 1 << 10),
    ("M", 1_000_000),
    ("Mi", 1 << 20),
    ("G", 1_000_000_000),
    ("Gi", 1 << 30),
    ("T", 1_000_000_000_000),
    ("Ti", 1 << 40),
    ("P", 1_000_000_000_000_000),
    ("Pi", 1 << 50),
];

/// A duration in nanoseconds; a bare number counts seconds, a fraction of a nanosecond is dropped.
///
/// # Errors
/// When the text is not a number with a unit, or its value does not fit 64 bits.
pub fn parse_duration_ns(text: &str) -> Result<u64, UnitError> {
    let units = &DURATION_UNITS;
    parse(text, DURATION, "ns, us, ms, s, min, h", &[units], 1_000_000_000)
}

/// A size in bytes; a bare number counts bytes, a fraction of a byte is dropped.
///
/// # Errors
/// As for durations.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let units = "B, kB, KiB, MB, MiB, GB, GiB, TB, TiB, PB, PiB";
    parse(text, SIZE, units, &[&SIZE_UNITS, &SHORT_SIZE_UNITS], 1)
}

/// The shortest form of a duration that reads back as the same number.
#[must_use]
pub fn format_duration_ns(ns: u64) -> String {
    format(ns, &DURATION_UNITS[..4], "s")
}

/// The shortest form of a size that reads back as the same number.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    let [bytes_only, kb, kib, mb, mib, gb, gib, ..] = SIZE_UNITS;
    let decimal = format(bytes, &[bytes_only, kb, mb, gb], "B");
    let binary = format(bytes, &[bytes_only, kib, mib, gib], "B");
    if binary.len() < decimal.len() { binary } else { decimal }
}

fn parse(
    text: &str,
    expected: &'static str,
    names: &'static str,
    units: &[&[(&str, u64)]],
    bare: u64,
) -> Result<u64, UnitError> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|symbol: char| !symbol.is_ascii_digit() && symbol != '.' && symbol != '_')
        .unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..end], trimmed[end..].trim_start());
    let scale = match unit {
        "" => bare,
        _ => units
            .iter()
            .copied()
            .flatten()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, scale)| *scale)
            .ok_or_else(|| unknown(text, number, unit, expected, names))?,
    };
    let not_a_number = || UnitError::NotANumber { text: text.to_owned(), expected };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(not_a_number());
    }
    let too_large = || UnitError::TooLarge { text: text.to_owned() };
    let mut value: u64 = 0;
    for digit in whole.bytes().filter(u8::is_ascii_digit) {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .ok_or_else(too_large)?;
    }
    value = value.checked_mul(scale).ok_or_else(too_large)?;
    let mut place = u128::from(scale);
    let mut rest: u128 = 0;
    // Eighteen digits are below a thousandth of the smallest step of the largest unit.
    let digits = fraction.bytes().filter(u8::is_ascii_digit).take(18);
    place *= 10_u128.pow(18);
    for digit in digits {
        place /= 10;
        rest += place * u128::from(digit - b'0');
    }
    let rest = u64::try_from(rest / 10_u128.pow(18)).map_err(|_| too_large())?;
    value.checked_add(rest).ok_or_else(too_large)
}

fn unknown(
    text: &str,
    number: &str,
    unit: &str,
    expected: &'static str,
    units: &'static str,
) -> UnitError {
    if number.is_empty() {
        return UnitError::NotANumber { text: text.to_owned(), expected };
    }
    UnitError::UnknownUnit { text: text.to_owned(), unit: unit.to_owned(), units }
}

fn format(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    if value == 0 {
        return format!("0{zero}");
    }
    let (name, scale) = units
        .iter()
        .rev()
        .find(|(_, scale)| value.is_multiple_of(*scale))
        .expect("every number is a multiple of the smallest unit, 1");
    format!("{}{name}", value / scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        for (text, ns) in [
            ("30s", 30_000_000_000),
            ("150ms", 150_000_000),
            ("2", 2_000_000_000),
            ("0.1", 100_000_000),
            ("1.5 s", 1_500_000_000),
            ("5min", 300_000_000_000),
            ("1h", 3_600_000_000_000),
            ("7ns", 7),
            ("200us", 200_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration_ns(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("50MB", 50_000_000),
            ("1KiB", 1024),
            ("1.5GiB", 1_610_612_736),
            ("4096", 4096),
            ("2gib", 2_147_483_648),
            ("1_000", 1000),
            ("3k", 3_000),
            ("2 Gi", 2_147_483_648),
            ("0.5 TiB", 549_755_813_888),
            (".5gb", 500_000_000),
            ("1.9999", 1),
            ("  1 PiB ", 1_125_899_906_842_624),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn faults_name_the_text() {
        for text in ["", "s", "-1s", "1.2.3", "abc", "."] {
            assert!(matches!(parse_duration_ns(text), Err(UnitError::NotANumber { .. })), "{text}");
        }
        for text in ["3 bananas", "1e9", "1 GiB 2", "2 XB"] {
            assert!(matches!(parse_bytes(text), Err(UnitError::UnknownUnit { .. })), "{text}");
        }
        for text in ["18446744073709551616", "17000 PiB"] {
            assert!(matches!(parse_bytes(text), Err(UnitError::TooLarge { .. })), "{text}");
        }
        let text = "99999999999999999999".to_owned();
        assert_eq!(parse_bytes(&text), Err(UnitError::TooLarge { text }));
        assert!(matches!(parse_duration_ns("99999999999h"), Err(UnitError::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value: u64) {
            prop_assert_eq!(parse_duration_ns(&format_duration_ns(value)), Ok(value));
            prop_assert_eq!(parse_bytes(&format_bytes(value)), Ok(value));
        }

        #[test]
        fn nothing_panics(text: String) {
            drop((parse_duration_ns(&text), parse_bytes(&text)));
        }
    }
}
