//! The bodies of data frames: a request for objects and the head of its answer.
//!
//! ```text
//! GetData   flags u8 | (name u64 | nbytes u64) …
//! DataHead  status u8 | per object: tag u8 | absent: – | wrong size: nbytes u64
//!                                          | object: header | nbytes u64 | inline: its bytes
//! header    0 (bytes)  or  1 | dtype u8 | dimensions u8 | length u64 …
//! DataEnd   checksum u64 per object sent, where asked for
//! ```
//!
//! All numbers are little endian. Decoding trusts nothing: every length is tested before use.

use crate::error::ErrorKind;
use crate::fetch::Wanted;
use rdask_store::{DType, Header, Lent};

/// Objects up to this size ride in the head itself.
pub(crate) const INLINE: u64 = 8 << 10;
/// Bytes of objects that ride in one head at most.
const INLINE_TOTAL: usize = 16 << 20;
/// Objects in one request.
pub(crate) const MAX_WANTED: usize = 65_536;

const FLAG_VERIFY: u8 = 1;
const STATUS_OBJECTS: u8 = 0;
const STATUS_BUSY: u8 = 1;
const TAG_ABSENT: u8 = 0;
const TAG_INLINE: u8 = 1;
const TAG_FOLLOWS: u8 = 2;
const TAG_WRONG_SIZE: u8 = 3;
/// Longest encoding of one object's header: 255 dimensions.
const MAX_OBJECT_HEAD: usize = 1 + 3 + 255 * 8 + 8;

/// A request for objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) verify: bool,
    pub(crate) wanted: Vec<Wanted>,
}

impl Request {
    pub(crate) fn encode(verify: bool, wanted: &[Wanted]) -> Vec<u8> {
        let mut body = Vec::with_capacity(1 + wanted.len() * 16);
        body.push(if verify { FLAG_VERIFY } else { 0 });
        for one in wanted {
            body.extend_from_slice(&one.name.to_le_bytes());
            body.extend_from_slice(&one.nbytes.to_le_bytes());
        }
        body
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, ErrorKind> {
        let malformed = ErrorKind::Malformed("a request for objects");
        let Some((flags, list)) = body.split_first() else { return Err(malformed) };
        let (pairs, rest) = list.as_chunks::<16>();
        if !rest.is_empty() || pairs.len() > MAX_WANTED {
            return Err(malformed);
        }
        let mut wanted = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let mut reader = Reader(pair);
            let (name, nbytes) = (reader.u64()?, reader.u64()?);
            wanted.push(Wanted { name, nbytes });
        }
        Ok(Self { verify: flags & FLAG_VERIFY != 0, wanted })
    }
}

/// The holder's answer for one name.
#[derive(Debug)]
pub(crate) enum Offer {
    Absent,
    WrongSize(u64),
    Object(Lent),
}

/// The head of an answer, and which of the offers' objects follow it in frames of their own.
pub(crate) fn encode_head(offers: &[Offer]) -> (Vec<u8>, Vec<usize>) {
    let mut head = vec![STATUS_OBJECTS];
    let mut follows = Vec::new();
    let mut inlined = 0;
    for (index, offer) in offers.iter().enumerate() {
        let object = match offer {
            Offer::Absent => {
                head.push(TAG_ABSENT);
                continue;
            }
            Offer::WrongSize(nbytes) => {
                head.push(TAG_WRONG_SIZE);
                head.extend_from_slice(&nbytes.to_le_bytes());
                continue;
            }
            Offer::Object(lent) => lent.object(),
        };
        let bytes = object.bytes();
        let inline = object.nbytes() <= INLINE && inlined + bytes.len() <= INLINE_TOTAL;
        head.push(if inline { TAG_INLINE } else { TAG_FOLLOWS });
        put_header(&mut head, object.header());
        head.extend_from_slice(&object.nbytes().to_le_bytes());
        if inline {
            head.extend_from_slice(bytes);
            inlined += bytes.len();
        } else {
            follows.push(index);
        }
    }
    (head, follows)
}

pub(crate) fn encode_busy() -> Vec<u8> {
    vec![STATUS_BUSY]
}

/// What the head says about one name.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Item<'a> {
    Absent,
    WrongSize(u64),
    Inline(Header, &'a [u8]),
    Follows(Header, u64),
}

