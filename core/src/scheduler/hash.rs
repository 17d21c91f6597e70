//! A number for the whole state: equal events give equal numbers, so that a replay can be compared
//! with the run that it repeats.
//!
//! The hash reads every task and worker and is for the end of a run; the fingerprint reads a few
//! sums that nearly every event changes, and is for every few thousand events.

use super::{SchedulerState, TaskState};
use crate::ids::TaskId;
use crate::rng::mix;

/// A hash in the making.
struct Sum(u64);

impl Sum {
    fn add(&mut self, value: u64) {
        self.0 = mix(self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl SchedulerState {
    /// Hash of tasks, workers, queues, orders of the memory manager and what was learned.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        let mut sum = Sum(self.fingerprint());
        for index in 0..self.tasks.len() {
            let task = TaskId::from_index(index);
            let record = &self.tasks[index];
            sum.add(record.state as u64);
            sum.add(self.run_of(task).0);
            sum.add(self.nbytes_of(task).unwrap_or(u64::MAX));
            sum.add(u64::from(self.attempt_of(task)));
            sum.add(u64::from(record.who_wants));
            sum.add(u64::from(record.waiting_on) << 32 | u64::from(record.waiters));
            for holder in self.who_has(task) {
                sum.add(u64::from(holder.0));
            }
        }
        for (id, worker) in self.workers.iter() {
            sum.add(u64::from(id.0));
            sum.add(worker.profile.status as u64);
            sum.add(worker.nbytes);
            sum.add(worker.compute_ns);
            sum.add(worker.network_bytes);
            sum.add(u64::from(worker.nthreads) << 32 | u64::from(worker.slots_used));
            for (task, run) in self.processing(id) {
                sum.add(u64::from(task.0));
                sum.add(run.0);
            }
            for task in worker.has_what.iter() {
                sum.add(u64::from(task.0));
            }
        }
        for (task, since) in self.unrunnable.iter() {
            sum.add(u64::from(task.0));
            sum.add(since.0);
        }
        self.amm.numbers(&mut |value| sum.add(value));
        for (_, duration_ns, states) in self.prefixes() {
            sum.add(duration_ns.unwrap_or(u64::MAX));
            states.iter().for_each(|count| sum.add(u64::from(*count)));
        }
        sum.0
    }

    /// Hash of sums over the state, at the same cost for every graph.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut sum = Sum(self.seed);
        for state in TaskState::ALL {
            sum.add(self.count_in(state));
        }
        let totals = &self.totals;
        let learned = [self.round_trip_ns, self.total_compute_ns];
        let paths = self.paths.speeds().iter().flat_map(|path| [path.bandwidth, path.latency_ns]);
        let counted = [totals.finished, totals.recomputed, totals.stale, self.last_run.0];
        let rest = [self.now.0, self.stimulus.number, self.workers.nthreads];
        let chance = self.rng.clone().next_u64();
        for value in learned.into_iter().chain(paths).chain(counted).chain(rest) {
            sum.add(value);
        }
        sum.add(chance);
        sum.0
    }
}
