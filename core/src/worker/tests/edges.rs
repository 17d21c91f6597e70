//! One test for each row of "Worker: all transitions" in docs/states.md.
//!
//! And the proof that the rows of the document and these tests are the same set, and that the tests
//! go through every edge that a row stands for.

use super::*;
use crate::story::Transition;

/// An edge as the story tells it: state before, state asked for, state after.
pub(super) type Edge = (State, State, State);

/// A row of the document, the edges that it stands for, and its test.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) edges: &'static [Edge],
    pub(super) test: fn() -> Vec<Bench>,
}

/// Makes one test of each row, named after it, and a table of all.
macro_rules! rows {
    ($table:ident: $($test:ident $name:literal [$($edge:expr),* $(,)?])*) => {
        mod row {
            $(#[test]
            fn $test() {
                let _benches = super::$test();
            })*
        }
        pub(super) const $table: &[Row] =
            &[$(Row { name: $name, edges: &[$($edge),*], test: $test }),*];
    };
}
pub(super) use rows;

use Live::{Executing as E, Flight as F, LongRunning as L};
use State::*;

rows! { ROWS:
    released_waiting "released → waiting" [(Released, Waiting, Waiting)]
    released_fetch "released → fetch" [(Released, Fetch, Fetch)]
    released_missing "released → missing" [(Released, Fetch, Missing)]
    released_memory "released → memory" [(Released, Memory, Memory)]
    released_erred "released → erred" [(Released, Erred, Erred)]
    released_forgotten "released → forgotten" [(Released, Forgotten, Forgotten)]
    waiting_ready "waiting → ready" [(Waiting, Ready, Ready)]
    waiting_constrained "waiting → constrained" [(Waiting, Ready, Constrained)]
    queued_executing "ready, constrained → executing"
        [(Ready, Executing, Executing), (Constrained, Executing, Executing)]
    unstarted_released "waiting, ready, constrained, erred → released"
        [(Waiting, Released, Released), (Ready, Released, Released),
        (Constrained, Released, Released), (Erred, Released, Released)]
    running_memory "executing, long-running → memory"
        [(Executing, Memory, Memory), (LongRunning, Memory, Memory)]
    running_erred "executing, long-running → erred"
        [(Executing, Erred, Erred), (LongRunning, Erred, Erred)]
    running_rescheduled "executing, long-running → rescheduled"
        [(Executing, Rescheduled, Released), (LongRunning, Rescheduled, Released)]
    executing_long_running "executing → long-running" [(Executing, LongRunning, LongRunning)]
    running_released "executing, long-running → released"
        [(Executing, Released, Cancelled(E)), (LongRunning, Released, Cancelled(L))]
    fetch_flight "fetch → flight" [(Fetch, Flight, Flight)]
    fetch_missing "fetch → missing" [(Fetch, Missing, Missing)]
    fetch_released "fetch → released" [(Fetch, Released, Released)]
    flight_memory "flight → memory" [(Flight, Memory, Memory)]
    flight_fetch "flight → fetch" [(Flight, Fetch, Fetch), (Flight, Fetch, Flight)]
    flight_missing "flight → missing" [(Flight, Fetch, Missing)]
    flight_erred "flight → erred" [(Flight, Erred, Released)]
    flight_released "flight → released"
        [(Flight, Released, Cancelled(F)), (Flight, Released, Released)]
    missing_fetch "missing → fetch" [(Missing, Fetch, Fetch), (Missing, Fetch, Missing)]
    missing_waiting "missing → waiting" [(Missing, Waiting, Waiting)]
    missing_released "missing → released" [(Missing, Released, Released)]
    missing_erred "missing → erred" [(Missing, Released, Released), (Released, Erred, Erred)]
    memory_released "memory → released" [(Memory, Released, Released)]
    any_other_pair "any other pair" [(Executing, Released, Released)]
}

fn released_waiting() -> Vec<Bench> {
    let mut bench = Bench::new(1);
    bench
        .check(compute(1, 1, &[(2, &[1]), (3, &[1])]), &[gather(0, 1, &[2, 3], 1)])
        .is(1, Waiting)
        .check(gathered(0, &[2], &[3]), &[store(2), add_keys(&[2]), missing_timer()])
        .is(1, Waiting)
        .is(3, Missing);
    vec![bench]
}

