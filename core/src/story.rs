//! A bounded ring of transitions: `story(task)` tells what happened to it.
//!
//! Each machine owns one, with its own state type. The ring never grows beyond its capacity, so a
//! long job costs no more memory than a short one.

use crate::ids::TaskId;
use crate::time::Time;
use std::collections::VecDeque;
use std::fmt;

/// What set a transition off: a running number and the name of the event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stimulus {
    /// Number of the event, from 1.
    pub number: u64,
    /// Dask's name for it, `task-finished` for example.
    pub kind: &'static str,
}

/// One state change as it was asked for and as it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition<S> {
    /// The task.
    pub task: TaskId,
    /// State before.
    pub start: S,
    /// State that was recommended.
    pub asked: S,
    /// State after.
    pub finish: S,
    /// What set it off.
    pub stimulus: Stimulus,
    /// When.
    pub time: Time,
}

impl<S: fmt::Debug> fmt::Display for Transition<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.6} {:?} -> {:?} (asked {:?}) by {}-{}",
            self.time.as_secs_f64(),
            self.start,
            self.finish,
            self.asked,
            self.stimulus.kind,
            self.stimulus.number
        )
    }
}

/// The ring.
#[derive(Clone, Debug)]
pub struct Story<S> {
    ring: VecDeque<Transition<S>>,
    capacity: usize,
}

impl<S: Copy> Story<S> {
    /// A ring of `capacity` transitions; 0 keeps none.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { ring: VecDeque::new(), capacity }
    }

    /// Appends one and forgets the oldest beyond the capacity.
    pub fn push(&mut self, transition: Transition<S>) {
        if self.capacity == 0 {
            return;
        }
        if self.ring.len() == self.capacity {
            self.ring.pop_front();
        }
        self.ring.push_back(transition);
    }

    /// Transitions of one task, oldest first.
    pub fn of(&self, task: TaskId) -> impl Iterator<Item = &Transition<S>> {
        self.ring.iter().filter(move |transition| transition.task == task)
    }

    /// The last `count` transitions, or as many as are left of them, oldest first.
    pub fn latest(&self, count: u64) -> impl Iterator<Item = &Transition<S>> {
        let kept = usize::try_from(count).unwrap_or(usize::MAX).min(self.ring.len());
        self.ring.range(self.ring.len() - kept..)
    }

    /// All transitions, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Transition<S>> {
        self.ring.iter()
    }
}
