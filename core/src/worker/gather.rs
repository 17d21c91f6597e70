//! Fetching inputs from peers: whom to ask for what, and how a transfer ended.
//!
//! One transfer per peer at a time, the peer with the best task first, many tasks in one request,
//! incoming bytes limited. A transfer is known by its number: what a late end names and what was
//! meanwhile brought by another way is ignored. A copy that cannot be had from a peer which the
//! scheduler goes on naming is reported as bad, so that nobody waits for it for ever.

use super::task::{PeerIndex, Rank, Slot, State};
use super::{WorkerInstruction, WorkerOptions, WorkerState};
use crate::config::{Config, SECOND_NS};
use crate::ids::{TaskId, TransferId, WorkerId};
use crate::messages::{Priority, TaskError};
use crate::time::Time;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So many failures of one task with one peer within `SUSPICION_NS` make the copy a bad one: one
/// may be chance, two a restart, the third is a fact.
const FAILURES_OF_A_BAD_REPLICA: u32 = 3;

/// Failures further apart than this do not add up. A peer that swallows requests costs half a minute
/// each time, and others are asked in between.
const SUSPICION_NS: u64 = 600 * SECOND_NS;

/// A transfer under way.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) peer: PeerIndex,
    pub(super) slots: Vec<Slot>,
    pub(super) nbytes: u64,
}

/// Failures to get one task from one peer.
#[derive(Debug)]
pub(super) struct Suspect {
    count: u32,
    since: Time,
}

/// What a gather can have learnt about a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Unreachable,
    Mismatch,
}

/// A peer that may be asked, in the order in which peers are asked: best task, same machine first,
/// more tasks first, chance.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    best: u128,
    remote: bool,
    wanted_count: Reverse<usize>,
    chance: u64,
    peer: PeerIndex,
}

/// Bytes that may be on their way in at once.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a fraction of a limit, rounded down, once"
)]
pub(super) fn incoming_bytes_limit(config: &Config, options: &WorkerOptions) -> u64 {
    if options.memory_limit_bytes == 0 || config.memory_transfer <= 0.0 {
        return u64::MAX;
    }
    ((options.memory_limit_bytes as f64 * config.memory_transfer) as u64).max(1)
}

impl WorkerState {
    /// Asks as many peers as limits allow; runs once after each batch of events.
    pub(super) fn ensure_communicating(&mut self) {
        if !self.running || self.fetch_count == 0 {
            return;
        }
        let idle: Vec<PeerIndex> = self.peers.needy().filter(|&at| self.may_ask(at)).collect();
        let mut heap = BinaryHeap::with_capacity(idle.len());
        for peer in idle {
            let chance = self.rng.next_u64();
            heap.extend(self.candidate(peer, chance).map(Reverse));
        }
        while !self.is_throttled() {
            let Some(Reverse(candidate)) = heap.pop() else {
                return;
            };
            match self.candidate(candidate.peer, candidate.chance) {
                Some(current) if current == candidate => self.gather_from(candidate.peer),
                changed => heap.extend(changed.map(Reverse)),
            }
        }
    }

    pub(super) fn may_ask(&self, at: PeerIndex) -> bool {
        let peer = self.peers.at(at);
        peer.transfer.is_none() && peer.busy_until.is_none()
    }

    fn candidate(&self, at: PeerIndex, chance: u64) -> Option<Candidate> {
        let peer = self.peers.at(at);
        let best = peer.wanted.first()?;
        Some(Candidate {
            best: best.key,
            remote: !peer.same_machine,
            wanted_count: Reverse(peer.wanted.len()),
            chance,
            peer: at,
        })
    }

    pub(super) fn is_throttled(&self) -> bool {
        let count_limit = self.config.transfer_incoming_count_limit as usize;
        (self.transfers.len() >= count_limit
            && self.incoming_bytes >= self.config.transfer_throttle_floor_bytes)
            || self.incoming_bytes >= self.incoming_bytes_limit
    }

    /// One request: the best tasks of a peer as long as they fit.
    fn gather_from(&mut self, at: PeerIndex) {
        let worker = self.peers.at(at).worker;
        let transfer = TransferId(self.next_transfer);
        let mut slots = Vec::new();
        let mut tasks = Vec::new();
        let mut message_bytes = 0;
        let mut priority = Priority::default();
        while let Some(&Rank { slot, .. }) = self.peers.at(at).wanted.first() {
            let nbytes = self.tasks[slot].nbytes;
            if !self.fits_message(nbytes, message_bytes, slots.is_empty()) {
                break;
            }
            if slots.is_empty() {
                priority = self.tasks[slot].priority;
            }
            self.transition(slot, State::Flight);
            let record = &mut self.tasks[slot];
            record.transfer = Some(transfer);
            tasks.push((record.task, nbytes));
            slots.push(slot);
            message_bytes += nbytes;
        }
        if slots.is_empty() {
            return;
        }
        self.next_transfer += 1;
        self.incoming_bytes += message_bytes;
        self.peers.at_mut(at).transfer = Some(transfer);
        self.transfers.insert(transfer, Transfer { peer: at, slots, nbytes: message_bytes });
        self.emit(WorkerInstruction::GatherDep { transfer, peer: worker, tasks, priority });
    }

