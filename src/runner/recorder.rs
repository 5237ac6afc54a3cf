//! What happens in a run, handed on.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::event::{EventKind, FanOut, ReportFold, RunEvent, Stream};
use crate::exec::{AttemptObserver, Masker};
use crate::model::{MailState, Outcome};

/// Hands events to the sinks and folds them into the report.
pub(super) struct Recorder<'a> {
    pub(super) sinks: FanOut<'a>,
    pub(super) fold: ReportFold,
    /// Warnings that were given: the same trouble at every script is told once.
    pub(super) warned: HashSet<String>,
    /// Takes the secrets out of what is recorded.
    pub(super) masker: Option<Masker>,
}

impl Recorder<'_> {
    pub(super) fn record(&mut self, mut kind: EventKind) {
        if let Some(masker) = &self.masker {
            mask(masker, &mut kind);
        }
        if let EventKind::ScriptFinished { leaked, .. } = &mut kind {
            leaked.iter_mut().for_each(|process| shorten(&mut process.command));
        }
        let event = RunEvent::now(kind);
        self.fold.apply(&event);
        for error in self.sinks.event(&event) {
            self.warn(error.sentence());
        }
    }

    pub(super) fn warn(&mut self, mut message: String) {
        if let Some(masker) = &self.masker {
            mask_text(masker, &mut message);
        }
        if !self.warned.insert(message.clone()) {
            return;
        }
        tracing::warn!("{message}");
        let event = RunEvent::now(EventKind::Warning { message });
        self.fold.apply(&event);
        // What a sink says of the warning is the same trouble again.
        let _ = self.sinks.event(&event);
    }
}

/// Takes the secrets out of what an event tells in words. What it names (scripts, folders, files) stays as it is: others
/// go by it.
fn mask(masker: &Masker, kind: &mut EventKind) {
    match kind {
        EventKind::ScriptFinished { outcome, traceback, last_lines, leaked, .. } => {
            match outcome {
                Outcome::ExpectationNotMet { what, .. } => mask_text(masker, what),
                Outcome::CouldNotStart { error } => mask_text(masker, error),
                _ => {}
            }
            // Their output was masked as it came, but colours inside of a secret have only been taken out since.
            [traceback, last_lines].into_iter().flatten().for_each(|text| mask_text(masker, text));
            leaked.iter_mut().for_each(|process| mask_text(masker, &mut process.command));
        }
        EventKind::Mail { mail } => mask_mail(masker, mail),
        _ => {}
    }
}

pub(super) fn mask_mail(masker: &Masker, mail: &mut MailState) {
    match mail {
        MailState::Failed { error: text }
        | MailState::Held { error: text }
        | MailState::Kept { error: text }
        | MailState::Queued { error: Some(text) }
        | MailState::Sent { reply: text } => mask_text(masker, text),
        _ => {}
    }
}

/// Cuts a command line to what reports show. Not before it was masked: a half of a secret isn't recognised.
fn shorten(command: &mut String) {
    const CHARACTERS: usize = 200;
    if let Some((end, _)) = command.char_indices().nth(CHARACTERS) {
        command.truncate(end);
    }
}

fn mask_text(masker: &Masker, text: &mut String) {
    if let Cow::Owned(masked) = masker.mask(text) {
        *text = masked;
    }
}

/// Tells the recorder of one attempt.
pub(super) struct Observer<'r, 'a> {
    pub(super) recorder: &'r mut Recorder<'a>,
    pub(super) index: usize,
    pub(super) attempt: u32,
}

impl AttemptObserver for Observer<'_, '_> {
    fn started(&mut self) {
        self.recorder.record(EventKind::ScriptStarted { index: self.index, attempt: self.attempt });
    }

    fn output(&mut self, stream: Stream, bytes: &[u8]) {
        self.recorder.sinks.output(stream, bytes);
    }
}
