//! Getting a checked graph from whatever the user names: graph.bin, a `.json` file, or `-`.
//!
//! Owns the list of everything that can be wrong with a graph before it runs. A run stops at the
//! first fault; `graph validate` shows all of them. Nothing here looks at workers: what no worker
//! can satisfy is found when they are known.

use crate::graph_file::{self, FileFault, MAGIC};
use crate::graph_json::{self, JsonFault};
use crate::kernels::{self, SpecError};
use rdask_core::graph::{Graph, GraphError, RunSpec, quoted};
use rdask_core::ids::TaskId;
use rdask_core::nearest::nearest;
use rdask_store::DType;
use rustc_hash::FxHashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// One thing that is wrong with a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("{problem}")]
    Io {
        /// What the system says, in words.
        problem: String,
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
            Self::Io { .. } => None,
            Self::File(fault) => fault.help(),
            Self::Json(fault) => fault.help.clone(),
            Self::Graph(error) => error.help(),
            Self::Spec { error, .. } => match error {
                SpecError::UnknownKernel { nearest: Some(nearest), .. }
                | SpecError::UnknownParameter { nearest: Some(nearest), .. } => {
                    Some(did_you_mean(nearest))
                }
                SpecError::UnknownKernel { .. }
                | SpecError::UnknownParameter { .. }
                | SpecError::MissingParameter { .. }
                | SpecError::BadParameter { .. }
                | SpecError::WrongInputCount { .. } => None,
            },
            Self::ArrayDtype { dtype, .. } => {
                let names = DType::ALL.map(DType::name);
                Some(match nearest(dtype, names) {
                    Some(name) => did_you_mean(name),
                    None => format!("known are {}", names.join(" ")),
                })
            }
        }
    }

    pub(crate) fn io(error: &io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => "there is no such graph file".to_owned(),
            io::ErrorKind::IsADirectory => "this is a folder, not a graph file".to_owned(),
            io::ErrorKind::PermissionDenied => "the graph file may not be read".to_owned(),
            _ => format!("the graph cannot be read: {error}"),
        };
        Self::Io { problem }
    }
}

pub(crate) fn did_you_mean(name: &str) -> String {
    format!("did you mean {}?", quoted(name))
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

/// Everything that is wrong with a graph file, its kernels included; empty when it may be run.
#[must_use]
pub fn validate_file(path: &str) -> Vec<Fault> {
    let (graph, mut faults) = load_parts(path);
    if let Some(graph) = graph {
        push_spec_faults(&graph, &mut faults);
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
            (None, vec![Fault::Io { problem: format!("the text is not UTF-8 (byte {at})") }])
        }
    }
}

/// Everything that is wrong with a graph, its kernels included; empty when it may be run.
///
/// A graph that was loaded or built is right but for its kernels and the dtypes of its arrays.
#[must_use]
pub fn validate(graph: &Graph) -> Vec<Fault> {
    let mut faults: Vec<Fault> = graph.faults().into_iter().map(Fault::Graph).collect();
    if !faults.iter().any(|fault| matches!(fault, Fault::Graph(GraphError::Layout { .. }))) {
        push_spec_faults(graph, &mut faults);
    }
    faults
}

/// The first fault of the kernels and arrays of a graph that was loaded or built: what a run checks
/// before it begins.
#[must_use]
pub fn first_fault(graph: &Graph) -> Option<Fault> {
    spec_faults(graph).next().or_else(|| array_faults(graph).next())
}

fn push_spec_faults(graph: &Graph, faults: &mut Vec<Fault>) {
    // A task whose `run` could not be read was given a nameless spec and has its fault already.
    let nameless_is_reported = !faults.is_empty();
    faults.extend(spec_faults(graph).filter(|fault| match fault {
        Fault::Spec { error: SpecError::UnknownKernel { name, .. }, .. } => {
            !(name.is_empty() && nameless_is_reported)
        }
        _ => true,
    }));
    faults.extend(array_faults(graph));
}

/// Each spec is checked once for each number of inputs that it is used with.
fn spec_faults(graph: &Graph) -> impl Iterator<Item = Fault> {
    let mut checked = FxHashSet::default();
    (0..graph.len()).map(TaskId::from_index).filter_map(move |task| {
        let inputs = graph.inputs.row(task).len();
        if !checked.insert((graph.spec_of[task.index()], inputs)) {
            return None;
        }
        let RunSpec::Kernel { name, params } = graph.spec(task);
        let error = kernels::parse(name, params, inputs).err()?;
        Some(Fault::Spec { key: graph.key(task).to_owned(), error })
    })
}

fn array_faults(graph: &Graph) -> impl Iterator<Item = Fault> {
    let unknown = graph.arrays.iter().filter(|array| DType::from_name(&array.dtype).is_none());
    unknown.map(|array| Fault::ArrayDtype { array: array.name.clone(), dtype: array.dtype.clone() })
}
