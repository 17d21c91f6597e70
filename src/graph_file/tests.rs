//! graph.bin: there and back, every truncation, every flipped bit, forged tables and records.

use super::*;
use crate::graph_samples::{any_graph, full};
use crate::{Capture, CommandSpec, Fault, Graph, GraphBuilder, RunSpec};
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

fn bytes_of(graph: &Graph) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(graph, &mut bytes).unwrap();
    bytes
}

fn faults(bytes: &[u8]) -> Vec<Fault> {
    match read_from(bytes) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults,
    }
}

/// The only fault of a file, in words.
fn fault(bytes: &[u8]) -> String {
    let faults = faults(bytes);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].to_string()
}

/// Puts the right checksum into a file that was changed.
fn resum(bytes: &mut [u8]) {
    if bytes.len() >= 64 {
        let sum = xxh3_64(&bytes[64..]);
        bytes[24..32].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A section: kind, flags, count, bytes.
type Raw<'a> = (u32, u32, u64, &'a [u8]);

/// A file of these sections, written without the code under test.
fn assemble(sections: &[Raw<'_>]) -> Vec<u8> {
    let mut table = Vec::new();
    let mut content = vec![0; 64 + 32 * sections.len()];
    for (kind, flags, count, bytes) in sections {
        content.resize(content.len().div_ceil(64) * 64, 0);
        table.extend(kind.to_le_bytes());
        table.extend(flags.to_le_bytes());
        table.extend((content.len() as u64).to_le_bytes());
        table.extend((bytes.len() as u64).to_le_bytes());
        table.extend(count.to_le_bytes());
        content.extend(*bytes);
    }
    content[64..64 + table.len()].copy_from_slice(&table);
    content[..8].copy_from_slice(b"RDASKGR\0");
    content[8] = 1;
    content[12..16].copy_from_slice(&u32::try_from(sections.len()).unwrap().to_le_bytes());
    let length = content.len() as u64;
    content[16..24].copy_from_slice(&length.to_le_bytes());
    resum(&mut content);
    content
}

const TWO_KEYS: &[u8] = b"\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0xy";
const ONE_SPEC: &[u8] = b"\x00\x04rank\x00";
const NO_EDGES: &[u8] = &[0; 24];

/// Two tasks `x` and `y` of the kernel `rank`.
fn two_tasks() -> Vec<Raw<'static>> {
    vec![(1, 0, 2, TWO_KEYS), (2, 0, 1, ONE_SPEC), (3, 0, 2, &[0; 8]), (4, 0, 0, NO_EDGES)]
}

fn with<'a>(sections: &[Raw<'a>]) -> Vec<u8> {
    let mut all: Vec<Raw<'a>> = two_tasks();
    for section in sections {
        match all.iter_mut().find(|(kind, ..)| *kind == section.0) {
            Some(old) => *old = *section,
            None => all.push(*section),
        }
    }
    assemble(&all)
}

#[test]
fn a_file_made_by_hand_is_read() {
    let graph = read_from(assemble(&two_tasks()).as_slice()).unwrap();
    let mut expected = GraphBuilder::new();
    expected.add("x", RunSpec::kernel::<&str>("rank", []), &[]);
    expected.add("y", RunSpec::kernel::<&str>("rank", []), &[]);
    let expected = expected.build().unwrap();
    assert_eq!(graph, expected);
    assert_eq!(bytes_of(&expected), assemble(&two_tasks()));
}

#[test]
fn every_section_comes_back() {
    let graph = full();
    let bytes = bytes_of(&graph);
    assert_eq!(u32::from_le_bytes(bytes[12..16].try_into().unwrap()), 10);
    assert_eq!(read_from(bytes.as_slice()).unwrap(), graph);
    assert_eq!(file_bytes(&graph), bytes.len() as u64);
}

#[test]
fn a_file_cut_at_any_byte_is_an_error() {
    let bytes = bytes_of(&full());
    for length in 0..bytes.len() {
        let expected = if length < 64 { 64 } else { bytes.len() };
        let expected = format!("the file is cut off: {length} of {expected} bytes are there");
        assert_eq!(fault(&bytes[..length]), expected);
    }
}

