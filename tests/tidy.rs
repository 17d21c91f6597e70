//! Rules of the house that a compiler does not know, checked by reading the sources.
//!
//! Who may name whom, the size and the header of files, where `unsafe` may stand, names that
//! say nothing, and files under tests/ that nobody runs. Each fault is one line with its place.

use std::fs;
use std::path::{Path, PathBuf};

/// No file is longer, its tests included.
const LINES_LIMIT: usize = 800;

/// The only files that may contain `unsafe`; a folder allows all files in it.
const UNSAFE_FILES: [&str; 12] = [
    "examples/plugin/rust/",
    "launcher/mpi-shim/src/lib.rs",
    "launcher/src/mpi.rs",
    "launcher/src/pinning.rs",
    "launcher/src/spawn.rs",
    "launcher/src/topology/",
    "src/kernels/plugin.rs",
    "src/kernels/simd/",
    "store/src/buffer.rs",
    "store/src/segment.rs",
    "transport/src/shm.rs",
    "transport/src/ucx/",
];

/// Names of modules that say nothing.
const EMPTY_NAMES: [&str; 11] = [
    "common", "helper", "helpers", "manager", "misc", "prelude", "stuff", "type", "types", "util",
    "utils",
];

/// Files below `within` (but not below one of `except`) name none of `never`.
struct Wall {
    within: &'static str,
    except: &'static [&'static str],
    never: &'static [&'static str],
}