/// The items of a head, as many as were wanted; none when the holder is busy.
pub(crate) fn decode_head(head: &[u8], count: usize) -> Result<Option<Vec<Item<'_>>>, ErrorKind> {
    let mut reader = Reader(head);
    match reader.u8()? {
        STATUS_OBJECTS => {}
        STATUS_BUSY => return Ok(None),
        _ => return Err(MALFORMED),
    }
    let mut items = Vec::with_capacity(count.min(head.len()));
    for _ in 0..count {
        let item = match reader.u8()? {
            TAG_ABSENT => Item::Absent,
            TAG_WRONG_SIZE => Item::WrongSize(reader.u64()?),
            TAG_INLINE => {
                let header = reader.header()?;
                let nbytes = reader.u64()?;
                Item::Inline(header, reader.take(nbytes)?)
            }
            TAG_FOLLOWS => Item::Follows(reader.header()?, reader.u64()?),
            _ => return Err(MALFORMED),
        };
        items.push(item);
    }
    if reader.0.is_empty() { Ok(Some(items)) } else { Err(MALFORMED) }
}

const MALFORMED: ErrorKind = ErrorKind::Malformed("the head of an answer");

fn put_header(head: &mut Vec<u8>, header: &Header) {
    match header {
        Header::Bytes => head.push(0),
        Header::Array { dtype, shape } => {
            // The kernels allow 64 dimensions, far below what a byte counts.
            head.extend_from_slice(&[1, dtype.code(), shape.len() as u8]);
            for length in shape {
                head.extend_from_slice(&length.to_le_bytes());
            }
        }
    }
}

/// Whether a head with this many more objects stays below its frame's limit.
pub(crate) const fn most_objects_per_head(frame_limit: usize) -> usize {
    (frame_limit - INLINE_TOTAL) / (MAX_OBJECT_HEAD + 1)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ErrorKind> {
        let (array, rest) = self.0.split_first_chunk().ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u8(&mut self) -> Result<u8, ErrorKind> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Result<u64, ErrorKind> {
        self.array().map(u64::from_le_bytes)
    }

    fn take(&mut self, nbytes: u64) -> Result<&'a [u8], ErrorKind> {
        let len = usize::try_from(nbytes).map_err(|_| MALFORMED)?;
        let (taken, rest) = self.0.split_at_checked(len).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(taken)
    }

    fn header(&mut self) -> Result<Header, ErrorKind> {
        match self.u8()? {
            0 => Ok(Header::Bytes),
            1 => {
                let dtype = DType::from_code(self.u8()?).ok_or(MALFORMED)?;
                let dimensions = self.u8()?;
                let shape =
                    (0..dimensions).map(|_| self.u64()).collect::<Result<Vec<_>, ErrorKind>>()?;
                Ok(Header::Array { dtype, shape })
            }
            _ => Err(MALFORMED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::MAX_LIST;
    use proptest::prelude::*;
    use rdask_store::Sealed;

    fn array(bytes: &[u8]) -> Sealed {
        let shape = vec![bytes.len() as u64 / 8, 8];
        Sealed::from_bytes(bytes, Header::Array { dtype: DType::U8, shape }).unwrap()
    }

    #[test]
    fn a_head_tells_each_object_apart() {
        let small = array(&[7; 16]);
        let large = Sealed::from_bytes(&[1; 8193], Header::Bytes).unwrap();
        let offers = [
            Offer::Object(small.lend()),
            Offer::Absent,
            Offer::Object(large.lend()),
            Offer::WrongSize(99),
        ];
        let (head, follows) = encode_head(&offers);
        assert_eq!(follows, [2]);
        let items = decode_head(&head, 4).unwrap().unwrap();
        assert_eq!(
            items,
            [
                Item::Inline(small.header().clone(), &[7; 16]),
                Item::Absent,
                Item::Follows(Header::Bytes, 8193),
                Item::WrongSize(99),
            ]
        );
        assert!(decode_head(&head, 3).is_err());
        assert!(decode_head(&head, 5).is_err());
        assert!(decode_head(&encode_busy(), 4).unwrap().is_none());
        for len in 0..head.len() {
            assert!(decode_head(&head[..len], 4).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn the_largest_request_fits_its_frames() {
        let most = Request::encode(true, &vec![Wanted { name: 0, nbytes: 0 }; MAX_WANTED]);
        assert!(most.len() <= MAX_LIST);
        assert_eq!(most_objects_per_head(MAX_LIST), (48 << 20) / 2053);
    }

    proptest! {
        #[test]
        fn requests_survive(wanted in prop::collection::vec((any::<u64>(), any::<u64>()), 0..50),
                            verify in any::<bool>()) {
            let wanted: Vec<Wanted> =
                wanted.into_iter().map(|(name, nbytes)| Wanted { name, nbytes }).collect();
            let decoded = Request::decode(&Request::encode(verify, &wanted)).unwrap();
            prop_assert_eq!(decoded, Request { verify, wanted });
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200),
                          count in 0_usize..9) {
            drop(Request::decode(&bytes));
            drop(decode_head(&bytes, count));
        }
    }
}
