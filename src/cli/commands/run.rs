//! `runner run`: runs projects, several of them side by side if asked to.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::StateDir;
use super::schedule::{Wanted, scheduled};
use super::{check, params};
use crate::cli::ExitCode;
use crate::cli::args::{RunArgs, RunFlags};
use crate::cli::output::{self, Output, styled};
use crate::cli::progress::{Detail, Progress};
use crate::cli::signals;
use crate::config::{self, Environment};
use crate::event::EventSink;
use crate::exec::{self, Cancel, Spawn};
use crate::ledger::{self, Claim, Told};
use crate::mail::Deadline;
use crate::model::{MailOptions, Parent, Project, RunParam};
use crate::plan::{self, Given, Selection};
use crate::runner::{self, History, MailDelivery, Notice, RunError, RunOptions, Runner, When};
use crate::sink::{AtEnd, HistoryWriter, JsonSink};
use crate::store::{OpenOptions, RunEnded, Store};

pub(in crate::cli) fn run(args: RunArgs, state_dir: &StateDir, output: &Output) -> ExitCode {
    if args.help_params {
        return help_params(&args, output);
    }
    let selection = Selection { only: args.only, from: args.from, exactly: None };
    let occasion = args.scheduled.map(|schedule| Wanted::Latest { schedule, keeper: args.keeper, entry: args.entry });
    if occasion.is_some() && args.projects.len() > 1 {
        output.error(format!("{} --scheduled is about one project; name only one", styled(output::BAD, "error:")));
        return ExitCode::Usage;
    }
    let request = Request { selection, parent: None, planned: None, taken_over: Vec::new(), wanted: occasion };
    run_projects(&check::projects_or_here(&args.projects), args.jobs, args.flags, request, state_dir, output)
}

/// What is to be run of each project.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Which scripts.
    pub(super) selection: Selection,
    /// The run that it follows.
    pub(super) parent: Option<Parent>,
    /// The time whose work it does.
    pub(super) planned: Option<DateTime<Utc>>,
    /// The inputs of the run that it follows.
    pub(super) taken_over: Vec<RunParam>,
    /// The planned instants that are run; `None` if it is run by hand.
    pub(super) wanted: Option<Wanted>,
}

fn help_params(args: &RunArgs, output: &Output) -> ExitCode {
    let env = Environment::from_process();
    let mut code = ExitCode::Success;
    for path in check::projects_or_here(&args.projects) {
        match check::load(&path, args.flags.profile.as_deref(), &env, output) {
            Some(loaded) => output.line(params::help(&loaded.project, &path, output.width())),
            None => code = ExitCode::Usage,
        }
    }
    code
}

/// Runs the projects in these folders, `jobs` at a time.
pub(super) fn run_projects(
    folders: &[PathBuf],
    jobs: u16,
    mut flags: RunFlags,
    request: Request,
    state_dir: &StateDir,
    output: &Output,
) -> ExitCode {
    let mail = match mail_delivery(flags.mail_dir.take(), flags.no_mail) {
        Ok(mail) => mail,
        Err(message) => {
            output.error(format!("{} {message}", styled(output::BAD, "error:")));
            return ExitCode::Usage;
        }
    };
    // Started first, so that it is there by the time the projects are read.
    let spawner = if flags.dry_run { exec::default_spawner() } else { spawner(output) };
    let env = Environment::from_process();
    let max_runs = match config::most_runs(&env) {
        Ok(most) => most,
        Err(message) => {
            output.error(format!("{} {message}", styled(output::BAD, "error:")));
            return ExitCode::Usage;
        }
    };
    let mut worst = ExitCode::Success;
    let mut projects = VecDeque::new();
    for path in folders {
        match check::try_load(path, flags.profile.as_deref(), &env, output) {
            Ok(loaded) => projects.push_back(loaded.project),
            Err(error) => {
                worst = worst.max(ExitCode::Usage);
                if let (Some(wanted), Some(state_dir), false) = (&request.wanted, state_dir.path(), flags.dry_run) {
                    scheduled::cannot_be_run(path, flags.profile.as_deref(), wanted, error.first(), state_dir);
                }
            }
        }
    }
    let given = Given { values: flags.params.clone(), taken_over: request.taken_over.clone() };
    let when = When { at: request.planned.unwrap_or_else(Utc::now), schedule: None };
    // Of all projects, before one of them runs.
    let mut is_misused = false;
    projects.retain(|project| {
        let Err(error) = runner::inputs(project, &given, when) else { return true };
        tell_error(&error, output);
        worst = worst.max(ExitCode::Usage);
        is_misused |= matches!(&error, RunError::Inputs { problems, .. } if problems.iter().any(|one| one.is_given));
        if let (Some(wanted), Some(state_dir), false) = (&request.wanted, state_dir.path(), flags.dry_run) {
            let detail = error.to_string();
            scheduled::cannot_be_run(&project.root, project.profile.as_deref(), wanted, detail, state_dir);
        }
        false
    });
    if is_misused && !projects.is_empty() {
        output.error("nothing was run: what is given with -p goes for all of the projects");
        projects.clear();
    }
    if flags.dry_run {
        let dry_run = |project| match runner::plan(project, &request.selection, &given, when) {
            Ok(plan) => {
                output.line(plan::render(project, &plan).trim_end());
                ExitCode::Success
            }
            Err(error) => {
                output.error(&error);
                ExitCode::from(&error)
            }
        };
        return projects.iter().map(dry_run).fold(worst, ExitCode::max);
    }
    if projects.is_empty() && request.wanted.is_none() {
        return worst;
    }
    let command = RunCommand { max_runs, ..RunCommand::new(flags, mail, request, spawner, state_dir, output) };
    if projects.is_empty() {
        // Nobody looks at what the system's scheduler starts, so that somebody has to be told.
        let root = folders.first().and_then(|folder| config::project_root(folder).ok()).unwrap_or_default();
        command.tell_alarms(&root, None, &Deadline::after(MailOptions::default().deadline));
        return worst;
    }
    signals::interrupt_on_signals(command.cancel.clone());
    worst.max(command.run_all(jobs, projects))
}

