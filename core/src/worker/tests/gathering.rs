//! Fetching: whom to ask, how much, and what each failure leads to.
//!
//! Limits are tested at their edges; every wait is a timer that the test lets come.

use super::*;
use crate::config::{MILLISECOND_NS, SECOND_NS};
use State::*;

/// A compute-task with inputs of given sizes at one holder.
fn compute_sized(task: u32, run: u64, holder: u32, inputs: &[(u32, u64)]) -> WorkerEvent {
    let dependencies = inputs
        .iter()
        .map(|&(input, nbytes)| Dependency {
            task: TaskId(input),
            nbytes,
            who_has: workers(&[holder]),
        })
        .collect();
    send(ComputeTask { dependencies, ..message(task, run, &[]) })
}

/// Transfer, peer and tasks of each request.
fn requests(instructions: &[WorkerInstruction]) -> Vec<(u64, u32, Vec<u32>)> {
    let request = |instruction: &WorkerInstruction| match instruction {
        WorkerInstruction::GatherDep { transfer, peer, tasks, .. } => {
            Some((transfer.0, peer.0, tasks.iter().map(|task| task.0.0).collect()))
        }
        _ => None,
    };
    instructions.iter().filter_map(request).collect()
}

fn set_timer_of(instructions: &[WorkerInstruction]) -> Time {
    let timer = instructions.iter().find_map(|instruction| match instruction {
        WorkerInstruction::SetTimer(at) => Some(*at),
        _ => None,
    });
    timer.expect("a timer was asked for")
}

#[test]
fn a_batch_of_compute_tasks_gives_one_request_with_the_best_task_first() {
    let mut bench = Bench::new(1);
    let got = bench.give(vec![
        compute(8, 1, &[(1, &[1])]),
        compute(7, 2, &[(2, &[1])]),
        compute(9, 3, &[(3, &[1]), (1, &[1])]),
    ]);
    assert_eq!(got, [gather(0, 1, &[2, 1, 3], 7)]);
}

#[test]
fn one_transfer_per_peer_at_a_time() {
    let mut bench = Bench::new(1);
    bench
        .check(compute(8, 1, &[(1, &[1])]), &[gather(0, 1, &[1], 8)])
        .check(compute(9, 2, &[(2, &[1])]), &[])
        .is(2, Fetch)
        .check(compute(7, 3, &[(3, &[2])]), &[gather(1, 2, &[3], 7)]);
    let got = bench.give(vec![gathered(0, &[1], &[])]);
    assert_eq!(requests(&got), [(2, 1, vec![2])]);
}

#[test]
fn the_peer_with_the_best_task_comes_first_then_the_same_machine_then_the_one_with_more() {
    let mut by_task = Bench::new(1);
    let got = by_task.give(vec![compute(8, 1, &[(1, &[1])]), compute(7, 2, &[(2, &[2])])]);
    assert_eq!(requests(&got), [(0, 2, vec![2]), (1, 1, vec![1])]);

    let mut by_machine = Bench::new(1);
    by_machine.set_up(WorkerEvent::AddPeer { worker: WorkerId(2), same_machine: true });
    let got = by_machine.give(vec![compute(8, 1, &[(1, &[1, 2]), (2, &[1])])]);
    assert_eq!(requests(&got), [(0, 2, vec![1]), (1, 1, vec![2])]);

    let mut by_count = Bench::new(1);
    let got = by_count.give(vec![compute(8, 1, &[(1, &[1, 2]), (2, &[2])])]);
    assert_eq!(requests(&got), [(0, 2, vec![1, 2])]);
}

#[test]
fn ties_between_peers_are_broken_by_the_seed() {
    let first_asked = |seed: u64| {
        let options = WorkerOptions {
            nthreads: 1,
            memory_limit_bytes: 0,
            resources: vec![],
            worker: WorkerId(0),
        };
        let mut worker = WorkerState::new(Config::default(), options, seed);
        let mut out = WorkerOut::default();
        worker.handle(Time(0), compute(9, 1, &[(1, &[1, 2, 3, 4])]), &mut out);
        requests(&out.instructions)[0].1
    };
    let asked: std::collections::BTreeSet<u32> = (0..64).map(first_asked).collect();
    assert_eq!(asked, [1, 2, 3, 4].into());
    assert_eq!(first_asked(5), first_asked(5));
}

#[test]
fn a_request_holds_at_most_the_message_limit_unless_its_first_task_is_larger() {
    let limit = Config::default().transfer_message_bytes_limit;
    let mut bench = Bench::new(1);
    let inputs = [(1, limit - 1), (2, 1), (3, 1), (4, limit + 1)];
    let got = bench.give(vec![compute_sized(9, 1, 1, &inputs)]);
    assert_eq!(requests(&got), [(0, 1, vec![1, 2])]);
    let got = bench.give(vec![gathered(0, &[1, 2], &[])]);
    assert_eq!(requests(&got), [(1, 1, vec![3])]);
    let got = bench.give(vec![gathered(1, &[3], &[])]);
    assert_eq!(requests(&got), [(2, 1, vec![4])]);
}

