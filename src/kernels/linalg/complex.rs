//! Products of complex matrices as products of real ones, which `matrixmultiply` computes twice as
//! fast as its own complex ones.
//!
//! ```text
//!   c (n × 2m)  =  a (n × 2k)  ·  b (2k × 2m)        each b:   re  im
//!   re im re im    re im re im                                −im  re
//! ```
//!
//! `a` is what stands in memory, a number being two reals; `b` grows to twice its size, a part of
//! it at a time.

use bytemuck::Pod;
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, LinalgScalar, s};
use num_complex::Complex;
use std::ops::Neg;

/// Rows and columns of `b` that are laid out at a time: 2 MiB of complex128.
const DEPTH: usize = 128;
const WIDTH: usize = 512;

/// Products of numbers below which `b` is not worth laying out.
const SMALL: usize = 1 << 21;

/// c ← α · a · b + β · c; with β = 0 the old elements of `c` do not count, NaN neither.
pub(super) fn product<R>(
    [alpha, beta]: [Complex<R>; 2],
    a: &ArrayView2<'_, Complex<R>>,
    b: &ArrayView2<'_, Complex<R>>,
    mut c: ArrayViewMut2<'_, Complex<R>>,
) where
    R: LinalgScalar + Neg<Output = R> + PartialEq + Pod,
    Complex<R>: LinalgScalar + Pod,
{
    let ((rows, inner), columns) = (a.dim(), b.ncols());
    if rows.saturating_mul(inner).saturating_mul(columns) < SMALL {
        general_mat_mul(alpha, a, b, beta, &mut c);
        return;
    }
    let a = a.as_standard_layout();
    let left = bytemuck::cast_slice(a.as_slice().expect("the standard layout is contiguous"));
    let left = ArrayView2::<R>::from_shape((rows, 2 * inner), left);
    let left = left.expect("a complex number is two reals");
    let mut right = vec![R::zero(); 4 * DEPTH.min(inner) * WIDTH.min(columns)];
    let mut sums = vec![R::zero(); 2 * rows * WIDTH.min(columns)];
    for column in (0..columns).step_by(WIDTH) {
        let width = WIDTH.min(columns - column);
        let sums = &mut sums[..2 * rows * width];
        for first in (0..inner).step_by(DEPTH) {
            let depth = DEPTH.min(inner - first);
            let right = &mut right[..4 * depth * width];
            let part = b.slice(s![first..first + depth, column..column + width]);
            lay_out(alpha, &part, right);
            let shaped = "there are as many elements as the shape says";
            let right = ArrayView2::from_shape((2 * depth, 2 * width), &*right).expect(shaped);
            let mut sums = ArrayViewMut2::from_shape((rows, 2 * width), &mut *sums).expect(shaped);
            let left = left.slice(s![.., 2 * first..2 * (first + depth)]);
            let before = if first == 0 { R::zero() } else { R::one() };
            general_mat_mul(R::one(), &left, &right, before, &mut sums);
        }
        add(sums, beta, c.slice_mut(s![.., column..column + width]));
    }
}

/// c ← sums + β · c.
fn add<R>(sums: &[R], beta: Complex<R>, mut c: ArrayViewMut2<'_, Complex<R>>)
where
    R: LinalgScalar + PartialEq + Pod,
    Complex<R>: LinalgScalar + Pod,
{
    // One and zero are no factors: an infinity times one of them would be NaN.
    let (one, zero) = (Complex::new(R::one(), R::zero()), Complex::new(R::zero(), R::zero()));
    let sums: &[Complex<R>] = bytemuck::cast_slice(sums);
    let width = c.ncols();
    for (mut line, sums) in c.rows_mut().into_iter().zip(sums.chunks_exact(width)) {
        for (out, sum) in line.iter_mut().zip(sums) {
            *out = if beta == zero {
                *sum
            } else if beta == one {
                *out + *sum
            } else {
                beta * *out + *sum
            };
        }
    }
}

/// Each number of α · b as two numbers of two rows.
fn lay_out<R>(alpha: Complex<R>, b: &ArrayView2<'_, Complex<R>>, right: &mut [R])
where
    R: LinalgScalar + Neg<Output = R> + PartialEq + Pod,
    Complex<R>: LinalgScalar + Pod,
{
    let plain = alpha == Complex::new(R::one(), R::zero());
    for (line, pair) in b.rows().into_iter().zip(right.chunks_exact_mut(4 * b.ncols())) {
        let (upper, lower) = pair.split_at_mut(2 * b.ncols());
        let upper = bytemuck::cast_slice_mut::<R, [R; 2]>(upper);
        let lower = bytemuck::cast_slice_mut::<R, [R; 2]>(lower);
        for ((upper, lower), x) in upper.iter_mut().zip(lower).zip(line) {
            let x = if plain { *x } else { alpha * *x };
            *upper = [x.re, x.im];
            *lower = [-x.im, x.re];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Numbers with few bits, so that every order of additions gives the same.
    fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<Complex<f64>> {
        Array2::from_shape_fn((rows, columns), |(row, column)| {
            let number =
                |salt: usize| ((row * 31 + column * 17 + seed * 7 + salt) % 13) as f64 - 6.0;
            Complex::new(number(0), number(5))
        })
    }

    #[test]
    fn products_are_sums_of_products() {
        let (alpha, beta) = (Complex::new(2.0, -1.0), Complex::new(0.5, 3.0));
        let (one, zero) = (Complex::new(1.0, 0.0), Complex::new(0.0, 0.0));
        for (n, k, m) in [(3, 300, 5), (1, 1, 1), (2, 0, 3), (40, 300, 261), (90, 513, 60)] {
            let (a, b, c) = (numbers(n, k, 1), numbers(k, m, 2), numbers(n, m, 3));
            for [alpha, beta] in [[one, zero], [alpha, beta], [-one, one]] {
                let expected = Array2::from_shape_fn((n, m), |(row, column)| {
                    let terms = (0..k).map(|at| a[[row, at]] * b[[at, column]]);
                    alpha * terms.sum::<Complex<f64>>() + beta * c[[row, column]]
                });
                let mut out = c.clone();
                product([alpha, beta], &a.view(), &b.view(), out.view_mut());
                assert_eq!(out, expected, "{n} {k} {m}");
                // The same from columns that are contiguous, into such columns.
                let (turned_a, turned_b) = (a.t().to_owned(), b.t().to_owned());
                let mut out = c.t().to_owned();
                product(
                    [alpha, beta],
                    &turned_a.t(),
                    &turned_b.t(),
                    out.view_mut().reversed_axes(),
                );
                assert_eq!(out.t(), expected, "{n} {k} {m}");
            }
        }
    }

    #[test]
    fn what_does_not_count_spoils_nothing() {
        let (one, zero) = (Complex::new(1.0, 0.0), Complex::new(0.0, 0.0));
        let (a, b) = (numbers(130, 130, 1), numbers(130, 130, 2));
        let mut out = Array2::from_elem((130, 130), Complex::new(f64::NAN, f64::INFINITY));
        product([one, zero], &a.view(), &b.view(), out.view_mut());
        assert_eq!(out, a.dot(&b));
        let mut out = Array2::from_elem((130, 130), Complex::new(f64::INFINITY, 1.0));
        product([one, one], &a.view(), &b.view(), out.view_mut());
        assert!(out.iter().all(|sum| sum.re == f64::INFINITY && sum.im.is_finite()));
    }
}
