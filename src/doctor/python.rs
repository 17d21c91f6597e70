//! Python and numpy: for making graphs and reading results, and for the tests' oracle.

use super::Finding;
use super::machine::Machine;

const PYTHON: &str = "scripts make graphs and read results with it; Python functions as tasks come \
                      with a later version";
const NUMPY: &str = "numpy reads the .npy files of results; the tests compare kernels with numpy 2";

/// Prints Python's version, then numpy's or nothing.
const ASK: &str = "import sys\nprint('.'.join(map(str, sys.version_info[:3])))\ntry:\n import \
                   numpy\n print(numpy.__version__)\nexcept ImportError:\n pass";

pub(super) fn check(machine: &Machine) -> Vec<Finding> {
    let get_numpy = "python3 -m pip install 'numpy>=2', in a virtual environment";
    let Some(program) = machine.program("python3") else {
        return vec![
            Finding::missing("python3").why(PYTHON).help("apt-get install python3-venv"),
            Finding::missing("numpy").why(NUMPY).help(get_numpy),
        ];
    };
    let shown = program.display().to_string();
    let Some(text) = machine.output(&program, &["-c", ASK]) else {
        let python = match machine.is_this() {
            true => Finding::warning("python3", format!("{shown} does not run"))
                .help("apt-get install python3-venv"),
            // Nothing of a described machine is run, so it cannot be asked.
            false => Finding::found("python3", shown),
        };
        return vec![python.why(PYTHON)];
    };
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    let python = Finding::found("python3", format!("{version}, {shown}")).why(PYTHON);
    let is_old = |version: &str| version.split('.').next().is_none_or(|major| major == "1");
    let numpy = match lines.next() {
        None => Finding::missing("numpy").help(get_numpy),
        Some(version) if is_old(version) => Finding::warning("numpy", version).help(get_numpy),
        Some(version) => Finding::found("numpy", version),
    };
    vec![python, numpy.why(NUMPY)]
}
