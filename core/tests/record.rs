//! Records of simulated schedulers, with every fault of the simulator, replay to the same state;
//! cut and damaged ones end in one error.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use rdask_core::ids::{TaskId, WorkerId};
use rdask_core::record::{Encoder, Info, Record, RecordError, Replay, SLOT_BYTES, VERSION, header};
use rdask_core::scheduler::SchedulerEvent;
use rdask_core::sim::{Scenario, Simulation};
use rdask_core::time::Time;

fn recorded(seed: u64) -> Vec<u8> {
    let (bytes, ended) = Simulation::recorded(Scenario::draw(seed));
    ended.unwrap();
    bytes
}

#[test]
fn records_of_seeds_replay_to_the_same_state() {
    for seed in 0..40 {
        let record = Record::read(recorded(seed)).unwrap();
        let end = record.end().unwrap();
        let replayed = Replay::default().run(&record).unwrap();
        assert_eq!(replayed.events, end.events, "seed {seed}");
        assert_eq!(replayed.expected, Some(end.state_hash), "seed {seed}");
        assert_eq!((replayed.state_hash, replayed.diverged), (end.state_hash, None), "seed {seed}");
        assert!(replayed.agrees());
    }
}

#[test]
fn another_seed_or_order_of_events_is_noticed() {
    let record = Record::read(recorded(3)).unwrap();
    let mut other = SchedulerEvents::of(&record);
    let same = other.state_hash();
    assert_eq!(same, record.end().unwrap().state_hash);
    other.0.remove(0);
    assert_ne!(other.state_hash(), same);
}

/// The events of a record, to be tampered with.
struct SchedulerEvents(Vec<(Time, SchedulerEvent)>, Info);

impl SchedulerEvents {
    fn of(record: &Record) -> Self {
        let mut events = Vec::new();
        record
            .for_each(&mut |_, now, event, _| {
                events.push((now, event));
                true
            })
            .unwrap();
        Self(events, record.info().clone())
    }

    fn state_hash(&self) -> u64 {
        let mut config = rdask_core::config::Config::default();
        for (name, value) in &self.1.settings {
            config.set(name, value).unwrap();
        }
        let mut state = rdask_core::scheduler::SchedulerState::new(config, self.1.seed);
        let mut out = rdask_core::scheduler::SchedulerOut::default();
        for (now, event) in &self.0 {
            out.clear();
            state.handle(*now, event.clone(), &mut out);
        }
        state.state_hash()
    }
}

#[test]
fn a_replay_stops_where_it_is_told_and_tells_stories() {
    let record = Record::read(recorded(5)).unwrap();
    let half = record.events() / 2;
    let replay = Replay { until: Some(half), stories: true, validate: true };
    let replayed = replay.run(&record).unwrap();
    assert_eq!((replayed.events, replayed.expected), (half, None));
    let whole = Replay { stories: true, ..Replay::default() }.run(&record).unwrap();
    let story = whole.story(TaskId(0));
    assert!(story.starts_with("story of 'load-0':") || story.contains("-0':"), "{story}");
    assert!(story.contains("by update-graph-3"), "{story}");
}

#[test]
fn a_record_that_ends_early_replays_to_its_last_whole_block() {
    let bytes = recorded(11);
    let whole = Record::read(bytes.clone()).unwrap();
    let mut seen = Vec::new();
    for cut in (0..bytes.len()).step_by(7) {
        match Record::read(bytes[..cut].to_vec()) {
            Ok(record) => {
                assert_eq!(record.end(), None);
                assert!(record.events() <= whole.events());
                let events = record.events();
                if seen.last() != Some(&events) {
                    seen.push(events);
                    let replayed = Replay::default().run(&record).unwrap();
                    assert_eq!((replayed.events, replayed.expected), (events, None));
                    assert_eq!(replayed.diverged, None);
                }
            }
            Err(error) => assert!(
                matches!(error, RecordError::Truncated { .. } | RecordError::NoRecord),
                "{cut}: {error}"
            ),
        }
    }
    assert!(seen.contains(&whole.events()), "only the end is missing at last: {seen:?}");
}

#[test]
fn every_damaged_byte_is_found() {
    let bytes = recorded(0);
    let step = (bytes.len() / 400).max(1);
    for at in (0..bytes.len()).step_by(step) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let read = Record::read(bad);
        // A length that grew makes the record end early; nothing else may pass.
        if let Ok(record) = &read {
            assert!(record.end().is_none() && record.cut_bytes() > 0, "byte {at}");
        }
    }
}

