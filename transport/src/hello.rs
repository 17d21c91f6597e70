//! `Hello`: what each side says about itself before anything else.
//!
//! ```text
//! magic 8 | lowest u16 | highest u16 | body length u16 | body …
//! ```
//!
//! The first fourteen bytes are the same in every version, so that two builds that have none in
//! common can still name both ranges. A body may grow at its end: what a reader does not know it
//! skips, and the proofs cover it all the same. Nothing here is believed before the proof.

use crate::error::{ErrorKind, Path, VersionRange};

/// Protocol versions that this build speaks.
pub const PROTOCOL: VersionRange = (1, 1);
/// Longest Hello, bytes.
pub const MAX_HELLO: usize = 4096;
/// Length of the part that is the same in every version, bytes.
pub const PREFIX_LEN: usize = 14;
/// Longest job id, bytes.
pub const MAX_JOB_ID: usize = 64;

const MAGIC: [u8; 8] = *b"rdaskhpc";
/// Longest label or machine name, bytes.
const MAX_TEXT: usize = u8::MAX as usize;

/// What a process is in its job.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// Decides.
    Scheduler = 0,
    /// Computes.
    Worker = 1,
    /// Watches a worker.
    Nanny = 2,
    /// Asks.
    Client = 3,
}

impl Role {
    fn from_code(code: u8) -> Option<Self> {
        [Self::Scheduler, Self::Worker, Self::Nanny, Self::Client].get(usize::from(code)).copied()
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Purpose {
    /// Control messages: a `Channel`.
    Control = 0,
    /// Objects: a lane between two workers.
    Data = 1,
}

/// Who a process is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Random per start of a process: the only identity.
    pub server_id: u128,
    /// Its part in the job.
    pub role: Role,
    /// The job, at most 64 bytes.
    pub job_id: String,
    /// For messages to people: `rank 7 (node12)`.
    pub label: String,
    /// The kernel's boot id: the same for all processes of one machine.
    pub machine: String,
    /// Inode of the network namespace.
    pub netns: u64,
}

/// What a side says about itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Who it is.
    pub identity: Identity,
    /// What this connection is for; the initiator's counts.
    pub purpose: Purpose,
    /// Protocol versions it speaks.
    pub versions: VersionRange,
    /// Makes every proof fresh.
    pub nonce: [u8; 32],
    /// Paths it offers, best first.
    pub paths: Vec<Path>,
    /// Ports that it listens on.
    pub ports: Vec<u16>,
    /// Features it has; bits that a reader does not know mean nothing to it.
    pub features: u32,
}

impl Hello {
    /// The bytes that travel; texts longer than their limits are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        body.push(self.identity.role as u8);
        body.push(self.purpose as u8);
        body.extend_from_slice(&self.features.to_le_bytes());
        body.extend_from_slice(&self.identity.server_id.to_le_bytes());
        body.extend_from_slice(&self.nonce);
        body.extend_from_slice(&self.identity.netns.to_le_bytes());
        put_list(&mut body, &self.paths, |body, path| body.push(path_code(*path)));
        put_list(&mut body, &self.ports, |body, port| body.extend_from_slice(&port.to_le_bytes()));
        put_text(&mut body, &self.identity.job_id, MAX_JOB_ID);
        put_text(&mut body, &self.identity.label, MAX_TEXT);
        put_text(&mut body, &self.identity.machine, MAX_TEXT);
        let mut hello = Vec::with_capacity(PREFIX_LEN + body.len());
        hello.extend_from_slice(&MAGIC);
        hello.extend_from_slice(&self.versions.0.to_le_bytes());
        hello.extend_from_slice(&self.versions.1.to_le_bytes());
        // At most 1,400 bytes: three texts, two lists of 255.
        hello.extend_from_slice(&(body.len() as u16).to_le_bytes());
        hello.extend_from_slice(&body);
        hello
    }

    /// Reads a whole Hello.
    ///
    /// # Errors
    /// `Malformed`, `TooLong`, `WrongVersion` when there is no common version.
    pub fn decode(bytes: &[u8]) -> Result<Self, ErrorKind> {
        let short = ErrorKind::Malformed("a Hello ends too early");
        let (prefix, body) =
            bytes.split_first_chunk::<PREFIX_LEN>().ok_or_else(|| short.clone())?;
        let prefix = Prefix::decode(prefix)?;
        prefix.common_version()?;
        if body.len() != prefix.body_len {
            return Err(ErrorKind::Malformed("a Hello has another length than it says"));
        }
        let mut reader = Reader(body);
        Self::decode_body(&mut reader, prefix.versions).ok_or(short)
    }

    fn decode_body(reader: &mut Reader<'_>, versions: VersionRange) -> Option<Self> {
        let role = Role::from_code(reader.byte()?)?;
        let purpose = match reader.byte()? {
            0 => Purpose::Control,
            1 => Purpose::Data,
            _ => return None,
        };
        let features = u32::from_le_bytes(reader.array()?);
        let server_id = u128::from_le_bytes(reader.array()?);
        let nonce = reader.array()?;
        let netns = u64::from_le_bytes(reader.array()?);
        let mut paths = Vec::new();
        for _ in 0..reader.byte()? {
            // A newer build may offer paths that this one does not know.
            paths.extend(path_from_code(reader.byte()?));
        }
        let mut ports = Vec::new();
        for _ in 0..reader.byte()? {
            ports.push(u16::from_le_bytes(reader.array()?));
        }
        let job_id = reader.text().filter(|job_id| job_id.len() <= MAX_JOB_ID)?;
        let (label, machine) = (reader.text()?, reader.text()?);
        let identity = Identity { server_id, role, job_id, label, machine, netns };
        Some(Self { identity, purpose, versions, nonce, paths, ports, features })
    }
}

