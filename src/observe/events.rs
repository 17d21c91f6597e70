//! The event file: one JSON object a line, for reports and for people with `jq`.
//!
//! Written by the scheduler's driver. Lines are buffered and reach the file at least once a second
//! of their own time, and at the end; a file that cannot be written costs one warning, not the run.

use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds between two flushes.
const FLUSH_SECONDS: f64 = 1.0;
/// Bytes that wait before they are written.
const BUFFER_BYTES: usize = 1 << 18;

/// How a run of a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Well.
    Finished,
    /// With an error.
    Erred,
    /// It gave itself back.
    Rescheduled,
    /// Nobody wanted it any more.
    Cancelled,
    /// Its worker went.
    Lost,
}

/// Begin or end of a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It arrived.
    Begin,
    /// Its last result is there, or will never be.
    End,
}

/// A worker in `Event::State`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WorkerState<'a> {
    /// Its name.
    pub worker: &'a str,
    /// Resident bytes.
    pub memory: u64,
    /// Bytes of results.
    pub managed: u64,
    /// Expected seconds of work.
    pub occupancy: f64,
    /// Tasks that run.
    pub executing: u64,
    /// Tasks that it has and that do not run.
    pub ready: u64,
    /// Tasks that the scheduler sent and that are not done.
    pub processing: u64,
}

/// What happened. Times are seconds on rank 0's clock since its process began.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    /// A worker registered.
    WorkerJoined {
        /// Its name.
        worker: &'a str,
        /// Its host.
        host: &'a str,
        /// Its process.
        pid: u32,
    },
    /// A worker went.
    WorkerLost {
        /// Its name.
        worker: &'a str,
        /// Its host.
        host: &'a str,
        /// Its process.
        pid: u32,
        /// Why.
        reason: &'a str,
    },
    /// A worker left on purpose: what it held is elsewhere.
    WorkerRetired {
        /// Its name.
        worker: &'a str,
        /// Its host.
        host: &'a str,
        /// Its process.
        pid: u32,
        /// Why.
        reason: &'a str,
    },
    /// A worker's memory is short, or there again.
    WorkerStatus {
        /// Its name.
        worker: &'a str,
        /// `paused` or `running`.
        status: &'a str,
    },
    /// A run of a task ended.
    Task {
        /// Its key.
        key: &'a str,
        /// Where.
        worker: &'a str,
        /// On which executor thread.
        thread: u32,
        /// Runs before this one that failed or died.
        attempt: u32,
        /// When it began.
        start: f64,
        /// When it ended.
        stop: f64,
        /// Size of the result, bytes; 0 without one.
        nbytes: u64,
        /// How.
        outcome: Outcome,
    },
    /// Results moved.
    Transfer {
        /// Which.
        keys: &'a [&'a str],
        /// From where.
        from: &'a str,
        /// To where.
        to: &'a str,
        /// `inproc`, `shm`, `ucx` or `tcp`.
        path: &'a str,
        /// Payload bytes.
        nbytes: u64,
        /// When it began.
        start: f64,
        /// When it ended.
        stop: f64,
        /// How: `finished`, `erred` (the sender broke off or was busy) or `lost` (the receiver died).
        outcome: Outcome,
    },
    /// A task went from one worker to another before it began.
    Steal {
        /// Its key.
        key: &'a str,
        /// Who had it.
        from: &'a str,
        /// Who has it now.
        to: &'a str,
    },
    /// The cluster, once a second.
    State {
        /// Its workers.
        workers: &'a [WorkerState<'a>],
        /// Tasks that wait for inputs.
        waiting: u64,
        /// Tasks in the scheduler's queue.
        queued: u64,
        /// Tasks that no worker may run now.
        no_worker: u64,
    },
    /// A graph began or ended.
    Graph {
        /// Which.
        phase: Phase,
        /// Path of the graph.
        graph: &'a str,
        /// Its tasks.
        tasks: u64,
        /// Coordinated universal time, at the begin.
        #[serde(skip_serializing_if = "Option::is_none")]
        utc: Option<String>,
    },
}

#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// Writes events.
#[derive(Debug)]
pub struct EventWriter {
    /// None after an error.
    out: Option<BufWriter<File>>,
    path: PathBuf,
    flushed: f64,
}

impl EventWriter {
    /// Begins an empty file.
    ///
    /// # Errors
    /// The system's: whoever asks for events learns at once that there will be none.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let out = BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?);
        Ok(Self { out: Some(out), path: path.to_owned(), flushed: 0.0 })
    }

    /// Writes an event of the moment `time`, in seconds.
    pub fn write(&mut self, time: f64, event: &Event<'_>) {
        let flush = time - self.flushed >= FLUSH_SECONDS;
        if flush {
            self.flushed = time;
        }
        self.with(|out| {
            serde_json::to_writer(&mut *out, &Line { time, event })?;
            out.write_all(b"\n")?;
            if flush { out.flush() } else { Ok(()) }
        });
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) {
        self.with(BufWriter::flush);
    }

    /// Does something with the file; after the first error it is given up.
    fn with(&mut self, act: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) {
        let Some(out) = &mut self.out else { return };
        if let Err(error) = act(out) {
            tracing::warn!(path = %self.path.display(), %error, "no more events are written");
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        if let Some(out) = self.out.take() {
            // Not flushed: that would fail again.
            let (_file, _rest) = out.into_parts();
        }
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        self.flush();
        self.give_up();
    }
}

/// The present as `2026-01-31T23:59:59.123Z`.
#[must_use]
pub fn utc_now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    utc(since.as_secs(), since.subsec_millis())
}

/// A moment of the Gregorian calendar, from seconds since 1970.
fn utc(seconds: u64, millis: u32) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of year 0, in eras of 400 years, so that leap days end a year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // From `date -u -d @SECONDS`.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(seconds, 0), text);
        }
        assert_eq!(utc_now().len(), 24);
    }

    #[test]
    fn one_object_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.jsonl");
        let mut events = EventWriter::create(&path).unwrap();
        events.write(0.5, &Event::WorkerJoined { worker: "1", host: "h", pid: 7 });
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        let task = Event::Task {
            key: "a\n\"b\"",
            worker: "1",
            thread: 2,
            attempt: 0,
            start: 0.25,
            stop: 0.5,
            nbytes: 8,
            outcome: Outcome::Finished,
        };
        events.write(1.5, &task);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let expected = serde_json::json!([
            {"time": 0.5, "event": "worker_joined", "worker": "1", "host": "h", "pid": 7},
            {"time": 1.5, "event": "task", "key": "a\n\"b\"", "worker": "1", "thread": 2,
             "attempt": 0, "start": 0.25, "stop": 0.5, "nbytes": 8, "outcome": "finished"},
        ]);
        assert_eq!(serde_json::Value::Array(lines), expected);
        events.write(1.6, &task);
        drop(events);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_full_disk_is_no_reason_to_stop() {
        let mut events = EventWriter::create(Path::new("/dev/full")).unwrap();
        let event = Event::WorkerJoined { worker: "1", host: "h", pid: 7 };
        for second in 0..5 {
            events.write(f64::from(second) * 2.0, &event);
        }
        assert!(events.out.is_none());
    }

    #[test]
    fn no_folder_is_an_error_at_once() {
        assert!(EventWriter::create(Path::new("/nowhere/e.jsonl")).is_err());
    }
}
