//! The life of worker slots: when a worker process is started, killed, started again, given up.
//!
//! A state machine without clock, process or network: events in, instructions out, time as an
//! argument. `src/nanny.rs` carries the instructions out. A slot whose worker died is started again
//! after 0, 1, 2, 4 … 30 s; five deaths within a minute with no task executing end it, because
//! then no task is to blame and the next start would fare no better.
//!
//! ```text
//!           Started            asked to end, or over memory
//! Waiting ──────────▶ Running ─────────────────────────────▶ Ending
//!    ▲ back-off          │ died                                 │ died
//!    └───────────────────┴──────────────────────────────────────┘──▶ Down (closed, given up)
//! ```

use std::time::Duration;

/// First wait of the second start in a row; doubles.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest wait before a start.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Deaths within this time count together.
const DEATH_WINDOW: Duration = Duration::from_secs(60);
/// That many deaths of idle workers in the window end the slot.
const MAX_DEATHS: usize = 5;
/// A worker that is asked to end gets this long before it is killed.
pub const CLOSE_GRACE: Duration = Duration::from_secs(5);

/// How a process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ending {
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Its exit code.
    pub code: Option<i32>,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.signal, self.code) {
            (Some(signal), _) => write!(f, "was killed by signal {signal}"),
            (None, Some(code)) => write!(f, "exited with code {code}"),
            (None, None) => write!(f, "could not be started"),
        }
    }
}

/// What happened. Slots are numbered as given to `Nanny::new`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NannyEvent {
    /// The process of a slot runs.
    Started {
        /// Which slot.
        slot: usize,
        /// Its process id.
        pid: i32,
    },
    /// The system refused to start it.
    StartFailed {
        /// Which slot.
        slot: usize,
    },
    /// The process is gone and reaped.
    Exited {
        /// Its process id.
        pid: i32,
        /// How.
        ending: Ending,
        /// At least one of its threads was executing a task.
        executing: bool,
    },
    /// Somebody wants it ended: the scheduler, or the watch over its memory.
    Kill {
        /// Which slot.
        slot: usize,
        /// Why, for the log.
        reason: String,
        /// Start another.
        restart: bool,
        /// It did nothing wrong: its end, when it ends by itself, is no death.
        blameless: bool,
        /// Time to end by itself before it is killed.
        grace: Duration,
    },
    /// The job is over: all slots go down, processes get `grace` to end by themselves.
    Close {
        /// Why, for the log.
        reason: String,
        /// Time before they are killed.
        grace: Duration,
    },
    /// The time that `next_timeout` named has come.
    Timeout,
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NannyInstruction {
    /// Start a process for the slot; answer with `Started` or `StartFailed`.
    Spawn {
        /// Which slot.
        slot: usize,
    },
    /// Ask the process over its control pipe to end.
    AskToClose {
        /// Which slot.
        slot: usize,
        /// Why.
        reason: String,
    },
    /// Send SIGKILL to its process group.
    KillNow {
        /// Which slot.
        slot: usize,
        /// Its process id.
        pid: i32,
    },
    /// Tell the scheduler that the process died.
    ReportDeath {
        /// Which slot.
        slot: usize,
        /// Its process id.
        pid: i32,
        /// How.
        ending: Ending,
        /// It will be started again.
        restarts: bool,
    },
    /// Tell the scheduler that the slot stays empty.
    ReportGivenUp {
        /// Which slot.
        slot: usize,
        /// Why.
        reason: String,
    },
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// No process; one is started at `at`.
    Waiting { at: Duration },
    /// `Spawn` was given and not answered.
    Starting,
    /// A process runs.
    Running { pid: i32 },
    /// It was asked to end and is killed at `kill_at`; then killed.
    Ending { pid: i32, kill_at: Option<Duration>, restart: bool, blameless: bool },
    /// No process, and none will be.
    Down,
}

