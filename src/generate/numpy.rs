//! The family numpy: `y = x + x.T; y[::2, size / 2:].mean(axis=1).sum()` on random numbers.
//!
//! x has chunks by chunks blocks; only those that a needed block of y reads are made. The replayed
//! form has the published graphs' fused tasks, the real one a task for each step.

use super::GenerateError;
use super::knobs::Knob;
use super::plan::{Plan, check_output};
use super::tiles::{kernel, map, random};
use super::weaver::Weaver;
use crate::{Param, RunSpec, TaskHandle};

/// Inputs of a task of a reduction.
const ARITY: usize = 4;

/// What the array is like.
struct Layout {
    /// Blocks along each axis.
    chunks: usize,
    /// Rows and columns of a block.
    rows: u64,
}

/// Builds the family.
pub(super) fn numpy(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let chunks = plan.knobs[Knob::Chunks];
    let rows = plan.tiles(Knob::Size, Knob::Chunks)?;
    if !chunks.is_multiple_of(2) {
        let what = format!("--chunks {chunks}");
        return Err(GenerateError::Uneven { what, of: "2".to_owned() });
    }
    check_output(rows, rows)?;
    let blocks = u128::from(chunks) * u128::from(chunks);
    weaver.expect(3 * blocks, 4 * blocks)?;
    let layout = Layout { chunks: chunks as usize, rows };
    if plan.real {
        real(plan, weaver, &layout);
    } else {
        replayed(plan, weaver, &layout);
    }
    Ok(())
}

/// Outputs: a block of x is 8 rows² bytes; what the mean of a block's even rows needs are sums and
/// counts, then means; then single numbers.
fn replayed(plan: &Plan, weaver: &mut Weaver, layout: &Layout) {
    let half = layout.rows.div_ceil(2);
    let block = plan.work_with_output(8 * layout.rows * layout.rows);
    let parts = plan.work_with_output(16 * half);
    let (means, one) = (plan.work_with_output(8 * half), plan.work_with_output(8));
    let x = blocks(layout, |i, j| weaver.add(format_args!("random-{i}-{j}"), &block, &[]));
    let mut sums = Vec::with_capacity(layout.chunks);
    for i in 0..layout.chunks {
        let mut row = Vec::with_capacity(layout.chunks / 2);
        for j in layout.chunks / 2..layout.chunks {
            let [a, b] = both(&x, layout, i, j);
            let inputs = [a, b];
            let distinct = if a == b { 1 } else { 2 };
            let key = format_args!("add-{i}-{j}");
            let added = weaver.add(key, &parts, &inputs[..distinct]);
            row.push(weaver.add(format_args!("part-{i}-{j}"), &parts, &[added]));
        }
        let mean = weaver.reduce(&format!("mean-{i}"), row, ARITY, |_, is_root| {
            if is_root { means.clone() } else { parts.clone() }
        });
        sums.push(weaver.add(format_args!("rowsum-{i}"), &one, &[mean]));
    }
    weaver.reduce("sum", sums, ARITY, |_, _| one.clone());
}

fn real(plan: &Plan, weaver: &mut Weaver, layout: &Layout) {
    let x = blocks(layout, |i, j| {
        let spec = random(plan, (i * layout.chunks + j) as u64, [layout.rows, layout.rows]);
        weaver.add(format_args!("random-{i}-{j}"), &spec, &[])
    });
    let (transpose, add) = (kernel("transpose"), map("a + b"));
    let row_sum = RunSpec::kernel("sum", [("axis", vec![1].into())]);
    let columns = layout.rows * layout.chunks as u64 / 2;
    let mut sums = Vec::with_capacity(layout.chunks);
    for i in 0..layout.chunks {
        let even_rows = slice_even(i as u64 * layout.rows % 2);
        let mut row = Vec::with_capacity(layout.chunks / 2);
        for j in layout.chunks / 2..layout.chunks {
            let [a, b] = both(&x, layout, i, j);
            let turned = weaver.add(format_args!("transpose-{i}-{j}"), &transpose, &[b]);
            let y = weaver.add(format_args!("add-{i}-{j}"), &add, &[a, turned]);
            let even = weaver.add(format_args!("slice-{i}-{j}"), &even_rows, &[y]);
            row.push(weaver.add(format_args!("part-{i}-{j}"), &row_sum, &[even]));
        }
        let mean = weaver.reduce(&format!("mean-{i}"), row, ARITY, |inputs, is_root| {
            let sum = sum_of(inputs);
            map(&if is_root { format!("({sum}) / {columns}") } else { sum })
        });
        sums.push(weaver.add(format_args!("rowsum-{i}"), &kernel("sum"), &[mean]));
    }
    weaver.reduce("sum", sums, ARITY, |inputs, _| map(&sum_of(inputs)));
}

/// `a + b + c` for three inputs.
fn sum_of(inputs: usize) -> String {
    let names: Vec<&str> = ["a", "b", "c", "d"].into_iter().take(inputs).collect();
    names.join(" + ")
}

/// Every second row, from the first or the second of the block.
fn slice_even(first: u64) -> RunSpec {
    let range = Param::List(vec![first.into(), Param::Null, 2.into()]);
    RunSpec::kernel("slice", [("ranges", Param::List(vec![range, Param::Null]))])
}

/// Block (i, j) and block (j, i).
fn both(x: &[Option<TaskHandle>], layout: &Layout, i: usize, j: usize) -> [TaskHandle; 2] {
    [(i, j), (j, i)]
        .map(|(i, j)| x[i * layout.chunks + j].expect("one of both lies in the right half"))
}

/// The blocks of x that are needed: all but those of the upper left quarter.
fn blocks(
    layout: &Layout,
    mut block: impl FnMut(usize, usize) -> TaskHandle,
) -> Vec<Option<TaskHandle>> {
    let chunks = layout.chunks;
    let all = (0..chunks * chunks).map(|at| (at / chunks, at % chunks));
    all.map(|(i, j)| (i.max(j) >= chunks / 2).then(|| block(i, j))).collect()
}
