//! Lanes: connections that carry objects. Never the same socket as control messages, so that a
//! large object delays no heartbeat.
//!
//! A lane reads and writes whole frames, payload straight from and into the store's memory. It
//! carries one request at a time, and is dropped, not repaired, when anything goes wrong.

use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::frame::{self, FrameHeader, HEADER_LEN, Kind};
use crate::handshake::Tokens;
use crate::hello::Hello;
use std::io::IoSlice;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A body is received in steps of at most this, so that memory grows with what arrives, not with
/// what a length promises.
const BODY_STEP: usize = 1 << 20;
/// Bytes read ahead of a header at most: a whole answer with a few small objects, and little to
/// copy when it is the beginning of a large one.
const AHEAD: usize = 1024;

/// A data connection to a proven peer.
#[derive(Debug)]
pub struct DataLane {
    stream: TcpStream,
    peer: Hello,
    tokens: Tokens,
    limit: Duration,
    scratch: Vec<u8>,
    /// Whole frames that leave with the next write.
    queued: Vec<u8>,
    /// Bytes that arrived together with a header that was read.
    ahead: Ahead,
}

/// A little read-ahead, so that a header and what follows it cost one system call.
#[derive(Debug)]
struct Ahead {
    bytes: Box<[u8]>,
    begin: usize,
    end: usize,
}

impl Ahead {
    /// Moves what is there into the beginning of `target`; says how much it was.
    fn drain_into(&mut self, target: &mut [u8]) -> usize {
        let there = &self.bytes[self.begin..self.end];
        let taken = there.len().min(target.len());
        target[..taken].copy_from_slice(&there[..taken]);
        self.begin += taken;
        taken
    }
}

impl DataLane {
    pub(crate) fn new(stream: TcpStream, peer: Hello, tokens: Tokens, endpoint: &Endpoint) -> Self {
        let limit = endpoint.settings().timeout;
        let ahead = Ahead { bytes: vec![0; AHEAD].into(), begin: 0, end: 0 };
        Self { stream, peer, tokens, limit, scratch: Vec::new(), queued: Vec::new(), ahead }
    }

    /// What the peer said about itself, proven.
    #[must_use]
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// Sends one frame with its body, after those that were queued.
    pub(crate) async fn send(
        &mut self,
        kind: Kind,
        request: u32,
        body: &[u8],
    ) -> Result<(), ErrorKind> {
        self.queue_header(kind, request, body.len())?;
        let queued = std::mem::take(&mut self.queued);
        let written = self.write(&queued, body).await;
        self.queued = queued;
        self.queued.clear();
        self.queued.shrink_to(BODY_STEP);
        written
    }

    /// Queues a small frame, to leave together with the next one that is sent.
    pub(crate) fn queue(&mut self, kind: Kind, request: u32, body: &[u8]) -> Result<(), ErrorKind> {
        self.queue_header(kind, request, body.len())?;
        self.queued.extend_from_slice(body);
        Ok(())
    }

    fn queue_header(&mut self, kind: Kind, request: u32, len: usize) -> Result<(), ErrorKind> {
        let limit = kind.limit();
        if len > limit {
            return Err(ErrorKind::TooLong { len: len as u64, limit: limit as u64 });
        }
        let header = frame::encode(kind, request, len, &self.tokens.ours);
        self.queued.extend_from_slice(&header);
        Ok(())
    }

    /// Both in one system call where the socket takes them.
    async fn write(&mut self, mut first: &[u8], mut second: &[u8]) -> Result<(), ErrorKind> {
        while !first.is_empty() || !second.is_empty() {
            let pieces = [IoSlice::new(first), IoSlice::new(second)];
            let written = self.stream.write_vectored(&pieces);
            let written = match timeout(self.limit, written).await {
                Err(_) => return Err(ErrorKind::Timeout),
                Ok(Ok(0)) => return Err(ErrorKind::PeerDied),
                Ok(written) => written?,
            };
            let of_first = written.min(first.len());
            first = &first[of_first..];
            second = &second[written - of_first..];
        }
        Ok(())
    }

    /// Waits, as long as it takes, for the peer's next frame. `None` when the peer closed.
    pub(crate) async fn next_request(&mut self) -> Result<Option<FrameHeader>, ErrorKind> {
        if self.ahead.begin == self.ahead.end && self.read_ahead(None).await? == 0 {
            return Ok(None);
        }
        self.next_header().await.map(Some)
    }

    /// The next frame's header, which must come in time and be of this kind and request.
    pub(crate) async fn expect(&mut self, kind: Kind, request: u32) -> Result<usize, ErrorKind> {
        let head = self.next_header().await?;
        if head.kind != Some(kind) || head.request != request {
            return Err(ErrorKind::Malformed("an answer of another kind or to another request"));
        }
        Ok(head.len)
    }

    async fn next_header(&mut self) -> Result<FrameHeader, ErrorKind> {
        let mut header = [0; HEADER_LEN];
        let mut have = self.ahead.drain_into(&mut header);
        while have < HEADER_LEN {
            if self.read_ahead(Some(self.limit)).await? == 0 {
                return Err(ErrorKind::PeerDied);
            }
            have += self.ahead.drain_into(&mut header[have..]);
        }
        frame::decode(&header, &self.tokens.theirs)
    }

    /// Fills the empty read-ahead with what there is; 0 is the end.
    async fn read_ahead(&mut self, limit: Option<Duration>) -> Result<usize, ErrorKind> {
        let read = self.stream.read(&mut self.ahead.bytes);
        let read = match limit {
            Some(limit) => timeout(limit, read).await.map_err(|_| ErrorKind::Timeout)??,
            None => read.await?,
        };
        (self.ahead.begin, self.ahead.end) = (0, read);
        Ok(read)
    }

    /// Receives a body of `len` bytes into memory of the lane.
    pub(crate) async fn body(&mut self, len: usize) -> Result<&[u8], ErrorKind> {
        self.scratch.clear();
        self.scratch.shrink_to(BODY_STEP);
        while self.scratch.len() < len {
            let begin = self.scratch.len();
            let step = (len - begin).min(BODY_STEP);
            self.scratch.resize(begin + step, 0);
            let have = self.ahead.drain_into(&mut self.scratch[begin..]);
            fill(&mut self.stream, &mut self.scratch[begin + have..], self.limit).await?;
        }
        Ok(&self.scratch)
    }

    /// Receives exactly as many bytes as `target` has, in place.
    pub(crate) async fn receive_into(&mut self, target: &mut [u8]) -> Result<(), ErrorKind> {
        let have = self.ahead.drain_into(target);
        fill(&mut self.stream, &mut target[have..], self.limit).await
    }
}

/// Reads until `target` is full; each step of progress has the whole limit.
async fn fill(
    stream: &mut TcpStream,
    mut target: &mut [u8],
    limit: Duration,
) -> Result<(), ErrorKind> {
    while !target.is_empty() {
        match timeout(limit, stream.read(target)).await {
            Err(_) => return Err(ErrorKind::Timeout),
            Ok(Ok(0)) => return Err(ErrorKind::PeerDied),
            Ok(read) => target = &mut target[read?..],
        }
    }
    Ok(())
}