struct Slot {
    state: State,
    /// When processes died with no task executing, within the window.
    idle_deaths: Vec<Duration>,
    /// Starts in a row without a minute of life.
    starts_in_a_row: u32,
    started_at: Duration,
}

/// The worker slots of one supervisor.
pub struct Nanny {
    slots: Vec<Slot>,
    closing: bool,
}

impl Nanny {
    /// That many slots; `start` gets them going.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        let slot = || Slot {
            state: State::Waiting { at: Duration::ZERO },
            idle_deaths: Vec::new(),
            starts_in_a_row: 0,
            started_at: Duration::ZERO,
        };
        Self { slots: std::iter::repeat_with(slot).take(slots).collect(), closing: false }
    }

    /// Whether all slots are down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.slots.iter().all(|slot| slot.state == State::Down)
    }

    /// The process that runs in a slot.
    #[must_use]
    pub fn pid(&self, slot: usize) -> Option<i32> {
        match self.slots.get(slot)?.state {
            State::Running { pid } | State::Ending { pid, .. } => Some(pid),
            State::Waiting { .. } | State::Starting | State::Down => None,
        }
    }

    /// When `Timeout` is wanted.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.slots
            .iter()
            .filter_map(|slot| match slot.state {
                State::Waiting { at } => Some(at),
                State::Ending { kill_at, .. } => kill_at,
                State::Starting | State::Running { .. } | State::Down => None,
            })
            .min()
    }

    /// Takes an event at time `now` and appends what is to be done.
    pub fn handle(&mut self, now: Duration, event: NannyEvent, out: &mut Vec<NannyInstruction>) {
        match event {
            NannyEvent::Started { slot, pid } => self.on_started(now, slot, pid, out),
            NannyEvent::StartFailed { slot } => {
                if self.slots.get(slot).is_some_and(|slot| slot.state == State::Starting) {
                    self.on_ended(now, slot, (Ending::default(), false), out);
                }
            }
            NannyEvent::Exited { pid, ending, executing } => {
                let Some(slot) = (0..self.slots.len()).find(|slot| self.pid(*slot) == Some(pid))
                else {
                    return;
                };
                self.on_exited(now, slot, (pid, ending, executing), out);
            }
            NannyEvent::Kill { slot, reason, restart, blameless, grace } => {
                self.end(now, (slot, restart, blameless, grace), &reason, out);
            }
            NannyEvent::Close { reason, grace } => {
                self.closing = true;
                for slot in 0..self.slots.len() {
                    self.end(now, (slot, false, true, grace), &reason, out);
                }
            }
            NannyEvent::Timeout => self.on_timeout(now, out),
        }
    }

    fn on_started(
        &mut self,
        now: Duration,
        index: usize,
        pid: i32,
        out: &mut Vec<NannyInstruction>,
    ) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        slot.started_at = now;
        slot.state = State::Running { pid };
        if self.closing {
            self.end(now, (index, false, true, Duration::ZERO), "the job is over", out);
        }
    }

    /// A worker that was told by the scheduler to end exits with 0: nothing to restart, and should
    /// the run go on, the scheduler must not wait for the slot.
    fn on_exited(
        &mut self,
        now: Duration,
        index: usize,
        (pid, ending, executing): (i32, Ending, bool),
        out: &mut Vec<NannyInstruction>,
    ) {
        let asked = match self.slots[index].state {
            State::Ending { restart, .. } => Some(restart),
            _ => None,
        };
        let blameless = matches!(self.slots[index].state, State::Ending { blameless: true, .. });
        let told = asked.is_none() && ending.code == Some(0) && !executing;
        if asked == Some(false) || told {
            self.slots[index].state = State::Down;
            if !self.closing {
                out.push(NannyInstruction::ReportDeath {
                    slot: index,
                    pid,
                    ending,
                    restarts: false,
                });
            }
            if told && !self.closing {
                let reason = "its worker was told to end".to_owned();
                out.push(NannyInstruction::ReportGivenUp { slot: index, reason });
            }
            return;
        }
        let at = out.len();
        let as_asked = blameless && ending.code == Some(0);
        self.on_ended(now, index, (ending, executing || as_asked), out);
        let restarts = self.slots[index].state != State::Down;
        let report = NannyInstruction::ReportDeath { slot: index, pid, ending, restarts };
        out.insert(at, report);
    }

    /// A process is gone, or never came: start another, later, or give up.
    fn on_ended(
        &mut self,
        now: Duration,
        index: usize,
        (ending, blameless): (Ending, bool),
        out: &mut Vec<NannyInstruction>,
    ) {
        let slot = &mut self.slots[index];
        if self.closing {
            slot.state = State::Down;
            return;
        }
        if !blameless {
            slot.idle_deaths.retain(|death| now.saturating_sub(*death) < DEATH_WINDOW);
            slot.idle_deaths.push(now);
        }
        if slot.idle_deaths.len() >= MAX_DEATHS {
            slot.state = State::Down;
            let reason = format!(
                "its process died {MAX_DEATHS} times within {} s with no task executing; \
                 the last one {ending}",
                DEATH_WINDOW.as_secs()
            );
            out.push(NannyInstruction::ReportGivenUp { slot: index, reason });
            return;
        }
        if now.saturating_sub(slot.started_at) >= DEATH_WINDOW {
            slot.starts_in_a_row = 0;
        }
        let wait = backoff(slot.starts_in_a_row);
        slot.starts_in_a_row += 1;
        slot.state = State::Waiting { at: now + wait };
        if wait.is_zero() {
            slot.state = State::Starting;
            out.push(NannyInstruction::Spawn { slot: index });
        }
    }

    fn end(
        &mut self,
        now: Duration,
        (index, restart, blameless, grace): (usize, bool, bool, Duration),
        reason: &str,
        out: &mut Vec<NannyInstruction>,
    ) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        match slot.state {
            State::Running { pid } if grace.is_zero() => {
                let kill_at = None;
                slot.state = State::Ending { pid, kill_at, restart, blameless };
                out.push(NannyInstruction::KillNow { slot: index, pid });
            }
            State::Running { pid } => {
                let kill_at = Some(now + grace);
                slot.state = State::Ending { pid, kill_at, restart, blameless };
                let reason = reason.to_owned();
                out.push(NannyInstruction::AskToClose { slot: index, reason });
            }
            // Only ever sooner, and only ever towards staying down.
            State::Ending { pid, kill_at, restart: before, blameless: so_far } => {
                let kill_at = kill_at.map(|at| at.min(now + grace));
                let (restart, blameless) = (before && restart, so_far && blameless);
                slot.state = State::Ending { pid, kill_at, restart, blameless };
            }
            State::Waiting { .. } if !restart => slot.state = State::Down,
            State::Waiting { .. } | State::Starting | State::Down => {}
        }
    }

    fn on_timeout(&mut self, now: Duration, out: &mut Vec<NannyInstruction>) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            match slot.state {
                State::Waiting { at } if at <= now => {
                    slot.state = State::Starting;
                    out.push(NannyInstruction::Spawn { slot: index });
                }
                State::Ending { pid, kill_at: Some(at), restart, blameless } if at <= now => {
                    slot.state = State::Ending { pid, kill_at: None, restart, blameless };
                    out.push(NannyInstruction::KillNow { slot: index, pid });
                }
                _ => {}
            }
        }
    }
}

/// 0, 1, 2, 4 … 30 s.
fn backoff(starts_in_a_row: u32) -> Duration {
    let Some(doublings) = starts_in_a_row.checked_sub(1) else { return Duration::ZERO };
    FIRST_BACKOFF.saturating_mul(1 << doublings.min(5)).min(MAX_BACKOFF)
}

#[cfg(test)]
#[path = "nanny_tests.rs"]
mod tests;
