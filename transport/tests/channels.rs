//! Conformance of channels: the same bodies over each path.

use crate::suite::{Chance, Over, endpoint, identity, pair, pair_of, run, secret};
use rdask_transport::{
    CHANNEL_BUDGET, ChannelReceiver, ChannelSender, Endpoint, ErrorKind, PushError, Role, Settings,
    frame,
};
use std::time::Duration;

const BOTH: [Over; 2] = [Over::Inproc, Over::Tcp];

/// Sends bodies of chance sizes; gives the number of bytes and a checksum of the whole stream.
async fn send_stream(sender: &ChannelSender, seed: u64, count: usize) -> (u64, u64) {
    let mut chance = Chance(seed);
    let mut sum = (0, 0);
    for number in 0..count {
        // Mostly small, a few up to 1 MiB.
        let most = if number % 500 == 0 { 1 << 20 } else { 200 };
        let body: Vec<u8> = {
            let len = chance.below(most + 1);
            let fill = chance.next() as u8;
            (0..len).map(|at| fill.wrapping_add(at as u8)).collect()
        };
        sum = (sum.0 + body.len() as u64, mix(sum.1, &body));
        while sender.push(|buffer| buffer.extend_from_slice(&body)) == Err(PushError::Full) {
            sender.drained_to(CHANNEL_BUDGET / 2).await;
        }
    }
    sum
}

async fn receive_stream(receiver: &mut ChannelReceiver, count: usize) -> (u64, u64) {
    let (mut sum, mut seen) = ((0, 0), 0);
    while seen < count {
        let batch = receiver.recv().await.unwrap().expect("not closed");
        for body in batch.iter() {
            sum = (sum.0 + body.len() as u64, mix(sum.1, body));
            seen += 1;
        }
    }
    assert_eq!(seen, count);
    sum
}

/// FNV-1a over a body and its length, chained: order and content matter.
fn mix(sum: u64, body: &[u8]) -> u64 {
    let step = |sum: u64, byte: u64| (sum ^ byte).wrapping_mul(0x0100_0000_01b3);
    body.iter().fold(step(sum, body.len() as u64), |sum, byte| step(sum, u64::from(*byte)))
}

#[test]
fn order_and_integrity_in_both_directions_at_once() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (from_one, mut to_one) = one.split();
            let (from_two, mut to_two) = two.split();
            let count = 100_000;
            let (sent_one, sent_two, got_one, got_two) = tokio::join!(
                send_stream(&from_one, 1, count),
                send_stream(&from_two, 2, count),
                receive_stream(&mut to_one, count),
                receive_stream(&mut to_two, count),
            );
            assert_eq!(sent_one, got_two, "{over:?}");
            assert_eq!(sent_two, got_one, "{over:?}");
            assert_ne!(sent_one, sent_two);
        });
    }
}

/// A sender on another thread than the writer's: held back, written at once, released and pushed in
/// turn, in order whatever the writer does meanwhile.
#[test]
fn what_is_held_back_keeps_its_place_and_arrives() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, _keeps) = one.split();
            let (_keep, mut receiver) = two.split();
            let count = 20_000_u32;
            let pushing = std::thread::spawn(move || {
                let mut chance = Chance(7);
                for number in 0..count {
                    let body = move |buffer: &mut Vec<u8>| {
                        buffer.extend_from_slice(&number.to_le_bytes());
                        // Now and then more than the socket takes at once.
                        buffer
                            .resize(buffer.len() + if number % 1000 == 0 { 400_000 } else { 3 }, 7);
                    };
                    let way = chance.below(4);
                    let push = || match way {
                        0 => sender.push(body),
                        _ => sender.push_held_back(body),
                    };
                    while push() == Err(PushError::Full) {
                        std::thread::yield_now();
                    }
                    match way {
                        0 | 1 => {}
                        2 => sender.release(),
                        _ => sender.write_now(),
                    }
                }
                sender.write_now();
                sender
            });
            let mut seen = 0;
            while seen < count {
                let batch = receiver.recv().await.unwrap().expect("not closed");
                for body in batch.iter() {
                    assert_eq!(body[..4], seen.to_le_bytes(), "{over:?}");
                    seen += 1;
                }
            }
            drop(pushing.join().unwrap());
        });
    }
}

