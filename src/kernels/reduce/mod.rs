//! Reductions over axes: sum, mean, var, std, min, max.
//!
//! Sums are pairwise along every axis, and those of f32 and c64 run in f64. The order of additions
//! depends on the shape and the axes alone. `stage` holds the loops, this file chooses them.

mod extreme;
mod stage;

use super::Context;
use super::array::{Output, View, axis_of, with_type};
use super::cast::{Number, narrowest};
use super::fault::{Outcome, value_error};
use super::params::{Read, Reader};
use super::table::{Entry, Inputs, Operation, entry, of_one};
use super::time::refuse_times;
use bytemuck::Pod;
use extreme::Extreme;
use half::f16;
use num_complex::Complex;
use rdask_store::{DType, Sealed};
use stage::{Fold, Plan};

const REDUCE: &[&str] = &["axis", "keepdims"];
const SPREAD: &[&str] = &["axis", "keepdims", "ddof"];

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("sum", Inputs::Exactly(1), REDUCE, |reader| operation(reader, Reduction::Sum)),
    entry("mean", Inputs::Exactly(1), REDUCE, |reader| operation(reader, Reduction::Mean)),
    entry("var", Inputs::Exactly(1), SPREAD, |reader| operation(reader, Reduction::Var)),
    entry("std", Inputs::Exactly(1), SPREAD, |reader| operation(reader, Reduction::Std)),
    entry("min", Inputs::Exactly(1), REDUCE, |reader| operation(reader, Reduction::Min)),
    entry("max", Inputs::Exactly(1), REDUCE, |reader| operation(reader, Reduction::Max)),
];

fn operation(reader: &Reader<'_>, reduction: Reduction) -> Read<Operation> {
    let reduce = Reduce::parse(reader, reduction)?;
    Ok(of_one(move |context, input| reduce.run(context, input)))
}

/// What is computed over the axes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Reduction {
    Sum,
    Mean,
    /// Variance.
    Var,
    /// Its root.
    Std,
    Min,
    Max,
}

/// `sum`, `mean`, `min`, `max` `(axis?, keepdims = false)`, `var`, `std` with `ddof = 0` too.
#[derive(Debug)]
pub(super) struct Reduce {
    reduction: Reduction,
    axes: Option<Vec<i64>>,
    keepdims: bool,
    ddof: f64,
}

impl Reduce {
    pub(super) fn parse(reader: &Reader<'_>, reduction: Reduction) -> Read<Self> {
        Ok(Self {
            reduction,
            axes: reader.axes("axis")?,
            keepdims: reader.flag("keepdims")?.unwrap_or(false),
            ddof: reader.duration("ddof")?.unwrap_or(0.0),
        })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let reduced = self.reduced(input.shape.len())?;
        let plan = Plan::new(&input.shape, &reduced);
        let mut shape = Vec::with_capacity(input.shape.len());
        for (length, reduced) in input.shape.iter().zip(&reduced) {
            match (reduced, self.keepdims) {
                (false, _) => shape.push(*length),
                (true, true) => shape.push(1),
                (true, false) => {}
            }
        }
        let dtype = self.dtype(input.dtype);
        let mut output = Output::new(context, dtype, &shape)?;
        let job = Job { context, plan: &plan, input, ddof: self.ddof };
        match self.reduction {
            Reduction::Sum => job.sum(&mut output)?,
            Reduction::Mean => job.mean(&mut output)?,
            Reduction::Var => job.variance(&mut output, |variance| variance)?,
            Reduction::Std => job.variance(&mut output, f64::sqrt)?,
            Reduction::Min => job.extreme(&mut output, false)?,
            Reduction::Max => job.extreme(&mut output, true)?,
        }
        output.seal()
    }

    /// Which axes are reduced.
    fn reduced(&self, axes: usize) -> Outcome<Vec<bool>> {
        let Some(given) = &self.axes else { return Ok(vec![true; axes]) };
        let mut reduced = vec![false; axes];
        for axis in given {
            // numpy lets a 0-d array have an axis 0 or −1 in its plain reductions.
            let plain = matches!(self.reduction, Reduction::Sum | Reduction::Min | Reduction::Max);
            if plain && axes == 0 && matches!(axis, 0 | -1) && given.len() == 1 {
                continue;
            }
            if std::mem::replace(&mut reduced[axis_of(*axis, axes)?], true) {
                return Err(value_error("duplicate value in 'axis'"));
            }
        }
        Ok(reduced)
    }

