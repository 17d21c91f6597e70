//! Makes graphs whose shape is known: the graphs of two studies of schedulers, and tiled algorithms
//! whose results can be checked.
//!
//! ```text
//!   Request ─▶ Plan (family, sizes, work of a task) ─▶ family ─▶ Weaver ─▶ Graph
//! ```
//!
//! The same request gives the same graph. docs/families.md says what each family looks like; a
//! replayed task is the kernel `bytes`, which takes a given time and makes a given output.

mod factor;
mod family;
mod fields;
mod frames;
mod futures;
mod knobs;
mod numpy;
mod patterns;
mod plan;
mod published;
mod tiles;
mod weaver;
mod xarray;

pub use knobs::{Knob, MILLION};

use crate::{Graph, GraphError};
use family::FAMILIES;
use plan::Plan;
use rdask_core::nearest::nearest;
use weaver::{MOST_TASKS_AND_EDGES, Weaver};

/// What the run of a graph writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Wanted {
    /// Nothing: every task runs once.
    #[default]
    None,
    /// The result: an array put together from tiles where the family has one, else the tasks
    /// without dependents.
    Sinks,
}

/// What is to be made.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// A family (`numpy`), or a graph of the RSDS study (`numpy-50K-50`).
    pub family: String,
    /// Sizes; those that are not given have the family's defaults.
    pub sizes: Vec<(Knob, u64)>,
    /// Duration of a replayed task, microseconds.
    pub task_us: Option<f64>,
    /// Output of a replayed task, bytes.
    pub bytes: Option<u64>,
    /// Seed of random numbers and of random patterns.
    pub seed: u64,
    /// Real kernels instead of replayed tasks.
    pub real: bool,
    /// What is written; not given: nothing, with `real` the sinks.
    pub wanted: Option<Wanted>,
}

/// Why a graph cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// No family and no published graph has this name.
    #[error("no family of graphs is called '{name}'")]
    UnknownFamily {
        /// What was asked for.
        name: String,
        /// A name that was perhaps meant.
        nearest: Option<String>,
    },
    /// The family does not take this option.
    #[error("{graph} takes no --{option}")]
    ForeignOption {
        /// What was asked for, in quotes.
        graph: String,
        /// The option.
        option: &'static str,
        /// The options that it takes.
        takes: String,
    },
    /// A value that the option cannot have.
    #[error("--{option} {value} is out of range: it goes from {range}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Least and largest value.
        range: String,
    },
    /// Tiles that do not fill an axis.
    #[error("{what} is no multiple of {of}")]
    Uneven {
        /// The length.
        what: String,
        /// The length of a tile.
        of: String,
    },
    /// The family has no form with real kernels.
    #[error("'{family}' has no form with real kernels")]
    NoRealForm {
        /// The family.
        family: &'static str,
    },
    /// A single result larger than any may be.
    #[error("one task would make {bytes} bytes, more than the 2^40 that are allowed")]
    BlockTooLarge {
        /// Its size.
        bytes: u128,
    },
    /// More tasks and edges than a graph can be made of.
    #[error(
        "the graph would have {tasks} tasks and {edges} edges, more than {MOST_TASKS_AND_EDGES} \
         together"
    )]
    TooLarge {
        /// Its tasks.
        tasks: u128,
        /// Its edges, at most.
        edges: u128,
    },
    /// The graph itself is refused.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl GenerateError {
    /// The way out, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownFamily { nearest: Some(name), .. } => {
                Some(format!("did you mean '{name}'?"))
            }
            Self::UnknownFamily { nearest: None, .. } => {
                Some("`rdask-hpc graph generate --help` lists them".to_owned())
            }
            Self::ForeignOption { takes, .. } => Some(format!("it takes {takes}")),
            Self::NoRealForm { .. } => {
                let real = FAMILIES.iter().filter(|family| family.has_real_form());
                let names: Vec<&str> = real.map(|family| family.name).collect();
                Some(format!("these have one: {}", names.join(" ")))
            }
            Self::OutOfRange { .. }
            | Self::Uneven { .. }
            | Self::BlockTooLarge { .. }
            | Self::TooLarge { .. } => None,
            Self::Graph(error) => error.help(),
        }
    }
}

/// Makes a graph.
///
/// ```
/// use rdask::generate::{Knob, Request, generate};
/// let request =
///     Request { family: "merge".into(), sizes: vec![(Knob::N, 100)], ..Request::default() };
/// assert_eq!(generate(&request)?.len(), 101);
/// # Ok::<(), rdask::generate::GenerateError>(())
/// ```
///
/// # Errors
/// A name that is unknown, an option that the family does not take, a size out of its range, or a
/// graph that is too large to be made in memory.
pub fn generate(request: &Request) -> Result<Graph, GenerateError> {
    let row = published::find(&request.family);
    let found = row.map_or_else(|| family::family(&request.family), published::Row::family);
    let Some(family) = found else {
        let name = request.family.clone();
        let known = families().map(|(name, _)| name).chain(published::names());
        let nearest = nearest(&name, known).map(str::to_owned);
        return Err(GenerateError::UnknownFamily { name, nearest });
    };
    let plan = Plan::new(request, family, row)?;
    let mut weaver = Weaver::new();
    (family.build)(&plan, &mut weaver)?;
    let default = if request.real { Wanted::Sinks } else { Wanted::None };
    weaver.finish(request.wanted.unwrap_or(default), meta(request, family, &plan))
}

/// Each family with a line about it.
pub fn families() -> impl Iterator<Item = (&'static str, &'static str)> {
    FAMILIES.iter().map(|family| (family.name, family.about))
}

/// Names of the families with a form of real kernels.
pub fn real_families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().filter(|family| family.has_real_form()).map(|family| family.name)
}

/// Who made the graph, and from what.
fn meta(request: &Request, family: &family::Family, plan: &Plan) -> String {
    let mut meta = serde_json::json!({
        "made_by": "rdask-hpc graph generate",
        "family": family.name,
        "seed": plan.seed,
        "real": plan.real,
    });
    if request.family != family.name {
        meta["graph"] = request.family.clone().into();
    }
    for (knob, _) in family.takes {
        meta[knob.name()] = plan.knobs[*knob].into();
    }
    if !plan.real {
        meta["task_us"] = plan.us.into();
        meta["bytes"] = plan.bytes.into();
    }
    meta.to_string()
}
