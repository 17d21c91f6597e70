//! What tasks' programs print: one log per worker with an index, in a folder of their own.
//!
//! ```text
//!   logs/tasks-WORKER.log      a heading, standard output, standard error; attempt after attempt
//!   logs/tasks-WORKER.index    one JSON object a line: key, attempt, end, offset and lengths
//! ```
//! Both files only grow, also when a worker is restarted or the run repeated. An index line is
//! written whole, after the bytes that it points to; a line that a crash cut off is passed over.

mod read;

pub use read::{Attempt, TaskLogs};

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Folder of the logs inside the output folder.
pub const FOLDER: &str = "logs";
/// What the names of its files begin with.
const PREFIX: &str = "tasks-";
/// The endings of the two files of a worker.
const LOG: &str = "log";
const INDEX: &str = "index";

/// One attempt of a task, as a line of the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The task.
    pub key: String,
    /// Runs that failed or died before, in that job.
    pub attempt: u32,
    /// The job.
    pub job: String,
    /// The worker.
    pub worker: String,
    /// Where it ran.
    pub host: String,
    /// When it began, seconds since 1970 UTC.
    pub began: f64,
    /// How long it took.
    pub seconds: f64,
    /// Its end in words: `exit code 0`, `signal SIGKILL`, `timeout`, `cancelled`, `not started: …`.
    pub end: String,
    /// Where standard output begins in the log; standard error follows it.
    pub offset: u64,
    /// Bytes of standard output; 0 when it became the task's result.
    pub stdout: u64,
    /// Standard output became the task's result and stands with the results.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub captured: bool,
    /// Bytes of standard error.
    pub stderr: u64,
}

/// The log of one worker, being written.
#[derive(Debug)]
pub(crate) struct TaskLog {
    folder: PathBuf,
    job: String,
    worker: String,
    host: String,
    /// Opened with the first record.
    files: Mutex<Option<Files>>,
}

#[derive(Debug)]
struct Files {
    log: File,
    index: File,
}

/// What a worker knows of an attempt that has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    /// The task.
    pub key: &'a str,
    /// Runs before it.
    pub attempt: u32,
    /// When it began.
    pub began: SystemTime,
    /// How long it took.
    pub seconds: f64,
    /// Its end in words.
    pub end: String,
    /// What it printed; none: it did not start.
    pub stdout: Option<&'a File>,
    /// What it printed became the result.
    pub captured: bool,
    /// What it complained about; none: it did not start.
    pub stderr: Option<&'a File>,
}

/// What stands beside the streams of a program that runs, for whoever finds them when its worker is
/// gone: `NAME.about` beside `NAME.out` and `NAME.err`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The task.
    pub key: String,
    /// Runs before it.
    pub attempt: u32,
    /// When it began, seconds since 1970 UTC.
    pub began: f64,
}

/// Endings of those three files.
pub(crate) const ABOUT: &str = "about";
pub(crate) const STDOUT: &str = "out";
pub(crate) const STDERR: &str = "err";

/// Adds what programs had printed when their worker died, which ran them in `folder`.
pub(crate) fn rescue(folder: &Path, log: &TaskLog) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|ending| ending != ABOUT) {
            continue;
        }
        if let Err(error) = rescue_one(&path, log) {
            tracing::warn!(path = %path.display(), %error, "what a task printed is not in the log");
        }
    }
}

fn rescue_one(about: &Path, log: &TaskLog) -> io::Result<()> {
    let begun: Begun = serde_json::from_slice(&std::fs::read(about)?)?;
    let since = Duration::try_from_secs_f64(begun.began).unwrap_or_default();
    let began = UNIX_EPOCH + since;
    let stdout = File::open(about.with_extension(STDOUT))?;
    let stderr = File::open(about.with_extension(STDERR))?;
    log.add(&Ended {
        key: &begun.key,
        attempt: begun.attempt,
        began,
        seconds: began.elapsed().unwrap_or_default().as_secs_f64(),
        end: "killed with its worker".to_owned(),
        stdout: Some(&stdout),
        captured: false,
        stderr: Some(&stderr),
    })
}

impl TaskLog {
    /// A log in `folder`, which is made with the first record.
    pub(crate) fn new(folder: PathBuf, job: String, worker: String, host: String) -> Self {
        Self { folder, job, worker, host, files: Mutex::new(None) }
    }

