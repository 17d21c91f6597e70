//! Header and section table of graph.bin.
//!
//! Owns where things stand in the file; knows nothing of what the sections hold. What it hands out
//! lies inside the file, aligned, without overlap, and every byte outside of it is zero.

use super::FileFault;

/// First bytes of a graph file.
pub const MAGIC: [u8; 8] = *b"RDASKGR\0";
/// The version that is written, and the newest that is read.
pub const FORMAT_VERSION: u32 = 1;
/// Size of the header, bytes.
pub(super) const HEADER_BYTES: usize = 64;
/// Size of an entry of the section table, bytes.
const ENTRY_BYTES: usize = 32;
/// Sections begin at multiples of this many bytes, a cache line.
pub(super) const ALIGNMENT: u64 = 64;
/// Longest file, bytes.
const MAX_FILE_BYTES: u64 = 1 << 40;
/// A reader that does not know the section's kind may skip it.
pub(super) const OPTIONAL: u32 = 1;

/// Kinds of sections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Kind {
    Keys = 1,
    Specs = 2,
    SpecOf = 3,
    Edges = 4,
    Attrs = 5,
    Outputs = 6,
    Arrays = 7,
    Order = 8,
    Blobs = 9,
    Meta = 10,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Keys,
        Self::Specs,
        Self::SpecOf,
        Self::Edges,
        Self::Attrs,
        Self::Outputs,
        Self::Arrays,
        Self::Order,
        Self::Blobs,
        Self::Meta,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Keys => "KEYS",
            Self::Specs => "SPECS",
            Self::SpecOf => "SPEC_OF",
            Self::Edges => "EDGES",
            Self::Attrs => "ATTRS",
            Self::Outputs => "OUTPUTS",
            Self::Arrays => "ARRAYS",
            Self::Order => "ORDER",
            Self::Blobs => "BLOBS",
            Self::Meta => "META",
        }
    }
}

/// What the header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) sections: u32,
    /// Length of the whole file, bytes.
    pub(super) length: u64,
    /// xxh3-64 of everything behind the header.
    pub(super) checksum: u64,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sections.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Reads the bytes of a header, of which fewer than 64 mean that the file ends there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FileFault> {
        let shown = bytes.len().min(MAGIC.len());
        if bytes[..shown] != MAGIC[..shown] {
            return Err(FileFault::NotAGraph);
        }
        if bytes.len() < HEADER_BYTES {
            let (found, expected) = (bytes.len() as u64, HEADER_BYTES as u64);
            return Err(FileFault::Truncated { found, expected });
        }
        let version = u32_at(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(FileFault::Newer { found: version, known: FORMAT_VERSION });
        }
        if version == 0 {
            return Err(FileFault::header("there is no graph format version 0"));
        }
        if bytes[32..HEADER_BYTES].iter().any(|byte| *byte != 0) {
            return Err(FileFault::header("bytes 32 to 63 are not all zero"));
        }
        let header = Self {
            sections: u32_at(bytes, 12),
            length: u64_at(bytes, 16),
            checksum: u64_at(bytes, 24),
        };
        if header.length < HEADER_BYTES as u64 || header.length > MAX_FILE_BYTES {
            let problem = format!("a file has 64 to 2^40 bytes, not {}", header.length);
            return Err(FileFault::header(problem));
        }
        Ok(header)
    }
}

/// One section of a file that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    pub(super) kind: Kind,
    pub(super) count: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> Section<'a> {
    pub(super) fn fault(&self, problem: impl Into<String>) -> FileFault {
        FileFault::section(self.kind.name(), problem)
    }

    /// The section as numbers of 4 bytes, `count` of them.
    pub(super) fn numbers(
        &self,
    ) -> Result<impl ExactSizeIterator<Item = u32> + use<'a>, FileFault> {
        if Some(self.bytes.len() as u64) != self.count.checked_mul(4) {
            let problem = format!("{} numbers in {} bytes", self.count, self.bytes.len());
            return Err(self.fault(problem));
        }
        Ok(u32s(self.bytes))
    }
}

/// The known sections of a file, at most one of each kind.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    known: Vec<Section<'a>>,
}

