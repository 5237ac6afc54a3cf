//! Writing to the terminal: one place that knows of colours, of closed pipes and of the progress bars in between.

use std::collections::HashSet;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use indicatif::MultiProgress;

/// Things that went wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Things that went well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Things to be careful of.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// Things that matter less.
pub(super) const DIM: Style = Style::new().dimmed();

/// Standard output and standard error.
pub(super) struct Output {
    /// Whether standard error is a terminal: progress is shown there, and problems with their place underlined.
    pub(super) terminal: bool,
    /// Whether standard output takes colours.
    pub(super) color: bool,
    bars: MultiProgress,
    lock: Mutex<()>,
    told: Mutex<HashSet<String>>,
}

impl Output {
    pub(super) fn of_process() -> Self {
        let color = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let (bars, lock, told) = (MultiProgress::new(), Mutex::new(()), Mutex::default());
        Self { terminal: io::stderr().is_terminal(), color, bars, lock, told }
    }

    /// The progress bars, which are drawn on standard error.
    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// How many columns standard error has, 100 at the most: longer lines are hard to read.
    pub(super) fn width(&self) -> usize {
        terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0)).clamp(40, 100)
    }

    /// Writes a line to standard output. A reader that has gone away is not an error: whoever pipes into `head` has seen
    /// enough, and the run goes on.
    pub(super) fn line(&self, text: impl Display) {
        self.between_bars(|| {
            // At one go, so that another process on the same terminal writes nothing into the line.
            let _ = anstream::stdout().lock().write_all(format!("{text}\n").as_bytes());
        });
    }

    /// Writes a line to standard error.
    pub(super) fn error(&self, text: impl Display) {
        self.between_bars(|| {
            let _ = write_at_once(&format!("{text}\n"));
        });
    }

    /// Writes a line to standard error, unless it has been written already: what several projects share is told once.
    pub(super) fn error_once(&self, text: String) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone()) {
            self.error(text);
        }
    }

    /// Writes bytes to standard output as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        self.between_bars(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        })
    }

    fn between_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        let _alone = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terminal { self.bars.suspend(write) } else { write() }
    }
}

/// Standard error isn't buffered, and a style stripped from the text would have it written in pieces.
fn write_at_once(text: &str) -> io::Result<()> {
    let choice = anstream::AutoStream::choice(&io::stderr());
    let mut line = anstream::AutoStream::new(Vec::new(), choice);
    line.write_all(text.as_bytes())?;
    io::stderr().lock().write_all(&line.into_inner())
}

/// `text` in a style; the streams leave the style out where it isn't wanted.
pub(super) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
