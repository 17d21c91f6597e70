//! Dialling: all addresses of a peer at once, a little staggered, until one has proven itself.
//!
//! A peer that is not there yet is tried again until the deadline. A peer that is there and refuses
//! is not: waiting would not change its mind.

use crate::channel::Channel;
use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Path, TransportError};
use crate::handshake::{self, Proven};
use crate::hello::{Hello, Purpose};
use crate::lane::DataLane;
use crate::tcp;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Head start of an address before the next: longer than a handshake inside one site, so that a
/// peer usually sees one connection only.
const STAGGER: Duration = Duration::from_millis(100);
/// First and longest pause between two rounds of attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// Proofs that may stay unanswered before we believe that the secrets differ.
const UNANSWERED_PROOFS: u32 = 3;

/// A proven connection, dialled or accepted.
#[derive(Debug)]
pub enum Connection {
    /// For control messages.
    Control(Channel),
    /// For objects.
    Data(DataLane),
}

impl Connection {
    pub(crate) fn assemble(
        stream: TcpStream,
        proven: Proven,
        purpose: Purpose,
        endpoint: &Endpoint,
    ) -> Self {
        let Proven { peer, tokens } = proven;
        match purpose {
            Purpose::Control => Self::Control(Channel::over_tcp(stream, peer, tokens, endpoint)),
            Purpose::Data => Self::Data(DataLane::new(stream, peer, tokens, endpoint)),
        }
    }

    /// What the peer said about itself, proven.
    #[must_use]
    pub fn peer(&self) -> &Hello {
        match self {
            Self::Control(channel) => channel.peer(),
            Self::Data(lane) => lane.peer(),
        }
    }
}

/// Whom to dial.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) addresses: &'a [SocketAddr],
    /// The process that must answer; none takes any of the job.
    pub(crate) server_id: Option<u128>,
    pub(crate) purpose: Purpose,
}

/// Opens a control channel to whichever process of the job listens at one of the addresses.
///
/// # Errors
/// `Timeout` when none answered within `limit` (its text names the last reason), `Refused`,
/// `WrongSecret`, `WrongVersion`, `Malformed`.
pub async fn connect(
    addresses: &[SocketAddr],
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<Channel, TransportError> {
    let target = Target { addresses, server_id: None, purpose: Purpose::Control };
    let (stream, proven) = dial(target, endpoint, limit).await?;
    Ok(Channel::over_tcp(stream, proven.peer, proven.tokens, endpoint))
}

/// Opens a lane to one process.
pub(crate) async fn open_lane(
    target: Target<'_>,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<DataLane, TransportError> {
    let (stream, proven) = dial(target, endpoint, limit).await?;
    Ok(DataLane::new(stream, proven.peer, proven.tokens, endpoint))
}

async fn dial(
    target: Target<'_>,
    endpoint: &Endpoint,
    limit: Duration,
) -> Result<(TcpStream, Proven), TransportError> {
    let begun = Instant::now();
    let names: Vec<String> = target.addresses.iter().map(ToString::to_string).collect();
    let failed = |kind, during: String| TransportError {
        peer: names.join(", "),
        path: Path::Tcp,
        during,
        kind,
        elapsed: begun.elapsed(),
    };
    let mut last = None;
    let attempts_limit = endpoint.settings().connect_attempts;
    let attempts = async {
        let (mut pause, mut unanswered, mut rounds) = (PAUSE.0, 0, 0);
        loop {
            rounds += 1;
            match one_round(target, endpoint).await {
                Ok(connected) => return Ok(connected),
                Err(ErrorKind::WrongSecret) if unanswered + 1 < UNANSWERED_PROOFS => {
                    unanswered += 1;
                }
                Err(kind) if is_final(&kind) => return Err(kind),
                Err(kind) if target.purpose == Purpose::Data && rounds >= attempts_limit => {
                    return Err(kind);
                }
                Err(kind) => last = Some(kind),
            }
            sleep(with_jitter(pause)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    };
    match timeout(limit, attempts).await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(kind)) => Err(failed(kind, "connecting".into())),
        Err(_) => {
            let reason = last.map_or_else(|| "no answer".into(), |kind| kind.to_string());
            Err(failed(ErrorKind::Timeout, format!("connecting (last attempt: {reason})")))
        }
    }
}

fn is_refusal(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::ConnectionRefused
}

/// Whether trying again is pointless.
fn is_final(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Refused(_)
            | ErrorKind::WrongSecret
            | ErrorKind::WrongVersion { .. }
            | ErrorKind::Malformed(_)
            | ErrorKind::TooLong { .. }
    )
}

/// Up to a quarter more or less, so that a thousand ranks that were refused together do not come
/// back together.
fn with_jitter(pause: Duration) -> Duration {
    let chance = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause.mul_f64(0.75 + f64::from(chance) / f64::from(u32::MAX) / 2.0)
}

/// Tries every address once; the first to prove itself wins. A reason that may pass is preferred
/// to a final one, since only one of the addresses needs to be the peer's.
async fn one_round(
    target: Target<'_>,
    endpoint: &Endpoint,
) -> Result<(TcpStream, Proven), ErrorKind> {
    let mut attempts = JoinSet::new();
    for (turn, address) in target.addresses.iter().copied().enumerate() {
        let endpoint = endpoint.clone();
        let (server_id, purpose) = (target.server_id, target.purpose);
        let wait = STAGGER * u32::try_from(turn).unwrap_or(u32::MAX);
        attempts.spawn(async move {
            sleep(wait).await;
            let limit = endpoint.settings().handshake;
            let attempt = attempt(address, server_id, purpose, &endpoint);
            timeout(limit, attempt).await.unwrap_or(Err(ErrorKind::Timeout))
        });
    }
    let mut reason = None;
    while let Some(joined) = attempts.join_next().await {
        match joined.unwrap_or(Err(ErrorKind::Cancelled)) {
            Ok(connected) => return Ok(connected),
            Err(kind) if reason.is_none() || !is_final(&kind) => reason = Some(kind),
            Err(_) => {}
        }
    }
    Err(reason.unwrap_or(ErrorKind::Refused("the peer has no address".into())))
}

async fn attempt(
    address: SocketAddr,
    server_id: Option<u128>,
    purpose: Purpose,
    endpoint: &Endpoint,
) -> Result<(TcpStream, Proven), ErrorKind> {
    let mut stream = match TcpStream::connect(address).await {
        // A worker listens for as long as it lives.
        Err(error) if purpose == Purpose::Data && is_refusal(&error) => {
            return Err(ErrorKind::PeerDied);
        }
        connected => connected?,
    };
    tcp::prepare(&stream, endpoint.settings().timeout)?;
    let proven = handshake::initiate(&mut stream, endpoint, purpose).await?;
    match server_id {
        // Another process has its port now, which means that it is gone.
        Some(expected) if proven.peer.identity.server_id != expected => Err(ErrorKind::Refused(
            format!("{address} belongs to {} now", proven.peer.identity.label),
        )),
        _ => Ok((stream, proven)),
    }
}
