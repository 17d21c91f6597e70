//! The thread that writes results to the output folder, so that neither tasks nor messages wait.
//!
//! It remembers which files are not synced, and syncs them when the scheduler asks.

use crate::config::Fsync;
use crate::output::{ChunkError, sync_files, write_chunk, write_file};
use rdask_core::ids::TaskId;
use rdask_core::messages::{ToScheduler, WriteTarget};
use rdask_store::{Activity, Sealed};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;

/// Something to write.
#[derive(Debug)]
pub(super) enum Order {
    /// Write a result.
    Write {
        /// The task.
        task: TaskId,
        /// Its value; none: not held here any more. The activity lasts until the answer is out.
        value: Option<(Sealed, Activity)>,
        /// Where to.
        target: WriteTarget,
    },
    /// Sync everything written.
    Sync,
}

impl Order {
    /// Bytes of the value that it holds.
    fn nbytes(&self) -> u64 {
        match self {
            Self::Write { value: Some((value, _)), .. } => value.nbytes(),
            Self::Write { value: None, .. } | Self::Sync => 0,
        }
    }
}

/// The writing thread's books.
struct Writer {
    folder: PathBuf,
    fsync: Fsync,
    unsynced: BTreeSet<PathBuf>,
}

/// Starts the thread. It ends when the sender is dropped; answers go to `answer`, with the bytes
/// of the value that the order held.
///
/// # Errors
/// When the system refuses a thread.
pub(super) fn start(
    folder: PathBuf,
    fsync: Fsync,
    answer: impl Fn(u64, &ToScheduler) + Send + 'static,
) -> std::io::Result<mpsc::Sender<Order>> {
    let (sender, orders) = mpsc::channel::<Order>();
    std::thread::Builder::new().name("writer".to_owned()).spawn(move || {
        let mut writer = Writer { folder, fsync, unsynced: BTreeSet::new() };
        for order in orders {
            let nbytes = order.nbytes();
            let (message, under_way) = writer.carry_out(order);
            answer(nbytes, &message);
            drop(under_way);
        }
    })?;
    Ok(sender)
}

impl Writer {
    /// The answer, and what must outlive it.
    fn carry_out(&mut self, order: Order) -> (ToScheduler, Option<Activity>) {
        match order {
            Order::Write { task, value: None, target } => {
                let (target, reason) = (Box::new(target), String::new());
                (ToScheduler::OutputFailed { task, target, reason, mismatch: false }, None)
            }
            Order::Write { task, value: Some((value, under_way)), target } => {
                (self.write(task, &value, target), Some(under_way))
            }
            Order::Sync => (ToScheduler::OutputsSynced { error: self.sync() }, None),
        }
    }

    fn write(&mut self, task: TaskId, value: &Sealed, target: WriteTarget) -> ToScheduler {
        let written = match &target {
            WriteTarget::File { stem } => write_file(&self.folder, stem, value, self.fsync)
                .map(|written| (self.folder.join(&written.file), written))
                .map_err(|error| (error.to_string(), false)),
            WriteTarget::Chunk { path, .. } => write_chunk(&target, value)
                .map(|written| (PathBuf::from(path), written))
                .map_err(|error| (error.to_string(), matches!(error, ChunkError::Mismatch { .. }))),
        };
        match written {
            Ok((path, written)) => {
                if self.fsync == Fsync::End {
                    self.unsynced.insert(path);
                }
                let (target, written) = (Box::new(target), Box::new(written));
                ToScheduler::OutputWritten { task, target, written }
            }
            Err((reason, mismatch)) => {
                ToScheduler::OutputFailed { task, target: Box::new(target), reason, mismatch }
            }
        }
    }

    /// Syncs what was written since the last time; gives the system's error.
    fn sync(&mut self) -> Option<String> {
        let files = std::mem::take(&mut self.unsynced);
        sync_files(files.iter().map(PathBuf::as_path)).err().map(|error| error.to_string())
    }
}
