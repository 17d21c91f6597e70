//! Where results go: the output folder, its part files and its manifest.
//!
//! The folder is looked at before anything runs; part files exist with their full size before the
//! first chunk; the manifest comes last.

use super::driver::Driver;
use super::job::{Job, Wishes, chunks, outputs};
use super::LoadedGraph;
use crate::config::Fsync;
use crate::output::folder::OutputFolder;
use crate::output::manifest::{ArrayEntry, ChunkEntry, Entry, GraphEntry, Manifest};
use crate::output::part::PartFile;
use crate::output::stem::Stems;
use crate::output::summary::{BytesMoved, Summary};
use crate::user_error::UserError;
use rdask_core::ids::TaskId;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What becomes of wanted results.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// They are written to a folder and let go.
    Folder(FolderOptions),
    /// They stay in memory.
    Keep,
}

/// The output folder.
#[derive(Clone, Debug)]
pub struct FolderOptions {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Results of another graph may be replaced.
    pub overwrite: bool,
    /// When results are synced.
    pub fsync: Fsync,
}

/// The folder of a run that has begun.
pub(super) struct Folder {
    folder: OutputFolder,
    /// Part file of each array of the graph.
    parts: Vec<PartFile>,
    graph: GraphEntry,
    fsync: Fsync,
}

impl Driver {
    /// Opens the output folder and makes the job's wishes.
    pub(super) fn prepare_delivery(&mut self, loaded: &LoadedGraph) -> Result<Wishes, UserError> {
        let graph = &loaded.graph;
        let Delivery::Folder(options) = self.options.delivery.clone() else {
            let (job, wishes) = Job::kept(graph);
            self.job = job;
            return Ok(wishes);
        };
        let folder = OutputFolder::open(&options.path, loaded.content_hash, options.overwrite)?;
        let mut stems = Stems::default();
        let mut parts = Vec::new();
        for array in &graph.arrays {
            parts.push(folder.create_part(&mut stems, array)?);
        }
        let files: BTreeMap<TaskId, String> =
            outputs(graph).into_iter().map(|task| (task, stems.stem(graph.key(task)))).collect();
        let (job, wishes) = Job::new(
            graph,
            |task| files[&task].clone(),
            |index| (parts[index].path().into(), parts[index].data_offset()),
        );
        self.job = job;
        let entry = GraphEntry {
            path: self.options.graph_path.clone(),
            content_hash: crate::output::hash::text(loaded.content_hash),
            tasks: graph.len() as u64,
            edges: graph.inputs.values.len() as u64,
        };
        self.folder = Some(Folder { folder, parts, graph: entry, fsync: options.fsync });
        Ok(wishes)
    }

    /// Takes back what `prepare_delivery` made, when nothing is run after all.
    pub(super) fn abandon_delivery(&mut self) {
        if let Some(folder) = self.folder.take() {
            for part in folder.parts {
                part.remove();
            }
        }
    }

    /// Workers sync before the manifest.
    pub(super) fn syncs_at_end(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.fsync == Fsync::End)
    }

    /// Renames whole arrays, removes what an earlier run left, writes the manifest.
    pub(super) fn finish_delivery(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        let manifest = self.manifest(&folder);
        let sync = folder.fsync != Fsync::None;
        let mut problems = Vec::new();
        for (index, part) in folder.parts.into_iter().enumerate() {
            let whole = self.is_whole(index, &part);
            let ended = if whole { part.finish(sync) } else { part.remove() };
            if let Err(error) = ended {
                problems.push(error.to_string());
            }
        }
        if let Err(error) = folder.folder.close(&manifest, sync) {
            problems.push(error.to_string());
        }
        for problem in problems {
            self.fail(3, &format!("the output folder could not be finished: {problem}"), None);
        }
    }

    fn is_whole(&self, index: usize, part: &PartFile) -> bool {
        let Some(graph) = &self.graph else { return false };
        let path = part.path().to_string_lossy();
        chunks(&graph.arrays[index])
            .all(|(task, start, _)| self.job.chunk_of(task, &path, &start).is_some())
    }

    fn manifest(&mut self, folder: &Folder) -> Manifest {
        let mut entries = BTreeMap::new();
        if let Some(graph) = self.graph.clone() {
            for task in outputs(&graph) {
                let entry = match self.job.file_of(task) {
                    Some(written) => Entry::File(written.into()),
                    None => Entry::Error { error: self.why_missing(task) },
                };
                entries.insert(graph.key(task).to_owned(), entry);
            }
            for (index, array) in graph.arrays.iter().enumerate() {
                let part = &folder.parts[index];
                let entry = self.array_entry(array, part);
                entries.insert(array.name.clone(), entry);
            }
        }
        Manifest { graph: folder.graph.clone(), outputs: entries, run: self.summary() }
    }

    fn array_entry(&self, array: &rdask_core::graph::ArrayOutput, part: &PartFile) -> Entry {
        let path = part.path().to_string_lossy();
        let chunks: Vec<ChunkEntry> = chunks(array)
            .map(|(task, start, shape)| {
                let written = self.job.chunk_of(task, &path, &start);
                ChunkEntry {
                    key: self.graph.as_ref().map_or("", |graph| graph.key(task)).to_owned(),
                    start,
                    shape,
                    checksum: written.map(|written| crate::output::hash::text(written.checksum)),
                    error: written.is_none().then(|| self.why_missing(task)),
                }
            })
            .collect();
        match chunks.iter().find_map(|chunk| chunk.error.clone()) {
            Some(error) => Entry::Error { error },
            None => Entry::Array(ArrayEntry::new(part.file_name(), array, chunks)),
        }
    }

    /// Why a wanted key was not written.
    fn why_missing(&self, task: TaskId) -> String {
        match (self.state.error_of(task), &self.graph) {
            (Some(failure), Some(graph)) => {
                let (root, error) = (failure.root, failure.error);
                let text = format!("{}: {}", error.kind, error.message);
                if root == task { text } else { format!("task '{}': {text}", graph.key(root)) }
            }
            _ => "not computed: the run ended before".to_owned(),
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
        let output_dir = match &self.options.delivery {
            Delivery::Folder(folder) => folder.path.clone(),
            Delivery::Keep => PathBuf::new(),
        };
        Summary {
            tasks: self.state.finished_count(),
            outputs: self.job.written_count(),
            erred: self.state.erred_count(),
            recomputed: self.state.recomputed_count(),
            seconds,
            workers: self.most_workers.0,
            threads: self.most_workers.1,
            bytes_moved: BytesMoved { shm, ucx, tcp },
            peak_memory,
            output_dir,
        }
    }
}
