//! Bytes to events. Nothing is believed before its checksum is right; a length is never trusted
//! beyond the bytes that are there.

use super::graph::Assembly;
use super::writer::checksum;
use super::{BLOCK_HEAD_BYTES, End, HEADER_BYTES, Info, Kind, MAGIC, SLOT_BYTES, VERSION};
use crate::codec;
use crate::scheduler::{GraphSubmission, SchedulerEvent};
use crate::time::Time;
use xxhash_rust::xxh3::xxh3_64;

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It does not begin like one.
    #[error("this is no flight record")]
    NoRecord,
    /// It was written by another version of the program.
    #[error("flight record of version {found}; this program reads version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// It ends before its graph is whole.
    #[error("the flight record is cut off at byte {at}, before its graph is whole")]
    Truncated {
        /// Its length.
        at: u64,
    },
    /// A checksum is wrong.
    #[error("the flight record is damaged at byte {at}")]
    Damaged {
        /// Where the damaged part begins.
        at: u64,
    },
    /// The graph in it does not hold together.
    #[error("the graph in the flight record is damaged")]
    Graph,
    /// Its checksum is right and yet it cannot be read.
    #[error("event {number} of the flight record cannot be read")]
    Event {
        /// Which, from 0.
        number: u64,
    },
    /// A setting that this program does not have.
    #[error("the flight record has settings that this program does not take: {0}")]
    Settings(#[from] crate::config::ConfigError),
    /// Only the latest events are there.
    #[error("the flight record is a ring that begins with event {first} of {events}")]
    Ring {
        /// The first event that is left.
        first: u64,
        /// Events of the run, as far as the record goes.
        events: u64,
    },
}

/// Events that stand together, still encoded.
#[derive(Clone, Debug)]
struct Block {
    first: u64,
    count: u32,
    fingerprint: u64,
    body: std::ops::Range<usize>,
}

/// A record that was read.
#[derive(Clone, Debug)]
pub struct Record {
    bytes: Vec<u8>,
    info: Info,
    graph: Option<GraphSubmission>,
    blocks: Vec<Block>,
    end: Option<End>,
    cut_bytes: u64,
}

/// A block as it stands in the file.
struct Found {
    kind: Kind,
    block: Block,
    /// Where it ends.
    end: usize,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// When the bytes are no record, or a damaged one. One that ends early behind its graph is none:
    /// its run was killed.
    pub fn read(bytes: Vec<u8>) -> Result<Self, RecordError> {
        let (info, mut at) = read_header(&bytes)?;
        let mut record =
            Self { bytes, info, graph: None, blocks: Vec::new(), end: None, cut_bytes: 0 };
        if record.info.slots == 0 {
            record.read_whole(at)?;
        } else {
            at = record.read_graph(at)?;
            record.read_slots(at);
        }
        Ok(record)
    }

    /// What it says about its run.
    #[must_use]
    pub const fn info(&self) -> &Info {
        &self.info
    }

    /// The graph; none when the run ended before it arrived.
    #[must_use]
    pub const fn graph(&self) -> Option<&GraphSubmission> {
        self.graph.as_ref()
    }

    /// How the run ended; none when it was killed.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// Bytes behind the last whole block: what was being written when the run was killed.
    #[must_use]
    pub const fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Number of the first event that is there; 0 unless the ring has gone round.
    #[must_use]
    pub fn first_event(&self) -> u64 {
        self.blocks.first().map_or(0, |block| block.first)
    }

    /// Events of the run, as far as the record goes.
    #[must_use]
    pub fn events(&self) -> u64 {
        let last = self.blocks.last().map_or(0, |block| block.first + u64::from(block.count));
        self.end.map_or(last, |end| end.events.max(last))
    }

