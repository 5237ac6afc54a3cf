//! What a run's declared inputs are: given, taken over from another run, from a variable, from a secret's file, or the default,
//! in this order. Everything that is wrong is told at once.

use std::cell::OnceCell;
use std::ffi::{OsStr, OsString};
use std::fmt;

use jiff::Zoned;
use secrecy::ExposeSecret;
use serde_json::Value as Json;

use super::command::is_same_variable;
use super::environment;
use super::secrets::Secrets;
use crate::model::{
    BadValue, Param, ParamSource, ParamType, ParamValue, Project, RunParam, did_you_mean, fill, is_secret_name,
    value_text, without_passwords,
};

/// What is said of a run's inputs by whoever starts it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Given {
    /// Names and values as texts; a list may be given item by item.
    pub values: Vec<(String, String)>,
    /// Those of the run that it follows. Of secrets they tell nothing, and inputs that are no longer declared are passed over.
    pub taken_over: Vec<RunParam>,
}

/// The inputs of a run. Not printable: some may be secrets.
#[derive(Clone, Default)]
pub struct Inputs(Vec<Input>);

#[derive(Clone)]
struct Input {
    name: String,
    variable: String,
    /// With the form in which scripts get it.
    value: Option<(Json, String)>,
    /// A secret as it was given, which may be otherwise.
    written: Option<String>,
    source: ParamSource,
    secret: bool,
    differs: bool,
}

/// What is wrong with one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadInput {
    /// What.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Whether it was given so by whoever starts the run; else it is wrong in what the project finds around it.
    pub is_given: bool,
}

impl BadInput {
    fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), is_given: false }
    }
}

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.hint)
    }
}

impl Inputs {
    /// The inputs of a run at `now`, which is in the project's time zone. `process` is the runner's environment.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn resolve(
        project: &Project,
        given: &Given,
        process: &[(OsString, OsString)],
        now: &Zoned,
    ) -> Result<Self, Vec<BadInput>> {
        let mut problems = Vec::new();
        for (name, _) in &given.values {
            problems.extend(unknown(name, &project.params).filter(|problem| !problems.contains(problem)));
        }
        let around = Around { project, given, process, secrets: OnceCell::new() };
        let mut inputs = Vec::new();
        for param in &project.params {
            match resolve(param, &around, now) {
                Ok(input) => inputs.push(input),
                Err(problem) => {
                    problems.push(BadInput {
                        is_given: given.values.iter().any(|(name, _)| *name == param.name),
                        ..problem
                    });
                }
            }
        }
        if problems.is_empty() { Ok(Self(inputs)) } else { Err(problems) }
    }

    /// As events and reports have them: without the run's secrets.
    #[must_use]
    pub fn report(&self, secrets: &Secrets) -> Vec<RunParam> {
        let of = |input: &Input| {
            let known = input.value.as_ref().filter(|_| !input.secret).map(|(value, _)| value);
            let value = known.map(|value| secrets.masked_json(value));
            RunParam {
                name: input.name.clone(),
                masked: value.as_ref() != known,
                value,
                source: input.source,
                secret: input.secret,
                differs: input.differs,
            }
        };
        self.0.iter().map(of).collect()
    }

    /// Whether an input has a value.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.0.iter().any(|input| input.name == name && input.value.is_some())
    }

    /// A text of the project with values in their places. Where no inputs are declared braces mean nothing.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let input = |name: &str| self.0.iter().find(|input| input.name == name);
        fill(text, |name| input(name)?.value.as_ref().map(|(_, text)| text.as_str()))
    }

    /// The variables that tell scripts of them; one without a value has none.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|input| Some((input.variable.as_str(), input.value.as_ref()?.1.as_str())))
    }

    /// Takes the secrets among them: those that are declared so, and those that a variable would tell by its name or its form.
    pub(super) fn secrets(&self, secrets: &mut Secrets) {
        for input in &self.0 {
            let Some((value, text)) = &input.value else { continue };
            secrets.take(input.variable.as_ref(), text.as_ref());
            if value.is_array() {
                secrets.take_json(&input.variable, value);
            }
            if !input.secret {
                continue;
            }
            secrets.declared(text);
            items(value).for_each(|item| secrets.declared(&item));
            if let Some(written) = &input.written {
                secrets.declared(written);
                if value.is_array() {
                    written.split(',').for_each(|item| secrets.declared(item));
                }
            }
        }
    }
}

/// The items of a list as texts.
fn items(value: &Json) -> impl Iterator<Item = String> {
    value.as_array().into_iter().flatten().map(value_text)
}

fn unknown(name: &str, params: &[Param]) -> Option<BadInput> {
    if params.iter().any(|param| param.name == name) {
        return None;
    }
    let message = format!("there is no input `{name}`");
    let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
    let hint = match (did_you_mean(name, names.iter().copied()), names.is_empty()) {
        (Some(likely), _) => format!("did you mean `{likely}`? there are: {}", names.join(", ")),
        (None, false) => format!("there are: {}", names.join(", ")),
        (None, true) => "the project declares none; its file's key `params` does that".to_owned(),
    };
    Some(BadInput { is_given: true, ..BadInput::new(message, hint) })
}

