//! The output folder of a run: whose results it holds, and what goes at the end.
//!
//! Only files that a manifest lists are ever removed; nothing else in the folder is touched.

use super::manifest::{Manifest, checksum_text};
use super::whole::{Unfinished, in_words, is_temporary, write_whole};
use crate::user_error::UserError;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// Name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// Name of the file with the verdict.
pub const EXIT_FILE: &str = ".rdask-exit";

/// An output folder that this run may write to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Files that an older manifest lists.
    old_files: Vec<String>,
}

impl Folder {
    /// Makes or takes over a folder for a graph with this `graph_file::content_hash`. One that
    /// holds results of another graph is refused without `overwrite`; its files stay until the end
    /// of the run.
    ///
    /// # Errors
    /// When it cannot be written, or belongs to another graph.
    pub fn open(path: &Path, content_hash: u64, overwrite: bool) -> Result<Self, UserError> {
        let place = path.display().to_string();
        let unwritable = |error: std::io::Error| {
            let why = in_words(path, &error);
            UserError::new(format!("cannot write to the output folder: {why}"), &place)
                .help("choose another one with --output DIR")
        };
        std::fs::create_dir_all(path).map_err(unwritable)?;
        drop(Unfinished::begin(&path.join("probe")).map_err(unwritable)?);
        let old = match std::fs::read(path.join(MANIFEST)) {
            Ok(bytes) => Some(serde_json::from_slice::<Manifest>(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(unwritable(error)),
        };
        let advice = "choose another folder with --output DIR, or replace them with --overwrite";
        let old_files = match old {
            None => Vec::new(),
            Some(Ok(old)) if overwrite || old.graph.content_hash == checksum_text(content_hash) => {
                old.files().map(str::to_owned).collect()
            }
            Some(Ok(_)) => {
                let what = "the output folder holds the results of another graph";
                return Err(UserError::new(what, place).help(advice));
            }
            Some(Err(_)) if overwrite => Vec::new(),
            Some(Err(error)) => {
                let what = format!("the output folder holds a manifest of another kind: {error}");
                return Err(UserError::new(what, place).help(advice));
            }
        };
        Ok(Self { path: path.to_owned(), old_files })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the manifest, the last file of a run, then removes what the older one listed and this
    /// one does not.
    ///
    /// # Errors
    /// When the manifest cannot be written; nothing is removed then.
    pub fn finish(&self, manifest: &Manifest, sync: bool) -> std::io::Result<()> {
        write_whole(&self.path.join(MANIFEST), sync, |out| {
            serde_json::to_writer_pretty(&mut *out, manifest)?;
            out.write_all(b"\n")
        })?;
        let kept: BTreeSet<&str> = manifest.files().collect();
        for file in self.old_files.iter().filter(|file| !kept.contains(file.as_str())) {
            self.remove(file);
        }
        self.sweep();
        Ok(())
    }

    /// Removes what killed writers left half written. For the end of a run, when nobody writes.
    pub fn sweep(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        for entry in entries.filter_map(Result::ok) {
            if entry.file_name().to_str().is_some_and(is_temporary) {
                // The writer may have removed it itself in this moment.
                let _removed = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Removes a file of an older run; a name that leads out of the folder is left alone.
    fn remove(&self, file: &str) {
        let mut parts = Path::new(file).components();
        let inside = matches!(parts.next(), Some(Component::Normal(_))) && parts.next().is_none();
        let path = self.path.join(file);
        if inside
            && file != MANIFEST
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "an old result could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Entry, GraphEntry};
    use super::super::summary::Summary;
    use super::*;
    use crate::output::tests::names;

    fn manifest(hash: u64, files: &[&str]) -> Manifest {
        let entry = |file: &&str| Entry::File {
            file: (*file).to_owned(),
            kind: "bytes".into(),
            dtype: None,
            shape: None,
            nbytes: 1,
            checksum: None,
            chunks: None,
        };
        Manifest {
            graph: GraphEntry {
                path: "g.bin".into(),
                content_hash: checksum_text(hash),
                tasks: 1,
                edges: 0,
            },
            outputs: files.iter().map(|file| ((*file).to_owned(), entry(file))).collect(),
            run: Summary::default(),
        }
    }

    #[test]
    fn a_new_folder_is_made_and_left_empty() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        Folder::open(&path, 1, false).unwrap();
        assert!(names(&path).is_empty());
    }

    #[test]
    fn the_same_graph_replaces_its_files_and_no_others() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path();
        for file in ["a.bin", "b.bin", "mine.txt"] {
            std::fs::write(path.join(file), "x").unwrap();
        }
        std::fs::write(parent.path().join("outside"), "x").unwrap();
        let old = manifest(1, &["a.bin", "b.bin", "gone.bin", "../outside", "manifest.json"]);
        Folder::open(path, 1, false).unwrap().finish(&old, true).unwrap();
        assert_eq!(names(path).len(), 5);
        Folder::open(path, 1, false).unwrap().finish(&manifest(1, &["b.bin"]), true).unwrap();
        assert_eq!(names(path), ["b.bin", "manifest.json", "mine.txt", "outside"]);
    }

    #[test]
    fn another_graph_needs_overwrite() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path();
        Folder::open(path, 1, false).unwrap().finish(&manifest(1, &["a.bin"]), false).unwrap();
        std::fs::write(path.join("a.bin"), "x").unwrap();
        // A writer that was killed leaves its file.
        std::mem::forget(Unfinished::begin(&path.join("b.bin")).unwrap());
        assert_eq!(names(path).len(), 3);
        let error = Folder::open(path, 2, false).unwrap_err().to_string();
        assert!(error.contains("another graph") && error.contains("--overwrite"), "{error}");
        Folder::open(path, 2, true).unwrap().finish(&manifest(2, &[]), false).unwrap();
        assert_eq!(names(path), ["manifest.json"]);
    }

    #[test]
    fn a_foreign_manifest_needs_overwrite() {
        let parent = tempfile::tempdir().unwrap();
        std::fs::write(parent.path().join(MANIFEST), "{\"name\": \"app\"}").unwrap();
        let error = Folder::open(parent.path(), 1, false).unwrap_err().to_string();
        assert!(error.contains("manifest of another kind"), "{error}");
        Folder::open(parent.path(), 1, true).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let error = Folder::open(&path, 1, false).unwrap_err().to_string();
        assert!(error.contains("cannot write to the output folder"), "{error}");
        assert!(error.contains("file)"), "{error}");
    }
}
