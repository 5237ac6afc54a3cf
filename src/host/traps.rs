//! What makes tasks of Task Scheduler behave in ways that nobody asked for, by their XML. Pure.

/// Something in a task, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap {
    /// What is so.
    pub found: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

const AGAIN: &str = "make it anew with `runner schedule install`";

/// The traps in a registered task.
#[must_use]
pub fn traps(xml: &str) -> Vec<Trap> {
    let xml: String = xml.chars().filter(|c| *c != '\0').collect();
    let settings = within(&xml, "Settings").unwrap_or_default();
    let value = |name: &str| within(settings, name).map(str::trim);
    let logon = within(&xml, "LogonType").map(str::trim);
    let checks = [
        // The default when nothing is said.
        (
            matches!(value("ExecutionTimeLimit"), None | Some("PT72H" | "P3D")),
            "it is ended after three days, whatever it does",
        ),
        (value("DisallowStartIfOnBatteries") != Some("false"), "it doesn't start on battery"),
        (value("StopIfGoingOnBatteries") != Some("false"), "it is ended when the machine goes on battery"),
        (value("StartWhenAvailable") != Some("true"), "what was due while the machine was off is not made up for"),
        (
            value("MultipleInstancesPolicy") != Some("Parallel"),
            "what is due while it runs is dropped or held back, so that `overlap` can't say what becomes of it",
        ),
        (
            matches!(logon, Some("InteractiveToken" | "InteractiveTokenOrPassword")),
            "it runs only while the account is signed in",
        ),
        (value("Enabled") == Some("false"), "it is switched off"),
    ];
    checks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, found)| Trap { found, remedy: AGAIN }).collect()
}

/// What stands in the first element of this name that is no trigger's.
fn within<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = xml.split_once(&format!("<{name}>"))?;
    after.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_schtasks_makes_by_itself_is_full_of_traps() {
        let by_hand = "<Task><Principals><Principal><LogonType>InteractiveToken</LogonType></Principal></Principals>\
                       <Settings><MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\
                       <DisallowStartIfOnBatteries>true</DisallowStartIfOnBatteries>\
                       <ExecutionTimeLimit>PT72H</ExecutionTimeLimit><Enabled>true</Enabled></Settings></Task>";
        let found: Vec<&str> = traps(by_hand).iter().map(|trap| trap.found).collect();
        assert_eq!(found.len(), 6, "{found:?}");
        assert_eq!(found[0], "it is ended after three days, whatever it does");
        assert_eq!(traps(&by_hand.replace("<Enabled>true", "<Enabled>false")).len(), 7);
    }
}
