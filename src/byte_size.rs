//! Numbers of bytes as people write them: `2GiB`, `1.5GB`, `500 MB`, `4096`.
//!
//! Units are those of Dask: `k M G T P` and `kB MB …` are powers of 1000, `Ki`, `KiB`, `MiB` …
//! powers of 1024; case does not matter and a space may stand before the unit. The result is exact:
//! it is computed in integers and rounded down to whole bytes.

/// Units and their bytes; the first name of each is the one that messages use.
const UNITS: [(&[&str], u64); 11] = [
    (&["b", ""], 1),
    (&["kb", "k"], 1000),
    (&["mb", "m"], 1000_u64.pow(2)),
    (&["gb", "g"], 1000_u64.pow(3)),
    (&["tb", "t"], 1000_u64.pow(4)),
    (&["pb", "p"], 1000_u64.pow(5)),
    (&["kib", "ki"], 1 << 10),
    (&["mib", "mi"], 1 << 20),
    (&["gib", "gi"], 1 << 30),
    (&["tib", "ti"], 1 << 40),
    (&["pib", "pi"], 1 << 50),
];

/// Most digits behind the point; more say nothing about whole bytes of the largest unit.
const MAX_FRACTION_DIGITS: usize = 18;

/// A number of bytes.
///
/// ```
/// assert_eq!(rdask::byte_size::parse("2GiB"), Ok(2 << 30));
/// assert_eq!(rdask::byte_size::parse("1.5 GB"), Ok(1_500_000_000));
/// assert_eq!(rdask::byte_size::parse("4096"), Ok(4096));
/// assert!(rdask::byte_size::parse("many").is_err());
/// ```
///
/// # Errors
/// What is wrong with the text, and what is expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let expected = || {
        let shown = rdask_core::graph::quoted(text);
        format!("{shown} is no number of bytes: 4096, 500MB or 2GiB for example is")
    };
    let trimmed = text.trim();
    let unit_at = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(unit_at);
    let unit = unit.trim_start().to_ascii_lowercase();
    let (_, factor) =
        UNITS.iter().find(|(names, _)| names.contains(&unit.as_str())).ok_or_else(expected)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty())
        || fraction.contains('.')
        || fraction.len() > MAX_FRACTION_DIGITS
    {
        return Err(expected());
    }
    let too_large = || format!("{} is more than 2^64 bytes", rdask_core::graph::quoted(text));
    let digits = |text: &str| match text {
        "" => Ok(0_u128),
        digits => digits.parse::<u128>().map_err(|_| too_large()),
    };
    let factor = u128::from(*factor);
    let places = u32::try_from(fraction.len()).expect("there are at most 18 digits");
    let parts = digits(fraction)? * factor / 10_u128.pow(places);
    let bytes = digits(whole)?.checked_mul(factor).and_then(|bytes| bytes.checked_add(parts));
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn every_unit_counts_what_its_name_says() {
        let cases = [
            ("0", 0),
            ("17", 17),
            ("17 B", 17),
            ("3kB", 3_000),
            ("3k", 3_000),
            ("3KiB", 3_072),
            ("500MB", 500_000_000),
            ("1MiB", 1_048_576),
            ("1.5GB", 1_500_000_000),
            ("2GiB", 2_147_483_648),
            ("0.5 TiB", 549_755_813_888),
            (".5gb", 500_000_000),
            ("1.", 1),
            ("1.9999", 1),
            ("  1 PiB ", 1_125_899_906_842_624),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for text in ["", "GiB", ".", "1..2", "1.2.3", "-1", "1e9", "2 XB", "½", "1 GiB 2"] {
            let error = parse(text).unwrap_err();
            assert!(error.ends_with("4096, 500MB or 2GiB for example is"), "{text}: {error}");
        }
        for text in ["18446744073709551616", "17000 PiB", "9".repeat(60).as_str()] {
            assert!(parse(text).unwrap_err().ends_with("is more than 2^64 bytes"), "{text}");
        }
    }
}
