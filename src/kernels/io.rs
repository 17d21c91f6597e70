//! Kernels that read and write files: load_npy, store_npy.
//!
//! Reading uses `pread` on the runs that a region needs, into the result's own memory, so the rest
//! of a file is neither read nor mapped. Writing goes to a new file beside the target, renamed when
//! it is whole: readers see the old file or the new one, never a part, whatever kills the process.

use super::Context;
use super::array::{Output, View, bytes_object, count_of, nbytes_of, strides_of, text};
use super::fault::{Outcome, fault, file_error, type_error, value_error};
use super::npy::{self, NpyError, NpyHeader};
use super::params::{Read, Reader};
use super::strided::{Layout, Walk, gather};
use super::table::{Entry, Inputs, entry, of_one, without_inputs};
use rdask_core::graph::Param;
use rdask_core::messages::TaskError;
use rdask_store::{DType, Sealed};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[
    entry("load_npy", Inputs::Any, &["path", "region"], |reader| {
        let load = LoadNpy::parse(reader)?;
        Ok(without_inputs(move |context| load.run(context)))
    }),
    entry("store_npy", Inputs::Exactly(1), &["path"], |reader| {
        let store = StoreNpy::parse(reader)?;
        Ok(of_one(move |context, input| store.run(context, input)))
    }),
];

/// Holes up to this many bytes between two runs are read along: a page comes whole anyway.
const READ_ALONG_BYTES: usize = 4096;

/// Most bytes read at once where runs lie close together.
const WINDOW_BYTES: usize = 1 << 18;

/// `load_npy(path, region?)`: the array in a file, or the part that `[start, stop]` per axis names.
#[derive(Debug)]
pub(super) struct LoadNpy {
    path: String,
    region: Option<Vec<Option<(u64, u64)>>>,
}

impl LoadNpy {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let path = path_of(reader)?;
        let Some(ranges) = reader.list("region")? else { return Ok(Self { path, region: None }) };
        let region = ranges
            .iter()
            .map(|range| match range {
                Param::Null => Ok(None),
                Param::List(bounds) => match bounds.as_slice() {
                    [Param::Int(start), Param::Int(stop)] if 0 <= *start && start <= stop => {
                        Ok(Some((*start as u64, *stop as u64)))
                    }
                    _ => Err(reader.bad("region", "expected [start, stop] with 0 ≤ start ≤ stop")),
                },
                _ => Err(reader.bad("region", "expected [start, stop] or null for each axis")),
            })
            .collect::<Read<_>>()?;
        Ok(Self { path, region: Some(region) })
    }

    pub(super) fn run(&self, context: &Context<'_>) -> Outcome<Sealed> {
        let path = context.working_directory.join(&self.path);
        let file = File::open(&path).map_err(|error| file_error(&error, &path))?;
        let (header, offset) = read_header(&file, &path)?;
        let shape = header.shape.iter().map(|length| usize::try_from(*length));
        let shape: Vec<usize> =
            shape.collect::<Result<_, _>>().map_err(|_| value_error("array is too big"))?;
        let total = nbytes_of(header.dtype, &shape).ok_or_else(|| {
            value_error(format!("'{}': {} is too big", path.display(), text(&shape)))
        })?;
        check_length(&file, &path, offset + total as u64)?;
        let mut ranges = self.ranges(&shape, &path)?;
        let source =
            |shape| Source { file: &file, path: &path, offset, dtype: header.dtype, shape };
        let taken: Vec<usize> = ranges.iter().map(|(start, stop)| stop - start).collect();
        let mut output = Output::new(context, header.dtype, &taken)?;
        if header.fortran_order && shape.len() > 1 {
            // Reversed, the file is in C order; the region is read so and then transposed.
            let reversed: Vec<usize> = shape.iter().rev().copied().collect();
            ranges.reverse();
            let lengths: Vec<usize> = taken.iter().rev().copied().collect();
            let mut scratch = Output::new(context, header.dtype, &lengths)?;
            source(reversed).read(&ranges, scratch.bytes_mut())?;
            let strides = strides_of(&lengths).into_iter().rev().collect();
            let layout = Layout { shape: taken, strides, start: 0 };
            gather(scratch.bytes_mut(), header.dtype.size(), &layout, output.bytes_mut());
        } else {
            source(shape).read(&ranges, output.bytes_mut())?;
        }
        normalise(&header, output.bytes_mut());
        output.seal()
    }

    fn ranges(&self, shape: &[usize], path: &Path) -> Outcome<Vec<(usize, usize)>> {
        let Some(region) = &self.region else {
            return Ok(shape.iter().map(|length| (0, *length)).collect());
        };
        if region.len() != shape.len() {
            return Err(value_error(format!(
                "region has {} axes, '{}' has {}: {}",
                region.len(),
                path.display(),
                shape.len(),
                text(shape)
            )));
        }
        let mut ranges = Vec::with_capacity(shape.len());
        for (axis, (range, length)) in region.iter().zip(shape).enumerate() {
            let (start, stop) = range.unwrap_or((0, *length as u64));
            if stop > *length as u64 {
                return Err(fault(
                    "IndexError",
                    format!(
                        "region [{start}, {stop}] is out of bounds for axis {axis} with size \
                         {length} of '{}'",
                        path.display()
                    ),
                ));
            }
            ranges.push((start as usize, stop as usize));
        }
        Ok(ranges)
    }
}

