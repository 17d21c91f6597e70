//! The command line through the real binary: streams and exit codes.

use std::process::{Command, Output};

/// The binary without variables of ours.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdask-hpc"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RDASK_") {
            command.env_remove(name);
        }
    }
    command.env_remove("XDG_CONFIG_HOME");
    command
}

fn run(arguments: &[&str]) -> Output {
    let mut command = binary();
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
        &["config", "--help"],
        &["completions", "--help"],
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
fn only_rank_0_talks() {
    for (rank, code) in [("0", 2), ("1", 0)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdask-hpc"));
        command.args(["--workers", "0", "graph.bin"]).env("OMPI_COMM_WORLD_RANK", rank);
        let names = ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE"];
        let output = command.envs(names.map(|name| (name, "2"))).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "rank {rank}");
        assert_eq!(output.stderr.is_empty(), code == 0, "rank {rank}");
    }
}

const MISTAKES: &[&[&str]] = &[
    &[],
    &["--wrokers", "2", "graph.bin"],
    &["--workers"],
    &["grph"],
    &["graph"],
    &["graph", "impotr", "a", "-o", "b"],
    &["graph", "import", "a.json"],
    &["graph", "info", "none.bin"],
    &["graph", "dot", ".", "-o", "b"],
    &["graph", "validate", "none.json"],
    &["--set", "scheduler.worker-saturatoin=2", "graph.bin"],
    &["--set", "scheduler.worker-ttl", "graph.bin"],
    &["--set", "log-length=many", "graph.bin"],
    &["--workers", "0", "graph.bin"],
    &["--bind", "socket", "graph.bin"],
    &["--memory-limit", "lots", "graph.bin"],
    &["--resources", "GPU", "graph.bin"],
    &["--log", "rdask=loud", "graph.bin"],
    &["--config", "/none/none.toml", "graph.bin"],
    &["--checkpoint", "dir", "graph.bin"],
    &["--walltime=60", "graph.bin"],
    &["serve"],
    &["graph", "generate", "cholesky"],
    &["config", "graph.bin"],
    &["config", "--wrokers", "2"],
    &["completions"],
    &["completions", "ksh"],
];

#[test]
fn mistakes_are_named_on_stderr_with_exit_code_2() {
    let lines: Vec<String> = MISTAKES
        .iter()
        .map(|arguments| format!("$ rdask-hpc {}\n{}", arguments.join(" "), refused(arguments)))
        .collect();
    let text = lines.join("\n");
    insta::assert_snapshot!(text);
}

const GRAPH: &str = r#"{"version": 1, "tasks": [
    {"key": "x", "run": {"kernel": "full", "shape": [4], "dtype": "f64", "value": 1}},
    {"key": "y", "run": {"kernel": "sum"}, "deps": ["x"]}], "outputs": ["y"]}"#;

#[test]
fn graphs_go_from_json_to_bin_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("g.json"), GRAPH).unwrap();
    let ok = |arguments: &[&str]| {
        let output = run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        output.stdout
    };
    ok(&["graph", "import", &path("g.json"), "-o", &path("g.bin")]);
    ok(&["graph", "export", &path("g.bin"), "-o", &path("h.json")]);
    ok(&["graph", "import", &path("h.json"), "-o", &path("h.bin")]);
    let [first, second] = ["g.bin", "h.bin"].map(|name| std::fs::read(path(name)).unwrap());
    assert_eq!(first, second);
    let text = ok(&["graph", "export", &path("g.bin"), "-o", "-"]);
    assert_eq!(text, std::fs::read(path("h.json")).unwrap());
    let dot = String::from_utf8(ok(&["graph", "dot", &path("g.json")])).unwrap();
    assert!(dot.starts_with("digraph") && dot.contains("->"), "{dot}");
    let info = ok(&["graph", "info", &path("g.bin"), "--json"]);
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    crate::support::schema::assert_fits("info", &info);
    assert_eq!((&info["tasks"], &info["edges"]), (&2.into(), &1.into()));
    assert!(!ok(&["graph", "info", &path("g.bin")]).is_empty());
}

#[test]
fn the_plan_fits_its_schema() {
    for arguments in [
        &["topology", "--json", "--synthetic", "pack:2 numa:2 core:8 pu:2", "--ranks", "5"][..],
        &["topology", "--json", "--synthetic", "core:2", "--scheduler-here", "no", "--ranks", "1"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        let plan = serde_json::from_slice(&output.stdout).unwrap();
        crate::support::schema::assert_fits("topology", &plan);
    }
}

#[test]
fn each_fault_of_a_graph_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("g.json");
    std::fs::write(&path, GRAPH.replace("[\"x\"]", "[\"z\"]").replace("[\"y\"]", "[\"w\"]"))
        .unwrap();
    let output = run(&["graph", "validate", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.iter().any(|line| line.contains("'z'")), "{text}");
    assert!(errors.iter().any(|line| line.contains("'w'")), "{text}");
}
