//! What can go wrong between two peers, in one line: who, over what, doing what, why, after how
//! long.

use rdask_store::StoreError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How bytes travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Path {
    /// Within one process.
    Inproc,
    /// A TCP connection.
    Tcp,
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Inproc => "inproc",
            Self::Tcp => "tcp",
        })
    }
}

/// Lowest and highest protocol version that a side speaks.
pub type VersionRange = (u16, u16);

/// Why something between two peers failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The channel was closed or aborted on this side.
    #[error("the connection is closed")]
    Closed,
    /// The peer's process or machine is gone, or it dropped the connection without a goodbye.
    #[error("peer died")]
    PeerDied,
    /// Nothing moved for too long.
    #[error("no progress")]
    Timeout,
    /// The peer does not want us.
    #[error("refused: {0}")]
    Refused(String),
    /// One side could not prove that it knows the job's secret.
    #[error("the two sides do not share the job's secret")]
    WrongSecret,
    /// No protocol version in common.
    #[error(
        "no common protocol version: we speak {} to {}, the peer {} to {}; \
         all processes of a job must run the same build",
        ours.0, ours.1, theirs.0, theirs.1
    )]
    WrongVersion {
        /// Of this side.
        ours: VersionRange,
        /// Of the peer.
        theirs: VersionRange,
    },
    /// A message is longer than its kind may be.
    #[error("a message of {len} bytes exceeds the limit of {limit} bytes")]
    TooLong {
        /// Its length, bytes.
        len: u64,
        /// The limit, bytes.
        limit: u64,
    },
    /// The peer sent what the protocol does not allow.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
    /// The caller took its request back.
    #[error("cancelled")]
    Cancelled,
    /// The store has no room for what would arrive.
    #[error(transparent)]
    NoRoom(StoreError),
    /// The operating system.
    #[error("{0}")]
    Os(Arc<std::io::Error>),
}

impl From<std::io::Error> for ErrorKind {
    /// The ways in which a kernel says that the peer is gone become one.
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        match error.kind() {
            Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof => {
                Self::PeerDied
            }
            Io::TimedOut => Self::Timeout,
            _ => Self::Os(Arc::new(error)),
        }
    }
}

/// A failure between us and one peer.
#[derive(Clone, Debug)]
pub struct TransportError {
    /// The peer: its label where it is known, else its address.
    pub peer: String,
    /// The path.
    pub path: Path,
    /// What we were doing.
    pub during: String,
    /// Why it failed.
    pub kind: ErrorKind,
    /// Time since the attempt began.
    pub elapsed: Duration,
}

impl fmt::Display for TransportError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, path, during, kind, elapsed } = self;
        write!(out, "{peer} over {path}: {during}: {kind} after {:.1} s", elapsed.as_secs_f64())
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_peer_path_action_reason_and_time() {
        let error = TransportError {
            peer: "rank 7 (node12)".into(),
            path: Path::Tcp,
            during: "fetching 2 objects (64 MiB)".into(),
            kind: ErrorKind::PeerDied,
            elapsed: Duration::from_millis(3210),
        };
        assert_eq!(
            error.to_string(),
            "rank 7 (node12) over tcp: fetching 2 objects (64 MiB): peer died after 3.2 s"
        );
    }

    #[test]
    fn a_reset_connection_is_a_dead_peer() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(matches!(ErrorKind::from(reset), ErrorKind::PeerDied));
        let other = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        assert!(matches!(ErrorKind::from(other), ErrorKind::Os(_)));
    }
}
