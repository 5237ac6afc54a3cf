//! Whether a run is worth a mail, and which scripts the mail mentions. Pure.

use super::RenderContext;
use crate::model::{EmailStrategy, Outcome, RunReport, RunStatus, ScriptReport};

/// Whether the strategy wants a mail about this run. A run that was interrupted is no success, so a reader of failures
/// hears of it even when no script had failed.
#[must_use]
pub fn is_due(strategy: EmailStrategy, report: &RunReport, _context: &RenderContext) -> bool {
    match strategy {
        EmailStrategy::All | EmailStrategy::Digest => true,
        EmailStrategy::FailureOnly | EmailStrategy::Changes => {
            report.status == RunStatus::Interrupted || report.failures().next().is_some()
        }
        EmailStrategy::None => false,
    }
}

/// The scripts that the mail mentions, failures first, otherwise in running order.
#[must_use]
pub fn mentioned(strategy: EmailStrategy, report: &RunReport) -> Vec<&ScriptReport> {
    let failed = |script: &&ScriptReport| script.outcome.as_ref().is_some_and(Outcome::is_failure);
    match strategy {
        EmailStrategy::All | EmailStrategy::Digest => {
            let (mut first, rest): (Vec<_>, Vec<_>) = report.scripts.iter().partition(failed);
            first.extend(rest);
            first
        }
        EmailStrategy::FailureOnly | EmailStrategy::Changes => report.failures().collect(),
        EmailStrategy::None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::render::samples::{exit, report, skipped, success};
    use crate::model::EmailStrategy::{All, FailureOnly, None};

    #[test]
    fn the_strategies_are_as_documented() {
        let interrupted = || Outcome::Interrupted { by: "Ctrl-C".into() };
        let cases: [(EmailStrategy, Vec<Outcome>, bool, &[usize]); 9] = [
            (All, vec![success(), success()], true, &[0, 1]),
            (All, vec![success(), exit(1), success(), exit(2)], true, &[1, 3, 0, 2]),
            (FailureOnly, vec![success(), success()], false, &[]),
            (FailureOnly, vec![success(), exit(1), success(), exit(2)], true, &[1, 3]),
            (FailureOnly, vec![exit(1), skipped()], true, &[0]),
            (FailureOnly, vec![success(), interrupted(), skipped()], true, &[1]),
            (None, vec![success()], false, &[]),
            (None, vec![exit(1)], false, &[]),
            (None, vec![interrupted()], false, &[]),
        ];
        for (strategy, outcomes, due, names) in cases {
            let report = report("P", outcomes.clone());
            assert_eq!(is_due(strategy, &report, &RenderContext::default()), due, "{strategy:?} {outcomes:?}");
            let indices: Vec<usize> = mentioned(strategy, &report).iter().map(|script| script.index).collect();
            assert_eq!(indices, names, "{strategy:?} {outcomes:?}");
        }
    }

    #[test]
    fn a_run_cut_off_between_two_scripts_is_worth_a_mail() {
        let mut report = report("P", vec![success(), success()]);
        report.status = RunStatus::Interrupted;
        assert!(is_due(FailureOnly, &report, &RenderContext::default()));
        assert!(mentioned(FailureOnly, &report).is_empty());
    }
}
