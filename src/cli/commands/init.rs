//! `runner init`: a first project file for a folder of scripts. It asks what it can't know, if there is somebody to ask, and
//! never overwrites anything.

use std::fs::OpenOptions;
use std::io::{BufRead, ErrorKind, IsTerminal, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::check;
use crate::cli::ExitCode;
use crate::cli::args::InitArgs;
use crate::cli::output::{self, Output, styled};
use crate::config::{self, Environment, Found, FoundScript, LoadRequest};
use crate::host::shell_word;
use crate::model::{EmailStrategy, RunId};

/// What goes into the file.
#[derive(Debug, Clone, PartialEq)]
struct Answers {
    scripts: Vec<FoundScript>,
    recipients: Vec<String>,
    strategy: String,
}

/// Asks a question; `None` if nobody answers any more.
type Ask<'a> = &'a mut dyn FnMut(&str) -> Option<String>;

pub(in crate::cli) fn init(args: &InitArgs, output: &Output) -> ExitCode {
    let fail = |message: String, code| {
        output.error(format!("{} {message}", styled(output::BAD, "error:")));
        code
    };
    let folder = match config::project_root(&args.folder) {
        Ok(folder) if folder.is_dir() => folder,
        _ => return fail(format!("{} is not a folder", args.folder.display()), ExitCode::Usage),
    };
    if folder.to_str().is_none() {
        let message =
            format!("the folder's path {} is not Unicode; rename it, or reach it by a link", folder.display());
        return fail(message, ExitCode::Usage);
    }
    let file = folder.join(config::PROJECT_FILE);
    let there_already =
        || format!("{} is there already, and stays as it is; `runner check` looks at it", file.display());
    if !args.print && file.symlink_metadata().is_ok() {
        return fail(there_already(), ExitCode::Usage);
    }
    let env = Environment::from_process();
    let found = match config::scan(&folder, &env) {
        Ok(found) => found,
        Err(error) => return fail(format!("cannot look into {}: {error}", folder.display()), ExitCode::CannotWork),
    };
    for (path, why) in &found.passed_over {
        output.error(format!("passed over {path}: {why}"));
    }
    let is_somebody_there = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let mut ask = |question: &str| {
        output.error(question);
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).ok().filter(|read| *read > 0).map(|_| line)
    };
    let ask: Option<Ask<'_>> = if is_somebody_there && !args.yes { Some(&mut ask) } else { None };
    let text = match (Questions { args, found: &found, folder: &folder, env: &env }).answers(ask) {
        Ok(answers) => text(&answers),
        Err(message) => return fail(message, ExitCode::Usage),
    };
    // What `runner check` asks of it, before it is there.
    let loaded = match config::load_text(&LoadRequest { project: &folder, profile: None, env: &env }, &text) {
        Ok(loaded) => loaded,
        Err(error) => {
            check::problems(&error, output);
            return fail("nothing was written: the file would not pass `runner check`".to_owned(), ExitCode::Usage);
        }
    };
    check::warnings(&loaded.warnings, output);
    if args.print {
        output.line(text.trim_end());
        return ExitCode::Success;
    }
    match write_new(&file, text.as_bytes()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return fail(there_already(), ExitCode::Usage),
        Err(error) => return fail(format!("cannot write {}: {error}", file.display()), ExitCode::CannotWork),
    }
    let scripts: Vec<&str> = loaded.project.scripts.iter().map(|script| script.name.as_str()).collect();
    output.line(format!("{}  {} runs {}", styled(output::GOOD, "wrote"), file.display(), scripts.join(", ")));
    if loaded.project.recipients.is_empty() {
        output.line("Nobody gets mails: name `recipients`, and an `email_strategy` other than none, for that.");
    }
    output.line(format!("Next: runner run {}", for_shell(&folder)));
    ExitCode::Success
}

/// Writes a file that isn't there. It appears whole, or not at all, and never in the place of another.
fn write_new(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let beside = file.with_file_name(format!(".{}.{}", config::PROJECT_FILE, RunId::random()));
    let new = |path: &Path| -> std::io::Result<()> {
        let mut written = OpenOptions::new().write(true).create_new(true).open(path)?;
        written.write_all(text)?;
        written.sync_all()
    };
    let linked = new(&beside).and_then(|()| std::fs::hard_link(&beside, file));
    let removed = std::fs::remove_file(&beside);
    match linked {
        // Some file systems know no links; there a kill at this instant leaves a part of it.
        Err(error) if error.kind() != ErrorKind::AlreadyExists && removed.is_ok() => new(file),
        linked => linked,
    }
}

