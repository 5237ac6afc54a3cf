//! A schedule as a block of an account's crontab, and crontabs that have such blocks. Pure.

use super::entry::{Host, Setting, Subject, hash};
use super::rule::rules;
use super::units::Label;
use super::{Refusal, cron};

const BEGIN: &str = "# BEGIN ";
const END: &str = "# END ";
/// Between a mark and what it tells.
const MADE_BY: &str = ": made by `runner schedule install`; taken away by `runner schedule uninstall`";
/// What Vixie cron takes for a command (`MAX_COMMAND`, with the byte that ends it).
const LONGEST_COMMAND: usize = 999;

/// A block, with the marks around it.
///
/// # Errors
/// When cron has no words for the schedule.
pub fn block(of: Subject<'_>, setting: &Setting) -> Result<String, Refusal> {
    of.check_paths(setting)?;
    if setting.wake {
        return Err(Refusal::with("cron can't wake the machine", "leave out `--wake`"));
    }
    if setting.system_wide {
        return Err(Refusal::with("a crontab belongs to an account", "name the account with `--account`"));
    }
    if !of.schedule.jitter.is_zero() {
        return Err(Refusal::new("cron begins all at once and knows no `jitter`"));
    }
    let fields = cron::fields(&rules(&of.schedule.trigger, setting.now)?, &setting.zone, setting.now)?;
    let path = setting.path.iter().map(|path| format!("PATH={}", shell_word(path)));
    let words = std::iter::once(setting.runner.to_string_lossy().into_owned()).chain(of.arguments(setting, Host::Cron));
    let command = path.chain(words.map(|word| shell_word(&word))).collect::<Vec<_>>().join(" ");
    // cron ends the command at a bare %.
    let command = command.replace('%', "\\%");
    if command.len() > LONGEST_COMMAND || command.contains(['\n', '\r']) {
        let reason = format!("the command has {} bytes, and cron takes {LONGEST_COMMAND} at the most", command.len());
        return Err(Refusal::with(reason, "install it with a shorter PATH"));
    }
    let lines: String = fields.iter().map(|fields| format!("{fields} {command}\n")).collect();
    let name = of.name();
    Ok(format!(
        "{BEGIN}{name}{MADE_BY}\n# project {}\n# schedule {} definition {} text {}\n{lines}{END}{name}\n",
        of.project.root.display(),
        of.schedule.name,
        of.fingerprint(Host::Cron, &setting.zone),
        hash([lines.as_str()].into_iter())
    ))
}

/// The crontab with this block, in the place of the one of the same name or at the end; all else stays as it is.
#[must_use]
pub fn with_block(crontab: &str, name: &str, block: &str) -> String {
    match span(crontab, name) {
        Some((from, to)) => format!("{}{block}{}", &crontab[..from], &crontab[to..]),
        None if crontab.is_empty() || crontab.ends_with('\n') => format!("{crontab}{block}"),
        None => format!("{crontab}\n{block}"),
    }
}

/// The crontab without that block.
#[must_use]
pub fn without_block(crontab: &str, name: &str) -> String {
    span(crontab, name)
        .map_or_else(|| crontab.to_owned(), |(from, to)| format!("{}{}", &crontab[..from], &crontab[to..]))
}

/// The names of the blocks, and what they tell of themselves.
#[must_use]
pub fn blocks(crontab: &str) -> Vec<(String, Label)> {
    let names = crontab.lines().filter_map(|line| line.strip_prefix(BEGIN)?.strip_suffix(MADE_BY));
    let told = |name: &str| {
        let (from, to) = span(crontab, name)?;
        let mut lines = crontab[from..to].lines().skip(1);
        let project = lines.next()?.strip_prefix("# project ")?.to_owned();
        let words: Vec<&str> = lines.next()?.strip_prefix("# schedule ")?.split(' ').collect();
        let [schedule, "definition", definition, "text", text] = words.as_slice() else { return None };
        let entries: String = lines.filter(|line| !line.starts_with(END)).map(|line| format!("{line}\n")).collect();
        let edited = hash([entries.as_str()].into_iter()) != *text;
        let label = Label { project, schedule: (*schedule).to_owned(), definition: (*definition).to_owned(), edited };
        Some((name.to_owned(), label))
    };
    names.filter_map(told).collect()
}

/// Where a block stands, with both of its marks. One without an end goes on to the next mark or up to the end.
fn span(crontab: &str, name: &str) -> Option<(usize, usize)> {
    let (begin, end) = (format!("{BEGIN}{name}{MADE_BY}"), format!("{END}{name}"));
    let (mut at, mut from) = (0, None);
    for line in crontab.split_inclusive('\n') {
        let text = line.trim_end_matches(['\n', '\r']);
        match from {
            None if text == begin => from = Some(at),
            Some(from) if text == end => return Some((from, at + line.len())),
            Some(from) if text.starts_with(BEGIN) => return Some((from, at)),
            _ => {}
        }
        at += line.len();
    }
    from.map(|from| (from, crontab.len()))
}

/// A word that `sh` takes as it is.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-+=:,@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
