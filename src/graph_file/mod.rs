//! graph.bin: a graph as one file, read in one pass and trusted in nothing.
//!
//! ```text
//!   header (64 bytes) │ section table │ sections, each at a multiple of 64
//!     magic, version,   kind, flags,    KEYS SPECS SPEC_OF EDGES            always
//!     length, checksum  offset, length  ATTRS OUTPUTS ARRAYS ORDER BLOBS META  when needed
//! ```
//!
//! `layout` knows header and table, `records` the encoding of specs, attributes and arrays,
//! `reader` and `writer` the tables of numbers. Every length is compared with what is there before
//! anything is allocated for it. docs/graph-format.md describes every byte; a test holds it to this
//! code.

mod command;
mod layout;
mod methods;
mod reader;
mod records;
#[cfg(test)]
mod tests;
mod writer;

pub use layout::{FORMAT_VERSION, MAGIC};
pub use methods::GraphFile;
pub(crate) use reader::read_faults;
pub use reader::{read, read_from};
pub(crate) use writer::file_bytes;
pub use writer::{content_hash, write};

/// Why a file is no graph that this program can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// It begins with something else.
    #[error("this is no graph file: it does not begin with RDASKGR and a zero byte (byte 0)")]
    NotAGraph,
    /// A later version of the program wrote it.
    #[error("graph format version {found}, this rdask-hpc reads up to version {known} (byte 8)")]
    Newer {
        /// Version of the file.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
    /// It ends too early.
    #[error("the file is cut off: {found} of {expected} bytes are there")]
    Truncated {
        /// Bytes that are there.
        found: u64,
        /// Bytes that the header promises, or the header's own size.
        expected: u64,
    },
    /// Something follows its end.
    #[error("the file goes on behind its end at {expected} bytes")]
    Trailing {
        /// Bytes that the header promises.
        expected: u64,
    },
    /// A bit has flipped somewhere behind the header.
    #[error(
        "the checksum is {computed:016x}, the header says {expected:016x}: the file is damaged"
    )]
    Checksum {
        /// In the header.
        expected: u64,
        /// Of the bytes that are there.
        computed: u64,
    },
    /// The header cannot be.
    #[error("{problem} (header)")]
    Header {
        /// What is wrong.
        problem: String,
    },
    /// A section cannot be.
    #[error("{problem} (section {section})")]
    Section {
        /// Name or number of the section.
        section: String,
        /// What is wrong.
        problem: String,
    },
}

impl FileFault {
    /// The way out, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::NotAGraph => "a graph is a graph.bin or a .json file in the JSON form",
            Self::Newer { .. } => "use a newer rdask-hpc, or write the graph again with this one",
            Self::Truncated { .. } | Self::Trailing { .. } | Self::Checksum { .. } => {
                "copy or write the file again"
            }
            Self::Header { .. } | Self::Section { .. } => {
                "docs/graph-format.md describes what belongs there"
            }
        };
        Some(help.to_owned())
    }

    fn header(problem: impl Into<String>) -> Self {
        Self::Header { problem: problem.into() }
    }

    fn section(section: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Section { section: section.into(), problem: problem.into() }
    }
}
