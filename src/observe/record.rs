//! The flight record on disk: blocks go to a thread of their own that writes them, so that a slow
//! disk never holds the scheduler up.
//!
//! A record that cannot be begun is refused before the run. Later a full disk, or one that is slower
//! than the events by more than a limit, costs one warning and the rest of the record: what is
//! written stays whole up to its last block.

use rdask_core::codec::CodecError;
use rdask_core::record::{
    Encoder, End, Info, LEAST_SLOTS, SLOT_BYTES, end_block, graph_blocks, header,
};
use rdask_core::scheduler::{GraphSubmission, SchedulerEvent};
use rdask_core::time::Time;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

/// Blocks that wait for the disk, bytes: seconds of the fastest run, and little beside its graph.
const BACKLOG_BYTES: u64 = 256 << 20;

/// Where a record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    /// The file.
    pub path: PathBuf,
    /// Bytes of a ring; none: everything is kept.
    pub size: Option<u64>,
}

/// Something for the thread.
enum Item {
    Block(Vec<u8>),
    Graph(Box<GraphSubmission>),
}

/// What thread and driver share.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes under way.
    backlog: AtomicU64,
    /// Why the thread writes no more.
    error: Mutex<Option<String>>,
}

impl Shared {
    fn fail(&self, error: String) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn take_error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A record that is being written.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    encoder: Encoder,
    shared: Arc<Shared>,
    thread: Option<(mpsc::Sender<Item>, JoinHandle<()>)>,
}

impl Recorder {
    /// Begins a record: its header is on its way to the system when this returns.
    ///
    /// # Errors
    /// The system's.
    pub fn create(options: &RecordOptions, mut info: Info) -> io::Result<Self> {
        if let Some(size) = options.size {
            info.slots = (size / SLOT_BYTES as u64).max(LEAST_SLOTS);
        }
        let file = File::create(&options.path)?;
        let head = header(&info).map_err(io::Error::other)?;
        file.write_all_at(&head, 0)?;
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            file,
            at: head.len() as u64,
            slots: info.slots,
            slot: 0,
            early: (info.slots > 0).then(Vec::new),
        };
        let (sender, receiver) = mpsc::channel();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || writer.run(&receiver, &theirs))?;
        Ok(Self {
            path: options.path.clone(),
            encoder: Encoder::new(info.slots > 0),
            shared,
            thread: Some((sender, thread)),
        })
    }

    /// Writes an event down that the scheduler is about to handle; `fingerprint` is of its state
    /// before.
    pub fn event(&mut self, now: Time, event: &SchedulerEvent, fingerprint: impl FnOnce() -> u64) {
        if self.thread.is_none() {
            return;
        }
        if let SchedulerEvent::UpdateGraph(submission) = event {
            self.send(Item::Graph(submission.clone()));
        }
        match self.encoder.event(now, event, fingerprint) {
            Ok(Some(block)) => self.send(Item::Block(block)),
            Ok(None) => {}
            Err(error) => self.give_up(&error.to_string()),
        }
    }

    /// Hands the events so far to the disk; `fingerprint` is of the state behind them.
    pub fn flush(&mut self, fingerprint: impl FnOnce() -> u64) {
        if let Some(error) = self.shared.take_error() {
            self.give_up(&error);
        }
        if self.thread.is_some()
            && let Some(block) = self.encoder.block(fingerprint())
        {
            self.send(Item::Block(block));
        }
    }

    /// Ends the record with the state that the run ended in, and waits for the disk.
    pub fn finish(mut self, fingerprint: u64, state_hash: u64) {
        self.flush(|| fingerprint);
        self.send(Item::Block(end_block(End { events: self.encoder.events(), state_hash })));
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A panic of the thread is told as every other end of it.
            let ended = thread.join().is_ok();
            let error = self.shared.take_error();
            if let Some(error) = error.or((!ended).then(|| "its thread ended".to_owned())) {
                self.give_up(&error);
            }
        }
    }

    fn send(&mut self, item: Item) {
        let bytes = item.len();
        let Some((sender, _)) = &self.thread else { return };
        let backlog = self.shared.backlog.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let sent = backlog <= BACKLOG_BYTES && sender.send(item).is_ok();
        if !sent {
            let slow = "the disk is slower than the events";
            let error = self.shared.take_error().unwrap_or_else(|| slow.to_owned());
            self.give_up(&error);
        }
    }

    /// The run goes on without its record.
    fn give_up(&mut self, error: &str) {
        self.thread = None;
        let path = self.path.display();
        tracing::warn!(%path, events = self.encoder.events(), "the record ends here: {error}");
    }
}

