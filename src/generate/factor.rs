//! Products and factors of square matrices in tiles: cholesky, qr, matmul.
//!
//! Every task is a real kernel on tiles of block × block f64. The matrices are random with n added
//! to the diagonal where that makes them well conditioned; tile (i, j) of t × t has the seed
//! `seed + i t + j`, so that numpy can make the same matrix again.

use super::GenerateError;
use super::plan::Plan;
use super::tiles::{Grid, Square, full, kernel, map, part};
use super::weaver::Weaver;
use crate::{Param, RunSpec, TaskHandle};

/// `gemm` with these parameters.
fn gemm(alpha: i64, beta: i64, trans: Option<&str>) -> RunSpec {
    let mut params: Vec<(&str, Param)> = vec![("alpha", alpha.into()), ("beta", beta.into())];
    params.extend(trans.map(|which| (which, true.into())));
    RunSpec::kernel("gemm", params)
}

/// A = L Lᵀ, right-looking. A is symmetric: below the diagonal random, on it a random tile averaged
/// with its transpose, plus n.
pub(super) fn cholesky(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let square = Square::new(plan)?;
    let wide = square.wide();
    weaver.expect(wide.pow(3) / 6 + 3 * wide.pow(2), wide.pow(3) / 2 + 3 * wide.pow(2))?;
    let mut a = positive_definite(plan, weaver, square);
    let factor = kernel("cholesky");
    let side: [(&str, Param); 3] =
        [("side", "right".into()), ("lower", true.into()), ("trans", true.into())];
    let solve = RunSpec::kernel("trsm", side);
    let update_diagonal = RunSpec::kernel("syrk", [("alpha", (-1).into()), ("beta", 1.into())]);
    let update = gemm(-1, 1, Some("trans_b"));
    for k in 0..square.tiles {
        let l_kk = weaver.add(format_args!("cholesky-{k}"), &factor, &[a.at(k, k)]);
        a.set(k, k, l_kk);
        for i in k + 1..square.tiles {
            let inputs = [l_kk, a.at(i, k)];
            a.set(i, k, weaver.add(format_args!("trsm-{k}-{i}"), &solve, &inputs));
        }
        for i in k + 1..square.tiles {
            let inputs = [a.at(i, k), a.at(i, i)];
            a.set(i, i, weaver.add(format_args!("syrk-{k}-{i}"), &update_diagonal, &inputs));
            for j in k + 1..i {
                let inputs = [a.at(i, k), a.at(j, k), a.at(i, j)];
                a.set(i, j, weaver.add(format_args!("gemm-{k}-{i}-{j}"), &update, &inputs));
            }
        }
    }
    square.result(weaver, "L", &a);
    Ok(())
}

/// The lower tiles of a positive definite matrix, zeros above.
fn positive_definite(plan: &Plan, weaver: &mut Weaver, square: Square) -> Grid {
    let tile = [square.block, square.block];
    let eye = weaver.add(format_args!("eye"), &eye(square.block), &[]);
    let symmetric = map(&format!("(a + b) / 2 + {} * c", square.n));
    let transpose = kernel("transpose");
    square.each(|i, j| {
        if i < j {
            return weaver.add(format_args!("zero-{i}-{j}"), &full(tile, 0.0), &[]);
        }
        let number = (i * square.tiles + j) as u64;
        let spec = super::tiles::random(plan, number, tile);
        let random = weaver.add(format_args!("random-{i}-{j}"), &spec, &[]);
        if i > j {
            return random;
        }
        let turned = weaver.add(format_args!("transpose-{i}"), &transpose, &[random]);
        weaver.add(format_args!("diagonal-{i}"), &symmetric, &[random, turned, eye])
    })
}

fn eye(n: u64) -> RunSpec {
    RunSpec::kernel("eye", [("n", n.into()), ("dtype", "f64".into())])
}

