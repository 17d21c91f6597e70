//! Work of one kernel on several threads: contiguous parts, each computed as one thread would.
//!
//! A kernel splits its outer work, and every part writes its own piece of the result, so the number
//! of threads never changes a bit. Threads live as long as one call. Parts wait in a queue that all
//! threads serve, the caller's too: a thread that the system refuses costs speed and nothing else.

use super::fault::Outcome;
use crate::panics;
use rdask_core::messages::TaskError;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Bytes of a result below which threads cost more than they save: starting one takes some ten
/// microseconds, in which one core writes about this much.
pub(super) const LEAST_PART_BYTES: usize = 256 * 1024;

/// Cuts `0..count` into at most `threads` ranges of nearly equal length. None is shorter than
/// `least` unless it is the only one, and all but the last end at a multiple of `grain`.
pub(super) fn split(count: usize, threads: u32, least: usize, grain: usize) -> Vec<Range<usize>> {
    let grain = grain.max(1);
    let most = (count / least.max(1)).clamp(1, threads.max(1) as usize);
    let length = count.div_ceil(most).div_ceil(grain).saturating_mul(grain).max(1);
    let mut parts = Vec::with_capacity(most);
    let mut start = 0;
    while start < count {
        let end = start.saturating_add(length).min(count);
        parts.push(start..end);
        start = end;
    }
    parts
}

/// Runs `work` on every piece, as many at once as there are pieces.
///
/// # Errors
/// That of the first piece in order that has one.
pub(super) fn each<P: Send>(pieces: Vec<P>, work: impl Fn(P) -> Outcome<()> + Sync) -> Outcome<()> {
    let helpers = pieces.len().saturating_sub(1);
    if helpers == 0 {
        return pieces.into_iter().try_for_each(work);
    }
    let queue = Mutex::new(pieces.into_iter().enumerate());
    let first: Mutex<Option<(usize, TaskError)>> = Mutex::new(None);
    let serve = || {
        loop {
            // The lock ends before the work begins; an iterator in a poisoned lock is whole.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, piece)) = next else { return };
            if let Err(error) = work(piece) {
                let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                if first.as_ref().is_none_or(|(known, _)| index < *known) {
                    *first = Some((index, error));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let mut running = Vec::with_capacity(helpers);
        for _ in 0..helpers {
            let started = std::thread::Builder::new().spawn_scoped(scope, || {
                leave_the_callers_core();
                // The caller takes a panic over.
                panics::caught(serve);
            });
            match started {
                Ok(helper) => running.push(helper),
                // The caller serves the queue too, so everything gets done.
                Err(_) => break,
            }
        }
        serve();
        for helper in running {
            if let Err(panic) = helper.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// A part of some work, whatever it is.
pub(super) type Job<'a> = Box<dyn FnOnce() -> Outcome<()> + Send + 'a>;

/// Runs all jobs, as `each` does. Compiled once, for kernels that have many kinds of work.
///
/// # Errors
/// That of the first job in order that has one.
pub(super) fn all(jobs: Vec<Job<'_>>) -> Outcome<()> {
    each(jobs, |job| job())
}

/// Splits a result of rows of `width` elements between threads; `work` gets the number of its first
/// row and its rows. Without elements it is not called.
///
/// # Errors
/// The first in the order of rows.
pub(super) fn rows<T: Send>(
    out: &mut [T],
    width: usize,
    threads: u32,
    work: impl Fn(usize, &mut [T]) -> Outcome<()> + Sync,
) -> Outcome<()> {
    if out.is_empty() || width == 0 {
        return Ok(());
    }
    let least = (LEAST_PART_BYTES / size_of::<T>().max(1)).div_ceil(width).max(1);
    let mut rest = out;
    let mut pieces = Vec::new();
    for part in split(rest.len().div_ceil(width), threads, least, 1) {
        let length = part.len().saturating_mul(width).min(rest.len());
        let (piece, behind) = rest.split_at_mut(length);
        rest = behind;
        pieces.push((part.start, piece));
    }
    each(pieces, |(start, piece)| work(start, piece))
}

/// A new thread inherits the one core that its parent may be bound to. It may use all that the
/// process was given.
fn leave_the_callers_core() {
    let process = Some(rustix::process::getpid());
    if let Ok(cpus) = rustix::thread::sched_getaffinity(process) {
        // Where this is refused the work is as correct, only slower.
        let _refused = rustix::thread::sched_setaffinity(None, &cpus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::fault::value_error;

    #[test]
    fn parts_cover_everything_once() {
        for (count, threads, least, grain) in [
            (0, 4, 1, 1),
            (10, 3, 1, 1),
            (10, 3, 6, 1),
            (1000, 8, 1, 64),
            (5, 8, 1, 1),
            (7, 0, 0, 0),
        ] {
            let parts = split(count, threads, least, grain);
            assert!(parts.len() <= threads.max(1) as usize);
            let mut end = 0;
            for part in &parts {
                assert_eq!(part.start, end);
                assert_eq!(part.start % grain.max(1), 0);
                end = part.end;
            }
            assert_eq!(end, count);
        }
        assert_eq!(split(usize::MAX, 2, 1, 64).len(), 2);
    }

    #[test]
    fn every_row_is_written_by_one_thread() {
        for threads in 1..=8 {
            let mut out = vec![0_u64; 300_007];
            rows(&mut out, 3, threads, |start, rows| {
                for (index, row) in rows.chunks_mut(3).enumerate() {
                    row.fill((start + index) as u64);
                }
                Ok(())
            })
            .unwrap();
            assert!(out.iter().enumerate().all(|(index, value)| *value == index as u64 / 3));
        }
    }

    #[test]
    fn the_first_error_in_order_counts() {
        for _ in 0..20 {
            let error = each((0..8).collect(), |piece| {
                if piece >= 3 { Err(value_error(format!("{piece}"))) } else { Ok(()) }
            });
            assert_eq!(error.unwrap_err().message, "3");
        }
    }
}
