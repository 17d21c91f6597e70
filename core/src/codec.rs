//! Messages to bytes and back: the only file besides `record.rs` that names the serializer here.
//!
//! Layout: bincode 2, standard configuration (little endian, variable-length integers). Memory that
//! a forged length can ask for is bounded by the length of the body that holds it: bincode counts
//! each integer at its full width against a limit, so the limit is the body times the widest
//! integer, rounded up; the start of a list is at most 1 MiB (serde's own caution).

use bincode::config::standard;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest body of one message, bytes. A whole control frame holds 64 MiB.
pub const MAX_BODY_BYTES: usize = 64 << 20;

/// Longest encoded run spec, bytes: the message that carries it adds a few of its own.
pub const MAX_SPEC_BYTES: usize = MAX_BODY_BYTES - 4096;

/// A message could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not such a message.
    #[error("message of {nbytes} bytes cannot be read: {source}")]
    Malformed {
        /// Length of the body.
        nbytes: usize,
        /// What bincode says.
        source: bincode::error::DecodeError,
    },
    /// Bytes are left behind the message.
    #[error("message has {left} bytes behind its end")]
    Trailing {
        /// How many.
        left: usize,
    },
    /// The message is longer than any body may be.
    #[error("message cannot be written: {0}")]
    TooLong(#[from] bincode::error::EncodeError),
    /// A body longer than any may be.
    #[error("message of {nbytes} bytes is longer than {MAX_BODY_BYTES}")]
    Oversized {
        /// Its length.
        nbytes: usize,
    },
}

/// Bytes of the widest integer, which may take a single byte on the wire.
const WIDEST: usize = 16;

/// Appends a message to a buffer.
///
/// # Errors
/// When the message is longer than `MAX_BODY_BYTES`; the buffer is then as before.
pub fn encode_into<M: Serialize>(message: &M, buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = buffer.len();
    let written = bincode::serde::encode_into_std_write(message, buffer, standard());
    let nbytes = buffer.len() - start;
    if written.is_err() || nbytes > MAX_BODY_BYTES {
        buffer.truncate(start);
    }
    written?;
    if nbytes > MAX_BODY_BYTES {
        return Err(CodecError::Oversized { nbytes });
    }
    Ok(())
}

/// A message as bytes.
///
/// # Errors
/// As `encode_into`.
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, CodecError> {
    let mut buffer = Vec::new();
    encode_into(message, &mut buffer)?;
    Ok(buffer)
}

/// Reads a message that fills the whole body.
///
/// # Errors
/// When the bytes are not such a message, or more than one.
pub fn decode<M: DeserializeOwned>(body: &[u8]) -> Result<M, CodecError> {
    let nbytes = body.len();
    if nbytes <= 0x100 {
        decode_within(body, standard().with_limit::<{ 0x100 * WIDEST }>())
    } else if nbytes <= 0x1000 {
        decode_within(body, standard().with_limit::<{ 0x1000 * WIDEST }>())
    } else if nbytes <= 0x1_0000 {
        decode_within(body, standard().with_limit::<{ 0x1_0000 * WIDEST }>())
    } else if nbytes <= 0x10_0000 {
        decode_within(body, standard().with_limit::<{ 0x10_0000 * WIDEST }>())
    } else if nbytes <= MAX_BODY_BYTES {
        decode_within(body, standard().with_limit::<{ MAX_BODY_BYTES * WIDEST }>())
    } else {
        Err(CodecError::Oversized { nbytes })
    }
}

