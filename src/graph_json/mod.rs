//! The JSON form of a graph: for programs without our library, and for eyes.
//!
//! ```text
//!   text ─▶ stream ─▶ import, arrays ─▶ GraphBuilder ─▶ Graph ─▶ export ─▶ text
//! ```
//!
//! Reading goes task by task into the builder; no tree of JSON values is made. What can be skipped
//! over is, so that one reading finds all faults, each with its path, line and column. Nothing is
//! ignored: a field that is not known is a fault. `import(export(g)) == g` for every checked graph.

mod arrays;
mod command;
mod decimal;
mod export;
mod import;
mod params;
mod stream;
#[cfg(test)]
mod tests;

pub use export::export;
pub(crate) use import::import_parts;
pub use import::{import, import_from};
pub(crate) use params::ObjectToJson;

use serde_json::value::RawValue;

/// The version of the JSON form that is written and read.
pub const JSON_VERSION: u64 = 1;

/// One thing that is wrong with a graph in JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} ({}line {line} column {column})", place(path))]
pub struct JsonFault {
    /// What is wrong.
    pub problem: String,
    /// Where, `tasks[17].retries` for example; empty for the whole.
    pub path: String,
    /// Line, from 1.
    pub line: usize,
    /// Byte in the line, from 1.
    pub column: usize,
    /// The way out, where there is one.
    pub help: Option<String>,
}

fn place(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}, ") }
}

/// A JSON object without the white space between its words.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn compact_object(text: &str) -> Result<String, String> {
    let value: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let value = value.get();
    if !value.starts_with('{') {
        return Err("it is no JSON object".to_owned());
    }
    let mut compact = String::with_capacity(value.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in value.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        compact.push(c);
    }
    Ok(compact)
}