/// A line each where several things are wrong.
fn tell_error(error: &RunError, output: &Output) {
    for line in error.to_string().lines() {
        output.error(format!("{} {line}", styled(output::BAD, "error:")));
    }
}

/// What all projects of one command share.
pub(super) struct RunCommand<'a> {
    flags: RunFlags,
    mail: MailDelivery,
    /// How many runs may be under way on the machine.
    max_runs: Option<u32>,
    request: Request,
    pub(super) output: &'a Output,
    pub(super) state_dir: Option<PathBuf>,
    spawner: Arc<dyn Spawn>,
    cancel: Cancel,
    history: History,
    /// Until when the process may wait for mails once all has run: as long as the run whose time ends last.
    deadline: Mutex<Option<Deadline>>,
}

impl<'a> RunCommand<'a> {
    fn new(
        flags: RunFlags,
        mail: MailDelivery,
        request: Request,
        spawner: Arc<dyn Spawn>,
        state_dir: &StateDir,
        output: &'a Output,
    ) -> Self {
        let history = match state_dir.required() {
            Ok(dir) => {
                // The process ends right after the last run; what closing would write back is for a quieter moment.
                let writer = HistoryWriter::start(dir.to_owned(), OpenOptions::default(), AtEnd::LeaveOpen);
                History::Shared(Arc::new(writer))
            }
            Err(message) => {
                output.error(format!("{} no history is kept: {message}", styled(output::WARNING, "warning:")));
                History::Off
            }
        };
        let state_dir = state_dir.path().map(Path::to_owned);
        Self {
            flags,
            mail,
            max_runs: None,
            request,
            output,
            state_dir,
            spawner,
            cancel: Cancel::default(),
            history,
            deadline: Mutex::default(),
        }
    }

