//! A TOML file as a layer: options by name, settings by dotted name or in tables.
//!
//! ```toml
//! output = "results"
//! memory-limit = "4GiB"
//! [scheduler]
//! worker-saturation = inf
//! ```

use super::layer::{Layer, Origin, later, unknown};
use super::table::{self, LATER};
use crate::user_error::UserError;
use rdask_core::config::NAMES;
use std::io::Read;
use std::path::Path;
use toml::{Table, Value};

/// Longest configuration file that is read, bytes: far beyond any real one.
const LIMIT_BYTES: u64 = 1 << 20;

/// The text of a file.
pub(super) fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(LIMIT_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// The layer that a file's text makes.
pub(super) fn parse(text: &str, path: &Path) -> Result<Layer, UserError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        let place = format!("{}, line {line}", path.display());
        UserError::new(format!("not TOML: {}", error.message()), place)
    })?;
    let mut layer = Layer::new(Origin::File(path.to_owned()));
    for (name, value) in &table {
        add(&mut layer, name, value)?;
    }
    Ok(layer)
}

fn add(layer: &mut Layer, name: &str, value: &Value) -> Result<(), UserError> {
    if let Some(row) = table::find(name) {
        if row.name == "config" {
            let place = layer.origin().option(name);
            return Err(UserError::new("a configuration file cannot name another one", place));
        }
        let values = match value {
            Value::Array(items) if row.name == "set" => {
                items.iter().map(|item| text(item, name, layer)).collect::<Result<_, _>>()?
            }
            _ => vec![text(value, name, layer)?],
        };
        return layer.add_option(row.name, values);
    }
    if LATER.contains(&name) {
        return Err(later(name, layer.origin()));
    }
    if let Value::Table(table) = value {
        let prefix = format!("{name}.");
        if !NAMES.iter().any(|row| row.name.starts_with(&prefix)) {
            return Err(unknown(name, layer.origin()));
        }
        for (key, value) in table {
            add(layer, &format!("{prefix}{key}"), value)?;
        }
        return Ok(());
    }
    if name.contains('.') || NAMES.iter().any(|row| row.name == name) {
        let value = text(value, name, layer)?;
        return layer.add_setting(name, &value);
    }
    Err(unknown(name, layer.origin()))
}

/// A value as it would stand on the command line.
fn text(value: &Value, name: &str, layer: &Layer) -> Result<String, UserError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Boolean(truth) => Ok(truth.to_string()),
        Value::Array(_) | Value::Table(_) | Value::Datetime(_) => Err(UserError::new(
            format!("'{name}' takes a string, a number, true or false"),
            layer.origin().option(name),
        )),
    }
}
