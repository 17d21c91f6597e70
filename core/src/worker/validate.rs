//! The worker's invariants, checked on the whole state (state-machines 4, worker).
//!
//! Runs after every call in tests and under `--validate`; it never changes anything. A breach names
//! the task and tells its story. What the types make impossible (two records of one key, a resumed
//! task without a next state) is not checked.

use super::WorkerState;
use super::task::{Live, PeerIndex, Record, Slot, State};
use crate::ids::TransferId;

/// Fails with a text when a condition does not hold.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+));
        }
    };
}

impl WorkerState {
    /// Checks every invariant.
    ///
    /// # Errors
    /// The first breach, with the story of the task that it concerns.
    pub fn validate(&self) -> Result<(), String> {
        for slot in self.tasks.slots() {
            self.validate_task(slot).map_err(|broken| {
                let record = &self.tasks[slot];
                let (task, state) = (record.task, record.state);
                let story = self.told(task);
                format!("task {} ({state:?}): {broken}; its story:\n{story}", task.0)
            })?;
        }
        self.validate_registers()?;
        self.validate_peers()?;
        self.validate_accounts()?;
        self.validate_progress()
    }

    fn validate_task(&self, slot: Slot) -> Result<(), String> {
        let record = &self.tasks[slot];
        ensure!(self.tasks.find(record.task) == Some(slot), "the index does not name its record");
        ensure!(record.pending.is_none(), "a recommendation is left: {:?}", record.pending);
        ensure!(!record.done, "the end of its instruction was not acted on");
        self.validate_links(slot, record)?;
        self.validate_run(slot, record)?;
        self.validate_transfer(slot, record)?;
        let in_memory = |at: &Slot| self.tasks[*at].state == State::Memory;
        let mut inputs = record.dependencies.iter().map(|link| link.slot);
        match record.state {
            State::Waiting => {
                ensure!(record.waiting_count > 0, "waits for nothing");
                ensure!(
                    record.dependencies.iter().all(|link| link.waiting != in_memory(&link.slot)),
                    "waits for other inputs than those that are not here"
                );
            }
            State::Ready | State::Constrained => {
                ensure!(inputs.all(|at| in_memory(&at)), "an input is not here");
                let constrained = record.state == State::Constrained;
                ensure!(record.needs.is_some() == constrained, "stands in the wrong queue");
            }
            State::Fetch => ensure!(!record.who_has.is_empty(), "no holder is known"),
            State::Missing => ensure!(record.who_has.is_empty(), "a holder is known"),
            State::Memory => ensure!(record.who_has.is_empty(), "holders are kept"),
            State::Erred => {
                ensure!(record.error.is_none(), "an error was not told");
                ensure!(record.who_has.is_empty(), "failed, and holders are kept");
            }
            State::Released => {
                ensure!(!record.dependents.is_empty(), "kept for nobody");
                ensure!(record.error.is_none(), "an error is kept");
            }
            State::Executing
            | State::LongRunning
            | State::Flight
            | State::Cancelled(_)
            | State::Resumed(_) => {}
            State::Rescheduled | State::Forgotten => return Err("not a state of a record".into()),
        }
        if record.waiter_count > 0 {
            ensure!(
                !matches!(
                    record.state,
                    State::Released | State::Erred | State::Memory | State::Cancelled(_)
                ),
                "somebody waits for it"
            );
        }
        Ok(())
    }