#[test]
fn what_is_held_back_waits_for_its_release() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, _keeps) = one.split();
            let (_keep, mut receiver) = two.split();
            let sends = |way: &dyn Fn(&ChannelSender)| {
                sender.push_held_back(|body| body.push(1)).unwrap();
                way(&sender);
            };
            let ways: [&dyn Fn(&ChannelSender); 3] =
                [&ChannelSender::write_now, &ChannelSender::release, &|sender| {
                    sender.push(|body| body.push(2)).unwrap();
                }];
            for (number, way) in ways.into_iter().enumerate() {
                sends(way);
                let batch = receiver.recv().await.unwrap().expect("not closed");
                let bodies: Vec<&[u8]> = batch.iter().collect();
                let expected: &[&[u8]] = if number == 2 { &[&[1], &[2]] } else { &[&[1]] };
                assert_eq!(bodies, expected, "{over:?}");
            }
            sender.close().await.unwrap();
            assert!(receiver.recv().await.unwrap().is_none());
        });
    }
}

#[test]
fn the_longest_message_passes_and_one_byte_more_is_refused() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, _) = one.split();
            let (_keep, mut receiver) = two.split();
            let longest = frame::MAX_MESSAGE;
            let sending = async {
                sender.push(|body| body.push(1)).unwrap();
                sender.push(|body| body.resize(body.len() + longest, 7)).unwrap();
                sender.drained_to(0).await;
                let too_long = sender.push(|body| body.resize(body.len() + longest + 1, 7));
                assert_eq!(too_long, Err(PushError::TooLong { len: longest + 1, limit: longest }));
                sender.push(|body| body.push(2)).unwrap();
            };
            let receiving = async {
                let mut lens = Vec::new();
                while lens.len() < 3 {
                    let batch = receiver.recv().await.unwrap().unwrap();
                    lens.extend(batch.iter().map(<[u8]>::len));
                }
                lens
            };
            let ((), lens) = tokio::join!(sending, receiving);
            assert_eq!(lens, [1, longest, 1], "{over:?}");
        });
    }
}

#[test]
fn close_delivers_everything_and_then_the_end() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, _receiver) = one.split();
            let (back, mut receiver) = two.split();
            for number in 0..10_000_u32 {
                sender.push(|body| body.extend_from_slice(&number.to_le_bytes())).unwrap();
            }
            let closing = sender.close();
            let reading = async {
                let mut next = 0_u32;
                while let Some(batch) = receiver.recv().await.unwrap() {
                    for body in batch.iter() {
                        assert_eq!(body, next.to_le_bytes());
                        next += 1;
                    }
                }
                next
            };
            let (closed, count) = tokio::join!(closing, reading);
            closed.unwrap();
            assert_eq!(count, 10_000);
            assert!(receiver.recv().await.unwrap().is_none(), "the end stays the end");
            assert_eq!(sender.push(|body| body.push(0)), Err(PushError::Closed));
            sender.close().await.unwrap();
            back.close().await.unwrap();
        });
    }
}

#[test]
fn what_was_said_before_a_goodbye_arrives_although_the_peer_is_gone() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, receiver) = one.split();
            let (back, mut reading) = two.split();
            sender.push(|body| body.extend_from_slice(b"last words")).unwrap();
            sender.close().await.unwrap();
            drop((sender, receiver));
            // Writing to a peer that is gone must not hide what it said before.
            drop(back.push(|body| body.push(1)));
            tokio::task::yield_now().await;
            drop(back.push(|body| body.push(2)));
            let batch = reading.recv().await.unwrap().expect("the last words");
            assert_eq!(batch.iter().collect::<Vec<_>>(), [b"last words"]);
            assert!(reading.recv().await.unwrap().is_none(), "{over:?}");
        });
    }
}

#[test]
fn abort_ends_every_call_on_both_sides() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, mut receiver) = one.split();
            let (_back, mut reading) = two.split();
            sender.push(|body| body.push(1)).unwrap();
            sender.abort();
            sender.abort();
            let ours = receiver.recv().await.unwrap_err();
            assert!(matches!(ours.kind, ErrorKind::Closed), "{over:?}: {ours}");
            assert_eq!(sender.push(|body| body.push(0)), Err(PushError::Closed));
            assert!(sender.close().await.is_err() || over == Over::Inproc);
            drop((sender, receiver));
            let theirs = loop {
                // A message that left before the abort may still arrive.
                match reading.recv().await {
                    Ok(batch) => assert!(batch.is_some(), "an abort is no goodbye"),
                    Err(error) => break error,
                }
            };
            assert!(matches!(theirs.kind, ErrorKind::PeerDied), "{over:?}: {theirs}");
            assert!(theirs.to_string().contains("rank 1"), "{theirs}");
        });
    }
}

