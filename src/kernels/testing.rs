//! Kernels that make tasks of a known cost and known failures: bytes, busy, sleep, fail, abort, rank.
//!
//! They take any number of inputs and look at none.

use super::Context;
use super::array::{bytes_object, integer_object};
use super::fault::{Outcome, fault, memory_error};
use super::params::{Read, Reader};
use super::philox::block;
use super::random::fill_words;
use super::simd::Level;
use super::table::{Entry, Inputs, entry, without_inputs};
use rdask_store::{Header, Sealed};
use std::time::{Duration, Instant};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("identity", Inputs::Any, &[], |_| Ok(Box::new(identity))),
    entry("bytes", Inputs::Any, &["size", "seed", "us"], |reader| {
        let bytes = Bytes::parse(reader)?;
        Ok(without_inputs(move |context| bytes.run(context)))
    }),
    entry("busy", Inputs::Any, &["us"], |reader| {
        let pause = Pause::parse(reader, "us", 1e-6)?;
        Ok(without_inputs(move |context| pause.spin(context)))
    }),
    entry("sleep", Inputs::Any, &["ms"], |reader| {
        let pause = Pause::parse(reader, "ms", 1e-3)?;
        Ok(without_inputs(move |context| pause.sleep(context)))
    }),
    entry("fail", Inputs::Any, &["message", "attempts"], |reader| {
        let fail = Fail::parse(reader)?;
        Ok(without_inputs(move |context| fail.run(context)))
    }),
    entry("abort", Inputs::Any, &["attempts"], |reader| {
        let abort = Abort::parse(reader)?;
        Ok(without_inputs(move |context| abort.run(context)))
    }),
    entry("rank", Inputs::Any, &[], |_| Ok(without_inputs(rank))),
];

/// `identity`: the first input itself; without inputs an empty bytes object.
fn identity(context: &Context<'_>, inputs: &[Sealed]) -> Outcome<Sealed> {
    match inputs.first() {
        Some(input) => Ok(input.clone()),
        None => bytes_object(context, &[]),
    }
}

/// `bytes(size, seed = 0, us = 0)`: that many pseudo-random bytes, given when `us` microseconds have
/// passed since the start: a task of a known output and a known duration.
#[derive(Debug)]
pub(super) struct Bytes {
    size: u64,
    seed: u64,
    least: Pause,
}

impl Bytes {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let size = reader.need("size", reader.count("size")?)?;
        let least = match reader.value("us") {
            Some(_) => Pause::parse(reader, "us", 1e-6)?,
            None => Pause { duration: Duration::ZERO },
        };
        Ok(Self { size, seed: reader.count("seed")?.unwrap_or(0), least })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let start = Instant::now();
        let mut writing = context
            .store
            .reserve(self.size, context.priority)
            .map_err(|error| memory_error(&error))?;
        fill_bytes(self.seed, writing.bytes_mut());
        self.least.spin_since(start);
        writing.seal(Header::Bytes).map_err(|error| fault("RuntimeError", error.to_string()))
    }
}

/// Philox's words, little-endian, as many as fit and a part of one more.
fn fill_bytes(seed: u64, out: &mut [u8]) {
    let whole = out.len() / 32 * 32;
    let (blocks, rest) = out.split_at_mut(whole);
    fill_words(Level::best(), [seed, 0], bytemuck::cast_slice_mut(blocks), u64::to_le_bytes);
    let words = block([seed, 0], [whole as u64 / 32, 0, 0, 0]).map(u64::to_le_bytes);
    rest.copy_from_slice(&words.as_flattened()[..rest.len()]);
}

/// Longest `busy` and `sleep`, seconds: a day, so that a slip of the unit is found before the run.
const LONGEST_S: f64 = 86_400.0;

/// How long `busy(us)` spins or `sleep(ms)` sleeps; the result is a 0-d i64 of 0.
#[derive(Debug)]
pub(super) struct Pause {
    duration: Duration,
}

impl Pause {
    /// `unit` is the length of one in seconds.
    pub(super) fn parse(reader: &Reader<'_>, name: &str, unit: f64) -> Read<Self> {
        let seconds = reader.need(name, reader.duration(name)?)? * unit;
        if seconds > LONGEST_S {
            return Err(reader.bad(name, "is longer than a day"));
        }
        Ok(Self { duration: Duration::from_secs_f64(seconds) })
    }

    pub(super) fn spin(&self, context: &Context<'_>) -> Outcome<Sealed> {
        self.spin_since(Instant::now());
        integer_object(context, 0)
    }

    fn spin_since(&self, start: Instant) {
        while start.elapsed() < self.duration {
            std::hint::spin_loop();
        }
    }

    pub(super) fn sleep(&self, context: &Context<'_>) -> Outcome<Sealed> {
        std::thread::sleep(self.duration);
        integer_object(context, 0)
    }
}

/// `fail(message, attempts?)`: an error of kind `RuntimeError` in the first `attempts` runs, always
/// without; later runs give a 0-d i64 of 0.
#[derive(Debug)]
pub(super) struct Fail {
    message: String,
    attempts: Option<u64>,
}

impl Fail {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let message = reader.need("message", reader.string("message")?)?.to_owned();
        Ok(Self { message, attempts: reader.count("attempts")? })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        if strikes(self.attempts, context) {
            return Err(fault("RuntimeError", self.message.clone()));
        }
        integer_object(context, 0)
    }
}

/// `abort(attempts?)`: ends its process with SIGKILL in the first `attempts` runs, always without.
#[derive(Debug)]
pub(super) struct Abort {
    attempts: Option<u64>,
}

impl Abort {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        Ok(Self { attempts: reader.count("attempts")? })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        if strikes(self.attempts, context) {
            let own = rustix::process::getpid();
            rustix::process::kill_process(own, rustix::process::Signal::KILL)
                .map_err(|error| fault("OSError", format!("the process cannot end: {error}")))?;
        }
        integer_object(context, 0)
    }
}

/// `rank`: the worker's rank as a 0-d i64.
fn rank(context: &Context<'_>) -> Outcome<Sealed> {
    integer_object(context, context.rank)
}

fn strikes(attempts: Option<u64>, context: &Context<'_>) -> bool {
    attempts.is_none_or(|attempts| u64::from(context.attempt) < attempts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_those_of_the_blocks() {
        for length in [0, 1, 8, 31, 32, 33, 700, 5003] {
            let blocks = (0..).flat_map(|number| block([9, 0], [number, 0, 0, 0]));
            let expected: Vec<u8> = blocks.flat_map(u64::to_le_bytes).take(length).collect();
            let mut bytes = vec![0; length];
            fill_bytes(9, &mut bytes);
            assert_eq!(bytes, expected, "{length}");
        }
    }
}
