//! What waits to be sent on one channel: bodies grow into frames in one buffer.
//!
//! Batching needs no timer: whoever writes takes everything that is there, and while that write is
//! under way the next batch grows. A push costs a short lock and a copy; it wakes the writer only
//! when there was nothing before. A thread that goes idle after its push holds the wake-up back and
//! writes by itself. The byte budget counts what waits and what is being written.

use crate::error::ErrorKind;
use crate::frame::{self, HEADER_LEN, Kind, MAX_MESSAGE, Token};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// A frame is closed when its bodies reach this many bytes …
const FRAME_BYTES: usize = 64 << 10;
/// … or this many. Both keep one batch short enough to be handled between two others' messages.
const FRAME_BODIES: usize = 512;
/// Bytes that may wait on one channel: a slow peer costs no more than this (one message above it).
pub const CHANNEL_BUDGET: usize = 16 << 20;
/// A buffer that grew above this is not kept between batches.
const KEPT_CAPACITY: usize = 1 << 20;

/// Why a message was not queued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The peer does not keep up: the channel's byte budget is used up. Nothing was queued.
    #[error("the channel's budget of {CHANNEL_BUDGET} bytes is used up")]
    Full,
    /// The message exceeds `MAX_MESSAGE`. Nothing was queued.
    #[error("a message of {len} bytes exceeds the limit of {limit} bytes")]
    TooLong {
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// The channel is closed or broken; the receiver says why.
    #[error("the channel is closed")]
    Closed,
}

/// What a writer finds.
pub(crate) enum Taken {
    /// Whole frames.
    Frames,
    /// Nothing yet.
    Nothing,
    /// Everything was taken, and nothing will follow.
    End,
    /// The channel is broken; drop everything.
    Broken,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    token: Token,
    state: Mutex<State>,
    /// Something is there for the writer.
    pub(crate) ready: Notify,
    /// Something about the channel's end has changed, or room was made.
    pub(crate) changed: Notify,
    /// The channel broke. Apart from `changed`, which each write touches: a reader that waits, on
    /// another core, is not to wake for that.
    pub(crate) broke: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// For writes outside the writer task; none within a process, and when nothing more is sent.
    socket: Option<Arc<OwnedWriteHalf>>,
    pending: Vec<u8>,
    /// The writer was not told of what is pending.
    held_back: bool,
    /// Where the open frame's header will stand.
    frame: Option<usize>,
    frame_bodies: usize,
    /// Where a body begins that is being encoded: rests of one whose encoder panicked.
    half_written: Option<usize>,
    in_flight: usize,
    ending: bool,
    finished: bool,
    broken: Option<ErrorKind>,
}

impl Outbox {
    pub(crate) fn new(token: Token) -> Self {
        let [ready, changed, broke] = std::array::from_fn(|_| Notify::new());
        Self { token, state: Mutex::default(), ready, changed, broke }
    }

    /// Lets `write_now` write to this socket.
    pub(crate) fn set_socket(&self, socket: Arc<OwnedWriteHalf>) {
        self.lock().socket = Some(socket);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(start) = state.half_written.take() {
            state.pending.truncate(start);
        }
        state
    }

