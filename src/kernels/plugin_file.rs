//! The file of a plugin, read without running anything of it: is it a shared library of this
//! machine's kind, which version of the header was it built with, what does it export.
//!
//! The scheduler checks every plugin of a graph so before a run, `graph validate` too; a worker
//! does before it opens one. Nothing in the file is trusted: the reader bounds every length.

use object::read::{Object, ObjectSegment, ObjectSymbol, ReadCache};
use object::{Architecture, ObjectKind};
use rdask_core::graph::quoted;
use rdask_core::nearest::nearest;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Version of include/rdask_kernel.h that this program speaks.
pub(super) const KERNEL_ABI: u32 = 1;
/// The variable in which a plugin says which version it was built with.
pub(super) const ABI_SYMBOL: &str = "rdask_kernel_abi";
/// Names of a plugin that a help lists.
const LISTED: usize = 10;

/// Why a plugin cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginFault {
    /// The file is not there.
    #[error("there is no such file")]
    Missing,
    /// The file cannot be read.
    #[error("the file cannot be read: {problem}")]
    Unreadable {
        /// What the system says.
        problem: String,
    },
    /// It is no shared library.
    #[error("this is no shared library: {problem}")]
    NoLibrary {
        /// What it is instead.
        problem: String,
    },
    /// It was built for other machines.
    #[error("it is built for {found}, this machine is {expected}")]
    OtherMachine {
        /// Its architecture.
        found: String,
        /// Ours.
        expected: &'static str,
    },
    /// It does not say which version of the header it was built with.
    #[error("it does not export rdask_kernel_abi, the version of rdask_kernel.h")]
    NoVersion,
    /// It was built with another version of the header.
    #[error(
        "it is built with version {found} of rdask_kernel.h, this rdask-hpc takes {KERNEL_ABI}"
    )]
    OtherVersion {
        /// Its version.
        found: u32,
    },
    /// It has no such function.
    #[error("it exports no function {}", quoted(symbol))]
    NoSymbol {
        /// The function that was asked for.
        symbol: String,
        /// What it exports instead, in words.
        help: String,
    },
    /// The system does not open it, because of a library that it needs for example.
    #[error("it cannot be loaded: {problem}")]
    NotLoaded {
        /// What the system says.
        problem: String,
    },
}

impl PluginFault {
    /// The way out, where there is one.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Missing => {
                Some("a relative path refers to the folder that the run is started in".to_owned())
            }
            Self::NoVersion => {
                Some("write RDASK_KERNEL_MODULE once in one of its files".to_owned())
            }
            Self::OtherVersion { .. } => {
                Some("build it again with the rdask_kernel.h of this version".to_owned())
            }
            Self::NoSymbol { help, .. } => Some(help.clone()),
            Self::NoLibrary { .. } | Self::OtherMachine { .. } => {
                Some("build it here with `cc -shared -fPIC`".to_owned())
            }
            Self::Unreadable { .. } | Self::NotLoaded { .. } => None,
        }
    }

    /// As Python would name the error.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "FileNotFoundError",
            Self::NoSymbol { .. } | Self::NoVersion => "AttributeError",
            _ => "OSError",
        }
    }
}

/// What a plugin's file exports.
#[derive(Clone, Debug)]
struct Exports {
    functions: BTreeSet<String>,
}

/// Checks plugins; each file is read once.
#[derive(Debug)]
pub(crate) struct PluginChecker {
    working_directory: PathBuf,
    seen: BTreeMap<String, Result<Exports, PluginFault>>,
}

impl PluginChecker {
    /// Relative paths refer to `working_directory`.
    pub(crate) fn new(working_directory: &Path) -> Self {
        Self { working_directory: working_directory.to_owned(), seen: BTreeMap::new() }
    }

    /// Whether the plugin could be loaded and has the function, as far as its file tells.
    ///
    /// # Errors
    /// The first fault.
    pub(crate) fn check(&mut self, path: &str, symbol: &str) -> Result<(), PluginFault> {
        let exports = match self.seen.get(path) {
            Some(exports) => exports,
            None => {
                let exports = read(&self.working_directory.join(path));
                self.seen.entry(path.to_owned()).or_insert(exports)
            }
        };
        exports.as_ref().map_err(Clone::clone)?.need(symbol)
    }
}

/// Whether the plugin in a file could be loaded and has the function.
pub(super) fn check(path: &Path, symbol: &str) -> Result<(), PluginFault> {
    read(path)?.need(symbol)
}

impl Exports {
    fn need(&self, symbol: &str) -> Result<(), PluginFault> {
        if self.functions.contains(symbol) {
            return Ok(());
        }
        let names = || self.functions.iter().map(String::as_str);
        // C++ writes the length of a name before it.
        let mangled = format!("{}{symbol}", symbol.len());
        let help = if names().any(|name| name.starts_with("_Z") && name.contains(&mangled)) {
            format!("declare {symbol} with RDASK_EXPORT or extern \"C\"")
        } else if let Some(name) = nearest(symbol, names()) {
            format!("did you mean {}?", quoted(name))
        } else if self.functions.is_empty() {
            "it exports no function at all: put RDASK_EXPORT before them".to_owned()
        } else {
            let listed: Vec<String> = names().take(LISTED).map(quoted).collect();
            let more = if self.functions.len() > LISTED { ", …" } else { "" };
            format!("it exports {}{more}", listed.join(", "))
        };
        Err(PluginFault::NoSymbol { symbol: symbol.to_owned(), help })
    }
}

