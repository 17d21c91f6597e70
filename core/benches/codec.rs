//! Cost of one message on the wire: nanoseconds to encode and to decode, and its length.
//!
//! The best of many short rounds counts, since other work on the machine only ever adds.

#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]

use rdask_core::codec;
use rdask_core::ids::{RunId, SpecId, TaskId, WorkerId};
use rdask_core::messages::{ComputeTask, Dependency, Priority, ToScheduler, ToWorker, TypeCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hint::black_box;
use std::time::Instant;

const MESSAGES: u32 = 1000;
const ROUNDS: u32 = 1000;

fn main() {
    println!("codec, best of {ROUNDS} rounds of {MESSAGES} messages (goal: 150 ns for both ways)");
    let compute = ToWorker::ComputeTask(ComputeTask {
        task: TaskId(123_456),
        key: "sum-7f3a-12".into(),
        run_id: RunId(1_234_567),
        attempt: 0,
        priority: Priority { user: 0, generation: 1, order: 123_456 },
        spec: SpecId(17),
        dependencies: vec![Dependency {
            task: TaskId(123_455),
            nbytes: 8_000_000,
            who_has: vec![WorkerId(3)],
        }],
        arguments: Vec::new(),
        needs: None,
    });
    report("ComputeTask, one input", &compute);
    let finished = ToScheduler::TaskFinished {
        task: TaskId(123_456),
        run_id: RunId(1_234_567),
        nbytes: 8_000_000,
        type_code: TypeCode(27),
        thread: 3,
        start_ns: 12_345_678_901,
        stop_ns: 12_345_978_901,
    };
    report("TaskFinished", &finished);
}

fn report<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, message: &M) {
    let body = codec::encode(message).expect("a message of a few bytes");
    let back: M = codec::decode(&body).expect("it was just encoded");
    assert_eq!(&back, message);
    let mut buffer = Vec::with_capacity(256);
    let encode = best(|| {
        buffer.clear();
        codec::encode_into(black_box(message), &mut buffer).expect("a message of a few bytes");
        black_box(&buffer);
    });
    let decode = best(|| {
        let back: M = codec::decode(black_box(&body)).expect("it was just encoded");
        black_box(back);
    });
    println!("  {name:<24}{:>4} bytes  {encode:>5.0} ns out {decode:>5.0} ns in", body.len());
}

/// Nanoseconds per call in the best round.
fn best(mut call: impl FnMut()) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..MESSAGES {
            call();
        }
        least = least.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(MESSAGES));
    }
    least
}
