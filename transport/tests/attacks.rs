//! What strangers and broken peers can do to a listener: nothing but be refused.

use crate::suite::{Over, endpoint, identity, loopback, pair_of, run, secret};
use rdask_transport::handshake::{Side, Transcript};
use rdask_transport::{
    Connection, Endpoint, ErrorKind, Hello, Listener, PREFIX_LEN, PROTOCOL, Purpose, Role, Secret,
    Settings, connect, frame,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(60);

fn hello(nonce: u8, purpose: Purpose) -> Hello {
    Hello {
        identity: identity(666, Role::Worker),
        purpose,
        versions: PROTOCOL,
        nonce: [nonce; 32],
        paths: Vec::new(),
        ports: Vec::new(),
        features: 0,
    }
}

/// A stranger's side of the handshake by hand.
struct Stranger {
    socket: TcpStream,
}

impl Stranger {
    async fn dial(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    async fn read_hello(&mut self) -> Vec<u8> {
        let mut hello = vec![0; PREFIX_LEN];
        self.socket.read_exact(&mut hello).await.unwrap();
        let len = usize::from(u16::from_le_bytes([hello[12], hello[13]]));
        hello.resize(PREFIX_LEN + len, 0);
        self.socket.read_exact(&mut hello[PREFIX_LEN..]).await.unwrap();
        hello
    }

    /// What the other side still says before it hangs up.
    async fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is as good an end as an orderly one.
        drop(self.socket.read_to_end(&mut rest).await);
        rest
    }
}

/// Asserts that a real peer still gets in, and that it is the first to do so.
async fn assert_open(listener: &mut Listener) {
    let address = [listener.local_addr()];
    let us = endpoint(7);
    let (dialled, accepted) = tokio::join!(connect(&address, &us, SOON), listener.accept());
    drop(dialled.unwrap());
    assert_eq!(accepted.unwrap().peer().identity.server_id, 7);
}

#[test]
fn without_the_secret_nobody_gets_in_or_an_answer() {
    run(async {
        let us = endpoint(1);
        let mut listener = Listener::bind(loopback(), &us).unwrap();
        let address = listener.local_addr();
        let ours = hello(1, Purpose::Control).encode();
        let wrong = Secret::from_bytes([1; 32]);
        let mut stranger = Stranger::dial(address).await;
        stranger.send(&ours).await;
        let theirs = stranger.read_hello().await;
        let transcript = Transcript::new(Side::Initiator, ours.clone(), theirs);
        stranger.send(&transcript.prove(&wrong)).await;
        assert_eq!(stranger.rest().await, b"", "a wrong proof is not answered");
        // None at all.
        let mut stranger = Stranger::dial(address).await;
        stranger.send(&ours).await;
        stranger.read_hello().await;
        stranger.send(&[0; 32]).await;
        assert_eq!(stranger.rest().await, b"");
        assert_open(&mut listener).await;
        assert_eq!(us.stats().refused_count, 2);
    });
}

#[test]
fn both_sides_learn_that_their_secrets_differ() {
    run(async {
        let listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
        let other = Endpoint::new(identity(2, Role::Worker), Secret::from_bytes([9; 32]));
        let error = connect(&[listener.local_addr()], &other, SOON).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::WrongSecret), "{error}");
        // And a listener without the secret cannot pass for a real one.
        let rogue = tokio::net::TcpListener::bind(loopback()).await.unwrap();
        let address = [rogue.local_addr().unwrap()];
        let impostor = tokio::spawn(async move {
            while let Ok((socket, _)) = rogue.accept().await {
                let mut stranger = Stranger { socket };
                stranger.read_hello().await;
                stranger.send(&hello(1, Purpose::Control).encode()).await;
                let mut proof = [0; 32];
                stranger.socket.read_exact(&mut proof).await.unwrap();
                stranger.send(&proof).await;
            }
        });
        let error = connect(&address, &endpoint(2), SOON).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::WrongSecret), "{error}");
        impostor.abort();
    });
}

#[test]
fn a_replayed_or_reflected_proof_is_worthless() {
    run(async {
        let mut listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
        let address = listener.local_addr();
        // Someone who listened to a real handshake has its Hello and proof.
        let ours = hello(3, Purpose::Data).encode();
        let mut real = Stranger::dial(address).await;
        real.send(&ours).await;
        let theirs = real.read_hello().await;
        let proof = Transcript::new(Side::Initiator, ours.clone(), theirs).prove(&secret());
        real.send(&proof).await;
        let mut answer = [0; 32];
        real.socket.read_exact(&mut answer).await.unwrap();
        assert!(matches!(listener.accept().await, Some(Connection::Data(_))));
        // Played again to a fresh nonce of the listener it fails.
        let mut replay = Stranger::dial(address).await;
        replay.send(&ours).await;
        replay.read_hello().await;
        replay.send(&proof).await;
        assert_eq!(replay.rest().await, b"");
        // The listener's own answer sent back fails too.
        let mut reflect = Stranger::dial(address).await;
        reflect.send(&ours).await;
        reflect.read_hello().await;
        reflect.send(&answer).await;
        assert_eq!(reflect.rest().await, b"");
        assert_open(&mut listener).await;
    });
}

