//! Which value holds, and where it came from.

use serde_json::Value as Json;

use super::keys::{self, KEYS};
use super::node::{Table, Value, key_path};

/// One effective value.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Explained {
    /// Which key, as `output.first`.
    pub path: String,
    /// Its value, as written; values of variables whose names suggest a secret are `***`.
    pub value: Json,
    /// Where it came from: `built-in default`, `FILE:LINE:COLUMN`, or the name of a variable.
    pub origin: String,
}

const BUILT_IN: &str = "built-in default";

/// All values, in the order of the documentation. The table has to be one that was checked.
pub(super) fn explain(table: &Table, folder_name: &str) -> Vec<Explained> {
    let mut rows = Vec::new();
    for key in &KEYS {
        let default = keys::default_of(key.name, folder_name);
        match table.get(key.name).map(|entry| (entry, &entry.node.value)) {
            Some((entry, Value::Table(inner))) => explain_object(&mut rows, &entry.written, inner, &default),
            Some((entry, value)) if !matches!(value, Value::Null) => rows.push(Explained {
                path: entry.written.clone(),
                value: entry.node.to_shown_json(),
                origin: entry.node.origin.describe(),
            }),
            _ => match default {
                Json::Object(inner) if !inner.is_empty() => {
                    explain_object(&mut rows, key.name, &Table::default(), &Json::Object(inner))
                }
                default => rows.push(built_in(key.name.to_owned(), default)),
            },
        }
    }
    rows
}

fn built_in(path: String, value: Json) -> Explained {
    Explained { path, value, origin: BUILT_IN.to_owned() }
}

/// Objects are merged key by key, and so explained.
fn explain_object(rows: &mut Vec<Explained>, name: &str, table: &Table, default: &Json) {
    let shown = super::node::shown_object(table);
    if name == "output" {
        for key in keys::OUTPUT_KEYS {
            let path = key_path(name, key);
            match table.get(key).filter(|entry| !matches!(entry.node.value, Value::Null)) {
                Some(entry) => rows.push(Explained {
                    path,
                    value: entry.node.to_shown_json(),
                    origin: entry.node.origin.describe(),
                }),
                None => rows.push(built_in(path, default.get(key).cloned().unwrap_or(Json::Null))),
            }
        }
        return;
    }
    if shown.is_empty() {
        rows.push(built_in(name.to_owned(), default.clone()));
    }
    for entry in table.iter() {
        rows.push(Explained {
            path: key_path(name, &entry.written),
            value: shown.get(&entry.written).cloned().unwrap_or(Json::Null),
            origin: entry.node.origin.describe(),
        });
    }
}

/// A table with aligned columns, a line a value; values are compact JSON.
#[must_use]
pub fn render_explain(rows: &[Explained]) -> String {
    let values: Vec<String> = rows.iter().map(|row| row.value.to_string()).collect();
    let width = |lengths: &mut dyn Iterator<Item = usize>| lengths.max().unwrap_or(0);
    let longest_value = 60;
    let path_width = width(&mut rows.iter().map(|row| row.path.chars().count()));
    let value_width = width(&mut values.iter().map(|value| value.chars().count())).min(longest_value);
    let mut out = String::new();
    for (row, value) in rows.iter().zip(&values) {
        let line = format!("{:path_width$}  {value:value_width$}  {}", row.path, row.origin);
        out.push_str(&super::problem::escape_controls(&line));
        out.push('\n');
    }
    out
}