/// The part of a Hello that every version has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    pub(crate) versions: VersionRange,
    pub(crate) body_len: usize,
}

impl Prefix {
    pub(crate) fn decode(prefix: &[u8; PREFIX_LEN]) -> Result<Self, ErrorKind> {
        let [magic @ .., l0, l1, h0, h1, n0, n1] = *prefix;
        if magic != MAGIC {
            return Err(ErrorKind::Malformed("the other side does not speak rdask-hpc's protocol"));
        }
        let versions = (u16::from_le_bytes([l0, l1]), u16::from_le_bytes([h0, h1]));
        let body_len = usize::from(u16::from_le_bytes([n0, n1]));
        let len = body_len + PREFIX_LEN;
        if len > MAX_HELLO {
            return Err(ErrorKind::TooLong { len: len as u64, limit: MAX_HELLO as u64 });
        }
        Ok(Self { versions, body_len })
    }

    /// The highest version that both speak.
    pub(crate) fn common_version(&self) -> Result<u16, ErrorKind> {
        let (lowest, highest) = (self.versions.0.max(PROTOCOL.0), self.versions.1.min(PROTOCOL.1));
        if lowest > highest {
            return Err(ErrorKind::WrongVersion { ours: PROTOCOL, theirs: self.versions });
        }
        Ok(highest)
    }
}

fn path_code(path: Path) -> u8 {
    match path {
        Path::Inproc => 0,
        Path::Tcp => 3,
    }
}

fn path_from_code(code: u8) -> Option<Path> {
    [Path::Inproc, Path::Tcp].into_iter().find(|path| path_code(*path) == code)
}

fn put_list<T>(body: &mut Vec<u8>, list: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    let count = list.len().min(usize::from(u8::MAX));
    body.push(count as u8);
    for item in &list[..count] {
        put(body, item);
    }
}

fn put_text(body: &mut Vec<u8>, text: &str, most: usize) {
    let cut = text.floor_char_boundary(most);
    body.push(cut as u8);
    body.extend_from_slice(&text.as_bytes()[..cut]);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn text(&mut self) -> Option<String> {
        let len = usize::from(self.byte()?);
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello() -> Hello {
        Hello {
            identity: Identity {
                server_id: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
                role: Role::Nanny,
                job_id: "4711".into(),
                label: "rank 7 (node12)".into(),
                machine: "5a1e".into(),
                netns: 4_026_531_840,
            },
            purpose: Purpose::Data,
            versions: PROTOCOL,
            nonce: [5; 32],
            paths: vec![Path::Inproc, Path::Tcp],
            ports: vec![1, 65_535],
            features: 3,
        }
    }

    #[test]
    fn what_is_said_is_understood() {
        assert_eq!(Hello::decode(&hello().encode()).unwrap(), hello());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = hello().encode();
        for len in 0..bytes.len() {
            assert!(matches!(Hello::decode(&bytes[..len]), Err(ErrorKind::Malformed(_))));
        }
    }

    #[test]
    fn a_longer_body_of_a_later_build_is_understood() {
        let mut bytes = hello().encode();
        bytes.extend_from_slice(b"more");
        let body_len = (bytes.len() - PREFIX_LEN) as u16;
        bytes[12..14].copy_from_slice(&body_len.to_le_bytes());
        assert_eq!(Hello::decode(&bytes).unwrap(), hello());
    }

    #[test]
    fn disjoint_versions_are_named_on_the_prefix_alone() {
        let mut bytes = hello().encode();
        bytes[8..12].copy_from_slice(&[7, 0, 9, 0]);
        bytes.truncate(PREFIX_LEN);
        let error = Hello::decode(&bytes).unwrap_err();
        assert!(
            matches!(error, ErrorKind::WrongVersion { ours: PROTOCOL, theirs: (7, 9) }),
            "{error}"
        );
    }

    #[test]
    fn a_newer_build_that_still_speaks_ours_is_welcome() {
        let newer = Hello { versions: (1, 9), ..hello() };
        assert_eq!(Hello::decode(&newer.encode()).unwrap(), newer);
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let mut long = hello();
        long.identity.label = "ü".repeat(200);
        let decoded = Hello::decode(&long.encode()).unwrap();
        assert_eq!(decoded.identity.label, "ü".repeat(127));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), valid in any::<bool>()) {
            let mut input = bytes;
            if valid {
                let mut framed = MAGIC.to_vec();
                framed.extend_from_slice(&[1, 0, 1, 0]);
                framed.extend_from_slice(&(input.len() as u16).to_le_bytes());
                framed.append(&mut input);
                input = framed;
            }
            if let Ok(hello) = Hello::decode(&input) {
                prop_assert_eq!(Hello::decode(&hello.encode()).unwrap(), hello);
            }
        }
    }
}
