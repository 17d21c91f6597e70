//! The graph of C = A B in tiles: what a program does with the library's `GraphBuilder`.
//!
//! ```text
//!   a-i-0, b-0-j ─► c-i-j-0 ─┐
//!   a-i-1, b-1-j ────────────┴► c-i-j-1 ─┐
//!   a-i-2, b-2-j ────────────────────────┴► … ─► tile (i, j) of C.npy
//! ```

use rdask::{ArrayOutput, Graph, GraphBuilder, GraphError, Param, RunSpec, TaskHandle};

/// Two files of `rows` × `rows` f64, and how they are cut.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    /// A.npy.
    pub(crate) a: String,
    /// B.npy.
    pub(crate) b: String,
    /// Rows and columns of each; a multiple of `tile`.
    pub(crate) rows: u64,
    /// Rows and columns of a tile.
    pub(crate) tile: u64,
}

impl Product {
    /// The graph, whose one result is the array `C`.
    ///
    /// # Errors
    /// What the library finds wrong with the graph.
    pub(crate) fn graph(&self) -> Result<Graph, GraphError> {
        let mut graph = GraphBuilder::new();
        let tiles = self.rows / self.tile;
        let a = self.load(&mut graph, "a", &self.a);
        let b = self.load(&mut graph, "b", &self.b);
        let first = RunSpec::kernel::<&str>("gemm", []);
        let next = RunSpec::kernel("gemm", [("beta", 1.into())]);
        let mut grid = Vec::new();
        for i in 0..tiles {
            for j in 0..tiles {
                // The place of tile (row, column) in C order.
                let at = |row: u64, column: u64| (row * tiles + column) as usize;
                let inputs = [a[at(i, 0)], b[at(0, j)]];
                let mut sum = graph.add(&format!("c-{i}-{j}-0"), first.clone(), &inputs);
                for k in 1..tiles {
                    let inputs = [a[at(i, k)], b[at(k, j)], sum];
                    sum = graph.add(&format!("c-{i}-{j}-{k}"), next.clone(), &inputs);
                }
                grid.push(sum.task());
            }
        }
        // Nothing but the array is wanted.
        graph.outputs(&[]);
        let chunks = vec![self.tile; tiles as usize];
        graph.array(ArrayOutput {
            name: "C".to_owned(),
            shape: vec![self.rows; 2],
            dtype: "f64".to_owned(),
            chunks: vec![chunks.clone(), chunks],
            grid,
        });
        graph.meta(r#"{"made_by": "examples/tiled_matmul"}"#);
        graph.build()
    }

    /// A task for each tile of a file, in C order.
    fn load(&self, graph: &mut GraphBuilder, name: &str, path: &str) -> Vec<TaskHandle> {
        let range = |tile: u64| Param::from(vec![tile * self.tile, (tile + 1) * self.tile]);
        let tiles = self.rows / self.tile;
        let places = (0..tiles * tiles).map(|at| (at / tiles, at % tiles));
        places
            .map(|(i, j)| {
                let region = Param::List(vec![range(i), range(j)]);
                let spec = RunSpec::kernel("load_npy", [("path", path.into()), ("region", region)]);
                graph.add(&format!("{name}-{i}-{j}"), spec, &[])
            })
            .collect()
    }
}