fn path_of(reader: &Reader<'_>) -> Read<String> {
    let path = reader.need("path", reader.string("path")?)?;
    if path.is_empty() || path.contains('\0') {
        return Err(reader.bad("path", "is not a path"));
    }
    Ok(path.to_owned())
}

fn read_header(file: &File, path: &Path) -> Outcome<(NpyHeader, u64)> {
    let named = |error: &NpyError| -> TaskError {
        let message = format!("'{}': {error}", path.display());
        match error {
            NpyError::Malformed(_) => value_error(message),
            NpyError::Unsupported(_) => type_error(message),
        }
    };
    let mut prefix = [0; npy::PREFIX_BYTES];
    let count = read_some(file, &mut prefix, 0).map_err(|error| file_error(&error, path))?;
    let (offset, length) = npy::locate(&prefix[..count]).map_err(|error| named(&error))?;
    let mut header = vec![0; length];
    let count =
        read_some(file, &mut header, offset as u64).map_err(|error| file_error(&error, path))?;
    if count < length {
        return Err(value_error(format!("'{}': the file ends inside its header", path.display())));
    }
    let parsed = npy::parse(&header).map_err(|error| named(&error))?;
    Ok((parsed, (offset + length) as u64))
}

/// Reads until the buffer is full or the file ends.
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn check_length(file: &File, path: &Path, expected: u64) -> Outcome<()> {
    let length = file.metadata().map_err(|error| file_error(&error, path))?.len();
    if length >= expected {
        return Ok(());
    }
    Err(value_error(format!(
        "'{}' is truncated: its header asks for {expected} bytes, it has {length}",
        path.display()
    )))
}

/// An array in C order in an open file.
struct Source<'a> {
    file: &'a File,
    path: &'a Path,
    /// Of the first element.
    offset: u64,
    dtype: DType,
    shape: Vec<usize>,
}