#[test]
fn a_file_that_goes_on_is_an_error() {
    let mut bytes = bytes_of(&full());
    let length = bytes.len();
    bytes.push(0);
    assert_eq!(fault(&bytes), format!("the file goes on behind its end at {length} bytes"));
}

#[test]
fn any_flipped_bit_is_one_error() {
    let mut bytes = bytes_of(&full());
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let message = fault(&bytes);
        if bit / 8 >= 64 {
            assert!(message.ends_with("the file is damaged"), "bit {bit}: {message}");
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn any_flipped_bit_with_the_right_checksum_gives_a_graph_or_errors() {
    let mut bytes = bytes_of(&full());
    // The long string is left out: its 4,400 bytes are all alike.
    let blob = bytes.windows(8).position(|eight| eight == b"QUJDQUJD").unwrap();
    let (mut refused, mut other) = (0, 0);
    for bit in (64 * 8..bytes.len() * 8).filter(|bit| !(blob + 8..blob + 4400).contains(&(bit / 8)))
    {
        bytes[bit / 8] ^= 1 << (bit % 8);
        resum(&mut bytes);
        match read_from(bytes.as_slice()) {
            Ok(graph) => {
                assert_eq!(graph.faults(), []);
                assert_eq!(read_from(bytes_of(&graph).as_slice()).unwrap(), graph);
                other += 1;
            }
            Err(error) => refused += usize::from(!error.faults.is_empty()),
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(refused > 1000 && other > 1000, "{refused} refused, {other} read");
}

#[test]
fn a_file_cut_with_the_right_header_is_an_error() {
    let bytes = bytes_of(&full());
    for length in 64..bytes.len() {
        let mut cut = bytes[..length].to_vec();
        cut[16..24].copy_from_slice(&(length as u64).to_le_bytes());
        resum(&mut cut);
        assert!(!faults(&cut).is_empty(), "cut at {length}");
    }
}

#[test]
fn headers_that_cannot_be() {
    let good = assemble(&two_tasks());
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        fault(&file)
    };
    assert_eq!(
        changed(0, b"PK\x03\x04"),
        "this is no graph file: it does not begin with RDASKGR and a zero byte (byte 0)"
    );
    assert_eq!(
        changed(8, &[2]),
        "graph format version 2, this rdask-hpc reads up to version 1 (byte 8)"
    );
    assert_eq!(changed(8, &[0]), "there is no graph format version 0 (header)");
    assert_eq!(changed(63, &[1]), "bytes 32 to 63 are not all zero (header)");
    assert_eq!(
        changed(12, &u32::MAX.to_le_bytes()),
        "a table of 4294967295 sections is longer than the file (header)"
    );
    assert_eq!(
        changed(16, &(u64::MAX).to_le_bytes()),
        "a file has 64 to 2^40 bytes, not 18446744073709551615 (header)"
    );
    let cut = format!("the file is cut off: {} of {} bytes are there", good.len(), 1_u64 << 40);
    assert_eq!(changed(16, &(1_u64 << 40).to_le_bytes()), cut);
}

#[test]
fn sections_that_cannot_be() {
    // The first entry of the table: kind at 64, flags 68, offset 72, length 80, count 88.
    let changed = |at: usize, value: u64, width: usize| {
        let mut file = assemble(&two_tasks());
        file[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        resum(&mut file);
        fault(&file)
    };
    assert_eq!(changed(64, 2, 4), "it stands twice (section SPECS)");
    let unknown = "this rdask-hpc does not know it and may not skip it (section 77)";
    assert_eq!(changed(64, 77, 4), unknown);
    assert_eq!(changed(68, 2, 4), "the flags 0x2 are not known (section KEYS)");
    assert_eq!(changed(72, 200, 8), "its offset 200 is no multiple of 64 (section KEYS)");
    let out = |offset: u64, length: u64| {
        format!("it reaches from byte {offset} over {length} bytes, out of the file (section KEYS)")
    };
    assert_eq!(changed(72, 0, 8), out(0, 26));
    assert_eq!(changed(72, 1 << 50, 8), out(1 << 50, 26));
    assert_eq!(changed(72, u64::MAX - 63, 8), out(u64::MAX - 63, 26));
    assert_eq!(changed(80, u64::MAX, 8), out(192, u64::MAX));
    assert_eq!(changed(80, 65, 8), "it overlaps another section (section SPECS)");
    assert_eq!(changed(80, 24, 8), "the gap before it is not zero (section SPECS)");
    for count in [3, u64::MAX / 8, u64::MAX - 1, u64::MAX] {
        let expected = format!("offsets of {count} tasks in 26 bytes (section KEYS)");
        assert_eq!(changed(88, count, 8), expected);
    }
    let mut missing = two_tasks();
    missing.remove(3);
    assert_eq!(fault(&assemble(&missing)), "it is missing (section EDGES)");
}

#[test]
fn an_unknown_section_is_skipped_when_it_may_be() {
    let mut sections = two_tasks();
    sections.insert(1, (1000, 1, 5, b"whatever this is"));
    assert_eq!(read_from(assemble(&sections).as_slice()).unwrap().len(), 2);
    sections[1].1 = 0;
    assert_eq!(
        fault(&assemble(&sections)),
        "this rdask-hpc does not know it and may not skip it (section 1000)"
    );
}

#[test]
fn tables_of_numbers_that_cannot_be() {
    let three = [0_u8; 12];
    let far = [9_u8, 0, 0, 0];
    let cases: [(Raw<'_>, &str); 9] = [
        ((3, 0, 3, &three), "3 run specs for 2 tasks (section SPEC_OF)"),
        ((3, 0, 2, &three), "2 numbers in 12 bytes (section SPEC_OF)"),
        ((3, 0, u64::MAX, &three), "18446744073709551615 numbers in 12 bytes (section SPEC_OF)"),
        ((4, 0, 1, NO_EDGES), "1 edges in 0 bytes (section EDGES)"),
        ((4, 0, 0, &three), "offsets of 2 tasks in 12 bytes (section EDGES)"),
        ((6, 0, 1, &far), "task number 9 in a graph of 2 tasks (outputs)"),
        ((8, 0, 1, &far), "1 positions for 2 tasks (order)"),
        ((10, 0, 1, b"[]"), "it is no JSON object (section META)"),
        ((10, 0, 1, b"{\xff}"), "it is not UTF-8 (section META)"),
    ];
    for (section, expected) in cases {
        assert_eq!(fault(&with(&[section])), expected);
    }
    let keys = [&TWO_KEYS[..24], b"x\xff"].concat();
    assert_eq!(
        fault(&with(&[(1, 0, 2, &keys)])),
        "the keys are not UTF-8 at byte 1 (section KEYS)"
    );
}

#[test]
fn run_specs_that_cannot_be() {
    let spec = |bytes: &[u8]| fault(&with(&[(2, 0, 1, bytes)]));
    assert_eq!(spec(b""), "run spec 0: it reaches over the end (section SPECS)");
    assert_eq!(
        spec(b"\x63\x00\x00"),
        "run spec 0: run specs of kind 99 are not known (section SPECS)"
    );
    assert_eq!(spec(b"\x00\x00\x00\x00"), "1 bytes follow its 1 records (section SPECS)");
    let param = |bytes: &[u8]| spec(&[b"\x00\x01k\x01\x01p", bytes].concat());
    assert_eq!(param(b"\x09"), "run spec 0: parameters of kind 9 are not known (section SPECS)");
    // A string, a list and a map of 2^63 elements.
    for kind in [5_u8, 6, 7] {
        let forged = [&[kind, 253], &(1_u64 << 63).to_le_bytes()[..]].concat();
        assert_eq!(param(&forged), "run spec 0: it reaches over the end (section SPECS)");
    }
    assert_eq!(param(b"\x05\x01\xff"), "run spec 0: a string is not UTF-8 (section SPECS)");
    let bottomless = b"\x06\x01".repeat(100_000);
    assert_eq!(param(&bottomless), "run spec 0: a parameter is nested too deep (section SPECS)");
    let twice = b"\x00\x01k\x02\x01p\x00\x01p\x00";
    assert_eq!(spec(twice), "the parameter 'p' is given twice (task 'x')");
}

#[test]
fn blobs_stand_in_the_order_of_their_use() {
    let spec = |references: &[&[u8]]| {
        let mut spec = vec![0, 1, b'k', u8::try_from(references.len()).unwrap()];
        for (i, reference) in references.iter().enumerate() {
            spec.extend([1, b'a' + u8::try_from(i).unwrap(), 8]);
            spec.extend(*reference);
        }
        spec
    };
    let mut blobs = vec![0; 66];
    blobs[..2].copy_from_slice(b"hi");
    blobs[64..].copy_from_slice(b"yo");
    let read = |references: &[&[u8]], count: u64, blobs: &[u8]| {
        let specs = spec(references);
        read_from(with(&[(2, 0, 1, &specs), (9, 0, count, blobs)]).as_slice())
    };
    let graph = read(&[&[0, 2], &[64, 2]], 2, &blobs).unwrap();
    let expected = RunSpec::kernel("k", [("a", "hi".into()), ("b", "yo".into())]);
    assert_eq!(graph.specs, [expected]);
    let problem = |references: &[&[u8]], count, blobs: &[u8]| {
        read(references, count, blobs).unwrap_err().to_string()
    };
    let order = "run spec 0: a blob does not begin where the one before it ends (section SPECS)";
    assert_eq!(problem(&[&[0, 2], &[0, 2]], 2, &blobs), order);
    assert_eq!(problem(&[&[64, 2]], 2, &blobs), order);
    let over = "run spec 0: a blob reaches over the end of BLOBS (section SPECS)";
    assert_eq!(problem(&[&[0, 2], &[64, 3]], 2, &blobs), over);
    let named = "the run specs name 1 blobs that end at byte 2 (section BLOBS)";
    assert_eq!(problem(&[&[0, 2]], 1, &blobs), named);
    blobs[40] = 1;
    let gap = "run spec 0: the gap before a blob is not zero (section SPECS)";
    assert_eq!(problem(&[&[0, 2], &[64, 2]], 2, &blobs), gap);
}

#[test]
fn attributes_and_arrays_that_cannot_be() {
    let empty = [0_u8; 11];
    let problem = |kind, count, bytes: &[u8]| fault(&with(&[(kind, 0, count, bytes)]));
    assert!(faults(&with(&[(5, 0, 1, &empty)])).is_empty());
    let twice = [empty, empty].concat();
    assert_eq!(problem(5, 2, &twice), "record 1: task numbers do not increase (section ATTRS)");
    assert_eq!(problem(5, 1, &twice), "11 bytes follow its 1 records (section ATTRS)");
    assert_eq!(problem(5, 1, &empty[..9]), "record 0: it reaches over the end (section ATTRS)");
    let mut far = empty;
    (far[0], far[1], far[2]) = (7, 1, 2);
    let far = [&far[..], &[0]].concat();
    assert_eq!(problem(5, 1, &far), "task number 7 in a graph of 2 tasks (attributes)");
    // An array `n` of one axis with a forged list of lengths.
    let forged = [b"\x01n\x01\x05\x02f8\x01\xfd".as_slice(), &u64::MAX.to_le_bytes()].concat();
    assert_eq!(problem(7, 1, &forged), "record 0: it reaches over the end (section ARRAYS)");
    let array = b"\x01n\x01\x05\x02f8\x01\x01\x04\x01\x00";
    assert_eq!(problem(7, 1, array), "the chunks of axis 0 sum to 4, not 5 (array 'n')");
}

#[test]
fn specs_are_numbered_by_first_use_whatever_the_file_says() {
    let specs = b"\x00\x04rank\x00\x00\x04fail\x00\x00\x04rank\x00";
    let spec_of = [2_u8, 0, 0, 0, 0, 0, 0, 0];
    let graph = read_from(with(&[(2, 0, 3, specs), (3, 0, 2, &spec_of)]).as_slice()).unwrap();
    assert_eq!(graph.specs, [RunSpec::kernel::<&str>("rank", [])]);
}

#[test]
fn all_faults_of_the_graph_inside_are_found() {
    let keys = [&TWO_KEYS[..24], b"xx"].concat();
    let edges = [
        &0_u64.to_le_bytes()[..],
        &1_u64.to_le_bytes(),
        &2_u64.to_le_bytes(),
        &[1, 0, 0, 0, 7, 0, 0, 0],
    ];
    let found = faults(&with(&[(1, 0, 2, &keys), (4, 0, 2, &edges.concat())]));
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "the key 'x' stands twice (task numbers 0 and 1)",
            "task number 7 in a graph of 2 tasks (task 'x', input 0)",
        ]
    );
}

#[test]
fn a_missing_file_and_a_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().display().to_string();
    let error = read(folder.path()).unwrap_err();
    assert_eq!(error.to_string(), format!("this is a folder, not a graph file ({name})"));
    let missing = folder.path().join("graph.bin");
    let error = read(&missing).unwrap_err();
    assert_eq!(error.to_string(), format!("there is no such graph file ({name}/graph.bin)"));
    write(&full(), std::fs::File::create(&missing).unwrap()).unwrap();
    assert_eq!(read(&missing).unwrap(), full());
}

#[test]
fn meta_must_be_an_object_to_be_written() {
    let mut graph = GraphBuilder::new();
    graph.meta("[1]");
    let error = write(&graph.build().unwrap(), Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "meta: it is no JSON object");
}

/// The example of the format's document is what this code writes.
#[test]
fn the_document_shows_the_bytes_that_are_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/graph-format.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, example) = document.split_once("```hex\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let mut bytes = Vec::new();
    for line in example.lines() {
        let (offset, line) = line.split_once(": ").unwrap();
        let offset = usize::from_str_radix(offset.trim(), 16).unwrap();
        bytes.resize(offset, 0);
        let hex = line.split_once(" |").map_or(line, |(hex, _)| hex);
        bytes.extend(hex.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()));
    }
    let mut graph = GraphBuilder::new();
    let x = graph.add("x", RunSpec::kernel("arange", [("count", 300.into())]), &[]);
    let spec = RunSpec::kernel("sum", [("axis", vec![-1_i64].into()), ("keepdims", true.into())]);
    graph.add("total", spec, &[x]);
    let graph = graph.build().unwrap();
    assert_eq!(bytes_of(&graph), bytes);
    assert_eq!(read_from(bytes.as_slice()).unwrap(), graph);
}

