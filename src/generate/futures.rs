//! The families that the study wrote with futures: merge, merge_slow, tree, vectorizer, wordbag.
//!
//! Their graphs are defined exactly: a merge of n leaves has n + 1 tasks, a tree of depth k has
//! 2^k − 1 tasks and 2^k − 2 edges.

use super::GenerateError;
use super::knobs::Knob;
use super::plan::Plan;
use super::weaver::Weaver;
use crate::{RunSpec, TaskHandle};

/// n leaves, and a task that reads all of them. Real: leaf i is the array [10 i], the root joins
/// them.
pub(super) fn merge(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    if !plan.real {
        let work = plan.work();
        return merge_of(plan, weaver, |_| work.clone(), &work);
    }
    let leaf = |at: u64| {
        let start = ("start", (10 * at).into());
        RunSpec::kernel("arange", [start, ("count", 1.into()), ("dtype", "i64".into())])
    };
    let root = RunSpec::kernel("concatenate", [("axis", 0.into())]);
    merge_of(plan, weaver, leaf, &root)
}

/// The same with leaves that sleep, which make an i64.
pub(super) fn merge_slow(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let sleep = RunSpec::kernel("sleep", [("ms", (plan.us / 1000.0).into())]);
    merge_of(plan, weaver, |_| sleep.clone(), &plan.work_of(plan.bytes, 0.0))
}

fn merge_of(
    plan: &Plan,
    weaver: &mut Weaver,
    leaf: impl Fn(u64) -> RunSpec,
    root: &RunSpec,
) -> Result<(), GenerateError> {
    let count = plan.knobs[Knob::N];
    weaver.expect(u128::from(count) + 1, count.into())?;
    let leaves: Vec<TaskHandle> =
        (0..count).map(|at| weaver.add(format_args!("leaf-{at}"), &leaf(at), &[])).collect();
    weaver.add(format_args!("merge"), root, &leaves);
    Ok(())
}

/// Binary sums of the numbers below 2^depth, which stand in the first level's tasks.
pub(super) fn tree(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let mut width = 1_u64 << (plan.knobs[Knob::Depth] - 1);
    weaver.expect(2 * u128::from(width) - 1, 2 * u128::from(width) - 2)?;
    let work = plan.work();
    let add = if plan.real { RunSpec::kernel("map", [("expr", "a + b".into())]) } else { work };
    let mut row: Vec<TaskHandle> = Vec::new();
    for at in 0..width {
        let key = format_args!("sum-0-{at}");
        row.push(if plan.real {
            // 2 i and 2 i + 1, added.
            let value = ("value", (4 * at + 1).into());
            let shape = ("shape", Vec::<i64>::new().into());
            let leaf = RunSpec::kernel("full", [shape, ("dtype", "i64".into()), value]);
            weaver.add(key, &leaf, &[])
        } else {
            weaver.add(key, &add, &[])
        });
    }
    let mut level = 0;
    while width > 1 {
        width /= 2;
        level += 1;
        for at in 0..width as usize {
            let pair = [row[2 * at], row[2 * at + 1]];
            row[at] = weaver.add(format_args!("sum-{level}-{at}"), &add, &pair);
        }
    }
    Ok(())
}

/// Independent tasks: one that makes the names of the files, one for each file.
pub(super) fn vectorizer(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let count = plan.knobs[Knob::Partitions];
    weaver.expect(u128::from(count) + 1, 0)?;
    let work = plan.work();
    weaver.add(format_args!("source"), &work, &[]);
    for at in 0..count {
        weaver.add(format_args!("vectorize-{at}"), &work, &[]);
    }
    Ok(())
}

/// For each partition five tasks with four edges and a longest path of two.
pub(super) fn wordbag(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let count = plan.knobs[Knob::Partitions];
    weaver.expect(5 * u128::from(count), 4 * u128::from(count))?;
    let work = plan.work();
    for at in 0..count {
        let text = weaver.add(format_args!("text-{at}"), &work, &[]);
        let stems = weaver.add(format_args!("stems-{at}"), &work, &[]);
        let words = weaver.add(format_args!("words-{at}"), &work, &[text, stems]);
        let weights = weaver.add(format_args!("weights-{at}"), &work, &[]);
        weaver.add(format_args!("bag-{at}"), &work, &[words, weights]);
    }
    Ok(())
}
