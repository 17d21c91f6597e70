//! Environment variables that look like ours and are not: most likely mistyped.
//!
//! Other programs may have variables that begin with `RDASK_`, so that a run goes on; a name that is
//! near to one of ours is warned of.

use super::Surroundings;
use super::table::{LATER, OPTIONS, environment_name};
use rdask_core::config::NAMES;
use rdask_core::nearest::nearest;

/// Variables that are ours and no options: what the launcher, the supervisors, commands as tasks
/// and clients use.
const OTHERS: [&str; 6] = [
    "RDASK_JOB_ID",
    "RDASK_MPI_SHIM",
    "RDASK_CWD",
    "RDASK_KEY",
    "RDASK_SCHEDULER",
    "RDASK_SECRET_FILE",
];
/// Variables that one warning names.
const SHOWN: usize = 10;

/// Without the prefix that all share, which would make everything near to everything.
fn bare(variable: &str) -> &str {
    variable.strip_prefix("RDASK_").unwrap_or(variable)
}

/// One sentence about the variables that are probably mistyped; none when there are none.
#[must_use]
pub fn strange_variables(surroundings: &Surroundings) -> Option<String> {
    let options = OPTIONS.iter().map(|row| row.environment_name());
    let settings = NAMES.iter().map(|row| rdask_core::config::environment_name(row.name));
    let later = LATER.iter().map(|name| environment_name(name));
    let others = OTHERS.iter().map(|name| (*name).to_owned());
    let known: Vec<String> = options.chain(settings).chain(later).chain(others).collect();
    let strange: Vec<String> = surroundings
        .variables
        .keys()
        .filter(|variable| !known.contains(variable))
        .filter_map(|variable| {
            let near = nearest(bare(variable), known.iter().map(|name| bare(name)))?;
            Some(format!("{variable} (did you mean RDASK_{near}?)"))
        })
        .collect();
    let more = strange.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = strange.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    (!strange.is_empty())
        .then(|| format!("environment variables that mean nothing here: {names}{more}"))
}
