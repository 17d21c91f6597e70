//! Fetching objects: integrity at every size, busy holders, wrong sizes, cancellation, death of
//! the holder at every stage, and accounts that return to where they were.

use crate::suite::{Chance, endpoint, endpoint_with, loopback, run, secret};
use rdask_store::{DType, Header, Sealed, Store, StoreError};
use rdask_transport::{
    Answer, AtOnce, Cancel, Connection, DataServer, Endpoint, ErrorKind, Fetched, Fetcher,
    Identity, Listener, PeerAddress, Serve, Settings, TransportError, Wanted,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Objects = Arc<Mutex<BTreeMap<u64, Sealed>>>;

/// A worker that holds objects and serves them until dropped.
struct Holder {
    store: Store,
    objects: Objects,
    endpoint: Endpoint,
    server: Arc<DataServer>,
    address: PeerAddress,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Holder {
    fn start(server_id: u128, at_once: usize) -> Self {
        Self::start_with(&endpoint(server_id), at_once)
    }

    fn start_with(endpoint: &Endpoint, at_once: usize) -> Self {
        Self::start_where(endpoint, Arc::new(move |_| at_once))
    }

    fn start_where(endpoint: &Endpoint, at_once: AtOnce) -> Self {
        let objects = Objects::default();
        let found = objects.clone();
        let server = Arc::new(DataServer::with_places(
            endpoint,
            at_once,
            Arc::new(move |names, answers| {
                let found = found.lock().unwrap();
                answers.extend(names.iter().map(|name| match found.get(name) {
                    Some(object) => Serve::Object(object.clone()),
                    None => Serve::Absent,
                }));
            }),
        ));
        let mut listener = Listener::bind(loopback(), endpoint).unwrap();
        let address = PeerAddress {
            server_id: endpoint.identity().server_id,
            addresses: vec![listener.local_addr()],
            label: endpoint.identity().label.clone(),
        };
        let attaching = server.clone();
        let accepting = tokio::spawn(async move {
            while let Some(connection) = listener.accept().await {
                let Connection::Data(lane) = connection else { panic!("not a lane") };
                attaching.attach(lane);
            }
        });
        let (store, endpoint) = (Store::new(0), endpoint.clone());
        Self { store, objects, endpoint, server, address, accepting }
    }

    /// Holds an object of `nbytes` chance bytes.
    fn hold(&self, name: u64, nbytes: u64) -> Wanted {
        let mut writing = self.store.reserve(nbytes, 0).unwrap();
        let mut chance = Chance(name + 1);
        for word in writing.bytes_mut().chunks_mut(8) {
            word.copy_from_slice(&chance.next().to_le_bytes()[..word.len()]);
        }
        let header = match nbytes % 8 {
            0 => Header::Array { dtype: DType::F64, shape: vec![1, nbytes / 8] },
            _ => Header::Bytes,
        };
        let sealed = writing.seal(header).unwrap();
        self.objects.lock().unwrap().insert(name, sealed);
        Wanted { name, nbytes }
    }

    fn check(&self, wanted: &[Wanted], fetched: &[Fetched]) {
        assert_eq!(wanted.len(), fetched.len());
        let objects = self.objects.lock().unwrap();
        for (wanted, fetched) in wanted.iter().zip(fetched) {
            let Fetched::Landed(landed) = fetched else { panic!("{wanted:?}: {fetched:?}") };
            assert_eq!(landed.header(), objects[&wanted.name].header());
            assert!(landed.bytes() == objects[&wanted.name].bytes(), "{wanted:?}");
        }
    }
}

fn landed(answer: Result<Answer, TransportError>) -> Vec<Fetched> {
    match answer.unwrap() {
        Answer::Objects(fetched) => fetched,
        Answer::Busy => panic!("busy"),
    }
}

/// Waits until `test` holds, giving other tasks their turns; the suite's guard bounds it.
async fn until(mut test: impl FnMut() -> bool) {
    while !test() {
        tokio::task::yield_now().await;
    }
}

/// The number of places is asked for each request, with where the peer is.
#[test]
fn places_depend_on_the_peers_machine_and_on_the_moment() {
    run(async {
        let machine = |server_id, machine: &str| {
            let identity =
                Identity { machine: machine.into(), ..endpoint(server_id).identity().clone() };
            Endpoint::new(identity, secret())
        };
        let open = Arc::new(AtomicBool::new(true));
        let asked = open.clone();
        let places = Arc::new(move |same: bool| usize::from(same && asked.load(SeqCst)));
        let holder = Holder::start_where(&machine(1, "node"), places);
        let wanted = [holder.hold(0, 64)];
        for (peer, is_open, served) in
            [("node", true, true), ("other", true, false), ("node", false, false)]
        {
            open.store(is_open, SeqCst);
            let fetcher = Fetcher::new(&machine(2, peer), &Store::new(0), 1);
            let answer = fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await.unwrap();
            assert_eq!(matches!(answer, Answer::Objects(_)), served, "{peer} {is_open}");
        }
    });
}

#[test]
fn objects_of_every_size_arrive_whole_and_accounts_return_to_zero() {
    for verify in [false, true] {
        run(async {
            let settings = Settings { verify, ..Settings::default() };
            let holder = Holder::start_with(&endpoint_with(1, settings.clone()), 10);
            let us = endpoint_with(2, settings);
            let store = Store::new(0);
            let fetcher = Fetcher::new(&us, &store, 2);
            let sizes = [
                0,
                1,
                63,
                64,
                65,
                4095,
                4096,
                8191,
                8192,
                8193,
                (1 << 20) - 1,
                1 << 20,
                (9 << 20) + 5,
            ];
            let wanted: Vec<Wanted> =
                (0..).zip(sizes).map(|(name, nbytes)| holder.hold(name, nbytes)).collect();
            // Each alone, then all together, twice over the same lane.
            for one in &wanted {
                let fetched =
                    landed(fetcher.fetch(&holder.address, &[*one], 0, &Cancel::new()).await);
                holder.check(&[*one], &fetched);
            }
            for _ in 0..2 {
                let all = fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await;
                let fetched = landed(all);
                holder.check(&wanted, &fetched);
                let total: u64 = sizes.iter().sum();
                assert_eq!(store.usage().sealed_bytes, total);
                assert_eq!(store.usage().reserved_bytes, 0);
            }
            assert_eq!(store.usage().used_bytes, 0);
            until(|| holder.store.usage().pinned_bytes == 0 && holder.server.serving_count() == 0)
                .await;
            let expected: u64 = 3 * sizes.iter().sum::<u64>();
            assert_eq!(us.stats().data_tcp_received_bytes, expected);
            until(|| holder.endpoint.stats().data_tcp_sent_bytes == expected).await;
        });
    }
}

#[test]
fn a_thousand_objects_in_one_request() {
    run(async {
        let holder = Holder::start(1, 10);
        let store = Store::new(0);
        let fetcher = Fetcher::new(&endpoint(2), &store, 2);
        let mut chance = Chance(7);
        let wanted: Vec<Wanted> =
            (0..1000).map(|name| holder.hold(name, chance.below(20_000))).collect();
        let fetched = landed(fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await);
        holder.check(&wanted, &fetched);
        let none = landed(fetcher.fetch(&holder.address, &[], 0, &Cancel::new()).await);
        assert!(none.is_empty());
    });
}

#[test]
fn what_is_absent_or_of_another_size_is_told_apart() {
    run(async {
        let holder = Holder::start(1, 10);
        let store = Store::new(0);
        let fetcher = Fetcher::new(&endpoint(2), &store, 2);
        let there = holder.hold(1, 100_000);
        let other = holder.hold(2, 50);
        let wanted = [Wanted { name: 77, nbytes: 5 }, there, Wanted { nbytes: 51, ..other }];
        let fetched = landed(fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await);
        assert!(matches!(fetched[0], Fetched::Absent));
        holder.check(&[there], &fetched[1..2]);
        assert!(matches!(fetched[2], Fetched::WrongSize(50)));
        assert_eq!(store.usage().used_bytes, 100_000);
    });
}

#[test]
fn all_to_all_with_many_fetches_at_once() {
    run(async {
        let holders: Vec<Holder> = (0..4).map(|id| Holder::start(id, 1000)).collect();
        let wanted: Vec<Vec<Wanted>> = holders
            .iter()
            .map(|holder| (0..4).map(|name| holder.hold(name, 300_000 + name)).collect())
            .collect();
        let store = Store::new(0);
        let fetchers: Vec<Fetcher> =
            (0..4).map(|id| Fetcher::new(&endpoint(10 + id), &store, 8)).collect();
        let mut fetches = Vec::new();
        for fetcher in &fetchers {
            for (holder, wanted) in holders.iter().zip(&wanted) {
                for _ in 0..16 {
                    let (fetcher, address) = (fetcher.clone(), holder.address.clone());
                    let wanted = wanted.clone();
                    fetches.push(tokio::spawn(async move {
                        let fetched = fetcher.fetch(&address, &wanted, 0, &Cancel::new()).await;
                        (address.server_id, landed(fetched))
                    }));
                }
            }
        }
        for fetch in fetches {
            let (server_id, fetched) = fetch.await.unwrap();
            let index = usize::try_from(server_id).unwrap();
            holders[index].check(&wanted[index], &fetched);
        }
        assert_eq!(store.usage().used_bytes, 0);
    });
}

#[test]
fn beyond_its_limit_a_holder_is_busy_for_the_whole_request() {
    run(async {
        let holder = Holder::start(1, 0);
        let store = Store::new(0);
        let fetcher = Fetcher::new(&endpoint(2), &store, 2);
        let wanted = [holder.hold(1, 10), holder.hold(2, 20_000)];
        for _ in 0..2 {
            let answer = fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await.unwrap();
            assert!(matches!(answer, Answer::Busy));
        }
        assert_eq!(store.usage().used_bytes, 0);
        assert_eq!(holder.store.usage().pinned_bytes, 0);
    });
}

#[test]
fn a_fetch_waits_for_room_and_fails_when_there_can_be_none() {
    run(async {
        let holder = Holder::start(1, 10);
        let store = Store::with_patience(100_000, Duration::from_millis(20));
        let fetcher = Fetcher::new(&endpoint(2), &store, 2);
        let (small, large) = (holder.hold(1, 60_000), holder.hold(2, 100_001));
        let cancel = Cancel::new();
        let error = fetcher.fetch(&holder.address, &[large], 0, &cancel).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::NoRoom(StoreError::TooLarge { .. })), "{error}");

        let taken = store.reserve(60_000, 0).unwrap();
        let working = store.activity();
        let mut waiting =
            Box::pin(fetcher.fetch(&holder.address, std::slice::from_ref(&small), 0, &cancel));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is no room"),
            () = until(|| store.waiting_count() == 1) => {}
        }
        drop(taken);
        let fetched = landed(waiting.await);
        holder.check(&[small], &fetched);

        // With nothing at work that could free what is held, it fails.
        drop(working);
        let error = fetcher.fetch(&holder.address, &[small], 0, &cancel).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::NoRoom(StoreError::Full { .. })), "{error}");
        drop(fetched);
        assert_eq!(store.usage().used_bytes, 0);
    });
}

