//! Which values are secrets, so that they are masked wherever a run would show them. Pure.
//!
//! A value counts as secret by its variable's name, or as the password inside an address or a connection string. Missing
//! one shows a password; taking an ordinary word for one makes what scripts print unreadable. So names are read generously,
//! and short values and the words that settings usually have are left alone.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use crate::model::{is_secret_name, passwords_within};

/// Values that say nothing secret, whatever their variable is called.
const ORDINARY: [&str; 40] = [
    "true",
    "false",
    "none",
    "null",
    "nil",
    "undefined",
    "empty",
    "unset",
    "enabled",
    "disabled",
    "enable",
    "disable",
    "auto",
    "automatic",
    "default",
    "required",
    "optional",
    "always",
    "never",
    "basic",
    "bearer",
    "digest",
    "plain",
    "login",
    "oauth",
    "oauth2",
    "ldap",
    "local",
    "localhost",
    "test",
    "root",
    "user",
    "admin",
    "guest",
    "password",
    "passwd",
    "secret",
    "token",
    "postgres",
    "production",
];
/// Characters that a value needs to count.
const SHORTEST: usize = 4;
/// Digits that a number needs to count.
const SHORTEST_NUMBER: usize = 6;
/// Characters that a line of a value of several lines needs to count by itself: the end of a key may be anything.
const SHORTEST_LINE: usize = 8;

/// The secrets of a run, each in the forms in which it may be printed. Not printable.
#[derive(Clone, Default)]
pub struct Secrets(BTreeSet<Vec<u8>>);

