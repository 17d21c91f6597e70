//! Dates and durations: an i64 that counts units, of which the least value is not a time (NaT).
//!
//! Kernels move, compare and convert them; arithmetic on them is refused by name. Conversions
//! between units are numpy's: rounded down, through the calendar (proleptic Gregorian) where a date
//! counts years or months, with the mean year of 365.2425 days for durations. A count that leaves
//! i64 wraps.

use super::fault::{Outcome, fault, type_error};
use rdask_core::messages::TaskError;
use rdask_store::{DType, TimeUnit};
use std::num::Wrapping;

/// The Rust type of an element of a date or duration; a type of its own, apart from i64's.
pub(super) type Ticks = Wrapping<i64>;

/// Not a time.
pub(super) const NAT: i64 = i64::MIN;

/// Refuses dates and durations in a kernel that computes.
pub(super) fn refuse_times(
    kernel: &str,
    dtypes: impl IntoIterator<Item = DType>,
) -> Result<(), TaskError> {
    match dtypes.into_iter().find(|dtype| dtype.is_time()) {
        None => Ok(()),
        Some(dtype) => Err(type_error(format!(
            "'{kernel}' is not supported for {}: native kernels move, compare, convert and reduce \
             dates and durations by min, max and counts; a Python task can compute with them",
            dtype.numpy_name()
        ))),
    }
}

/// Refuses conversions between units so far apart that no i64 holds their ratio well.
///
/// # Errors
/// `OverflowError`, where numpy raises it.
pub(super) fn check_units(from: TimeUnit, to: TimeUnit) -> Outcome<()> {
    let (coarse, fine) = (from.min(to), from.max(to));
    if attoseconds(coarse.max(TimeUnit::Day)) / attoseconds(fine) < MOST_TICKS {
        return Ok(());
    }
    Err(fault(
        "OverflowError",
        format!(
            "Integer overflow while computing the conversion factor between NumPy datetime units \
             {} and {}",
            from.name(),
            to.name()
        ),
    ))
}

/// numpy's limit of a ratio of two units.
const MOST_TICKS: i128 = 1 << 56;

/// Length of a unit; of years and months the mean one.
const fn attoseconds(unit: TimeUnit) -> i128 {
    const SECOND: i128 = 1_000_000_000_000_000_000;
    const DAY: i128 = 86_400 * SECOND;
    match unit {
        TimeUnit::Year => DAY / 400 * DAYS_OF_400_YEARS,
        TimeUnit::Month => DAY / 4800 * DAYS_OF_400_YEARS,
        TimeUnit::Week => 7 * DAY,
        TimeUnit::Day => DAY,
        TimeUnit::Hour => 3600 * SECOND,
        TimeUnit::Minute => 60 * SECOND,
        TimeUnit::Second => SECOND,
        TimeUnit::Millisecond => SECOND / 1000,
        TimeUnit::Microsecond => SECOND / 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
        TimeUnit::Picosecond => 1_000_000,
        TimeUnit::Femtosecond => 1000,
        TimeUnit::Attosecond => 1,
    }
}

/// Converts all counts of `source` to another unit.
pub(super) fn convert(dates: bool, from: TimeUnit, to: TimeUnit, source: &[u8], out: &mut [u8]) {
    let source: &[i64] = bytemuck::cast_slice(source);
    let out: &mut [i64] = bytemuck::cast_slice_mut(out);
    let calendar = |unit: TimeUnit| unit <= TimeUnit::Month;
    if dates && calendar(from) && !calendar(to) {
        let per_year = if from == TimeUnit::Year { 1 } else { 12 };
        each(source, out, |count| from_days(day_of_month(count, per_year), to));
    } else if dates && calendar(to) && !calendar(from) {
        let per_year = if to == TimeUnit::Year { 1 } else { 12 };
        each(source, out, |count| month_of_day(to_days(count, from), per_year));
    } else {
        let (num, den) = ratio(from, to);
        if den == 1 {
            each(source, out, |count| count.wrapping_mul(num));
        } else {
            each(source, out, |count| count.wrapping_mul(num).div_euclid(den));
        }
    }
}