impl<'a> Sections<'a> {
    /// Reads the section table. `body` is everything behind the header.
    pub(super) fn parse(header: &Header, body: &'a [u8]) -> Result<Self, FileFault> {
        let table_bytes = u64::from(header.sections) * ENTRY_BYTES as u64;
        if table_bytes > body.len() as u64 {
            let problem =
                format!("a table of {} sections is longer than the file", header.sections);
            return Err(FileFault::header(problem));
        }
        let (table, _) = body.split_at(header.sections as usize * ENTRY_BYTES);
        let mut known: Vec<Section<'a>> = Vec::new();
        let mut places = Vec::with_capacity(header.sections as usize);
        for entry in table.chunks_exact(ENTRY_BYTES) {
            let (kind, flags) = (u32_at(entry, 0), u32_at(entry, 4));
            let (offset, length, count) = (u64_at(entry, 8), u64_at(entry, 16), u64_at(entry, 24));
            let known_kind = Kind::ALL.into_iter().find(|known| *known as u32 == kind);
            let name = known_kind.map_or_else(|| kind.to_string(), |kind| kind.name().to_owned());
            let place = place(offset, length, table_bytes, body.len())
                .map_err(|problem| FileFault::section(&name, problem))?;
            if flags & !OPTIONAL != 0 {
                let problem = format!("the flags {flags:#x} are not known");
                return Err(FileFault::section(name, problem));
            }
            let bytes = &body[place.clone()];
            places.push((place.start, place.end, name.clone()));
            match known_kind {
                Some(kind) if known.iter().any(|section| section.kind == kind) => {
                    return Err(FileFault::section(name, "it stands twice"));
                }
                Some(kind) => known.push(Section { kind, count, bytes }),
                None if flags & OPTIONAL != 0 => {}
                None => {
                    let problem = "this rdask-hpc does not know it and may not skip it";
                    return Err(FileFault::section(name, problem));
                }
            }
        }
        check_gaps(places, table.len(), body)?;
        Ok(Self { known })
    }

    pub(super) fn find(&self, kind: Kind) -> Option<Section<'a>> {
        self.known.iter().find(|section| section.kind == kind).copied()
    }

    pub(super) fn need(&self, kind: Kind) -> Result<Section<'a>, FileFault> {
        self.find(kind).ok_or_else(|| FileFault::section(kind.name(), "it is missing"))
    }
}

/// Place of a section in the body.
fn place(
    offset: u64,
    length: u64,
    table_bytes: u64,
    body: usize,
) -> Result<std::ops::Range<usize>, String> {
    let end = offset.checked_add(length).and_then(|end| end.checked_sub(HEADER_BYTES as u64));
    let begin = offset.checked_sub(HEADER_BYTES as u64);
    match (begin, end) {
        (Some(begin), Some(end)) if begin >= table_bytes && end <= body as u64 => {
            if !offset.is_multiple_of(ALIGNMENT) {
                return Err(format!("its offset {offset} is no multiple of {ALIGNMENT}"));
            }
            let fits = "both are at most the length of a slice";
            Ok(usize::try_from(begin).expect(fits)..usize::try_from(end).expect(fits))
        }
        _ => Err(format!("it reaches from byte {offset} over {length} bytes, out of the file")),
    }
}

/// Sections do not overlap, and what is between them is zero.
fn check_gaps(
    mut places: Vec<(usize, usize, String)>,
    table: usize,
    body: &[u8],
) -> Result<(), FileFault> {
    places.sort_unstable();
    let mut end = table;
    for (begin, next, name) in places.into_iter().filter(|(begin, end, _)| begin < end) {
        if begin < end {
            return Err(FileFault::section(name, "it overlaps another section"));
        }
        if body[end..begin].iter().any(|byte| *byte != 0) {
            return Err(FileFault::section(name, "the gap before it is not zero"));
        }
        end = next;
    }
    if body[end..].iter().any(|byte| *byte != 0) {
        return Err(FileFault::header("bytes behind the last section are not zero"));
    }
    Ok(())
}

/// A section to be written.
pub(super) struct NewSection {
    pub(super) kind: Kind,
    pub(super) count: u64,
    pub(super) bytes: Vec<u8>,
}

/// The section table and the length of the file.
pub(super) fn table(sections: &[NewSection]) -> (Vec<u8>, u64) {
    let mut table = Vec::with_capacity(sections.len() * ENTRY_BYTES);
    let mut end = (HEADER_BYTES + sections.len() * ENTRY_BYTES) as u64;
    for section in sections {
        let offset = end.next_multiple_of(ALIGNMENT);
        let length = section.bytes.len() as u64;
        table.extend((section.kind as u32).to_le_bytes());
        table.extend(0_u32.to_le_bytes());
        for number in [offset, length, section.count] {
            table.extend(number.to_le_bytes());
        }
        end = offset + length;
    }
    (table, end)
}

pub(super) fn u32s(bytes: &[u8]) -> impl ExactSizeIterator<Item = u32> + use<'_> {
    bytes.chunks_exact(4).map(|four| u32_at(four, 0))
}

pub(super) fn u64s(bytes: &[u8]) -> impl ExactSizeIterator<Item = u64> + use<'_> {
    bytes.chunks_exact(8).map(|eight| u64_at(eight, 0))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the slice has 4 bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the slice has 8 bytes"))
}
