//! The alarm: that a project should have run and didn't. Laid out like the mail about a run, with a row for each schedule.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::clean::one_line;
use super::page::{Fact, MESSAGE, Page, Row, look, name_with_profile};
use super::verdict::{Tone, Verdict};
use super::view::{RenderContext, Rendered, fill, prefix};
use super::words::{Headline, Item, Phrases, Wanted, Word, phrases};
use crate::schedule::Hindrance;

/// Schedules that get a row.
const ROWS: usize = 50;
/// Characters of a schedule's name.
const NAME: usize = 64;

/// What a project's readers are alarmed about.
#[derive(Debug, Clone, PartialEq)]
pub struct Alarm {
    /// The project's name.
    pub project: String,
    /// Its folder.
    pub project_dir: PathBuf,
    /// The profile that it is run with.
    pub profile: Option<String>,
    /// The machine.
    pub host: String,
    /// When that is told.
    pub time: DateTime<Utc>,
    /// What is wrong, at least one thing.
    pub troubles: Vec<Trouble>,
}

/// A schedule whose runs are missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    /// The schedule, as it is known among the project's.
    pub schedule: String,
    /// What is known of its planned instants.
    pub what: Missing,
    /// What kept the runs from beginning, as far as is known.
    pub why: Hindrance,
    /// More about that, in a sentence.
    pub detail: Option<String>,
}

/// Planned instants for which nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// They were missed for good.
    Missed {
        /// How many.
        count: u64,
        /// The first.
        first: DateTime<Utc>,
        /// The last.
        last: DateTime<Utc>,
    },
    /// Nobody has answered for this one, nor for those after it.
    Overdue {
        /// The first.
        planned: DateTime<Utc>,
    },
}

/// What an alarm says.
#[must_use]
pub fn render_alarm(alarm: &Alarm, context: &RenderContext) -> Rendered {
    let words = phrases(context.language);
    let Alarm { project, profile, troubles, .. } = alarm;
    let rows: Vec<Row> = troubles.iter().take(ROWS).map(|trouble| row(trouble, context, words)).collect();
    let left_out = troubles.len() - rows.len();
    let verdict = verdict(troubles, words);
    let (symbol, color) = (look(verdict.tone).symbol, look(verdict.tone).color);
    let page = Page {
        words,
        project: name_with_profile(project, profile.as_deref()),
        symbol,
        color,
        strip: None,
        runs: None,
        rows,
        more_rows: (left_out > 0).then(|| words.more(Item::Schedules, left_out)),
        failures: Vec::new(),
        more_failures: None,
        notes: Vec::new(),
        facts: facts(alarm, context, words),
        verdict,
    };
    let (text, html) = fill(&page);
    // Its own subject, also where all mails about runs have the same one: it is none of them.
    let subject = format!("{}{symbol} {}{}{}", prefix(context), page.project, words.colon(), page.verdict.headline);
    Rendered { subject, text, html }
}

fn verdict(troubles: &[Trouble], words: &dyn Phrases) -> Verdict {
    let count = |trouble: &Trouble| match trouble.what {
        Missing::Missed { count, .. } => (count, 0),
        Missing::Overdue { .. } => (0, 1),
    };
    let (missed, overdue) =
        troubles.iter().map(count).fold((0u64, 0u64), |sum, one| (sum.0.saturating_add(one.0), sum.1 + one.1));
    let why = troubles.iter().map(|trouble| trouble.why).max_by_key(|why| weight(*why));
    let wanted = Wanted::Mend { why: why.unwrap_or(Hindrance::MachineOff) };
    Verdict::new(Tone::Bad, &Headline::Missing { missed, overdue }, &[], &wanted, words)
}

/// What has most to be mended has the largest: a machine that was off needs no mending.
fn weight(why: Hindrance) -> u8 {
    match why {
        Hindrance::CouldNotRun => 7,
        Hindrance::RunnerEnded => 6,
        Hindrance::HostIdle => 5,
        Hindrance::DaemonOff => 4,
        Hindrance::Busy => 3,
        Hindrance::ClockSet => 2,
        Hindrance::MachineAsleep => 1,
        Hindrance::MachineOff => 0,
    }
}

fn row(trouble: &Trouble, context: &RenderContext, words: &dyn Phrases) -> Row {
    let moment = |time| words.moment((context.local_time)(time));
    let (status, times, when) = match trouble.what {
        Missing::Missed { count: 1, first, .. } => (Word::Missed, 1, moment(first)),
        Missing::Missed { count, first, last } => {
            (Word::Missed, count, format!("{} – {}", moment(first), moment(last)))
        }
        Missing::Overdue { planned } => (Word::Overdue, 1, moment(planned)),
    };
    let detail = trouble.detail.as_deref().map(|detail| one_line(detail, MESSAGE)).unwrap_or_default();
    let name = one_line(&trouble.schedule, NAME);
    Row {
        symbol: look(Tone::Bad).symbol,
        status: words.word(status),
        color: look(Tone::Bad).color,
        name: if name.bytes().all(|byte| byte.is_ascii_digit()) { words.numbered_schedule(&name) } else { name },
        duration: if times > 1 { format!("{times}×") } else { String::new() },
        bar: None,
        note: format!("{when} · {}", words.hindrance(trouble.why)),
        error: String::new(),
        remark: detail,
        before: Vec::new(),
    }
}

fn facts(alarm: &Alarm, context: &RenderContext, words: &dyn Phrases) -> Vec<Fact> {
    let when = |time| words.date_time((context.local_time)(time));
    let folder = alarm.project_dir.display().to_string();
    let name = name_with_profile(&alarm.project, alarm.profile.as_deref());
    let all = [
        (Word::NextRun, context.next_planned.map(when).unwrap_or_default()),
        (Word::Noticed, when(alarm.time)),
        (Word::Host, alarm.host.clone()),
        (Word::Project, format!("{name}{}", words.aside(&folder))),
        (Word::Runner, env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let known = all.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(word, value)| Fact { label: words.word(word), value: one_line(&value, MESSAGE) }).collect()
}
