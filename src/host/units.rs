//! A schedule as a timer and a service of systemd (systemd.timer(5), systemd.service(5), systemd.syntax(7)). Pure.

use super::entry::{Host, Setting, Subject, hash};
use super::rule::rules;
use super::{Refusal, systemd};

/// The section that systemd leaves to others.
const SECTION: &str = "[X-Runner]";
const MADE_BY: &str = "# Made by `runner schedule install`, and taken away by `runner schedule uninstall`.\n";

/// The two files of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// Without `.timer` and `.service`.
    pub name: String,
    /// What is due when.
    pub timer: String,
    /// What is started.
    pub service: String,
}

/// What a unit of ours tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The project's folder.
    pub project: String,
    /// The schedule.
    pub schedule: String,
    /// [`Subject::fingerprint`] when the entry was made.
    pub definition: String,
    /// Whether it has been changed since by somebody else.
    pub edited: bool,
}

/// The units of a schedule.
///
/// # Errors
/// When systemd has no words for it.
pub fn units(of: Subject<'_>, setting: &Setting) -> Result<Units, Refusal> {
    of.check_paths(setting)?;
    if of.project.overlap.allow > 1 {
        return Err(Refusal::new(
            "systemd never starts a unit that is still running, and `overlap` allows several at once",
        ));
    }
    if setting.wake && !setting.system_wide {
        return Err(Refusal::with("only the system's own timers may wake the machine", "install it with `--system`"));
    }
    if setting.account.is_some() && !setting.system_wide {
        return Err(Refusal::with("an account's own timers run as that account", "install it with `--system`"));
    }
    let lines = systemd::on_calendar(&rules(&of.schedule.trigger, setting.now)?, setting.now)?;
    let title = specifiers(&of.title());
    let mut timer = format!("{MADE_BY}[Unit]\nDescription={title}\n\n[Timer]\n");
    lines.iter().for_each(|line| timer += &format!("OnCalendar={line}\n"));
    timer += "AccuracySec=1s\nPersistent=true\n";
    if !of.schedule.jitter.is_zero() {
        let jitter = of.schedule.jitter;
        let whole = jitter.subsec_nanos() == 0;
        timer += &if whole {
            format!("RandomizedDelaySec={}s\n", jitter.as_secs())
        } else {
            format!("RandomizedDelaySec={}us\n", jitter.as_micros())
        };
    }
    if setting.wake {
        timer += "WakeSystem=true\n";
    }
    timer += "\n[Install]\nWantedBy=timers.target\n";

    let mut service = format!("{MADE_BY}[Unit]\nDescription={title}\n");
    if setting.system_wide {
        // A timer that makes up for the time while the machine was off elapses early at boot.
        service += "Wants=network-online.target\nAfter=network-online.target time-sync.target\n";
    }
    service += "\n[Service]\nType=oneshot\n";
    if let Some(account) = &setting.account {
        service += &format!("User={}\n", specifiers(account));
    }
    let root = of.project.root.to_string_lossy();
    let command = std::iter::once(quoted(&specifiers(&setting.runner.to_string_lossy()))).chain(
        of.arguments(setting, Host::Systemd).into_iter().map(|word| quoted(&specifiers(&word).replace('$', "$$"))),
    );
    service += &format!("WorkingDirectory={}\n", specifiers(&root));
    service += &format!("ExecStart={}\n", command.collect::<Vec<_>>().join(" "));
    // The runner ends its scripts itself, and records them; only what is left then is killed.
    let grace = of.project.scripts.iter().map(|script| script.settings.kill_grace).max().unwrap_or_default();
    service += &format!("KillMode=mixed\nTimeoutStopSec={}s\n", grace.as_secs() + 30);

    let label = |text: &str| {
        format!(
            "\n{SECTION}\nProject={}\nSchedule={}\nDefinition={}\nText={}\n",
            specifiers(&root),
            of.schedule.name,
            of.fingerprint(Host::Systemd, &setting.zone),
            hash([text].into_iter())
        )
    };
    let (timer, service) = (timer.clone() + &label(&timer), service.clone() + &label(&service));
    Ok(Units { name: of.name(), timer, service })
}

/// What a unit tells of itself; `None` for one that isn't ours.
#[must_use]
pub fn label(unit: &str) -> Option<Label> {
    let (text, ours) = unit.split_once(&format!("\n{SECTION}\n"))?;
    let value = |key: &str| {
        let line = ours.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(line.replace("%%", "%"))
    };
    Some(Label {
        project: value("Project")?,
        schedule: value("Schedule")?,
        definition: value("Definition")?,
        edited: value("Text")? != hash([text].into_iter()),
    })
}

/// A text in which systemd sees no specifiers.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// A word of a command line.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/_.-+=:,@%$".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}
