//! The supervisors' control connections: deaths, slots given up, goodbyes.

use super::SchedulerOptions;
use super::driver::Driver;
use super::link::Link;
use rdask_core::codec;
use rdask_core::ids::WorkerId;
use rdask_core::messages::{FromNanny, ToNanny};
use rdask_transport::{Batch, ChannelSender};
use std::collections::BTreeMap;
use std::time::Instant;

/// One supervisor.
#[derive(Debug)]
struct Nanny {
    sender: ChannelSender,
    /// Identity; 0 until it registered.
    id: u128,
    rank: u32,
    /// It said goodbye.
    gone: bool,
}

/// All supervisors and what they are expected to say.
#[derive(Debug)]
pub(super) struct Nannies {
    by_connection: BTreeMap<u32, Nanny>,
    /// Ranks that should have one.
    expected: Vec<u32>,
    /// Ranks whose nanny has registered at least once.
    registered: Vec<u32>,
    /// Slots that will not have a worker again, with the reason.
    given_up: Vec<(String, String)>,
    /// Workers whose connection ended and whose nanny has not reported yet.
    awaited: Vec<(WorkerId, Instant, String)>,
}

impl Nannies {
    pub(super) fn new(options: &SchedulerOptions) -> Self {
        Self {
            by_connection: BTreeMap::new(),
            expected: options.nannies.clone(),
            registered: Vec::new(),
            given_up: Vec::new(),
            awaited: Vec::new(),
        }
    }

    pub(super) fn connect(&mut self, connection: u32, sender: ChannelSender) {
        self.by_connection.insert(connection, Nanny { sender, id: 0, rank: 0, gone: false });
    }

    /// A supervisor with this identity is connected.
    pub(super) fn watches(&self, nanny: u128) -> bool {
        nanny != 0 && self.by_connection.values().any(|known| known.id == nanny && !known.gone)
    }

    pub(super) fn expect_report(&mut self, worker: WorkerId, deadline: Instant, reason: String) {
        self.awaited.push((worker, deadline, reason));
    }

    /// Workers whose nanny stayed silent for too long.
    fn overdue(&mut self, now: Instant) -> Vec<(WorkerId, String)> {
        let (overdue, awaited): (Vec<_>, Vec<_>) =
            self.awaited.drain(..).partition(|(_, deadline, _)| *deadline <= now);
        self.awaited = awaited;
        overdue.into_iter().map(|(worker, _, reason)| (worker, reason)).collect()
    }

    /// Asks a supervisor to end its worker and start another.
    pub(super) fn kill_worker(&self, nanny: u128, slot: &str, reason: &str) {
        let message =
            ToNanny::KillWorker { slot: slot.to_owned(), reason: reason.to_owned(), restart: true };
        if let Some(known) = self.by_connection.values().find(|known| known.id == nanny) {
            known.send(&message);
        }
    }

    /// Tells all supervisors that the job is over.
    pub(super) fn close(&self, reason: &str) {
        for nanny in self.by_connection.values() {
            nanny.send(&ToNanny::Close { reason: reason.to_owned() });
        }
    }

    /// All that are expected have come, and have said goodbye or are gone. One that comes after
    /// the end of a short job must still be told, or it would look for us for a long time.
    pub(super) fn all_gone(&self) -> bool {
        self.missing().is_empty() && self.by_connection.values().all(|nanny| nanny.gone)
    }

    /// Ranks whose nanny never came.
    pub(super) fn missing(&self) -> Vec<u32> {
        let mut missing = self.expected.clone();
        missing.retain(|rank| !self.registered.contains(rank));
        missing
    }

    /// Nobody waits any longer for those that have not come.
    pub(super) fn expect_no_more(&mut self) {
        self.expected.retain(|rank| self.registered.contains(rank));
    }

    /// Slots that are given up, with the reasons.
    pub(super) fn given_up(&self) -> &[(String, String)] {
        &self.given_up
    }

    pub(super) fn give_up(&mut self, slot: String, reason: String) {
        if !self.given_up.iter().any(|(known, _)| *known == slot) {
            self.given_up.push((slot, reason));
        }
    }
}

impl Nanny {
    fn send(&self, message: &ToNanny) {
        let queued = self.sender.push(|buffer| {
            codec::encode_into(message, buffer).expect("messages to nannies are short");
        });
        // Its receiver tells of a broken connection; the few messages never fill a budget.
        if let Err(error) = queued {
            tracing::debug!(rank = self.rank, %error, "a supervisor was not told");
        }
    }
}

