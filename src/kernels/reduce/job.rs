//! One reduction of one input: the fold for its dtype, and the passes that it takes.
//!
//! Means of integers up to 32 bits are exact sums divided once. Variances take two passes, the nan
//! forms one more for the numbers of elements that count.

use super::Reduction;
use super::element::{Element, Wide, one_nan, with_element, with_float, with_number, with_zeros};
use super::fold::{
    ComplexSpread, ComplexSpreadOfSound, Count, Exists, Fold, Greatest, GreatestOfSound, Least,
    LeastOfSound, Product, ProductOfSound, RealTotal, Sound, Spread, SpreadOfSound, Total,
    TotalOfSound,
};
use super::stage::{Plan, Site, Source};
use crate::kernels::Context;
use crate::kernels::array::{Output, View};
use crate::kernels::cast::cast;
use crate::kernels::fault::Outcome;
use crate::kernels::time::Ticks;
use bytemuck::Pod;
use num_complex::Complex;
use rdask_store::DType;

/// Most integers of 32 bits whose sum certainly fits 64 bits.
const EXACT_COUNT: usize = 1 << 31;

/// One reduction of one input.
pub(super) struct Job<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) plan: &'a Plan,
    pub(super) input: &'a View<'a>,
    pub(super) ddof: f64,
}

/// An element, with one NaN only.
fn gap_or<T: Element>(x: T) -> T {
    if x.is_gap() { T::GAP } else { x }
}

