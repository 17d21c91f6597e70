//! The flight record of a scheduler: every event that went into its core, with its time, and what
//! a fresh core needs to take them in again.
//!
//! ```text
//!   header: magic, version, program, seed, settings      checksum
//!   block*: graph pieces · events (first number, fingerprint of the state behind them) · end
//!           each with its own checksum
//! ```
//!
//! A whole record has its blocks one behind the other; a ring has the graph and then slots of one
//! size, of which the oldest is written over. The core writes and reads bytes; files are the
//! driver's. docs/protocol.md tells the layout byte by byte.

mod graph;
mod reader;
mod replay;
mod writer;

pub use reader::{Record, RecordError};
pub use replay::{Replay, Replayed};
pub use writer::{Encoder, end_block, graph_blocks, header};

use serde::{Deserialize, Serialize};

/// The first bytes of a record.
pub const MAGIC: [u8; 8] = *b"RDASKFR\0";
/// Version of the layout.
pub const VERSION: u32 = 2;
/// Length of a slot of a ring: a block with its head. As large as what a flush writes at once.
pub const SLOT_BYTES: usize = 64 << 10;
/// Fewest slots of a ring.
pub const LEAST_SLOTS: u64 = 4;

/// Magic, version, length of the info, checksum of the info.
const HEADER_BYTES: usize = 24;
/// Kind, events, length, zero; first event, fingerprint, checksum.
const BLOCK_HEAD_BYTES: usize = 40;

/// What a record says about its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Name and version of the program that wrote it.
    pub program: String,
    /// Seed of the scheduler.
    pub seed: u64,
    /// Settings that are not at their default, by name.
    pub settings: Vec<(String, String)>,
    /// Slots of the ring; 0: the record is whole.
    pub slots: u64,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Events = 1,
    Graph = 2,
    End = 3,
}

impl Kind {
    const fn of(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Events),
            2 => Some(Self::Graph),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

/// The state that a run ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Events of the whole run.
    pub events: u64,
    /// Hash of the scheduler's state behind the last of them.
    pub state_hash: u64,
}

/// The graph of an event stands in blocks of its own; within the event it leaves no byte.
pub(crate) mod elsewhere {
    use crate::graph::{Graph, Keys, Outputs};
    use crate::ids::ClientId;
    use crate::scheduler::GraphSubmission;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    #[expect(clippy::borrowed_box, reason = "serde names the type of the field")]
    pub(crate) fn serialize<S: Serializer>(
        _: &Box<GraphSubmission>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        ().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Box<GraphSubmission>, D::Error> {
        <()>::deserialize(deserializer)?;
        let graph = Graph {
            keys: Keys { offsets: vec![0], text: String::new() },
            specs: Vec::new(),
            spec_of: Vec::new(),
            inputs: crate::graph::Csr { offsets: vec![0], values: Vec::new() },
            attributes: Vec::new(),
            outputs: Outputs::Sinks,
            arrays: Vec::new(),
            order: None,
            meta: String::new(),
        };
        Ok(Box::new(GraphSubmission {
            client: ClientId(0),
            graph: Arc::new(graph),
            order: Vec::new(),
            wanted: Vec::new(),
            run_once: Vec::new(),
            references: Vec::new(),
            fifo_timeout_ns: 0,
        }))
    }
}
