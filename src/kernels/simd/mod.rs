//! The choice of vector instructions at run time: the only place that knows of it.
//!
//! A loop is written once, in plain Rust, as the `run` of a `Loop`. `run(level, body)` calls it in
//! a copy that the compiler made for that level, so what is inlined into it is vectorised for that
//! level. Every level gives the same bits: the compiler fuses no multiplication with an addition
//! and reorders no floats. What is not inlined (`libm`) is the same code for all levels.
//!
//! `square` is what no plain loop becomes: shuffles, and stores past the cache; `cut` is what it
//! becomes only without checks.
#![expect(unsafe_code, reason = "calls functions that need instructions the machine must have")]

mod cut;
mod lanes;
mod square;

pub(super) use cut::Cut;
pub(super) use lanes::{LaneLoop, Lanes, Packed};
pub(super) use square::{Lines, SquareLoop, Squares, settle, side_bytes, squares};

use std::sync::LazyLock;

/// A set of vector instructions, each level holding the ones before it. NEON is part of every
/// 64-bit ARM machine and thus of `Portable`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    /// What every machine of this architecture has.
    Portable,
    /// 32 bytes at once.
    Avx2,
    /// 32 bytes at once with masks, more registers and 64-bit integer products.
    Avx512,
}

impl Level {
    /// The best level of this machine.
    pub(super) fn best() -> Self {
        *BEST
    }

    /// All levels of this machine, the best one last.
    #[cfg(test)]
    pub(super) fn available() -> impl Iterator<Item = Self> {
        [Self::Portable, Self::Avx2, Self::Avx512].into_iter().filter(|level| *level <= *BEST)
    }
}

static BEST: LazyLock<Level> = LazyLock::new(detect);

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    use std::arch::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma") && has!("bmi1") && has!("bmi2") && has!("lzcnt")) {
        return Level::Portable;
    }
    let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq");
    if wide && has!("avx512vl") && has!("avx512cd") { Level::Avx512 } else { Level::Avx2 }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// A loop over a block. `run` and all that it calls in the loop must be `#[inline(always)]`.
pub(super) trait Loop {
    /// Runs it.
    fn run(self);
}

/// Runs a loop in its copy for a level; a level above the machine's best counts as that one.
#[inline]
pub(super) fn run<L: Loop>(level: Level, body: L) {
    #[cfg(target_arch = "x86_64")]
    match level.min(*BEST) {
        Level::Portable => body.run(),
        // SAFETY: `BEST` says that this machine has all instructions of the level.
        Level::Avx2 => unsafe { x86::avx2(body) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { x86::avx512(body) },
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _the_only_one = level;
        body.run();
    }
}

/// As `run`, in two copies only: for loops that wait for memory, which wider vectors leave as they
/// are.
#[inline]
pub(super) fn run_bounded<L: Loop>(level: Level, body: L) {
    #[cfg(target_arch = "x86_64")]
    match level.min(*BEST) {
        Level::Portable => body.run(),
        // SAFETY: `BEST` says that this machine has all instructions of the level.
        Level::Avx2 | Level::Avx512 => unsafe { x86::avx2(body) },
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _the_only_one = level;
        body.run();
    }
}

/// Asks for the memory right behind a run, as much of it: for loops over runs so short that the
/// machine does not see that they go on.
#[inline(always)]
pub(super) fn fetch_behind<T>(run: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..size_of_val(run)).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let place = run.as_ptr_range().end.cast::<i8>().wrapping_add(at);
        // SAFETY: every machine of this architecture has SSE, and a place that is not there is
        // not fetched.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _left_to_the_machine = run;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Loop;

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
    pub(super) fn avx2<L: Loop>(body: L) {
        body.run();
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd")]
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
    pub(super) fn avx512<L: Loop>(body: L) {
        body.run();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fill<'a>(&'a mut [f64], f64);

    impl Loop for Fill<'_> {
        #[inline(always)]
        fn run(self) {
            for (index, value) in self.0.iter_mut().enumerate() {
                *value = index as f64 * self.1 + 0.1;
            }
        }
    }

    #[test]
    fn levels_have_the_same_bits() {
        let mut expected = vec![0.0; 1003];
        for (index, value) in expected.iter_mut().enumerate() {
            *value = std::hint::black_box(index as f64 * 1.1) + 0.1;
        }
        assert_eq!(Level::available().next(), Some(Level::Portable));
        assert_eq!(Level::available().last(), Some(Level::best()));
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            let mut values = vec![0.0; 1003];
            run(level, Fill(&mut values, 1.1));
            assert_eq!(values, expected, "{level:?}");
        }
    }
}
