//! Messages and results in motion: the transport knows peers, frames and buffers, and no task.
//!
//! Two things, apart because they fail and flow differently:
//!
//! - a **channel** is an ordered stream of control messages between two proven peers:
//!   [`connect`] and [`Listener::accept`] over TCP, [`inproc::pair`] within one process;
//! - a **fetch** brings objects of a peer's store into ours over lanes of their own:
//!   [`DataServer`] answers, [`Fetcher::fetch`] asks.
//!
//! Nothing is read from a connection before both sides have proven that they know the job's
//! secret. Every length is tested before memory is allocated for it. Everything runs on the
//! caller's tokio runtime.
//!
//! ```
//! use rdask_transport::{Endpoint, Identity, Role, Secret, inproc};
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let who = |label: &str, role| Identity {
//!     server_id: 1, role, job_id: "job".into(), label: label.into(),
//!     machine: "boot".into(), netns: 0,
//! };
//! let secret = Secret::random()?;
//! let scheduler = Endpoint::new(who("scheduler", Role::Scheduler), secret.clone());
//! let worker = Endpoint::new(who("rank 0", Role::Worker), secret);
//! let (at_scheduler, at_worker) = inproc::pair(&scheduler, &worker)?;
//! let (sender, _replies) = at_scheduler.split();
//! let (_answers, mut receiver) = at_worker.split();
//! sender.push(|body| body.extend_from_slice(b"hello"))?;
//! let batch = receiver.recv().await?.expect("not closed");
//! assert_eq!(batch.iter().collect::<Vec<_>>(), [b"hello"]);
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channel;
mod connect;
mod data;
mod endpoint;
mod error;
mod fetch;
pub mod frame;
pub mod handshake;
mod hello;
pub mod inproc;
mod interfaces;
mod lane;
mod listener;
mod outbox;
mod secret;
mod serve;
mod stats;
mod tcp;

pub use channel::{Batch, Channel, ChannelReceiver, ChannelSender};
pub use connect::{Connection, connect};
pub use endpoint::{Endpoint, Settings};
pub use error::{ErrorKind, Path, TransportError, VersionRange};
pub use fetch::{Answer, Cancel, Fetched, Fetcher, PeerAddress, Wanted};
pub use hello::{Hello, Identity, MAX_HELLO, MAX_JOB_ID, PREFIX_LEN, PROTOCOL, Purpose, Role};
pub use interfaces::{
    Interface, InterfaceError, choose_addresses, interfaces, reachable_interfaces,
};
pub use lane::DataLane;
pub use listener::Listener;
pub use outbox::{CHANNEL_BUDGET, PushError};
pub use secret::{SECRET_LEN, Secret};
pub use serve::{AtOnce, DataServer, Lookup, Serve};
pub use stats::TransportStats;
