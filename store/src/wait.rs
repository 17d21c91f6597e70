//! Waiting for memory: one future, which a thread can also block on.
//!
//! The future owns its place in the queue and whatever it was granted; dropping it at any moment
//! gives both back.

use crate::StoreError;
use crate::pin::Writing;
use crate::room::{Grant, Shared, Ticket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Room for several objects that is being waited for.
#[derive(Debug)]
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    sizes: Arc<[u64]>,
    priority: u64,
    ticket: Option<Ticket>,
}

impl Reservation {
    pub(crate) fn new(shared: Arc<Shared>, sizes: Arc<[u64]>, priority: u64) -> Self {
        Self { shared, sizes, priority, ticket: None }
    }

    fn poll_grant(&mut self, waker: &Waker) -> Poll<Result<Grant, StoreError>> {
        if let Some(ticket) = self.ticket {
            let polled = self.shared.poll(ticket, waker);
            if polled.is_ready() {
                self.ticket = None;
            }
            return polled;
        }
        let nbytes = self.sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size));
        let limit = self.shared.account.limit;
        if nbytes > limit {
            return Poll::Ready(Err(StoreError::TooLarge { nbytes, limit }));
        }
        if let Some(grant) = self.shared.try_take(&self.sizes) {
            return Poll::Ready(Ok(grant));
        }
        let ticket = self.shared.enqueue(self.sizes.clone(), self.priority, waker.clone());
        self.ticket = Some(ticket);
        self.poll_grant(waker)
    }

    /// Makes objects of a grant. When the system refuses one, the rest goes back too.
    fn write(&self, grant: Grant) -> Result<Vec<Writing>, StoreError> {
        let mut refused = None;
        let mut written = Vec::with_capacity(grant.len());
        for (nbytes, warm) in self.sizes.iter().zip(grant) {
            match Writing::new(self.shared.clone(), *nbytes, warm) {
                Ok(writing) => written.push(writing),
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(written), Err)
    }
}

impl Future for Reservation {
    type Output = Result<Vec<Writing>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_grant(context.waker()).map(|grant| self.write(grant?))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.leave(ticket);
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread.
pub(crate) fn block_on<F: Future + Unpin>(future: &mut F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut *future).poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}