#[test]
fn more_than_fits_at_once_is_fetched_in_turns() {
    run(async {
        let holder = Holder::start(1, 10);
        let store = Store::new(400_000);
        let fetcher = Fetcher::new(&endpoint(2), &store, 2);
        let wanted: Vec<Wanted> = (0..4).map(|name| holder.hold(name, 100_000)).collect();
        let fetched = landed(fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await);
        holder.check(&wanted, &fetched);
    });
}

#[test]
fn a_cancelled_fetch_ends_at_once_and_gives_its_room_back() {
    run(async {
        // A holder that accepts and then says nothing.
        let mut listener = Listener::bind(loopback(), &endpoint(1)).unwrap();
        let address = PeerAddress {
            server_id: 1,
            addresses: vec![listener.local_addr()],
            label: "rank 1".into(),
        };
        let store = Store::new(0);
        let us = endpoint(2);
        let fetcher = Fetcher::new(&us, &store, 2);
        let wanted = [Wanted { name: 1, nbytes: 1 << 20 }];

        let before = Cancel::new();
        before.cancel();
        let error = fetcher.fetch(&address, &wanted, 0, &before).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Cancelled));

        let during = Cancel::new();
        let fetching = fetcher.fetch(&address, &wanted, 0, &during);
        let cancelling = async {
            let lane = listener.accept().await;
            assert_eq!(store.usage().reserved_bytes, 1 << 20);
            during.cancel();
            lane
        };
        let (error, lane) = tokio::join!(fetching, cancelling);
        let error = error.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Cancelled), "{error}");
        assert!(error.to_string().contains("rank 1") && error.to_string().contains("1048576"));
        assert_eq!(store.usage().used_bytes, 0);
        drop(lane);

        // Cancelling after the end does nothing, and the next fetch works.
        let holder = Holder::start(3, 10);
        let wanted = [holder.hold(5, 70_000)];
        let after = Cancel::new();
        let fetched = landed(fetcher.fetch(&holder.address, &wanted, 0, &after).await);
        after.cancel();
        holder.check(&wanted, &fetched);
    });
}

