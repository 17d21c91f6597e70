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
    /// The connection over which one worker reads from another breaks, and works again at once.
    Drop {
        /// Who reads.
        slot: usize,
        /// From whom.
        peer: usize,
    },
    /// All workers of a host reach neither the scheduler nor other hosts.
    Partition {
        /// A slot on that host.
        slot: usize,
        /// How long, nanoseconds.
        for_ns: u64,
    },
    /// The disk of a worker is full: no room for what arrives or is made.
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
    /// A client wants a key: the next one that nobody needs now.
    Desires {
        /// Who.
        client: ClientId,
        /// What.
        task: TaskId,
    },
    /// A client wants a key no more: the next one that it wants.
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
    /// A client has the next erred key tried again.
    Retries {
        /// What.
        task: TaskId,
    },
}

/// The kinds of faults, by name.
pub const KINDS: [&str; 13] = [
    "crash",
    "node-loss",
    "freeze",
    "reset",
    "pause",
    "cut",
    "drop",
    "partition",
    "full",
    "corrupt",
    "client",
    "flutter",
    "retry",
];

/// What breaks in one run.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// When each fault begins, in order.
    pub faults: Vec<(Time, Fault)>,
    /// From when on everything works again.
    pub heals: Time,
}

/// What faults are drawn for.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// About how long the work takes.
    pub span_ns: u64,
    /// Worker slots.
    pub slots: usize,
    /// Tasks, at least one.
    pub tasks: usize,
    /// Clients change their minds all the time.
    pub restless: bool,
    /// Silence after which a worker counts as lost.
    pub ttl_ns: u64,
}

impl FaultPlan {
    /// Draws faults of the kinds in `kinds` (a bit each, as in `KINDS`).
    #[must_use]
    pub fn draw(rng: &mut Rng, kinds: u16, bounds: &Extent) -> Self {
        let enabled: Vec<usize> =
            (0..KINDS.len()).filter(|kind| kinds & (1 << kind) != 0).collect();
        let mut plan = Self { faults: Vec::new(), heals: Time(bounds.span_ns * 2) };
        if bounds.restless {
            for _ in 0..rng.below(8000) {
                let at = Time(rng.below(bounds.span_ns + bounds.span_ns / 2));
                let task = TaskId::from_index(rng.below(bounds.tasks as u64) as usize);
                let client = ClientId(rng.below(2) as u32);
                plan.faults.push(match rng.below(20) {
                    0..3 => (at, Fault::Retries { task }),
                    3..11 => (at, Fault::Releases { client, task }),
                    _ => (at, Fault::Desires { client, task }),
                });
            }
        }
        plan.draw_faults(rng, &enabled, bounds);
        plan.faults.sort_by_key(|(at, _)| *at);
        plan
    }

    fn draw_faults(&mut self, rng: &mut Rng, enabled: &[usize], bounds: &Extent) {
        if enabled.is_empty() {
            return;
        }
        let most = [10, 50, 400][rng.below(3) as usize];
        if rng.below(6) == 0 {
            // Long enough for what no worker serves to be given up.
            self.heals = self.heals.after_ns(100 * SECOND_NS);
        }
        for _ in 0..1 + rng.below(most) {
            let at = Time(rng.below(bounds.span_ns + bounds.span_ns / 2));
            let kind = enabled[rng.below(enabled.len() as u64) as usize];
            self.draw_one(rng, (at, kind), bounds);
        }
    }

    fn draw_one(&mut self, rng: &mut Rng, (at, kind): (Time, usize), bounds: &Extent) {
        let slot = rng.below(bounds.slots as u64) as usize;
        let peer = rng.below(bounds.slots as u64) as usize;
        let task = TaskId::from_index(rng.below(bounds.tasks as u64) as usize);
        let client = ClientId(rng.below(2) as u32);
        let long_ns = if rng.below(4) == 0 { 5 * SECOND_NS } else { 0 };
        let for_ns = MILLISECOND_NS + rng.below(bounds.span_ns) + long_ns;
        // Half of them outlast the patience of the scheduler.
        let maybe_long_ns = rng.below(2) * (bounds.ttl_ns + SECOND_NS) + for_ns;
        let fault = match KINDS[kind] {
            "crash" => Fault::Crash { slot },
            "node-loss" if rng.below(12) == 0 => {
                let all = (0..bounds.slots).map(|slot| (at, Fault::NodeLoss { slot }));
                return self.faults.extend(all);
            }
            "node-loss" => Fault::NodeLoss { slot },
            "freeze" => Fault::Freeze { slot, for_ns: maybe_long_ns },
            "reset" => Fault::Reset { slot },
            "pause" => Fault::Pause { slot, for_ns },
            "cut" => Fault::Cut { slot, peer, for_ns },
            "drop" => Fault::Drop { slot, peer },
            "partition" => Fault::Partition { slot, for_ns: maybe_long_ns },
            "full" => Fault::Full { slot, for_ns },
            "corrupt" => Fault::Corrupt { slot, for_ns },
            "client" => match rng.below(5) {
                0 | 1 => Fault::Desires { client, task },
                2 => Fault::Releases { client, task },
                3 => Fault::Cancels { client, task, force: rng.below(2) == 0 },
                _ => Fault::Retries { task },
            },
            "flutter" => return self.flutter(rng, (at, client, task), bounds),
            _ => return self.insist(rng, (at, task), bounds),
        };
        self.faults.push((at, fault));
    }

    /// A client that has what failed tried again, and again.
    fn insist(&mut self, rng: &mut Rng, (mut at, task): (Time, TaskId), bounds: &Extent) {
        let pause_ns = 1 + bounds.span_ns / (1 + rng.below(50));
        for _ in 0..1 + rng.below(8) {
            self.faults.push((at, Fault::Retries { task }));
            at = at.after_ns(rng.below(pause_ns));
        }
    }

    /// A client that cannot make up its mind: it lets go of a key and wants it again, some times.
    fn flutter(
        &mut self,
        rng: &mut Rng,
        (mut at, client, task): (Time, ClientId, TaskId),
        bounds: &Extent,
    ) {
        let pause_ns = 1 + bounds.span_ns / (2 + rng.below(100));
        for _ in 0..1 + rng.below(4) {
            self.faults.push((at, Fault::Releases { client, task }));
            at = at.after_ns(rng.below(pause_ns));
            self.faults.push((at, Fault::Desires { client, task }));
            at = at.after_ns(rng.below(pause_ns));
        }
    }
}
