//! docs/cli.md as the definitions make it: a test holds the file against this text.

use super::Cli;
use crate::config::table::{Kind, OPTIONS};
use clap::{Command, CommandFactory};
use rdask_core::config::{Config, NAMES, environment_name};

/// The whole document.
fn text() -> String {
    let mut lines = vec![
        "# The command line".to_owned(),
        String::new(),
        "A test makes this page from the definitions of the commands and compares.".to_owned(),
        String::new(),
        "## Commands".to_owned(),
        String::new(),
        "| command | what it does |".to_owned(),
        "| --- | --- |".to_owned(),
        "| `rdask-hpc [RUN OPTIONS] GRAPH` | the same as `rdask-hpc run` |".to_owned(),
    ];
    commands(&Cli::command(), "rdask-hpc", &mut lines);
    lines.extend(
        [
            "",
            "`GRAPH` is a graph.bin, a `.json` file, or `-` for the standard input.",
            "",
            "## Options of a run",
            "",
            "An option is taken from its flag, its environment variable, the `--config` file,",
            "`~/.config/rdask-hpc.toml` or `/etc/rdask-hpc.toml`, whichever says it first. In a file",
            "its name stands without dashes: `memory-limit = \"4GiB\"`. Rare options are shown by",
            "`--help-all` only. With `XDG_CONFIG_HOME` the user's file is",
            "`$XDG_CONFIG_HOME/rdask-hpc.toml`. `rdask-hpc config` shows each value and its place.",
        ]
        .map(str::to_owned),
    );
    let mut group = "";
    for row in OPTIONS {
        if row.group != group {
            group = row.group;
            lines.extend([String::new(), format!("### {group}"), String::new()]);
            lines.push("| option | environment | default | what it does |".to_owned());
            lines.push("| --- | --- | --- | --- |".to_owned());
        }
        let value = match row.kind {
            Kind::Switch => String::new(),
            Kind::Value(name) | Kind::List(name) => format!(" {}", cell(name)),
            Kind::Choice(words) => format!(" {}", words.join("\\|")),
        };
        let default = if row.default.is_empty() { String::new() } else { code(row.default) };
        let help = row.help.split(" [default:").next().unwrap_or(row.help);
        lines.push(format!(
            "| `--{}{value}` | `{}` | {default} | {}{} |",
            row.name,
            row.environment_name(),
            cell(help),
            if row.rare { " (rare)" } else { "" }
        ));
    }
    settings(&mut lines);
    lines.push(String::new());
    lines.join("\n")
}

/// A row for each command that is shown, commands within commands behind their parent.
fn commands(parent: &Command, path: &str, lines: &mut Vec<String>) {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            commands(command, &path, lines);
            continue;
        }
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        lines.push(format!("| `{path}` | {} |", cell(&about)));
    }
}

fn settings(lines: &mut Vec<String>) {
    let intro = [
        "",
        "## Settings",
        "",
        "Each is `--set NAME=VALUE`, its environment variable, or a key of a file: the part before",
        "the point names the table, as in `[scheduler]` and `worker-saturation = inf`. A duration is",
        "`30s`, `150ms`, `5min`, or a number of seconds; a size is `50MB`, `1KiB`, or a number of",
        "bytes.",
        "",
        "| setting | environment | value | default | what it does |",
        "| --- | --- | --- | --- | --- |",
    ];
    lines.extend(intro.map(str::to_owned));
    let defaults = Config::default();
    for setting in NAMES {
        let default = defaults.value(setting.name).unwrap_or_default();
        let default = if default.is_empty() { String::new() } else { code(&default) };
        lines.push(format!(
            "| `{}` | `{}` | {} | {default} | {} |",
            setting.name,
            environment_name(setting.name),
            setting.unit.name(),
            setting.sentence
        ));
    }
}

/// A text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn the_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    let expected = text();
    let found = std::fs::read_to_string(path).unwrap_or_default();
    if found != expected {
        std::fs::write(format!("{path}.new"), &expected).unwrap();
        panic!("docs/cli.md is not what the definitions make; docs/cli.md.new is: move it there");
    }
}