    fn dtype(&self, input: DType) -> DType {
        match (self.reduction, input) {
            (Reduction::Min | Reduction::Max, same) => same,
            (Reduction::Var | Reduction::Std, DType::F32 | DType::C64) => DType::F32,
            (Reduction::Var | Reduction::Std, DType::F16) => DType::F16,
            (Reduction::Var | Reduction::Std, _) => DType::F64,
            (_, DType::F16 | DType::F32 | DType::F64 | DType::C64 | DType::C128) => input,
            (Reduction::Mean, _) => DType::F64,
            (Reduction::Sum, DType::U8 | DType::U16 | DType::U32 | DType::U64) => DType::U64,
            (Reduction::Sum, _) => DType::I64,
        }
    }
}

/// One reduction of one input.
struct Job<'a> {
    context: &'a Context<'a>,
    plan: &'a Plan,
    input: &'a View<'a>,
    ddof: f64,
}

impl Job<'_> {
    fn sum(&self, output: &mut Output) -> Outcome<()> {
        match self.input.dtype {
            DType::Bool | DType::U8 => self.count::<u8>(output),
            DType::I8 => self.count::<i8>(output),
            DType::I16 => self.count::<i16>(output),
            DType::I32 => self.count::<i32>(output),
            DType::I64 => self.count::<i64>(output),
            DType::U16 => self.count::<u16>(output),
            DType::U32 => self.count::<u32>(output),
            DType::U64 => self.count::<u64>(output),
            DType::F16 => self.total::<f16, f16>(output, narrowest),
            DType::F32 => self.total::<f32, f32>(output, |sum| sum as f32),
            DType::F64 => self.total::<f64, f64>(output, |sum| sum),
            DType::C64 => self.complex_total::<Complex<f32>, _>(output, 1.0, Number::to_c64),
            DType::C128 => self.complex_total::<Complex<f64>, _>(output, 1.0, |sum| sum),
            time @ (DType::Datetime(_) | DType::Timedelta(_)) => refuse_times("sum", [time]),
        }
    }

    /// Integers: in two's complement i64 and u64 add alike.
    fn count<T: Number>(&self, output: &mut Output) -> Outcome<()> {
        let fold =
            Fold { identity: 0_i64, lift: |x: T, (): ()| x.to_i64(), join: i64::wrapping_add };
        self.plan.run(self.context, self.input.elements(), &[()], &fold, |sum| sum, output)
    }

    fn total<T: Number, R: Pod>(
        &self,
        output: &mut Output,
        finish: impl Fn(f64) -> R,
    ) -> Outcome<()> {
        let fold = Fold { identity: 0.0, lift: |x: T, (): ()| x.to_f64(), join: |x, y| x + y };
        self.plan.run(self.context, self.input.elements(), &[()], &fold, finish, output)
    }

    fn complex_total<T: Number, R: Pod>(
        &self,
        output: &mut Output,
        divisor: f64,
        finish: impl Fn(Complex<f64>) -> R,
    ) -> Outcome<()> {
        let fold = Fold {
            identity: Complex::ZERO,
            lift: |x: T, (): ()| x.to_c128(),
            join: |x: Complex<f64>, y: Complex<f64>| x + y,
        };
        let finish = |sum: Complex<f64>| finish(Complex::new(sum.re / divisor, sum.im / divisor));
        self.plan.run(self.context, self.input.elements(), &[()], &fold, finish, output)
    }

    fn mean(&self, output: &mut Output) -> Outcome<()> {
        let count = self.plan.count() as f64;
        let wide = |sum: f64| sum / count;
        match self.input.dtype {
            DType::Bool | DType::U8 => self.total::<u8, _>(output, wide),
            DType::I8 => self.total::<i8, _>(output, wide),
            DType::I16 => self.total::<i16, _>(output, wide),
            DType::I32 => self.total::<i32, _>(output, wide),
            DType::I64 => self.total::<i64, _>(output, wide),
            DType::U16 => self.total::<u16, _>(output, wide),
            DType::U32 => self.total::<u32, _>(output, wide),
            DType::U64 => self.total::<u64, _>(output, wide),
            DType::F16 => self.total::<f16, _>(output, |sum| narrowest(sum / count)),
            DType::F32 => self.total::<f32, _>(output, |sum| (sum / count) as f32),
            DType::F64 => self.total::<f64, _>(output, wide),
            DType::C64 => self.complex_total::<Complex<f32>, _>(output, count, Number::to_c64),
            DType::C128 => self.complex_total::<Complex<f64>, _>(output, count, |mean| mean),
            time @ (DType::Datetime(_) | DType::Timedelta(_)) => refuse_times("mean", [time]),
        }
    }

    /// Two passes: the means, then the squares of the distances from them.
    fn variance(&self, output: &mut Output, root: fn(f64) -> f64) -> Outcome<()> {
        // numpy's divisor: never negative, so that too few elements give inf or NaN.
        let divisor = (self.plan.count() as f64 - self.ddof).max(0.0);
        let wide = |sum: f64| root(sum / divisor);
        match self.input.dtype {
            DType::Bool | DType::U8 => self.spread::<u8, _>(output, wide),
            DType::I8 => self.spread::<i8, _>(output, wide),
            DType::I16 => self.spread::<i16, _>(output, wide),
            DType::I32 => self.spread::<i32, _>(output, wide),
            DType::I64 => self.spread::<i64, _>(output, wide),
            DType::U16 => self.spread::<u16, _>(output, wide),
            DType::U32 => self.spread::<u32, _>(output, wide),
            DType::U64 => self.spread::<u64, _>(output, wide),
            DType::F16 => self.spread::<f16, _>(output, |sum| narrowest(root(sum / divisor))),
            DType::F32 => self.spread::<f32, _>(output, |sum| root(sum / divisor) as f32),
            DType::F64 => self.spread::<f64, _>(output, wide),
            DType::C64 => {
                let finish = |sum: f64| root(sum / divisor) as f32;
                self.complex_spread::<Complex<f32>, _>(output, finish)
            }
            DType::C128 => self.complex_spread::<Complex<f64>, _>(output, wide),
            time @ (DType::Datetime(_) | DType::Timedelta(_)) => refuse_times("var", [time]),
        }
    }

    fn spread<T: Number, R: Pod>(
        &self,
        output: &mut Output,
        finish: impl Fn(f64) -> R,
    ) -> Outcome<()> {
        let count = self.plan.count() as f64;
        let mut means = Output::new(self.context, DType::F64, &[self.plan.results()])?;
        self.total::<T, _>(&mut means, |sum| sum / count)?;
        let fold = Fold {
            identity: 0.0,
            lift: |x: T, mean: f64| {
                let distance = x.to_f64() - mean;
                distance * distance
            },
            join: |x, y| x + y,
        };
        let means: &[f64] = means.elements_mut();
        self.plan.run(self.context, self.input.elements(), means, &fold, finish, output)
    }

    fn complex_spread<T: Number, R: Pod>(
        &self,
        output: &mut Output,
        finish: impl Fn(f64) -> R,
    ) -> Outcome<()> {
        let count = self.plan.count() as f64;
        let mut means = Output::new(self.context, DType::C128, &[self.plan.results()])?;
        self.complex_total::<T, _>(&mut means, count, |mean| mean)?;
        let fold = Fold {
            identity: 0.0,
            lift: |x: T, mean: Complex<f64>| (x.to_c128() - mean).norm_sqr(),
            join: |x, y| x + y,
        };
        let means: &[Complex<f64>] = means.elements_mut();
        self.plan.run(self.context, self.input.elements(), means, &fold, finish, output)
    }

    fn extreme(&self, output: &mut Output, largest: bool) -> Outcome<()> {
        if self.plan.count() == 0 {
            let name = if largest { "maximum" } else { "minimum" };
            return Err(value_error(format!(
                "zero-size array to reduction operation {name} which has no identity"
            )));
        }
        with_type!(self.input.dtype, T => if largest {
            self.pick::<T>(output, T::LEAST, T::larger)
        } else {
            self.pick::<T>(output, T::GREATEST, T::smaller)
        })
    }

    fn pick<T: Extreme>(
        &self,
        output: &mut Output,
        identity: T,
        join: impl Fn(T, T) -> T,
    ) -> Outcome<()> {
        let fold = Fold { identity, lift: |x: T, (): ()| x, join };
        self.plan.run(self.context, self.input.elements(), &[()], &fold, |x| x, output)
    }
}
