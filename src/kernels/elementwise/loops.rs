//! The shapes of inner loops: one or two operands of one block each, and a choice.
//!
//! Every loop is plain, over slices of equal length, and is compiled once for each level of vector
//! instructions (`simd`). Functions given to it must be small enough to be inlined, or say so.

use crate::kernels::simd::{self, Level, Loop};
use bytemuck::Pod;

struct Each<'a, T, R, F> {
    x: &'a [T],
    out: &'a mut [R],
    f: F,
}

impl<T: Pod, R: Pod, F: Fn(T) -> R> Loop for Each<'_, T, R, F> {
    #[inline(always)]
    fn run(self) {
        for (out, x) in self.out.iter_mut().zip(self.x) {
            *out = (self.f)(*x);
        }
    }
}

/// `out = f(x)`
pub(super) fn each<T: Pod, R: Pod>(level: Level, x: &[u8], out: &mut [u8], f: impl Fn(T) -> R) {
    let (x, out) = (bytemuck::cast_slice(x), bytemuck::cast_slice_mut(out));
    simd::run(level, Each { x, out, f });
}

struct Pairs<'a, T, R, F> {
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [R],
    f: F,
}

impl<T: Pod, R: Pod, F: Fn(T, T) -> R> Loop for Pairs<'_, T, R, F> {
    #[inline(always)]
    fn run(self) {
        for ((out, x), y) in self.out.iter_mut().zip(self.x).zip(self.y) {
            *out = (self.f)(*x, *y);
        }
    }
}

/// `out = f(x, y)`
pub(super) fn pairs<T: Pod, R: Pod>(
    level: Level,
    x: &[u8],
    y: &[u8],
    out: &mut [u8],
    f: impl Fn(T, T) -> R,
) {
    let (x, y) = (bytemuck::cast_slice(x), bytemuck::cast_slice(y));
    simd::run(level, Pairs { x, y, out: bytemuck::cast_slice_mut(out), f });
}

struct Choose<'a, T> {
    condition: &'a [u8],
    x: &'a [T],
    y: &'a [T],
    out: &'a mut [T],
}

impl<T: Pod> Loop for Choose<'_, T> {
    #[inline(always)]
    fn run(self) {
        let chosen = self.condition.iter().zip(self.x).zip(self.y);
        for (out, ((condition, x), y)) in self.out.iter_mut().zip(chosen) {
            *out = if *condition == 0 { *y } else { *x };
        }
    }
}

/// Picks from `x` where the condition is 1, else from `y`; elements have `size` bytes.
pub(super) fn choose(
    level: Level,
    size: usize,
    condition: &[u8],
    [x, y]: [&[u8]; 2],
    out: &mut [u8],
) {
    match size {
        1 => choose_typed::<u8>(level, condition, [x, y], out),
        2 => choose_typed::<u16>(level, condition, [x, y], out),
        4 => choose_typed::<u32>(level, condition, [x, y], out),
        8 => choose_typed::<u64>(level, condition, [x, y], out),
        _ => choose_typed::<[u64; 2]>(level, condition, [x, y], out),
    }
}

fn choose_typed<T: Pod>(level: Level, condition: &[u8], [x, y]: [&[u8]; 2], out: &mut [u8]) {
    let (x, y) = (bytemuck::cast_slice::<_, T>(x), bytemuck::cast_slice(y));
    simd::run(level, Choose { condition, x, y, out: bytemuck::cast_slice_mut(out) });
}
