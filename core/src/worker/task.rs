//! One task as this worker knows it: its state, what to run, its inputs and who needs it.
//!
//! Owns the record and the names of the states; where records lie and how they are linked is
//! `tasks.rs`, how they move is `transitions.rs` and `cancelled.rs`. A record with a live
//! instruction (a run on a thread, a transfer) is never forgotten before that instruction ended.

use crate::ids::{RunId, SpecId, TaskId, TransferId};
use crate::messages::{Priority, TaskError, TypeCode};
use crate::time::Time;

/// What cannot be stopped once it has begun, so that a record must outlive it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Live {
    /// A run that holds slots of the pool.
    Executing,
    /// A run that left the pool.
    LongRunning,
    /// A transfer from a peer.
    Flight,
}

/// State of a task on a worker (Dask's names; docs/states.md tells what each means).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Known, nothing held: on its way in or out.
    Released,
    /// To be computed here, inputs still missing.
    Waiting,
    /// All inputs here, waits for a slot.
    Ready,
    /// All inputs here, waits for slots, memory or resources.
    Constrained,
    /// On a thread.
    Executing,
    /// On a thread of its own, outside the pool.
    LongRunning,
    /// Only ever asked for: the task gave itself back.
    Rescheduled,
    /// Wanted from a peer, not asked for yet.
    Fetch,
    /// Asked for.
    Flight,
    /// Wanted, but no holder is known.
    Missing,
    /// The value is here.
    Memory,
    /// Failed here.
    Erred,
    /// Released while something runs that cannot be stopped.
    Cancelled(Live),
    /// Cancelled, then wanted again in the other way: a run whose value is to be fetched, a
    /// transfer whose value is to be computed.
    Resumed(Live),
    /// The record is gone.
    Forgotten,
}

impl State {
    /// Wanted by the scheduler as a computation that has not ended.
    pub(super) const fn is_processing(self) -> bool {
        matches!(
            self,
            Self::Waiting | Self::Ready | Self::Constrained | Self::Executing | Self::LongRunning
        )
    }

    /// What of the record's work is under way, if anything.
    pub(super) const fn live(self) -> Option<Live> {
        match self {
            Self::Executing => Some(Live::Executing),
            Self::LongRunning => Some(Live::LongRunning),
            Self::Flight => Some(Live::Flight),
            Self::Cancelled(live) | Self::Resumed(live) => Some(live),
            Self::Released
            | Self::Waiting
            | Self::Ready
            | Self::Constrained
            | Self::Rescheduled
            | Self::Fetch
            | Self::Missing
            | Self::Memory
            | Self::Erred
            | Self::Forgotten => None,
        }
    }
}

/// Where a record lies in the worker's slab; valid until the record is forgotten.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Slot(pub(super) u32);

/// Place of a task in a queue: better first, later arrivals first among equals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    /// The priority's three numbers, then the generation: one comparison in place of four.
    pub(super) key: u128,
    pub(super) slot: Slot,
}

/// What a task takes of the worker while it runs; equal requirements share a queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Requirement {
    /// Slots, at least one.
    pub(super) threads: u32,
    /// Bytes promised to it.
    pub(super) memory_bytes: u64,
    /// Resources by position in the worker's list, in millionths.
    pub(super) resources: Vec<(u32, u64)>,
}

/// An `Execute` that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The run that the instruction named; the record may carry a newer one by now.
    pub(super) run_id: RunId,
    /// When it was handed out.
    pub(super) started: Time,
    /// What it took; given back at its end even when a newer compute-task asks for other things.
    pub(super) taken: Option<Box<Requirement>>,
    /// `Cancel` was sent, so that a failure says nothing about the task.
    pub(super) told_to_stop: bool,
    /// A newer compute-task brought another spec or other inputs.
    pub(super) outdated: bool,
}

/// An input, seen from the dependent.
#[derive(Clone, Copy, Debug)]
pub(super) struct DependencyLink {
    pub(super) slot: Slot,
    /// Position of the opposite link in the input's `dependents`.
    pub(super) back: u32,
    /// The dependent waits for this input (Dask's waiting_for_data and waiters in one bit).
    pub(super) waiting: bool,
}

/// A dependent, seen from the input.
#[derive(Clone, Copy, Debug)]
pub(super) struct DependentLink {
    pub(super) slot: Slot,
    /// Position of the opposite link in the dependent's `dependencies`.
    pub(super) back: u32,
}

/// Position of a peer in the worker's list of peers.
pub(super) type PeerIndex = u32;

/// Everything the worker knows about one task.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) task: TaskId,
    pub(super) state: State,
    /// Recommended next state, while the record stands on the stack of recommendations.
    pub(super) pending: Option<State>,
    /// The live instruction ended in this event.
    pub(super) done: bool,
    /// Latest run that the scheduler sent; `NONE` for a mere input.
    pub(super) run_id: RunId,
    pub(super) attempt: u32,
    /// Name; empty for a mere input.
    pub(super) key: String,
    pub(super) priority: Priority,
    /// Counts down with each compute-task.
    pub(super) generation: u32,
    pub(super) spec: Option<SpecId>,
    /// Arguments as positions in `dependencies`; empty: just those.
    pub(super) arguments: Vec<u32>,
    /// What it takes beyond one slot.
    pub(super) needs: Option<Box<Requirement>>,
    pub(super) timeout_ns: u64,
    /// The run on a thread, if any.
    pub(super) run: Option<Run>,
    /// The transfer that brings it, if any.
    pub(super) transfer: Option<TransferId>,
    pub(super) nbytes: u64,
    pub(super) type_code: TypeCode,
    pub(super) dependencies: Vec<DependencyLink>,
    pub(super) dependents: Vec<DependentLink>,
    /// Inputs it waits for.
    pub(super) waiting_count: u32,
    /// Dependents that wait for it.
    pub(super) waiter_count: u32,
    /// Peers believed to hold it; empty once the value is here.
    pub(super) who_has: Vec<PeerIndex>,
    /// Failure on its way into a task-erred message.
    pub(super) error: Option<Box<TaskError>>,
}

impl Record {
    pub(super) fn new(task: TaskId) -> Self {
        Self {
            task,
            state: State::Released,
            pending: None,
            done: false,
            run_id: RunId::NONE,
            attempt: 0,
            key: String::new(),
            priority: Priority::default(),
            generation: 0,
            spec: None,
            arguments: Vec::new(),
            needs: None,
            timeout_ns: 0,
            run: None,
            transfer: None,
            nbytes: 0,
            type_code: TypeCode(0),
            dependencies: Vec::new(),
            dependents: Vec::new(),
            waiting_count: 0,
            waiter_count: 0,
            who_has: Vec::new(),
            error: None,
        }
    }

    pub(super) const fn rank(&self, slot: Slot) -> Rank {
        let Priority { user, generation, order } = self.priority;
        let user = user.cast_unsigned() ^ (1 << 31);
        let high = ((user as u64) << 32) | generation as u64;
        let low = ((order as u64) << 32) | self.generation as u64;
        Rank { key: ((high as u128) << 64) | low as u128, slot }
    }
}
