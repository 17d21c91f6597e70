//! Transposition of squares in vector registers, for each level.
//!
//! ```text
//!   lines of the source ─ 16 bytes of each ─▶ lanes of registers ─ interleaved ─▶ whole rows
//! ```
//!
//! A strip of the source, 16 bytes wide, fills as many registers as 16 bytes have elements: lane by
//! lane from below each other. Interleaving the upper half of the registers with the lower one, as
//! often as it takes, leaves one row of the result in each of them. Loads, not shuffles, put the
//! lanes together: shuffles are what there are too few of.

use super::Level;

/// Bytes of a line of the cache.
const LINE_BYTES: usize = 64;

/// Lines of a square in an array's bytes.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Lines {
    /// Where the first one begins.
    pub(in crate::kernels) start: usize,
    /// From one to the next.
    pub(in crate::kernels) step: isize,
}

impl Lines {
    /// Whether `count` lines of `length` bytes stand within `nbytes`.
    #[inline(always)]
    fn fit(self, count: usize, length: usize, nbytes: usize) -> bool {
        let first = self.start as isize;
        let last = first.saturating_add(self.step.saturating_mul(count as isize - 1));
        let longest = nbytes as isize - length as isize;
        first >= 0 && first <= longest && last >= 0 && last <= longest
    }
}

/// Squares of one level.
pub(in crate::kernels) trait Squares {
    /// Bytes of a side.
    const BYTES: usize;
    /// Whether a line of a square is a line of the cache, which may go past it.
    const STREAMS: bool = Self::BYTES == LINE_BYTES;
    /// Transposes a square of elements of which `N` make 16 bytes. With `PAST` its lines go past
    /// the cache: each must be aligned as one, and `settle` must follow.
    fn turn<const N: usize, const PAST: bool>(
        source: &[u8],
        from: Lines,
        out: &mut [u8],
        to: Lines,
    );
}

/// Work on squares, written once for all levels. `run` and all that it calls in its loops must be
/// `#[inline(always)]`.
pub(in crate::kernels) trait SquareLoop {
    /// Does it.
    fn run<S: Squares>(self);
}

/// Side of a level's squares, bytes.
pub(in crate::kernels) const fn side_bytes(level: Level) -> usize {
    match level {
        Level::Portable => 16,
        Level::Avx2 => 32,
        Level::Avx512 => 64,
    }
}

