//! Getting a checked graph from whatever the user names: graph.bin, a `.json` file, or `-`.
//!
//! Owns the list of everything that can be wrong with a graph before it runs. A run stops at the
//! first fault; `graph validate` shows all of them. Nothing here looks at workers: what no worker
//! can satisfy is found when they are known.

use crate::graph_file::{self, FileFault, MAGIC};
use crate::graph_json::{self, JsonFault};
use crate::kernels::{self, Checker, SpecError};
use rdask_core::codec::{self, MAX_SPEC_BYTES};
use rdask_core::graph::{CommandFault, Graph, GraphError, RunSpec, TaskKind, quoted};
use rdask_core::ids::TaskId;
use rdask_core::nearest::nearest;
use rdask_store::DType;
use rustc_hash::FxHashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

/// One thing that is wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("{problem}")]
    Io {
        /// What the system says, in words.
        problem: String,
        /// The way out, where there is one.
        help: Option<&'static str>,
    },
    /// It is no graph file, or a damaged one.
    #[error(transparent)]
    File(#[from] FileFault),
    /// It is not the JSON form.
    #[error(transparent)]
    Json(#[from] JsonFault),
    /// Tasks, edges, outputs, arrays or attributes are wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A task runs what no kernel can run.
    #[error("{error} (task {})", quoted(key))]
    Spec {
        /// The first task that runs it.
        key: String,
        /// What is wrong.
        error: SpecError,
    },
    /// A task's spec is longer than a message to a worker may be.
    #[error(
        "what the task runs takes {nbytes} bytes, more than {MAX_SPEC_BYTES} (task {})",
        quoted(key)
    )]
    SpecTooLong {
        /// The first task that runs it.
        key: String,
        /// Length of the encoded spec; more where even that cannot be told.
        nbytes: usize,
    },
    /// A task is of a kind that `--allow` does not list.
    #[error("tasks of the kind '{}' are not allowed (task {})", kind.name(), quoted(key))]
    NotAllowed {
        /// The first such task.
        key: String,
        /// Its kind.
        kind: TaskKind,
        /// What is allowed.
        allowed: Vec<TaskKind>,
    },
    /// An array has a dtype that no kernel makes.
    #[error("unknown dtype {} (array {})", quoted(dtype), quoted(array))]
    ArrayDtype {
        /// The array.
        array: String,
        /// Its dtype.
        dtype: String,
    },
}

impl Fault {
    /// The way out, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Io { help, .. } => help.map(str::to_owned),
            Self::File(fault) => fault.help(),
            Self::Json(fault) => fault.help.clone(),
            Self::Graph(error) => error.help(),
            Self::Spec { error, .. } => match error {
                SpecError::UnknownKernel { nearest: Some(nearest), .. }
                | SpecError::UnknownParameter { nearest: Some(nearest), .. } => {
                    Some(did_you_mean(nearest))
                }
                SpecError::UnknownKernel { .. } => {
                    let names: Vec<&str> = kernels::names().collect();
                    Some(format!("known are {}", names.join(" ")))
                }
                SpecError::UnknownParameter { kernel, .. }
                | SpecError::MissingParameter { kernel, .. } => Some(known_parameters(kernel)),
                SpecError::BadParameter { .. } | SpecError::WrongInputCount { .. } => None,
                SpecError::Plugin { fault, .. } => fault.help(),
                SpecError::Command(fault) => command_help(fault).map(str::to_owned),
            },
            Self::SpecTooLong { .. } => {
                Some("put the data into a file and read it with load_npy".to_owned())
            }
            Self::NotAllowed { allowed, .. } => {
                let allowed: Vec<&str> = allowed.iter().map(|kind| kind.name()).collect();
                Some(format!("--allow {} is in force", allowed.join(",")))
            }
            Self::ArrayDtype { dtype, .. } => {
                Some(match nearest(dtype, DType::all().map(DType::name)) {
                    Some(name) => did_you_mean(name),
                    None => format!("known are {}", DType::KNOWN),
                })
            }
        }
    }

    pub(crate) fn io(error: &io::Error) -> Self {
        let name_one = "give the path of a graph.bin or a .json file, or - for the standard input";
        let (problem, help) = match error.kind() {
            io::ErrorKind::NotFound => ("there is no such graph file".to_owned(), Some(name_one)),
            io::ErrorKind::IsADirectory => {
                ("this is a folder, not a graph file".to_owned(), Some(name_one))
            }
            io::ErrorKind::PermissionDenied => ("the graph file may not be read".to_owned(), None),
            _ => (format!("the graph cannot be read: {error}"), None),
        };
        Self::Io { problem, help }
    }
}

