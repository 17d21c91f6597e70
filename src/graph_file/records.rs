//! Run specs, attributes and arrays as bytes: the only file of this package that names bincode.
//!
//! The encoding is bincode 2's standard one, little endian with integers of variable length. What
//! is read borrows its strings from the section and builds lists element by element, so that a
//! forged length runs into the end of the section instead of an allocation; nesting has a limit.
//! The types here belong to the file format: the core's may change without it.

use super::FileFault;
use super::command::{COMMAND, FileCommand};
use super::layout::{ALIGNMENT, Section};
use rdask_core::graph::{ArrayOutput, Attributes, MAX_PARAM_DEPTH, Param, Params, RunSpec};
use rdask_core::ids::TaskId;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Strings longer than this stand in BLOBS, bytes.
const MAX_INLINE_BYTES: usize = 4096;
const ENCODING: bincode::config::Configuration = bincode::config::standard();

/// Appends one record.
fn encode(record: impl Serialize, bytes: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(record, bytes, ENCODING)
        .expect("lengths are known and a vector takes every byte");
}

/// The run spec as it is written.
#[derive(Serialize)]
enum FileSpec<'a> {
    Kernel { name: &'a str, params: Vec<(&'a str, FileParam<'a>)> },
    Plugin { path: &'a str, symbol: &'a str, params: Vec<(&'a str, FileParam<'a>)> },
}

/// A parameter as it is written; the numbers of the variants are those of the file.
#[derive(Serialize)]
enum FileParam<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Str(&'a str),
    List(Vec<Self>),
    Map(Vec<(&'a str, Self)>),
    /// A long string: offset and length in BLOBS.
    Blob(u64, u64),
}

/// SPECS and BLOBS, being written.
#[derive(Default)]
pub(super) struct SpecWriter {
    pub(super) specs: Vec<u8>,
    pub(super) blobs: Vec<u8>,
    pub(super) blob_count: u64,
}

impl SpecWriter {
    pub(super) fn push(&mut self, spec: &RunSpec) {
        let spec = match spec {
            RunSpec::Kernel { name, params } => {
                FileSpec::Kernel { name, params: self.fields(params) }
            }
            RunSpec::Plugin { path, symbol, params } => {
                FileSpec::Plugin { path, symbol, params: self.fields(params) }
            }
            // A choice is its number followed by what belongs to it.
            RunSpec::Command(command) => {
                return encode((COMMAND, FileCommand::of(command)), &mut self.specs);
            }
        };
        encode(spec, &mut self.specs);
    }

    fn fields<'a>(&mut self, fields: &'a Params) -> Vec<(&'a str, FileParam<'a>)> {
        fields.iter().map(|(name, value)| (name.as_str(), self.param(value))).collect()
    }

    fn param<'a>(&mut self, param: &'a Param) -> FileParam<'a> {
        match param {
            Param::Null => FileParam::Null,
            Param::Bool(value) => FileParam::Bool(*value),
            Param::Int(value) => FileParam::Int(*value),
            Param::UInt(value) => FileParam::UInt(*value),
            Param::Float(value) => FileParam::Float(*value),
            Param::Str(text) if text.len() > MAX_INLINE_BYTES => self.blob(text),
            Param::Str(text) => FileParam::Str(text),
            Param::List(items) => {
                FileParam::List(items.iter().map(|item| self.param(item)).collect())
            }
            Param::Map(fields) => FileParam::Map(self.fields(fields)),
        }
    }

    fn blob(&mut self, text: &str) -> FileParam<'static> {
        let offset = (self.blobs.len() as u64).next_multiple_of(ALIGNMENT);
        self.blobs.resize(self.blobs.len().next_multiple_of(ALIGNMENT as usize), 0);
        self.blobs.extend(text.as_bytes());
        self.blob_count += 1;
        FileParam::Blob(offset, text.len() as u64)
    }
}

