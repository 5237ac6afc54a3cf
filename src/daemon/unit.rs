//! The unit by which systemd starts a daemon. Pure: it makes the text.

use std::time::Duration;

/// The unit's name, and its file's.
pub const UNIT: &str = "project-runner.service";

/// How long after the runs have been interrupted systemd kills what is left.
const AFTER_DRAIN: Duration = Duration::from_secs(60);

/// What the unit has to say.
#[derive(Debug)]
pub struct Unit<'a> {
    /// The program and its arguments.
    pub command: &'a [String],
    /// Whether it is the machine's, not an account's own.
    pub system: bool,
    /// The account of a machine's unit; root's without one.
    pub account: Option<&'a str>,
    /// How long runs may go on once the daemon is asked to end.
    pub drain_timeout: Duration,
}

impl Unit<'_> {
    /// Its text (`man 5 systemd.service`).
    #[must_use]
    pub fn text(&self) -> String {
        let command: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let account = self.account.filter(|_| self.system).map_or_else(String::new, |name| format!("User={name}\n"));
        let target = if self.system { "multi-user.target" } else { "default.target" };
        let network = if self.system {
            "Wants=network-online.target\nAfter=network-online.target time-sync.target\n"
        } else {
            ""
        };
        format!(
            "[Unit]\n\
             Description=Runs projects when their schedules say so\n\
             {network}\n\
             [Service]\n\
             Type=notify\n\
             ExecStart={}\n\
             ExecReload=/bin/kill -HUP $MAINPID\n\
             {account}\
             WatchdogSec=120\n\
             Restart=on-failure\n\
             RestartSec=5\n\
             KillMode=mixed\n\
             TimeoutStopSec={}\n\n\
             [Install]\n\
             WantedBy={target}\n",
            command.join(" "),
            (self.drain_timeout + AFTER_DRAIN).as_secs(),
        )
    }
}

/// A word of a command line, of which systemd changes nothing (`man 5 systemd.service`, "Command lines").
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_gets_each_word_as_it_is() {
        assert_eq!(quoted(r#"a b%c$d"e\f"#), r#""a b%%c$$d\"e\\f""#);
        let command = ["/usr/bin/runner", "daemon", "/srv/my jobs"].map(str::to_owned);
        let unit =
            Unit { command: &command, system: true, account: Some("jobs"), drain_timeout: Duration::from_secs(300) };
        let text = unit.text();
        assert!(text.contains("ExecStart=\"/usr/bin/runner\" \"daemon\" \"/srv/my jobs\"\n"), "{text}");
        assert!(text.contains("User=jobs\n") && text.contains("TimeoutStopSec=360\n"), "{text}");
        let own = Unit { system: false, ..unit }.text();
        assert!(!own.contains("User=") && own.contains("WantedBy=default.target"), "{own}");
    }
}
