//! The templates, filled.

use askama::Template;
use chrono::{DateTime, FixedOffset, Local, Utc};

use super::page::{Limits, Page, page};
use crate::model::{EmailStrategy, RunReport};

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
}

/// The machine's time zone.
impl Default for RenderContext {
    fn default() -> Self {
        Self { local_time: |time| time.with_timezone(&Local).fixed_offset() }
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
