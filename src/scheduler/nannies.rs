//! The supervisors' control connections: deaths, slots given up, goodbyes.

use super::SchedulerOptions;
use super::driver::Driver;
use super::link::Link;
use rdask_core::codec;
use rdask_core::ids::WorkerId;
use rdask_core::messages::{FromNanny, ToNanny, WorkerRegistration};
use rdask_launcher::nanny::CLOSE_GRACE;
use rdask_transport::{Batch, ChannelSender};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A supervisor whose connection is missing while the job runs has this long to make one. Those that
/// are there try again at once.
const ABSENCE_LIMIT: Duration = Duration::from_secs(3);

/// How long the report of a supervisor may lag behind the end of its worker's connection.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take after the order to end a worker, which has time to end by itself first.
const ORDER_PATIENCE: Duration = CLOSE_GRACE.saturating_add(REPORT_PATIENCE);

/// A worker whose end its supervisor has yet to report, with the tasks that ran.
#[derive(Debug)]
struct Awaited {
    worker: WorkerId,
    deadline: Instant,
    reason: String,
    /// The supervisor was told to end it.
    ordered: bool,
}

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
    awaited: Vec<Awaited>,
    /// Slots whose worker retired: that they stay empty is no news.
    emptied: Vec<String>,
    /// Ranks whose nanny is missed: until when, and why.
    absent: BTreeMap<u32, (Instant, String)>,
}

impl Nannies {
    pub(super) fn new(options: &SchedulerOptions) -> Self {
        Self {
            by_connection: BTreeMap::new(),
            expected: options.nannies.clone(),
            registered: Vec::new(),
            given_up: Vec::new(),
            awaited: Vec::new(),
            emptied: Vec::new(),
            absent: BTreeMap::new(),
        }
    }

    pub(super) fn connect(&mut self, connection: u32, sender: ChannelSender) {
        self.by_connection.insert(connection, Nanny { sender, id: 0, rank: 0, gone: false });
    }

    /// A supervisor with this identity is connected.
    pub(super) fn watches(&self, nanny: u128) -> bool {
        self.find(nanny).is_some()
    }

    fn find(&self, nanny: u128) -> Option<&Nanny> {
        self.by_connection.values().find(|known| known.id == nanny && nanny != 0 && !known.gone)
    }

    /// Notes that the supervisor of a rank should be here and is not.
    fn miss(&mut self, rank: u32, reason: &str) {
        let until = Instant::now() + ABSENCE_LIMIT;
        self.absent.entry(rank).or_insert_with(|| (until, reason.to_owned()));
    }

    /// Ranks whose supervisor did not come back in time.
    fn lost(&mut self, now: Instant) -> Vec<(u32, String)> {
        let late = self.absent.extract_if(.., |_, (until, _)| *until <= now);
        let late: Vec<(u32, String)> = late.map(|(rank, (_, reason))| (rank, reason)).collect();
        // Nobody waits for its goodbye.
        self.expected.retain(|rank| late.iter().all(|(lost, _)| lost != rank));
        late
    }

    /// A supervisor says who it is, for the first time or again: what was thought of its slots while
    /// it was away is forgotten, and it says itself which of them it has given up.
    fn register(&mut self, connection: u32, (nanny, rank): (u128, u32), slots: &[String]) {
        let Some(known) = self.by_connection.get_mut(&connection) else { return };
        known.id = nanny;
        known.rank = rank;
        known.send(&ToNanny::Registered);
        self.absent.remove(&rank);
        self.given_up.retain(|(slot, _)| !slots.contains(slot));
        if !self.registered.contains(&rank) {
            self.registered.push(rank);
        }
    }

    /// The connection of a worker ended: its supervisor knows more.
    pub(super) fn expect_report(&mut self, worker: WorkerId, reason: String) {
        let deadline = Instant::now() + REPORT_PATIENCE;
        self.awaited.push(Awaited { worker, deadline, reason, ordered: false });
    }

    /// Has a worker ended by its supervisor, whose report tells what it ran; false: there is none.
    pub(super) fn end_worker(
        &mut self,
        (nanny, worker): (u128, WorkerId),
        slot: &str,
        reason: String,
    ) -> bool {
        if !self.watches(nanny) {
            return false;
        }
        self.kill_worker(nanny, slot, &reason);
        let deadline = Instant::now() + ORDER_PATIENCE;
        self.awaited.push(Awaited { worker, deadline, reason, ordered: true });
        true
    }

    /// A worker's end is on its way.
    pub(super) fn awaits(&self, worker: WorkerId) -> bool {
        self.awaited.iter().any(|awaited| awaited.worker == worker)
    }

