//! Where results go: the output folder, its part files and its manifest.
//!
//! The folder is looked at before anything runs; part files exist with their full size before the
//! first chunk; the manifest comes last.

use super::LoadedGraph;
use super::driver::Driver;
use super::job::{Job, Wishes, chunks, outputs};
use crate::config::Fsync;
use crate::output::{
    self, BytesMoved, ChunkState, Entry, GraphEntry, Manifest, Names, Summary, checksum_text,
};
use crate::user_error::UserError;
use rdask_core::graph::{ArrayOutput, quoted};
use rdask_core::ids::TaskId;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Why a result is missing that nothing went wrong with.
const ENDED_BEFORE: &str = "not computed: the run ended before";

/// What becomes of wanted results.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    /// They are written to a folder and let go.
    Folder(FolderOptions),
    /// They stay in memory.
    Keep,
}

/// The output folder.
#[derive(Clone, Debug)]
pub(crate) struct FolderOptions {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Where results end up, as users are told.
    pub results: PathBuf,
    /// Results of another graph may be replaced.
    pub overwrite: bool,
    /// When results are synced.
    pub fsync: Fsync,
}

/// Why results have nowhere to go.
pub(super) struct Refusal {
    pub(super) error: UserError,
    /// There is no room for an array: the machine's fault, not the user's.
    pub(super) disk_is_full: bool,
}

/// The folder of a run that has begun.
pub(super) struct Folder {
    folder: output::Folder,
    /// Part file of each array of the graph.
    parts: Vec<PartFile>,
    graph: GraphEntry,
    fsync: Fsync,
}

/// An array that grows.
struct PartFile {
    part: PathBuf,
    file: String,
    data_offset: u64,
    nbytes: u64,
}

impl Driver {
    /// Opens the output folder and makes the job's wishes.
    pub(super) fn prepare_delivery(&mut self, loaded: &LoadedGraph) -> Result<Wishes, Refusal> {
        let graph = &loaded.graph;
        let Delivery::Folder(options) = self.options.delivery.clone() else {
            let (job, wishes) = Job::kept(graph);
            self.job = job;
            return Ok(wishes);
        };
        let folder = output::Folder::open(&options.path, loaded.content_hash, options.overwrite)
            .map_err(|error| Refusal { error, disk_is_full: false })?;
        let mut names = Names::new();
        let mut parts = Vec::new();
        for array in &graph.arrays {
            match create_part(&options.path, &mut names, array) {
                Ok(part) => parts.push(part),
                Err(error) => {
                    remove_parts(&parts);
                    return Err(error);
                }
            }
        }
        let mut stems: FxHashMap<TaskId, String> =
            outputs(graph).into_iter().map(|task| (task, names.stem(graph.key(task)))).collect();
        let (job, wishes) = Job::new(
            graph,
            |task| stems.remove(&task).unwrap_or_default(),
            |index| (parts[index].part.to_string_lossy().into_owned(), parts[index].data_offset),
        );
        self.job = job;
        let entry = GraphEntry {
            path: self.options.graph_path.clone(),
            content_hash: checksum_text(loaded.content_hash),
            tasks: graph.len() as u64,
            edges: graph.inputs.values.len() as u64,
        };
        self.folder = Some(Folder { folder, parts, graph: entry, fsync: options.fsync });
        Ok(wishes)
    }

    /// Takes back what `prepare_delivery` made, when nothing is run after all.
    pub(super) fn abandon_delivery(&mut self) {
        if let Some(folder) = self.folder.take() {
            remove_parts(&folder.parts);
        }
    }