/// Where values come from.
struct Around<'a> {
    project: &'a Project,
    given: &'a Given,
    process: &'a [(OsString, OsString)],
    /// Once they are asked for.
    secrets: OnceCell<Secrets>,
}

impl Around<'_> {
    /// What no message may show, as far as it is known before there are inputs: the secrets of variables, and those that are
    /// declared, as they are written.
    fn secrets(&self) -> &Secrets {
        self.secrets.get_or_init(|| {
            let mut secrets = environment::secrets(self.project, &Inputs::default(), self.process);
            for param in self.project.params.iter().filter(|param| param.secret) {
                let of_variable = of_environment(param, self.project, self.process).ok().flatten();
                of_variable.iter().for_each(|text| secrets.declared(text));
                if let Some(Ok(text)) = &param.from_file {
                    secrets.declared(text.expose_secret());
                }
            }
            secrets
        })
    }
}

fn resolve(param: &Param, around: &Around<'_>, now: &Zoned) -> Result<Input, BadInput> {
    let (value, source, written) = found(param, around)?;
    let json = |value: &ParamValue| value.resolve(&around.project.root, now);
    let value = value.as_ref().map(json);
    let differs = !param.secret && value != param.default.as_ref().map(json);
    let value = value.map(|value| {
        let text = value_text(&value);
        (value, text)
    });
    if let (true, Some((value, text))) = (param.secret, &value) {
        let short = items(value).position(|item| !Secrets::can_be_declared(&item));
        let what = match short {
            Some(at) => format!("item {} of the secret `{}`", at + 1, param.name),
            None => format!("the secret `{}`", param.name),
        };
        // An empty list has nothing to hide.
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        if short.is_some() || !is_empty && !Secrets::can_be_declared(text) {
            let message = format!("{what} is too short to be masked in what scripts print");
            return Err(BadInput::new(message, "it needs 4 characters at least"));
        }
    }
    if let (None, true) = (&value, param.required) {
        let article = if param.secret { "the secret" } else { "the input" };
        let message = format!("{article} `{}` is required", param.name);
        return Err(BadInput::new(message, how_to_give(param, around, source)));
    }
    let Param { name, secret, .. } = param;
    let written = written.filter(|_| param.secret);
    Ok(Input { name: name.clone(), variable: param.variable(), value, written, source, secret: *secret, differs })
}

/// A value, not yet resolved, where it is from, and of a text that.
type FoundValue = (Option<ParamValue>, ParamSource, Option<String>);

fn found(param: &Param, around: &Around<'_>) -> Result<FoundValue, BadInput> {
    let Around { project, given, process, .. } = around;
    let texts: Vec<&str> =
        given.values.iter().filter(|(name, _)| *name == param.name).map(|(_, text)| text.as_str()).collect();
    if !texts.is_empty() {
        return Ok((Some(of_texts(param, &texts, around)?), ParamSource::Given, None));
    }
    if let Some(value) = of_run(param, around)? {
        return Ok((value, ParamSource::Run, None));
    }
    let read = |text: &str| param.kind.read(text).map_err(|bad| refused(param, text, bad, around));
    if let Some(text) = of_environment(param, project, process)? {
        let value =
            read(&text).map_err(|bad| BadInput { message: format!("{}: {}", param.variable(), bad.message), ..bad })?;
        return Ok((Some(value), ParamSource::Environment, Some(text)));
    }
    match &param.from_file {
        Some(Ok(text)) => {
            let text = text.expose_secret();
            return Ok((Some(read(text)?), ParamSource::File, Some(text.to_owned())));
        }
        Some(Err(why)) => {
            let message = format!("the secret `{}` can't be read: {why}", param.name);
            return Err(BadInput::new(message, format!("mend that, or set {}", param.variable())));
        }
        None => {}
    }
    if let Some(lost) = lost(param, around) {
        return Err(lost);
    }
    let source = if param.default.is_some() { ParamSource::Default } else { ParamSource::Unset };
    Ok((param.default.clone(), source, None))
}

/// What the run that is followed had, which may be no value; `None` if it didn't know the input, or has to be told of elsewhere.
fn of_run(param: &Param, around: &Around<'_>) -> Result<Option<Option<ParamValue>>, BadInput> {
    let Some(other) = taken_over(param, around.given).filter(|_| !param.secret) else { return Ok(None) };
    let Some(value) = other.value.as_ref().filter(|_| !other.secret) else {
        let had_none = other.value.is_none() && (!other.secret || other.source == ParamSource::Unset);
        return Ok(had_none.then_some(None));
    };
    if other.masked {
        // Where the others come from they can be taken from again.
        if !matches!(other.source, ParamSource::Given | ParamSource::Run) {
            return Ok(None);
        }
        // A variable that is set may have another value, which that run was given this one instead of.
        let message = format!("`{}` of that run held a secret, which isn't kept", param.name);
        return Err(BadInput::new(message, format!("add -p {}=VALUE", param.name)));
    }
    param.kind.read_json(value).map(|value| Some(Some(value))).map_err(|bad| {
        let hint = format!("the project declares it otherwise since that run; add -p {}=VALUE", param.name);
        BadInput { hint, ..refused(param, &value_text(value), bad, around) }
    })
}

