//! The scratch folder of a rank, `LOCAL/rdask-JOBID-RANK/`, and what dead runs left beside it.
//!
//! A lock on a file in the folder says that its supervisor lives; the kernel gives the lock up with
//! the process, however it ends. At the start each rank removes folders of the same user whose lock
//! is free. Removal is complete even when a child was killed in the middle of a write.

use rustix::fs::FlockOperation;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Held by the supervisor as long as it lives.
const LOCK_NAME: &str = "lock";
/// The folder is tried this often, with this pause: far longer than a removal by mistake takes.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(10);

/// A scratch folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the scratch folder {}: {source}", path.display())]
pub struct ScratchError {
    /// Which.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

/// A locked scratch folder; removed when dropped.
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes the folder of this rank with mode 0700 and removes stale ones beside it.
    ///
    /// # Errors
    /// When it cannot be made, or a live run of the same job id and rank has it.
    pub fn create(local: &Path, job_id: &str, rank: u32) -> Result<Self, ScratchError> {
        let path = local.join(format!("rdask-{job_id}-{rank}"));
        let failed = |source| ScratchError { path: path.clone(), source };
        fs::create_dir_all(local).map_err(failed)?;
        remove_stale(local);
        let mut tries = 0;
        loop {
            tries += 1;
            match try_create(&path) {
                Ok(lock) => return Ok(Self { path, _lock: lock }),
                // Another rank may take the folder for stale before it is locked; it is gone then.
                Err(_) if tries < TRIES => std::thread::sleep(PAUSE),
                Err(source) => return Err(failed(source)),
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "scratch folder not removed");
        }
    }
}

/// The folder in which the programs of a worker's tasks run.
///
/// Inside the rank's scratch folder where there is one; else in the folder for temporary files,
/// made and locked by the worker when its first program starts. The supervisor knows the path and
/// removes it after the worker, however that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFolder {
    path: PathBuf,
    /// Inside a folder that is locked already.
    covered: bool,
}

impl TaskFolder {
    /// The folder of a worker; `scratch` is that of its rank, empty when there is none.
    #[must_use]
    pub fn of(scratch: &Path, job_id: &str, rank: u32, worker: &str) -> Self {
        if scratch.as_os_str().is_empty() {
            let path = std::env::temp_dir().join(format!("rdask-{job_id}-{rank}-{worker}"));
            return Self { path, covered: false };
        }
        Self { path: scratch.join(format!("tasks-{worker}")), covered: true }
    }

    /// The folder of a worker by its path, for whoever only removes it.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path, covered: false }
    }

    /// Where it is, or would be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there, and a folder of this user.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw())
    }

    /// Makes it, with mode 0700; it is there until the lock is dropped and it is removed.
    ///
    /// # Errors
    /// When it cannot be made, or is there already and somebody else's.
    pub fn make(&self) -> Result<Option<File>, ScratchError> {
        let failed = |source| ScratchError { path: self.path.clone(), source };
        if self.covered {
            fs::DirBuilder::new().mode(0o700).create(&self.path).map_err(failed)?;
            return Ok(None);
        }
        if let Some(parent) = self.path.parent() {
            remove_stale(parent);
        }
        try_create(&self.path).map(Some).map_err(failed)
    }

    /// Removes it and all that is in it, once its worker is gone. Programs that were just killed
    /// may still be writing, and between fork and exec they hold the lock.
    pub fn remove(&self) {
        for _ in 0..TRIES {
            if !self.is_ours() {
                return;
            }
            let removed = match lock_of_stale(&self.path) {
                Ok(None) => Err(io::Error::from(io::ErrorKind::WouldBlock)),
                // Without a lock file it is covered, or half removed already.
                Ok(Some(_)) | Err(_) => fs::remove_dir_all(&self.path),
            };
            match removed {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(path = %self.path.display(), %error, "not removed yet");
                    std::thread::sleep(PAUSE);
                }
            }
        }
        tracing::warn!(path = %self.path.display(), "the folder of tasks was not removed");
    }
}

/// Makes and locks the folder, and looks that it still is the one with that name.
fn try_create(path: &Path) -> io::Result<File> {
    fs::DirBuilder::new().mode(0o700).create(path)?;
    let name = path.join(LOCK_NAME);
    let lock = File::create(&name)?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    if fs::metadata(&name)?.ino() != lock.metadata()?.ino() {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    Ok(lock)
}

/// Removes folders of ours whose supervisor is gone. What cannot be removed stays: it is another
/// user's, or another rank is removing it right now.
fn remove_stale(local: &Path) {
    let Ok(entries) = fs::read_dir(local) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("rdask-") {
            continue;
        }
        let path = entry.path();
        // The lock is held during the removal, so that a rank that is just making the folder
        // learns of it.
        if let Ok(Some(_lock)) = lock_of_stale(&path) {
            tracing::info!(path = %path.display(), "removing the scratch folder of a dead run");
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::debug!(path = %path.display(), %error, "stale folder not removed");
            }
        }
    }
}

/// The lock of a folder of this user that nobody holds. A folder without a lock file is either
/// being made or not ours.
fn lock_of_stale(path: &Path) -> io::Result<Option<File>> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    let lock = File::open(path.join(LOCK_NAME))?;
    let free = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
    Ok(free.then_some(lock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_and_goes_with_all_that_is_in_it() {
        let local = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(local.path(), "job", 2).unwrap();
        let path = local.path().join("rdask-job-2");
        assert_eq!(scratch.path(), path);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        fs::create_dir(path.join("spill")).unwrap();
        fs::write(path.join("spill/x"), b"x").unwrap();
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn stale_folders_go_and_live_ones_stay() {
        let local = tempfile::tempdir().unwrap();
        let live = Scratch::create(local.path(), "live", 0).unwrap();
        let stale = local.path().join("rdask-dead-0");
        fs::create_dir(&stale).unwrap();
        fs::write(stale.join(LOCK_NAME), b"").unwrap();
        let foreign = local.path().join("rdask-no-lock");
        fs::create_dir(&foreign).unwrap();
        let other = local.path().join("other");
        fs::create_dir(&other).unwrap();
        let mine = Scratch::create(local.path(), "mine", 0).unwrap();
        assert!(!stale.exists());
        assert!(live.path().exists() && mine.path().exists());
        assert!(foreign.exists() && other.exists());
    }

    #[test]
    fn ranks_that_start_together_do_not_remove_each_other() {
        let local = tempfile::tempdir().unwrap();
        let start = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for rank in 0..8 {
                let (local, start) = (local.path(), &start);
                scope.spawn(move || {
                    for round in 0..20 {
                        start.wait();
                        let job = format!("job{round}");
                        let scratch = Scratch::create(local, &job, rank).unwrap();
                        fs::write(scratch.path().join("x"), b"x").unwrap();
                        start.wait();
                        assert!(scratch.path().join("x").exists());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(local.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_same_job_and_rank_cannot_be_taken_twice() {
        let local = tempfile::tempdir().unwrap();
        let _first = Scratch::create(local.path(), "job", 0).unwrap();
        let second = Scratch::create(local.path(), "job", 0).map(|_| ()).unwrap_err();
        assert_eq!(second.source.kind(), io::ErrorKind::AlreadyExists);
    }
}