/// At send and mid-payload. Like every fetch it ends once: with its error.
#[test]
fn bug_8006_5951_a_holder_that_dies_at_any_stage_is_named_and_nothing_leaks() {
    for percent in [0, 1, 50, 99] {
        run(async {
            let holder = Holder::start(1, 10);
            let wanted = [holder.hold(1, 4 << 20)];
            let proxy = cut_wire(holder.address.addresses[0], (4 << 20) * percent / 100).await;
            let address = PeerAddress { addresses: vec![proxy], ..holder.address.clone() };
            let store = Store::new(0);
            let fetcher = Fetcher::new(&endpoint(2), &store, 2);
            let error = fetcher.fetch(&address, &wanted, 0, &Cancel::new()).await.unwrap_err();
            assert!(matches!(error.kind, ErrorKind::PeerDied), "{percent} %: {error}");
            let text = error.to_string();
            assert!(text.starts_with("rank 1 over tcp: fetching an object of 4194304"), "{text}");
            assert_eq!(store.usage().used_bytes, 0);
            until(|| holder.store.usage().pinned_bytes == 0).await;
            // The holder itself lives: another way to it works.
            let fetched = landed(fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await);
            holder.check(&wanted, &fetched);
        });
    }
}

/// A wire that is cut once this many bytes of payload went through it (beyond the handshake).
async fn cut_wire(target: std::net::SocketAddr, bytes: usize) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// More than the acceptor's Hello, its proof and the head of the answer.
    const HANDSHAKE: usize = 400;
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = tokio::net::TcpStream::connect(target).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let forward = async move { tokio::io::copy(&mut from_client, &mut to_server).await };
            let back = async move {
                let (mut left, mut buffer) = (bytes + HANDSHAKE, vec![0; 1 << 16]);
                while left > 0 {
                    let most = left.min(buffer.len());
                    let Ok(read) = from_server.read(&mut buffer[..most]).await else { return };
                    if read == 0 || to_client.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                    left -= read;
                }
            };
            drop(tokio::spawn(async move {
                tokio::select! {
                    _ = forward => {}
                    () = back => {}
                }
            }));
        }
    }));
    address
}

