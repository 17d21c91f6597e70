//! A running child as its supervisor sees it: its control socket, its words, what it was doing.
//!
//! Two tasks read what a child says: one the control messages, one the lines of a worker, which
//! go on to our stderr one write each and the last of which are kept for the report of its death.
//! Knows nothing of restarts.

use super::Event;
use rdask_core::ids::{RunId, TaskId};
use rdask_launcher::control::{FromChild, Inbox, Start, ToChild, encode_to_child};
use rdask_launcher::spawn::{ExecutingPage, SpawnedChild};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Lines of a dead worker that the scheduler gets.
const TAIL_LINES: usize = 20;
/// Longest line that is handed on in one write, bytes: a pipe takes it without waiting.
const MAX_LINE_BYTES: usize = 4000;
/// A child takes its `Start` within this time or is given up.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A child process.
pub(super) struct Child {
    pub(super) pid: i32,
    /// Its worker slot; none: the scheduler.
    pub(super) slot: Option<usize>,
    /// Identity that it registered with; 0 before.
    pub(super) server_id: u128,
    control: Rc<Control>,
    output: Option<Rc<Output>>,
    executing: ExecutingPage,
    readers: Vec<AbortHandle>,
}

impl Child {
    /// Sends `Start` and listens from now on.
    pub(super) fn begin(
        spawned: SpawnedChild,
        slot: Option<usize>,
        start: Start,
        events: &mpsc::Sender<Event>,
    ) -> io::Result<Self> {
        let SpawnedChild { pid, control, output, executing } = spawned;
        let prefix = format!("worker {}: ", start.slot);
        control.set_write_timeout(Some(START_LIMIT))?;
        (&control).write_all(&encode_to_child(&ToChild::Start(Box::new(start))))?;
        control.set_nonblocking(true)?;
        let stream = UnixStream::from_std(control)?;
        let control =
            Rc::new(Control { stream, inbox: RefCell::default(), messages: RefCell::default() });
        let output = output.map(|fd| Output::new(fd, prefix)).transpose()?.map(Rc::new);
        let (reads, events) = (control.clone(), events.clone());
        let reads = async move { reads.follow(pid, events).await };
        let mut readers = vec![tokio::task::spawn_local(reads).abort_handle()];
        if let Some(output) = &output {
            let output = output.clone();
            let reads = async move { output.follow().await };
            readers.push(tokio::task::spawn_local(reads).abort_handle());
        }
        Ok(Self { pid, slot, server_id: 0, control, output, executing, readers })
    }

    /// Tells the child; one that takes nothing any more is about to be killed anyway.
    pub(super) fn tell(&self, message: &ToChild) {
        let bytes = encode_to_child(message);
        match self.control.stream.try_write(&bytes) {
            Ok(count) if count == bytes.len() => {}
            other => tracing::debug!(pid = self.pid, ?other, "child does not listen"),
        }
    }

    /// What it has said since the last call, also what no task has read yet.
    pub(super) fn messages(&self) -> Vec<FromChild> {
        if let Err(error) = self.control.read_all() {
            tracing::trace!(pid = self.pid, %error, "control socket");
        }
        self.control.messages.take()
    }

    /// Runs that were on its threads.
    pub(super) fn executing(&self) -> Vec<(TaskId, RunId)> {
        let runs = self.executing.read();
        runs.into_iter().map(|(task, run)| (TaskId(task), RunId(run))).collect()
    }

    /// The last lines that it wrote, also those that nobody has read yet.
    pub(super) fn log_tail(&self) -> String {
        self.output.as_ref().map(|output| output.drain_and_tail()).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
    }
}

/// Our end of a child's control socket. Messages wait here, not in the queue of events, so that
/// the reaping of a child, which can be faster, finds them.
struct Control {
    stream: UnixStream,
    inbox: RefCell<Inbox>,
    messages: RefCell<Vec<FromChild>>,
}

