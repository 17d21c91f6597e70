//! `rdask-hpc --version`: what was built, and what stands beside the binary.

use std::path::Path;

/// Version of the messages between processes.
const PROTOCOL_VERSION: u32 = 1;
/// Version of graph files that this program writes.
const GRAPH_FORMAT_VERSION: u32 = 1;
/// Names of MPI shims begin so.
const SHIM_PREFIX: &str = "librdask_mpi";

/// The text of `--version`.
pub(super) fn text(commit: Option<&str>) -> String {
    let commit = commit.filter(|text| !text.is_empty()).unwrap_or("unknown");
    let hwloc = cfg!(feature = "hwloc");
    let shims = match std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        Some(folder) => shims(folder),
        None => Vec::new(),
    };
    let shims = if shims.is_empty() { "none found".to_owned() } else { shims.join(", ") };
    format!(
        "rdask-hpc {}\n\
         commit: {commit}\n\
         features: {}\n\
         MPI shims: {shims}\n\
         UCX: not built\n\
         hwloc: {}\n\
         protocol: {PROTOCOL_VERSION}\n\
         graph format: {GRAPH_FORMAT_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        if hwloc { "hwloc" } else { "none" },
        if hwloc { "yes" } else { "no" },
    )
}

/// MPI shims beside the binary or in `../lib/rdask-hpc`, by file name, sorted.
fn shims(folder: &Path) -> Vec<String> {
    let folders = [folder.to_owned(), folder.join("../lib/rdask-hpc")];
    let mut names: Vec<String> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(SHIM_PREFIX) && name.ends_with(".so"))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shims_are_found_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["librdask_mpi_openmpi.so", "librdask_mpi.so", "libother.so", "librdask_mpi.d"]
        {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(shims(folder.path()), ["librdask_mpi.so", "librdask_mpi_openmpi.so"]);
        assert!(shims(&folder.path().join("none")).is_empty());
    }

    #[test]
    fn all_lines_are_there() {
        let text = text(Some("0123abcd"));
        for line in ["rdask-hpc ", "commit: ", "features: ", "MPI shims: ", "UCX: ", "hwloc: "] {
            assert!(text.lines().any(|it| it.starts_with(line)), "{line}");
        }
        assert!(text.contains("\ncommit: 0123abcd\n"));
        assert!(text.contains("protocol: 1\ngraph format: 1\n"));
    }
}
