//! `rdask-hpc doctor`: a described machine word for word, and the one that the tests run on.

use crate::support::run::Outcome;
use crate::support::schema::assert_fits;
use crate::support::{Launcher, Start};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Writes the files of a description below a folder.
fn unpack(description: &str, root: &Path) {
    for part in description.split("\n== ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        let (name, mode) = match name.strip_suffix(" (program)") {
            Some(name) => (name, 0o755),
            None => (name, 0o644),
        };
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// An MPI shim below the root that links a libmpi which is there, and one whose MPI is not.
fn add_shims(root: &Path) {
    let (libraries, shims) = (root.join("usr/lib64"), root.join("usr/lib/rdask-hpc"));
    let absent = root.join("absent");
    for folder in [&libraries, &shims, &absent] {
        fs::create_dir_all(folder).unwrap();
    }
    let source = root.join("shim.c");
    fs::write(&source, "int shim(void) { return 0; }\n").unwrap();
    let build = |library: &Path, flags: &[&str]| {
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-Wl,--no-as-needed", "-o"]).arg(library).arg(&source);
        assert!(command.args(flags).status().unwrap().success());
    };
    let link = |folder: &Path, name: &str| format!("{}/{name}", folder.display());
    build(&libraries.join("libmpi.so.40"), &["-Wl,-soname,libmpi.so.40"]);
    build(&absent.join("libmpich.so.12"), &["-Wl,-soname,libmpich.so.12"]);
    let openmpi = link(&libraries, "libmpi.so.40");
    build(&shims.join("librdask_mpi_openmpi.so"), &["-DA", &openmpi]);
    let mpich = link(&absent, "libmpich.so.12");
    build(&shims.join("librdask_mpi_mpich.so"), &["-DB", &mpich]);
    fs::remove_dir_all(absent).unwrap();
}

/// `doctor` on the described machine, inside a Slurm job of it.
fn on_cluster_node(arguments: &[&str]) -> Outcome {
    let root = tempfile::tempdir().unwrap();
    unpack(include_str!("machines/cluster-node.txt"), root.path());
    add_shims(root.path());
    Start::new(Launcher::Local)
        .args(["doctor", "--root"])
        .args([root.path()])
        .args(arguments)
        .env("PATH", "/usr/bin:/bin")
        .env("LD_LIBRARY_PATH", "")
        .env("TMPDIR", "/tmp")
        .env("SLURM_TMPDIR", "/local")
        .env("SLURM_JOB_ID", "4711")
        .env("SLURM_STEP_ID", "0")
        .env("SLURM_PROCID", "0")
        .env("SLURM_STEP_NUM_TASKS", "8")
        .env("SLURM_LOCALID", "0")
        .env("UCX_TLS", "rc,sm")
        .finish()
        .expect_code(0)
}

#[test]
fn a_described_machine_word_for_word() {
    let outcome = on_cluster_node(&[]);
    assert!(outcome.stderr.is_empty(), "{outcome}");
    insta::assert_snapshot!(outcome.stdout);
}

#[test]
fn what_is_printed_as_json_fits_its_schema() {
    for outcome in [
        on_cluster_node(&["--json"]),
        Start::new(Launcher::Local).args(["doctor", "--json"]).finish().expect_code(0),
    ] {
        let value: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_fits("doctor", &value);
        let findings = value["findings"].as_array().unwrap();
        let count = |state: &str| findings.iter().filter(|it| it["state"] == state).count();
        assert_eq!(value["found"], count("found"));
        assert_eq!(value["warnings"], count("warning"));
        assert_eq!(value["missing"], count("missing"));
        assert!(findings.iter().all(|it| it["why"] != ""), "{value:#}");
        let nameless = |it: &&Value| it["state"] == "missing" && it["help"].is_null();
        assert_eq!(findings.iter().find(nameless), None);
    }
}

#[test]
fn this_machine_is_described_by_its_own_files() {
    let outcome = Start::new(Launcher::Local).args(["doctor"]).finish().expect_code(0);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(outcome.stdout.contains(&format!("system: Linux {}", release.trim())), "{outcome}");
    let memlock = fs::read_to_string("/proc/self/limits").unwrap();
    let memlock = memlock.lines().find(|line| line.starts_with("Max locked memory")).unwrap();
    assert_eq!(
        memlock.contains("unlimited"),
        outcome.stdout.contains("locked memory (memlock): unlimited"),
        "{memlock}\n{outcome}"
    );
    // The temporary folder of a run is the first place for scratch files.
    assert!(outcome.stdout.contains("(TMPDIR): "), "{outcome}");
}

#[test]
fn only_a_wrong_use_is_an_error() {
    let start = Start::new(Launcher::Local).args(["doctor", "--root", "/there/is/none"]);
    let outcome = start.finish().expect_code(2);
    assert_eq!(outcome.stderr, "error: there is no such folder (/there/is/none, --root)\n");
    let outcome = Start::new(Launcher::Local).args(["doctor", "graph.bin"]).finish();
    outcome.expect_code(2);
}
