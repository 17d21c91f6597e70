//! Parameters of kernels as JSON values, numbers as they are written.

use rdask_core::graph::{Param, Params};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::fmt;

/// A parameter that comes from JSON.
pub(super) struct FromJson(pub(super) Param);

impl<'de> Deserialize<'de> for FromJson {
    fn deserialize<D: Deserializer<'de>>(decoder: D) -> Result<Self, D::Error> {
        decoder.deserialize_any(ParamVisitor).map(Self)
    }
}

struct ParamVisitor;

impl<'de> Visitor<'de> for ParamVisitor {
    type Value = Param;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Param, E> {
        Ok(Param::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Param, E> {
        Ok(Param::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Param, E> {
        Ok(Param::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Param, E> {
        Ok(Param::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Param, E> {
        Ok(Param::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Param, E> {
        Ok(Param::Str(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Param, E> {
        Ok(Param::Str(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Param, A::Error> {
        let mut list = Vec::new();
        while let Some(FromJson(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Param::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Param, A::Error> {
        let mut fields = Params::new();
        while let Some((name, FromJson(value))) = items.next_entry()? {
            fields.push((name, value));
        }
        Ok(Param::Map(fields))
    }
}

/// A parameter that goes to JSON. Floats keep a point or an exponent, so that they stay floats.
pub(super) struct ToJson<'a>(pub(super) &'a Param);

impl Serialize for ToJson<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Param::Null => out.serialize_unit(),
            Param::Bool(value) => out.serialize_bool(*value),
            Param::Int(value) => out.serialize_i64(*value),
            Param::UInt(value) => out.serialize_u64(*value),
            Param::Float(value) => out.serialize_f64(*value),
            Param::Str(value) => out.serialize_str(value),
            Param::List(items) => out.collect_seq(items.iter().map(ToJson)),
            Param::Map(fields) => ObjectToJson(fields).serialize(out),
        }
    }
}

/// Named parameters that go to JSON as one object.
pub(crate) struct ObjectToJson<'a>(pub(crate) &'a Params);

impl Serialize for ObjectToJson<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &ToJson(value))?;
        }
        map.end()
    }
}
