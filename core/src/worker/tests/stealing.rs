//! steal-request in every state of a task: the answer, and the state after.

use super::*;
use crate::messages::StateAtWorker as Told;
use Live::{Executing as E, Flight as F, LongRunning as L};

fn request(task: u32, stimulus_id: u64) -> WorkerEvent {
    WorkerEvent::StealRequest { task: TaskId(task), stimulus_id }
}

fn answer(task: u32, stimulus_id: u64, state: Option<Told>) -> WorkerInstruction {
    WorkerInstruction::StealResponse { task: TaskId(task), stimulus_id, state }
}

/// What has not begun is let go of, without a trace and without another message.
#[test]
fn bug_6159_a_task_that_has_not_begun_is_given_back() {
    for (state, told) in [
        (State::Waiting, Told::Waiting),
        (State::Ready, Told::Ready),
        (State::Constrained, Told::Constrained),
    ] {
        let mut bench = in_state(state);
        bench.check(request(1, 7), &[answer(1, 7, Some(told))]).is_gone(1);
        // Asked again, it is not known.
        bench.check(request(1, 8), &[answer(1, 8, None)]);
        // The task may come back, under a new run.
        bench.set_up(WorkerEvent::Unpause);
        bench.check(compute(1, 2, &[]), &[execute(1, 2, &[])]);
        bench.check(success(1, 2), &[store(1), finished(1, 2)]);
    }
}

/// Everything else stays as it is.
#[test]
fn bug_6159_every_other_state_stays() {
    for (state, told) in [
        (State::Executing, Told::Executing),
        (State::LongRunning, Told::LongRunning),
        (State::Fetch, Told::Fetch),
        (State::Flight, Told::Flight),
        (State::Missing, Told::Missing),
        (State::Memory, Told::Memory),
        (State::Erred, Told::Erred),
        (State::Released, Told::Released),
        (State::Cancelled(E), Told::Cancelled),
        (State::Cancelled(L), Told::Cancelled),
        (State::Cancelled(F), Told::Cancelled),
        (State::Resumed(E), Told::Resumed),
        (State::Resumed(L), Told::Resumed),
        (State::Resumed(F), Told::Resumed),
    ] {
        let mut bench = in_state(state);
        bench.check(request(1, 7), &[answer(1, 7, Some(told))]).is(1, state);
    }
    Bench::new(1).check(request(5, 9), &[answer(5, 9, None)]);
}

/// A resumed task that is asked for ends as if nobody had asked.
#[test]
fn bug_6159_a_resumed_task_goes_on_after_the_request() {
    let mut bench = in_state(State::Resumed(F));
    bench.check(request(1, 7), &[answer(1, 7, Some(Told::Resumed))]);
    bench.check(broken(0), &[execute(1, 1, &[])]);
    bench.check(request(1, 8), &[answer(1, 8, Some(Told::Executing))]);
    bench.set_up(success(1, 1)).is(1, State::Memory);
}

/// Nothing of a task that is sent and asked back in one frame ever starts; its inputs are let go.
#[test]
fn a_task_that_is_sent_and_asked_back_together_never_starts() {
    let mut bench = Bench::new(2);
    let got = bench.give(vec![compute(1, 1, &[]), request(1, 1), compute(2, 2, &[])]);
    assert_eq!(got, [answer(1, 1, Some(Told::Ready)), execute(2, 2, &[])]);
    let got = bench.give(vec![compute(3, 3, &[(4, &[1])]), request(3, 2)]);
    assert_eq!(got, [answer(3, 2, Some(Told::Waiting))]);
    bench.is_gone(1).is_gone(3).is_gone(4);
}

/// An input that another task here still waits for is kept.
#[test]
fn inputs_that_others_wait_for_stay_when_a_task_is_given_back() {
    let mut bench = Bench::new(1);
    bench.set_up(compute(1, 1, &[(5, &[1])])).set_up(compute(2, 2, &[(5, &[1]), (6, &[2])]));
    bench.check(request(1, 1), &[answer(1, 1, Some(Told::Waiting))]).is_gone(1);
    bench.is(5, State::Flight).is(6, State::Flight);
    bench.check(gathered(0, &[5], &[]), &[store(5), add_keys(&[5])]);
    bench.check(gathered(1, &[6], &[]), &[store(6), add_keys(&[6]), execute(2, 2, &[5, 6])]);
}

/// A task that waits while somebody here needs it as an input is fetched once it is let go of.
#[test]
fn a_task_given_back_that_is_also_an_input_here_is_fetched() {
    let mut bench = in_state(State::Missing);
    bench.set_up(compute(1, 1, &[(3, &[2])])).is(1, State::Waiting);
    bench.check(request(1, 7), &[answer(1, 7, Some(Told::Waiting))]).is(1, State::Missing);
    bench.check(refresh(1, &[1]), &[gather(1, 1, &[1], 1)]);
    bench.check(gathered(1, &[1], &[]), &[store(1), add_keys(&[1]), execute(9, 9, &[1])]);
}