/// A path, or an argument without quotes in it, as a word of the system's shells.
pub(super) fn for_shell(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || r"\:/_.-+~=".contains(c);
    match cfg!(windows) {
        // For cmd and PowerShell; no path has a quote in it.
        true if path.chars().all(is_plain) => path.into_owned(),
        true => format!("\"{path}\""),
        false => shell_word(&path),
    }
}

/// What answers are held to.
struct Questions<'a> {
    args: &'a InitArgs,
    found: &'a Found,
    folder: &'a Path,
    env: &'a Environment,
}

impl Questions<'_> {
    /// What was found, was given, or is answered.
    fn answers(&self, mut ask: Option<Ask<'_>>) -> Result<Answers, String> {
        let Self { args, found, .. } = self;
        let command = args.interpreter.clone();
        if let Some(why) = config::no_program(self.folder, self.env, &command) {
            return Err(format!("--interpreter: {why}"));
        }
        if let Some(wrong) = args.recipient.iter().find(|one| !config::is_address(one)) {
            return Err(format!("--recipient: {}", no_address(wrong)));
        }
        let mut scripts = found.scripts.clone();
        if !args.script.is_empty() {
            let unicode = |name: &std::ffi::OsString| {
                name.to_str().map(str::to_owned).ok_or_else(|| format!("--script: {} is not Unicode", name.display()))
            };
            let names = args.script.iter().map(unicode).collect::<Result<Vec<_>, _>>()?;
            scripts = self.named(&names).map_err(|why| format!("--script: {why}"))?;
        } else if let Some(named) = asked(&mut ask, &self.which_scripts(), |answer| self.named(&items(answer, &[','])?))
        {
            scripts = named;
        }
        if scripts.is_empty() {
            let message = "no scripts were found; name them with --script and what runs them with --interpreter (the folder was \
                           looked through, and scripts, jobs, bin and src below it)";
            return Err(message.to_owned());
        }
        if !command.is_empty() {
            scripts.iter_mut().for_each(|script| script.interpreter.clone_from(&command));
        }
        while let Some(unknown) = scripts.iter().position(|script| script.interpreter.is_empty()) {
            let path = scripts[unknown].path.clone();
            let question = format!("What runs {path}? (a program and its arguments, with blanks between them)");
            let answer = asked(&mut ask, &question, |answer| {
                let words = items(answer, &[' ', '\t'])?;
                config::no_program(self.folder, self.env, &words).map_or(Ok(words), Err)
            });
            scripts[unknown].interpreter = answer.ok_or(format!("what runs {path}? say so with --interpreter"))?;
        }
        let mut recipients = args.recipient.clone();
        if recipients.is_empty() {
            let question = "Who gets mails? (addresses, with commas between them) [nobody]";
            recipients = asked(&mut ask, question, addresses).unwrap_or_default();
        }
        let strategy = match &args.strategy {
            Some(strategy) if strategy != "none" && recipients.is_empty() => {
                return Err(format!(
                    "--strategy: {strategy} needs somebody who gets mails; name them with --recipient"
                ));
            }
            Some(strategy) => strategy.clone(),
            None if recipients.is_empty() => "none".to_owned(),
            None => {
                let question =
                    format!("When? ({}) [failure_only]", EmailStrategy::NAMES.map(|(name, _)| name).join(", "));
                asked(&mut ask, &question, strategy).unwrap_or_else(|| "failure_only".to_owned())
            }
        };
        Ok(Answers { scripts, recipients, strategy })
    }

    fn which_scripts(&self) -> String {
        let quoted = |path: &str| if path.contains(',') { format!("\"{path}\"") } else { path.to_owned() };
        let usual: Vec<String> = self.found.scripts.iter().map(|script| quoted(&script.path)).collect();
        let usual = if usual.is_empty() { "none was found".to_owned() } else { usual.join(", ") };
        format!("Which scripts, in which order? (with commas between them) [{usual}]")
    }

    /// Scripts by their paths.
    fn named(&self, names: &[String]) -> Result<Vec<FoundScript>, String> {
        let found = &self.found.scripts;
        let script = |name: &String| {
            let path = if cfg!(windows) { name.replace('\\', "/") } else { name.clone() };
            let path = path.strip_prefix("./").unwrap_or(&path);
            if !self.folder.join(path).is_file() {
                return Err(format!("`{path}` is no file in {}", self.folder.display()));
            }
            let known = found.iter().find(|script| script.path == path).cloned();
            let own = || FoundScript { path: path.to_owned(), interpreter: self.interpreter_of(path) };
            Ok(known.unwrap_or_else(own))
        };
        names.iter().map(script).collect()
    }

    /// What runs a script that wasn't found: what runs one of the same ending, else what it tells itself, else what runs most of
    /// the others; empty if that isn't known.
    fn interpreter_of(&self, path: &str) -> Vec<String> {
        let found = &self.found.scripts;
        let ending = Path::new(path).extension();
        let alike = |script: &&FoundScript| ending.is_some() && Path::new(&script.path).extension() == ending;
        let alike = found.iter().find(alike).map(|script| script.interpreter.clone());
        let told = alike.or_else(|| config::what_runs(self.folder, self.env, path));
        told.or_else(|| usual_interpreter(found)).unwrap_or_default()
    }
}

