//! `.rdask-exit`: the verdict of a run in a file, for scripts whose launcher loses exit codes.

use super::folder::EXIT_FILE;
use super::whole::write_whole;
use std::path::Path;

/// Writes `JOBID CODE`, by rename, as the very last act of a run.
///
/// # Errors
/// The system's.
pub fn write_verdict(folder: &Path, job_id: &str, code: i32) -> std::io::Result<()> {
    write_whole(&folder.join(EXIT_FILE), false, |out| writeln!(out, "{job_id} {code}"))
}

/// Removes the verdict of an earlier run, when a new one begins: a job that is started again may
/// have the same id.
pub fn forget_verdict(folder: &Path) {
    // There rarely is one; one that cannot be removed is replaced at the end.
    let _removed = std::fs::remove_file(folder.join(EXIT_FILE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_and_code() {
        let folder = tempfile::tempdir().unwrap();
        write_verdict(folder.path(), "slurm-7", 3).unwrap();
        write_verdict(folder.path(), "slurm-8", 0).unwrap();
        let text = std::fs::read_to_string(folder.path().join(".rdask-exit")).unwrap();
        assert_eq!(text, "slurm-8 0\n");
        forget_verdict(folder.path());
        forget_verdict(folder.path());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
