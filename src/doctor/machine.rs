//! The machine that is looked at: files below one root folder, and the variables of this process.
//!
//! Every check reads through here, so that a folder with another machine's files (`doctor --root`)
//! can stand in for `/`. Nothing of such a machine is run. What cannot be read is absent.

use rdask_launcher::env::Env;
use rdask_launcher::mpi;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Longest file that is read, bytes: those of /proc and /sys are far shorter.
const FILE_LIMIT_BYTES: u64 = 1 << 20;
/// Folders of shared libraries beside those that the loader's configuration names.
const LIBRARY_FOLDERS: [&str; 5] = ["lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib"];
/// Where a described machine has its MPI shims.
const SHIM_FOLDER: &str = "usr/lib/rdask-hpc";

/// A machine and what surrounds the process on it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    root: PathBuf,
    env: Env,
}

impl Machine {
    /// The one below a folder; `/` is the one that we run on.
    pub(super) fn below(root: &Path) -> Self {
        Self { root: root.to_owned(), env: Env::from_process() }
    }

    /// Whether it is the one that we run on, so that programs and system calls tell of it too.
    pub(super) fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn env(&self) -> &Env {
        &self.env
    }

    /// Where a path of the machine lies here.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path below the root as the machine calls it.
    fn name(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).map_or_else(|_| path.to_owned(), |it| Path::new("/").join(it))
    }

    /// The text of a file without white space around it; none for an empty one.
    pub(super) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        use std::io::Read;
        let mut text = Vec::new();
        let file = fs::File::open(self.at(path)).ok()?;
        file.take(FILE_LIMIT_BYTES).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// The number in a file.
    pub(super) fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.parse().ok()
    }

    /// The chosen word of a file such as `always [madvise] never`.
    pub(super) fn choice(&self, path: &str) -> Option<String> {
        let text = self.read(path)?;
        let (_, rest) = text.split_once('[')?;
        Some(rest.split_once(']')?.0.to_owned())
    }

    /// A line `NAME: 123 kB` of a file, in its unit.
    pub(super) fn field(&self, path: &str, name: &str) -> Option<u64> {
        let text = self.read(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Names in a folder, sorted.
    pub(super) fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    pub(super) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).exists()
    }

    /// A program in PATH.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let folders: Vec<PathBuf> = std::env::split_paths(self.env.var("PATH")?).collect();
        folders.into_iter().map(|folder| folder.join(name)).find(|path| {
            let is_program = |file: &fs::Metadata| file.permissions().mode() & 0o111 != 0;
            fs::metadata(self.at(path)).is_ok_and(|file| file.is_file() && is_program(&file))
        })
    }

    /// What a program prints, when it ends well. Nothing of a described machine is run.
    pub(super) fn output(&self, program: &Path, arguments: &[&str]) -> Option<String> {
        if !self.is_this() {
            return None;
        }
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        let output = command.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A shared library where the loader looks: LD_LIBRARY_PATH, its configuration, the system's
    /// folders.
    pub(super) fn library(&self, name: &str) -> Option<PathBuf> {
        let given = self.env.var("LD_LIBRARY_PATH").unwrap_or_default();
        let given = std::env::split_paths(given).filter(|folder| !folder.as_os_str().is_empty());
        let machine = std::env::consts::ARCH;
        let native = ["lib", "usr/lib"].map(|lib| format!("{lib}/{machine}-linux-gnu").into());
        let known = LIBRARY_FOLDERS.map(PathBuf::from);
        let folders = given.chain(self.configured()).chain(native).chain(known);
        let mut paths = folders.map(|folder| folder.join(name));
        paths.find(|path| self.exists(path)).map(|path| self.name(&self.at(path)))
    }

    /// Folders that the loader's configuration names.
    fn configured(&self) -> Vec<PathBuf> {
        let included = self.list("etc/ld.so.conf.d").into_iter();
        let files = included.map(|name| format!("etc/ld.so.conf.d/{name}"));
        let texts = files.chain(["etc/ld.so.conf".to_owned()]).filter_map(|file| self.read(file));
        let texts: Vec<String> = texts.collect();
        let lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
        lines.filter(|line| line.starts_with('/')).map(PathBuf::from).collect()
    }

    /// Paths of the MPI shims, as the machine calls them.
    pub(super) fn shims(&self) -> Vec<PathBuf> {
        if self.is_this() {
            return mpi::installed_shims();
        }
        let names = self.list(SHIM_FOLDER).into_iter();
        names.map(|name| Path::new("/").join(SHIM_FOLDER).join(name)).collect()
    }
}
