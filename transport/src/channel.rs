//! Channels: ordered, reliable control messages between two proven peers.
//!
//! ```text
//! ChannelSender ─push→ outbox ─writer task or write_now→ socket ─→ ChannelReceiver ─recv→ Batch
//!                        └─────────────── within a process ────────────────┘
//! ```
//!
//! A message arrives once and in order or the channel fails. The receiver answers pings and asks a
//! silent peer itself, so a driver has to keep polling `recv`, which is safe to cancel.

use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Path, TransportError};
use crate::frame::{self, HEADER_LEN, Kind, Token};
use crate::hello::Hello;
use crate::outbox::{Outbox, PushError, Taken};
use bytes::{Buf, Bytes, BytesMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, timeout, timeout_at};

/// Longest wait for what was queued when a channel is closed.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Free space that a read finds at least, bytes: one full batch.
const READ_SIZE: usize = 64 << 10;

/// A control connection to a proven peer.
#[derive(Debug)]
pub struct Channel {
    peer: Arc<Hello>,
    sender: ChannelSender,
    receiver: ChannelReceiver,
}

impl Channel {
    /// Over a proven connection; starts the writer on the current runtime.
    pub(crate) fn over_tcp(
        stream: TcpStream,
        peer: Hello,
        tokens: crate::handshake::Tokens,
        endpoint: &Endpoint,
    ) -> Self {
        let (read, write) = stream.into_split();
        let outbox = Arc::new(Outbox::new(tokens.ours));
        let write = Arc::new(write);
        outbox.set_socket(write.clone());
        let writer = write_all(outbox.clone(), write, endpoint.clone(), Path::Tcp);
        drop(tokio::spawn(writer));
        let source = Source::Tcp(read);
        Self::assemble(Arc::new(peer), outbox, source, (endpoint.clone(), tokens.theirs))
    }

    /// Within the process: receives from the peer's outbox.
    pub(crate) fn within(
        peer: Arc<Hello>,
        ours: Arc<Outbox>,
        theirs: Arc<Outbox>,
        receiving: (Endpoint, Token),
    ) -> Self {
        Self::assemble(peer, ours, Source::Inproc(theirs), receiving)
    }

    fn assemble(
        peer: Arc<Hello>,
        outbox: Arc<Outbox>,
        source: Source,
        (endpoint, token): (Endpoint, Token),
    ) -> Self {
        let path = source.path();
        let now = Instant::now();
        let receiver = ChannelReceiver {
            outbox: outbox.clone(),
            source,
            token,
            inbox: BytesMut::new(),
            head: None,
            heard: now,
            asked: None,
            end: None,
            peer: peer.clone(),
            endpoint,
        };
        let last = Arc::new(LastSender { outbox, endpoint: receiver.endpoint.clone() });
        let sender = ChannelSender { last, path, peer: peer.clone() };
        Self { peer, sender, receiver }
    }

    /// What the peer said about itself, proven.
    #[must_use]
    pub fn peer(&self) -> &Hello {
        &self.peer
    }

    /// The two directions.
    #[must_use]
    pub fn split(self) -> (ChannelSender, ChannelReceiver) {
        (self.sender, self.receiver)
    }
}

/// The sending direction; clones send on the same channel. When the last one is dropped without
/// `close`, what was queued is sent and the peer sees a death.
#[derive(Clone, Debug)]
pub struct ChannelSender {
    last: Arc<LastSender>,
    path: Path,
    peer: Arc<Hello>,
}

#[derive(Debug)]
struct LastSender {
    outbox: Arc<Outbox>,
    endpoint: Endpoint,
}

impl Drop for LastSender {
    fn drop(&mut self) {
        self.outbox.end(false);
    }
}

impl ChannelSender {
    /// Queues one message. `encode` appends its body to the buffer, which holds other bytes
    /// already; it must not shorten it. Never waits.
    ///
    /// # Errors
    /// `Full`, `TooLong`, `Closed`; in each case nothing was queued.
    pub fn push(&self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), PushError> {
        self.last.outbox.push(encode, false)
    }

    /// As `push`, but does not wake the writer: the caller follows with `write_now` or `release`,
    /// without waiting for anything before.
    ///
    /// # Errors
    /// As those of `push`.
    pub fn push_held_back(&self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), PushError> {
        self.last.outbox.push(encode, true)
    }

    /// Wakes the writer for what was held back.
    pub fn release(&self) {
        self.last.outbox.release();
    }

    /// Writes what is queued from the calling thread, as far as that is possible without waiting;
    /// the writer does the rest. For a thread that goes idle: waking the writer, on another core,
    /// costs more than the write.
    pub fn write_now(&self) {
        match self.path {
            Path::Tcp => {
                let written = self.last.outbox.write_now();
                self.last.endpoint.counters().control_sent(self.path, written);
            }
            Path::Inproc => self.release(),
        }
    }