fn each(source: &[i64], out: &mut [i64], convert: impl Fn(i64) -> i64) {
    for (out, count) in out.iter_mut().zip(source) {
        *out = if *count == NAT { NAT } else { convert(*count) };
    }
}

/// What a count is multiplied with and divided by.
fn ratio(from: TimeUnit, to: TimeUnit) -> (i64, i64) {
    let (num, den) = (attoseconds(from), attoseconds(to));
    let (mut divisor, mut rest) = (num, den);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    ((num / divisor) as i64, (den / divisor) as i64)
}

const DAYS_OF_400_YEARS: i128 = 146_097;

/// Days since 1970 of the first day of a year (`per_year` 1) or month (12), counted since 1970.
fn day_of_month(count: i64, per_year: i128) -> i128 {
    let months = i128::from(count) * (12 / per_year);
    let (year, month) = (months.div_euclid(12) + 1970, months.rem_euclid(12));
    // Years that begin in March have the leap day at their end.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 - MARCH_OF_YEAR_0
}

/// Days from the first of March of year 0 to 1970.
const MARCH_OF_YEAR_0: i128 = 719_468;

/// Year or month, counted since 1970, of a day.
fn month_of_day(day: i128, per_year: i128) -> i64 {
    let day = day + MARCH_OF_YEAR_0;
    let (era, day) = (day.div_euclid(DAYS_OF_400_YEARS), day.rem_euclid(DAYS_OF_400_YEARS));
    // The last day of 4, of 100 and of 400 years belongs to the year before it.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153 + 2;
    let months = (era * 400 + year - 1970) * 12 + month;
    months.div_euclid(12 / per_year) as i64
}

fn from_days(days: i128, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Week => days.div_euclid(7) as i64,
        _ => (days as i64).wrapping_mul((attoseconds(TimeUnit::Day) / attoseconds(unit)) as i64),
    }
}

fn to_days(count: i64, unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Week => i128::from(count) * 7,
        _ => i128::from(count).div_euclid(attoseconds(TimeUnit::Day) / attoseconds(unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(dates: bool, from: TimeUnit, to: TimeUnit, count: i64) -> i64 {
        let mut out = 0_i64;
        convert(dates, from, to, bytemuck::bytes_of(&count), bytemuck::bytes_of_mut(&mut out));
        out
    }

    #[test]
    fn dates_go_through_the_calendar() {
        use TimeUnit::{Day, Month, Nanosecond, Second, Week, Year};
        assert_eq!(converted(true, Year, Day, 30), 10_957); // 2000-01-01
        assert_eq!(converted(true, Month, Day, 30 * 12 + 2), 11_017); // 2000-03-01, a leap year
        assert_eq!(converted(true, Day, Month, 11_016), 30 * 12 + 1); // 2000-02-29
        assert_eq!(converted(true, Second, Year, -1), -1);
        assert_eq!(converted(true, Year, Week, 31), 1617);
        assert_eq!(converted(true, Second, Nanosecond, NAT), NAT);
        for day in (-1_000_000..1_000_000).step_by(37) {
            let month = converted(true, Day, Month, day);
            let first = converted(true, Month, Day, month);
            let next = converted(true, Month, Day, month + 1);
            assert!(first <= day && day < next && (28..=31).contains(&(next - first)), "{day}");
            assert_eq!(converted(true, Day, Year, day), month.div_euclid(12));
        }
    }

    #[test]
    fn durations_have_mean_years() {
        use TimeUnit::{Day, Hour, Month, Second, Year};
        assert_eq!(converted(false, Year, Day, -7), -2557);
        assert_eq!(converted(false, Day, Month, 100), 3);
        assert_eq!(converted(false, Second, Hour, -1), -1);
    }

    #[test]
    fn units_too_far_apart_are_refused() {
        use TimeUnit::{Attosecond, Day, Femtosecond, Hour, Millisecond, Nanosecond, Year};
        assert!(check_units(Year, Nanosecond).is_ok());
        assert!(check_units(Attosecond, Millisecond).is_ok());
        assert!(check_units(Hour, Femtosecond).is_err());
        let error = check_units(Attosecond, Day).unwrap_err();
        assert!(error.message.ends_with("units as and D"), "{}", error.message);
    }
}
