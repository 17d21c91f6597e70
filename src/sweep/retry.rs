//! `--retry-failed`: which runs are left to do, and the results of the second try beside those of
//! the first.
//!
//! A retry runs as a job of its own in a folder inside the output folder, and its results move up
//! when it is over: a result that is whole is never touched. Its folder stays only when it was
//! killed in between, and the next retry begins anew.

use crate::output::whole::write_whole;
use crate::output::{Entry, MANIFEST, Manifest, checksum_text};
use crate::user_error::UserError;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where a retry runs, inside the output folder.
const FOLDER: &str = ".retry";

/// What earlier runs of a sweep have left in the output folder.
#[derive(Clone, Debug)]
pub struct Before {
    folder: PathBuf,
    manifest: Manifest,
}

impl Before {
    /// Reads the manifest of a folder; none when there is none. `content_hash` is that of the whole
    /// sweep's graph.
    ///
    /// # Errors
    /// When it cannot be read, or is another graph's.
    pub fn read(folder: &Path, content_hash: u64) -> Result<Option<Self>, UserError> {
        let path = folder.join(MANIFEST);
        let wrong = |what: String| UserError::new(what, path.display().to_string());
        let manifest = match read_manifest(folder) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Ok(None),
            Err(error) => return Err(wrong(format!("the manifest cannot be read: {error}"))),
        };
        if manifest.graph.content_hash != checksum_text(content_hash) {
            return Err(wrong("the output folder holds the results of another sweep".to_owned())
                .help("give the parameters and the command of that sweep, or another --output"));
        }
        Ok(Some(Self { folder: folder.to_owned(), manifest }))
    }

    /// The manifest as it stands.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the result of a key is there and as long as it was.
    #[must_use]
    pub fn is_whole(&self, key: &str) -> bool {
        let Some(Entry::File { file, nbytes, .. }) = self.manifest.outputs.get(key) else {
            return false;
        };
        fs::metadata(self.folder.join(file)).is_ok_and(|meta| meta.len() >= *nbytes)
    }

    /// Where a retry runs.
    #[must_use]
    pub fn retry_path(folder: &Path) -> PathBuf {
        folder.join(FOLDER)
    }

    /// Removes what a retry that was killed has left.
    ///
    /// # Errors
    /// The system's.
    pub fn clear(folder: &Path) -> io::Result<()> {
        match fs::remove_dir_all(folder.join(FOLDER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Moves the results of a retry up and notes them in the manifest.
    ///
    /// # Errors
    /// When a file cannot be moved or written; what has moved is in no manifest then and is run
    /// again.
    pub fn merge(&mut self) -> io::Result<()> {
        let from = self.folder.join(FOLDER);
        let Some(retry) = read_manifest(&from)? else { return Ok(()) };
        let mut taken: BTreeSet<String> = self.manifest.files().map(str::to_owned).collect();
        for (key, mut entry) in retry.outputs {
            if let Entry::File { file, .. } = &mut entry {
                let name = free_name(file, &taken);
                fs::rename(from.join(&*file), self.folder.join(&name))?;
                taken.insert(name.clone());
                *file = name;
            }
            self.manifest.outputs.insert(key, entry);
        }
        self.manifest.run = retry.run;
        self.manifest.run.output_dir = self.folder.display().to_string();
        write_whole(&self.folder.join(MANIFEST), true, |out| {
            serde_json::to_writer_pretty(&mut *out, &self.manifest)?;
            out.write_all(b"\n")
        })?;
        fs::remove_dir_all(&from)
    }
}

/// A manifest, or none where there is none.
pub(super) fn read_manifest(folder: &Path) -> io::Result<Option<Manifest>> {
    match fs::read(folder.join(MANIFEST)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The name, or the first like it that no result has.
fn free_name(name: &str, taken: &BTreeSet<String>) -> String {
    let is_free = |name: &String| !taken.contains(name);
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "bin"));
    std::iter::once(name.to_owned())
        .chain((2..=taken.len() + 2).map(|number| format!("{stem}~{number}.{ending}")))
        .find(is_free)
        .unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_never_takes_anothers_name() {
        let taken = BTreeSet::from(["a.bin".to_owned(), "a~2.bin".to_owned()]);
        assert_eq!(free_name("b.bin", &taken), "b.bin");
        assert_eq!(free_name("a.bin", &taken), "a~3.bin");
    }
}
