//! Linear algebra on dense matrices.

mod matmul;

use super::table::{Entry, Inputs, entry, of_two};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] =
    &[entry("matmul", Inputs::Exactly(2), &[], |_| Ok(of_two(matmul::run)))];
