//! Run options from all places that may hold them, the nearest first:
//!
//! ```text
//!   flag ─▶ RDASK_<NAME> ─▶ --config FILE ─▶ ~/.config/rdask-hpc.toml ─▶ /etc/rdask-hpc.toml ─▶ default
//! ```
//!
//! Here alone, and in the launcher's `env.rs`, the program reads its environment. An unknown name,
//! wherever it stands, is an error that tells the nearest one; nothing is ignored.

mod file;
mod layer;
mod options;
mod parse;
pub(crate) mod table;

pub use options::{Bind, Bootstrap, Fsync, MemoryLimit, Progress, Rank0, RunOptions};

use crate::user_error::UserError;
use layer::{Layer, Layers};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The site's file, the last one asked.
pub const SITE_FILE: &str = "/etc/rdask-hpc.toml";
/// The user's file, below the home folder.
pub const USER_FILE: &str = ".config/rdask-hpc.toml";

/// Options given on the command line, by name; switches hold `true`.
pub type Flags = BTreeMap<&'static str, Vec<String>>;

/// What surrounds the process and may hold options.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Environment variables whose names begin with `RDASK_`.
    pub variables: BTreeMap<String, String>,
    /// The user's file, when there is a home folder. It need not exist.
    pub user_file: Option<PathBuf>,
    /// The site's file. It need not exist.
    pub site_file: PathBuf,
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
        let user_file = std::env::home_dir().map(|home| home.join(USER_FILE));
        Ok(Self { variables, user_file, site_file: SITE_FILE.into(), working_directory })
    }
}

/// Puts the layers together.
///
/// # Errors
/// The first unknown name or bad value, with its place.
pub fn resolve(flags: Flags, surroundings: &Surroundings) -> Result<RunOptions, UserError> {
    let flags = Layer::of_flags(flags)?;
    let environment = Layer::of_environment(&surroundings.variables)?;
    let named = flags.text("config").or_else(|| environment.text("config")).map(PathBuf::from);
    let mut layers = vec![flags, environment];
    if let Some(path) = named {
        let path = surroundings.working_directory.join(path);
        let text = file::read(&path).map_err(|error| unreadable(&error, &path))?;
        layers.push(file::parse(&text, &path)?);
    }
    for path in surroundings.user_file.iter().chain([&surroundings.site_file]) {
        if let Some(text) = optional(path)? {
            layers.push(file::parse(&text, path)?);
        }
    }
    parse::options(&Layers(layers), &surroundings.working_directory)
}

/// A file that need not be there.
fn optional(path: &Path) -> Result<Option<String>, UserError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    match file::read(path) {
        Ok(text) => Ok(Some(text)),
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