    /// Gives every event that is there to `take`, with its number and time, in order; behind the
    /// last one of each block also the fingerprint that the state must then have. Stops when `take`
    /// says so.
    ///
    /// # Errors
    /// When an event cannot be read, although its checksum is right.
    pub fn for_each(
        &self,
        take: &mut dyn FnMut(u64, Time, SchedulerEvent, Option<u64>) -> bool,
    ) -> Result<(), RecordError> {
        for block in &self.blocks {
            let mut body = &self.bytes[block.body.clone()];
            let mut time = Time(0);
            for index in 0..block.count {
                let number = block.first + u64::from(index);
                let (event, rest) = split(body).ok_or(RecordError::Event { number })?;
                body = rest;
                let (since, event): (u64, SchedulerEvent) =
                    codec::decode(event).map_err(|_| RecordError::Event { number })?;
                time = time.after_ns(since);
                let event = match event {
                    SchedulerEvent::UpdateGraph(_) => {
                        let graph = self.graph.clone().ok_or(RecordError::Graph)?;
                        SchedulerEvent::UpdateGraph(Box::new(graph))
                    }
                    event => event,
                };
                let last = index + 1 == block.count;
                if !take(number, time, event, last.then_some(block.fingerprint)) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn read_whole(&mut self, mut at: usize) -> Result<(), RecordError> {
        let mut assembly = Some(Assembly::default());
        while at < self.bytes.len() && self.end.is_none() {
            let Some(found) = self.block_at(at)? else {
                self.cut_bytes = (self.bytes.len() - at) as u64;
                break;
            };
            at = found.end;
            match found.kind {
                Kind::Graph => self.add_piece(&mut assembly, found.block.body)?,
                Kind::Events => self.blocks.push(found.block),
                Kind::End => self.end = Some(self.read_end(&found.block)),
            }
        }
        // The event of the graph is written behind its pieces.
        Ok(())
    }

    fn read_graph(&mut self, mut at: usize) -> Result<usize, RecordError> {
        let mut assembly = Some(Assembly::default());
        while self.graph.is_none() {
            // Slots may be torn; only a block that says it is of the graph must be whole.
            let kind = self.bytes.get(at..at + 4);
            if kind.is_none_or(|kind| kind != (Kind::Graph as u32).to_le_bytes()) {
                break;
            }
            let truncated = RecordError::Truncated { at: self.bytes.len() as u64 };
            let found = self.block_at(at)?.ok_or(truncated)?;
            at = found.end;
            self.add_piece(&mut assembly, found.block.body)?;
        }
        Ok(at)
    }

    fn add_piece(
        &mut self,
        assembly: &mut Option<Assembly>,
        body: std::ops::Range<usize>,
    ) -> Result<(), RecordError> {
        let pieces = assembly.as_mut().ok_or(RecordError::Graph)?;
        if pieces.add(&self.bytes[body])? {
            self.graph = assembly.take().map(Assembly::finish).transpose()?;
        }
        Ok(())
    }

    /// The slots of a ring: the latest events without a gap. A slot that was being written when the
    /// run was killed is left out.
    fn read_slots(&mut self, start: usize) {
        let mut blocks = Vec::new();
        let mut at = start;
        while at < self.bytes.len() {
            if let Ok(Some(found)) = self.block_at(at) {
                match found.kind {
                    Kind::Events => blocks.push(found.block),
                    Kind::End => self.end = Some(self.read_end(&found.block)),
                    Kind::Graph => {}
                }
            }
            at += SLOT_BYTES;
        }
        blocks.sort_by_key(|block| block.first);
        let mut next = self.end.map(|end| end.events);
        while let Some(block) = blocks.pop() {
            let end = block.first + u64::from(block.count);
            if next.is_some_and(|next| next != end) {
                break;
            }
            next = Some(block.first);
            self.blocks.insert(0, block);
        }
    }

    fn read_end(&self, block: &Block) -> End {
        let body = &self.bytes[block.body.clone()];
        let number = |at: usize| number_at(body, at).unwrap_or(0);
        End { events: number(0), state_hash: number(8) }
    }

    /// The block that begins at a place; none when the file ends within it.
    fn block_at(&self, at: usize) -> Result<Option<Found>, RecordError> {
        let Some(head) = self.bytes.get(at..at + BLOCK_HEAD_BYTES) else { return Ok(None) };
        let damaged = RecordError::Damaged { at: at as u64 };
        let word = |place: usize| {
            let bytes = head.get(place..place + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let (Some(kind), Some(count), Some(length)) = (word(0), word(4), word(8)) else {
            return Err(damaged);
        };
        let (Some(first), Some(fingerprint), Some(sum)) =
            (number_at(head, 16), number_at(head, 24), number_at(head, 32))
        else {
            return Err(damaged);
        };
        let Some(kind) = Kind::of(kind) else { return Err(damaged) };
        let start = at + BLOCK_HEAD_BYTES;
        let end = start.saturating_add(length as usize);
        let Some(body) = self.bytes.get(start..end) else { return Ok(None) };
        if checksum(&head[..BLOCK_HEAD_BYTES - 8], body) != sum {
            return Err(damaged);
        }
        let block = Block { first, count, fingerprint, body: start..end };
        Ok(Some(Found { kind, block, end }))
    }
}

fn read_header(bytes: &[u8]) -> Result<(Info, usize), RecordError> {
    let truncated = || RecordError::Truncated { at: bytes.len() as u64 };
    if !bytes.starts_with(&MAGIC) {
        return Err(RecordError::NoRecord);
    }
    let head = bytes.get(..HEADER_BYTES).ok_or_else(truncated)?;
    let numbers = number_at(head, 8).unwrap_or(0);
    let (version, length) = (numbers as u32, (numbers >> 32) as usize);
    if version != VERSION {
        return Err(RecordError::Version { found: version });
    }
    let info = bytes.get(HEADER_BYTES..HEADER_BYTES + length).ok_or_else(truncated)?;
    if number_at(head, 16) != Some(xxh3_64(info)) {
        return Err(RecordError::Damaged { at: 0 });
    }
    let info = codec::decode(info).map_err(|_| RecordError::Damaged { at: 0 })?;
    Ok((info, HEADER_BYTES + length))
}

/// The u64 at a place.
fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The first event of a body, and the rest.
fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut at) = (0_usize, 0);
    loop {
        let byte = *body.get(at)?;
        length |= usize::from(byte & 0x7f).checked_shl(7 * u32::try_from(at).ok()?)?;
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    body.get(at..)?.split_at_checked(length)
}
