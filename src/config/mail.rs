//! The keys that say to whom mails go and how they are made up, and which web addresses are told.

use std::collections::HashSet;
use std::str::FromStr;

use chrono::NaiveTime;
use lettre::Address;
use lettre::message::Mailbox;

use crate::model::{
    AttachOutput, EmailStrategy, InvalidAddress, MailOptions, Pings, WEBHOOK_PLACEHOLDERS, Webhook, did_you_mean,
    is_readable_on_the_way, resolve_address, shown_address,
};

use super::check::{optional, unknown_keys};
use super::checker::Checker;
use super::keys;
use super::node::{Node, Value, index_path, key_path, quoted};
use super::problem::{Problem, ProblemKind};
use super::settings::set;

/// Who gets the mails; nobody only with the strategy `none`.
pub(super) fn recipients(checker: &mut Checker, node: &Node, strategy: Option<EmailStrategy>) -> Option<Vec<String>> {
    let path = "recipients";
    let nobody = matches!(&node.value, Value::List(items) if items.is_empty());
    if nobody && strategy.is_some_and(|strategy| strategy != EmailStrategy::None) {
        let hint = "add an address, or set \"email_strategy\": \"none\"";
        let problem = Problem::at(ProblemKind::BadRecipientList, &node.origin, path, "the list is empty");
        checker.problem(problem.hint(hint));
        return None;
    }
    addresses(checker, node, path)
}

/// Addresses, each once, in the order of the list.
fn addresses(checker: &mut Checker, node: &Node, path: &str) -> Option<Vec<String>> {
    let bad = |node: &Node, path: &str, message: String| {
        Problem::at(ProblemKind::BadRecipientList, &node.origin, path, message)
    };
    let Value::List(items) = &node.value else {
        let example = match &node.value {
            Value::Text(text) => {
                serde_json::json!(text.split([',', ';']).map(str::trim).collect::<Vec<_>>()).to_string()
            }
            _ => r#"["you@example.com"]"#.to_owned(),
        };
        let message = format!("expected a list of addresses, found {}", node.describe(false));
        checker.problem(bad(node, path, message).hint(format!("write {example}")));
        return None;
    };
    let mut addresses: Vec<String> = Vec::with_capacity(items.len());
    let mut seen = HashSet::with_capacity(items.len());
    let mut complete = true;
    for (index, item) in items.iter().enumerate() {
        let own_path = index_path(path, index);
        let text = match &item.value {
            Value::Text(text) => text.trim(),
            _ => "",
        };
        if !is_address(text) {
            complete = false;
            let hint = if text.contains([',', ';']) {
                "one address an item, as in [\"a@example.com\", \"b@example.com\"]"
            } else {
                "as in \"you@example.com\""
            };
            let message = format!("expected an address, found {}", item.describe(false));
            checker.problem(bad(item, &own_path, message).hint(hint));
        } else if !seen.insert(text.to_lowercase()) {
            let problem =
                Problem::at(ProblemKind::Suspicious, &item.origin, &own_path, "the address stands here twice");
            checker.warnings.push(problem.hint("it gets one mail all the same"));
        } else {
            addresses.push(text.to_owned());
        }
    }
    complete.then_some(addresses)
}

/// Whether mails can go there: `a@b.c`, or `A Name <a@b.c>`. The mail library's reader of the second form passes over what follows an address,
/// so that its end is looked at here.
#[must_use]
pub fn is_address(text: &str) -> bool {
    match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((_, inner)) => match (Mailbox::from_str(text), Address::from_str(inner)) {
            (Ok(mailbox), Ok(address)) => mailbox.email == address,
            _ => false,
        },
        None => Address::from_str(text).is_ok(),
    }
}

