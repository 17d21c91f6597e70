//! What can be wrong with a graph, one variant a situation.
//!
//! Each message is one line, `WHAT (WHERE)`; `help` says the way out where there is one. Keys are
//! quoted, escaped and cut, so that no key can break a line or flood a terminal.

use crate::ids::TaskId;

/// Most keys that one message names.
pub(super) const NAMED_KEYS: usize = 10;
/// Longest part of a key or name that a message shows, characters.
const SHOWN_CHARS: usize = 120;

/// A fault of a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// More tasks than there are numbers.
    #[error("the graph has more than {} tasks", super::MAX_TASKS)]
    TooManyTasks,
    /// A table does not fit the others.
    #[error("{problem} (table {table})")]
    Layout {
        /// Which table.
        table: &'static str,
        /// What does not fit.
        problem: String,
    },
    /// A key is empty or too long.
    #[error("a key has {nbytes} bytes (task number {})", task.0)]
    KeyLength {
        /// Number of the task.
        task: TaskId,
        /// Length of its key.
        nbytes: usize,
    },
    /// Two tasks have one key.
    #[error("the key {} stands twice (task numbers {} and {})", quoted(key), first.0, second.0)]
    DuplicateKey {
        /// The key.
        key: String,
        /// The task that has it.
        first: TaskId,
        /// The next one.
        second: TaskId,
    },
    /// A dependency names no task.
    #[error("unknown dependency {} (task {}, input {input})", quoted(dependency), quoted(key))]
    UnknownDependency {
        /// The task.
        key: String,
        /// Position among its inputs, from 0.
        input: usize,
        /// The unknown key.
        dependency: String,
        /// The most similar key.
        nearest: Option<String>,
    },
    /// An output names no task.
    #[error("unknown output {} (outputs)", quoted(output))]
    UnknownOutput {
        /// The unknown key.
        output: String,
        /// The most similar key.
        nearest: Option<String>,
    },
    /// A chunk of an array names no task.
    #[error("unknown chunk {} (array {})", quoted(chunk), quoted(array))]
    UnknownChunk {
        /// The array.
        array: String,
        /// The unknown key.
        chunk: String,
        /// The most similar key.
        nearest: Option<String>,
    },
    /// A number that no task has.
    #[error("task number {number} in a graph of {tasks} tasks ({place})")]
    TaskNumber {
        /// Where it stands.
        place: String,
        /// The number.
        number: u32,
        /// How many tasks there are.
        tasks: usize,
    },
    /// Tasks that wait for each other.
    #[error("{}", cycle(keys, *count))]
    Cycle {
        /// The first of the cycle's keys; each needs the next, the last one the first.
        keys: Vec<String>,
        /// How many tasks the cycle has.
        count: usize,
    },
    /// A parameter that no kernel could take.
    #[error("the parameter {} {problem} (task {})", quoted(parameter), quoted(key))]
    Parameter {
        /// The first task with this spec.
        key: String,
        /// The parameter.
        parameter: String,
        /// What is wrong, continuing "the parameter …".
        problem: &'static str,
    },
    /// An attribute that cannot hold.
    #[error("{problem} (task {}, {attribute})", quoted(key))]
    Attribute {
        /// The task.
        key: String,
        /// The attribute.
        attribute: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An array that its chunks cannot make.
    #[error("{problem} (array {})", quoted(array))]
    Array {
        /// The array.
        array: String,
        /// What is wrong.
        problem: String,
    },
    /// The order is no permutation of the tasks.
    #[error("{problem} (order)")]
    Order {
        /// What is wrong.
        problem: String,
    },
}

impl GraphError {
    /// The way out, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownDependency { nearest: Some(nearest), .. }
            | Self::UnknownOutput { nearest: Some(nearest), .. }
            | Self::UnknownChunk { nearest: Some(nearest), .. } => {
                Some(format!("did you mean {}?", quoted(nearest)))
            }
            Self::KeyLength { .. } => {
                Some(format!("a key has 1 to {} bytes", super::MAX_KEY_BYTES))
            }
            Self::DuplicateKey { .. } => Some("give each task a key of its own".to_owned()),
            Self::Cycle { .. } => Some("remove one of these dependencies".to_owned()),
            Self::UnknownDependency { .. }
            | Self::UnknownOutput { .. }
            | Self::UnknownChunk { .. }
            | Self::TooManyTasks
            | Self::Layout { .. }
            | Self::TaskNumber { .. }
            | Self::Parameter { .. }
            | Self::Attribute { .. }
            | Self::Array { .. }
            | Self::Order { .. } => None,
        }
    }
}

/// A name in quotes, on one line, cut after 120 characters.
#[must_use]
pub fn quoted(name: &str) -> String {
    let mut shown = String::from("'");
    let mut chars = name.chars();
    for c in chars.by_ref().take(SHOWN_CHARS) {
        if c == '"' || c == '\'' {
            shown.push(c);
        } else {
            shown.extend(c.escape_debug());
        }
    }
    shown.push('\'');
    let left = chars.count();
    if left > 0 {
        shown.push_str(&format!(" and {left} more characters"));
    }
    shown
}

/// `3 tasks need each other: 'a' needs 'b' needs 'c' needs 'a' (task 'a')`.
fn cycle(keys: &[String], count: usize) -> String {
    let Some(first) = keys.first() else {
        return "tasks need each other".to_owned();
    };
    let first = quoted(first);
    if count == 1 {
        return format!("a task needs itself (task {first})");
    }
    let mut chain: Vec<String> = keys.iter().take(NAMED_KEYS).map(|key| quoted(key)).collect();
    if count > chain.len() {
        chain.push(format!("{} more, the last of which", count - chain.len()));
    }
    let chain = chain.join(" needs ");
    format!("{count} tasks need each other: {chain} needs {first} (task {first})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_names_ten_keys_and_counts_the_rest() {
        let keys: Vec<String> = (0..12).map(|i| format!("t{i}")).collect();
        let error = GraphError::Cycle { keys, count: 12 };
        assert_eq!(
            error.to_string(),
            "12 tasks need each other: 't0' needs 't1' needs 't2' needs 't3' needs 't4' needs 't5' \
             needs 't6' needs 't7' needs 't8' needs 't9' needs 2 more, the last of which needs 't0' \
             (task 't0')"
        );
        let own = GraphError::Cycle { keys: vec!["a".into()], count: 1 };
        assert_eq!(own.to_string(), "a task needs itself (task 'a')");
    }

    #[test]
    fn a_key_cannot_break_the_line() {
        assert_eq!(quoted("a\nb"), "'a\\nb'");
        assert_eq!(quoted("('x', 0)"), "'('x', 0)'");
        let long = "x".repeat(200);
        assert_eq!(quoted(&long), format!("'{}' and 80 more characters", "x".repeat(120)));
    }
}