fn decode_within<M, C>(body: &[u8], config: C) -> Result<M, CodecError>
where
    M: DeserializeOwned,
    C: bincode::config::Config,
{
    let (message, read) = bincode::serde::decode_from_slice(body, config)
        .map_err(|source| CodecError::Malformed { nbytes: body.len(), source })?;
    if read != body.len() {
        return Err(CodecError::Trailing { left: body.len() - read });
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RunId, SpecId, TaskId, WorkerId};
    use crate::messages::*;
    use proptest::prelude::*;

    fn compute_task() -> ToWorker {
        ToWorker::ComputeTask(ComputeTask {
            task: TaskId(1),
            key: "xy".into(),
            run_id: RunId(300),
            attempt: 2,
            priority: Priority { user: -1, generation: 0, order: 70_000 },
            spec: SpecId(250),
            dependencies: vec![Dependency {
                task: TaskId(0),
                nbytes: 1 << 33,
                who_has: vec![WorkerId(251), WorkerId(2)],
            }],
            arguments: vec![0, 0],
            needs: None,
        })
    }

    fn task_finished() -> ToScheduler {
        ToScheduler::TaskFinished {
            task: TaskId(1),
            run_id: RunId(300),
            nbytes: 8,
            type_code: TypeCode(253),
            thread: 0,
            start_ns: 65_536,
            stop_ns: 1 << 32,
        }
    }

    /// Byte by byte after bincode's description: below 251 one byte; 251, 252, 253 announce two,
    /// four, eight; signed numbers zigzag; variants and lengths are such numbers.
    #[test]
    fn golden_bytes_of_compute_task() {
        let expected: &[&[u8]] = &[
            &[3],                           // the fourth message
            &[1],                           // task
            &[2, b'x', b'y'],               // key
            &[251, 0x2c, 0x01],             // run 300
            &[2],                           // attempt
            &[1],                           // user priority -1
            &[0],                           // generation
            &[252, 0x70, 0x11, 0x01, 0x00], // order 70,000
            &[250],                         // spec
            &[1, 0],                        // one input, task 0
            &[253, 0, 0, 0, 0, 2, 0, 0, 0], // of 2^33 bytes
            &[2, 251, 251, 0, 2],           // held by 251 and 2
            &[2, 0, 0],                     // two arguments
            &[0],                           // nothing special
        ];
        let expected = expected.concat();
        assert_eq!(encode(&compute_task()).unwrap(), expected);
        assert_eq!(decode::<ToWorker>(&expected).unwrap(), compute_task());
    }

    #[test]
    fn golden_bytes_of_task_finished() {
        let expected: &[&[u8]] = &[
            &[1],                           // the second message
            &[1],                           // task
            &[251, 0x2c, 0x01],             // run 300
            &[8],                           // bytes
            &[253],                         // type code, always one byte
            &[0],                           // thread
            &[252, 0x00, 0x00, 0x01, 0x00], // start
            &[253, 0, 0, 0, 0, 1, 0, 0, 0], // stop
        ];
        let expected = expected.concat();
        assert_eq!(encode(&task_finished()).unwrap(), expected);
        assert_eq!(decode::<ToScheduler>(&expected).unwrap(), task_finished());
    }

    /// Numbers as they are late in a job of 10^8 runs.
    #[test]
    fn a_small_message_takes_at_most_48_bytes_besides_its_key() {
        let key = "sum-0123456789abcdef";
        let small = ToWorker::ComputeTask(ComputeTask {
            task: TaskId(99_999_999),
            key: key.into(),
            run_id: RunId(100_000_000),
            attempt: 0,
            priority: Priority { user: 0, generation: 3, order: 99_999_999 },
            spec: SpecId(70_000),
            dependencies: vec![Dependency {
                task: TaskId(99_999_998),
                nbytes: 64 << 20,
                who_has: vec![WorkerId(4_000)],
            }],
            arguments: Vec::new(),
            needs: None,
        });
        let nbytes = encode(&small).unwrap().len() - key.len();
        assert!(nbytes <= 48, "compute-task takes {nbytes} bytes");
        let finished = ToScheduler::TaskFinished {
            task: TaskId(99_999_999),
            run_id: RunId(100_000_000),
            nbytes: 64 << 20,
            type_code: TypeCode(27),
            thread: 127,
            start_ns: u64::MAX - 1,
            stop_ns: u64::MAX,
        };
        let nbytes = encode(&finished).unwrap().len();
        assert!(nbytes <= 48, "task-finished takes {nbytes} bytes");
    }

    #[test]
    fn a_message_cut_short_or_followed_by_more_is_an_error() {
        let body = encode(&compute_task()).unwrap();
        for len in 0..body.len() {
            let cut = decode::<ToWorker>(&body[..len]);
            assert!(matches!(cut, Err(CodecError::Malformed { .. })), "{len} bytes: {cut:?}");
        }
        let mut longer = body;
        longer.extend([0, 0]);
        let trailing = decode::<ToWorker>(&longer);
        assert!(matches!(trailing, Err(CodecError::Trailing { left: 2 })), "{trailing:?}");
    }

    /// A length of 2^20 to 2^63 in a body of a few bytes is refused by the limit, before memory for
    /// it is asked for, or at once for want of bytes.
    #[test]
    fn a_forged_length_is_refused() {
        for len in (20..64).map(|bits| 1u64 << bits) {
            let length = [&[253][..], &len.to_le_bytes()].concat();
            let spec_bytes = [&[1, 0][..], &length].concat();
            let key = [&[3, 1][..], &length].concat();
            let freed = [&[4][..], &length].concat();
            for body in [spec_bytes, key, freed] {
                let got = decode::<ToWorker>(&body);
                assert!(matches!(got, Err(CodecError::Malformed { .. })), "{got:?}");
            }
            let key = [&[3, 1][..], &length].concat();
            let Err(CodecError::Malformed { source, .. }) = decode::<ToWorker>(&key) else {
                panic!("a key of {len} bytes was read");
            };
            assert!(
                matches!(source, bincode::error::DecodeError::LimitExceeded),
                "a key of {len} bytes was asked memory for: {source}"
            );
        }
    }

    /// Integers of one byte count at full width: a long list of them must still be read.
    #[test]
    fn a_long_list_of_small_numbers_is_read() {
        for count in [100, 10_000, 1_000_000] {
            let tasks = vec![(TaskId(1), RunId(2)); count];
            let message = ToWorker::FreeKeys { tasks };
            let body = encode(&message).unwrap();
            assert!(body.len() <= 2 * count + 10);
            assert_eq!(decode::<ToWorker>(&body).unwrap(), message);
        }
    }

    #[test]
    fn a_body_beyond_the_limit_is_neither_written_nor_read() {
        let bytes = vec![0; MAX_BODY_BYTES + 1];
        let read = decode::<ToWorker>(&bytes);
        assert!(matches!(read, Err(CodecError::Oversized { .. })));
        let mut buffer = vec![7];
        let message = ToWorker::DefineSpec { spec: SpecId(0), bytes };
        let written = encode_into(&message, &mut buffer);
        assert!(matches!(written, Err(CodecError::Oversized { .. })));
        assert_eq!(buffer, [7]);
    }

    fn any_error() -> impl Strategy<Value = Box<TaskError>> {
        (".{0,9}", ".{0,40}", ".{0,40}")
            .prop_map(|(kind, message, traceback)| Box::new(TaskError { kind, message, traceback }))
    }

    fn any_needs() -> impl Strategy<Value = Option<Box<Needs>>> {
        let resources = prop::collection::vec((".{0,8}", any::<u64>()), 0..3);
        let needs = (any::<u32>(), any::<u64>(), resources, any::<u64>());
        prop::option::of(needs.prop_map(|(threads, memory_bytes, resources, timeout_ns)| {
            Box::new(Needs { threads, memory_bytes, resources, timeout_ns })
        }))
    }

    fn any_workers() -> impl Strategy<Value = Vec<WorkerId>> {
        prop::collection::vec(any::<u32>().prop_map(WorkerId), 0..4)
    }

    fn any_compute_task() -> impl Strategy<Value = ToWorker> {
        let dependency = (any::<u32>(), any::<u64>(), any_workers())
            .prop_map(|(task, nbytes, who_has)| Dependency { task: TaskId(task), nbytes, who_has });
        let ids = (any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>());
        let priority = (any::<i32>(), any::<u32>(), any::<u32>());
        let inputs = prop::collection::vec(dependency, 0..4);
        let arguments = prop::collection::vec(any::<u32>(), 0..4);
        (ids, ".{0,20}", priority, inputs, arguments, any_needs()).prop_map(
            |(ids, key, priority, dependencies, arguments, needs)| {
                let (task, run_id, attempt, spec) = ids;
                let (user, generation, order) = priority;
                ToWorker::ComputeTask(ComputeTask {
                    task: TaskId(task),
                    key,
                    run_id: RunId(run_id),
                    attempt,
                    priority: Priority { user, generation, order },
                    spec: SpecId(spec),
                    dependencies,
                    arguments,
                    needs,
                })
            },
        )
    }

    fn any_to_worker() -> impl Strategy<Value = ToWorker> {
        let task = || any::<u32>().prop_map(TaskId);
        let freed = prop::collection::vec((task(), any::<u64>().prop_map(RunId)), 0..9);
        let who_has = prop::collection::vec((task(), any_workers()), 0..5);
        prop_oneof![
            any_compute_task(),
            freed.prop_map(|tasks| ToWorker::FreeKeys { tasks }),
            who_has.prop_map(|who_has| ToWorker::RefreshWhoHas { who_has }),
            (any::<u32>(), prop::collection::vec(any::<u8>(), 0..300))
                .prop_map(|(spec, bytes)| ToWorker::DefineSpec { spec: SpecId(spec), bytes }),
            (any::<u32>(), any::<u128>(), ".{0,9}", prop::collection::vec(".{0,20}", 0..3))
                .prop_map(|(worker, server_id, name, addresses)| ToWorker::AddPeer(Peer {
                    worker: WorkerId(worker),
                    server_id,
                    machine: name.clone(),
                    name,
                    addresses,
                })),
            ".{0,30}".prop_map(|reason| ToWorker::Close { reason }),
        ]
    }

    fn any_to_scheduler() -> impl Strategy<Value = ToScheduler> {
        let numbers = (any::<u32>(), any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>());
        prop_oneof![
            (numbers, any::<u64>(), any::<u8>()).prop_map(|(numbers, nbytes, code)| {
                let (task, run_id, thread, start_ns, stop_ns) = numbers;
                ToScheduler::TaskFinished {
                    task: TaskId(task),
                    run_id: RunId(run_id),
                    nbytes,
                    type_code: TypeCode(code),
                    thread,
                    start_ns,
                    stop_ns,
                }
            }),
            (numbers, any_error()).prop_map(|(numbers, error)| {
                let (task, run_id, thread, start_ns, stop_ns) = numbers;
                ToScheduler::TaskErred {
                    task: TaskId(task),
                    run_id: RunId(run_id),
                    error,
                    thread,
                    start_ns,
                    stop_ns,
                }
            }),
            prop::collection::vec(any::<u32>().prop_map(TaskId), 0..20)
                .prop_map(|tasks| ToScheduler::AddKeys { tasks }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(message in any_to_worker()) {
            let body = encode(&message).unwrap();
            prop_assert_eq!(decode::<ToWorker>(&body).unwrap(), message);
        }

        #[test]
        fn reports_are_read_back(message in any_to_scheduler()) {
            let body = encode(&message).unwrap();
            prop_assert_eq!(decode::<ToScheduler>(&body).unwrap(), message);
        }

        /// Whatever the bytes, there is an answer; and a message that was read is written again as
        /// one that reads the same.
        #[test]
        fn any_bytes_are_a_message_or_an_error(
            mut body in prop::collection::vec(any::<u8>(), 0..400),
            variant in 0u8..16,
        ) {
            if let Some(first) = body.first_mut() {
                *first = variant;
            }
            if let Ok(message) = decode::<ToWorker>(&body) {
                let again = encode(&message).unwrap();
                prop_assert!(again.len() <= body.len(), "the shortest form is written");
                prop_assert_eq!(decode::<ToWorker>(&again).unwrap(), message);
            }
            if let Ok(message) = decode::<ToScheduler>(&body) {
                let again = encode(&message).unwrap();
                prop_assert_eq!(decode::<ToScheduler>(&again).unwrap(), message);
            }
        }

        #[test]
        fn a_damaged_message_never_panics(
            message in any_to_worker(),
            at in any::<prop::sample::Index>(),
            with in any::<u8>(),
        ) {
            let mut body = encode(&message).unwrap();
            let at = at.index(body.len());
            body[at] = with;
            let _either = decode::<ToWorker>(&body);
        }
    }

    /// The fuzzer's corpus, on the stable compiler.
    #[test]
    fn the_corpus_of_the_fuzzer_is_replayed() {
        let corpus: &[(&str, &[u8], bool)] = &[
            ("compute_task", include_bytes!("../../fuzz/corpus/codec/compute_task"), true),
            ("forged_key", include_bytes!("../../fuzz/corpus/codec/forged_key"), false),
            ("forged_list", include_bytes!("../../fuzz/corpus/codec/forged_list"), false),
            ("free_keys", include_bytes!("../../fuzz/corpus/codec/free_keys"), true),
            ("bad_utf8", include_bytes!("../../fuzz/corpus/codec/bad_utf8"), false),
            ("unknown_variant", include_bytes!("../../fuzz/corpus/codec/unknown_variant"), false),
        ];
        for &(name, body, sound) in corpus {
            assert_eq!(decode::<ToWorker>(body).is_ok(), sound, "{name}");
            let _either = decode::<ToScheduler>(body);
        }
    }
}
