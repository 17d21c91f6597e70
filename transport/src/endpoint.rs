//! One process's end of everything: who it is, what it knows, how patient it is, what it moved.

use crate::error::{ErrorKind, Path};
use crate::hello::{Hello, Identity, PROTOCOL, Purpose};
use crate::secret::Secret;
use crate::stats::{Counters, TransportStats};
use std::sync::Arc;
use std::time::Duration;

/// How patient this process is and what it checks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A peer that is silent, or takes nothing, for this long is dead (Dask's `timeouts.tcp`).
    pub timeout: Duration,
    /// After this much silence of a peer it is asked whether it lives.
    pub ping_after: Duration,
    /// A connection that has not proven itself after this long is dropped.
    pub handshake: Duration,
    /// Times that a peer is called for a lane: it listens already, unless it is gone.
    pub connect_attempts: u32,
    /// Check each object with a checksum after its transfer.
    pub verify: bool,
    /// Ports that this process listens on, to say in its Hello.
    pub ports: Vec<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            ping_after: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            connect_attempts: 3,
            verify: false,
            ports: Vec::new(),
        }
    }
}

/// Who we are to every peer; clones share it.
#[derive(Clone)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    secret: Secret,
    settings: Settings,
    counters: Counters,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Endpoint").field("identity", &self.inner.identity).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An end with the default settings.
    #[must_use]
    pub fn new(identity: Identity, secret: Secret) -> Self {
        Self::with_settings(identity, secret, Settings::default())
    }

    /// An end with these settings.
    #[must_use]
    pub fn with_settings(identity: Identity, secret: Secret, settings: Settings) -> Self {
        let counters = Counters::default();
        Self { inner: Arc::new(Inner { identity, secret, settings, counters }) }
    }

    /// Who we are.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// How patient we are.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// What was moved so far.
    #[must_use]
    pub fn stats(&self) -> TransportStats {
        self.inner.counters.read()
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.inner.secret
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// What we say first on a new connection.
    pub(crate) fn hello(&self, purpose: Purpose) -> Result<Hello, ErrorKind> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(std::io::Error::other)?;
        Ok(Hello {
            identity: self.inner.identity.clone(),
            purpose,
            versions: PROTOCOL,
            nonce,
            paths: vec![Path::Inproc, Path::Tcp],
            ports: self.inner.settings.ports.clone(),
            features: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::Role;

    #[test]
    fn nothing_printed_holds_the_secret() {
        let identity = Identity {
            server_id: 1,
            role: Role::Worker,
            job_id: "job".into(),
            label: "rank 0".into(),
            machine: String::new(),
            netns: 0,
        };
        let endpoint = Endpoint::new(identity, Secret::from_bytes([171; 32]));
        let text = format!("{endpoint:?}");
        assert!(text.contains("rank 0"));
        assert!(!text.contains("171"));
    }
}
