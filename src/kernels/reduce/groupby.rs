//! groupby_reduce: one reduction for each group of indices of an axis.
//!
//! ```text
//!   [outer, length, inner]  group numbers  ─▶  columns of members, group by group  ─▶  one fold each
//! ```
//!
//! Members are copied next to each other, some columns at a time, and folded pairwise in their order.
//! A group without members has a sum and a count of 0; its other results are NaN, and an error where
//! the dtype has none.

use super::element::{Element, with_element, with_number};
use super::fold::{
    ComplexSpread, ComplexSpreadOfSound, Greatest, GreatestOfSound, Least, LeastOfSound, Sound,
    Spread, SpreadOfSound, Total, TotalOfSound,
};
use super::members::{Ends, Folded, Grouped, Means, Members, Spreads, Table};
use super::{mean_dtype, spread_dtype, sum_dtype};
use crate::kernels::Context;
use crate::kernels::array::{Output, View, axis_of, text};
use crate::kernels::cast::cast;
use crate::kernels::fault::{Outcome, type_error, value_error};
use crate::kernels::params::{Read, Reader};
use crate::kernels::promotion::is_integer;
use crate::kernels::time::{Ticks, refuse_times};
use crate::kernels::widened;
use num_complex::Complex;
use rdask_store::{DType, Sealed};

/// What is computed for each group.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Func {
    Sum,
    Mean,
    Min,
    Max,
    Count,
    Var,
    First,
    Last,
}

const FUNCS: [(&str, Func); 8] = [
    ("sum", Func::Sum),
    ("mean", Func::Mean),
    ("min", Func::Min),
    ("max", Func::Max),
    ("count", Func::Count),
    ("var", Func::Var),
    ("first", Func::First),
    ("last", Func::Last),
];

/// `groupby_reduce(func, ngroups, axis)` of an array and the group number of each index.
#[derive(Debug)]
pub(super) struct GroupBy {
    func: Func,
    sound: bool,
    ngroups: usize,
    axis: i64,
}

