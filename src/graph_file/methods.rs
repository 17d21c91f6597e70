//! Graph files as methods of a graph: `Graph::read`, `graph.write`.
//!
//! `Graph` itself lives in the core, which knows no files; this trait adds them.

use super::{read, read_from, write};
use crate::graph_load::LoadError;
use rdask_core::graph::Graph;
use std::io;
use std::path::Path;

/// Reading and writing `graph.bin`.
///
/// ```
/// use rdask::{Graph, GraphBuilder, GraphFile, Param, RunSpec};
///
/// let mut builder = GraphBuilder::new();
/// let ones = RunSpec::kernel(
///     "full",
///     [("shape", vec![4_i64].into()), ("dtype", "f64".into()), ("value", 1_i64.into())],
/// );
/// let x = builder.add("x", ones, &[]);
/// let y = builder.add("y", RunSpec::kernel("map", [("expr", Param::from("a + b"))]), &[x, x]);
/// builder.outputs(&[y]);
/// let graph = builder.build()?;
///
/// let mut file = Vec::new();
/// graph.write(&mut file)?;
/// assert_eq!(Graph::read_from(file.as_slice())?, graph);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait GraphFile: Sized {
    /// Reads and checks a `graph.bin`.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    fn read(path: impl AsRef<Path>) -> Result<Self, LoadError>;

    /// Reads and checks the bytes of a `graph.bin`.
    ///
    /// # Errors
    /// As `read`.
    fn read_from(reader: impl io::Read) -> Result<Self, LoadError>;

    /// Writes a `graph.bin`.
    ///
    /// # Errors
    /// The writer's.
    fn write(&self, out: impl io::Write) -> io::Result<()>;
}

impl GraphFile for Graph {
    fn read(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        read(path)
    }

    fn read_from(reader: impl io::Read) -> Result<Self, LoadError> {
        read_from(reader)
    }

    fn write(&self, out: impl io::Write) -> io::Result<()> {
        write(self, out)
    }
}