fn released_fetch() -> Vec<Bench> {
    let mut bench = Bench::new(1);
    bench
        .check(WorkerEvent::Pause, &[status(WorkerStatus::Paused)])
        .check(compute(9, 9, &[(1, &[1, 2])]), &[])
        .is(1, Fetch);
    vec![bench]
}

fn released_missing() -> Vec<Bench> {
    let mut bench = Bench::new(1);
    bench.check(compute(9, 9, &[(1, &[])]), &[missing_timer()]).is(1, Missing);
    vec![bench]
}

fn released_memory() -> Vec<Bench> {
    let mut bench = Bench::new(1);
    bench
        .check(WorkerEvent::UpdateData { data: vec![(TaskId(1), 8)] }, &[store(1)])
        .is(1, Memory)
        .check(compute(9, 9, &[(1, &[0])]), &[execute(9, 9, &[1])]);
    vec![bench]
}

fn released_erred() -> Vec<Bench> {
    let mut bench = in_state(Flight);
    let text = "input task 1 cannot be stored: no memory";
    bench.check(unstorable(0), &[erred_unrun(9, 9, text)]).is(9, Erred).is(1, Released);
    bench.ends_empty(&[9]);
    vec![bench]
}

fn released_forgotten() -> Vec<Bench> {
    let mut bench = in_state(Released);
    bench.check(free(&[(9, 9)]), &[dropped(9), gave_up(9)]).is_gone(9).is_gone(1);
    bench.nothing_left();
    vec![bench]
}

fn waiting_ready() -> Vec<Bench> {
    let mut bench = Bench::new(1);
    bench.set_up(compute(7, 7, &[])).check(compute(1, 1, &[]), &[]).is(1, Ready);
    vec![bench]
}

fn waiting_constrained() -> Vec<Bench> {
    let mut bench = Bench::with(1, 0, &[("GPU", 1_000_000)]);
    bench.set_up(compute(7, 7, &[])).check(compute_on_gpu(1, 1), &[]).is(1, Constrained);
    vec![bench]
}

fn queued_executing() -> Vec<Bench> {
    let mut benches = vec![in_state(Ready), in_state(Constrained)];
    for bench in &mut benches {
        let running = status(WorkerStatus::Running);
        bench.check(WorkerEvent::Unpause, &[running, execute(1, 1, &[])]).is(1, Executing);
    }
    benches
}

fn unstarted_released() -> Vec<Bench> {
    let mut benches: Vec<Bench> = [Ready, Constrained, Erred].map(in_state).into();
    for bench in &mut benches {
        bench.check(free(&[(1, 1)]), &[]).is_gone(1).nothing_left();
    }
    let mut waiting = in_state(Waiting);
    waiting.check(free(&[(1, 1)]), &[]).is_gone(1).is(2, Cancelled(F));
    waiting.check(gathered(0, &[2], &[]), &[]).is_gone(2).nothing_left();
    benches.push(waiting);
    benches
}

fn running_memory() -> Vec<Bench> {
    let mut benches = vec![in_state(Executing), in_state(LongRunning)];
    for bench in &mut benches {
        bench.check(success(1, 1), &[store(1), finished(1, 1)]).is(1, Memory);
        assert_eq!(bench.worker.nbytes(), RESULT);
        bench.ends_empty(&[1]);
    }
    benches
}

fn running_erred() -> Vec<Bench> {
    let mut benches = vec![in_state(Executing), in_state(LongRunning)];
    for bench in &mut benches {
        bench.check(failure(1, 1), &[erred(1, 1)]).is(1, Erred);
        bench.ends_empty(&[1]);
    }
    benches
}

fn running_rescheduled() -> Vec<Bench> {
    let mut benches = vec![in_state(Executing), in_state(LongRunning)];
    for bench in &mut benches {
        let given_back = WorkerInstruction::Reschedule { task: TaskId(1), run_id: RunId(1) };
        bench.check(reschedule(1, 1), &[given_back]).is_gone(1).nothing_left();
    }
    benches
}

