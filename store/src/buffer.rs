//! Raw memory: 64-byte aligned buffers. All `unsafe` of the store is here.
//!
//! Small and middle sizes come from the heap, large ones from an anonymous mapping of their own, so
//! that the kernel's table of mappings stays short and freed large memory goes back at once. Every
//! buffer is zeroed at birth and stays initialised, which is what makes handing out `&mut [u8]`
//! sound when a warm one is used again.
#![expect(unsafe_code, reason = "owns raw allocations and memory mappings")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Alignment of every buffer, bytes: a cache line, and enough for every SIMD load.
pub(crate) const ALIGNMENT: usize = 64;
/// From this capacity on a buffer is a mapping of its own. Linux allows 65,530 mappings by default,
/// which at this size are 64 GiB of the smallest such objects.
const MAPPED_FROM: usize = 1 << 20;
/// From this capacity on a mapping asks for huge pages: at least one whole huge page is inside.
const HUGE_FROM: usize = 4 << 20;
/// Size of a huge page on every machine we know of.
const HUGE_PAGE: usize = 2 << 20;

/// Memory policies of `mbind(2)`: prefer one node; prefer several (Linux 5.15).
const MPOL_PREFERRED: libc::c_ulong = 1;
const MPOL_PREFERRED_MANY: libc::c_ulong = 5;
/// Node numbers mean the machine's nodes, not positions in the cpuset.
const MPOL_F_STATIC_NODES: libc::c_ulong = 1 << 15;

/// The NUMA nodes that new mappings prefer; none is no preference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placement {
    mask: Vec<libc::c_ulong>,
    first: u32,
}

impl Placement {
    /// A preference for `nodes`.
    pub(crate) fn prefer(nodes: &[u32]) -> Self {
        let bits = libc::c_ulong::BITS;
        let mut mask = Vec::new();
        for node in nodes {
            let word = (node / bits) as usize;
            if mask.len() <= word {
                mask.resize(word + 1, 0);
            }
            mask[word] |= 1 << (node % bits);
        }
        Self { mask, first: nodes.first().copied().unwrap_or(0) }
    }
}

#[derive(Debug)]
enum Origin {
    /// Nothing was allocated.
    Empty,
    Heap(Layout),
    Mapping,
}

/// An owned piece of memory, initialised for ever.
#[derive(Debug)]
pub(crate) struct Buffer {
    start: NonNull<u8>,
    capacity: usize,
    /// Bytes of the longest object that lived here: the pages behind them are there.
    touched: u64,
    origin: Origin,
}

// SAFETY: a buffer owns its memory alone, so it may move to another thread.
unsafe impl Send for Buffer {}
// SAFETY: shared access gives `&[u8]` only.
unsafe impl Sync for Buffer {}

/// A line of the alignment, to point somewhere valid when there are no bytes.
#[repr(align(64))]
struct Line([u8; 0]);
static NOTHING: Line = Line([]);