/// A tenth of 1,000 bytes may be on its way; the first task always goes, the next when it fits.
#[test]
fn incoming_bytes_stay_below_their_part_of_the_memory_limit() {
    let mut bench = Bench::with(1, 1_000, &[]);
    let got = bench.give(vec![
        compute_sized(7, 1, 1, &[(1, 60)]),
        compute_sized(8, 2, 2, &[(2, 50)]),
        compute_sized(9, 3, 3, &[(3, 40)]),
    ]);
    assert_eq!(requests(&got), [(0, 1, vec![1]), (1, 3, vec![3])], "60 + 40 fill the limit");
    bench.is(2, Fetch);
    let got = bench.give(vec![gathered(0, &[1], &[])]);
    assert_eq!(requests(&got), [(2, 2, vec![2])]);

    let mut huge = Bench::with(1, 1_000, &[]);
    let got =
        huge.give(vec![compute_sized(7, 1, 1, &[(1, 5_000)]), compute_sized(8, 2, 2, &[(2, 1)])]);
    assert_eq!(requests(&got), [(0, 1, vec![1])]);
}

#[test]
fn the_count_limit_throttles_only_above_the_floor_of_bytes() {
    let config = Config::default();
    let count = config.transfer_incoming_count_limit;
    let small = |size: u64| {
        let mut bench = Bench::new(1);
        let events =
            (1..=count + 5).map(|n| compute_sized(1_000 + n, 1, n, &[(n, size)])).collect();
        requests(&bench.give(events)).len()
    };
    assert_eq!(small(1), count as usize + 5);
    assert_eq!(small(config.transfer_throttle_floor_bytes), count as usize);
}

/// Half a millisecond doubling to 1 s, up to a quarter less by chance; a transfer that works starts over.
#[test]
fn a_busy_peer_is_asked_again_after_a_wait_that_doubles() {
    let mut bench = Bench::new(1);
    bench.set_up(compute(9, 9, &[(1, &[1])]));
    let mut nominal = MILLISECOND_NS / 2;
    for transfer in 0..12 {
        let got = bench.give(vec![busy(transfer)]);
        assert_eq!(got[0], ask_who_has(&[1]));
        let at = set_timer_of(&got);
        let wait = at.since(bench.now);
        assert!(wait <= nominal && wait >= nominal - nominal / 4, "{wait} of {nominal}");
        bench.check(refresh(1, &[1]), &[]);
        bench.now = at;
        bench.check(WorkerEvent::Timeout, &[gather(transfer + 1, 1, &[1], 9)]);
        nominal = (nominal * 2).min(SECOND_NS);
    }
    bench.set_up(gathered(12, &[1], &[])).set_up(success(9, 9));
    bench.check(compute(8, 8, &[(2, &[1])]), &[gather(13, 1, &[2], 8)]);
    let at = set_timer_of(&bench.give(vec![busy(13)]));
    assert!(at.since(bench.now) <= MILLISECOND_NS / 2);
}

/// A network failure strikes off everything that the peer was believed to hold.
#[test]
fn a_network_failure_forgets_all_that_the_peer_held() {
    let mut bench = Bench::new(1);
    bench.set_up(compute(8, 8, &[(1, &[1])]));
    bench.set_up(compute(9, 9, &[(2, &[1]), (3, &[1, 2])]));
    let got = bench.give(vec![broken(0)]);
    assert_eq!(got, [missing_timer()], "task 3 is already asked of peer 2");
    bench.is(1, Missing).is(2, Missing).is(3, Flight);
}

#[test]
fn missing_tasks_are_asked_for_until_a_holder_is_known() {
    let mut bench = in_state(Missing);
    let interval = crate::worker::FIND_MISSING_NS;
    for round in 1..4 {
        bench.now = Time(NOW + round * interval);
        let next = WorkerInstruction::SetTimer(bench.now.after_ns(interval));
        bench.check(WorkerEvent::Timeout, &[ask_who_has(&[1]), next]);
        bench.check(refresh(1, &[]), &[]);
    }
    bench.check(refresh(1, &[3]), &[gather(0, 3, &[1], 9)]);
    bench.now = bench.now.after_ns(interval);
    bench.check(WorkerEvent::Timeout, &[]);
}

/// A timer that comes too early is asked for again, and nothing else happens.
#[test]
fn an_early_timeout_is_harmless() {
    let mut bench = in_state(Missing);
    bench.check(WorkerEvent::Timeout, &[missing_timer()]).is(1, Missing);
}

