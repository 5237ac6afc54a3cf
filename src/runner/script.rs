//! One script of a run: its attempts, and the events that tell of them.

use std::time::Duration;

use super::options::RunOptions;
use super::recorder::{Observer, Recorder};
use super::run::Run;
use super::settings_file::SettingsFile;
use crate::event::EventKind;
use crate::exec::{self, AttemptEnd, AttemptRequest, Buffers, Capture};
use crate::model::Usual;
use crate::plan::{self, RunContext, Step};

impl Run<'_> {
    /// Runs one script, again where its retries allow it; true if it failed for good.
    pub(super) async fn script(
        &self,
        index: usize,
        step: &Step<'_>,
        options: &RunOptions,
        buffers: &mut Buffers,
        recorder: &mut Recorder<'_>,
    ) -> bool {
        let mut attempt = 1;
        loop {
            let end = self.attempt(index, attempt, step, options, buffers, recorder).await;
            let failed = end.outcome.is_failure();
            let pause = match options.cancel.cancelled_by() {
                Some(_) => None,
                None => plan::retry(&step.script.settings.retries, attempt, &end.outcome, random()),
            };
            let Some(pause) = pause else {
                let usual = self.usual(step, &end.outcome, end.duration);
                recorder.record(finished(index, attempt, end, usual, None));
                return failed;
            };
            let event = finished(index, attempt, end, None, Some(pause));
            recorder.record(event.clone());
            tokio::select! {
                biased;
                _ = options.cancel.cancelled() => {
                    // It was the last attempt after all: told again, so that everybody takes it for that.
                    recorder.record(without_retry(event));
                    return true;
                }
                () = tokio::time::sleep(pause) => attempt += 1,
            }
        }
    }

    async fn attempt(
        &self,
        index: usize,
        attempt: u32,
        step: &Step<'_>,
        options: &RunOptions,
        buffers: &mut Buffers,
        recorder: &mut Recorder<'_>,
    ) -> AttemptEnd {
        let context = RunContext {
            run_id: &self.run_id,
            project: &self.project.name,
            planned: options.planned.unwrap_or(self.begin),
            first_run: options.parent.as_ref().map_or(&self.run_id, |parent| &parent.first),
            files: &self.files_dir,
            settings: self.settings.as_ref().map(SettingsFile::path),
            index,
            attempt,
        };
        let command = self.plan.command(step, &context);
        let settings = &step.script.settings;
        let request = AttemptRequest {
            spawner: options.spawner.as_ref(),
            command: &command,
            limits: step.limits(),
            success_codes: &settings.success_codes,
            expect: &settings.expect,
            masker: self.masker.as_ref(),
            cancel: &options.cancel,
        };
        let name = output_name(index, &step.script.file_name, attempt);
        let capture = Capture::new(&self.run_dir, name, &self.project.output);
        let mut observer = Observer { recorder, index, attempt };
        let mut end = exec::run_attempt(request, capture, buffers, &mut observer).await;
        for warning in std::mem::take(&mut end.warnings) {
            recorder.warn(format!("{}: {warning}", step.script.name));
        }
        end
    }
}

fn finished(
    index: usize,
    attempt: u32,
    end: AttemptEnd,
    usual: Option<Usual>,
    retry_after: Option<Duration>,
) -> EventKind {
    let AttemptEnd { outcome, pid, duration, usage, output, traceback, last_lines, leaked, warnings: _ } = end;
    EventKind::ScriptFinished {
        index,
        attempt,
        outcome,
        pid,
        duration_us: micros(duration),
        usage,
        output,
        last_lines: last_lines.filter(|_| traceback.is_none()),
        traceback,
        leaked,
        usual,
        retry_after_us: retry_after.map(micros),
    }
}

fn without_retry(mut event: EventKind) -> EventKind {
    if let EventKind::ScriptFinished { retry_after_us, .. } = &mut event {
        *retry_after_us = None;
    }
    event
}

/// From 0 to 1.
fn random() -> f64 {
    // The lower bits of such an identifier are random, and a float takes 53 of them.
    const BITS: u128 = 1 << 53;
    (uuid::Uuid::new_v4().as_u128() % BITS) as f64 / BITS as f64
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// `001-main.py.out`, of later attempts `001-main.py.2.out`: sorted as they ran, and told apart when a script stands in a
/// project twice.
pub(crate) fn output_name(index: usize, file_name: &str, attempt: u32) -> String {
    let safe: String =
        file_name.chars().map(|c| if c.is_control() || "<>:\"/\\|?*".contains(c) { '_' } else { c }).take(80).collect();
    match attempt {
        0 | 1 => format!("{:03}-{safe}.out", index + 1),
        _ => format!("{:03}-{safe}.{attempt}.out", index + 1),
    }
}
