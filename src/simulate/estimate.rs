//! How long a task takes and how large its result is, as far as its attributes and parameters say.
//!
//! The attribute `time` comes first; the kernels `bytes`, `busy` and `sleep` say their duration in
//! their parameters; kernels that create say their size. For all else the request has defaults, and
//! the report says how many tasks took them.

use rdask_core::graph::{Graph, Param, RunSpec};
use rdask_core::ids::TaskId;
use rdask_core::sim::Behaviour;
use rdask_store::DType;

/// What is taken where a graph does not say.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// Duration of a task, nanoseconds.
    pub duration_ns: u64,
    /// Size of a result, bytes.
    pub nbytes: u64,
}

/// Behaviour of every task of a graph.
#[derive(Clone, Debug)]
pub(super) struct Estimates {
    pub(super) behaviours: Vec<Behaviour>,
    /// Tasks whose duration is a default.
    pub(super) default_durations: u64,
    /// Tasks whose size is a default.
    pub(super) default_sizes: u64,
}

/// Looks through a graph.
pub(super) fn estimate(graph: &Graph, defaults: Defaults) -> Estimates {
    let specs: Vec<(Option<u64>, Option<u64>)> =
        graph.specs.iter().map(|spec| (duration_ns(spec), result_bytes(spec))).collect();
    let mut estimates = Estimates {
        behaviours: Vec::with_capacity(graph.len()),
        default_durations: 0,
        default_sizes: 0,
    };
    let mut attributes = graph.attributes.iter().peekable();
    for index in 0..graph.len() {
        let task = TaskId::from_index(index);
        let own = attributes.next_if(|(of, _)| *of == task);
        let time_ns = own.and_then(|(_, attributes)| attributes.time_ns);
        let (duration_ns, nbytes) = specs[graph.spec_of[index].index()];
        let duration_ns = time_ns.or(duration_ns);
        estimates.default_durations += u64::from(duration_ns.is_none());
        estimates.default_sizes += u64::from(nbytes.is_none());
        estimates.behaviours.push(Behaviour {
            duration_ns: duration_ns.unwrap_or(defaults.duration_ns),
            nbytes: nbytes.unwrap_or(defaults.nbytes),
            ..Behaviour::default()
        });
    }
    estimates
}

fn parameter<'a>(spec: &'a RunSpec, name: &str) -> Option<&'a Param> {
    spec.params().iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

/// The duration that a kernel's parameters name.
fn duration_ns(spec: &RunSpec) -> Option<u64> {
    let RunSpec::Kernel { name, .. } = spec else { return None };
    let (parameter, unit_ns) = match name.as_str() {
        // Without `us` it only writes its bytes, which takes next to nothing.
        "bytes" => match parameter(spec, "us") {
            None => return Some(0),
            us => (us, 1e3),
        },
        "busy" => (parameter(spec, "us"), 1e3),
        "sleep" => (parameter(spec, "ms"), 1e6),
        _ => return None,
    };
    let number = match parameter? {
        #[expect(clippy::cast_precision_loss, reason = "kernels take no more than a day")]
        Param::Int(value) => *value as f64,
        Param::Float(value) => *value,
        _ => return None,
    };
    // The conversion saturates; kernels refuse what is negative.
    Some((number * unit_ns).round() as u64)
}

/// The size of its result that a kernel's parameters name: what it creates, or the single number of
/// a kernel that only takes time.
fn result_bytes(spec: &RunSpec) -> Option<u64> {
    let RunSpec::Kernel { name, .. } = spec else { return None };
    if matches!(name.as_str(), "busy" | "sleep") {
        return Some(8);
    }
    let number = |value: &Param| match value {
        Param::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    };
    if name == "bytes" {
        return parameter(spec, "size").and_then(number);
    }
    let Some(Param::Str(dtype)) = parameter(spec, "dtype") else { return None };
    let size = DType::from_name(dtype)?.size() as u64;
    match (name.as_str(), parameter(spec, "shape"), parameter(spec, "count")) {
        ("full" | "random", Some(Param::List(shape)), _) => {
            shape.iter().try_fold(size, |bytes, length| bytes.checked_mul(number(length)?))
        }
        ("arange", None, Some(count)) => size.checked_mul(number(count)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, GraphBuilder};

    #[test]
    fn attributes_then_parameters_then_defaults() {
        let mut graph = GraphBuilder::new();
        let bytes = RunSpec::kernel("bytes", [("size", 70.into()), ("us", 2.5.into())]);
        graph.add("bytes", bytes.clone(), &[]);
        let timed = graph.add("timed", bytes, &[]);
        graph.attributes(timed, Attributes { time_ns: Some(9), ..Attributes::default() });
        graph.add("plain", RunSpec::kernel("bytes", [("size", 3.into())]), &[]);
        graph.add("busy", RunSpec::kernel("busy", [("us", 4.into())]), &[]);
        graph.add("sleep", RunSpec::kernel("sleep", [("ms", 2.into())]), &[]);
        let shape = ("shape", vec![3_i64, 5].into());
        let full = [shape, ("dtype", "f32".into()), ("value", 0.into())];
        let full = graph.add("full", RunSpec::kernel("full", full), &[]);
        graph.add("map", RunSpec::kernel("map", [("expr", "a".into())]), &[full]);
        let graph = graph.build().unwrap();
        let estimates = estimate(&graph, Defaults { duration_ns: 1000, nbytes: 100 });
        let pairs: Vec<(u64, u64)> =
            estimates.behaviours.iter().map(|one| (one.duration_ns, one.nbytes)).collect();
        let expected =
            [(2500, 70), (9, 70), (0, 3), (4000, 8), (2_000_000, 8), (1000, 60), (1000, 100)];
        assert_eq!(pairs, expected);
        assert_eq!((estimates.default_durations, estimates.default_sizes), (2, 1));
    }
}