/// A = Q R by panels: a flat tree of `qr` makes the panel orthogonal, `gemm` takes its part out of
/// the panels to its right. A is random plus n on the diagonal; R's diagonal is not negative.
pub(super) fn qr(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let square = Square::new(plan)?;
    let (wide, tiles) = (square.wide(), square.tiles);
    weaver.expect(wide.pow(3) + 6 * wide.pow(2), 3 * wide.pow(3) + 6 * wide.pow(2))?;
    let mut a = square.random(plan, weaver, "random", 0);
    let eye = weaver.add(format_args!("eye"), &eye(square.block), &[]);
    let add_diagonal = map(&format!("a + {} * b", square.n));
    for i in 0..tiles {
        let key = format_args!("diagonal-{i}");
        a.set(i, i, weaver.add(key, &add_diagonal, &[a.at(i, i), eye]));
    }
    let zeros = full([square.block, square.block], 0.0);
    let mut r = a.clone();
    let [project, add_projection, subtract] =
        [gemm(1, 0, Some("trans_a")), gemm(1, 1, Some("trans_a")), gemm(-1, 1, None)];
    for k in 0..tiles {
        let r_kk = panel(weaver, square, &mut a, k);
        r.set(k, k, r_kk);
        for j in 0..k {
            r.set(k, j, weaver.add(format_args!("zero-{k}-{j}"), &zeros, &[]));
        }
        for j in k + 1..tiles {
            let key = format_args!("project-{k}-{j}-0");
            let mut r_kj = weaver.add(key, &project, &[a.at(0, k), a.at(0, j)]);
            for i in 1..tiles {
                let key = format_args!("project-{k}-{j}-{i}");
                r_kj = weaver.add(key, &add_projection, &[a.at(i, k), a.at(i, j), r_kj]);
            }
            r.set(k, j, r_kj);
            for i in 0..tiles {
                let inputs = [a.at(i, k), r_kj, a.at(i, j)];
                a.set(i, j, weaver.add(format_args!("subtract-{k}-{i}-{j}"), &subtract, &inputs));
            }
        }
    }
    square.result(weaver, "Q", &a);
    square.result(weaver, "R", &r);
    Ok(())
}

/// Replaces column k of tiles by its orthogonal factor; the triangular one is returned.
///
/// Each tile is factored, the factors R of all of them are stacked and factored again, and each
/// tile's Q is multiplied with its part of the second Q.
fn panel(weaver: &mut Weaver, square: Square, a: &mut Grid, k: usize) -> TaskHandle {
    let of = |part: &str| RunSpec::kernel("qr", [("part", part.into())]);
    let (q, r, multiply) = (of("q"), of("r"), gemm(1, 0, None));
    let mut factors = Vec::with_capacity(square.tiles);
    for i in 0..square.tiles {
        let tile = a.at(i, k);
        a.set(i, k, weaver.add(format_args!("qr-q-{k}-{i}"), &q, &[tile]));
        factors.push(weaver.add(format_args!("qr-r-{k}-{i}"), &r, &[tile]));
    }
    let join = RunSpec::kernel("concatenate", [("axis", 0.into())]);
    let stacked = weaver.add(format_args!("stack-{k}"), &join, &factors);
    let second = weaver.add(format_args!("tall-q-{k}"), &q, &[stacked]);
    for i in 0..square.tiles {
        let first = i as u64 * square.block;
        let rows = part([first, first + square.block], [0, square.block]);
        let piece = weaver.add(format_args!("piece-{k}-{i}"), &rows, &[second]);
        let inputs = [a.at(i, k), piece];
        a.set(i, k, weaver.add(format_args!("panel-{k}-{i}"), &multiply, &inputs));
    }
    weaver.add(format_args!("tall-r-{k}"), &r, &[stacked])
}

/// C = A B: for each tile of C a chain of products. B's tiles have the seeds behind A's.
pub(super) fn matmul(plan: &Plan, weaver: &mut Weaver) -> Result<(), GenerateError> {
    let square = Square::new(plan)?;
    let (wide, tiles) = (square.wide(), square.tiles);
    weaver.expect(wide.pow(3) + 2 * wide.pow(2), 3 * wide.pow(3))?;
    let a = square.random(plan, weaver, "a", 0);
    let b = square.random(plan, weaver, "b", tiles * tiles);
    let (first, next) = (gemm(1, 0, None), gemm(1, 1, None));
    let c = square.each(|i, j| {
        let mut sum = weaver.add(format_args!("gemm-{i}-{j}-0"), &first, &[a.at(i, 0), b.at(0, j)]);
        for k in 1..tiles {
            let inputs = [a.at(i, k), b.at(k, j), sum];
            sum = weaver.add(format_args!("gemm-{i}-{j}-{k}"), &next, &inputs);
        }
        sum
    });
    square.result(weaver, "C", &c);
    Ok(())
}
