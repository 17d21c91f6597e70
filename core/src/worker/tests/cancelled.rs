//! One test for each row of "Worker: cancelled and resumed" in docs/states.md.
//!
//! Then every pair of a state with a live instruction and an event that ends it: the state after,
//! the one message or none, and no second end.

use super::edges::{Row, rows};
use super::*;

use Live::{Executing as E, Flight as F, LongRunning as L};
use State::*;

rows! { ROWS:
    cancelled_executing_waiting "cancelled(executing), waiting"
        [(Cancelled(E), Waiting, Executing)]
    cancelled_long_running_waiting "cancelled(long-running), waiting"
        [(Cancelled(L), Waiting, LongRunning)]
    cancelled_flight_waiting "cancelled(flight), waiting"
        [(Cancelled(F), Waiting, Resumed(F))]
    cancelled_running_fetch "cancelled(executing or long-running), fetch"
        [(Cancelled(E), Fetch, Resumed(E)), (Cancelled(L), Fetch, Resumed(L))]
    cancelled_flight_fetch "cancelled(flight), fetch"
        [(Cancelled(F), Fetch, Flight), (Cancelled(F), Fetch, Released)]
    cancelled_released "cancelled(any), released"
        [(Cancelled(E), Released, Cancelled(E)), (Cancelled(L), Released, Cancelled(L)),
        (Cancelled(F), Released, Cancelled(F)), (Cancelled(F), Released, Released)]
    cancelled_end "cancelled(any), memory, erred, missing, rescheduled"
        [(Cancelled(E), Memory, Released), (Cancelled(L), Memory, Released),
        (Cancelled(F), Memory, Released), (Cancelled(E), Rescheduled, Released),
        (Cancelled(L), Rescheduled, Released), (Cancelled(F), Erred, Released)]
    unwanted_secede "cancelled or resumed(executing), long-running"
        [(Cancelled(E), LongRunning, Cancelled(L)), (Resumed(E), LongRunning, Resumed(L))]
    resumed_run_memory "resumed(executing→fetch), memory"
        [(Resumed(E), Memory, Memory), (Resumed(L), Memory, Memory)]
    resumed_run_failed "resumed(executing→fetch), erred or rescheduled"
        [(Resumed(E), Rescheduled, Fetch), (Resumed(L), Rescheduled, Fetch),
        (Resumed(E), Rescheduled, Missing), (Resumed(L), Rescheduled, Missing)]
    resumed_run_fetch "resumed(executing→fetch), fetch or missing"
        [(Resumed(E), Fetch, Resumed(E)), (Resumed(L), Fetch, Resumed(L))]
    resumed_run_waiting "resumed(executing→fetch), waiting"
        [(Resumed(E), Waiting, Executing), (Resumed(L), Waiting, LongRunning)]
    resumed_flight_memory "resumed(flight→waiting), memory"
        [(Resumed(F), Memory, Memory)]
    resumed_flight_failed "resumed(flight→waiting), erred, fetch or missing"
        [(Resumed(F), Erred, Waiting), (Resumed(F), Fetch, Waiting), (Resumed(F), Fetch, Flight)]
    resumed_released "resumed(any), released"
        [(Resumed(E), Released, Cancelled(E)), (Resumed(L), Released, Cancelled(L)),
        (Resumed(F), Released, Cancelled(F))]
}

/// Back to executing: the new run is known, and nothing starts twice.
fn cancelled_executing_waiting() -> Vec<Bench> {
    let mut bench = in_state(Cancelled(E));
    bench.check(compute(1, 2, &[]), &[]).is(1, Executing);
    bench.check(success(1, 1), &[store(1), finished(1, 2)]);
    bench.ends_empty(&[1]);
    vec![bench]
}

fn cancelled_long_running_waiting() -> Vec<Bench> {
    let mut bench = in_state(Cancelled(L));
    bench.check(compute(1, 2, &[]), &[long_running(1, 2, None)]).is(1, LongRunning);
    bench.check(success(1, 1), &[store(1), finished(1, 2)]);
    bench.ends_empty(&[1]);
    vec![bench]
}

fn cancelled_flight_waiting() -> Vec<Bench> {
    let mut bench = in_state(Cancelled(F));
    bench.check(compute(1, 2, &[]), &[]).is(1, Resumed(F));
    bench.check(gathered(0, &[1], &[]), &[store(1), finished_by_copy(1, 2)]).is(1, Memory);
    bench.ends_empty(&[1]);
    vec![bench]
}

