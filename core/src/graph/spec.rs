//! What a task runs: a kernel's name and its parameters, as plain data.
//!
//! The cores never look inside. `src/kernels` parses and checks specs before a run.

use serde::{Deserialize, Serialize};

/// A parameter value: JSON's values, with integers and floats apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// What a task runs. Other kinds (plugin, Python, command) come with their executors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RunSpec {
    /// A built-in array operation.
    Kernel {
        /// Its name, `map` for example.
        name: String,
        /// Its parameters.
        params: Params,
    },
}
