//! Completion of command lines: the shell asks the program, which knows what the projects declare.

use std::ffi::{OsStr, OsString};
use std::io::{Error, Write};
use std::path::{Path, PathBuf};

use clap_complete::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh};

use super::args::command;
use super::commands::StateDir;
use crate::config::{self, Environment, LoadRequest, env_vars};
use crate::model::{Param, ParamType, Project};
use crate::store::{DATABASE_FILE, Store};

const SHELLS: Shells<'static> = Shells(&[&Bash, &Elvish, &Fish, &Powershell, &Zsh]);

/// Answers a shell that asks for completions, if that is what the process was started for.
pub(super) fn answer(args: &[OsString]) -> Option<i32> {
    let completion = CompleteEnv::with_factory(command).var(env_vars::COMPLETE).shells(SHELLS);
    match completion.try_complete(args.iter().cloned(), std::env::current_dir().ok().as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(0),
        Err(error) => {
            let _ = error.print();
            Some(error.exit_code())
        }
    }
}

/// The program for a shell that makes it ask.
pub(super) fn registration(shell: &str) -> Result<Vec<u8>, Error> {
    let mut script = Vec::new();
    let shell = SHELLS.completer(shell).ok_or_else(|| Error::other("unknown shell"))?;
    shell.write_registration(env_vars::COMPLETE, "runner", "runner", "runner", &mut script)?;
    Ok(script)
}

/// Bash parts words at `=`, so that an input and its value are two to it.
struct Bash;

/// Which of the words is to be completed.
const WORD: &str = "_RUNNER_WORD";

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        var: &str,
        _: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        write!(
            buf,
            "_runner() {{\n    local IFS=$'\\v'\n    COMPREPLY=($({var}=bash {WORD}=\"$COMP_CWORD\" \"{completer}\" -- \
             \"${{COMP_WORDS[@]}}\" 2>/dev/null))\n    [[ \"${{COMPREPLY-}}\" =~ [=/]$ ]] && compopt -o nospace 2>/dev/null\n}}\n\
             complete -o bashdefault -o default -F _runner {bin}\n"
        )
    }

    fn write_complete(
        &self,
        cmd: &mut clap::Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        let index = std::env::var(WORD).ok().and_then(|index| index.parse().ok()).unwrap_or_default();
        let is_quoted = args.get(index).and_then(|word: &OsString| word.to_str()).is_some_and(|word| unquoted(word).1);
        let (args, index, begun) = joined(args, index);
        let candidates = clap_complete::engine::complete(cmd, args, index, current_dir)?;
        let candidates = candidates.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned());
        // Of what it completes bash has only what follows the `=`, and puts it into the line as it is.
        let ends = candidates.filter_map(|whole| whole.strip_prefix(&begun).map(str::to_owned));
        let ends = ends.map(|end| if is_quoted { end } else { escaped(&end) });
        buf.write_all(ends.collect::<Vec<_>>().join("\u{b}").as_bytes())
    }
}

/// A word that bash has as it was typed, as a program would get it, and whether a quote in it is still open.
fn unquoted(word: &str) -> (String, bool) {
    let mut text = String::new();
    let mut quote = None;
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None) => text.extend(chars.next()),
            ('\\', Some('"')) => text.push(chars.next_if(|next| "\"\\$`".contains(*next)).unwrap_or(c)),
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, _) => text.push(c),
        }
    }
    (text, quote.is_some())
}

