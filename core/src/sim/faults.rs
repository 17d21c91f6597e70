//! What breaks, and when: drawn from the seed before the run begins.
//!
//! Each seed switches some kinds off, so that some runs have one kind alone and some have none.

use crate::config::{MILLISECOND_NS, SECOND_NS};
use crate::ids::{ClientId, TaskId};
use crate::rng::Rng;
use crate::time::Time;

/// One fault of the machine, or something a client does at an awkward moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A worker process dies; its nanny reports it and starts another.
    Crash {
        /// Where.
        slot: usize,
    },
    /// A worker and its nanny are gone; another comes when the machine heals.
    NodeLoss {
        /// Where.
        slot: usize,
    },
    /// A process is stopped for a while (SIGSTOP).
    Freeze {
        /// Where.
        slot: usize,
        /// How long, nanoseconds.
        for_ns: u64,
    },
    /// The control connection of a worker is cut; what is under way is lost.
    Reset {
        /// Where.
        slot: usize,
    },
    /// A worker pauses for want of memory.
    Pause {
        /// Where.
        slot: usize,
        /// How long, nanoseconds.
        for_ns: u64,
    },
    /// Two workers do not reach each other.
    Cut {
        /// One.
        slot: usize,
        /// The other.
        peer: usize,
        /// How long, nanoseconds.
        for_ns: u64,
    },
    /// A worker has no room for what arrives.
    Full {
        /// Where.
        slot: usize,
        /// How long, nanoseconds.
        for_ns: u64,
    },
    /// What a worker serves arrives damaged.
    Corrupt {
        /// Where.
        slot: usize,
        /// How long, nanoseconds.
        for_ns: u64,
    },
    /// A client wants a key.
    Desires {
        /// Who.
        client: ClientId,
        /// What.
        task: TaskId,
    },
    /// A client wants a key no more.
    Releases {
        /// Who.
        client: ClientId,
        /// What.
        task: TaskId,
    },
    /// A client cancels a key.
    Cancels {
        /// Who.
        client: ClientId,
        /// What.
        task: TaskId,
        /// Also what others want.
        force: bool,
    },
    /// A client has an erred key tried again.
    Retries {
        /// What.
        task: TaskId,
    },
}

/// The kinds of faults, by name.
pub const KINDS: [&str; 9] =
    ["crash", "node-loss", "freeze", "reset", "pause", "cut", "full", "corrupt", "client"];

/// What breaks in one run.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// When each fault begins, in order.
    pub faults: Vec<(Time, Fault)>,
    /// From when on everything works again.
    pub heals: Time,
}

impl FaultPlan {
    /// Draws faults of the kinds in `kinds` (a bit each, as in `KINDS`) over `span_ns`.
    #[must_use]
    pub fn draw(
        rng: &mut Rng,
        kinds: u16,
        span_ns: u64,
        (slots, tasks): (usize, usize),
        ttl_ns: u64,
    ) -> Self {
        let enabled: Vec<usize> =
            (0..KINDS.len()).filter(|kind| kinds & (1 << kind) != 0).collect();
        let mut plan = Self { faults: Vec::new(), heals: Time(span_ns * 2) };
        if enabled.is_empty() {
            return plan;
        }
        for _ in 0..1 + rng.below(12) {
            let at = Time(rng.below(span_ns + span_ns / 2));
            let kind = enabled[rng.below(enabled.len() as u64) as usize];
            plan.faults.push((at, draw_one(rng, kind, span_ns, (slots, tasks), ttl_ns)));
        }
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }
}

fn draw_one(
    rng: &mut Rng,
    kind: usize,
    span_ns: u64,
    (slots, tasks): (usize, usize),
    ttl_ns: u64,
) -> Fault {
    let slot = rng.below(slots as u64) as usize;
    let peer = rng.below(slots as u64) as usize;
    let task = TaskId::from_index(rng.below(tasks as u64) as usize);
    let client = ClientId(rng.below(2) as u32);
    let for_ns = MILLISECOND_NS + rng.below(span_ns);
    match kind {
        0 => Fault::Crash { slot },
        1 => Fault::NodeLoss { slot },
        // Half of them outlast the patience of the scheduler.
        2 => Fault::Freeze { slot, for_ns: rng.below(2) * (ttl_ns + SECOND_NS) + for_ns },
        3 => Fault::Reset { slot },
        4 => Fault::Pause { slot, for_ns },
        5 => Fault::Cut { slot, peer, for_ns },
        6 => Fault::Full { slot, for_ns },
        7 => Fault::Corrupt { slot, for_ns },
        _ => match rng.below(5) {
            0 | 1 => Fault::Desires { client, task },
            2 => Fault::Releases { client, task },
            3 => Fault::Cancels { client, task, force: rng.below(2) == 0 },
            _ => Fault::Retries { task },
        },
    }
}
