//! One place that holds options and settings, and the stack of them.
//!
//! Values are still text here; `parse.rs` gives them their types. Each layer can say where a value
//! stands, for messages.

use super::Flags;
use super::table::{self, LATER, OPTIONS};
use crate::user_error::UserError;
use rdask_core::config::{Config, ConfigError, NAMES};
use rdask_core::nearest::nearest;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a layer stands.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// The command line.
    Flags,
    /// The environment.
    Environment,
    /// A TOML file.
    File(FilePlace),
}

/// A TOML file, and the lines in which its names stand.
#[derive(Clone, Debug, Default)]
pub(super) struct FilePlace {
    pub(super) path: PathBuf,
    pub(super) lines: BTreeMap<String, usize>,
}

impl FilePlace {
    /// The file, and the line where it is known.
    pub(super) fn of(&self, name: &str) -> String {
        match self.lines.get(name) {
            Some(line) => format!("{}, line {line}", self.path.display()),
            None => self.path.display().to_string(),
        }
    }
}

/// One place that holds options.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    origin: Origin,
    options: BTreeMap<&'static str, Vec<String>>,
    settings: Vec<(String, String)>,
}

/// All places, the one that counts most first.
#[derive(Debug)]
pub(super) struct Layers(pub(super) Vec<Layer>);

impl Origin {
    /// Where an option stands.
    pub(super) fn option(&self, name: &str) -> String {
        match self {
            Self::Flags => format!("option --{name}"),
            Self::Environment => format!("environment variable {}", table::environment_name(name)),
            Self::File(file) => format!("'{name}' in {}", file.of(name)),
        }
    }

    /// Where a setting stands.
    pub(super) fn setting(&self, name: &str) -> String {
        match self {
            Self::Flags => "option --set".to_owned(),
            Self::Environment => {
                format!("environment variable {}", rdask_core::config::environment_name(name))
            }
            Self::File(file) => file.of(name),
        }
    }
}

impl Layer {
    /// An empty one.
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, options: BTreeMap::new(), settings: Vec::new() }
    }

    /// The command line's.
    pub(super) fn of_flags(flags: Flags) -> Result<Self, UserError> {
        let mut layer = Self::new(Origin::Flags);
        for (name, values) in flags {
            layer.add_option(name, values)?;
        }
        Ok(layer)
    }

    /// The environment's; an empty variable counts as absent, and one that is no option and has no
    /// `__` belongs to somebody else.
    pub(super) fn of_environment(variables: &BTreeMap<String, String>) -> Result<Self, UserError> {
        let mut layer = Self::new(Origin::Environment);
        for (variable, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            let setting = |name: &str| rdask_core::config::environment_name(name) == *variable;
            if let Some(row) = OPTIONS.iter().find(|row| row.environment_name() == *variable) {
                let separate = row.name == "set";
                let values = if separate {
                    value.split_whitespace().map(str::to_owned).collect()
                } else {
                    vec![value.clone()]
                };
                layer.add_option(row.name, values)?;
            } else if let Some(name) =
                LATER.iter().find(|name| table::environment_name(name) == *variable)
            {
                return Err(later(name, &Origin::Environment));
            } else if let Some(row) = NAMES.iter().find(|row| setting(row.name)) {
                layer.add_setting(row.name, value)?;
            } else if variable.contains("__") {
                let dotted = variable["RDASK_".len()..].to_lowercase();
                layer.add_setting(&dotted.replace("__", ".").replace('_', "-"), value)?;
            }
        }
        Ok(layer)
    }

    /// Takes an option; `--set` becomes settings, and the short names of settings stay options.
    pub(super) fn add_option(
        &mut self,
        name: &'static str,
        values: Vec<String>,
    ) -> Result<(), UserError> {
        if name != "set" {
            self.options.insert(name, values);
            return Ok(());
        }
        for pair in values {
            let (setting, value) = pair.split_once('=').ok_or_else(|| {
                UserError::new(format!("'{pair}' is not NAME=VALUE"), self.origin.option("set"))
                    .help("for example --set scheduler.worker-saturation=inf")
            })?;
            self.add_setting(setting.trim(), value.trim())?;
        }
        Ok(())
    }

    /// Takes a setting after checking it.
    pub(super) fn add_setting(&mut self, name: &str, value: &str) -> Result<(), UserError> {
        check(name, value, &self.origin.setting(name))?;
        self.settings.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The last value of an option.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.last().map(String::as_str)
    }

    /// The origin, for messages.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Notes the line of a name in the file.
    pub(super) fn note_line(&mut self, name: &str, line: usize) {
        if let Origin::File(file) = &mut self.origin {
            file.lines.insert(name.to_owned(), line);
        }
    }

    /// The settings, in the order they were given.
    pub(super) fn settings(&self) -> &[(String, String)] {
        &self.settings
    }
}

impl Layers {
    /// The value that counts, and where it stands.
    pub(super) fn text(&self, name: &str) -> Option<(&str, String)> {
        self.0.iter().find_map(|layer| Some((layer.text(name)?, layer.origin.option(name))))
    }
}

/// A setting must exist and take the value.
pub(super) fn check(name: &str, value: &str, place: &str) -> Result<(), UserError> {
    Config::default().set(name, value).map_err(|error| setting_error(&error, place))
}

fn setting_error(error: &ConfigError, place: &str) -> UserError {
    let fault = UserError::new(error.to_string(), place);
    match error.help() {
        Some(help) => fault.help(help),
        None => fault,
    }
}

/// An option that this version does not have.
pub(super) fn later(name: &str, origin: &Origin) -> UserError {
    UserError::new(format!("option '{name}' comes with a later version"), origin.option(name))
        .help("leave it out; this version has no such feature")
}

/// A name that is neither an option nor a setting.
pub(super) fn unknown(name: &str, origin: &Origin) -> UserError {
    let place = match origin {
        Origin::File(file) => file.of(name),
        Origin::Flags | Origin::Environment => origin.option(name),
    };
    let names = OPTIONS.iter().map(|row| row.name).chain(NAMES.iter().map(|row| row.name));
    let error = UserError::new(format!("unknown option '{name}'"), place);
    match nearest(name, names) {
        Some(name) => error.help(format!("did you mean '{name}'?")),
        None => error.help("`rdask-hpc --help-all` lists options and settings"),
    }
}
