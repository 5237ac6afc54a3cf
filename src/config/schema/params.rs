//! What `params` is made of.

use schemars::JsonSchema;
use schemars::{Schema, SchemaGenerator, json_schema};

/// An input.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code)]
pub(super) enum Param {
    /// Only its type: it may be left out.
    Type(TypeWord),
    Declaration(Box<Declaration>),
}

/// An input of the project.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code)]
pub(super) struct Declaration {
    /// What its values are.
    #[schemars(rename = "type")]
    kind: TypeWord,
    /// What the items of a `list` are; texts (`str`) unless set.
    of: Option<ItemWord>,
    /// What may be chosen, of a `choice`.
    #[schemars(length(min = 1))]
    choices: Option<Vec<String>>,
    /// What it is when nobody says. Dates may be `today` and `yesterday`, dates with a time `now` too: by the run's planned time
    /// in the project's time zone.
    default: Option<serde_json::Value>,
    /// Whether nothing runs without it.
    required: Option<bool>,
    /// What it is for; `runner run --help-params` shows it.
    help: Option<String>,
    /// Whether it is kept from arguments, reports and output. It comes from the environment, `.env` or `file`.
    secret: Option<bool>,
    /// The file that holds a secret, relative to the project.
    #[schemars(length(min = 1))]
    file: Option<String>,
}

words!(
    pub(in crate::config::schema) TypeWord,
    "^([sS][tT][rR]|[iI][nN][tT]|[fF][lL][oO][aA][tT]|[bB][oO][oO][lL]|[dD][aA][tT][eE]|[dD][aA][tT][eE][tT][iI][mM][eE]|[dD][uU][rR][aA][tT][iI][oO][nN]|[pP][aA][tT][hH]|[cC][hH][oO][iI][cC][eE]|[lL][iI][sS][tT])$",
    ["str", "int", "float", "bool", "date", "datetime", "duration", "path", "choice", "list"]
);
words!(
    pub(in crate::config::schema) ItemWord,
    "^([sS][tT][rR]|[iI][nN][tT]|[fF][lL][oO][aA][tT]|[bB][oO][oO][lL]|[dD][aA][tT][eE]|[dD][aA][tT][eE][tT][iI][mM][eE]|[dD][uU][rR][aA][tT][iI][oO][nN]|[pP][aA][tT][hH]|[cC][hH][oO][iI][cC][eE])$",
    ["str", "int", "float", "bool", "date", "datetime", "duration", "path", "choice"]
);

/// The inputs of a project, by name.
pub(super) struct Params;

impl JsonSchema for Params {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Params".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let param = generator.subschema_for::<Option<Param>>();
        json_schema!({
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$"},
            "additionalProperties": param
        })
    }
}
