//! Errors of tasks, kept for the tasks that are to blame.
//!
//! A task that erred because an input did names that input's task as its root and keeps nothing
//! itself. Beyond a number of kept errors, texts are cut: a million failures cost little memory.

use crate::ids::{TaskId, WorkerId};
use crate::messages::TaskError;
use rustc_hash::FxHashMap;

/// Bytes of a message that are kept once there are many.
const SHORT_MESSAGE_BYTES: usize = 256;

/// How a task failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) error: TaskError,
    /// Workers on which its runs failed, each once.
    pub(super) erred_on: Vec<WorkerId>,
}

/// Failures by the task that is to blame.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    by_task: FxHashMap<TaskId, Failure>,
}

impl Failures {
    /// Notes how a task failed, and on which worker; the latest error counts.
    pub(super) fn add(
        &mut self,
        task: TaskId,
        worker: Option<WorkerId>,
        mut error: TaskError,
        kept_whole: usize,
    ) {
        if self.by_task.len() >= kept_whole {
            shorten(&mut error);
        }
        let empty = || Failure { error: error.clone(), erred_on: Vec::new() };
        let failure = self.by_task.entry(task).or_insert_with(empty);
        failure.error = error;
        if let Some(worker) = worker.filter(|worker| !failure.erred_on.contains(worker)) {
            failure.erred_on.push(worker);
        }
    }

    pub(super) fn get(&self, task: TaskId) -> Option<&Failure> {
        self.by_task.get(&task)
    }

    pub(super) fn remove(&mut self, task: TaskId) -> Option<Failure> {
        self.by_task.remove(&task)
    }
}

fn shorten(error: &mut TaskError) {
    error.traceback = String::new();
    if error.message.len() > SHORT_MESSAGE_BYTES {
        let cut = (0..=SHORT_MESSAGE_BYTES).rev().find(|at| error.message.is_char_boundary(*at));
        error.message.truncate(cut.unwrap_or(0));
        error.message.push_str(" …");
    }
}
