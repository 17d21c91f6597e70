//! Finding the file that a task's command means, as a shell would.
//!
//! A name without a slash is looked for in PATH, a relative one with a slash in the working
//! directory of the run. What is found is a file that this user may execute, at this moment; the
//! start may still fail, and says so then.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are when the environment does not say.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// No folder of PATH has it.
    #[error("there is no program '{name}' in PATH, which is {path}")]
    NotInPath {
        /// What was looked for.
        name: String,
        /// Where.
        path: String,
    },
    /// There is no such file.
    #[error("there is no program '{}'", path.display())]
    Missing {
        /// Where it was expected.
        path: PathBuf,
    },
    /// It is there, but is no file or may not be executed.
    #[error("'{}' is not a file that may be executed", path.display())]
    NotExecutable {
        /// Where it is.
        path: PathBuf,
    },
}

/// Finds a program. `path` takes the place of this process's PATH; `folder` is what relative paths
/// refer to.
///
/// # Errors
/// As `ProgramError` says.
pub fn find_program(
    name: &str,
    path: Option<&OsStr>,
    folder: &Path,
) -> Result<PathBuf, ProgramError> {
    if name.contains('/') {
        let path = folder.join(name);
        return match executable(&path) {
            Some(true) => Ok(path),
            Some(false) => Err(ProgramError::NotExecutable { path }),
            None => Err(ProgramError::Missing { path }),
        };
    }
    let path = path.map(OsStr::to_owned).or_else(crate::env::search_path);
    let path = path.unwrap_or_else(|| OsString::from(USUAL_PATH));
    let mut found = std::env::split_paths(&path).map(|part| folder.join(part).join(name));
    let mut refused = None;
    let right = found.find(|file| match executable(file) {
        Some(true) => true,
        Some(false) => {
            refused.get_or_insert_with(|| file.clone());
            false
        }
        None => false,
    });
    right.ok_or_else(|| match refused {
        Some(path) => ProgramError::NotExecutable { path },
        None => ProgramError::NotInPath {
            name: name.to_owned(),
            path: path.to_string_lossy().into_owned(),
        },
    })
}

/// Whether a file may be executed; none: there is none.
fn executable(path: &Path) -> Option<bool> {
    match fs::metadata(path) {
        Ok(meta) => Some(meta.is_file() && meta.permissions().mode() & 0o111 != 0),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (plain, first) = (file("a/tool", 0o644), file("b/tool", 0o755));
        file("c/tool", 0o755);
        let find = |name: &str, path: &str| find_program(name, Some(path.as_ref()), folder.path());
        // What may not be executed is passed over, relative folders refer to the working directory.
        assert_eq!(find("tool", "nowhere:a:b:c"), Ok(first.clone()));
        assert_eq!(find("b/tool", ""), Ok(first.clone()));
        assert_eq!(find(first.to_str().unwrap(), ""), Ok(first));
        assert_eq!(find("tool", "a"), Err(ProgramError::NotExecutable { path: plain.clone() }));
        assert_eq!(find("a/tool", "b"), Err(ProgramError::NotExecutable { path: plain }));
        let missing = folder.path().join("d/tool");
        assert_eq!(find("d/tool", "b"), Err(ProgramError::Missing { path: missing }));
        let message = find("tolo", "a:b").unwrap_err().to_string();
        assert_eq!(message, "there is no program 'tolo' in PATH, which is a:b");
        assert!(find_program("sh", None, folder.path()).unwrap().ends_with("sh"));
    }
}
