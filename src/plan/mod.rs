//! From a checked project and a request to what exactly will be run. Pure: reads no file, starts nothing.

mod backoff;
mod build;
mod command;
mod environment;
mod inputs;
mod render;
mod secrets;
mod select;

pub use backoff::retry;
pub use build::{RunPlan, Step, build};
pub use command::{Limits, SpawnCommand};
pub use environment::{CONTEXT_VARIABLES, RunContext, attempt_marker, base_environment, is_secret_setting};
pub use inputs::{BadInput, Given, Inputs};
pub use render::render;
pub use secrets::Secrets;
pub use select::{Place, SelectError, Selection, Wanted};
