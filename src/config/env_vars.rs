//! Every environment variable that the program reads or sets, documented once. It reads none of them itself.

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name; one that ends in `_` is a prefix.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub meaning: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
}

macro_rules! variables {
    ($($(#[$secret:ident])? $constant:ident = $name:literal: $meaning:literal;)*) => {
        $(#[doc = concat!("`", $name, "`: ", $meaning)] pub const $constant: &str = $name;)*

        /// All of them, in the order in which help lists them.
        pub const ALL: &[Variable] = &[
            $(Variable { name: $name, meaning: $meaning, secret: variables!(@secret $($secret)?) },)*
        ];
    };
    (@secret secret) => { true };
    (@secret) => { false };
}

variables! {
    STATE_DIR = "RUNNER_STATE_DIR": "The folder of the state database; `--state-dir` wins over it.";
    MAX_RUNS = "RUNNER_MAX_RUNS": "How many runs may be under way on this machine at once, as far as the state folder is shared; others wait.";
    SET_PREFIX = "RUNNER_SET_": "Overrides one key of every project file, as in `RUNNER_SET_TIMEOUT=90s`; JSON where it parses as JSON, text otherwise and where the key wants text.";
    COMPLETE = "RUNNER_COMPLETE": "Set by what `runner completions` prints: which shell asks the runner to complete a command line.";
    LOG = "RUNNER_LOG": "What the runner writes to its own diagnostic log, as in `debug` or `project_runner=trace`.";
    LOGIN_MAIL = "LOGIN_MAIL": "The account that signs in to the mail server.";
    #[secret] PASSWORD_MAIL = "PASSWORD_MAIL": "Its password; scripts don't get it.";
    MAIL_HOST = "MAIL_HOST": "The mail server; smtp.office365.com unless set.";
    MAIL_PORT = "MAIL_PORT": "Its port; 587 unless set.";
    MAIL_TLS = "MAIL_TLS": "How the connection is protected: `starttls` (unless set), `tls`, or `none`, which only a loopback host may have.";
    MAIL_FROM = "MAIL_FROM": "The sender's address; the login unless set.";
    MAIL_CA_FILE = "MAIL_CA_FILE": "A file of certificates (PEM) that are trusted beside the system's.";
    MAIL_CLIENT_ID = "MAIL_CLIENT_ID": "The application that signs in by OAuth: by itself with MAIL_CLIENT_SECRET, else for the mailbox that `runner mail login` signed in.";
    MAIL_TENANT_ID = "MAIL_TENANT_ID": "The application's directory, by its id or domain, or `consumers` for Outlook.com; needed with MAIL_CLIENT_SECRET, `common` unless set without.";
    #[secret] MAIL_CLIENT_SECRET = "MAIL_CLIENT_SECRET": "The application's secret; scripts don't get it.";
    MAIL_AUTHORITY = "MAIL_AUTHORITY": "Who issues the tokens for OAuth; `https://login.microsoftonline.com` unless set; plain http is for a loopback host only.";
    MAIL_RATE = "MAIL_RATE": "Mails a minute at most; 30 for Microsoft's servers unless set, else any number, as with 0 or `none`.";
    NO_COLOR = "NO_COLOR": "When set and not empty, nothing is coloured.";
    PATH = "PATH": "Where an interpreter without a folder in its name is looked for.";
    RUN_ID = "RUNNER_RUN_ID": "Set for scripts: the run's identifier.";
    PROJECT = "RUNNER_PROJECT": "Set for scripts: the project's name.";
    ATTEMPT = "RUNNER_ATTEMPT": "Set for scripts: which attempt this is, from 1.";
    ATTEMPT_ID = "RUNNER_ATTEMPT_ID": "Set for scripts: what tells this attempt from every other, the run, the script's place and the attempt.";
    PLANNED_TIME = "RUNNER_PLANNED_TIME": "Set for scripts: for when the run was planned, else when it began, in UTC (RFC 3339); the first run's in a run that follows another.";
    IDEMPOTENCY_KEY = "RUNNER_IDEMPOTENCY_KEY": "Set for scripts: the same in all attempts and in all runs that do this work again.";
    SETTINGS = "RUNNER_SETTINGS": "Set for scripts: the file with the project's settings, if it has any.";
    PARAM_PREFIX = "RUNNER_PARAM_": "An input that a project declares, as in `RUNNER_PARAM_SINCE=2026-11-30`; set for scripts, too.";
    FILES = "RUNNER_FILES": "Set for scripts: a folder for files that belong to the run's report.";
    PYTHON_ENCODING = "PYTHONIOENCODING": "Set for scripts to `utf-8` unless it is set: what they print is taken for UTF-8.";
    PYTHON_UNBUFFERED = "PYTHONUNBUFFERED": "Set for scripts to `1` unless it is set, so that what they print comes at once and in order.";
}

/// Whether a variable's name suggests that its value is a secret: such values are never shown.
#[must_use]
pub fn looks_secret(name: &str) -> bool {
    const MARKS: [&str; 8] = ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "KEY", "PWD", "CREDENTIAL"];
    // These are parts of too many harmless words.
    const WORDS: [&str; 6] = ["PASS", "AUTH", "AUTHORIZATION", "DSN", "WEBHOOK", "WEBHOOKS"];
    let upper = name.to_ascii_uppercase();
    let mut words = upper.split(|c: char| !c.is_ascii_alphabetic());
    MARKS.iter().any(|mark| upper.contains(mark))
        || words.any(|word| WORDS.contains(&word))
        || ALL.iter().any(|known| known.secret && known.name == upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_secrets_are_known() {
        for (index, variable) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|other| other.name != variable.name), "{}", variable.name);
            assert!(variable.meaning.ends_with('.'), "{}", variable.name);
        }
        for name in [
            PASSWORD_MAIL,
            "MAIL_CLIENT_SECRET",
            "api_key",
            "DbPwd",
            "GITHUB_TOKEN",
            "SENTRY_DSN",
            "db-pass",
            "SMTP_AUTH",
            "AWS_CREDENTIALS",
        ] {
            assert!(looks_secret(name), "{name}");
        }
        for name in [LOGIN_MAIL, MAIL_FROM, PATH, "LANG", "AUTHOR", "COMPASS"] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
