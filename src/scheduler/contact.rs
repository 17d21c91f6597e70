//! The scheduler file: how other programs reach this job, kept up to date as workers come and go.

use super::driver::Driver;
use crate::output::{SchedulerFile, WorkerEntry};

impl Driver {
    /// Writes the scheduler file anew, if one was asked for, while the job goes on.
    pub(super) fn write_scheduler_file(&mut self) {
        if self.phase.is_over() {
            return;
        }
        if let Err(error) = self.try_write_scheduler_file() {
            tracing::warn!(%error, "the scheduler file is not up to date");
        }
    }

    /// The same, with the system's error.
    pub(super) fn try_write_scheduler_file(&self) -> std::io::Result<()> {
        let Some(options) = &self.options.scheduler_file else { return Ok(()) };
        let workers = self
            .links
            .values()
            .map(|link| {
                let registration = &link.registration;
                WorkerEntry {
                    id: registration.name.clone(),
                    rank: registration.rank,
                    host: registration.host.clone(),
                    pid: registration.pid,
                    nanny_pid: registration.nanny_pid,
                    address: registration.addresses.first().cloned().unwrap_or_default(),
                    nthreads: registration.nthreads,
                    cpus: registration.cpus.clone(),
                    memory_limit: registration.memory_limit_bytes,
                }
            })
            .collect();
        let file = SchedulerFile {
            version: 1,
            job_id: self.options.job_id.clone(),
            address: options.addresses.first().cloned().unwrap_or_default(),
            addresses: options.addresses.clone(),
            secret: options.secret.clone(),
            workers,
        };
        file.write(&options.path)
    }

    /// The job is over: nobody can be reached any more.
    pub(super) fn remove_scheduler_file(&self) {
        let Some(options) = &self.options.scheduler_file else { return };
        if let Err(error) = std::fs::remove_file(&options.path)
            && error.kind() != std::io::ErrorKind::NotFound
            && self.trouble.code != 2
        {
            tracing::warn!(path = %options.path.display(), %error, "the scheduler file stays");
        }
    }
}