fn cancelled_running_fetch() -> Vec<Bench> {
    let mut benches = vec![in_state(Cancelled(E)), in_state(Cancelled(L))];
    for (bench, live) in benches.iter_mut().zip([E, L]) {
        bench.check(compute(9, 9, &[(1, &[1])]), &[]).is(1, Resumed(live)).is(9, Waiting);
    }
    benches
}

fn cancelled_flight_fetch() -> Vec<Bench> {
    let mut wanted = in_state(Cancelled(F));
    wanted.check(compute(8, 8, &[(1, &[1])]), &[]).is(1, Flight);
    let mut done = in_state(Cancelled(F));
    done.check(gathered(0, &[], &[1]), &[]).is_gone(1).nothing_left();
    vec![wanted, done]
}

fn cancelled_released() -> Vec<Bench> {
    let mut benches: Vec<Bench> = [E, L, F].map(|live| in_state(Cancelled(live))).into();
    for (bench, live) in benches.iter_mut().zip([E, L, F]) {
        bench.check(free(&[(1, 0)]), &[]).is(1, Cancelled(live));
    }
    // Done: a value from outside takes the place of the one in flight.
    let mut overtaken = in_state(Cancelled(F));
    let data = vec![(TaskId(1), INPUT)];
    overtaken.check(WorkerEvent::UpdateData { data }, &[store(1)]).is(1, Memory);
    overtaken.check(gathered(0, &[1], &[]), &[]).is(1, Memory);
    overtaken.ends_empty(&[1]);
    benches.push(overtaken);
    benches
}

fn cancelled_end() -> Vec<Bench> {
    let mut benches = Vec::new();
    for (live, end) in [
        (E, success(1, 1)),
        (L, success(1, 1)),
        (E, failure(1, 1)),
        (L, failure(1, 1)),
        (E, reschedule(1, 1)),
        (L, reschedule(1, 1)),
        (F, gathered(0, &[1], &[])),
        (F, unstorable(0)),
    ] {
        let mut bench = in_state(Cancelled(live));
        bench.check(end, &[]).is_gone(1).nothing_left();
        benches.push(bench);
    }
    benches
}

fn unwanted_secede() -> Vec<Bench> {
    let mut cancelled = in_state(Cancelled(E));
    cancelled.set_up(compute(3, 3, &[]));
    cancelled.check(secede(1, 1), &[execute(3, 3, &[])]).is(1, Cancelled(L)).is(3, Executing);
    let mut resumed = in_state(Resumed(E));
    resumed.set_up(compute(3, 3, &[]));
    resumed.check(secede(1, 1), &[execute(3, 3, &[])]).is(1, Resumed(L)).is(3, Executing);
    vec![cancelled, resumed]
}

fn resumed_run_memory() -> Vec<Bench> {
    let mut benches = vec![in_state(Resumed(E)), in_state(Resumed(L))];
    for bench in &mut benches {
        let expected = [store(1), add_keys(&[1]), execute(9, 9, &[1])];
        bench.check(success(1, 1), &expected).is(1, Memory);
    }
    benches
}

fn resumed_run_failed() -> Vec<Bench> {
    let mut benches = Vec::new();
    for live in [E, L] {
        for end in [failure(1, 1), reschedule(1, 1)] {
            let mut bench = in_state(Resumed(live));
            bench.check(end, &[gather(0, 1, &[1], 1)]).is(1, Flight);
            benches.push(bench);
        }
    }
    for live in [E, L] {
        let mut bench = in_state(Resumed(live));
        bench.set_up(lost(1)).check(failure(1, 1), &[missing_timer()]).is(1, Missing);
        benches.push(bench);
    }
    benches
}

fn resumed_run_fetch() -> Vec<Bench> {
    let mut benches = vec![in_state(Resumed(E)), in_state(Resumed(L))];
    for (bench, live) in benches.iter_mut().zip([E, L]) {
        bench.check(compute(8, 8, &[(1, &[1])]), &[]).is(1, Resumed(live));
        bench.check(lost(1), &[]).is(1, Resumed(live));
    }
    benches
}

fn resumed_run_waiting() -> Vec<Bench> {
    let mut executing = in_state(Resumed(E));
    executing.check(compute(1, 2, &[]), &[]).is(1, Executing);
    let mut seceded = in_state(Resumed(L));
    seceded.check(compute(1, 2, &[]), &[long_running(1, 2, None)]).is(1, LongRunning);
    let mut benches = vec![executing, seceded];
    for bench in &mut benches {
        let expected = [store(1), finished(1, 2), execute(9, 9, &[1])];
        bench.check(success(1, 1), &expected);
    }
    benches
}

fn resumed_flight_memory() -> Vec<Bench> {
    let mut bench = in_state(Resumed(F));
    let expected = [store(1), finished_by_copy(1, 1), execute(9, 9, &[1])];
    bench.check(gathered(0, &[1], &[]), &expected).is(1, Memory);
    vec![bench]
}

