//! Writing results: files that appear whole or not at all, and what lists them.

pub mod whole;
