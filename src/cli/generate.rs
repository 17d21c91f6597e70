//! `rdask-hpc graph generate`: the options of all families; the library says which fit together.

use crate::generate::{self, GenerateError, Knob, MILLION, Request, Wanted};
use crate::user_error::UserError;
use clap::{Args, ValueEnum};
use std::fmt::Write;
use std::path::PathBuf;

/// What to make, and where it goes.
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// A family below, or a graph of the RSDS study by its name, such as numpy-50K-50
    #[arg(value_name = "FAMILY")]
    family: String,
    /// Where graph.bin goes
    #[arg(short, long, value_name = "GRAPH")]
    output: PathBuf,
    /// Real kernels with a result to check, instead of replayed sizes and durations
    #[arg(long)]
    real: bool,
    /// What a run writes; sinks with --real, else none
    #[arg(long, value_name = "none|sinks", hide_possible_values = true)]
    outputs: Option<Outputs>,
    /// Seed of random numbers and of random patterns
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Duration of a replayed task, microseconds
    #[arg(long, value_name = "US")]
    task_us: Option<f64>,
    /// Output of a replayed task, bytes
    #[arg(long, value_name = "BYTES")]
    bytes: Option<u64>,
    #[command(flatten)]
    sizes: Sizes,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outputs {
    None,
    Sinks,
}

/// One option for each knob; the library knows their ranges.
#[derive(Debug, Args)]
#[command(next_help_heading = "Sizes")]
struct Sizes {
    /// Leaves of merge and merge_slow; rows of a matrix or field
    #[arg(long, value_name = "N")]
    n: Option<u64>,
    /// Rows and columns of a tile
    #[arg(long, value_name = "N")]
    block: Option<u64>,
    /// Points of a step
    #[arg(long, value_name = "N")]
    width: Option<u64>,
    /// Steps of a pattern or of jacobi
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Points that a point of nearest, spread and random_nearest may read
    #[arg(long, value_name = "N")]
    radix: Option<u64>,
    /// Steps after which spread and random_nearest repeat
    #[arg(long, value_name = "N")]
    period: Option<u64>,
    /// Part of its neighbours that a point of random_nearest reads
    #[arg(long, value_name = "0..1", value_parser = millionths)]
    fraction: Option<u64>,
    /// How uneven the durations of a pattern are: 1 for 0 to --task-us
    #[arg(long, value_name = "0..1", value_parser = millionths)]
    imbalance: Option<u64>,
    /// Patterns side by side
    #[arg(long, value_name = "N")]
    graphs: Option<u64>,
    /// Levels of tree
    #[arg(long, value_name = "N")]
    depth: Option<u64>,
    /// Partitions of bag, groupby, join, vectorizer and wordbag
    #[arg(long, value_name = "N")]
    partitions: Option<u64>,
    /// Rows and columns of numpy's array
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    /// Chunks of numpy's array along each axis
    #[arg(long, value_name = "N")]
    chunks: Option<u64>,
    /// Rows and columns of a chunk of xarray
    #[arg(long, value_name = "N")]
    chunk: Option<u64>,
}

impl Sizes {
    fn of(&self, knob: Knob) -> Option<u64> {
        match knob {
            Knob::N => self.n,
            Knob::Block => self.block,
            Knob::Width => self.width,
            Knob::Steps => self.steps,
            Knob::Radix => self.radix,
            Knob::Period => self.period,
            Knob::Fraction => self.fraction,
            Knob::Imbalance => self.imbalance,
            Knob::Graphs => self.graphs,
            Knob::Depth => self.depth,
            Knob::Partitions => self.partitions,
            Knob::Size => self.size,
            Knob::Chunks => self.chunks,
            Knob::Chunk => self.chunk,
        }
    }
}

/// Makes the graph: where it goes, and the graph itself.
pub(super) fn generate(args: GenerateArgs) -> Result<(PathBuf, crate::Graph), UserError> {
    let sizes = Knob::ALL.into_iter();
    let request = Request {
        sizes: sizes.filter_map(|knob| Some((knob, args.sizes.of(knob)?))).collect(),
        family: args.family,
        task_us: args.task_us,
        bytes: args.bytes,
        seed: args.seed,
        real: args.real,
        wanted: args.outputs.map(|outputs| match outputs {
            Outputs::None => Wanted::None,
            Outputs::Sinks => Wanted::Sinks,
        }),
    };
    let graph = generate::generate(&request).map_err(|error| user_error(&error))?;
    Ok((args.output, graph))
}

fn user_error(error: &GenerateError) -> UserError {
    let told = UserError::new(error.to_string(), "");
    match error.help() {
        Some(help) => told.help(help),
        None => told,
    }
}

/// A part of one in millionths.
fn millionths(text: &str) -> Result<u64, String> {
    match text.parse::<f64>() {
        Ok(part) if (0.0..=1.0).contains(&part) => Ok((part * MILLION as f64).round() as u64),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

/// Below the options: examples, and the families.
pub(super) fn after_help() -> String {
    let mut text = "\
Examples:
  rdask-hpc graph generate merge --n 10000 -o merge.bin
  rdask-hpc graph generate numpy-50K-50 -o numpy.bin
  rdask-hpc graph generate stencil_1d --width 64 --steps 1000 --task-us 100 -o stencil.bin
  rdask-hpc graph generate cholesky --n 8192 --block 512 --real -o cholesky.bin

Families:
"
    .to_owned();
    for (name, about) in generate::families() {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "  {name:<20} {about}");
    }
    let real: Vec<&str> = generate::real_families().collect();
    text.push_str("\nWith --real: ");
    text.push_str(&real.join(" "));
    text
}
