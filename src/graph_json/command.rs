//! A command in the JSON form: `{"command": [ARGV...], "env": {...}, "stdin": INPUT_INDEX,
//! "files": {NAME: INPUT_INDEX}, "capture": "stdout"|FILE}`.
//!
//! Reading goes field by field, so that each fault has its place; what depends on the number of
//! inputs is found when the graph is checked. Fields that hold nothing are not written.

use super::import::Importer;
use super::stream::Text;
use rdask_core::graph::{Capture, CommandSpec, RunSpec, quoted};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

/// The fields of a command.
const FIELDS: [&str; 5] = ["command", "env", "stdin", "files", "capture"];
/// The word for standard output; a file of that name is `./stdout` to no program, so it cannot be
/// captured under it.
const STDOUT: &str = "stdout";

/// Reads the object `run` of a command, whose place in the text is `path`.
pub(super) fn import<'a>(
    importer: &mut Importer<'a>,
    path: &str,
    raw: &'a RawValue,
) -> Option<RunSpec> {
    let mut spec = CommandSpec::default();
    let mut seen = [false; FIELDS.len()];
    for (name, raw) in importer.pieces(|| path.to_owned(), raw) {
        let here = || format!("{path}.{}", super::import::shown(&name));
        let known = FIELDS.iter().position(|field| *field == name);
        if known.is_some_and(|known| std::mem::replace(&mut seen[known], true)) {
            let problem = format!("the field {} stands twice", quoted(&name));
            importer.fault_at(here(), raw, problem, None);
            continue;
        }
        match name.as_ref() {
            "command" => {
                let words: Vec<Text<'a>> = importer.value(here, raw)?;
                spec.argv = words.into_iter().map(|word| word.0.into_owned()).collect();
            }
            "env" => {
                for (name, raw) in importer.pieces(here, raw) {
                    let value: Option<Text<'a>> = importer.value(here, raw);
                    let value = value.map(|text| text.0.into_owned()).unwrap_or_default();
                    spec.env.push((name.into_owned(), value));
                }
            }
            "stdin" => spec.stdin = importer.value(here, raw),
            "files" => {
                for (name, raw) in importer.pieces(here, raw) {
                    let input = importer.value(here, raw).unwrap_or_default();
                    spec.files.push((name.into_owned(), input));
                }
            }
            "capture" => {
                let text: Option<Text<'a>> = importer.value(here, raw);
                spec.capture = text.map_or(Capture::Nothing, |text| match text.0.as_ref() {
                    STDOUT => Capture::Stdout,
                    file => Capture::File(file.to_owned()),
                });
            }
            other => importer.unknown_field(here(), other, raw, &FIELDS),
        }
    }
    Some(RunSpec::command(spec))
}

/// A command that goes to JSON.
pub(super) struct CommandJson<'a>(pub(super) &'a CommandSpec);

impl Serialize for CommandJson<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let CommandSpec { argv, env, stdin, files, capture } = self.0;
        let mut map = out.serialize_map(None)?;
        map.serialize_entry("command", argv)?;
        if !env.is_empty() {
            map.serialize_entry("env", &Object(env))?;
        }
        if let Some(input) = stdin {
            map.serialize_entry("stdin", input)?;
        }
        if !files.is_empty() {
            map.serialize_entry("files", &Object(files))?;
        }
        match capture {
            Capture::Nothing => {}
            Capture::Stdout => map.serialize_entry("capture", STDOUT)?,
            Capture::File(name) => map.serialize_entry("capture", name)?,
        }
        map.end()
    }
}

/// Pairs as an object, in their order.
struct Object<'a, T>(&'a [(String, T)]);

impl<T: Serialize> Serialize for Object<'_, T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
