//! The clock of the benches of kernels: what a thread has computed, whoever else was there.
//!
//! Neighbours on the machine still take cache and memory bandwidth; ratios of two sides that are
//! measured in turn suffer less from that than either side does.

/// Seconds of processor time that this thread has had: Python's `time.thread_time()`.
pub(crate) fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
