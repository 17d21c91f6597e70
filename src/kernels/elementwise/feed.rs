//! Blocks of memory that steps read and write: registers, and the inputs' blocks one by one.
//!
//! An input with the result's elements is borrowed, a single element is repeated once and for all,
//! and any other is gathered row by row into one block. Nothing is ever as large as the result.

use crate::kernels::array::{View, broadcast_strides};
use crate::kernels::scalar::{Element, fill};
use crate::kernels::strided::Walk;

/// Alignment of a block, bytes: a cache line, so that no vector lies across two.
const ALIGNMENT: usize = 64;

/// Memory for one block of any dtype, aligned.
pub(super) struct Room {
    words: Vec<u64>,
    start: usize,
}

impl Room {
    /// Room for so many bytes.
    pub(super) fn new(nbytes: usize) -> Self {
        let words = vec![0_u64; nbytes.div_ceil(8) + ALIGNMENT / 8];
        // Never more than a line; 0 where the system cannot tell, which only costs speed.
        let start = words.as_ptr().align_offset(ALIGNMENT);
        Self { start: if start < ALIGNMENT / 8 { start } else { 0 }, words }
    }

    /// Room for nothing, without memory of its own.
    pub(super) fn none() -> Self {
        Self { words: Vec::new(), start: 0 }
    }

    /// The bytes, at least as many as were asked for.
    pub(super) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words[self.start..])
    }

    /// The bytes, to write.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(&mut self.words[self.start..])
    }
}

/// Gives the blocks of one input, one behind the other.
pub(super) struct Feed<'a> {
    source: &'a [u8],
    size: usize,
    kind: Kind,
}

enum Kind {
    /// The result's elements are the input's: blocks are borrowed.
    Direct { start: usize, end: usize },
    /// One element, repeated once and for all.
    Repeated { room: Room },
    /// Rows of the innermost axis are gathered.
    Rows { room: Room, rows: Rows },
}

impl<'a> Feed<'a> {
    /// Blocks of at most `block` elements of `view` as it broadcasts to `shape`, from element
    /// `first` of the result on.
    pub(super) fn new(view: &View<'a>, shape: &[usize], first: usize, block: usize) -> Self {
        let size = view.dtype.size();
        let kind = if view.len() == shape.iter().product::<usize>() {
            Kind::Direct { start: first * size, end: first * size }
        } else if view.len() == 1 {
            let mut room = Room::new(block * size);
            fill(&mut room.bytes_mut()[..block * size], &element(view.bytes, size), size);
            Kind::Repeated { room }
        } else {
            let rows = Rows::new(&view.shape, shape, first);
            Kind::Rows { room: Room::new(block * size), rows }
        };
        Self { source: view.bytes, size, kind }
    }

    /// Goes on to the next `count` elements.
    pub(super) fn load(&mut self, count: usize) {
        let size = self.size;
        match &mut self.kind {
            Kind::Direct { start, end } => {
                *start = *end;
                *end += count * size;
            }
            Kind::Repeated { .. } => {}
            Kind::Rows { room, rows } => {
                rows.gather(self.source, size, &mut room.bytes_mut()[..count * size]);
            }
        }
    }

    /// All elements are alike, whatever the block.
    pub(super) fn is_repeated(&self) -> bool {
        matches!(self.kind, Kind::Repeated { .. })
    }

    /// Blocks are the input's own memory.
    pub(super) fn is_direct(&self) -> bool {
        matches!(self.kind, Kind::Direct { .. })
    }

    /// The block.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.kind {
            Kind::Direct { start, end } => &self.source[*start..*end],
            Kind::Repeated { room } | Kind::Rows { room, .. } => room.bytes(),
        }
    }
}

fn element(bytes: &[u8], size: usize) -> Element {
    let mut element = [0; 16];
    element[..size].copy_from_slice(&bytes[..size]);
    element
}

/// Where an input that is repeated along some axes stands.
struct Rows {
    walk: Walk,
    length: usize,
    stride: usize,
    /// Elements of the current row that have been read.
    done: usize,
}

impl Rows {
    fn new(own: &[usize], shape: &[usize], first: usize) -> Self {
        let strides = broadcast_strides(own, shape);
        // Axes of length one say nothing; here at least one is longer.
        let (shape, strides): (Vec<usize>, Vec<isize>) =
            shape.iter().zip(strides).filter(|(length, _)| **length != 1).unzip();
        let mut inner = shape.len() - 1;
        let (mut length, stride) = (shape[inner], strides[inner]);
        // Trailing axes that are repeated, or not, alike make one row.
        while inner > 0 && strides[inner - 1] == stride * length as isize {
            inner -= 1;
            length *= shape[inner];
        }
        let mut walk = Walk::new(&shape[..inner], &strides[..inner], 0);
        walk.skip(first / length);
        Self { walk, length, stride: stride as usize, done: first % length }
    }

    /// Copies the next elements.
    fn gather(&mut self, source: &[u8], size: usize, mut rest: &mut [u8]) {
        while !rest.is_empty() {
            let taken = (self.length - self.done).min(rest.len() / size);
            let (part, behind) = rest.split_at_mut(taken * size);
            let from = (self.walk.position() + self.done * self.stride) * size;
            if self.stride == 0 {
                fill(part, &element(&source[from..], size), size);
            } else {
                part.copy_from_slice(&source[from..from + taken * size]);
            }
            rest = behind;
            self.done += taken;
            if self.done == self.length {
                self.done = 0;
                self.walk.advance();
            }
        }
    }
}
