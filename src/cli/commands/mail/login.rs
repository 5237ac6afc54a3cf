//! `runner mail login`: signs a person's mailbox in, by a code that they enter in a browser.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::super::StateDir;
use super::super::check;
use super::super::view::one_line;
use crate::cli::ExitCode;
use crate::cli::args::MailLoginArgs;
use crate::cli::output::{self, Output, styled};
use crate::cli::signals;
use crate::config::Environment;
use crate::exec::Cancel;
use crate::mail::{DeliveryError, DeliveryFailure, DeviceCode, MailSettings, SignIn, SignedIn, Tokens};
use crate::model::format_duration;

/// How often is looked whether somebody gave up.
const LOOK: Duration = Duration::from_millis(50);

/// How far the sign-in is.
enum Step {
    /// The person may enter the code.
    Code(DeviceCode),
    /// It is over.
    End(Result<SignedIn, DeliveryError>),
}

pub(super) fn login(args: &MailLoginArgs, state: &StateDir, output: &Output) -> ExitCode {
    let error = |text: &str| output.error(format!("{} {text}", styled(output::BAD, "error:")));
    let dir = match state.required() {
        Ok(dir) => dir.to_owned(),
        Err(message) => {
            error(&message);
            return ExitCode::CannotWork;
        }
    };
    let env = Environment::from_process();
    let folder = args.project.as_deref().unwrap_or(Path::new("."));
    let Some(loaded) = check::load(folder, args.profile.as_deref(), &env, output) else { return ExitCode::Usage };
    let variable = |name: &str| std::env::var(name).ok();
    // As if there were a token: it is what is to be had, and comes before a password.
    let settings = match MailSettings::resolve(&loaded.project.dotenv, &variable, &|_| true) {
        Ok(settings) => settings,
        Err(problem) => {
            error(&problem.to_string());
            return ExitCode::Usage;
        }
    };
    if let Some(why) = nobody_to_sign_in(&settings) {
        error(&why);
        return ExitCode::Usage;
    }
    let cancel = Cancel::default();
    signals::interrupt_on_signals(cancel.clone());
    let steps = match begin(Tokens::new(dir.clone()), settings.clone()) {
        Ok(steps) => steps,
        Err(cause) => {
            error(&format!("no thread to sign in on: {cause}"));
            return ExitCode::CannotWork;
        }
    };
    loop {
        match steps.recv_timeout(LOOK) {
            Ok(Step::Code(code)) => output.line(invitation(&code, &settings)),
            Ok(Step::End(Ok(signed_in))) => {
                congratulate(&signed_in, &settings, &Tokens::new(dir), output);
                return ExitCode::Success;
            }
            Ok(Step::End(Err(problem))) => {
                error(&problem.to_string());
                return match problem.failure {
                    DeliveryFailure::TokenRefused => ExitCode::Usage,
                    DeliveryFailure::File => ExitCode::CannotWork,
                    _ => ExitCode::ScriptFailed,
                };
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(by) = cancel.cancelled_by() {
                    output.error(format!("given up ({by}); nobody was signed in"));
                    return ExitCode::Interrupted;
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                error("the sign-in broke off; try again");
                return ExitCode::CannotWork;
            }
        }
    }
}

/// On a thread of its own, so that whoever gives up waits for no request.
fn begin(tokens: Tokens, settings: MailSettings) -> std::io::Result<Receiver<Step>> {
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let result = tokens.begin_sign_in(&settings).and_then(|code| {
            let _ = sender.send(Step::Code(code.clone()));
            tokens.finish_sign_in(&settings, &code, &mut std::thread::sleep)
        });
        // Nobody listens any more if they gave up.
        let _ = sender.send(Step::End(result));
    };
    std::thread::Builder::new().name("sign-in".into()).spawn(work)?;
    Ok(receiver)
}

/// Why these settings have nobody sign in.
fn nobody_to_sign_in(settings: &MailSettings) -> Option<String> {
    match &settings.sign_in {
        SignIn::Delegated { .. } => None,
        SignIn::App { client_id, .. } => Some(format!(
            "the application {client_id} signs in by itself with MAIL_CLIENT_SECRET, so nobody has to; remove that variable to \
             sign in as a person"
        )),
        SignIn::Password(_) => Some(
            "MAIL_CLIENT_ID is not set, so there is only a password to sign in with; register an application (docs/sign-in.md \
             says how) and set MAIL_CLIENT_ID to its ID"
                .to_owned(),
        ),
    }
}

fn invitation(code: &DeviceCode, settings: &MailSettings) -> String {
    let address = styled(output::GOOD, one_line(&code.verification_uri));
    let user_code = styled(output::GOOD, one_line(&code.user_code));
    let within = format_duration(code.lifetime);
    format!(
        "To sign {} in, open {address} in a browser and enter the code {user_code} within {within}.\n\
         Waiting. Ctrl-C gives up.",
        settings.login
    )
}

fn congratulate(signed_in: &SignedIn, settings: &MailSettings, tokens: &Tokens, output: &Output) {
    let login = &settings.login;
    let account = signed_in.account.as_deref().map(one_line);
    let system_account = Tokens::system_account();
    output.line(format!("{}  signed in as {}", styled(output::GOOD, "ok"), account.as_deref().unwrap_or(login)));
    output.line(format!(
        "The token is kept in {}, for the account {system_account} of this computer alone: a task that runs as another account \
         needs a sign-in of its own.\nMails that were held back go out with the next run.",
        signed_in.place.display()
    ));
    let warn = |text: String| output.error(format!("{} {text}", styled(output::WARNING, "warning:")));
    if let Some(account) = account.filter(|account| !account.eq_ignore_ascii_case(login)) {
        warn(format!(
            "{account} signed in, and mails go out from the mailbox {login}: that needs the permission to send as {login}; \
             otherwise run `runner mail login` again and choose {login}"
        ));
    }
    if tokens.may_be_read_by_others(settings) {
        warn(format!("{}: other accounts may read the token; {}", signed_in.place.display(), Tokens::CLOSE_HINT));
    }
}
