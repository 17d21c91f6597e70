//! Tables of events and the instructions they must give.

use super::NannyInstruction::{AskToClose, KillNow, ReportDeath, ReportGivenUp, Spawn};
use super::*;

const KILLED: Ending = Ending { signal: Some(9), code: None };

/// A nanny at a time that the test sets.
struct Table {
    nanny: Nanny,
    now: Duration,
}

impl Table {
    fn new(slots: usize) -> Self {
        Self { nanny: Nanny::new(slots), now: Duration::ZERO }
    }

    fn running(slots: usize) -> Self {
        let mut table = Self::new(slots);
        let spawns: Vec<NannyInstruction> = (0..slots).map(|slot| Spawn { slot }).collect();
        table.check(0, NannyEvent::Timeout, &spawns);
        for slot in 0..slots {
            table.started(slot, 100 + i32::try_from(slot).unwrap());
        }
        table
    }

    fn check(&mut self, at_ms: u64, event: NannyEvent, expected: &[NannyInstruction]) {
        self.now = Duration::from_millis(at_ms);
        let mut out = Vec::new();
        let name = format!("{event:?}");
        self.nanny.handle(self.now, event, &mut out);
        assert_eq!(out, expected, "after {name} at {at_ms} ms");
    }

    fn started(&mut self, slot: usize, pid: i32) {
        let now = u64::try_from(self.now.as_millis()).unwrap();
        self.check(now, NannyEvent::Started { slot, pid }, &[]);
    }

    fn timeout_ms(&self) -> Option<u128> {
        self.nanny.next_timeout().map(|at| at.as_millis())
    }
}

fn died(pid: i32, executing: bool) -> NannyEvent {
    NannyEvent::Exited { pid, ending: KILLED, executing }
}

fn report(slot: usize, pid: i32, restarts: bool) -> NannyInstruction {
    ReportDeath { slot, pid, ending: KILLED, restarts }
}

#[test]
fn a_dead_worker_is_reported_and_started_at_once() {
    let mut table = Table::running(2);
    table.check(10, died(101, true), &[report(1, 101, true), Spawn { slot: 1 }]);
    assert_eq!(table.nanny.pid(0), Some(100));
    assert_eq!(table.nanny.pid(1), None);
    table.started(1, 201);
    assert_eq!(table.nanny.pid(1), Some(201));
}

#[test]
fn waits_double_to_thirty_seconds_and_start_over_after_a_minute_of_life() {
    let mut table = Table::running(1);
    table.check(0, died(100, true), &[report(0, 100, true), Spawn { slot: 0 }]);
    let mut now = 0;
    for wait in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
        table.started(0, 1);
        table.check(now, died(1, true), &[report(0, 1, true)]);
        assert_eq!(table.timeout_ms(), Some(u128::from(now + wait)));
        table.check(now + wait - 1, NannyEvent::Timeout, &[]);
        now += wait;
        table.check(now, NannyEvent::Timeout, &[Spawn { slot: 0 }]);
    }
    table.started(0, 2);
    table.check(now + 60_000, died(2, true), &[report(0, 2, true), Spawn { slot: 0 }]);
}

#[test]
fn five_idle_deaths_within_a_minute_end_the_slot() {
    let mut table = Table::running(1);
    let mut now = 0;
    table.check(now, died(100, false), &[report(0, 100, true), Spawn { slot: 0 }]);
    for wait in [1_000, 2_000, 4_000] {
        table.started(0, 1);
        table.check(now, died(1, false), &[report(0, 1, true)]);
        now += wait;
        table.check(now, NannyEvent::Timeout, &[Spawn { slot: 0 }]);
    }
    table.started(0, 1);
    let reason = "its process died 5 times within 60 s with no task executing; \
                  the last one was killed by signal 9"
        .to_owned();
    table.check(now, died(1, false), &[report(0, 1, false), ReportGivenUp { slot: 0, reason }]);
    assert!(table.nanny.is_down());
    assert_eq!(table.timeout_ms(), None);
}

#[test]
fn deaths_while_executing_or_far_apart_never_end_the_slot() {
    let mut table = Table::running(1);
    for round in 0..20 {
        let (pid, executing) = (table.nanny.pid(0).unwrap(), round % 2 == 0);
        let now = round * 31_000;
        table.now = Duration::from_millis(now);
        let mut out = Vec::new();
        table.nanny.handle(table.now, died(pid, executing), &mut out);
        assert_eq!(out[0], report(0, pid, true));
        table.now += Duration::from_secs(30);
        table.nanny.handle(table.now, NannyEvent::Timeout, &mut out);
        assert_eq!(out.last(), Some(&Spawn { slot: 0 }));
        table.started(0, 1000 + i32::try_from(round).unwrap());
    }
}

#[test]
fn a_start_that_fails_counts_as_an_idle_death() {
    let mut table = Table::new(1);
    table.check(0, NannyEvent::Timeout, &[Spawn { slot: 0 }]);
    table.check(0, NannyEvent::StartFailed { slot: 0 }, &[Spawn { slot: 0 }]);
    table.check(0, NannyEvent::StartFailed { slot: 0 }, &[]);
    table.check(1_000, NannyEvent::Timeout, &[Spawn { slot: 0 }]);
    table.check(1_000, NannyEvent::StartFailed { slot: 0 }, &[]);
    table.check(3_000, NannyEvent::Timeout, &[Spawn { slot: 0 }]);
    table.check(3_000, NannyEvent::StartFailed { slot: 0 }, &[]);
    table.check(7_000, NannyEvent::Timeout, &[Spawn { slot: 0 }]);
    let reason = "its process died 5 times within 60 s with no task executing; \
                  the last one could not be started"
        .to_owned();
    let given_up = ReportGivenUp { slot: 0, reason };
    table.check(7_000, NannyEvent::StartFailed { slot: 0 }, &[given_up]);
}

