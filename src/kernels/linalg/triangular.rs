//! `trsm` and the triangular solve of the factorisations: forward substitution by blocks.
//!
//! Every form (side, upper or lower, transposed) is one: strides turn a transposed matrix round and
//! run an upper triangle backwards. Halving the triangle leaves products of matrices and small
//! triangles, which are solved for a strip of columns at a time.

use super::field::{
    Field, Operand, linalg_error, linear, matrix, matrix_mut, matrix_of, with_field,
};
use super::product::multiply;
use crate::kernels::Context;
use crate::kernels::array::{Output, View, text};
use crate::kernels::fault::{Outcome, value_error};
use crate::kernels::parallel;
use crate::kernels::params::{Read, Reader};
use crate::kernels::simd::{self, Level, Loop};
use ndarray::{ArrayView2, ArrayViewMut2, Axis, s};
use rdask_store::Sealed;

/// Triangles of this size are solved by substitution.
const SMALL: usize = 16;

/// Columns that a small triangle is solved for at once: they stay in registers.
const STRIP: usize = 32;

/// Columns that one thread solves for.
const PANEL: usize = 256;

/// `trsm(side = "left", lower = true, trans = false)`: the solution of op(a) · x = b, or of
/// x · op(a) = b.
#[derive(Debug)]
pub(super) struct Trsm {
    right: bool,
    lower: bool,
    trans: bool,
}

impl Trsm {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let right = match reader.string("side")? {
            None | Some("left") => false,
            Some("right") => true,
            Some(other) => {
                let problem = format!("expected \"left\" or \"right\", found {other:?}");
                return Err(reader.bad("side", problem));
            }
        };
        let lower = reader.flag("lower")?.unwrap_or(true);
        Ok(Self { right, lower, trans: reader.flag("trans")?.unwrap_or(false) })
    }

    pub(super) fn run(&self, context: &Context<'_>, a: &View<'_>, b: &View<'_>) -> Outcome<Sealed> {
        let [size, columns] = matrix_of(a)?;
        if size != columns {
            return Err(linalg_error("Last 2 dimensions of the array must be square"));
        }
        let shape = match (b.shape[..].as_ref(), self.right) {
            ([length], false) => [*length, 1],
            ([length], true) => [1, *length],
            _ => matrix_of(b)?,
        };
        let axis = usize::from(self.right);
        if shape[axis] != size {
            return Err(value_error(format!(
                "trsm: Input operand 1 has a mismatch in its core dimension {axis} (size {} is \
                 different from {size}): {} and {}",
                shape[axis],
                text(&a.shape),
                text(&b.shape)
            )));
        }
        let dtype = linear(&[a, b])?;
        let mut a = Operand::new(context, a, dtype)?;
        let mut output = Output::new(context, dtype, &b.shape)?;
        let mut b = Operand::new(context, b, dtype)?;
        output.bytes_mut().copy_from_slice(b.bytes());
        drop(b);
        with_field!(dtype, T => {
            let a = matrix::<T>(a.bytes(), [size, size]);
            self.solve_in_place(context.threads, &a, matrix_mut(output.elements_mut(), shape))?;
        });
        output.seal()
    }

    fn solve_in_place<T: Field>(
        &self,
        threads: u32,
        a: &ArrayView2<'_, T>,
        mut x: ArrayViewMut2<'_, T>,
    ) -> Outcome<()> {
        let mut a = a.view();
        let mut lower = self.lower;
        // x · t = b is tᵀ · xᵀ = bᵀ.
        if self.trans != self.right {
            a = a.reversed_axes();
            lower = !lower;
        }
        if self.right {
            x = x.reversed_axes();
        }
        if !lower {
            a = a.slice_move(s![..;-1, ..;-1]);
            x = x.slice_move(s![..;-1, ..]);
        }
        if a.diag().iter().any(T::is_zero) {
            return Err(linalg_error("Singular matrix"));
        }
        solve(threads, &a, x)
    }
}

