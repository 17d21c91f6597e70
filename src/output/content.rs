//! The content hash of a graph: what makes it "another graph" for an output folder.

use rdask_core::codec::{CodecError, encode};
use rdask_core::graph::{Graph, Outputs};
use rdask_core::ids::TaskId;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// A hash over tasks, specs, edges, outputs and arrays; attributes, order and `meta` do not count.
///
/// # Errors
/// When a run spec is longer than a message may be.
pub fn content_hash(graph: &Graph) -> Result<u64, CodecError> {
    let mut hash = Xxh3::new();
    let number = |hash: &mut Xxh3, number: u64| hash.update(&number.to_le_bytes());
    // Specs by content, so that their numbering does not count.
    let specs: Vec<u64> = graph
        .specs
        .iter()
        .map(|spec| encode(spec).map(|it| xxh3_64(&it)))
        .collect::<Result<_, _>>()?;
    number(&mut hash, graph.len() as u64);
    for task in (0..graph.len()).map(TaskId::from_index) {
        let key = graph.key(task);
        number(&mut hash, key.len() as u64);
        hash.update(key.as_bytes());
        number(&mut hash, specs[graph.spec_of[task.index()].index()]);
        let inputs = graph.inputs.row(task);
        number(&mut hash, inputs.len() as u64);
        for input in inputs {
            number(&mut hash, u64::from(input.0));
        }
    }
    match &graph.outputs {
        Outputs::Sinks => number(&mut hash, u64::MAX),
        Outputs::Tasks(tasks) => {
            number(&mut hash, tasks.len() as u64);
            for task in tasks {
                number(&mut hash, u64::from(task.0));
            }
        }
    }
    number(&mut hash, graph.arrays.len() as u64);
    for array in &graph.arrays {
        let bytes = encode(array)?;
        number(&mut hash, bytes.len() as u64);
        hash.update(&bytes);
    }
    Ok(hash.digest())
}

/// A sum as it stands in files: `xxh3-64:` and 16 hex digits.
#[must_use]
pub fn checksum_text(sum: u64) -> String {
    format!("xxh3-64:{sum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdask_core::graph::{Attributes, Csr, Keys, Param, RunSpec};
    use rdask_core::ids::SpecId;

    fn spec(value: i64) -> RunSpec {
        let params = vec![("value".to_owned(), Param::Int(value))];
        RunSpec::Kernel { name: "full".into(), params }
    }

    fn graph() -> Graph {
        Graph {
            keys: Keys { offsets: vec![0, 1, 3], text: "abc".into() },
            specs: vec![spec(1), spec(2)],
            spec_of: vec![SpecId(0), SpecId(1)],
            inputs: Csr { offsets: vec![0, 0, 1], values: vec![TaskId(0)] },
            attributes: Vec::new(),
            outputs: Outputs::Sinks,
            arrays: Vec::new(),
            order: None,
            meta: "{}".into(),
        }
    }

    #[test]
    fn what_does_not_count() {
        let before = content_hash(&graph()).unwrap();
        let mut other = graph();
        other.attributes =
            vec![(TaskId(0), Attributes { priority: Some(3), ..Default::default() })];
        other.meta = "{\"by\": \"me\"}".into();
        other.order = Some(vec![0, 1]);
        other.specs.reverse();
        other.spec_of.reverse();
        assert_eq!(content_hash(&other).unwrap(), before);
    }

    #[test]
    fn what_counts() {
        let before = content_hash(&graph()).unwrap();
        let changes: [fn(&mut Graph); 5] = [
            |graph| graph.keys.offsets[1] = 2,
            |graph| graph.specs[1] = spec(3),
            |graph| graph.inputs = Csr { offsets: vec![0, 0, 0], values: vec![] },
            |graph| graph.outputs = Outputs::Tasks(vec![]),
            |graph| graph.outputs = Outputs::Tasks(vec![TaskId(1)]),
        ];
        for change in changes {
            let mut other = graph();
            change(&mut other);
            assert_ne!(content_hash(&other).unwrap(), before);
        }
    }

    #[test]
    fn sums_as_text() {
        assert_eq!(checksum_text(0xab), "xxh3-64:00000000000000ab");
    }
}
