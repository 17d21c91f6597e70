//! The table of kernels: names, parameters, numbers of inputs, and how each is parsed.

use super::params::{Read, Reader};
use super::reduce::{Reduce, Reduction};
use super::{Operation, SpecError};
use super::{cast, create, elementwise, io, random, shape, testing};
use rdask_core::graph::Params;
use rdask_core::nearest::nearest;

/// How many inputs a kernel takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inputs {
    Exactly(usize),
    AtLeast(usize),
    Any,
}

struct Entry {
    name: &'static str,
    params: &'static [&'static str],
    inputs: Inputs,
    parse: fn(&Reader<'_>) -> Read<Operation>,
}

const fn entry(
    name: &'static str,
    inputs: Inputs,
    params: &'static [&'static str],
    parse: fn(&Reader<'_>) -> Read<Operation>,
) -> Entry {
    Entry { name, params, inputs, parse }
}

const REDUCE: &[&str] = &["axis", "keepdims"];
const SPREAD: &[&str] = &["axis", "keepdims", "ddof"];
const RANDOM: &[&str] = &["shape", "dtype", "seed", "distribution", "low", "high"];

const KERNELS: [Entry; 25] = [
    entry("full", Inputs::Exactly(0), &["shape", "dtype", "value"], |reader| {
        create::Full::parse(reader).map(Operation::Full)
    }),
    entry("arange", Inputs::Exactly(0), &["start", "step", "count", "dtype"], |reader| {
        create::Arange::parse(reader).map(Operation::Arange)
    }),
    entry("random", Inputs::Exactly(0), RANDOM, |reader| {
        random::Random::parse(reader).map(Operation::Random)
    }),
    entry("load_npy", Inputs::Any, &["path", "region"], |reader| {
        io::LoadNpy::parse(reader).map(Operation::LoadNpy)
    }),
    entry("data", Inputs::Exactly(0), &["base64", "dtype", "shape"], |reader| {
        create::Data::parse(reader).map(Operation::Data)
    }),
    entry("map", Inputs::Any, &["expr"], |reader| {
        elementwise::Map::parse(reader).map(Operation::Map)
    }),
    entry("astype", Inputs::Exactly(1), &["dtype"], |reader| {
        cast::Astype::parse(reader).map(Operation::Astype)
    }),
    entry("transpose", Inputs::Exactly(1), &["axes"], |reader| {
        shape::Transpose::parse(reader).map(Operation::Transpose)
    }),
    entry("slice", Inputs::Exactly(1), &["ranges"], |reader| {
        shape::Slice::parse(reader).map(Operation::Slice)
    }),
    entry("concatenate", Inputs::AtLeast(1), &["axis"], |reader| {
        shape::Concatenate::parse(reader).map(Operation::Concatenate)
    }),
    entry("sum", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Sum)),
    entry("mean", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Mean)),
    entry("var", Inputs::Exactly(1), SPREAD, |reader| reduce(reader, Reduction::Var)),
    entry("std", Inputs::Exactly(1), SPREAD, |reader| reduce(reader, Reduction::Std)),
    entry("min", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Min)),
    entry("max", Inputs::Exactly(1), REDUCE, |reader| reduce(reader, Reduction::Max)),
    entry("matmul", Inputs::Exactly(2), &[], |_| Ok(Operation::Matmul)),
    entry("store_npy", Inputs::Exactly(1), &["path"], |reader| {
        io::StoreNpy::parse(reader).map(Operation::StoreNpy)
    }),
    entry("identity", Inputs::Any, &[], |_| Ok(Operation::Identity)),
    entry("bytes", Inputs::Any, &["size", "seed"], |reader| {
        testing::Bytes::parse(reader).map(Operation::Bytes)
    }),
    entry("busy", Inputs::Any, &["us"], |reader| {
        testing::Pause::parse(reader, "us", 1e-6).map(Operation::Busy)
    }),
    entry("sleep", Inputs::Any, &["ms"], |reader| {
        testing::Pause::parse(reader, "ms", 1e-3).map(Operation::Sleep)
    }),
    entry("fail", Inputs::Any, &["message", "attempts"], |reader| {
        testing::Fail::parse(reader).map(Operation::Fail)
    }),
    entry("abort", Inputs::Any, &["attempts"], |reader| {
        testing::Abort::parse(reader).map(Operation::Abort)
    }),
    entry("rank", Inputs::Any, &[], |_| Ok(Operation::Rank)),
];

fn reduce(reader: &Reader<'_>, reduction: Reduction) -> Read<Operation> {
    Reduce::parse(reader, reduction).map(Operation::Reduce)
}

/// Finds the kernel and reads its parameters.
pub(super) fn parse(name: &str, params: &Params, inputs: usize) -> Result<Operation, SpecError> {
    let Some(entry) = KERNELS.iter().find(|entry| entry.name == name) else {
        return Err(SpecError::UnknownKernel {
            name: name.to_owned(),
            nearest: nearest(name, names()).map(str::to_owned),
        });
    };
    let fits = match entry.inputs {
        Inputs::Exactly(count) => inputs == count,
        Inputs::AtLeast(count) => inputs >= count,
        Inputs::Any => true,
    };
    let reader = Reader::new(name, params, inputs, entry.params)?;
    let operation = (entry.parse)(&reader)?;
    if fits {
        return Ok(operation);
    }
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let expected = match entry.inputs {
        Inputs::Exactly(count) => format!("{count} input{}", plural(count)),
        Inputs::AtLeast(count) => format!("at least {count} input{}", plural(count)),
        Inputs::Any => "any number of inputs".to_owned(),
    };
    Err(SpecError::WrongInputCount { kernel: name.to_owned(), expected, given: inputs })
}

/// Names of all kernels.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KERNELS.iter().map(|entry| entry.name)
}

/// Names of a kernel's parameters.
pub(super) fn parameters(kernel: &str) -> &'static [&'static str] {
    KERNELS.iter().find(|entry| entry.name == kernel).map_or(&[], |entry| entry.params)
}