    /// The report of a worker's end is here; why it was ended, when that was ordered.
    fn reported(&mut self, worker: WorkerId) -> Option<String> {
        let mut here = self.awaited.extract_if(.., |awaited| awaited.worker == worker);
        here.find(|awaited| awaited.ordered).map(|awaited| awaited.reason)
    }

    /// Workers whose nanny stayed silent for too long.
    fn overdue(&mut self, now: Instant) -> Vec<Awaited> {
        self.awaited.extract_if(.., |awaited| awaited.deadline <= now).collect()
    }

    /// Asks a supervisor to end its worker and start another.
    pub(super) fn kill_worker(&self, nanny: u128, slot: &str, reason: &str) {
        let message =
            ToNanny::KillWorker { slot: slot.to_owned(), reason: reason.to_owned(), restart: true };
        if let Some(known) = self.find(nanny) {
            known.send(&message);
        }
    }

    /// Tells the supervisor of a slot that its worker goes on.
    pub(super) fn not_retired(&self, slot: &str, reason: &str) {
        let message = ToNanny::NotRetired { slot: slot.to_owned(), reason: reason.to_owned() };
        // Each one knows its own slots and lets others' pass.
        for nanny in self.by_connection.values().filter(|nanny| !nanny.gone) {
            nanny.send(&message);
        }
    }

