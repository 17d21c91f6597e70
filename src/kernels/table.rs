//! The table of kernels: names, parameters, numbers of inputs, and how each is parsed.
//!
//! Each group of kernels owns its part of the table, beside its code; this file puts the parts
//! together and finds the faults that all kernels share. An entry's `parse` turns parameters into
//! an `Operation`, which computes as often as it is called, on many threads at once.

use super::array::View;
use super::fault::{Outcome, type_error};
use super::params::{Read, Reader};
use super::{Context, SpecError};
use super::{
    cast, create, elementwise, fuse, io, linalg, order, random, reduce, shape, signal, stencil,
    testing,
};
use rdask_core::graph::Params;
use rdask_core::messages::TaskError;
use rdask_core::nearest::nearest;
use rdask_store::Sealed;

/// The parts of the table, in the order of the documentation.
const GROUPS: &[&[Entry]] = &[
    create::KERNELS,
    random::KERNELS,
    io::KERNELS,
    elementwise::KERNELS,
    cast::KERNELS,
    shape::KERNELS,
    reduce::KERNELS,
    order::KERNELS,
    linalg::KERNELS,
    stencil::KERNELS,
    signal::KERNELS,
    fuse::KERNELS,
    testing::KERNELS,
];

/// How many inputs a kernel takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Inputs {
    /// Just as many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// It looks at as many as it likes.
    Any,
}

/// One kernel of the table.
pub(super) struct Entry {
    name: &'static str,
    params: &'static [&'static str],
    inputs: Inputs,
    parse: fn(&Reader<'_>) -> Read<Operation>,
}

/// A row of a group's part of the table.
pub(super) const fn entry(
    name: &'static str,
    inputs: Inputs,
    params: &'static [&'static str],
    parse: fn(&Reader<'_>) -> Read<Operation>,
) -> Entry {
    Entry { name, params, inputs, parse }
}

/// What a kernel does once its parameters are read.
pub(super) type Operation = Box<dyn Fn(&Context<'_>, &[Sealed]) -> Outcome<Sealed> + Send + Sync>;

/// A kernel that looks at no input.
pub(super) fn without_inputs(
    run: impl Fn(&Context<'_>) -> Outcome<Sealed> + Send + Sync + 'static,
) -> Operation {
    Box::new(move |context, _| run(context))
}

/// A kernel of one array.
pub(super) fn of_one(
    run: impl Fn(&Context<'_>, &View<'_>) -> Outcome<Sealed> + Send + Sync + 'static,
) -> Operation {
    Box::new(move |context, inputs| match inputs {
        [input] => run(context, &View::of(input, 0)?),
        other => Err(miscounted(1, other.len())),
    })
}

/// A kernel of two arrays.
pub(super) fn of_two(
    run: impl Fn(&Context<'_>, &View<'_>, &View<'_>) -> Outcome<Sealed> + Send + Sync + 'static,
) -> Operation {
    Box::new(move |context, inputs| match inputs {
        [a, b] => run(context, &View::of(a, 0)?, &View::of(b, 1)?),
        other => Err(miscounted(2, other.len())),
    })
}

/// A kernel of arrays, as many as its entry says.
pub(super) fn of_many(
    run: impl Fn(&Context<'_>, &[View<'_>]) -> Outcome<Sealed> + Send + Sync + 'static,
) -> Operation {
    Box::new(move |context, inputs| run(context, &View::all(inputs)?))
}

/// `parse` has checked the count that the graph gives; a caller that passes another is told so.
fn miscounted(expected: usize, given: usize) -> TaskError {
    type_error(format!("expected {expected} inputs, not {given}"))
}

/// Finds the kernel and reads its parameters: its name in the table, and what it does.
pub(super) fn parse(
    name: &str,
    params: &Params,
    inputs: usize,
) -> Result<(&'static str, Operation), SpecError> {
    let Some(entry) = find(name) else {
        return Err(SpecError::UnknownKernel {
            name: name.to_owned(),
            nearest: nearest(name, names()).map(str::to_owned),
        });
    };
    let reader = Reader::new(name, params, inputs, entry.params)?;
    let operation = (entry.parse)(&reader)?;
    match entry.inputs.unless_fits(inputs) {
        None => Ok((entry.name, operation)),
        Some(expected) => {
            Err(SpecError::WrongInputCount { kernel: name.to_owned(), expected, given: inputs })
        }
    }
}

impl Inputs {
    /// What is expected, in words, when the count is another.
    fn unless_fits(self, count: usize) -> Option<String> {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (fits, expected) = match self {
            Self::Exactly(exact) => (count == exact, format!("{exact} input{}", plural(exact))),
            Self::AtLeast(least) => {
                (count >= least, format!("at least {least} input{}", plural(least)))
            }
            Self::Any => (true, String::new()),
        };
        (!fits).then_some(expected)
    }
}

fn find(name: &str) -> Option<&'static Entry> {
    GROUPS.iter().flat_map(|group| group.iter()).find(|entry| entry.name == name)
}

/// Names of all kernels.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|group| group.iter()).map(|entry| entry.name)
}

/// Names of a kernel's parameters.
pub(super) fn parameters(kernel: &str) -> &'static [&'static str] {
    find(kernel).map_or(&[], |entry| entry.params)
}
