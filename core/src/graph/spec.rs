//! What a task runs: a kernel, a plugin's function or a command, with its parameters, as plain data.
//!
//! The cores never look inside. `src/kernels` parses and checks specs before a run.
//!
//! A parameter has one form only, so that equal specs are stored once and every file format gives
//! the same graph back: `Param::normalize` makes it. Floats compare by their bits, so -0.0 and 0.0
//! are two values and a NaN equals itself.

use super::command::{Capture, CommandSpec};
use super::quoted;
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// Deepest nesting of lists and maps inside one parameter; bounds every recursion over parameters.
pub const MAX_PARAM_DEPTH: usize = 32;

/// A parameter value: JSON's values, with integers and floats apart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Param {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number written without point or exponent that fits i64.
    Int(i64),
    /// A number written without point or exponent from 2^63 to 2^64 − 1.
    UInt(u64),
    /// Any other number.
    Float(f64),
    /// A string; "nan", "inf" and "-inf" stand for numbers where a number is expected.
    Str(String),
    /// A list.
    List(Vec<Self>),
    /// An object, in the order it was written.
    Map(Vec<(String, Self)>),
}

/// Named parameters in the order they were written.
pub type Params = Vec<(String, Param)>;

/// What a task runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RunSpec {
    /// A built-in array operation.
    Kernel {
        /// Its name, `map` for example.
        name: String,
        /// Its parameters.
        params: Params,
    },
    /// A function of a shared library of the user.
    Plugin {
        /// The library's file; a relative path refers to the working directory of the run.
        path: String,
        /// Name of the function.
        symbol: String,
        /// What the function may ask for by name.
        params: Params,
    },
    /// A program in a process of its own.
    Command(Box<CommandSpec>),
}

/// Kinds of tasks by who runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskKind {
    /// A kernel of this program.
    Native,
    /// A program of its own.
    Command,
    /// A function of a shared library.
    Plugin,
    /// A Python function.
    Python,
}

impl TaskKind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Native, Self::Command, Self::Plugin, Self::Python];

    /// Its word on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Command => "command",
            Self::Plugin => "plugin",
            Self::Python => "python",
        }
    }
}

fn command_bound(command: &CommandSpec) -> u64 {
    let words = command.argv.iter().map(|word| text_bound(word));
    let variables = command.env.iter().map(|(name, value)| text_bound(name) + text_bound(value));
    let files = command.files.iter().map(|(name, _)| text_bound(name) + VALUE_BOUND);
    let captured = match &command.capture {
        Capture::File(name) => text_bound(name),
        Capture::Nothing | Capture::Stdout => VALUE_BOUND,
    };
    words.chain(variables).chain(files).sum::<u64>() + captured
}

/// What commands have of kernels' parameters.
static NO_PARAMS: Params = Vec::new();

impl RunSpec {
    /// A kernel with named parameters.
    ///
    /// ```
    /// use rdask_core::graph::{Param, RunSpec};
    /// let axis = vec![0_i64].into();
    /// let spec = RunSpec::kernel("sum", [("axis", axis), ("keepdims", true.into())]);
    /// assert_eq!(spec.params()[1], ("keepdims".to_owned(), Param::Bool(true)));
    /// ```
    pub fn kernel<N: Into<String>>(
        name: impl Into<String>,
        params: impl IntoIterator<Item = (N, Param)>,
    ) -> Self {
        let params = params.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Self::Kernel { name: name.into(), params }
    }

    /// A program with its arguments, and what is said about it.
    #[must_use]
    pub fn command(command: CommandSpec) -> Self {
        Self::Command(Box::new(command))
    }

    /// A function of a shared library, with named parameters.
    pub fn plugin<N: Into<String>>(
        path: impl Into<String>,
        symbol: impl Into<String>,
        params: impl IntoIterator<Item = (N, Param)>,
    ) -> Self {
        let params = params.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Self::Plugin { path: path.into(), symbol: symbol.into(), params }
    }

