//! Batch files and `cmd`, which takes `&`, `%` and the like out of arguments for its own: what is data must reach the
//! script as it is, or not at all.
//!
//! Pure. The background: <https://learn.microsoft.com/windows-server/administration/windows-commands/cmd> and
//! CVE-2024-24576.

use std::ffi::{OsStr, OsString};
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, Prefix};

use crate::plan::SpawnCommand;

/// What cmd may take for its own, even in quotes, since nobody but cmd knows which quotes it counts.
const OF_CMD: &str = "&|<>^%\"";
/// What makes several arguments of one that has no quotes.
const SEPARATORS: &str = " \t,;=()!'`+{}[]~@";

/// Characters that cmd takes in one command.
/// <https://learn.microsoft.com/troubleshoot/windows-client/shell-experience/command-line-string-limitation>
const LONGEST: usize = 8191;

/// What is started in place of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Started<'a> {
    pub(super) program: &'a OsStr,
    /// Arguments that are quoted as each program's C library reads them, or for cmd if the program is a batch file.
    pub(super) args: &'a [OsString],
    /// What follows them as it is.
    pub(super) tail: Option<OsString>,
}

/// How to start a command so that cmd, if it has a part in it, gets arguments that it can't misunderstand.
///
/// `cmd /d /c script.cmd ARGS` becomes `script.cmd ARGS`: the standard library then starts cmd itself and quotes the
/// arguments for it. Of other commands through cmd, those with arguments that would need more than quotes are refused.
///
/// # Errors
/// Why it is refused, and what to do.
pub(super) fn prepare(command: &SpawnCommand) -> Result<Started<'_>, String> {
    let whole = Started { program: command.program.as_os_str(), args: &command.args, tail: None };
    let started = match after_c(command) {
        Some((flags, None, [script, args @ ..])) if is_plain(flags) && is_absolute_batch(script) => {
            Started { program: script, args, tail: None }
        }
        Some((flags, glued, called)) => {
            refuse_special(flags, called)?;
            Started { args: flags, tail: Some(quoted_for_s(glued.as_deref(), called)), ..whole }
        }
        None if is_batch(whole.program) => whole,
        None => return Ok(whole),
    };
    if is_share(&command.working_dir) {
        return Err(format!(
            "cmd can't work in the network folder {}, it would go to Windows' own folder; give the share a drive \
             letter, or set working_dir",
            command.working_dir.display()
        ));
    }
    if let Some(arg) = started.args.iter().find(|arg| holds(arg, "\r\n").is_some()) {
        return Err(format!("cmd can't pass on an argument with a line break: {arg:?}"));
    }
    let length = length(&started);
    if length > LONGEST {
        return Err(format!(
            "cmd takes no more than {LONGEST} characters, and the command has {length}; hand over what is long in a file"
        ));
    }
    Ok(started)
}

/// Characters of a command line as cmd counts them, with quotes around each argument.
fn length(started: &Started<'_>) -> usize {
    let args = started.args.iter().map(OsString::as_os_str).chain([started.program]);
    let words = args.map(|arg| arg.encode_wide().count() + 3).sum::<usize>();
    words + started.tail.as_ref().map_or(0, |tail| tail.encode_wide().count())
}

/// Of a command of cmd's, the arguments before `/c`, what is glued to that, and the arguments after it.
fn after_c(command: &SpawnCommand) -> Option<(&[OsString], Option<OsString>, &[OsString])> {
    if !command.program.file_name()?.eq_ignore_ascii_case("cmd.exe") {
        return None;
    }
    let at = command.args.iter().position(|arg| begins_with_c(arg))?;
    let glued: Vec<u16> = command.args[at].encode_wide().skip(2).collect();
    let glued = (!glued.is_empty()).then(|| OsString::from_wide(&glued));
    Some((&command.args[..at], glued, &command.args[at + 1..]))
}

/// `/s /c "CALLED"`: cmd takes away these outer quotes and no others.
fn quoted_for_s(glued: Option<&OsStr>, called: &[OsString]) -> OsString {
    let mut tail = OsString::from("/s /c \"");
    for (index, arg) in glued.into_iter().chain(called.iter().map(OsString::as_os_str)).enumerate() {
        if index > 0 {
            tail.push(" ");
        }
        // What the user wrote for cmd stays as it is.
        let needs_quotes = arg.is_empty() || holds(arg, SEPARATORS).is_some();
        if holds(arg, OF_CMD).is_some() || !needs_quotes {
            tail.push(arg);
            continue;
        }
        let backslashes = arg.to_string_lossy().chars().rev().take_while(|&c| c == '\\').count();
        tail.push("\"");
        tail.push(arg);
        tail.push("\\".repeat(backslashes));
        tail.push("\"");
    }
    tail.push("\"");
    tail
}

fn begins_with_c(arg: &OsStr) -> bool {
    arg.as_encoded_bytes().get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"/c"))
}

/// Whether cmd is told nothing that the standard library doesn't tell it as well.
fn is_plain(flags: &[OsString]) -> bool {
    flags.iter().all(|flag| flag.eq_ignore_ascii_case("/d") || flag.eq_ignore_ascii_case("/s"))
}

fn is_batch(file: &OsStr) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("cmd") || ending.eq_ignore_ascii_case("bat"))
}

