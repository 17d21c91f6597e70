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

/// Held by the supervisor as long as it lives.
const LOCK_NAME: &str = "lock";

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
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK_NAME)).map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed(errno.into()))?;
        Ok(Self { path, _lock: lock })
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

/// Removes folders of ours whose supervisor is gone. What cannot be removed stays: it is another
/// user's, or another rank is removing it right now.
fn remove_stale(local: &Path) {
    let Ok(entries) = fs::read_dir(local) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("rdask-") {
            continue;
        }
        let path = entry.path();
        if is_stale(&path).unwrap_or(false) {
            tracing::info!(path = %path.display(), "removing the scratch folder of a dead run");
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::debug!(path = %path.display(), %error, "stale folder not removed");
            }
        }
    }
}

/// A folder of this user with a lock file that nobody holds. A folder without a lock file is
/// either being made or not ours.
fn is_stale(path: &Path) -> io::Result<bool> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() || meta.uid() != rustix::process::geteuid().as_raw() {
        return Ok(false);
    }
    let lock = File::open(path.join(LOCK_NAME))?;
    Ok(rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
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
    fn the_same_job_and_rank_cannot_be_taken_twice() {
        let local = tempfile::tempdir().unwrap();
        let _first = Scratch::create(local.path(), "job", 0).unwrap();
        let second = Scratch::create(local.path(), "job", 0).map(|_| ()).unwrap_err();
        assert_eq!(second.source.kind(), io::ErrorKind::AlreadyExists);
    }
}
