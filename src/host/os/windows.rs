//! On Windows.

use jiff::tz::TimeZone;

/// There is no root; what an administrator does for the machine is asked for by name.
pub(crate) fn is_root() -> bool {
    false
}

/// As the settings of Windows have it. Programs that come from Unix, as its shells do, set `TZ`, which counts only for such programs.
pub(in crate::host) fn zone_of_machine() -> Option<TimeZone> {
    if std::env::var_os("TZ").is_none() {
        return Some(TimeZone::system());
    }
    iana_time_zone::get_timezone().ok().and_then(|name| TimeZone::get(&name).ok())
}