impl Control {
    /// Reads messages and tells the loop, until the child closes the socket or breaks the layout.
    async fn follow(&self, pid: i32, events: mpsc::Sender<Event>) {
        while self.stream.readable().await.is_ok() {
            let read = self.stream.try_io(Interest::READABLE, || self.read_all());
            if !self.messages.borrow().is_empty()
                && events.send(Event::Child { pid }).await.is_err()
            {
                return;
            }
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(()) => return,
                // It ended with a message of ours unread.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return,
                Err(error) => return tracing::warn!(pid, %error, "child cannot be understood"),
            }
        }
    }

    /// Reads what is there. `Ok` at the end of file, `WouldBlock` while the child lives.
    fn read_all(&self) -> io::Result<()> {
        let mut inbox = self.inbox.borrow_mut();
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(&self.stream, &mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => inbox.push(&chunk[..count]),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            }
            while let Some(message) = inbox.next_from_child().map_err(io::Error::other)? {
                self.messages.borrow_mut().push(message);
            }
        }
    }
}

/// What a worker writes to stdout and stderr.
struct Output {
    fd: AsyncFd<OwnedFd>,
    lines: RefCell<Lines>,
}

impl Output {
    fn new(fd: OwnedFd, prefix: String) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        let fd = super::watch::readable(fd)?;
        Ok(Self { fd, lines: RefCell::new(Lines::new(prefix)) })
    }

    /// Hands on lines until nobody has the other end.
    async fn follow(&self) {
        while let Ok(mut guard) = self.fd.readable().await {
            if !self.read_all() {
                return;
            }
            guard.clear_ready();
        }
    }

    /// Reads what is there; false at the end.
    fn read_all(&self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(self.fd.get_ref(), &mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    for line in self.lines.borrow_mut().push(&chunk[..count]) {
                        hand_on(&line);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return errno == rustix::io::Errno::AGAIN,
            }
        }
    }

    fn drain_and_tail(&self) -> String {
        self.read_all();
        let rest = self.lines.borrow_mut().finish();
        if let Some(line) = rest {
            hand_on(&line);
        }
        self.lines.borrow().tail()
    }
}

/// Cuts a stream of bytes into lines and keeps the last ones.
struct Lines {
    prefix: String,
    partial: Vec<u8>,
    tail: VecDeque<String>,
}

impl Lines {
    fn new(prefix: String) -> Self {
        Self { prefix, partial: Vec::new(), tail: VecDeque::new() }
    }

    /// Adds bytes; returns the whole lines in them, each with prefix and newline.
    fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for byte in bytes {
            if *byte == b'\n' || self.partial.len() >= MAX_LINE_BYTES {
                whole.extend(self.finish());
            }
            if *byte != b'\n' {
                self.partial.push(*byte);
            }
        }
        whole
    }

    /// The line that was begun.
    fn finish(&mut self) -> Option<Vec<u8>> {
        if self.partial.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&self.partial).into_owned();
        let line = [self.prefix.as_bytes(), text.as_bytes(), b"\n"].concat();
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text);
        self.partial.clear();
        Some(line)
    }

    fn tail(&self) -> String {
        Vec::from_iter(self.tail.iter().map(String::as_str)).join("\n")
    }
}

/// One write to our stderr. A reader that takes nothing (a stopped launcher) costs us the line,
/// never the supervision.
fn hand_on(line: &[u8]) {
    let stderr = rustix::stdio::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if poll(&mut ready, Some(&at_once)).is_ok_and(|count| count == 1)
        && let Err(errno) = rustix::io::write(stderr, line)
    {
        tracing::trace!(%errno, "stderr is gone");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_the_last_twenty_stay() {
        let mut lines = Lines::new("worker 3: ".to_owned());
        assert!(lines.push(b"hal").is_empty());
        assert_eq!(
            lines.push(b"lo\nyou\nand"),
            [b"worker 3: hallo\n".to_vec(), b"worker 3: you\n".to_vec()]
        );
        for number in 0..30 {
            lines.push(format!(" {number}\n").as_bytes());
        }
        lines.push(b"last");
        assert_eq!(lines.finish().unwrap(), b"worker 3: last\n");
        let tail = lines.tail();
        let tail: Vec<&str> = tail.lines().collect();
        assert_eq!((tail.len(), tail[0], tail[19]), (20, " 11", "last"));
    }

    #[test]
    fn endless_lines_are_cut() {
        let mut lines = Lines::new(String::new());
        let whole = lines.push(&vec![b'x'; 10_000]);
        assert_eq!(whole.iter().map(Vec::len).collect::<Vec<_>>(), [4001, 4001]);
    }
}
