//! What a run's declared inputs are: given, taken over from another run, from a variable, from a secret's file, or the default,
//! in this order. Everything that is wrong is told at once.

use std::ffi::OsString;
use std::fmt;

use jiff::Zoned;
use secrecy::ExposeSecret;
use serde_json::Value as Json;

use super::command::is_same_variable;
use super::secrets::Secrets;
use crate::model::{BadValue, Param, ParamSource, ParamType, ParamValue, Project, RunParam, fill, value_text};

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
        let mut inputs = Vec::new();
        for param in &project.params {
            match resolve(param, project, given, process, now) {
                Ok(input) => inputs.push(input),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self(inputs)) } else { Err(problems) }
    }

    /// As events and reports have them.
    #[must_use]
    pub fn report(&self) -> Vec<RunParam> {
        let of = |input: &Input| RunParam {
            name: input.name.clone(),
            value: input.value.as_ref().filter(|_| !input.secret).map(|(value, _)| value.clone()),
            source: input.source,
            secret: input.secret,
            differs: input.differs,
        };
        self.0.iter().map(of).collect()
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

    /// Takes the secrets among them.
    pub(super) fn secrets(&self, secrets: &mut Secrets) {
        for (value, text) in self.0.iter().filter(|input| input.secret).filter_map(|input| input.value.as_ref()) {
            secrets.declared(text);
            for item in value.as_array().into_iter().flatten() {
                secrets.declared(&value_text(item));
            }
        }
    }
}

fn unknown(name: &str, params: &[Param]) -> Option<BadInput> {
    if params.iter().any(|param| param.name == name) {
        return None;
    }
    let message = format!("there is no input `{name}`");
    let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
    let likely = |known: &&&str| strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()) >= 0.84;
    let hint = match (names.iter().find(likely), names.is_empty()) {
        (Some(likely), _) => format!("did you mean `{likely}`? there are: {}", names.join(", ")),
        (None, false) => format!("there are: {}", names.join(", ")),
        (None, true) => "the project declares none; its file's key `params` does that".to_owned(),
    };
    Some(BadInput { message, hint })
}

fn resolve(
    param: &Param,
    project: &Project,
    given: &Given,
    process: &[(OsString, OsString)],
    now: &Zoned,
) -> Result<Input, BadInput> {
    let (value, source) = found(param, project, given, process)?;
    let json = |value: &ParamValue| value.resolve(&project.root, now);
    let value = value.as_ref().map(json);
    let differs = !param.secret && value != param.default.as_ref().map(json);
    let value = value.map(|value| {
        let text = value_text(&value);
        (value, text)
    });
    if let (true, Some((_, text))) = (param.secret, &value)
        && !Secrets::can_be_declared(text)
    {
        let message = format!("the secret `{}` is too short to be masked in what scripts print", param.name);
        return Err(BadInput { message, hint: "it needs 4 characters at least".to_owned() });
    }
    if let (None, true) = (&value, param.required) {
        let hint = if param.secret { how_secrets_are_given(param) } else { format!("add -p {}=VALUE", param.name) };
        let article = if param.secret { "the secret" } else { "the input" };
        return Err(BadInput { message: format!("{article} `{}` is required", param.name), hint });
    }
    let Param { name, secret, .. } = param;
    Ok(Input { name: name.clone(), variable: param.variable(), value, source, secret: *secret, differs })
}

/// The value, not yet resolved, and where it is from.
fn found(
    param: &Param,
    project: &Project,
    given: &Given,
    process: &[(OsString, OsString)],
) -> Result<(Option<ParamValue>, ParamSource), BadInput> {
    let texts: Vec<&str> =
        given.values.iter().filter(|(name, _)| *name == param.name).map(|(_, text)| text.as_str()).collect();
    if !texts.is_empty() {
        return Ok((Some(of_texts(param, &texts)?), ParamSource::Given));
    }
    let of_run = given.taken_over.iter().find(|other| other.name == param.name && !other.secret);
    if let Some(other) = of_run.filter(|_| !param.secret) {
        let Some(value) = &other.value else { return Ok((None, ParamSource::Unset)) };
        let value = param.kind.read_json(value).map_err(|bad| {
            let hint = format!("the project declares it otherwise since that run; add -p {}=VALUE", param.name);
            BadInput { hint, ..refused(param, bad) }
        })?;
        return Ok((Some(value), ParamSource::Run));
    }
    if let Some(text) = of_environment(param, project, process)? {
        let value = param.kind.read(&text).map_err(|bad| {
            let bad = refused(param, bad);
            BadInput { message: format!("{}: {}", param.variable(), bad.message), ..bad }
        })?;
        return Ok((Some(value), ParamSource::Environment));
    }
    if let Some(text) = &param.from_file {
        let value = param.kind.read(text.expose_secret()).map_err(|bad| refused(param, bad))?;
        return Ok((Some(value), ParamSource::File));
    }
    let source = if param.default.is_some() { ParamSource::Default } else { ParamSource::Unset };
    Ok((param.default.clone(), source))
}

fn of_texts(param: &Param, texts: &[&str]) -> Result<ParamValue, BadInput> {
    if param.secret {
        let message = format!("the secret `{}` can't be given so, where every account may see it", param.name);
        return Err(BadInput { message, hint: how_secrets_are_given(param) });
    }
    let read = |text: &&str| param.kind.read(text).map_err(|bad| refused(param, bad));
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
        _ => Err(BadInput {
            message: format!("`{}` is given {} times", param.name, texts.len()),
            hint: "give it once; only lists take several".to_owned(),
        }),
    }
}

/// The value of its variable. Inside of another run the process's variables of that kind are that run's.
fn of_environment(
    param: &Param,
    project: &Project,
    process: &[(OsString, OsString)],
) -> Result<Option<String>, BadInput> {
    let variable = param.variable();
    let value = |name: &str| process.iter().find(|(known, _)| is_same_variable(known, name.as_ref()));
    if let Some((_, value)) = value(&variable).filter(|_| value("RUNNER_RUN_ID").is_none()) {
        return value.to_str().map(|text| Some(text.to_owned())).ok_or_else(|| BadInput {
            message: format!("{variable}: the value is not Unicode"),
            hint: "set it anew".to_owned(),
        });
    }
    Ok(project.dotenv.get(&variable).map(|value| value.expose_secret().to_owned()))
}

fn how_secrets_are_given(param: &Param) -> String {
    format!("set {} in the environment or in .env, or name a `file` for it in the project file", param.variable())
}

/// What is said of a value; of a secret's nothing that is in it.
fn refused(param: &Param, bad: BadValue) -> BadInput {
    if param.secret {
        let message = format!("the secret `{}` is not of its type, {}", param.name, param.kind.word());
        return BadInput { message, hint: how_secrets_are_given(param) };
    }
    BadInput { message: format!("`{}` {}", param.name, bad.what), hint: bad.hint }
}
