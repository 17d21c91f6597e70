//! Listening: accepts, has each connection prove itself in a task of its own, and hands over only
//! those that did.
//!
//! Strangers cost little: a bounded number of unproven connections, each with a deadline; beyond
//! it the oldest goes. The accept loop does no cryptography and survives running out of
//! descriptors.

use crate::connect::Connection;
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::{handshake, tcp};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

/// Connections that may be unproven at once.
const UNPROVEN: usize = 256;
/// Proven connections that may wait to be taken by `accept`.
const PROVEN: usize = 64;
/// First and longest pause after the system refused to accept.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// One line per source in this time.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Sources whose last line is remembered.
const LOG_SOURCES: usize = 256;

/// A listening socket and the connections that have proven themselves on it.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    proven: mpsc::Receiver<Connection>,
    accepting: JoinHandle<()>,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn bind(address: SocketAddr, endpoint: &Endpoint) -> std::io::Result<Self> {
        Self::start(tcp::listen(address)?, endpoint)
    }

    /// Goes on with a socket that listens already, an inherited one.
    ///
    /// # Errors
    /// It is no listening socket.
    pub fn from_std(socket: std::net::TcpListener, endpoint: &Endpoint) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        Self::start(TcpListener::from_std(socket)?, endpoint)
    }

    fn start(socket: TcpListener, endpoint: &Endpoint) -> std::io::Result<Self> {
        let address = socket.local_addr()?;
        let (sender, proven) = mpsc::channel(PROVEN);
        let gate = Gate {
            endpoint: endpoint.clone(),
            proven: sender,
            log: Arc::default(),
            unproven: VecDeque::new(),
        };
        let accepting = tokio::spawn(gate.run(socket));
        Ok(Self { address, proven, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next proven connection; `None` only when the runtime shuts down. Safe to cancel.
    pub async fn accept(&mut self) -> Option<Connection> {
        self.proven.recv().await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Gate {
    endpoint: Endpoint,
    proven: mpsc::Sender<Connection>,
    log: Arc<Mutex<RefusalLog>>,
    unproven: VecDeque<AbortHandle>,
}

impl Gate {
    async fn run(mut self, socket: TcpListener) {
        let mut pause = PAUSE.0;
        loop {
            match socket.accept().await {
                Ok((stream, source)) => {
                    pause = PAUSE.0;
                    self.admit(stream, source);
                }
                Err(error) => {
                    // Out of descriptors or memory: unproven connections give theirs back soon.
                    tracing::warn!(%error, "cannot accept a connection, trying again");
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, source: SocketAddr) {
        self.unproven.retain(|task| !task.is_finished());
        if self.unproven.len() >= UNPROVEN
            && let Some(oldest) = self.unproven.pop_front()
        {
            oldest.abort();
        }
        let (endpoint, log) = (self.endpoint.clone(), self.log.clone());
        let proven = self.proven.clone();
        let task = tokio::spawn(async move {
            let limit = endpoint.settings().handshake;
            let handshake = prove(stream, &endpoint);
            match timeout(limit, handshake).await.unwrap_or(Err(ErrorKind::Timeout)) {
                // Nobody takes it only when the listener is gone.
                Ok(connection) => drop(proven.send(connection).await),
                Err(kind) => {
                    endpoint.counters().refused();
                    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                    log.refused(source, &kind);
                }
            }
        });
        self.unproven.push_back(task.abort_handle());
    }
}

async fn prove(mut stream: TcpStream, endpoint: &Endpoint) -> Result<Connection, ErrorKind> {
    tcp::prepare(&stream, endpoint.settings().timeout)?;
    let proven = handshake::accept(&mut stream, endpoint).await?;
    let purpose = proven.peer.purpose;
    Ok(Connection::assemble(stream, proven, purpose, endpoint))
}

/// One line per source and minute, however many try.
#[derive(Debug, Default)]
struct RefusalLog {
    last: BTreeMap<IpAddr, Instant>,
}

impl RefusalLog {
    /// Writes a line, unless one about this source was written a short while ago.
    fn refused(&mut self, source: SocketAddr, kind: &ErrorKind) -> bool {
        if matches!(kind, ErrorKind::PeerDied) {
            tracing::debug!(address = %source, "a peer went away before it proved itself");
            return false;
        }
        let now = Instant::now();
        let recent = |last: &Instant| now.duration_since(*last) < LOG_EVERY;
        if self.last.get(&source.ip()).is_some_and(recent) {
            return false;
        }
        if self.last.len() >= LOG_SOURCES {
            self.last.retain(|_, last| recent(last));
        }
        if self.last.len() >= LOG_SOURCES {
            return false;
        }
        self.last.insert(source.ip(), now);
        tracing::warn!(address = %source, reason = %kind, "refused a connection");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_line_per_source_and_minute() {
        let mut log = RefusalLog::default();
        let source = |last: u8, port| SocketAddr::from(([10, 0, 0, last], port));
        assert!(log.refused(source(1, 1), &ErrorKind::Timeout));
        assert!(!log.refused(source(1, 2), &ErrorKind::Timeout));
        assert!(log.refused(source(2, 1), &ErrorKind::Timeout));
        tokio::time::advance(LOG_EVERY).await;
        assert!(log.refused(source(1, 3), &ErrorKind::Timeout));
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_remembers_a_bounded_number_of_sources() {
        let mut log = RefusalLog::default();
        for number in 0..2000_u32 {
            let source = SocketAddr::from((number.to_be_bytes(), 1));
            log.refused(source, &ErrorKind::Timeout);
        }
        assert_eq!(log.last.len(), LOG_SOURCES);
    }
}
