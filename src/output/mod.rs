//! Results on disk: one file per output, arrays put together from chunks, and what lists them.
//!
//! ```text
//!   worker   write_file ─▶ .tmp ─▶ KEY.npy            write_chunk ─▶ NAME.npy.part
//!   rank 0   Folder::open ─▶ create_part … finish_part ─▶ manifest.json ─▶ .rdask-exit
//! ```
//!
//! A file under its final name is whole. Who writes what is the scheduler's decision; nothing here
//! knows tasks, only stems, targets and sealed objects.

mod chunk;
mod file;
mod folder;
mod manifest;
mod name;
mod npy;
mod scheduler_file;
mod summary;
mod verdict;
pub mod whole;

pub use chunk::{ChunkError, Part, create_part, drop_part, finish_part, write_chunk};
pub use file::{sync_files, write_file};
pub use folder::{EXIT_FILE, Folder, MANIFEST};
pub use manifest::{ChunkState, Entry, GraphEntry, Manifest, checksum_text};
pub use name::Names;
pub use npy::header as npy_header;
pub use scheduler_file::{SchedulerFile, SchedulerFileError, WorkerEntry};
pub use summary::{BytesMoved, Summary};
pub use verdict::{forget_verdict, write_verdict};
pub use whole::{Unfinished, in_words};

#[cfg(test)]
mod tests {
    /// Names of the files in a folder, sorted.
    pub(super) fn names(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}
