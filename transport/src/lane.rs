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

/// A data connection to a proven peer.
#[derive(Debug)]
pub struct DataLane {
    stream: TcpStream,
    peer: Hello,
    tokens: Tokens,
    limit: Duration,
    scratch: Vec<u8>,
}

impl DataLane {
    pub(crate) fn new(stream: TcpStream, peer: Hello, tokens: Tokens, endpoint: &Endpoint) -> Self {
        let limit = endpoint.settings().timeout;
        Self { stream, peer, tokens, limit, scratch: Vec::new() }
    }

    /// What the peer said about itself, proven.
    #[must_use]
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// Sends one frame with its body.
    pub(crate) async fn send(
        &mut self,
        kind: Kind,
        request: u32,
        body: &[u8],
    ) -> Result<(), ErrorKind> {
        let limit = kind.limit();
        if body.len() > limit {
            return Err(ErrorKind::TooLong { len: body.len() as u64, limit: limit as u64 });
        }
        let header = frame::encode(kind, request, body.len(), &self.tokens.ours);
        self.write(&header, body).await
    }

    /// Both in one system call where the socket takes them.
    async fn write(&mut self, mut header: &[u8], mut body: &[u8]) -> Result<(), ErrorKind> {
        while !header.is_empty() || !body.is_empty() {
            let pieces = [IoSlice::new(header), IoSlice::new(body)];
            let written = self.stream.write_vectored(&pieces);
            let written = match timeout(self.limit, written).await {
                Err(_) => return Err(ErrorKind::Timeout),
                Ok(Ok(0)) => return Err(ErrorKind::PeerDied),
                Ok(written) => written?,
            };
            let of_header = written.min(header.len());
            header = &header[of_header..];
            body = &body[written - of_header..];
        }
        Ok(())
    }

    /// Waits, as long as it takes, for the peer's next frame. `None` when the peer closed.
    pub(crate) async fn next_request(&mut self) -> Result<Option<FrameHeader>, ErrorKind> {
        let mut header = [0; HEADER_LEN];
        let first = self.stream.read(&mut header).await?;
        if first == 0 {
            return Ok(None);
        }
        let limit = self.limit;
        fill(&mut self.stream, &mut header[first..], limit).await?;
        frame::decode(&header, &self.tokens.theirs).map(Some)
    }

    /// The next frame's header, which must come in time and be of this kind and request.
    pub(crate) async fn expect(&mut self, kind: Kind, request: u32) -> Result<usize, ErrorKind> {
        let mut header = [0; HEADER_LEN];
        fill(&mut self.stream, &mut header, self.limit).await?;
        let head = frame::decode(&header, &self.tokens.theirs)?;
        if head.kind != Some(kind) || head.request != request {
            return Err(ErrorKind::Malformed("an answer of another kind or to another request"));
        }
        Ok(head.len)
    }

    /// Receives a body of `len` bytes into memory of the lane.
    pub(crate) async fn body(&mut self, len: usize) -> Result<&[u8], ErrorKind> {
        self.scratch.clear();
        self.scratch.shrink_to(BODY_STEP);
        while self.scratch.len() < len {
            let begin = self.scratch.len();
            let step = (len - begin).min(BODY_STEP);
            self.scratch.resize(begin + step, 0);
            fill(&mut self.stream, &mut self.scratch[begin..], self.limit).await?;
        }
        Ok(&self.scratch)
    }

    /// Receives exactly as many bytes as `target` has, in place.
    pub(crate) async fn receive_into(&mut self, target: &mut [u8]) -> Result<(), ErrorKind> {
        fill(&mut self.stream, target, self.limit).await
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
