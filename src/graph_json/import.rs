//! JSON text to graph, in one pass that collects all faults.
//!
//! The outer object and the list of tasks are read as a stream; the fields of one task, and the
//! small rest, are first cut out of the text and then read one by one, so that a fault in one of
//! them leaves the others readable. A field's place in the text is where it was cut out.

use super::decimal::parse_scaled;
use super::stream::{Pieces, PiecesVisitor, Run, Text, TopVisitor};
use super::{JSON_VERSION, JsonFault, compact_object};
use crate::graph_load::{Fault, LoadError, did_you_mean};
use rdask_core::graph::{Attributes, Graph, GraphBuilder, Param, Params, RunSpec, quoted};
use rdask_core::nearest::nearest;
use rdask_core::units::parse_bytes;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Read;

pub(super) const TOP_FIELDS: [&str; 6] = ["version", "tasks", "outputs", "arrays", "order", "meta"];
const TASK_FIELDS: [&str; 13] = [
    "key",
    "run",
    "deps",
    "priority",
    "retries",
    "resources",
    "workers",
    "hosts",
    "allow_other_workers",
    "threads",
    "memory",
    "time",
    "timeout",
];
/// Kinds of tasks that the form knows and this program does not run.
const OTHER_KINDS: [&str; 1] = ["python"];
/// Digits behind the point of resource amounts and of seconds that are kept.
pub(super) const RESOURCE_DIGITS: u32 = 6;
pub(super) const SECOND_DIGITS: u32 = 9;

/// Reads and checks a graph in the JSON form.
///
/// ```
/// use rdask::graph_json;
///
/// let graph = graph_json::import(r#"{"version": 1, "tasks": [
///     {"key": "x", "run": {"kernel": "arange", "count": 10}},
///     {"key": "s", "run": {"kernel": "sum"}, "deps": ["x"], "memory": "2GiB"}]}"#)?;
/// assert_eq!(graph.len(), 2);
///
/// let error = graph_json::import(r#"{"version": 1, "tasks": [{"kye": "x"}]}"#).unwrap_err();
/// let lines: Vec<String> = error.lines().collect();
/// assert_eq!(lines[0], "unknown field 'kye' (tasks[0].kye, line 1 column 34)");
/// assert_eq!(error.help().unwrap(), "did you mean 'key'?");
/// # Ok::<(), rdask::LoadError>(())
/// ```
///
/// # Errors
/// All faults of the text and of the graph; kernels are not looked at.
pub fn import(text: &str) -> Result<Graph, LoadError> {
    match import_parts(text) {
        (Some(graph), faults) if faults.is_empty() => Ok(graph),
        (_, faults) => Err(LoadError { origin: String::new(), faults }),
    }
}

/// As `import`, from anything that gives UTF-8 text.
///
/// # Errors
/// As `import`, and what the reader says.
pub fn import_from(mut reader: impl Read) -> Result<Graph, LoadError> {
    let mut text = String::new();
    match reader.read_to_string(&mut text) {
        Ok(_) => import(&text),
        Err(error) => Err(LoadError { origin: String::new(), faults: vec![Fault::io(&error)] }),
    }
}

/// The graph and all faults. With faults the graph is there when its tasks could be read; those
/// whose `run` could not have a nameless spec.
pub(crate) fn import_parts(text: &str) -> (Option<Graph>, Vec<Fault>) {
    let mut importer = Importer::new(text);
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_map(TopVisitor { importer: &mut importer });
    let stopped = read.and_then(|()| json.end()).err();
    if importer.newer {
        // Whatever else is strange may be right in that version.
        importer.faults.retain(|fault| fault.path == "version");
        return (None, importer.located());
    }
    if let Some(error) = stopped {
        let (place, at) = (importer.place.clone(), importer.offset_of(&error, 0));
        importer.fault(place, at, words(&error), None);
        return (None, importer.located());
    }
    for (field, seen) in [("version", importer.seen[0]), ("tasks", importer.seen[1])] {
        if !seen {
            importer.fault(String::new(), 0, format!("the field '{field}' is missing"), None);
        }
    }
    let builder = std::mem::take(&mut importer.builder);
    let mut faults = importer.located();
    let (graph, graph_faults) = builder.finish();
    faults.extend(graph_faults.into_iter().map(Fault::Graph));
    (Some(graph), faults)
}

