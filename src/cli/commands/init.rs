//! `runner init`: a first project file for a folder of scripts. It asks what it can't know, if there is somebody to ask, and
//! never overwrites anything.

use std::fs::OpenOptions;
use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::check;
use crate::cli::ExitCode;
use crate::cli::args::InitArgs;
use crate::cli::output::{self, Output, styled};
use crate::config::{self, Environment, Found, FoundScript, LoadRequest};

/// What goes into the file.
#[derive(Debug, Clone, PartialEq)]
struct Answers {
    scripts: Vec<FoundScript>,
    recipients: Vec<String>,
    strategy: String,
}

/// Asks a question with what is taken if nothing is said; `None` if nobody answers any more.
type Ask<'a> = &'a mut dyn FnMut(&str, &str) -> Option<String>;

pub(in crate::cli) fn init(args: &InitArgs, output: &Output) -> ExitCode {
    let fail = |message: String, code| {
        output.error(format!("{} {message}", styled(output::BAD, "error:")));
        code
    };
    let folder = match config::project_root(&args.folder) {
        Ok(folder) if folder.is_dir() => folder,
        _ => return fail(format!("{} is not a folder", args.folder.display()), ExitCode::Usage),
    };
    let file = folder.join(config::PROJECT_FILE);
    if !args.print && file.symlink_metadata().is_ok() {
        let message = format!("{} is there already, and stays as it is; `runner check` looks at it", file.display());
        return fail(message, ExitCode::Usage);
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
    let mut ask = |question: &str, usual: &str| {
        output.error(format!("{question} [{usual}]"));
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).ok().filter(|read| *read > 0).map(|_| line)
    };
    let ask: Option<Ask<'_>> = if is_somebody_there && !args.yes { Some(&mut ask) } else { None };
    let text = match answers(args, &found, ask) {
        Ok(answers) => text(&answers),
        Err(message) => return fail(message, ExitCode::Usage),
    };
    if args.print {
        output.line(text.trim_end());
        return ExitCode::Success;
    }
    // Never over what somebody else has written meanwhile.
    let written = OpenOptions::new().write(true).create_new(true).open(&file);
    if let Err(error) = written.and_then(|mut file| file.write_all(text.as_bytes())) {
        return fail(format!("cannot write {}: {error}", file.display()), ExitCode::CannotWork);
    }
    finish(&folder, &file, &env, output)
}

/// Holds the new file to what `runner check` asks of it; one that doesn't pass goes again.
fn finish(folder: &Path, file: &Path, env: &Environment, output: &Output) -> ExitCode {
    match config::load(&LoadRequest { project: folder, profile: None, env }) {
        Ok(loaded) => {
            check::warnings(&loaded.warnings, output);
            let scripts: Vec<&str> = loaded.project.scripts.iter().map(|script| script.name.as_str()).collect();
            output.line(format!("{}  {} runs {}", styled(output::GOOD, "wrote"), file.display(), scripts.join(", ")));
            if loaded.project.recipients.is_empty() {
                output.line("Nobody gets mails: name `recipients`, and an `email_strategy` other than none, for that.");
            }
            output.line(format!("Next: runner run {}", folder.display()));
            ExitCode::Success
        }
        Err(error) => {
            check::problems(&error, output);
            let _ = std::fs::remove_file(file);
            output.error("nothing was written: the file would not pass `runner check`");
            ExitCode::Usage
        }
    }
}

/// What was found, was given, or is answered.
fn answers(args: &InitArgs, found: &Found, mut ask: Option<Ask<'_>>) -> Result<Answers, String> {
    let mut scripts = if args.script.is_empty() { found.scripts.clone() } else { named(&args.script, args, found)? };
    if scripts.is_empty() {
        return Err("no scripts were found; name them with --script and what runs them with --interpreter".to_owned());
    }
    let mut recipients = args.recipient.clone();
    let mut strategy = args.strategy.clone();
    let mut ask = |question: &str, usual: &str| {
        let answer = ask.as_mut().and_then(|ask| ask(question, usual)).unwrap_or_default();
        Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
    };
    if args.script.is_empty() {
        let usual: Vec<&str> = scripts.iter().map(|script| script.path.as_str()).collect();
        if let Some(names) = ask("Which scripts, in which order?", &usual.join(" ")) {
            let names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
            scripts = named(&names, args, found)?;
        }
    }
    if let Some(command) = command(&args.interpreter) {
        scripts.iter_mut().for_each(|script| script.interpreter.clone_from(&command));
    }
    if recipients.is_empty()
        && let Some(addresses) = ask("Who gets mails? (addresses)", "nobody")
    {
        recipients = addresses.split([' ', ',', ';']).filter(|one| !one.is_empty()).map(str::to_owned).collect();
    }
    if strategy.is_none() && !recipients.is_empty() {
        strategy = ask("When? (all, failure_only, changes, digest)", "failure_only");
    }
    let usual = if recipients.is_empty() { "none" } else { "failure_only" };
    Ok(Answers { scripts, recipients, strategy: strategy.unwrap_or_else(|| usual.to_owned()) })
}

/// Scripts by their paths; what runs one that wasn't found is what runs most of the others.
fn named(names: &[String], args: &InitArgs, found: &Found) -> Result<Vec<FoundScript>, String> {
    let usual = command(&args.interpreter).or_else(|| usual_interpreter(&found.scripts));
    let script = |name: &String| {
        let path = name.replace('\\', "/");
        let path = path.strip_prefix("./").unwrap_or(&path);
        let known = found.scripts.iter().find(|script| script.path == path).cloned();
        let other = || Some(FoundScript { path: path.to_owned(), interpreter: usual.clone()? });
        known.or_else(other).ok_or_else(|| format!("what runs {name}? say so with --interpreter"))
    };
    names.iter().map(script).collect()
}

fn command(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
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

    fn with_answers(lines: &[&str]) -> Result<Answers, String> {
        let mut lines = lines.iter().map(|line| format!("{line}\n"));
        answers(&InitArgs::default(), &found(), Some(&mut |_, _| lines.next()))
    }

    #[test]
    fn what_nobody_answers_is_what_was_found() {
        let silent = answers(&InitArgs::default(), &found(), None).unwrap();
        assert_eq!(silent, with_answers(&["", "", ""]).unwrap());
        assert_eq!(silent, Answers { scripts: found().scripts, recipients: vec![], strategy: "none".into() });
        assert!(answers(&InitArgs::default(), &Found::default(), None).unwrap_err().contains("no scripts were found"));
    }

    #[test]
    fn answers_are_taken() {
        let answers = with_answers(&["c.py ./x.py b.sh", "a@example.com, b@example.com", "changes"]).unwrap();
        let paths: Vec<&str> = answers.scripts.iter().map(|script| script.path.as_str()).collect();
        assert_eq!(paths, ["c.py", "x.py", "b.sh"]);
        assert_eq!(answers.recipients, ["a@example.com", "b@example.com"]);
        assert_eq!(answers.strategy, "changes");
        let file: Value = serde_json::from_str(&text(&answers)).unwrap();
        assert_eq!(file["python_command"], "python3");
        assert_eq!(file["scripts"], json!(["c.py", "x.py", {"path": "b.sh", "interpreter": "bash"}]));
    }
}
