//! A TOML file as a layer: options by name, settings by dotted name or in tables.
//!
//! ```toml
//! output = "results"
//! memory-limit = "4GiB"
//! [scheduler]
//! worker-saturation = inf
//! ```

use super::layer::{FilePlace, Layer, Origin, later, unknown};
use super::table::{self, LATER};
use crate::user_error::UserError;
use rdask_core::config::{NAMES, REFUSED};
use std::io::{Error, ErrorKind, Read};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Longest configuration file, bytes: far beyond any real one.
const LIMIT_BYTES: u64 = 1 << 20;

/// The bytes of a file.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(Error::new(ErrorKind::FileTooLarge, "it is longer than 1 MiB"));
    }
    Ok(bytes)
}

/// The layer that a file makes.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Layer, UserError> {
    let line_of =
        |at: usize| bytes[..at.min(bytes.len())].iter().filter(|b| **b == b'\n').count() + 1;
    let place = |at: usize| format!("{}, line {}", path.display(), line_of(at));
    let text = std::str::from_utf8(bytes)
        .map_err(|error| UserError::new("the file is not UTF-8", place(error.valid_up_to())))?;
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        UserError::new(format!("not TOML: {}", error.message()), place(at))
    })?;
    let file = FilePlace { path: path.to_owned(), ..FilePlace::default() };
    let mut layer = Layer::new(Origin::File(file));
    add_all(&mut layer, "", table.get_ref(), &line_of)?;
    Ok(layer)
}

type Entry<'a> = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>);

/// Adds a table in the order of its lines, so that the first fault of the file is told.
fn add_all(
    layer: &mut Layer,
    prefix: &str,
    table: &DeTable<'_>,
    line_of: &impl Fn(usize) -> usize,
) -> Result<(), UserError> {
    let mut entries: Vec<Entry<'_>> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let name = format!("{prefix}{}", key.get_ref());
        layer.note_line(&name, line_of(key.span().start));
        match value.get_ref() {
            DeValue::Table(table) if table::find(&name).is_none() => {
                let prefix = format!("{name}.");
                if LATER.contains(&&*name) {
                    return Err(later(&name, layer.origin()));
                }
                let refused = REFUSED.iter().map(|(name, _)| *name);
                let mut names = NAMES.iter().map(|row| row.name).chain(refused);
                if !names.any(|name| name.starts_with(&prefix)) {
                    return Err(unknown(&name, layer.origin()));
                }
                add_all(layer, &prefix, table, line_of)?;
            }
            value => add(layer, &name, value)?,
        }
    }
    Ok(())
}

fn add(layer: &mut Layer, name: &str, value: &DeValue<'_>) -> Result<(), UserError> {
    if let Some(row) = table::find(name) {
        if row.name == "config" {
            let place = layer.origin().option(name);
            return Err(UserError::new("a configuration file cannot name another one", place));
        }
        let values = match value {
            DeValue::Array(items) if row.name == "set" => items
                .iter()
                .map(|item| text(item.get_ref(), name, layer))
                .collect::<Result<_, _>>()?,
            _ => vec![text(value, name, layer)?],
        };
        return layer.add_option(row.name, values);
    }
    if LATER.contains(&name) {
        return Err(later(name, layer.origin()));
    }
    if name.contains('.') || NAMES.iter().any(|row| row.name == name) {
        let value = text(value, name, layer)?;
        return layer.add_setting(name, &value);
    }
    Err(unknown(name, layer.origin()))
}

/// A value as it would stand on the command line. Numbers are read as TOML has them, with
/// underscores and bases.
fn text(value: &DeValue<'_>, name: &str, layer: &Layer) -> Result<String, UserError> {
    let wrong =
        |what: &str| UserError::new(format!("'{name}' {what}"), layer.origin().option(name));
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| wrong("is a number out of range")),
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map(|number| number.to_string())
            .map_err(|_| wrong("is a number out of range")),
        DeValue::Boolean(truth) => Ok(truth.to_string()),
        DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_) => {
            Err(wrong("takes a string, a number, true or false"))
        }
    }
}