    fn run_all(&self, jobs: u16, projects: VecDeque<Project>) -> ExitCode {
        let threads = usize::from(jobs).min(projects.len());
        let own: Vec<PathBuf> = projects.iter().map(|project| project.root.clone()).collect();
        let first = projects.front().cloned();
        let queue = Mutex::new(projects);
        let work = || {
            let mut worst = ExitCode::Success;
            while let Some(project) = { queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() } {
                worst = worst.max(self.run_one(project));
            }
            worst
        };
        let worst = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            others.into_iter().fold(own, |worst, thread| {
                worst.max(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        });
        let deadline = self.deadline.lock().unwrap_or_else(PoisonError::into_inner).take();
        let deadline = deadline.unwrap_or_else(|| Deadline::after(MailOptions::default().deadline));
        runner::recover_others(&own, &self.options(), &deadline, &|notice| self.tell(&notice));
        if let (Some(first), None) = (first, self.cancel.cancelled_by()) {
            self.tell_alarms(&first.root, Some(&first), &deadline);
        }
        worst
    }

    fn tell_alarms(&self, root: &Path, own: Option<&Project>, deadline: &Deadline) {
        runner::send_alarms(root, own, &self.options(), deadline, &|notice| self.tell(&notice));
    }

    fn options(&self) -> RunOptions {
        RunOptions {
            selection: self.request.selection.clone(),
            params: Given { values: self.flags.params.clone(), taken_over: self.request.taken_over.clone() },
            mail: self.mail.clone(),
            history: self.history.clone(),
            spawner: Arc::clone(&self.spawner),
            cancel: self.cancel.clone(),
            sinks: Vec::new(),
            parent: self.request.parent.clone(),
            planned: self.request.planned,
            occasion: None,
            max_runs: self.max_runs,
            run_id: None,
            warnings: Vec::new(),
        }
    }

    /// On standard error, so that JSON lines stay what they are.
    fn tell(&self, notice: &Notice) {
        match notice {
            Notice::Waiting(_) if self.flags.quiet => {}
            Notice::Waiting(text) => self.output.error(text),
            Notice::Recorded(text) | Notice::Trouble(text) => {
                self.output.error(format!("{} {text}", styled(output::WARNING, "warning:")));
            }
        }
    }

    fn run_one(&self, project: Project) -> ExitCode {
        match &self.request.wanted {
            Some(wanted) => scheduled::run(self, &project, wanted),
            None => self.run_for(project, None),
        }
    }

    /// Runs a project, for a planned instant if one is given; whose claim it is then hears how it goes.
    pub(super) fn run_for(&self, project: Project, planned: Option<(&Claim, &(dyn Fn(Told) + Sync))>) -> ExitCode {
        if let Some(by) = self.cancel.cancelled_by() {
            self.output.error(format!("{}: not started: {by}", project.name));
            if let Some((_, told)) = planned {
                told(Told::Ended(RunEnded::GaveBack));
            }
            return ExitCode::Interrupted;
        }
        let sink = self.sink(&project);
        let name = project.name.clone();
        let warnings = self.request.wanted.iter().filter_map(|wanted| wanted.stale(&project)).collect();
        let runner = Runner::new(project);
        let tell = |notice| self.tell(&notice);
        let options = RunOptions { warnings, ..self.options() };
        let result = match planned {
            Some((claim, told)) => ledger::carry_out(claim, &runner, options, sink, &tell, told),
            None => runner.run_with(options, sink, &tell),
        };
        match result {
            // Interrupted after the last script, too: while the mail was under way.
            Ok(_) if self.cancel.cancelled_by().is_some() => ExitCode::Interrupted,
            Ok((run, deadline)) => {
                let mut last = self.deadline.lock().unwrap_or_else(PoisonError::into_inner);
                if last.as_ref().is_none_or(|last| last.instant() < deadline.instant()) {
                    *last = Some(deadline);
                }
                ExitCode::from(run.report.status)
            }
            Err(error) => {
                match &error {
                    // Of the settings, which several projects may share; whose mail it is stands in front.
                    RunError::Mail(error) => {
                        self.output.error(format!("{} {name}: {error}", styled(output::BAD, "error:")));
                    }
                    RunError::Interrupted { .. } => self.output.error(&error),
                    error => tell_error(error, self.output),
                }
                ExitCode::from(&error)
            }
        }
    }

    /// What shows the run to whoever started it.
    fn sink(&self, project: &Project) -> Box<dyn EventSink + '_> {
        if self.flags.json {
            return Box::new(JsonSink::new(JsonLines(self.output)));
        }
        let detail = match (self.flags.quiet, self.flags.verbose) {
            (true, _) => Detail::Problems,
            (_, true) => Detail::Everything,
            _ => Detail::Scripts,
        };
        // Only where it is shown, since it has to be looked up.
        let usual = if self.output.terminal { self.usual_durations(project) } else { HashMap::new() };
        Box::new(Progress::new(self.output, project, detail, usual))
    }

    fn usual_durations(&self, project: &Project) -> HashMap<String, Duration> {
        let Some(dir) = self.state_dir.as_deref().filter(|dir| dir.join(crate::store::DATABASE_FILE).exists()) else {
            return HashMap::new();
        };
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { return HashMap::new() };
        let durations = runtime.block_on(async {
            let mut store = Store::open(dir).await?;
            let durations = store.usual_durations(&project.root, project.profile.as_deref()).await;
            store.leave_open();
            durations
        });
        // A database that can't be used is told of at the end of the run.
        durations.unwrap_or_default()
    }
}

/// Whole lines to standard output, between those of other runs.
struct JsonLines<'a>(&'a Output);

impl std::io::Write for JsonLines<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.bytes(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What becomes of mails, by the flags.
pub(super) fn mail_delivery(mail_dir: Option<PathBuf>, no_mail: bool) -> Result<MailDelivery, String> {
    let Some(dir) = mail_dir else { return Ok(if no_mail { MailDelivery::Off } else { MailDelivery::Send }) };
    // Reports name the mail's file. They are read elsewhere too, and they are Unicode.
    let dir = std::path::absolute(&dir).unwrap_or(dir);
    match dir.to_str() {
        Some(_) => Ok(MailDelivery::Folder(dir)),
        None => Err(format!("--mail-dir: the path {} is not Unicode; name another folder", dir.display())),
    }
}

/// Who owns the scripts of this process, with a word if that is less than it should be.
pub(super) fn spawner(output: &Output) -> Arc<dyn Spawn> {
    let (spawner, trouble) = exec::owning_spawner();
    if let Some(trouble) = trouble {
        output.error(format!("{} {trouble}", styled(output::WARNING, "warning:")));
    }
    spawner
}