/// Whether it is the script itself: its path is absolute.
fn is_absolute_batch(file: &OsStr) -> bool {
    Path::new(file).is_absolute() && is_batch(file)
}

/// What comes before the first absolute path, which is the script or a program that runs it, the user wrote for cmd.
fn refuse_special(flags: &[OsString], called: &[OsString]) -> Result<(), String> {
    let of_flags = if flags.iter().any(|flag| flag.eq_ignore_ascii_case("/v:on")) { "!\r\n" } else { "\r\n" };
    let data = called.iter().skip_while(|arg| !Path::new(arg).is_absolute());
    for arg in data {
        if let Some(special) = holds(arg, OF_CMD).or_else(|| holds(arg, of_flags)) {
            return Err(format!(
                "cmd would take the {special:?} in {arg:?} for its own; it is passed on as it is to a .cmd or .bat \
                 file whose interpreter is [\"cmd\", \"/d\", \"/c\"]"
            ));
        }
    }
    Ok(())
}

fn holds(arg: &OsStr, characters: &str) -> Option<char> {
    arg.to_string_lossy().chars().find(|&c| characters.contains(c))
}

fn is_share(folder: &Path) -> bool {
    matches!(
        folder.components().next(),
        Some(Component::Prefix(prefix)) if matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CMD: &str = r"C:\Windows\System32\cmd.exe";

    fn command(program: &str, args: &[&str], working_dir: &str) -> SpawnCommand {
        SpawnCommand {
            program: program.into(),
            args: args.iter().map(OsString::from).collect(),
            base_env: [].into(),
            env: Vec::new(),
            working_dir: working_dir.into(),
            marker: String::new(),
        }
    }

    fn started(program: &str, args: &[&str]) -> Result<Vec<String>, String> {
        let command = command(program, args, r"C:\p");
        let started = prepare(&command)?;
        let parts = [started.program].into_iter().chain(started.args.iter().map(OsString::as_os_str));
        Ok(parts.chain(started.tail.as_deref()).map(|part| part.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn batch_files_are_started_without_a_cmd_in_front() {
        let script = r"C:\p\a.cmd";
        for flags in [&["/d", "/C"][..], &["/c"], &["/D", "/s", "/c"]] {
            let args = [flags, &[script, "x & %y%"]].concat();
            assert_eq!(started(CMD, &args).unwrap(), [script, "x & %y%"]);
        }
        assert_eq!(started(script, &[r"C:\p\b.txt", "\"&"]).unwrap(), [script, r"C:\p\b.txt", "\"&"]);
    }

    #[test]
    fn other_commands_keep_their_meaning() {
        for (args, line) in [
            (&["/q", "/c", r"C:\p\a.cmd", "two words", "x"][..], r#"/s /c "C:\p\a.cmd "two words" x""#),
            (&["/q", "/c", r"C:\my p\a.cmd", r"a b\"], r#"/s /c ""C:\my p\a.cmd" "a b\\"""#),
            (&["/q", "/c", r"C:\p\a.py", "", r"c\"], r#"/s /c "C:\p\a.py "" c\""#),
            (&["/q", "/C", "chcp 65001>nul&", r"C:\p\a.cmd"], r#"/s /c "chcp 65001>nul& C:\p\a.cmd""#),
            (&["/q", "/ccall", r"C:\p\a.cmd"], r#"/s /c "call C:\p\a.cmd""#),
        ] {
            assert_eq!(started(CMD, args).unwrap(), [CMD, "/q", line]);
        }
        let other = &["/c", "a&b", "%PATH%", "\n"];
        assert_eq!(started(r"C:\python.exe", other).unwrap()[1..], *other, "not cmd's business");
    }

    #[test]
    fn what_cmd_would_misread_is_refused() {
        for bad in ["a&b", "%PATH%", "a|b", "x^", "say \"hi\"", "<in", ">out", "two\nlines"] {
            for args in
                [&["/q", "/c", r"C:\p\a.cmd", bad][..], &["/c", r"C:\p\a.py", bad], &["/c", "call", r"C:\p\a.cmd", bad]]
            {
                let error = started(CMD, args).unwrap_err();
                assert!(error.starts_with("cmd would take the ") && error.contains("/d"), "{error}");
            }
        }
        assert!(started(CMD, &["/c", r"C:\a&b\c.py"]).is_err(), "the script's own path");
        let delayed = |flag: &str| started(CMD, &[flag, "/c", r"C:\p\a.cmd", "!OS!"]);
        assert!(delayed("/V:ON").is_err() && delayed("/q").is_ok());
        assert!(started(CMD, &["/d", "/c", r"C:\p\a.cmd", "two\nlines"]).unwrap_err().contains("line break"));
    }

    #[test]
    fn cmd_cannot_work_on_a_share() {
        for folder in [r"\\server\share\p", r"\\?\UNC\server\share\p"] {
            for (program, args) in [(CMD, &["/d", "/c", r"C:\p\a.cmd"][..]), (r"C:\p\a.bat", &[])] {
                let command = command(program, args, folder);
                assert!(prepare(&command).unwrap_err().contains("network folder"), "{folder}");
            }
            assert!(prepare(&command(r"C:\python.exe", &[], folder)).is_ok());
        }
    }
}