    /// Bytes that wait or are being written.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.last.outbox.queued_bytes()
    }

    /// Waits until at most `most` bytes are queued or the channel is broken.
    pub async fn drained_to(&self, most: usize) {
        self.last
            .outbox
            .until(|outbox| outbox.queued_bytes() <= most || outbox.broken().is_some())
            .await;
    }

    /// Sends what is queued and a goodbye, after which the peer's `recv` gives `None`. Closing
    /// twice is fine.
    ///
    /// # Errors
    /// `Timeout` when the peer does not take it within 5 s, or why the channel broke.
    pub async fn close(&self) -> Result<(), TransportError> {
        let begun = Instant::now();
        let outbox = &self.last.outbox;
        outbox.end(true);
        if self.path == Path::Inproc {
            return Ok(());
        }
        let over = outbox.until(|outbox| outbox.is_finished() || outbox.broken().is_some());
        let kind = match timeout(CLOSE_LIMIT, over).await {
            Err(_) => ErrorKind::Timeout,
            Ok(()) if outbox.is_finished() => return Ok(()),
            Ok(()) => outbox.broken().unwrap_or(ErrorKind::Closed),
        };
        Err(TransportError {
            peer: self.peer.identity.label.clone(),
            path: self.path,
            during: "closing".into(),
            kind,
            elapsed: begun.elapsed(),
        })
    }

    /// Ends the channel at once and drops what is queued; the peer sees a death.
    pub fn abort(&self) {
        self.last.outbox.break_off(ErrorKind::Closed);
    }
}

#[derive(Debug)]
enum Source {
    Tcp(OwnedReadHalf),
    Inproc(Arc<Outbox>),
}

impl Source {
    fn path(&self) -> Path {
        match self {
            Self::Tcp(_) => Path::Tcp,
            Self::Inproc(_) => Path::Inproc,
        }
    }

    /// Appends what arrives; 0 is the end. Safe to cancel.
    async fn read(&mut self, inbox: &mut BytesMut) -> Result<usize, ErrorKind> {
        match self {
            Self::Tcp(read) => Ok(read.read_buf(inbox).await?),
            Self::Inproc(outbox) => loop {
                let mut frames = Vec::new();
                match outbox.take(&mut frames) {
                    Taken::Frames => {
                        outbox.written();
                        let len = frames.len();
                        inbox.extend_from_slice(&frames);
                        return Ok(len);
                    }
                    Taken::Nothing => outbox.ready.notified().await,
                    Taken::End | Taken::Broken => return Ok(0),
                }
            },
        }
    }
}

#[derive(Clone, Debug)]
enum End {
    Goodbye,
    Failed(TransportError),
}

/// The receiving direction.
#[derive(Debug)]
pub struct ChannelReceiver {
    outbox: Arc<Outbox>,
    source: Source,
    token: Token,
    inbox: BytesMut,
    /// The header of the frame whose body is not all there.
    head: Option<frame::FrameHeader>,
    heard: Instant,
    /// When a silent peer was asked for a sign of life.
    asked: Option<Instant>,
    end: Option<End>,
    peer: Arc<Hello>,
    endpoint: Endpoint,
}

impl ChannelReceiver {
    /// The next batch; `None` after the peer's goodbye. Safe to cancel; after the end it gives the
    /// same answer again.
    ///
    /// # Errors
    /// `PeerDied`, `Timeout`, `Malformed`, `TooLong`, `Closed` after `abort`, `Os`.
    pub async fn recv(&mut self) -> Result<Option<Batch>, TransportError> {
        loop {
            match &self.end {
                Some(End::Goodbye) => return Ok(None),
                Some(End::Failed(error)) => return Err(error.clone()),
                None => {}
            }
            match self.next_batch() {
                Ok(Some(batch)) => return Ok(Some(batch)),
                Ok(None) if self.end.is_some() => {}
                Ok(None) => {
                    if let Err(kind) = self.fill().await {
                        self.fail(kind);
                    }
                }
                Err(kind) => self.fail(kind),
            }
        }
    }

    fn fail(&mut self, kind: ErrorKind) {
        // When the writer saw the end first, its reason is the better one.
        let kind = self.outbox.broken().unwrap_or(kind);
        self.outbox.break_off(kind.clone());
        self.end = Some(End::Failed(TransportError {
            peer: self.peer.identity.label.clone(),
            path: self.source.path(),
            during: "waiting for messages".into(),
            kind,
            elapsed: self.heard.elapsed(),
        }));
    }

    /// The next batch of what has arrived, handling every other frame on the way.
    fn next_batch(&mut self) -> Result<Option<Batch>, ErrorKind> {
        loop {
            let head = match self.head {
                Some(head) => head,
                None => {
                    let Some(header) = self.inbox.first_chunk::<HEADER_LEN>() else {
                        return Ok(None);
                    };
                    let head = frame::decode(header, &self.token)?;
                    self.inbox.advance(HEADER_LEN);
                    *self.head.insert(head)
                }
            };
            if self.inbox.len() < head.len {
                return Ok(None);
            }
            let body = self.inbox.split_to(head.len);
            self.head = None;
            match head.kind {
                Some(Kind::Control) => return Batch::check(body.freeze()).map(Some),
                Some(Kind::Ping) => self.outbox.push_signal(Kind::Pong),
                Some(Kind::Pong) | None => {}
                Some(Kind::Goodbye) => {
                    self.end = Some(End::Goodbye);
                    return Ok(None);
                }
                Some(_) => return Err(ErrorKind::Malformed("a data frame on a control channel")),
            }
        }
    }

