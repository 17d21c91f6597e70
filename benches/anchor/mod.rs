//! numpy beside the benches of kernels: one Python process, asked line by line.
//!
//! The script that a bench hands over says `ready` once numpy 2 is there, and answers each line with
//! seconds. The python is RDASK_BENCH_PYTHON's, else RDASK_TEST_PYTHON's, else `python3`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// numpy on one thread.
pub(crate) struct Anchor {
    child: Child,
    send: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Anchor {
    /// Starts a script; none where it does not say `ready`.
    pub(crate) fn start(script: &str) -> Option<Self> {
        let named = ["RDASK_BENCH_PYTHON", "RDASK_TEST_PYTHON"].map(std::env::var);
        let python = named.into_iter().find_map(Result::ok).unwrap_or_else(|| "python3".into());
        let mut child = Command::new(python)
            .args(["-c", script])
            .env("OPENBLAS_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let send = child.stdin.take()?;
        let answers = BufReader::new(child.stdout.take()?);
        let mut anchor = Self { child, send, answers };
        (anchor.line()? == "ready").then_some(anchor)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).ok()?;
        Some(line.trim().to_owned())
    }

    /// Sends a line; what the script answers, in seconds.
    pub(crate) fn seconds(&mut self, line: &str) -> Option<f64> {
        writeln!(self.send, "{line}").ok()?;
        self.line()?.parse().ok()
    }

    /// Ends the process.
    pub(crate) fn stop(mut self) {
        drop(self.send);
        // The child ends with its input; its status says nothing more.
        drop(self.child.wait());
    }
}
