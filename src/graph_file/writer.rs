//! Writing graph.bin.
//!
//! The same graph always gives the same bytes: sections stand in the order of their numbers, and
//! those that would say nothing are left out.

use super::layout::{self, Header, Kind, NewSection};
use super::records;
use crate::graph_json::compact_object;
use rdask_core::graph::{Graph, Outputs};
use std::io::{self, Write};
use xxhash_rust::xxh3::Xxh3;

/// Writes a checked graph. Small writes are put together here: a file needs no buffer around it.
///
/// ```
/// use rdask::{GraphBuilder, RunSpec, graph_file};
///
/// let mut graph = GraphBuilder::new();
/// graph.add("r", RunSpec::kernel::<&str>("rank", []), &[]);
/// let graph = graph.build()?;
///
/// let mut file = Vec::new();
/// graph_file::write(&graph, &mut file)?;
/// assert_eq!(&file[..8], b"RDASKGR\0");
/// assert_eq!(graph_file::read_from(file.as_slice())?, graph);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What the writer says; `InvalidInput` when `meta` is no JSON object.
pub fn write(graph: &Graph, mut out: impl Write) -> io::Result<()> {
    let sections = sections(graph)?;
    let (table, length) = layout::table(&sections);
    let mut checksum = Xxh3::new();
    pieces(&table, &sections, |piece| {
        checksum.update(piece);
        Ok(())
    })?;
    let count = u32::try_from(sections.len()).expect("there are ten kinds of sections");
    let header = Header { sections: count, length, checksum: checksum.digest() };
    out.write_all(&header.to_bytes())?;
    pieces(&table, &sections, |piece| out.write_all(piece))?;
    out.flush()
}

/// Length that a graph has as a file, bytes.
pub(crate) fn file_bytes(graph: &Graph) -> u64 {
    sections(graph).map_or(0, |sections| layout::table(&sections).1)
}

/// A hash of what a graph computes and writes: keys, specs, edges, outputs and arrays, but not of
/// attributes, order and meta. Two graphs with one hash have the same results.
#[must_use]
pub fn content_hash(graph: &Graph) -> u64 {
    let mut hash = Xxh3::new();
    for section in content_sections(graph) {
        let hashed = match section.kind {
            Kind::Attrs | Kind::Order | Kind::Meta => false,
            Kind::Keys
            | Kind::Specs
            | Kind::SpecOf
            | Kind::Edges
            | Kind::Outputs
            | Kind::Arrays
            | Kind::Blobs => true,
        };
        if hashed {
            hash.update(&(section.kind as u32).to_le_bytes());
            hash.update(&(section.bytes.len() as u64).to_le_bytes());
            hash.update(&section.bytes);
        }
    }
    hash.digest()
}

/// Hands out everything behind the header, in order.
fn pieces(
    table: &[u8],
    sections: &[NewSection],
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    const ZEROS: [u8; layout::ALIGNMENT as usize] = [0; layout::ALIGNMENT as usize];
    take(table)?;
    // The header has the size of one alignment, so positions behind it are aligned alike.
    let mut end = table.len();
    for section in sections {
        take(&ZEROS[..end.next_multiple_of(ZEROS.len()) - end])?;
        take(&section.bytes)?;
        end = end.next_multiple_of(ZEROS.len()) + section.bytes.len();
    }
    Ok(())
}

fn sections(graph: &Graph) -> io::Result<Vec<NewSection>> {
    let meta = compact_object(&graph.meta).map_err(|problem| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("meta: {problem}"))
    })?;
    let mut sections = content_sections(graph);
    if meta != "{}" {
        sections.push(NewSection { kind: Kind::Meta, count: 1, bytes: meta.into_bytes() });
    }
    Ok(sections)
}

/// All sections but META.
fn content_sections(graph: &Graph) -> Vec<NewSection> {
    let mut sections = Vec::new();
    let mut push = |kind, count: usize, bytes| {
        sections.push(NewSection { kind, count: count as u64, bytes });
    };
    let mut keys = Vec::with_capacity(graph.keys.offsets.len() * 8 + graph.keys.text.len());
    keys.extend(graph.keys.offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    keys.extend(graph.keys.text.as_bytes());
    push(Kind::Keys, graph.keys.len(), keys);

    let mut specs = records::SpecWriter::default();
    for spec in &graph.specs {
        specs.push(spec);
    }
    push(Kind::Specs, graph.specs.len(), specs.specs);
    push(Kind::SpecOf, graph.len(), numbers(graph.spec_of.iter().map(|spec| spec.0)));

    let edges = &graph.inputs;
    let mut bytes = Vec::with_capacity(edges.offsets.len() * 8 + edges.values.len() * 4);
    bytes.extend(edges.offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    bytes.extend(edges.values.iter().flat_map(|task| task.0.to_le_bytes()));
    push(Kind::Edges, edges.values.len(), bytes);

    if !graph.attributes.is_empty() {
        let attributes = &graph.attributes;
        push(Kind::Attrs, attributes.len(), records::write_attributes(attributes));
    }
    if let Outputs::Tasks(outputs) = &graph.outputs {
        push(Kind::Outputs, outputs.len(), numbers(outputs.iter().map(|task| task.0)));
    }
    if !graph.arrays.is_empty() {
        push(Kind::Arrays, graph.arrays.len(), records::write_arrays(&graph.arrays));
    }
    if let Some(order) = &graph.order {
        push(Kind::Order, order.len(), numbers(order.iter().copied()));
    }
    if specs.blob_count > 0 {
        let count = usize::try_from(specs.blob_count).expect("each blob is in memory");
        push(Kind::Blobs, count, specs.blobs);
    }
    sections
}

fn numbers(numbers: impl Iterator<Item = u32>) -> Vec<u8> {
    numbers.flat_map(u32::to_le_bytes).collect()
}