impl Buffer {
    /// Zeroed memory for `capacity` bytes; none when the system refuses.
    pub(crate) fn allocate(capacity: usize, placement: &Placement) -> Option<Self> {
        if capacity == 0 {
            let start = NonNull::from(&NOTHING.0).cast();
            return Some(Self { start, capacity, touched: 0, origin: Origin::Empty });
        }
        if capacity >= MAPPED_FROM {
            return Self::map(capacity, placement);
        }
        let layout = Layout::from_size_align(capacity, ALIGNMENT).ok()?;
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, capacity, touched: 0, origin: Origin::Heap(layout) })
    }

    fn map(capacity: usize, placement: &Placement) -> Option<Self> {
        let capacity = capacity.checked_next_multiple_of(4096)?;
        let huge = capacity >= HUGE_FROM;
        let slack = if huge { HUGE_PAGE } else { 0 };
        let whole = map_anonymous(capacity.checked_add(slack)?)?;
        let before = if huge { whole.align_offset(HUGE_PAGE) } else { 0 };
        // SAFETY: `before` < `slack`, so this is inside the mapping.
        let start = unsafe { whole.add(before) };
        // SAFETY: `before + capacity` ≤ the length of the mapping.
        let end = unsafe { start.add(capacity) };
        unmap(whole, before);
        unmap(end, slack - before);
        let start = NonNull::new(start)?;
        let buffer = Self { start, capacity, touched: 0, origin: Origin::Mapping };
        if huge {
            // SAFETY: the range is exactly our mapping; advice changes no contents. A refusal
            // (kernels without huge pages) only costs speed, so its result is not looked at.
            unsafe { libc::madvise(start.as_ptr().cast(), capacity, libc::MADV_HUGEPAGE) };
        }
        // A worker forks for each program that a task runs: without this the fork copies page tables
        // as long as its results, and every page is copied when it is written to before the exec.
        // SAFETY: the range is exactly our mapping; a child that does not have it never uses it,
        // since it only executes another program. A refusal costs time and nothing else.
        unsafe { libc::madvise(start.as_ptr().cast(), capacity, libc::MADV_DONTFORK) };
        buffer.bind(placement);
        Some(buffer)
    }

    /// Prefers the placement's nodes for pages not yet touched. A refusal (one node, an old kernel,
    /// a container's filter) leaves the system's own choice, which is right more often than not.
    fn bind(&self, placement: &Placement) {
        if placement.mask.is_empty() {
            return;
        }
        let bits = u64::from(libc::c_ulong::BITS) * placement.mask.len() as u64 + 1;
        let mbind = |mode: libc::c_ulong, mask: &[libc::c_ulong]| {
            // SAFETY: the range is our own mapping, and `mask` holds at least `bits - 1` bits; the
            // kernel reads one bit less than it is told.
            unsafe {
                libc::syscall(
                    libc::SYS_mbind,
                    self.start.as_ptr(),
                    self.capacity,
                    mode,
                    mask.as_ptr(),
                    bits,
                    0,
                )
            }
        };
        if mbind(MPOL_PREFERRED_MANY | MPOL_F_STATIC_NODES, &placement.mask) == 0 {
            return;
        }
        let mut single = Placement::prefer(&[placement.first]).mask;
        single.resize(placement.mask.len().max(single.len()), 0);
        mbind(MPOL_PREFERRED | MPOL_F_STATIC_NODES, &single);
    }

    /// Bytes that it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// An object of `nbytes` has lived here.
    pub(crate) fn touch(&mut self, nbytes: u64) {
        self.touched = self.touched.max(nbytes);
    }

    /// Bytes of the longest object that lived here.
    pub(crate) fn touched(&self) -> u64 {
        self.touched
    }

    /// The first `len` bytes, as many as there are.
    pub(crate) fn bytes(&self, len: usize) -> &[u8] {
        let len = len.min(self.capacity);
        // SAFETY: `capacity` bytes from `start` are allocated, initialised and owned by `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), len) }
    }

    /// The first `len` bytes, as many as there are, to write.
    pub(crate) fn bytes_mut(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.capacity);
        // SAFETY: as in `bytes`, and `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        match self.origin {
            Origin::Empty => {}
            // SAFETY: allocated in `allocate` with this layout, and freed only here.
            Origin::Heap(layout) => unsafe { dealloc(self.start.as_ptr(), layout) },
            Origin::Mapping => unmap(self.start.as_ptr(), self.capacity),
        }
    }
}

fn map_anonymous(len: usize) -> Option<*mut u8> {
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing of ours.
    let start = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    (start != libc::MAP_FAILED).then_some(start.cast())
}

/// Gives `len` bytes back; they are a part of a mapping of ours that nothing refers to any more.
fn unmap(start: *mut u8, len: usize) {
    if len == 0 {
        return;
    }
    // SAFETY: the callers pass page-aligned parts of their own mapping, once.
    unsafe { libc::munmap(start.cast(), len) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_aligned_zeroed_and_writable() {
        let sizes = [0, 1, 63, 64, 65, 8192, MAPPED_FROM - 1, MAPPED_FROM, HUGE_FROM + 12_345];
        for size in sizes {
            let mut buffer = Buffer::allocate(size, &Placement::default()).unwrap();
            assert!(buffer.capacity() >= size);
            assert_eq!(buffer.bytes(size).as_ptr().align_offset(ALIGNMENT), 0);
            assert_eq!(buffer.bytes(size).len(), size);
            assert!(buffer.bytes(size).iter().all(|byte| *byte == 0));
            buffer.bytes_mut(size).fill(7);
            assert!(buffer.bytes(size).iter().all(|byte| *byte == 7));
        }
    }

    #[test]
    fn huge_mappings_start_on_a_huge_page() {
        let buffer = Buffer::allocate(HUGE_FROM, &Placement::default()).unwrap();
        assert_eq!(buffer.bytes(1).as_ptr().align_offset(HUGE_PAGE), 0);
    }

    #[test]
    fn a_preference_for_nodes_never_fails_an_allocation() {
        // Node 0 exists everywhere; node 1000 nowhere.
        for nodes in [&[0][..], &[0, 1000], &[1000]] {
            let mut buffer = Buffer::allocate(HUGE_FROM, &Placement::prefer(nodes)).unwrap();
            buffer.bytes_mut(HUGE_FROM).fill(1);
        }
    }

    #[test]
    fn a_request_the_system_cannot_meet_is_refused() {
        assert!(Buffer::allocate(usize::MAX - 4096, &Placement::default()).is_none());
        assert!(Buffer::allocate(1 << 60, &Placement::default()).is_none());
    }
}
