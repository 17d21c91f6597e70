//! Messages on their way out on one control connection, with what exceeds its byte budget.
//!
//! A message is never lost: while the connection's budget is used up, messages wait here, in order.
//! The backlog is bounded by what the cores send, a few messages for each task of the graph; a peer
//! that reads nothing for `timeouts.tcp` is dropped by its driver.

use rdask_core::codec;
use rdask_transport::{CHANNEL_BUDGET, ChannelSender, PushError};
use serde::Serialize;
use std::collections::VecDeque;

/// The sending end of a connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    sender: ChannelSender,
    backlog: VecDeque<Vec<u8>>,
    hold_back: bool,
}

impl Outgoing {
    pub(crate) fn new(sender: ChannelSender) -> Self {
        Self { sender, backlog: VecDeque::new(), hold_back: false }
    }

    /// While set, sending wakes nobody: `write_now` or `release` of the channel follows, or another
    /// message. Gives what was set before.
    pub(crate) fn set_hold_back(&mut self, hold_back: bool) -> bool {
        std::mem::replace(&mut self.hold_back, hold_back)
    }

    /// Whether sending wakes nobody.
    pub(crate) fn holds_back(&self) -> bool {
        self.hold_back
    }

    /// Sends what was held back.
    pub(crate) fn release(&self) {
        self.sender.release();
    }

    /// Sends a message; true when the backlog has just begun: call `flush` after `drained`.
    pub(crate) fn send<M: Serialize>(&mut self, message: &M) -> bool {
        let encode = |buffer: &mut Vec<u8>| {
            codec::encode_into(message, buffer).expect("messages are bounded by the graph file");
        };
        if !self.backlog.is_empty() {
            let mut body = Vec::new();
            encode(&mut body);
            self.backlog.push_back(body);
            return false;
        }
        let pushed = if self.hold_back {
            self.sender.push_held_back(encode)
        } else {
            self.sender.push(encode)
        };
        match pushed {
            Err(PushError::Full) => {
                let mut body = Vec::new();
                encode(&mut body);
                self.backlog.push_back(body);
                true
            }
            // The receiving side of a closed connection says why, once.
            Ok(()) | Err(PushError::Closed) => false,
            Err(error @ PushError::TooLong { .. }) => {
                tracing::error!("a message cannot be sent: {error}");
                false
            }
        }
    }

    /// Sends of the backlog what fits; true when some is left: call again after `drained`.
    pub(crate) fn flush(&mut self) -> bool {
        while let Some(body) = self.backlog.front() {
            match self.sender.push(|buffer| buffer.extend_from_slice(body)) {
                Err(PushError::Full) => return true,
                _ => drop(self.backlog.pop_front()),
            }
        }
        false
    }

    /// Ends when half of the budget is free, or the connection is broken.
    pub(crate) fn drained(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let sender = self.sender.clone();
        async move { sender.drained_to(CHANNEL_BUDGET / 2).await }
    }

    /// Messages wait for the peer to read.
    pub(crate) fn is_blocked(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Ends the connection without a word.
    pub(crate) fn abort(&self) {
        self.sender.abort();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rdask_core::messages::ToScheduler;
    use rdask_transport::{Channel, Endpoint, Identity, Role, Secret, inproc};

    const BODY_BYTES: usize = 1 << 20;

    /// Two ends of a channel inside this process: the scheduler's, and one in another role.
    pub(crate) fn pair(other: Role) -> (Channel, Channel) {
        let identity = |role| Identity {
            server_id: role as u128,
            role,
            job_id: "job".to_owned(),
            label: format!("{role:?}"),
            machine: "here".to_owned(),
            netns: 0,
        };
        let secret = Secret::random().unwrap();
        let scheduler = Endpoint::new(identity(Role::Scheduler), secret.clone());
        let other = Endpoint::new(identity(other), secret);
        inproc::pair(&scheduler, &other).unwrap()
    }

    /// A message of about a mebibyte that tells its number.
    fn message(number: u32) -> ToScheduler {
        ToScheduler::Warning { text: format!("{number}{}", " ".repeat(BODY_BYTES)) }
    }

    fn number(body: &[u8]) -> u32 {
        match codec::decode(body).unwrap() {
            ToScheduler::Warning { text } => text.trim_end().parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn what_a_peer_does_not_read_waits_in_order() {
        let (ours, theirs) = pair(Role::Worker);
        let (sender, _) = ours.split();
        let (_stays_open, mut receiver) = theirs.split();
        let mut outgoing = Outgoing::new(sender);
        let count = 3 * (CHANNEL_BUDGET / BODY_BYTES) as u32;
        let began: Vec<u32> = (0..count).filter(|n| outgoing.send(&message(*n))).collect();
        assert_eq!(began.len(), 1, "the backlog begins once: {began:?}");
        assert!(outgoing.is_blocked());
        // Nobody has read: nothing more fits.
        assert!(outgoing.flush());
        let mut seen = Vec::new();
        while seen.len() < count as usize {
            let batch = receiver.recv().await.unwrap().unwrap();
            seen.extend(batch.iter().map(number));
            if outgoing.is_blocked() && !outgoing.flush() {
                assert!(!outgoing.is_blocked());
            }
        }
        assert_eq!(seen, (0..count).collect::<Vec<u32>>());
        assert!(!outgoing.is_blocked());
    }

    #[tokio::test]
    async fn drained_tells_when_to_go_on() {
        let (ours, theirs) = pair(Role::Worker);
        let (sender, _) = ours.split();
        let (_stays_open, mut receiver) = theirs.split();
        let mut outgoing = Outgoing::new(sender);
        let mut number = 0;
        while !outgoing.send(&message(number)) {
            number += 1;
        }
        let reading = async {
            loop {
                drop(receiver.recv().await.unwrap().unwrap());
            }
        };
        tokio::select! {
            () = outgoing.drained() => {}
            () = reading => {}
        }
        assert!(!outgoing.flush() && !outgoing.is_blocked());
    }

    #[tokio::test]
    async fn a_broken_connection_takes_everything_and_keeps_nothing() {
        let (ours, theirs) = pair(Role::Worker);
        let (sender, _) = ours.split();
        let mut outgoing = Outgoing::new(sender);
        while !outgoing.send(&message(0)) {}
        drop(theirs);
        outgoing.abort();
        outgoing.drained().await;
        assert!(!outgoing.flush() && !outgoing.is_blocked());
        assert!(!outgoing.send(&message(1)) && !outgoing.is_blocked());
    }
}
