//! The handshake: both sides prove that they know the job's secret, before anything else is read.
//!
//! ```text
//! initiator                          acceptor
//!    Hello  ───────────────────────────▶
//!    ◀───────────────────────────  Hello      no common version, another job: both know and stop
//!    proof I ──────────────────────────▶      a wrong one is not answered
//!    ◀─────────────────────────  proof A
//! ```
//!
//! A proof covers both whole Hellos, so nothing in them can be altered, and the side that made it,
//! so it cannot be sent back. Fresh nonces of both sides make an old one worthless.

use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::frame::Token;
use crate::hello::{Hello, PREFIX_LEN, Prefix, Purpose};
use crate::secret::{SECRET_LEN, Secret};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bound into every proof, so that none serves another purpose.
const CONTEXT: &[u8] = b"rdask-hpc 1";

/// Which side of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Dialled.
    Initiator,
    /// Was dialled.
    Acceptor,
}

impl Side {
    const fn byte(self) -> &'static [u8] {
        match self {
            Self::Initiator => b"I",
            Self::Acceptor => b"A",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Acceptor,
            Self::Acceptor => Self::Initiator,
        }
    }
}

/// Both Hellos, from one side's point of view: what proofs and tokens are made of.
#[derive(Clone, Debug)]
pub struct Transcript {
    side: Side,
    initiator: Vec<u8>,
    acceptor: Vec<u8>,
}

/// The tokens of a proven connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tokens {
    /// Of what this side sends.
    pub ours: Token,
    /// Of what the peer sends.
    pub theirs: Token,
}

impl Transcript {
    /// Of the Hellos as they travelled.
    #[must_use]
    pub fn new(side: Side, ours: Vec<u8>, theirs: Vec<u8>) -> Self {
        let (initiator, acceptor) = match side {
            Side::Initiator => (ours, theirs),
            Side::Acceptor => (theirs, ours),
        };
        Self { side, initiator, acceptor }
    }

    /// This side's proof.
    #[must_use]
    pub fn prove(&self, secret: &Secret) -> [u8; SECRET_LEN] {
        secret.prove(&[CONTEXT, self.side.byte(), &self.initiator, &self.acceptor])
    }

    /// Whether the peer's proof is right.
    #[must_use]
    pub fn verify(&self, secret: &Secret, proof: &[u8]) -> bool {
        let side = self.side.other().byte();
        secret.verify(&[CONTEXT, side, &self.initiator, &self.acceptor], proof)
    }

    /// The tokens of both directions.
    #[must_use]
    pub fn tokens(&self, secret: &Secret) -> Tokens {
        let token = |side: Side| {
            let whole = secret.prove(&[b"lane", side.byte(), &self.initiator, &self.acceptor]);
            let mut token = Token::default();
            token.copy_from_slice(&whole[..16]);
            token
        };
        Tokens { ours: token(self.side), theirs: token(self.side.other()) }
    }
}

/// A peer that has proven itself.
pub(crate) struct Proven {
    pub(crate) peer: Hello,
    pub(crate) tokens: Tokens,
}

/// Dials: proves first.
pub(crate) async fn initiate(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    endpoint: &Endpoint,
    purpose: Purpose,
) -> Result<Proven, ErrorKind> {
    let ours = endpoint.hello(purpose)?.encode();
    stream.write_all(&ours).await?;
    let theirs = read_hello(stream).await?;
    let peer = understand(&theirs, endpoint)?;
    let transcript = Transcript::new(Side::Initiator, ours, theirs);
    stream.write_all(&transcript.prove(endpoint.secret())).await?;
    let mut proof = [0; SECRET_LEN];
    match stream.read_exact(&mut proof).await {
        Ok(_) if transcript.verify(endpoint.secret(), &proof) => {}
        // A right proof is always answered; only a peer with another secret, or one that died or
        // was flooded just now, is silent. `connect` tells these apart by trying again.
        Ok(_) | Err(_) => return Err(ErrorKind::WrongSecret),
    }
    Ok(Proven { peer, tokens: transcript.tokens(endpoint.secret()) })
}

/// Was dialled: answers only a right proof.
pub(crate) async fn accept(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    endpoint: &Endpoint,
) -> Result<Proven, ErrorKind> {
    let theirs = read_hello(stream).await?;
    let understood = understand(&theirs, endpoint);
    let ours = endpoint.hello(Purpose::Control)?.encode();
    // Also to a peer that we cannot understand: it must learn why.
    stream.write_all(&ours).await?;
    let peer = match understood {
        Ok(peer) => peer,
        Err(kind) => {
            linger(stream).await;
            return Err(kind);
        }
    };
    let transcript = Transcript::new(Side::Acceptor, ours, theirs);
    let mut proof = [0; SECRET_LEN];
    stream.read_exact(&mut proof).await?;
    if !transcript.verify(endpoint.secret(), &proof) {
        return Err(ErrorKind::WrongSecret);
    }
    stream.write_all(&transcript.prove(endpoint.secret())).await?;
    Ok(Proven { peer, tokens: transcript.tokens(endpoint.secret()) })
}

/// Lets the peer read our Hello before the connection closes: closing with unread bytes would
/// reset it. The handshake's deadline bounds the wait.
async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let mut rest = [0; 64];
    // Whatever ends the reading, an error included, ends the connection.
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
}

async fn read_hello(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ErrorKind> {
    let mut prefix = [0; PREFIX_LEN];
    stream.read_exact(&mut prefix).await?;
    let body_len = Prefix::decode(&prefix)?.body_len;
    let mut hello = vec![0; PREFIX_LEN + body_len];
    hello[..PREFIX_LEN].copy_from_slice(&prefix);
    stream.read_exact(&mut hello[PREFIX_LEN..]).await?;
    Ok(hello)
}

fn understand(hello: &[u8], endpoint: &Endpoint) -> Result<Hello, ErrorKind> {
    let peer = Hello::decode(hello)?;
    let (theirs, ours) = (&peer.identity.job_id, &endpoint.identity().job_id);
    if theirs != ours {
        let reason = format!("the peer belongs to job '{theirs}', this process to job '{ours}'");
        return Err(ErrorKind::Refused(reason));
    }
    Ok(peer)
}
