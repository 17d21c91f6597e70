//! Writes the graph of a product of two matrices in tiles; README.md says how to run it.

mod graph;

use clap::Parser;
use graph::Product;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Writes the graph of C = A B in tiles.
#[derive(Debug, Parser)]
struct Arguments {
    /// The file of A, f64
    a: String,
    /// The file of B, f64
    b: String,
    /// Rows and columns of both
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..1 << 24))]
    rows: u64,
    /// Rows and columns of a tile
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..1 << 17))]
    tile: u64,
    /// Where graph.bin goes
    #[arg(short, long)]
    output: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Arguments { a, b, rows, tile, output } = Arguments::parse();
    anyhow::ensure!(rows.is_multiple_of(tile), "--rows must be a multiple of --tile");
    let graph = Product { a, b, rows, tile }.graph()?;
    let mut out = BufWriter::new(File::create(output)?);
    rdask::graph_file::write(&graph, &mut out)?;
    out.flush()?;
    Ok(())
}
