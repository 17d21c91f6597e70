//! What the README shows works: its graph runs and ends with the line that it promises, and the
//! files that it names exist, and every line of a shell that begins with `rdask-hpc` ends well. Its
//! Rust code runs as a test of the documentation.

use crate::support::graphs::Case;
use crate::support::{Launcher, Start};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_graph_of_the_readme_runs_and_gives_what_is_said() {
    let text = readme();
    let (_, rest) = text.split_once("```json\n").unwrap();
    let (graph, after) = rest.split_once("```").unwrap();
    let case = Case::new(&serde_json::from_str(graph).unwrap());
    let mut args = case.args();
    args.retain(|argument| argument != "--json");
    let outcome = Start::new(Launcher::Local).args(args).finish().expect_code(0);
    assert_eq!(case.files(), ["manifest.json", "mean.npy", "y.npy"]);
    let begin = "5 tasks, 2 outputs, ";
    assert!(after.contains(begin), "the README shows another summary");
    assert!(outcome.last_line().starts_with(begin), "{outcome}");
}

#[test]
fn every_command_of_the_readme_works_in_its_order() {
    let text = readme();
    let shells = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines: Vec<&str> =
        shells.flat_map(str::lines).filter(|line| line.starts_with("rdask-hpc ")).collect();
    for word in ["doctor", "topology", "config", "completions", "sweep", "logs"] {
        assert!(lines.iter().any(|line| line.split(' ').nth(1) == Some(word)), "no {word}");
    }

    // What the reader has: the graph, a list of cases, a program, and a place for completions.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (_, rest) = text.split_once("```json\n").unwrap();
    fs::write(path("graph.json"), rest.split("```").next().unwrap()).unwrap();
    fs::write(path("cases.txt"), "calm\n").unwrap();
    fs::write(path("model"), "#!/bin/sh\necho \"$@\" >&2\n").unwrap();
    fs::set_permissions(path("model"), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(path(".local/share/bash-completion/completions")).unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_rdask-hpc")).parent().unwrap();
    let search = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    for line in lines {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(folder.path()).env_clear();
        shell.env("PATH", &search).env("HOME", folder.path());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "$ {line}\n{output:?}");
        if line.starts_with("rdask-hpc logs") {
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(said.contains("--case calm --seed 7"), "{said}");
        }
    }
    assert!(path("results/mean.npy").exists());
    assert_ne!(fs::read_dir(path(".local/share/bash-completion/completions")).unwrap().count(), 0);
}

#[test]
fn every_link_of_the_readme_leads_somewhere() {
    let text = readme();
    let links: Vec<&str> =
        text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 4, "{links:?}");
    for link in links {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}
