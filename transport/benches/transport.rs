//! Control round trips, one-way messages and bulk fetches, each beside a plain TCP loop of the
//! same shape in the same run and on the same runtime. Prints ratios; decides nothing.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints and may panic")]

use rdask_store::{Header, Sealed, Store};
use rdask_transport::{
    Answer, Cancel, Channel, Connection, DataServer, Endpoint, Fetcher, Identity, Listener,
    PeerAddress, Role, Secret, Serve, Wanted, connect, inproc,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMIT: Duration = Duration::from_secs(30);
const ROUND_TRIPS: u32 = 20_000;
const MESSAGES: u64 = 2_000_000;

fn endpoint(server_id: u128) -> Endpoint {
    let identity = Identity {
        server_id,
        role: Role::Worker,
        job_id: "bench".into(),
        label: format!("rank {server_id}"),
        machine: String::new(),
        netns: 0,
    };
    Endpoint::new(identity, Secret::from_bytes([1; 32]))
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Runs `peer` on a thread and a runtime of its own, as another process would.
fn on_thread<F: Future<Output = ()>>(peer: impl FnOnce() -> F + Send + 'static) {
    drop(std::thread::spawn(move || runtime().block_on(peer())));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn plain_pair(peer: impl FnOnce(std::net::TcpStream) + Send + 'static) -> TcpStream {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let dialled = tokio::spawn(TcpStream::connect(address));
    let (accepted, _) = listener.accept().await.unwrap();
    let accepted = accepted.into_std().unwrap();
    peer(accepted);
    let stream = dialled.await.unwrap().unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

async fn plain_ping_pong() -> Duration {
    let mut stream = plain_pair(|peer| {
        on_thread(|| async move {
            let mut peer = TcpStream::from_std(peer).unwrap();
            peer.set_nodelay(true).unwrap();
            let mut word = [0; 8];
            while peer.read_exact(&mut word).await.is_ok() {
                peer.write_all(&word).await.unwrap();
            }
        });
    })
    .await;
    let begun = Instant::now();
    let mut word = [0; 8];
    for _ in 0..ROUND_TRIPS {
        stream.write_all(&word).await.unwrap();
        stream.read_exact(&mut word).await.unwrap();
    }
    begun.elapsed() / ROUND_TRIPS
}

async fn echo(channel: Channel) {
    let (sender, mut receiver) = channel.split();
    while let Ok(Some(batch)) = receiver.recv().await {
        for body in batch.iter() {
            sender.push(|buffer| buffer.extend_from_slice(body)).unwrap();
        }
    }
}

/// A channel whose peer runs on a thread of its own.
async fn channel_to(peer: impl AsyncFnOnce(Channel) + Send + 'static) -> Channel {
    let (address_sender, address) = tokio::sync::oneshot::channel();
    on_thread(move || async move {
        let mut listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
        address_sender.send(listener.local_addr()).unwrap();
        let Some(Connection::Control(channel)) = listener.accept().await else { return };
        peer(channel).await;
    });
    connect(&[address.await.unwrap()], &endpoint(2), LIMIT).await.unwrap()
}

async fn ping_pong(channel: Channel) -> Duration {
    let (sender, mut receiver) = channel.split();
    let begun = Instant::now();
    for _ in 0..ROUND_TRIPS {
        sender.push(|body| body.extend_from_slice(&[0; 8])).unwrap();
        assert!(receiver.recv().await.unwrap().is_some());
    }
    begun.elapsed() / ROUND_TRIPS
}

/// Messages a second, 32 bytes each, one way.
async fn one_way() -> f64 {
    let channel = channel_to(async |channel: Channel| {
        let (sender, mut receiver) = channel.split();
        let mut seen = 0;
        while seen < MESSAGES {
            seen += receiver.recv().await.unwrap().unwrap().iter().count() as u64;
        }
        sender.push(|body| body.push(1)).unwrap();
        sender.close().await.unwrap();
    })
    .await;
    let (sender, mut receiver) = channel.split();
    let begun = Instant::now();
    for number in 0..MESSAGES {
        let push = || sender.push(|body| body.extend_from_slice(&[number as u8; 32]));
        while push().is_err() {
            sender.drained_to(1 << 20).await;
        }
        // A driver gives the writer its turn between events.
        if number % 256 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(receiver.recv().await.unwrap().is_some());
    MESSAGES as f64 / begun.elapsed().as_secs_f64()
}

/// Request and answer of `nbytes` over plain TCP into a warm buffer, bytes a second.
async fn plain_bulk(nbytes: usize, rounds: u32) -> f64 {
    let mut stream = plain_pair(move |peer| {
        on_thread(move || async move {
            let mut peer = TcpStream::from_std(peer).unwrap();
            let payload = vec![1; nbytes];
            let mut word = [0; 8];
            while peer.read_exact(&mut word).await.is_ok() {
                peer.write_all(&payload).await.unwrap();
            }
        });
    })
    .await;
    let mut target = vec![0; nbytes];
    let mut begun = Instant::now();
    for round in 0..=rounds {
        if round == 1 {
            begun = Instant::now();
        }
        stream.write_all(&[0; 8]).await.unwrap();
        stream.read_exact(&mut target).await.unwrap();
    }
    (nbytes as f64) * f64::from(rounds) / begun.elapsed().as_secs_f64()
}

/// The same by fetches into a store.
async fn fetched_bulk(nbytes: usize, rounds: u32) -> f64 {
    let (address_sender, address) = tokio::sync::oneshot::channel();
    on_thread(move || async move {
        let object = Sealed::from_bytes(&vec![1; nbytes], Header::Bytes).unwrap();
        let lookup = Arc::new(move |_: &[u64], answers: &mut Vec<Serve>| {
            answers.push(Serve::Object(object.clone()));
        });
        let server = DataServer::new(&endpoint(1), 10, lookup);
        let mut listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
        address_sender.send(listener.local_addr()).unwrap();
        while let Some(Connection::Data(lane)) = listener.accept().await {
            server.attach(lane);
        }
    });
    let addresses = vec![address.await.unwrap()];
    let peer = PeerAddress { server_id: 1, addresses, label: "rank 1".into() };
    let store = Store::new(0);
    // Keeps the highest use above the object, so that its memory stays warm between rounds.
    let _other = store.reserve(nbytes as u64, 0).unwrap();
    let fetcher = Fetcher::new(&endpoint(2), &store, 2);
    let wanted = [Wanted { name: 1, nbytes: nbytes as u64 }];
    let mut begun = Instant::now();
    for round in 0..=rounds {
        if round == 1 {
            begun = Instant::now();
        }
        let answer = fetcher.fetch(&peer, &wanted, 0, &Cancel::new()).await.unwrap();
        assert!(matches!(answer, Answer::Objects(_)));
    }
    (nbytes as f64) * f64::from(rounds) / begun.elapsed().as_secs_f64()
}

fn main() {
    runtime().block_on(async {
        for _ in 0..2 {
            let plain = plain_ping_pong().await;
            let tcp = ping_pong(channel_to(echo).await).await;
            let ratio = tcp.as_secs_f64() / plain.as_secs_f64();
            println!("round trip: channel {tcp:?}, plain TCP {plain:?}, ratio {ratio:.2}");
        }
        let (one, two) = inproc::pair(&endpoint(1), &endpoint(2)).unwrap();
        drop(tokio::spawn(echo(two)));
        println!("round trip within the process: {:?}", ping_pong(one).await);
        println!("one way: {:.0} messages of 32 B a second", one_way().await);
        for (nbytes, rounds) in [(8, 5000), (64 << 10, 2000), (1 << 20, 500), (64 << 20, 20)] {
            let plain = plain_bulk(nbytes, rounds).await;
            let fetched = fetched_bulk(nbytes, rounds).await;
            println!(
                "fetch of {nbytes} B: {:.3} GB/s, plain TCP {:.3} GB/s, ratio {:.2}",
                fetched / 1e9,
                plain / 1e9,
                fetched / plain
            );
        }
    });
}
