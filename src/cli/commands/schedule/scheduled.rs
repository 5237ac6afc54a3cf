//! `runner run --scheduled` and `runner schedule run-now`: a project run for its planned instants, by the ledger.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};

use super::clerk::{Clerk, now};
use super::entries;
use crate::cli::ExitCode;
use crate::cli::args::ScheduleRunNowArgs;
use crate::cli::commands::StateDir;
use crate::cli::commands::run::{Request, RunCommand, run_projects};
use crate::cli::output::{self, Output, styled};
use crate::config;
use crate::exec;
use crate::host::found::has_drifted;
use crate::host::{Host, Subject};
use crate::ledger::{Claim, Ledger};
use crate::model::Project;
use crate::plan::Selection;
use crate::schedule::{Answer, PUNCTUAL, Presence, Schedule, SkipCause, latest};
use crate::store::{
    Keeper, OccurrenceRow, OccurrenceState, Registration, RunEnded, RunNews, ScheduleFilter, ScheduleRow, StoreError,
};

/// The system's own scheduler may call so much early.
const EARLY: SignedDuration = SignedDuration::from_secs(2);
/// How far back the instant is looked for that a run without the ledger is taken to be for.
const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(366 * 24);

/// For which planned instants a project is to run.
#[derive(Debug, Clone)]
pub(in crate::cli::commands) enum Wanted {
    /// The latest of a schedule that is open; in order, if it doesn't coalesce. Nothing, if none is.
    Latest {
        /// The schedule.
        schedule: String,
        /// Who keeps it, as far as he says.
        keeper: Option<Keeper>,
        /// The fingerprint of the schedule for which the entry was made that calls.
        entry: Option<String>,
    },
    /// All that are open of a schedule in one run, which takes place in any case.
    Now {
        /// The schedule; the project's only one unless named.
        schedule: Option<String>,
    },
}

impl Wanted {
    /// That the entry which calls was made for something else than the project file has now: it calls at other times.
    pub(in crate::cli::commands) fn stale(&self, project: &Project) -> Option<String> {
        let Self::Latest { schedule: name, keeper, entry: Some(made_for) } = self else { return None };
        let schedule = find(project, Some(name)).ok()?;
        // A daemon has no entries: that is nobody's word.
        let keeper = keeper.filter(|keeper| *keeper != Keeper::Daemon);
        let mut hosts =
            Host::ALL.into_iter().filter(|host| keeper.is_none_or(|keeper| keeper == entries::keeper(*host)));
        let of = Subject { project, schedule };
        hosts.all(|host| has_drifted(made_for, of, host)).then(|| {
            let keeper = keeper.map_or("the system's scheduler", Keeper::name);
            format!(
                "the entry of {keeper} that started this was made before exec_config.json, or the machine's time zone, was \
                 changed, and starts it when it was planned then; `runner schedule install {}` makes it anew",
                project.root.display()
            )
        })
    }
}

pub(super) fn run_now(args: &ScheduleRunNowArgs, state: &StateDir, output: &Output) -> ExitCode {
    let wanted = Some(Wanted::Now { schedule: args.schedule.clone() });
    let request =
        Request { selection: Selection::default(), parent: None, planned: None, taken_over: Vec::new(), wanted };
    run_projects(std::slice::from_ref(&args.project), 1, args.flags.clone(), request, state, output)
}

/// Runs a project for what is wanted.
pub(in crate::cli::commands) fn run(command: &RunCommand<'_>, project: &Project, wanted: &Wanted) -> ExitCode {
    let named = match wanted {
        Wanted::Latest { schedule, .. } => Some(schedule),
        Wanted::Now { schedule } => schedule.as_ref(),
    };
    let schedule = match find(project, named.map(String::as_str)) {
        Ok(schedule) => schedule,
        Err(message) => {
            command.output.error(format!("{} {}: {message}", styled(output::BAD, "error:"), project.name));
            return ExitCode::Usage;
        }
    };
    let clerk = match &command.state_dir {
        Some(dir) => Clerk::start(dir),
        None => Err("there is no folder for the state database; name one with `--state-dir`".to_owned()),
    };
    let code = match clerk {
        Ok(clerk) => {
            let code = by_ledger(command, project, schedule, wanted, &clerk);
            clerk.finish();
            code
        }
        Err(why) => Err(why),
    };
    code.unwrap_or_else(|why| {
        let what = "it isn't known whether this planned instant was run before; the project runs";
        command.output.error(format!("{} {}: {what}: {why}", styled(output::WARNING, "warning:"), project.name));
        without_ledger(command, project, schedule)
    })
}

