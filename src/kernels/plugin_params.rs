//! Parameters of a plugin's function, laid out so that a getter hands out pointers without a copy:
//! texts end with a zero byte, lists of numbers are doubles.
//!
//! Made once for each run spec, before any run. Owns no unsafe code.

use super::params::kind;
use crate::graph_json::ObjectToJson;
use rdask_core::graph::{Param, Params};
use std::collections::BTreeMap;
use std::ffi::CString;

/// One parameter in the forms in which it may be asked for.
#[derive(Debug, PartialEq)]
enum Value {
    Int(i64),
    Float(f64),
    /// With a zero byte behind it, which does not count.
    Text(Vec<u8>),
    Floats(Vec<f64>),
    /// Only the JSON text tells it.
    Other(String),
}

/// All parameters of a run spec.
#[derive(Debug)]
pub(super) struct PluginParams {
    json: CString,
    values: BTreeMap<String, Value>,
}

/// What a getter finds, or what it found instead.
pub(super) type Found<T> = Result<Option<T>, String>;

impl PluginParams {
    pub(super) fn new(params: &Params) -> Self {
        let json = serde_json::to_vec(&ObjectToJson(params)).unwrap_or_else(|_| b"{}".to_vec());
        let values = params
            .iter()
            .filter(|(_, param)| !matches!(param, Param::Null))
            .map(|(name, param)| (name.clone(), Value::of(param)))
            .collect();
        // JSON escapes a zero byte.
        Self { json: CString::new(json).unwrap_or_default(), values }
    }

    /// All of them as one JSON object.
    pub(super) fn json(&self) -> &CString {
        &self.json
    }

    pub(super) fn int(&self, name: &str) -> Found<i64> {
        self.find(name, "an integer", |value| match value {
            Value::Int(value) => Some(*value),
            _ => None,
        })
    }

    /// Any number, and "nan", "inf", "-inf".
    pub(super) fn float(&self, name: &str) -> Found<f64> {
        self.find(name, "a number", |value| match value {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Text(text) => not_in_json(text.strip_suffix(b"\0")?),
            Value::Floats(_) | Value::Other(_) => None,
        })
    }

    /// UTF-8 that ends with a zero byte, which does not count: the length is one less.
    pub(super) fn text(&self, name: &str) -> Found<&[u8]> {
        self.find(name, "a string", |value| match value {
            Value::Text(text) => Some(text.as_slice()),
            _ => None,
        })
    }

    pub(super) fn floats(&self, name: &str) -> Found<&[f64]> {
        self.find(name, "a list of numbers", |value| match value {
            Value::Floats(values) => Some(values.as_slice()),
            _ => None,
        })
    }

    fn find<'a, T>(
        &'a self,
        name: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Found<T> {
        let Some(value) = self.values.get(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| {
            format!("parameter '{name}': expected {expected}, found {}", value.in_words())
        })
    }
}

impl Value {
    fn of(param: &Param) -> Self {
        match param {
            Param::Int(value) => Self::Int(*value),
            Param::UInt(value) => Self::Float(*value as f64),
            Param::Float(value) => Self::Float(*value),
            Param::Str(text) => Self::Text([text.as_bytes(), b"\0"].concat()),
            Param::List(items) => match items.iter().map(number).collect() {
                Some(values) => Self::Floats(values),
                None => Self::Other(kind(param)),
            },
            Param::Null | Param::Bool(_) | Param::Map(_) => Self::Other(kind(param)),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
            Self::Text(text) => {
                let text = String::from_utf8_lossy(text.strip_suffix(b"\0").unwrap_or(text));
                format!("the string {text:?}")
            }
            Self::Floats(_) => "a list of numbers".to_owned(),
            Self::Other(words) => words.clone(),
        }
    }
}

fn number(param: &Param) -> Option<f64> {
    match param {
        Param::Int(value) => Some(*value as f64),
        Param::UInt(value) => Some(*value as f64),
        Param::Float(value) => Some(*value),
        Param::Str(text) => not_in_json(text.as_bytes()),
        Param::Null | Param::Bool(_) | Param::List(_) | Param::Map(_) => None,
    }
}

/// The numbers that JSON lacks.
fn not_in_json(text: &[u8]) -> Option<f64> {
    match text {
        b"nan" => Some(f64::NAN),
        b"inf" => Some(f64::INFINITY),
        b"-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> PluginParams {
        PluginParams::new(&vec![
            ("n".to_owned(), Param::Int(-3)),
            ("x".to_owned(), Param::Float(0.25)),
            ("big".to_owned(), Param::UInt(u64::MAX)),
            ("nothing".to_owned(), Param::Null),
            ("path".to_owned(), Param::Str("a\0ü".to_owned())),
            ("far".to_owned(), Param::Str("-inf".to_owned())),
            ("w".to_owned(), Param::List(vec![Param::Int(1), Param::Float(0.5)])),
            ("mixed".to_owned(), Param::List(vec![Param::Bool(true)])),
        ])
    }

    #[test]
    fn each_getter_finds_its_own_and_says_what_it_found_instead() {
        let params = params();
        assert_eq!(params.int("n"), Ok(Some(-3)));
        assert_eq!(params.float("n"), Ok(Some(-3.0)));
        assert_eq!(params.float("x"), Ok(Some(0.25)));
        assert_eq!(params.float("big"), Ok(Some(18_446_744_073_709_551_615.0)));
        assert_eq!(params.float("far"), Ok(Some(f64::NEG_INFINITY)));
        assert_eq!(params.text("path"), Ok(Some("a\0ü\0".as_bytes())));
        assert_eq!(params.floats("w"), Ok(Some([1.0, 0.5].as_slice())));
        assert_eq!((params.int("nothing"), params.int("none")), (Ok(None), Ok(None)));
        assert_eq!(params.int("x").unwrap_err(), "parameter 'x': expected an integer, found 0.25");
        assert_eq!(
            params.floats("mixed").unwrap_err(),
            "parameter 'mixed': expected a list of numbers, found a list"
        );
        assert_eq!(
            params.float("path").unwrap_err(),
            "parameter 'path': expected a number, found the string \"a\\0ü\""
        );
    }

    #[test]
    fn the_json_text_holds_all_of_them_and_no_zero_byte() {
        assert_eq!(
            params().json().to_str().unwrap(),
            r#"{"n":-3,"x":0.25,"big":18446744073709551615,"nothing":null,"path":"a\u0000ü","far":"-inf","w":[1,0.5],"mixed":[true]}"#
        );
    }
}