#[test]
fn other_files_and_versions_are_refused() {
    let read = |bytes: &[u8]| Record::read(bytes.to_vec()).unwrap_err();
    assert_eq!(read(b""), RecordError::NoRecord);
    assert_eq!(read(b"RDASKGR\0 and more"), RecordError::NoRecord);
    let mut newer = recorded(0);
    newer[8] += 1;
    assert_eq!(read(&newer), RecordError::Version { found: VERSION + 1 });
}

/// A ring of four slots with so many events behind it, as its writer leaves it.
fn ring(count: u32) -> (Vec<u8>, Vec<u64>) {
    let info = Info { slots: 4, ..Info::default() };
    let mut bytes = header(&info).unwrap();
    let start = bytes.len();
    let mut encoder = Encoder::new(true);
    let (mut slot, mut firsts) = (0, Vec::new());
    let mut put = |bytes: &mut Vec<u8>, block: Vec<u8>, first: u64| {
        assert!(block.len() <= SLOT_BYTES);
        let at = start + slot * SLOT_BYTES;
        bytes.resize(bytes.len().max(at + block.len()), 0);
        bytes[at..at + block.len()].copy_from_slice(&block);
        slot = (slot + 1) % 4;
        firsts.push(first);
    };
    let mut first = 0;
    for number in 0..count {
        let tasks = (0..number % 50).map(TaskId).collect();
        let event = SchedulerEvent::AddKeys { worker: WorkerId(number), tasks };
        if let Some(block) = encoder.event(Time(u64::from(number) * 1000), &event, || 7).unwrap() {
            put(&mut bytes, block, first);
            first = u64::from(number);
        }
    }
    if let Some(block) = encoder.block(7) {
        put(&mut bytes, block, first);
    }
    (bytes, firsts)
}

#[test]
fn a_ring_keeps_the_latest_events_and_only_a_whole_one_replays() {
    let (bytes, firsts) = ring(40_000);
    assert!(firsts.len() > 8, "the ring went round: {firsts:?}");
    let record = Record::read(bytes.clone()).unwrap();
    assert_eq!(record.first_event(), firsts[firsts.len() - 4]);
    assert_eq!(record.events(), 40_000);
    let (mut next, mut right) = (record.first_event(), true);
    record
        .for_each(&mut |number, now, event, _| {
            right &= number == next && now.0 == number * 1000;
            let SchedulerEvent::AddKeys { worker, tasks } = event else { panic!("{event:?}") };
            right &= u64::from(worker.0) == number && tasks.len() as u64 == number % 50;
            next += 1;
            true
        })
        .unwrap();
    assert!(right && next == 40_000, "{next}");
    let refused = Replay::default().run(&record).unwrap_err();
    assert_eq!(refused, RecordError::Ring { first: record.first_event(), events: 40_000 });
    // A slot that is torn takes what is before it along.
    let mut torn = bytes;
    let newest = (firsts.len() - 1) % 4;
    let start = header(&Info { slots: 4, ..Info::default() }).unwrap().len();
    torn[start + newest * SLOT_BYTES + 100] ^= 1;
    let record = Record::read(torn).unwrap();
    assert_eq!(record.events(), firsts[firsts.len() - 1]);

    let (bytes, firsts) = ring(3000);
    assert!(firsts.len() <= 4);
    let record = Record::read(bytes).unwrap();
    assert_eq!(Replay::default().run(&record).unwrap().events, 3000);
}

#[test]
fn events_are_small() {
    let mut encoder = Encoder::new(false);
    let mut blocks = 0;
    for number in 0..100_000_u64 {
        let event = SchedulerEvent::TaskFinished {
            worker: WorkerId(number as u32 % 1000),
            task: TaskId(number as u32),
            run_id: rdask_core::ids::RunId(number + 1),
            nbytes: 1 << 20,
            type_code: rdask_core::messages::TypeCode(1),
            duration_ns: 1_000_000,
        };
        let full = encoder.event(Time(number * 1000), &event, || 0).unwrap();
        blocks += full.map_or(0, |block| block.len());
    }
    blocks += encoder.block(0).unwrap().len();
    assert!(blocks < 100_000 * 30, "{blocks}");
    assert_eq!(encoder.block(0), None);
}
