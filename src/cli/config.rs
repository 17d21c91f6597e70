//! `rdask-hpc config`: what a run started here with these options would be told, and by whom.

use super::print;
use super::run::RunArgs;
use crate::config::{Source, Surroundings, sources, strange_variables};
use crate::user_error::UserError;
use std::fmt::Write;
use std::process::ExitCode;

/// The options of a run, as if it were started.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    run: RunArgs,
}

/// Prints a line for each option and setting, or with `--json` one array of objects.
pub(super) fn run(args: ConfigArgs) -> anyhow::Result<ExitCode> {
    if let Some(graph) = args.run.graph {
        let what = format!("'{}' is one argument too many", graph.display());
        return Err(UserError::new(what, "").help("`rdask-hpc config` takes no graph").into());
    }
    let json = args.run.flags.contains_key("json");
    let around = Surroundings::of_process()?;
    let sources = sources(args.run.flags, &around)?;
    if json {
        // The switch is for this command, not for the run.
        let shown: Vec<&Source> = sources.iter().filter(|source| !is_own_switch(source)).collect();
        print::data(&serde_json::to_string(&shown)?)?;
    } else {
        print::data(&table(&sources))?;
    }
    if let Some(strange) = strange_variables(&around) {
        print::remark(&strange);
    }
    Ok(ExitCode::SUCCESS)
}

fn is_own_switch(source: &Source) -> bool {
    source.name == "json" && source.from == "flag"
}

/// Aligned columns: name, value, where it comes from.
fn table(sources: &[Source]) -> String {
    let width = |text: fn(&Source) -> &str| {
        sources.iter().map(|source| text(source).chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width(|source| &source.name), width(|source| &source.value));
    let mut text = String::new();
    for Source { name, value, from, place } in sources {
        let place = if place.is_empty() { from } else { place.as_str() };
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{name:names$}  {value:values$}  {place}");
    }
    text
}
