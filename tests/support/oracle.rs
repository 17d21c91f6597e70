//! numpy, which knows the right results, and the record of what could run here.
//!
//! Where an MPI or numpy is missing a test says so in a file and returns; `make test` shows the
//! file as a table and fails for what is installed and yet did not run.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The target folder of this build.
pub(crate) fn target_dir() -> &'static Path {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap_or(tmp)
}

/// Notes that a test ran with `name`, or why it did not.
pub(crate) fn record(name: &str, why_not: Option<&str>) {
    let line = match why_not {
        None => format!("ran\t{name}\n"),
        Some(why) => format!("not run\t{name}\t{why}\n"),
    };
    let given = std::env::var_os("RDASK_TEST_RECORD").map(PathBuf::from);
    let path = given.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("record.tsv"));
    // Whole lines from many tests at once: appended with one call each.
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(line.as_bytes()).unwrap();
}

/// A python with numpy 2 or newer.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    program: PathBuf,
}

/// The python with numpy, where there is one; recorded for the table, so call it once per test
/// and return where there is none.
pub(crate) fn numpy() -> Option<Python> {
    static FOUND: OnceLock<Option<Python>> = OnceLock::new();
    let found = FOUND.get_or_init(find_numpy);
    let why = "no python3 with numpy 2 (make test installs one)";
    record("numpy", found.is_none().then_some(why));
    found.clone()
}

fn find_numpy() -> Option<Python> {
    let given = std::env::var_os("RDASK_TEST_PYTHON").map(PathBuf::from);
    let ours = target_dir().join("python/bin/python3");
    let test = "import sys, numpy; sys.exit(int(numpy.__version__.split('.')[0]) < 2)";
    given.into_iter().chain([ours, "python3".into()]).map(|program| Python { program }).find(
        |python| {
            let output = Command::new(&python.program).args(["-c", test]).output();
            output.is_ok_and(|output| output.status.success())
        },
    )
}

impl Python {
    /// The interpreter.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs a script with arguments and returns what it printed.
    ///
    /// # Panics
    /// When it fails, with its messages.
    #[track_caller]
    pub(crate) fn run<A: AsRef<OsStr>>(
        &self,
        script: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> String {
        self.start(&["-c", script], arguments)
    }

    /// Runs a script file of the repository, `examples/…`.
    ///
    /// # Panics
    /// When it fails, with its messages.
    #[track_caller]
    pub(crate) fn run_file<A: AsRef<OsStr>>(
        &self,
        file: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        self.start(&[path.to_str().unwrap()], arguments)
    }

    #[track_caller]
    fn start<A: AsRef<OsStr>>(
        &self,
        first: &[&str],
        arguments: impl IntoIterator<Item = A>,
    ) -> String {
        let mut command = Command::new(&self.program);
        command.env("PYTHONDONTWRITEBYTECODE", "1").args(first).args(arguments);
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "python failed:\n{stderr}");
        String::from_utf8(output.stdout).unwrap()
    }
}
