//! Algorithms on fields in tiles: jacobi, transpose_sum, rechunk. Real kernels always.
//!
//! Results can be checked: numpy makes the same random tiles from their seeds, and Jacobi's method
//! starts from nothing but its boundary.

use super::GenerateError;
use super::knobs::Knob;
use super::plan::{Plan, check_output};
use super::tiles::{Grid, Square, full, fuse, kernel, map, part, random};
use super::weaver::{Axis, Weaver};
use crate::{Param, RunSpec, TaskHandle};

/// Inputs of a task of a reduction.
const ARITY: usize = 8;

/// Heat on a plate of n × n points: 1 along the upper edge, 0 along the others and at the start.
/// Each step a point becomes the mean of its four neighbours.
pub(super) fn jacobi(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let square = Square::new(plan)?;
    let steps = u128::from(plan.knobs[Knob::Steps]);
    let places = square.wide().pow(2);
    let tasks = 7_u128.saturating_mul(places).saturating_mul(steps);
    weaver.expect(tasks, tasks.saturating_mul(3))?;
    let frame = Frame::new(weaver, square);
    let zeros = full([square.block, square.block], 0.0);
    let mut plate = square.each(|i, j| weaver.add(format_args!("start-{i}-{j}"), &zeros, &[]));
    for step in 1..=plan.knobs[Knob::Steps] {
        plate = square.each(|i, j| frame.step(weaver, &plate, step, [i, j]));
    }
    square.result(weaver, "plate", &plate);
    Ok(())
}

const TOP: usize = 0;
const BOTTOM: usize = 1;
const LEFT: usize = 2;
const RIGHT: usize = 3;

/// What all tiles of all steps share: the boundary and the specs.
struct Frame {
    /// A row of ones, a row of zeros, a column of zeros, one zero.
    warm: TaskHandle,
    cold: TaskHandle,
    cold_column: TaskHandle,
    corner: TaskHandle,
    /// Takes the edges of a tile, in the order of the sides.
    take: [RunSpec; 4],
    surround: RunSpec,
    mean: RunSpec,
    inner: RunSpec,
}

impl Frame {
    fn new(weaver: &mut Weaver, square: Square) -> Self {
        let length = square.block;
        let mut one = |name: &str, shape: [u64; 2], value: f64| {
            weaver.add(format_args!("{name}"), &full(shape, value), &[])
        };
        let offsets = [[-1, 0], [1, 0], [0, -1], [0, 1]].map(|offset| offset.to_vec()).to_vec();
        let last = length - 1;
        Self {
            warm: one("warm", [1, length], 1.0),
            cold: one("cold", [1, length], 0.0),
            cold_column: one("cold-column", [length, 1], 0.0),
            corner: one("corner", [1, 1], 0.0),
            take: [
                part([0, 1], [0, length]),
                part([last, length], [0, length]),
                part([0, length], [0, 1]),
                part([0, length], [last, length]),
            ],
            surround: RunSpec::kernel("block", [("grid", vec![3, 3].into())]),
            mean: RunSpec::kernel(
                "stencil",
                [("offsets", Param::from(offsets)), ("weights", vec![0.25; 4].into())],
            ),
            inner: part([1, length + 1], [1, length + 1]),
        }
    }

    /// What surrounds a tile: edges of its neighbours, or the plate's boundary.
    fn halo(
        &self,
        weaver: &mut Weaver,
        plate: &Grid,
        step: u64,
        [i, j]: [usize; 2],
    ) -> [TaskHandle; 4] {
        let mut edge = |side: usize, i: usize, j: usize| {
            let name = ["top", "bottom", "left", "right"][side];
            weaver.add(format_args!("{name}-{step}-{i}-{j}"), &self.take[side], &[plate.at(i, j)])
        };
        let last = plate.tiles() - 1;
        [
            if i == 0 { self.warm } else { edge(BOTTOM, i - 1, j) },
            if i == last { self.cold } else { edge(TOP, i + 1, j) },
            if j == 0 { self.cold_column } else { edge(RIGHT, i, j - 1) },
            if j == last { self.cold_column } else { edge(LEFT, i, j + 1) },
        ]
    }

    /// The next state of a tile.
    fn step(&self, weaver: &mut Weaver, plate: &Grid, step: u64, [i, j]: [usize; 2]) -> TaskHandle {
        let [top, bottom, left, right] = self.halo(weaver, plate, step, [i, j]);
        let c = self.corner;
        let nine = [c, top, c, left, plate.at(i, j), right, c, bottom, c];
        let around = weaver.add(format_args!("block-{step}-{i}-{j}"), &self.surround, &nine);
        let mean = weaver.add(format_args!("stencil-{step}-{i}-{j}"), &self.mean, &[around]);
        weaver.add(format_args!("tile-{step}-{i}-{j}"), &self.inner, &[mean])
    }
}

/// `(x + x.T).sum()` of n × n random numbers. A tile is turned, added and summed by one task, as in
/// the graph that Dask's own optimisation leaves of this expression.
pub(super) fn transpose_sum(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let square = Square::new(plan)?;
    let places = square.wide().pow(2);
    weaver.expect(2 * places, 3 * places)?;
    let x = square.random(plan, weaver, "random", 0);
    let part =
        fuse([(kernel("transpose"), &["b"]), (map("a + b"), &["a", "c"]), (kernel("sum"), &["d"])]);
    let sums: Grid = square
        .each(|i, j| weaver.add(format_args!("part-{i}-{j}"), &part, &[x.at(i, j), x.at(j, i)]));
    weaver.reduce("sum", sums.into_tasks(), ARITY, |inputs, _| sum_of(inputs));
    Ok(())
}

/// The sum of so many inputs, in their order.
fn sum_of(inputs: usize) -> RunSpec {
    let names: Vec<String> =
        (b'a'..).take(inputs).map(|letter| char::from(letter).to_string()).collect();
    map(&names.join(" + "))
}

/// n × n random numbers that come in slices of `block` rows (times) and are wanted in slices of
/// `block` columns (series).
pub(super) fn rechunk(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let square = Square::new(plan)?;
    check_output(square.n, square.block)?;
    let places = square.wide().pow(2);
    weaver.expect(places + 2 * square.wide(), 2 * places)?;
    let times: Vec<TaskHandle> = (0..square.tiles)
        .map(|i| {
            let spec = random(plan, i as u64, [square.block, square.n]);
            weaver.add(format_args!("time-{i}"), &spec, &[])
        })
        .collect();
    let join = RunSpec::kernel("concatenate", [("axis", 0.into())]);
    let series: Vec<TaskHandle> = (0..square.tiles)
        .map(|j| {
            let first = j as u64 * square.block;
            let columns = part([0, square.block], [first, first + square.block]);
            let pieces: Vec<TaskHandle> = times
                .iter()
                .enumerate()
                .map(|(i, time)| weaver.add(format_args!("piece-{i}-{j}"), &columns, &[*time]))
                .collect();
            weaver.add(format_args!("series-{j}"), &join, &pieces)
        })
        .collect();
    let rows = Axis { tiles: 1, length: square.n };
    let columns = Axis { tiles: square.tiles as u64, length: square.block };
    weaver.result("series", [rows, columns], &series);
    Ok(())
}
