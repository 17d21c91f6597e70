//! A PATH without batch systems: where one can be asked for jobs, a run takes itself to be on a
//! login node, uses little of it and says so, which is not what most tests are about.

use rdask_launcher::env::BATCH_SYSTEMS;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// PATH as it is where no submit command is in it. Else each folder that holds one gives way to a
/// folder of links to all that is in it but those.
pub(crate) fn without_batch_systems() -> OsString {
    static HIDDEN: OnceLock<OsString> = OnceLock::new();
    let hidden = HIDDEN.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path);
        std::env::join_paths(folders.map(|folder| hide(folder, &links()))).unwrap()
    });
    hidden.clone()
}

/// Where folders of links stand; they are used again.
fn links() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("without-batch-systems")
}

/// The folder, or one below `links` that stands for it.
pub(crate) fn hide(folder: PathBuf, links: &Path) -> PathBuf {
    let is_submit =
        |name: &Path| BATCH_SYSTEMS.iter().any(|(command, _)| Path::new(command) == name);
    if !BATCH_SYSTEMS.iter().any(|(command, _)| folder.join(command).exists()) {
        return folder;
    }
    let shown = links.join(folder.strip_prefix("/").unwrap_or(&folder));
    std::fs::create_dir_all(&shown).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        let name = entry.file_name();
        if is_submit(Path::new(&name)) {
            continue;
        }
        match symlink(entry.path(), shown.join(&name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{name:?}: {error}"),
            _ => {}
        }
    }
    shown
}