/// `mail`. What is wrong in it is noted, and its default goes on. `variable` looks up what `${NAME}` stands for.
pub(super) fn options(checker: &mut Checker, node: &Node, variable: &dyn Fn(&str) -> Option<String>) -> MailOptions {
    let mut options = MailOptions::default();
    let Value::Table(table) = &node.value else {
        let hint = "as in {\"cc\": [\"you@example.com\"], \"attach_output\": \"failure\"}".to_owned();
        checker.mistyped(node, "mail", "an object", Some(hint));
        return options;
    };
    unknown_keys(checker, table, "mail", || keys::MAIL_KEYS.into_iter());
    for entry in table.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        let (node, path) = (&entry.node, key_path("mail", &entry.written));
        match entry.key.as_str() {
            "cc" => set(&mut options.cc, addresses(checker, node, &path)),
            "bcc" => set(&mut options.bcc, addresses(checker, node, &path)),
            "reply_to" => set(&mut options.reply_to, addresses(checker, node, &path)),
            "subject_prefix" => options.subject_prefix = subject_prefix(checker, node, &path),
            "attach_output" => set(&mut options.attach_output, attach_output(checker, node, &path)),
            "conversation" => set(&mut options.conversation, checker.boolean(node, &path)),
            "deadline" => set(&mut options.deadline, checker.duration(node, &path)),
            "digest_at" => set(&mut options.digest_at, time_of_day(checker, node, &path)),
            "pings" => options.pings = pings(checker, node, &path, variable),
            "webhook" => options.webhook = webhook(checker, node, &path, variable),
            _ => {}
        }
    }
    options
}

fn subject_prefix(checker: &mut Checker, node: &Node, path: &str) -> Option<String> {
    const LONGEST: usize = 80; // characters; more than any list of mails shows
    let prefix = checker.text(node, path)?.trim();
    if prefix.chars().any(char::is_control) {
        checker.invalid(node, path, "a subject has no line breaks or other control characters", None);
    } else if prefix.chars().count() > LONGEST {
        checker.invalid(node, path, format!("the prefix is longer than {LONGEST} characters"), None);
    }
    Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty())
}

fn attach_output(checker: &mut Checker, node: &Node, path: &str) -> Option<AttachOutput> {
    match &node.value {
        Value::Bool(true) => Some(AttachOutput::Always),
        Value::Bool(false) => Some(AttachOutput::Never),
        _ => {
            let words =
                [("never", AttachOutput::Never), ("failure", AttachOutput::Failure), ("always", AttachOutput::Always)];
            checker.word(node, path, &words)
        }
    }
}

fn time_of_day(checker: &mut Checker, node: &Node, path: &str) -> Option<NaiveTime> {
    let text = checker.text(node, path)?.trim();
    let time = ["%H:%M", "%H:%M:%S"].into_iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok());
    if time.is_none() {
        let hint = "write hours and minutes of a day of 24 hours, as in \"07:00\"";
        checker.invalid(node, path, format!("{} is not a time of the day", quoted(text)), Some(hint.to_owned()));
    }
    time
}

fn pings(checker: &mut Checker, node: &Node, path: &str, variable: &dyn Fn(&str) -> Option<String>) -> Pings {
    let mut pings = Pings::default();
    let Value::Table(table) = &node.value else {
        let hint = "as in {\"success\": \"https://hc-ping.com/${HC_ID}\"}".to_owned();
        checker.mistyped(node, path, "an object", Some(hint));
        return pings;
    };
    unknown_keys(checker, table, path, || keys::PING_KEYS.into_iter());
    for entry in table.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        let address = match entry.key.as_str() {
            "start" => &mut pings.start,
            "success" => &mut pings.success,
            "failure" => &mut pings.failure,
            _ => continue,
        };
        *address = web_address(checker, &entry.node, &key_path(path, &entry.written), variable);
    }
    pings
}