/// One round of a copy that cannot be had: refresh names the holder again, the transfer ends badly.
fn bad_round(bench: &mut Bench, transfer: u64, end: WorkerEvent) -> Vec<WorkerInstruction> {
    let got = bench.give(vec![end]);
    let again = bench.give(vec![refresh(1, &[1])]);
    assert_eq!(requests(&again), [(transfer + 1, 1, vec![1])]);
    got.into_iter().filter(|it| matches!(it, WorkerInstruction::BadReplica { .. })).collect()
}

fn bad_replica(why: &str) -> WorkerInstruction {
    WorkerInstruction::BadReplica { task: TaskId(1), peer: WorkerId(1), why: why.into() }
}

#[test]
fn the_third_failure_with_a_holder_makes_it_a_bad_replica() {
    for (end, why) in [
        (broken as fn(u64) -> WorkerEvent, "unreachable"),
        (|transfer| damaged(transfer, &[1]), "mismatch"),
        (|transfer| gathered(transfer, &[], &[1]), "unreachable"),
    ] {
        let mut bench = in_state(Flight);
        assert_eq!(bad_round(&mut bench, 0, end(0)), []);
        assert_eq!(bad_round(&mut bench, 1, end(1)), []);
        assert_eq!(bad_round(&mut bench, 2, end(2)), [bad_replica(why)]);
        // The count starts over.
        assert_eq!(bad_round(&mut bench, 3, end(3)), []);
    }
}

#[test]
fn failures_more_than_ten_minutes_apart_do_not_add_up() {
    let mut bench = in_state(Flight);
    for transfer in 0..8 {
        assert_eq!(bad_round(&mut bench, transfer, broken(transfer)), []);
        bench.now = bench.now.after_ns(301 * SECOND_NS);
    }
}

#[test]
fn a_copy_that_arrives_clears_the_suspicion() {
    let mut bench = in_state(Flight);
    assert_eq!(bad_round(&mut bench, 0, broken(0)), []);
    assert_eq!(bad_round(&mut bench, 1, broken(1)), []);
    bench.set_up(gathered(2, &[1], &[])).set_up(success(9, 9));
    bench.set_up(free(&[(9, 9), (1, 0)])).set_up(compute(9, 10, &[(1, &[1])]));
    assert_eq!(bad_round(&mut bench, 3, broken(3)), []);
}

#[test]
fn an_acknowledged_bad_replica_is_not_asked_again() {
    let mut bench = Bench::new(1);
    bench.set_up(WorkerEvent::Pause).set_up(compute(9, 9, &[(1, &[1])]));
    let ack = WorkerEvent::BadKeyAck { task: TaskId(1), peer: WorkerId(1) };
    bench.check(ack.clone(), &[missing_timer()]).is(1, Missing);
    bench.check(ack, &[]);
    let unknown = WorkerEvent::BadKeyAck { task: TaskId(50), peer: WorkerId(50) };
    bench.check(unknown, &[]);
}

/// A key of the request that the answer does not mention counts as absent.
#[test]
fn a_key_that_the_answer_forgot_is_absent() {
    let mut bench = Bench::new(1);
    bench.set_up(compute(9, 9, &[(1, &[1]), (2, &[1])]));
    bench.set_up(gathered(0, &[2], &[])).is(1, Missing).is(2, Memory);
}

/// What a transfer brings without having been asked for it is not kept.
#[test]
fn a_key_that_nobody_asked_for_is_not_kept() {
    let mut bench = in_state(Flight);
    bench.set_up(compute(8, 8, &[(3, &[2])]));
    let got = bench.give(vec![gathered(0, &[1, 3, 40], &[])]);
    assert_eq!(got, [store(1), add_keys(&[1]), execute(9, 9, &[1])]);
    bench.is(3, Flight).is_gone(40);
}

#[test]
fn a_lost_peer_is_never_a_holder_again() {
    let mut bench = in_state(Missing);
    bench.check(lost(1), &[]).check(refresh(1, &[1]), &[]).is(1, Missing);
}

#[test]
fn data_from_outside_overtakes_a_transfer() {
    let mut bench = in_state(Flight);
    let data = vec![(TaskId(1), INPUT)];
    bench
        .check(WorkerEvent::UpdateData { data }, &[store(1), add_keys(&[1]), execute(9, 9, &[1])])
        .check(gathered(0, &[1], &[]), &[])
        .is(1, Memory);
    assert_eq!(bench.worker.nbytes(), INPUT);
}

#[test]
fn data_from_outside_has_no_place_beside_a_run() {
    let mut bench = in_state(Executing);
    let data = vec![(TaskId(1), INPUT)];
    bench.check(WorkerEvent::UpdateData { data }, &[gave_up(1)]).is(1, Executing);
}

#[test]
fn a_paused_worker_asks_nobody_and_goes_on_when_unpaused() {
    let mut bench = in_state(Fetch);
    bench.check(WorkerEvent::Pause, &[]);
    let running = status(WorkerStatus::Running);
    bench.check(WorkerEvent::Unpause, &[running, gather(0, 1, &[1], 9)]);
}
