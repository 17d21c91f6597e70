//! The nanny's control connection: what a supervisor and the scheduler say to each other.
//!
//! A supervisor that watches worker processes registers with the scheduler on a connection of its
//! own, reports deaths, slots given up and stop signals, and is asked to end workers. Decides
//! nothing: `supervisor/mod.rs` does, with the slots' machine of the launcher. A broken connection
//! is made again until the death timeout, or until nobody listens at the scheduler's port any more;
//! what holds for the rest of the run is then said again, so that no break loses it.

use rdask_core::codec;
use rdask_core::messages::{FromNanny, ToNanny};
use rdask_launcher::bootstrap::Job;
use rdask_transport::{Channel, ChannelReceiver, Endpoint, Identity, Role, Secret, connect};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// Messages that wait for the connection; deaths are rare, and restarts wait between them.
const QUEUE_LENGTH: usize = 64;
/// Pause before each look whether the scheduler's port is closed.
const LOOK_PAUSE: Duration = Duration::from_millis(300);
/// An address that answers nothing for this long is silent.
const LOOK_LIMIT: Duration = Duration::from_secs(1);
/// Looks in a row after which a port that is refused everywhere is closed.
const LOOKS_ALL_REFUSED: u32 = 2;
/// The same where some addresses are silent: networks that this host does not reach, mostly.
const LOOKS_SOME_SILENT: u32 = 8;
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
            standing: Vec::new(),
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
    /// What was said and holds for the rest of the run. At most one for each slot and one signal.
    standing: Vec<FromNanny>,
}

