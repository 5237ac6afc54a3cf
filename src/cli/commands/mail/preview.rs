//! `runner mail preview RUN`: the mail about a past run, written instead of sent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::super::reading::{bring_up_to_date, with_store};
use super::super::show::load_report;
use super::super::{CommandError, StateDir};
use crate::cli::ExitCode;
use crate::cli::args::MailPreviewArgs;
use crate::cli::output::{self, Output, styled};
use crate::config::{self, Environment, LoadRequest};
use crate::mail::{
    Addressing, EmlFolder, MessageError, RenderContext, Rendered, configured_sender, finish, is_due, render,
};
use crate::model::{EmailStrategy, Language, MailOptions, MailState, PAST_RUNS, Project, RunReport};
use crate::store::PastOf;

/// Stands for a sender or recipient that isn't known, in a domain that never exists (RFC 2606, section 2).
const NOBODY: &str = "nobody@preview.invalid";

/// What of the project goes into a mail.
struct Setup {
    strategy: EmailStrategy,
    recipients: Vec<String>,
    from: Option<lettre::message::Mailbox>,
    options: MailOptions,
    context: RenderContext,
    project: Option<Project>,
}

pub(super) fn preview(args: &MailPreviewArgs, state: &StateDir, output: &Output) -> ExitCode {
    with_store(state, output, async |store, out| {
        bring_up_to_date(store, None, output).await?;
        let report = load_report(store, &args.run).await?;
        let mut setup = Setup::of(&report, output);
        let of = PastOf {
            project_dir: report.project_dir.clone(),
            profile: report.profile.clone(),
            before: report.started,
            with_written: matches!(report.mail, Some(MailState::Written { .. })),
        };
        if let Some(project) = &setup.project {
            let kept = store.kept_schedules(&project.root, project.profile.as_deref()).await?;
            let ended = report.finished.unwrap_or(report.started);
            setup.context.next_planned = project.next_planned(ended, |schedule| kept.contains(&schedule.name));
        }
        setup.context.past = store.past_runs(&of, PAST_RUNS).await?;
        setup.context.last_told = store.last_told(&of).await?;
        let languages: Vec<(&str, Language)> = match args.language.as_deref() {
            None => vec![("", setup.context.language)],
            Some(wanted) => {
                Language::NAMES.into_iter().filter(|(code, _)| matches!(wanted, "all") || *code == wanted).collect()
            }
        };
        for (code, language) in languages {
            let context = RenderContext { language, ..setup.context.clone() };
            let rendered = render(&report, setup.strategy, &context);
            let code = if args.language.as_deref() == Some("all") { code } else { "" };
            let file = match args.html.as_deref() {
                Some(page) if page == Path::new("-") => {
                    out.write_all(rendered.html.as_bytes())?;
                    continue;
                }
                Some(page) => write_page(page, code, &rendered)?,
                None => write_message(&args.dir, code, &report, &rendered, &setup)?,
            };
            writeln!(out, "{}", file.display())?;
            if args.open {
                open(&file).map_err(|source| CommandError::Read { path: file, source })?;
            }
        }
        if !is_due(setup.strategy, &report, &setup.context) {
            let strategy = setup.strategy.name();
            output.error(format!("The strategy `{strategy}` has no mail about this run; this is what it would say."));
        }
        Ok(())
    })
}

impl Setup {
    /// As the project is set up now or, if it can't be loaded, as one that says nothing of mails.
    fn of(report: &RunReport, output: &Output) -> Self {
        let env = Environment::from_process();
        let request = LoadRequest { project: &report.project_dir, profile: report.profile.as_deref(), env: &env };
        match config::load(&request) {
            Ok(loaded) => {
                let project = loaded.project;
                Self {
                    strategy: project.email_strategy,
                    from: configured_sender(&project.dotenv, &|name| std::env::var(name).ok()),
                    context: RenderContext::of(&project, Vec::new()),
                    recipients: project.recipients.clone(),
                    options: project.mail.clone(),
                    project: Some(project),
                }
            }
            Err(_) => {
                let what = styled(output::WARNING, "warning:");
                let folder = report.project_dir.display();
                output.error(format!(
                    "{what} the project in {folder} can't be loaded, so its settings for mails aren't known; `runner check` says why"
                ));
                Self {
                    strategy: EmailStrategy::All,
                    recipients: Vec::new(),
                    from: None,
                    options: MailOptions::default(),
                    context: RenderContext::default(),
                    project: None,
                }
            }
        }
    }
}

/// `mail.html`, or `mail.fr.html` if there are several.
fn write_page(page: &Path, code: &str, rendered: &Rendered) -> Result<PathBuf, CommandError> {
    let file = if code.is_empty() { page.to_owned() } else { with_code(page, code) };
    match std::fs::write(&file, &rendered.html) {
        Ok(()) => Ok(file),
        Err(source) => Err(CommandError::WriteFile { path: file, source }),
    }
}

fn with_code(file: &Path, code: &str) -> PathBuf {
    let ending = file.extension().unwrap_or_default().to_string_lossy();
    file.with_extension(if ending.is_empty() { code.to_owned() } else { format!("{code}.{ending}") })
}

fn write_message(
    dir: &Path,
    code: &str,
    report: &RunReport,
    rendered: &Rendered,
    setup: &Setup,
) -> Result<PathBuf, CommandError> {
    let nobody = || NOBODY.parse().map_err(|source| MessageError::Recipient { recipient: NOBODY.into(), source });
    let from = setup.from.clone().map_or_else(nobody, Ok)?;
    let unknown = [NOBODY.to_owned()];
    let addressing = Addressing {
        from: &from,
        recipients: if setup.recipients.is_empty() { &unknown } else { &setup.recipients },
        options: &setup.options,
        conversation: None,
    };
    let mut message = finish(report, rendered, &addressing, &[], SystemTime::now())?;
    if !code.is_empty() {
        message.file_name = with_code(Path::new(&message.file_name), code).display().to_string();
    }
    let folder = EmlFolder::new(dir.to_owned());
    let file = folder.file_for(&message);
    folder.write(&message).map_err(|source| CommandError::WriteFile { path: file.clone(), source })?;
    Ok(file)
}

/// Has the system show a file. Whoever does that isn't waited for.
fn open(file: &Path) -> std::io::Result<()> {
    let program = match std::env::consts::OS {
        "windows" => "explorer",
        "macos" => "open",
        _ => "xdg-open",
    };
    // Explorer takes no path that begins with a dot.
    let file = std::path::absolute(file)?;
    let command =
        Command::new(program).arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    command.map(drop)
}