    /// Adds an attempt; the files are read from their beginning.
    ///
    /// # Errors
    /// When the folder cannot be written: the attempt is not in the log then.
    pub(crate) fn add(&self, ended: &Ended<'_>) -> io::Result<()> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let Files { log, index } = match &mut *files {
            Some(files) => files,
            empty => empty.insert(self.open()?),
        };
        let began = seconds_of(ended.began);
        let mut record = Record {
            key: ended.key.to_owned(),
            attempt: ended.attempt,
            job: self.job.clone(),
            worker: self.worker.clone(),
            host: self.host.clone(),
            began,
            seconds: ended.seconds,
            end: ended.end.clone(),
            offset: 0,
            stdout: 0,
            captured: ended.captured,
            stderr: 0,
        };
        // Whatever a crash has left at the end stays there: no index line points to it.
        log.seek(SeekFrom::End(0))?;
        log.write_all(record.heading().as_bytes())?;
        record.offset = log.stream_position()?;
        if let Some(stdout) = ended.stdout.filter(|_| !ended.captured) {
            record.stdout = copy(stdout, log)?;
        }
        if let Some(stderr) = ended.stderr {
            record.stderr = copy(stderr, log)?;
        }
        log.write_all(b"\n")?;
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        index.write_all(&line)
    }

    fn open(&self) -> io::Result<Files> {
        std::fs::create_dir_all(&self.folder)?;
        let open = |ending: &str| {
            let path = path(&self.folder, &self.worker, ending);
            File::options().create(true).truncate(false).read(true).write(true).open(path)
        };
        let (log, mut index) = (open(LOG)?, open(INDEX)?);
        // A line that was cut off must not swallow the next one.
        if index.seek(SeekFrom::End(0))? > 0 {
            index.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            index.read_exact(&mut last)?;
            if last != *b"\n" {
                index.write_all(b"\n")?;
            }
        }
        Ok(Files { log, index })
    }
}

/// Seconds since 1970 UTC.
pub(crate) fn seconds_of(moment: SystemTime) -> f64 {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn path(folder: &Path, worker: &str, ending: &str) -> PathBuf {
    folder.join(format!("{PREFIX}{worker}.{ending}"))
}

/// Appends a whole file.
fn copy(mut from: &File, to: &mut File) -> io::Result<u64> {
    from.seek(SeekFrom::Start(0))?;
    io::copy(&mut from, to)
}

impl Record {
    /// The line above what an attempt printed.
    #[must_use]
    pub fn heading(&self) -> String {
        format!(
            "==== {} attempt {} of job {} on worker {} ({}) at {}: {} after {:.3} s\n",
            self.key,
            self.attempt.saturating_add(1),
            self.job,
            self.worker,
            self.host,
            utc(self.began),
            self.end,
            self.seconds
        )
    }
}

/// A moment as `2026-11-21 13:05:09 UTC`.
fn utc(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.max(0.0) as u64 } else { 0 };
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a number of days after 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    let is_leap =
        |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    // 400 years have 146,097 days, so the loops below are short whatever a file says.
    let (mut year, mut left) = (1970 + days / 146_097 * 400, days % 146_097);
    while left >= 365 + u64::from(is_leap(year)) {
        left -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates() {
        // From `date -u -d @N`.
        assert_eq!(utc(0.0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399.9), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400.0), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_266_309.0), "2026-11-21 13:05:09 UTC");
        assert_eq!(utc(4_102_444_799.0), "2099-12-31 23:59:59 UTC");
        assert_eq!(utc(f64::NAN), "1970-01-01 00:00:00 UTC");
    }

    #[test]
    fn attempts_stand_in_the_log_in_order_and_a_torn_line_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let file = |text: &str| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        let add = |log: &TaskLog, key: &str, attempt, stdout: Option<&str>, stderr: &str| {
            let (stdout, stderr) = (stdout.map(file), file(stderr));
            log.add(&Ended {
                key,
                attempt,
                began: UNIX_EPOCH,
                seconds: 0.5,
                end: "exit code 1".to_owned(),
                stdout: stdout.as_ref(),
                captured: false,
                stderr: Some(&stderr),
            })
            .unwrap();
        };
        let open = || TaskLog::new(logs.clone(), "j".into(), "1".into(), "here".into());
        let first = open();
        add(&first, "a", 0, Some("out\n"), "err\n");
        add(&first, "b", 0, None, "");
        // The worker dies in the middle of a record and is restarted.
        let index = path(&logs, "1", INDEX);
        let torn = |path: &Path, bytes: &[u8]| {
            File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
        };
        torn(&index, b"{\"key\": \"a\", \"att");
        torn(&path(&logs, "1", LOG), b"==== a att");
        add(&open(), "a", 1, Some(""), "again");
        let logs = TaskLogs::open(&[logs]).unwrap();
        let attempts = logs.of("a");
        let texts: Vec<_> = attempts.iter().map(|it| it.read().unwrap()).collect();
        assert_eq!(texts, [(b"out\n".to_vec(), b"err\n".to_vec()), (vec![], b"again".to_vec())]);
        assert_eq!(attempts[1].record.attempt, 1);
        let heading = "==== a attempt 2 of job j on worker 1 (here) at 1970-01-01 00:00:00 \
                       UTC: exit code 1 after 0.500 s\n";
        assert_eq!(attempts[1].record.heading(), heading);
        assert_eq!(logs.of("b").len(), 1);
        assert_eq!(logs.nearest("bb").as_deref(), Some("b"));
    }
}