fn webhook(
    checker: &mut Checker,
    node: &Node,
    path: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<Webhook> {
    const HINT: &str = "as in {\"url\": \"${CHAT_WEBHOOK}\", \"when\": \"failure_only\"}";
    let Value::Table(table) = &node.value else {
        checker.mistyped(node, path, "an object", Some(HINT.to_owned()));
        return None;
    };
    unknown_keys(checker, table, path, || keys::WEBHOOK_KEYS.into_iter());
    let Some(url) = optional(table, "url") else {
        checker.invalid(node, path, "`url` is missing", Some(HINT.to_owned()));
        return None;
    };
    let url = web_address(checker, &url.node, &key_path(path, "url"), variable);
    let when = match optional(table, "when") {
        Some(entry) => {
            let words: Vec<(&str, EmailStrategy)> =
                EmailStrategy::NAMES.into_iter().filter(|(_, strategy)| *strategy != EmailStrategy::Digest).collect();
            checker.word(&entry.node, &key_path(path, "when"), &words)
        }
        None => Some(EmailStrategy::FailureOnly),
    };
    let body = optional(table, "body").map(|entry| {
        let own_path = key_path(path, "body");
        if !matches!(entry.node.value, Value::Table(_) | Value::List(_)) {
            let hint = "as in {\"text\": \"{summary}\"}".to_owned();
            checker.mistyped(&entry.node, &own_path, "an object", Some(hint));
        }
        unknown_placeholders(checker, &entry.node, &own_path);
        entry.node.to_json()
    });
    Some(Webhook { url: url?, when: when?, body })
}

/// Warns of what looks like a placeholder and is none: it would be sent as it stands.
fn unknown_placeholders(checker: &mut Checker, node: &Node, path: &str) {
    match &node.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                unknown_placeholders(checker, item, &index_path(path, index));
            }
        }
        Value::Table(table) => {
            for entry in table.iter() {
                unknown_placeholders(checker, &entry.node, &key_path(path, &entry.written));
            }
        }
        Value::Text(text) => {
            for part in text.split('{').skip(1) {
                let Some((name, _)) = part.split_once('}') else { continue };
                let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                if !is_name || WEBHOOK_PLACEHOLDERS.contains(&name) {
                    continue;
                }
                let hint = match did_you_mean(name, WEBHOOK_PLACEHOLDERS) {
                    Some(meant) => format!("did you mean `{{{meant}}}`?"),
                    None => {
                        format!("there are {}", WEBHOOK_PLACEHOLDERS.map(|name| format!("`{{{name}}}`")).join(", "))
                    }
                };
                let message = format!("`{{{name}}}` stands for nothing; it is sent as it is");
                checker.warnings.push(Problem::at(ProblemKind::Suspicious, &node.origin, path, message).hint(hint));
            }
        }
        _ => {}
    }
}

/// An address as written. What follows its host isn't repeated: it may be all that is secret about it.
fn web_address(
    checker: &mut Checker,
    node: &Node,
    path: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    const HINT: &str = "write an address as in \"https://hc-ping.com/${HC_ID}\"";
    let Value::Text(text) = &node.value else {
        checker.mistyped(node, path, "the address of a web page", Some(HINT.to_owned()));
        return None;
    };
    let warn = |checker: &mut Checker, message: String, hint: &str| {
        checker.warnings.push(Problem::at(ProblemKind::Suspicious, &node.origin, path, message).hint(hint));
    };
    match resolve_address(text, variable) {
        Ok(address) if is_readable_on_the_way(&address) => warn(
            checker,
            format!("{} is not encrypted: what is sent can be read on the way", shown_address(text)),
            "write `https://`, unless the address is inside a network of your own",
        ),
        Ok(_) => {}
        // Another environment, as that of an unattended run, may have it.
        Err(InvalidAddress::Unset(name)) => {
            let message = format!("the variable {name} is not set, and without it this address can't be called");
            warn(checker, message, "set it in a file named .env in the project's folder, or in the environment");
        }
        Err(error) => checker.invalid(node, path, format!("{}: {error}", shown_address(text)), Some(HINT.to_owned())),
    }
    Some(text.trim().to_owned())
}
