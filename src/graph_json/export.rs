//! Graph to JSON text, one task a line.

use super::command::CommandJson;
use super::compact_object;
use super::decimal::write_scaled;
use super::import::{RESOURCE_DIGITS, SECOND_DIGITS};
use super::params::{ObjectToJson, ToJson};
use rdask_core::graph::{ArrayOutput, Attributes, Graph, Outputs, RunSpec};
use rdask_core::ids::TaskId;
use serde::Serialize;
use std::io::{self, BufWriter, Write};

/// Writes a checked graph in the JSON form; reading it gives the same graph.
///
/// ```
/// use rdask::{GraphBuilder, RunSpec, graph_json};
///
/// let mut graph = GraphBuilder::new();
/// let x = graph.add("x", RunSpec::kernel("full", [("value", 1.5.into())]), &[]);
/// graph.add("y", RunSpec::kernel::<&str>("sum", []), &[x]);
/// let mut text = Vec::new();
/// graph_json::export(&graph.build()?, &mut text)?;
/// assert_eq!(String::from_utf8(text)?, r#"{"version": 1,
///  "tasks": [
///   {"key": "x", "run": {"kernel": "full", "value": 1.5}},
///   {"key": "y", "run": {"kernel": "sum"}, "deps": ["x"]}
///  ]}
/// "#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What the writer says; `InvalidInput` when `meta` is no JSON object.
pub fn export(graph: &Graph, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    write!(out, "{{\"version\": {},\n \"tasks\": [", super::JSON_VERSION)?;
    for task in (0..graph.len()).map(TaskId::from_index) {
        out.write_all(if task.0 == 0 { b"\n  " } else { b",\n  " })?;
        write_task(graph, task, &mut out)?;
    }
    out.write_all(b"\n ]")?;
    if let Outputs::Tasks(outputs) = &graph.outputs {
        out.write_all(b",\n \"outputs\": ")?;
        json(&outputs.iter().map(|task| graph.key(*task)).collect::<Vec<_>>(), &mut out)?;
    }
    if !graph.arrays.is_empty() {
        out.write_all(b",\n \"arrays\": {")?;
        for (i, array) in graph.arrays.iter().enumerate() {
            out.write_all(if i == 0 { b"\n  " } else { b",\n  " })?;
            write_array(graph, array, &mut out)?;
        }
        out.write_all(b"}")?;
    }
    if let Some(order) = &graph.order {
        out.write_all(b",\n \"order\": ")?;
        json(order, &mut out)?;
    }
    let meta = compact_object(&graph.meta).map_err(|problem| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("meta: {problem}"))
    })?;
    if meta != "{}" {
        write!(out, ",\n \"meta\": {meta}")?;
    }
    out.write_all(b"}\n")?;
    out.flush()
}

/// A value as the lines of this file are spaced: `["a", "b"]`.
fn json(value: &(impl Serialize + ?Sized), out: &mut impl Write) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(out, Spaced);
    value.serialize(&mut serializer).map_err(io::Error::from)
}

/// One line, with a space behind each comma and colon.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}

fn write_task(graph: &Graph, task: TaskId, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{\"key\": ")?;
    json(graph.key(task), out)?;
    out.write_all(b", \"run\": ")?;
    write_run(graph.spec(task), out)?;
    let inputs = graph.inputs.row(task);
    if !inputs.is_empty() {
        field("deps", &inputs.iter().map(|input| graph.key(*input)).collect::<Vec<_>>(), out)?;
    }
    if let Some(attributes) = graph.attributes_of(task) {
        write_attributes(attributes, out)?;
    }
    out.write_all(b"}")
}

fn write_run(spec: &RunSpec, out: &mut impl Write) -> io::Result<()> {
    match spec {
        RunSpec::Kernel { name, params } => {
            out.write_all(b"{\"kernel\": ")?;
            json(name, out)?;
            for (name, value) in params {
                field(name, &ToJson(value), out)?;
            }
            out.write_all(b"}")
        }
        RunSpec::Plugin { path, symbol, params } => {
            out.write_all(b"{\"plugin\": ")?;
            json(path, out)?;
            field("symbol", symbol, out)?;
            field("params", &ObjectToJson(params), out)?;
            out.write_all(b"}")
        }
        RunSpec::Command(command) => json(&CommandJson(command), out),
    }
}

fn field(name: &str, value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b", ")?;
    json(name, out)?;
    out.write_all(b": ")?;
    json(value, out)
}

fn write_attributes(attributes: &Attributes, out: &mut impl Write) -> io::Result<()> {
    if let Some(priority) = attributes.priority {
        field("priority", &priority, out)?;
    }
    if let Some(retries) = attributes.retries {
        field("retries", &retries, out)?;
    }
    for (i, (name, amount)) in attributes.resources.iter().enumerate() {
        out.write_all(if i == 0 { b", \"resources\": {" } else { b", " })?;
        json(name, out)?;
        write!(out, ": {}", write_scaled(*amount, RESOURCE_DIGITS))?;
    }
    if !attributes.resources.is_empty() {
        out.write_all(b"}")?;
    }
    if !attributes.workers.is_empty() {
        field("workers", &attributes.workers, out)?;
    }
    if !attributes.hosts.is_empty() {
        field("hosts", &attributes.hosts, out)?;
    }
    if attributes.allow_other_workers {
        field("allow_other_workers", &true, out)?;
    }
    if let Some(threads) = attributes.threads {
        field("threads", &threads, out)?;
    }
    if let Some(memory) = attributes.memory_bytes {
        field("memory", &memory, out)?;
    }
    if let Some(time) = attributes.time_ns {
        write!(out, ", \"time\": {}", write_scaled(time, SECOND_DIGITS))?;
    }
    if let Some(timeout) = attributes.timeout_ns {
        write!(out, ", \"timeout\": {}", write_scaled(timeout, SECOND_DIGITS))?;
    }
    Ok(())
}

fn write_array(graph: &Graph, array: &ArrayOutput, out: &mut impl Write) -> io::Result<()> {
    json(&array.name, out)?;
    out.write_all(b": {\"shape\": ")?;
    json(&array.shape, out)?;
    field("dtype", &array.dtype, out)?;
    field("chunks", &array.chunks, out)?;
    out.write_all(b", \"grid\": ")?;
    let counts: Vec<usize> = array.chunks.iter().map(Vec::len).collect();
    write_grid(graph, &array.grid, &counts, out)?;
    field("into", &"npy", out)?;
    out.write_all(b"}")
}

/// Keys in lists nested as deep as there are axes; `grid` holds the product of `counts`.
fn write_grid(
    graph: &Graph,
    grid: &[TaskId],
    counts: &[usize],
    out: &mut impl Write,
) -> io::Result<()> {
    let Some((count, inner)) = counts.split_first() else {
        return grid.iter().try_for_each(|task| json(graph.key(*task), out));
    };
    out.write_all(b"[")?;
    let row = grid.len() / (*count).max(1);
    for i in 0..*count {
        if i > 0 {
            out.write_all(b", ")?;
        }
        write_grid(graph, &grid[i * row..(i + 1) * row], inner, out)?;
    }
    out.write_all(b"]")
}
