//! Stores that go past the cache.
//!
//! For results larger than it: an ordinary store reads a line before it writes to it, in vain where
//! all of the line is written, and pushes out lines of the source that will be read again.

/// Bytes of a line of the cache.
#[cfg(target_arch = "x86_64")]
const LINE_BYTES: usize = 64;

/// Copies bytes past the cache where the machine can; `settle` must follow before another thread
/// may look at them.
#[inline]
pub(in crate::kernels) fn stream(from: &[u8], to: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_stream_si128};
        // Only whole lines of the cache: half of one would be read before it is written.
        let before = to.as_ptr().align_offset(LINE_BYTES).min(to.len());
        let (head, rest) = to.split_at_mut(before);
        let (from_head, from_rest) = from.split_at(before);
        head.copy_from_slice(from_head);
        let (lines, tail) = rest.as_chunks_mut::<LINE_BYTES>();
        let (from_lines, from_tail) = from_rest.as_chunks::<LINE_BYTES>();
        for (to, from) in lines.iter_mut().zip(from_lines) {
            for (to, from) in to.as_chunks_mut::<16>().0.iter_mut().zip(from.as_chunks::<16>().0) {
                let place: *mut __m128i = to.as_mut_ptr().cast();
                // SAFETY: every machine of this architecture has SSE2; the 16 bytes are borrowed as
                // mutable, and aligned, for a line begins behind what alignment takes.
                unsafe { _mm_stream_si128(place, bytemuck::cast(*from)) };
            }
        }
        tail.copy_from_slice(from_tail);
    }
    #[cfg(not(target_arch = "x86_64"))]
    to.copy_from_slice(from);
}

/// Makes all that this thread has streamed visible before what it writes from here on.
#[inline]
pub(in crate::kernels) fn settle() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every machine of this architecture has SSE.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_place_and_length_is_copied_whole() {
        let source: Vec<u8> = (0..220_u32).map(|at| at as u8).collect();
        for start in 0..20 {
            for length in [0, 1, 15, 16, 63, 64, 65, 130, 150] {
                let mut out = vec![255; 200];
                stream(&source[start..start + length], &mut out[start..start + length]);
                settle();
                let mut expected = vec![255; 200];
                expected[start..start + length].copy_from_slice(&source[start..start + length]);
                assert_eq!(out, expected, "{start} {length}");
            }
        }
    }
}
