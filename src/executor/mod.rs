//! Running tasks: what a run is, how it is done, and the threads that do it. A kernel computes on the
//! thread itself, a command is a process that the thread starts and waits for.
//!
//! ```text
//!   worker shell ── Run ──▶ queue of a NUMA node ──▶ thread ── Outcome ──▶ worker shell
//!                                                      ▲                        │
//!                                                      └── the next Run at once ┘
//! ```
//! A thread that ends a run reports it itself and takes the run that follows from it along, so that
//! a busy thread is never woken. A kernel's panic becomes the task's error.

mod command;
mod pool;

pub(crate) use command::{CommandRun, Control, Programs};
pub(crate) use pool::{Bind, Note, Pool, PoolOptions, Seat, Submitter};

use crate::kernels::{Context, Kernel};
use crate::panics;
use command::Asked;
use rdask_core::ids::{RunId, TaskId};
use rdask_core::messages::TaskError;
use rdask_store::{Activity, Sealed, Store};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// One run of a task, with everything that it needs.
#[derive(Debug)]
pub(crate) struct Run {
    /// The task.
    pub task: TaskId,
    /// Which run.
    pub run_id: RunId,
    /// Runs that failed or died before.
    pub attempt: u32,
    /// What to do.
    pub work: Work,
    /// Arguments in order.
    pub inputs: Vec<Sealed>,
    /// Slots it holds.
    pub threads: u32,
    /// Fails after this long; 0 = never.
    pub timeout_ns: u64,
    /// For memory that must be waited for; smaller is served first.
    pub priority: u64,
}

/// What a run does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Computes here.
    Kernel(Arc<Kernel>),
    /// Runs a program.
    Command(CommandRun),
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The task.
    pub task: TaskId,
    /// Which run.
    pub run_id: RunId,
    /// The result or the error, as data.
    pub result: Result<Sealed, TaskError>,
    /// Thread that ran it.
    pub thread: u32,
    /// Around the kernel only.
    pub started: Instant,
    /// See `started`.
    pub stopped: Instant,
    /// Dropped when the outcome has been dealt with: until then memory may come free.
    pub activity: Activity,
}

/// What all runs of a worker share.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Where results are allocated.
    pub store: Store,
    /// Rank of the worker.
    pub rank: i64,
    /// Folder that relative paths refer to.
    pub working_directory: Box<Path>,
    /// What commands share.
    pub programs: Programs,
}

/// Runs a task on the calling thread.
pub(crate) fn execute(run: Run, around: &Surroundings, thread: u32) -> Outcome {
    let Run { task, run_id, attempt, work, inputs, threads, timeout_ns, priority } = run;
    let activity = around.store.activity();
    let started = Instant::now();
    let result = caught(|| match &work {
        Work::Kernel(kernel) => {
            let context = Context {
                store: &around.store,
                priority,
                threads,
                attempt,
                rank: around.rank,
                working_directory: &around.working_directory,
            };
            kernel.run(&context, &inputs)
        }
        Work::Command(command) => {
            let inputs = &*inputs;
            let asked = Asked { task, run_id, attempt, inputs, threads, timeout_ns, priority };
            command::run(command, &asked, around)
        }
    });
    let stopped = Instant::now();
    // The inputs' pins end before the scheduler hears of the result: it may free them at once.
    drop(inputs);
    let took = stopped.duration_since(started);
    // A kernel cannot be stopped, so its result comes too late; a program was killed in time.
    let is_late = timeout_ns != 0 && took.as_nanos() > u128::from(timeout_ns);
    let result = match work {
        Work::Kernel(_) if is_late => Err(timed_out(took.as_secs_f64(), timeout_ns)),
        Work::Kernel(_) | Work::Command(_) => result,
    };
    Outcome { task, run_id, result, thread, started, stopped, activity }
}

/// What a kernel gives; its panic as the task's error.
fn caught(kernel: impl FnOnce() -> Result<Sealed, TaskError>) -> Result<Sealed, TaskError> {
    // Inputs are immutable and the store guards itself, so nothing half done can be seen later.
    let caught = catch_unwind(AssertUnwindSafe(|| panics::caught(kernel)));
    caught.unwrap_or_else(|panic| Err(panicked(panics::message(&*panic))))
}

fn panicked(message: &str) -> TaskError {
    TaskError {
        kind: "InternalError".to_owned(),
        message: format!("the kernel panicked: {message}"),
        traceback: String::new(),
    }
}

fn timed_out(took_s: f64, timeout_ns: u64) -> TaskError {
    let limit_s = std::time::Duration::from_nanos(timeout_ns).as_secs_f64();
    TaskError {
        kind: "TimeoutError".to_owned(),
        message: format!("took {took_s:.3} s, its time-out is {limit_s:.3} s"),
        traceback: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_error_of_its_task() {
        let message = |kernel: fn() -> Result<Sealed, TaskError>| {
            let error = caught(kernel).unwrap_err();
            assert_eq!(error.kind, "InternalError");
            error.message
        };
        assert_eq!(message(|| panic!("plain")), "the kernel panicked: plain");
        assert_eq!(message(|| panic!("number {}", 7)), "the kernel panicked: number 7");
        assert_eq!(message(|| std::panic::panic_any(7)), "the kernel panicked: no message");
    }
}
