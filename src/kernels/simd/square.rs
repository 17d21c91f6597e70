//! Transposition of a square whose rows have 16 bytes.
//!
//! The upper half of the rows is interleaved with the lower one, as often as it takes: an element
//! that stands in row r and column c moves its number's bits, r before c, around by one each time.

/// Transposes `N` rows of `N` elements of 16 / `N` bytes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(in crate::kernels) fn square_turned<const N: usize>(square: [[u8; 16]; N]) -> [[u8; 16]; N] {
    // SAFETY: every machine of this architecture has SSE2.
    unsafe { sse2(square) }
}

/// With the instructions that interleave two rows.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn sse2<const N: usize>(square: [[u8; 16]; N]) -> [[u8; 16]; N] {
    use std::arch::x86_64::{
        __m128i, _mm_unpackhi_epi8, _mm_unpackhi_epi16, _mm_unpackhi_epi32, _mm_unpackhi_epi64,
        _mm_unpacklo_epi8, _mm_unpacklo_epi16, _mm_unpacklo_epi32, _mm_unpacklo_epi64,
    };
    let mut rows: [__m128i; N] = square.map(bytemuck::cast);
    for _ in 0..N.ilog2() {
        let mut next = rows;
        for pair in 0..N / 2 {
            let (x, y) = (rows[pair], rows[pair + N / 2]);
            [next[2 * pair], next[2 * pair + 1]] = match N {
                16 => [_mm_unpacklo_epi8(x, y), _mm_unpackhi_epi8(x, y)],
                8 => [_mm_unpacklo_epi16(x, y), _mm_unpackhi_epi16(x, y)],
                4 => [_mm_unpacklo_epi32(x, y), _mm_unpackhi_epi32(x, y)],
                _ => [_mm_unpacklo_epi64(x, y), _mm_unpackhi_epi64(x, y)],
            };
        }
        rows = next;
    }
    rows.map(bytemuck::cast)
}

/// Element by element.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(in crate::kernels) fn square_turned<const N: usize>(square: [[u8; 16]; N]) -> [[u8; 16]; N] {
    let size = 16 / N;
    let mut turned = [[0; 16]; N];
    for (row, turned) in turned.iter_mut().enumerate() {
        for (column, line) in square.iter().enumerate() {
            turned[column * size..][..size].copy_from_slice(&line[row * size..][..size]);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const N: usize>() {
        let number = |row: usize, column: usize, byte: usize| (row * 89 + column * 16 + byte) as u8;
        let filled = |turned: bool| -> [[u8; 16]; N] {
            std::array::from_fn(|row| {
                std::array::from_fn(|at| {
                    let (column, byte) = (at * N / 16, at % (16 / N));
                    if turned { number(column, row, byte) } else { number(row, column, byte) }
                })
            })
        };
        assert_eq!(square_turned(filled(false)), filled(true), "{N}");
    }

    #[test]
    fn rows_become_columns() {
        check::<1>();
        check::<2>();
        check::<4>();
        check::<8>();
        check::<16>();
    }
}
