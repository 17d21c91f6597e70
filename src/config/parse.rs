//! Texts to types: from the layers to `RunOptions`.

use super::layer::{Layers, check};
use super::table::{self, Kind};
use super::{Bind, Bootstrap, Fsync, MemoryLimit, Progress, Rank0, RunOptions};
use crate::task_log;
use crate::user_error::UserError;
use rdask_core::graph::TaskKind;
use rdask_core::units::{parse_bytes, parse_duration_ns};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use std::path::Path;

/// Options that are short names of settings.
pub(super) const SHORT_NAMES: [(&str, &str); 4] = [
    ("retries", "scheduler.default-retries"),
    ("allowed-failures", "scheduler.allowed-failures"),
    ("worker-ttl", "scheduler.worker-ttl"),
    ("validate", "scheduler.validate"),
];

/// The options that the layers make together.
pub(super) fn options(layers: &Layers, directory: &Path) -> Result<RunOptions, UserError> {
    let path = |name| layers.text(name).map(|(text, _)| directory.join(text));
    let output = path("output").unwrap_or_else(|| directory.join(default("output")));
    Ok(RunOptions {
        working_directory: directory.to_owned(),
        task_logs: path("log-dir").unwrap_or_else(|| output.join(task_log::FOLDER)),
        output,
        results: None,
        overwrite: switch(layers, "overwrite")?,
        fsync: choice::<Fsync>(layers, "fsync")?,
        json: switch(layers, "json")?,
        scheduler_file: path("scheduler-file"),
        events: path("events"),
        record: path("record"),
        record_size: record_size(layers)?,
        progress: choice::<Progress>(layers, "progress")?,
        log: layers.text("log").map_or_else(|| default("log").to_owned(), |(text, _)| text.into()),
        log_dir: path("log-dir"),
        workers: count(layers, "workers")?,
        threads: count(layers, "threads")?,
        bind: choice::<Bind>(layers, "bind")?,
        rank0: choice::<Rank0>(layers, "rank0")?,
        scheduler_cores: count(layers, "scheduler-cores")?,
        memory_limit: memory_limit(layers)?,
        resources: resources(layers)?,
        allow: allow(layers)?,
        local_directory: path("local-directory"),
        launcher: layers.text("launcher").map(|(text, _)| text.to_owned()),
        bootstrap: choice::<Bootstrap>(layers, "bootstrap")?,
        startup_timeout_ns: seconds(layers, "startup-timeout")?,
        interface: layers.text("interface").map(|(text, _)| text.to_owned()),
        keep_going: switch(layers, "keep-going")?,
        death_timeout_ns: seconds(layers, "death-timeout")?,
        seed: value(layers, "seed", "a whole number, 0 or more", |text| text.parse().ok())?
            .unwrap_or(0),
        settings: settings(layers)?,
    })
}

fn default(name: &str) -> &'static str {
    table::find(name).map_or("", |row| row.default)
}

/// A value that `read` understands; none when nobody gave one.
fn value<T>(
    layers: &Layers,
    name: &str,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, UserError> {
    let Some((text, place)) = layers.text(name) else { return Ok(None) };
    match read(text.trim()) {
        Some(value) => Ok(Some(value)),
        None => Err(UserError::new(format!("'{text}' is not {expected}"), place)),
    }
}

fn switch(layers: &Layers, name: &str) -> Result<bool, UserError> {
    let read = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    };
    Ok(value(layers, name, "true or false", read)?.unwrap_or(false))
}

fn count(layers: &Layers, name: &str) -> Result<Option<u32>, UserError> {
    value(layers, name, "a whole number, 1 or more", |text| {
        text.parse().ok().filter(|number| *number > 0)
    })
}

fn choice<T: for<'de> Deserialize<'de>>(layers: &Layers, name: &str) -> Result<T, UserError> {
    let words = match table::find(name).map(|row| row.kind) {
        Some(Kind::Choice(words)) => words,
        _ => &[],
    };
    let read = |text: &str| {
        let word: StrDeserializer<'_, WordError> = text.into_deserializer();
        T::deserialize(word).ok()
    };
    let expected = format!("one of {}", words.join(", "));
    let given = value(layers, name, &expected, read)?;
    Ok(given.or_else(|| read(default(name))).expect("a test reads every default"))
}