    /// The best task of an idle worker always fits, whatever its size, so that there is progress.
    fn fits_message(&self, nbytes: u64, message_bytes: u64, first: bool) -> bool {
        if first && self.incoming_bytes == 0 {
            return true;
        }
        let total = self.incoming_bytes + message_bytes;
        let mut left = self.incoming_bytes_limit.saturating_sub(total);
        if !first {
            let limit = self.config.transfer_message_bytes_limit;
            left = left.min(limit.saturating_sub(message_bytes));
        }
        nbytes <= left
    }

    pub(super) fn enter_fetch(&mut self, slot: Slot) {
        let record = &mut self.tasks[slot];
        record.state = State::Fetch;
        let rank = record.rank(slot);
        for &holder in &record.who_has {
            self.peers.want(holder, rank);
        }
        self.fetch_count += 1;
    }

    pub(super) fn leave_fetch(&mut self, slot: Slot, state: State) {
        let record = &mut self.tasks[slot];
        record.state = state;
        let rank = record.rank(slot);
        for &holder in &record.who_has {
            self.peers.unwant(holder, rank);
        }
        self.fetch_count -= 1;
    }

    /// Replaces the known holders of a task: without this worker, without peers that are gone.
    pub(super) fn update_who_has(&mut self, slot: Slot, holders: &[WorkerId]) {
        let state = self.tasks[slot].state;
        if state == State::Memory {
            return;
        }
        let mut new = std::mem::take(&mut self.holders);
        for &worker in holders {
            let at = self.peers.find_or_insert(worker);
            if worker != self.options.worker && !self.peers.at(at).gone && !new.contains(&at) {
                new.push(at);
            }
        }
        let record = &mut self.tasks[slot];
        if new != record.who_has {
            let rank = record.rank(slot);
            std::mem::swap(&mut new, &mut record.who_has);
            if state == State::Fetch {
                for &holder in &new {
                    self.peers.unwant(holder, rank);
                }
                for &holder in &self.tasks[slot].who_has {
                    self.peers.want(holder, rank);
                }
                if self.tasks[slot].who_has.is_empty() {
                    self.recommend(slot, State::Missing);
                }
            }
        }
        new.clear();
        self.holders = new;
    }

    /// Strikes one holder off. A task in fetch without holders becomes missing.
    pub(super) fn drop_holder(&mut self, slot: Slot, peer: PeerIndex) {
        let record = &mut self.tasks[slot];
        let Some(at) = record.who_has.iter().position(|&holder| holder == peer) else {
            return;
        };
        record.who_has.remove(at);
        if record.state == State::Fetch {
            let rank = record.rank(slot);
            let alone = record.who_has.is_empty();
            self.peers.unwant(peer, rank);
            if alone {
                self.recommend(slot, State::Missing);
            }
        }
    }

    /// Forgets everything that a peer was believed to hold. Losing a peer is rare, so this looks at
    /// every record in place of a second index that each task would pay for.
    pub(super) fn forget_holdings(&mut self, peer: PeerIndex) {
        for at in 0..self.tasks.slot_count() {
            let slot = Slot(u32::try_from(at).expect("task numbers have 32 bits"));
            self.drop_holder(slot, peer);
        }
    }

    /// A transfer brought what it could.
    pub(super) fn on_gather_success(
        &mut self,
        transfer: TransferId,
        received: &[(TaskId, u64)],
        bad: &[TaskId],
    ) {
        let Some(ended) = self.end_transfer(transfer) else {
            return;
        };
        self.peers.at_mut(ended.peer).busy_count = 0;
        for &(task, nbytes) in received {
            if let Some(slot) = self.arriving(task, transfer) {
                self.arrived_from(task, ended.peer);
                let record = &mut self.tasks[slot];
                record.nbytes = nbytes;
                self.end_flight(slot, State::Memory);
            }
        }
        for &task in bad {
            if let Some(slot) = self.arriving(task, transfer) {
                self.copy_failed(slot, ended.peer, Fault::Mismatch);
                self.end_flight(slot, State::Fetch);
            }
        }
        for slot in ended.slots {
            if self.tasks[slot].transfer == Some(transfer) {
                self.copy_failed(slot, ended.peer, Fault::Unreachable);
                self.end_flight(slot, State::Fetch);
            }
        }
    }

    /// The peer serves too many: ask again after a while that doubles each time.
    pub(super) fn on_gather_busy(&mut self, transfer: TransferId) {
        let Some(ended) = self.end_transfer(transfer) else {
            return;
        };
        let until = self.now.after_ns(self.busy_wait_ns(ended.peer));
        self.peers.set_busy(ended.peer, until);
        let mut refresh = Vec::new();
        for slot in ended.slots {
            if self.tasks[slot].transfer != Some(transfer) {
                continue;
            }
            self.end_flight(slot, State::Fetch);
            let record = &self.tasks[slot];
            let wanted = matches!(record.state, State::Flight);
            let is_busy = |&holder: &PeerIndex| self.peers.at(holder).busy_until.is_some();
            if wanted && record.who_has.iter().all(is_busy) {
                refresh.push(record.task);
            }
        }
        if !refresh.is_empty() {
            self.emit(WorkerInstruction::RequestRefreshWhoHas { tasks: refresh });
        }
    }