fn known_parameters(kernel: &str) -> String {
    match kernels::parameters(kernel) {
        [] => format!("'{kernel}' takes no parameters"),
        names => format!("'{kernel}' takes {}", names.join(", ")),
    }
}

fn command_help(fault: &CommandFault) -> Option<&'static str> {
    match fault {
        CommandFault::NoSuchInput { .. } => {
            Some("inputs are counted from 0, in the order of the task's 'deps'")
        }
        CommandFault::Outside { .. } => {
            Some("give a relative name without '.' and '..': each run has a folder of its own")
        }
        CommandFault::Empty
        | CommandFault::ZeroByte { .. }
        | CommandFault::Clash { .. }
        | CommandFault::Variable { .. }
        | CommandFault::VariableTwice { .. } => None,
    }
}

pub(crate) fn did_you_mean(name: &str) -> String {
    format!("did you mean {}?", quoted(name))
}

/// What a run lets tasks do, and where their relative paths lead.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Paths of plugins refer to it.
    pub working_directory: PathBuf,
    /// Kinds of tasks that may run.
    pub allowed: Vec<TaskKind>,
}

impl Terms {
    /// Every kind of task, and paths that refer to this folder.
    #[must_use]
    pub fn all(working_directory: impl Into<PathBuf>) -> Self {
        let working_directory = working_directory.into();
        Self { working_directory, allowed: TaskKind::ALL.to_vec() }
    }
}

/// Everything that is wrong with a graph that was to be loaded; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file, as the user named it; empty for bytes in memory.
    pub origin: String,
    /// What is wrong, in the order of the file as far as it has one.
    pub faults: Vec<Fault>,
}

impl LoadError {
    /// A line for each fault, `WHAT (WHERE)`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.faults.iter().map(|fault| self.line(fault))
    }

    /// The way out of the first fault, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        self.faults.first()?.help()
    }

    /// The fault with the origin among the words that say where it is.
    fn line(&self, fault: &Fault) -> String {
        let line = fault.to_string();
        match (self.origin.as_str(), line.strip_suffix(')')) {
            ("", _) => line,
            (origin, Some(open)) if line.contains(" (") => format!("{open}, {origin})"),
            (origin, _) => format!("{line} ({origin})"),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.faults.first().map(|fault| self.line(fault));
        f.write_str(first.as_deref().unwrap_or("the graph is wrong"))?;
        match self.faults.len() {
            0 | 1 => Ok(()),
            2 => f.write_str("; 1 more fault"),
            count => write!(f, "; {} more faults", count - 1),
        }
    }
}

impl std::error::Error for LoadError {}

/// Loads and checks a graph, without its kernels: `first_fault` and `validate` look at those.
///
/// `-` is the standard input. Files are told apart by their first bytes, not by their names.
///
/// # Errors
/// Everything that is wrong with the graph.
pub fn load(path: &str) -> Result<Graph, LoadError> {
    let (graph, faults) = load_parts(path);
    match graph {
        Some(graph) if faults.is_empty() => Ok(graph),
        _ => Err(LoadError { origin: path.to_owned(), faults }),
    }
}

/// Everything that is wrong with a graph file, its kernels and plugins included; empty when it may
/// be run. Relative paths refer to the working directory of this process.
#[must_use]
pub fn validate_file(path: &str) -> Vec<Fault> {
    let (graph, mut faults) = load_parts(path);
    if let Some(graph) = graph {
        push_spec_faults(&graph, &Terms::all(""), &mut faults);
    }
    faults
}

/// A graph, whole or for checks of its single tasks only, and what is wrong with it.
fn load_parts(path: &str) -> (Option<Graph>, Vec<Fault>) {
    if path == "-" {
        return read_parts(io::stdin().lock());
    }
    match File::open(path) {
        Ok(file) => read_parts(file),
        Err(error) => (None, vec![Fault::io(&error)]),
    }
}

fn read_parts(mut reader: impl Read) -> (Option<Graph>, Vec<Fault>) {
    let mut first = Vec::new();
    if let Err(error) = reader.by_ref().take(MAGIC.len() as u64).read_to_end(&mut first) {
        return (None, vec![Fault::io(&error)]);
    }
    let is_json = first.trim_ascii_start().first().is_none_or(|byte| *byte == b'{');
    if first.is_empty() || !is_json {
        return match graph_file::read_faults(reader, &first) {
            Ok(graph) => (Some(graph), Vec::new()),
            Err(faults) => (None, faults),
        };
    }
    let mut text = first;
    if let Err(error) = reader.read_to_end(&mut text) {
        return (None, vec![Fault::io(&error)]);
    }
    match String::from_utf8(text) {
        Ok(text) => graph_json::import_parts(&text),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let problem = format!("the text is not UTF-8 (byte {at})");
            (None, vec![Fault::Io { problem, help: None }])
        }
    }
}

