//! The field `arrays`: chunks by axis, keys in lists nested as deep as there are axes.

use super::import::{Importer, shown};
use super::stream::Text;
use rdask_core::graph::{ArrayOutput, MAX_AXES};
use serde_json::value::RawValue;
use std::borrow::Cow;

const ARRAY_FIELDS: [&str; 5] = ["shape", "dtype", "chunks", "grid", "into"];

impl<'a> Importer<'a> {
    pub(super) fn array(&mut self, name: &str, raw: &'a RawValue) {
        let path = |field: &str| format!("arrays.{}.{field}", shown(name));
        let (mut shape, mut dtype, mut chunks, mut grid) = (None, None, None, None);
        let pieces = self.pieces(|| format!("arrays.{}", shown(name)), raw);
        for (field, raw) in &pieces {
            let here = || path(field);
            match field.as_ref() {
                "shape" => shape = self.value::<Vec<u64>>(here, raw),
                "dtype" => dtype = self.value::<Text<'a>>(here, raw),
                "chunks" => chunks = self.value::<Vec<Vec<u64>>>(here, raw),
                "grid" => grid = Some(*raw),
                "into" => {
                    let into = self.value::<Text<'a>>(here, raw);
                    if into.is_some_and(|into| into.0 != "npy") {
                        let problem = format!("arrays cannot be put into {}", raw.get());
                        self.fault_at(here(), raw, problem, Some("\"npy\" is known".to_owned()));
                    }
                }
                other => self.unknown_field(path(&shown(other)), other, raw, &ARRAY_FIELDS),
            }
        }
        for field in &ARRAY_FIELDS[..4] {
            if !pieces.iter().any(|(name, _)| name == field) {
                let problem = format!("the field '{field}' is missing");
                self.fault_at(format!("arrays.{}", shown(name)), raw, problem, None);
            }
        }
        let (Some(shape), Some(dtype), Some(chunks), Some(grid)) = (shape, dtype, chunks, grid)
        else {
            return;
        };
        let mut keys = Vec::new();
        if chunks.len() > MAX_AXES {
            let problem = format!("{} axes, {MAX_AXES} are possible", chunks.len());
            self.fault_at(path("chunks"), raw, problem, None);
        } else if self.grid(&path("grid"), grid, &chunks, &mut keys) {
            let (name, dtype) = (name.to_owned(), dtype.0.into_owned());
            let array = ArrayOutput { name, shape, dtype, chunks, grid: Vec::new() };
            self.builder.array_by_key(array, keys);
        }
    }

    /// Keys of a grid in C order: lists nested as deep as there are axes, as long as their chunks.
    fn grid(
        &mut self,
        path: &str,
        raw: &'a RawValue,
        chunks: &[Vec<u64>],
        keys: &mut Vec<Cow<'a, str>>,
    ) -> bool {
        let Some((axis, inner)) = chunks.split_first() else {
            let key = self.value::<Text<'a>>(|| path.to_owned(), raw);
            return key.map(|key| keys.push(key.0)).is_some();
        };
        let Some(rows) = self.value::<Vec<&'a RawValue>>(|| path.to_owned(), raw) else {
            return false;
        };
        if rows.len() != axis.len() {
            let problem = format!("{} entries for {} chunks", rows.len(), axis.len());
            self.fault_at(path.to_owned(), raw, problem, None);
            return false;
        }
        let numbered = rows.into_iter().enumerate();
        numbered
            .fold(true, |ok, (i, row)| self.grid(&format!("{path}[{i}]"), row, inner, keys) && ok)
    }
}
