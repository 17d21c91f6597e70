//! Reductions over axes: their parameters, the shape and dtype of their results.
//!
//! `job` chooses the fold for a dtype, `fold` and `element` say what is folded, `stage` and `lanes`
//! hold the loops, `extreme` those of floats. `argument`, `scan` and `groupby` are the reductions
//! that no fold can express. The order of additions depends on the shape and the axes alone.

mod argument;
pub(super) mod element;
mod extreme;
mod fold;
mod groupby;
mod job;
mod lanes;
mod members;
mod piecewise;
mod scan;
mod stage;

use super::Context;
use super::array::{Output, View, axis_of};
use super::fault::{Outcome, value_error};
use super::params::{Read, Reader};
use super::table::{Entry, Inputs, Operation, entry, of_one, of_two};
use super::time::refuse_times;
use super::widened;
use argument::Argument;
use groupby::GroupBy;
use job::Job;
pub(super) use piecewise::PiecewiseSum;
use rdask_core::messages::TaskError;
use rdask_store::{DType, Sealed};
use scan::Scan;
use stage::Plan;

const REDUCE: &[&str] = &["axis", "keepdims"];
const SPREAD: &[&str] = &["axis", "keepdims", "ddof"];
const GROUPS: &[&str] = &["func", "ngroups", "axis"];

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("sum", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Sum, false)),
    entry("prod", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Prod, false)),
    entry("min", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Min, false)),
    entry("max", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Max, false)),
    entry("mean", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Mean, false)),
    entry("var", Inputs::Exactly(1), SPREAD, |reader| reduce(reader, Reduction::Var, false)),
    entry("std", Inputs::Exactly(1), SPREAD, |reader| reduce(reader, Reduction::Std, false)),
    entry("argmin", Inputs::Exactly(1), REDUCE, |reader| argument(reader, false, false)),
    entry("argmax", Inputs::Exactly(1), REDUCE, |reader| argument(reader, true, false)),
    entry("any", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Any, false)),
    entry("all", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::All, false)),
    entry("count_nonzero", Inputs::Exactly(1), REDUCE, |reader| {
        reduce(reader, Reduction::Count, false)
    }),
    entry("nansum", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Sum, true)),
    entry("nanprod", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Prod, true)),
    entry("nanmean", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Mean, true)),
    entry("nanmin", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Min, true)),
    entry("nanmax", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Max, true)),
    entry("nanvar", Inputs::Exactly(1), SPREAD, |reader| reduce(reader, Reduction::Var, true)),
    entry("nanstd", Inputs::Exactly(1), SPREAD, |reader| reduce(reader, Reduction::Std, true)),
    entry("nanargmin", Inputs::Exactly(1), REDUCE, |reader| argument(reader, false, true)),
    entry("nanargmax", Inputs::Exactly(1), REDUCE, |reader| argument(reader, true, true)),
    entry("cumsum", Inputs::Exactly(1), &["axis"], |reader| scan(reader, false)),
    entry("cumprod", Inputs::Exactly(1), &["axis"], |reader| scan(reader, true)),
    entry("groupby_reduce", Inputs::Exactly(2), GROUPS, |reader| {
        let groupby = GroupBy::parse(reader)?;
        Ok(of_two(move |context, input, groups| groupby.run(context, input, groups)))
    }),
];

fn reduce(reader: &Reader<'_>, reduction: Reduction, sound: bool) -> Read<Operation> {
    let reduce = Reduce::parse(reader, reduction, sound)?;
    Ok(of_one(move |context, input| reduce.run(context, input)))
}

fn argument(reader: &Reader<'_>, largest: bool, sound: bool) -> Read<Operation> {
    let argument = Argument::parse(reader, largest, sound)?;
    Ok(of_one(move |context, input| argument.run(context, input)))
}

fn scan(reader: &Reader<'_>, product: bool) -> Read<Operation> {
    let scan = Scan::parse(reader, product)?;
    Ok(of_one(move |context, input| scan.run(context, input)))
}

/// What is computed over the axes.
#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
pub(super) enum Reduction {
    // These compute, which times refuse; those behind compare and count.
    Sum,
    Prod,
    Mean,
    /// Variance.
    Var,
    /// Its root.
    Std,
    Min,
    Max,
    Any,
    All,
    /// How many are not zero.
    Count,
}

