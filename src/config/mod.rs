//! Run options from all places that may hold them, the nearest first:
//!
//! ```text
//!   flag ─▶ RDASK_<NAME> ─▶ --config FILE ─▶ ~/.config/rdask-hpc.toml ─▶ /etc/rdask-hpc.toml ─▶ default
//! ```
//!
//! Here alone, and in the launcher's `env.rs`, the program reads its environment. An unknown name
//! in a flag or file is an error that tells the nearest one. An unknown variable may be another
//! program's: one that is nearly ours is warned of.

mod file;
mod layer;
mod options;
mod parse;
mod source;
mod strange;
pub(crate) mod table;

pub use options::{Bind, Bootstrap, Fsync, MemoryLimit, Progress, Rank0, RunOptions};

pub use source::Source;
pub use strange::strange_variables;

use crate::user_error::UserError;
use layer::{Layer, Layers};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The site's file, the last one asked.
pub const SITE_FILE: &str = "/etc/rdask-hpc.toml";
/// The user's file, in `$XDG_CONFIG_HOME` or `.config` below the home folder.
pub const USER_FILE: &str = "rdask-hpc.toml";

/// Options given on the command line, by name; switches hold `true`.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

/// What surrounds the process and may hold options.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Environment variables whose names begin with `RDASK_`.
    pub variables: BTreeMap<String, String>,
    /// The user's file, when there is a home folder. It need not exist.
    pub user_file: Option<PathBuf>,
    /// The site's file, if any is asked. It need not exist.
    pub site_file: Option<PathBuf>,
    /// Relative paths refer to it.
    pub working_directory: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn of_process() -> Result<Self, UserError> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with("RDASK_"))
            .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
            .collect();
        let working_directory = std::env::current_dir()
            .map_err(|error| UserError::new("the working directory is gone", error.to_string()))?;
        let user_file = user_folder().map(|folder| folder.join(USER_FILE));
        Ok(Self { variables, user_file, site_file: Some(SITE_FILE.into()), working_directory })
    }
}

impl Surroundings {
    /// None of them: what the flags say alone.
    #[must_use]
    pub fn bare(&self) -> Self {
        Self {
            variables: BTreeMap::new(),
            user_file: None,
            site_file: None,
            working_directory: self.working_directory.clone(),
        }
    }
}

/// The user's folder for settings: an `XDG_CONFIG_HOME` that is relative counts as none, as its
/// specification says.
fn user_folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    named
        .filter(|folder| folder.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")))
}

/// Puts the layers together.
///
/// # Errors
/// The first unknown name or bad value, with its place.
pub fn resolve(flags: Flags, surroundings: &Surroundings) -> Result<RunOptions, UserError> {
    parse::options(&layers(flags, surroundings)?, &surroundings.working_directory)
}

/// Every option and setting with the value that counts and where it comes from.
///
/// # Errors
/// As `resolve`.
pub fn sources(flags: Flags, surroundings: &Surroundings) -> Result<Vec<Source>, UserError> {
    let layers = layers(flags, surroundings)?;
    parse::options(&layers, &surroundings.working_directory)?;
    Ok(source::all(&layers))
}

/// The launcher that the user names, wherever a faulty configuration still tells it.
#[must_use]
pub fn launcher_wish(flags: &Flags, surroundings: &Surroundings) -> Option<String> {
    let flag = flags.get("launcher").and_then(|values| values.last());
    let variable = || surroundings.variables.get("RDASK_LAUNCHER").filter(|it| !it.is_empty());
    flag.or_else(variable).cloned()
}

fn layers(flags: Flags, surroundings: &Surroundings) -> Result<Layers, UserError> {
    let flags = Layer::of_flags(flags)?;
    let environment = Layer::of_environment(&surroundings.variables)?;
    let named = flags.text("config").or_else(|| environment.text("config")).map(PathBuf::from);
    let mut layers = vec![flags, environment];
    if let Some(path) = named {
        let path = surroundings.working_directory.join(path);
        let bytes = file::read(&path).map_err(|error| unreadable(&error, &path))?;
        layers.push(file::parse(&bytes, &path)?);
    }
    for path in surroundings.user_file.iter().chain(&surroundings.site_file) {
        if let Some(bytes) = optional(path)? {
            layers.push(file::parse(&bytes, path)?);
        }
    }
    Ok(Layers(layers))
}

/// A file that need not be there.
fn optional(path: &Path) -> Result<Option<Vec<u8>>, UserError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match file::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        Err(error) => Err(unreadable(&error, path)),
    }
}

fn unreadable(error: &std::io::Error, path: &Path) -> UserError {
    let what = format!("cannot read the configuration file: {error}");
    UserError::new(what, path.display().to_string())
}

#[cfg(test)]
mod tests;
