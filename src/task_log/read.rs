//! Reading the logs of all workers of a run, by key.
//!
//! Only the indexes are read; what was printed stays in the files until it is asked for. Offsets
//! and lengths come from a file that anybody may have changed, so reading never goes by them
//! further than the log is long.

use super::{INDEX, LOG, PREFIX, Record};
use rdask_core::nearest;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The indexes of one or more folders of logs.
#[derive(Debug, Default)]
pub struct TaskLogs {
    attempts: Vec<Attempt>,
}

/// One attempt of a task and where its words are.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What the index says.
    pub record: Record,
    log: PathBuf,
}

impl TaskLogs {
    /// Reads the indexes; folders that are not there hold nothing.
    ///
    /// # Errors
    /// When one cannot be read, with its path.
    pub fn open(folders: &[PathBuf]) -> Result<Self, (PathBuf, io::Error)> {
        let mut attempts = Vec::new();
        for folder in folders {
            let failed = |error| (folder.clone(), error);
            let entries = match fs::read_dir(folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(failed)?,
            };
            for entry in entries {
                let path = entry.map_err(failed)?.path();
                if is_index(&path) {
                    read_index(&path, &mut attempts).map_err(|error| (path, error))?;
                }
            }
        }
        attempts.sort_by(|a, b| a.record.began.total_cmp(&b.record.began));
        Ok(Self { attempts })
    }

    /// Every attempt of a key, the oldest first.
    #[must_use]
    pub fn of(&self, key: &str) -> Vec<&Attempt> {
        self.attempts.iter().filter(|attempt| attempt.record.key == key).collect()
    }

    /// Every attempt of every key, the oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.attempts.iter().map(|attempt| &attempt.record)
    }

    /// Number of different keys.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.keys().len()
    }

    /// The key most like this one.
    #[must_use]
    pub fn nearest(&self, key: &str) -> Option<String> {
        nearest::nearest(key, self.keys()).map(str::to_owned)
    }

    fn keys(&self) -> BTreeSet<&str> {
        self.attempts.iter().map(|attempt| attempt.record.key.as_str()).collect()
    }
}

fn is_index(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(PREFIX) && path.extension().is_some_and(|ending| ending == INDEX)
}

fn read_index(path: &Path, attempts: &mut Vec<Attempt>) -> io::Result<()> {
    let log = path.with_extension(LOG);
    for line in BufReader::new(File::open(path)?).split(b'\n') {
        // A line that was cut off by a crash is no record.
        if let Ok(record) = serde_json::from_slice(&line?) {
            attempts.push(Attempt { record, log: log.clone() });
        }
    }
    Ok(())
}

impl Attempt {
    /// What went to standard output and to standard error.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read(&self) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut log = File::open(&self.log)?;
        log.seek(SeekFrom::Start(self.record.offset))?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        (&mut log).take(self.record.stdout).read_to_end(&mut stdout)?;
        log.take(self.record.stderr).read_to_end(&mut stderr)?;
        Ok((stdout, stderr))
    }
}
