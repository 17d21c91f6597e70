//! The family xarray: the tutorial's air temperatures on 25 latitudes and 53 longitudes, cut into
//! chunks of k by k, in 52 weekly groups.
//!
//! For each block and week one task takes the week, one what it is compared with, and one reads
//! both; pairs along weeks, latitudes and longitudes are then reduced together.

use super::GenerateError;
use super::knobs::Knob;
use super::plan::Plan;
use super::weaver::Weaver;
use crate::{RunSpec, TaskHandle};

const LATITUDES: u64 = 25;
const LONGITUDES: u64 = 53;
/// With 52 the published graphs have exactly their tasks and edges.
const WEEKS: usize = 52;

/// Builds the family.
pub(super) fn xarray(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let chunk = plan.knobs[Knob::Chunk];
    let grid = [LATITUDES, LONGITUDES].map(|length| length.div_ceil(chunk) as usize);
    let blocks = grid[0] * grid[1];
    weaver.expect((4 * WEEKS * blocks) as u128, (6 * WEEKS * blocks) as u128)?;
    let work = plan.work();
    let source = weaver.add(format_args!("open"), &work, &[]);
    let decoded: Vec<TaskHandle> = (0..blocks)
        .map(|at| {
            let block = weaver.add(format_args!("load-{at}"), &work, &[source]);
            weaver.add(format_args!("decode-{at}"), &work, &[block])
        })
        .collect();
    let mut items = Vec::with_capacity(WEEKS * blocks);
    for week in 0..WEEKS {
        for (at, block) in decoded.iter().enumerate() {
            let taken = weaver.add(format_args!("week-{week}-{at}"), &work, &[*block]);
            let base = weaver.add(format_args!("base-{week}-{at}"), &work, &[*block]);
            let pair = [taken, base];
            items.push(weaver.add(format_args!("anomaly-{week}-{at}"), &work, &pair));
        }
    }
    reduce_pairs(weaver, &work, items, [WEEKS, grid[0], grid[1]]);
    Ok(())
}

/// Reduces a box of tasks in C order, two along each axis at a time; a task that is alone in its
/// group goes on as it is.
fn reduce_pairs(
    weaver: &mut Weaver,
    work: &RunSpec,
    mut items: Vec<TaskHandle>,
    mut shape: [usize; 3],
) {
    let mut level = 0;
    let mut group = Vec::with_capacity(8);
    while items.len() > 1 {
        let half = shape.map(|length| length.div_ceil(2));
        let mut next = Vec::with_capacity(half[0] * half[1] * half[2]);
        for at in 0..half[0] * half[1] * half[2] {
            let first = [at / (half[1] * half[2]), at / half[2] % half[1], at % half[2]];
            group.clear();
            for corner in 0..8 {
                let place = [0, 1, 2].map(|axis| 2 * first[axis] + (corner >> (2 - axis) & 1));
                if (0..3).all(|axis| place[axis] < shape[axis]) {
                    group.push(items[(place[0] * shape[1] + place[1]) * shape[2] + place[2]]);
                }
            }
            next.push(match group.as_slice() {
                [single] => *single,
                group => weaver.add(format_args!("mean-{level}-{at}"), work, group),
            });
        }
        (items, shape) = (next, half);
        level += 1;
    }
}
