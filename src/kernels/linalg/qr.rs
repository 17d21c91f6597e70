//! `qr`: the reduced factors q (orthonormal columns) and r (upper triangular, diagonal ≥ 0).
//!
//! Householder's method. A panel of columns is reduced one by one; its reflectors are then applied
//! at once as I − v · t · vᴴ (the compact form), by products of matrices. Below the diagonal of the
//! working copy stand the reflectors, without their leading ones.

use super::field::{Field, Operand, linear, stack_of, with_field};
use super::product::{dot, multiply, subtract};
use crate::kernels::Context;
use crate::kernels::array::{Output, View};
use crate::kernels::fault::Outcome;
use crate::kernels::params::{Read, Reader};
use crate::kernels::simd::{self, Level, Loop};
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};
use num_complex::Complex;
use rdask_store::Sealed;

/// Columns that are reduced before their reflectors are applied to the rest.
const PANEL: usize = 32;

/// `qr(part)`: "q" is rows × k, "r" is k × columns, where k is the lesser of rows and columns.
#[derive(Debug)]
pub(super) struct Qr {
    q: bool,
}

impl Qr {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        match reader.need("part", reader.string("part")?)? {
            "q" => Ok(Self { q: true }),
            "r" => Ok(Self { q: false }),
            other => Err(reader.bad("part", format!("expected \"q\" or \"r\", found {other:?}"))),
        }
    }

    /// The factor of a matrix, or of each matrix of a stack.
    pub(super) fn run(&self, context: &Context<'_>, a: &View<'_>) -> Outcome<Sealed> {
        let (stack, [rows, columns]) = stack_of(a)?;
        let least = rows.min(columns);
        let mut shape = stack.to_vec();
        shape.extend(if self.q { [rows, least] } else { [least, columns] });
        let dtype = linear(&[a])?;
        let mut output = Output::new(context, dtype, &shape)?;
        if output.bytes_mut().is_empty() {
            return output.seal();
        }
        let mut work = Output::new(context, dtype, &a.shape)?;
        work.bytes_mut().copy_from_slice(Operand::new(context, a, dtype)?.bytes());
        with_field!(dtype, T => {
            let results = output.elements_mut::<T>();
            let size = if self.q { rows * least } else { least * columns };
            let work = work.elements_mut::<T>().chunks_exact_mut(rows * columns);
            for (work, out) in work.zip(results.chunks_exact_mut(size)) {
                let whole = "a chunk has as many elements as the matrix";
                let work = ArrayViewMut2::from_shape((rows, columns), work).expect(whole);
                let factors = Factors::new(context.threads, work)?;
                if self.q {
                    let out = ArrayViewMut2::from_shape((rows, least), out).expect(whole);
                    factors.q(out)?;
                } else {
                    factors.r(ArrayViewMut2::from_shape((least, columns), out).expect(whole));
                }
            }
        });
        output.seal()
    }
}

/// A matrix that was reduced in place.
struct Factors<'a, T> {
    threads: u32,
    work: ArrayViewMut2<'a, T>,
    /// Factors of the reflectors.
    taus: Vec<T>,
}

impl<'a, T: Field> Factors<'a, T> {
    fn new(threads: u32, work: ArrayViewMut2<'a, T>) -> Outcome<Self> {
        let count = work.nrows().min(work.ncols());
        let mut factors = Self { threads, work, taus: Vec::with_capacity(count) };
        for first in (0..count).step_by(PANEL) {
            let width = PANEL.min(count - first);
            factors.reduce(first, width);
            if first + width < factors.work.ncols() {
                let block = factors.block(first, width);
                let rest = factors.work.slice_mut(s![first.., first + width..]);
                block.apply(threads, &block.t.mapv(T::conj).t(), rest)?;
            }
        }
        Ok(factors)
    }

    /// Reduces the columns of one panel.
    fn reduce(&mut self, first: usize, width: usize) {
        let mut panel = self.work.slice_mut(s![first.., first..first + width]);
        let height = panel.nrows();
        // Columns side by side in memory, so that the loops over them are contiguous.
        let mut columns: Vec<T> = panel.t().iter().copied().collect();
        for j in 0..width {
            let (done, rest) = columns.split_at_mut((j + 1) * height);
            let column = &mut done[j * height + j..];
            let tau = reflect(column);
            self.taus.push(tau);
            let diagonal = std::mem::replace(&mut column[0], T::one());
            let conjugate: Vec<T> = column.iter().map(|value| value.conj()).collect();
            let reflector = Reflector { tau: tau.conj(), column, conjugate: &conjugate };
            for other in rest.chunks_exact_mut(height) {
                simd::run(Level::best(), Reflect { reflector: &reflector, other: &mut other[j..] });
            }
            column[0] = diagonal;
        }
        for (column, values) in panel.columns_mut().into_iter().zip(columns.chunks_exact(height)) {
            for (element, value) in column.into_iter().zip(values) {
                *element = *value;
            }
        }
    }

    /// The reflectors of one panel as one.
    fn block(&self, first: usize, width: usize) -> Block<T> {
        let panel = self.work.slice(s![first.., first..first + width]);
        let v = Array2::from_shape_fn((width, panel.nrows()), |(j, row)| match row.cmp(&j) {
            std::cmp::Ordering::Less => T::zero(),
            std::cmp::Ordering::Equal => T::one(),
            std::cmp::Ordering::Greater => panel[[row, j]],
        });
        let conjugate = v.mapv(T::conj);
        let mut t = Array2::zeros((width, width));
        for j in 0..width {
            let tau = self.taus[first + j];
            let reflector = v.row(j);
            let reflector = reflector.as_slice().expect("a row of a fresh array is contiguous");
            let products: Vec<T> = (0..j)
                .map(|i| {
                    let known = conjugate.row(i);
                    dot(known.as_slice().expect("as above"), reflector)
                })
                .collect();
            for i in 0..j {
                let sum = (i..j).fold(T::zero(), |sum, k| sum + t[[i, k]] * products[k]);
                t[[i, j]] = -tau * sum;
            }
            t[[j, j]] = tau;
        }
        Block { v, conjugate, t }
    }

