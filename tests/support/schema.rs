//! The part of JSON Schema that docs/schema uses, so that tests can hold real files against it.
//!
//! A keyword that is not known here is a fault of the schema: nothing passes unchecked.

use serde_json::Value;
use std::path::Path;

/// Reads docs/schema/NAME.schema.json.
pub(crate) fn load(name: &str) -> Value {
    let path = format!("{}/docs/schema/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(Path::new(&path)).unwrap()).unwrap()
}

/// Fails with the place when a value does not fit a schema.
pub(crate) fn assert_fits(name: &str, value: &Value) {
    if let Err(fault) = check(&load(name), value, "$") {
        panic!("{name}: {fault}");
    }
}

/// The first fault, with its place.
pub(crate) fn check(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" | "properties" => true,
            "type" => match rule {
                Value::Array(types) => {
                    types.iter().any(|one| has_type(one.as_str().unwrap(), value))
                }
                one => has_type(one.as_str().unwrap(), value),
            },
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|it| it >= rule.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|it| matches(rule.as_str().unwrap(), it)),
            "required" => value.as_object().is_none_or(|it| {
                rule.as_array().unwrap().iter().all(|key| it.contains_key(key.as_str().unwrap()))
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, &format!("{at}[{index}]"))?;
                }
                true
            }
            "additionalProperties" => return members(schema, rule, value, at),
            "oneOf" => one_of(rule.as_array().unwrap(), value, at)?,
            unknown => panic!("schema keyword '{unknown}' is not known to this test"),
        };
        if !fits {
            return Err(format!("{at}: {value} against {keyword} {rule}"));
        }
    }
    Ok(())
}

fn members(schema: &Value, others: &Value, value: &Value, at: &str) -> Result<(), String> {
    // "additionalProperties" comes first in a sorted map, so the other keywords are checked here.
    let mut rest = schema.as_object().unwrap().clone();
    rest.remove("additionalProperties");
    check(&Value::Object(rest), value, at)?;
    for (key, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match schema.get("properties").and_then(|known| known.get(key)) {
            Some(known) => check(known, member, &at)?,
            None if others == &Value::Bool(false) => {
                return Err(format!("{at}: not in the schema"));
            }
            None if others == &Value::Bool(true) => {}
            None => check(others, member, &at)?,
        }
    }
    Ok(())
}

fn one_of(schemas: &[Value], value: &Value, at: &str) -> Result<bool, String> {
    let results: Vec<_> = schemas.iter().map(|schema| check(schema, value, at)).collect();
    match results.iter().filter(|result| result.is_ok()).count() {
        1 => Ok(true),
        0 => Err(results.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("; or ")),
        count => Err(format!("{at}: {count} alternatives fit")),
    }
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        unknown => panic!("schema type '{unknown}' is not known to this test"),
    }
}

/// Anchored patterns of literal characters and `[…]{n}`.
fn matches(pattern: &str, text: &str) -> bool {
    let pattern = pattern.strip_prefix('^').and_then(|it| it.strip_suffix('$'));
    let mut pattern = pattern.expect("patterns are anchored").chars().peekable();
    let mut text = text.chars();
    while let Some(symbol) = pattern.next() {
        let class: String = match symbol {
            '[' => pattern.by_ref().take_while(|it| *it != ']').collect(),
            '\\' => pattern.next().unwrap().to_string(),
            plain => plain.to_string(),
        };
        let mut count = 1;
        if pattern.next_if_eq(&'{').is_some() {
            let digits: String = pattern.by_ref().take_while(|it| *it != '}').collect();
            count = digits.parse().unwrap();
        }
        for _ in 0..count {
            let Some(found) = text.next() else { return false };
            if !in_class(&class, found) {
                return false;
            }
        }
    }
    text.next().is_none()
}

fn in_class(class: &str, found: char) -> bool {
    let symbols: Vec<char> = class.chars().collect();
    let mut at = 0;
    while at < symbols.len() {
        if symbols.get(at + 1) == Some(&'-') && at + 2 < symbols.len() {
            if (symbols[at]..=symbols[at + 2]).contains(&found) {
                return true;
            }
            at += 3;
        } else {
            if symbols[at] == found {
                return true;
            }
            at += 1;
        }
    }
    false
}
