//! Files that appear whole or not at all: written beside their place, then renamed.
//!
//! A temporary name begins with a dot and ends with the process id, so that two writers never share
//! one; an error removes it.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Mode of files that anybody may read, before the umask.
const MODE_SHARED: u32 = 0o666;
/// Mode of files that only their owner may read.
const MODE_PRIVATE: u32 = 0o600;

const PREFIX: &str = ".rdask-";
const SUFFIX: &str = ".tmp";

/// A file that is being written beside its place. Dropped without `appear`, it is removed.
#[derive(Debug)]
pub struct Unfinished {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    appeared: bool,
}

impl Unfinished {
    /// Begins a file that will stand at `path`.
    ///
    /// # Errors
    /// The system's, for example when the folder cannot be written.
    pub fn begin(path: &Path) -> std::io::Result<Self> {
        Self::with_mode(path, MODE_SHARED)
    }

    /// The same, readable by its owner alone from the first moment.
    ///
    /// # Errors
    /// As for `begin`.
    pub fn begin_private(path: &Path) -> std::io::Result<Self> {
        Self::with_mode(path, MODE_PRIVATE)
    }

    fn with_mode(path: &Path, mode: u32) -> std::io::Result<Self> {
        let temporary = temporary(path)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        Ok(Self { file, temporary, path: path.to_owned(), appeared: false })
    }

    /// The file, to write.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Renames it to its place, after a sync when asked.
    ///
    /// # Errors
    /// The system's; the file is removed then.
    pub fn appear(mut self, sync: bool) -> std::io::Result<()> {
        if sync {
            self.file.sync_all()?;
        }
        std::fs::rename(&self.temporary, &self.path)?;
        self.appeared = true;
        if sync { sync_folder_of(&self.path) } else { Ok(()) }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.appeared {
            // The first error is what counts; a file that is gone already is what we want.
            let _removed = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a file whole or not at all; `sync`: it is on disk when this returns.
///
/// # Errors
/// The content's or the system's; nothing is left behind then, and an older file stays.
pub fn write_whole(
    path: &Path,
    sync: bool,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    fill(Unfinished::begin(path)?, sync, content)
}

/// The same for a file that only its owner may read.
///
/// # Errors
/// As for `write_whole`.
pub fn write_whole_private(
    path: &Path,
    sync: bool,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    fill(Unfinished::begin_private(path)?, sync, content)
}

fn fill(
    mut unfinished: Unfinished,
    sync: bool,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, unfinished.file());
    content(&mut out)?;
    out.flush()?;
    drop(out);
    unfinished.appear(sync)
}

/// Why a folder cannot be made or written: the system's words, or better ones.
#[must_use]
pub fn in_words(folder: &Path, error: &std::io::Error) -> String {
    let file = folder.ancestors().find(|path| path.is_file());
    match file {
        Some(file) if file == folder => "it is a file, not a folder".to_owned(),
        Some(file) => format!("{} is a file, not a folder", file.display()),
        None => error.to_string(),
    }
}

/// Makes renames in a file's folder last.
///
/// # Errors
/// The system's.
pub fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name in the same folder that no other writer uses.
fn temporary(path: &Path) -> std::io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if path.file_name().is_none() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a file name"));
    }
    // Host and process number the writers on a shared file system; the rest is unique within.
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{PREFIX}{host:.32}-{}-{number}{SUFFIX}", std::process::id());
    Ok(folder_of(path).join(name))
}

/// True for names that `Unfinished` gives.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::names;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for content in ["one", "two"] {
            write_whole(&path, true, |out| out.write_all(content.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn an_error_keeps_the_old_file_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let result = write_whole(&path, false, |out| {
            out.write_all(b"new")?;
            Err(std::io::Error::other("full"))
        });
        assert_eq!(result.unwrap_err().to_string(), "full");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn private_files_have_mode_0600() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_whole_private(&path, false, |out| out.write_all(b"x")).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_name_is_an_error() {
        assert!(write_whole(Path::new("/"), false, |_| Ok(())).is_err());
    }
}