/// Asks until there is an answer that can be used; `None` if there is none, or nobody to ask.
fn asked<T>(ask: &mut Option<Ask<'_>>, question: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
    let ask = ask.as_mut()?;
    let mut said = question.to_owned();
    loop {
        let answer = ask(&said)?;
        match read(answer.trim()) {
            _ if answer.trim().is_empty() => return None,
            Ok(value) => return Some(value),
            Err(why) => said = format!("{why}\n{question}"),
        }
    }
}

/// The items of an answer. What stands in double quotes may have separators in it.
fn items(answer: &str, separators: &[char]) -> Result<Vec<String>, String> {
    let mut is_quoted = false;
    let parts = answer.split(|c| {
        is_quoted ^= c == '"';
        !is_quoted && separators.contains(&c)
    });
    let parts = parts.map(str::trim).filter(|part| !part.is_empty());
    let bare = |part: &str| part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(part).to_owned();
    let items = parts.map(bare).collect();
    if is_quoted { Err("a `\"` is missing".to_owned()) } else { Ok(items) }
}

fn addresses(answer: &str) -> Result<Vec<String>, String> {
    let addresses = answer.split([',', ';']).map(str::trim).filter(|one| !one.is_empty());
    let address = |one: &str| if config::is_address(one) { Ok(one.to_owned()) } else { Err(no_address(one)) };
    addresses.map(address).collect()
}

fn no_address(text: &str) -> String {
    format!("`{text}` is not an address, as in you@example.com")
}

fn strategy(answer: &str) -> Result<String, String> {
    let known = EmailStrategy::NAMES.iter().find(|(name, _)| *name == answer);
    known.map(|(name, _)| (*name).to_owned()).ok_or_else(|| format!("`{answer}` is none of these"))
}

/// What runs most of the scripts; of several the first.
fn usual_interpreter(scripts: &[FoundScript]) -> Option<Vec<String>> {
    let count = |command: &Vec<String>| scripts.iter().filter(|script| script.interpreter == *command).count();
    let commands = scripts.iter().map(|script| &script.interpreter);
    commands.rev().max_by_key(|command| count(command)).cloned()
}

