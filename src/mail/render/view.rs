//! The templates, filled.

use askama::Template;
use chrono::{DateTime, FixedOffset, Local, NaiveTime, Utc};

use super::page::{Limits, Page, page};
use crate::model::{EmailStrategy, Language, MailOptions, PastRun, Project, RunReport};

/// Gmail hides what comes after about 102 kB of HTML.
const HTML_LIMIT: usize = 98_000;

/// What is shown, and what is shown instead when that would be too much.
const LIMITS: [Limits; 5] = [
    Limits { rows: 100, failures: 20, lines: 60, bytes: 6000, notes: 20 },
    Limits { rows: 100, failures: 20, lines: 40, bytes: 2500, notes: 20 },
    Limits { rows: 100, failures: 20, lines: 15, bytes: 900, notes: 10 },
    Limits { rows: 50, failures: 10, lines: 15, bytes: 900, notes: 10 },
    Limits { rows: 15, failures: 3, lines: 10, bytes: 500, notes: 5 },
];

/// What a report doesn't know by itself.
#[derive(Debug, Clone)]
pub struct RenderContext {
    /// Puts an instant into the reader's time zone.
    pub local_time: fn(DateTime<Utc>) -> DateTime<FixedOffset>,
    /// In which language it is told.
    pub language: Language,
    /// The project's runs before this one that somebody was to hear of, newest first; empty if there are none, or nobody
    /// knows.
    pub past: Vec<PastRun>,
    /// From which time of the day on a run sends the digest.
    pub digest_at: NaiveTime,
    /// When the project runs next, if that is planned.
    pub next_planned: Option<DateTime<Utc>>,
    /// Whether the subject stays the same from run to run, so that all mails of the project are one conversation.
    pub constant_subject: bool,
    /// Stands before the subject.
    pub subject_prefix: Option<String>,
}

/// In the machine's time zone, as a project has it that says nothing of mails.
impl Default for RenderContext {
    fn default() -> Self {
        let MailOptions { digest_at, conversation, subject_prefix, .. } = MailOptions::default();
        Self {
            local_time: |time| time.with_timezone(&Local).fixed_offset(),
            language: Language::default(),
            past: Vec::new(),
            digest_at,
            next_planned: None,
            constant_subject: conversation,
            subject_prefix,
        }
    }
}

impl RenderContext {
    /// As a project has it, with what is known of its past.
    #[must_use]
    pub fn of(project: &Project, past: Vec<PastRun>) -> Self {
        Self {
            language: project.language,
            past,
            digest_at: project.mail.digest_at,
            constant_subject: project.mail.conversation,
            subject_prefix: project.mail.subject_prefix.clone(),
            ..Self::default()
        }
    }
}

/// A summary that is ready to be put into a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line without control characters.
    pub subject: String,
    /// Reads well by itself.
    pub text: String,
    /// Less than 100 kB, and nothing that Outlook's Word engine can't show.
    pub html: String,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    page: &'a Page,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    page: &'a Page,
    status_width: usize,
    name_width: usize,
    duration_width: usize,
    label_width: usize,
}

/// The summary of a run, with the scripts that the strategy mentions (with [`EmailStrategy::None`], which sends nothing,
/// those of [`EmailStrategy::All`]).
#[must_use]
pub fn render(report: &RunReport, strategy: EmailStrategy, context: &RenderContext) -> Rendered {
    let strategy = if strategy == EmailStrategy::None { EmailStrategy::All } else { strategy };
    let mut rendered = render_within(report, strategy, context, LIMITS[0]);
    for limits in &LIMITS[1..] {
        if rendered.html.len() <= HTML_LIMIT {
            break;
        }
        rendered = render_within(report, strategy, context, *limits);
    }
    rendered
}

fn render_within(report: &RunReport, strategy: EmailStrategy, context: &RenderContext, limits: Limits) -> Rendered {
    let page = page(report, strategy, context, limits);
    let subject = format!("{}: {}", page.project, page.headline);
    let first_line = format!("{subject}. {}", page.wanted);
    // Writing into a string doesn't fail; should it, the reader still gets the verdict.
    let html = Html { page: &page }.render().unwrap_or_else(|_| String::new());
    let text = text(&page).render().unwrap_or(first_line);
    Rendered { subject, text, html }
}

fn text(page: &Page) -> Text<'_> {
    let widest =
        |of: fn(&super::page::Row) -> &str| page.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    Text {
        page,
        status_width: widest(|row| row.status),
        name_width: widest(|row| &row.name).min(48),
        duration_width: widest(|row| &row.duration),
        label_width: page.facts.iter().map(|fact| fact.label.len()).max().unwrap_or(0),
    }
}