    /// Waits for bytes, asking a silent peer for a sign of life.
    async fn fill(&mut self) -> Result<(), ErrorKind> {
        let missing = self.head.map_or(HEADER_LEN, |head| head.len) - self.inbox.len();
        // Grows with what arrives, not with what a length promises.
        self.inbox.reserve(missing.clamp(READ_SIZE, 16 * READ_SIZE));
        let nbytes = loop {
            let deadline = self.deadline();
            let broke = self.outbox.broke.notified();
            tokio::pin!(broke);
            broke.as_mut().enable();
            if let Some(kind) = self.outbox.stopped() {
                return Err(kind);
            }
            let read = async {
                tokio::select! {
                    biased;
                    nbytes = self.source.read(&mut self.inbox) => Some(nbytes),
                    () = broke => None,
                }
            };
            match timeout_at(deadline, read).await {
                Ok(Some(nbytes)) => break nbytes?,
                Ok(None) => {}
                Err(_) if self.asked.is_some() => return Err(ErrorKind::Timeout),
                Err(_) => {
                    self.asked = Some(Instant::now());
                    self.outbox.push_signal(Kind::Ping);
                }
            }
        };
        if nbytes == 0 {
            return Err(ErrorKind::PeerDied);
        }
        self.heard = Instant::now();
        self.asked = None;
        self.endpoint.counters().control_received(self.source.path(), nbytes);
        Ok(())
    }

    /// When to ask a silent peer, and when to give it up. Only a peer that was asked can be given
    /// up: one that we did not listen to for a while is not to blame.
    fn deadline(&self) -> Instant {
        let settings = self.endpoint.settings();
        // An answer needs time too, however short the limit was set.
        let ping_after = settings.ping_after.min(settings.timeout / 2);
        match (&self.source, self.asked) {
            (Source::Inproc(_), _) => Instant::now() + Duration::from_secs(86_400),
            (Source::Tcp(_), None) => self.heard + ping_after,
            (Source::Tcp(_), Some(asked)) => asked + settings.timeout.saturating_sub(ping_after),
        }
    }
}

impl Drop for ChannelReceiver {
    fn drop(&mut self) {
        // Within a process nobody else would tell the sender that it talks to nobody.
        if let Source::Inproc(theirs) = &self.source {
            theirs.break_off(ErrorKind::PeerDied);
        }
    }
}

/// The bodies of one frame.
#[derive(Clone, Debug)]
pub struct Batch {
    body: Bytes,
}

impl Batch {
    /// A batch of a frame's body.
    ///
    /// # Errors
    /// `Malformed` when the lengths inside do not add up.
    pub fn check(body: Bytes) -> Result<Self, ErrorKind> {
        let mut rest = &body[..];
        while !rest.is_empty() {
            let Some((_, after)) = split_body(rest) else {
                return Err(ErrorKind::Malformed("a batch whose lengths do not add up"));
            };
            rest = after;
        }
        Ok(Self { body })
    }

    /// The bodies in the order in which they were pushed.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.body[..];
        std::iter::from_fn(move || {
            let (body, after) = split_body(rest)?;
            rest = after;
            Some(body)
        })
    }
}

fn split_body(batch: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = batch.split_first_chunk()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

/// The writer task: takes everything there is, writes it, repeats.
async fn write_all(
    outbox: Arc<Outbox>,
    socket: Arc<OwnedWriteHalf>,
    endpoint: Endpoint,
    path: Path,
) {
    let mut frames = Vec::new();
    loop {
        frames.clear();
        match outbox.take(&mut frames) {
            Taken::Frames => {
                let limit = endpoint.settings().timeout;
                let broken = outbox.until(|outbox| outbox.broken().is_some());
                let written = tokio::select! {
                    biased;
                    written = write_frames(&socket, &frames, limit) => written,
                    () = broken => return,
                };
                if let Err(kind) = written {
                    outbox.break_off(kind);
                    return;
                }
                endpoint.counters().control_sent(path, frames.len());
                outbox.written();
            }
            Taken::Nothing => outbox.ready.notified().await,
            Taken::End => {
                // The last owner's drop sends the end of the stream.
                outbox.drop_socket();
                drop(socket);
                outbox.finish();
                return;
            }
            Taken::Broken => return,
        }
    }
}

async fn write_frames(
    socket: &OwnedWriteHalf,
    mut frames: &[u8],
    limit: Duration,
) -> Result<(), ErrorKind> {
    while !frames.is_empty() {
        match socket.try_write(frames) {
            Ok(0) => return Err(ErrorKind::PeerDied),
            Ok(written) => frames = &frames[written..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                timeout(limit, socket.writable()).await.map_err(|_| ErrorKind::Timeout)??;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