#[test]
fn a_worker_that_must_end_is_asked_and_then_killed() {
    let mut table = Table::running(1);
    let kill = |restart| NannyEvent::Kill {
        slot: 0,
        reason: "silent".into(),
        restart,
        blameless: true,
        grace: CLOSE_GRACE,
    };
    let ask = AskToClose { slot: 0, reason: "silent".into() };
    table.check(0, kill(true), std::slice::from_ref(&ask));
    assert_eq!(table.timeout_ms(), Some(5_000));
    table.check(4_999, NannyEvent::Timeout, &[]);
    table.check(5_000, NannyEvent::Timeout, &[KillNow { slot: 0, pid: 100 }]);
    assert_eq!(table.timeout_ms(), None);
    table.check(5_001, died(100, false), &[report(0, 100, true), Spawn { slot: 0 }]);
    table.started(0, 200);
    table.check(6_000, kill(false), std::slice::from_ref(&ask));
    table.check(6_001, died(200, false), &[report(0, 200, false)]);
    assert!(table.nanny.is_down());
}

/// Kills a slot's worker for its memory so many seconds after the one before, ten times or until
/// the slot is given up; tells how often.
fn killed_every(seconds: u64, executing: bool) -> usize {
    let mut table = Table::running(1);
    for round in 0..10_u64 {
        let Some(pid) = table.nanny.pid(0) else { return round as usize };
        let now = Duration::from_secs(round * seconds);
        let mut out = Vec::new();
        let grace = Duration::from_millis(100);
        let kill = NannyEvent::Kill {
            slot: 0,
            reason: "memory".into(),
            restart: true,
            blameless: false,
            grace,
        };
        table.nanny.handle(now, kill, &mut out);
        table.nanny.handle(now, died(pid, executing), &mut out);
        let wait = Duration::from_secs(seconds - 1);
        table.nanny.handle(now + wait, NannyEvent::Timeout, &mut out);
        if out.last() == Some(&Spawn { slot: 0 }) {
            table.started(0, pid + 1);
        }
    }
    10
}

#[test]
fn kills_for_memory_count_as_deaths_unless_a_task_was_executing() {
    assert_eq!(killed_every(10, false), 5);
    assert_eq!(killed_every(31, false), 10, "never five in a minute");
    assert_eq!(killed_every(31, true), 10);
}

#[test]
fn the_end_of_the_job_takes_every_slot_down_without_reports() {
    let mut table = Table::running(3);
    table.check(0, died(101, true), &[report(1, 101, true), Spawn { slot: 1 }]);
    table.started(1, 201);
    table.check(0, died(201, true), &[report(1, 201, true)]);
    table.check(0, died(102, true), &[report(2, 102, true), Spawn { slot: 2 }]);
    let grace = Duration::from_secs(5);
    let close = NannyEvent::Close { reason: "over".into(), grace };
    table.check(10, close, &[AskToClose { slot: 0, reason: "over".into() }]);
    // Slot 2's start comes back too late: it is killed at once.
    let late = NannyEvent::Started { slot: 2, pid: 202 };
    table.check(11, late, &[KillNow { slot: 2, pid: 202 }]);
    table.check(12, died(202, false), &[]);
    // A second word that cannot wait moves the deadline nearer.
    let now = NannyEvent::Close { reason: "signal".into(), grace: Duration::ZERO };
    table.check(20, now, &[]);
    table.check(20, NannyEvent::Timeout, &[KillNow { slot: 0, pid: 100 }]);
    assert!(!table.nanny.is_down());
    table.check(21, died(100, false), &[]);
    assert!(table.nanny.is_down());
}

#[test]
fn a_worker_that_the_scheduler_sent_home_stays_there() {
    let mut table = Table::running(2);
    let home = Ending { signal: None, code: Some(0) };
    let left = |pid, executing| NannyEvent::Exited { pid, ending: home, executing };
    let report = |slot, pid, restarts| ReportDeath { slot, pid, ending: home, restarts };
    // Should the run go on, the scheduler must know that nobody comes any more.
    let given_up = ReportGivenUp { slot: 0, reason: "its worker was told to end".to_owned() };
    table.check(5, left(100, false), &[report(0, 100, false), given_up]);
    // A task that ends the process with 0 is a death like any other.
    table.check(5, left(101, true), &[report(1, 101, true), Spawn { slot: 1 }]);
}

#[test]
fn strangers_are_ignored() {
    let mut table = Table::running(1);
    table.check(0, died(7, false), &[]);
    let grace = Duration::ZERO;
    let kill =
        NannyEvent::Kill { slot: 9, reason: String::new(), restart: true, blameless: false, grace };
    table.check(0, kill, &[]);
    table.check(0, NannyEvent::StartFailed { slot: 0 }, &[]);
    assert_eq!(table.nanny.pid(0), Some(100));
}
