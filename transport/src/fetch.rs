//! The wanting side of data lanes: brings objects of a peer into our store.
//!
//! Room is reserved before anything is asked for, so nothing large is ever pushed at a store that
//! has no place for it; payload is read from the socket into that room, and sealed only when the
//! whole answer has arrived. A failed or cancelled fetch drops its lane and its room.

use crate::connect::{Target, open_lane};
use crate::data::{self, Item, Request};
use crate::endpoint::Endpoint;
use crate::error::{ErrorKind, Path, TransportError};
use crate::frame::{Kind, MAX_LIST};
use crate::hello::Purpose;
use crate::lane::DataLane;
use rdask_store::{Header, Sealed, Store, Writing};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// From this size on an object travels on a lane for large ones.
const LARGE: u64 = 8 << 20;
/// Unused lanes kept open over all peers; the one unused longest goes first.
const IDLE_LANES: usize = 128;
/// Longest time to open a lane.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// A peer that holds objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerAddress {
    /// The process.
    pub server_id: u128,
    /// Where it listens, best first.
    pub addresses: Vec<SocketAddr>,
    /// For messages: `rank 7 (node12)`.
    pub label: String,
}

/// An object asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Its name at the holder.
    pub name: u64,
    /// Its size, bytes.
    pub nbytes: u64,
}

/// What became of one object asked for.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// It is in our store.
    Landed(Sealed),
    /// The peer does not have it.
    Absent,
    /// The peer has one of this size instead.
    WrongSize(u64),
}

/// A peer's answer to a fetch.
#[derive(Clone, Debug)]
pub enum Answer {
    /// One per name, in order.
    Objects(Vec<Fetched>),
    /// The peer serves too many others at this moment: ask again later.
    Busy,
}

/// Takes a fetch back from elsewhere; clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    shared: Arc<(AtomicBool, Notify)>,
}

impl Cancel {
    /// A cancellation that has not happened.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every fetch that has it ends as `Cancelled`, now or when it begins.
    pub fn cancel(&self) {
        self.shared.0.store(true, SeqCst);
        self.shared.1.notify_waiters();
    }

    /// Whether it happened.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.0.load(SeqCst)
    }

    /// Waits until it happens.
    pub async fn cancelled(&self) {
        let notified = self.shared.1.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        if !self.is_cancelled() {
            notified.await;
        }
    }
}

/// Fetches objects into a store; clones share its lanes.
#[derive(Clone, Debug)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    store: Store,
    large_lanes: usize,
    requests: AtomicU32,
    pool: Mutex<Pool>,
}

/// Which lanes of a peer: those for large objects are apart, so that a small one never waits
/// behind them.
type LaneClass = (u128, bool);

#[derive(Debug, Default)]
struct Pool {
    idle: VecDeque<(LaneClass, DataLane)>,
    permits: FxHashMap<LaneClass, Arc<Semaphore>>,
}