/// Everything that is wrong with a graph, its kernels and plugins included; empty when it may be
/// run.
///
/// A graph that was loaded or built is right but for what it runs and the dtypes of its arrays.
#[must_use]
pub fn validate(graph: &Graph, terms: &Terms) -> Vec<Fault> {
    let mut faults: Vec<Fault> = graph.faults().into_iter().map(Fault::Graph).collect();
    if !faults.iter().any(|fault| matches!(fault, Fault::Graph(GraphError::Layout { .. }))) {
        push_spec_faults(graph, terms, &mut faults);
    }
    faults
}

/// The first fault of the specs and arrays of a graph that was loaded or built: what a run checks
/// before it begins.
#[must_use]
pub fn first_fault(graph: &Graph, terms: &Terms) -> Option<Fault> {
    spec_faults(graph, terms).next().or_else(|| array_faults(graph).next())
}

fn push_spec_faults(graph: &Graph, terms: &Terms, faults: &mut Vec<Fault>) {
    // A task whose `run` could not be read was given a nameless spec and has its fault already.
    let nameless_is_reported = !faults.is_empty();
    faults.extend(spec_faults(graph, terms).filter(|fault| match fault {
        Fault::Spec { error: SpecError::UnknownKernel { name, .. }, .. } => {
            !(name.is_empty() && nameless_is_reported)
        }
        _ => true,
    }));
    faults.extend(array_faults(graph));
}

/// Each spec is checked once for each number of inputs that it is used with.
fn spec_faults(graph: &Graph, terms: &Terms) -> impl Iterator<Item = Fault> {
    let mut checked = FxHashSet::default();
    let mut checker = Checker::new(&terms.working_directory);
    (0..graph.len()).map(TaskId::from_index).filter_map(move |task| {
        let inputs = graph.inputs.row(task).len();
        if !checked.insert((graph.spec_of[task.index()], inputs)) {
            return None;
        }
        let (spec, key) = (graph.spec(task), || graph.key(task).to_owned());
        if !terms.allowed.contains(&spec.kind()) {
            let allowed = terms.allowed.clone();
            return Some(Fault::NotAllowed { key: key(), kind: spec.kind(), allowed });
        }
        if let Some(nbytes) = too_long(spec) {
            return Some(Fault::SpecTooLong { key: key(), nbytes });
        }
        let error = checker.check(spec, inputs).err()?;
        Some(Fault::Spec { key: key(), error })
    })
}

/// The length of a spec that no message can carry. Encodes only what may be so long.
fn too_long(spec: &RunSpec) -> Option<usize> {
    if spec.encoded_bound() <= MAX_SPEC_BYTES as u64 {
        return None;
    }
    let nbytes = match codec::encode(spec) {
        Ok(bytes) => bytes.len(),
        Err(codec::CodecError::Oversized { nbytes }) => nbytes,
        Err(_) => usize::MAX,
    };
    (nbytes > MAX_SPEC_BYTES).then_some(nbytes)
}