const WALLS: [Wall; 15] = [
    // The packages.
    Wall { within: "core/", except: &[], never: &["rdask_store", "rdask_transport"] },
    Wall { within: "core/", except: &[], never: &["rdask_launcher", "rdask"] },
    Wall { within: "store/", except: &[], never: &["rdask_core", "rdask_transport"] },
    Wall { within: "store/", except: &[], never: &["rdask_launcher", "rdask"] },
    Wall { within: "transport/", except: &[], never: &["rdask_core", "rdask_launcher", "rdask"] },
    Wall { within: "launcher/", except: &["launcher/mpi-shim/"], never: &["rdask_core", "rdask"] },
    Wall { within: "launcher/", except: &[], never: &["rdask_store", "rdask_transport"] },
    // The two machines do not know each other, and nothing knows the simulation.
    Wall { within: "core/src/scheduler/", except: &[], never: &["crate::worker"] },
    Wall { within: "core/src/worker/", except: &[], never: &["crate::scheduler"] },
    Wall { within: "core/src/", except: &["core/src/sim/"], never: &["crate::sim"] },
    // One serializer, in few places.
    Wall {
        within: "",
        except: &["core/src/codec.rs", "core/src/record.rs", "src/graph_file", "fuzz/"],
        never: &["bincode"],
    },
    // The drivers.
    Wall {
        within: "src/scheduler",
        except: &[],
        never: &["crate::executor", "crate::kernels", "rdask_store"],
    },
    Wall {
        within: "src/kernels/",
        except: &[],
        never: &["crate::executor", "crate::worker", "crate::scheduler", "rdask_transport"],
    },
    Wall {
        within: "src/executor/",
        except: &[],
        never: &["crate::worker", "crate::scheduler", "crate::output", "rdask_transport"],
    },
    // Nothing names the command line but the program itself.
    Wall { within: "src/", except: &["src/cli/", "src/main.rs"], never: &["crate::cli"] },
];

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines of code with their numbers, without comments and what stands in quotes.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        let lines = (1..).zip(self.text.lines());
        lines
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(at, line)| (at, line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")))
    }

    fn is_below(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust source of the repository.
fn sources() -> Vec<Source> {
    let top = ["benches", "core", "examples", "fuzz", "launcher", "python", "src", "store"];
    let mut folders: Vec<PathBuf> =
        top.iter().chain(&["tests", "transport"]).map(|name| root().join(name)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 30, "the sources are not where they were: {}", sources.len());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether the code names this path: as whole words, `rdask` not being part of `rdask_core`.
fn names(line: &str, path: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[test]
fn nobody_names_who_must_not_be_named() {
    let mut faults = Vec::new();
    for source in sources() {
        let walls = WALLS.iter().filter(|wall| {
            source.is_below(&[wall.within]) && !source.is_below(wall.except)
                // This file names them all.
                && !source.path.starts_with("tests/")
        });
        for wall in walls {
            for (at, line) in source.code() {
                let is_path = |path: &&str| names(&line, path) && line.contains("::");
                for path in wall.never.iter().filter(|path| is_path(path)) {
                    // `rdask` alone is the library: it counts where a path begins with it.
                    if **path != *"rdask" || line.contains("rdask::") {
                        faults.push(format!("{}:{at}: names {path}: {}", source.path, line.trim()));
                    }
                }
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn files_are_short_and_say_what_they_own() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LINES_LIMIT {
            faults.push(format!("{}: {lines} lines, at most {LINES_LIMIT}", source.path));
        }
        if !source.text.starts_with("//! ") {
            faults.push(format!("{}: does not begin with `//!`: what it owns", source.path));
        }
    }
    assert_none(&faults);
}

#[test]
fn unsafe_stands_only_where_it_may() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_below(&UNSAFE_FILES)) {
        for (at, line) in source.code().filter(|(_, line)| names(line, "unsafe")) {
            faults.push(format!("{}:{at}: unsafe: {}", source.path, line.trim()));
        }
    }
    assert_none(&faults);
}

#[test]
fn names_of_modules_say_something() {
    let mut faults = Vec::new();
    for source in sources() {
        let mut words = source.path.trim_end_matches(".rs").split('/');
        if let Some(word) = words.find(|word| EMPTY_NAMES.contains(word)) {
            faults.push(format!("{}: `{word}` says nothing", source.path));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_file_under_tests_is_run() {
    let main = fs::read_to_string(root().join("tests/main.rs")).unwrap();
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let is_module =
            path.join("mod.rs").exists() || path.extension().is_some_and(|it| it == "rs");
        let name = path.file_stem().unwrap().to_str().unwrap();
        if is_module && name != "main" && !main.lines().any(|line| line == format!("mod {name};")) {
            faults.push(format!("tests/{name}: not listed in tests/main.rs"));
        }
    }
    // Otherwise cargo makes a binary of each file.
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    if !manifest.lines().any(|line| line == "autotests = false") {
        faults.push("Cargo.toml: without `autotests = false`".to_owned());
    }
    assert_none(&faults);
}

#[test]
fn documents_name_what_is_there() {
    let top = ["benches/", "ci/", "core/", "docs/", "examples/", "fuzz/", "launcher/", "src/"];
    let is_path = |word: &&str| {
        top.iter().chain(&["store/", "tests/", "transport/"]).any(|top| word.starts_with(top))
    };
    let mut documents: Vec<PathBuf> =
        ["ARCHITECTURE.md", "CONTRIBUTING.md"].iter().map(|name| root().join(name)).collect();
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(docs.filter(|path| path.extension().is_some_and(|it| it == "md")));
    let mut faults = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        let quoted = text.split('`').skip(1).step_by(2).filter(|word| !word.contains(' '));
        for path in quoted.filter(is_path).filter(|path| !root().join(path).exists()) {
            faults.push(format!("{}: there is no {path}", document.display()));
        }
        for link in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let is_ours = !link.is_empty() && !link.contains("://");
            if is_ours && !document.parent().unwrap().join(link).exists() {
                faults.push(format!("{}: the link {link} leads nowhere", document.display()));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn no_test_is_ignored() {
    let mut faults = Vec::new();
    for source in sources() {
        for (at, line) in source.code().filter(|(_, line)| line.trim() == "#[ignore]") {
            faults.push(format!("{}:{at}: {}", source.path, line.trim()));
        }
    }
    assert_none(&faults);
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert!(names("use rdask_store::buffer;", "rdask_store"));
    assert!(!names("use rdask_core::ids;", "rdask"));
    assert!(names("    unsafe { call() }", "unsafe"));
    assert!(!names("#![expect(unsafe_code)]", "unsafe"));
    let text = format!("//! Owns.\n// unsafe here\nlet a = {:?};\n", "unsafe");
    let source = Source { path: "src/a.rs".to_owned(), text };
    let code: Vec<_> = source.code().collect();
    assert_eq!(code, [(3, format!("let a = {:?};", ""))]);
    assert!(source.is_below(&["src/"]) && !source.is_below(&["src/kernels/"]));
}