#[test]
fn commands_stand_in_the_file_as_the_document_says() {
    // Choice 3; one word "ls"; no variables; no stdin; no files; nothing captured.
    let plain = b"\x03\x01\x02ls\x00\x00\x00\x00";
    // Two words; one variable; stdin is input 1; one file from input 300; a captured file.
    let full = b"\x03\x02\x01a\x01b\x01\x01A\x01v\x01\x01\x01\x01f\xfb\x2c\x01\x02\x01r";
    let mut graph = GraphBuilder::new();
    let command = |words: &[&str]| CommandSpec {
        argv: words.iter().map(|word| (*word).to_owned()).collect(),
        ..CommandSpec::default()
    };
    let all = CommandSpec {
        env: vec![("A".into(), "v".into())],
        stdin: Some(1),
        files: vec![("f".into(), 300)],
        capture: Capture::File("r".into()),
        ..command(&["a", "b"])
    };
    graph.add("x", RunSpec::command(command(&["ls"])), &[]);
    graph.add("y", RunSpec::command(all), &[]);
    let graph = graph.build().unwrap();
    let bytes = bytes_of(&graph);
    let expected = [&plain[..], full].concat();
    assert!(bytes.windows(expected.len()).any(|part| part == expected), "{bytes:x?}");
    assert_eq!(read_from(bytes.as_slice()).unwrap(), graph);
}

/// The corpus of the fuzz target `graph_file`, through the same calls.
#[test]
fn the_fuzz_corpus_is_replayed() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/graph_file");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut read = 0;
    for file in &files {
        let mut bytes = std::fs::read(file).unwrap();
        for _ in 0..2 {
            if let Ok(graph) = read_from(bytes.as_slice()) {
                assert_eq!(read_from(bytes_of(&graph).as_slice()).unwrap(), graph, "{file:?}");
                read += 1;
            }
            resum(&mut bytes);
        }
    }
    assert!(files.len() >= 8 && read >= 2, "{} files, {read} readable", files.len());
}

proptest! {
    #[test]
    fn any_graph_comes_back(graph in any_graph()) {
        let bytes = bytes_of(&graph);
        prop_assert_eq!(read_from(bytes.as_slice()).unwrap(), graph);
    }

    #[test]
    fn any_bytes_give_a_graph_or_an_error(
        graph in any_graph(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes_of(&graph);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        resum(&mut bytes);
        if let Ok(graph) = read_from(bytes.as_slice()) {
            prop_assert_eq!(graph.faults(), []);
        }
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(read_from(bytes.as_slice()).is_err());
    }
}