/// Claims and runs; `Err` says why nothing could be claimed, before anything was run.
fn by_ledger(
    command: &RunCommand<'_>,
    project: &Project,
    schedule: &Schedule,
    wanted: &Wanted,
    clerk: &Clerk,
) -> Result<ExitCode, String> {
    let (early, keeper, in_one) = match wanted {
        Wanted::Latest { keeper, .. } => (EARLY, *keeper, schedule.coalesce),
        Wanted::Now { .. } => (SignedDuration::ZERO, None, true),
    };
    let called = present(early);
    let job =
        Job { project: project.clone(), schedule: Schedule { coalesce: in_one, ..schedule.clone() }, keeper, called };
    let mut worst = None;
    loop {
        // What fell due meanwhile has its turn too: whoever was called for it found that others came first, and left.
        let (asked, at) = (job.clone(), if worst.is_none() { called } else { now() });
        let claimed = clerk.ask(move |ledger, runtime| runtime.block_on(asked.claim(ledger, at)));
        let looked = match claimed {
            Some(Ok(looked)) => looked,
            // What was run before is no reason to run once more.
            trouble if worst.is_none() => return Err(trouble.map_or_else(gone, sentence)),
            _ => return Ok(worst.unwrap_or(ExitCode::CannotWork)),
        };
        if looked.is_nobodys && worst.is_none() {
            command.output.error(kept_by_nobody(project, schedule));
            return Ok(command.run_for(project.clone(), None));
        }
        let Some(claim) = looked.claim else {
            return Ok(match (worst, wanted) {
                (Some(code), _) => code,
                (None, Wanted::Now { .. }) => command.run_for(project.clone(), None),
                (None, Wanted::Latest { .. }) => {
                    if let Some(stale) = wanted.stale(project) {
                        let warning = styled(output::WARNING, "warning:");
                        command.output.error(format!("{}: {warning} {stale}", project.name));
                    }
                    command.output.error(nothing_open(project, schedule, looked.last.as_ref()));
                    ExitCode::Success
                }
            });
        };
        wait_for(claim.planned);
        let code = command.run_for(project.clone(), Some((&claim, &|told| clerk.note(&claim, told))));
        worst = Some(worst.map_or(code, |worst: ExitCode| worst.max(code)));
        if in_one || code == ExitCode::Interrupted {
            return Ok(code);
        }
    }
}

/// The present for whoever may call so much early.
fn present(early: SignedDuration) -> Timestamp {
    let now = now();
    now.checked_add(early).unwrap_or(now)
}

/// Nothing begins before it is planned: whoever calls so early waits.
fn wait_for(planned: Timestamp) {
    let early = planned.duration_since(now()).clamp(SignedDuration::ZERO, EARLY);
    std::thread::sleep(early.unsigned_abs());
}

fn gone() -> String {
    "the thread that sees to the ledger has ended".to_owned()
}

fn sentence(looked: Result<Looked, StoreError>) -> String {
    looked.err().map(|error| error.sentence()).unwrap_or_default()
}

/// A schedule that is looked at.
#[derive(Clone)]
struct Job {
    project: Project,
    schedule: Schedule,
    keeper: Option<Keeper>,
    /// When the call came.
    called: Timestamp,
}

/// What a look came to.
#[derive(Default)]
struct Looked {
    /// Whether nobody keeps the schedule. Then the ledger doesn't answer for it.
    is_nobodys: bool,
    claim: Option<Claim>,
    /// The newest answer.
    last: Option<OccurrenceRow>,
}

impl Job {
    /// Settles what is due, of what the schedule was before too, and claims what is to run.
    async fn claim(self, ledger: &mut Ledger, now: Timestamp) -> Result<Looked, StoreError> {
        let Some(row) = self.register(ledger, now).await? else {
            return Ok(Looked { is_nobodys: true, ..Looked::default() });
        };
        // The system's scheduler has called for what wasn't late by then.
        let since = self.keeper.map(|_| before(self.called, PUNCTUAL));
        let presence = Presence { since, ..presence(now) };
        let mut looks: Vec<(ScheduleRow, Schedule)> = Vec::new();
        for earlier in of_schedule(ledger, &self.project, &self.schedule.name).await? {
            if let (true, Some(schedule)) = (earlier.is_closing(), ledger.revive(&earlier)) {
                looks.push((earlier, schedule));
            }
        }
        let in_force = if row.definition == self.schedule.definition { None } else { ledger.revive(&row) };
        let coalesce = self.schedule.coalesce;
        let in_force = in_force.map_or(self.schedule, |schedule| Schedule { coalesce, ..schedule });
        // One run stands for all that is open: that of what is in force, if it has one.
        if coalesce {
            looks.insert(0, (row.clone(), in_force));
        } else {
            looks.push((row.clone(), in_force));
        }
        // One at a time: whoever claims has to run it.
        let mut looks = looks.into_iter();
        while let Some((row, schedule)) = looks.next() {
            loop {
                let settled = ledger.settle(&[(row.id, &schedule)], None, now, &presence).await?;
                let Some((settled, claim)) = settled.into_iter().next() else { break };
                if claim.is_some() {
                    for (earlier, schedule) in looks.filter(|_| coalesce) {
                        // That run is the only one; what can't be written now is answered by the next call.
                        let schedule = Schedule { misfire_grace: Some(SignedDuration::ZERO), ..schedule };
                        let _ = ledger.settle(&[(earlier.id, &schedule)], None, now, &presence).await;
                    }
                    return Ok(Looked { claim, ..Looked::default() });
                }
                if settled.next.is_none_or(|next| next > now) {
                    break;
                }
            }
        }
        let last = ledger.store().occurrences(row.id, 1).await?.into_iter().next();
        Ok(Looked { last, ..Looked::default() })
    }

