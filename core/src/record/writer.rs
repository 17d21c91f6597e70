//! Events to bytes. A block is closed when it is full or when the driver wants it on disk; it
//! carries a fingerprint of the state behind its last event, so that a replay that goes another way
//! is found at once.

use super::{BLOCK_HEAD_BYTES, End, Info, Kind, MAGIC, SLOT_BYTES, VERSION, graph};
use crate::codec::{self, CodecError};
use crate::scheduler::{GraphSubmission, SchedulerEvent};
use crate::time::Time;
use xxhash_rust::xxh3::xxh3_64;

/// The block that events are gathered in.
#[derive(Debug)]
pub struct Encoder {
    body: Vec<u8>,
    scratch: Vec<u8>,
    /// Number of the next event, and of the first in this block; from 0.
    next: u64,
    first: u64,
    last_time: Time,
    /// Events that do not fit a slot are left out: a ring.
    is_ring: bool,
}

impl Encoder {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(is_ring: bool) -> Self {
        Self {
            body: Vec::with_capacity(SLOT_BYTES),
            scratch: Vec::new(),
            next: 0,
            first: 0,
            last_time: Time(0),
            is_ring,
        }
    }

    /// Events so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.next
    }

    /// Takes an event that the scheduler is about to handle. When it begins a new block, the full one
    /// is given away; `fingerprint` is of the state before the event.
    ///
    /// # Errors
    /// When the event is longer than any message may be.
    pub fn event(
        &mut self,
        now: Time,
        event: &SchedulerEvent,
        fingerprint: impl FnOnce() -> u64,
    ) -> Result<Option<Vec<u8>>, CodecError> {
        let room = SLOT_BYTES - BLOCK_HEAD_BYTES;
        self.encode(now, event)?;
        let mut full = None;
        if self.body.len() + self.scratch.len() > room {
            full = self.block(fingerprint());
            // Times begin anew in each block.
            self.encode(now, event)?;
        }
        self.next += 1;
        if self.is_ring && self.scratch.len() > room {
            self.first = self.next;
        } else {
            self.body.extend_from_slice(&self.scratch);
            self.last_time = now;
        }
        Ok(full)
    }

    /// One event: its length, then the time since the one before and the event itself.
    fn encode(&mut self, now: Time, event: &SchedulerEvent) -> Result<(), CodecError> {
        self.scratch.clear();
        codec::encode_into(&(now.since(self.last_time), event), &mut self.scratch)?;
        let length = self.scratch.len();
        let mut prefix = [0; 10];
        let count = leb128(length as u64, &mut prefix);
        self.scratch.splice(0..0, prefix[..count].iter().copied());
        Ok(())
    }

    /// The events that are gathered, as a block; none when there are none. `fingerprint` is of the
    /// state behind the last of them.
    pub fn block(&mut self, fingerprint: u64) -> Option<Vec<u8>> {
        let count = self.next - self.first;
        let first = std::mem::replace(&mut self.first, self.next);
        self.last_time = Time(0);
        if self.body.is_empty() {
            return None;
        }
        let count = u32::try_from(count).expect("a block has fewer events than bytes");
        let block = block(Kind::Events, count, first, fingerprint, &self.body);
        self.body.clear();
        Some(block)
    }
}

/// The head of the file.
///
/// # Errors
/// When the settings are longer than any message may be.
pub fn header(info: &Info) -> Result<Vec<u8>, CodecError> {
    let info = codec::encode(info)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(length_of(&info).to_le_bytes());
    bytes.extend(xxh3_64(&info).to_le_bytes());
    bytes.extend(info);
    Ok(bytes)
}

/// The blocks of a graph, one after the other.
///
/// # Errors
/// When a single task or the list of wishes is longer than any message may be.
pub fn graph_blocks(
    submission: &GraphSubmission,
    give: &mut dyn FnMut(Vec<u8>),
) -> Result<(), CodecError> {
    graph::pieces(submission, &mut |body| give(block(Kind::Graph, 0, 0, 0, body)))
}

/// The last block.
#[must_use]
pub fn end_block(end: End) -> Vec<u8> {
    let mut body = end.events.to_le_bytes().to_vec();
    body.extend(end.state_hash.to_le_bytes());
    block(Kind::End, 0, end.events, 0, &body)
}

fn block(kind: Kind, events: u32, first: u64, fingerprint: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK_HEAD_BYTES + body.len());
    for number in [kind as u32, events, length_of(body), 0] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(first.to_le_bytes());
    bytes.extend(fingerprint.to_le_bytes());
    let checksum = checksum(&bytes, body);
    bytes.extend(checksum.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Checksum of a block: of its head up to here, then its body.
pub(super) fn checksum(head: &[u8], body: &[u8]) -> u64 {
    xxh3_64(head).rotate_left(32) ^ xxh3_64(body)
}

fn length_of(body: &[u8]) -> u32 {
    u32::try_from(body.len()).expect("the codec writes less than 64 MiB")
}

/// A number, seven bits a byte, the lowest first; how many bytes.
fn leb128(mut value: u64, bytes: &mut [u8; 10]) -> usize {
    let mut count = 0;
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes[count] = if value == 0 { low } else { low | 0x80 };
        count += 1;
        if value == 0 {
            return count;
        }
    }
}
