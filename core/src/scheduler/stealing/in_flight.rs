//! Steals that were asked for and not answered, and what they will do to the loads of both sides.
//!
//! A request ends with its answer, or when its task leaves the victim for any other reason; the
//! answer is then too late and means nothing. Victim and thief are numbers of lives of workers and
//! never name a successor at the same address. A request whose thief is gone goes on without one:
//! its victim may have let go of the task already, and only the answer tells.

use crate::ids::{TaskId, WorkerId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// No thief any more.
pub(super) const NOBODY: WorkerId = WorkerId(super::super::task::NONE);

/// One request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::scheduler) struct Request {
    pub(in crate::scheduler) victim: WorkerId,
    /// Who shall have it, or `NOBODY`.
    pub(in crate::scheduler) thief: WorkerId,
    /// Of this request only.
    pub(in crate::scheduler) stimulus_id: u64,
    /// What the victim is relieved of, nanoseconds.
    pub(in crate::scheduler) relief_ns: u64,
    /// What the thief takes on.
    pub(in crate::scheduler) burden_ns: u64,
    /// Slots that go over.
    pub(in crate::scheduler) threads: u32,
    /// The task asks for resources.
    pub(in crate::scheduler) is_constrained: bool,
}

impl Request {
    /// What it does to the occupancy and the slots of both.
    pub(super) fn deltas(&self) -> [(WorkerId, (i128, i64)); 2] {
        let threads = i64::from(self.threads);
        [
            (self.victim, (-i128::from(self.relief_ns), -threads)),
            (self.thief, (i128::from(self.burden_ns), threads)),
        ]
    }
}

/// What requests will do to a worker.
#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    requests: u32,
    occupancy_ns: i128,
    slots: i64,
}

/// All requests under way.
#[derive(Clone, Debug, Default)]
pub(in crate::scheduler) struct InFlight {
    requests: FxHashMap<TaskId, Request>,
    deltas: FxHashMap<WorkerId, Delta>,
    /// Tasks that ask for resources, by thief.
    coming: BTreeMap<WorkerId, Vec<TaskId>>,
    last_stimulus: u64,
}

impl InFlight {
    pub(in crate::scheduler) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn contains(&self, task: TaskId) -> bool {
        !self.requests.is_empty() && self.requests.contains_key(&task)
    }

    pub(super) fn get(&self, task: TaskId) -> Option<&Request> {
        self.requests.get(&task)
    }

    /// By task.
    pub(in crate::scheduler) fn iter(&self) -> impl Iterator<Item = (TaskId, Request)> {
        let all: BTreeMap<TaskId, Request> =
            self.requests.iter().map(|(task, request)| (*task, *request)).collect();
        all.into_iter()
    }

    /// A worker is gone that requests were for.
    pub(in crate::scheduler) fn forget_thief(&mut self, worker: WorkerId) {
        self.coming.remove(&worker);
        for request in self.requests.values_mut().filter(|request| request.thief == worker) {
            let [_, (_, (occupancy_ns, slots))] = request.deltas();
            request.thief = NOBODY;
            if let Some(delta) = self.deltas.get_mut(&worker) {
                delta.slots -= slots;
                delta.occupancy_ns -= occupancy_ns;
                delta.requests -= 1;
                if delta.requests == 0 {
                    self.deltas.remove(&worker);
                }
            }
        }
    }

    /// A number for a new request.
    pub(super) const fn next_stimulus(&mut self) -> u64 {
        self.last_stimulus += 1;
        self.last_stimulus
    }

    /// Remembers a request for a task that is not in flight.
    pub(super) fn insert(&mut self, task: TaskId, request: Request) {
        for (worker, (occupancy_ns, slots)) in request.deltas() {
            let delta = self.deltas.entry(worker).or_default();
            delta.requests += 1;
            delta.occupancy_ns += occupancy_ns;
            delta.slots += slots;
        }
        if request.is_constrained {
            self.coming.entry(request.thief).or_default().push(task);
        }
        self.requests.insert(task, request);
    }

    /// Tasks that ask for resources and are on their way to a thief.
    pub(super) fn coming(&self, thief: WorkerId) -> &[TaskId] {
        self.coming.get(&thief).map_or(&[], Vec::as_slice)
    }

    /// Forgets a task's request, when there is one.
    pub(in crate::scheduler) fn remove(&mut self, task: TaskId) -> Option<Request> {
        if self.requests.is_empty() {
            return None;
        }
        let request = self.requests.remove(&task)?;
        if let Some(tasks) = self.coming.get_mut(&request.thief) {
            tasks.retain(|other| *other != task);
            if tasks.is_empty() {
                self.coming.remove(&request.thief);
            }
        }
        for (worker, (occupancy_ns, slots)) in request.deltas() {
            if let Some(delta) = self.deltas.get_mut(&worker) {
                delta.requests -= 1;
                delta.occupancy_ns -= occupancy_ns;
                delta.slots -= slots;
                if delta.requests == 0 {
                    self.deltas.remove(&worker);
                }
            }
        }
        Some(request)
    }

    /// A worker's occupancy and slots as they will be when all requests have been granted.
    pub(super) fn combined(&self, worker: WorkerId, occupancy_ns: u64, slots: u32) -> (u64, u32) {
        let Some(delta) = self.deltas.get(&worker) else { return (occupancy_ns, slots) };
        let occupancy = (i128::from(occupancy_ns) + delta.occupancy_ns).max(0);
        let slots = (i64::from(slots) + delta.slots).max(0);
        (u64::try_from(occupancy).unwrap_or(u64::MAX), u32::try_from(slots).unwrap_or(u32::MAX))
    }

    /// The sums that are kept are those of the requests.
    pub(super) fn check(&self, sums: &BTreeMap<WorkerId, (i128, i64)>) -> Result<(), String> {
        let agree = sums.iter().all(|(worker, sum)| {
            let delta = self.deltas.get(worker);
            delta.is_some_and(|delta| (delta.occupancy_ns, delta.slots) == *sum)
        });
        let is_coming = |one: &&Request| one.is_constrained && one.thief != NOBODY;
        let constrained = self.requests.values().filter(is_coming).count();
        let coming = self.coming.values().map(Vec::len).sum::<usize>();
        if agree && self.deltas.len() == sums.len() && coming == constrained {
            return Ok(());
        }
        Err("loads of steals in flight are miscounted".to_owned())
    }
}
