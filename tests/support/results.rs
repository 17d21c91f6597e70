//! What a run left in its output folder, to hold one run against another.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Files and descriptions of one run.
pub(crate) struct Results {
    pub(crate) summary: Value,
    /// What the manifest says of the graph and of each output; not of the run.
    described: [Value; 2],
    /// Every other file by its name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Results {
    /// Reads an output folder.
    pub(crate) fn read(out: &Path, summary: Value) -> Self {
        let entries = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap());
        let mut files: BTreeMap<String, Vec<u8>> = entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        let manifest = files.remove("manifest.json").unwrap();
        assert!(files.remove(".rdask-exit").is_some(), "the verdict is missing");
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        Self { summary, described: [manifest["graph"].clone(), manifest["outputs"].clone()], files }
    }

    /// Asserts that another run gave the same bytes.
    #[track_caller]
    pub(crate) fn expect_equal(&self, other: &Self, how: &str) {
        let names = |results: &Self| results.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "{how}");
        for (name, bytes) in &self.files {
            // Not assert_eq, which would print megabytes.
            assert!(*bytes == other.files[name], "{how}: {name} has other bytes");
        }
        assert_eq!(self.described, other.described, "{how}");
        assert_eq!(self.summary["tasks"], other.summary["tasks"], "{how}");
    }
}
