//! What a family is asked for: its sizes with defaults filled in, and the work of a task.
//!
//! Owns every check of what the user gave; a family finds its sizes within their ranges.

use super::family::{Family, Work};
use super::knobs::{Knob, Knobs};
use super::published::{self, Row};
use super::weaver::MOST_BYTES;
use super::{GenerateError, Request};
use crate::{Param, RunSpec};

/// Output of a Task Bench task unless it is given, bytes: Task Bench's own default.
const PATTERN_BYTES: u64 = 16;

/// Longest task, microseconds: a day, as for the kernel `busy`.
const LONGEST_US: f64 = 86_400e6;

/// A request that holds.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) knobs: Knobs,
    /// Whether the tasks are real kernels.
    pub(super) real: bool,
    pub(super) seed: u64,
    /// Output of a replayed task, bytes.
    pub(super) bytes: u64,
    /// Whether the user gave it.
    pub(super) bytes_given: bool,
    /// Duration of a replayed task, microseconds.
    pub(super) us: f64,
}

impl Plan {
    /// Checks a request against what its family takes. `row` fixes the sizes.
    pub(super) fn new(
        request: &Request,
        family: &Family,
        row: Option<&Row>,
    ) -> Result<Self, GenerateError> {
        let knobs = knobs(request, family, row)?;
        let real = request.real || family.work == Work::Real;
        if request.real && !family.has_real_form() {
            return Err(GenerateError::NoRealForm { family: family.name });
        }
        let refuse = |option| foreign(request, family, option);
        if real && request.task_us.is_some() {
            return Err(refuse("task-us"));
        }
        if real && request.bytes.is_some() && family.work != Work::EitherSized {
            return Err(refuse("bytes"));
        }
        let published = row.or_else(|| published::nearest(family.name, &knobs));
        let bytes = request.bytes.unwrap_or(published.map_or(PATTERN_BYTES, Row::bytes));
        if bytes > MOST_BYTES {
            let value = bytes.to_string();
            let range = format!("0 to {MOST_BYTES}");
            return Err(GenerateError::OutOfRange { option: "bytes", value, range });
        }
        let us = request.task_us.unwrap_or(published.map_or(0.0, Row::us));
        if !(0.0..=LONGEST_US).contains(&us) {
            let range = format!("0 to {LONGEST_US}");
            return Err(GenerateError::OutOfRange {
                option: "task-us",
                value: us.to_string(),
                range,
            });
        }
        let bytes_given = request.bytes.is_some();
        Ok(Self { knobs, real, seed: request.seed, bytes, bytes_given, us })
    }

    /// The replayed work of a task: the duration and output that the plan says.
    pub(super) fn work(&self) -> RunSpec {
        self.work_of(self.bytes, self.us)
    }

    /// The replayed work of a task with this output, in bytes, unless the user gave another.
    pub(super) fn work_with_output(&self, bytes: u64) -> RunSpec {
        self.work_of(if self.bytes_given { self.bytes } else { bytes }, self.us)
    }

    /// A task that takes `us` and makes `bytes`.
    pub(super) fn work_of(&self, bytes: u64, us: f64) -> RunSpec {
        let mut params: Vec<(&str, Param)> = vec![("size", bytes.into())];
        if self.seed != 0 {
            params.push(("seed", self.seed.into()));
        }
        if us > 0.0 {
            params.push(("us", number(us)));
        }
        RunSpec::kernel("bytes", params)
    }

    /// How many tiles an axis has.
    pub(super) fn tiles(&self, axis: Knob, tile: Knob) -> Result<u64, GenerateError> {
        let (length, by) = (self.knobs[axis], self.knobs[tile]);
        if !length.is_multiple_of(by) {
            return Err(GenerateError::Uneven {
                what: format!("--{} {length}", axis.name()),
                of: format!("--{} {by}", tile.name()),
            });
        }
        Ok(length / by)
    }
}

/// Refuses an f64 array that one task cannot make.
pub(super) fn check_output(rows: u64, columns: u64) -> Result<(), GenerateError> {
    let bytes = u128::from(rows) * u128::from(columns) * 8;
    if bytes > u128::from(MOST_BYTES) {
        return Err(GenerateError::BlockTooLarge { bytes });
    }
    Ok(())
}

/// A number as an integer where it is one.
fn number(value: f64) -> Param {
    if value.fract() == 0.0 && value < 9e15 {
        return Param::Int(value as i64);
    }
    Param::Float(value)
}

fn knobs(request: &Request, family: &Family, row: Option<&Row>) -> Result<Knobs, GenerateError> {
    let mut knobs = Knobs::default();
    let sizes = row.map_or(family.takes, |row| row.sizes);
    for (knob, default) in sizes {
        knobs.set(*knob, *default);
    }
    for (knob, value) in &request.sizes {
        if row.is_some() || !family.takes.iter().any(|(known, _)| known == knob) {
            return Err(foreign(request, family, knob.name()));
        }
        let (low, high) = knob.range();
        if !(low..=high).contains(value) {
            let (value, range) = (value.to_string(), format!("{low} to {high}"));
            return Err(GenerateError::OutOfRange { option: knob.name(), value, range });
        }
        knobs.set(*knob, *value);
    }
    Ok(knobs)
}

/// An option that this request cannot have.
fn foreign(request: &Request, family: &Family, option: &'static str) -> GenerateError {
    let real = request.real || family.work == Work::Real;
    let fixed = published::find(&request.family).is_some();
    let sizes = family.takes.iter().filter(|_| !fixed).map(|(knob, _)| knob.name());
    let mut takes: Vec<&str> = sizes.collect();
    if !real {
        takes.push("task-us");
    }
    if !real || family.work == Work::EitherSized {
        takes.push("bytes");
    }
    takes.push("seed");
    let with_real = if request.real { " with --real" } else { "" };
    GenerateError::ForeignOption {
        graph: format!("'{}'{with_real}", request.family),
        option,
        takes: takes.iter().map(|name| format!("--{name}")).collect::<Vec<_>>().join(", "),
    }
}
