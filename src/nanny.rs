//! The nanny's control connection: what a supervisor and the scheduler say to each other.
//!
//! A supervisor that watches worker processes registers with the scheduler on a connection of its
//! own, reports deaths, slots given up and stop signals, and is asked to end workers. Decides
//! nothing: `supervisor/mod.rs` does, with the slots' machine of the launcher. A broken connection
//! is made again until the death timeout, or until nobody listens at the scheduler's port any more.

use rdask_core::codec;
use rdask_core::messages::{FromNanny, ToNanny};
use rdask_launcher::bootstrap::Job;
use rdask_transport::{Channel, ChannelReceiver, Endpoint, Identity, Role, Secret, connect};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Messages that wait for the connection; deaths are rare, and restarts wait between them.
const QUEUE_LENGTH: usize = 64;
/// A port that refused is asked once more after this long before we believe that it is closed.
const REFUSED_PAUSE: Duration = Duration::from_millis(300);
/// Longest wait for the last words of the connection.
const FINISH_LIMIT: Duration = Duration::from_secs(2);

/// What comes from the scheduler.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A message.
    Message(ToNanny),
    /// The scheduler cannot be reached and will not be: the job is over.
    Gone(String),
}

/// The sending side of the connection.
pub(crate) struct Link {
    outbox: mpsc::Sender<FromNanny>,
    task: JoinHandle<()>,
}

impl Link {
    /// Connects and registers in the background; `deliver` gets what arrives.
    pub(crate) fn start<E: From<LinkEvent> + 'static>(job: &Job, deliver: mpsc::Sender<E>) -> Self {
        let (outbox, inbox) = mpsc::channel(QUEUE_LENGTH);
        let plan = job.bootstrap.plan.rank(job.rank);
        let workers = plan.map(|plan| &plan.workers[..]).unwrap_or_default();
        let register = FromNanny::Register {
            nanny: job.identity,
            rank: job.rank,
            host: job.facts.host.clone(),
            pid: std::process::id(),
            slots: workers.iter().map(|worker| worker.name.clone()).collect(),
        };
        let identity = Identity {
            server_id: job.identity,
            role: Role::Nanny,
            job_id: job.bootstrap.job_id.clone(),
            label: format!("nanny of rank {} ({})", job.rank, job.facts.host),
            machine: job.facts.machine.clone(),
            netns: job.facts.network_namespace,
        };
        let secret = Secret::from_bytes(*job.bootstrap.secret.expose());
        let connection = Connection {
            endpoint: Endpoint::new(identity, secret),
            addresses: job.bootstrap.addresses.clone(),
            limit: job.bootstrap.death_timeout,
            register,
            inbox,
        };
        let task = tokio::task::spawn_local(async move {
            let reason = connection.run(&deliver).await;
            // A supervisor that is not there any more does not want to know.
            let _unheard = deliver.send(LinkEvent::Gone(reason).into()).await.is_err();
        });
        Self { outbox, task }
    }

    /// Tells the scheduler, when the connection stands.
    pub(crate) fn send(&self, message: FromNanny) {
        if let Err(error) = self.outbox.try_send(message) {
            tracing::warn!(%error, "message to the scheduler is lost");
        }
    }

    /// Waits until the last words are out, for 2 s at most. Dropping the outbox ends the
    /// conversation, with a goodbye or without.
    pub(crate) async fn finish(self) {
        drop(self.outbox);
        if tokio::time::timeout(FINISH_LIMIT, self.task).await.is_err() {
            tracing::debug!("the goodbye to the scheduler did not get out");
        }
    }
}

struct Connection {
    endpoint: Endpoint,
    addresses: Vec<SocketAddr>,
    limit: Duration,
    register: FromNanny,
    inbox: mpsc::Receiver<FromNanny>,
}

/// Why one connection ended.
enum Over {
    /// This side said goodbye.
    Finished,
    /// The scheduler said goodbye.
    Goodbye,
    /// It broke.
    Broken(String),
}

impl Connection {
    /// Runs until either side says goodbye or the scheduler is gone; returns why.
    async fn run<E: From<LinkEvent>>(mut self, deliver: &mpsc::Sender<E>) -> String {
        loop {
            let channel = tokio::select! {
                connected = connect(&self.addresses, &self.endpoint, self.limit) => {
                    match connected {
                        Ok(channel) => channel,
                        Err(error) => return error.to_string(),
                    }
                }
                // The port was bound before we knew of it: once closed, it stays so.
                () = self.until_nobody_listens() => {
                    return "nobody listens at the scheduler's port any more".to_owned();
                }
            };
            match self.converse(channel, deliver).await {
                Over::Finished => return "closed".to_owned(),
                Over::Goodbye => return "the scheduler said goodbye".to_owned(),
                Over::Broken(reason) => {
                    tracing::info!(reason, "control connection to the scheduler broke");
                    if self.nobody_listens().await {
                        return reason;
                    }
                }
            }
        }
    }

    async fn converse<E: From<LinkEvent>>(
        &mut self,
        channel: Channel,
        deliver: &mpsc::Sender<E>,
    ) -> Over {
        let (sender, mut receiver) = channel.split();
        let push = |message: &FromNanny| {
            let body = codec::encode(message).map_err(|error| error.to_string())?;
            sender.push(|buffer| buffer.extend_from_slice(&body)).map_err(|error| error.to_string())
        };
        if let Err(reason) = push(&self.register) {
            return Over::Broken(reason);
        }
        loop {
            tokio::select! {
                message = self.inbox.recv() => {
                    let last = matches!(message, None | Some(FromNanny::Goodbye));
                    if let Some(Err(reason)) = message.as_ref().map(&push) {
                        return Over::Broken(reason);
                    }
                    if last {
                        if let Err(error) = sender.close().await {
                            tracing::debug!(%error, "goodbye to the scheduler");
                        }
                        return Over::Finished;
                    }
                }
                over = receive(&mut receiver, deliver) => {
                    if let Some(over) = over {
                        return over;
                    }
                }
            }
        }
    }

    async fn until_nobody_listens(&self) {
        while !self.nobody_listens().await {}
    }

    /// Whether the scheduler's port is closed at every address, asked twice.
    async fn nobody_listens(&self) -> bool {
        for _ in 0..2 {
            tokio::time::sleep(REFUSED_PAUSE).await;
            for address in &self.addresses {
                let refused = std::io::ErrorKind::ConnectionRefused;
                match TcpStream::connect(address).await {
                    Err(error) if error.kind() == refused => {}
                    _ => return false,
                }
            }
        }
        true
    }
}

/// Hands on what arrived. Safe to cancel: it waits only before it has taken a batch.
async fn receive<E: From<LinkEvent>>(
    receiver: &mut ChannelReceiver,
    deliver: &mpsc::Sender<E>,
) -> Option<Over> {
    let batch = match receiver.recv().await {
        Ok(Some(batch)) => batch,
        Ok(None) => return Some(Over::Goodbye),
        Err(error) => return Some(Over::Broken(error.to_string())),
    };
    for body in batch.iter() {
        match codec::decode::<ToNanny>(body) {
            Ok(message) => {
                if deliver.try_send(LinkEvent::Message(message).into()).is_err() {
                    return Some(Over::Broken("more messages than can be handled".to_owned()));
                }
            }
            Err(error) => return Some(Over::Broken(error.to_string())),
        }
    }
    None
}
