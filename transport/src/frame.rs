//! Frames: how messages lie on a byte stream.
//!
//! A frame is a 16-byte header, little endian, and a body:
//!
//! ```text
//! 0        4      6       8         12       16
//! | length | kind | flags | request | check  | body …
//! ```
//!
//! `check` is the CRC-32C of the first twelve bytes and the lane token, so a stream that lost its
//! step, or a stranger's, is noticed before a length is believed. Each kind bounds its length, and
//! the bound is tested before anything is allocated.

use crate::error::ErrorKind;

/// Length of a frame's header, bytes.
pub const HEADER_LEN: usize = 16;
/// Longest control message, bytes: a task's run spec with inline data fits many times over.
pub const MAX_MESSAGE: usize = 64 << 20;
/// Longest body of a batch: one longest message and its length prefix.
const MAX_BATCH: usize = MAX_MESSAGE + 4;
/// Longest list of wanted objects or of answers, bytes.
pub(crate) const MAX_LIST: usize = 64 << 20;
/// Longest piece of an object in one frame, bytes: short enough that progress shows.
pub(crate) const MAX_PIECE: usize = 64 << 20;
/// A frame of an unknown kind with this flag may be skipped.
const OPTIONAL: u16 = 1;
/// Longest frame that is skipped, bytes.
const MAX_SKIPPED: usize = 64 << 10;

/// Sixteen bytes per direction that both sides derive from the secret and the handshake.
pub type Token = [u8; 16];

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Kind {
    /// A batch of control messages, each with its length before it.
    Control = 1,
    /// A request for objects.
    GetData = 2,
    /// What follows for each object asked for; small ones inside.
    DataHead = 3,
    /// A piece of an object.
    Data = 4,
    /// The end of an answer, with checksums where asked for.
    DataEnd = 5,
    /// The objects of an answer arrived whole.
    Release = 6,
    /// Are you there?
    Ping = 7,
    /// I am.
    Pong = 8,
    /// Nothing will follow.
    Goodbye = 9,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Control,
        Self::GetData,
        Self::DataHead,
        Self::Data,
        Self::DataEnd,
        Self::Release,
        Self::Ping,
        Self::Pong,
        Self::Goodbye,
    ];

    fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == code)
    }

    /// Longest body, bytes.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::Control => MAX_BATCH,
            Self::GetData | Self::DataHead => MAX_LIST,
            Self::Data => MAX_PIECE,
            Self::DataEnd => 1 << 20,
            Self::Release | Self::Ping | Self::Pong | Self::Goodbye => 0,
        }
    }
}

/// A header that was checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// What it is; none is an unknown kind that may be skipped.
    pub kind: Option<Kind>,
    /// Length of the body, bytes.
    pub len: usize,
    /// The request that it belongs to; 0 where there is none.
    pub request: u32,
}

/// The header of a frame whose body has `len` bytes, at most the limit of its kind.
#[must_use]
pub fn encode(kind: Kind, request: u32, len: usize, token: &Token) -> [u8; HEADER_LEN] {
    debug_assert!(len <= kind.limit());
    let mut header = [0; HEADER_LEN];
    // Every limit is below 2^32, so nothing is cut off.
    header[0..4].copy_from_slice(&(len as u32).to_le_bytes());
    header[4..6].copy_from_slice(&(kind as u16).to_le_bytes());
    header[8..12].copy_from_slice(&request.to_le_bytes());
    let check = check(&header, token);
    header[12..16].copy_from_slice(&check.to_le_bytes());
    header
}

/// Reads a header.
///
/// # Errors
/// `Malformed` for a wrong check or an unknown kind, `TooLong` beyond the kind's limit.
pub fn decode(header: &[u8; HEADER_LEN], token: &Token) -> Result<FrameHeader, ErrorKind> {
    let [l0, l1, l2, l3, k0, k1, f0, f1, r0, r1, r2, r3, c0, c1, c2, c3] = *header;
    if u32::from_le_bytes([c0, c1, c2, c3]) != check(header, token) {
        return Err(ErrorKind::Malformed("wrong check of a frame header"));
    }
    let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let kind = Kind::from_code(u16::from_le_bytes([k0, k1]));
    let optional = u16::from_le_bytes([f0, f1]) & OPTIONAL != 0;
    let limit = match kind {
        Some(kind) => kind.limit(),
        None if optional => MAX_SKIPPED,
        None => return Err(ErrorKind::Malformed("unknown kind of frame")),
    };
    if len > limit {
        return Err(ErrorKind::TooLong { len: len as u64, limit: limit as u64 });
    }
    Ok(FrameHeader { kind, len, request: u32::from_le_bytes([r0, r1, r2, r3]) })
}

fn check(header: &[u8; HEADER_LEN], token: &Token) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..12]), token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: Token = [9; 16];

    #[test]
    fn the_layout_is_fixed() {
        let header = encode(Kind::GetData, 0x0102_0304, 0x0506, &TOKEN);
        assert_eq!(header[..12], [6, 5, 0, 0, 2, 0, 0, 0, 4, 3, 2, 1]);
        let decoded = decode(&header, &TOKEN).unwrap();
        let expected = FrameHeader { kind: Some(Kind::GetData), len: 0x506, request: 0x0102_0304 };
        assert_eq!(decoded, expected);
    }

    #[test]
    fn every_flipped_bit_and_another_token_are_noticed() {
        let header = encode(Kind::Data, 7, 1000, &TOKEN);
        for bit in 0..HEADER_LEN * 8 {
            let mut wrong = header;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(decode(&wrong, &TOKEN), Err(ErrorKind::Malformed(_))), "bit {bit}");
        }
        assert!(matches!(decode(&header, &[8; 16]), Err(ErrorKind::Malformed(_))));
    }

    /// A header with any fields and a right check.
    fn forge(len: u32, kind: u16, flags: u16) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[0..4].copy_from_slice(&len.to_le_bytes());
        header[4..6].copy_from_slice(&kind.to_le_bytes());
        header[6..8].copy_from_slice(&flags.to_le_bytes());
        let check = check(&header, &TOKEN);
        header[12..16].copy_from_slice(&check.to_le_bytes());
        header
    }

    #[test]
    fn limits_hold_exactly_for_each_kind() {
        for kind in Kind::ALL {
            let limit = kind.limit() as u32;
            assert!(decode(&forge(limit, kind as u16, 0), &TOKEN).is_ok());
            let longer = decode(&forge(limit + 1, kind as u16, 0), &TOKEN);
            assert!(matches!(longer, Err(ErrorKind::TooLong { .. })), "{kind:?}");
        }
    }

    #[test]
    fn an_unknown_kind_is_skipped_only_where_it_says_so() {
        let skipped = decode(&forge(5, 999, OPTIONAL), &TOKEN).unwrap();
        assert_eq!((skipped.kind, skipped.len), (None, 5));
        assert!(matches!(decode(&forge(5, 999, 0), &TOKEN), Err(ErrorKind::Malformed(_))));
        let long = decode(&forge(1 << 30, 999, OPTIONAL), &TOKEN);
        assert!(matches!(long, Err(ErrorKind::TooLong { .. })));
        assert!(matches!(decode(&forge(0, 0, 0), &TOKEN), Err(ErrorKind::Malformed(_))));
    }
}