    /// Workers sync before the manifest.
    pub(super) fn syncs_at_end(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.fsync == Fsync::End)
    }

    /// Renames whole arrays, removes what an earlier run left, writes the manifest.
    pub(super) fn finish_delivery(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        self.outputs_written = self.count_written(&folder);
        let manifest = self.manifest(&folder);
        let sync = folder.fsync != Fsync::None;
        let mut problems = Vec::new();
        for (index, part) in folder.parts.iter().enumerate() {
            if !self.is_whole(index, part) {
                output::drop_part(&part.part);
                continue;
            }
            let path = folder.folder.path().join(&part.file);
            if let Err(error) = output::finish_part(&part.part, &path, sync) {
                problems.push(format!("{}: {error}", path.display()));
            }
        }
        if let Err(error) = folder.folder.finish(&manifest, sync) {
            problems.push(format!("{}: {error}", folder.folder.path().display()));
        }
        for problem in problems {
            self.fail(3, &format!("the output folder could not be finished: {problem}"), None);
        }
    }

    /// Results that are whole in the folder: files, and arrays with all their chunks.
    fn count_written(&self, folder: &Folder) -> u64 {
        let parts = folder.parts.iter().enumerate();
        let arrays = parts.filter(|(index, part)| self.is_whole(*index, part)).count();
        self.job.files_written() + arrays as u64
    }

    fn is_whole(&self, index: usize, part: &PartFile) -> bool {
        let Some(graph) = &self.graph else { return false };
        let path = part.part.to_string_lossy();
        chunks(&graph.arrays[index])
            .all(|(task, start, _)| self.job.chunk_of(task, &path, &start).is_some())
    }

    fn manifest(&mut self, folder: &Folder) -> Manifest {
        let mut manifest =
            Manifest { graph: folder.graph.clone(), outputs: BTreeMap::new(), run: self.summary() };
        let Some(graph) = self.graph.clone() else { return manifest };
        for task in outputs(&graph) {
            let entry = match self.job.file_of(task) {
                Some(written) => Entry::from(written.clone()),
                None => Entry::failed(self.why_missing(task)),
            };
            manifest.outputs.insert(graph.key(task).to_owned(), entry);
        }
        for (array, part) in graph.arrays.iter().zip(&folder.parts) {
            manifest.add_array(&array.name, self.array_entry(array, part));
        }
        manifest
    }

    fn array_entry(&self, array: &ArrayOutput, part: &PartFile) -> Entry {
        let path = part.part.to_string_lossy();
        let states: Vec<ChunkState> = chunks(array)
            .map(|(task, start, _)| {
                let written = self.job.chunk_of(task, &path, &start);
                ChunkState {
                    key: self.graph.as_ref().map_or("", |graph| graph.key(task)).to_owned(),
                    checksum: written.map(|written| checksum_text(written.checksum)),
                    error: written.is_none().then(|| self.why_missing(task)),
                }
            })
            .collect();
        // A chunk that never came tells less than one that failed.
        let mut errors = states.iter().filter_map(|state| state.error.as_ref());
        let first = errors.clone().next();
        match errors.find(|error| *error != ENDED_BEFORE).or(first).cloned() {
            Some(error) => Entry::Error { error, chunks: Some(states) },
            None => Entry::File {
                file: part.file.clone(),
                kind: "array".to_owned(),
                dtype: Some(array.dtype.clone()),
                shape: Some(array.shape.clone()),
                nbytes: part.nbytes,
                checksum: None,
                chunks: Some(states),
            },
        }
    }

    /// Why a wanted key was not written.
    fn why_missing(&self, task: TaskId) -> String {
        match (self.state.error_of(task), &self.graph) {
            (Some(failure), Some(graph)) => {
                let (root, error) = (failure.root, failure.error);
                let words = quoted_lines(&error.traceback);
                let text = format!("{}: {}{words}", error.kind, error.message);
                if root == task { text } else { format!("task '{}': {text}", graph.key(root)) }
            }
            _ => match self.job.why_unfit(task) {
                Some(reason) => format!("ValueError: {reason}"),
                None => ENDED_BEFORE.to_owned(),
            },
        }
    }

    /// Where results go, for messages; empty when they stay in memory.
    pub(super) fn output_folder(&self) -> String {
        match &self.options.delivery {
            Delivery::Folder(folder) => folder.results.display().to_string(),
            Delivery::Keep => String::new(),
        }
    }

    /// The run's figures.
    pub(super) fn summary(&mut self) -> Summary {
        let (received, peak_memory) = self.observer.totals(&self.links);
        let [_, shm, ucx, tcp] = received;
        let seconds = self.began.map_or(0.0, |began| {
            #[expect(clippy::cast_precision_loss, reason = "reports need no more than 53 bits")]
            let ns = self.last_result.since(began) as f64;
            ns / 1e9
        });
        Summary {
            tasks: self.state.finished_count(),
            outputs: self.outputs_written,
            erred: self.state.erred_count(),
            recomputed: self.state.recomputed_count(),
            stolen: self.state.stolen_count(),
            seconds,
            workers: self.most_workers.0,
            threads: self.most_workers.1,
            bytes_moved: BytesMoved { shm, ucx, tcp },
            peak_memory,
            output_dir: self.output_folder(),
        }
    }
}

fn create_part(
    folder: &std::path::Path,
    names: &mut Names,
    array: &ArrayOutput,
) -> Result<PartFile, Refusal> {
    let file = format!("{}.npy", names.stem(&array.name));
    let part = folder.join(format!("{file}.part"));
    let made = output::create_part(&part, &array.shape, &array.dtype).map_err(|error| {
        let what = format!("cannot make {}: {error}", part.display());
        let place = format!("array {}", quoted(&array.name));
        let help = "free space there, or choose another folder with --output DIR";
        let disk_is_full = error.kind() == std::io::ErrorKind::StorageFull;
        Refusal { error: UserError::new(what, place).help(help), disk_is_full }
    })?;
    Ok(PartFile { part, file, data_offset: made.data_offset, nbytes: made.nbytes })
}

fn remove_parts(parts: &[PartFile]) {
    for part in parts {
        output::drop_part(&part.part);
    }
}

/// The last words of a task's program, one marked line each behind a line of ours. A terminal is
/// told nothing by them.
pub(super) fn quoted_lines(text: &str) -> String {
    let plain = |line: &str| line.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
    text.lines().map(|line| format!("\n  | {}", plain(line))).collect()
}
