//! Nothing is left behind by channels: alone in its process, since it counts descriptors.

#[expect(dead_code, reason = "this test uses a part of the suite")]
mod suite;

use suite::{Over, pair, run};

#[test]
fn a_thousand_channels_leave_no_descriptor_behind() {
    run(async {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        for round in 0..1000_u32 {
            let (one, two) = pair(Over::Tcp).await;
            let (sender, receiver) = one.split();
            let (back, mut reading) = two.split();
            sender.push(|body| body.push(1)).unwrap();
            if round % 2 == 0 {
                sender.close().await.unwrap();
                while let Some(batch) = reading.recv().await.unwrap() {
                    assert_eq!(batch.iter().count(), 1);
                }
            } else {
                sender.abort();
            }
            drop((sender, receiver, back, reading));
        }
        // Writers and listeners end in tasks of their own: let them.
        for _ in 0..100_000 {
            if open() <= before {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} descriptors before, {} after", before, open());
    });
}
