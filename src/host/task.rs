//! A schedule as a task of Task Scheduler, in XML (MS-TSCH 2.3 to 2.5). Pure.

use std::time::Duration;

use super::Refusal;
use super::entry::{Host, Setting, Subject, longest_run};
use super::rule::rules;
use super::task_triggers::{On, TaskTrigger, triggers};

/// The folder of Task Scheduler's library in which the tasks are.
const FOLDER: &str = "\\project-runner\\";
/// What stands before the fingerprint in the task's documentation.
const DEFINITION: &str = "project-runner definition ";
/// `pathType` in the schema.
const LONGEST_PATH: usize = 260;
/// Accounts that have no password, by their names and identifiers.
const SERVICES: [(&str, &str); 3] =
    [("SYSTEM", "S-1-5-18"), ("LOCAL SERVICE", "S-1-5-19"), ("NETWORK SERVICE", "S-1-5-20")];

/// How a task gets at its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logon {
    /// As the account that installs it, whether it is signed in or not, without a password and so without the network's shares.
    Own,
    /// By the account's password, which Task Scheduler keeps.
    Password,
    /// An account that needs none.
    Service,
}

/// How tasks of this setting get at their account.
#[must_use]
pub fn logon(setting: &Setting) -> Logon {
    match &setting.account {
        None => Logon::Own,
        // Managed service accounts end with a `$`; the domain has their passwords.
        Some(account) if service(account).is_some() || account.ends_with('$') => Logon::Service,
        Some(_) => Logon::Password,
    }
}

fn service(account: &str) -> Option<&'static str> {
    let name = account.to_ascii_uppercase();
    let name = name.strip_prefix("NT AUTHORITY\\").unwrap_or(&name).to_owned();
    SERVICES.iter().find(|(known, id)| *known == name || *id == name).map(|(_, id)| *id)
}

/// The task's name with its folder.
#[must_use]
pub fn task_name(entry_name: &str) -> String {
    format!("{FOLDER}{entry_name}")
}

/// The task as XML, in the encoding that `encoding` names.
///
/// # Errors
/// When Task Scheduler has no words for the schedule.
pub fn task(of: Subject<'_>, setting: &Setting, encoding: &str) -> Result<String, Refusal> {
    of.check_paths(setting)?;
    if setting.system_wide {
        return Err(Refusal::with("a task belongs to an account", "`--account SYSTEM` has the machine's own run it"));
    }
    let (root, runner) = (of.project.root.to_string_lossy(), setting.runner.to_string_lossy());
    let arguments = of.arguments(setting, Host::TaskScheduler);
    for text in [&*root, &*runner].into_iter().chain(arguments.iter().map(String::as_str)) {
        // Task Scheduler puts variables and the like in, and has no way to write that it should not.
        if text.matches('%').count() > 1 || text.contains("$(") {
            let reason = format!("Task Scheduler would read a variable in {text}");
            return Err(Refusal::with(reason, "rename it"));
        }
    }
    for path in [&*root, &*runner] {
        if path.encode_utf16().count() > LONGEST_PATH {
            let reason = format!("a path in a task has {LONGEST_PATH} characters at the most, and {path} is longer");
            return Err(Refusal::with(reason, "move it to a shorter one"));
        }
    }
    let jitter = u64::try_from(of.schedule.jitter.as_secs()).unwrap_or_default();
    let triggers = triggers(&rules(&of.schedule.trigger, setting.now)?, &setting.zone, setting.now, jitter > 0)?;
    let triggers: String = triggers.iter().map(|trigger| trigger_xml(trigger, jitter)).collect();
    let command = arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ");
    let limit = longest_run(of).map(|limit| limit + Duration::from_secs(jitter));
    Ok(format!(
        r#"<?xml version="1.0" encoding="{encoding}"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Author>{author}</Author>
    <Description>{description}</Description>
    <Documentation>{DEFINITION}{definition}</Documentation>
  </RegistrationInfo>
  <Triggers>
{triggers}  </Triggers>
  <Principals>
    <Principal id="Author">
{principal}      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>Parallel</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <WakeToRun>{wake}</WakeToRun>
    <ExecutionTimeLimit>{limit}</ExecutionTimeLimit>
    <Priority>5</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>3</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{runner}</Command>
      <Arguments>{arguments}</Arguments>
      <WorkingDirectory>{root}</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
"#,
        author = escaped(&setting.own_account),
        description = escaped(&format!("{}. Made by `runner schedule install`.", of.title())),
        definition = of.fingerprint(Host::TaskScheduler, &setting.zone),
        principal = principal(setting),
        wake = setting.wake,
        limit = duration(limit.unwrap_or_default().as_secs()),
        runner = escaped(&runner),
        arguments = escaped(&command),
        root = escaped(&root),
    ))
}

