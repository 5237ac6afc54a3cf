//! What an entry is made of, what it is called, and by what it is known again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Refusal;
use crate::model::{Backoff, Jitter, Project, RetryPolicy};
use crate::schedule::Schedule;

/// A scheduler of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Windows' Task Scheduler.
    TaskScheduler,
    /// A timer of systemd.
    Systemd,
    /// The crontab of an account.
    Cron,
}

impl Host {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::TaskScheduler, Self::Systemd, Self::Cron];

    /// Its name, as in `--with`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskScheduler => "task-scheduler",
            Self::Systemd => "systemd",
            Self::Cron => "cron",
        }
    }
}

/// How entries are made; the same for all schedules of a command.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The program that the entries start. Absolute.
    pub runner: PathBuf,
    /// The state folder, with which they start it. Absolute.
    pub state_dir: PathBuf,
    /// Whether systemd's manager of the system has the units, and not that of the account.
    pub system_wide: bool,
    /// The account that runs them: another than the one that installs them.
    pub account: Option<String>,
    /// The account that installs them, as Task Scheduler names accounts.
    pub own_account: String,
    /// Whether the machine is woken from suspend.
    pub wake: bool,
    /// Where a crontab's commands look for programs.
    pub path: Option<String>,
    /// The machine's time zone, whatever `TZ` says.
    pub zone: TimeZone,
    /// When the entries are made.
    pub now: Timestamp,
}

/// A schedule of a project for which an entry is made.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The project.
    pub project: &'a Project,
    /// One of its schedules.
    pub schedule: &'a Schedule,
}

impl Subject<'_> {
    /// What entries of this schedule are called: after project and schedule, for people, and by eight digits of their own, which
    /// tell projects of the same name in different folders apart.
    #[must_use]
    pub fn name(&self) -> String {
        entry_name(&self.project.name, &self.project.root, self.project.profile.as_deref(), &self.schedule.name)
    }

    /// A sentence's subject: the project and the schedule.
    pub(super) fn title(&self) -> String {
        let profile = self.project.profile.as_ref().map(|profile| format!(" ({profile})")).unwrap_or_default();
        format!("{}{profile}, schedule {}", self.project.name, self.schedule.name)
    }

    /// What an entry was made of, the project file and the machine's clock, as one number: if it is another, the entry has
    /// drifted. `zone` is that of the machine, which a scheduler goes by whose entries don't name theirs.
    #[must_use]
    pub fn fingerprint(&self, host: Host, zone: &TimeZone) -> String {
        let project = self.project;
        let mut facts = vec![
            self.schedule.definition.clone(),
            format!("{:?} {:?}", project.overlap.allow, longest_run(*self)),
            project.root.to_string_lossy().into_owned(),
            project.profile.clone().unwrap_or_default(),
            self.schedule.name.clone(),
        ];
        // A task tells elapsed times in UTC; a crontab has only the machine's clock.
        let goes_by_clock = match host {
            Host::Systemd => false,
            Host::TaskScheduler => self.schedule.trigger.has_time_of_day(),
            Host::Cron => true,
        };
        if goes_by_clock {
            facts.push(clock(zone));
        }
        hash(facts.iter().map(String::as_str))
    }

    /// The arguments after the program.
    pub(super) fn arguments(&self, setting: &Setting, host: Host) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut arguments = vec!["--state-dir".to_owned(), text(&setting.state_dir), "run".to_owned()];
        arguments.push(text(&self.project.root));
        if let Some(profile) = &self.project.profile {
            arguments.extend(["--profile".to_owned(), profile.clone()]);
        }
        arguments.extend(["--scheduled".to_owned(), self.schedule.name.clone()]);
        arguments.extend(["--keeper".to_owned(), host.name().to_owned()]);
        // By which a run sees that its entry has drifted.
        arguments.extend(["--entry".to_owned(), self.fingerprint(host, &setting.zone)]);
        if host == Host::Cron {
            // cron mails what is printed.
            arguments.push("--quiet".to_owned());
        }
        arguments
    }

    /// Paths that no form of entry can hold.
    pub(super) fn check_paths(&self, setting: &Setting) -> Result<(), Refusal> {
        for path in [&self.project.root, &setting.runner, &setting.state_dir] {
            if path.to_str().is_none_or(|text| text.chars().any(char::is_control)) {
                let reason = format!("the path {} has characters that an entry can't hold", path.display());
                return Err(Refusal::with(reason, "rename it"));
            }
        }
        Ok(())
    }
}