/// serde_json's message without its place, which the fault has itself, and without Rust's types.
fn words(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let text = error.to_string();
    let text = &text[..text.rfind(" at line ").unwrap_or(text.len())];
    match error.classify() {
        Category::Eof => "the text is cut off".to_owned(),
        Category::Syntax => format!("this is no JSON: {text}"),
        Category::Data | Category::Io => in_our_words(text),
    }
}

/// `invalid type: string "many", expected u32` as `expected a whole number …, found string "many"`.
fn in_our_words(text: &str) -> String {
    let found = ["invalid type: ", "invalid value: "].iter().find_map(|it| text.strip_prefix(it));
    let Some((found, expected)) = found.and_then(|found| found.rsplit_once(", expected ")) else {
        return text.to_owned();
    };
    let expected = match expected {
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0 to 18446744073709551615",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "a sequence" => "a list",
        "a map" => "an object",
        "a boolean" => "true or false",
        other => other,
    };
    let found = match found.split_once(' ').map_or(found, |(first, _)| first) {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        "null" => "null".to_owned(),
        _ => found.replace('`', ""),
    };
    format!("expected {expected}, found {found}")
}

/// What is being read.
pub(super) struct Importer<'a> {
    text: &'a str,
    pub(super) builder: GraphBuilder,
    /// Faults whose `column` is still an offset in the text.
    faults: Vec<JsonFault>,
    /// Which of `TOP_FIELDS` were there.
    pub(super) seen: [bool; TOP_FIELDS.len()],
    /// The version is not ours.
    newer: bool,
    /// Path of what the stream is at.
    pub(super) place: String,
}

