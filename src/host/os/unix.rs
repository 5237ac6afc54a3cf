//! On Unix.

use jiff::tz::TimeZone;

/// Whether it is root who asks.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// By which the C library goes where no `TZ` is set (localtime(5), tzset(3)): the rules that lie there, which have a name where
/// it is a link to them; without them UTC.
pub(in crate::host) fn zone_of_machine() -> Option<TimeZone> {
    const RULES: &str = "/etc/localtime";
    let link = std::fs::canonicalize(RULES).unwrap_or_default();
    let named = link.to_str().and_then(|file| TimeZone::get(file.split_once("zoneinfo/")?.1).ok());
    let unnamed = || TimeZone::tzif(RULES, &std::fs::read(RULES).ok()?).ok();
    named.or_else(unnamed).or(Some(TimeZone::UTC))
}
