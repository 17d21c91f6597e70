//! What expressions do with dates and durations: comparisons, the smaller and the larger, NaT.
//!
//! As in numpy NaT is unequal to everything, itself too, and wins over every time.

use super::expression::{Binary, Compare, Unary};
use super::loops::{each, pairs};
use crate::kernels::simd::Level;
use crate::kernels::time::NAT;

/// A function of one time.
pub(super) fn unary(level: Level, function: Unary, x: &[u8], out: &mut [u8]) {
    match function {
        Unary::IsNan => each(level, x, out, |x: i64| u8::from(x == NAT)),
        Unary::IsFinite => each(level, x, out, |x: i64| u8::from(x != NAT)),
        // Typing leaves no other function: a time is never infinite.
        _ => out.fill(0),
    }
}

/// A function of two times of one unit.
pub(super) fn binary(level: Level, function: Binary, x: &[u8], y: &[u8], out: &mut [u8]) {
    let neither = |x: i64, y: i64| x != NAT && y != NAT;
    match function {
        Binary::Compare(Compare::NotEqual) => {
            pairs(level, x, y, out, |x, y| u8::from(x != y || !neither(x, y)));
        }
        Binary::Compare(compare) => {
            pairs(level, x, y, out, |x: i64, y: i64| {
                u8::from(neither(x, y) && compare.holds(Some(x.cmp(&y))))
            });
        }
        Binary::Minimum => pairs(level, x, y, out, i64::min),
        // Typing leaves no function but the maximum.
        _ => pairs(level, x, y, out, |x: i64, y: i64| if neither(x, y) { x.max(y) } else { NAT }),
    }
}