    fn is_flipped(&self, row: usize) -> bool {
        self.work[[row, row]].parts().re < 0.0
    }

    fn r(&self, mut out: ArrayViewMut2<'_, T>) {
        for (row, mut line) in out.rows_mut().into_iter().enumerate() {
            line.slice_mut(s![..row]).fill(T::zero());
            let flip = self.is_flipped(row);
            let known = self.work.slice(s![row, row..]);
            for (out, value) in line.slice_mut(s![row..]).iter_mut().zip(known) {
                *out = if flip { -*value } else { *value };
            }
        }
    }

    fn q(&self, mut out: ArrayViewMut2<'_, T>) -> Outcome<()> {
        out.fill(T::zero());
        out.diag_mut().fill(T::one());
        let count = self.taus.len();
        for first in (0..count).step_by(PANEL).rev() {
            let block = self.block(first, PANEL.min(count - first));
            block.apply(self.threads, &block.t.view(), out.slice_mut(s![first.., first..]))?;
        }
        for (column, mut values) in out.columns_mut().into_iter().enumerate() {
            if self.is_flipped(column) {
                values.mapv_inplace(|value| -value);
            }
        }
        Ok(())
    }
}

/// The product of the reflectors of a panel, I − v · t · vᴴ.
struct Block<T> {
    /// A reflector in each row.
    v: Array2<T>,
    conjugate: Array2<T>,
    t: Array2<T>,
}

impl<T: Field> Block<T> {
    /// c ← (I − v · t · vᴴ) · c with this t or its conjugate transpose.
    fn apply(&self, threads: u32, t: &ArrayView2<'_, T>, c: ArrayViewMut2<'_, T>) -> Outcome<()> {
        let plain = [T::one(), T::zero()];
        let mut inner = Array2::zeros((self.v.nrows(), c.ncols()));
        multiply(threads, plain, &self.conjugate.view(), &c.view(), inner.view_mut())?;
        let mut scaled = Array2::zeros(inner.raw_dim());
        multiply(threads, plain, t, &inner.view(), scaled.view_mut())?;
        multiply(threads, [-T::one(), T::one()], &self.v.t(), &scaled.view(), c)
    }
}

/// I − τ · v · vᴴ.
struct Reflector<'a, T> {
    tau: T,
    column: &'a [T],
    conjugate: &'a [T],
}

/// Applies a reflector to one vector.
struct Reflect<'a, T> {
    reflector: &'a Reflector<'a, T>,
    other: &'a mut [T],
}

impl<T: Field> Loop for Reflect<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Reflector { tau, column, conjugate } = *self.reflector;
        let factor = tau * dot(conjugate, self.other);
        subtract(self.other, factor, column);
    }
}

/// Finds the reflector that maps a vector to a multiple of the first unit vector: the multiple
/// replaces its first element, the reflector (but its leading one) the others. The multiple is real.
fn reflect<T: Field>(column: &mut [T]) -> T {
    let alpha = column[0].parts();
    let below = length(&column[1..]);
    if below == 0.0 && alpha.im == 0.0 {
        return T::zero();
    }
    let size = alpha.re.hypot(alpha.im).hypot(below);
    let beta = if alpha.re > 0.0 { -size } else { size };
    let difference = Complex::new(alpha.re - beta, alpha.im);
    let tau = Complex::new((beta - alpha.re) / beta, -alpha.im / beta);
    let divisor = T::of(difference);
    for value in &mut column[1..] {
        *value = value.over(divisor);
    }
    column[0] = T::of(Complex::new(beta, 0.0));
    T::of(tau)
}

/// The 2-norm, without overflow or underflow on the way.
fn length<T: Field>(vector: &[T]) -> f64 {
    let sum =
        |scale: f64| -> f64 { vector.iter().map(|value| (value.parts() * scale).norm_sqr()).sum() };
    let plain = sum(1.0);
    if plain > f64::MIN_POSITIVE / f64::EPSILON && plain.is_finite() {
        return plain.sqrt();
    }
    let size = |value: &T| value.parts().re.abs().max(value.parts().im.abs());
    let largest = vector.iter().map(size).fold(0.0_f64, f64::max);
    if largest == 0.0 || !largest.is_finite() || plain.is_nan() {
        return plain.sqrt();
    }
    // A power of two: scaling rounds nothing.
    let scale = libm::scalbn(1.0, -libm::ilogb(largest).clamp(-1000, 1000));
    sum(scale).sqrt() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_extreme_vectors() {
        for scale in [1e-300, 1e-170, 1.0, 1e170, 1e300] {
            let found = length(&[3.0 * scale, 4.0 * scale]);
            assert!((found / (5.0 * scale) - 1.0).abs() < 1e-14, "{scale}: {found}");
        }
        assert_eq!(length::<f64>(&[0.0, -0.0]), 0.0);
        assert!(length(&[f64::NAN, 1.0]).is_nan());
        assert_eq!(length(&[f64::INFINITY, 1.0]), f64::INFINITY);
    }
}