#[test]
fn abort_wakes_a_call_that_waits() {
    for over in BOTH {
        run(async {
            let (one, _two) = pair(over).await;
            let (sender, mut receiver) = one.split();
            let waiting = receiver.recv();
            tokio::pin!(waiting);
            assert!(futures_poll(waiting.as_mut()).await.is_none());
            sender.abort();
            assert!(waiting.await.is_err(), "{over:?}");
        });
    }
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn a_dropped_channel_is_a_death_after_what_was_queued() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, receiver) = one.split();
            let (_back, mut reading) = two.split();
            sender.push(|body| body.extend_from_slice(b"queued")).unwrap();
            let clone = sender.clone();
            drop((sender, clone));
            let batch = reading.recv().await.unwrap().unwrap();
            assert_eq!(batch.iter().collect::<Vec<_>>(), [b"queued"]);
            assert!(matches!(reading.recv().await.unwrap_err().kind, ErrorKind::PeerDied));
            drop(receiver);
        });
    }
}

#[test]
fn a_reader_that_stops_costs_no_more_than_the_budget() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, _) = one.split();
            let (_keep, mut receiver) = two.split();
            let (other, other_end) = pair(over).await;
            let mut sent = 0_u64;
            let body = [5; 100_000];
            // The socket's own buffers take some; then the budget fills and stays full.
            let mut full_in_a_row = 0;
            while full_in_a_row < 100 {
                match sender.push(|buffer| buffer.extend_from_slice(&body)) {
                    Ok(()) => (sent, full_in_a_row) = (sent + 1, 0),
                    Err(PushError::Full) => {
                        full_in_a_row += 1;
                        tokio::task::yield_now().await;
                    }
                    Err(error) => panic!("{error}"),
                }
                assert!(sender.queued_bytes() < CHANNEL_BUDGET + 2 * body.len());
            }
            // Another peer is not affected.
            let (other, _) = other.split();
            let (_keep_other, mut other_end) = other_end.split();
            other.push(|buffer| buffer.push(9)).unwrap();
            assert!(other_end.recv().await.unwrap().is_some());
            // Reading again drains everything.
            let mut received = 0_u64;
            while received < sent {
                received += receiver.recv().await.unwrap().unwrap().iter().count() as u64;
            }
            sender.drained_to(0).await;
            assert_eq!(sender.queued_bytes(), 0);
            assert_eq!(received, sent, "{over:?}");
        });
    }
}

#[test]
fn receiving_can_be_cancelled_at_any_moment() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, _) = one.split();
            let (_keep, mut receiver) = two.split();
            let sending = async {
                for number in 0..20_000_u32 {
                    sender.push(|body| body.extend_from_slice(&number.to_le_bytes())).unwrap();
                    if number % 7 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            };
            let receiving = async {
                let mut next = 0_u32;
                while next < 20_000 {
                    let batch = tokio::select! {
                        biased;
                        batch = receiver.recv() => batch.unwrap().unwrap(),
                        () = tokio::task::yield_now() => continue,
                    };
                    for body in batch.iter() {
                        assert_eq!(body, next.to_le_bytes());
                        next += 1;
                    }
                }
            };
            tokio::join!(sending, receiving);
        });
    }
}

#[test]
fn an_encoder_that_panics_leaves_the_stream_whole() {
    for over in BOTH {
        run(async {
            let (one, two) = pair(over).await;
            let (sender, _) = one.split();
            let (_keep, mut receiver) = two.split();
            sender.push(|body| body.push(1)).unwrap();
            let panicking = std::panic::AssertUnwindSafe(|| {
                sender.push(|body| {
                    body.extend_from_slice(b"half");
                    panic!("planted");
                })
            });
            assert!(std::panic::catch_unwind(panicking).is_err());
            sender.push(|body| body.push(2)).unwrap();
            let mut bodies = Vec::new();
            while bodies.len() < 2 {
                let batch = receiver.recv().await.unwrap().unwrap();
                bodies.extend(batch.iter().map(<[u8]>::to_vec));
            }
            assert_eq!(bodies, [vec![1], vec![2]], "{over:?}");
        });
    }
}

#[test]
fn a_silent_peer_that_lives_is_kept_and_a_frozen_one_is_given_up() {
    run(async {
        let settings = Settings {
            ping_after: Duration::from_millis(50),
            timeout: Duration::from_secs(3),
            ..Settings::default()
        };
        let impatient = Endpoint::with_settings(identity(1, Role::Worker), secret(), settings);
        let (one, two) = pair_of(Over::Tcp, &impatient, &endpoint(2)).await;
        let (_sender, mut receiver) = one.split();
        let (back, mut reading) = two.split();
        {
            // While the peer listens it answers pings: the timeout passes and nothing happens.
            let listening = reading.recv();
            let lively = tokio::time::sleep(Duration::from_secs(4));
            tokio::select! {
                _ = receiver.recv() => panic!("the peer said nothing"),
                _ = listening => panic!("we said nothing"),
                () = lively => {}
            }
        }
        // Now it does not listen any more.
        let error = receiver.recv().await.unwrap_err();
        assert!(matches!(error.kind, ErrorKind::Timeout), "{error}");
        drop(back);
    });
}
