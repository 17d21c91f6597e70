//! Arrays put together from chunks: rank 0 makes `NAME.npy.part` at full size, workers write their
//! chunks into it at the same time, rank 0 renames it.
//!
//! Each chunk covers its own elements, so writers never touch the same byte and need no lock; a
//! chunk that is written again writes the same bytes.

use super::npy;
use super::whole::sync_folder_of;
use rdask_core::messages::{WriteTarget, Written};
use rdask_store::{DType, Header, Sealed};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// Why a chunk was not written.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// The result is not what the array says; no retry will help.
    #[error("the chunk is {found}, the array says {expected}")]
    Mismatch {
        /// dtype and shape of the result.
        found: String,
        /// dtype and shape by the array.
        expected: String,
    },
    /// The target is no chunk, or lies outside its array.
    #[error("the target is not a chunk of an array")]
    Target,
    /// The system's error, for example a full disk.
    #[error("{path}: {source}")]
    Io {
        /// The part file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A part file that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Bytes before the first element.
    pub data_offset: u64,
    /// Size of the file.
    pub nbytes: u64,
}

/// Makes a part file with header and full size; the disk must have room for all of it.
///
/// # Errors
/// `InvalidInput` for a dtype that does not exist; the system's, `StorageFull` when there is no
/// room. No file stays then.
pub fn create_part(path: &Path, shape: &[u64], dtype: &str) -> std::io::Result<Part> {
    let dtype = DType::from_name(dtype).ok_or(std::io::ErrorKind::InvalidInput)?;
    let header = npy::header(dtype, shape);
    let elements = Header::Array { dtype, shape: shape.to_vec() }.nbytes();
    let data_offset = header.len() as u64;
    let nbytes = elements
        .and_then(|elements| elements.checked_add(data_offset))
        .filter(|nbytes| i64::try_from(*nbytes).is_ok())
        .ok_or(std::io::ErrorKind::FileTooLarge)?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let made = file.write_all_at(&header, 0).and_then(|()| allocate(&file, nbytes));
    match made {
        Ok(()) => Ok(Part { data_offset, nbytes }),
        Err(error) => {
            drop_part(path);
            Err(error)
        }
    }
}

/// Gives a file its size. Where the file system cannot promise the blocks, free space is compared.
fn allocate(file: &File, nbytes: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, nbytes) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {}
        Err(error) => return Err(error.into()),
    }
    let space = fstatvfs(file)?;
    if space.f_bavail.saturating_mul(space.f_frsize) < nbytes {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    file.set_len(nbytes)
}

/// Writes a chunk into its part file and says what was written.
///
/// # Errors
/// `Mismatch` when the result has another dtype or shape than the array says, or the system's.
pub fn write_chunk(target: &WriteTarget, object: &Sealed) -> Result<Written, ChunkError> {
    let WriteTarget::Chunk { path, data_offset, shape, start, chunk, dtype } = target else {
        return Err(ChunkError::Target);
    };
    let (found, found_shape) = match object.header() {
        Header::Bytes => ("bytes", &[][..]),
        Header::Array { dtype, shape } => (dtype.name(), &shape[..]),
    };
    if found != dtype || found_shape != chunk {
        return Err(ChunkError::Mismatch {
            found: describe(found, found_shape),
            expected: describe(dtype, chunk),
        });
    }
    let size = DType::from_name(dtype).map_or(1, DType::size) as u64;
    let runs = Runs::new(shape, start, chunk, size).ok_or(ChunkError::Target)?;
    let io = |source| ChunkError::Io { path: path.clone(), source };
    let file = OpenOptions::new().write(true).open(path).map_err(io)?;
    if !object.bytes().is_empty() {
        for (run, offset) in object.bytes().chunks(runs.run_bytes).zip(runs) {
            file.write_all_at(run, data_offset + offset).map_err(io)?;
        }
    }
    Ok(Written {
        file: String::new(),
        kind: "array".to_owned(),
        dtype: dtype.clone(),
        shape: chunk.clone(),
        nbytes: object.nbytes(),
        checksum: xxh3_64(object.bytes()),
    })
}

fn describe(dtype: &str, shape: &[u64]) -> String {
    format!("{dtype} {shape:?}")
}

/// Where the contiguous runs of a chunk begin in its array, in bytes, in C order.
#[derive(Debug)]
struct Runs {
    /// Bytes of one run.
    run_bytes: usize,
    /// Lengths of the axes that are walked, outermost first.
    lengths: Vec<u64>,
    /// Bytes between neighbours on those axes.
    strides: Vec<u64>,
    /// Place on those axes.
    at: Vec<u64>,
    offset: u64,
    done: bool,
}

impl Runs {
    /// None when the chunk lies outside the array.
    fn new(shape: &[u64], start: &[u64], chunk: &[u64], size: u64) -> Option<Self> {
        if shape.len() != start.len() || shape.len() != chunk.len() {
            return None;
        }
        let mut strides = vec![size; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].checked_mul(shape[axis].max(1))?;
        }
        let mut offset = 0_u64;
        for axis in 0..shape.len() {
            if start[axis].checked_add(chunk[axis])? > shape[axis] {
                return None;
            }
            offset = offset.checked_add(start[axis].checked_mul(strides[axis])?)?;
        }
        // Behind the last axis that is cut, everything is contiguous.
        let cut = (0..shape.len()).rfind(|axis| chunk[*axis] != shape[*axis]).unwrap_or(0);
        let run = chunk[cut.min(shape.len())..]
            .iter()
            .try_fold(size, |bytes, length| bytes.checked_mul(*length))?;
        Some(Self {
            run_bytes: usize::try_from(run).ok()?.max(1),
            lengths: chunk[..cut].to_vec(),
            strides: strides[..cut].to_vec(),
            at: vec![0; cut],
            offset,
            done: chunk.contains(&0),
        })
    }
}