impl GroupBy {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let name = reader.need("func", reader.string("func")?)?;
        let (sound, plain) = match name.strip_prefix("nan") {
            Some(plain) => (true, plain),
            None => (false, name),
        };
        let Some((_, func)) = FUNCS.iter().find(|(known, _)| *known == plain) else {
            let known: Vec<&str> = FUNCS.iter().map(|(known, _)| *known).collect();
            let known = known.join(" ");
            let problem =
                format!("unknown function '{name}'; known are {known} and nan before each");
            return Err(reader.bad("func", problem));
        };
        let ngroups = reader.need("ngroups", reader.count("ngroups")?)?;
        let ngroups = usize::try_from(ngroups)
            .map_err(|_| reader.bad("ngroups", format!("{ngroups} groups do not fit")))?;
        let axis = reader.need("axis", reader.integer("axis")?)?;
        Ok(Self { func: *func, sound, ngroups, axis })
    }

    pub(super) fn run(
        &self,
        context: &Context<'_>,
        input: &View<'_>,
        groups: &View<'_>,
    ) -> Outcome<Sealed> {
        if matches!(self.func, Func::Sum | Func::Mean | Func::Var) {
            refuse_times("groupby_reduce", [input.dtype])?;
        }
        widened::run(context, input, |input| self.reduce(context, input, groups))
    }

    fn reduce(
        &self,
        context: &Context<'_>,
        input: &View<'_>,
        groups: &View<'_>,
    ) -> Outcome<Output> {
        let axis = axis_of(self.axis, input.shape.len())?;
        let numbers = group_numbers(groups, input.shape[axis], self.ngroups)?;
        let mut shape = input.shape.clone();
        shape[axis] = self.ngroups;
        let mut output = Output::new(context, self.dtype(input.dtype), &shape)?;
        let members = Members::new(&numbers, self.ngroups)?;
        let integer = input.dtype < DType::F32;
        let needs_members = matches!(self.func, Func::Min | Func::Max | Func::First | Func::Last);
        if let (true, true, Some(empty)) = (integer, needs_members, members.first_empty()) {
            return Err(value_error(format!(
                "group {empty} is empty, and {} has no NaN to say so",
                input.dtype.numpy_name()
            )));
        }
        let table = Table {
            length: input.shape[axis],
            inner: input.shape[axis + 1..].iter().product(),
            members: &members,
            threads: context.threads,
        };
        if integer && matches!(self.func, Func::Mean | Func::Var) {
            let mut wide = Output::new(context, DType::F64, &input.shape)?;
            cast(input.dtype, input.bytes, DType::F64, wide.bytes_mut());
            let bytes: &[u8] = wide.bytes_mut();
            let wide = View { dtype: DType::F64, shape: input.shape.clone(), bytes };
            self.floats(&table, &wide, false, &mut output)?;
        } else {
            self.fill(&table, input, self.sound && !integer, &mut output)?;
        }
        Ok(output)
    }

    fn dtype(&self, input: DType) -> DType {
        match self.func {
            Func::Sum => sum_dtype(input),
            Func::Mean => mean_dtype(input),
            Func::Var => spread_dtype(input),
            Func::Count => DType::I64,
            Func::Min | Func::Max | Func::First | Func::Last => input,
        }
    }

    fn fill(
        &self,
        table: &Table<'_>,
        input: &View<'_>,
        sound: bool,
        output: &mut Output,
    ) -> Outcome<()> {
        match (self.func, sound) {
            (Func::Sum, false) => with_number!(input.dtype, T => {
                let sums = Folded::<Total<T>, _>::new(|sum, _| T::close(sum));
                table.run(input.elements(), &sums, output.elements_mut())
            }),
            (Func::Min, false) => with_element!(input.dtype, T => {
                let least = Folded::<Least<T>, _>::new(|x, count| if count == 0 { T::GAP } else { x });
                table.run(input.elements(), &least, output.elements_mut())
            }),
            (Func::Max, false) => with_element!(input.dtype, T => {
                let most = Folded::<Greatest<T>, _>::new(|x, count| if count == 0 { T::GAP } else { x });
                table.run(input.elements(), &most, output.elements_mut())
            }),
            (Func::First, false) => with_element!(input.dtype, T => {
                table.run(input.elements(), &Ends::<T, false, false>::new(), output.elements_mut())
            }),
            (Func::Last, false) => with_element!(input.dtype, T => {
                table.run(input.elements(), &Ends::<T, true, false>::new(), output.elements_mut())
            }),
            (Func::Count, false) => {
                table.count(output.elements_mut());
                Ok(())
            }
            (_, true) if input.dtype.is_time() => {
                self.of_sound::<Ticks>(table, input.elements(), output)
            }
            _ => self.floats(table, input, sound, output),
        }
    }

    /// What only floats have.
    fn floats(
        &self,
        table: &Table<'_>,
        input: &View<'_>,
        sound: bool,
        output: &mut Output,
    ) -> Outcome<()> {
        match (input.dtype, sound) {
            (DType::F32, false) => {
                type Var = Spreads<Total<f32>, Spread<f32>, f32, false>;
                self.real::<f32, Var>(table, input, &Var::new(|x| x as f32), output)
            }
            (DType::F32, true) => {
                type Var = Spreads<TotalOfSound<f32>, SpreadOfSound<f32>, f32, true>;
                self.real::<f32, Var>(table, input, &Var::new(|x| x as f32), output)
            }
            (DType::F64, false) => {
                type Var = Spreads<Total<f64>, Spread<f64>, f64, false>;
                self.real::<f64, Var>(table, input, &Var::new(|x| x), output)
            }
            (DType::F64, true) => {
                type Var = Spreads<TotalOfSound<f64>, SpreadOfSound<f64>, f64, true>;
                self.real::<f64, Var>(table, input, &Var::new(|x| x), output)
            }
            (DType::C64, false) => {
                type C = Complex<f32>;
                type Var = Spreads<Total<C>, ComplexSpread<C>, f32, false>;
                self.real::<C, Var>(table, input, &Var::new(|x| x as f32), output)
            }
            (DType::C64, true) => {
                type C = Complex<f32>;
                type Var = Spreads<TotalOfSound<C>, ComplexSpreadOfSound<C>, f32, true>;
                self.real::<C, Var>(table, input, &Var::new(|x| x as f32), output)
            }
            (_, false) => {
                type C = Complex<f64>;
                type Var = Spreads<Total<C>, ComplexSpread<C>, f64, false>;
                self.real::<C, Var>(table, input, &Var::new(|x| x), output)
            }
            (_, true) => {
                type C = Complex<f64>;
                type Var = Spreads<TotalOfSound<C>, ComplexSpreadOfSound<C>, f64, true>;
                self.real::<C, Var>(table, input, &Var::new(|x| x), output)
            }
        }
    }

    fn real<T: Element, V: Grouped<Item = T>>(
        &self,
        table: &Table<'_>,
        input: &View<'_>,
        variances: &V,
        output: &mut Output,
    ) -> Outcome<()> {
        let source: &[T] = input.elements();
        match self.func {
            Func::Var => table.run(source, variances, output.elements_mut()),
            Func::Mean if self.sound => {
                table.run(source, &Means::<T, true>::new(), output.elements_mut())
            }
            Func::Mean => table.run(source, &Means::<T, false>::new(), output.elements_mut()),
            Func::Sum => {
                let sums = Folded::<TotalOfSound<T>, _>::new(|sum, _| T::close(sum));
                table.run(source, &sums, output.elements_mut())
            }
            _ => self.of_sound::<T>(table, source, output),
        }
    }

    /// What compares and counts, without NaN and NaT.
    fn of_sound<T: Element>(
        &self,
        table: &Table<'_>,
        source: &[T],
        output: &mut Output,
    ) -> Outcome<()> {
        match self.func {
            Func::Min => {
                let least =
                    Folded::<LeastOfSound<T>, _>::new(|x, _| if x.is_gap() { T::GAP } else { x });
                table.run(source, &least, output.elements_mut())
            }
            Func::Max => {
                let most =
                    Folded::<GreatestOfSound<T>, _>::new(
                        |x, _| if x.is_gap() { T::GAP } else { x },
                    );
                table.run(source, &most, output.elements_mut())
            }
            Func::First => table.run(source, &Ends::<T, false, true>::new(), output.elements_mut()),
            Func::Last => table.run(source, &Ends::<T, true, true>::new(), output.elements_mut()),
            _ => {
                let counts = Folded::<Sound<T>, _>::new(|count, _| count as i64);
                table.run(source, &counts, output.elements_mut())
            }
        }
    }
}