fn resumed_flight_failed() -> Vec<Bench> {
    let mut benches = Vec::new();
    for end in [gathered(0, &[], &[1]), damaged(0, &[1]), broken(0), unstorable(0)] {
        let mut bench = in_state(Resumed(F));
        bench.check(end, &[execute(1, 1, &[])]).is(1, Executing).is(9, Waiting);
        benches.push(bench);
    }
    let mut elsewhere = in_state(Resumed(F));
    elsewhere.check(compute(8, 8, &[(1, &[1])]), &[]).is(1, Flight);
    benches.push(elsewhere);
    benches
}

fn resumed_released() -> Vec<Bench> {
    let mut benches: Vec<Bench> = [E, L, F].map(|live| in_state(Resumed(live))).into();
    for (bench, live) in benches.iter_mut().zip([E, L, F]) {
        bench.check(free(&[(9, 9), (1, 0)]), &[]).is(1, Cancelled(live)).is_gone(9);
    }
    benches
}

/// What a pair leads to: the state of task 1 afterwards, none when it is gone.
fn outcome(state: State, end: &WorkerEvent) -> Option<State> {
    let went_well = matches!(end, WorkerEvent::ExecuteSuccess { .. });
    let gave_back = matches!(end, WorkerEvent::Reschedule { .. });
    match state {
        Executing | LongRunning if went_well => Some(Memory),
        Executing | LongRunning if gave_back => None,
        Executing | LongRunning => Some(Erred),
        Cancelled(_) => None,
        Resumed(_) if went_well => Some(Memory),
        Resumed(_) => Some(Flight),
        _ => panic!("{state:?} has no run"),
    }
}

/// Issue 6673: every state with a run, every end of it; one message or none, and no slot lost.
#[test]
fn every_end_of_a_run_in_every_state() {
    let states = [E, L].map(|live| [Cancelled(live), Resumed(live)]).into_iter().flatten();
    for state in states.chain([Executing, LongRunning]) {
        for end in [success(1, 1), failure(1, 1), reschedule(1, 1)] {
            let mut bench = in_state(state);
            let expected = outcome(state, &end);
            let got = bench.give(vec![end.clone()]);
            assert_eq!(bench.worker.state(TaskId(1)), expected, "{state:?} {end:?}");
            let reports = got.iter().filter(|instruction| is_report(instruction)).count();
            let wanted = usize::from(matches!(state, Executing | LongRunning));
            assert_eq!(reports, wanted, "{state:?} {end:?}: {got:?}");
            let again = bench.give(vec![end.clone()]);
            assert_eq!(again, [], "an end counts once: {state:?} {end:?}");
            bench.set_up(free(&[(9, 0), (1, 0)])).set_up(gathered(0, &[1], &[]));
            let idle = Bench::new(1).worker.executing().count();
            let left = bench.worker.executing().filter(|run| run.task == TaskId(1)).count();
            assert_eq!(left, idle, "{state:?} {end:?}");
        }
    }
}

/// Every state with a transfer, every end of it.
#[test]
fn every_end_of_a_transfer_in_every_state() {
    let ends = || {
        [
            gathered(0, &[1], &[]),
            gathered(0, &[], &[1]),
            gathered(0, &[], &[]),
            damaged(0, &[1]),
            busy(0),
            broken(0),
            unstorable(0),
        ]
    };
    for state in [Flight, Cancelled(F), Resumed(F)] {
        for (number, end) in ends().into_iter().enumerate() {
            let mut bench = in_state(state);
            bench.set_up(end.clone());
            let expected = match (state, number) {
                (Flight, 0) | (Resumed(F), 0) => Some(Memory),
                (Flight, 4) => Some(Fetch),
                (Flight, 6) => Some(Released),
                (Flight, _) => Some(Missing),
                (Resumed(F), _) => Some(Executing),
                _ => None,
            };
            assert_eq!(bench.worker.state(TaskId(1)), expected, "{state:?} {end:?}");
            assert_eq!(bench.give(vec![end.clone()]), [], "an end counts once: {end:?}");
            assert_eq!(bench.worker.transfer_count(), 0, "{state:?} {end:?}");
        }
    }
}

fn is_report(instruction: &WorkerInstruction) -> bool {
    matches!(
        instruction,
        WorkerInstruction::TaskFinished { task: TaskId(1), .. }
            | WorkerInstruction::TaskErred { task: TaskId(1), .. }
            | WorkerInstruction::Reschedule { task: TaskId(1), .. }
    )
}