/// Reads SPECS; `blobs` is the section BLOBS when there is one.
pub(super) fn read_specs(
    section: &Section<'_>,
    blobs: Option<Section<'_>>,
) -> Result<Vec<RunSpec>, FileFault> {
    let mut blob_reader = BlobReader { bytes: blobs.map_or(&[], |b| b.bytes), end: 0, count: 0 };
    let mut specs = Vec::new();
    let mut rest = section.bytes;
    for number in 0..section.count {
        let seed = SpecSeed { blobs: &mut blob_reader };
        let (spec, read) = bincode::serde::seed_decode_from_slice(seed, rest, ENCODING)
            .map_err(|error| section.fault(format!("run spec {number}: {}", words(&error))))?;
        specs.push(spec);
        rest = &rest[read..];
    }
    check_end(section, rest)?;
    if let Some(section) = blobs
        && (blob_reader.end != section.bytes.len() || blob_reader.count != section.count)
    {
        let BlobReader { end, count, .. } = blob_reader;
        let problem = format!("the run specs name {count} blobs that end at byte {end}");
        return Err(section.fault(problem));
    }
    Ok(specs)
}

fn check_end(section: &Section<'_>, rest: &[u8]) -> Result<(), FileFault> {
    if rest.is_empty() {
        return Ok(());
    }
    let problem = format!("{} bytes follow its {} records", rest.len(), section.count);
    Err(section.fault(problem))
}

/// bincode's errors in our words.
fn words(error: &bincode::error::DecodeError) -> String {
    use bincode::error::DecodeError;
    match error {
        DecodeError::UnexpectedEnd { .. } => "it reaches over the end".to_owned(),
        DecodeError::Utf8 { .. } => "a string is not UTF-8".to_owned(),
        DecodeError::OtherString(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Long strings, in the order of the specs that name them.
struct BlobReader<'a> {
    bytes: &'a [u8],
    end: usize,
    count: u64,
}

impl BlobReader<'_> {
    /// The next blob. Each is named once, so that a file cannot be blown up by naming one often.
    fn take(&mut self, offset: u64, length: u64) -> Result<String, &'static str> {
        let begin = self.end.next_multiple_of(ALIGNMENT as usize);
        if offset != begin as u64 {
            return Err("a blob does not begin where the one before it ends");
        }
        let end = usize::try_from(length).ok().and_then(|length| begin.checked_add(length));
        let end = end.ok_or("a blob is too long")?;
        let blob = self.bytes.get(begin..end).ok_or("a blob reaches over the end of BLOBS")?;
        if self.bytes[self.end..begin].iter().any(|byte| *byte != 0) {
            return Err("the gap before a blob is not zero");
        }
        self.end = end;
        self.count += 1;
        std::str::from_utf8(blob).map(str::to_owned).map_err(|_| "a blob is not UTF-8")
    }
}

struct SpecSeed<'a, 'b> {
    blobs: &'a mut BlobReader<'b>,
}

impl<'de> DeserializeSeed<'de> for SpecSeed<'_, '_> {
    type Value = RunSpec;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<RunSpec, D::Error> {
        decoder.deserialize_enum("RunSpec", &["Kernel", "Plugin"], self)
    }
}

impl<'de> Visitor<'de> for SpecSeed<'_, '_> {
    type Value = RunSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a run spec")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<RunSpec, A::Error> {
        let (kind, content) = access.variant::<u32>()?;
        let blobs = self.blobs;
        match kind {
            0 => content.struct_variant(&["name", "params"], KernelVisitor { blobs }),
            1 => content.struct_variant(&["path", "symbol", "params"], PluginVisitor { blobs }),
            COMMAND => {
                let command: FileCommand<'_> = content.newtype_variant()?;
                Ok(RunSpec::command(command.into_spec()))
            }
            _ => Err(de::Error::custom(format!("run specs of kind {kind} are not known"))),
        }
    }
}

struct KernelVisitor<'a, 'b> {
    blobs: &'a mut BlobReader<'b>,
}

impl<'de> Visitor<'de> for KernelVisitor<'_, '_> {
    type Value = RunSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kernel")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<RunSpec, A::Error> {
        let missing = || de::Error::custom("a kernel has a name and parameters");
        let name: &str = fields.next_element()?.ok_or_else(missing)?;
        let seed = FieldsSeed { blobs: self.blobs, depth: MAX_PARAM_DEPTH };
        let params = fields.next_element_seed(seed)?.ok_or_else(missing)?;
        Ok(RunSpec::Kernel { name: name.to_owned(), params })
    }
}

