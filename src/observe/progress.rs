//! Progress of a run: a bar on a terminal, a line every few seconds in a log.
//!
//! The driver calls `update` as often as it likes; what is shown, and when, is decided here.

use crate::config::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Tasks that are done.
    pub done: u64,
    /// Tasks that will be run.
    pub total: u64,
    /// Tasks that erred.
    pub erred: u64,
    /// Workers that are there.
    pub workers: u64,
    /// Payload bytes that moved so far.
    pub moved_bytes: u64,
}

/// Shows progress on stderr.
#[derive(Debug)]
pub struct ProgressDisplay {
    how: How,
    begin: Instant,
}

#[derive(Debug)]
enum How {
    Bar(ProgressBar),
    Lines { last: Duration },
    Nothing,
}

impl ProgressDisplay {
    /// A display as asked for; `Auto` takes a bar when stderr is a terminal, lines elsewhere.
    #[must_use]
    pub fn new(asked: Progress) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let how = match asked {
            Progress::None => How::Nothing,
            Progress::Bar => How::Bar(bar()),
            Progress::Auto if terminal => How::Bar(bar()),
            Progress::Auto | Progress::Log => How::Lines { last: Duration::ZERO },
        };
        Self { how, begin: Instant::now() }
    }

    /// Shows where the run stands, when it is time to.
    pub fn update(&mut self, standing: &Standing) {
        let elapsed = self.begin.elapsed();
        match &mut self.how {
            How::Bar(bar) => {
                bar.set_length(standing.total);
                bar.set_position(standing.done);
                bar.set_message(message(standing));
            }
            How::Lines { last } => {
                if elapsed.saturating_sub(*last) >= LINE_INTERVAL {
                    *last = elapsed;
                    // When stderr is gone, nobody watches.
                    let _gone = writeln!(std::io::stderr(), "{}", line(standing, elapsed));
                }
            }
            How::Nothing => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&mut self) {
        if let How::Bar(bar) = &self.how {
            bar.finish_and_clear();
        }
        self.how = How::Nothing;
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed:>5} {wide_bar} {pos}/{len} tasks {msg}");
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn message(standing: &Standing) -> String {
    let mut text = match standing.workers {
        1 => "1 worker".to_owned(),
        workers => format!("{workers} workers"),
    };
    if standing.erred > 0 {
        text.push_str(&format!(", {} erred", standing.erred));
    }
    if standing.moved_bytes > 0 {
        text.push_str(&format!(", {} moved", size(standing.moved_bytes)));
    }
    text
}

fn line(standing: &Standing, elapsed: Duration) -> String {
    let percent = standing.done.saturating_mul(100).checked_div(standing.total).unwrap_or(100);
    format!(
        "rdask-hpc: {} of {} tasks ({percent} %), {}, {} s",
        standing.done,
        standing.total,
        message(standing),
        elapsed.as_secs()
    )
}

/// Bytes with three digits, for people.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            let places = if unit == "B" || value >= 99.95 { 0 } else { 1 };
            return format!("{value:.places$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.0} PB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let standing = Standing { done: 50, total: 200, erred: 0, workers: 1, moved_bytes: 0 };
        let text = line(&standing, Duration::from_millis(12_345));
        assert_eq!(text, "rdask-hpc: 50 of 200 tasks (25 %), 1 worker, 12 s");
        let standing = Standing { erred: 2, workers: 3, moved_bytes: 1_500_000, ..standing };
        let text = line(&standing, Duration::ZERO);
        assert_eq!(
            text,
            "rdask-hpc: 50 of 200 tasks (25 %), 3 workers, 2 erred, 1.5 MB moved, 0 s"
        );
        assert!(line(&Standing::default(), Duration::ZERO).contains("(100 %)"));
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (123_456_789, "123 MB"),
            (999_960, "1.0 MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(size(u64::MAX), "18447 PB");
    }

    #[test]
    fn every_display_takes_updates_and_ends() {
        for asked in [Progress::Auto, Progress::Bar, Progress::Log, Progress::None] {
            let mut display = ProgressDisplay::new(asked);
            display.update(&Standing { total: 3, ..Standing::default() });
            display.finish();
            display.update(&Standing::default());
        }
    }
}
