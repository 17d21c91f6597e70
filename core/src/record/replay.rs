//! A record through a fresh scheduler: the same events at the same times must give the same state.

use super::{Record, RecordError};
use crate::config::Config;
use crate::ids::TaskId;
use crate::scheduler::{SchedulerOut, SchedulerState};

/// Transitions that a story keeps when one is asked for: as good as all.
const ALL_TRANSITIONS: usize = u32::MAX as usize - 1;

/// How to replay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Replay {
    /// Stop behind so many events.
    pub until: Option<u64>,
    /// Keep the transitions of all tasks for stories.
    pub stories: bool,
    /// Check every invariant after every event.
    pub validate: bool,
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replayed {
    /// Events that were handled.
    pub events: u64,
    /// The scheduler behind them.
    pub state: SchedulerState,
    /// Hash of its state.
    pub state_hash: u64,
    /// The hash that the recorded scheduler ended with; none when it was killed, or when the replay
    /// stopped before.
    pub expected: Option<u64>,
    /// The first block whose state differs ends with this event.
    pub diverged: Option<u64>,
}

impl Replay {
    /// Runs a record again.
    ///
    /// # Errors
    /// When it is a ring that has gone round, it has unknown settings, or an event cannot be read.
    ///
    /// # Panics
    /// When the core finds one of its invariants broken, as the recorded one did.
    pub fn run(self, record: &Record) -> Result<Replayed, RecordError> {
        let first = record.first_event();
        if first > 0 {
            return Err(RecordError::Ring { first, events: record.events() });
        }
        let mut config = Config::default();
        for (name, value) in &record.info().settings {
            config.set(name, value)?;
        }
        config.validate |= self.validate;
        config.log_length = if self.stories { ALL_TRANSITIONS } else { 0 };
        let mut state = SchedulerState::new(config, record.info().seed);
        let mut out = SchedulerOut::default();
        let (mut events, mut diverged) = (0, None);
        let until = self.until.unwrap_or(u64::MAX);
        if until > 0 {
            record.for_each(&mut |number, now, event, fingerprint| {
                out.clear();
                state.handle(now, event, &mut out);
                events = number + 1;
                let differs = fingerprint.is_some_and(|expected| expected != state.fingerprint());
                if differs && diverged.is_none() {
                    diverged = Some(number);
                }
                events < until
            })?;
        }
        let state_hash = state.state_hash();
        let expected = record.end().filter(|end| end.events == events).map(|end| end.state_hash);
        Ok(Replayed { events, state, state_hash, expected, diverged })
    }
}

impl Replayed {
    /// The state is the recorded one, as far as anybody knows.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.diverged.is_none() && self.expected.is_none_or(|hash| hash == self.state_hash)
    }

    /// The transitions of a task, a line each.
    #[must_use]
    pub fn story(&self, task: TaskId) -> String {
        self.state.story(task)
    }
}