/// The group of each index, none for −1.
fn group_numbers(groups: &View<'_>, length: usize, ngroups: usize) -> Outcome<Vec<Option<usize>>> {
    if !is_integer(groups.dtype) {
        let name = groups.dtype.numpy_name();
        return Err(type_error(format!("group numbers must be integers, not {name}")));
    }
    if groups.shape != [length] {
        return Err(value_error(format!(
            "group numbers must have the shape {}, one for each index of the axis, not {}",
            text(&[length]),
            text(&groups.shape)
        )));
    }
    let mut wide = vec![0_i64; length];
    cast(groups.dtype, groups.bytes, DType::I64, bytemuck::cast_slice_mut(&mut wide));
    let one = |(index, number): (usize, &i64)| match usize::try_from(*number) {
        Ok(group) if group < ngroups => Ok(Some(group)),
        // What does not fit i64 has wrapped.
        Err(_) if *number == -1 && groups.dtype != DType::U64 => Ok(None),
        _ => {
            let number = if groups.dtype == DType::U64 {
                i128::from(*number as u64)
            } else {
                i128::from(*number)
            };
            Err(value_error(format!(
                "group number {number} at index {index} is not in -1 to {}",
                ngroups as i128 - 1
            )))
        }
    };
    wide.iter().enumerate().map(one).collect()
}
