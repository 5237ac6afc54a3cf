//! The only room that reads files of the user: from an `exec_config.json`, and what lies under and over it, to a
//! checked [`Project`](crate::model::Project), or to everything that is wrong. It runs nothing, writes nothing, and
//! changes nothing of the process.
//!
//! The way: read the files into values that know their places, lay the layers over each other, check, name every
//! problem with its place.

mod check;
mod checker;
mod dotenv;
pub mod env_vars;
mod environment;
mod explain;
mod interpreter;
mod keys;
mod layers;
mod load;
mod mail;
mod most_runs;
mod names;
mod node;
mod os;
mod params;
mod parse;
mod paths;
mod policies;
mod problem;
mod report;
mod scan;
mod schedule;
mod schema;
mod scripts;
mod search;
mod settings;
mod slips;
mod source;
#[cfg(test)]
mod tests;

pub use environment::Environment;
pub use explain::{Explained, render_explain};
pub use interpreter::Platform;
pub use keys::PROJECT_FILE;
pub use layers::profiles;
pub use load::{
    LoadRequest, Loaded, config_folders, dotenv_files, dotenv_values, is_config_file, load, load_config, load_text,
};
pub use mail::is_address;
pub use most_runs::most_runs;
pub use os::everyone_may_read;
pub use paths::{is_project, project_root};
pub use problem::{ConfigError, Problem, ProblemKind};
pub use scan::{Found, FoundScript, no_program, scan, what_runs};
pub(crate) use schedule::schedule_of_definition;
pub use schema::{layer_schema, schema};
