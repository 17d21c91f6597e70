//! One line of elements: sorted, the order that sorts it, and its largest elements.
//!
//! Elements of one number are sorted as integers (`key`), by an unstable sort where equal keys mean
//! equal bits or where the index is part of the key: both give the one stable result. Complex
//! numbers go through the standard library's stable sort.

use super::key::{Keyed, complex_order, falling_complex_order};
use crate::kernels::time::Ticks;
use bytemuck::Pod;
use num_complex::Complex;
use std::cmp::Ordering;

/// An element type that can be sorted.
pub(super) trait Sortable: Pod + Send + Sync {
    /// Memory that is used again from line to line.
    type Scratch: Default;
    /// Sorts a line, NaN last, equals in their order.
    fn sort(line: &mut [Self], scratch: &mut Self::Scratch);
    /// The indices in the order that sorts the line.
    fn argsort(line: &[Self], scratch: &mut Self::Scratch, out: &mut [i64]);
    /// The indices of the largest elements, the largest first, as many as `out` holds.
    fn argtop(line: &[Self], scratch: &mut Self::Scratch, out: &mut [i64]);
}

/// Room for keys.
#[derive(Default)]
pub(super) struct Keys<T, K> {
    keys: Vec<K>,
    /// Elements that are put back in their order: NaN and zeros.
    kept: Vec<T>,
    pairs: Vec<u64>,
    wide_pairs: Vec<u128>,
}

/// Elements from which lines of 8 and 16 bits are counted instead of sorted.
const COUNTED_FROM: usize = 1 << 12;

macro_rules! sortable {
    ($($type:ty),*) => {
        $(impl Sortable for $type {
            type Scratch = Keys<Self, <Self as Keyed>::Key>;
            fn sort(line: &mut [Self], scratch: &mut Self::Scratch) {
                sort_keys(line, scratch);
            }
            fn argsort(line: &[Self], scratch: &mut Self::Scratch, out: &mut [i64]) {
                places(line, <Self as Keyed>::rank, scratch, out);
            }
            fn argtop(line: &[Self], scratch: &mut Self::Scratch, out: &mut [i64]) {
                places(line, <Self as Keyed>::falling_rank, scratch, out);
            }
        })*
    };
}
sortable!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64, Ticks);

/// Sorts by keys that hold the elements.
fn sort_keys<T: Keyed>(line: &mut [T], scratch: &mut Keys<T, T::Key>) {
    let Keys { keys, kept, .. } = scratch;
    keys.clear();
    kept.clear();
    let mut zeros = 0;
    for x in &*line {
        if x.is_gap() {
            kept.push(*x);
        } else {
            zeros += usize::from(x.is_signed_zero());
            keys.push(x.bits());
        }
    }
    let sound = keys.len();
    if size_of::<T>() <= 2 && sound >= COUNTED_FROM {
        sort_by_counting(keys);
    } else {
        keys.sort_unstable();
    }
    let zeros_in_order: Vec<T> = if zeros > 1 {
        line.iter().filter(|x| x.is_signed_zero()).copied().collect()
    } else {
        Vec::new()
    };
    for (x, key) in line.iter_mut().zip(&*keys) {
        *x = T::from_bits(*key);
    }
    line[sound..].copy_from_slice(kept);
    if !zeros_in_order.is_empty() {
        let first = line[..sound].iter().position(|x| x.is_signed_zero()).unwrap_or(0);
        line[first..first + zeros].copy_from_slice(&zeros_in_order);
    }
}

/// Keys of one or two bytes: how often each occurs says all.
fn sort_by_counting<K: Pod + Into<u64>>(keys: &mut [K]) {
    let mut counts = vec![0_usize; 1 << (8 * size_of::<K>())];
    for key in &*keys {
        counts[(*key).into() as usize] += 1;
    }
    let mut left = keys;
    for (key, count) in counts.into_iter().enumerate() {
        let (same, behind) = left.split_at_mut(count);
        let bytes = key.to_ne_bytes();
        let start = if cfg!(target_endian = "little") { 0 } else { bytes.len() - size_of::<K>() };
        same.fill(bytemuck::pod_read_unaligned(&bytes[start..start + size_of::<K>()]));
        left = behind;
    }
}

/// The first indices in the order of ranks, equals by their index.
fn places<T: Keyed>(
    line: &[T],
    rank: impl Fn(T) -> T::Key,
    scratch: &mut Keys<T, T::Key>,
    out: &mut [i64],
) {
    if size_of::<T>() <= 4 && u32::try_from(line.len()).is_ok() {
        let pairs = &mut scratch.pairs;
        pairs.clear();
        pairs.extend((0_u64..).zip(line).map(|(index, x)| rank(*x).into() << 32 | index));
        smallest(pairs, out.len());
        for (out, pair) in out.iter_mut().zip(pairs) {
            *out = i64::from(*pair as u32);
        }
        return;
    }
    let pairs = &mut scratch.wide_pairs;
    pairs.clear();
    let key = |x: T| -> u64 { rank(x).into() };
    pairs.extend((0_u128..).zip(line).map(|(index, x)| u128::from(key(*x)) << 64 | index));
    smallest(pairs, out.len());
    for (out, pair) in out.iter_mut().zip(pairs) {
        *out = *pair as i64;
    }
}

/// Sorts the `count` smallest to the front.
fn smallest<K: Ord>(keys: &mut [K], count: usize) {
    if count < keys.len() && count > 0 {
        keys.select_nth_unstable(count - 1);
    }
    let count = count.min(keys.len());
    keys[..count].sort_unstable();
}

macro_rules! complex {
    ($($type:ty),*) => {
        $(impl Sortable for Complex<$type> {
            type Scratch = Vec<i64>;
            fn sort(line: &mut [Self], _: &mut Vec<i64>) {
                line.sort_by(complex_order);
            }
            fn argsort(line: &[Self], _: &mut Vec<i64>, out: &mut [i64]) {
                number(out);
                out.sort_by(|x, y| complex_order(&line[*x as usize], &line[*y as usize]));
            }
            fn argtop(line: &[Self], scratch: &mut Vec<i64>, out: &mut [i64]) {
                scratch.resize(line.len(), 0);
                number(scratch);
                let order = |x: &i64, y: &i64| -> Ordering {
                    falling_complex_order(&line[*x as usize], &line[*y as usize]).then(x.cmp(y))
                };
                if !out.is_empty() && out.len() < line.len() {
                    scratch.select_nth_unstable_by(out.len() - 1, order);
                }
                scratch[..out.len()].sort_unstable_by(order);
                out.copy_from_slice(&scratch[..out.len()]);
            }
        })*
    };
}
complex!(f32, f64);

/// 0, 1, 2, …
fn number(indices: &mut [i64]) {
    for (number, index) in (0..).zip(indices) {
        *index = number;
    }
}