/// What clocks of a zone show, whatever it is called, told by ten years that stay the same ones.
fn clock(zone: &TimeZone) -> String {
    let years = |seconds| Timestamp::from_second(seconds).unwrap_or_default();
    // From the first of January 2026.
    let (from, to) = (years(1_767_225_600), years(2_082_758_400));
    let changes = zone.following(from).take_while(|change| change.timestamp() < to);
    let changes = changes.map(|change| format!(" {} {}", change.timestamp().as_second(), change.offset().seconds()));
    format!("{}{}", zone.to_offset(from).seconds(), changes.collect::<String>())
}

/// The name of a schedule's entries.
#[must_use]
pub fn entry_name(project: &str, root: &Path, profile: Option<&str>, schedule: &str) -> String {
    /// Names of units have 255 characters at the most.
    const LONGEST: usize = 60;
    let plain = |text: &str| -> String {
        let kept = text.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' });
        kept.take(LONGEST).collect()
    };
    let digits = hash([&*root.to_string_lossy(), profile.unwrap_or_default(), schedule].into_iter());
    format!("runner-{}-{}-{}", plain(project), plain(schedule), &digits[..8])
}

/// Texts as 16 hexadecimal digits: FNV-1a, which stays the same with every version.
pub(super) fn hash<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let bytes = texts.flat_map(|text| text.bytes().chain([0]));
    let digits = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{digits:016x}")
}

/// How long a run takes at the most, by the timeouts of its scripts, with room for what the runner does itself; `None` if
/// nothing limits it.
pub(super) fn longest_run(of: Subject<'_>) -> Option<Duration> {
    /// For mails, recovery, and waiting for the machine's other runs.
    const ROOM: Duration = Duration::from_secs(3600);
    let project = of.project;
    // Instants that are made up for one after the other, and locks of other projects, have no limit.
    if !of.schedule.coalesce || !project.locks.is_empty() {
        return None;
    }
    let scripts = project.scripts.iter().map(|script| {
        let settings = &script.settings;
        let attempt = settings.timeout?.saturating_add(settings.kill_grace).saturating_add(settings.leak_timeout);
        Some(attempt.saturating_mul(settings.retries.count.saturating_add(1)).saturating_add(pauses(&settings.retries)))
    });
    let scripts = scripts.collect::<Option<Vec<_>>>()?;
    let waiting = project.overlap.wait.unwrap_or_default();
    Some(scripts.into_iter().fold(ROOM.saturating_add(waiting), Duration::saturating_add))
}

/// The longest that the pauses between attempts can be.
fn pauses(policy: &RetryPolicy) -> Duration {
    (0..policy.count).fold(Duration::ZERO, |sum, attempt| {
        let pause = match policy.backoff {
            Backoff::Fixed => policy.delay,
            Backoff::Exponential => policy.delay.saturating_mul(2_u32.saturating_pow(attempt)),
        };
        let jitter = match policy.jitter {
            Jitter::Share(share) => Duration::try_from_secs_f64(pause.as_secs_f64() * share).unwrap_or(Duration::MAX),
            Jitter::UpTo(most) => most,
        };
        let pause = pause.saturating_add(jitter);
        sum.saturating_add(policy.max_delay.map_or(pause, |most| pause.min(most)))
    })
}