#[cfg(target_arch = "x86_64")]
pub(in crate::kernels) use x86::{settle, squares};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Level, Lines, SquareLoop, Squares};
    use std::arch::x86_64::*;

    /// A vector register of lanes of 16 bytes.
    ///
    /// # Safety
    /// Whoever calls one of these has the instructions of the register's level.
    trait Register: Copy {
        const LANES: usize;
        /// Lanes from one place and those `step` bytes further each, all of them readable.
        unsafe fn gathered(from: *const u8, step: isize) -> Self;
        /// Elements of both in turn, lane by lane: those of the lower halves, of the upper ones.
        unsafe fn interleaved<const N: usize>(self, other: Self) -> [Self; 2];
        /// Writes it to a place that may be written to.
        unsafe fn store(self, to: *mut u8);
        /// The same past the cache; the place is aligned as the register.
        unsafe fn stream(self, to: *mut u8);
    }

    /// Calls an intrinsic function or one of a register.
    macro_rules! call {
        ($($call:tt)*) => {
            // SAFETY: the caller has promised the level's instructions and the places; registers
            // leave this module only as squares, which `squares` gives to loops of their level.
            unsafe { $($call)* }
        };
    }

    macro_rules! register {
        (
            $register:ident of $lanes:literal, |$from:ident, $step:ident| $gathered:expr,
            $store:ident $stream:ident $(, $count:pat => $low:ident $high:ident)*
        ) => {
            impl Register for $register {
                const LANES: usize = $lanes;
                #[inline(always)]
                unsafe fn gathered($from: *const u8, $step: isize) -> Self {
                    $gathered
                }
                #[inline(always)]
                unsafe fn interleaved<const N: usize>(self, other: Self) -> [Self; 2] {
                    match N {
                        $($count => [call!($low(self, other)), call!($high(self, other))],)*
                    }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut u8) {
                    call!($store(to.cast(), self));
                }
                #[inline(always)]
                unsafe fn stream(self, to: *mut u8) {
                    call!($stream(to.cast(), self));
                }
            }
        };
    }

    /// Lane `number`.
    #[inline(always)]
    unsafe fn lane(from: *const u8, step: isize, number: isize) -> __m128i {
        call!(_mm_loadu_si128(from.wrapping_offset(step.wrapping_mul(number)).cast()))
    }

    register!(
        __m128i of 1, |from, step| call!(lane(from, step, 0)),
        _mm_storeu_si128 _mm_stream_si128,
        16 => _mm_unpacklo_epi8 _mm_unpackhi_epi8,
        8 => _mm_unpacklo_epi16 _mm_unpackhi_epi16,
        4 => _mm_unpacklo_epi32 _mm_unpackhi_epi32,
        _ => _mm_unpacklo_epi64 _mm_unpackhi_epi64
    );
    register!(
        __m256i of 2, |from, step| {
            let lanes = call!(_mm256_castsi128_si256(lane(from, step, 0)));
            call!(_mm256_inserti128_si256::<1>(lanes, lane(from, step, 1)))
        },
        _mm256_storeu_si256 _mm256_stream_si256,
        16 => _mm256_unpacklo_epi8 _mm256_unpackhi_epi8,
        8 => _mm256_unpacklo_epi16 _mm256_unpackhi_epi16,
        4 => _mm256_unpacklo_epi32 _mm256_unpackhi_epi32,
        _ => _mm256_unpacklo_epi64 _mm256_unpackhi_epi64
    );
    register!(
        __m512i of 4, |from, step| {
            let lanes = call!(_mm512_castsi128_si512(lane(from, step, 0)));
            let lanes = call!(_mm512_inserti32x4::<1>(lanes, lane(from, step, 1)));
            let lanes = call!(_mm512_inserti32x4::<2>(lanes, lane(from, step, 2)));
            call!(_mm512_inserti32x4::<3>(lanes, lane(from, step, 3)))
        },
        _mm512_storeu_si512 _mm512_stream_si512,
        16 => _mm512_unpacklo_epi8 _mm512_unpackhi_epi8,
        8 => _mm512_unpacklo_epi16 _mm512_unpackhi_epi16,
        4 => _mm512_unpacklo_epi32 _mm512_unpackhi_epi32,
        _ => _mm512_unpacklo_epi64 _mm512_unpackhi_epi64
    );

    impl<R: Register> Squares for R {
        const BYTES: usize = 16 * R::LANES;

        #[inline(always)]
        fn turn<const N: usize, const PAST: bool>(
            source: &[u8],
            from: Lines,
            out: &mut [u8],
            to: Lines,
        ) {
            let count = const { N * R::LANES };
            assert!(from.fit(count, Self::BYTES, source.len()));
            assert!(to.fit(count, Self::BYTES, out.len()));
            let from_start = source.as_ptr().wrapping_add(from.start);
            let mut place = out.as_mut_ptr().wrapping_add(to.start);
            if PAST {
                assert!((place as usize).is_multiple_of(Self::BYTES));
                assert!((to.step as usize).is_multiple_of(Self::BYTES));
            }
            for strip in 0..R::LANES {
                let from_strip = from_start.wrapping_add(16 * strip);
                let step = from.step.wrapping_mul(N as isize);
                let mut rows = [call!(R::gathered(from_strip, step)); N];
                for (line, row) in rows.iter_mut().enumerate().skip(1) {
                    let begin = from_strip.wrapping_offset(from.step.wrapping_mul(line as isize));
                    *row = call!(R::gathered(begin, step));
                }
                for _ in 0..N.ilog2() {
                    rows = round::<R, N>(rows);
                }
                for row in rows {
                    if PAST {
                        call!(row.stream(place));
                    } else {
                        call!(row.store(place));
                    }
                    place = place.wrapping_offset(to.step);
                }
            }
        }
    }

    /// Interleaves the first half of the registers with the second one. Element by element without
    /// a loop: what is indexed by a variable would stay in memory.
    #[inline(always)]
    fn round<R: Register, const N: usize>(rows: [R; N]) -> [R; N] {
        let mut next = rows;
        macro_rules! pairs {
            ($($pair:literal)*) => {
                $(if const { $pair < N / 2 } {
                    let both = call!(rows[$pair].interleaved::<N>(rows[$pair + N / 2]));
                    [next[2 * $pair], next[2 * $pair + 1]] = both;
                })*
            };
        }
        pairs!(0 1 2 3 4 5 6 7);
        next
    }

    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
    fn avx2(body: impl SquareLoop) {
        body.run::<__m256i>();
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512cd")]
    #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt")]
    fn avx512(body: impl SquareLoop) {
        body.run::<__m512i>();
    }

    /// Runs `body` with the squares of a level; one above the machine's best counts as that one.
    pub(in crate::kernels) fn squares(level: Level, body: impl SquareLoop) {
        match level.min(Level::best()) {
            Level::Portable => body.run::<__m128i>(),
            // SAFETY: this machine has all instructions of its best level.
            Level::Avx2 => unsafe { avx2(body) },
            // SAFETY: as above.
            Level::Avx512 => unsafe { avx512(body) },
        }
    }

    /// Makes all that this thread has sent past the cache visible before what it writes from here
    /// on.
    #[inline]
    pub(in crate::kernels) fn settle() {
        // SAFETY: every machine of this architecture has SSE.
        unsafe { _mm_sfence() };
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(in crate::kernels) use plain::{settle, squares};

#[cfg(not(target_arch = "x86_64"))]
mod plain {
    use super::{Level, Lines, SquareLoop, Squares};

    /// Squares whose sides have 16 bytes, element by element.
    struct Plain;

    impl Squares for Plain {
        const BYTES: usize = 16;

        #[inline(always)]
        fn turn<const N: usize, const PAST: bool>(
            source: &[u8],
            from: Lines,
            out: &mut [u8],
            to: Lines,
        ) {
            let size = const { 16 / N };
            let begin = |lines: Lines, line: usize| {
                lines.start.wrapping_add_signed(lines.step.wrapping_mul(line as isize))
            };
            for row in 0..N {
                let out = &mut out[begin(to, row)..][..16];
                for (column, out) in out.chunks_exact_mut(size).enumerate() {
                    out.copy_from_slice(&source[begin(from, column) + row * size..][..size]);
                }
            }
        }
    }

    /// Runs `body` with the only squares there are.
    pub(in crate::kernels) fn squares(_the_only_one: Level, body: impl SquareLoop) {
        body.run::<Plain>();
    }

    /// Nothing goes past the cache.
    pub(in crate::kernels) fn settle() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One square of numbers that tell place from place.
    struct One<'a, const N: usize> {
        out: &'a mut [u8],
        expected: &'a mut Vec<u8>,
        past: bool,
    }

    impl<const N: usize> SquareLoop for One<'_, N> {
        #[inline(always)]
        fn run<S: Squares>(self) {
            let (size, count) = (16 / N, S::BYTES * N / 16);
            let source: Vec<u8> = (0..count * 80 + 5).map(|at| (at * 89 % 251) as u8).collect();
            // The lines of the source go backwards.
            let from = Lines { start: 5 + (count - 1) * 80, step: -80 };
            let start = self.out.as_ptr().align_offset(64);
            let to = Lines { start, step: 128 };
            *self.expected = self.out.to_vec();
            for row in 0..count {
                for column in 0..count {
                    let read = from.start - column * 80 + row * size;
                    let write = start + row * 128 + column * size;
                    self.expected[write..write + size].copy_from_slice(&source[read..read + size]);
                }
            }
            if self.past && S::STREAMS {
                S::turn::<N, true>(&source, from, self.out, to);
                settle();
            } else {
                S::turn::<N, false>(&source, from, self.out, to);
            }
        }
    }

    fn check<const N: usize>() {
        for level in Level::available() {
            for past in [false, true] {
                let (mut out, mut expected) = (vec![255; 64 * 128 + 64], Vec::new());
                squares(level, One::<N> { out: &mut out, expected: &mut expected, past });
                assert_eq!(out, expected, "{N} {level:?} {past}");
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        check::<1>();
        check::<2>();
        check::<4>();
        check::<8>();
        check::<16>();
    }

    #[test]
    fn lines_outside_are_seen() {
        let fits = |start, step, nbytes| Lines { start, step }.fit(4, 16, nbytes);
        assert!(fits(0, 16, 64) && fits(48, -16, 64) && fits(3, 0, 19));
        assert!(!fits(1, 16, 64) && !fits(47, -16, 64) && !fits(49, -16, 64) && !fits(4, 0, 19));
        assert!(!fits(0, isize::MAX, 64) && !fits(usize::MAX, 16, 64) && !fits(0, 16, 3));
    }
}