/// `sum`, … `(axis?, keepdims = false)`, `var`, `std` and their nan forms with `ddof = 0` too.
#[derive(Debug)]
struct Reduce {
    name: String,
    reduction: Reduction,
    /// Only what is not NaN counts.
    sound: bool,
    axes: Option<Vec<i64>>,
    keepdims: bool,
    ddof: f64,
}

impl Reduce {
    fn parse(reader: &Reader<'_>, reduction: Reduction, sound: bool) -> Read<Self> {
        Ok(Self {
            name: reader.kernel.to_owned(),
            reduction,
            sound,
            axes: reader.axes("axis")?,
            keepdims: reader.flag("keepdims")?.unwrap_or(false),
            ddof: reader.duration("ddof")?.unwrap_or(0.0),
        })
    }

    fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        if self.reduction <= Reduction::Std {
            refuse_times(&self.name, [input.dtype])?;
        }
        widened::run(context, input, |input| self.reduce(context, input))
    }

    fn reduce(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Output> {
        // Integers have no NaN, so that their nan forms are the plain ones.
        let sound = self.sound && input.dtype >= DType::F32;
        let reduced = self.reduced(input.shape.len(), sound)?;
        let plan = Plan::new(&input.shape, &reduced);
        let shape = kept(&input.shape, &reduced, self.keepdims);
        if matches!(self.reduction, Reduction::Min | Reduction::Max) && plan.count() == 0 {
            return Err(self.nothing());
        }
        let mut output = Output::new(context, self.dtype(input.dtype), &shape)?;
        let job = Job { context, plan: &plan, input, ddof: self.ddof };
        job.run(self.reduction, sound, &mut output)?;
        Ok(output)
    }

    /// Minima of nothing are no minima, not even when the result has no elements.
    fn nothing(&self) -> TaskError {
        let name = match (self.reduction == Reduction::Max, self.sound) {
            (false, false) => "minimum",
            (true, false) => "maximum",
            (false, true) => "fmin",
            (true, true) => "fmax",
        };
        value_error(format!("zero-size array to reduction operation {name} which has no identity"))
    }

    /// Which axes are reduced.
    fn reduced(&self, axes: usize, sound: bool) -> Outcome<Vec<bool>> {
        let Some(given) = &self.axes else { return Ok(vec![true; axes]) };
        let mut reduced = vec![false; axes];
        for axis in given {
            // numpy lets a 0-d array have an axis 0 or −1 in all but its means.
            let means = matches!(self.reduction, Reduction::Mean | Reduction::Var | Reduction::Std);
            if axes == 0 && matches!(axis, 0 | -1) && given.len() == 1 && (!means || sound) {
                continue;
            }
            if std::mem::replace(&mut reduced[axis_of(*axis, axes)?], true) {
                return Err(value_error("duplicate value in 'axis'"));
            }
        }
        Ok(reduced)
    }

    fn dtype(&self, input: DType) -> DType {
        match self.reduction {
            Reduction::Min | Reduction::Max => input,
            Reduction::Any | Reduction::All => DType::Bool,
            Reduction::Count => DType::I64,
            Reduction::Sum | Reduction::Prod => sum_dtype(input),
            Reduction::Mean => mean_dtype(input),
            Reduction::Var | Reduction::Std => spread_dtype(input),
        }
    }
}

/// dtype of sums and products.
fn sum_dtype(input: DType) -> DType {
    match input {
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => DType::U64,
        DType::Bool | DType::I8 | DType::I16 | DType::I32 | DType::I64 => DType::I64,
        float => float,
    }
}

/// dtype of means.
fn mean_dtype(input: DType) -> DType {
    if input < DType::F32 { DType::F64 } else { input }
}

/// dtype of variances.
fn spread_dtype(input: DType) -> DType {
    match input {
        DType::F32 | DType::C64 => DType::F32,
        _ => DType::F64,
    }
}

/// The shape that is left.
fn kept(shape: &[usize], reduced: &[bool], keepdims: bool) -> Vec<usize> {
    let lengths = shape.iter().zip(reduced).filter(|(_, reduced)| keepdims || !**reduced);
    lengths.map(|(length, reduced)| if *reduced { 1 } else { *length }).collect()
}
