//! The build on machines that lack things: what is left out is said, and nothing fails.
//!
//! A folder of links stands in for /usr/bin, without the tools that a machine may not have.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::oracle::target_dir;

/// Links to every program in PATH whose name none of `hidden` begins.
fn programs_without(hidden: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for place in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_hidden = hidden.iter().any(|it| name.to_string_lossy().starts_with(it));
            let link = folder.path().join(&name);
            if !is_hidden && !link.exists() {
                // A broken link of the system's own stays broken.
                let _same_name = symlink(entry.path(), link);
            }
        }
    }
    folder
}

fn script(name: &str, path: &Path, target: &Path) -> Output {
    let mut command = Command::new("bash");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci").join(name);
    command
        .arg(script)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("PKG_CONFIG_PATH")
        // The test is about what is built, not how fast it runs.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "none");
    // Cargo sets these for tests; they must not reach the cargo below.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG") || text.starts_with("CARGO_BIN") || text == "RUSTFLAGS" {
            command.env_remove(&name);
        }
    }
    command.output().unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

#[test]
fn each_thing_that_is_missing_is_one_line() {
    let path = programs_without(&["pkg-config", "pkgconf", "mpicc"]);
    let output = script("features.sh", path.path(), path.path());
    assert!(output.status.success());
    let lines = lines(&output.stdout);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (line, start) in
        lines.iter().zip(["left out: hwloc: ", "left out: Open MPI", "left out: MPICH"])
    {
        assert!(line.starts_with(start) && line.contains("apt-get install"), "{line}");
    }
}

#[test]
fn the_sites_one_wrapper_serves_where_debians_two_are_missing() {
    let path = programs_without(&["pkg-config", "pkgconf", "mpicc"]);
    symlink("/bin/true", path.path().join("mpicc")).unwrap();
    let output = script("features.sh", path.path(), path.path());
    let lines = lines(&output.stdout);
    let last = lines.last().unwrap();
    assert!(last == "build mpi site mpicc" || last.contains("no libclang"), "{lines:?}");
}

#[test]
fn a_machine_with_nothing_but_rust_and_a_c_compiler_builds_a_working_binary() {
    let path = programs_without(&["pkg-config", "pkgconf", "mpicc"]);
    let target = target_dir().join("tmp").join("bare");
    let output = script("build.sh", path.path(), &target);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert_eq!(stderr.lines().filter(|line| line.starts_with("left out: ")).count(), 3, "{stderr}");
    let mut command = Command::new(target.join("release/rdask-hpc"));
    let output = command.args(["topology", "--json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["machine"]["source"], "/sys");
}

#[test]
fn scripts_are_sound_shell() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut scripts = vec![root.join(".ci/run")];
    for folder in ["ci", "jobscripts"] {
        let files = std::fs::read_dir(root.join(folder)).unwrap().map(|it| it.unwrap().path());
        scripts.extend(files.filter(|file| file.extension().is_some_and(|it| it == "sh")));
    }
    assert!(scripts.len() > 6, "{scripts:?}");
    for script in scripts {
        let output = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", script.display());
    }
}