/// At connect.
#[test]
fn bug_8006_5951_a_peer_that_is_gone_or_was_replaced_is_not_waited_for() {
    run(async {
        let holder = Holder::start(1, 10);
        let wanted = [holder.hold(1, 10_000)];
        let store = Store::new(0);
        let fetcher = Fetcher::new(&endpoint(2), &store, 2);
        // Another process answers at its port.
        let replaced = PeerAddress { server_id: 99, ..holder.address.clone() };
        let error = fetcher.fetch(&replaced, &wanted, 0, &Cancel::new()).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Refused(_)), "{error}");
        // Nobody does.
        let free = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        let gone = PeerAddress { addresses: vec![free], ..holder.address.clone() };
        let error = fetcher.fetch(&gone, &wanted, 0, &Cancel::new()).await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::PeerDied), "{error}");
        assert_eq!(store.usage().used_bytes, 0);
    });
}

/// After the payload.
#[test]
fn bug_8006_5951_a_lane_that_broke_while_unused_is_replaced() {
    run(async {
        let holder = Holder::start(1, 10);
        let wanted = [holder.hold(1, 10_000)];
        let store = Store::new(0);
        let fetcher = Fetcher::new(&endpoint(2), &store, 2);
        let first = landed(fetcher.fetch(&holder.address, &wanted, 0, &Cancel::new()).await);
        holder.check(&wanted, &first);
        // The same process with a new server: all its lanes are cut.
        let again = Holder::start_with(&endpoint(1), 10);
        again.objects.lock().unwrap().clone_from(&holder.objects.lock().unwrap());
        let address = again.address.clone();
        drop(holder);
        let second = landed(fetcher.fetch(&address, &wanted, 0, &Cancel::new()).await);
        again.check(&wanted, &second);
        fetcher.forget(1);
        let third = landed(fetcher.fetch(&address, &wanted, 0, &Cancel::new()).await);
        again.check(&wanted, &third);
    });
}