impl Driver {
    pub(super) fn on_nanny_frame(&mut self, connection: u32, batch: &Batch) {
        for body in batch.iter() {
            match codec::decode::<FromNanny>(body) {
                Ok(message) => self.on_nanny_message(connection, message),
                Err(error) => tracing::warn!(%error, "a supervisor sent what cannot be read"),
            }
        }
    }

    fn on_nanny_message(&mut self, connection: u32, message: FromNanny) {
        match message {
            FromNanny::Register { nanny, rank, slots, .. } => {
                let Some(known) = self.nannies.by_connection.get_mut(&connection) else { return };
                known.id = nanny;
                known.rank = rank;
                known.send(&ToNanny::Registered);
                tracing::debug!(rank, ?slots, "supervisor registered");
                self.nannies.registered.push(rank);
                if self.phase.is_over() {
                    self.nannies.close("the job is over");
                }
            }
            FromNanny::WorkerDied {
                slot,
                server_id,
                pid,
                signal,
                code,
                cause,
                executing,
                log_tail,
                ..
            } => {
                let reason = if cause.is_empty() { death(signal, code) } else { cause };
                if !log_tail.is_empty() && !self.phase.is_over() {
                    tracing::info!(worker = %slot, "last words of the worker:\n{log_tail}");
                }
                // It may have died before it told its supervisor who it is.
                let died = |link: &Link| {
                    let registration = &link.registration;
                    registration.server_id == server_id
                        || (registration.name == slot && registration.pid == pid)
                };
                let found = self.links.iter().find(|(_, link)| died(link));
                let worker = found.map(|(worker, _)| *worker);
                match worker {
                    Some(worker) => {
                        self.connections.remove(&worker.0);
                        self.nannies.awaited.retain(|(awaited, ..)| *awaited != worker);
                        self.lose(worker, Some(executing), reason);
                    }
                    None if !self.phase.is_over() => {
                        tracing::warn!(worker = %slot, "worker {reason} before it registered");
                    }
                    None => {}
                }
            }
            FromNanny::SlotGivenUp { slot, reason } => {
                if !self.phase.is_over() {
                    tracing::warn!(worker = %slot, "gave up this worker: {reason}");
                }
                self.nannies.give_up(slot, reason);
            }
            FromNanny::Signalled { signal } => {
                self.stop(&format!("signal {}", signal_name(signal)));
            }
            FromNanny::Goodbye => {
                if let Some(nanny) = self.nannies.by_connection.get_mut(&connection) {
                    nanny.gone = true;
                }
            }
        }
    }

    pub(super) fn on_nanny_ended(&mut self, connection: u32, reason: &str) {
        let Some(nanny) = self.nannies.by_connection.get_mut(&connection) else { return };
        let was_gone = std::mem::replace(&mut nanny.gone, true);
        if was_gone || self.phase.is_over() {
            return;
        }
        let (id, rank) = (nanny.id, nanny.rank);
        tracing::warn!(rank, "lost the supervisor of this rank: {reason}");
        let names: Vec<String> = self
            .options
            .workers
            .iter()
            .filter(|worker| worker.rank == rank)
            .map(|worker| worker.name.clone())
            .collect();
        for name in names {
            self.nannies.give_up(name, format!("the supervisor of rank {rank} {reason}"));
        }
        let orphans: Vec<WorkerId> = self
            .links
            .iter()
            .filter(|(_, link)| link.registration.nanny == id)
            .map(|(worker, _)| *worker)
            .collect();
        for worker in orphans {
            self.connections.remove(&worker.0);
            self.lose(worker, None, format!("its supervisor {reason}"));
        }
    }

    /// Removes workers whose nanny did not report their death in time.
    pub(super) fn lose_overdue(&mut self, now: Instant) {
        for (worker, reason) in self.nannies.overdue(now) {
            if self.connections.contains_key(&worker.0) {
                continue;
            }
            // Cut off or stopped, it would hold its slot for ever; a successor is left alone.
            if let Some(link) = self.links.get(&worker) {
                let (nanny, slot) = (link.registration.nanny, &link.registration.name);
                let same = |other: &&Link| other.registration.name == *slot;
                if self.links.values().filter(same).count() == 1 {
                    self.nannies.kill_worker(nanny, slot, &reason);
                }
            }
            self.lose(worker, None, reason);
        }
    }
}

fn death(signal: Option<i32>, code: Option<i32>) -> String {
    match (signal, code) {
        (Some(signal), _) => format!("died by signal {}", signal_name(signal)),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// `9 (SIGKILL)`; a number alone when it has no common name.
pub(crate) fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGTERM => "SIGTERM",
        _ => return signal.to_string(),
    };
    format!("{signal} ({name})")
}
