//! The graphs of the RSDS study (Böhm and Beránek, "Runtime vs Scheduler: Analyzing Dask's
//! Overheads", 2020) as the paper's table names them: sizes, mean output, mean duration.
//!
//! The study gives means only, so that each task of a graph takes the mean duration and makes the
//! mean output, but where a family knows its outputs better.

use super::family::{Family, family};
use super::knobs::{Knob, Knobs};

/// A row of the paper's table.
pub(super) struct Row {
    /// Its name in the paper.
    pub(super) name: &'static str,
    family: &'static str,
    pub(super) sizes: &'static [(Knob, u64)],
    /// Mean output of a task, KiB.
    kib: f64,
    /// Mean duration of a task, ms.
    ms: f64,
}

const fn row(
    name: &'static str,
    family: &'static str,
    sizes: &'static [(Knob, u64)],
    kib: f64,
    ms: f64,
) -> Row {
    Row { name, family, sizes, kib, ms }
}

/// The table. Partitions: a bag has so many sources; a frame of d days in parts of p hours has
/// 24 d / p of them.
const ROWS: &[Row] = &[
    row("bag-25K-10", "bag", &[(Knob::Partitions, 10)], 292.0, 1233.0),
    row("bag-25K-50", "bag", &[(Knob::Partitions, 50)], 12.6, 54.9),
    row("bag-25K-100", "bag", &[(Knob::Partitions, 100)], 3.2, 13.9),
    row("bag-25K-200", "bag", &[(Knob::Partitions, 200)], 0.8, 3.6),
    row("bag-50K-50", "bag", &[(Knob::Partitions, 50)], 25.2, 214.0),
    row("merge-10K", "merge", &[(Knob::N, 10_000)], 0.027, 0.006),
    row("merge-15K", "merge", &[(Knob::N, 15_000)], 0.027, 0.006),
    row("merge-20K", "merge", &[(Knob::N, 20_000)], 0.027, 0.006),
    row("merge-25K", "merge", &[(Knob::N, 25_000)], 0.027, 0.006),
    row("merge-30K", "merge", &[(Knob::N, 30_000)], 0.027, 0.006),
    row("merge-50K", "merge", &[(Knob::N, 50_000)], 0.027, 0.006),
    row("merge-100K", "merge", &[(Knob::N, 100_000)], 0.027, 0.006),
    row("merge_slow-5K-0.1", "merge_slow", &[(Knob::N, 5000)], 0.023, 100.0),
    row("merge_slow-20K-0.1", "merge_slow", &[(Knob::N, 20_000)], 0.023, 100.0),
    row("numpy-50K-10", "numpy", &[(Knob::Size, 50_000), (Knob::Chunks, 10)], 70_108.0, 169.0),
    row("numpy-50K-50", "numpy", &[(Knob::Size, 50_000), (Knob::Chunks, 50)], 2999.0, 8.3),
    row("numpy-50K-100", "numpy", &[(Knob::Size, 50_000), (Knob::Chunks, 100)], 760.0, 2.6),
    row("numpy-50K-200", "numpy", &[(Knob::Size, 50_000), (Knob::Chunks, 200)], 191.0, 0.9),
    row("groupby-90-1S-8H", "groupby", &[(Knob::Partitions, 270)], 501.0, 7.7),
    row("groupby-90-1S-1H", "groupby", &[(Knob::Partitions, 2160)], 64.3, 3.9),
    row("groupby-360-1S-8H", "groupby", &[(Knob::Partitions, 1080)], 503.0, 8.0),
    row("groupby-360-1S-1H", "groupby", &[(Knob::Partitions, 8640)], 64.3, 3.8),
    row("groupby-1440-1S-8H", "groupby", &[(Knob::Partitions, 4320)], 503.0, 7.7),
    row("groupby-1440-1S-1H", "groupby", &[(Knob::Partitions, 34_560)], 64.3, 3.8),
    row("groupby-2880-1S-16H", "groupby", &[(Knob::Partitions, 4320)], 1005.0, 11.9),
    row("groupby-2880-1S-8H", "groupby", &[(Knob::Partitions, 8640)], 503.0, 7.7),
    row("join-1-1S-1H", "join", &[(Knob::Partitions, 24)], 15.3, 33.0),
    row("join-1-1S-1T", "join", &[(Knob::Partitions, 1440)], 3.7, 1.7),
    row("join-1-2s-1H", "join", &[(Knob::Partitions, 24)], 9.3, 9.8),
    row("tree-15", "tree", &[(Knob::Depth, 15)], 0.027, 0.007),
    row("vectorizer-1M-300", "vectorizer", &[(Knob::Partitions, 300)], 10_226.0, 1504.0),
    row("wordbag-100K-50", "wordbag", &[(Knob::Partitions, 50)], 5136.0, 301.0),
    row("xarray-5", "xarray", &[(Knob::Chunk, 5)], 3.3, 0.4),
    row("xarray-25", "xarray", &[(Knob::Chunk, 25)], 55.7, 3.1),
];

impl Row {
    /// Mean output of a task, bytes.
    pub(super) fn bytes(&self) -> u64 {
        (self.kib * 1024.0).round() as u64
    }

    /// Mean duration of a task, microseconds.
    pub(super) fn us(&self) -> f64 {
        (self.ms * 1000.0).round()
    }

    pub(super) fn family(&self) -> Option<&'static Family> {
        family(self.family)
    }
}

/// The row of a name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// The row of a family whose sizes are nearest by their ratios; the first of several.
pub(super) fn nearest(family: &str, knobs: &Knobs) -> Option<&'static Row> {
    let distance = |row: &Row| {
        let ratio = |(knob, value): &(Knob, u64)| (knobs[*knob] as f64 / *value as f64).ln().abs();
        row.sizes.iter().map(ratio).sum::<f64>()
    };
    let rows = ROWS.iter().filter(|row| row.family == family);
    rows.min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

/// Names of all rows.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.name)
}
