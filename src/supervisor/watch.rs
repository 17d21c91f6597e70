//! Tasks that turn descriptors into events: signals, and the end of the launcher.

use super::Event;
use rdask_launcher::bootstrap::Job;
use rdask_launcher::env::Launcher;
use rdask_launcher::signals::Signals;
use rustix::process::{PidfdFlags, getppid, pidfd_open};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

/// Starts both. From now on signals to this process are events.
pub(super) fn start(job: &Job, events: &mpsc::Sender<Event>) -> io::Result<()> {
    let signals = readable(Signals::take_over()?)?;
    drop(tokio::task::spawn_local(read_signals(signals, events.clone())));
    // A local run may outlive the shell that started it (nohup); a rank may not.
    if job.launcher != Launcher::Local
        && let Some(parent) = getppid()
    {
        match pidfd_open(parent, PidfdFlags::empty()) {
            Ok(launcher) => {
                let launcher = readable(launcher)?;
                drop(tokio::task::spawn_local(watch_launcher(launcher, events.clone())));
            }
            Err(errno) => tracing::debug!(%errno, "the launcher cannot be watched"),
        }
    }
    Ok(())
}

/// Wakes a task when a descriptor can be read.
#[expect(deprecated, reason = "its heir is unsafe for types that may swap their descriptor")]
pub(super) fn readable<T: AsRawFd>(fd: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

async fn read_signals(signals: AsyncFd<Signals>, events: mpsc::Sender<Event>) {
    while let Ok(mut guard) = signals.readable().await {
        while let Ok(Some(signal)) = signals.get_ref().read() {
            if events.send(Event::Signal(signal)).await.is_err() {
                return;
            }
        }
        guard.clear_ready();
    }
}

/// A pidfd is readable when its process has ended.
async fn watch_launcher(launcher: AsyncFd<OwnedFd>, events: mpsc::Sender<Event>) {
    if launcher.readable().await.is_ok() {
        // A supervisor that is gone does not want to know.
        let _unheard = events.send(Event::LauncherGone).await.is_err();
    }
}
