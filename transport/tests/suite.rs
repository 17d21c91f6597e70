//! What the tests of the transport share: endpoints, pairs of channels over each path, a seeded
//! generator of chance, a guard against hanging.

use rdask_transport::{
    Channel, Connection, Endpoint, Identity, Listener, Role, Secret, Settings, connect, inproc,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// A guard against hanging, far above what anything here takes.
const HANG: Duration = Duration::from_secs(120);

/// A process of the job.
pub(crate) fn identity(server_id: u128, role: Role) -> Identity {
    Identity {
        server_id,
        role,
        job_id: "job 1".into(),
        label: format!("rank {server_id}"),
        machine: "machine".into(),
        netns: 1,
    }
}

pub(crate) fn secret() -> Secret {
    Secret::from_bytes([42; 32])
}

pub(crate) fn endpoint(server_id: u128) -> Endpoint {
    Endpoint::new(identity(server_id, Role::Worker), secret())
}

pub(crate) fn endpoint_with(server_id: u128, settings: Settings) -> Endpoint {
    Endpoint::with_settings(identity(server_id, Role::Worker), secret(), settings)
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Which path a channel of the conformance suite takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Inproc,
    Tcp,
}

/// Both ends of a channel.
pub(crate) async fn pair(over: Over) -> (Channel, Channel) {
    pair_of(over, &endpoint(1), &endpoint(2)).await
}

pub(crate) async fn pair_of(over: Over, one: &Endpoint, two: &Endpoint) -> (Channel, Channel) {
    match over {
        Over::Inproc => inproc::pair(one, two).unwrap(),
        Over::Tcp => {
            let mut listener = Listener::bind(loopback(), two).unwrap();
            let address = [listener.local_addr()];
            let (dialled, accepted) = tokio::join!(connect(&address, one, HANG), listener.accept());
            let Some(Connection::Control(accepted)) = accepted else { panic!("no channel") };
            (dialled.unwrap(), accepted)
        }
    }
}

/// Runs a test on a current-thread runtime, as the drivers do, with a guard against hanging.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(HANG, Box::pin(test)).await.expect("the test hangs") })
}

/// xorshift64*: chance that is the same in every run.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