    /// A worker retired, and its slot stays empty.
    pub(super) fn expect_empty(&mut self, slot: &str) {
        self.emptied.push(slot.to_owned());
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

    /// Notes that a slot stays empty; true when that is new.
    fn give_up(&mut self, slot: String, reason: String) -> bool {
        let is_new = !self.given_up.iter().any(|(known, _)| *known == slot);
        if is_new {
            self.given_up.push((slot, reason));
        }
        is_new
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
                tracing::debug!(rank, ?slots, "supervisor registered");
                self.nannies.register(connection, (nanny, rank), &slots);
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
                let mut reason = if cause.is_empty() { death(signal, code) } else { cause };
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
                        if let Some(why) = self.nannies.reported(worker) {
                            reason = why;
                        }
                        self.lose(worker, Some(executing), reason);
                    }
                    None if server_id == 0 && !self.phase.is_over() => {
                        tracing::warn!(worker = %slot, "worker {reason} before it registered");
                    }
                    // Its own connection ended first and its nanny was not here.
                    None => {}
                }
            }
            FromNanny::SlotGivenUp { slot, reason } => {
                let is_new = self.nannies.give_up(slot.clone(), reason.clone());
                let retired = self.nannies.emptied.contains(&slot);
                if is_new && !retired && !self.phase.is_over() {
                    tracing::warn!(worker = %slot, "gave up this worker: {reason}");
                }
            }
            FromNanny::RetireWorker { slot, reason, restart } => {
                self.on_retire_order(&slot, reason, restart);
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

    /// The connection of a supervisor ended. One that lives makes another at once, and its workers
    /// go on meanwhile; the workers of one that died die with it.
    pub(super) fn on_nanny_ended(&mut self, connection: u32, reason: &str) {
        let Some(nanny) = self.nannies.by_connection.get_mut(&connection) else { return };
        let was_gone = std::mem::replace(&mut nanny.gone, true);
        // One that never said who it is may be of any rank; it counts as missing already.
        if was_gone || nanny.id == 0 || self.phase.is_over() {
            return;
        }
        let (id, rank) = (nanny.id, nanny.rank);
        tracing::info!(rank, "the supervisor of this rank is away: {reason}");
        if !self.nannies.watches(id) {
            self.nannies.miss(rank, reason);
        }
    }

    /// A worker is lost: without a supervisor nobody starts another.
    pub(super) fn miss_supervisor_of(&mut self, registration: &WorkerRegistration) {
        let (id, rank) = (registration.nanny, registration.rank);
        if id != 0 && !self.nannies.watches(id) {
            self.nannies.miss(rank, "has not connected");
        }
    }

    /// Gives up the slots of supervisors that did not come back.
    pub(super) fn lose_supervisors(&mut self, now: Instant) {
        for (rank, reason) in self.nannies.lost(now) {
            tracing::warn!(rank, "lost the supervisor of this rank: {reason}");
            for worker in self.options.workers.iter().filter(|worker| worker.rank == rank) {
                let reason = format!("the supervisor of rank {rank} {reason}");
                self.nannies.give_up(worker.name.clone(), reason);
            }
            let of_it =
                |link: &Link| link.registration.nanny != 0 && link.registration.rank == rank;
            let orphans: Vec<WorkerId> = self
                .links
                .iter()
                .filter(|(_, link)| of_it(link))
                .map(|(worker, _)| *worker)
                .collect();
            for worker in orphans {
                if let Some(link) = self.links.get(&worker) {
                    // Should it live after all, it ends itself.
                    link.outgoing.abort();
                }
                self.connections.remove(&worker.0);
                self.lose(worker, None, format!("its supervisor {reason}"));
            }
        }
    }

    /// Workers whose nanny did not report their death in time: one that lives, cut off or stopped,
    /// would hold its slot for ever, so it is ended. Only its supervisor knows what it ran, so it is
    /// lost when that has told it, or does not answer either.
    pub(super) fn lose_overdue(&mut self, now: Instant) {
        for Awaited { worker, reason, ordered, .. } in self.nannies.overdue(now) {
            let Some(link) = self.links.get(&worker) else { continue };
            if self.connections.contains_key(&worker.0) {
                continue;
            }
            let (nanny, slot) = (link.registration.nanny, link.registration.name.clone());
            let same = |other: &&Link| other.registration.name == slot;
            // A successor is left alone.
            let alone = self.links.values().filter(same).count() == 1;
            let waits = alone && !ordered && !self.phase.is_over();
            if !waits || !self.nannies.end_worker((nanny, worker), &slot, reason.clone()) {
                self.lose(worker, None, reason);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing::tests::pair;
    use rdask_transport::Role;

    fn nannies() -> Nannies {
        Nannies {
            by_connection: BTreeMap::new(),
            expected: vec![1, 2],
            registered: Vec::new(),
            given_up: Vec::new(),
            awaited: Vec::new(),
            emptied: Vec::new(),
            absent: BTreeMap::new(),
        }
    }

    #[test]
    fn a_missed_supervisor_is_lost_once_and_only_after_its_time() {
        let mut nannies = nannies();
        nannies.miss(1, "went away");
        nannies.miss(1, "another reason comes too late");
        let now = Instant::now();
        assert_eq!(nannies.lost(now), []);
        let later = now + ABSENCE_LIMIT;
        assert_eq!(nannies.lost(later), [(1, "went away".to_owned())]);
        assert_eq!(nannies.lost(later), []);
        assert_eq!(nannies.missing(), [2]);
    }

    #[tokio::test]
    async fn an_ordered_end_is_awaited_for_as_long_as_it_may_take() {
        let (ours, _theirs) = pair(Role::Nanny);
        let (sender, _receiver) = ours.split();
        let mut nannies = nannies();
        nannies.connect(7, sender);
        nannies.register(7, (11, 1), &["1".to_owned()]);
        let worker = WorkerId(3);
        let silent = || "fell silent".to_owned();
        nannies.expect_report(worker, silent());
        assert_eq!(nannies.reported(worker), None);
        nannies.expect_report(worker, silent());
        let late = Instant::now() + REPORT_PATIENCE;
        let overdue: Vec<WorkerId> = nannies.overdue(late).iter().map(|it| it.worker).collect();
        assert!(overdue == [worker] && !nannies.awaits(worker));
        assert!(!nannies.end_worker((12, worker), "1", silent()), "nobody watches it");
        assert!(nannies.end_worker((11, worker), "1", silent()) && nannies.awaits(worker));
        assert!(nannies.overdue(late + CLOSE_GRACE / 2).is_empty());
        assert_eq!(nannies.reported(worker), Some(silent()));
        assert!(nannies.reported(worker).is_none() && !nannies.awaits(worker));
        assert!(nannies.end_worker((11, worker), "1", silent()));
        assert_eq!(nannies.overdue(Instant::now() + ORDER_PATIENCE).len(), 1);
    }

    #[test]
    fn a_slot_is_given_up_once() {
        let mut nannies = nannies();
        assert!(nannies.give_up("1".to_owned(), "first".to_owned()));
        assert!(!nannies.give_up("1".to_owned(), "said again".to_owned()));
        assert_eq!(nannies.given_up(), [("1".to_owned(), "first".to_owned())]);
    }

    #[test]
    fn a_supervisor_that_comes_back_has_its_slots_again() {
        let (ours, _theirs) = pair(Role::Nanny);
        let (sender, _receiver) = ours.split();
        let mut nannies = nannies();
        nannies.connect(7, sender);
        nannies.miss(1, "went away");
        nannies.give_up("1".to_owned(), "its supervisor went away".to_owned());
        nannies.give_up("2".to_owned(), "another's".to_owned());
        nannies.register(7, (11, 1), &["1".to_owned()]);
        assert!(nannies.watches(11) && !nannies.watches(12) && !nannies.watches(0));
        assert_eq!(nannies.lost(Instant::now() + ABSENCE_LIMIT), []);
        assert_eq!(nannies.given_up(), [("2".to_owned(), "another's".to_owned())]);
        assert_eq!(nannies.missing(), [2]);
    }
}
