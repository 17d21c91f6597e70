//! The families that the study wrote with bags and data frames: bag, groupby, join.
//!
//! The optimiser of 2020 cannot be run again, so their graphs are put together from layers until
//! tasks, edges and longest path are the published ones; docs/families.md lists the layers.

use super::GenerateError;
use super::knobs::Knob;
use super::plan::Plan;
use super::weaver::Weaver;
use crate::{RunSpec, TaskHandle};

/// Inputs of a task of a reduction.
const ARITY: usize = 8;

/// Largest number of partitions that are shuffled in one stage.
const ONE_STAGE: u64 = 32;

/// p sources, each filtered; every pair of them makes a task, which feeds a second one; the sum.
pub(super) fn bag(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let count = plan.knobs[Knob::Partitions];
    let pairs = u128::from(count) * u128::from(count);
    weaver.expect(2 * pairs + pairs / 4, 4 * pairs)?;
    let work = plan.work();
    let parts: Vec<TaskHandle> = (0..count)
        .map(|at| {
            let source = weaver.add(format_args!("source-{at}"), &work, &[]);
            weaver.add(format_args!("filter-{at}"), &work, &[source])
        })
        .collect();
    let mut sums = Vec::new();
    for (i, a) in parts.iter().enumerate() {
        for (j, b) in parts.iter().enumerate() {
            let key = format_args!("product-{i}-{j}");
            let pair = if i == j {
                weaver.add(key, &work, &[*a])
            } else {
                weaver.add(key, &work, &[*a, *b])
            };
            sums.push(weaver.add(format_args!("part-{i}-{j}"), &work, &[pair]));
        }
    }
    weaver.reduce("sum", sums, ARITY, |_, _| work.clone());
    Ok(())
}

/// Sources, prepared; windows that read a partition and the next one; two reductions over them;
/// four results.
pub(super) fn groupby(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let count = plan.knobs[Knob::Partitions];
    weaver.expect(6 * u128::from(count) + 10, 8 * u128::from(count) + 10)?;
    let work = plan.work();
    let parts: Vec<TaskHandle> = (0..count)
        .map(|at| {
            let source = weaver.add(format_args!("source-{at}"), &work, &[]);
            weaver.add(format_args!("prepare-{at}"), &work, &[source])
        })
        .collect();
    let windows: Vec<TaskHandle> = (0..parts.len())
        .map(|at| {
            let two = &parts[at..parts.len().min(at + 2)];
            weaver.add(format_args!("window-{at}"), &work, two)
        })
        .collect();
    let roots = ["sum", "count"].map(|name| {
        let key = |at| format!("{name}-part-{at}");
        let each = windows.iter().enumerate();
        let chunks: Vec<TaskHandle> = each
            .map(|(at, window)| weaver.add(format_args!("{}", key(at)), &work, &[*window]))
            .collect();
        weaver.reduce(name, chunks, ARITY, |_, _| work.clone())
    });
    weaver.add(format_args!("mean"), &work, &roots);
    weaver.add(format_args!("share"), &work, &roots);
    weaver.add(format_args!("total"), &work, &roots[..1]);
    weaver.add(format_args!("size"), &work, &roots[1..]);
    Ok(())
}

/// An all-to-all shuffle of N partitions, a join of each, and one task that reads them all.
///
/// Above 32 partitions it goes in s stages of k ways, s and k as small as they can be. The k^s
/// places that have no partition begin with an empty one.
pub(super) fn join(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let count = plan.knobs[Knob::Partitions];
    let (stages, ways) = stages(count);
    let places = u128::from(ways).pow(stages);
    let pieces = places * u128::from(ways) * u128::from(stages);
    weaver.expect(pieces + 4 * places * u128::from(stages), 2 * pieces + 4 * places)?;
    let work = plan.work();
    let places = ways.pow(stages) as usize;
    let mut row: Vec<TaskHandle> =
        (0..places).map(|at| weaver.add(format_args!("source-{at}"), &work, &[])).collect();
    let ways = ways as usize;
    for stage in 0..stages {
        // The last stage makes only the places that hold a partition.
        let last = stage + 1 == stages;
        let wanted = if last { count as usize } else { places };
        row = exchange(weaver, &work, &row, Stage { number: stage, ways, wanted });
    }
    let joins: Vec<TaskHandle> = row
        .iter()
        .enumerate()
        .map(|(at, part)| weaver.add(format_args!("join-{at}"), &work, &[*part]))
        .collect();
    weaver.add(format_args!("size"), &work, &joins);
    Ok(())
}

/// One stage of a shuffle: partitions that differ in one digit exchange pieces.
#[derive(Clone, Copy)]
struct Stage {
    number: u32,
    /// Values of a digit.
    ways: usize,
    /// How many results are needed, from the first.
    wanted: usize,
}

fn exchange(
    weaver: &mut Weaver,
    work: &RunSpec,
    row: &[TaskHandle],
    stage: Stage,
) -> Vec<TaskHandle> {
    let Stage { number, ways, wanted } = stage;
    let step = ways.pow(number);
    let splits: Vec<TaskHandle> = row
        .iter()
        .enumerate()
        .map(|(at, part)| weaver.add(format_args!("split-{number}-{at}"), work, &[*part]))
        .collect();
    let mut inputs = Vec::with_capacity(ways);
    (0..wanted)
        .map(|at| {
            let digit = at / step % ways;
            inputs.clear();
            for from in 0..ways {
                let from = at - digit * step + from * step;
                let key = format_args!("piece-{number}-{from}-{digit}");
                inputs.push(weaver.add(key, work, &[splits[from]]));
            }
            weaver.add(format_args!("gather-{number}-{at}"), work, &inputs)
        })
        .collect()
}

/// Number of stages and ways of a shuffle.
fn stages(count: u64) -> (u32, u64) {
    if count <= ONE_STAGE {
        return (1, count);
    }
    let reaches =
        |base: u64, power: u32| base.checked_pow(power).is_none_or(|reached| reached >= count);
    let stages = (1..64).find(|power| reaches(ONE_STAGE, *power)).unwrap_or(64);
    let ways = (2..=ONE_STAGE).find(|ways| reaches(*ways, stages)).unwrap_or(ONE_STAGE);
    (stages, ways)
}
