//! Binding of threads, processes and memory: the system calls that carry out a plan.
//!
//! Owns affinity masks and the memory policy of the calling process; decides nothing (plan).
//! Raw system calls, because a machine may have more CPUs than the fixed sets of libc hold.
//! Invariant: memory is only ever preferred, never strictly bound, since a strict policy turns
//! a full NUMA node into an out-of-memory kill.
#![expect(unsafe_code, reason = "affinity beyond 1,024 CPUs and set_mempolicy have no safe form")]

use std::fs;
use std::io;

use thiserror::Error;

use crate::cpuset::{CPU_NUMBER_LIMIT, Cpuset};

/// Why something could not be bound.
#[derive(Debug, Error)]
pub enum PinningError {
    /// The affinity mask cannot be read.
    #[error("cannot read the affinity mask: {0}")]
    ReadMask(io::Error),
    /// The affinity mask cannot be set.
    #[error("cannot bind to CPUs {cpus}: {source}")]
    SetMask {
        /// The CPUs asked for.
        cpus: Cpuset,
        /// What the system says.
        source: io::Error,
    },
    /// The memory policy cannot be set.
    #[error("cannot prefer the memory of NUMA nodes {nodes}: {source}")]
    SetMemory {
        /// The nodes asked for.
        nodes: Cpuset,
        /// What the system says.
        source: io::Error,
    },
    /// The threads of this process cannot be listed.
    #[error("cannot list the threads of this process: {0}")]
    ListThreads(io::Error),
}

/// The kernel's MPOL_PREFERRED: one node first, others when it is full.
const MPOL_PREFERRED: libc::c_long = 1;
/// The kernel's MPOL_PREFERRED_MANY (Linux 5.15): several nodes first.
const MPOL_PREFERRED_MANY: libc::c_long = 5;
/// CPUs up to this number fit the first try at reading a mask: Linux's own upper limit.
const MASK_WORDS: usize = 8192 / 64;

/// The CPUs that the calling thread may use.
///
/// # Errors
/// The system refuses, which it does only in a sandbox.
pub fn current_mask() -> Result<Cpuset, PinningError> {
    mask_of(0).map_err(PinningError::ReadMask)
}

/// The CPUs that another process may use: the launcher's own mask tells what its user allowed
/// before it bound its ranks.
///
/// # Errors
/// The process is gone, or the system refuses.
pub fn mask_of_process(pid: i32) -> Result<Cpuset, PinningError> {
    mask_of(pid).map_err(PinningError::ReadMask)
}

/// The largest mask that the kernel grants the calling thread, which is that of its control
/// group. The mask is as before when this returns.
///
/// # Errors
/// The old mask cannot be read or restored.
pub fn widest_mask() -> Result<Cpuset, PinningError> {
    let before = current_mask()?;
    let everything = Cpuset::from_words(&[u64::MAX; MASK_WORDS]);
    // A refusal means that the mask cannot be widened: it then is what it was.
    let widest = match set_mask(0, &everything) {
        Ok(()) => current_mask()?,
        Err(_) => return Ok(before),
    };
    bind_thread(&before)?;
    Ok(widest)
}

/// Binds the calling thread.
///
/// # Errors
/// None of the CPUs exists or is allowed.
pub fn bind_thread(cpus: &Cpuset) -> Result<(), PinningError> {
    set_mask(0, cpus).map_err(|source| PinningError::SetMask { cpus: cpus.clone(), source })
}

/// Binds every thread of this process; later threads and children inherit it.
///
/// # Errors
/// None of the CPUs exists or is allowed, or /proc is not there.
pub fn bind_process(cpus: &Cpuset) -> Result<(), PinningError> {
    let failed = |source| PinningError::SetMask { cpus: cpus.clone(), source };
    for entry in fs::read_dir("/proc/self/task").map_err(PinningError::ListThreads)? {
        let name = entry.map_err(PinningError::ListThreads)?.file_name();
        let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        match set_mask(tid, cpus) {
            // A thread that ended since the listing.
            Err(fault) if fault.raw_os_error() == Some(libc::ESRCH) => {}
            other => other.map_err(failed)?,
        }
    }
    Ok(())
}

