//! The planted bugs that `make mutants` looks for: each patch beside this file still applies.
//!
//! A patch changes a few lines of one core. Its hunks are looked for in the sources as the sources
//! are now; a hunk that stands nowhere, or in two places, no longer plants the bug that its name says.

use std::fs;
use std::path::{Path, PathBuf};

/// One hunk: consecutive lines as they are, and as the bug has them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hunk {
    before: Vec<String>,
    after: Vec<String>,
}

/// The file that a patch changes, below the root of the repository, and its hunks.
fn parse(patch: &str) -> (String, Vec<Hunk>) {
    let mut file = String::new();
    let mut hunks = Vec::new();
    for line in patch.lines() {
        if let Some(name) = line.strip_prefix("+++ b/") {
            assert!(file.is_empty(), "a patch changes one file");
            name.clone_into(&mut file);
        } else if line.starts_with("@@") {
            hunks.push(Hunk::default());
        } else if let Some(hunk) = hunks.last_mut() {
            let (mark, text) = line.split_at(line.len().min(1));
            if mark != "+" {
                hunk.before.push(text.to_owned());
            }
            if mark != "-" {
                hunk.after.push(text.to_owned());
            }
        }
    }
    (file, hunks)
}

/// Places at which a hunk stands in a source.
fn places(source: &[&str], hunk: &Hunk) -> usize {
    source.windows(hunk.before.len()).filter(|lines| *lines == hunk.before).count()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn patches() -> Vec<(String, String)> {
    let folder = root().join("core/tests/mutants");
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut patches: Vec<(String, String)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "patch"))
        .map(|path| {
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("it is text"))
        })
        .collect();
    patches.sort_unstable();
    patches
}

#[test]
fn every_patch_still_applies() {
    let patches = patches();
    assert!(patches.len() >= 20, "{} planted bugs", patches.len());
    for (name, patch) in patches {
        let (file, hunks) = parse(&patch);
        let source = fs::read_to_string(root().join(&file)).expect("the file is there");
        let source: Vec<&str> = source.lines().collect();
        assert!(!hunks.is_empty(), "{name} changes nothing");
        for hunk in hunks {
            assert_ne!(hunk.before, hunk.after, "{name} changes nothing");
            let places = places(&source, &hunk);
            assert_eq!(places, 1, "{name} stands in {places} places of {file}:\n{hunk:#?}");
        }
    }
}

#[test]
fn a_hunk_is_found_where_it_stands() {
    let (file, hunks) = parse("--- a/x.rs\n+++ b/x.rs\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n");
    let words = |text: &str| text.split(' ').map(str::to_owned).collect();
    assert_eq!(file, "x.rs");
    assert_eq!(hunks, [Hunk { before: words("one two three"), after: words("one 2 three") }]);
    assert_eq!(places(&["zero", "one", "two", "three", "one", "two", "three"], &hunks[0]), 2);
    assert_eq!(places(&["one", "2", "three"], &hunks[0]), 0);
}
