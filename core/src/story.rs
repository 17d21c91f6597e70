//! A bounded ring of transitions: `story(task)` tells what happened to it.
//!
//! Each machine owns one, with its own state type. The ring never grows beyond its capacity, so a
//! long job costs no more memory than a short one. What all state changes of an event share is
//! kept once: a ring that every task writes to must leave the cache to the tasks.

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

/// A state change as it is kept: a dozen bytes, because every task leaves a handful.
#[derive(Clone, Copy, Debug)]
struct Step<S> {
    task: TaskId,
    /// Number of its cause, counted from the first one ever and wrapping.
    cause: u32,
    start: S,
    asked: S,
    finish: S,
}

/// What the state changes of one event share.
#[derive(Clone, Copy, Debug)]
struct Cause {
    stimulus: Stimulus,
    time: Time,
}

/// The ring.
#[derive(Clone, Debug)]
pub struct Story<S> {
    steps: VecDeque<Step<S>>,
    /// Causes of the steps that are kept, in order.
    causes: VecDeque<Cause>,
    /// Number of the first of them.
    first_cause: u32,
    capacity: usize,
}

impl<S: Copy> Story<S> {
    /// A ring of `capacity` transitions; 0 keeps none.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let (steps, causes) = (VecDeque::new(), VecDeque::new());
        Self { steps, causes, first_cause: 0, capacity }
    }

    /// Appends one and forgets the oldest beyond the capacity.
    pub fn push(&mut self, transition: Transition<S>) {
        if self.capacity == 0 {
            return;
        }
        if self.steps.len() == self.capacity {
            self.forget_oldest();
        }
        let Transition { task, start, asked, finish, stimulus, time } = transition;
        let cause = Cause { stimulus, time };
        // Numbers are not given twice, so that kinds need not be compared.
        let same = |last: &Cause| last.stimulus.number == stimulus.number && last.time == time;
        if !self.causes.back().is_some_and(same) {
            self.causes.push_back(cause);
        }
        let cause = self.first_cause.wrapping_add(number(self.causes.len() - 1));
        self.steps.push_back(Step { task, cause, start, asked, finish });
    }

    /// Forgets the oldest step, and its cause with the last step that has it.
    fn forget_oldest(&mut self) {
        self.steps.pop_front();
        let next = self.steps.front().map(|step| step.cause);
        if next != Some(self.first_cause) {
            self.causes.pop_front();
            self.first_cause = self.first_cause.wrapping_add(1);
        }
    }

    /// Transitions of one task, oldest first.
    pub fn of(&self, task: TaskId) -> impl Iterator<Item = Transition<S>> {
        self.all().filter(move |transition| transition.task == task)
    }

    /// The last `count` transitions, or as many as are left of them, oldest first.
    pub fn latest(&self, count: u64) -> impl Iterator<Item = Transition<S>> {
        let kept = usize::try_from(count).unwrap_or(usize::MAX).min(self.steps.len());
        self.steps.range(self.steps.len() - kept..).map(|step| self.told(step))
    }

    /// All transitions, oldest first.
    pub fn all(&self) -> impl Iterator<Item = Transition<S>> {
        self.steps.iter().map(|step| self.told(step))
    }

    fn told(&self, step: &Step<S>) -> Transition<S> {
        let Step { task, cause, start, asked, finish } = *step;
        let Cause { stimulus, time } = self.causes[cause.wrapping_sub(self.first_cause) as usize];
        Transition { task, start, asked, finish, stimulus, time }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).expect("a story keeps fewer than 2^32 transitions")
}

#[cfg(test)]
mod tests {
    use super::{Stimulus, Story, Transition};
    use crate::ids::TaskId;
    use crate::rng::Rng;
    use crate::time::Time;

    #[test]
    fn keeps_the_latest_with_their_causes() {
        for capacity in [0, 1, 2, 7, 64] {
            let mut rng = Rng::new(capacity as u64);
            let mut story = Story::new(capacity);
            let mut all = Vec::new();
            for number in 1..200 {
                for _ in 0..rng.below(4) {
                    let step = |rng: &mut Rng| rng.below(8) as u8;
                    let kind = if number % 3 == 0 { "timeout" } else { "heartbeat" };
                    let transition = Transition {
                        task: TaskId(rng.below(5) as u32),
                        start: step(&mut rng),
                        asked: step(&mut rng),
                        finish: step(&mut rng),
                        stimulus: Stimulus { number, kind },
                        time: Time(number / 2),
                    };
                    story.push(transition);
                    all.push(transition);
                }
                let kept = &all[all.len().saturating_sub(capacity)..];
                assert_eq!(story.all().collect::<Vec<_>>(), kept);
                let of_two: Vec<_> =
                    kept.iter().filter(|one| one.task == TaskId(2)).copied().collect();
                assert_eq!(story.of(TaskId(2)).collect::<Vec<_>>(), of_two);
            }
        }
    }
}