fn array_faults(graph: &Graph) -> impl Iterator<Item = Fault> {
    let unknown = graph.arrays.iter().filter(|array| DType::from_name(&array.dtype).is_none());
    unknown.map(|array| Fault::ArrayDtype { array: array.name.clone(), dtype: array.dtype.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArrayOutput, GraphBuilder, RunSpec};

    fn kernel(name: &str) -> RunSpec {
        RunSpec::kernel::<&str>(name, [])
    }

    fn lines(faults: &[Fault]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_wrong_spec_is_one_fault_that_names_its_first_task() {
        let mut graph = GraphBuilder::new();
        let a = graph.add("a", kernel("no_such_kernel"), &[]);
        graph.add("b", kernel("no_such_kernel"), &[]);
        graph.add("c", kernel("no_such_kernel"), &[a]);
        graph.add("d", kernel("nor_this_one"), &[]);
        let graph = graph.build().unwrap();
        let faults = validate(&graph, &Terms::all("."));
        assert_eq!(
            lines(&faults),
            [
                "unknown kernel 'no_such_kernel' (task 'a')",
                "unknown kernel 'no_such_kernel' (task 'c')",
                "unknown kernel 'nor_this_one' (task 'd')",
            ]
        );
        assert_eq!(first_fault(&graph, &Terms::all(".")).as_ref(), faults.first());
    }

    #[test]
    fn a_spec_that_no_message_can_carry_is_a_fault() {
        // bincode: a kind, "data", one parameter with its name and a text of five bytes' length.
        let around = 1 + (1 + 4) + 1 + (1 + 6) + 1 + 5;
        let of_length = |text: usize| {
            let mut graph = GraphBuilder::new();
            let spec = RunSpec::kernel("data", [("base64", "A".repeat(text).into())]);
            graph.add("big", spec, &[]);
            graph.build().unwrap()
        };
        let longest = MAX_SPEC_BYTES - around;
        assert_eq!(too_long(of_length(longest).spec(TaskId(0))), None);
        let fault = first_fault(&of_length(longest + 1), &Terms::all(".")).unwrap();
        assert_eq!(
            fault.to_string(),
            "what the task runs takes 67104769 bytes, more than 67104768 (task 'big')"
        );
        assert!(fault.help().unwrap().contains("load_npy"));
    }

    #[test]
    fn an_array_needs_a_dtype_that_is_known() {
        let mut graph = GraphBuilder::new();
        let array = |name: &str, dtype: &str| ArrayOutput {
            name: name.into(),
            shape: vec![0],
            dtype: dtype.into(),
            chunks: vec![vec![]],
            grid: vec![],
        };
        graph.array(array("right", "f64"));
        graph.array(array("wrong", "f46"));
        graph.array(array("other", "decimal128"));
        let faults = validate(&graph.build().unwrap(), &Terms::all("."));
        assert_eq!(
            lines(&faults),
            ["unknown dtype 'f46' (array 'wrong')", "unknown dtype 'decimal128' (array 'other')"]
        );
        assert_eq!(faults[0].help().unwrap(), "did you mean 'f64'?");
        assert!(faults[1].help().unwrap().starts_with("known are bool i8 i16 "));
    }

    #[test]
    fn helps_come_from_the_fault() {
        let spec = |error| Fault::Spec { key: "t".into(), error };
        let nearest = Some("sum".to_owned());
        let unknown = spec(SpecError::UnknownKernel { name: "smu".into(), nearest });
        assert_eq!(unknown.to_string(), "unknown kernel 'smu' (task 't')");
        assert_eq!(unknown.help().unwrap(), "did you mean 'sum'?");
        let missing =
            spec(SpecError::MissingParameter { kernel: "map".into(), parameter: "expr".into() });
        assert_eq!(missing.to_string(), "kernel 'map' needs the parameter 'expr' (task 't')");
        assert_eq!(missing.help().unwrap(), "'map' takes expr");
    }

    #[test]
    fn a_file_is_what_its_first_bytes_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.bin").display().to_string();
        let load_text = |text: &[u8]| {
            std::fs::write(&path, text).unwrap();
            load(&path).map_err(|error| error.to_string().replace(&path, "PATH"))
        };
        let json = b"\n         {\"version\": 1, \"tasks\": []}";
        let empty = load_text(json).unwrap();
        let mut bytes = Vec::new();
        graph_file::write(&empty, &mut bytes).unwrap();
        assert_eq!(load_text(&bytes).unwrap(), empty);
        let no_graph = "this is no graph file: it does not begin with RDASKGR and a zero byte";
        for text in [&b"[1, 2]"[..], b"PK\x03\x04 and more", b"R!"] {
            assert_eq!(load_text(text).unwrap_err(), format!("{no_graph} (byte 0, PATH)"));
        }
        assert_eq!(
            load_text(b"").unwrap_err(),
            "the file is cut off: 0 of 64 bytes are there (PATH)"
        );
        assert_eq!(load_text(b"{\xff").unwrap_err(), "the text is not UTF-8 (byte 1, PATH)");
        assert_eq!(load_text(b"{").unwrap_err(), "the text is cut off (line 1 column 1, PATH)");
    }

    #[test]
    fn validating_a_file_finds_faults_of_text_tasks_and_kernels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.json").display().to_string();
        let text = r#"{"version": 1, "tasks": [
 {"key": "a", "run": {"python": "gASVBQ=="}},
 {"key": "b", "run": {"kernel": "no_such_kernel"}, "deps": ["c"]}]}"#;
        std::fs::write(&path, text).unwrap();
        assert_eq!(
            lines(&validate_file(&path)),
            [
                "tasks of the kind 'python' are not supported (tasks[0].run, line 2 column 22)",
                "unknown dependency 'c' (task 'b', input 0)",
                "unknown kernel 'no_such_kernel' (task 'b')",
            ]
        );
        let error = load(&path).unwrap_err();
        assert!(error.to_string().ends_with("; 1 more fault"), "{error}");
        assert_eq!(
            error.help().unwrap(),
            "this rdask-hpc runs {\"kernel\": NAME, ...}, {\"plugin\": PATH, ...} and \
             {\"command\": [...]}"
        );
        let missing = validate_file(&folder.path().join("none").display().to_string());
        assert_eq!(lines(&missing), ["there is no such graph file"]);
    }
}
