//! The time zone: what `TZ` says, and whether the system can make anything of it. What it can't, it silently takes for
//! UTC, and all times of logs and mails are off.

use std::path::Path;

use regex::Regex;

use super::Finding;
use super::os;

const CHECK: &str = "time zone";
/// Where systems keep the rules of time zones; the same places that times are converted by.
const FOLDERS: [&str; 4] = ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo", "/usr/share/lib/zoneinfo"];
/// The POSIX form, as in `CET-1CEST,M3.5.0,M10.5.0/3` (POSIX.1-2024, 8.3, `TZ`).
const POSIX: &str = r"^(<[A-Za-z0-9+-]{3,}>|[A-Za-z]{3,})[+-]?\d{1,3}(:\d\d){0,2}((<[A-Za-z0-9+-]{3,}>|[A-Za-z]{3,})([+-]?\d{1,3}(:\d\d){0,2})?(,[JM0-9./:+-]+,[JM0-9./:+-]+)?)?$";

/// The zone in force. `tz` is the variable, which Windows doesn't read; `offset` how the wall clock differs from UTC now.
pub(super) fn zone(tz: Option<&str>, offset: &str) -> Finding {
    match tz.filter(|_| cfg!(unix)) {
        None => match os::zone_name() {
            Some(name) => Finding::ok(CHECK, format!("{name}, now UTC{offset}")),
            None => Finding::ok(CHECK, format!("now UTC{offset}")),
        },
        Some(tz) if is_known(tz) => Finding::ok(CHECK, format!("TZ={tz}, now UTC{offset}")),
        Some(tz) => {
            let found = format!("the variable TZ is `{tz}`, which no zone is called here: times are told in UTC");
            let remedy = "set it to a name as Europe/Paris, or remove it; the names come with the package tzdata";
            Finding::warning(CHECK, found, remedy)
        }
    }
}

fn is_known(tz: &str) -> bool {
    let name = tz.strip_prefix(':').unwrap_or(tz);
    let is_zone = |path: &Path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"TZif"));
    if name.is_empty() || name == "localtime" {
        return true;
    }
    if Path::new(name).is_absolute() {
        return is_zone(Path::new(name));
    }
    // UTC needs no file.
    matches!(name, "UTC" | "GMT")
        || FOLDERS.iter().any(|folder| is_zone(&Path::new(folder).join(name)))
        || Regex::new(POSIX).is_ok_and(|form| form.is_match(name))
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn names_forms_and_nonsense_are_told_apart() {
        for tz in ["", "UTC", "CET-1CEST", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30", "EST5EDT", ":UTC"] {
            assert_eq!(zone(Some(tz), "+00:00").state, State::Ok, "{tz}");
        }
        for tz in ["Nonsense", "Europe/Nowhere", "/etc/passwd", "../../../etc/passwd", "CET-", "5"] {
            let found = zone(Some(tz), "+00:00");
            assert!(found.state == State::Warning && found.found.contains(tz), "{tz}: {found:?}");
        }
        assert_eq!(zone(None, "+00:00").state, State::Ok);
    }
}
