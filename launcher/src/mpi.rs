//! MPI for the bootstrap, through the shim that fits the launcher.
//!
//! The shim (`launcher/mpi-shim`) is opened at run time and never closed: MPI leaves a thread and
//! handlers behind. Only the main thread may call, before any other thread exists. Nothing here is
//! used after `finalize`, and nothing but this file names the shim's functions.
#![expect(unsafe_code, reason = "calls into the MPI shim; sets a variable of this process")]

use crate::env::{self, Launcher};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::path::{Path, PathBuf};

/// The shim's interface that this file speaks.
const INTERFACE: u32 = 1;
/// Longest version text of an MPI library that is kept.
const MAX_VERSION_BYTES: usize = 8192;

/// MPI cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MpiError {
    /// No shim for this launcher lies where they are looked for.
    #[error("no MPI support for {launcher} is installed (looked for {looked_for})")]
    NoShim {
        /// Who started us.
        launcher: &'static str,
        /// The paths.
        looked_for: String,
    },
    /// The shim's library cannot be loaded.
    #[error("the MPI support {path} cannot be loaded: {source}")]
    Load {
        /// Which.
        path: PathBuf,
        /// The loader's reason.
        source: libloading::Error,
    },
    /// The shim was built for another version of rdask-hpc.
    #[error("the MPI support {path} speaks interface {found}, this binary {INTERFACE}")]
    Interface {
        /// Which.
        path: PathBuf,
        /// Its interface.
        found: u32,
    },
    /// An MPI call failed.
    #[error("{call} failed with {code}")]
    Call {
        /// Which.
        call: &'static str,
        /// The shim's answer.
        code: i32,
    },
}

type Interface = unsafe extern "C" fn() -> u32;
type Version = unsafe extern "C" fn(*mut u8, usize) -> usize;
type Init = unsafe extern "C" fn(*mut i32, *mut i32) -> i32;
type Allgather = unsafe extern "C" fn(*const u8, usize, *mut u8) -> i32;
type Broadcast = unsafe extern "C" fn(*mut u8, usize) -> i32;
type Finalize = unsafe extern "C" fn() -> i32;

/// A loaded shim.
pub struct Shim {
    path: PathBuf,
    version: Version,
    init: Init,
    allgather: Allgather,
    broadcast: Broadcast,
    finalize: Finalize,
}

/// MPI between init and finalize.
pub struct Mpi {
    shim: Shim,
    /// This process.
    pub rank: u32,
    /// All processes.
    pub size: u32,
}

/// Where shims are looked for, best first.
#[must_use]
pub fn shim_folders() -> Vec<PathBuf> {
    let exe = std::env::current_exe().ok();
    let folder = exe.as_deref().and_then(Path::parent);
    let mut folders: Vec<PathBuf> = folder.map(Path::to_path_buf).into_iter().collect();
    folders.extend(folder.and_then(Path::parent).map(|root| root.join("lib/rdask-hpc")));
    folders
}

/// The shims that are installed: file names, each once.
#[must_use]
pub fn installed_shims() -> Vec<PathBuf> {
    const NAMES: [&str; 3] =
        ["librdask_mpi_openmpi.so", "librdask_mpi_mpich.so", "librdask_mpi.so"];
    let folders = shim_folders();
    let candidates = folders.iter().flat_map(|folder| NAMES.map(|name| folder.join(name)));
    env::path("RDASK_MPI_SHIM").into_iter().chain(candidates).filter(|path| path.exists()).collect()
}

fn candidates(launcher: Launcher) -> Vec<PathBuf> {
    if let Some(path) = env::path("RDASK_MPI_SHIM") {
        return vec![path];
    }
    let folders = shim_folders();
    let in_folders = |name: &&str| {
        let name = (*name).to_owned();
        folders.iter().map(move |folder| folder.join(&name)).collect::<Vec<_>>()
    };
    launcher.shims().iter().flat_map(in_folders).collect()
}

impl Shim {
    /// Opens the shim for a launcher.
    ///
    /// # Errors
    /// When there is none, or it cannot be loaded.
    pub fn open(launcher: Launcher) -> Result<Self, MpiError> {
        let candidates = candidates(launcher);
        let Some(path) = candidates.iter().find(|path| path.exists()) else {
            let shown: Vec<String> =
                candidates.iter().map(|path| path.display().to_string()).collect();
            return Err(MpiError::NoShim {
                launcher: launcher.title(),
                looked_for: shown.join(", "),
            });
        };
        if let Some((name, value)) = env::openmpi_tuning(launcher) {
            // SAFETY: the main thread is the only one; nobody reads the environment meanwhile.
            unsafe { std::env::set_var(name, value) };
        }
        Self::load(path)
    }

