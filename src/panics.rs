//! A panic that nobody catches ends its process, at once and with one line.
//!
//! A thread or an async task that panics would else vanish alone: what waits for it waits for ever,
//! while heartbeats go on. The supervisor sees a death and deals with it as with every other one.
//! What is caught says so: the code of tasks, whose panic is the task's error, and the scheduler's
//! core, whose panic ends the process on its way through `main`, with the flight record whole.

use std::any::Any;
use std::cell::Cell;
use std::io::Write;
use std::panic::PanicHookInfo;

thread_local! {
    /// Somebody above on the stack of this thread deals with panics.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Sets back what was there before, whichever way the scope ends.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        CAUGHT.set(self.0);
    }
}

/// Runs code for whose panics the caller answers: they end no process by themselves.
pub(crate) fn caught<R>(act: impl FnOnce() -> R) -> R {
    let _restore = Restore(CAUGHT.replace(true));
    act()
}

/// From now on each other panic ends this process. `who` begins its line.
pub(crate) fn end_the_process(who: String) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if CAUGHT.get() {
            before(info);
            return;
        }
        // Neither the log nor a lock: whoever holds one of them may be who panicked. Nobody may
        // listen, which changes nothing.
        let _unheard = std::io::stderr().write_all(line(&who, info).as_bytes());
        std::process::abort();
    }));
}

fn line(who: &str, info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(String::new, |at| format!(" at {at}"));
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    format!(
        "{who}internal error on thread {thread}{place}: {}; this process ends\n",
        message(info.payload())
    )
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::{Command, Output};

    /// Set in the process that a test starts.
    const INSIDE: &str = "RDASK_TEST_PANICS";

    /// Runs a test of this file again in a process of its own.
    fn outside(test: &str) -> Output {
        let name = format!("panics::tests::{test}");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &name, "--nocapture"]).env(INSIDE, "1").output().unwrap()
    }

    fn is_inside() -> bool {
        let inside = std::env::var_os(INSIDE).is_some();
        if inside {
            end_the_process("worker 7: ".to_owned());
        }
        inside
    }

    #[test]
    fn a_panic_on_any_thread_ends_the_process_with_one_line() {
        if is_inside() {
            let named = std::thread::Builder::new().name("task-0".to_owned());
            let thread = named.spawn(|| panic!("broken {}", 3)).unwrap();
            let _never = thread.join();
            std::process::exit(0);
        }
        let output = outside("a_panic_on_any_thread_ends_the_process_with_one_line");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT));
        let stderr = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<&str> = stderr.lines().collect();
        assert_eq!(lines.len(), 1, "{stderr}");
        assert!(lines[0].starts_with("worker 7: internal error on thread task-0 at "), "{stderr}");
        assert!(lines[0].ends_with(": broken 3; this process ends"), "{stderr}");
    }

    #[test]
    fn a_panic_in_an_async_task_ends_the_process() {
        if is_inside() {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let _never = tokio::task::spawn_local(async { panic!("in a task") }).await;
            });
            std::process::exit(0);
        }
        let output = outside("a_panic_in_an_async_task_ends_the_process");
        assert_eq!(output.status.signal(), Some(libc::SIGABRT));
    }

    #[test]
    fn what_is_caught_ends_nothing_and_only_while_it_lasts() {
        if is_inside() {
            let panics = || caught(|| -> u8 { panic!("of a task") });
            let payload = catch_unwind(AssertUnwindSafe(panics)).unwrap_err();
            assert_eq!(message(&*payload), "of a task");
            assert!(!CAUGHT.get());
            // A scope inside another one leaves that as it is.
            caught(|| {
                caught(|| ());
                assert!(CAUGHT.get());
            });
            std::process::exit(0);
        }
        let output = outside("what_is_caught_ends_nothing_and_only_while_it_lasts");
        assert!(output.status.success(), "{output:?}");
    }
}
