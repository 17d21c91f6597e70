//! A graph as Graphviz text: boxes with key and kernel, arrows the way that data flows.

use crate::graph_info::sinks;
use rdask_core::graph::{Graph, Outputs};
use rdask_core::ids::TaskId;
use std::io::{self, BufWriter, Write};

/// Longest part of a key that a box shows, characters.
const SHOWN_CHARS: usize = 60;

/// Writes a checked graph for `dot`. Outputs and chunks of arrays have a thick frame.
///
/// ```
/// use rdask::{GraphBuilder, RunSpec, graph_dot};
///
/// let mut graph = GraphBuilder::new();
/// let x = graph.add("x", RunSpec::kernel::<&str>("rank", []), &[]);
/// graph.add("s", RunSpec::kernel::<&str>("sum", []), &[x]);
/// let mut text = Vec::new();
/// graph_dot::dot(&graph.build()?, &mut text)?;
/// assert_eq!(String::from_utf8(text)?, r#"digraph tasks {
///   rankdir = BT;
///   node [shape = box];
///   t0 [label = "x\nrank"];
///   t1 [label = "s\nsum", penwidth = 3];
///   t0 -> t1;
/// }
/// "#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What the writer says.
pub fn dot(graph: &Graph, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    let mut wanted = vec![false; graph.len()];
    let chunks = graph.arrays.iter().flat_map(|array| array.grid.iter().copied());
    let outputs: Vec<TaskId> = match &graph.outputs {
        Outputs::Tasks(outputs) => outputs.clone(),
        Outputs::Sinks => sinks(graph).collect(),
    };
    for task in outputs.into_iter().chain(chunks) {
        wanted[task.index()] = true;
    }
    out.write_all(b"digraph tasks {\n  rankdir = BT;\n  node [shape = box];\n")?;
    for task in (0..graph.len()).map(TaskId::from_index) {
        let (key, kernel) = (escaped(graph.key(task)), escaped(graph.spec(task).name()));
        let frame = if wanted[task.index()] { ", penwidth = 3" } else { "" };
        writeln!(out, "  t{} [label = \"{key}\\n{kernel}\"{frame}];", task.0)?;
    }
    for task in (0..graph.len()).map(TaskId::from_index) {
        for input in graph.inputs.row(task) {
            writeln!(out, "  t{} -> t{};", input.0, task.0)?;
        }
    }
    out.write_all(b"}\n")?;
    out.flush()
}

/// A name inside of quotes, cut, with nothing that could end them.
fn escaped(name: &str) -> String {
    let mut shown = String::new();
    let mut chars = name.chars();
    for c in chars.by_ref().take(SHOWN_CHARS) {
        match c {
            '"' | '\\' => shown.extend(['\\', c]),
            c if c.is_control() => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphBuilder, RunSpec};

    #[test]
    fn keys_cannot_break_the_text() {
        let mut graph = GraphBuilder::new();
        graph.add("('x\"\\', 0)\n", RunSpec::kernel::<&str>("rank", []), &[]);
        graph.add(&"long".repeat(20), RunSpec::kernel::<&str>("rank", []), &[]);
        graph.outputs(&[]);
        let mut text = Vec::new();
        dot(&graph.build().unwrap(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(r#"t0 [label = "('x\"\\', 0)�\nrank"];"#), "{text}");
        assert!(text.contains(&format!("\"{}…\\nrank\"", "long".repeat(15))), "{text}");
    }
}
