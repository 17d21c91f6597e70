//! How serde walks through the text: the outer object and the tasks as a stream, their fields cut
//! out in order and unread. What the fields mean stands in `import`.

use super::import::{Importer, TOP_FIELDS, shown};
use super::params::FromJson;
use rdask_core::graph::Params;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A string, borrowed from the text where it has no escapes.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// Fields of an object with their names, unread.
pub(super) type Pieces<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The fields of an object, in order, repeated ones too.
pub(super) struct PiecesVisitor;

impl<'a> Visitor<'a> for PiecesVisitor {
    type Value = Pieces<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Pieces<'a>, A::Error> {
        let mut pieces = Pieces::new();
        while let Some((name, raw)) = map.next_entry::<Text<'a>, &'a RawValue>()? {
            pieces.push((name.0, raw));
        }
        Ok(pieces)
    }
}

/// The object `run`.
pub(super) struct Run<'a> {
    pub(super) kernel: Option<&'a RawValue>,
    pub(super) params: Params,
}

impl<'a> Deserialize<'a> for Run<'a> {
    fn deserialize<D: Deserializer<'a>>(decoder: D) -> Result<Self, D::Error> {
        decoder.deserialize_map(RunVisitor)
    }
}

struct RunVisitor;

impl<'a> Visitor<'a> for RunVisitor {
    type Value = Run<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Run<'a>, A::Error> {
        let mut run = Run { kernel: None, params: Params::new() };
        while let Some(name) = map.next_key::<Text<'a>>()? {
            if name.0 == "kernel" && run.kernel.is_none() {
                run.kernel = Some(map.next_value()?);
            } else {
                let FromJson(value) = map.next_value()?;
                run.params.push((name.0.into_owned(), value));
            }
        }
        Ok(run)
    }
}

/// The outer object.
pub(super) struct TopVisitor<'a, 'b> {
    pub(super) importer: &'b mut Importer<'a>,
}

impl<'a> Visitor<'a> for TopVisitor<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let importer = self.importer;
        while let Some(Text(name)) = map.next_key()? {
            importer.place = shown(&name).into_owned();
            let known = TOP_FIELDS.iter().position(|field| *field == name);
            if let Some(known) = known
                && std::mem::replace(&mut importer.seen[known], true)
            {
                let raw: &'a RawValue = map.next_value()?;
                let problem = format!("the field '{name}' stands twice");
                importer.fault_at(importer.place.clone(), raw, problem, None);
            } else if name == "tasks" {
                map.next_value_seed(TasksSeed { importer: &mut *importer })?;
            } else {
                importer.top_field(&name, map.next_value()?);
            }
            importer.place.clear();
        }
        Ok(())
    }
}

struct TasksSeed<'a, 'b> {
    importer: &'b mut Importer<'a>,
}

impl<'a> DeserializeSeed<'a> for TasksSeed<'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, decoder: D) -> Result<(), D::Error> {
        decoder.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for TasksSeed<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tasks")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut tasks: A) -> Result<(), A::Error> {
        let mut fields = Pieces::new();
        for number in 0.. {
            self.importer.place = String::new();
            let seed = TaskSeed { importer: &mut *self.importer, number, fields: &mut fields };
            if tasks.next_element_seed(seed)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// One task; `fields` is empty before and kept for its capacity.
struct TaskSeed<'a, 'b> {
    importer: &'b mut Importer<'a>,
    number: usize,
    fields: &'b mut Pieces<'a>,
}

impl<'a> DeserializeSeed<'a> for TaskSeed<'a, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, decoder: D) -> Result<(), D::Error> {
        decoder.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for TaskSeed<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a task, which is an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        self.fields.clear();
        while let Some(Text(name)) = map.next_key()? {
            self.fields.push((name, map.next_value()?));
        }
        let begin = self.fields.first().map_or(0, |(_, raw)| self.importer.offset(raw.get()));
        self.importer.task(self.number, self.fields, begin);
        Ok(())
    }
}