    /// Links are mutual; the counts of waiting are those of the links.
    fn validate_links(&self, slot: Slot, record: &Record) -> Result<(), String> {
        let mut waiting = 0;
        for (at, link) in (0u32..).zip(&record.dependencies) {
            let back = self.tasks[link.slot].dependents.get(link.back as usize);
            ensure!(
                back.is_some_and(|back| back.slot == slot && back.back == at),
                "its link to input {at} is not mutual"
            );
            waiting += u32::from(link.waiting);
        }
        let mut waiters = 0;
        for (at, link) in (0u32..).zip(&record.dependents) {
            let back = self.tasks[link.slot].dependencies.get(link.back as usize);
            ensure!(
                back.is_some_and(|back| back.slot == slot && back.back == at),
                "its link to dependent {at} is not mutual"
            );
            waiters += u32::from(back.is_some_and(|back| back.waiting));
        }
        ensure!(waiting == record.waiting_count, "waits for {waiting} inputs, counts others");
        ensure!(waiters == record.waiter_count, "has {waiters} waiters, counts others");
        ensure!(
            waiting == 0 || record.state == State::Waiting,
            "waits for inputs without being in waiting"
        );
        Ok(())
    }

    /// A run is live exactly in the states that say so, and in one register.
    fn validate_run(&self, slot: Slot, record: &Record) -> Result<(), String> {
        let live = record.state.live();
        let on_thread = matches!(live, Some(Live::Executing | Live::LongRunning));
        ensure!(record.run.is_some() == on_thread, "its state and its run disagree");
        ensure!(!on_thread || record.spec.is_some(), "runs without a spec");
        ensure!(
            self.executing.contains(&slot) == (live == Some(Live::Executing)),
            "the register of executing tasks disagrees"
        );
        ensure!(
            self.long_running.contains(&slot) == (live == Some(Live::LongRunning)),
            "the register of long-running tasks disagrees"
        );
        Ok(())
    }

    /// A transfer is live exactly in the states that say so, and lists the task.
    fn validate_transfer(&self, slot: Slot, record: &Record) -> Result<(), String> {
        let in_flight = record.state.live() == Some(Live::Flight);
        ensure!(record.transfer.is_some() == in_flight, "its state and its transfer disagree");
        if let Some(number) = record.transfer {
            let transfer = self.transfers.get(&number);
            ensure!(
                transfer.is_some_and(|transfer| transfer.slots.contains(&slot)),
                "its transfer does not know it"
            );
        }
        Ok(())
    }

    fn validate_registers(&self) -> Result<(), String> {
        let count = |state: State| {
            self.tasks.slots().filter(|&slot| self.tasks[slot].state == state).count()
        };
        ensure!(self.ready.len() == count(State::Ready), "ready holds others than ready tasks");
        ensure!(
            self.ready_count() - self.ready.len() == count(State::Constrained),
            "the queues hold others than constrained tasks"
        );
        for (slot, task) in self.queued() {
            ensure!(
                matches!(self.tasks[slot].state, State::Ready | State::Constrained),
                "task {} is queued in state {:?}",
                task.0,
                self.tasks[slot].state
            );
        }
        for (needs, queue) in &self.constrained {
            ensure!(!queue.ranks.is_empty(), "an empty queue is kept");
            for rank in &queue.ranks {
                let of_task = self.tasks[rank.slot].needs.as_deref();
                ensure!(of_task == Some(needs), "a task stands in the queue of other needs");
            }
        }
        ensure!(self.missing.len() == count(State::Missing), "missing holds others");
        ensure!(
            self.missing.iter().all(|&slot| self.tasks[slot].state == State::Missing),
            "a task in missing is in another state"
        );
        ensure!(
            self.missing.is_empty() || self.find_missing_at.is_some(),
            "nobody will ask for missing tasks"
        );
        ensure!(self.fetch_count == count(State::Fetch), "fetch_count is wrong");
        Ok(())
    }

