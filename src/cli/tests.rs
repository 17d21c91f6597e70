//! What the command line accepts, refuses and shows.

use super::*;
use std::process::ExitCode;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    let words = std::iter::once("rdask-hpc").chain(line.split_whitespace());
    Cli::try_parse_from(words)
}

fn code(line: &str) -> ExitCode {
    main(std::iter::once("rdask-hpc").chain(line.split_whitespace()).map(OsString::from), None)
}

fn help(name: &str) -> String {
    let mut command = Cli::command();
    command.build();
    let mut part = &mut command;
    for word in name.split_whitespace() {
        part = part.find_subcommand_mut(word).unwrap();
    }
    part.clone().term_width(100).render_help().to_string()
}

#[test]
fn clap_finds_no_fault_with_the_definitions() {
    Cli::command().debug_assert();
}

#[test]
fn run_is_the_default_command() {
    let short = parse("--workers 2 --set a=1 --set b=2 --json graph.bin").unwrap();
    assert!(short.command.is_none());
    let Some(Command::Run(long)) =
        parse("run --workers 2 --set a=1 --set b=2 --json graph.bin").unwrap().command
    else {
        panic!("not a run")
    };
    for args in [short.run, long] {
        assert_eq!(args.graph.unwrap().to_str(), Some("graph.bin"));
        assert_eq!(args.flags["workers"], ["2"]);
        assert_eq!(args.flags["set"], ["a=1", "b=2"]);
        assert_eq!(args.flags["json"], ["true"]);
        assert_eq!(args.flags.len(), 3);
    }
}

#[test]
fn stdin_is_a_graph() {
    assert_eq!(parse("-").unwrap().run.graph.unwrap().to_str(), Some("-"));
}

#[test]
fn mistyped_options_get_a_suggestion() {
    let error = parse("--wrokers 2 graph.bin").unwrap_err().to_string();
    assert!(error.contains("--wrokers") && error.contains("'--workers'"), "{error}");
    let error = parse("graph impotr x -o y").unwrap_err().to_string();
    assert!(error.contains("'import'"), "{error}");
    assert_eq!(code("--wrokers 2 graph.bin"), ExitCode::from(2));
}

#[test]
fn later_options_and_commands_are_refused_by_name() {
    for line in
        ["--checkpoint dir graph.bin", "--walltime=60 graph.bin", "run --native graph.bin", "serve"]
    {
        let words: Vec<OsString> =
            std::iter::once("rdask-hpc").chain(line.split_whitespace()).map(Into::into).collect();
        let error = later::refuse(&words).unwrap_err().to_string();
        assert!(error.contains("comes with a later version"), "{error}");
        assert_eq!(code(line), ExitCode::from(2), "{line}");
    }
    let fine = ["rdask-hpc", "--", "--checkpoint"].map(OsString::from);
    assert!(later::refuse(&fine).is_ok());
}

#[test]
fn later_options_are_not_in_any_help() {
    let all = help::all(Cli::command());
    for name in crate::config::table::LATER {
        assert!(!all.contains(&format!("--{name} ")), "{name}");
        assert!(!all.contains(&format!("--{name}\n")), "{name}");
    }
    assert!(!help("").contains("--fsync") && all.contains("--fsync"));
    assert!(all.contains("scheduler.worker-saturation"));
}

#[test]
fn mistakes_are_exit_2() {
    for line in ["", "grph", "--workers 0 graph.bin", "--set nonsense=1 graph.bin", "graph"] {
        assert_eq!(code(line), ExitCode::from(2), "{line}");
    }
    for line in ["--version", "-V", "--help-all", "run --help"] {
        assert_eq!(code(line), ExitCode::SUCCESS, "{line}");
    }
}

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(help(""));
}

#[test]
fn help_of_run() {
    insta::assert_snapshot!(help("run"));
}

#[test]
fn help_of_graph() {
    let parts =
        ["graph", "graph import", "graph export", "graph info", "graph validate", "graph dot"];
    insta::assert_snapshot!(parts.map(help).join("\n----\n"));
}

#[test]
fn help_of_doctor() {
    insta::assert_snapshot!(help("doctor"));
}

#[test]
fn help_of_config_and_completions() {
    insta::assert_snapshot!(["config", "completions"].map(help).join("\n----\n"));
}

#[test]
fn help_of_simulate_and_replay() {
    insta::assert_snapshot!(["simulate", "replay"].map(help).join("\n----\n"));
}

#[test]
fn help_of_graph_generate() {
    insta::assert_snapshot!(help("graph generate"));
}

#[test]
fn help_of_sweep_and_logs() {
    // The options of a run stand behind those of the sweep, as in `help_of_run`.
    let sweep = help("sweep");
    let (own, options) = sweep.split_once("\nOutput:\n").unwrap();
    let (_, examples) = options.split_once("\nVALUES is").unwrap();
    let logs = help("logs");
    insta::assert_snapshot!(format!("{own}\n…\nVALUES is{examples}\n----\n{logs}"));
}

#[test]
fn help_of_all_options_and_settings() {
    insta::assert_snapshot!(help::all(Cli::command().term_width(100)));
}