impl Fetcher {
    /// A fetcher into `store`. `cpus` of this process bound the lanes per peer.
    #[must_use]
    pub fn new(endpoint: &Endpoint, store: &Store, cpus: usize) -> Self {
        let shared = Shared {
            endpoint: endpoint.clone(),
            store: store.clone(),
            large_lanes: (cpus / 2).clamp(1, 4),
            requests: AtomicU32::new(0),
            pool: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Brings objects of one peer into the store: one answer per name, in order. `priority` is
    /// that of the reservation. Cancelling, or dropping the future, ends it at once.
    ///
    /// # Errors
    /// `NoRoom`, `PeerDied`, `Timeout`, `Cancelled`, `Refused`, `WrongSecret`, `Malformed`, `Os`;
    /// nothing has landed then, and the room is back.
    pub async fn fetch(
        &self,
        peer: &PeerAddress,
        wanted: &[Wanted],
        priority: u64,
        cancel: &Cancel,
    ) -> Result<Answer, TransportError> {
        let begun = Instant::now();
        let fetching = Box::pin(self.shared.fetch_groups(peer, wanted, priority));
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(ErrorKind::Cancelled),
            outcome = fetching => outcome,
        };
        outcome.map_err(|kind| TransportError {
            peer: peer.label.clone(),
            path: Path::Tcp,
            during: describe(wanted),
            kind,
            elapsed: begun.elapsed(),
        })
    }

    /// Closes the unused lanes to a peer that is gone.
    pub fn forget(&self, server_id: u128) {
        let mut pool = self.shared.pool();
        pool.idle.retain(|((owner, _), _)| *owner != server_id);
        pool.permits.retain(|(owner, _), _| *owner != server_id);
    }
}

fn describe(wanted: &[Wanted]) -> String {
    let total = wanted.iter().fold(0_u64, |sum, one| sum.saturating_add(one.nbytes));
    match wanted.len() {
        1 => format!("fetching an object of {total} bytes"),
        count => format!("fetching {count} objects ({total} bytes)"),
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As many requests as the limits of one demand, one after the other.
    async fn fetch_groups(
        &self,
        peer: &PeerAddress,
        wanted: &[Wanted],
        priority: u64,
    ) -> Result<Answer, ErrorKind> {
        let _under_way = self.store.activity();
        let mut landed = Vec::with_capacity(wanted.len());
        let mut rest = wanted;
        while !rest.is_empty() {
            let (group, after) = rest.split_at(self.group_len(rest));
            match self.fetch_group(peer, group, priority).await? {
                Some(mut objects) => landed.append(&mut objects),
                None => return Ok(Answer::Busy),
            }
            rest = after;
        }
        Ok(Answer::Objects(landed))
    }

    /// How many of `wanted` fit one request: together they must fit the store at all.
    fn group_len(&self, wanted: &[Wanted]) -> usize {
        let limit = match self.store.usage().limit_bytes {
            0 => u64::MAX,
            limit => limit,
        };
        let most = data::most_objects_per_head(MAX_LIST).min(data::MAX_WANTED);
        let mut total = 0_u64;
        let fits = |one: &&Wanted| {
            total = total.saturating_add(one.nbytes);
            total <= limit
        };
        wanted.iter().take(most).take_while(fits).count().max(1)
    }

    async fn fetch_group(
        &self,
        peer: &PeerAddress,
        wanted: &[Wanted],
        priority: u64,
    ) -> Result<Option<Vec<Fetched>>, ErrorKind> {
        let sizes: Vec<u64> = wanted.iter().map(|one| one.nbytes).collect();
        let room = self.store.reserve_all(&sizes, priority).await.map_err(ErrorKind::NoRoom)?;
        let class = (peer.server_id, sizes.iter().any(|nbytes| *nbytes >= LARGE));
        let permits = self.permits(class);
        let _permit = permits.acquire().await.map_err(|_| ErrorKind::Closed)?;
        let request = self.requests.fetch_add(1, SeqCst).wrapping_add(1);
        let mut exchange =
            Exchange { request, wanted, room, answered: false, verify: self.verify() };
        if let Some(mut lane) = self.idle_lane(class) {
            match exchange.run(&mut lane).await {
                Ok(arrived) => return self.settle(class, lane, arrived),
                // An unused lane may have died unnoticed; a fresh one tells whether the peer did.
                Err(kind) if exchange.answered || !matches!(kind, ErrorKind::PeerDied) => {
                    return Err(kind);
                }
                Err(_) => {}
            }
        }
        let mut lane = self.open(peer).await?;
        let arrived = exchange.run(&mut lane).await?;
        self.settle(class, lane, arrived)
    }

    fn verify(&self) -> bool {
        self.endpoint.settings().verify
    }

    async fn open(&self, peer: &PeerAddress) -> Result<DataLane, ErrorKind> {
        let target = Target {
            addresses: &peer.addresses,
            server_id: Some(peer.server_id),
            purpose: Purpose::Data,
        };
        open_lane(target, &self.endpoint, OPEN_LIMIT).await.map_err(|error| error.kind)
    }

    fn permits(&self, class: LaneClass) -> Arc<Semaphore> {
        let count = if class.1 { self.large_lanes } else { 1 };
        let mut pool = self.pool();
        pool.permits.entry(class).or_insert_with(|| Arc::new(Semaphore::new(count))).clone()
    }

    fn idle_lane(&self, class: LaneClass) -> Option<DataLane> {
        let mut pool = self.pool();
        let index = pool.idle.iter().rposition(|(owner, _)| *owner == class)?;
        pool.idle.remove(index).map(|(_, lane)| lane)
    }

    /// Keeps the lane for the next fetch and makes objects of what arrived.
    fn settle(
        &self,
        class: LaneClass,
        lane: DataLane,
        arrived: Option<Vec<Arrived>>,
    ) -> Result<Option<Vec<Fetched>>, ErrorKind> {
        let Some(arrived) = arrived else {
            self.keep(class, lane);
            return Ok(None);
        };
        let mut fetched = Vec::with_capacity(arrived.len());
        for one in arrived {
            fetched.push(match one {
                Arrived::Absent => Fetched::Absent,
                Arrived::WrongSize(nbytes) => Fetched::WrongSize(nbytes),
                Arrived::Whole(room, header) => {
                    self.endpoint.counters().object_received(room.nbytes());
                    let malformed = ErrorKind::Malformed("a header that contradicts its object");
                    Fetched::Landed(room.seal(header).map_err(|_| malformed)?)
                }
            });
        }
        self.keep(class, lane);
        Ok(Some(fetched))
    }

    fn keep(&self, class: LaneClass, lane: DataLane) {
        let mut pool = self.pool();
        pool.idle.push_back((class, lane));
        if pool.idle.len() > IDLE_LANES {
            drop(pool.idle.pop_front());
        }
    }
}

enum Arrived {
    Absent,
    WrongSize(u64),
    Whole(Writing, Header),
}

/// One request and its answer on one lane.
struct Exchange<'a> {
    request: u32,
    wanted: &'a [Wanted],
    room: Vec<Writing>,
    /// Whether the peer has begun to answer.
    answered: bool,
    verify: bool,
}

impl Exchange<'_> {
    /// None when the peer is busy.
    async fn run(&mut self, lane: &mut DataLane) -> Result<Option<Vec<Arrived>>, ErrorKind> {
        let body = Request::encode(self.verify, self.wanted);
        lane.send(Kind::GetData, self.request, &body).await?;
        let len = lane.expect(Kind::DataHead, self.request).await?;
        self.answered = true;
        let head = lane.body(len).await?.to_vec();
        let Some(items) = data::decode_head(&head, self.wanted.len())? else { return Ok(None) };
        let mut arrived = Vec::with_capacity(items.len());
        for (item, mut room) in items.into_iter().zip(std::mem::take(&mut self.room)) {
            arrived.push(match item {
                Item::Absent => Arrived::Absent,
                Item::WrongSize(nbytes) => Arrived::WrongSize(nbytes),
                Item::Inline(header, bytes) => {
                    check_size(&room, bytes.len() as u64)?;
                    room.bytes_mut().copy_from_slice(bytes);
                    Arrived::Whole(room, header)
                }
                Item::Follows(header, nbytes) => {
                    check_size(&room, nbytes)?;
                    self.receive(lane, &mut room).await?;
                    Arrived::Whole(room, header)
                }
            });
        }
        let len = lane.expect(Kind::DataEnd, self.request).await?;
        let sums = lane.body(len).await?;
        if self.verify {
            check_sums(sums, &mut arrived)?;
        }
        lane.send(Kind::Release, self.request, &[]).await?;
        Ok(Some(arrived))
    }