fn taken_over<'a>(param: &Param, given: &'a Given) -> Option<&'a RunParam> {
    given.taken_over.iter().find(|other| other.name == param.name)
}

/// That the run that is followed had a value that it keeps to itself, and that is nowhere to be had now: without it, or with the
/// default, the scripts would do something else.
fn lost(param: &Param, around: &Around<'_>) -> Option<BadInput> {
    let other = taken_over(param, around.given)?;
    let was_set =
        (other.secret || other.value.is_some()) && !matches!(other.source, ParamSource::Unset | ParamSource::Default);
    if !was_set || !(param.secret || other.secret || other.masked) {
        return None;
    }
    let message = format!("`{}` was set in that run, which keeps no secrets, and isn't now", param.name);
    Some(BadInput::new(message, how_to_give(param, around, ParamSource::Unset)))
}

fn of_texts(param: &Param, texts: &[&str], around: &Around<'_>) -> Result<ParamValue, BadInput> {
    if param.secret {
        let message = format!("the secret `{}` can't be given so, where every account may see it", param.name);
        return Err(BadInput::new(message, how_secrets_are_given(param)));
    }
    let read = |text: &&str| param.kind.read(text).map_err(|bad| refused(param, text, bad, around));
    match (texts, &param.kind) {
        ([text], _) => read(text),
        (_, ParamType::List(_)) => {
            let lists = texts.iter().map(read).collect::<Result<Vec<_>, _>>()?;
            let items = lists.into_iter().flat_map(|list| match list {
                ParamValue::List(items) => items,
                single => vec![single],
            });
            Ok(ParamValue::List(items.collect()))
        }
        _ => {
            let message = format!("`{}` is given {} times", param.name, texts.len());
            Err(BadInput::new(message, "give it once; only lists take several"))
        }
    }
}

/// The value of its variable. Inside of another run the process's variables of that kind are that run's.
fn of_environment(
    param: &Param,
    project: &Project,
    process: &[(OsString, OsString)],
) -> Result<Option<String>, BadInput> {
    let variable = param.variable();
    // A secret can't be empty: a variable that is says that it isn't set.
    let counts = |value: &OsStr| !(param.secret && value.is_empty());
    if let Some(value) = of_process(&variable, process).filter(|text| counts(text) && !is_inside_a_run(process)) {
        return value
            .to_str()
            .map(|text| Some(text.to_owned()))
            .ok_or_else(|| BadInput::new(format!("{variable}: the value is not Unicode"), "set it anew"));
    }
    let of_file = project.dotenv.get(&variable).map(|value| value.expose_secret());
    Ok(of_file.filter(|value| counts(value.as_ref())).map(str::to_owned))
}

fn of_process<'a>(variable: &str, process: &'a [(OsString, OsString)]) -> Option<&'a OsStr> {
    process.iter().find(|(known, _)| is_same_variable(known, variable.as_ref())).map(|(_, value)| value.as_os_str())
}

fn is_inside_a_run(process: &[(OsString, OsString)]) -> bool {
    of_process("RUNNER_RUN_ID", process).is_some()
}

/// What to do about an input without a value, which is so by its `source`.
fn how_to_give(param: &Param, around: &Around<'_>, source: ParamSource) -> String {
    let Param { name, secret, .. } = param;
    let variable = param.variable();
    let inside = is_inside_a_run(around.process);
    let is_passed_over = inside && of_process(&variable, around.process).is_some();
    let why = match is_passed_over {
        true => format!("the {variable} that is set belongs to the run around this one; "),
        false => String::new(),
    };
    match (secret, inside) {
        (false, _) if source == ParamSource::Run => format!("that run had none; add -p {name}=VALUE"),
        (false, false) => format!("add -p {name}=VALUE, or set {variable} in the environment or in .env"),
        (false, true) => format!("{why}add -p {name}=VALUE, or set {variable} in .env"),
        (true, false) => how_secrets_are_given(param),
        (true, true) => format!("{why}set {variable} in .env, or name a `file` for it in the project file"),
    }
}

fn how_secrets_are_given(param: &Param) -> String {
    format!("set {} in the environment or in .env, or name a `file` for it in the project file", param.variable())
}

/// What is said of a value; of a secret's nothing that is in it. It goes where the value itself never would, as into mails.
fn refused(param: &Param, text: &str, bad: BadValue, around: &Around<'_>) -> BadInput {
    if param.secret {
        let message = format!("the secret `{}` is not of its type, {}", param.name, param.kind.word());
        return BadInput::new(message, how_secrets_are_given(param));
    }
    let mut secrets = around.secrets().clone();
    if let Ok(json) = serde_json::from_str(text) {
        secrets.take_json(&param.name, &json);
    }
    let shown = match is_secret_name(&param.name) {
        true => "***".to_owned(),
        false => secrets.masked(&without_passwords(text)),
    };
    let bad = if shown == text { bad } else { param.kind.bad_shown(&shown) };
    BadInput::new(format!("`{}` {}", param.name, bad.what), bad.hint)
}