    /// Name of the kernel, or of a plugin's function; `command` of a command.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Kernel { name, .. } => name,
            Self::Plugin { symbol, .. } => symbol,
            Self::Command(_) => "command",
        }
    }

    /// Parameters in the order they were written.
    #[must_use]
    pub fn params(&self) -> &Params {
        match self {
            Self::Kernel { params, .. } | Self::Plugin { params, .. } => params,
            Self::Command(_) => &NO_PARAMS,
        }
    }

    /// Who runs it.
    #[must_use]
    pub const fn kind(&self) -> TaskKind {
        match self {
            Self::Kernel { .. } => TaskKind::Native,
            Self::Plugin { .. } => TaskKind::Plugin,
            Self::Command(_) => TaskKind::Command,
        }
    }

    /// Code that is not ours and runs in the worker's process, in words for messages about its
    /// crash: the plugin and its function.
    #[must_use]
    pub fn foreign(&self) -> Option<String> {
        match self {
            Self::Kernel { .. } | Self::Command(_) => None,
            Self::Plugin { path, symbol, .. } => {
                Some(format!("plugin {}, function {}", quoted(path), quoted(symbol)))
            }
        }
    }

    /// Bytes that no encoding of it exceeds: cheap, and far above the truth for short ones.
    #[must_use]
    pub fn encoded_bound(&self) -> u64 {
        let names = match self {
            Self::Kernel { name, .. } => text_bound(name),
            Self::Plugin { path, symbol, .. } => text_bound(path) + text_bound(symbol),
            Self::Command(command) => command_bound(command),
        };
        let params = self.params().iter();
        let params = params.map(|(name, value)| text_bound(name) + value.encoded_bound());
        VALUE_BOUND + names + params.sum::<u64>()
    }

    /// Brings every parameter into its one form, without room to spare: a graph may have as many
    /// specs as tasks.
    ///
    /// # Errors
    /// Name of the parameter and what is wrong with it: named twice, a reserved name, nested too
    /// deep.
    pub fn normalize(&mut self) -> Result<(), (String, &'static str)> {
        // In the JSON form a kernel's parameters stand beside its name.
        let is_kernel = matches!(self, Self::Kernel { .. });
        let params = match self {
            Self::Kernel { params, .. } => params,
            // What it holds is checked when the number of its inputs is known.
            Self::Command(command) => {
                command.normalize();
                return Ok(());
            }
            Self::Plugin { path, symbol, params } => {
                for (field, text) in [("plugin", path), ("symbol", symbol)] {
                    if text.is_empty() || text.contains('\0') {
                        return Err((field.to_owned(), "is empty or holds a zero byte"));
                    }
                }
                params
            }
        };
        if let Some(name) = repeated(params) {
            return Err((name.to_owned(), "is given twice"));
        }
        params.shrink_to_fit();
        for (name, value) in params {
            if is_kernel && name == "kernel" {
                return Err((name.clone(), "is a reserved name"));
            }
            value.normalize(MAX_PARAM_DEPTH).map_err(|problem| (name.clone(), problem))?;
        }
        Ok(())
    }
}

/// Bytes of a kind and a number or a length.
const VALUE_BOUND: u64 = 16;

fn text_bound(text: &str) -> u64 {
    VALUE_BOUND + text.len() as u64
}

impl Param {
    /// See `RunSpec::encoded_bound`. Parameters are nested `MAX_PARAM_DEPTH` deep at most.
    fn encoded_bound(&self) -> u64 {
        VALUE_BOUND
            + match self {
                Self::Null | Self::Bool(_) | Self::Int(_) | Self::UInt(_) | Self::Float(_) => 0,
                Self::Str(text) => text.len() as u64,
                Self::List(items) => items.iter().map(Self::encoded_bound).sum(),
                Self::Map(entries) => {
                    entries.iter().map(|(name, item)| text_bound(name) + item.encoded_bound()).sum()
                }
            }
    }

    /// The one form: integers that fit i64 as `Int`, floats that JSON lacks as strings.
    fn normalize(&mut self, depth: usize) -> Result<(), &'static str> {
        match self {
            Self::UInt(value) => {
                if let Ok(value) = i64::try_from(*value) {
                    *self = Self::Int(value);
                }
            }
            Self::Float(value) if value.is_nan() => *self = Self::Str("nan".to_owned()),
            Self::Float(value) if value.is_infinite() => {
                *self = Self::Str(if *value > 0.0 { "inf" } else { "-inf" }.to_owned());
            }
            Self::List(items) => {
                let depth = depth.checked_sub(1).ok_or("is nested too deep")?;
                items.shrink_to_fit();
                for item in items {
                    item.normalize(depth)?;
                }
            }
            Self::Map(fields) => {
                let depth = depth.checked_sub(1).ok_or("is nested too deep")?;
                if repeated(fields).is_some() {
                    return Err("holds a field twice");
                }
                fields.shrink_to_fit();
                for (_, value) in fields {
                    value.normalize(depth)?;
                }
            }
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Str(_) => {}
        }
        Ok(())
    }
}

