//! `runner mail test`: sends a short mail and shows each step.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use super::super::StateDir;
use super::super::check;
use super::super::view::one_line;
use crate::cli::ExitCode;
use crate::cli::args::MailTestArgs;
use crate::cli::output::{self, Output, styled};
use crate::config::Environment;
use crate::exec;
use crate::mail::{
    Accepted, Courier, Deadline, DeliveryError, MailSettings, MailTls, NextStep, Outgoing, SignIn, SmtpCourier, Tokens,
    trial,
};

/// Twice what a run gives its mail: whoever tests wants to see how far it gets.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn test(args: &MailTestArgs, state: &StateDir, output: &Output) -> ExitCode {
    let error = |text: &str| output.error(format!("{} {text}", styled(output::BAD, "error:")));
    let tokens = match state.required() {
        Ok(dir) => Tokens::new(dir.to_owned()),
        Err(message) => {
            error(&message);
            return ExitCode::CannotWork;
        }
    };
    let env = Environment::from_process();
    let folder = args.project.as_deref().unwrap_or(Path::new("."));
    let Some(loaded) = check::load(folder, args.profile.as_deref(), &env, output) else { return ExitCode::Usage };
    let variable = |name: &str| std::env::var(name).ok();
    let stored = |settings: &MailSettings| tokens.is_stored(settings);
    let settings = match MailSettings::resolve(&loaded.project.dotenv, &variable, &stored) {
        Ok(settings) => settings,
        Err(problem) => {
            error(&problem.to_string());
            return ExitCode::Usage;
        }
    };
    let to = args.to.clone().unwrap_or_else(|| settings.login.parse().unwrap_or_else(|_| settings.from.email.clone()));
    let host = exec::host();
    let letter = match trial(&settings, &to, &one_line(&loaded.project.name), &host, SystemTime::now()) {
        Ok(letter) => letter,
        Err(problem) => {
            error(&problem.to_string());
            return ExitCode::Usage;
        }
    };
    output.line(plan(&settings, &to));
    match send(settings, tokens, &letter, output) {
        Ok(accepted) => {
            let text = format!("the server has taken the mail; look whether it arrives at {to}: {}", accepted.reply);
            output.line(format!("{}  {text}", styled(output::GOOD, "ok")));
            ExitCode::Success
        }
        Err(problem) => {
            error(&problem.to_string());
            output.error(consequence(problem.next_step()));
            ExitCode::ScriptFailed
        }
    }
}

/// What is going to be tried.
fn plan(settings: &MailSettings, to: &lettre::Address) -> String {
    let encryption = match settings.tls {
        MailTls::StartTls => "STARTTLS",
        MailTls::Implicit => "TLS",
        MailTls::None => "no encryption",
    };
    let with = match &settings.sign_in {
        SignIn::Password(_) => "a password".to_owned(),
        SignIn::App { client_id, .. } => format!("the token of the application {}", one_line(client_id)),
        SignIn::Delegated { .. } => "the token of `runner mail login`".to_owned(),
    };
    format!(
        "A test mail from {} to {to}, over {}:{} with {encryption}, signing in as {} with {with}:",
        settings.from.email,
        settings.host,
        settings.port,
        one_line(&settings.login)
    )
}

/// What a run would do about it.
fn consequence(step: NextStep) -> &'static str {
    match step {
        NextStep::Retry => "The mail of a run would be kept, and tried again later by itself.",
        NextStep::Pause => "The mails of runs would be kept, and tried again when the server allows it.",
        NextStep::Hold => "The mails of runs would be kept until this is mended.",
        NextStep::Fail => "The mail of a run would be given up, and `runner mail status` would show it.",
    }
}

/// Sends it and shows each step when it is taken.
fn send(settings: MailSettings, tokens: Tokens, letter: &Outgoing, output: &Output) -> Result<Accepted, DeliveryError> {
    // Nothing is the end: a thread that was left behind at the deadline may keep the channel open.
    let (sender, steps) = mpsc::channel::<Option<String>>();
    let of_transcript = sender.clone();
    let transcript = Arc::new(move |line: &str| {
        let _ = of_transcript.send(Some(line.to_owned()));
    });
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let mut courier = SmtpCourier::new(settings, Arc::new(tokens)).observed_by(transcript);
            let result = courier.send(letter, &Deadline::after(PATIENCE), &mut || ());
            drop(courier);
            let _ = sender.send(None);
            result
        });
        while let Ok(Some(step)) = steps.recv() {
            output.line(styled(output::DIM, format!("  {}", one_line(&step))));
        }
        sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
