//! What the program writes fits docs/schema, and what does not fit is found.

use crate::support::schema::{assert_fits, check, load};
use rdask::observe::events::{Event, EventWriter, Outcome, Phase, WorkerState, utc_now};
use rdask::output::{
    BytesMoved, ChunkState, Entry, GraphEntry, Manifest, SchedulerFile, Summary, WorkerEntry,
    checksum_text,
};
use serde_json::{Value, json};

fn summary() -> Summary {
    Summary {
        tasks: 3,
        outputs: 2,
        erred: 1,
        recomputed: 0,
        stolen: 2,
        seconds: 0.25,
        workers: 2,
        threads: 4,
        bytes_moved: BytesMoved { shm: 1, ucx: 2, tcp: 3 },
        peak_memory: 1 << 20,
        output_dir: "/abs/rdask-output".into(),
    }
}

fn manifest() -> Manifest {
    let written = rdask_core::messages::Written {
        file: "s.npy".into(),
        kind: "array".into(),
        dtype: "f64".into(),
        shape: vec![2, 3],
        nbytes: 176,
        checksum: 7,
    };
    let bytes = rdask_core::messages::Written { kind: "bytes".into(), ..written.clone() };
    let outputs = [
        ("s".to_owned(), Entry::from(written)),
        ("b".to_owned(), Entry::from(bytes)),
        ("x".to_owned(), Entry::failed("ValueError: no")),
    ];
    let graph =
        GraphEntry { path: "graph.bin".into(), content_hash: checksum_text(9), tasks: 4, edges: 3 };
    let mut manifest = Manifest { graph, outputs: outputs.into(), run: summary() };
    let good = ChunkState { key: "y-0".into(), checksum: Some(checksum_text(1)), error: None };
    let bad = ChunkState { key: "y-1".into(), checksum: None, error: Some("lost".into()) };
    let array = Entry::File {
        file: "a.npy".into(),
        kind: "array".into(),
        dtype: Some("f64".into()),
        shape: Some(vec![4]),
        nbytes: 160,
        checksum: None,
        chunks: Some(vec![good.clone(), good.clone()]),
    };
    manifest.add_array("a", array);
    manifest
        .add_array("x", Entry::Error { error: "2 chunks".into(), chunks: Some(vec![good, bad]) });
    manifest
}

#[test]
fn manifest_and_summary_fit() {
    let manifest = manifest();
    let value = serde_json::to_value(&manifest).unwrap();
    assert_fits("manifest", &value);
    assert!(value["outputs"].get("x.npy").is_some(), "an array named like a key keeps its entry");
    assert_eq!(serde_json::from_value::<Manifest>(value).unwrap(), manifest);
    assert_fits("summary", &serde_json::from_str(&summary().line(true)).unwrap());
}

#[test]
fn the_scheduler_file_fits() {
    let worker = WorkerEntry {
        id: "1".into(),
        rank: 1,
        host: "node7".into(),
        pid: 11,
        nanny_pid: 10,
        address: "tcp://10.0.0.1:5000".into(),
        nthreads: 8,
        cpus: "0-7".into(),
        memory_limit: 1 << 30,
    };
    let file = SchedulerFile {
        version: 1,
        job_id: "slurm-1-0".into(),
        address: "tcp://10.0.0.1:4000".into(),
        addresses: vec!["tcp://10.0.0.1:4000".into()],
        secret: "0123456789abcdef".repeat(4),
        workers: vec![worker],
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scheduler.json");
    file.write(&path).unwrap();
    assert_fits("scheduler-file", &serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap());
}

#[test]
fn every_event_fits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    let mut writer = EventWriter::create(&path).unwrap();
    let (host, pid, worker) = ("node7", 10, "1");
    let state = WorkerState {
        worker,
        memory: 1,
        managed: 2,
        occupancy: 0.5,
        executing: 3,
        ready: 4,
        processing: 5,
    };
    let graph = Event::Graph { phase: Phase::Begin, graph: "g", tasks: 1, utc: Some(utc_now()) };
    writer.write(0.0, &graph);
    writer.write(0.1, &Event::WorkerJoined { worker, host, pid });
    writer.write(0.2, &Event::WorkerLost { worker, host, pid, reason: "signal 9" });
    writer.write(0.2, &Event::WorkerRetired { worker, host, pid, reason: "its lifetime is over" });
    for status in ["paused", "running"] {
        writer.write(0.2, &Event::WorkerStatus { worker, status });
    }
    for outcome in
        [Outcome::Finished, Outcome::Erred, Outcome::Rescheduled, Outcome::Cancelled, Outcome::Lost]
    {
        let (start, stop) = (0.1, 0.2);
        let (thread, attempt, nbytes) = (0, 1, 8);
        let task = Event::Task { key: "k", worker, thread, attempt, start, stop, nbytes, outcome };
        writer.write(0.3, &task);
    }
    for path in ["inproc", "shm", "ucx", "tcp"] {
        let keys = &["a", "b"][..];
        let transfer = Event::Transfer {
            keys,
            from: "1",
            to: "2",
            path,
            nbytes: 9,
            start: 0.1,
            stop: 0.2,
            outcome: Outcome::Finished,
        };
        writer.write(0.4, &transfer);
    }
    writer.write(0.5, &Event::Steal { key: "k", from: "1", to: "2" });
    writer.write(1.0, &Event::State { workers: &[state], waiting: 1, queued: 2, no_worker: 3 });
    writer.write(2.0, &Event::Graph { phase: Phase::End, graph: "g", tasks: 1, utc: None });
    drop(writer);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 18);
    for line in text.lines() {
        assert_fits("events", &serde_json::from_str(line).unwrap());
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let schema = load("summary");
    let whole = serde_json::to_value(summary()).unwrap();
    let changes: [fn(&mut Value); 4] = [
        |value| drop(value.as_object_mut().unwrap().remove("tasks")),
        |value| value["more"] = json!(1),
        |value| value["tasks"] = json!(-1),
        |value| value["bytes_moved"]["tcp"] = json!("many"),
    ];
    for change in changes {
        let mut value = whole.clone();
        change(&mut value);
        assert!(check(&schema, &value, "$").is_err(), "{value}");
    }
    let mut wrong = serde_json::to_value(manifest()).unwrap();
    wrong["graph"]["content_hash"] = json!("xxh3-64:12");
    assert!(check(&load("manifest"), &wrong, "$").is_err());
    let event = json!({"time": 1.0, "event": "spill", "worker": "1"});
    assert!(check(&load("events"), &event, "$").is_err());
}

#[test]
fn every_schema_uses_known_keywords() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = files.map(|file| file.into_string().unwrap()).collect();
    assert!(names.len() >= 9, "{names:?}");
    for name in names.iter().map(|file| file.strip_suffix(".schema.json").unwrap()) {
        assert!(load(name)["title"].is_string());
        assert!(check(&load(name), &json!({}), "$").is_err(), "{name}");
    }
}
