//! The graph of a record: keys, edges, attributes and order in pieces that each fit a message. What
//! tasks run is left out, since the scheduler's decisions do not depend on it.

use super::reader::RecordError;
use crate::codec::{self, CodecError};
use crate::graph::{Attributes, Csr, Graph, Keys, Outputs, RunSpec};
use crate::ids::{ClientId, SpecId, TaskId};
use crate::scheduler::GraphSubmission;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A piece is closed when its keys and edges have grown beyond this.
const PIECE_BYTES: usize = 4 << 20;
/// Attributes in one piece.
const ATTRIBUTES: usize = 10_000;

/// A part of a submission.
#[derive(Serialize, Deserialize)]
enum Piece {
    /// The next tasks.
    Tasks {
        text: String,
        key_lengths: Vec<u32>,
        input_counts: Vec<u32>,
        inputs: Vec<TaskId>,
        order: Vec<u32>,
    },
    Attributes(Vec<(TaskId, Attributes)>),
    /// The last piece.
    Wishes {
        client: ClientId,
        wanted: Vec<TaskId>,
        run_once: Vec<TaskId>,
    },
}

/// Gives a submission away piece by piece, encoded.
pub(super) fn pieces(
    submission: &GraphSubmission,
    give: &mut dyn FnMut(&[u8]),
) -> Result<(), CodecError> {
    let graph = &submission.graph;
    let mut give = |piece: &Piece| codec::encode(piece).map(|bytes| give(&bytes));
    let (mut first, mut bytes) = (0, 0);
    for index in 0..graph.len() {
        let task = TaskId::from_index(index);
        bytes += graph.key(task).len() + 8 * graph.inputs.row(task).len() + 16;
        if bytes > PIECE_BYTES || index + 1 == graph.len() {
            give(&tasks(submission, first..index + 1))?;
            (first, bytes) = (index + 1, 0);
        }
    }
    for attributes in graph.attributes.chunks(ATTRIBUTES) {
        give(&Piece::Attributes(attributes.to_vec()))?;
    }
    give(&Piece::Wishes {
        client: submission.client,
        wanted: submission.wanted.clone(),
        run_once: submission.run_once.clone(),
    })
}

fn tasks(submission: &GraphSubmission, range: std::ops::Range<usize>) -> Piece {
    let graph = &submission.graph;
    let mut text = String::new();
    let (mut key_lengths, mut input_counts, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
    for index in range.clone() {
        let task = TaskId::from_index(index);
        let (key, row) = (graph.key(task), graph.inputs.row(task));
        text.push_str(key);
        key_lengths.push(short(key.len()));
        input_counts.push(short(row.len()));
        inputs.extend_from_slice(row);
    }
    let order = submission.order.get(range).unwrap_or_default().to_vec();
    Piece::Tasks { text, key_lengths, input_counts, inputs, order }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("checked graphs have short keys and fewer than 2^32 edges")
}

/// Puts a submission together again.
#[derive(Default)]
pub(super) struct Assembly {
    keys: Keys,
    inputs: Csr,
    order: Vec<u32>,
    attributes: Vec<(TaskId, Attributes)>,
    wishes: Option<(ClientId, Vec<TaskId>, Vec<TaskId>)>,
}

impl Assembly {
    /// Takes the next piece; true when it was the last.
    pub(super) fn add(&mut self, body: &[u8]) -> Result<bool, RecordError> {
        let piece = codec::decode(body).map_err(|_| RecordError::Graph)?;
        match piece {
            Piece::Tasks { text, key_lengths, input_counts, inputs, order } => {
                if key_lengths.len() != input_counts.len() || order.len() != key_lengths.len() {
                    return Err(RecordError::Graph);
                }
                offsets(&mut self.keys.offsets, &key_lengths);
                self.keys.text.push_str(&text);
                offsets(&mut self.inputs.offsets, &input_counts);
                self.inputs.values.extend(inputs);
                self.order.extend(order);
            }
            Piece::Attributes(attributes) => self.attributes.extend(attributes),
            Piece::Wishes { client, wanted, run_once } => {
                self.wishes = Some((client, wanted, run_once));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The submission, once the last piece was there.
    pub(super) fn finish(mut self) -> Result<GraphSubmission, RecordError> {
        let (client, wanted, run_once) = self.wishes.take().ok_or(RecordError::Graph)?;
        if self.order.is_empty() {
            self.keys.offsets = vec![0];
            self.inputs.offsets = vec![0];
        }
        let count = self.order.len();
        let boundary =
            |at: &u64| usize::try_from(*at).is_ok_and(|at| self.keys.text.is_char_boundary(at));
        let within = |task: &TaskId| task.index() < count;
        let whole = self.keys.offsets.last() == Some(&(self.keys.text.len() as u64))
            && self.keys.offsets.iter().all(boundary)
            && self.inputs.offsets.last() == Some(&(self.inputs.values.len() as u64))
            && self.inputs.values.iter().all(within)
            && self.attributes.iter().all(|(task, _)| within(task))
            && wanted.iter().chain(&run_once).all(within);
        if !whole {
            return Err(RecordError::Graph);
        }
        let graph = Arc::new(Graph {
            keys: self.keys,
            specs: vec![RunSpec::Kernel { name: "identity".to_owned(), params: Vec::new() }],
            spec_of: vec![SpecId(0); count],
            inputs: self.inputs,
            attributes: self.attributes,
            outputs: Outputs::Tasks(wanted.clone()),
            arrays: Vec::new(),
            order: None,
            meta: String::new(),
        });
        Ok(GraphSubmission {
            client,
            graph,
            order: self.order,
            wanted,
            run_once,
            references: Vec::new(),
            fifo_timeout_ns: 0,
        })
    }
}

/// Appends the ends of rows of these lengths.
fn offsets(offsets: &mut Vec<u64>, lengths: &[u32]) {
    if offsets.is_empty() {
        offsets.push(0);
    }
    let mut end = offsets.last().copied().unwrap_or(0);
    for length in lengths {
        end = end.saturating_add(u64::from(*length));
        offsets.push(end);
    }
}
