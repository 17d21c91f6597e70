//! Task errors of kernels: kinds as Python and numpy name them, conditions in words.
//!
//! A failing kernel is data. Nothing here aborts or logs; the executor sends the error on.

use rdask_core::messages::TaskError;
use rdask_store::StoreError;
use std::io;
use std::path::Path;

/// What a kernel's step gives: its result or the task's error.
pub(super) type Outcome<T> = Result<T, TaskError>;

/// An error of any kind.
pub(super) fn fault(kind: &str, message: impl Into<String>) -> TaskError {
    TaskError { kind: kind.to_owned(), message: message.into(), traceback: String::new() }
}

/// Right type, wrong value or shape.
pub(super) fn value_error(message: impl Into<String>) -> TaskError {
    fault("ValueError", message)
}

/// Wrong type.
pub(super) fn type_error(message: impl Into<String>) -> TaskError {
    fault("TypeError", message)
}

/// No room in the store.
pub(super) fn memory_error(error: &StoreError) -> TaskError {
    fault("MemoryError", error.to_string())
}

/// A fault of the file system, named as Python names it, with the path.
pub(super) fn file_error(error: &io::Error, path: &Path) -> TaskError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => "FileNotFoundError",
        io::ErrorKind::PermissionDenied => "PermissionError",
        io::ErrorKind::IsADirectory => "IsADirectoryError",
        io::ErrorKind::NotADirectory => "NotADirectoryError",
        io::ErrorKind::AlreadyExists => "FileExistsError",
        _ => "OSError",
    };
    fault(kind, format!("{error}: '{}'", path.display()))
}
