//! Which value holds, and where it came from.

use serde_json::Value as Json;

use crate::model::shown_address;

use super::env_vars::looks_secret;
use super::keys::{self, KEYS};
use super::node::{Entry, Table, Value, key_path};

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

/// All values, in the order of the documentation. The table has to be one that was checked.
pub(super) fn explain(table: &Table, folder_name: &str) -> Vec<Explained> {
    let mut rows = Vec::new();
    for key in &KEYS {
        let default = keys::default_of(key.name, folder_name);
        let entry = table.get(key.name);
        let written = entry.map_or(key.name, |entry| entry.written.as_str());
        match (entry.map(|entry| &entry.node.value), &default) {
            (_, Json::Object(defaults)) if keys::inner_keys(key.name).is_some() => {
                let inner = entry.and_then(|entry| match &entry.node.value {
                    Value::Table(inner) => Some(inner),
                    _ => None,
                });
                for name in keys::inner_keys(key.name).unwrap_or_default() {
                    let default = defaults.get(*name).cloned().unwrap_or_default();
                    let mut row = row(key_path(written, name), inner.and_then(|inner| inner.get(name)), default);
                    hide_addresses(&mut row.value);
                    rows.push(row);
                }
            }
            (Some(Value::Table(inner)), _) if keys::DEEP_KEYS.contains(&key.name) && inner.iter().next().is_some() => {
                let may_be_secret = key.name != "params";
                leaves(inner, written, may_be_secret, &mut rows);
            }
            (Some(Value::Table(inner)), _) => {
                let mut shown = super::node::shown_object(inner);
                for entry in inner.iter() {
                    let value = shown.remove(&entry.written).unwrap_or_default();
                    let origin = entry.node.origin.describe();
                    rows.push(Explained { path: key_path(written, &entry.written), value, origin });
                }
                if inner.iter().next().is_none() {
                    rows.push(row(written.to_owned(), entry, default));
                }
            }
            _ => rows.push(row(written.to_owned(), entry, default)),
        }
    }
    rows
}

/// Every value in an object, however deep; those below a name that suggests a secret are `***`.
fn leaves(table: &Table, path: &str, may_be_secret: bool, rows: &mut Vec<Explained>) {
    for entry in table.iter() {
        let path = key_path(path, &entry.written);
        match &entry.node.value {
            _ if may_be_secret && looks_secret(&entry.key) => {
                rows.push(Explained { path, value: Json::from("***"), origin: entry.node.origin.describe() });
            }
            Value::Table(inner) if inner.iter().next().is_some() => leaves(inner, &path, may_be_secret, rows),
            _ => {
                rows.push(Explained { path, value: entry.node.to_shown_json(), origin: entry.node.origin.describe() });
            }
        }
    }
}

/// One value; `null` is worth the default, but was written somewhere.
fn row(path: String, entry: Option<&Entry>, default: Json) -> Explained {
    let origin = entry.map_or_else(|| "built-in default".to_owned(), |entry| entry.node.origin.describe());
    let value = match entry.map(|entry| (entry, &entry.node.value)) {
        None | Some((_, Value::Null)) => default,
        Some((entry, _)) => entry.node.to_shown_json(),
    };
    Explained { path, value, origin }
}

/// Leaves of web addresses what may be shown.
fn hide_addresses(value: &mut Json) {
    for (key, value) in value.as_object_mut().into_iter().flatten() {
        if let (true, Json::String(address)) = (keys::ADDRESS_KEYS.contains(&key.as_str()), value) {
            *address = shown_address(address);
        }
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
