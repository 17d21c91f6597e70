//! The MPI shim: what a bootstrap needs of MPI, as C functions of an unchanging interface.
//!
//! The only code that names MPI. It is built once per MPI (see Cargo.toml) and opened by
//! `launcher/src/mpi.rs`, which holds the same signatures; a change of one of them is a new
//! `rdask_mpi_interface`. All functions are for the main thread; each returns 0, or an errno-like
//! number below zero. Between `rdask_mpi_init` and `rdask_mpi_finalize` the rest may be called.

use mpi::environment::Universe;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use std::cell::RefCell;

/// Number of this interface.
const INTERFACE: u32 = 1;
/// Not initialised, already initialised, or already finalised.
const WRONG_STATE: i32 = -1;
/// A null pointer or a length that MPI cannot count.
const WRONG_ARGUMENT: i32 = -2;

thread_local! {
    static UNIVERSE: RefCell<Option<Universe>> = const { RefCell::new(None) };
}

/// The number of this interface.
#[unsafe(no_mangle)]
pub extern "C" fn rdask_mpi_interface() -> u32 {
    INTERFACE
}

/// Copies the library's name and version, at most `capacity` bytes; returns the bytes copied.
///
/// # Safety
/// `text` is valid for writing `capacity` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdask_mpi_version(text: *mut u8, capacity: usize) -> usize {
    let version = mpi::environment::library_version().unwrap_or_default();
    let len = version.len().min(capacity);
    if text.is_null() {
        return 0;
    }
    // SAFETY: the caller vouches for `capacity` bytes, and `len` is not more.
    unsafe { std::ptr::copy_nonoverlapping(version.as_ptr(), text, len) };
    len
}

/// MPI_Init_thread(FUNNELED), which any MPI grants or answers with SINGLE; both do.
///
/// # Safety
/// `rank` and `size` are valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdask_mpi_init(rank: *mut i32, size: *mut i32) -> i32 {
    if rank.is_null() || size.is_null() {
        return WRONG_ARGUMENT;
    }
    let Some((universe, _)) = mpi::initialize_with_threading(mpi::Threading::Funneled) else {
        return WRONG_STATE;
    };
    let world = universe.world();
    // SAFETY: the caller vouches for both.
    unsafe {
        *rank = world.rank();
        *size = world.size();
    }
    UNIVERSE.with(|slot| slot.replace(Some(universe)));
    0
}

/// Gathers `len` bytes of each rank at all ranks, in the order of ranks.
///
/// # Safety
/// `own` is valid for reading `len` bytes, `all` for writing size × `len`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdask_mpi_allgather(own: *const u8, len: usize, all: *mut u8) -> i32 {
    with_universe(own.is_null() || all.is_null(), len, |universe| {
        let world = universe.world();
        let size = usize::try_from(world.size()).unwrap_or(0);
        // SAFETY: the caller vouches for the lengths.
        let (own, all) = unsafe {
            (std::slice::from_raw_parts(own, len), std::slice::from_raw_parts_mut(all, size * len))
        };
        world.all_gather_into(own, all);
    })
}

/// Copies `len` bytes from rank 0 to all ranks.
///
/// # Safety
/// `bytes` is valid for reading and writing `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rdask_mpi_broadcast(bytes: *mut u8, len: usize) -> i32 {
    with_universe(bytes.is_null(), len, |universe| {
        // SAFETY: the caller vouches for the length.
        let bytes = unsafe { std::slice::from_raw_parts_mut(bytes, len) };
        universe.world().process_at_rank(0).broadcast_into(bytes);
    })
}

/// MPI_Finalize.
#[unsafe(no_mangle)]
pub extern "C" fn rdask_mpi_finalize() -> i32 {
    match UNIVERSE.with(RefCell::take) {
        Some(universe) => {
            drop(universe);
            0
        }
        None => WRONG_STATE,
    }
}

/// Calls with the universe, when there is one and the arguments can be.
fn with_universe(wrong: bool, len: usize, act: impl FnOnce(&Universe)) -> i32 {
    if wrong || i32::try_from(len).is_err() {
        return WRONG_ARGUMENT;
    }
    UNIVERSE.with_borrow(|universe| match universe {
        Some(universe) => {
            act(universe);
            0
        }
        None => WRONG_STATE,
    })
}