    /// The schedule's row, made if whoever keeps it calls; `None` if nobody keeps it. What is begun by hand must not have
    /// the ledger wait for runs that nobody will start.
    async fn register(&self, ledger: &mut Ledger, now: Timestamp) -> Result<Option<ScheduleRow>, StoreError> {
        let (project, schedule) = (&self.project, &self.schedule);
        let rows = of_schedule(ledger, project, &schedule.name).await?;
        // What it was answers for what was due until it ended.
        let answered = rows.iter().filter_map(|row| row.ended).max();
        let known = rows.into_iter().find(|row| row.ended.is_none());
        // What somebody else keeps stays as he keeps it: he may read the project with another environment.
        if let Some(row) = known.as_ref().filter(|row| self.keeper != Some(row.keeper)) {
            return Ok(Some(row.clone()));
        }
        let Some(keeper) = self.keeper else { return Ok(None) };
        // Of one that nobody knew of yet, the instant is open for which this is called.
        let since = match &known {
            // What was planned since the file was changed is planned by what it says now.
            Some(row) if row.definition != schedule.definition => {
                let changed = changed(project).map_or(row.covered, |changed| changed.max(row.covered));
                Some(changed.min(now))
            }
            Some(_) => None,
            None => latest(schedule, before(now, LOOKED_BACK), now)
                .map(|planned| before(planned, SignedDuration::from_micros(1)))
                .max(answered),
        };
        let since = since.unwrap_or(now);
        let schedules = if keeper == Keeper::Daemon { &project.schedules[..] } else { std::slice::from_ref(schedule) };
        let registration = Registration {
            project_dir: &project.root,
            project: &project.name,
            profile: project.profile.as_deref(),
            keeper,
            schedules,
        };
        let registered = ledger.register(&registration, since).await?;
        ledger.store().keep_contacts([project]).await?;
        let ours = registered.rows.into_iter().flatten().find(|row| row.name == schedule.name);
        match (ours, known) {
            (Some(row), _) | (None, Some(row)) => Ok(Some(row)),
            // There is one in any case: only what another keeps is left to him, and then it was known.
            (None, None) => Err(StoreError::BadValue {
                path: ledger.store().path().to_owned(),
                what: format!("no schedule `{}` after it was put there", schedule.name),
            }),
        }
    }
}

/// When the project file was written.
fn changed(project: &Project) -> Option<Timestamp> {
    let written = std::fs::metadata(project.root.join(config::PROJECT_FILE)).and_then(|file| file.modified());
    Timestamp::try_from(written.ok()?).ok()
}

fn before(instant: Timestamp, by: SignedDuration) -> Timestamp {
    instant.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// What the ledger has of a project's schedule, also from before it was changed.
pub(super) async fn of_schedule(
    ledger: &mut Ledger,
    project: &Project,
    name: &str,
) -> Result<Vec<ScheduleRow>, StoreError> {
    let filter = ScheduleFilter { projects: Some(vec![project.root.clone()]), with_ended: true };
    let rows = ledger.store().schedules(&filter).await?;
    Ok(rows.into_iter().filter(|row| row.name == name && row.profile == project.profile).collect())
}

/// What this process knows of the machine.
fn presence(now: Timestamp) -> Presence {
    let up = exec::up_for().and_then(|up| SignedDuration::try_from(up).ok());
    Presence { booted: up.map(|up| before(now, up)), ..Presence::default() }
}

/// The schedule of this name; without one, the only one there is.
pub(super) fn find<'a>(project: &'a Project, name: Option<&str>) -> Result<&'a Schedule, String> {
    let names: Vec<String> = project.schedules.iter().map(|schedule| format!("`{}`", schedule.name)).collect();
    let found = match name {
        Some(name) => project.schedules.iter().find(|schedule| schedule.name == name),
        None => project.schedules.first().filter(|_| names.len() == 1),
    };
    found.ok_or_else(|| match (name, names.is_empty()) {
        (_, true) => "the project has no schedule; add the key `schedule` to its exec_config.json".to_owned(),
        (Some(name), false) => format!("there is no schedule `{name}`, only {}", names.join(", ")),
        (None, false) => format!("there are several schedules; name one of {}", names.join(", ")),
    })
}

