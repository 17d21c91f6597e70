//! docs/errors.md lists every message that the program can print: this test reads them from the
//! sources and compares.
//!
//! Messages are `#[error("…")]` of an error type, with its doc comment as the meaning, and the
//! first argument of `UserError::new`, with the help that goes with it.

use std::collections::BTreeMap;
use std::path::Path;

/// Where a message of a file belongs: the first prefix that fits.
const AREAS: [(&str, &str); 16] = [
    ("src/cli", "Command line and settings"),
    ("src/config", "Command line and settings"),
    ("src/sweep", "Command line and settings"),
    ("core/src/config", "Command line and settings"),
    ("core/src/units", "Command line and settings"),
    ("src/byte_size", "Command line and settings"),
    ("src/graph", "Graphs"),
    ("src/generate", "Graphs"),
    ("core/src/graph", "Graphs"),
    ("src/kernels", "Kernels and their parameters"),
    ("src/output", "Files that a run writes"),
    ("src/observe", "Files that a run writes"),
    ("launcher", "Launch"),
    ("transport", "Connections and messages"),
    ("core", "Connections and messages"),
    ("store", "Memory"),
];

const INTRODUCTION: &str = "# Messages

Every message is `error: WHAT (WHERE)` and, where there is a way out, a line `help: …`. Words in \
`{braces}` stand for names, numbers and places. Exit codes: 1 a task failed, 2 graph, option or \
configuration is wrong and nothing ran, 3 the cluster or this machine failed. A task's own error \
(`ValueError`, `TypeError`, `MemoryError` …) carries numpy's condition in words; it names the task, \
the shapes of its inputs and what depends on it.

A test makes this page from the sources and compares.
";

#[test]
fn the_page_lists_every_message() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut areas: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for folder in ["src", "core/src", "launcher/src", "transport/src", "store/src"] {
        visit(&root.join(folder), &mut |path| {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            let area = AREAS.iter().find(|(prefix, _)| name.starts_with(prefix));
            let area = area.map_or("Runs", |(_, area)| area);
            let text = std::fs::read_to_string(path).unwrap();
            areas.entry(area).or_default().extend(messages(production(&text)));
        });
    }
    let mut page = INTRODUCTION.to_owned();
    for (area, messages) in areas.into_iter().filter(|(_, messages)| !messages.is_empty()) {
        page.push_str(&format!(
            "\n## {area}\n\n| message | meaning, or the way out |\n| --- | --- |\n"
        ));
        for (message, meaning) in messages {
            page.push_str(&format!("| {} | {meaning} |\n", message.replace('|', "\\|")));
        }
    }
    let path = root.join("docs/errors.md");
    if std::fs::read_to_string(&path).unwrap_or_default() != page {
        std::fs::write(root.join("docs/errors.md.new"), page).unwrap();
        panic!("docs/errors.md is not what the sources say; docs/errors.md.new is: move it there");
    }
}

fn visit(folder: &Path, act: &mut impl FnMut(&Path)) {
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            visit(&path, act);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            act(&path);
        }
    }
}

/// The part of a file before its tests.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap()
}

/// Messages of a file and what they mean.
fn messages(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("#[error(") {
        if let Some(message) = literal(&text[at + "#[error(".len()..]) {
            found.push((message, meaning(&text[..at])));
        }
    }
    for (at, _) in text.match_indices("UserError::new(") {
        let mut argument = text[at + "UserError::new(".len()..].trim_start();
        argument = argument.strip_prefix("format!(").unwrap_or(argument);
        if let Some(message) = literal(argument) {
            found.push((message, way_out(argument)));
        }
    }
    found
}

/// A string literal at the beginning of a text, as it reads when printed.
fn literal(text: &str) -> Option<String> {
    let mut symbols = text.trim_start().strip_prefix('"')?.chars().peekable();
    let mut message = String::new();
    loop {
        match symbols.next()? {
            '"' => break,
            '\\' => match symbols.next()? {
                '\n' => while symbols.next_if(|symbol| symbol.is_whitespace()).is_some() {},
                'n' => message.push(' '),
                plain => message.push(plain),
            },
            plain => message.push(plain),
        }
    }
    // A message without words only passes on another one.
    let words = message.replace("{source}", "");
    words.contains(char::is_alphabetic).then_some(message.replace("{}", "{…}"))
}

/// The help that goes with a message made here: the first in the same function.
fn way_out(from: &str) -> String {
    let function = from.split("\n}\n").next().unwrap_or_default();
    let own = function.split("UserError::new(").next().unwrap_or_default();
    let Some((_, help)) = own.split_once(".help(") else { return String::new() };
    let help = help.trim_start();
    let help = literal(help.strip_prefix("format!(").unwrap_or(help));
    help.map_or_else(String::new, |help| format!("help: {}", help.replace('|', "\\|")))
}

/// The doc comment right above, as one line.
fn meaning(before: &str) -> String {
    let lines: Vec<&str> =
        before.lines().rev().map(str::trim).skip_while(|line| line.is_empty()).collect();
    let mut comment: Vec<&str> =
        lines.iter().map_while(|line| line.strip_prefix("///")).map(str::trim).collect();
    comment.reverse();
    comment.join(" ").replace('|', "\\|")
}