fn read(path: &Path) -> Result<Exports, PluginFault> {
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => PluginFault::Missing,
        _ => PluginFault::Unreadable { problem: error.to_string() },
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    if !file.metadata().map_err(|error| unreadable(&error))?.is_file() {
        let problem = "it is no ordinary file".to_owned();
        return Err(PluginFault::NoLibrary { problem });
    }
    let cache = ReadCache::new(file);
    let no_library = |problem: String| PluginFault::NoLibrary { problem };
    let elf = object::File::parse(&cache).map_err(|error| no_library(error.to_string()))?;
    if let Some(expected) = expected_machine()
        && (elf.architecture() != expected
            || elf.is_little_endian() != cfg!(target_endian = "little"))
    {
        let found = format!("{:?}", elf.architecture());
        return Err(PluginFault::OtherMachine { found, expected: std::env::consts::ARCH });
    }
    if elf.kind() != ObjectKind::Dynamic {
        return Err(no_library(format!("it is {}", kind_in_words(elf.kind()))));
    }
    let mut exports = Exports { functions: BTreeSet::new() };
    let mut version = None;
    for symbol in elf.dynamic_symbols().filter(|symbol| !symbol.is_undefined()) {
        match symbol.name() {
            Ok(ABI_SYMBOL) => version = word_at(&elf, symbol.address()),
            Ok(name) if symbol.kind() == object::SymbolKind::Text => {
                exports.functions.insert(name.to_owned());
            }
            Ok(_) | Err(_) => {}
        }
    }
    match version {
        Some(KERNEL_ABI) => Ok(exports),
        Some(found) => Err(PluginFault::OtherVersion { found }),
        None => Err(PluginFault::NoVersion),
    }
}

/// The initial value of a 32-bit variable.
fn word_at<'data>(elf: &impl Object<'data>, address: u64) -> Option<u32> {
    elf.segments().find_map(|segment| {
        let bytes = segment.data_range(address, 4).ok().flatten()?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    })
}

/// None where the library has no name for this machine: the system's loader decides there.
fn expected_machine() -> Option<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Architecture::X86_64),
        "aarch64" => Some(Architecture::Aarch64),
        "powerpc64" => Some(Architecture::PowerPc64),
        "riscv64" => Some(Architecture::Riscv64),
        _ => None,
    }
}

const fn kind_in_words(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Executable => "a program",
        ObjectKind::Relocatable => "an object file",
        ObjectKind::Core => "a core dump",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_bytes(bytes: &[u8]) -> PluginFault {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        check(file.path(), "f").unwrap_err()
    }

    #[test]
    fn what_is_no_plugin_is_said() {
        let missing = check(Path::new("there/is/none.so"), "f").unwrap_err();
        assert_eq!(missing, PluginFault::Missing);
        assert_eq!(
            check(Path::new("/"), "f").unwrap_err().to_string(),
            "this is no shared library: it is no ordinary file"
        );
        assert!(matches!(of_bytes(b"hello, I am a text\n"), PluginFault::NoLibrary { .. }));
        assert!(matches!(of_bytes(b""), PluginFault::NoLibrary { .. }));
        // This test is a shared library in form (position independent), but no plugin.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(of_bytes(&own), PluginFault::NoVersion);
        // Byte 18 of an ELF header is the machine: 62 is x86-64, 183 is AArch64.
        let mut foreign = own.clone();
        let (machine, name) = if own[18] == 183 { (62, "X86_64") } else { (183, "Aarch64") };
        foreign[18] = machine;
        assert_eq!(
            of_bytes(&foreign).to_string(),
            format!("it is built for {name}, this machine is {}", std::env::consts::ARCH)
        );
    }

    #[test]
    fn damaged_libraries_are_refused_without_a_panic() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let head = &own[..own.len().min(1 << 16)];
        for at in (0..64).chain((64..head.len()).step_by(1009)) {
            let mut damaged = head.to_vec();
            damaged[at] ^= 0xff;
            let _fault: PluginFault = of_bytes(&damaged);
        }
        for length in [1, 15, 16, 63, 64, 100, 4096] {
            let _fault: PluginFault = of_bytes(&own[..length]);
        }
    }

    #[test]
    fn the_nearest_function_is_told() {
        let exports = |names: &[&str]| Exports {
            functions: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let help = |names: &[&str]| exports(names).need("run_mean").unwrap_err().help().unwrap();
        assert_eq!(help(&["run_mean_", "other"]), "did you mean 'run_mean_'?");
        assert_eq!(
            help(&["_Z8run_meanPK10rdask_call"]),
            "declare run_mean with RDASK_EXPORT or extern \"C\""
        );
        assert_eq!(help(&["a", "b"]), "it exports 'a', 'b'");
        assert!(exports(&["run_mean"]).need("run_mean").is_ok());
    }
}
