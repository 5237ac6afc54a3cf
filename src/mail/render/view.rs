//! The templates, filled.

use askama::Template;
use chrono::{DateTime, FixedOffset, Local, NaiveTime, Utc};
use unicode_width::UnicodeWidthStr;

use super::clean::one_line;
use super::page::{Limits, Page, Row, page};
use super::words::Word;
use crate::model::{EmailStrategy, Language, MailOptions, PastRun, Project, RunReport};

/// Gmail hides what comes after about 102 kB of HTML.
const HTML_LIMIT: usize = 98_000;

/// What is shown, and what is shown instead when that would be too much.
const LIMITS: [Limits; 6] = [
    Limits { rows: 100, strips: 12, runs: 48, failures: 20, lines: 60, bytes: 6000, notes: 20 },
    Limits { rows: 100, strips: 8, runs: 48, failures: 20, lines: 40, bytes: 2500, notes: 20 },
    Limits { rows: 100, strips: 4, runs: 24, failures: 20, lines: 15, bytes: 900, notes: 10 },
    Limits { rows: 50, strips: 0, runs: 24, failures: 10, lines: 15, bytes: 900, notes: 10 },
    Limits { rows: 15, strips: 0, runs: 10, failures: 3, lines: 10, bytes: 500, notes: 5 },
    Limits { rows: 5, strips: 0, runs: 3, failures: 1, lines: 10, bytes: 500, notes: 2 },
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
    /// The last run that somebody was told of, if that is known. It may be older than all of `past`, and began after the present
    /// run if that one died and is recorded late.
    pub last_told: Option<PastRun>,
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
            last_told: None,
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
    /// Reads well by itself. Its first line says how it went, what is new about that and what is wanted.
    pub text: String,
    /// Less than 100 kB, and nothing that Outlook's Word engine can't show.
    pub html: String,
}

#[derive(Template)]
#[template(path = "mail.html")]
struct Html<'a> {
    page: &'a Page,
    /// What lists of mails show of it.
    preview: &'a str,
    fonts: &'static str,
    wrap: &'static str,
}

#[derive(Template)]
#[template(path = "mail.txt")]
struct Text<'a> {
    page: &'a Page,
    line: &'a str,
    run_widths: Widths,
    widths: Widths,
    label_width: usize,
}

/// Of the columns of rows in plain text.
struct Widths {
    status: usize,
    name: usize,
    duration: usize,
}

impl Widths {
    fn of(rows: &[Row]) -> Self {
        let widest = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).width()).max().unwrap_or(0);
        Self {
            status: widest(|row| row.status),
            name: widest(|row| &row.name).min(48),
            duration: widest(|row| &row.duration),
        }
    }
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
    let (text, html) = fill(&page);
    Rendered { subject: subject(&page, strategy, context), text, html }
}

/// The templates, filled: text and HTML.
pub(super) fn fill(page: &Page) -> (String, String) {
    let Page { words, project, symbol, verdict, .. } = page;
    // The text is read where there is no subject, too, as in chats. Beside the page, lists show the subject.
    let line = format!("{symbol} {}", verdict.line(&format!("{project}{}{}", words.colon(), verdict.headline), *words));
    let preview = format!("{symbol} {}", verdict.line(&verdict.beginning, *words));
    // Writing into a string doesn't fail; should it, the reader still gets the verdict.
    let html = Html { page, preview: &preview, fonts: page.words.fonts(), wrap: page.words.wrap() }
        .render()
        .unwrap_or_else(|_| String::new());
    let no_runs = &[][..];
    let text = Text {
        run_widths: Widths::of(page.runs.as_ref().map_or(no_runs, |runs| &runs.rows)),
        widths: Widths::of(&page.rows),
        label_width: page.facts.iter().map(|fact| fact.label.width()).max().unwrap_or(0),
        page,
        line: &line,
    };
    let text = text.render().unwrap_or_else(|_| line.clone());
    (text, html)
}

/// What stands before each subject of the project.
pub(super) fn prefix(context: &RenderContext) -> String {
    let prefix = context.subject_prefix.as_deref().map(|prefix| one_line(prefix, 40)).filter(|text| !text.is_empty());
    prefix.map(|prefix| prefix + " ").unwrap_or_default()
}

/// A subject that stays the same says what kind of mail it is, and the mail's first line, which lists show beside it, the
/// rest. Otherwise it begins with the symbol, which is seen even where only its beginning is.
fn subject(page: &Page, strategy: EmailStrategy, context: &RenderContext) -> String {
    let Page { words, project, symbol, verdict, .. } = page;
    let prefix = prefix(context);
    let colon = words.colon();
    if context.constant_subject {
        let kind = if strategy == EmailStrategy::Digest { Word::Digest } else { Word::RunReport };
        format!("{prefix}{project}{colon}{}", words.word(kind))
    } else {
        format!("{prefix}{symbol} {project}{colon}{}", verdict.headline)
    }
}
