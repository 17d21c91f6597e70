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
}

impl Outgoing {
    pub(crate) fn new(sender: ChannelSender) -> Self {
        Self { sender, backlog: VecDeque::new() }
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
        match self.sender.push(encode) {
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

    /// The bare sender, to close it in good order.
    pub(crate) fn sender(&self) -> ChannelSender {
        self.sender.clone()
    }
}