fn executing_long_running() -> Vec<Bench> {
    let mut bench = in_state(Executing);
    bench
        .check(compute(2, 2, &[]), &[])
        .check(secede(1, 1), &[long_running(1, 1, Some(33)), execute(2, 2, &[])])
        .is(1, LongRunning)
        .is(2, Executing);
    vec![bench]
}

fn running_released() -> Vec<Bench> {
    let mut executing = in_state(Executing);
    executing.check(free(&[(1, 1)]), &[cancel(1, 1)]).is(1, Cancelled(E));
    let mut seceded = in_state(LongRunning);
    seceded.check(free(&[(1, 1)]), &[cancel(1, 1)]).is(1, Cancelled(L));
    vec![executing, seceded]
}

fn fetch_flight() -> Vec<Bench> {
    let mut bench = in_state(Fetch);
    let running = status(WorkerStatus::Running);
    bench.check(WorkerEvent::Unpause, &[running, gather(0, 1, &[1], 9)]).is(1, Flight);
    vec![bench]
}

fn fetch_missing() -> Vec<Bench> {
    let mut bench = in_state(Fetch);
    bench.check(lost(1), &[missing_timer()]).is(1, Missing);
    vec![bench]
}

fn fetch_released() -> Vec<Bench> {
    let mut bench = in_state(Fetch);
    bench.check(free(&[(9, 9)]), &[]).is_gone(1).is_gone(9).nothing_left();
    vec![bench]
}

fn flight_memory() -> Vec<Bench> {
    let mut bench = in_state(Flight);
    bench
        .check(gathered(0, &[1], &[]), &[store(1), add_keys(&[1]), execute(9, 9, &[1])])
        .is(1, Memory);
    vec![bench]
}

fn flight_fetch() -> Vec<Bench> {
    let mut again = Bench::new(1);
    again.set_up(compute(9, 9, &[(1, &[1])])).set_up(refresh(1, &[1, 2]));
    again.check(gathered(0, &[], &[1]), &[gather(1, 2, &[1], 9)]).is(1, Flight);
    // Not done: a second dependent that wants it changes nothing.
    let mut early = in_state(Flight);
    early.check(compute(8, 8, &[(1, &[1])]), &[]).is(1, Flight);
    vec![again, early]
}

fn flight_missing() -> Vec<Bench> {
    let mut bench = in_state(Flight);
    bench.check(gathered(0, &[], &[1]), &[missing_timer()]).is(1, Missing);
    vec![bench]
}

fn flight_erred() -> Vec<Bench> {
    let mut bench = in_state(Flight);
    bench.set_up(compute(8, 8, &[(1, &[1])]));
    let text = "input task 1 cannot be stored: no memory";
    let mut got = bench.give(vec![unstorable(0)]);
    got.sort_by_key(|instruction| format!("{instruction:?}"));
    assert_eq!(got, [erred_unrun(8, 8, text), erred_unrun(9, 9, text)]);
    bench.ends_empty(&[8, 9]);
    vec![bench]
}

fn flight_released() -> Vec<Bench> {
    let mut bench = in_state(Flight);
    bench.check(free(&[(9, 9)]), &[]).is(1, Cancelled(F));
    // Done, and the only one who waited for it has just failed for want of another input.
    let mut done = Bench::new(1);
    done.set_up(compute(9, 9, &[(1, &[1]), (2, &[1])]));
    let text = "input task 2 cannot be stored: no memory";
    done.check(unstorable(0), &[erred_unrun(9, 9, text)]).is(1, Released).is(2, Released);
    done.ends_empty(&[9]);
    vec![bench, done]
}

fn missing_fetch() -> Vec<Bench> {
    let mut bench = in_state(Missing);
    bench.check(refresh(1, &[]), &[]).is(1, Missing);
    bench.check(compute(8, 8, &[(1, &[])]), &[]).is(1, Missing);
    bench.check(refresh(1, &[2]), &[gather(0, 2, &[1], 9)]).is(1, Flight);
    vec![bench]
}