    /// The pieces of one object, in place.
    async fn receive(&self, lane: &mut DataLane, room: &mut Writing) -> Result<(), ErrorKind> {
        let mut rest = room.bytes_mut();
        while !rest.is_empty() {
            let len = lane.expect(Kind::Data, self.request).await?;
            if len == 0 || len > rest.len() {
                return Err(ErrorKind::Malformed("a piece that does not fit its object"));
            }
            let (piece, after) = rest.split_at_mut(len);
            lane.receive_into(piece).await?;
            rest = after;
        }
        Ok(())
    }
}

fn check_size(room: &Writing, nbytes: u64) -> Result<(), ErrorKind> {
    if room.nbytes() == nbytes {
        return Ok(());
    }
    Err(ErrorKind::Malformed("an object of another size than was asked for"))
}

fn check_sums(sums: &[u8], arrived: &mut [Arrived]) -> Result<(), ErrorKind> {
    let (sums, rest) = sums.as_chunks::<8>();
    let mut sums = sums.iter();
    for one in arrived {
        let Arrived::Whole(room, _) = one else { continue };
        let sum = xxh3_64(room.bytes_mut());
        if sums.next() != Some(&sum.to_le_bytes()) {
            return Err(ErrorKind::Malformed("an object whose checksum is wrong"));
        }
    }
    if sums.next().is_none() && rest.is_empty() {
        return Ok(());
    }
    Err(ErrorKind::Malformed("more checksums than objects"))
}
