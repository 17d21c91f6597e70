//! Reading graph.bin: one pass over the bytes, then the checks of `Graph`.
//!
//! The checksum is compared before any section is looked at, so that a damaged file is told from a
//! wrongly made one. Nothing is reserved for a length that the file only claims to have.

use super::layout::{HEADER_BYTES, Header, Kind, Section, Sections, u32s, u64s};
use super::{FileFault, records};
use crate::graph_json::compact_object;
use crate::graph_load::{Fault, LoadError};
use rdask_core::graph::{Csr, Graph, Keys, Outputs};
use rdask_core::ids::{SpecId, TaskId};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Reads and checks a graph file.
///
/// # Errors
/// Everything that is wrong with the file, or with the graph in it.
pub fn read(path: impl AsRef<Path>) -> Result<Graph, LoadError> {
    let path = path.as_ref();
    let origin = path.display().to_string();
    let graph = File::open(path)
        .map_err(|error| vec![Fault::io(&error)])
        .and_then(|file| read_faults(file, &[]));
    graph.map_err(|faults| LoadError { origin, faults })
}

/// Reads and checks a graph from anything that gives bytes.
///
/// # Errors
/// Everything that is wrong with the bytes, or with the graph in them.
pub fn read_from(reader: impl Read) -> Result<Graph, LoadError> {
    read_faults(reader, &[]).map_err(|faults| LoadError { origin: String::new(), faults })
}

/// As `read_from`, after the first bytes were taken from the reader already.
pub(crate) fn read_faults(reader: impl Read, first: &[u8]) -> Result<Graph, Vec<Fault>> {
    let mut reader = first.chain(reader);
    let mut head = Vec::with_capacity(HEADER_BYTES);
    let io = |error: std::io::Error| vec![Fault::io(&error)];
    reader.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut head).map_err(io)?;
    let header = Header::parse(&head).map_err(|fault| vec![fault.into()])?;
    let expected = header.length - HEADER_BYTES as u64;
    let mut body = Vec::new();
    // One byte more than promised, to see whether the file goes on.
    reader.take(expected + 1).read_to_end(&mut body).map_err(io)?;
    let graph = parse(&header, &body).map_err(|fault| vec![fault.into()])?;
    drop(body);
    graph.normalized().map_err(|faults| faults.into_iter().map(Fault::Graph).collect())
}

/// The graph in the bytes behind the header, before the checks of `Graph`.
fn parse(header: &Header, body: &[u8]) -> Result<Graph, FileFault> {
    let (found, expected) = (body.len() as u64 + HEADER_BYTES as u64, header.length);
    if found < expected {
        return Err(FileFault::Truncated { found, expected });
    }
    if found > expected {
        return Err(FileFault::Trailing { expected });
    }
    let computed = xxh3_64(body);
    if computed != header.checksum {
        return Err(FileFault::Checksum { expected: header.checksum, computed });
    }
    let sections = Sections::parse(header, body)?;
    let keys = read_keys(&sections.need(Kind::Keys)?)?;
    let tasks = keys.len();
    let spec_of = sections.need(Kind::SpecOf)?;
    let blobs = sections.find(Kind::Blobs);
    let outputs = match sections.find(Kind::Outputs) {
        Some(outputs) => Outputs::Tasks(outputs.numbers()?.map(TaskId).collect()),
        None => Outputs::Sinks,
    };
    let order = sections.find(Kind::Order).map(|order| order.numbers()).transpose()?;
    let attributes = sections.find(Kind::Attrs).map(|s| records::read_attributes(&s));
    let arrays = sections.find(Kind::Arrays).map(|s| records::read_arrays(&s));
    let meta = sections.find(Kind::Meta).map(|s| read_meta(&s));
    Ok(Graph {
        specs: records::read_specs(&sections.need(Kind::Specs)?, blobs)?,
        spec_of: read_spec_of(&spec_of, tasks)?,
        inputs: read_edges(&sections.need(Kind::Edges)?, tasks)?,
        keys,
        attributes: attributes.transpose()?.unwrap_or_default(),
        outputs,
        arrays: arrays.transpose()?.unwrap_or_default(),
        order: order.map(Iterator::collect),
        meta: meta.transpose()?.unwrap_or_else(|| "{}".to_owned()),
    })
}

/// `count + 1` offsets of 8 bytes, and what follows them.
fn split_offsets<'a>(section: &Section<'a>, count: u64) -> Result<(&'a [u8], &'a [u8]), FileFault> {
    let wanted = count.checked_add(1).and_then(|count| count.checked_mul(8));
    wanted
        .and_then(|wanted| usize::try_from(wanted).ok())
        .and_then(|wanted| section.bytes.split_at_checked(wanted))
        .ok_or_else(|| {
            let problem = format!("offsets of {count} tasks in {} bytes", section.bytes.len());
            section.fault(problem)
        })
}

fn read_keys(section: &Section<'_>) -> Result<Keys, FileFault> {
    let (offsets, text) = split_offsets(section, section.count)?;
    let text = std::str::from_utf8(text).map_err(|error| {
        section.fault(format!("the keys are not UTF-8 at byte {}", error.valid_up_to()))
    })?;
    Ok(Keys { offsets: u64s(offsets).collect(), text: text.to_owned() })
}

fn read_spec_of(section: &Section<'_>, tasks: usize) -> Result<Vec<SpecId>, FileFault> {
    let numbers = section.numbers()?;
    if numbers.len() != tasks {
        return Err(section.fault(format!("{} run specs for {tasks} tasks", numbers.len())));
    }
    Ok(numbers.map(SpecId).collect())
}

fn read_edges(section: &Section<'_>, tasks: usize) -> Result<Csr, FileFault> {
    let (offsets, values) = split_offsets(section, tasks as u64)?;
    if Some(values.len() as u64) != section.count.checked_mul(4) {
        let problem = format!("{} edges in {} bytes", section.count, values.len());
        return Err(section.fault(problem));
    }
    Ok(Csr { offsets: u64s(offsets).collect(), values: u32s(values).map(TaskId).collect() })
}

fn read_meta(section: &Section<'_>) -> Result<String, FileFault> {
    if section.count != 1 {
        return Err(section.fault(format!("{} objects, one is right", section.count)));
    }
    let text = std::str::from_utf8(section.bytes).map_err(|_| section.fault("it is not UTF-8"))?;
    compact_object(text).map_err(|problem| section.fault(problem))
}