#[test]
fn an_altered_hello_spoils_the_proof() {
    let (ours, theirs) = (hello(1, Purpose::Control).encode(), hello(2, Purpose::Control).encode());
    let honest = Transcript::new(Side::Initiator, ours.clone(), theirs.clone());
    let proof = honest.prove(&secret());
    let acceptor = |ours: Vec<u8>, theirs: Vec<u8>| Transcript::new(Side::Acceptor, ours, theirs);
    assert!(acceptor(theirs.clone(), ours.clone()).verify(&secret(), &proof));
    for at in 0..ours.len() {
        let mut altered = ours.clone();
        altered[at] ^= 1;
        assert!(!acceptor(theirs.clone(), altered).verify(&secret(), &proof), "byte {at}");
    }
    for at in 0..theirs.len() {
        let mut altered = theirs.clone();
        altered[at] ^= 1;
        assert!(!acceptor(altered, ours.clone()).verify(&secret(), &proof), "byte {at}");
    }
    // Both sides have the same two tokens, and the directions differ.
    let (one, two) = (honest.tokens(&secret()), acceptor(theirs, ours).tokens(&secret()));
    assert_eq!((one.ours, one.theirs), (two.theirs, two.ours));
    assert_ne!(one.ours, one.theirs);
}

#[test]
fn garbage_and_truncated_hellos_are_dropped() {
    run(async {
        let mut listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
        let address = listener.local_addr();
        let whole = hello(1, Purpose::Control).encode();
        for cut in [0, 1, PREFIX_LEN - 1, PREFIX_LEN, whole.len() - 1] {
            let mut stranger = Stranger::dial(address).await;
            stranger.send(&whole[..cut]).await;
            stranger.socket.shutdown().await.unwrap();
            assert_eq!(stranger.rest().await, b"", "cut at {cut}");
        }
        let mut long = whole.clone();
        long[12..14].copy_from_slice(&4096_u16.to_le_bytes());
        for garbage in [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), long, vec![0xff; 5000]] {
            let mut stranger = Stranger::dial(address).await;
            stranger.send(&garbage).await;
            assert_eq!(stranger.rest().await, b"");
        }
        assert_open(&mut listener).await;
    });
}

#[test]
fn another_version_and_another_job_are_named_to_both() {
    run(async {
        let us = endpoint(1);
        let mut listener = Listener::bind(loopback(), &us).unwrap();
        let address = listener.local_addr();
        // A build from the future is told our range before the connection closes.
        let mut future = Stranger::dial(address).await;
        let versions = (PROTOCOL.1 + 1, PROTOCOL.1 + 3);
        future.send(&Hello { versions, ..hello(1, Purpose::Control) }.encode()).await;
        let answer = future.read_hello().await;
        assert_eq!(Hello::decode(&answer).unwrap().versions, PROTOCOL);
        future.socket.shutdown().await.unwrap();
        assert_eq!(future.rest().await, b"");
        // We name both ranges when we dial such a build.
        let newer = tokio::net::TcpListener::bind(loopback()).await.unwrap();
        let newer_address = [newer.local_addr().unwrap()];
        let answering = async {
            let (socket, _) = newer.accept().await.unwrap();
            let mut stranger = Stranger { socket };
            stranger.read_hello().await;
            stranger.send(&Hello { versions, ..hello(1, Purpose::Control) }.encode()).await;
            stranger.rest().await
        };
        let (error, _) = tokio::join!(connect(&newer_address, &us, SOON), answering);
        let error = error.unwrap_err();
        let ErrorKind::WrongVersion { ours, theirs } = error.kind else { panic!("{error}") };
        assert_eq!((ours, theirs), (PROTOCOL, versions));
        // Another job's process is refused at once, and both jobs are named.
        let mut other = identity(2, Role::Worker);
        other.job_id = "job 2".into();
        let other = Endpoint::new(other, secret());
        let error = connect(&[address], &other, SOON).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error.kind, ErrorKind::Refused(_)), "{text}");
        assert!(text.contains("'job 1'") && text.contains("'job 2'"), "{text}");
        assert_open(&mut listener).await;
    });
}

#[test]
fn silent_connections_beyond_the_limit_push_the_oldest_out() {
    run(async {
        let mut listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
        let address = listener.local_addr();
        // The sockets of both ends live in this process: 300 fit the usual limit of 1024 files.
        let mut silent = Vec::new();
        for _ in 0..300 {
            silent.push(Stranger::dial(address).await);
        }
        assert_open(&mut listener).await;
        // 300 and one connections had come, 256 may stay unproven.
        let oldest = silent.remove(0);
        assert_eq!(oldest.rest().await, b"");
    });
}

