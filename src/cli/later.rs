//! Options and commands that later versions bring: refused by name, never ignored, never in help.

use crate::config::table::{LATER, LATER_COMMANDS};
use crate::user_error::UserError;
use std::ffi::OsString;
use std::path::Path;

/// Looks through the arguments before clap does.
pub(super) fn refuse(arguments: &[OsString]) -> Result<(), UserError> {
    let texts: Vec<&str> = arguments
        .iter()
        .skip(1)
        .map_while(|text| text.to_str())
        .take_while(|it| *it != "--")
        .collect();
    if let Some(first) = texts.first()
        && LATER_COMMANDS.contains(first)
        && !Path::new(first).exists()
    {
        return Err(sentence(&format!("the command '{first}'")));
    }
    for text in texts {
        let Some(option) = text.strip_prefix("--") else { continue };
        let name = option.split('=').next().unwrap_or(option);
        if LATER.contains(&name) {
            return Err(sentence(&format!("the option '--{name}'")));
        }
    }
    Ok(())
}

fn sentence(what: &str) -> UserError {
    UserError::new(format!("{what} comes with a later version"), "")
        .help("`rdask-hpc --help` lists what this version has")
}