impl Secrets {
    /// Every form of every secret, sorted, each once.
    pub fn forms(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Takes the secrets of one variable.
    pub(super) fn take(&mut self, name: &OsStr, value: &OsStr) {
        let is_secret = name.to_str().is_some_and(is_secret_name);
        let Some(text) = value.to_str() else {
            // No text has another form than its bytes.
            if is_secret && value.len() >= SHORTEST {
                self.0.insert(value.as_encoded_bytes().to_vec());
            }
            return;
        };
        if is_secret {
            self.secret(text);
        }
        for password in passwords_within(text) {
            self.secret(password);
            // As the program that was given the address sees it.
            if let Some(decoded) = percent_decoded(password) {
                self.secret(&decoded);
            }
        }
    }

    /// Takes a value that is declared to be a secret, whatever it looks like.
    pub(super) fn declared(&mut self, value: &str) {
        if Self::can_be_declared(value) {
            self.forms_of_lines(value.trim());
        }
    }

    /// Whether a value is long enough to be looked for.
    pub(super) fn can_be_declared(value: &str) -> bool {
        value.trim().chars().count() >= SHORTEST
    }

    /// Takes the secrets of a JSON value: what is below names of secrets, and passwords within texts.
    pub(super) fn take_json(&mut self, name: &str, json: &serde_json::Value) {
        use serde_json::Value;
        match json {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                self.take_json(if is_secret_name(name) { name } else { key }, value);
            }),
            Value::Array(items) => items.iter().for_each(|item| self.take_json(name, item)),
            Value::String(text) => self.take(OsStr::new(name), OsStr::new(text)),
            Value::Number(number) => self.take(OsStr::new(name), OsStr::new(&number.to_string())),
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// A text without the secrets in it; the longest of those that begin at a place goes.
    pub(super) fn masked(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let is_within = |form: &&[u8]| bytes.windows(form.len()).any(|part| part == *form);
        let forms: Vec<&[u8]> = self.forms().filter(|form| !form.is_empty()).filter(is_within).collect();
        if forms.is_empty() {
            return text.to_owned();
        }
        let mut masked = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(first) = rest.first() {
            match forms.iter().filter(|form| rest.starts_with(form)).map(|form| form.len()).max() {
                Some(length) => {
                    masked.extend_from_slice(b"***");
                    rest = &rest[length..];
                }
                None => {
                    masked.push(*first);
                    rest = &rest[1..];
                }
            }
        }
        String::from_utf8_lossy(&masked).into_owned()
    }

    /// JSON without the secrets in its texts and numbers, each by itself.
    pub(super) fn masked_json(&self, json: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match json {
            Value::Array(items) => items.iter().map(|item| self.masked_json(item)).collect(),
            Value::String(text) => Value::from(self.masked(text)),
            Value::Number(number) => {
                let text = number.to_string();
                let masked = self.masked(&text);
                if masked == text { json.clone() } else { Value::from(masked) }
            }
            _ => json.clone(),
        }
    }

    fn secret(&mut self, value: &str) {
        let value = value.trim();
        if counts(value) {
            self.forms_of_lines(value);
        }
    }

    fn forms_of_lines(&mut self, value: &str) {
        self.forms_of(value);
        if value.contains('\n') {
            for line in value.lines().map(str::trim) {
                // What encloses a key (RFC 7468) is the same for all keys.
                if line.chars().count() >= SHORTEST_LINE && !line.starts_with("-----") {
                    self.forms_of(line);
                }
            }
        }
    }

    fn forms_of(&mut self, value: &str) {
        let mut add = |form: String| self.0.insert(form.into_bytes());
        add(value.to_owned());
        // As JSON has it, and as programs write it that stay within ASCII (Python's `json` and `ascii`).
        if let Ok(json) = serde_json::to_string(value) {
            let inner = &json[1..json.len() - 1];
            add(inner.to_owned());
            add(ascii_json(inner));
        }
        // All but what never needs it (RFC 3986, 2.3); Python's `quote`; JavaScript's `encodeURIComponent`.
        for kept in ["", "/", "!'()*"] {
            add(percent_encoded(value, kept));
        }
    }
}

/// Whether a value is long and particular enough to be told from ordinary text.
fn counts(value: &str) -> bool {
    let characters = value.chars().count();
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    characters >= if is_number { SHORTEST_NUMBER } else { SHORTEST }
        && !ORDINARY.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn percent_encoded(value: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for &byte in value.as_bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(c) || byte.is_ascii() && kept.contains(c) {
            encoded.push(c);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        decoded.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(decoded).ok()
}

fn ascii_json(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}")));
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(name: &str, value: &str) -> Vec<String> {
        let mut secrets = Secrets::default();
        secrets.take(name.as_ref(), value.as_ref());
        secrets.forms().map(|form| String::from_utf8(form.to_vec()).unwrap()).collect()
    }

    #[test]
    fn short_values_and_ordinary_words_are_none() {
        for value in ["", "abc", "  abc  ", "true", "None", "12345", "PASSWORD", "postgres"] {
            assert!(secrets("TOKEN", value).is_empty(), "{value}");
        }
        for value in ["abcd", "123456", "hunter2", "écrit", "a1b2"] {
            assert!(secrets("TOKEN", value).contains(&value.to_owned()), "{value}");
        }
        assert!(secrets("LANG", "hunter2").is_empty());
    }

    #[test]
    fn a_text_is_masked_by_the_longest_secret_at_each_place() {
        let mut secrets = Secrets::default();
        for value in ["abcd", "abcdef", "123456"] {
            secrets.declared(value);
        }
        assert_eq!(secrets.masked("é abcdefg abcd abc"), "é ***g *** abc");
        let json = serde_json::json!(["x:abcd", 123_456, 12, true]);
        assert_eq!(secrets.masked_json(&json), serde_json::json!(["x:***", "***", 12, true]));
    }

    #[test]
    fn a_secret_is_known_in_the_forms_in_which_programs_write_it() {
        let forms = secrets("TOKEN", " p\"é/ w! ");
        for form in [
            "p\"é/ w!",
            "p\\\"é/ w!",
            "p\\\"\\u00e9/ w!",
            "p%22%C3%A9%2F%20w%21",
            "p%22%C3%A9/%20w%21",
            "p%22%C3%A9%2F%20w!",
        ] {
            assert!(forms.contains(&form.to_owned()), "{form}: {forms:?}");
        }
        assert_eq!(secrets("TOKEN", "hunter2"), ["hunter2"]);
    }

    #[test]
    fn each_line_of_a_key_is_a_secret() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIBVAIBADANBg\r\nabc=\n-----END PRIVATE KEY-----\n";
        let forms = secrets("DEPLOY_PRIVATE_KEY", key);
        assert!(forms.contains(&"MIIBVAIBADANBg".to_owned()) && forms.contains(&key.trim().to_owned()), "{forms:?}");
        assert!(!forms.iter().any(|form| form == "abc=" || form == "-----BEGIN PRIVATE KEY-----"), "{forms:?}");
    }

    #[test]
    fn passwords_inside_values_are_found() {
        for (value, password) in [
            ("postgres://app:s3cr3t@db/sales", "s3cr3t"),
            ("postgresql+psycopg://app:p%40ss@db:5432/sales?x=1#y", "p@ss"),
            ("http://a@b:hunter2@proxy:8080, http://c:other99@proxy", "hunter2"),
            ("DRIVER={ODBC Driver 17};SERVER=db;UID=app;PWD=s3cr3t;", "s3cr3t"),
            ("host=db user=app password=s3cr3t", "s3cr3t"),
            ("DefaultEndpointsProtocol=https;AccountKey=abc/def==", "abc/def=="),
        ] {
            assert!(secrets("DATABASE_URL", value).contains(&password.to_owned()), "{value}");
        }
        assert!(secrets("X", "http://a@b:hunter2@proxy:8080, http://c:other99@proxy").contains(&"other99".to_owned()));
        for value in [
            "https://example.com/a:b@c",
            "ssh://git@github.com/a",
            "http://u:pwd@h",
            "https://h:8080/",
            "a=b;c=d",
            "x%",
        ] {
            assert!(secrets("ADDRESS", value).is_empty(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_variable_is_survived_and_what_counts_is_known(name in ".{0,12}", value in "([a-z%:/@=;é\"\\\\ \n]|.){0,40}") {
            let _ = secrets(&name, &value);
            let forms = secrets("SERVICE_TOKEN", &value);
            prop_assert_eq!(counts(value.trim()), forms.contains(&value.trim().to_owned()));
            prop_assert!(forms.iter().all(|form| form.chars().count() >= SHORTEST));
        }
    }
}