fn missing_waiting() -> Vec<Bench> {
    let mut bench = in_state(Missing);
    bench
        .check(compute(1, 1, &[(2, &[1])]), &[gather(0, 1, &[2], 1)])
        .is(1, Waiting)
        .check(gathered(0, &[2], &[]), &[store(2), add_keys(&[2]), execute(1, 1, &[2])])
        .check(success(1, 1), &[store(1), finished(1, 1), execute(9, 9, &[1])]);
    vec![bench]
}

fn missing_released() -> Vec<Bench> {
    let mut bench = in_state(Missing);
    bench.check(free(&[(9, 9)]), &[]).is_gone(1).is_gone(9).nothing_left();
    vec![bench]
}

/// No event asks for it; the way is there all the same.
fn missing_erred() -> Vec<Bench> {
    let mut bench = in_state(Missing);
    let slot = bench.worker.tasks.find(TaskId(1)).expect("task 1 is missing");
    bench.worker.recommend(slot, Erred);
    bench.worker.drain();
    bench.is(1, Erred);
    vec![bench]
}

fn memory_released() -> Vec<Bench> {
    let mut freed = in_state(Memory);
    freed.check(free(&[(1, 1)]), &[dropped(1), gave_up(1)]).is_gone(1).nothing_left();
    let mut unneeded = in_state(Memory);
    let replicas = WorkerEvent::RemoveReplicas { tasks: tasks(&[1]) };
    unneeded.check(replicas, &[dropped(1), gave_up(1)]).is_gone(1).nothing_left();
    vec![freed, unneeded]
}

/// A result of an older spec: executing → waiting goes through released.
/// A run of an older spec ends: the task runs anew here, or goes back when it had left the pool.
fn any_other_pair() -> Vec<Bench> {
    let mut bench = in_state(Executing);
    bench.set_up(send(ComputeTask { spec: SpecId(5), ..message(1, 2, &[]) }));
    let got = bench.give(vec![success(1, 1)]);
    assert!(
        matches!(&got[..], [WorkerInstruction::Execute { run_id: RunId(2), spec: SpecId(5), .. }]),
        "{got:?}"
    );
    bench.check(success(1, 2), &[store(1), finished(1, 2)]);
    let mut seceded = in_state(LongRunning);
    seceded.set_up(send(ComputeTask { spec: SpecId(5), ..message(1, 2, &[]) }));
    let (task, run_id) = (TaskId(1), RunId(2));
    seceded.check(success(1, 1), &[WorkerInstruction::Reschedule { task, run_id }]);
    vec![bench, seceded]
}

/// The edges that a bench went through.
fn exercised(benches: &[Bench]) -> Vec<Edge> {
    let edge = |t: Transition<State>| (t.start, t.asked, t.finish);
    benches.iter().flat_map(|bench| bench.worker.transitions().all().map(edge)).collect()
}

/// Rows of a table of the document: the first column of every line after the table's head.
pub(super) fn documented(heading: &str) -> Vec<String> {
    let text = include_str!("../../../../docs/states.md");
    let section = text.split(heading).nth(1).expect("the document has the section");
    let section = section.split("\n## ").next().expect("a first piece is always there");
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| line.split('|').nth(1).expect("a first column").trim().to_owned()).collect()
}

#[test]
fn rows_are_those_of_the_document() {
    let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(documented("## Worker: all transitions"), names);
    let names: Vec<&str> = cancelled::ROWS.iter().map(|row| row.name).collect();
    assert_eq!(documented("## Worker: cancelled and resumed"), names);
}

#[test]
fn every_edge_is_exercised() {
    for row in ROWS.iter().chain(cancelled::ROWS) {
        let seen = exercised(&(row.test)());
        for edge in row.edges {
            assert!(seen.contains(edge), "{}: its test never goes {edge:?}", row.name);
        }
    }
}

/// Every edge of every row.
pub(super) fn all_edges() -> Vec<Edge> {
    let rows = ROWS.iter().chain(cancelled::ROWS);
    rows.flat_map(|row| row.edges.iter().copied()).collect()
}
