//! The log: to stderr, and to a file per process with `--log-dir`.
//!
//! Each line begins with who speaks and is written with one call, so that lines of several
//! processes on one terminal stay whole.

use super::forward::{Forward, takes};
use crate::user_error::UserError;
use std::fmt;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Mutex;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{FilterExt, dynamic_filter_fn};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Starts the log of this process. `who` begins each line on stderr; empty: none. In `folder` it
/// goes to `name.log` too, where each process of the job needs a name of its own.
///
/// # Errors
/// When the filter is wrong, the folder cannot be written, or the log was started before.
pub fn init(filter: &str, who: &str, name: &str, folder: Option<&Path>) -> Result<(), UserError> {
    let stderr = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(Prefixed::new(who, std::io::stderr().is_terminal()))
        .with_filter(parse(filter)?.and(dynamic_filter_fn(|metadata, _| !takes(metadata))));
    let forward = Forward.with_filter(parse(filter)?);
    let file = match folder {
        None => None,
        Some(folder) => Some(
            tracing_subscriber::fmt::layer()
                .with_writer(Mutex::new(open(folder, name)?))
                .with_ansi(false)
                .event_format(Prefixed::new("", false))
                .with_filter(parse(filter)?),
        ),
    };
    tracing_subscriber::registry()
        .with(stderr)
        .with(forward)
        .with(file)
        .try_init()
        .map_err(|error| UserError::new("the log cannot be started", error.to_string()))
}

/// Checks a filter without starting anything.
///
/// # Errors
/// When it is wrong.
pub fn check(filter: &str) -> Result<(), UserError> {
    parse(filter).map(drop)
}

fn parse(filter: &str) -> Result<EnvFilter, UserError> {
    EnvFilter::builder().parse(filter).map_err(|error| {
        UserError::new(format!("'{filter}' is not a log filter: {error}"), "option --log")
            .help("for example --log info, or --log rdask=debug,warn")
    })
}

fn open(folder: &Path, name: &str) -> Result<File, UserError> {
    let path = folder.join(format!("{name}.log"));
    let opened = std::fs::create_dir_all(folder)
        .and_then(|()| File::options().append(true).create(true).open(&path));
    opened.map_err(|error| {
        UserError::new(format!("cannot write the log: {error}"), path.display().to_string())
    })
}

/// The usual format behind a prefix.
struct Prefixed {
    who: String,
    format: Format,
}

impl Prefixed {
    fn new(who: &str, colours: bool) -> Self {
        let who = if who.is_empty() { String::new() } else { format!("{who}: ") };
        Self { who, format: Format::default().with_ansi(colours) }
    }
}

impl<S, N> FormatEvent<S, N> for Prefixed
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str(&self.who)?;
        self.format.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for filter in ["warn", "info", "rdask=debug,warn", "off", "rdask_transport=trace"] {
            check(filter).unwrap();
        }
        let error = check("rdask=loud").unwrap_err().to_string();
        assert!(error.contains("'rdask=loud'") && error.contains("--log"), "{error}");
    }

    #[test]
    fn lines_begin_with_who_speaks() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(&folder.path().join("logs"), "worker-3").unwrap();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(Mutex::new(file))
            .event_format(Prefixed::new("worker 3", false))
            .with_filter(parse("info").unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(nbytes = 7, "stored");
            tracing::debug!("hidden");
        });
        let text = std::fs::read_to_string(folder.path().join("logs/worker-3.log")).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.starts_with("worker 3: ") && text.contains("stored nbytes=7"), "{text}");
    }
}
