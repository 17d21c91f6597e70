//! One result, one file: `.npy` for arrays, `.bin` for bytes.

use super::npy;
use super::whole::{Unfinished, sync_folder_of};
use crate::config::Fsync;
use rdask_core::messages::Written;
use rdask_store::{Header, Sealed};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// Writes a result to `DIR/STEM.npy` or `DIR/STEM.bin`: whole or not at all.
///
/// # Errors
/// The system's, for example a full disk; no partial file stays, and an older file is kept.
pub fn write_file(
    folder: &Path,
    stem: &str,
    object: &Sealed,
    fsync: Fsync,
) -> std::io::Result<Written> {
    let (kind, suffix, dtype, shape, header) = match object.header() {
        Header::Bytes => ("bytes", "bin", "", Vec::new(), Vec::new()),
        Header::Array { dtype, shape } => {
            ("array", "npy", dtype.name(), shape.clone(), npy::header(*dtype, shape))
        }
    };
    let file = format!("{stem}.{suffix}");
    let mut unfinished = Unfinished::begin(&folder.join(&file))?;
    let mut sum = Xxh3::new();
    for part in [&header[..], object.bytes()] {
        sum.update(part);
        unfinished.file().write_all(part)?;
    }
    unfinished.appear(fsync == Fsync::Each)?;
    Ok(Written {
        file,
        kind: kind.to_owned(),
        dtype: dtype.to_owned(),
        shape,
        nbytes: header.len() as u64 + object.nbytes(),
        checksum: sum.digest(),
    })
}

/// Files that are synced one by one; more of them cost less as one sync of their file system.
const MOST_SINGLE_SYNCS: usize = 64;

/// Makes files and their names last: one sync per file, then one for the folder; one for all when
/// they are many.
///
/// # Errors
/// The first of the system's.
pub fn sync_files<'a>(paths: impl IntoIterator<Item = &'a Path>) -> std::io::Result<()> {
    let paths: Vec<&Path> = paths.into_iter().collect();
    let mut folders: Vec<&Path> = Vec::new();
    for path in &paths {
        if !folders.iter().any(|known| known.parent() == path.parent()) {
            folders.push(path);
        }
    }
    if paths.len() > MOST_SINGLE_SYNCS {
        for path in folders {
            rustix::fs::syncfs(File::open(path)?)?;
        }
        return Ok(());
    }
    for path in &paths {
        File::open(path)?.sync_all()?;
    }
    folders.into_iter().try_for_each(sync_folder_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdask_store::{DType, Store};
    use xxhash_rust::xxh3::xxh3_64;

    fn sealed(header: Header, bytes: &[u8]) -> Sealed {
        let mut writing = Store::new(0).reserve(bytes.len() as u64, 0).unwrap();
        writing.bytes_mut().copy_from_slice(bytes);
        writing.seal(header).unwrap()
    }

    #[test]
    fn arrays_become_npy() {
        let folder = tempfile::tempdir().unwrap();
        let object = sealed(Header::Array { dtype: DType::U16, shape: vec![2] }, &[1, 0, 2, 0]);
        for fsync in [Fsync::Each, Fsync::End, Fsync::None] {
            let written = write_file(folder.path(), "x-0", &object, fsync).unwrap();
            let content = std::fs::read(folder.path().join("x-0.npy")).unwrap();
            assert_eq!(&content[128..], [1, 0, 2, 0]);
            assert_eq!(written.file, "x-0.npy");
            assert_eq!((written.kind.as_str(), written.dtype.as_str()), ("array", "u16"));
            assert_eq!((written.shape, written.nbytes), (vec![2], 132));
            assert_eq!(written.checksum, xxh3_64(&content));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        sync_files([folder.path().join("x-0.npy").as_path()]).unwrap();
    }

    #[test]
    fn bytes_become_bin() {
        let folder = tempfile::tempdir().unwrap();
        let written =
            write_file(folder.path(), "log", &sealed(Header::Bytes, b"hello"), Fsync::End).unwrap();
        assert_eq!(std::fs::read(folder.path().join("log.bin")).unwrap(), b"hello");
        assert_eq!((written.kind.as_str(), written.nbytes), ("bytes", 5));
        assert_eq!(written.checksum, xxh3_64(b"hello"));
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        assert!(write_file(&gone, "x", &sealed(Header::Bytes, b"x"), Fsync::End).is_err());
    }
}
