//! Linear algebra on dense matrices.
//!
//! Factorisations and solves are blocked, so that nearly all of their work is products of matrices;
//! `product` computes those, on a grid that does not depend on the number of threads.

mod cholesky;
mod complex;
mod contract;
mod diagonal;
mod field;
mod gemm;
mod matmul;
mod norm;
mod product;
mod qr;
mod triangular;

use super::numeric::numeric;
use super::table::{Entry, Inputs, entry, of_many, of_one, of_two, without_inputs};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("matmul", Inputs::Exactly(2), &[], |_| Ok(numeric("matmul", of_two(matmul::run)))),
    entry("gemm", Inputs::AtLeast(2), &["alpha", "beta", "trans_a", "trans_b"], |reader| {
        let gemm = gemm::Gemm::parse(reader)?;
        Ok(numeric("gemm", of_many(move |context, inputs| gemm.run(context, inputs))))
    }),
    entry("syrk", Inputs::AtLeast(1), &["alpha", "beta"], |reader| {
        let syrk = gemm::Syrk::parse(reader)?;
        Ok(numeric("syrk", of_many(move |context, inputs| syrk.run(context, inputs))))
    }),
    entry("cholesky", Inputs::Exactly(1), &[], |_| Ok(numeric("cholesky", of_one(cholesky::run)))),
    entry("trsm", Inputs::Exactly(2), &["side", "lower", "trans"], |reader| {
        let trsm = triangular::Trsm::parse(reader)?;
        Ok(numeric("trsm", of_two(move |context, a, b| trsm.run(context, a, b))))
    }),
    entry("qr", Inputs::Exactly(1), &["part"], |reader| {
        let qr = qr::Qr::parse(reader)?;
        Ok(numeric("qr", of_one(move |context, input| qr.run(context, input))))
    }),
    entry("norm", Inputs::Exactly(1), &["ord"], |reader| {
        let norm = norm::Norm::parse(reader)?;
        Ok(numeric("norm", of_one(move |context, input| norm.run(context, input))))
    }),
    entry("dot", Inputs::Exactly(2), &[], |_| Ok(numeric("dot", of_two(contract::dot)))),
    entry("tensordot", Inputs::Exactly(2), &["axes"], |reader| {
        let tensordot = contract::TensorDot::parse(reader)?;
        Ok(numeric("tensordot", of_two(move |context, a, b| tensordot.run(context, a, b))))
    }),
    entry("trace", Inputs::Exactly(1), &[], |_| Ok(numeric("trace", of_one(diagonal::trace)))),
    entry("diag", Inputs::Exactly(1), &[], |_| Ok(of_one(diagonal::diag))),
    entry("eye", Inputs::Exactly(0), &["n", "dtype"], |reader| {
        let eye = diagonal::Eye::parse(reader)?;
        Ok(without_inputs(move |context| eye.run(context)))
    }),
];
