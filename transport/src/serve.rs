//! The holder's side of data lanes: answers requests with objects of the store.
//!
//! An object is pinned from the moment the request is answered until the peer has said that it
//! arrived whole, or the lane is gone. Payload goes to the socket from the store's memory.

use crate::data::{self, Offer, Request};
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::frame::{FrameHeader, Kind, MAX_LIST, MAX_PIECE};
use crate::hello::Hello;
use crate::lane::DataLane;
use rdask_store::Sealed;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::AbortHandle;
use xxhash_rust::xxh3::xxh3_64;

/// What the holder has under one name.
#[derive(Clone, Debug)]
pub enum Serve {
    /// The object.
    Object(Sealed),
    /// Nothing (any more).
    Absent,
    /// The holder does not want to answer now; the whole request is answered busy.
    Busy,
}

/// Looks names up: appends one answer per name, in order, and must not block.
pub type Lookup = Arc<dyn Fn(&[u64], &mut Vec<Serve>) + Send + Sync>;

/// How many requests a peer's lane finds answered at most at the same time; `true`: the peer is on
/// this machine. Asked for each request, so the answer may change.
pub type AtOnce = Arc<dyn Fn(bool) -> usize + Send + Sync>;

/// Serves objects to peers, each data lane in a task of its own; all end when it is dropped.
pub struct DataServer {
    shared: Arc<Shared>,
    lanes: Mutex<Vec<AbortHandle>>,
}

struct Shared {
    lookup: Lookup,
    at_once: AtOnce,
    serving: AtomicUsize,
    endpoint: Endpoint,
}

impl std::fmt::Debug for DataServer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DataServer").field("serving", &self.serving_count()).finish()
    }
}

impl DataServer {
    /// A server that answers at most `at_once` requests at the same time and the rest as busy.
    #[must_use]
    pub fn new(endpoint: &Endpoint, at_once: usize, lookup: Lookup) -> Self {
        Self::with_places(endpoint, Arc::new(move |_| at_once), lookup)
    }

    /// The same where the number depends on the peer, or on the moment.
    #[must_use]
    pub fn with_places(endpoint: &Endpoint, at_once: AtOnce, lookup: Lookup) -> Self {
        let serving = AtomicUsize::new(0);
        let shared = Shared { lookup, at_once, serving, endpoint: endpoint.clone() };
        Self { shared: Arc::new(shared), lanes: Mutex::default() }
    }

    /// Serves a lane that `Listener::accept` gave, on the current runtime.
    pub fn attach(&self, lane: DataLane) {
        let shared = self.shared.clone();
        let task = tokio::spawn(async move {
            let peer = lane.peer().identity.label.clone();
            if let Err(kind) = shared.serve_lane(lane).await {
                tracing::debug!(peer, reason = %kind, "a data lane ended");
            }
        });
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| !lane.is_finished());
        lanes.push(task.abort_handle());
    }

    /// Requests being answered at this moment.
    #[must_use]
    pub fn serving_count(&self) -> usize {
        self.shared.serving.load(SeqCst)
    }
}

impl Drop for DataServer {
    fn drop(&mut self) {
        for lane in self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner) {
            lane.abort();
        }
    }
}

/// One of the places for requests being answered.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.serving.fetch_sub(1, SeqCst);
    }
}

impl Shared {
    async fn serve_lane(self: Arc<Self>, mut lane: DataLane) -> Result<(), ErrorKind> {
        while let Some(head) = lane.next_request().await? {
            if head.kind != Some(Kind::GetData) {
                return Err(ErrorKind::Malformed("no request for objects"));
            }
            self.serve_request(&mut lane, head).await?;
        }
        Ok(())
    }

    fn take_place(self: &Arc<Self>, peer: &Hello) -> Option<Place> {
        let machine = &self.endpoint.identity().machine;
        let at_once = (self.at_once)(peer.identity.machine == *machine);
        let next = |serving: usize| (serving < at_once).then_some(serving + 1);
        self.serving.fetch_update(SeqCst, SeqCst, next).ok()?;
        Some(Place(self.clone()))
    }

    async fn serve_request(
        self: &Arc<Self>,
        lane: &mut DataLane,
        head: FrameHeader,
    ) -> Result<(), ErrorKind> {
        let request = Request::decode(lane.body(head.len).await?)?;
        if request.wanted.len() > data::most_objects_per_head(MAX_LIST) {
            return Err(ErrorKind::Malformed("a request for too many objects"));
        }
        let place = self.take_place(lane.peer());
        let offers = place.as_ref().and_then(|_| self.look_up(&request));
        let Some(offers) = offers else {
            return lane.send(Kind::DataHead, head.request, &data::encode_busy()).await;
        };
        let (answer, follows) = data::encode_head(&offers);
        lane.queue(Kind::DataHead, head.request, &answer)?;
        for index in follows {
            let Some(Offer::Object(lent)) = offers.get(index) else { continue };
            for piece in lent.object().bytes().chunks(MAX_PIECE) {
                lane.send(Kind::Data, head.request, piece).await?;
            }
        }
        let sums = if request.verify { checksums(&offers) } else { Vec::new() };
        lane.send(Kind::DataEnd, head.request, &sums).await?;
        lane.expect(Kind::Release, head.request).await?;
        for offer in &offers {
            if let Offer::Object(lent) = offer {
                self.endpoint.counters().object_sent(lent.object().nbytes());
            }
        }
        Ok(())
    }

    /// The answers to a request; none when the holder is busy.
    fn look_up(&self, request: &Request) -> Option<Vec<Offer>> {
        let names: Vec<u64> = request.wanted.iter().map(|wanted| wanted.name).collect();
        let mut found = Vec::with_capacity(names.len());
        (self.lookup)(&names, &mut found);
        found.resize(names.len(), Serve::Absent);
        let offers = found.into_iter().zip(&request.wanted).map(|(serve, wanted)| match serve {
            Serve::Absent => Some(Offer::Absent),
            Serve::Busy => None,
            Serve::Object(object) if object.nbytes() != wanted.nbytes => {
                Some(Offer::WrongSize(object.nbytes()))
            }
            Serve::Object(object) => Some(Offer::Object(object.lend())),
        });
        offers.collect()
    }
}

/// One checksum per object sent, in order.
fn checksums(offers: &[Offer]) -> Vec<u8> {
    let objects = offers.iter().filter_map(|offer| match offer {
        Offer::Object(lent) => Some(xxh3_64(lent.object().bytes())),
        Offer::Absent | Offer::WrongSize(_) => None,
    });
    objects.flat_map(u64::to_le_bytes).collect()
}