/// Solves t · x = b in place of b; `t` is lower triangular, above its diagonal anything may stand.
pub(super) fn solve<T: Field>(
    threads: u32,
    t: &ArrayView2<'_, T>,
    x: ArrayViewMut2<'_, T>,
) -> Outcome<()> {
    let mut panels = Vec::new();
    let mut rest = x;
    while rest.ncols() > PANEL {
        let (panel, right) = rest.split_at(Axis(1), PANEL);
        panels.push(panel);
        rest = right;
    }
    panels.push(rest);
    if threads <= 1 || t.nrows() < SMALL {
        return panels.into_iter().try_for_each(|panel| halves(t, panel));
    }
    let parts = parallel::split(panels.len(), threads, 1, 1);
    let mut panels = panels.into_iter();
    let pieces: Vec<Vec<_>> =
        parts.iter().map(|part| panels.by_ref().take(part.len()).collect()).collect();
    parallel::each(pieces, |piece| piece.into_iter().try_for_each(|panel| halves(t, panel)))
}

fn halves<T: Field>(t: &ArrayView2<'_, T>, mut x: ArrayViewMut2<'_, T>) -> Outcome<()> {
    let size = t.nrows();
    if size <= SMALL {
        substitute(t, x);
        return Ok(());
    }
    let half = (size / 2).next_multiple_of(SMALL);
    let (mut x1, mut x2) = x.view_mut().split_at(Axis(0), half);
    halves(&t.slice(s![..half, ..half]), x1.view_mut())?;
    let scalars = [-T::one(), T::one()];
    let t21 = t.slice(s![half.., ..half]);
    multiply(1, scalars, &t21, &x1.view(), x2.view_mut())?;
    halves(&t.slice(s![half.., half..]), x2)
}

/// A strip of columns, row by row.
type Strip<T> = [[T; STRIP]; SMALL];

fn substitute<T: Field>(t: &ArrayView2<'_, T>, mut x: ArrayViewMut2<'_, T>) {
    let size = t.nrows();
    let mut packed = [[T::zero(); SMALL]; SMALL];
    for row in 0..size {
        for column in 0..=row {
            packed[row][column] = t[[row, column]];
        }
    }
    let mut strip: Strip<T> = [[T::zero(); STRIP]; SMALL];
    for mut part in x.axis_chunks_iter_mut(Axis(1), STRIP) {
        for (row, line) in part.rows().into_iter().zip(&mut strip) {
            for (value, element) in line.iter_mut().zip(row) {
                *value = *element;
            }
        }
        simd::run(Level::best(), Forward { size, t: &packed, strip: &mut strip });
        for (row, line) in part.rows_mut().into_iter().zip(&strip) {
            for (element, value) in row.into_iter().zip(line) {
                *element = *value;
            }
        }
    }
}

/// Forward substitution in a strip.
struct Forward<'a, T> {
    size: usize,
    t: &'a [[T; SMALL]; SMALL],
    strip: &'a mut Strip<T>,
}

impl<T: Field> Loop for Forward<'_, T> {
    #[inline(always)]
    fn run(self) {
        for (row, factors) in self.t.iter().enumerate().take(self.size) {
            let (above, from) = self.strip.split_at_mut(row);
            let line = &mut from[0];
            let mut sum = *line;
            for (factor, known) in factors.iter().zip(above.iter()) {
                for (sum, known) in sum.iter_mut().zip(known) {
                    *sum -= *factor * *known;
                }
            }
            for (value, sum) in line.iter_mut().zip(sum) {
                *value = sum.over(factors[row]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn sizes_around_the_blocks_are_solved() {
        for size in [1, 15, 16, 17, 33, 70] {
            for columns in [1, 31, 33, 300] {
                let t = Array2::from_shape_fn((size, size), |(row, column)| {
                    if row == column { 4.0 } else { 1.0 / (1 + row + column) as f64 }
                });
                let x = Array2::from_shape_fn((size, columns), |(row, column)| {
                    ((row * 7 + column * 3) % 11) as f64 - 5.0
                });
                let mut found = Array2::zeros((size, columns));
                for (row, mut line) in found.rows_mut().into_iter().enumerate() {
                    for k in 0..=row {
                        line.scaled_add(t[[row, k]], &x.row(k));
                    }
                }
                solve(1, &t.view(), found.view_mut()).unwrap();
                let error = (&found - &x).fold(0.0_f64, |most, value| most.max(value.abs()));
                assert!(error < 1e-12, "{size} {columns}: {error}");
            }
        }
    }
}