/// A name that stands twice.
fn repeated(fields: &Params) -> Option<&str> {
    let mut names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

impl PartialEq for Param {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::UInt(a), Self::UInt(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Param {}

impl Hash for Param {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::Int(value) => value.hash(state),
            Self::UInt(value) => value.hash(state),
            Self::Float(value) => value.to_bits().hash(state),
            Self::Str(value) => value.hash(state),
            Self::List(items) => items.hash(state),
            Self::Map(fields) => fields.hash(state),
        }
    }
}

macro_rules! param_from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Param {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}
param_from! {
    bool => Bool, i32 => Int, u32 => Int, i64 => Int, f64 => Float, &str => Str, String => Str,
}

impl From<u64> for Param {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or(Self::UInt(value), Self::Int)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Param {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_compare_by_bits() {
        assert_ne!(Param::Float(0.0), Param::Float(-0.0));
        assert_eq!(Param::Float(f64::NAN), Param::Float(f64::NAN));
        assert_ne!(Param::Float(1.0), Param::Int(1));
    }

    #[test]
    fn a_parameter_has_one_form() {
        let mut spec = RunSpec::kernel(
            "full",
            [
                ("a", Param::Float(f64::NEG_INFINITY)),
                ("b", Param::List(vec![Param::UInt(7), Param::UInt(u64::MAX)])),
                ("c", Param::Float(f64::NAN)),
            ],
        );
        spec.normalize().unwrap();
        assert_eq!(
            spec.params(),
            &vec![
                ("a".to_owned(), Param::Str("-inf".into())),
                ("b".to_owned(), Param::List(vec![Param::Int(7), Param::UInt(u64::MAX)])),
                ("c".to_owned(), Param::Str("nan".into())),
            ]
        );
    }

    #[test]
    fn a_parameter_stands_once_and_is_not_nested_without_end() {
        let mut twice = RunSpec::kernel("k", [("x", Param::Null), ("x", Param::Null)]);
        assert_eq!(twice.normalize(), Err(("x".to_owned(), "is given twice")));
        let mut reserved = RunSpec::kernel("k", [("kernel", Param::Null)]);
        assert_eq!(reserved.normalize(), Err(("kernel".to_owned(), "is a reserved name")));
        let nested = |depth| (0..depth).fold(Param::Null, |inner, _| Param::List(vec![inner]));
        let mut allowed = RunSpec::kernel("k", [("x", nested(MAX_PARAM_DEPTH))]);
        assert_eq!(allowed.normalize(), Ok(()));
        let mut deep = RunSpec::kernel("k", [("x", nested(MAX_PARAM_DEPTH + 1))]);
        assert_eq!(deep.normalize(), Err(("x".to_owned(), "is nested too deep")));
        let mut plugin = RunSpec::plugin("p.so", "f", [("x", nested(MAX_PARAM_DEPTH + 1))]);
        assert_eq!(plugin.normalize(), Err(("x".to_owned(), "is nested too deep")));
    }

    #[test]
    fn a_plugin_has_a_file_and_a_function_and_may_call_a_parameter_kernel() {
        let wrong = "is empty or holds a zero byte";
        let mut nameless = RunSpec::plugin("", "f", [("x", Param::Null)]);
        assert_eq!(nameless.normalize(), Err(("plugin".to_owned(), wrong)));
        let mut cut = RunSpec::plugin("p.so", "f\0g", [("x", Param::Null)]);
        assert_eq!(cut.normalize(), Err(("symbol".to_owned(), wrong)));
        let mut right = RunSpec::plugin("p.so", "f", [("kernel", Param::UInt(7))]);
        assert_eq!(right.normalize(), Ok(()));
        assert_eq!((right.name(), right.kind()), ("f", TaskKind::Plugin));
        assert_eq!(right.params(), &vec![("kernel".to_owned(), Param::Int(7))]);
    }
}