/// The project file, its keys in the order in which people read them.
fn text(answers: &Answers) -> String {
    let usual = usual_interpreter(&answers.scripts).unwrap_or_default();
    let command = |words: &[String]| match words {
        [program] => json!(program),
        words => json!(words),
    };
    let script = |script: &FoundScript| {
        if script.interpreter == usual {
            return json!(script.path);
        }
        let keys = [("path", json!(script.path)), ("interpreter", command(&script.interpreter))];
        Value::Object(Map::from_iter(keys.map(|(key, value)| (key.to_owned(), value))))
    };
    let scripts: Vec<String> = answers.scripts.iter().map(|one| format!("    {}", script(one))).collect();
    let recipients = json!(answers.recipients);
    format!(
        "{{\n  \"scripts\": [\n{}\n  ],\n  \"python_command\": {},\n  \"recipients\": {recipients},\n  \
         \"email_strategy\": {},\n  \"include_traceback\": true,\n  \"logs_backup_count\": 10\n}}\n",
        scripts.join(",\n"),
        command(&usual),
        json!(answers.strategy),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let script = |path: &str, words: &[&str]| FoundScript {
            path: path.to_owned(),
            interpreter: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        Found {
            scripts: vec![script("a.py", &["python3"]), script("b.sh", &["bash"]), script("c.py", &["python3"])],
            ..Found::default()
        }
    }

    /// What comes of these answers, and what was said.
    fn with_answers(args: &InitArgs, found: &Found, lines: &[&str]) -> (Result<Answers, String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.py", "b.sh", "c.py", "my script, old.py", "tool"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let mut lines = lines.iter().map(|line| format!("{line}\n"));
        let mut said = Vec::new();
        let env = Environment::from_process();
        let questions = Questions { args, found, folder: folder.path(), env: &env };
        let answers = questions.answers(Some(&mut |question| {
            said.push(question.to_owned());
            lines.next()
        }));
        (answers, said)
    }

    #[test]
    fn what_nobody_answers_is_what_was_found() {
        let answers = with_answers(&InitArgs::default(), &found(), &[]).0.unwrap();
        assert_eq!(answers, with_answers(&InitArgs::default(), &found(), &["", "", ""]).0.unwrap());
        assert_eq!(answers, Answers { scripts: found().scripts, recipients: vec![], strategy: "none".into() });
        let nothing = with_answers(&InitArgs::default(), &Found::default(), &[]).0.unwrap_err();
        assert!(nothing.contains("no scripts were found"), "{nothing}");
    }

    #[test]
    fn answers_are_taken() {
        let lines = [r#"c.py, ./b.sh,"my script, old.py" "#, "A Name <a@example.com>, b@example.com;", "changes"];
        let (answers, said) = with_answers(&InitArgs::default(), &found(), &lines);
        let answers = answers.unwrap();
        let paths: Vec<&str> = answers.scripts.iter().map(|script| script.path.as_str()).collect();
        assert_eq!(paths, ["c.py", "b.sh", "my script, old.py"]);
        assert_eq!(answers.recipients, ["A Name <a@example.com>", "b@example.com"]);
        assert_eq!(answers.strategy, "changes");
        let file: Value = serde_json::from_str(&text(&answers)).unwrap();
        assert_eq!(file["python_command"], "python3");
        let expected = json!(["c.py", {"path": "b.sh", "interpreter": "bash"}, "my script, old.py"]);
        assert_eq!(file["scripts"], expected);
        assert_eq!(said[0], "Which scripts, in which order? (with commas between them) [a.py, b.sh, c.py]");
    }

    #[test]
    fn only_what_was_answered_badly_is_asked_again() {
        let lines = ["a.py b.sh", "a.py", "nobody", "a@example.com", "sometimes", "all"];
        let (answers, said) = with_answers(&InitArgs::default(), &found(), &lines);
        let answers = answers.unwrap();
        assert_eq!((answers.scripts.len(), answers.strategy.as_str()), (1, "all"));
        assert_eq!(answers.recipients, ["a@example.com"]);
        let begins =
            ["Which", "`a.py b.sh` is no file in ", "Who", "`nobody` is not an address", "When", "`sometimes` is none"];
        assert!(said.len() == 6 && said.iter().zip(begins).all(|(said, begin)| said.starts_with(begin)), "{said:#?}");
        assert!(said[1].ends_with(&said[0]), "and the question stands there again: {said:#?}");
    }

    #[test]
    fn what_runs_a_script_is_asked_where_it_cannot_be_known() {
        let program = std::env::current_exe().unwrap().to_string_lossy().into_owned();
        let answer = format!("\"{program}\" -x");
        let (answers, said) =
            with_answers(&InitArgs::default(), &Found::default(), &["tool", "no-such-program", &answer]);
        assert_eq!(
            answers.unwrap().scripts,
            [FoundScript { path: "tool".into(), interpreter: vec![program, "-x".into()] }]
        );
        assert!(said[2].starts_with("`no-such-program` isn't found"), "{said:#?}");
        let (answers, _) = with_answers(&InitArgs::default(), &Found::default(), &["tool"]);
        assert_eq!(answers.unwrap_err(), "what runs tool? say so with --interpreter");
    }

    #[test]
    fn flags_that_are_wrong_are_named() {
        let args = |change: fn(&mut InitArgs)| {
            let mut args = InitArgs::default();
            change(&mut args);
            with_answers(&args, &found(), &[]).0.unwrap_err()
        };
        assert!(args(|args| args.script = vec!["x.py".into()]).starts_with("--script: `x.py` is no file in "));
        let told = args(|args| args.recipient = vec!["nobody".into()]);
        assert_eq!(told, "--recipient: `nobody` is not an address, as in you@example.com");
        assert!(
            args(|args| args.interpreter = vec!["no-such".into()]).starts_with("--interpreter: `no-such` isn't found")
        );
        assert!(args(|args| args.strategy = Some("all".into())).starts_with("--strategy: all needs somebody"));
    }
}