impl<'a> Importer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            builder: GraphBuilder::new(),
            faults: Vec::new(),
            seen: [false; TOP_FIELDS.len()],
            newer: false,
            place: String::new(),
        }
    }

    fn fault(&mut self, path: String, at: usize, problem: String, help: Option<String>) {
        self.faults.push(JsonFault { problem, path, line: 0, column: at, help });
    }

    /// The faults in the order of the text, with line and column.
    fn located(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| fault.column);
        let (mut line, mut line_begin, mut end) = (1, 0, 0);
        let bytes = self.text.as_bytes();
        for fault in &mut self.faults {
            let at = fault.column.min(bytes.len());
            for (i, byte) in bytes.iter().enumerate().take(at).skip(end) {
                if *byte == b'\n' {
                    (line, line_begin) = (line + 1, i + 1);
                }
            }
            end = at;
            (fault.line, fault.column) = (line, at - line_begin + 1);
        }
        self.faults.into_iter().map(Fault::Json).collect()
    }

    /// Where a piece of the text begins.
    pub(super) fn offset(&self, piece: &str) -> usize {
        (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize)
    }

    /// Offset of an error that counts lines from `begin`.
    fn offset_of(&self, error: &serde_json::Error, begin: usize) -> usize {
        let text = self.text.get(begin..).unwrap_or_default();
        let mut lines = text.split_inclusive('\n');
        let before: usize = lines.by_ref().take(error.line().saturating_sub(1)).map(str::len).sum();
        begin + (before + error.column().saturating_sub(1)).min(text.len())
    }

    pub(super) fn fault_at(
        &mut self,
        path: String,
        raw: &RawValue,
        problem: String,
        help: Option<String>,
    ) {
        let at = self.offset(raw.get());
        self.fault(path, at, problem, help);
    }

    pub(super) fn unknown_field(
        &mut self,
        path: String,
        name: &str,
        raw: &RawValue,
        known: &[&'static str],
    ) {
        let help = match nearest(name, known.iter().copied()) {
            Some(name) => did_you_mean(name),
            None => format!("known fields are {}", known.join(", ")),
        };
        self.fault_at(path, raw, format!("unknown field {}", quoted(name)), Some(help));
    }

    /// A value of a piece, or a fault.
    pub(super) fn value<T: Deserialize<'a>>(
        &mut self,
        path: impl FnOnce() -> String,
        raw: &'a RawValue,
    ) -> Option<T> {
        match serde_json::from_str(raw.get()) {
            Ok(value) => Some(value),
            Err(error) => {
                let at = self.offset_of(&error, self.offset(raw.get()));
                self.fault(path(), at, words(&error), None);
                None
            }
        }
    }

    /// A decimal number times 10^`digits`, or a fault.
    fn scaled(
        &mut self,
        path: impl FnOnce() -> String,
        raw: &RawValue,
        digits: u32,
    ) -> Option<u64> {
        match parse_scaled(raw.get(), digits) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.fault_at(path(), raw, problem, None);
                None
            }
        }
    }

    fn version(&mut self, raw: &'a RawValue) {
        match self.value::<u64>(|| "version".to_owned(), raw) {
            Some(JSON_VERSION) | None => {}
            Some(version) => {
                self.newer = true;
                let problem = format!(
                    "version {version} of the JSON form, \
                     this rdask-hpc reads version {JSON_VERSION}"
                );
                self.fault_at("version".to_owned(), raw, problem, None);
            }
        }
    }

    pub(super) fn top_field(&mut self, name: &str, raw: &'a RawValue) {
        match name {
            "version" => self.version(raw),
            "outputs" => {
                if let Some(keys) = self.value::<Vec<Text<'a>>>(|| "outputs".to_owned(), raw) {
                    self.builder.outputs_by_key(keys.into_iter().map(|key| key.0));
                }
            }
            "arrays" => {
                for (name, raw) in self.pieces(|| "arrays".to_owned(), raw) {
                    self.array(&name, raw);
                }
            }
            "order" => {
                if let Some(order) = self.value(|| "order".to_owned(), raw) {
                    self.builder.order(order);
                }
            }
            "meta" => match compact_object(raw.get()) {
                Ok(meta) => self.builder.meta(meta),
                Err(problem) => self.fault_at("meta".to_owned(), raw, problem, None),
            },
            other => self.unknown_field(shown(other).into_owned(), other, raw, &TOP_FIELDS),
        }
    }

    pub(super) fn task(
        &mut self,
        number: usize,
        fields: &[(Cow<'a, str>, &'a RawValue)],
        begin: usize,
    ) {
        let path = |field: &str| format!("tasks[{number}].{}", shown(field));
        let (mut key, mut run) = (None, None);
        let mut deps = Vec::new();
        let mut attributes = Attributes::default();
        let mut seen = [false; TASK_FIELDS.len()];
        for (name, raw) in fields {
            let name = name.as_ref();
            let known = TASK_FIELDS.iter().position(|field| *field == name);
            if known.is_some_and(|known| std::mem::replace(&mut seen[known], true)) {
                let problem = format!("the field {} stands twice", quoted(name));
                self.fault_at(path(name), raw, problem, None);
                continue;
            }
            match name {
                "key" => key = self.value::<Text<'a>>(|| path(name), raw),
                "run" => run = self.run(number, raw),
                "deps" => {
                    deps = self.value::<Vec<Text<'a>>>(|| path(name), raw).unwrap_or_default();
                }
                _ => self.attribute(&path, name, raw, &mut attributes),
            }
        }
        for (field, seen) in TASK_FIELDS.iter().zip(seen).take(2) {
            if !seen {
                let problem = format!("the field '{field}' is missing");
                self.fault(format!("tasks[{number}]"), begin, problem, None);
            }
        }
        let Some(key) = key else { return };
        let run = run.unwrap_or_else(|| RunSpec::Kernel { name: String::new(), params: vec![] });
        let deps = deps.iter().map(|dep| dep.0.as_ref());
        let task = self.builder.add_by_key(&key.0, run, deps);
        if attributes != Attributes::default() {
            self.builder.attributes(task, attributes);
        }
    }

    fn run(&mut self, number: usize, raw: &'a RawValue) -> Option<RunSpec> {
        let path = || format!("tasks[{number}].run");
        let run: Run<'a> = self.value(path, raw)?;
        if let Some(name) = run.kernel {
            let name: Text<'a> = self.value(|| format!("{}.kernel", path()), name)?;
            if name.0.is_empty() {
                self.fault_at(path(), raw, "the kernel has no name".to_owned(), None);
                return None;
            }
            return Some(RunSpec::Kernel { name: name.0.into_owned(), params: run.params });
        }
        if run.params.iter().any(|(name, _)| name == "plugin") {
            let plugin = plugin_of(run.params);
            return plugin
                .map_err(|(problem, help)| self.fault_at(path(), raw, problem, help))
                .ok();
        }
        let names = || run.params.iter().map(|(name, _)| name.as_str());
        if names().any(|name| name == "command") {
            return super::command::import(self, &path(), raw);
        }
        let other = OTHER_KINDS.into_iter().find(|kind| names().any(|name| name == *kind));
        let (problem, help) = match other {
            Some(kind) => (
                format!("tasks of the kind '{kind}' are not supported"),
                "this rdask-hpc runs {\"kernel\": NAME, ...}, {\"plugin\": PATH, ...} and \
                 {\"command\": [...]}"
                    .to_owned(),
            ),
            None => (
                "the field 'kernel' is missing".to_owned(),
                match names().find(|name| nearest(name, ["kernel"]).is_some()) {
                    Some(name) => format!("it has a field {}", quoted(name)),
                    None => "what a task runs is {\"kernel\": NAME, ...}".to_owned(),
                },
            ),
        };
        self.fault_at(path(), raw, problem, Some(help));
        None
    }

    fn attribute(
        &mut self,
        path: &impl Fn(&str) -> String,
        name: &str,
        raw: &'a RawValue,
        attributes: &mut Attributes,
    ) {
        let here = || path(name);
        match name {
            "priority" => attributes.priority = self.value(here, raw),
            "retries" => attributes.retries = self.value(here, raw),
            "workers" => attributes.workers = self.value(here, raw).unwrap_or_default(),
            "hosts" => attributes.hosts = self.value(here, raw).unwrap_or_default(),
            "allow_other_workers" => {
                attributes.allow_other_workers = self.value(here, raw).unwrap_or_default();
            }
            "threads" => attributes.threads = self.value(here, raw),
            "memory" => attributes.memory_bytes = self.memory(here, raw),
            "time" => attributes.time_ns = self.scaled(here, raw, SECOND_DIGITS),
            "timeout" => attributes.timeout_ns = self.scaled(here, raw, SECOND_DIGITS),
            "resources" => {
                for (resource, raw) in self.pieces(here, raw) {
                    let here = || format!("{}.{}", path(name), shown(&resource));
                    let Some(amount) = self.scaled(here, raw, RESOURCE_DIGITS) else { continue };
                    if amount == 0 && raw.get().bytes().any(|c| (b'1'..=b'9').contains(&c)) {
                        let problem = "a resource is counted in millionths".to_owned();
                        self.fault_at(here(), raw, problem, None);
                    }
                    attributes.resources.push((resource.into_owned(), amount));
                }
            }
            other => self.unknown_field(here(), other, raw, &TASK_FIELDS),
        }
    }

    /// Bytes: a whole number, or a string with a unit.
    fn memory(&mut self, path: impl Fn() -> String, raw: &'a RawValue) -> Option<u64> {
        if !raw.get().starts_with('"') {
            return self.value(path, raw);
        }
        let text: Text<'a> = self.value(&path, raw)?;
        match parse_bytes(&text.0) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.fault_at(path(), raw, error.to_string(), None);
                None
            }
        }
    }

    /// The fields of an object, or a fault and none.
    pub(super) fn pieces(
        &mut self,
        path: impl FnOnce() -> String,
        raw: &'a RawValue,
    ) -> Pieces<'a> {
        match serde_json::Deserializer::from_str(raw.get()).deserialize_map(PiecesVisitor) {
            Ok(pieces) => pieces,
            Err(error) => {
                let at = self.offset_of(&error, self.offset(raw.get()));
                self.fault(path(), at, words(&error), None);
                Pieces::new()
            }
        }
    }
}

