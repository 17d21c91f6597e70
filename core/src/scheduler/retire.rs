//! Workers that leave on purpose: they get no new tasks, finish what runs, hand over what they hold.
//!
//! ```text
//!   retire-workers ─▶ closing gracefully ─▶ results move (amm::retire_worker) ─▶ removed, closed
//!                            │
//!                            └─ nobody can take them ─▶ runs again
//! ```
//!
//! The worker gives back by itself what it has not started. Nothing is computed again: it leaves only
//! when it runs nothing and every result is with somebody who runs.

use super::instruction::{SchedulerInstruction, SchedulerOut};
use super::task::Flags;
use super::worker_events::Loss;
use super::{CloseTerms, Retirees, SchedulerState};
use crate::ids::WorkerId;
use crate::messages::WorkerStatus;
use std::collections::BTreeMap;

/// Memory of those that stay ÷ results of all, unless somebody says otherwise.
const MEMORY_RATIO: f64 = 2.0;

/// A worker that leaves.
#[derive(Clone, Debug)]
pub(super) struct Retirement {
    reason: String,
    /// It is told to end; otherwise the driver ends it.
    close: bool,
}

impl SchedulerState {
    /// retire-workers
    pub(super) fn on_retire_workers(
        &mut self,
        which: Retirees,
        close: bool,
        reason: &str,
        out: &mut SchedulerOut,
    ) {
        let workers = match which {
            Retirees::Workers(workers) => workers,
            Retirees::Names(names) => {
                names.iter().filter_map(|name| self.workers.named(name)).collect()
            }
            Retirees::ToClose(terms) => self.workers_to_close(&terms),
        };
        for worker in workers {
            if self.begin_retirement(worker, close, reason) {
                let status = WorkerStatus::ClosingGracefully;
                out.instructions.push(SchedulerInstruction::WorkerStatusChange { worker, status });
            }
        }
    }

    /// From here on the worker gets no task; true when that is new.
    pub(super) fn begin_retirement(&mut self, worker: WorkerId, close: bool, reason: &str) -> bool {
        let Some(record) = self.workers.get_mut(worker) else { return false };
        if self.amm.retiring.contains_key(&worker) {
            return false;
        }
        record.profile.status = WorkerStatus::ClosingGracefully;
        self.workers.stop(worker);
        self.note_pause(worker, WorkerStatus::ClosingGracefully);
        self.reload(worker);
        let retirement = Retirement { reason: reason.to_owned(), close };
        self.amm.retiring.insert(worker, retirement);
        self.amm.hurry();
        true
    }

    /// Nobody can take what the worker holds: it goes on. Should it be short of memory, it answers
    /// that it is paused.
    pub(super) fn restore(&mut self, worker: WorkerId, out: &mut SchedulerOut) {
        let Some(Retirement { reason, .. }) = self.amm.retiring.remove(&worker) else { return };
        let Some(record) = self.workers.get_mut(worker) else { return };
        let status = WorkerStatus::Running;
        record.profile.status = status;
        self.workers.run(worker);
        self.reload(worker);
        out.instructions.push(SchedulerInstruction::WorkerStatusChange { worker, status });
        out.instructions.push(SchedulerInstruction::WorkerNotRetired { worker, reason });
        self.try_unrunnable(worker);
    }

    /// Everything is elsewhere: the worker is a member no more.
    pub(super) fn finish_retirement(&mut self, worker: WorkerId, out: &mut SchedulerOut) {
        let Some(Retirement { reason, close, .. }) = self.amm.retiring.remove(&worker) else {
            return;
        };
        let told = reason.clone();
        out.instructions.push(SchedulerInstruction::WorkerRetired { worker, reason: told });
        if close {
            let reason = format!("retired: {reason}");
            out.instructions.push(SchedulerInstruction::CloseWorker { worker, reason });
        }
        let loss = Loss { expected: true, executing: None, reason };
        self.on_remove_worker(worker, &loss, out);
    }

    /// Workers that leave.
    pub fn retiring(&self) -> impl Iterator<Item = WorkerId> {
        self.amm.retiring.keys().copied()
    }

    /// The workers that the cluster can best do without: idle ones first, those with the least data
    /// first among them; never one with a task that left its pool.
    #[must_use]
    pub fn workers_to_close(&self, terms: &CloseTerms) -> Vec<WorkerId> {
        let count = self.workers.len();
        let n = terms.n.or_else(|| terms.target.map(|target| count.saturating_sub(target)));
        let ratio = terms.memory_ratio.or_else(|| n.is_none().then_some(MEMORY_RATIO));
        let target = count - n.unwrap_or(count).min(count);
        let mut groups = self.groups_to_close(terms.by_host);
        groups.sort_by_key(|group| (group.busy, group.nbytes));
        let mut limit: u128 = groups.iter().map(|group| group.limit).sum();
        let total: u128 = groups.iter().map(|group| u128::from(group.nbytes)).sum();
        let (mut left, mut closing) = (count, Vec::new());
        for group in groups {
            let stay = left.saturating_sub(group.workers.len());
            limit -= group.limit;
            if (n.is_none() && group.busy) || stay < terms.minimum {
                break;
            }
            let by_number = n.is_some() && stay >= target;
            if !by_number && !ratio.is_some_and(|ratio| suffices(limit, ratio, total)) {
                break;
            }
            left = stay;
            closing.extend(group.workers);
        }
        closing
    }

    /// Candidates in groups, by name of host or each alone.
    fn groups_to_close(&self, by_host: bool) -> Vec<Group> {
        let mut groups: BTreeMap<(&str, WorkerId), Group> = BTreeMap::new();
        for (worker, record) in self.workers.iter() {
            let seceded =
                |task: crate::ids::TaskId| self.tasks[task.index()].flags.has(Flags::LONG_RUNNING);
            if record.processing.iter().any(|sent| seceded(sent.task)) {
                continue;
            }
            let registration = record.registration();
            let key = if by_host { (&*registration.host, WorkerId(0)) } else { ("", worker) };
            let group = groups.entry(key).or_default();
            group.workers.push(worker);
            group.busy |= !record.processing.is_empty();
            group.nbytes = group.nbytes.saturating_add(record.nbytes);
            group.limit += match registration.memory_limit_bytes {
                0 => u128::from(u64::MAX),
                limit => u128::from(limit),
            };
        }
        groups.into_values().collect()
    }
}

/// Workers that go together.
#[derive(Default)]
struct Group {
    workers: Vec<WorkerId>,
    busy: bool,
    nbytes: u64,
    /// Their memory limits together.
    limit: u128,
}

/// Memory of those that stay is enough for all results.
#[expect(clippy::cast_precision_loss, reason = "a ratio of sizes, compared roughly")]
fn suffices(limit: u128, ratio: f64, total: u128) -> bool {
    limit as f64 >= ratio * total as f64
}