    fn busy_wait_ns(&mut self, peer: PeerIndex) -> u64 {
        let doublings = self.peers.at(peer).busy_count.min(32);
        let wait = self.config.busy_retry_ns.saturating_mul(1 << doublings);
        let wait = wait.min(self.config.busy_retry_max_ns);
        wait - self.rng.below(wait / 4 + 1)
    }

    /// The peer cannot be reached: nothing that it was believed to hold counts any more.
    pub(super) fn on_gather_network_failure(&mut self, transfer: TransferId) {
        let Some(ended) = self.end_transfer(transfer) else {
            return;
        };
        for slot in ended.slots {
            if self.tasks[slot].transfer == Some(transfer) {
                self.copy_failed(slot, ended.peer, Fault::Unreachable);
                self.end_flight(slot, State::Fetch);
            }
        }
        self.forget_holdings(ended.peer);
    }

    /// What came cannot be kept here.
    pub(super) fn on_gather_failure(&mut self, transfer: TransferId, error: &TaskError) {
        let Some(ended) = self.end_transfer(transfer) else {
            return;
        };
        for slot in ended.slots {
            let record = &mut self.tasks[slot];
            if record.transfer == Some(transfer) {
                let name = match record.key.as_str() {
                    "" => format!("task {}", record.task.0),
                    key => key.to_owned(),
                };
                record.error = Some(Box::new(TaskError {
                    kind: error.kind.clone(),
                    message: format!("input {name} cannot be stored: {}", error.message),
                    traceback: error.traceback.clone(),
                }));
                self.end_flight(slot, State::Erred);
            }
        }
    }

    fn end_transfer(&mut self, transfer: TransferId) -> Option<Transfer> {
        let Some(ended) = self.transfers.remove(&transfer) else {
            self.ignored_count += 1;
            return None;
        };
        self.incoming_bytes -= ended.nbytes;
        self.peers.at_mut(ended.peer).transfer = None;
        Some(ended)
    }

    /// The record that a transfer was to bring, unless the value came another way.
    fn arriving(&self, task: TaskId, transfer: TransferId) -> Option<Slot> {
        self.tasks.find(task).filter(|&slot| self.tasks[slot].transfer == Some(transfer))
    }

    fn end_flight(&mut self, slot: Slot, finish: State) {
        let record = &mut self.tasks[slot];
        record.transfer = None;
        record.done = true;
        self.recommend(slot, finish);
    }

    /// A copy could not be had from a peer, or not as announced: that holder is struck off, and
    /// reported when it keeps happening.
    fn copy_failed(&mut self, slot: Slot, peer: PeerIndex, fault: Fault) {
        self.drop_holder(slot, peer);
        let (task, worker) = (self.tasks[slot].task, self.peers.at(peer).worker);
        let now = self.now;
        let suspect =
            self.suspects.entry((task, worker)).or_insert(Suspect { count: 0, since: now });
        if now.since(suspect.since) > SUSPICION_NS {
            *suspect = Suspect { count: 0, since: now };
        }
        suspect.count += 1;
        if suspect.count >= FAILURES_OF_A_BAD_REPLICA {
            self.suspects.remove(&(task, worker));
            if self.peers.at(peer).gone {
                return;
            }
            let why = if fault == Fault::Mismatch { "mismatch" } else { "unreachable" };
            self.emit(WorkerInstruction::BadReplica { task, peer: worker, why: why.into() });
        }
    }

    fn arrived_from(&mut self, task: TaskId, peer: PeerIndex) {
        if !self.suspects.is_empty() {
            let worker = self.peers.at(peer).worker;
            self.suspects.remove(&(task, worker));
        }
    }

    /// Drops the failures noted for a task.
    pub(super) fn forget_suspects(&mut self, task: TaskId) {
        if self.suspects.is_empty() {
            return;
        }
        let range = (task, WorkerId(0))..=(task, WorkerId(u32::MAX));
        let noted: Vec<_> = self.suspects.range(range).map(|(&key, _)| key).collect();
        for key in noted {
            self.suspects.remove(&key);
        }
    }

    /// A deadline came: busy peers may be asked again, and the scheduler is asked who holds what is
    /// missing.
    pub(super) fn on_timeout(&mut self) {
        self.timer = None;
        self.peers.end_busy(self.now);
        if self.give_back_at.is_some_and(|at| at <= self.now) {
            self.give_back_at = None;
            self.give_back_unstarted();
        }
        if self.find_missing_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.find_missing_at = None;
        if !self.missing.is_empty() {
            let tasks = self.missing.iter().map(|&slot| self.tasks[slot].task).collect();
            self.emit(WorkerInstruction::RequestRefreshWhoHas { tasks });
            self.find_missing_at = Some(self.next_find_missing());
        }
    }
}