/// A text as it is typed in a shell without quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:=,+@%~".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Words as bash has them, as a program would get them: those that were parted at `=` and `:` in one again. With the place of the
/// one that is to be completed, and what of it bash has as words of their own. What bash tells doesn't say whether there was a
/// blank before a `:`; a word that is nothing but one is rare.
fn joined(words: Vec<OsString>, index: usize) -> (Vec<OsString>, usize, String) {
    let mut joined: Vec<OsString> = Vec::new();
    let (mut at, mut begun) = (0, String::new());
    let mut goes_on = false;
    for (place, word) in words.into_iter().enumerate() {
        let is_sign = word.to_str().is_some_and(|word| !word.is_empty() && word.chars().all(|c| "=:".contains(c)));
        match joined.last_mut() {
            Some(last) if is_sign || goes_on => {
                if place == index {
                    begun = last.to_string_lossy().into_owned();
                    if is_sign {
                        begun.push_str(&word.to_string_lossy());
                    }
                }
                last.push(as_meant(&word));
            }
            _ => joined.push(as_meant(&word)),
        }
        goes_on = is_sign;
        if place == index {
            at = joined.len() - 1;
        }
    }
    (joined, at, begun)
}

fn as_meant(word: &OsStr) -> OsString {
    word.to_str().map_or_else(|| word.to_owned(), |word| unquoted(word).0.into())
}

/// The inputs of the project that a command line names, or values for one.
pub(super) fn inputs(current: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(current), Some(project)) = (current.to_str(), project(&words())) else { return Vec::new() };
    let open = project.params.iter().filter(|param| !param.secret);
    match current.split_once('=') {
        None => {
            let named = open.filter(|param| param.name.starts_with(current));
            named.map(|param| CompletionCandidate::new(format!("{}=", param.name)).help(help(param))).collect()
        }
        Some((name, value)) => {
            let param = open.into_iter().find(|param| param.name == name);
            let values = param.map(|param| values(&param.kind, value)).unwrap_or_default();
            values.into_iter().map(|value| CompletionCandidate::new(format!("{name}={value}"))).collect()
        }
    }
}

/// The profiles of the project that a command line names.
pub(super) fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = words();
    let folder = followed_run(&words).map_or_else(|| folder(&words), |(folder, _)| folder);
    let profiles = config::profiles(&folder).into_iter();
    let begun = current.to_string_lossy();
    profiles.filter(|profile| profile.starts_with(&*begun)).map(CompletionCandidate::new).collect()
}

fn help(param: &Param) -> Option<clap::builder::StyledStr> {
    param.help.as_ref().map(Into::into)
}

/// What a value that begins so may be, where there is something to choose from.
fn values(kind: &ParamType, begun: &str) -> Vec<String> {
    let known: Vec<&str> = match kind {
        ParamType::Bool => vec!["true", "false"],
        ParamType::Date => vec!["today", "yesterday"],
        ParamType::DateTime => vec!["now", "today", "yesterday"],
        ParamType::Choice(words) => words.iter().map(String::as_str).collect(),
        ParamType::List(kind) => {
            let (before, last) = begun.split_at(begun.rfind(',').map_or(0, |at| at + 1));
            return values(kind, last).into_iter().map(|item| format!("{before}{item}")).collect();
        }
        _ => Vec::new(),
    };
    known.into_iter().filter(|value| value.starts_with(begun)).map(str::to_owned).collect()
}

/// The words of the command line, from the program's name on.
fn words() -> Vec<OsString> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    if std::env::var_os(WORD).is_some() { joined(words, 0).0 } else { words }
}

/// What a flag is set to: `--flag value` or `--flag=value`.
fn value_of(words: &[OsString], flag: &str) -> Option<OsString> {
    words.iter().enumerate().find_map(|(at, word)| match word.to_str()?.strip_prefix(flag)? {
        "" => words.get(at + 1).cloned(),
        rest => rest.strip_prefix('=').map(OsString::from),
    })
}

/// The first of the words that is a project, else the folder one stands in.
fn folder(words: &[OsString]) -> PathBuf {
    let named = words.iter().skip(1).filter(|word| !word.is_empty()).map(|word| in_home(word));
    named.into_iter().find(|path| config::is_project(path)).unwrap_or_else(|| ".".into())
}

