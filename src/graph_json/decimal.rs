//! Decimal numbers of JSON as whole millionths or nanoseconds, without a float between.

/// `text`, a JSON number, times 10^`digits`, rounded to the nearest whole number.
///
/// # Errors
/// What is wrong with it: not a number, negative, too large.
pub(super) fn parse_scaled(text: &str, digits: u32) -> Result<u64, String> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.starts_with('-') {
        return Err(format!("{text} is negative"));
    }
    let (Ok(exponent), true) = (exponent.parse::<i32>(), is_number(whole) && is_number(fraction))
    else {
        return Err("a number is expected".to_owned());
    };
    let too_large = || format!("{text} is too large");
    let all = format!("{whole}{fraction}");
    let all = all.trim_start_matches('0');
    if all.is_empty() {
        return Ok(0);
    }
    // The point stands this many digits behind the first one, once the scale is applied.
    let point = i64::try_from(all.len()).map_err(|_| too_large())?
        - i64::try_from(fraction.len()).map_err(|_| too_large())?
        + i64::from(exponent)
        + i64::from(digits);
    if point > 20 {
        return Err(too_large());
    }
    let Ok(point) = usize::try_from(point) else { return Ok(0) };
    let kept = &all[..point.min(all.len())];
    let mut value: u128 =
        if kept.is_empty() { 0 } else { kept.parse().map_err(|_| too_large())? };
    value *= 10_u128.pow(u32::try_from(point - kept.len()).map_err(|_| too_large())?);
    if all.as_bytes().get(point).is_some_and(|digit| *digit >= b'5') {
        value += 1;
    }
    u64::try_from(value).map_err(|_| too_large())
}

/// `value` divided by 10^`digits`, exactly and without needless zeros.
pub(super) fn write_scaled(value: u64, digits: u32) -> String {
    let unit = 10_u64.pow(digits);
    let (whole, fraction) = (value / unit, value % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{fraction:0width$}", width = digits as usize);
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_every_form() {
        let cases = [
            ("30", 9, 30_000_000_000),
            ("0.5", 6, 500_000),
            ("1e-6", 6, 1),
            ("1.5E2", 0, 150),
            ("0.0000004", 6, 0),
            ("0.0000005", 6, 1),
            ("0.3333333333333333", 9, 333_333_333),
            ("12.3456789", 3, 12_346),
            ("0", 9, 0),
            ("1e-400", 9, 0),
            ("18446744073709551615", 0, u64::MAX),
            ("1.8446744073709551615e19", 0, u64::MAX),
        ];
        for (text, digits, value) in cases {
            assert_eq!(parse_scaled(text, digits), Ok(value), "{text}");
        }
        assert_eq!(parse_scaled("-1", 0).unwrap_err(), "-1 is negative");
        for text in ["18446744073709551616", "1e30", "1e2000000000"] {
            assert_eq!(parse_scaled(text, 0).unwrap_err(), format!("{text} is too large"));
        }
        for text in ["\"1\"", "null", "[1]", "true"] {
            assert_eq!(parse_scaled(text, 0).unwrap_err(), "a number is expected");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value: u64, digits in 0_u32..=9) {
            prop_assert_eq!(parse_scaled(&write_scaled(value, digits), digits), Ok(value));
        }
    }
}
