//! One script of a run: its attempts, and the events that tell of them.

use std::time::Duration;

use super::options::RunOptions;
use super::recorder::{Observer, Recorder};
use super::run::Run;
use crate::event::EventKind;
use crate::exec::{self, AttemptEnd, AttemptRequest, Buffers, Capture};
use crate::plan::{RunContext, Step};

impl Run<'_> {
    /// Runs one script; true if it failed.
    pub(super) async fn script(
        &self,
        index: usize,
        step: &Step<'_>,
        options: &RunOptions,
        buffers: &mut Buffers,
        recorder: &mut Recorder<'_>,
    ) -> bool {
        let attempt = 1;
        let context = RunContext { run_id: &self.run_id, project: &self.project.name, index, attempt };
        let command = self.plan.command(step, &context);
        let request = AttemptRequest {
            spawner: options.spawner.as_ref(),
            command: &command,
            limits: step.limits(),
            success_codes: &step.script.settings.success_codes,
            cancel: &options.cancel,
        };
        let capture = Capture::new(&self.run_dir, output_name(index, &step.script.file_name), &self.project.output);
        let mut observer = Observer { recorder, index, attempt };
        let end = exec::run_attempt(request, capture, buffers, &mut observer).await;
        let AttemptEnd { outcome, pid, duration, usage, output, traceback, last_lines, leaked, warnings } = end;
        for warning in warnings {
            recorder.warn(format!("{}: {warning}", step.script.name));
        }
        let failed = outcome.is_failure();
        let usual = self.usual(step, &outcome, duration);
        recorder.record(EventKind::ScriptFinished {
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
            retry_after_us: None,
        });
        failed
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// `001-main.py.out`: sorted as they ran, and told apart when a script stands in a project twice.
pub(crate) fn output_name(index: usize, file_name: &str) -> String {
    let safe: String =
        file_name.chars().map(|c| if c.is_control() || "<>:\"/\\|?*".contains(c) { '_' } else { c }).take(80).collect();
    format!("{:03}-{safe}.out", index + 1)
}
