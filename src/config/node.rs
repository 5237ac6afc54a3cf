//! A configuration value that knows where it was written.

use std::collections::HashMap;

use super::env_vars::looks_secret;
use super::source::Origin;
use crate::model::without_passwords;

/// A value and its place.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What may stand in a file.
#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Table(Table),
}

/// One key of an object.
#[derive(Clone)]
pub(crate) struct Entry {
    /// The key, its synonyms replaced by the one name used in here.
    pub(crate) key: String,
    /// The key as written.
    pub(crate) written: String,
    /// Where the key stands.
    pub(crate) key_origin: Origin,
    pub(crate) node: Node,
}

/// An object; its keys are unique and in the order of the file.
#[derive(Clone, Default)]
pub(crate) struct Table {
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).and_then(|index| self.entries.get(*index))
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.index.get(key).and_then(|index| self.entries.get_mut(*index))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Adds a key, or replaces it; the replaced entry is handed back.
    pub(crate) fn insert(&mut self, entry: Entry) -> Option<Entry> {
        if let Some(old) = self.index.get(&entry.key).and_then(|index| self.entries.get_mut(*index)) {
            return Some(std::mem::replace(old, entry));
        }
        self.index.insert(entry.key.clone(), self.entries.len());
        self.entries.push(entry);
        None
    }

    /// Makes a key's value null, if the key is there.
    pub(crate) fn forget(&mut self, key: &str) {
        if let Some(entry) = self.index.get(key).and_then(|index| self.entries.get_mut(*index)) {
            entry.node.value = Value::Null;
        }
    }

    /// Lays `above` over this: objects are merged key by key, anything else is replaced.
    pub(crate) fn overlay(&mut self, above: Self) {
        for entry in above.entries {
            let below = self.index.get(&entry.key).and_then(|index| self.entries.get_mut(*index));
            match (below, entry.node.value) {
                (Some(Entry { node: Node { value: Value::Table(below), origin }, .. }), Value::Table(above)) => {
                    below.overlay(above);
                    *origin = entry.node.origin;
                }
                (_, value) => {
                    self.insert(Entry { node: Node { value, origin: entry.node.origin }, ..entry });
                }
            }
        }
    }
}

impl Node {
    /// The plain JSON of it, as written.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Table(table) => {
                Json::Object(table.iter().map(|entry| (entry.written.clone(), entry.node.to_json())).collect())
            }
            _ => self.to_shown_json(),
        }
    }

    /// The plain JSON of it, for showing: values of variables whose names suggest a secret, and passwords in texts, are `***`.
    pub(crate) fn to_shown_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(without_passwords(text)),
            Value::List(items) => Json::Array(items.iter().map(Self::to_shown_json).collect()),
            Value::Table(table) => Json::Object(shown_object(table)),
        }
    }

    /// What it is, in a message: ``the text `yes` ``. `secret` values are not shown.
    pub(crate) fn describe(&self, secret: bool) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(_) if secret => "a number".to_owned(),
            Value::Number(number) => format!("the number {number}"),
            Value::Text(_) if secret => "a text".to_owned(),
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Table(_) => "an object".to_owned(),
        }
    }
}

/// An object's plain JSON, for showing: values of names that suggest a secret are `***`.
pub(crate) fn shown_object(table: &Table) -> serde_json::Map<String, serde_json::Value> {
    table
        .iter()
        .map(|entry| {
            let secret = looks_secret(&entry.key);
            let shown = if secret { serde_json::json!("***") } else { entry.node.to_shown_json() };
            (entry.written.clone(), shown)
        })
        .collect()
}

/// A text between backticks, shortened when it is long.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.chars().count() <= SHOWN {
        format!("`{text}`")
    } else {
        format!("`{}…`", text.chars().take(SHOWN).collect::<String>())
    }
}

/// Where a key stands, as `scripts[2].timeout`.
pub(crate) fn key_path(parent: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$'));
    match (parent.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{parent}.{key}"),
        (_, false) => format!("{parent}[{}]", serde_json::Value::String(key.to_owned())),
    }
}

/// Where an item of a list stands.
pub(crate) fn index_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}
