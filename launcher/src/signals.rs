//! Signals as events: only supervisors take them, through a descriptor, never in a handler.
//!
//! Without checkpoints the first INT, TERM or HUP stops the job. USR1, USR2 and XCPU warn of the
//! end of the walltime; a run that cannot drain notes them and goes on. CONT follows every signal
//! of Slurm and means nothing. Children ignore what batch systems send to everybody (`spawn.rs`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What a signal means to a supervisor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// The job must end now.
    Stop,
    /// The end of the walltime is near.
    Warning,
    /// A child ended.
    Child,
    /// Nothing.
    Nothing,
}

/// Every signal that a supervisor reads.
const READ: [i32; 9] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGXCPU,
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGPIPE,
];

/// What a signal means.
#[must_use]
pub const fn meaning(signal: i32) -> Meaning {
    match signal {
        libc::SIGINT | libc::SIGTERM | libc::SIGHUP => Meaning::Stop,
        libc::SIGUSR1 | libc::SIGUSR2 | libc::SIGXCPU => Meaning::Warning,
        libc::SIGCHLD => Meaning::Child,
        _ => Meaning::Nothing,
    }
}

/// A signal's name without `SIG`, for messages.
#[must_use]
pub fn name(signal: i32) -> String {
    let name = match signal {
        libc::SIGINT => "INT",
        libc::SIGTERM => "TERM",
        libc::SIGHUP => "HUP",
        libc::SIGUSR1 => "USR1",
        libc::SIGUSR2 => "USR2",
        libc::SIGXCPU => "XCPU",
        libc::SIGKILL => "KILL",
        libc::SIGSEGV => "SEGV",
        libc::SIGABRT => "ABRT",
        libc::SIGBUS => "BUS",
        libc::SIGILL => "ILL",
        libc::SIGFPE => "FPE",
        _ => return format!("signal {signal}"),
    };
    format!("SIG{name}")
}

/// The descriptor that signals arrive on. Non-blocking.
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// From now on signals of this process arrive here and nowhere else. Call in the main thread
    /// before it starts any other.
    ///
    /// # Errors
    /// When the system has no descriptors.
    pub fn take_over() -> io::Result<Self> {
        Ok(Self { fd: crate::spawn::signal_descriptor(&READ)? })
    }

    /// The next signal; `None` when no more is there.
    ///
    /// # Errors
    /// When the descriptor fails.
    pub fn read(&self) -> io::Result<Option<i32>> {
        // The kernel hands out whole records of this size; the number stands first.
        const RECORD_BYTES: usize = 128;
        let mut record = [0; RECORD_BYTES];
        match rustix::io::read(&self.fd, &mut record) {
            Ok(RECORD_BYTES) => {
                let [a, b, c, d, ..] = record;
                Ok(i32::try_from(u32::from_ne_bytes([a, b, c, d])).ok())
            }
            Ok(_) => Ok(None),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_has_its_meaning() {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            assert_eq!(meaning(signal), Meaning::Stop);
        }
        for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGXCPU] {
            assert_eq!(meaning(signal), Meaning::Warning);
        }
        assert_eq!(meaning(libc::SIGCHLD), Meaning::Child);
        assert_eq!(meaning(libc::SIGCONT), Meaning::Nothing);
        assert_eq!(meaning(libc::SIGPIPE), Meaning::Nothing);
        assert_eq!(name(libc::SIGTERM), "SIGTERM");
        assert_eq!(name(40), "signal 40");
    }
}
