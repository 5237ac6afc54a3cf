//! To come.
pub mod history;