impl Item {
    fn len(&self) -> u64 {
        match self {
            Self::Block(block) => block.len() as u64,
            Self::Graph(_) => 0,
        }
    }
}

/// The thread's side.
struct Writer {
    file: File,
    /// Where the next block goes; of a ring, where its slots begin.
    at: u64,
    slots: u64,
    slot: u64,
    /// Blocks of a ring whose graph is not there yet: the slots begin behind it.
    early: Option<Vec<Vec<u8>>>,
}

impl Writer {
    fn run(mut self, receiver: &mpsc::Receiver<Item>, shared: &Shared) {
        while let Ok(item) = receiver.recv() {
            let bytes = item.len();
            if let Err(error) = self.take(item) {
                shared.fail(error.to_string());
                return;
            }
            shared.backlog.fetch_sub(bytes, Ordering::Relaxed);
        }
        if let Err(error) = self.begin_slots() {
            shared.fail(error.to_string());
        }
    }

    fn take(&mut self, item: Item) -> io::Result<()> {
        match item {
            Item::Block(block) => match &mut self.early {
                Some(early) => early.push(block),
                None => return self.put(&block),
            },
            Item::Graph(submission) => {
                let mut written = Ok(());
                let pieces = graph_blocks(&submission, &mut |block| {
                    if written.is_ok() {
                        written = self.append(&block);
                    }
                });
                written?;
                pieces.map_err(|error: CodecError| io::Error::other(error.to_string()))?;
                self.begin_slots()?;
            }
        }
        Ok(())
    }

    /// The graph is there, or will never be.
    fn begin_slots(&mut self) -> io::Result<()> {
        for block in self.early.take().unwrap_or_default() {
            self.put(&block)?;
        }
        Ok(())
    }

    fn append(&mut self, block: &[u8]) -> io::Result<()> {
        self.file.write_all_at(block, self.at)?;
        self.at += block.len() as u64;
        Ok(())
    }

    fn put(&mut self, block: &[u8]) -> io::Result<()> {
        if self.slots == 0 {
            return self.append(block);
        }
        let at = self.at + self.slot * SLOT_BYTES as u64;
        self.slot = (self.slot + 1) % self.slots;
        self.file.write_all_at(block, at)
    }
}

/// What a record keeps of a run besides its events.
#[must_use]
pub fn info(config: &rdask_core::config::Config, seed: u64) -> Info {
    let program = format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    Info { program, seed, settings: config.changed(), slots: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdask_core::config::Config;
    use rdask_core::ids::{ClientId, TaskId, WorkerId};
    use rdask_core::record::Record;
    use std::path::Path;

    fn record(size: Option<u64>, events: u32) -> Record {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.record");
        let options = RecordOptions { path: path.clone(), size };
        let mut recorder = Recorder::create(&options, info(&Config::default(), 7)).unwrap();
        recorder.event(Time(1), &SchedulerEvent::AddClient(ClientId(0)), || 0);
        for number in 0..events {
            let tasks = (0..100).map(TaskId).collect();
            let event = SchedulerEvent::AddKeys { worker: WorkerId(number), tasks };
            recorder.event(Time(u64::from(number)), &event, || 0);
        }
        recorder.finish(1, 2);
        Record::read(std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn whole_records_and_rings_reach_the_disk() {
        let whole = record(None, 20_000);
        assert_eq!((whole.first_event(), whole.events()), (0, 20_001));
        assert_eq!(whole.end(), Some(End { events: 20_001, state_hash: 2 }));
        let ring = record(Some(300 << 10), 20_000);
        assert!(ring.first_event() > 10_000, "{}", ring.first_event());
        assert_eq!((ring.events(), ring.info().slots), (20_001, 4));
        assert_eq!(ring.end(), whole.end());
    }

    #[test]
    fn a_disk_that_is_full_costs_the_record_alone() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        // The header already fails there: nothing has begun.
        let options = RecordOptions { path: full.to_owned(), size: None };
        let error = Recorder::create(&options, Info::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        // A writer that fails later is given up at the next flush.
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions { path: folder.path().join("r"), size: None };
        let mut recorder = Recorder::create(&options, Info::default()).unwrap();
        recorder.shared.fail("no space left".to_owned());
        recorder.flush(|| 0);
        assert!(recorder.thread.is_none());
        recorder.event(Time(1), &SchedulerEvent::AllWorkersArrived, || 0);
        recorder.finish(0, 0);
    }
}