/// The plugin that the fields of a `run` name; else what is wrong, and a help.
fn plugin_of(fields: Params) -> Result<RunSpec, (String, Option<String>)> {
    let (mut path, mut symbol, mut params) = (None, None, None);
    for (name, value) in fields {
        let wrong = |expected: &str| Err((format!("'{name}' of a plugin is {expected}"), None));
        let twice = match (name.as_str(), value) {
            ("plugin", Param::Str(text)) => path.replace(text).is_some(),
            ("symbol", Param::Str(text)) => symbol.replace(text).is_some(),
            ("params", Param::Map(fields)) => params.replace(fields).is_some(),
            ("plugin" | "symbol", _) => return wrong("a string"),
            ("params", _) => return wrong("an object"),
            _ => {
                let help = nearest(&name, ["plugin", "symbol", "params"]).map(did_you_mean);
                let help = help.or_else(|| Some("parameters stand in 'params'".to_owned()));
                return Err((format!("a plugin has no field {}", quoted(&name)), help));
            }
        };
        if twice {
            return Err((format!("the field '{name}' stands twice"), None));
        }
    }
    match (path, symbol) {
        (Some(path), Some(symbol)) => {
            Ok(RunSpec::Plugin { path, symbol, params: params.unwrap_or_default() })
        }
        _ => Err((
            "the field 'symbol' is missing".to_owned(),
            Some("it names the function of the plugin".to_owned()),
        )),
    }
}

/// A name as a part of a path, cut and on one line.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\'';
    if name.len() <= 60 && !name.is_empty() && name.chars().all(plain) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(quoted(name))
}
