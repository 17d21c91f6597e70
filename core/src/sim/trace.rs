//! What is written down of a run: a hash of all that was said, and counts.

use super::coverage::Coverage;
use crate::rng::mix;
use crate::time::Time;

/// Hash and counts of a run. Equal seeds must give equal traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Of every frame that was sent, with its receiver and moment.
    pub hash: u64,
    /// Events of both machines.
    pub events: u64,
    /// Runs that began.
    pub executed: u64,
    /// Payload bytes that arrived.
    pub moved_bytes: u64,
    /// Requests between workers.
    pub transfers: u64,
    /// Tasks that went from one worker to another before they began.
    pub stolen: u64,
    /// Worker processes that ended too early.
    pub deaths: u64,
    /// Edges of both machines that were taken.
    pub coverage: Coverage,
    /// Sendings of a task after a run of it had begun.
    pub recomputed: u64,
    /// Workers that left on purpose.
    pub retired: u64,
    /// Graphs that were taken besides the first.
    pub further_graphs: u64,
    /// Graphs that were refused.
    pub refused_graphs: u64,
    /// Most bytes of results on all workers together.
    pub peak_bytes: u64,
    /// Bytes of results on all workers now.
    pub(super) bytes: u64,
    /// When the last wanted result was there.
    pub makespan_ns: u64,
}

impl Trace {
    /// Writes a frame down.
    pub(super) fn frame(&mut self, now: Time, receiver: u32, frame: &[u8]) {
        let mut hash = mix(self.hash ^ now.0.rotate_left(20) ^ u64::from(receiver));
        for chunk in frame.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        self.hash = hash;
    }

    pub(super) fn stored(&mut self, nbytes: u64) {
        self.bytes += nbytes;
        self.peak_bytes = self.peak_bytes.max(self.bytes);
    }

    pub(super) fn dropped(&mut self, nbytes: u64) {
        self.bytes = self.bytes.saturating_sub(nbytes);
    }
}