/// Prefers the memory of these NUMA nodes for the calling thread and for the threads and
/// children it makes later; call it before any thread exists. No nodes, no change.
///
/// # Errors
/// The kernel knows neither policy, or none of the nodes.
pub fn prefer_memory(nodes: &[u32]) -> Result<(), PinningError> {
    let nodes: Cpuset = nodes.iter().copied().collect();
    let Some(first) = nodes.first() else { return Ok(()) };
    let only_first: Cpuset = [first].into_iter().collect();
    set_policy(MPOL_PREFERRED_MANY, &nodes)
        .or_else(|_| set_policy(MPOL_PREFERRED, &only_first))
        .map_err(|source| PinningError::SetMemory { nodes, source })
}

fn mask_of(pid: i32) -> io::Result<Cpuset> {
    let mut words = vec![0u64; MASK_WORDS];
    loop {
        // SAFETY: the kernel writes at most the given number of bytes into the vector.
        let written = unsafe {
            libc::syscall(libc::SYS_sched_getaffinity, pid, words.len() * 8, words.as_mut_ptr())
        };
        if written >= 0 {
            return Ok(Cpuset::from_words(&words));
        }
        let fault = io::Error::last_os_error();
        // EINVAL says that the kernel's own set is longer than ours.
        let too_short = fault.raw_os_error() == Some(libc::EINVAL);
        if !too_short || words.len() * 64 >= CPU_NUMBER_LIMIT as usize {
            return Err(fault);
        }
        words.resize(words.len() * 2, 0);
    }
}

fn set_mask(tid: i32, cpus: &Cpuset) -> io::Result<()> {
    let words = cpus.as_words();
    // SAFETY: the kernel reads the given number of bytes of the slice.
    let result = unsafe {
        libc::syscall(libc::SYS_sched_setaffinity, tid, size_of_val(words), words.as_ptr())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_policy(policy: libc::c_long, nodes: &Cpuset) -> io::Result<()> {
    let words = nodes.as_words();
    // The kernel looks at one bit fewer than it is told.
    let bits = words.len() * 64 + 1;
    // A word more than the bits need, so that the kernel never reads past the end.
    let mut mask = words.to_vec();
    mask.push(0);
    // SAFETY: the kernel reads `bits` bits of the vector, which is longer.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, policy, mask.as_ptr(), bits) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a thread of its own, so that the binding ends with the test.
    fn apart<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(test).join().unwrap()
    }

    /// The kernel's own account of the calling thread.
    fn status(field: &str) -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_once(':').unwrap().1.trim().to_owned()
    }

    #[test]
    fn the_mask_is_the_kernels() {
        assert_eq!(current_mask().unwrap().to_string(), status("Cpus_allowed_list"));
        let pid = std::process::id() as i32;
        assert!(!mask_of_process(pid).unwrap().is_empty());
        assert!(mask_of_process(i32::MAX).is_err());
    }

    #[test]
    fn a_thread_is_bound_and_widened_again() {
        apart(|| {
            let before = current_mask().unwrap();
            let last: Cpuset = before.iter().last().into_iter().collect();
            bind_thread(&last).unwrap();
            assert_eq!(status("Cpus_allowed_list"), last.to_string());
            assert!(before.is_subset(&widest_mask().unwrap()));
            assert_eq!(current_mask().unwrap(), last, "probing leaves the mask as it was");
        });
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused_by_name() {
        let fault = apart(|| bind_thread(&[60_000].into_iter().collect()).unwrap_err());
        assert!(fault.to_string().contains("60000"), "{fault}");
    }

    #[test]
    fn memory_is_preferred_and_allocation_still_works() {
        apart(|| {
            let node: Vec<u32> = fs::read_to_string("/sys/devices/system/node/has_memory")
                .map(|list| list.parse::<Cpuset>().unwrap().iter().take(1).collect())
                .unwrap_or_default();
            match prefer_memory(&node) {
                Ok(()) if !node.is_empty() => {
                    let maps =
                        fs::read_to_string("/proc/thread-self/numa_maps").unwrap_or_default();
                    assert!(maps.is_empty() || maps.contains("prefer"), "{maps}");
                }
                Ok(()) => {}
                // A sandbox may forbid the call altogether.
                Err(fault) => assert!(fault.to_string().contains("NUMA"), "{fault}"),
            }
            assert_eq!(vec![1u8; 1 << 20].iter().map(|&it| u64::from(it)).sum::<u64>(), 1 << 20);
        });
    }
}