struct PluginVisitor<'a, 'b> {
    blobs: &'a mut BlobReader<'b>,
}

impl<'de> Visitor<'de> for PluginVisitor<'_, '_> {
    type Value = RunSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plugin")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<RunSpec, A::Error> {
        let missing = || de::Error::custom("a plugin has a path, a symbol and parameters");
        let path: &str = fields.next_element()?.ok_or_else(missing)?;
        let symbol: &str = fields.next_element()?.ok_or_else(missing)?;
        let seed = FieldsSeed { blobs: self.blobs, depth: MAX_PARAM_DEPTH };
        let params = fields.next_element_seed(seed)?.ok_or_else(missing)?;
        Ok(RunSpec::Plugin { path: path.to_owned(), symbol: symbol.to_owned(), params })
    }
}

/// A parameter inside which lists and maps may be nested `depth` deep.
struct ParamSeed<'a, 'b> {
    blobs: &'a mut BlobReader<'b>,
    depth: usize,
}

impl ParamSeed<'_, '_> {
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("a parameter is nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for ParamSeed<'_, '_> {
    type Value = Param;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Param, D::Error> {
        decoder.deserialize_enum("Param", &[], self)
    }
}

impl<'de> Visitor<'de> for ParamSeed<'_, '_> {
    type Value = Param;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a parameter")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Param, A::Error> {
        let (kind, content) = access.variant::<u32>()?;
        Ok(match kind {
            0 => {
                content.unit_variant()?;
                Param::Null
            }
            1 => Param::Bool(content.newtype_variant()?),
            2 => Param::Int(content.newtype_variant()?),
            3 => Param::UInt(content.newtype_variant()?),
            4 => Param::Float(content.newtype_variant()?),
            5 => Param::Str(content.newtype_variant::<&str>()?.to_owned()),
            6 => {
                let depth = self.deeper()?;
                Param::List(content.newtype_variant_seed(ListSeed { blobs: self.blobs, depth })?)
            }
            7 => {
                let depth = self.deeper()?;
                Param::Map(content.newtype_variant_seed(FieldsSeed { blobs: self.blobs, depth })?)
            }
            8 => {
                let (offset, length) = content.newtype_variant::<(u64, u64)>()?;
                Param::Str(self.blobs.take(offset, length).map_err(de::Error::custom)?)
            }
            _ => return Err(de::Error::custom(format!("parameters of kind {kind} are not known"))),
        })
    }
}

