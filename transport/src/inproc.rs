//! Channels within one process: for one-rank runs, where scheduler and worker share it, and tests.
//!
//! Same frames, same order, same budget and same ends as over TCP; only the socket is missing.

use crate::channel::Channel;
use crate::endpoint::Endpoint;
use crate::error::ErrorKind;
use crate::frame::Token;
use crate::hello::Purpose;
use crate::outbox::Outbox;
use std::sync::Arc;

/// Two ends of one channel: `one`'s, whose peer is `other`, and the other way round.
///
/// # Errors
/// The system has no entropy for the Hellos' nonces.
pub fn pair(one: &Endpoint, other: &Endpoint) -> Result<(Channel, Channel), ErrorKind> {
    // Nobody else can write into the process's memory, so the tokens guard nothing here.
    let token = Token::default();
    let hello_one = Arc::new(one.hello(Purpose::Control)?);
    let hello_other = Arc::new(other.hello(Purpose::Control)?);
    let from_one = Arc::new(Outbox::new(token));
    let from_other = Arc::new(Outbox::new(token));
    let at_one =
        Channel::within(hello_other, from_one.clone(), from_other.clone(), (one.clone(), token));
    let at_other = Channel::within(hello_one, from_other, from_one, (other.clone(), token));
    Ok((at_one, at_other))
}