    fn load(path: &Path) -> Result<Self, MpiError> {
        let failed = |source| MpiError::Load { path: path.to_owned(), source };
        // Global, because parts of MPI that it loads itself look for its symbols.
        // SAFETY: the shim's and MPI's initialisers run; both are made to be loaded so.
        let library = unsafe { Library::open(Some(path.as_os_str()), RTLD_NOW | RTLD_GLOBAL) }
            .map_err(failed)?;
        let library: &'static Library = Box::leak(Box::new(library));
        // SAFETY: the function has this signature in every interface.
        let interface: Interface =
            unsafe { symbol(library, "rdask_mpi_interface") }.map_err(failed)?;
        // SAFETY: no arguments, no conditions.
        let found = unsafe { interface() };
        if found != INTERFACE {
            return Err(MpiError::Interface { path: path.to_owned(), found });
        }
        // SAFETY: interface 1 has these functions with these signatures.
        let (version, init, allgather, broadcast, finalize) = unsafe {
            (
                symbol(library, "rdask_mpi_version").map_err(failed)?,
                symbol(library, "rdask_mpi_init").map_err(failed)?,
                symbol(library, "rdask_mpi_allgather").map_err(failed)?,
                symbol(library, "rdask_mpi_broadcast").map_err(failed)?,
                symbol(library, "rdask_mpi_finalize").map_err(failed)?,
            )
        };
        Ok(Self { path: path.to_owned(), version, init, allgather, broadcast, finalize })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name and version of the MPI library, its first line.
    #[must_use]
    pub fn version(&self) -> String {
        let mut text = vec![0; MAX_VERSION_BYTES];
        // SAFETY: the buffer is as long as said.
        let len = unsafe { (self.version)(text.as_mut_ptr(), text.len()) };
        text.truncate(len);
        let text = String::from_utf8_lossy(&text);
        let first = text.trim_end_matches('\0').lines().next().unwrap_or_default();
        first.split(", ").next().unwrap_or_default().replace('\t', " ").trim().to_owned()
    }

    /// MPI_Init_thread. A launcher of another MPI makes this the only rank of its own world: the
    /// caller compares the size.
    ///
    /// # Errors
    /// When MPI refuses; some MPIs end the process instead.
    pub fn init(self) -> Result<Mpi, MpiError> {
        let (mut rank, mut size) = (-1, -1);
        // SAFETY: both are valid for writing.
        check("MPI_Init_thread", unsafe { (self.init)(&raw mut rank, &raw mut size) })?;
        let wrong = |code| MpiError::Call { call: "MPI_Comm_rank", code };
        let rank = u32::try_from(rank).map_err(|_| wrong(rank))?;
        let size = u32::try_from(size).map_err(|_| wrong(size))?;
        Ok(Mpi { shim: self, rank, size })
    }
}

/// A function of the library.
///
/// # Safety
/// `T` is the function's type.
unsafe fn symbol<T: Copy>(library: &'static Library, name: &str) -> Result<T, libloading::Error> {
    let mut terminated = name.as_bytes().to_vec();
    terminated.push(0);
    // SAFETY: the caller vouches for the type; the library is never closed.
    let symbol = unsafe { library.get::<T>(&terminated[..]) }?;
    Ok(*symbol)
}

fn check(call: &'static str, code: i32) -> Result<(), MpiError> {
    if code == 0 { Ok(()) } else { Err(MpiError::Call { call, code }) }
}

impl Mpi {
    /// The shim, for its version.
    #[must_use]
    pub fn shim(&self) -> &Shim {
        &self.shim
    }

    /// Every rank's blob at every rank, in the order of ranks. Lengths may differ.
    ///
    /// # Errors
    /// When MPI fails.
    pub fn allgather(&self, own: &[u8]) -> Result<Vec<Vec<u8>>, MpiError> {
        let lengths = self.allgather_equal(&(own.len() as u64).to_le_bytes())?;
        let lengths: Vec<usize> = lengths
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| usize::try_from(u64::from_le_bytes(*bytes)).unwrap_or(usize::MAX))
            .collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let mut padded = own.to_vec();
        padded.resize(longest, 0);
        let all = self.allgather_equal(&padded)?;
        let parts = all.chunks(longest).zip(&lengths);
        Ok(parts.map(|(part, len)| part[..*len].to_vec()).collect())
    }

    fn allgather_equal(&self, own: &[u8]) -> Result<Vec<u8>, MpiError> {
        let mut all = vec![0; own.len() * self.size as usize];
        // SAFETY: `own` is as long as said, `all` has that for each rank.
        let code = unsafe { (self.shim.allgather)(own.as_ptr(), own.len(), all.as_mut_ptr()) };
        check("MPI_Allgather", code)?;
        Ok(all)
    }

    /// Rank 0's blob at every rank; the others give `None`.
    ///
    /// # Errors
    /// When MPI fails.
    pub fn broadcast(&self, blob: Option<&[u8]>) -> Result<Vec<u8>, MpiError> {
        let mut len = (blob.map_or(0, <[u8]>::len) as u64).to_le_bytes();
        self.broadcast_equal(&mut len)?;
        let len = usize::try_from(u64::from_le_bytes(len)).unwrap_or(0);
        let mut bytes = blob.map_or_else(|| vec![0; len], <[u8]>::to_vec);
        self.broadcast_equal(&mut bytes)?;
        Ok(bytes)
    }

    fn broadcast_equal(&self, bytes: &mut [u8]) -> Result<(), MpiError> {
        // SAFETY: the buffer is as long as said.
        let code = unsafe { (self.shim.broadcast)(bytes.as_mut_ptr(), bytes.len()) };
        check("MPI_Bcast", code)
    }

    /// MPI_Finalize: from now on this process may end as it likes.
    ///
    /// # Errors
    /// When MPI fails.
    pub fn finalize(self) -> Result<(), MpiError> {
        // SAFETY: no arguments; MPI is initialised as long as `self` lives.
        check("MPI_Finalize", unsafe { (self.shim.finalize)() })
    }
}