/// What the addresses of the scheduler answer to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Look {
    /// One takes it.
    Taken,
    /// Each refuses it: the port is closed.
    Refused,
    /// Some refuse it, some are silent.
    SomeSilent,
    /// All are silent, as behind a network that is down.
    Silent,
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
        for message in [&self.register].into_iter().chain(&self.standing) {
            if let Err(reason) = push(message) {
                return Over::Broken(reason);
            }
        }
        loop {
            tokio::select! {
                message = self.inbox.recv() => {
                    let last = matches!(message, None | Some(FromNanny::Goodbye));
                    if let Some(message) = message.as_ref().filter(|message| holds(message)) {
                        self.standing.push(message.clone());
                    }
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

    /// Whether the scheduler's port is closed. Looks more than once: what else refuses a connection
    /// for a moment must not end a job.
    async fn nobody_listens(&self) -> bool {
        let mut in_a_row = 0;
        loop {
            tokio::time::sleep(LOOK_PAUSE).await;
            in_a_row += 1;
            let enough = match self.look().await {
                Look::Taken | Look::Silent => return false,
                Look::Refused => LOOKS_ALL_REFUSED,
                Look::SomeSilent => LOOKS_SOME_SILENT,
            };
            if in_a_row >= enough {
                return true;
            }
        }
    }

    /// Asks all addresses at once.
    async fn look(&self) -> Look {
        let mut looks = JoinSet::new();
        for address in self.addresses.iter().copied() {
            looks.spawn(tokio::time::timeout(LOOK_LIMIT, TcpStream::connect(address)));
        }
        let (mut refused, mut silent) = (0, 0);
        while let Some(look) = looks.join_next().await {
            match look {
                Ok(Ok(Ok(_))) => return Look::Taken,
                Ok(Ok(Err(error))) if error.kind() == ErrorKind::ConnectionRefused => refused += 1,
                // Unreachable, no answer in time, or no descriptor left here.
                Ok(Ok(Err(_)) | Err(_)) | Err(_) => silent += 1,
            }
        }
        match (refused, silent) {
            (0, _) => Look::Silent,
            (_, 0) => Look::Refused,
            _ => Look::SomeSilent,
        }
    }
}

/// What the scheduler must still know after a connection broke. A death need not be told again: a
/// dead worker's own connection has ended as well.
fn holds(message: &FromNanny) -> bool {
    matches!(message, FromNanny::SlotGivenUp { .. } | FromNanny::Signalled { .. })
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

#[cfg(test)]
mod tests {
    use super::*;
    use rdask_transport::{Connection as Taken, Listener, Settings};
    use std::net::Ipv4Addr;

    /// Guards against a hang; nothing here takes long.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn endpoint(role: Role, server_id: u128) -> Endpoint {
        let identity = Identity {
            server_id,
            role,
            job_id: "job".to_owned(),
            label: "test".to_owned(),
            machine: "machine".to_owned(),
            netns: 1,
        };
        Endpoint::with_settings(identity, Secret::from_bytes([7; 32]), Settings::default())
    }

    fn connection(addresses: Vec<SocketAddr>, inbox: mpsc::Receiver<FromNanny>) -> Connection {
        let register = FromNanny::Register {
            nanny: 5,
            rank: 1,
            host: "host".to_owned(),
            pid: 9,
            slots: vec!["1".to_owned()],
        };
        let endpoint = endpoint(Role::Nanny, 5);
        Connection { endpoint, addresses, limit: PATIENCE, register, inbox, standing: Vec::new() }
    }

    fn given_up() -> FromNanny {
        FromNanny::SlotGivenUp { slot: "1".to_owned(), reason: "no luck".to_owned() }
    }

    fn died() -> FromNanny {
        FromNanny::WorkerDied {
            slot: "1".to_owned(),
            server_id: 3,
            pid: 4,
            signal: Some(9),
            code: None,
            cause: String::new(),
            executing: Vec::new(),
            log_tail: String::new(),
            restarts: false,
        }
    }

    /// Reads until so many messages are there.
    async fn heard(receiver: &mut ChannelReceiver, count: usize) -> Vec<FromNanny> {
        let mut messages = Vec::new();
        while messages.len() < count {
            let batch = receiver.recv().await.unwrap().unwrap();
            messages.extend(batch.iter().map(|body| codec::decode::<FromNanny>(body).unwrap()));
        }
        messages
    }

    async fn control(listener: &mut Listener) -> Channel {
        match listener.accept().await.unwrap() {
            Taken::Control(channel) => channel,
            Taken::Data(_) => panic!("a nanny opens no lane"),
        }
    }

    #[tokio::test]
    async fn what_holds_is_said_again_after_the_connection_broke() {
        let scheduler = endpoint(Role::Scheduler, 1);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = Listener::bind(address, &scheduler).unwrap();
        let (outbox, inbox) = mpsc::channel(8);
        let connection = connection(vec![listener.local_addr()], inbox);
        let register = connection.register.clone();
        let (deliver, mut delivered) = mpsc::channel::<LinkEvent>(8);
        let play = async {
            let (sender, mut receiver) = control(&mut listener).await.split();
            outbox.send(died()).await.unwrap();
            outbox.send(given_up()).await.unwrap();
            let first = heard(&mut receiver, 3).await;
            assert_eq!(first, [register.clone(), died(), given_up()]);
            sender.abort();
            drop((sender, receiver));
            let (_sender, mut receiver) = control(&mut listener).await.split();
            assert_eq!(heard(&mut receiver, 2).await, [register, given_up()]);
            outbox.send(FromNanny::Goodbye).await.unwrap();
            assert_eq!(heard(&mut receiver, 1).await, [FromNanny::Goodbye]);
            assert!(receiver.recv().await.unwrap().is_none());
        };
        let both = async { tokio::join!(connection.run(&deliver), play).0 };
        let reason = tokio::time::timeout(PATIENCE, both).await.unwrap();
        assert_eq!(reason, "closed");
        assert!(delivered.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_closed_port_ends_the_search_long_before_its_limit() {
        // Bound and let go: nobody listens there.
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        let (_outbox, inbox) = mpsc::channel(8);
        let (deliver, _delivered) = mpsc::channel::<LinkEvent>(8);
        let began = std::time::Instant::now();
        let reason = connection(vec![address], inbox).run(&deliver).await;
        assert_eq!(reason, "nobody listens at the scheduler's port any more");
        assert!(began.elapsed() < PATIENCE / 2);
    }
}
