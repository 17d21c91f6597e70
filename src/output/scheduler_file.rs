//! The scheduler file: where a running job is reached, and its secret. Its owner alone may read it.

use super::whole::write_whole_private;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longest scheduler file that is read, bytes: some hundred thousand workers.
const LIMIT_BYTES: u64 = 64 << 20;

/// Why a scheduler file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerFileError {
    /// Others may read or write it, so its secret is none.
    #[error("the scheduler file may be read by others: mode {mode:o}, not 600 ({path})")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to another user.
    #[error("the scheduler file belongs to user {owner} ({path})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is something else.
    #[error("not a scheduler file: {source} ({path})")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error("the scheduler file has version {version}, this program knows 1 ({path})")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It cannot be read.
    #[error("cannot read the scheduler file: {source} ({path})")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// One worker of a running job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerEntry {
    /// Its name: under MPI the rank, locally 1, 2, …
    pub id: String,
    /// MPI rank, or slot.
    pub rank: u32,
    /// Host name.
    pub host: String,
    /// Process id of the worker itself.
    pub pid: u32,
    /// Process id of its supervisor.
    pub nanny_pid: u32,
    /// Where it serves data.
    pub address: String,
    /// Threads.
    pub nthreads: u32,
    /// CPUs, as a list such as `0-7,16`.
    pub cpus: String,
    /// Bytes; 0 = unlimited.
    pub memory_limit: u64,
}

/// How to reach a running job.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerFile {
    /// 1.
    pub version: u32,
    /// The job.
    pub job_id: String,
    /// The scheduler's best address.
    pub address: String,
    /// All of them, best first.
    pub addresses: Vec<String>,
    /// 64 hex digits.
    pub secret: String,
    /// Its workers.
    pub workers: Vec<WorkerEntry>,
}

impl std::fmt::Debug for SchedulerFile {
    /// Without the secret.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SchedulerFile")
            .field("job_id", &self.job_id)
            .field("address", &self.address)
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl SchedulerFile {
    /// Writes it with mode 0600, whole or not at all.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        write_whole_private(path, false, |out| {
            serde_json::to_writer(&mut *out, self)?;
            out.write_all(b"\n")
        })
    }

    /// Reads one; mode and owner are those of the file that is read, not of a name.
    ///
    /// # Errors
    /// When others may read it, it belongs to another user, or it is something else.
    pub fn read(path: &Path) -> Result<Self, SchedulerFileError> {
        let at = || path.to_owned();
        let io = |source| SchedulerFileError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SchedulerFileError::Open { path: at(), mode });
        }
        let owner = metadata.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(SchedulerFileError::Foreign { path: at(), owner });
        }
        let mut text = Vec::new();
        file.take(LIMIT_BYTES).read_to_end(&mut text).map_err(io)?;
        let read: Self = serde_json::from_slice(&text)
            .map_err(|source| SchedulerFileError::Malformed { path: at(), source })?;
        match read.version {
            1 => Ok(read),
            version => Err(SchedulerFileError::Version { path: at(), version }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn example() -> SchedulerFile {
        SchedulerFile {
            version: 1,
            job_id: "job".into(),
            address: "tcp://127.0.0.1:1".into(),
            addresses: vec!["tcp://127.0.0.1:1".into()],
            secret: "5e".repeat(32),
            workers: vec![WorkerEntry {
                id: "1".into(),
                rank: 1,
                host: "here".into(),
                pid: 2,
                nanny_pid: 3,
                address: "tcp://127.0.0.1:2".into(),
                nthreads: 4,
                cpus: "0-3".into(),
                memory_limit: 5,
            }],
        }
    }

    #[test]
    fn written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.json");
        example().write(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(SchedulerFile::read(&path).unwrap(), example());
        assert!(!format!("{:?}", example()).contains("5e5e"));
    }

    #[test]
    fn a_wider_mode_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.json");
        example().write(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = SchedulerFile::read(&path).unwrap_err();
            assert!(matches!(error, SchedulerFileError::Open { .. }), "{error}");
        }
    }

    #[test]
    fn something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.json");
        assert!(matches!(SchedulerFile::read(&path), Err(SchedulerFileError::Io { .. })));
        write_whole_private(&path, false, |out| out.write_all(b"{}")).unwrap();
        assert!(matches!(SchedulerFile::read(&path), Err(SchedulerFileError::Malformed { .. })));
        SchedulerFile { version: 2, ..example() }.write(&path).unwrap();
        assert!(matches!(SchedulerFile::read(&path), Err(SchedulerFileError::Version { .. })));
    }
}
