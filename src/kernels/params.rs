//! Reads a kernel's parameters and finds every fault in them before the run.
//!
//! Each getter names the kernel and the parameter in its error. `null` counts as absent.

use super::SpecError;
use super::array::MAX_AXES;
use super::scalar::{Element, Number};
use rdask_core::graph::{Param, Params};
use rdask_core::nearest::nearest;
use rdask_store::DType;

/// The parameters of one run spec.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// Name of the kernel.
    pub(super) kernel: &'a str,
    /// Number of inputs that the task has.
    pub(super) inputs: usize,
    params: &'a Params,
}

/// Result of reading.
pub(super) type Read<T> = Result<T, SpecError>;

impl<'a> Reader<'a> {
    /// Refuses parameters that are not in `known` or stand twice.
    pub(super) fn new(
        kernel: &'a str,
        params: &'a Params,
        inputs: usize,
        known: &[&str],
    ) -> Read<Self> {
        let reader = Self { kernel, inputs, params };
        for (position, (name, _)) in params.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(SpecError::UnknownParameter {
                    kernel: kernel.to_owned(),
                    parameter: name.clone(),
                    nearest: nearest(name, known.iter().copied()).map(str::to_owned),
                });
            }
            if params[..position].iter().any(|(earlier, _)| earlier == name) {
                return Err(reader.bad(name, "stands twice"));
            }
        }
        Ok(reader)
    }

    /// A fault in a parameter.
    pub(super) fn bad(&self, parameter: &str, problem: impl Into<String>) -> SpecError {
        SpecError::BadParameter {
            kernel: self.kernel.to_owned(),
            parameter: parameter.to_owned(),
            problem: problem.into(),
        }
    }

    /// Whether the value is written as `null`, where that means something else than nothing.
    pub(super) fn is_null(&self, name: &str) -> bool {
        self.params.iter().any(|(known, value)| known == name && *value == Param::Null)
    }

    /// The value, when there is one.
    pub(super) fn value(&self, name: &str) -> Option<&'a Param> {
        let found = self.params.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        found.filter(|value| **value != Param::Null)
    }

    /// Makes an absent parameter a fault.
    pub(super) fn need<T>(&self, name: &str, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| SpecError::MissingParameter {
            kernel: self.kernel.to_owned(),
            parameter: name.to_owned(),
        })
    }

    /// A string.
    pub(super) fn string(&self, name: &str) -> Read<Option<&'a str>> {
        match self.value(name) {
            None => Ok(None),
            Some(Param::Str(value)) => Ok(Some(value)),
            Some(other) => Err(self.bad(name, format!("expected a string, found {}", kind(other)))),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Read<Option<bool>> {
        match self.value(name) {
            None => Ok(None),
            Some(Param::Bool(value)) => Ok(Some(*value)),
            Some(other) => {
                Err(self.bad(name, format!("expected true or false, found {}", kind(other))))
            }
        }
    }

    /// An integer that fits i64.
    pub(super) fn integer(&self, name: &str) -> Read<Option<i64>> {
        self.value(name).map(|value| self.as_integer(name, value)).transpose()
    }

    /// An integer from 0 to 2^64 − 1.
    pub(super) fn count(&self, name: &str) -> Read<Option<u64>> {
        self.value(name).map(|value| self.as_count(name, value)).transpose()
    }

    /// A number that is not negative, with or without a fraction.
    pub(super) fn duration(&self, name: &str) -> Read<Option<f64>> {
        match self.number(name)? {
            None => Ok(None),
            Some(Number::Int(value)) if value >= 0 => Ok(Some(value as f64)),
            Some(Number::Float(value)) if value.is_finite() && value >= 0.0 => Ok(Some(value)),
            Some(_) => Err(self.bad(name, "expected a finite number that is not negative")),
        }
    }

    /// A number of any kind: a bool, an integer, a float, "nan", "inf", "-inf", `[re, im]`.
    pub(super) fn number(&self, name: &str) -> Read<Option<Number>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = Number::from_param(value);
        number.map(Some).map_err(|problem| self.bad(name, problem))
    }

    /// A number as the element that it is in a dtype; "NaT" for dates and durations too.
    pub(super) fn element(&self, name: &str, dtype: DType) -> Read<Option<Element>> {
        let number = match self.value(name) {
            Some(Param::Str(text)) if text == "NaT" && dtype.is_time() => Number::Float(f64::NAN),
            _ => match self.number(name)? {
                Some(number) => number,
                None => return Ok(None),
            },
        };
        number.encode(dtype).map(Some).map_err(|problem| self.bad(name, problem))
    }

    /// A dtype by its name in graphs.
    pub(super) fn dtype(&self, name: &str) -> Read<Option<DType>> {
        let Some(text) = self.string(name)? else { return Ok(None) };
        DType::parse(text).map(Some).map_err(|error| self.bad(name, error.to_string()))
    }

    /// A shape: a list of lengths, or one length.
    pub(super) fn shape(&self, name: &str) -> Read<Option<Vec<usize>>> {
        let lengths = match self.value(name) {
            None => return Ok(None),
            Some(Param::List(lengths)) => lengths.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        if lengths.len() > MAX_AXES {
            return Err(self.bad(
                name,
                format!("{} axes are more than the {MAX_AXES} that are allowed", lengths.len()),
            ));
        }
        let shape: Vec<usize> = lengths
            .iter()
            .map(|length| {
                usize::try_from(self.as_count(name, length)?)
                    .map_err(|_| self.bad(name, "the length does not fit"))
            })
            .collect::<Read<_>>()?;
        Ok(Some(shape))
    }

    /// Refuses a shape whose bytes do not fit the address space.
    pub(super) fn check_size(&self, name: &str, dtype: DType, shape: &[usize]) -> Read<()> {
        match super::array::nbytes_of(dtype, shape) {
            Some(_) => Ok(()),
            None => Err(self.bad(name, format!("{} is too big", super::array::text(shape)))),
        }
    }

    /// Axes: an integer or a list of integers.
    pub(super) fn axes(&self, name: &str) -> Read<Option<Vec<i64>>> {
        let axes = match self.value(name) {
            None => return Ok(None),
            Some(Param::List(axes)) => axes.as_slice(),
            Some(single) => std::slice::from_ref(single),
        };
        axes.iter().map(|axis| self.as_integer(name, axis)).collect::<Read<_>>().map(Some)
    }

    /// A list, not looked into.
    pub(super) fn list(&self, name: &str) -> Read<Option<&'a [Param]>> {
        match self.value(name) {
            None => Ok(None),
            Some(Param::List(values)) => Ok(Some(values)),
            Some(other) => Err(self.bad(name, format!("expected a list, found {}", kind(other)))),
        }
    }

    /// An integer value of a parameter.
    pub(super) fn as_integer(&self, name: &str, value: &Param) -> Read<i64> {
        match value {
            Param::Int(value) => Ok(*value),
            other => Err(self.bad(name, format!("expected an integer, found {}", kind(other)))),
        }
    }

    fn as_count(&self, name: &str, value: &Param) -> Read<u64> {
        match value {
            Param::Int(value) => u64::try_from(*value)
                .map_err(|_| self.bad(name, format!("{value} is negative, expected 0 or more"))),
            Param::UInt(value) => Ok(*value),
            other => Err(self.bad(
                name,
                format!("expected an integer that is not negative, found {}", kind(other)),
            )),
        }
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &Param) -> String {
    match value {
        Param::Null => "null".to_owned(),
        Param::Bool(value) => value.to_string(),
        Param::Int(value) => value.to_string(),
        Param::UInt(value) => value.to_string(),
        Param::Float(value) => format!("{value:?}"),
        Param::Str(value) => format!("the string {value:?}"),
        Param::List(_) => "a list".to_owned(),
        Param::Map(_) => "an object".to_owned(),
    }
}
