//! Where each value comes from: what `rdask-hpc config` shows.
//!
//! One row for each option and setting, also those that nobody set.

use super::layer::{Layers, Origin};
use super::parse::SHORT_NAMES;
use super::table::OPTIONS;
use rdask_core::config::{Config, NAMES};
use serde::Serialize;

/// An option or a setting with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// The value that counts, as text; empty: off, or decided at the start of a run.
    pub value: String,
    /// `flag`, `environment`, `file` or `default`.
    pub from: &'static str,
    /// The option, the variable, or the file with its line; empty for a default.
    pub place: String,
}

/// Of all options in the order of the help, then of all settings.
pub(super) fn all(layers: &Layers) -> Vec<Source> {
    let options = OPTIONS.iter().filter(|row| !matches!(row.name, "config" | "set"));
    let options = options.map(|row| option(layers, row.name, row.default));
    let defaults = Config::default();
    let settings = NAMES.iter().map(|row| {
        let default = defaults.value(row.name).unwrap_or_default();
        setting(layers, row.name, &default)
    });
    options.chain(settings).collect()
}

fn option(layers: &Layers, name: &str, default: &str) -> Source {
    let found = layers.0.iter().find_map(|layer| Some((layer.text(name)?, layer.origin())));
    match found {
        Some((value, origin)) => told(name, value, origin, origin.option(name)),
        None => unset(name, default),
    }
}

/// Within a layer the later of two wins, and a setting by its full name over its short name.
fn setting(layers: &Layers, name: &str, default: &str) -> Source {
    let short = SHORT_NAMES.iter().find(|(_, setting)| *setting == name).map(|(option, _)| *option);
    for layer in &layers.0 {
        let origin = layer.origin();
        if let Some((_, value)) = layer.settings().iter().rev().find(|(it, _)| it == name) {
            return told(name, value, origin, origin.setting(name));
        }
        if let Some((option, value)) = short.and_then(|it| Some((it, layer.text(it)?))) {
            return told(name, value, origin, origin.option(option));
        }
    }
    unset(name, default)
}

fn told(name: &str, value: &str, origin: &Origin, place: String) -> Source {
    let from = match origin {
        Origin::Flags => "flag",
        Origin::Environment => "environment",
        Origin::File(_) => "file",
    };
    Source { name: name.to_owned(), value: value.to_owned(), from, place }
}

fn unset(name: &str, default: &str) -> Source {
    let (name, value) = (name.to_owned(), default.to_owned());
    Source { name, value, from: "default", place: String::new() }
}