    /// Each task in fetch stands in the queue of each holder, and nowhere else.
    fn validate_peers(&self) -> Result<(), String> {
        let mut wanted = 0;
        for (at, peer) in self.peers.iter() {
            let is_needy = self.peers.needy().any(|needy| needy == at);
            ensure!(is_needy != peer.wanted.is_empty(), "needy disagrees about peer {at}");
            ensure!(!peer.gone || peer.wanted.is_empty(), "wants something from a lost peer");
            for rank in &peer.wanted {
                let record = &self.tasks[rank.slot];
                ensure!(
                    record.state == State::Fetch && record.rank(rank.slot) == *rank,
                    "task {} in state {:?} is wanted from peer {at}",
                    record.task.0,
                    record.state
                );
                ensure!(record.who_has.contains(&at), "wanted from one who does not hold it");
                wanted += 1;
            }
            if let Some(number) = peer.transfer {
                let peer_of = self.transfers.get(&number).map(|transfer| transfer.peer);
                ensure!(peer_of == Some(at), "peer {at} and its transfer disagree");
            }
        }
        let mut holders = 0;
        for slot in self.tasks.slots() {
            let record = &self.tasks[slot];
            for &holder in &record.who_has {
                let peer = self.peers.at(holder);
                ensure!(!peer.gone, "task {} is held by a lost peer", record.task.0);
                ensure!(peer.worker != self.options.worker, "a holder is this worker itself");
            }
            if record.state == State::Fetch {
                holders += record.who_has.len();
            }
        }
        ensure!(wanted == holders, "{wanted} places in queues for {holders} holders");
        Ok(())
    }

    /// Bytes, slots, resources and promises add up.
    fn validate_accounts(&self) -> Result<(), String> {
        let held = self.tasks.slots().map(|slot| &self.tasks[slot]);
        let held = held.filter(|record| record.state == State::Memory);
        ensure!(self.nbytes == held.map(|record| record.nbytes).sum::<u64>(), "nbytes is wrong");
        let incoming = self.transfers.values().map(|transfer| transfer.nbytes).sum::<u64>();
        ensure!(self.incoming_bytes == incoming, "incoming bytes are wrong");
        for (&number, transfer) in &self.transfers {
            self.validate_one_transfer(number, transfer.peer)?;
        }
        let mut threads = 0;
        let mut promised = 0;
        let mut taken = vec![0; self.resources.len()];
        for slot in self.executing.iter().chain(&self.long_running) {
            let needs = self.tasks[*slot].run.as_ref().and_then(|run| run.taken.as_ref());
            if self.executing.contains(slot) {
                threads += needs.map_or(1, |needs| needs.threads);
            }
            promised += needs.map_or(0, |needs| needs.memory_bytes);
            for &(at, amount) in needs.iter().flat_map(|needs| &needs.resources) {
                taken[at as usize] += amount;
            }
        }
        ensure!(self.used_threads == threads, "used slots are wrong");
        ensure!(self.promised_bytes == promised, "promised bytes are wrong");
        for (resource, taken) in self.resources.iter().zip(taken) {
            ensure!(resource.taken == taken, "resource {:?} does not add up", resource.name);
        }
        Ok(())
    }

    fn validate_one_transfer(&self, number: TransferId, peer: PeerIndex) -> Result<(), String> {
        let of_peer = self.peers.at(peer).transfer;
        ensure!(of_peer == Some(number), "transfer {} is not its peer's", number.0);
        Ok(())
    }

    /// No slot and no peer is left idle while there is work for it.
    fn validate_progress(&self) -> Result<(), String> {
        ensure!(self.used_threads <= self.options.nthreads, "more slots in use than there are");
        ensure!(
            self.next_deadline().is_none_or(|at| self.timer.is_some_and(|timer| timer <= at)),
            "a deadline without a timer"
        );
        if !self.running {
            return Ok(());
        }
        if self.may_start() && self.long_running.is_empty() {
            let idle = self.used_threads == 0;
            ensure!(!idle || self.ready_count() == 0, "tasks are ready and nothing runs");
        }
        if self.may_start() && self.constrained.is_empty() {
            ensure!(
                self.ready.is_empty() || self.used_threads == self.options.nthreads,
                "tasks are ready and slots are free"
            );
        }
        let unasked = self.peers.needy().any(|at| self.may_ask(at));
        let held_back = self.is_throttled() || self.incoming_bytes > 0;
        ensure!(!unasked || held_back, "a peer that could be asked is not");
        Ok(())
    }
}
