//! `rdask-hpc graph`: make, check and show graph files.
//!
//! Reading and writing formats is the library's; here stand only the arguments, the streams and
//! what is printed. A file that is written appears whole or not at all.

use super::{EXIT_USAGE, generate, graph_files, print};
use crate::output::whole::write_whole;
use crate::user_error::UserError;
use crate::{graph_dot, graph_file, graph_info, graph_json};
use clap::Subcommand;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do with a graph file. `-` stands for stdin or stdout.
#[derive(Debug, Subcommand)]
pub(super) enum GraphCommand {
    /// Make a benchmark or example graph
    #[command(after_help = generate::after_help(), allow_negative_numbers = true)]
    Generate(Box<generate::GenerateArgs>),
    /// Make graph.bin from the JSON form
    #[command(after_help = "Examples:
  rdask-hpc graph import graph.json -o graph.bin")]
    Import {
        /// The JSON form
        file: PathBuf,
        /// Where graph.bin goes
        #[arg(short, long, value_name = "GRAPH")]
        output: PathBuf,
    },
    /// Write a graph in the JSON form
    #[command(after_help = "Examples:
  rdask-hpc graph export graph.bin -o graph.json")]
    Export {
        /// graph.bin, a .json file, or -
        graph: PathBuf,
        /// Where the JSON form goes
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Show counts, kinds, bytes, depth, width and critical path
    #[command(after_help = "Examples:
  rdask-hpc graph info graph.bin --json")]
    Info {
        /// graph.bin, a .json file, or -
        graph: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Check a graph; one line for each fault, and exit code 2
    #[command(after_help = "Examples:
  rdask-hpc graph validate graph.json")]
    Validate {
        /// graph.bin, a .json file, or -
        graph: PathBuf,
    },
    /// Write a graph for Graphviz
    #[command(after_help = "Examples:
  rdask-hpc graph dot graph.bin | dot -Tsvg > graph.svg")]
    Dot {
        /// graph.bin, a .json file, or -
        graph: PathBuf,
        /// Where it goes
        #[arg(short, long, value_name = "FILE", default_value = "-")]
        output: PathBuf,
    },
}

/// Carries out one of the commands.
pub(super) fn run(command: GraphCommand) -> anyhow::Result<ExitCode> {
    match command {
        GraphCommand::Generate(args) => {
            let (output, graph) = generate::generate(*args)?;
            write(&output, |out| graph_file::write(&graph, out))?;
        }
        GraphCommand::Import { file, output } => {
            let graph = graph_files::load(&file)?;
            write(&output, |out| graph_file::write(&graph, out))?;
        }
        GraphCommand::Export { graph, output } => {
            let graph = graph_files::load(&graph)?;
            write(&output, |out| graph_json::export(&graph, out))?;
        }
        GraphCommand::Dot { graph, output } => {
            let graph = graph_files::load(&graph)?;
            write(&output, |out| graph_dot::dot(&graph, out))?;
        }
        GraphCommand::Info { graph, json } => {
            let info = graph_info::info(&graph_files::load(&graph)?);
            let text =
                if json { serde_json::to_string(&info)? } else { graph_files::info_text(&info) };
            print::data(&text)?;
        }
        GraphCommand::Validate { graph } => return validate(&graph),
    }
    Ok(ExitCode::SUCCESS)
}

fn validate(path: &Path) -> anyhow::Result<ExitCode> {
    let faults = graph_files::faults(path)?;
    for fault in &faults {
        print::user_error(fault);
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) })
}

/// Writes to a file, whole or not at all, or to stdout.
fn write(
    path: &Path,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    if path == Path::new("-") {
        let mut out = BufWriter::new(std::io::stdout().lock());
        content(&mut out)?;
        out.flush()?;
        return Ok(());
    }
    write_whole(path, false, content).map_err(|error| {
        let what = format!("cannot write the file: {error}");
        UserError::new(what, path.display().to_string())
    })?;
    Ok(())
}