impl Iterator for Runs {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.done {
            return None;
        }
        let here = self.offset;
        self.done = true;
        for axis in (0..self.lengths.len()).rev() {
            self.at[axis] += 1;
            self.offset += self.strides[axis];
            if self.at[axis] < self.lengths[axis] {
                self.done = false;
                break;
            }
            self.offset -= self.lengths[axis] * self.strides[axis];
            self.at[axis] = 0;
        }
        Some(here)
    }
}

/// Gives a part file its final name, after a sync when asked.
///
/// # Errors
/// The system's.
pub fn finish_part(part: &Path, path: &Path, sync: bool) -> std::io::Result<()> {
    if sync {
        File::open(part)?.sync_all()?;
    }
    std::fs::rename(part, path)?;
    if sync { sync_folder_of(path) } else { Ok(()) }
}

/// Removes a part file that will not be finished.
pub fn drop_part(part: &Path) {
    // It is on the way out because of another error, which is the one to report.
    let _removed = std::fs::remove_file(part);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rdask_store::Store;

    fn sealed(shape: &[u64], bytes: &[u8]) -> Sealed {
        let mut writing = Store::new(0).reserve(bytes.len() as u64, 0).unwrap();
        writing.bytes_mut().copy_from_slice(bytes);
        writing.seal(Header::Array { dtype: DType::U8, shape: shape.to_vec() }).unwrap()
    }

    fn target(path: &Path, part: Part, shape: &[u64], start: &[u64], chunk: &[u64]) -> WriteTarget {
        WriteTarget::Chunk {
            path: path.to_str().unwrap().to_owned(),
            data_offset: part.data_offset,
            shape: shape.to_vec(),
            start: start.to_vec(),
            chunk: chunk.to_vec(),
            dtype: "u8".to_owned(),
        }
    }

    #[test]
    fn header_and_size_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy.part");
        let part = create_part(&path, &[3, 5], "f64").unwrap();
        assert_eq!(part, Part { data_offset: 128, nbytes: 248 });
        let content = std::fs::read(&path).unwrap();
        assert_eq!(&content[..128], npy::header(DType::F64, &[3, 5]));
        assert!(content[128..].iter().all(|byte| *byte == 0) && content.len() == 248);
        finish_part(&path, &folder.path().join("a.npy"), true).unwrap();
        assert!(!path.exists() && folder.path().join("a.npy").exists());
    }

    #[test]
    fn what_does_not_fit_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy.part");
        for shape in [&[1 << 50][..], &[1 << 62], &[1 << 40, 1 << 40]] {
            create_part(&path, shape, "f64").unwrap_err();
            assert!(!path.exists(), "{shape:?}");
        }
    }

    #[test]
    fn a_chunk_that_differs_from_the_array_is_a_mismatch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy.part");
        let part = create_part(&path, &[4], "u8").unwrap();
        let error = write_chunk(&target(&path, part, &[4], &[0], &[2]), &sealed(&[3], &[1; 3]))
            .unwrap_err();
        assert_eq!(error.to_string(), "the chunk is u8 [3], the array says u8 [2]");
        let outside = target(&path, part, &[4], &[3], &[2]);
        assert!(matches!(write_chunk(&outside, &sealed(&[2], &[1; 2])), Err(ChunkError::Target)));
        drop_part(&path);
        let gone = write_chunk(&target(&path, part, &[4], &[0], &[2]), &sealed(&[2], &[1; 2]));
        assert!(matches!(gone, Err(ChunkError::Io { .. })));
    }

    proptest! {
        /// Chunks written in any order make the array: element i holds i modulo 251.
        #[test]
        fn chunks_make_the_array(
            axes in prop::collection::vec((1_u64..6, 1_u64..4), 0..4),
            backwards: bool,
        ) {
            let shape: Vec<u64> = axes.iter().map(|(length, _)| *length).collect();
            let total: u64 = shape.iter().product();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.npy.part");
            let part = create_part(&path, &shape, "u8").unwrap();
            let mut places: Vec<Vec<(u64, u64)>> = vec![vec![]];
            for (length, step) in &axes {
                let cuts = (0..*length).step_by(*step as usize);
                let cuts: Vec<_> = cuts.map(|at| (at, (*step).min(length - at))).collect();
                places = places
                    .iter()
                    .flat_map(|place| cuts.iter().map(move |cut| [&place[..], &[*cut]].concat()))
                    .collect();
            }
            if backwards {
                places.reverse();
            }
            for place in places {
                let start: Vec<u64> = place.iter().map(|(at, _)| *at).collect();
                let chunk: Vec<u64> = place.iter().map(|(_, length)| *length).collect();
                let count: u64 = chunk.iter().product();
                let bytes: Vec<u8> = (0..count)
                    .map(|mut index| {
                        let (mut element, mut stride) = (0, 1);
                        for axis in (0..shape.len()).rev() {
                            element += (start[axis] + index % chunk[axis]) * stride;
                            index /= chunk[axis];
                            stride *= shape[axis];
                        }
                        (element % 251) as u8
                    })
                    .collect();
                let target = target(&path, part, &shape, &start, &chunk);
                let written = write_chunk(&target, &sealed(&chunk, &bytes)).unwrap();
                prop_assert_eq!(written.checksum, xxh3_64(&bytes));
            }
            let content = std::fs::read(&path).unwrap();
            let expected: Vec<u8> = (0..total).map(|element| (element % 251) as u8).collect();
            prop_assert_eq!(&content[part.data_offset as usize..], &expected[..]);
        }
    }
}