/// That the run is one by hand, and what would make it more.
fn kept_by_nobody(project: &Project, schedule: &Schedule) -> String {
    let warning = styled(output::WARNING, "warning:");
    let what = format!("nobody keeps the schedule `{}`, so that this run counts as one by hand", schedule.name);
    let hint = "`runner schedule install` or `runner daemon` would keep it";
    format!("{warning} {}: {what}; {hint}", project.name)
}

/// That nothing is to run, and what became of the last instant.
fn nothing_open(project: &Project, schedule: &Schedule, last: Option<&OccurrenceRow>) -> String {
    let what = format!("{}: nothing of the schedule `{}` is to run now", project.name, schedule.name);
    let hint = format!("`runner run {}` runs it anyway", project.root.display());
    match last {
        None => format!("{what}; {hint}"),
        Some(last) => {
            let planned = last.last.to_zoned(schedule.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
            format!("{what}: {planned} {}; {hint}", fate(last))
        }
    }
}

/// What became of instants, after their time: `ran (run 39be3…)`.
fn fate(row: &OccurrenceRow) -> String {
    let run = row.run_id.as_ref().map(|run_id| format!(" (run {run_id})")).unwrap_or_default();
    match row.state {
        OccurrenceState::Claimed if row.run_id.is_none() => "waits to be run".to_owned(),
        OccurrenceState::Claimed => format!("is about to run{run}"),
        OccurrenceState::Answered(Answer::Ran) => format!("ran{run}"),
        OccurrenceState::Answered(Answer::Late(why)) => format!("ran late: {}{run}", why.reason()),
        OccurrenceState::Answered(Answer::Skipped(SkipCause::Overlap)) => {
            "was left out: the project was running".to_owned()
        }
        OccurrenceState::Answered(Answer::Skipped(SkipCause::Paused)) => "was left out: it is paused".to_owned(),
        OccurrenceState::Answered(Answer::Missed(why)) => format!("was missed: {}", why.reason()),
        OccurrenceState::Answered(Answer::Merged) => "was merged into a later one".to_owned(),
    }
}

/// The ledger can't be used: runs all the same, for what is probably meant.
fn without_ledger(command: &RunCommand<'_>, project: &Project, schedule: &Schedule) -> ExitCode {
    let now = present(EARLY);
    match latest(schedule, before(now, LOOKED_BACK), now) {
        Some(planned) => {
            wait_for(planned);
            let claim = Claim::unwritten(project, schedule, planned);
            command.run_for(project.clone(), Some((&claim, &|_| {})))
        }
        None => command.run_for(project.clone(), None),
    }
}

/// What is due of a project that can't be run is missed, and somebody is told.
pub(in crate::cli::commands) fn cannot_be_run(
    folder: &Path,
    profile: Option<&str>,
    wanted: &Wanted,
    detail: String,
    state_dir: &Path,
) {
    let Wanted::Latest { schedule, .. } = wanted else { return };
    let (Ok(clerk), Ok(folder)) = (Clerk::start(state_dir), config::project_root(folder)) else { return };
    let (profile, name) = (profile.map(str::to_owned), schedule.clone());
    let missed = clerk.ask(move |ledger, runtime| {
        runtime.block_on(async {
            let now = present(EARLY);
            let filter = ScheduleFilter { projects: Some(vec![folder]), with_ended: false };
            for row in ledger.store().schedules(&filter).await? {
                let of_it = row.name == name && row.profile == profile;
                let Some(schedule) = ledger.revive(&row).filter(|_| of_it) else { continue };
                let schedule = Schedule { coalesce: true, ..schedule };
                for (_, claim) in ledger.settle(&[(row.id, &schedule)], None, now, &presence(now)).await? {
                    let ended = RunEnded::CouldNotRun { detail: detail.clone() };
                    let Some(claim) = claim else { continue };
                    ledger.hear([(claim.run_id.clone(), RunNews::Ended(ended, now))]).await?;
                }
            }
            Ok::<(), StoreError>(())
        })
    });
    if let Some(Err(error)) = missed {
        tracing::warn!("{}", error.sentence());
    }
    clerk.finish();
}