fn seconds(layers: &Layers, name: &str) -> Result<u64, UserError> {
    let expected = "a duration such as 30, 30s or 2min";
    let given = value(layers, name, expected, |text| parse_duration_ns(text).ok())?;
    Ok(given
        .unwrap_or_else(|| parse_duration_ns(default(name)).expect("a test reads every default")))
}

fn memory_limit(layers: &Layers) -> Result<MemoryLimit, UserError> {
    let expected = "a size such as 4GiB, a part such as 80%, auto or none";
    let given = value(layers, "memory-limit", expected, |text| match text {
        "auto" => Some(MemoryLimit::Auto),
        "none" => Some(MemoryLimit::None),
        _ => match text.strip_suffix('%') {
            Some(percent) => percent
                .trim()
                .parse()
                .ok()
                .filter(|percent| *percent > 0.0 && *percent <= 100.0)
                .map(MemoryLimit::Percent),
            None => parse_bytes(text).ok().filter(|bytes| *bytes > 0).map(MemoryLimit::Bytes),
        },
    })?;
    Ok(given.unwrap_or(MemoryLimit::Auto))
}

/// The size of a ring; without a record to keep small it is a mistake.
fn record_size(layers: &Layers) -> Result<Option<u64>, UserError> {
    let expected = "a size such as 64MiB";
    let size = value(layers, "record-size", expected, |text| {
        parse_bytes(text).ok().filter(|bytes| *bytes > 0)
    })?;
    match (size, layers.text("record-size"), layers.text("record")) {
        (Some(_), Some((_, place)), None) => {
            Err(UserError::new("there is no record to keep small", place)
                .help("--record FILE writes one"))
        }
        _ => Ok(size),
    }
}

fn resources(layers: &Layers) -> Result<Vec<(String, u64)>, UserError> {
    let expected = "a list such as GPU=1,NVME=0.5";
    let given = value(layers, "resources", expected, |text| {
        let mut list: Vec<(String, u64)> = text
            .split(',')
            .filter(|part| !part.trim().is_empty())
            .map(|part| {
                let (name, amount) = part.split_once('=')?;
                let name = name.trim();
                (!name.is_empty()).then_some(())?;
                Some((name.to_owned(), millionths(amount.trim())?))
            })
            .collect::<Option<_>>()?;
        list.sort();
        let twice = list.windows(2).any(|pair| pair[0].0 == pair[1].0);
        (!twice).then_some(list)
    })?;
    Ok(given.unwrap_or_default())
}

/// Kinds of tasks, in the order of the documentation.
fn allow(layers: &Layers) -> Result<Vec<TaskKind>, UserError> {
    let read = |text: &str| {
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let known = |word: &&str| TaskKind::ALL.iter().any(|kind| kind.name() == *word);
        let listed = |kind: &TaskKind| words.contains(&kind.name());
        words.iter().all(known).then(|| TaskKind::ALL.into_iter().filter(listed).collect())
    };
    let expected = format!("a list of {}", TaskKind::ALL.map(TaskKind::name).join(", "));
    Ok(value(layers, "allow", &expected, read)?.unwrap_or_else(|| TaskKind::ALL.to_vec()))
}

/// A decimal number in millionths; six digits behind the point count.
fn millionths(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    whole.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)
}

/// All settings, the layer that counts most last; within a layer `--set` after the short names.
fn settings(layers: &Layers) -> Result<Vec<(String, String)>, UserError> {
    let mut settings = Vec::new();
    for layer in layers.0.iter().rev() {
        for (option, setting) in SHORT_NAMES {
            if let Some(text) = layer.text(option) {
                check(setting, text, &layer.origin().option(option))?;
                settings.push((setting.to_owned(), text.to_owned()));
            }
        }
        settings.extend_from_slice(layer.settings());
    }
    Ok(settings)
}