#[test]
fn a_silent_connection_is_dropped_after_its_deadline() {
    run(async {
        let settings = Settings { handshake: Duration::from_millis(50), ..Settings::default() };
        let us = Endpoint::with_settings(identity(1, Role::Scheduler), secret(), settings);
        let mut listener = Listener::bind(loopback(), &us).unwrap();
        let silent = Stranger::dial(listener.local_addr()).await;
        assert_eq!(silent.rest().await, b"");
        assert_open(&mut listener).await;
    });
}

#[test]
fn an_inherited_socket_serves_and_ipv6_works_where_there_is_any() {
    run(async {
        let socket = std::net::TcpListener::bind(loopback()).unwrap();
        let mut listener = Listener::from_std(socket, &endpoint(1)).unwrap();
        assert_open(&mut listener).await;
        let v6 = "[::1]:0".parse().unwrap();
        if std::net::TcpListener::bind::<SocketAddr>(v6).is_ok() {
            assert_open(&mut Listener::bind(v6, &endpoint(1)).unwrap()).await;
        }
    });
}

#[test]
fn connecting_waits_for_a_listener_and_names_the_last_reason() {
    run(async {
        let free = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        let limit = Duration::from_millis(200);
        let error = connect(&[free], &endpoint(2), limit).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Timeout), "{error}");
        let text = error.to_string();
        assert!(text.contains(&free.to_string()) && text.contains("refused"), "{text}");
        // One of several addresses is enough, and a listener may come late.
        let us = endpoint(2);
        let addresses = [free, SocketAddr::from(([127, 0, 0, 1], 1))];
        let connecting = connect(&addresses, &us, SOON);
        let listening = async {
            tokio::task::yield_now().await;
            let mut listener = Listener::bind(free, &endpoint(1)).unwrap();
            listener.accept().await.unwrap();
        };
        let (channel, ()) = tokio::join!(connecting, listening);
        assert_eq!(channel.unwrap().peer().identity.server_id, 1);
    });
}

/// A proven peer that then misbehaves: what our receiver makes of the bytes it sends.
async fn after_the_proof(bytes: impl FnOnce(&frame::Token) -> Vec<u8>) -> ErrorKind {
    let mut listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
    let mut peer = Stranger::dial(listener.local_addr()).await;
    let ours = hello(1, Purpose::Control).encode();
    peer.send(&ours).await;
    let theirs = peer.read_hello().await;
    let transcript = Transcript::new(Side::Initiator, ours, theirs);
    peer.send(&transcript.prove(&secret())).await;
    peer.send(&bytes(&transcript.tokens(&secret()).ours)).await;
    let Some(Connection::Control(channel)) = listener.accept().await else { panic!("no channel") };
    let (_sender, mut receiver) = channel.split();
    // The connection stays open: only the bytes can end it.
    let error = receiver.recv().await.unwrap_err();
    drop(peer);
    error.kind
}

#[test]
fn a_proven_peer_that_breaks_the_protocol_loses_that_connection() {
    let malformed = |kind: &ErrorKind| matches!(kind, ErrorKind::Malformed(_));
    run(async {
        let garbage = after_the_proof(|_| vec![7; 64]).await;
        assert!(malformed(&garbage), "{garbage}");
        let wrong_token =
            after_the_proof(|_| frame::encode(frame::Kind::Ping, 0, 0, &[0; 16]).to_vec()).await;
        assert!(malformed(&wrong_token), "{wrong_token}");
        let data =
            after_the_proof(|token| frame::encode(frame::Kind::DataEnd, 0, 0, token).to_vec());
        let data = data.await;
        assert!(malformed(&data), "{data}");
        let batch = after_the_proof(|token| {
            let mut bytes = frame::encode(frame::Kind::Control, 0, 6, token).to_vec();
            bytes.extend_from_slice(&[3, 0, 0, 0, 1, 2]);
            bytes
        });
        let batch = batch.await;
        assert!(malformed(&batch), "{batch}");
    });
}

#[test]
fn refusing_many_costs_the_others_nothing() {
    run(async {
        let (one, two) = pair_of(Over::Tcp, &endpoint(1), &endpoint(2)).await;
        let (sender, _) = one.split();
        let (_keep, mut receiver) = two.split();
        let listener = Listener::bind(loopback(), &endpoint(3)).unwrap();
        for _ in 0..300 {
            let mut stranger = Stranger::dial(listener.local_addr()).await;
            stranger.send(b"nonsense nonsense").await;
            drop(stranger);
        }
        sender.push(|body| body.push(1)).unwrap();
        assert_eq!(receiver.recv().await.unwrap().unwrap().iter().count(), 1);
    });
}