    /// Queues one body, encoded in place by `encode`, which appends. With `hold_back` the writer
    /// hears of it from the `write_now` or `release` that must follow, or from another's push.
    pub(crate) fn push(
        &self,
        encode: impl FnOnce(&mut Vec<u8>),
        hold_back: bool,
    ) -> Result<(), PushError> {
        let mut state = self.lock();
        if state.ending || state.broken.is_some() {
            return Err(PushError::Closed);
        }
        if state.pending.len() + state.in_flight >= CHANNEL_BUDGET {
            return Err(PushError::Full);
        }
        let (was_empty, held_back) = (state.pending.is_empty(), state.held_back);
        let opened = state.frame.is_none();
        if opened {
            state.open_frame();
        }
        let start = state.pending.len();
        state.half_written = Some(start);
        state.pending.extend_from_slice(&[0; 4]);
        encode(&mut state.pending);
        state.half_written = None;
        let len = state.pending.len().saturating_sub(start + 4);
        if len > MAX_MESSAGE {
            state.pending.truncate(if opened { start - HEADER_LEN } else { start });
            state.frame = state.frame.filter(|_| !opened);
            return Err(PushError::TooLong { len, limit: MAX_MESSAGE });
        }
        state.pending[start..start + 4].copy_from_slice(&(len as u32).to_le_bytes());
        // A body that would make its frame too long gets a frame of its own.
        if !opened && state.frame_len() > Kind::Control.limit() {
            state.split_frame(start, &self.token);
        }
        state.frame_bodies += 1;
        if state.frame_bodies == FRAME_BODIES || state.frame_len() >= FRAME_BYTES {
            state.close_frame(&self.token);
        }
        state.held_back = hold_back && (was_empty || state.held_back);
        let tell = !hold_back && (was_empty || held_back);
        drop(state);
        if tell {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Tells the writer of what was held back.
    pub(crate) fn release(&self) {
        if std::mem::take(&mut self.lock().held_back) {
            self.ready.notify_one();
        }
    }

    /// Writes what is pending as far as the socket takes it at once; the rest is the writer's, as
    /// is everything while it is writing. Gives the bytes that were written.
    pub(crate) fn write_now(&self) -> usize {
        let mut state = self.lock();
        state.held_back = false;
        if state.pending.is_empty() || state.in_flight > 0 || state.broken.is_some() {
            return 0;
        }
        state.close_frame(&self.token);
        // An error comes up again in the writer, which ends the channel with it.
        let socket = state.socket.as_deref();
        let written = socket.and_then(|socket| socket.try_write(&state.pending).ok()).unwrap_or(0);
        state.pending.drain(..written);
        let rest = !state.pending.is_empty();
        drop(state);
        if rest {
            self.ready.notify_one();
        }
        if written > 0 {
            self.changed.notify_waiters();
        }
        written
    }

    /// Queues a frame without a body; not counted against the budget.
    pub(crate) fn push_signal(&self, kind: Kind) {
        let mut state = self.lock();
        if !state.ending && state.broken.is_none() {
            state.append_signal(kind, &self.token);
            drop(state);
            self.ready.notify_one();
        }
    }

    /// Nothing more will be pushed; with a goodbye when the end is in good order.
    pub(crate) fn end(&self, goodbye: bool) {
        let mut state = self.lock();
        if !state.ending && state.broken.is_none() {
            if goodbye {
                state.append_signal(Kind::Goodbye, &self.token);
            }
            state.ending = true;
            drop(state);
            self.ready.notify_one();
        }
    }

    /// Moves all whole frames into `into`, which is empty.
    pub(crate) fn take(&self, into: &mut Vec<u8>) -> Taken {
        let mut state = self.lock();
        if state.broken.is_some() {
            return Taken::Broken;
        }
        if state.pending.is_empty() {
            return if state.ending { Taken::End } else { Taken::Nothing };
        }
        state.close_frame(&self.token);
        if into.capacity() > KEPT_CAPACITY {
            *into = Vec::new();
        }
        std::mem::swap(&mut state.pending, into);
        state.in_flight = into.len();
        Taken::Frames
    }

    /// What was taken last is on its way.
    pub(crate) fn written(&self) {
        self.lock().in_flight = 0;
        self.changed.notify_waiters();
    }

    /// Everything is written, the goodbye included.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.changed.notify_waiters();
    }

    /// Ends the channel at once; the first reason stays.
    pub(crate) fn break_off(&self, kind: ErrorKind) {
        let mut state = self.lock();
        if state.broken.is_none() {
            state.broken = Some(kind);
            state.socket = None;
            state.pending = Vec::new();
            state.frame = None;
        }
        drop(state);
        self.ready.notify_one();
        self.changed.notify_waiters();
        self.broke.notify_waiters();
    }

    /// Ends the writing direction of the socket, once its writer has dropped it as well.
    pub(crate) fn drop_socket(&self) {
        self.lock().socket = None;
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        let state = self.lock();
        state.pending.len() + state.in_flight
    }

    pub(crate) fn broken(&self) -> Option<ErrorKind> {
        self.lock().broken.clone()
    }

    /// Why the receiver must stop too. When writing failed because the peer is gone, what it sent
    /// before can still be read, and reading will find the end itself.
    pub(crate) fn stopped(&self) -> Option<ErrorKind> {
        self.broken().filter(|kind| matches!(kind, ErrorKind::Closed | ErrorKind::Timeout))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.lock().finished
    }

    /// Waits until `test` holds; it is asked again after every change of the channel.
    pub(crate) async fn until(&self, mut test: impl FnMut(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if test(self) {
                return;
            }
            changed.await;
        }
    }
}

impl State {
    fn open_frame(&mut self) {
        self.frame = Some(self.pending.len());
        self.frame_bodies = 0;
        self.pending.extend_from_slice(&[0; HEADER_LEN]);
    }

    /// Length of the open frame's body.
    fn frame_len(&self) -> usize {
        self.frame.map_or(0, |frame| self.pending.len() - frame - HEADER_LEN)
    }

    fn close_frame(&mut self, token: &Token) {
        let len = self.frame_len();
        if let Some(frame) = self.frame.take() {
            let header = frame::encode(Kind::Control, 0, len, token);
            self.pending[frame..frame + HEADER_LEN].copy_from_slice(&header);
        }
    }

    /// Closes the open frame before `start` and begins another there.
    fn split_frame(&mut self, start: usize, token: &Token) {
        let body = self.pending.split_off(start);
        self.close_frame(token);
        self.open_frame();
        self.pending.extend_from_slice(&body);
    }

    fn append_signal(&mut self, kind: Kind, token: &Token) {
        self.close_frame(token);
        self.pending.extend_from_slice(&frame::encode(kind, 0, 0, token));
    }
}
