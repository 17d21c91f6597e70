//! The table of families: name, what it is, which sizes it takes, how it is made.

use super::knobs::{Knob, MILLION};
use super::plan::Plan;
use super::weaver::Weaver;
use super::{GenerateError, factor, fields, frames, futures, numpy, patterns, xarray};

/// What the tasks of a family can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Work {
    /// Outputs and durations are replayed.
    Replayed,
    /// Replayed, or real kernels with a result to check.
    Either,
    /// The same; the real form takes the size of an output too.
    EitherSized,
    /// Real kernels always.
    Real,
}

type Build = fn(&Plan, &mut Weaver) -> Result<(), GenerateError>;

/// A family of graphs.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) alias: &'static str,
    pub(super) about: &'static str,
    /// The sizes it takes, with their defaults.
    pub(super) takes: &'static [(Knob, u64)],
    pub(super) work: Work,
    pub(super) build: Build,
}

const fn family_of(
    name: &'static str,
    about: &'static str,
    takes: &'static [(Knob, u64)],
    work: Work,
    build: Build,
) -> Family {
    Family { name, alias: "", about, takes, work, build }
}

const fn pattern(name: &'static str, about: &'static str, build: Build) -> Family {
    family_of(name, about, PATTERN, Work::Replayed, build)
}

const fn tiled(
    name: &'static str,
    about: &'static str,
    takes: &'static [(Knob, u64)],
    build: Build,
) -> Family {
    family_of(name, about, takes, Work::Real, build)
}

/// Sizes of every Task Bench pattern; Task Bench's own defaults where it has some.
const PATTERN: &[(Knob, u64)] =
    &[(Knob::Width, 16), (Knob::Steps, 100), (Knob::Imbalance, 0), (Knob::Graphs, 1)];
const NEAREST: &[(Knob, u64)] = &[
    (Knob::Width, 16),
    (Knob::Steps, 100),
    (Knob::Radix, 5),
    (Knob::Imbalance, 0),
    (Knob::Graphs, 1),
];
const SPREAD: &[(Knob, u64)] = &[
    (Knob::Width, 16),
    (Knob::Steps, 100),
    (Knob::Radix, 5),
    (Knob::Period, 3),
    (Knob::Imbalance, 0),
    (Knob::Graphs, 1),
];
const RANDOM: &[(Knob, u64)] = &[
    (Knob::Width, 16),
    (Knob::Steps, 100),
    (Knob::Radix, 5),
    (Knob::Period, 3),
    (Knob::Fraction, MILLION / 4),
    (Knob::Imbalance, 0),
    (Knob::Graphs, 1),
];
const MATRIX: &[(Knob, u64)] = &[(Knob::N, 1024), (Knob::Block, 256)];
const GRID: &[(Knob, u64)] = &[(Knob::N, 1024), (Knob::Block, 256), (Knob::Steps, 10)];

/// All families, in the order of the help.
pub(super) const FAMILIES: &[Family] = &[
    family_of(
        "merge",
        "n leaves and one task that reads all of them",
        &[(Knob::N, 10_000)],
        Work::Either,
        futures::merge,
    ),
    family_of(
        "merge_slow",
        "the same, each leaf sleeps",
        &[(Knob::N, 5000)],
        Work::Replayed,
        futures::merge_slow,
    ),
    family_of(
        "tree",
        "binary sums of 2^depth numbers",
        &[(Knob::Depth, 15)],
        Work::Either,
        futures::tree,
    ),
    family_of(
        "xarray",
        "weekly groups of a time series on a grid in chunks",
        &[(Knob::Chunk, 25)],
        Work::Replayed,
        xarray::xarray,
    ),
    family_of(
        "bag",
        "every pair of partitions, summed",
        &[(Knob::Partitions, 10)],
        Work::Replayed,
        frames::bag,
    ),
    family_of(
        "numpy",
        "(x + x.T)[::2, size/2:].mean(axis=1).sum() in chunks",
        &[(Knob::Size, 50_000), (Knob::Chunks, 10)],
        Work::Either,
        numpy::numpy,
    ),
    family_of(
        "groupby",
        "two reductions over partitions that read a neighbour",
        &[(Knob::Partitions, 270)],
        Work::Replayed,
        frames::groupby,
    ),
    family_of(
        "join",
        "all-to-all shuffle, in stages above 32 partitions",
        &[(Knob::Partitions, 24)],
        Work::Replayed,
        frames::join,
    ),
    family_of(
        "vectorizer",
        "independent long tasks with large outputs",
        &[(Knob::Partitions, 300)],
        Work::Replayed,
        futures::vectorizer,
    ),
    family_of(
        "wordbag",
        "independent groups of five tasks",
        &[(Knob::Partitions, 50)],
        Work::Replayed,
        futures::wordbag,
    ),
    Family {
        alias: "stencil",
        ..family_of(
            "stencil_1d",
            "each point reads itself and its two neighbours",
            PATTERN,
            Work::EitherSized,
            patterns::stencil_1d,
        )
    },
    pattern("stencil_1d_periodic", "the same on a ring", patterns::stencil_1d_periodic),
    Family {
        alias: "fft",
        ..pattern("fft_butterfly", "the exchanges of a fast Fourier transform", patterns::fft)
    },
    family_of(
        "nearest",
        "each point reads its radix nearest ones",
        NEAREST,
        Work::Replayed,
        patterns::nearest,
    ),
    family_of(
        "spread",
        "each point reads radix points, spread evenly",
        SPREAD,
        Work::Replayed,
        patterns::spread,
    ),
    family_of(
        "random_nearest",
        "each of the nearest points with a probability",
        RANDOM,
        Work::Replayed,
        patterns::random_nearest,
    ),
    pattern("all_to_all", "each point reads all", patterns::all_to_all),
    pattern("no_comm", "each point reads itself", patterns::no_comm),
    pattern("trivial", "no point reads anything", patterns::trivial),
    pattern("dom", "a sweep over a diagonal", patterns::dom),
    pattern("tree_tb", "a fan-out that doubles with each step", patterns::tree),
    tiled("cholesky", "A = L Lᵀ in tiles", MATRIX, factor::cholesky),
    tiled("qr", "A = Q R in tiles", MATRIX, factor::qr),
    tiled("matmul", "C = A B in tiles", MATRIX, factor::matmul),
    tiled("jacobi", "heat on a plate by Jacobi's method, in tiles", GRID, fields::jacobi),
    tiled("transpose_sum", "(x + x.T).sum() in tiles", MATRIX, fields::transpose_sum),
    tiled("rechunk", "time slices into time series", MATRIX, fields::rechunk),
];

impl Family {
    pub(super) fn has_real_form(&self) -> bool {
        self.work != Work::Replayed
    }
}

/// The family of a name.
pub(super) fn family(name: &str) -> Option<&'static Family> {
    let is_meant = |it: &&Family| it.name == name || (!it.alias.is_empty() && it.alias == name);
    FAMILIES.iter().find(is_meant)
}
