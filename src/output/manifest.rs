//! `manifest.json`: what a run wrote, written last.

use super::summary::Summary;
use rdask_core::messages::Written;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A sum as it stands in files: `xxh3-64:` and 16 hex digits.
#[must_use]
pub fn checksum_text(sum: u64) -> String {
    format!("xxh3-64:{sum:016x}")
}

/// The graph of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphEntry {
    /// Path as it was given.
    pub path: String,
    /// `xxh3-64:` and 16 hex digits over tasks, specs, edges and outputs.
    pub content_hash: String,
    /// Tasks in the file.
    pub tasks: u64,
    /// Edges in the file.
    pub edges: u64,
}

/// What became of one chunk of an array: a checksum or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkState {
    /// Key of its task.
    pub key: String,
    /// Over its elements in C order.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checksum: Option<String>,
    /// Why it is missing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// What became of one output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// It is a file.
    File {
        /// Name within the folder.
        file: String,
        /// `array`, `bytes` or `pickle`.
        kind: String,
        /// dtype of an array.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        dtype: Option<String>,
        /// Shape of an array.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shape: Option<Vec<u64>>,
        /// Size of the file.
        nbytes: u64,
        /// Over the whole file; none for an array made of chunks.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        checksum: Option<String>,
        /// Chunks of an array, in C order of their grid.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        chunks: Option<Vec<ChunkState>>,
    },
    /// It is missing.
    Error {
        /// Why.
        error: String,
        /// Chunks of an array, in C order of their grid.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        chunks: Option<Vec<ChunkState>>,
    },
}

impl Entry {
    /// Its file in the folder, when it has one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File { file, .. } => Some(file),
            Self::Error { .. } => None,
        }
    }

    /// An output that is missing.
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        Self::Error { error: error.into(), chunks: None }
    }
}

impl From<Written> for Entry {
    fn from(written: Written) -> Self {
        let array = written.kind == "array";
        Self::File {
            file: written.file,
            kind: written.kind,
            dtype: array.then_some(written.dtype),
            shape: array.then_some(written.shape),
            nbytes: written.nbytes,
            checksum: Some(checksum_text(written.checksum)),
            chunks: None,
        }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which graph.
    pub graph: GraphEntry,
    /// Outputs by key, arrays by name.
    pub outputs: BTreeMap<String, Entry>,
    /// What the run did.
    pub run: Summary,
}

impl Manifest {
    /// Lists an array; where an output has its name as key, it is listed as `NAME.npy`.
    pub fn add_array(&mut self, name: &str, entry: Entry) {
        let taken = self.outputs.contains_key(name);
        let name = if taken { format!("{name}.npy") } else { name.to_owned() };
        self.outputs.insert(name, entry);
    }

    /// Names of all files that it lists.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.outputs.values().filter_map(Entry::file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_as_text() {
        assert_eq!(checksum_text(0xab), "xxh3-64:00000000000000ab");
    }

    #[test]
    fn entries_have_the_fields_of_the_contract() {
        let written = Written {
            file: "s.npy".into(),
            kind: "array".into(),
            dtype: "f64".into(),
            shape: vec![],
            nbytes: 136,
            checksum: 1,
        };
        let entry = serde_json::to_value(Entry::from(written.clone())).unwrap();
        let expected = serde_json::json!({
            "file": "s.npy", "kind": "array", "dtype": "f64", "shape": [], "nbytes": 136,
            "checksum": "xxh3-64:0000000000000001"
        });
        assert_eq!(entry, expected);
        let bytes = Written { kind: "bytes".into(), dtype: String::new(), ..written };
        let entry = serde_json::to_value(Entry::from(bytes)).unwrap();
        assert!(entry.get("dtype").is_none() && entry.get("shape").is_none());
        let failed = serde_json::to_value(Entry::failed("no")).unwrap();
        assert_eq!(failed, serde_json::json!({"error": "no"}));
    }
}
