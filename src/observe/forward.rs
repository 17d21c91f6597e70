//! Warnings of a worker go to rank 0, which alone talks to the user.
//!
//! ```text
//!   tracing::warn! ─▶ layer ─▶ bounded queue ─▶ control connection ─▶ rank 0's log
//! ```
//! While the queue is open, warnings do not go to this process's stderr. Errors and what is below a
//! warning stay there: the last words of a process that dies must not wait in a queue.

use std::fmt::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Warnings that may wait; more are counted.
const QUEUE_LENGTH: usize = 64;
/// Longest text that is sent, bytes.
const MAX_TEXT_BYTES: usize = 4 << 10;

/// The queue of this process, once somebody takes from it.
static QUEUE: OnceLock<Queue> = OnceLock::new();

#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<String>,
    /// Warnings for which there was no room since the last that got through.
    lost_count: AtomicU64,
}

impl Queue {
    fn push(&self, mut text: String) {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        let lost = self.lost_count.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _infallible = write!(text, " ({lost} warnings before this one were too many)");
        }
        if self.sender.try_send(text).is_err() {
            self.lost_count.fetch_add(lost + 1, Ordering::Relaxed);
        }
    }
}

/// Opens the queue: from now on, until the receiver is dropped, warnings of this process go there.
/// None when it was opened before.
pub(crate) fn open() -> Option<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    QUEUE.set(Queue { sender, lost_count: AtomicU64::new(0) }).ok()?;
    Some(receiver)
}

/// Whether an event goes to rank 0 and not to stderr.
pub(super) fn takes(metadata: &Metadata<'_>) -> bool {
    *metadata.level() == Level::WARN && QUEUE.get().is_some_and(|queue| !queue.sender.is_closed())
}

/// Puts warnings into the queue while it is open.
pub(super) struct Forward;

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if takes(event.metadata())
            && let Some(queue) = QUEUE.get()
        {
            queue.push(text(event));
        }
    }
}

/// The message and the other fields behind it.
fn text(event: &Event<'_>) -> String {
    let mut line = Line::default();
    event.record(&mut line);
    line.message + &line.fields
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _infallible = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_counts_and_tells_later() {
        let (sender, mut receiver) = mpsc::channel(2);
        let queue = Queue { sender, lost_count: AtomicU64::new(0) };
        for number in 0..5 {
            queue.push(number.to_string());
        }
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok("0".into()), Ok("1".into())));
        queue.push("é".repeat(MAX_TEXT_BYTES));
        let text = receiver.try_recv().unwrap();
        let (shown, told) = text.split_once(' ').unwrap();
        assert_eq!(shown.len(), MAX_TEXT_BYTES);
        assert_eq!(told, "(3 warnings before this one were too many)");
        queue.push("after".to_owned());
        assert_eq!(receiver.try_recv().unwrap(), "after");
    }
}