/// The fingerprint in a task's XML; `None` for a task that isn't ours.
#[must_use]
pub fn definition(xml: &str) -> Option<&str> {
    let (_, after) = xml.split_once(DEFINITION)?;
    after.get(..16)
}

/// XML as Task Scheduler's own files are encoded: UTF-16 with its mark.
#[must_use]
pub fn utf16(xml: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(xml.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn principal(setting: &Setting) -> String {
    let account = setting.account.as_deref().unwrap_or(&setting.own_account);
    let (user, logon) = match (logon(setting), service(account)) {
        (Logon::Own, _) => (account, "      <LogonType>S4U</LogonType>\n"),
        (Logon::Service, Some(id)) => (id, ""),
        (Logon::Password | Logon::Service, _) => (account, "      <LogonType>Password</LogonType>\n"),
    };
    format!("      <UserId>{}</UserId>\n{logon}", escaped(user))
}

fn trigger_xml(trigger: &TaskTrigger, jitter: u64) -> String {
    let mut xml = format!("      <Enabled>true</Enabled>\n      <StartBoundary>{}</StartBoundary>\n", trigger.start);
    if let Some(end) = &trigger.end {
        xml += &format!("      <EndBoundary>{end}</EndBoundary>\n");
    }
    if let Some(repetition) = trigger.repetition {
        xml += &format!(
            "      <Repetition>\n        <Interval>{}</Interval>\n",
            duration(repetition.interval.unsigned_abs())
        );
        if let Some(length) = repetition.duration {
            xml += &format!("        <Duration>{}</Duration>\n", duration(length.unsigned_abs()));
        }
        xml += "        <StopAtDurationEnd>false</StopAtDurationEnd>\n      </Repetition>\n";
    }
    if jitter > 0 {
        xml += &format!("      <RandomDelay>{}</RandomDelay>\n", duration(jitter));
    }
    let names = |names: &[&str]| names.iter().map(|name| format!("<{name} />")).collect::<String>();
    let each =
        |name: &str, texts: &[String]| texts.iter().map(|text| format!("<{name}>{text}</{name}>")).collect::<String>();
    let (kind, schedule) = match &trigger.on {
        On::Once => ("TimeTrigger", String::new()),
        On::Days { every } => {
            ("CalendarTrigger", format!("      <ScheduleByDay><DaysInterval>{every}</DaysInterval></ScheduleByDay>\n"))
        }
        On::Weeks { days } => (
            "CalendarTrigger",
            format!(
                "      <ScheduleByWeek><WeeksInterval>1</WeeksInterval><DaysOfWeek>{}</DaysOfWeek></ScheduleByWeek>\n",
                names(days)
            ),
        ),
        On::Months { days, months } => (
            "CalendarTrigger",
            format!(
                "      <ScheduleByMonth><DaysOfMonth>{}</DaysOfMonth><Months>{}</Months></ScheduleByMonth>\n",
                each("Day", days),
                names(months)
            ),
        ),
        On::WeekdaysOfMonths { weeks, days, months } => (
            "CalendarTrigger",
            format!(
                "      <ScheduleByMonthDayOfWeek><Weeks>{}</Weeks><DaysOfWeek>{}</DaysOfWeek><Months>{}</Months>\
                 </ScheduleByMonthDayOfWeek>\n",
                each("Week", weeks),
                names(days),
                names(months)
            ),
        ),
    };
    format!("    <{kind}>\n{xml}{schedule}    </{kind}>\n")
}

/// In hours, minutes and seconds; none at all is Task Scheduler's word for no limit.
fn duration(seconds: u64) -> String {
    let part = |number: u64, unit: &str| if number == 0 { String::new() } else { format!("{number}{unit}") };
    let text = [part(seconds / 3600, "H"), part(seconds / 60 % 60, "M"), part(seconds % 60, "S")].concat();
    if text.is_empty() { "PT0S".to_owned() } else { format!("PT{text}") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// An argument as programs on Windows take them apart (`CommandLineToArgvW`): backslashes count only before a quote.
fn quoted(argument: &str) -> String {
    if !argument.is_empty() && !argument.contains([' ', '\t', '"']) {
        return argument.to_owned();
    }
    let mut quoted = String::from("\"");
    let mut backslashes = 0;
    for character in argument.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                quoted.extend(std::iter::repeat_n('\\', backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        quoted.push(character);
    }
    quoted.extend(std::iter::repeat_n('\\', backslashes));
    quoted.push('"');
    quoted
}
