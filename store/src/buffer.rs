//! Raw memory: 64-byte aligned buffers. All `unsafe` of the store is here.
#![expect(unsafe_code, reason = "owns raw allocations")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Alignment of every buffer, bytes.
pub(crate) const ALIGNMENT: usize = 64;

/// An owned piece of memory, zeroed at birth, initialised for ever after.
#[derive(Debug)]
pub(crate) struct Buffer {
    start: NonNull<u8>,
    layout: Layout,
    len: usize,
}

// SAFETY: a buffer owns its memory alone, so it may move to another thread.
unsafe impl Send for Buffer {}
// SAFETY: shared access gives `&[u8]` only.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Memory for `nbytes`; none when the system refuses.
    pub(crate) fn allocate(nbytes: u64) -> Option<Self> {
        let len = usize::try_from(nbytes).ok()?;
        let layout = Layout::from_size_align(len.max(1), ALIGNMENT).ok()?;
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, layout, len })
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` are allocated, initialised and owned by `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to write.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `allocate` with this layout, and freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}
