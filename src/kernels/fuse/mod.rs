//! `fuse(steps)`: several kernels as one task, each of which reads inputs and earlier steps.
//!
//! What stands between two steps is no result: nobody else can ask for it, nothing of it is told to
//! the scheduler, and it is gone as soon as its last reader has ended. Where the steps are a map of
//! whole inputs, `slabs` computes them part by part, so that what stands between them never leaves
//! the cache. Neither changes a bit of the result.

mod slabs;

use super::Context;
use super::array::{input_index, input_name};
use super::fault::{Outcome, fault};
use super::params::{Read, Reader, kind};
use super::table::{self, Entry, Inputs, Operation, entry};
use rdask_core::graph::{Param, Params};
use rdask_core::messages::TaskError;
use rdask_store::Sealed;
use slabs::Slabs;

/// Rows of the table of kernels.
pub(super) const KERNELS: &[Entry] = &[entry("fuse", Inputs::Any, &["steps"], |reader| {
    let fuse = Fuse::parse(reader)?;
    Ok(Box::new(move |context, inputs| fuse.run(context, inputs)))
})];

/// Most steps of one task: far above what anybody writes.
const MOST_STEPS: usize = 1000;

/// Several kernels, to be run in their order.
struct Fuse {
    steps: Vec<Step>,
    slabs: Option<Slabs>,
}

/// One of them, ready to run.
struct Step {
    /// What messages call it: its letter and its kernel.
    name: String,
    operation: Operation,
    /// Numbers of the values that it reads: inputs come first, then earlier steps.
    reads: Vec<usize>,
    /// Those of them that nobody reads after it.
    lets_go: Vec<usize>,
}

/// A step as the graph has it, its inputs found.
struct Written<'a> {
    kernel: &'a str,
    params: Params,
    reads: Vec<usize>,
}

impl Fuse {
    fn parse(reader: &Reader<'_>) -> Read<Self> {
        let list = reader.need("steps", reader.list("steps")?)?;
        let inputs = reader.inputs;
        if list.is_empty() || list.len() > MOST_STEPS {
            let problem = format!("expected 1 to {MOST_STEPS} steps, found {}", list.len());
            return Err(reader.bad("steps", problem));
        }
        let bad = |step: usize, problem: String| {
            reader.bad("steps", format!("step {}: {problem}", input_name(inputs + step)))
        };
        let written = (0..).zip(list).map(|(number, param)| {
            Written::read(param, inputs + number).map_err(|problem| bad(number, problem))
        });
        let written = written.collect::<Read<Vec<Written<'_>>>>()?;
        let mut last_reader = vec![None; inputs + written.len()];
        for (number, step) in written.iter().enumerate() {
            step.reads.iter().for_each(|read| last_reader[*read] = Some(number));
        }
        let last = written.len() - 1;
        if let Some(idle) = (0..last).find(|step| last_reader[inputs + step].is_none()) {
            return Err(bad(idle, "no later step reads it".to_owned()));
        }
        let slabs = Slabs::of(inputs, &written);
        let steps = written.into_iter().enumerate().map(|(number, step)| {
            let (kernel, operation) = table::parse(step.kernel, &step.params, step.reads.len())
                .map_err(|error| bad(number, error.to_string()))?;
            let ends = |read: &&usize| last_reader[**read] == Some(number);
            let lets_go = step.reads.iter().filter(ends).copied().collect();
            let name = format!("step {}, {kernel}", input_name(inputs + number));
            Ok(Step { name, operation, reads: step.reads, lets_go })
        });
        Ok(Self { steps: steps.collect::<Read<_>>()?, slabs })
    }

    fn run(&self, context: &Context<'_>, inputs: &[Sealed]) -> Outcome<Sealed> {
        // What fails there fails here again, in the words of the step.
        if let Some(result) = self.slabs.as_ref().and_then(|slabs| slabs.run(context, inputs)) {
            return Ok(result);
        }
        let mut values: Vec<Option<Sealed>> = inputs.iter().cloned().map(Some).collect();
        for step in &self.steps {
            let read = step.reads.iter().filter_map(|read| values.get(*read).cloned().flatten());
            let read: Vec<Sealed> = read.collect();
            let result = (step.operation)(context, &read).map_err(|error| step.told(error))?;
            drop(read);
            step.lets_go.iter().for_each(|value| values[*value] = None);
            values.push(Some(result));
        }
        values.pop().flatten().ok_or_else(|| fault("RuntimeError", "there are no steps"))
    }
}

impl Step {
    /// An error that says in which step it happened.
    fn told(&self, error: TaskError) -> TaskError {
        TaskError { message: format!("{}: {}", self.name, error.message), ..error }
    }
}

impl<'a> Written<'a> {
    /// Reads a step before which `known` values are there; the text of an error says what is wrong.
    fn read(param: &'a Param, known: usize) -> Result<Self, String> {
        let Param::Map(fields) = param else {
            return Err(format!("expected an object, found {}", kind(param)));
        };
        let field = |name: &str| {
            fields.iter().find(|(field, _)| field == name).map_or(&Param::Null, |(_, value)| value)
        };
        let Param::Str(kernel) = field("kernel") else {
            return Err("it has no field 'kernel' with the name of one".to_owned());
        };
        let reads = match field("inputs") {
            Param::Null => Vec::new(),
            Param::List(names) => {
                names.iter().map(|name| value_of(name, known)).collect::<Result<_, _>>()?
            }
            other => return Err(format!("its inputs are a list of names, not {}", kind(other))),
        };
        let is_own = |(name, _): &&(String, Param)| name != "kernel" && name != "inputs";
        Ok(Self { kernel, params: fields.iter().filter(is_own).cloned().collect(), reads })
    }
}

/// The number of the value with this name, of so many that are known.
fn value_of(name: &Param, known: usize) -> Result<usize, String> {
    let index = if let Param::Str(name) = name { input_index(name) } else { None };
    index
        .filter(|index| *index < known)
        .ok_or_else(|| format!("{} names neither an input nor an earlier step", kind(name)))
}
