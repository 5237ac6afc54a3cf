//! A project's mail: whether there is something to sign in with, and who else may read it.

use std::path::Path;

use super::Finding;
use crate::config::{self, Environment};
use crate::mail::{MailSettings, SignIn, Tokens};
use crate::model::{EmailStrategy, Project};

/// Looks at how a project's mails go out, and connects to nothing.
pub(super) fn examine(project: &Project, env: &Environment, state_dir: Option<&Path>) -> Vec<Finding> {
    const CHECK: &str = "mail";
    let mut findings = Vec::new();
    if project.email_strategy == EmailStrategy::None {
        findings.push(Finding::ok(CHECK, "none is sent (email_strategy is none)"));
    } else {
        let variable = |name: &str| env.get(name).and_then(|value| value.to_str()).map(str::to_owned);
        let tokens = state_dir.map(|dir| Tokens::new(dir.to_owned()));
        let stored = |settings: &MailSettings| tokens.as_ref().is_some_and(|tokens| tokens.is_stored(settings));
        match MailSettings::resolve(&project.dotenv, &variable, &stored) {
            Ok(settings) => {
                let found = format!("{} signs in to {}:{} (not tried)", settings.login, settings.host, settings.port);
                findings.push(Finding::ok(CHECK, found));
                findings.extend(sign_in(&settings, tokens.as_ref()));
            }
            Err(error) => {
                let hint = error.hint();
                let text = error.to_string();
                let found = text.strip_suffix(&format!("; {hint}")).map_or_else(|| error.message(), str::to_owned);
                findings.push(Finding::wrong(CHECK, found, Some(hint)));
            }
        }
        let strategy = project.email_strategy.name();
        findings.push(Finding::ok("recipients", format!("{} ({strategy})", project.recipients.join(", "))));
    }
    findings.extend(dotenv_files(&project.root));
    findings
}

/// With what is signed in, where that is kept, and for whom.
fn sign_in(settings: &MailSettings, tokens: Option<&Tokens>) -> Vec<Finding> {
    const CHECK: &str = "sign-in";
    let login = &settings.login;
    let account = Tokens::system_account();
    let place = tokens.map_or_else(|| "memory alone".to_owned(), |tokens| tokens.place(settings).display().to_string());
    let finding = match &settings.sign_in {
        SignIn::Password(_) if settings.is_microsoft() => Finding::warning(
            CHECK,
            "with a password (basic authentication), which Exchange Online switches off by default at the end of December \
             2026 and Outlook.com has not taken since 2024",
            "use OAuth: MAIL_CLIENT_ID and `runner mail login`, or MAIL_TENANT_ID, MAIL_CLIENT_ID and MAIL_CLIENT_SECRET",
        ),
        SignIn::Password(_) => Finding::ok(CHECK, format!("with the password of {login}")),
        SignIn::App { tenant, client_id, .. } => Finding::ok(
            CHECK,
            format!(
                "by OAuth, as the application {client_id} of the directory {tenant}, with its secret; tokens are kept in {place} \
                 for the account {account}"
            ),
        ),
        SignIn::Delegated { client_id, .. } if tokens.is_some_and(|tokens| tokens.is_stored(settings)) => Finding::ok(
            CHECK,
            format!(
                "by OAuth, as {login} through the application {client_id}; the token is kept in {place} for the account {account} \
                 alone"
            ),
        ),
        SignIn::Delegated { .. } => Finding::warning(
            CHECK,
            format!("{login} is not signed in for the account {account}: there is no token in {place}"),
            "run `runner mail login` as the account that the project runs as; until then its mails wait",
        ),
    };
    let mut findings = vec![finding];
    if tokens.is_some_and(|tokens| tokens.may_be_read_by_others(settings)) {
        findings.push(Finding::warning("token", format!("other accounts may read {place}"), Tokens::CLOSE_HINT));
    }
    findings
}

/// The `.env` files that everybody may read, though they are where passwords stand.
fn dotenv_files(root: &Path) -> Vec<Finding> {
    let open = |file: std::path::PathBuf| {
        let found = format!("{} can be read by every account of this machine", file.display());
        config::everyone_may_read(&file)
            .then(|| Finding::warning(".env", found, format!("chmod 600 {}", file.display())))
    };
    config::dotenv_files(root).into_iter().filter_map(open).collect()
}