impl Job<'_> {
    /// Computes; `sound` says that only what is not NaN counts.
    pub(super) fn run(
        &self,
        reduction: Reduction,
        sound: bool,
        output: &mut Output,
    ) -> Outcome<()> {
        let root: fn(f64) -> f64 = match reduction {
            Reduction::Std => f64::sqrt,
            _ => |variance| variance,
        };
        match (reduction, sound) {
            (Reduction::Sum, false) => with_number!(self.input.dtype, T => {
                self.fold::<Total<T>, _>(T::close, output)
            }),
            (Reduction::Prod, false) => with_number!(self.input.dtype, T => {
                self.fold::<Product<T>, _>(T::close, output)
            }),
            (Reduction::Min, false) => with_element!(self.input.dtype, T => {
                self.fold::<Least<T>, T>(|x| x, output)
            }),
            (Reduction::Max, false) => with_element!(self.input.dtype, T => {
                self.fold::<Greatest<T>, T>(|x| x, output)
            }),
            (Reduction::Any, _) => with_zeros!(self.input.dtype, T => {
                self.fold::<Exists<T, false>, u8>(|flag| u8::from(flag != 0), output)
            }),
            (Reduction::All, _) => with_zeros!(self.input.dtype, T => {
                self.fold::<Exists<T, true>, u8>(|flag| u8::from(flag == 0), output)
            }),
            (Reduction::Count, _) => with_zeros!(self.input.dtype, T => {
                self.fold::<Count<T>, i64>(|count| count, output)
            }),
            (Reduction::Min, true) if self.input.dtype.is_time() => {
                self.fold::<LeastOfSound<Ticks>, Ticks>(|x| x, output)
            }
            (Reduction::Max, true) if self.input.dtype.is_time() => {
                self.fold::<GreatestOfSound<Ticks>, Ticks>(|x| x, output)
            }
            (Reduction::Mean, false) => self.mean(output),
            (Reduction::Var | Reduction::Std, false) => self.variance(output, root),
            (_, true) => self.sound(reduction, root, output),
        }
    }

    /// The forms that leave NaN out.
    fn sound(
        &self,
        reduction: Reduction,
        root: fn(f64) -> f64,
        output: &mut Output,
    ) -> Outcome<()> {
        with_float!(self.input.dtype, T => match reduction {
            Reduction::Sum => self.fold::<TotalOfSound<T>, _>(T::close, output),
            Reduction::Prod => self.fold::<ProductOfSound<T>, _>(T::close, output),
            Reduction::Min => self.fold::<LeastOfSound<T>, T>(gap_or, output),
            Reduction::Max => self.fold::<GreatestOfSound<T>, T>(gap_or, output),
            Reduction::Mean => {
                let mut counts = self.counts::<T>()?;
                let mut means = self.means_of_sound::<T>(counts.elements_mut())?;
                for (out, mean) in output.elements_mut().iter_mut().zip(means.elements_mut()) {
                    *out = T::close(*mean);
                }
                Ok(())
            }
            _ => self.variance_of_sound(output, root),
        })
    }

    fn fold<F: Fold<Value = ()>, R: Pod + Send>(
        &self,
        finish: impl Fn(F::Partial) -> R + Sync,
        output: &mut Output,
    ) -> Outcome<()> {
        self.fold_from::<F, R>(self.input.elements(), &[()], finish, output)
    }

    fn fold_from<F: Fold, R: Pod + Send>(
        &self,
        source: &[F::Item],
        values: &[F::Value],
        finish: impl Fn(F::Partial) -> R + Sync,
        output: &mut Output,
    ) -> Outcome<()> {
        let site = Site::here(self.context);
        let source = Source { elements: source, values };
        self.plan.run::<F, R>(site, source, finish, output.elements_mut())
    }

    /// Room for one value of each result.
    fn results(&self, dtype: DType) -> Outcome<Output> {
        Output::new(self.context, dtype, &[self.plan.results()])
    }

    fn mean(&self, output: &mut Output) -> Outcome<()> {
        let count = self.plan.count() as f64;
        if self.input.dtype < DType::F32 {
            return self.mean_of_integers(output);
        }
        with_float!(self.input.dtype, T => {
            self.fold::<Total<T>, _>(|sum| T::close(sum.over(count)), output)
        })
    }

    /// Means in f64.
    fn mean_of_integers(&self, output: &mut Output) -> Outcome<()> {
        let count = self.plan.count() as f64;
        let exact = |sum: i64| sum as f64 / count;
        let rounded = |sum: f64| sum / count;
        match self.input.dtype {
            DType::I64 => return self.fold::<RealTotal<i64>, _>(rounded, output),
            DType::U64 => return self.fold::<RealTotal<u64>, _>(rounded, output),
            _ => {}
        }
        if self.plan.count() > EXACT_COUNT {
            let mut wide = self.converted(DType::F64)?;
            return self.fold_from::<Total<f64>, _>(wide.elements_mut(), &[()], rounded, output);
        }
        match self.input.dtype {
            DType::I8 => self.fold::<Total<i8>, _>(exact, output),
            DType::I16 => self.fold::<Total<i16>, _>(exact, output),
            DType::I32 => self.fold::<Total<i32>, _>(exact, output),
            DType::U16 => self.fold::<Total<u16>, _>(exact, output),
            DType::U32 => self.fold::<Total<u32>, _>(exact, output),
            _ => self.fold::<Total<u8>, _>(exact, output),
        }
    }

    /// The input in another dtype.
    fn converted(&self, dtype: DType) -> Outcome<Output> {
        let mut output = Output::new(self.context, dtype, &self.input.shape)?;
        cast(self.input.dtype, self.input.bytes, dtype, output.bytes_mut());
        Ok(output)
    }

    /// Two passes: the means, then the squares of the distances from them.
    fn variance(&self, output: &mut Output, root: fn(f64) -> f64) -> Outcome<()> {
        let count = self.plan.count() as f64;
        // numpy's divisor: never negative, so that too few elements give inf or NaN.
        let divisor = (count - self.ddof).max(0.0);
        let wide = |sum: f64| one_nan(root(sum / divisor));
        let narrow = |sum: f64| wide(sum) as f32;
        if matches!(self.input.dtype, DType::C64 | DType::C128) {
            let mut means = self.results(DType::C128)?;
            with_float!(self.input.dtype, T => {
                self.fold::<Total<T>, _>(|sum| sum.widen().over(count), &mut means)?;
            });
            let means: &[Complex<f64>] = means.elements_mut();
            return match self.input.dtype {
                DType::C64 => {
                    let source = self.input.elements();
                    self.fold_from::<ComplexSpread<Complex<f32>>, _>(source, means, narrow, output)
                }
                _ => {
                    let source = self.input.elements();
                    self.fold_from::<ComplexSpread<Complex<f64>>, _>(source, means, wide, output)
                }
            };
        }
        let mut means = self.results(DType::F64)?;
        if self.input.dtype == DType::F32 {
            self.fold::<Total<f32>, _>(|sum| sum / count, &mut means)?;
        } else if self.input.dtype == DType::F64 {
            self.fold::<Total<f64>, _>(|sum| sum / count, &mut means)?;
        } else {
            self.mean_of_integers(&mut means)?;
        }
        let means: &[f64] = means.elements_mut();
        match self.input.dtype {
            DType::F32 => {
                self.fold_from::<Spread<f32>, _>(self.input.elements(), means, narrow, output)
            }
            DType::F64 => {
                self.fold_from::<Spread<f64>, _>(self.input.elements(), means, wide, output)
            }
            DType::I32 => {
                self.fold_from::<Spread<i32>, _>(self.input.elements(), means, wide, output)
            }
            DType::I64 => {
                self.fold_from::<Spread<i64>, _>(self.input.elements(), means, wide, output)
            }
            DType::U32 | DType::U64 => {
                let mut source = self.converted(DType::F64)?;
                self.fold_from::<Spread<f64>, _>(source.elements_mut(), means, wide, output)
            }
            // f32 holds all integers of 16 bits.
            _ => {
                let mut source = self.converted(DType::F32)?;
                self.fold_from::<Spread<f32>, _>(source.elements_mut(), means, wide, output)
            }
        }
    }

    /// How many elements of each result are not NaN.
    fn counts<T: Element>(&self) -> Outcome<Output> {
        let mut counts = self.results(DType::F64)?;
        self.fold::<Sound<T>, f64>(|count| count, &mut counts)?;
        Ok(counts)
    }

    /// Means of what is not NaN, wide.
    fn means_of_sound<T: Element>(&self, counts: &[f64]) -> Outcome<Output> {
        let complex = size_of::<T::Wide>() > size_of::<f64>();
        let mut means = self.results(if complex { DType::C128 } else { DType::F64 })?;
        self.fold::<TotalOfSound<T>, T::Wide>(|sum| sum, &mut means)?;
        for (mean, count) in means.elements_mut::<T::Wide>().iter_mut().zip(counts) {
            *mean = mean.over(*count);
        }
        Ok(means)
    }

    fn variance_of_sound(&self, output: &mut Output, root: fn(f64) -> f64) -> Outcome<()> {
        match self.input.dtype {
            DType::F32 => self.spread_of_sound::<f32, SpreadOfSound<f32>>(output, root),
            DType::F64 => self.spread_of_sound::<f64, SpreadOfSound<f64>>(output, root),
            DType::C64 => {
                type C = Complex<f32>;
                self.spread_of_sound::<C, ComplexSpreadOfSound<C>>(output, root)
            }
            _ => {
                type C = Complex<f64>;
                self.spread_of_sound::<C, ComplexSpreadOfSound<C>>(output, root)
            }
        }
    }

    fn spread_of_sound<T: Element, F>(
        &self,
        output: &mut Output,
        root: fn(f64) -> f64,
    ) -> Outcome<()>
    where
        F: Fold<Item = T, Value = T::Wide, Partial = f64>,
    {
        let mut counts = self.counts::<T>()?;
        let mut means = self.means_of_sound::<T>(counts.elements_mut())?;
        let mut sums = self.results(DType::F64)?;
        let source = self.input.elements();
        self.fold_from::<F, f64>(source, means.elements_mut(), |sum| sum, &mut sums)?;
        let variances = sums.elements_mut::<f64>().iter().zip(counts.elements_mut::<f64>());
        let variances = variances.map(|(sum, count)| {
            let freedom = *count - self.ddof;
            if freedom > 0.0 { one_nan(root(*sum / freedom)) } else { f64::NAN }
        });
        if matches!(self.input.dtype, DType::F32 | DType::C64) {
            let out: &mut [f32] = output.elements_mut();
            out.iter_mut().zip(variances).for_each(|(out, variance)| *out = variance as f32);
        } else {
            let out: &mut [f64] = output.elements_mut();
            out.iter_mut().zip(variances).for_each(|(out, variance)| *out = variance);
        }
        Ok(())
    }
}