/// A path as the shell would hand it over, which has the word as it was typed.
fn in_home(word: &OsStr) -> PathBuf {
    let rest = word.to_str().and_then(|word| if word == "~" { Some("") } else { word.strip_prefix("~/") });
    match rest.zip(std::env::home_dir()) {
        Some((rest, home)) => home.join(rest),
        None => word.into(),
    }
}

/// The project and the profile of the run that `retry` and `resume` name.
fn followed_run(words: &[OsString]) -> Option<(PathBuf, Option<String>)> {
    let verb = words.iter().position(|word| word == "retry" || word == "resume")?;
    let state_dir = value_of(words, "--state-dir").map(PathBuf::from);
    let state_dir = StateDir::find(state_dir.as_deref());
    let dir = state_dir.path().filter(|dir| dir.join(DATABASE_FILE).exists())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    runtime.block_on(async {
        let mut store = Store::open(dir).await.ok()?;
        let mut found = None;
        for word in words.iter().skip(verb + 1).filter_map(|word| word.to_str()) {
            if let Ok(run) = store.run(word).await {
                found = Some((run.project_dir, run.profile));
                break;
            }
        }
        store.leave_open();
        found
    })
}

/// The project that a command line is about, with the profile that it names.
fn project(words: &[OsString]) -> Option<Project> {
    let (folder, of_run) = followed_run(words).unwrap_or_else(|| (folder(words), None));
    let profile = value_of(words, "--profile").and_then(|profile| profile.into_string().ok()).or(of_run);
    let env = Environment::from_process();
    let loaded = config::load(&LoadRequest { project: &folder, profile: profile.as_deref(), env: &env });
    loaded.ok().map(|loaded| loaded.project)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str], index: usize) -> (Vec<String>, usize, String) {
        let (words, at, begun) = joined(words.iter().map(OsString::from).collect(), index);
        (words.into_iter().map(|word| word.into_string().unwrap()).collect(), at, begun)
    }

    #[test]
    fn words_that_bash_has_parted_are_one_again() {
        let whole = |last: &str| vec!["runner".to_owned(), "run".to_owned(), "-p".to_owned(), last.to_owned()];
        assert_eq!(words(&["runner", "run", "-p", "reg"], 3), (whole("reg"), 3, String::new()));
        assert_eq!(words(&["runner", "run", "-p", "region", "="], 4), (whole("region="), 3, "region=".into()));
        assert_eq!(words(&["runner", "run", "-p", "region", "=", "e"], 5), (whole("region=e"), 3, "region=".into()));
        let when = ["runner", "run", "-p", "at", "=", "2026-01-31T06", ":", "00", ":"];
        assert_eq!(words(&when, 8), (whole("at=2026-01-31T06:00:"), 3, "at=2026-01-31T06:00:".into()));
        let (words, at, _) = words(&["runner", "run", "-p", "a", "=", "b", "x"], 6);
        assert_eq!((words.len(), at), (5, 4));
    }

    #[test]
    fn quotes_are_taken_as_bash_takes_them() {
        for (word, meant) in [(r"my\ jobs", "my jobs"), (r#""a \" \x $b"#, "a \" \\x $b"), (r"'a\'b", r"a\b"), ("", "")]
        {
            assert_eq!(unquoted(word).0, meant);
        }
        assert!(unquoted("\"a").1 && unquoted("'a\"").1 && !unquoted("'a'").1);
        assert_eq!(escaped("us east/é$"), r"us\ east/é\$");
        let (words, _, begun) = words(&["runner", "-p", "a", "=", r"us\ e"], 4);
        assert_eq!((words.last().unwrap().as_str(), begun.as_str()), ("a=us e", "a="));
    }

    #[test]
    fn items_of_a_list_are_completed_one_by_one() {
        let kind = ParamType::List(Box::new(ParamType::Choice(vec!["mon".into(), "tue".into()])));
        assert_eq!(values(&kind, "mon,t"), ["mon,tue"]);
        assert_eq!(values(&kind, "m"), ["mon"]);
        assert_eq!(values(&ParamType::Str, ""), Vec::<String>::new());
    }
}