impl Source<'_> {
    /// Reads a region, in C order, into `out`.
    fn read(&self, ranges: &[(usize, usize)], out: &mut [u8]) -> Outcome<()> {
        if out.is_empty() {
            return Ok(());
        }
        // Behind the last axis that is cut, everything is one run.
        let taken: Vec<usize> = ranges.iter().map(|(start, stop)| stop - start).collect();
        let cut = (0..taken.len()).rfind(|axis| taken[*axis] != self.shape[*axis]);
        let outer = cut.unwrap_or(0);
        let strides = strides_of(&self.shape);
        let size = self.dtype.size();
        let run = count_of(taken.get(outer..).unwrap_or(&[])).unwrap_or(0) * size;
        let start: usize =
            ranges.iter().zip(&strides).map(|((start, _), stride)| start * *stride as usize).sum();
        let mut walk = Walk::new(&taken[..outer], &strides[..outer], start);
        let rows = out.len() / run;
        // The innermost of the outer axes repeats at one distance: runs that lie close together
        // along it are read through a window.
        let (group, distance) = match outer.checked_sub(1) {
            Some(axis) => (taken[axis], strides[axis] as usize * size),
            None => (1, run),
        };
        let close = distance <= run + READ_ALONG_BYTES && distance <= WINDOW_BYTES;
        let batch = if close { (WINDOW_BYTES / distance).clamp(1, group) } else { 1 };
        let mut window = Vec::new();
        let mut row = 0;
        while row < rows {
            let count = batch.min(group - row % group);
            let position = walk.position() as u64 * size as u64;
            let part = &mut out[row * run..(row + count) * run];
            if count == 1 {
                self.exact(position, part)?;
            } else {
                window.resize((count - 1) * distance + run, 0);
                self.exact(position, &mut window)?;
                for (line, piece) in part.chunks_exact_mut(run).zip(window.chunks(distance)) {
                    line.copy_from_slice(&piece[..run]);
                }
            }
            (0..count).for_each(|_| walk.advance());
            row += count;
        }
        Ok(())
    }

    fn exact(&self, position: u64, buffer: &mut [u8]) -> Outcome<()> {
        let count = read_some(self.file, buffer, self.offset + position)
            .map_err(|error| file_error(&error, self.path))?;
        if count == buffer.len() {
            return Ok(());
        }
        Err(value_error(format!("'{}' is truncated: it was cut while read", self.path.display())))
    }
}

/// To native byte order, and bools to 0 or 1.
fn normalise(header: &NpyHeader, bytes: &mut [u8]) {
    if header.dtype == DType::Bool {
        bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
    if !header.big_endian {
        return;
    }
    match header.dtype {
        DType::C64 => swap::<4>(bytes),
        DType::C128 => swap::<8>(bytes),
        other => match other.size() {
            2 => swap::<2>(bytes),
            4 => swap::<4>(bytes),
            _ => swap::<8>(bytes),
        },
    }
}

fn swap<const N: usize>(bytes: &mut [u8]) {
    bytes.chunks_exact_mut(N).for_each(<[u8]>::reverse);
}

/// `store_npy(path)`: writes the input and gives the path, as it was given, as bytes.
#[derive(Debug)]
pub(super) struct StoreNpy {
    path: String,
}

impl StoreNpy {
    pub(super) fn parse(reader: &Reader<'_>) -> Read<Self> {
        let path = path_of(reader)?;
        if Path::new(&path).file_name().is_none() {
            return Err(reader.bad("path", format!("'{path}' names no file")));
        }
        Ok(Self { path })
    }

    pub(super) fn run(&self, context: &Context<'_>, input: &View<'_>) -> Outcome<Sealed> {
        let path = context.working_directory.join(&self.path);
        let shape: Vec<u64> = input.shape.iter().map(|length| *length as u64).collect();
        let header = npy::header_bytes(input.dtype, &shape);
        let (mut file, part) = create_beside(&path).map_err(|error| file_error(&error, &path))?;
        let written = file
            .write_all(&header)
            .and_then(|()| file.write_all(input.bytes))
            .and_then(|()| std::fs::rename(&part, &path));
        if let Err(error) = written {
            // The first error counts; a part that cannot be removed stays behind under its name.
            let _removed = std::fs::remove_file(&part);
            return Err(file_error(&error, &path));
        }
        bytes_object(context, self.path.as_bytes())
    }
}

/// Most names that are tried for a part file; more than as many tasks write one path at a time.
const MOST_PARTS: u32 = 10_000;

/// A new file in the folder of `path`, so that a rename is atomic.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let process = std::process::id();
    for number in 0..MOST_PARTS {
        let part = path.with_file_name(format!(".{name}.{process}-{number}.part"));
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            Ok(file) => return Ok((file, part)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}
