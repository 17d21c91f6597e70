//! The command line through the real binary: streams and exit codes.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdask-hpc"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RDASK_") {
            command.env_remove(name);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    command.args(arguments).current_dir(folder.path()).env("HOME", folder.path());
    command.output().unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: "), "{text}");
    text
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [
        &["--help"][..],
        &["--help-all"],
        &["--version"],
        &["-V"],
        &["run", "--help"],
        &["graph", "--help"],
        &["graph", "info", "--help"],
        &["topology", "--help"],
        &["help", "graph"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{arguments:?}");
    }
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    assert!(version.starts_with(concat!("rdask-hpc ", env!("CARGO_PKG_VERSION"), "\ncommit: ")));
}

#[test]
fn mistakes_are_named_on_stderr_with_exit_code_2() {
    insta::assert_snapshot!(
        [
            &[][..],
            &["--wrokers", "2", "graph.bin"],
            &["--workers"],
            &["grph"],
            &["graph"],
            &["graph", "impotr", "a", "-o", "b"],
            &["graph", "import", "a.json"],
            &["--set", "scheduler.worker-saturatoin=2", "graph.bin"],
            &["--set", "scheduler.worker-ttl", "graph.bin"],
            &["--set", "log-length=many", "graph.bin"],
            &["--workers", "0", "graph.bin"],
            &["--bind", "socket", "graph.bin"],
            &["--memory-limit", "lots", "graph.bin"],
            &["--resources", "GPU", "graph.bin"],
            &["--log", "rdask=loud", "graph.bin"],
            &["--config", "none.toml", "graph.bin"],
            &["--checkpoint", "dir", "graph.bin"],
            &["--walltime=60", "graph.bin"],
            &["serve"],
            &["graph", "generate", "cholesky"],
        ]
        .map(|arguments| {
            let text = refused(arguments);
            // The place of a configuration file is a folder that this test made.
            let text = match (text.find("/tmp/"), text.find("/none.toml")) {
                (Some(start), Some(end)) => format!("{}FOLDER{}", &text[..start], &text[end..]),
                _ => text,
            };
            format!("$ rdask-hpc {}\n{text}", arguments.join(" "))
        })
        .join("\n")
    );
}