struct ListSeed<'a, 'b> {
    blobs: &'a mut BlobReader<'b>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_> {
    type Value = Vec<Param>;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Vec<Param>, D::Error> {
        decoder.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_> {
    type Value = Vec<Param>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of parameters")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Param>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) =
            items.next_element_seed(ParamSeed { blobs: self.blobs, depth: self.depth })?
        {
            list.push(item);
        }
        Ok(list)
    }
}

/// Names with parameters: those of a kernel, or a map.
struct FieldsSeed<'a, 'b> {
    blobs: &'a mut BlobReader<'b>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_, '_> {
    type Value = Params;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Params, D::Error> {
        decoder.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_, '_> {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("named parameters")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Params, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) =
            items.next_element_seed(FieldSeed { blobs: self.blobs, depth: self.depth })?
        {
            fields.push(field);
        }
        Ok(fields)
    }
}

struct FieldSeed<'a, 'b> {
    blobs: &'a mut BlobReader<'b>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_, '_> {
    type Value = (String, Param);

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<(String, Param), D::Error> {
        decoder.deserialize_tuple(2, self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_, '_> {
    type Value = (String, Param);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name and a parameter")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(String, Param), A::Error> {
        let missing = || de::Error::custom("a parameter has a name and a value");
        let name: &str = pair.next_element()?.ok_or_else(missing)?;
        let seed = ParamSeed { blobs: self.blobs, depth: self.depth };
        let value = pair.next_element_seed(seed)?.ok_or_else(missing)?;
        Ok((name.to_owned(), value))
    }
}

/// Attributes of a task as they stand in ATTRS.
#[derive(Serialize, Deserialize)]
struct FileAttributes<'a> {
    task: u32,
    priority: Option<i32>,
    retries: Option<u32>,
    #[serde(borrow)]
    resources: Vec<(&'a str, u64)>,
    #[serde(borrow)]
    workers: Vec<&'a str>,
    #[serde(borrow)]
    hosts: Vec<&'a str>,
    allow_other_workers: bool,
    threads: Option<u32>,
    memory_bytes: Option<u64>,
    time_ns: Option<u64>,
    timeout_ns: Option<u64>,
}

/// ATTRS as bytes.
pub(super) fn write_attributes(attributes: &[(TaskId, Attributes)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (task, attributes) in attributes {
        let record = FileAttributes {
            task: task.0,
            priority: attributes.priority,
            retries: attributes.retries,
            resources: attributes.resources.iter().map(|(name, n)| (name.as_str(), *n)).collect(),
            workers: attributes.workers.iter().map(String::as_str).collect(),
            hosts: attributes.hosts.iter().map(String::as_str).collect(),
            allow_other_workers: attributes.allow_other_workers,
            threads: attributes.threads,
            memory_bytes: attributes.memory_bytes,
            time_ns: attributes.time_ns,
            timeout_ns: attributes.timeout_ns,
        };
        encode(record, &mut bytes);
    }
    bytes
}

/// Reads ATTRS.
pub(super) fn read_attributes(
    section: &Section<'_>,
) -> Result<Vec<(TaskId, Attributes)>, FileFault> {
    let mut attributes: Vec<(TaskId, Attributes)> = Vec::new();
    let mut rest = section.bytes;
    for number in 0..section.count {
        let record: FileAttributes<'_> = next_record(section, number, &mut rest)?;
        let task = TaskId(record.task);
        if attributes.last().is_some_and(|(last, _)| *last >= task) {
            let problem = format!("record {number}: task numbers do not increase");
            return Err(section.fault(problem));
        }
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let resources = record.resources.into_iter().map(|(name, n)| (name.to_owned(), n));
        attributes.push((
            task,
            Attributes {
                priority: record.priority,
                retries: record.retries,
                resources: resources.collect(),
                workers: owned(record.workers),
                hosts: owned(record.hosts),
                allow_other_workers: record.allow_other_workers,
                threads: record.threads,
                memory_bytes: record.memory_bytes,
                time_ns: record.time_ns,
                timeout_ns: record.timeout_ns,
            },
        ));
    }
    check_end(section, rest)?;
    Ok(attributes)
}

fn next_record<'a, R: Deserialize<'a>>(
    section: &Section<'a>,
    number: u64,
    rest: &mut &'a [u8],
) -> Result<R, FileFault> {
    let (record, read) = bincode::serde::borrow_decode_from_slice(rest, ENCODING)
        .map_err(|error| section.fault(format!("record {number}: {}", words(&error))))?;
    *rest = &rest[read..];
    Ok(record)
}

/// An array as it stands in ARRAYS.
#[derive(Serialize, Deserialize)]
struct FileArray<'a> {
    name: &'a str,
    shape: Vec<u64>,
    dtype: &'a str,
    chunks: Vec<Vec<u64>>,
    grid: Vec<u32>,
}

/// ARRAYS as bytes.
pub(super) fn write_arrays(arrays: &[ArrayOutput]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for array in arrays {
        let record = FileArray {
            name: &array.name,
            shape: array.shape.clone(),
            dtype: &array.dtype,
            chunks: array.chunks.clone(),
            grid: array.grid.iter().map(|task| task.0).collect(),
        };
        encode(record, &mut bytes);
    }
    bytes
}

/// Reads ARRAYS.
pub(super) fn read_arrays(section: &Section<'_>) -> Result<Vec<ArrayOutput>, FileFault> {
    let mut arrays = Vec::new();
    let mut rest = section.bytes;
    for number in 0..section.count {
        let record: FileArray<'_> = next_record(section, number, &mut rest)?;
        arrays.push(ArrayOutput {
            name: record.name.to_owned(),
            shape: record.shape,
            dtype: record.dtype.to_owned(),
            chunks: record.chunks,
            grid: record.grid.into_iter().map(TaskId).collect(),
        });
    }
    check_end(section, rest)?;
    Ok(arrays)
}
