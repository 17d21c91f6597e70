//! Carrying out `GatherDep`: one request to a peer, answered key by key.
//!
//! The transport lands each value in reserved room of the store; the core decides what to keep.

use super::shell::{Gather, Gathered};
use rdask_core::ids::TaskId;
use rdask_core::messages::TaskError;
use rdask_transport::{
    Answer, Cancel, ErrorKind, Fetched, Fetcher, PeerAddress, TransportError, Wanted,
};
use std::net::SocketAddr;

/// Asks a peer and waits for its whole answer; `cancel` comes when the peer is gone.
pub(super) async fn gather(fetcher: &Fetcher, gather: &Gather, cancel: &Cancel) -> Gathered {
    let Some(peer) = &gather.peer else { return Gathered::NetworkFailure };
    let addresses: Vec<SocketAddr> =
        peer.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let address = PeerAddress { server_id: peer.server_id, addresses, label: peer.name.clone() };
    let wanted: Vec<Wanted> = gather
        .tasks
        .iter()
        .map(|(task, nbytes)| Wanted { name: u64::from(task.0), nbytes: *nbytes })
        .collect();
    match fetcher.fetch(&address, &wanted, gather.priority, cancel).await {
        Ok(Answer::Objects(objects)) => sort(&gather.tasks, objects),
        Ok(Answer::Busy) => Gathered::Busy,
        Err(error) => failed(&error),
    }
}

fn sort(asked: &[(TaskId, u64)], objects: Vec<Fetched>) -> Gathered {
    let (mut received, mut absent, mut bad) = (Vec::new(), Vec::new(), Vec::new());
    for ((task, _), fetched) in asked.iter().zip(objects) {
        match fetched {
            Fetched::Landed(value) => received.push((*task, value)),
            Fetched::Absent => absent.push(*task),
            Fetched::WrongSize(_) => bad.push(*task),
        }
    }
    Gathered::Answer { received, absent, bad }
}

fn failed(error: &TransportError) -> Gathered {
    match &error.kind {
        ErrorKind::NoRoom(reason) => Gathered::Failure(Box::new(TaskError {
            kind: "MemoryError".to_owned(),
            message: reason.to_string(),
            traceback: String::new(),
        })),
        _ => {
            tracing::info!(%error, "transfer failed");
            Gathered::NetworkFailure
        }
    }
}
